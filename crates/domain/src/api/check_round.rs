//! A check of all integrations at once, as it is read.

use serde::{Deserialize, Serialize};

use super::JobState;
use crate::Timestamp;

/// A check of all active integrations of an organization. There is one at a time; the last one is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckRound {
    /// Whether it goes on, is done, or was cancelled.
    pub state: JobState,
    /// Integrations that it checks. What is disabled or deleted meanwhile is left out.
    pub total: i64,
    /// How many of these were checked.
    pub checked: i64,
    /// Of these: work.
    pub healthy: i64,
    /// Work, but slowly.
    pub degraded: i64,
    /// Did not work this time, which proves nothing yet; they are checked again soon.
    pub suspect: i64,
    /// Do not work.
    pub down: i64,
    /// Who asked for it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}
