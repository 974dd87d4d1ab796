//! Failover: who does the work of an integration, and moves that people want.

use domain::{
    IntegrationId,
    api::{ApiError, Failover, FailoverMove, Rehearsal},
};
#[cfg(feature = "ssr")]
use domain::{
    api::FailoverMoveQuery,
    failover::{FailoverDraft, MoveDraft, RehearsalDraft},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// Moves that are shown.
#[cfg(feature = "ssr")]
const MOVES: u32 = 20;

/// The panel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverScreen {
    /// The integration whose panel it is.
    pub id: IntegrationId,
    /// Its group.
    pub failover: Failover,
    /// Who could be a backup, by name: those that are among them.
    pub candidates: Vec<(IntegrationId, String)>,
    /// The newest moves.
    pub moves: Vec<FailoverMove>,
    /// What would have happened, when that was asked, or why that cannot be said.
    pub rehearsal: Option<Result<Rehearsal, ApiError>>,
}

/// Settings to be tried, as they were typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalAsked {
    /// How many hours back.
    pub hours: String,
    /// Failures in a row.
    pub threshold: String,
    /// Whether work goes back.
    pub restore: bool,
}

/// The group of an integration with its history, and with what would have happened under the settings that are asked.
#[server(prefix = "/_ui", endpoint = "failover/show", protocol = ByJson)]
pub async fn show_failover(id: String, asked: Option<RehearsalAsked>) -> Result<FailoverScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let id = ssr::id(&id, "Integration")?;
    let failover = engine.failover(&actor, id).await?;
    let candidates = engine.failover_candidates(&actor, id).await?;
    let query = FailoverMoveQuery { limit: Some(MOVES), cursor: None };
    let moves = engine.failover_moves(&actor, id, query).await?.data;
    let rehearsal = match asked {
        None => None,
        Some(RehearsalAsked { hours, threshold, restore }) => {
            // What is no number is refused in the words for one that cannot be.
            let number = |text: String| text.trim().parse().unwrap_or_default();
            let draft = RehearsalDraft {
                hours: number(hours),
                failover_threshold: Some(number(threshold)),
                auto_restore: Some(restore),
                enable_auto_failover: Some(true),
            };
            Some(engine.rehearse_failover(&actor, id, draft).await)
        }
    };
    Ok(FailoverScreen { id, failover, candidates, moves, rehearsal })
}

/// Changes the backups and when they take over.
#[server(prefix = "/_ui", endpoint = "failover/save", protocol = ByForm)]
pub async fn save_failover(
    id: String,
    version: i64,
    #[server(default)] backups: Vec<String>,
    #[server(default)] automatic: bool,
    #[server(default)] threshold: String,
    #[server(default)] alert: bool,
    #[server(default)] restore: bool,
) -> Result<Failover, CallError> {
    let (engine, actor) = ssr::caller()?;
    let chosen = backups.iter().filter(|text| !text.is_empty());
    let mut ids = chosen.map(|text| ssr::id(text, "Integration")).collect::<Result<Vec<_>, _>>()?.into_iter();
    let draft = FailoverDraft {
        backup_integration_id: ids.next(),
        further_backup_ids: ids.collect(),
        enable_auto_failover: automatic,
        // What is no number is no threshold either, and refused in the same words.
        failover_threshold: threshold.trim().parse().unwrap_or_default(),
        alert_on_failover: alert,
        auto_restore: restore,
        version: Some(version),
    };
    let saved = engine.put_failover(&actor, ssr::id(&id, "Integration")?, draft).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=failover"));
    Ok(saved)
}

/// A move at the press of a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveVerb {
    /// To a backup.
    Switch,
    /// Back to the primary.
    Restore,
    /// The backup becomes the primary.
    MakePrimary,
}

/// Moves work.
#[server(prefix = "/_ui", endpoint = "failover/move", protocol = ByForm)]
pub async fn move_work(
    id: String,
    verb: MoveVerb,
    #[server(default)] to: String,
    #[server(default)] reason: String,
    #[server(default)] minutes: String,
    #[server(default)] force: bool,
) -> Result<Failover, CallError> {
    let (engine, actor) = ssr::caller()?;
    let one = ssr::id(&id, "Integration")?;
    let draft = MoveDraft {
        reason,
        to_integration_id: if to.is_empty() { None } else { Some(ssr::id(&to, "Integration")?) },
        // What is no number is refused as a time that cannot be.
        pin_minutes: Some(minutes.trim()).filter(|text| !text.is_empty()).map(|text| text.parse().unwrap_or_default()),
        force,
        version: None,
    };
    let moved = match verb {
        MoveVerb::Switch => engine.trigger_failover(&actor, one, draft).await?,
        MoveVerb::Restore => engine.restore_failover(&actor, one, draft).await?,
        MoveVerb::MakePrimary => engine.make_primary(&actor, one, draft).await?,
    };
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=failover"));
    Ok(moved)
}
