//! Events: immutable facts, published once and delivered to every webhook that wants them.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use domain::{
    EventId, MAX_BATCH_EVENTS, Problems,
    api::{Accepted, Delivery, DeliveryQuery, ErrorCode, Event, EventDraft, EventQuery, EventSummary, Page},
};
use engine::Engine;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{
        auth::Caller,
        idempotency,
        json::Json,
        problem::Problem,
        query::{Id, Query},
    },
    Answer, Made,
};

/// Publish an event
///
/// Answered when the event and all its deliveries are stored: what was answered with 202 is delivered, even if the server
/// is killed in the next moment. `data` is any JSON and reaches receivers as it was written. The same idempotency key
/// within 24 hours, in the body or in the header `Idempotency-Key`, gives the same answer and no second event.
#[utoipa::path(post, path = "/api/v1/events", tag = "Events",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `idempotency_key` in the body")),
    request_body(content = EventDraft, example = json!({
        "event": "job.created",
        "data": {"job_id": "job_42", "title": "Senior Java Developer"},
        "idempotency_key": "job_42-created",
    })),
    responses((status = 202, description = "The event is stored and on its way", body = Accepted)))]
pub async fn publish(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Json(mut draft): Json<EventDraft>,
) -> Made<Accepted> {
    draft.idempotency_key = idempotency::key(&headers, draft.idempotency_key)?;
    match engine.publish(&actor, vec![draft]).await?.pop() {
        Some(accepted) => Ok((StatusCode::ACCEPTED, Json(accepted))),
        None => Err(Problem::new(ErrorCode::Internal, "The event was accepted without an id")),
    }
}

/// Many events at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventBatch {
    /// 1–1000 events.
    events: Vec<EventDraft>,
}

/// The answers to a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedBatch {
    /// One answer per event, in the order of the events.
    data: Vec<Accepted>,
}

/// Publish up to 1,000 events
///
/// All or none: they are stored in one transaction, and one refused event refuses the batch. Idempotency keys are given
/// per event.
#[utoipa::path(post, path = "/api/v1/events/batch", tag = "Events",
    request_body(content = EventBatch, example = json!({
        "events": [
            {"event": "job.created", "data": {"job_id": "job_42"}},
            {"event": "job.updated", "data": {"job_id": "job_42", "status": "open"}},
        ],
    })),
    responses((status = 202, description = "All events are stored and on their way", body = AcceptedBatch)))]
pub async fn publish_batch(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Json(EventBatch { events }): Json<EventBatch>,
) -> Made<AcceptedBatch> {
    if headers.contains_key(&idempotency::HEADER) {
        let detail = "The Idempotency-Key header is for a single event; give each event its own idempotency_key";
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    if events.is_empty() {
        return Err(Problems::one("events", "A batch holds at least one event").into());
    }
    if events.len() > MAX_BATCH_EVENTS {
        return Err(Problems::one("events", format!("A batch holds at most {MAX_BATCH_EVENTS} events")).into());
    }
    Ok((StatusCode::ACCEPTED, Json(AcceptedBatch { data: engine.publish(&actor, events).await? })))
}

/// List events
///
/// The newest first, without their bodies.
#[utoipa::path(get, path = "/api/v1/events", tag = "Events", params(EventQuery),
    responses((status = 200, description = "One page of events", body = Page<EventSummary>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<EventQuery>,
) -> Answer<Page<EventSummary>> {
    Ok(Json(engine.events(&actor, query).await?))
}

/// Show an event
///
/// With the exact text that receivers get.
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "Events",
    params(("id" = EventId, Path, description = "The event")),
    responses((status = 200, description = "The event", body = Event)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<EventId>) -> Answer<Event> {
    Ok(Json(engine.event(&actor, id).await?))
}

/// List an event's deliveries
///
/// One per webhook that it went to, and their replays; the newest first.
#[utoipa::path(get, path = "/api/v1/events/{id}/deliveries", tag = "Events",
    params(("id" = EventId, Path, description = "The event"), DeliveryQuery),
    responses((status = 200, description = "One page of deliveries", body = Page<Delivery>)))]
pub async fn deliveries(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<EventId>,
    Query(query): Query<DeliveryQuery>,
) -> Answer<Page<Delivery>> {
    let page = engine.deliveries(&actor, DeliveryQuery { event_id: Some(id), ..query }).await?;
    if page.data.is_empty() {
        // None, or no such event?
        engine.event(&actor, id).await?;
    }
    Ok(Json(page))
}
