//! What goes over the wire: the same types for the REST API and for the screens.

mod alerts;
mod check_round;
mod dead_letters;
mod emails;
mod error;
mod failover;
mod figures;
mod filters;
mod inspector;
mod integrations;
mod jobs;
mod oauth;
mod saved_views;
mod signature;
mod views;
mod work;

pub use alerts::{Alert, AlertCount, AlertQuery, Snooze};
pub use check_round::CheckRound;
pub use dead_letters::{
    DeadLetter, DeadLetterChoice, DeadLetterCount, DeadLetterFilter, DeadLetterIds, DeadLetterQuery, DeadLetterSummary,
    DeadLetterTarget, DoneAtOnce, MAX_IDS, Refusal, Refused,
};
pub use emails::{
    Email, EmailDetail, EmailDraft, EmailPreviewRequest, EmailQuery, EmailState, EmailStep, EmailStepKind,
    EmailTemplate, EmailTemplateDraft, EmailUsage, MAX_EMAIL_BODY, RenderedEmail, Suppression, SuppressionDraft,
    SuppressionQuery, SuppressionReason,
};
pub use error::{ApiError, ErrorCode};
pub use failover::{Failover, FailoverMember, FailoverMove, FailoverMoveQuery, Rehearsal, RehearsedMove};
pub use figures::{DayTries, FailingWebhook, FailureGroup, Failures, HourFigures, Overview, TryFigures};
pub use filters::{CodeClass, TimeRange};
pub use inspector::InspectorResponse;
pub use integrations::{
    ActionStep, CheckResult, Diagnosis, DiagnosisKind, HealthFigures, HealthHour, HealthReport, Integration,
    IntegrationLine, IntegrationQuery, IntegrationSummary, LogEntry, LogKind, LogLevel, LogQuery, RunbookDraft,
    RunbookStep, SecretMark,
};
pub use jobs::{EditedPayload, Job, JobKind, JobScope, JobState, ReplayCount, ReplayMode, ReplayRequest};
pub use oauth::{
    Authorization, AuthorizationRequest, Calendar, ConnectionToken, Disconnected, OauthConnection, PermissionMark,
    Refresh, SyncSettings,
};
pub use saved_views::{MAX_SAVED_VIEWS, SavedView};
pub use signature::{SignatureFinding, SignatureQuestion, SignatureScheme, SignatureSlip, SignedWith};
pub use views::{
    Accepted, ApiKey, ApiKeyDraft, Attempt, AttemptTiming, AuditEntry, CreatedApiKey, CreatedWebhook, Delivery,
    DeliveryDetail, DeliveryKind, DeliveryQuery, Event, EventDraft, EventQuery, EventSummary, EventTypeDraft, Header,
    InspectorRequest, MAX_SEARCH_BYTES, MOST_SEARCHED, Member, MemberDraft, Page, ReceivedSignature, RetryPreview,
    RotatedSecret, Source, SourceDraft, Test, Webhook,
};
pub use work::{FileQuery, SentSms, SmsDraft, SmsState, StoredFile, check_file_key};
