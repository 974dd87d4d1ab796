//! Event types: the catalogue of what can happen.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use domain::{
    EventType,
    api::{EventTypeDraft, Page},
};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json, problem::Problem},
    Answer, Made, whole,
};

/// List event types
///
/// The built-in ones and the organization's own, each with sample data.
#[utoipa::path(get, path = "/api/v1/event-types", tag = "Event types",
    responses((status = 200, description = "All event types", body = Page<EventType>)))]
pub async fn list(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Page<EventType>> {
    Ok(whole(engine.event_types(&actor).await?))
}

/// Define an event type
#[utoipa::path(post, path = "/api/v1/event-types", tag = "Event types",
    request_body(content = EventTypeDraft, example = json!({
        "name": "invoice.paid",
        "category": "INVOICES",
        "description": "An invoice was paid in full.",
        "sample": {"invoice_id": "inv_7", "amount": 1200},
    })),
    responses((status = 201, description = "The event type", body = EventType)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<EventTypeDraft>,
) -> Made<EventType> {
    Ok((StatusCode::CREATED, Json(engine.create_event_type(&actor, draft).await?)))
}

/// Delete an event type of the organization's own
#[utoipa::path(delete, path = "/api/v1/event-types/{name}", tag = "Event types",
    params(("name" = String, Path, description = "Such as `invoice.paid`")),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    engine.delete_event_type(&actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
