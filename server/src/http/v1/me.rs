//! Who the caller is, and what they want to be told.

use axum::extract::State;
use domain::{ApiKeyId, MemberId, NotificationPreferences, OrganizationId, Role, Scopes, SourceId, api::ErrorCode};
use engine::{Actor, Engine, Who};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{auth::Caller, json::Json, problem::Problem},
    Answer,
};

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The organization that everything the caller sees belongs to.
    organization_id: OrganizationId,
    #[serde(flatten)]
    who: Identity,
}

/// What the caller is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// A person who is signed in.
    Member {
        /// Their id.
        id: MemberId,
        /// Their name.
        name: String,
        /// What they sign in with.
        email: String,
        /// What they may.
        role: Role,
    },
    /// A program.
    ApiKey {
        /// The key's id.
        id: ApiKeyId,
        /// Its name.
        name: String,
        /// What it may be used for.
        scopes: Scopes,
        /// The source it is bound to.
        source_id: Option<SourceId>,
    },
}

/// Show who is calling
///
/// The quickest way to find out whether a key works.
#[utoipa::path(get, path = "/api/v1/me", tag = "Overview",
    responses((status = 200, description = "The caller", body = Me)))]
pub async fn whoami(Caller(Actor { organization, who }): Caller) -> Answer<Me> {
    let who = match who {
        Who::Member { id, name, email, role } => Identity::Member { id, name, email, role },
        Who::Key { id, name, scopes, source_id } => Identity::ApiKey { id, name, scopes, source_id },
        Who::System => return Err(Problem::new(ErrorCode::Internal, "The system does not call itself")),
    };
    Ok(Json(Me { organization_id: organization, who }))
}

/// Show what you are told
///
/// Which alerts the member who asks gets by e-mail, and by their browser. Who never said so gets by e-mail what the
/// organization sends to their address, and by the browser everything. 404 for API keys.
#[utoipa::path(get, path = "/api/v1/me/notifications", tag = "Alerts",
    responses((status = 200, description = "The preferences", body = NotificationPreferences)))]
pub async fn notifications(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<NotificationPreferences> {
    Ok(Json(engine.notification_preferences(&actor).await?))
}

/// Change what you are told
///
/// For the address that the member signs in with, this decides, also when it is among those of the organization. An empty list
/// is nothing. What the organization muted is told to nobody.
#[utoipa::path(put, path = "/api/v1/me/notifications", tag = "Alerts",
    request_body(content = NotificationPreferences, example = json!({
        "email": ["integration_down", "all_down"], "browser": ["integration_down"],
    })),
    responses((status = 200, description = "The preferences as they are now", body = NotificationPreferences)))]
pub async fn set_notifications(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(preferences): Json<NotificationPreferences>,
) -> Answer<NotificationPreferences> {
    Ok(Json(engine.set_notification_preferences(&actor, preferences).await?))
}
