//! API keys: how programs prove who they are.

use axum::{extract::State, http::StatusCode};
use domain::{
    ApiKeyId,
    api::{ApiKey, ApiKeyDraft, CreatedApiKey, Page},
};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json, query::Id},
    Answer, Made, whole,
};

/// List API keys
///
/// Also the revoked ones. The keys themselves are not stored and cannot be shown.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "API keys",
    responses((status = 200, description = "All keys", body = Page<ApiKey>)))]
pub async fn list(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Page<ApiKey>> {
    Ok(whole(engine.api_keys(&actor).await?))
}

/// Create an API key
///
/// The answer's `key` is shown this once.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "API keys",
    request_body(content = ApiKeyDraft, example = json!({"name": "Billing service", "scopes": ["events:write"]})),
    responses((status = 201, description = "The key, for the only time", body = CreatedApiKey)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<ApiKeyDraft>,
) -> Made<CreatedApiKey> {
    Ok((StatusCode::CREATED, Json(engine.create_api_key(&actor, draft).await?)))
}

/// Revoke an API key
///
/// It stops working at once and stays in the list.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "API keys",
    params(("id" = ApiKeyId, Path, description = "The key")),
    responses((status = 200, description = "The key, with `revoked_at`", body = ApiKey)))]
pub async fn revoke(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<ApiKeyId>) -> Answer<ApiKey> {
    Ok(Json(engine.revoke_api_key(&actor, id).await?))
}
