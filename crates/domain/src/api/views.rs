//! Requests and answers, noun by noun. Long because it is a vocabulary: one small type after another, no logic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ApiKeyId, AuditId, Category, DeliveryId, DeliveryOptions, EventId, Filter, InspectorRequestId, MemberId,
    RetryPolicy, RetryTime, Role, Scopes, SourceId, Timestamp, WebhookId, WebhookState,
    delivery::{DeliveryState, ErrorClass},
    webhook::CustomHeader,
};

use super::filters::{CodeClass, TimeRange};

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Send it as `cursor` to get the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}

/// A subscription, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Unique in the organization.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
    /// For people.
    pub description: String,
    /// Event types and patterns.
    pub events: Vec<String>,
    /// Names of the custom headers; their values are write-only.
    pub headers: Vec<CustomHeader>,
    /// The source it is limited to.
    pub source_id: Option<SourceId>,
    /// What an event's `data` must satisfy.
    pub filter: Filter,
    /// Its own retry policy, if it does not use the organization's.
    pub retry_policy: Option<RetryPolicy>,
    /// Its retry policies for single event types.
    pub event_policies: BTreeMap<String, RetryPolicy>,
    /// Pace, order and age of its deliveries.
    pub options: DeliveryOptions,
    /// Whether events are delivered.
    pub state: WebhookState,
    /// Why it is disabled, when it was not a person who did it.
    pub state_reason: Option<String>,
    /// Failed tries in a row.
    pub consecutive_failures: i64,
    /// Set while it is disabled because its endpoint failed: when one held delivery is tried, to see whether the endpoint
    /// is back.
    pub next_probe_at: Option<Timestamp>,
    /// Set while it wants its deliveries in order and the first of them waits for its retry: until then the others wait
    /// behind it.
    pub blocked_until: Option<Timestamp>,
    /// Counts changes; send it back with a change.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When a try was last made.
    pub last_triggered_at: Option<Timestamp>,
    /// Tries that succeeded in the last 30 days.
    pub delivered_30d: i64,
    /// Tries that failed in the last 30 days.
    pub failed_30d: i64,
}

/// A webhook just created, with the secret to verify its signatures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// `whsec_` and base64; the HMAC key of `webhook-signature` is the decoded part, that of `X-InTime-Signature` the
    /// whole text.
    pub secret: String,
}

/// A webhook's signing secret after a rotation, or shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotatedSecret {
    /// The secret that signs first.
    pub secret: String,
    /// Until when the newest of the older secrets signs too.
    pub previous_expires_at: Option<Timestamp>,
}

/// An event as it is sent in.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventDraft {
    /// Its type, such as `job.created`.
    pub event: String,
    /// Anything; it reaches receivers byte for byte.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub data: Box<RawValue>,
    /// Who produced it; webhooks can be limited to one source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// The same key within 24 hours gives the same answer and no second event. At most 255 characters.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// The answer to an event: it is stored, with all its deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// The event's id, and the `webhook-id` of its deliveries.
    pub id: EventId,
    /// How many webhooks it goes to.
    pub deliveries: u32,
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventSummary {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event: String,
    /// Who produced it.
    pub source_id: Option<SourceId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Size of the body that receivers get, in bytes.
    pub body_bytes: i64,
    /// How many webhooks it went to when it was accepted.
    pub deliveries: i64,
}

/// An event with its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// The event.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// The exact text that receivers get.
    pub body: String,
}

/// A kind of event that the organization defines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventTypeDraft {
    /// Such as `invoice.paid`.
    pub name: String,
    /// Heading under which it is offered.
    pub category: Category,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// The `data` of an example event.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub sample: serde_json::Value,
}

/// What produces events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// Unique in the organization.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A new source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceDraft {
    /// Unique in the organization, at most 100 characters.
    pub name: String,
}

/// Why a delivery exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeliveryKind {
    /// An event was published.
    Event,
    /// A person sent a test.
    Test,
    /// An earlier delivery was sent again, or one that was missing was made up for.
    Replay,
    /// A person changed the payload of an earlier delivery and sent it.
    Edited,
}

impl DeliveryKind {
    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Test => "test",
            Self::Replay => "replay",
            Self::Edited => "edited",
        }
    }
}

impl std::str::FromStr for DeliveryKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Event, Self::Test, Self::Replay, Self::Edited].into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// One event on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// The event's type.
    pub event: String,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The webhook's name now.
    pub webhook_name: String,
    /// Where it is in its life.
    pub status: DeliveryState,
    /// Why it exists.
    pub kind: DeliveryKind,
    /// Tries made.
    pub attempts: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the next try is due.
    pub next_attempt_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// HTTP status of the last try.
    pub response_status: Option<u16>,
    /// Why the last try failed.
    pub error: Option<ErrorClass>,
    /// How long the last try took.
    pub duration_ms: Option<i64>,
    /// The delivery that this one repeats.
    pub replay_of: Option<DeliveryId>,
}

/// A header as it was sent or received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value; credentials are masked.
    pub value: String,
}

/// Where the time of a try went. A phase is `null` where an open connection was used again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptTiming {
    /// Name lookup, in milliseconds.
    pub dns_ms: Option<u32>,
    /// TCP, in milliseconds.
    pub connect_ms: Option<u32>,
    /// TLS, in milliseconds.
    pub tls_ms: Option<u32>,
    /// From the request to the answer's first byte, in milliseconds.
    pub first_byte_ms: Option<u32>,
}

/// One HTTP try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// 1 for the first.
    pub number: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// Name lookup to last byte, in milliseconds.
    pub duration_ms: i64,
    /// The phases.
    pub timing: AttemptTiming,
    /// Where it was sent.
    pub url: String,
    /// What was sent, with credentials masked.
    pub request_headers: Vec<Header>,
    /// HTTP status, if there was an answer.
    pub response_status: Option<u16>,
    /// What came back.
    pub response_headers: Vec<Header>,
    /// The answer's body, up to 16 KB; invalid UTF-8 is replaced.
    pub response_body: String,
    /// Whether there was more.
    pub response_truncated: bool,
    /// Why it failed.
    pub error: Option<ErrorClass>,
    /// The failure in words.
    pub error_detail: Option<String>,
}

/// A delivery with what was sent and all tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The exact text sent, the same in every try; `null` once the organization does not keep it any more.
    pub request_body: Option<String>,
    /// The tries, the first one first.
    pub attempts_made: Vec<Attempt>,
}

/// Most bytes of a text that payloads are searched for.
pub const MAX_SEARCH_BYTES: usize = 200;
/// Most payloads that are searched for one page: what a search costs has a bound, however much is stored.
pub const MOST_SEARCHED: u32 = 10_000;

/// Which deliveries are listed. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct DeliveryQuery {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of this event.
    pub event_id: Option<EventId>,
    /// In this state.
    pub status: Option<DeliveryState>,
    /// Of this event type.
    pub event: Option<String>,
    /// This one.
    pub id: Option<DeliveryId>,
    /// Of events of this source.
    pub source_id: Option<SourceId>,
    /// Whose last try was answered so; `none`: it was not answered.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub code: Option<CodeClass>,
    /// Whose last try failed for this reason.
    pub error: Option<ErrorClass>,
    /// Created in this time that ends now; goes before `from`.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub range: Option<TimeRange>,
    /// Created at or after (RFC 3339).
    pub from: Option<Timestamp>,
    /// Created before (RFC 3339).
    pub to: Option<Timestamp>,
    /// Whose event's payload holds this text, exactly as it stands there; at most [`MAX_SEARCH_BYTES`]. Each page looks at the
    /// next [`MOST_SEARCHED`] that fit everything else; it may be empty and still have a `next_cursor`.
    pub text: Option<String>,
    /// Rows per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl DeliveryQuery {
    /// Whether `delivery`, which is new, would be listed. Its event's source and payload cannot be seen in it.
    pub fn holds(&self, delivery: &Delivery) -> bool {
        self.webhook_id.is_none_or(|id| id == delivery.webhook_id)
            && self.event_id.is_none_or(|id| id == delivery.event_id)
            && self.status.is_none_or(|status| status == delivery.status)
            && self.event.as_ref().is_none_or(|event| *event == delivery.event)
            && self.id.is_none_or(|id| id == delivery.id)
            && self.source_id.is_none()
            && self.text.is_none()
            && self.code.is_none_or(|code| code.holds(delivery))
            && self.error.is_none_or(|error| Some(error) == delivery.error)
            && self.from.is_none_or(|from| delivery.created_at >= from)
            && self.to.is_none_or(|to| delivery.created_at < to)
    }
}

/// When retries would happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryPreview {
    /// When the first try is thought to fail: now.
    pub first_try_at: Timestamp,
    /// The retries, if every one of them fails at once.
    pub retries: Vec<RetryTime>,
}

/// A test send.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Test {
    /// Event type; the webhook's first when not given.
    pub event: Option<String>,
    /// The event's `data`; the type's sample when not given.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub data: Option<serde_json::Value>,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// For people.
    pub name: String,
    /// The first 16 characters, to recognise it by.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The source whose events it publishes; others are refused.
    pub source_id: Option<SourceId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeyDraft {
    /// For people, at most 100 characters.
    pub name: String,
    /// At least one of `events:write`, `webhooks:read`, `webhooks:write`, `admin`.
    pub scopes: Vec<String>,
    /// Bind it to one source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// When it stops working.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// An API key just created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedApiKey {
    /// The key.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// The key itself. It is not stored and cannot be shown again.
    pub key: String,
}

/// A person in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    /// Their id.
    pub id: MemberId,
    /// Their name.
    pub name: String,
    /// What they sign in with.
    pub email: String,
    /// What they may.
    pub role: Role,
    /// When they were added.
    pub created_at: Timestamp,
}

/// A new member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberDraft {
    /// Their name, at most 100 characters.
    pub name: String,
    /// What they sign in with.
    pub email: String,
    /// What they may.
    pub role: Role,
    /// At least 12 characters.
    pub password: String,
}

/// What the Inspector thinks of a request's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReceivedSignature {
    /// Signed with a secret of this organization's webhooks, just now.
    Verified,
    /// There is a signature, and it is wrong or too old.
    Invalid,
    /// There is none.
    Missing,
}

impl ReceivedSignature {
    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
        }
    }
}

impl std::str::FromStr for ReceivedSignature {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Verified, Self::Invalid, Self::Missing].into_iter().find(|verdict| verdict.as_str() == text).ok_or(())
    }
}

/// A request that the Inspector recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InspectorRequest {
    /// Its id.
    pub id: InspectorRequestId,
    /// When it came.
    pub received_at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path and query after the Inspector's address.
    pub path: String,
    /// All headers.
    pub headers: Vec<Header>,
    /// The body, up to 64 KB; invalid UTF-8 is replaced.
    pub body: String,
    /// Whether there was more.
    pub truncated: bool,
    /// Whether its signature verifies.
    pub signature: ReceivedSignature,
    /// The webhook whose secret it was signed with.
    pub webhook_id: Option<WebhookId>,
}

/// Which events are listed. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EventQuery {
    /// Of this type.
    pub event: Option<String>,
    /// Of this source.
    pub source_id: Option<SourceId>,
    /// This one.
    pub id: Option<EventId>,
    /// Accepted in this time that ends now; goes before `from`.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub range: Option<TimeRange>,
    /// Accepted at or after (RFC 3339).
    pub from: Option<Timestamp>,
    /// Accepted before (RFC 3339).
    pub to: Option<Timestamp>,
    /// Whose payload holds this text, as for deliveries.
    pub text: Option<String>,
    /// Rows per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: a member's name, or an API key's.
    pub actor: String,
    /// What was done, such as `webhook.updated`.
    pub action: String,
    /// To what: an id, or how many.
    pub subject: String,
    /// Names of the fields that changed; never their values.
    pub fields: Vec<String>,
}
