//! What is counted, for the screens that show how things go.

use serde::{Deserialize, Serialize};

use crate::{DeliveryOptions, Timestamp, WebhookId, WebhookState, delivery::ErrorClass};

/// Tries of a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TryFigures {
    /// Tries that succeeded.
    pub delivered: i64,
    /// Tries that failed.
    pub failed: i64,
    /// The duration that half of them did not exceed, in milliseconds, to about 10 %.
    pub p50_ms: Option<i64>,
    /// The duration that 95 % of them did not exceed, in milliseconds, to about 10 %.
    pub p95_ms: Option<i64>,
}

impl TryFigures {
    /// All tries.
    pub const fn tries(&self) -> i64 {
        self.delivered + self.failed
    }
}

/// Tries of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HourFigures {
    /// When the hour begins.
    pub at: Timestamp,
    /// Its tries.
    pub tries: TryFigures,
}

/// What the first screen shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// Webhooks there are.
    pub webhooks: i64,
    /// Webhooks that are disabled.
    pub disabled_webhooks: i64,
    /// The last 24 hours: the one that is running and the 23 before it.
    pub last_24h: TryFigures,
    /// The 24 hours before these.
    pub before: TryFigures,
    /// The last 24 hours one by one, the oldest first.
    pub hours: Vec<HourFigures>,
    /// Deliveries that are dead letters now.
    pub dead_letters: i64,
    /// Whether an event was ever delivered.
    pub has_delivered: bool,
    /// Whether the Inspector ever verified a signature.
    pub has_verified: bool,
}

/// A webhook whose endpoint fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailingWebhook {
    /// Its id.
    pub id: WebhookId,
    /// Its name.
    pub name: String,
    /// Disabled, or active and close to it.
    pub state: WebhookState,
    /// Why it is disabled.
    pub state_reason: Option<String>,
    /// Failed tries in a row.
    pub consecutive_failures: i64,
    /// When one held delivery is tried, if it is disabled because its endpoint failed.
    pub next_probe_at: Option<Timestamp>,
    /// They say how many failures disable it.
    pub options: DeliveryOptions,
}

/// Tries of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayTries {
    /// Tries that succeeded.
    pub delivered: i64,
    /// Tries that failed.
    pub failed: i64,
}

/// Failures of one webhook for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureGroup {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The webhook's name now.
    pub webhook_name: String,
    /// Why the last try failed.
    pub error: ErrorClass,
    /// Deliveries that it happened to.
    pub deliveries: i64,
    /// When the oldest of them was created.
    pub first_at: Timestamp,
    /// When the newest of them was created.
    pub last_at: Timestamp,
}

/// Deliveries whose last try failed, by webhook and reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failures {
    /// The groups, the largest first.
    pub data: Vec<FailureGroup>,
    /// Whether there are more failures than were looked at, which are the newest 5,000.
    pub more: bool,
}
