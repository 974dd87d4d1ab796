//! Integrations, their health and their logs, as they are read. Long because every field says what it means; there is no
//! logic to speak of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dead_letters::check_range;
use crate::{
    IntegrationId, IntegrationState, IntegrationStatus, LogEntryId, Problems, Timestamp,
    catalogue::{Action, Config, Fault, IntegrationType, Trouble},
    health::{Health, Pulse},
    words::words,
};

/// A configured provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: IntegrationType,
    /// The provider's id in the catalogue.
    pub provider: String,
    /// Unique in the organization.
    pub name: String,
    /// Values of the provider's fields; never secrets.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub config: Config,
    /// Which secrets are set; never their values.
    pub secrets: BTreeMap<String, SecretMark>,
    /// Whether it is used.
    pub state: IntegrationState,
    /// What the dashboard counts it as.
    pub status: IntegrationStatus,
    /// How it is.
    pub health: Health,
    /// Since when it is so.
    pub health_since: Timestamp,
    /// Results behind that.
    pub pulse: Pulse,
    /// When it was last checked or used.
    pub last_checked_at: Option<Timestamp>,
    /// When it last worked.
    pub last_good_at: Option<Timestamp>,
    /// How long the last result took, in milliseconds.
    pub last_latency_ms: Option<i64>,
    /// What was wrong the last time, until it works again.
    pub last_error: Option<String>,
    /// The class of that.
    pub last_fault: Option<Fault>,
    /// When it is checked next.
    pub next_check_at: Option<Timestamp>,
    /// Seconds between two health checks.
    pub check_interval_s: u32,
    /// Another integration without which this one cannot work.
    pub depends_on: Option<IntegrationId>,
    /// Until when somebody works on it.
    pub maintenance_until: Option<Timestamp>,
    /// Its emergency procedure.
    pub runbook: Vec<RunbookStep>,
    /// What members are told about it at the moment; empty: nothing.
    pub status_note: String,
    /// Rises with each change of its settings.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings were last changed.
    pub updated_at: Timestamp,
}

/// What a list says of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationLine {
    /// Its id.
    pub id: IntegrationId,
    /// What it is for.
    pub kind: IntegrationType,
    /// The provider's id in the catalogue.
    pub provider: String,
    /// Unique in the organization.
    pub name: String,
    /// What the dashboard counts it as.
    pub status: IntegrationStatus,
    /// How it is.
    pub health: Health,
    /// When it was last checked or used.
    pub last_checked_at: Option<Timestamp>,
    /// What was wrong the last time, until it works again.
    pub last_error: Option<String>,
}

/// What may be told of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretMark {
    /// `env:NAME` or `file:/path`, when it is kept elsewhere.
    pub reference: Option<String>,
    /// When it was last set.
    pub set_at: Timestamp,
}

/// One step of an emergency procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunbookStep {
    /// What to do, at most 500 characters.
    pub text: String,
    /// Whether it was done.
    #[serde(default)]
    pub done: bool,
}

/// An emergency procedure and a note, as they are to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunbookDraft {
    /// At most 50 steps.
    pub steps: Vec<RunbookStep>,
    /// What members are told about it at the moment, at most 500 characters.
    #[serde(default)]
    pub status_note: String,
}

impl RunbookDraft {
    /// Checks every limit.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.steps.len() > 50 {
            problems.add("steps", "A runbook has at most 50 steps");
        }
        if self.steps.iter().any(|step| step.text.trim().is_empty() || step.text.chars().count() > 500) {
            problems.add("steps", "A step must be between 1 and 500 characters");
        }
        if self.status_note.chars().count() > 500 {
            problems.add("status_note", "A status note must be at most 500 characters");
        }
        problems.or(())
    }
}

/// How many integrations there are, and how they are (UC §3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IntegrationSummary {
    /// All.
    pub total: i64,
    /// Used, and not known to be broken.
    pub active: i64,
    /// Used, and down.
    pub errors: i64,
    /// Switched off.
    pub disabled: i64,
    /// `active` of `total`, rounded to whole percent.
    pub active_percent: i64,
    /// `errors` of `total`, rounded to whole percent.
    pub errors_percent: i64,
    /// `disabled` of `total`, rounded to whole percent.
    pub disabled_percent: i64,
}

impl IntegrationSummary {
    /// Of a whole list.
    pub fn of_lines(lines: &[IntegrationLine]) -> Self {
        let count =
            |status| i64::try_from(lines.iter().filter(|line| line.status == status).count()).unwrap_or(i64::MAX);
        Self::of(count(IntegrationStatus::Active), count(IntegrationStatus::Error), count(IntegrationStatus::Disabled))
    }

    /// From counts.
    pub fn of(active: i64, errors: i64, disabled: i64) -> Self {
        let total = active + errors + disabled;
        let percent = |count: i64| if total == 0 { 0 } else { (count * 200 + total) / (2 * total) };
        Self {
            total,
            active,
            errors,
            disabled,
            active_percent: percent(active),
            errors_percent: percent(errors),
            disabled_percent: percent(disabled),
        }
    }
}

/// Which integrations are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct IntegrationQuery {
    /// That are for this.
    #[serde(rename = "type")]
    pub kind: Option<IntegrationType>,
    /// That are so.
    pub status: Option<IntegrationStatus>,
    /// Whose name or provider contains this.
    pub q: Option<String>,
}

/// What one check found, and what is known after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckResult {
    /// Whether it works.
    pub ok: bool,
    /// In words for people.
    pub message: String,
    /// What the provider said.
    pub detail: String,
    /// What was wrong.
    pub fault: Option<Fault>,
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// What it means and what helps, when that is known.
    pub trouble: Option<Trouble>,
    /// How the integration is, after this.
    pub health: Health,
}

/// One of the tools of troubleshooting (UC §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub message: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
}

words! {
    /// What can be looked at apart (UC §5).
    pub enum DiagnosisKind {
        /// Whether the host's name resolves to an address that may be connected to.
        Network = "network",
        /// Whether something listens at the port.
        Port = "port",
        /// Whether the key or password is accepted.
        Credentials = "credentials",
    }

    /// How much an entry of a log matters.
    pub enum LogLevel {
        /// Went as it should.
        Info = "info",
        /// Went, but.
        Warn = "warn",
        /// Did not go.
        Error = "error",
    }

    /// What an entry of a log tells of.
    pub enum LogKind {
        /// A health check.
        Check = "check",
        /// A test by a person.
        Test = "test",
        /// Something was sent.
        Send = "send",
        /// A token was refreshed.
        Refresh = "refresh",
        /// Health changed.
        Health = "health",
        /// Work moved between primary and backup.
        Failover = "failover",
        /// Settings were changed.
        Settings = "settings",
        /// Data was synchronized.
        Sync = "sync",
    }
}

/// Sums of results over a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthFigures {
    /// Good results of real work.
    pub work_ok: i64,
    /// Bad ones.
    pub work_failed: i64,
    /// Good checks.
    pub checks_ok: i64,
    /// Bad ones.
    pub checks_failed: i64,
    /// Average time of good results, in milliseconds.
    pub average_ms: Option<i64>,
    /// The share of good results in all, in percent; `None` while there are none. Maintenance does not count.
    pub uptime_percent: Option<f64>,
}

impl HealthFigures {
    /// From sums. `latency_ms` is over `ok` results.
    pub fn of(work: (i64, i64), checks: (i64, i64), latency_ms: i64) -> Self {
        let (ok, failed) = (work.0 + checks.0, work.1 + checks.1);
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let percent = |good: i64, all: i64| (all > 0).then(|| good as f64 * 100.0 / all as f64);
        Self {
            work_ok: work.0,
            work_failed: work.1,
            checks_ok: checks.0,
            checks_failed: checks.1,
            average_ms: (ok > 0).then(|| latency_ms / ok),
            uptime_percent: percent(ok, ok + failed),
        }
    }
}

/// Results of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthHour {
    /// When it began.
    pub at: Timestamp,
    /// Its sums.
    pub figures: HealthFigures,
}

/// All about an integration's health (UC §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthReport {
    /// The integration.
    pub integration: Integration,
    /// The newest errors, at most five.
    pub recent_errors: Vec<LogEntry>,
    /// What they have in common.
    pub pattern: Option<String>,
    /// What the newest error means and what helps.
    pub trouble: Option<Trouble>,
    /// The last 24 hours.
    pub last_24h: HealthFigures,
    /// The 7 days before, for comparison: what is normal.
    pub normal: HealthFigures,
    /// What uptime should be, in percent.
    pub uptime_target_percent: f64,
    /// The last 24 hours one by one, the oldest first, without those in which nothing happened.
    pub hours: Vec<HealthHour>,
    /// The last 60 results of checks by minute, the oldest first.
    pub beats: Vec<HealthHour>,
    /// The last 30 days one by one, the oldest first, without those in which nothing happened.
    pub days: Vec<HealthHour>,
    /// What to do next.
    pub actions: Vec<ActionStep>,
}

/// One thing to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionStep {
    /// What a button does; without one, it is for people to do.
    pub action: Option<Action>,
    /// The words on the button: "Check SendGrid Status Page".
    pub label: String,
    /// The question it answers: "Is service up?".
    pub text: String,
    /// Where it leads, when it leads out of Signalbox.
    pub url: Option<String>,
}

/// One entry of an integration's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEntry {
    /// Its id.
    pub id: LogEntryId,
    /// Whose it is.
    pub integration_id: IntegrationId,
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// What it tells of.
    pub kind: LogKind,
    /// In words for people.
    pub message: String,
    /// More about it, by name: target, reply, duration and so on.
    pub details: BTreeMap<String, String>,
    /// What was wrong.
    pub fault: Option<Fault>,
}

/// Which entries of a log are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct LogQuery {
    /// Of this integration.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub integration_id: Option<IntegrationId>,
    /// Of this level.
    pub level: Option<LogLevel>,
    /// At or after.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub from: Option<Timestamp>,
    /// Before.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub to: Option<Timestamp>,
    /// Whose message or details contain this; compared without case. The newest 20,000 entries are searched.
    pub q: Option<String>,
    /// Entries per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl LogQuery {
    /// Checks that the range is one.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        check_range(&mut problems, "to", self.from, self.to);
        problems.or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_those_of_the_wireframe() {
        let summary = IntegrationSummary::of(16, 1, 1);
        assert_eq!((summary.active_percent, summary.errors_percent, summary.disabled_percent), (89, 6, 6));
        assert_eq!(IntegrationSummary::of(0, 0, 0).active_percent, 0);
    }

    #[test]
    fn figures_add_up() {
        let figures = HealthFigures::of((1247, 23), (0, 0), 1247 * 1200);
        assert_eq!(figures.average_ms, Some(1200));
        assert!((figures.uptime_percent.unwrap() - 98.19).abs() < 0.01);
        assert_eq!(HealthFigures::default().uptime_percent, None);
    }
}
