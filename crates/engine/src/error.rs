//! From what storage says to what callers read. One table; what nobody can help is logged here, once.

use domain::{
    Problems,
    api::{ApiError, ErrorCode},
};
use storage::StoreError;

/// What the caller is told of a refusal by the database.
pub(crate) fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict("webhooks_name") => {
            Problems::one("name", "A webhook with this name already exists").into()
        }
        StoreError::Conflict("integrations_name") => {
            Problems::one("name", "An integration with this name already exists").into()
        }
        StoreError::Conflict("failover_members_integration") => {
            Problems::one("backup_integration_id", "An integration is in one failover group at most").into()
        }
        StoreError::Conflict("email_templates_name") => {
            Problems::one("name", "A template with this name already exists").into()
        }
        StoreError::Conflict("sources_name") => Problems::one("name", "A source with this name already exists").into(),
        StoreError::Conflict("event_types_pkey") => {
            Problems::one("name", "An event type with this name already exists").into()
        }
        StoreError::Conflict("members_email_key") => {
            Problems::one("email", "A member with this e-mail address already exists").into()
        }
        StoreError::Conflict(_) => ApiError::new(ErrorCode::Conflict, "This already exists."),
        StoreError::KeyReused(index) => {
            let detail = format!(
                "The idempotency key of events[{index}] was already used for a different event. Nothing was stored."
            );
            ApiError::new(ErrorCode::Conflict, detail)
        }
        StoreError::Stale => ApiError::new(
            ErrorCode::Conflict,
            "This was changed by somebody else meanwhile. Reload and try again; nothing was overwritten.",
        ),
        error if error.is_passing() => {
            tracing::error!(%error, "the database did not do its part");
            let detail = "The database is not available. Nothing was stored; try again shortly.";
            ApiError { retry_after_s: Some(1), ..ApiError::new(ErrorCode::Unavailable, detail) }
        }
        error => {
            tracing::error!(%error, "the database holds something that cannot be read");
            ApiError::new(ErrorCode::Internal, "Something stored cannot be read. The server's log says what.")
        }
    }
}
