//! What people say of a group, and what must be true of it.

use serde::{Deserialize, Serialize};

use crate::{IntegrationId, Problems};

/// Fewest and most failures in a row that can be asked for.
pub const THRESHOLD: (u32, u32) = (1, 100);
/// Failures in a row where nothing is said.
pub const DEFAULT_THRESHOLD: u32 = 3;
/// Most backups of one primary.
pub const MAX_BACKUPS: usize = 5;
/// Longest span that is rehearsed, in hours: so far back checks are known by the minute.
pub const MAX_REHEARSED_HOURS: u32 = 48;
/// The span where nothing is said, in hours.
const REHEARSED_HOURS: u32 = 24;
/// What a threshold that cannot be is answered by.
const NO_THRESHOLD: &str = "Trigger after must be between 1 and 100 consecutive failures";
/// Longest reason, in characters.
const MAX_REASON: usize = 500;
/// Longest pin, in minutes: 30 days.
const MAX_PIN_MINUTES: u32 = 43_200;
/// Channels whose work may be done twice. Of any other (SMS, payroll) it waits for a person.
const REPEATS: [(&str, Repeat); 3] =
    [("email", Repeat::Marked), ("chat", Repeat::Marked), ("storage", Repeat::Harmless)];

/// What is done with work that may have been done although nobody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It goes on through whoever stands in, and is marked: a person reads a message twice.
    Marked,
    /// It goes on through whoever stands in: the second time is laid over the first.
    Harmless,
    /// It is not done again, and said to be uncertain.
    Never,
}

impl Repeat {
    /// What holds for a channel.
    pub fn of(channel: &str) -> Self {
        REPEATS.iter().find(|(known, _)| *known == channel).map_or(Self::Never, |(_, repeat)| *repeat)
    }
}

/// When work moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailoverRules {
    /// Whether work moves by itself.
    pub enable_auto_failover: bool,
    /// Failures in a row of the provider after which it does, 1–100. More than half of at least 20 within a minute do too.
    pub failover_threshold: u32,
    /// Whether people are told of moves. That nobody works, or that work moves too often, is always told.
    pub alert_on_failover: bool,
    /// Whether work goes back to the primary by itself.
    pub auto_restore: bool,
}

impl Default for FailoverRules {
    fn default() -> Self {
        Self {
            enable_auto_failover: true,
            failover_threshold: DEFAULT_THRESHOLD,
            alert_on_failover: true,
            auto_restore: true,
        }
    }
}

/// A group as it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailoverDraft {
    /// Who takes over first. Without it, and with `enable_auto_failover` false, the group is given up.
    #[serde(default)]
    pub backup_integration_id: Option<IntegrationId>,
    /// Who takes over after that one, in this order; at most four.
    #[serde(default)]
    pub further_backup_ids: Vec<IntegrationId>,
    /// Whether work moves by itself.
    #[serde(default = "yes")]
    pub enable_auto_failover: bool,
    /// Failures in a row after which it does, 1–100.
    #[serde(default = "three")]
    pub failover_threshold: u32,
    /// Whether people are told of moves.
    #[serde(default = "yes")]
    pub alert_on_failover: bool,
    /// Whether work goes back to the primary by itself.
    #[serde(default = "yes")]
    pub auto_restore: bool,
    /// The `version` that was read. The change is refused when somebody else was faster.
    #[serde(default)]
    pub version: Option<i64>,
}

const fn yes() -> bool {
    true
}

const fn three() -> u32 {
    DEFAULT_THRESHOLD
}

impl FailoverDraft {
    /// When work moves.
    pub const fn rules(&self) -> FailoverRules {
        FailoverRules {
            enable_auto_failover: self.enable_auto_failover,
            failover_threshold: self.failover_threshold,
            alert_on_failover: self.alert_on_failover,
            auto_restore: self.auto_restore,
        }
    }

    /// All backups in their order.
    pub fn backups(&self) -> Vec<IntegrationId> {
        self.backup_integration_id.into_iter().chain(self.further_backup_ids.iter().copied()).collect()
    }

    /// Checks what can be known without looking at the integrations.
    pub fn check(&self, primary: IntegrationId) -> Problems {
        const SAME: &str = "The backup must be another integration than the primary";
        let mut problems = Problems::default();
        let backups = self.backups();
        if self.backup_integration_id.is_none() && (self.enable_auto_failover || !backups.is_empty()) {
            problems.add("backup_integration_id", "Please select a backup provider");
        }
        if self.backup_integration_id == Some(primary) {
            problems.add("backup_integration_id", SAME);
        }
        if self.further_backup_ids.contains(&primary) {
            problems.add("further_backup_ids", SAME);
        }
        if backups.len() > MAX_BACKUPS {
            problems.add("further_backup_ids", "A primary has at most 5 backups");
        } else if (1..backups.len()).any(|n| backups[..n].contains(&backups[n])) {
            problems.add("further_backup_ids", "Each backup can be named once");
        }
        if !(THRESHOLD.0..=THRESHOLD.1).contains(&self.failover_threshold) {
            problems.add("failover_threshold", NO_THRESHOLD);
        }
        problems
    }
}

/// Other settings to be tried on what was recorded. What is left out is as the group has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RehearsalDraft {
    /// How many hours back, 1–48; 24 when nothing is said.
    pub hours: u32,
    /// Whether work moves by itself.
    pub enable_auto_failover: Option<bool>,
    /// Failures in a row after which it does, 1–100.
    pub failover_threshold: Option<u32>,
    /// Whether work goes back to the primary by itself.
    pub auto_restore: Option<bool>,
}

impl Default for RehearsalDraft {
    fn default() -> Self {
        Self { hours: REHEARSED_HOURS, enable_auto_failover: None, failover_threshold: None, auto_restore: None }
    }
}

impl RehearsalDraft {
    /// Checks every limit.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !(1..=MAX_REHEARSED_HOURS).contains(&self.hours) {
            problems.add("hours", "The time must be between 1 and 48 hours");
        }
        if self.failover_threshold.is_some_and(|threshold| !(THRESHOLD.0..=THRESHOLD.1).contains(&threshold)) {
            problems.add("failover_threshold", NO_THRESHOLD);
        }
        problems.or(())
    }

    /// The settings that are tried.
    pub fn rules(&self, stored: FailoverRules) -> FailoverRules {
        FailoverRules {
            enable_auto_failover: self.enable_auto_failover.unwrap_or(stored.enable_auto_failover),
            failover_threshold: self.failover_threshold.unwrap_or(stored.failover_threshold),
            auto_restore: self.auto_restore.unwrap_or(stored.auto_restore),
            ..stored
        }
    }
}

/// A move that a person wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MoveDraft {
    /// Why, for whoever reads the history; at most 500 characters.
    pub reason: String,
    /// Where to; the first backup that works when nothing is said. Not read when the primary is restored.
    pub to_integration_id: Option<IntegrationId>,
    /// After so many minutes results decide again, 1–43,200; without, a person has to say so. Not read when the primary is
    /// restored.
    pub pin_minutes: Option<u32>,
    /// Moves although the test of where it goes fails.
    pub force: bool,
    /// The `version` that was read. The move is refused when somebody else was faster.
    pub version: Option<i64>,
}

impl MoveDraft {
    /// Checks every limit.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let reason = self.reason.trim();
        if reason.is_empty() {
            problems.add("reason", "Please give a reason");
        } else if reason.chars().count() > MAX_REASON {
            problems.add("reason", "The reason must be at most 500 characters");
        }
        if self.pin_minutes.is_some_and(|minutes| !(1..=MAX_PIN_MINUTES).contains(&minutes)) {
            problems.add("pin_minutes", "The time must be between 1 and 43200 minutes (30 days)");
        }
        problems.or(())
    }
}
