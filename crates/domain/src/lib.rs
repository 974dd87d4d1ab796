//! What Signalbox talks about: nouns, state machines, retry arithmetic, validation, and the types on the wire.
//!
//! Pure by rule. There is no clock, no randomness and no I/O in here: whoever needs the time passes it in. It compiles
//! to WASM as it is, so the browser checks a form with the very functions and words of the server, and every dependency
//! added here is paid for by every page load.

mod alert;
pub mod api;
pub mod catalogue;
mod connection;
pub mod delivery;
mod durations;
mod event_type;
pub mod failover;
mod filter;
pub mod health;
mod ids;
mod integration;
mod notification;
mod options;
mod permission;
mod retry;
mod text;
mod time;
mod validation;
mod webhook;
mod words;

pub use alert::{AlertRule, AlertSettings, AlertState, Channel, Severity, Transition};
pub use connection::{
    CONSENT_WARNINGS_DAYS, ConnectionStatus, LEAST_LEFT_MS, REFRESH_DEADLINE_MS, REFRESH_LEASE_MS, RefreshFault,
    Revocation, consent_warning, refresh_at, retry_at,
};
pub use durations::{duration_percentile_ms, duration_slot};
pub use event_type::{Category, EventPattern, EventType, is_event_type_name};
pub use filter::{Condition, Filter, Operator};
pub use ids::{
    AlertId, ApiKeyId, AuditId, DeliveryId, EmailId, EmailTemplateId, EventId, FailoverId, FailoverMoveId, IdError,
    InspectorRequestId, IntegrationId, JobId, LogEntryId, MemberId, NodeId, OrganizationId, PublicId, SourceId,
    WebhookId,
};
pub use integration::{IntegrationDraft, IntegrationState, IntegrationStatus, SECRET_AGE_DAYS, SecretSource};
pub use notification::NotificationPreferences;
pub use options::{DeliveryOptions, Retention};
pub use permission::{Permission, Role, Scope, Scopes};
pub use retry::{Backoff, Jitter, RetryOn, RetryPolicy, RetryPreset, RetryTime};
pub use text::{human_bytes, human_ms};
pub use time::{Timestamp, parse_http_date};
pub use validation::{BAD_IDEMPOTENCY_KEY, FieldError, Problems, is_idempotency_key};
pub use webhook::{CustomHeader, Overlap, WebhookDraft, WebhookState, validate_webhook};

/// Largest event accepted, in bytes of its request body (UC §16).
pub const MAX_EVENT_BYTES: usize = 10 * 1024 * 1024;
/// The words for an event that is larger than [`MAX_EVENT_BYTES`] (UC §16).
pub const PAYLOAD_TOO_LARGE: &str = "Request payload too large (max 10 MB)";
/// Most events in one batch request.
pub const MAX_BATCH_EVENTS: usize = 1_000;
