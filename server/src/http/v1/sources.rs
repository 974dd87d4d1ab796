//! Sources: what produces events. A webhook and an API key can be limited to one.

use axum::{extract::State, http::StatusCode};
use domain::{
    SourceId,
    api::{Page, Source, SourceDraft},
};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json, problem::Problem, query::Id},
    Answer, Made, whole,
};

/// List sources
#[utoipa::path(get, path = "/api/v1/sources", tag = "Sources",
    responses((status = 200, description = "All sources", body = Page<Source>)))]
pub async fn list(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Page<Source>> {
    Ok(whole(engine.sources(&actor).await?))
}

/// Create a source
#[utoipa::path(post, path = "/api/v1/sources", tag = "Sources",
    request_body(content = SourceDraft, example = json!({"name": "Billing service"})),
    responses((status = 201, description = "The source", body = Source)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<SourceDraft>,
) -> Made<Source> {
    Ok((StatusCode::CREATED, Json(engine.create_source(&actor, draft).await?)))
}

/// Delete a source
///
/// Refused (409) while a webhook or an API key is limited to it.
#[utoipa::path(delete, path = "/api/v1/sources/{id}", tag = "Sources",
    params(("id" = SourceId, Path, description = "The source")),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<SourceId>,
) -> Result<StatusCode, Problem> {
    engine.delete_source(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
