//! Replays, and jobs: work on many deliveries that goes on after its request was answered.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::dead_letters::{DeadLetterFilter, Refusal, check_range};
use crate::{
    JobId, Problems, Timestamp, WebhookId,
    delivery::{DeliveryState, ErrorClass},
};

/// A payload that a person changed.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EditedPayload {
    /// The `data` of the new event; it reaches the receiver byte for byte.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Box<RawValue>,
}

/// What is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReplayMode {
    /// What was given up: dead letters are retried in place, deliveries that failed for good are replayed.
    Failed,
    /// Events that the webhook subscribes to now and that never went to it.
    Missing,
    /// Deliveries that have ended and match.
    Filter,
}

/// What to send again. All conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayRequest {
    /// Which kind of deliveries.
    pub mode: ReplayMode,
    /// To this webhook. Mode `missing` needs it.
    #[serde(default)]
    pub webhook_id: Option<WebhookId>,
    /// Of this event type.
    #[serde(default)]
    pub event: Option<String>,
    /// That ended so: `delivered`, `dead_letter`, `failed` or `discarded`. Only with mode `filter`.
    #[serde(default)]
    pub status: Option<DeliveryState>,
    /// Created at or after. Mode `missing` needs it.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Created before.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// Only count what matches.
    #[serde(default)]
    pub dry_run: bool,
}

impl ReplayRequest {
    /// Checks that the conditions go with the mode.
    pub fn check(self) -> Result<(JobKind, JobScope), Problems> {
        let mut problems = Problems::default();
        let kind = match self.mode {
            ReplayMode::Failed => JobKind::ReplayFailed,
            ReplayMode::Missing => JobKind::ReplayMissing,
            ReplayMode::Filter => JobKind::ReplayFilter,
        };
        match kind {
            JobKind::ReplayMissing => {
                if self.webhook_id.is_none() {
                    problems.add("webhook_id", "Choose the webhook that misses events");
                }
                if self.from.is_none() {
                    problems.add("from", "Say from when on events are missing");
                }
            }
            JobKind::ReplayFilter if self.status.is_some_and(|status| !status.is_final()) => {
                problems.add(
                    "status",
                    "Only what has ended can be sent again: delivered, dead_letter, failed or discarded",
                );
            }
            JobKind::ReplayFilter
                if self.webhook_id.is_none()
                    && self.event.is_none()
                    && self.status.is_none()
                    && self.from.is_none()
                    && self.to.is_none() =>
            {
                problems.add("mode", "Give at least one condition with mode filter");
            }
            _ => {}
        }
        if kind != JobKind::ReplayFilter && self.status.is_some() {
            problems.add("status", "A status goes with mode filter only");
        }
        check_range(&mut problems, "to", self.from, self.to);
        let scope = JobScope {
            webhook_id: self.webhook_id,
            event: self.event,
            status: self.status,
            error: None,
            from: self.from,
            to: self.to,
        };
        problems.or((kind, scope))
    }
}

/// How much a replay would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayCount {
    /// Deliveries, or missing events, that match now.
    pub matched: i64,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum JobKind {
    /// Retries dead letters and replays deliveries that failed for good.
    ReplayFailed,
    /// Sends events to a webhook that never got them.
    ReplayMissing,
    /// Replays deliveries.
    ReplayFilter,
    /// Retries dead letters.
    DeadLettersRetry,
    /// Discards dead letters.
    DeadLettersClear,
}

impl JobKind {
    const ALL: [Self; 5] =
        [Self::ReplayFailed, Self::ReplayMissing, Self::ReplayFilter, Self::DeadLettersRetry, Self::DeadLettersClear];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplayFailed => "replay_failed",
            Self::ReplayMissing => "replay_missing",
            Self::ReplayFilter => "replay_filter",
            Self::DeadLettersRetry => "dead_letters_retry",
            Self::DeadLettersClear => "dead_letters_clear",
        }
    }
}

impl FromStr for JobKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum JobState {
    /// It is being done, or waits for a node.
    Running,
    /// It has gone through all of its set.
    Done,
    /// Somebody stopped it. What it did until then stays done.
    Cancelled,
    /// It could not go on; `error` says why. What it did until then stays done.
    Failed,
}

impl JobState {
    const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Cancelled, Self::Failed];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// The conditions of a job. All must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobScope {
    /// Of, or for, this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of this event type.
    pub event: Option<String>,
    /// That ended so.
    pub status: Option<DeliveryState>,
    /// Whose last try failed for this reason.
    pub error: Option<ErrorClass>,
    /// Created at or after.
    pub from: Option<Timestamp>,
    /// Created before.
    pub to: Option<Timestamp>,
}

impl From<DeadLetterFilter> for JobScope {
    fn from(filter: DeadLetterFilter) -> Self {
        let DeadLetterFilter { webhook_id, event, error, from, to } = filter;
        Self { webhook_id, event, status: None, error, from, to }
    }
}

/// Work on many deliveries. Which ones is settled when it is created; it goes through them from the oldest to the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// To which deliveries.
    pub scope: JobScope,
    /// Where it is in its life.
    pub state: JobState,
    /// How far it has come, 0–100, by the age of what it goes through.
    pub percent: i64,
    /// What matched so far.
    pub matched: i64,
    /// What it was done to so far.
    pub done: i64,
    /// What it could not be done to so far.
    pub refused: i64,
    /// The same by reason.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, i64>))]
    pub refusals: BTreeMap<Refusal, i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicId;

    fn request(mode: ReplayMode) -> ReplayRequest {
        ReplayRequest { mode, webhook_id: None, event: None, status: None, from: None, to: None, dry_run: false }
    }

    fn fields(request: ReplayRequest) -> Vec<String> {
        request.check().unwrap_err().into_vec().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn conditions_must_go_with_the_mode() {
        use ReplayMode::{Failed, Filter, Missing};
        let at = |ms| Some(Timestamp::from_millis(ms));
        assert_eq!(fields(request(Missing)), ["webhook_id", "from"]);
        assert_eq!(fields(request(Filter)), ["mode"]);
        assert_eq!(fields(ReplayRequest { status: Some(DeliveryState::Held), ..request(Filter) }), ["status"]);
        assert_eq!(fields(ReplayRequest { status: Some(DeliveryState::Failed), ..request(Failed) }), ["status"]);
        assert_eq!(fields(ReplayRequest { from: at(2), to: at(1), ..request(Failed) }), ["to"]);
        let webhook_id = Some(WebhookId::new(Timestamp::from_millis(1), [1; 10]));
        let (kind, scope) = ReplayRequest { webhook_id, from: at(1), ..request(Missing) }.check().unwrap();
        assert_eq!((kind, scope.webhook_id, scope.from), (JobKind::ReplayMissing, webhook_id, at(1)));
        assert_eq!(request(Failed).check().unwrap(), (JobKind::ReplayFailed, JobScope::default()));
        let delivered = ReplayRequest { status: Some(DeliveryState::Delivered), ..request(Filter) };
        assert_eq!(delivered.check().unwrap().1.status, Some(DeliveryState::Delivered));
    }

    #[test]
    fn words_are_read_back() {
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
