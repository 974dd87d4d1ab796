//! Failover as it is read: a group, its members, and what moved.

use serde::{Deserialize, Serialize};

use crate::{
    FailoverMoveId, IntegrationId, Timestamp,
    failover::{FailoverMode, FailoverRules, MemberStatus, MoveKind},
    health::Health,
};

/// Who does the work of an integration, and when that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failover {
    /// What the members are for, such as `email`; `None`: nothing can stand in for this integration.
    pub channel: Option<String>,
    /// Whether there are backups. Without, all below is what it would be.
    pub is_configured: bool,
    /// Whose work it is.
    pub primary_integration_id: IntegrationId,
    /// Who takes over first.
    pub backup_integration_id: Option<IntegrationId>,
    /// Who takes over after that one, in this order.
    pub further_backup_ids: Vec<IntegrationId>,
    /// When work moves.
    #[serde(flatten)]
    pub rules: FailoverRules,
    /// Who does the work.
    pub active_integration_id: IntegrationId,
    /// Since when.
    pub active_since: Timestamp,
    /// Who decides.
    pub mode: FailoverMode,
    /// Until when a person's decision holds, if it ends by itself.
    pub pinned_until: Option<Timestamp>,
    /// Work moved too often in an hour: it stays where it is until a person decides.
    pub is_flapping: bool,
    /// Nobody works: work waits.
    pub is_all_down: bool,
    /// The primary, then the backups in their order.
    pub members: Vec<FailoverMember>,
    /// What would keep a backup from taking over.
    pub warnings: Vec<String>,
    /// Rises with each move and each change of the settings.
    pub version: i64,
}

impl Failover {
    /// The member that does the work.
    pub fn active(&self) -> Option<&FailoverMember> {
        self.members.iter().find(|member| member.integration_id == self.active_integration_id)
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailoverMember {
    /// Who.
    pub integration_id: IntegrationId,
    /// Its name.
    pub name: String,
    /// Its provider, as people know it.
    pub provider_name: String,
    /// Where it is: host and port, when it has one.
    pub target: String,
    /// How it is in the group.
    pub status: MemberStatus,
    /// How its health is.
    pub health: Health,
    /// What was wrong the last time, until it works again.
    pub last_error: Option<String>,
    /// Failures since it last worked.
    pub failures: u32,
    /// Good results since it last failed, as far as they count: 3 prove it.
    pub good: u32,
    /// When it is tried next.
    pub next_probe_at: Option<Timestamp>,
}

/// One move of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailoverMove {
    /// Its id.
    pub id: FailoverMoveId,
    /// When.
    pub at: Timestamp,
    /// Away from what did the work, or back.
    pub kind: MoveKind,
    /// From here.
    pub from_integration_id: IntegrationId,
    /// As it was called.
    pub from_name: String,
    /// To here.
    pub to_integration_id: IntegrationId,
    /// As it was called.
    pub to_name: String,
    /// Whether nobody asked for it.
    pub is_automatic: bool,
    /// Why.
    pub reason: String,
    /// Failures in a row at that time.
    pub failures: u32,
    /// Who moved it: a person, a key, or Signalbox itself.
    pub actor: String,
}

/// Which moves are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct FailoverMoveQuery {
    /// Moves per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// What would have happened with certain settings, on what was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rehearsal {
    /// Since when: later than was asked for, where more was recorded than is looked at.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The settings that were tried.
    #[serde(flatten)]
    pub rules: FailoverRules,
    /// Pieces of recorded work that it stands on.
    pub work: u32,
    /// Recorded checks that it stands on.
    pub checks: u32,
    /// Moves that would have happened, the oldest first.
    pub moves: Vec<RehearsedMove>,
    /// Moves that did happen in that time, by hand or by themselves, at most 200.
    pub actual_moves: u32,
    /// How long the work would have been elsewhere than at the primary, in seconds.
    pub away_s: i64,
    /// How long nobody would have been known to work, in seconds.
    pub all_down_s: i64,
    /// Pieces of work that would have failed at first at whoever had them.
    pub failed: u32,
    /// Pieces of work that would have waited because nobody was known to work.
    pub waited: u32,
    /// Whether work would have moved so often that a person has to decide.
    pub is_flapping: bool,
}

/// A move that would have happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RehearsedMove {
    /// When.
    pub at: Timestamp,
    /// Away from what did the work, or back.
    pub kind: MoveKind,
    /// From here.
    pub from_integration_id: IntegrationId,
    /// As it is called.
    pub from_name: String,
    /// To here.
    pub to_integration_id: IntegrationId,
    /// As it is called.
    pub to_name: String,
    /// Failures in a row at that time.
    pub failures: u32,
}
