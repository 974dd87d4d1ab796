//! What the organization's built-in receiver recorded. Its receiving side is [`super::super::inspect`].

use axum::{extract::State, http::StatusCode};
use domain::api::{InspectorRequest, InspectorResponse, Page};
use engine::Engine;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        auth::Caller,
        json::Json,
        problem::Problem,
        query::{PageQuery, Query},
    },
    Answer,
};

/// Where the Inspector receives.
#[derive(Debug, Serialize, ToSchema)]
pub struct InspectorAddress {
    /// Any request to it, or to a path below it, is recorded.
    url: String,
}

/// Show the Inspector's address
///
/// Make it a webhook's URL to see what Signalbox sends and whether the signature verifies.
#[utoipa::path(get, path = "/api/v1/inspector", tag = "Inspector",
    responses((status = 200, description = "The address", body = InspectorAddress)))]
pub async fn address(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<InspectorAddress> {
    Ok(Json(InspectorAddress { url: engine.inspector_url(&actor).await? }))
}

/// List recorded requests
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/inspector/requests", tag = "Inspector", params(PageQuery),
    responses((status = 200, description = "One page of requests", body = Page<InspectorRequest>)))]
pub async fn requests(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(page): Query<PageQuery>,
) -> Answer<Page<InspectorRequest>> {
    Ok(Json(engine.inspector_requests(&actor, page.cursor, page.limit).await?))
}

/// Delete all recorded requests
#[utoipa::path(delete, path = "/api/v1/inspector/requests", tag = "Inspector",
    responses((status = 204, description = "They are gone")))]
pub async fn clear(State(engine): State<Engine>, Caller(actor): Caller) -> Result<StatusCode, Problem> {
    engine.clear_inspector(&actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show what the Inspector answers
#[utoipa::path(get, path = "/api/v1/inspector/response", tag = "Inspector",
    responses((status = 200, description = "The answer", body = InspectorResponse)))]
pub async fn response(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<InspectorResponse> {
    Ok(Json(engine.inspector_response(&actor).await?))
}

/// Change what the Inspector answers
///
/// From the next request on, to rehearse failures: an error, a slow receiver, `Retry-After`. What is left out gets its
/// default, so that `{}` makes it an ordinary receiver again.
#[utoipa::path(put, path = "/api/v1/inspector/response", tag = "Inspector",
    request_body(content = InspectorResponse, example = json!({"status": 503, "delay_ms": 2000, "retry_after_s": 30})),
    responses((status = 200, description = "The answer as it is now", body = InspectorResponse)))]
pub async fn set_response(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(response): Json<InspectorResponse>,
) -> Answer<InspectorResponse> {
    Ok(Json(engine.set_inspector_response(&actor, response).await?))
}
