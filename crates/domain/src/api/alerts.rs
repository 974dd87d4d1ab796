//! Alerts, as they are read and acted on.

use serde::{Deserialize, Serialize};

use crate::{AlertId, AlertRule, AlertState, Problems, Severity, Timestamp};

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// What was noticed.
    pub rule: AlertRule,
    /// How much it matters.
    pub severity: Severity,
    /// Of what: an id, and after a slash what tells several alerts about it apart.
    pub subject: String,
    /// In one line: "SMTP Email: Connection timeout".
    pub title: String,
    /// What it was the last time.
    pub detail: String,
    /// What does not work meanwhile: "Emails not sending".
    pub impact: String,
    /// What became of it.
    pub state: AlertState,
    /// How often it was noticed.
    pub occurrences: i64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// Who works on it.
    pub acknowledged_by: Option<String>,
    /// Until when it is quiet.
    pub snoozed_until: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
}

impl Alert {
    /// The id of what it is about.
    pub fn about(&self) -> &str {
        self.subject.split('/').next().unwrap_or_default()
    }
}

/// How many alerts nobody has said anything of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCount {
    /// All.
    pub open: i64,
    /// Of these, what the member wants their browser to tell of.
    pub told: i64,
}

/// Which alerts are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct AlertQuery {
    /// In this state; without it, all that are not resolved. `resolved` shows the history.
    pub state: Option<AlertState>,
    /// About this subject.
    pub subject: Option<String>,
    /// Alerts per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// For how long an alert is to be quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Snooze {
    /// Minutes, 5–10,080.
    pub minutes: u32,
}

impl Default for Snooze {
    fn default() -> Self {
        Self { minutes: 60 }
    }
}

impl Snooze {
    /// Checks the limit.
    pub fn validate(self) -> Result<(), Problems> {
        if (5..=10_080).contains(&self.minutes) {
            Ok(())
        } else {
            Err(Problems::one("minutes", "An alert can be snoozed for 5 to 10080 minutes"))
        }
    }
}
