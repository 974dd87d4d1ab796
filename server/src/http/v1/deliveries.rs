//! Deliveries: one event on its way to one webhook.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use domain::{
    DeliveryId, WebhookId,
    api::{ApiError, Delivery, DeliveryDetail, DeliveryQuery, EditedPayload, Failures, Page},
};
use engine::Engine;

use super::{
    super::{
        auth::Caller,
        export::{self, Conditions, ExportQuery},
        json::Json,
        problem::Problem,
        query::{Id, Query, parse_id},
    },
    Answer, Made,
};

/// List deliveries
///
/// The newest first. All conditions must hold.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "Deliveries", params(DeliveryQuery),
    responses((status = 200, description = "One page of deliveries", body = Page<Delivery>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<DeliveryQuery>,
) -> Answer<Page<Delivery>> {
    Ok(Json(engine.deliveries(&actor, query).await?))
}

/// Export deliveries
///
/// As a file, the newest first. All conditions must hold. It is sent while it is read: a file that is cut off is not whole.
#[utoipa::path(get, path = "/api/v1/deliveries/export", tag = "Deliveries", params(ExportQuery<DeliveryQuery>),
    responses((status = 200, description = "The file",
        content((String = "text/csv"), (Delivery = "application/x-ndjson")))))]
pub async fn export(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<ExportQuery<DeliveryQuery>>,
) -> Result<Response, Problem> {
    Ok(export::deliveries(engine, actor, query).await?)
}

/// Group failures
///
/// Deliveries whose last try failed, by webhook and reason. All conditions must hold. The newest 5,000 that they let through
/// are looked at.
#[utoipa::path(get, path = "/api/v1/deliveries/failures", tag = "Deliveries", params(Conditions<DeliveryQuery>),
    responses((status = 200, description = "The groups, the largest first", body = Failures)))]
pub async fn failures(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(Conditions { query }): Query<Conditions<DeliveryQuery>>,
) -> Answer<Failures> {
    Ok(Json(engine.failures(&actor, query).await?))
}

/// Show a delivery
///
/// With the exact body sent and every try: when, how long, what was sent and what came back.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "Deliveries",
    params(("id" = DeliveryId, Path, description = "The delivery")),
    responses((status = 200, description = "The delivery with its tries", body = DeliveryDetail)))]
pub async fn show(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<DeliveryId>,
) -> Answer<DeliveryDetail> {
    Ok(Json(engine.delivery(&actor, id).await?))
}

/// Replay a delivery
///
/// Sends the same body with the same `webhook-id` once more, as a new delivery that names this one in `replay_of`. Refused
/// (409) when the webhook is deleted, paused, or disabled by a person or by a 410, and (410) when the payload is not kept
/// any more. A webhook that is disabled because its endpoint failed is tried at once.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/replay", tag = "Deliveries",
    params(("id" = DeliveryId, Path, description = "The delivery to repeat")),
    responses((status = 202, description = "The new delivery", body = Delivery)))]
pub async fn replay(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<DeliveryId>) -> Made<Delivery> {
    Ok((StatusCode::ACCEPTED, Json(engine.replay(&actor, id).await?)))
}

/// Send another payload
///
/// Sends `data` to the webhook of this delivery, as an event of its own of the same type and source. The new delivery is of
/// kind `edited` and names this one in `replay_of`. Refused as a replay is, except that the old payload need not be there.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/resend", tag = "Deliveries",
    params(("id" = DeliveryId, Path, description = "The delivery that was edited")),
    request_body(content = EditedPayload, example = json!({"data": {"job_id": "job_42", "status": "open"}})),
    responses((status = 202, description = "The new delivery", body = Delivery)))]
pub async fn resend(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<DeliveryId>,
    Json(edited): Json<EditedPayload>,
) -> Made<Delivery> {
    Ok((StatusCode::ACCEPTED, Json(engine.resend_edited(&actor, id, edited).await?)))
}

/// Replay a delivery of a webhook
///
/// The same as `POST /api/v1/deliveries/{id}/replay`.
#[utoipa::path(post, path = "/api/integrations/webhooks/{id}/replay/{deliveryId}", tag = "Aliases",
    params(
        ("id" = WebhookId, Path, description = "The webhook"),
        ("deliveryId" = DeliveryId, Path, description = "Its delivery to repeat"),
    ),
    responses((status = 202, description = "The new delivery", body = Delivery)))]
pub async fn replay_of_webhook(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Made<Delivery> {
    let (webhook, id): (WebhookId, DeliveryId) = (parse_id(&webhook)?, parse_id(&delivery)?);
    if engine.delivery(&actor, id).await?.delivery.webhook_id != webhook {
        return Err(ApiError::not_found("Delivery").into());
    }
    Ok((StatusCode::ACCEPTED, Json(engine.replay(&actor, id).await?)))
}
