//! Addresses to which nothing is sent.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use domain::api::{Page, Suppression, SuppressionDraft, SuppressionQuery};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json, problem::Problem, query::Query},
    Answer,
};

/// List suppressed addresses
///
/// By address. Hard bounces and complaints put them here.
#[utoipa::path(get, path = "/api/v1/suppressions", tag = "Suppressions", params(SuppressionQuery),
    responses((status = 200, description = "One page of addresses", body = Page<Suppression>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<SuppressionQuery>,
) -> Answer<Page<Suppression>> {
    Ok(Json(engine.suppressions(&actor, &query).await?))
}

/// Suppress an address
///
/// Nothing is sent to it from now on. One that is suppressed already keeps its reason.
#[utoipa::path(post, path = "/api/v1/suppressions", tag = "Suppressions",
    request_body(content = SuppressionDraft, example = json!({"email": "left@example.com", "detail": "left the company"})),
    responses((status = 204, description = "It is suppressed")))]
pub async fn add(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<SuppressionDraft>,
) -> Result<StatusCode, Problem> {
    engine.suppress_email(&actor, draft).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send to an address again
#[utoipa::path(delete, path = "/api/v1/suppressions/{email}", tag = "Suppressions",
    params(("email" = String, Path, description = "The address")),
    responses((status = 204, description = "It is not suppressed any more")))]
pub async fn remove(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Path(email): Path<String>,
) -> Result<StatusCode, Problem> {
    engine.unsuppress_email(&actor, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}
