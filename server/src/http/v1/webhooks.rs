//! Webhooks: subscriptions of receivers to events.

use axum::{extract::State, http::StatusCode};
use domain::{
    WebhookDraft, WebhookId, WebhookState,
    api::{CreatedWebhook, Delivery, DeliveryDetail, DeliveryQuery, Page, RotatedSecret, Test, Webhook},
};
use engine::Engine;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    super::{
        auth::Caller,
        json::{Json, OptionalJson},
        problem::Problem,
        query::{Id, PageQuery, Query},
    },
    Answer, Made,
};

/// List webhooks
///
/// The newest first. Secrets and the values of custom headers are not shown.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "Webhooks", params(PageQuery),
    responses((status = 200, description = "One page of webhooks", body = Page<Webhook>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(page): Query<PageQuery>,
) -> Answer<Page<Webhook>> {
    Ok(Json(engine.webhooks(&actor, page.cursor, page.limit).await?))
}

/// Create a webhook
///
/// From now on, events of the named types are delivered to `url` by a signed POST. `events` holds event types
/// (`job.created`), groups (`job.*`) or everything (`*`). Keep the answer's `secret`: receivers verify signatures with it.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "Webhooks",
    request_body(content = WebhookDraft, example = json!({
        "name": "Job Created - Zapier",
        "url": "https://hooks.zapier.com/hooks/catch/123456/abcdef",
        "events": ["job.created", "candidate.*"],
    })),
    responses((status = 201, description = "The webhook, with its secret", body = CreatedWebhook)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<WebhookDraft>,
) -> Made<CreatedWebhook> {
    Ok((StatusCode::CREATED, Json(engine.create_webhook(&actor, draft).await?)))
}

/// Show a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses((status = 200, description = "The webhook", body = Webhook)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<WebhookId>) -> Answer<Webhook> {
    Ok(Json(engine.webhook(&actor, id).await?))
}

/// Change a webhook
///
/// Replaces all settings; what is left out gets its default. Send the `version` that you read to be refused (409) when
/// somebody else was faster. A custom header with value `null` keeps its stored value.
#[utoipa::path(put, path = "/api/v1/webhooks/{id}", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    request_body(content = WebhookDraft, example = json!({
        "name": "Job Created - Zapier",
        "url": "https://hooks.zapier.com/hooks/catch/123456/abcdef",
        "events": ["job.*"],
        "version": 1,
    })),
    responses((status = 200, description = "The webhook as it is now", body = Webhook)))]
pub async fn update(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
    Json(draft): Json<WebhookDraft>,
) -> Answer<Webhook> {
    Ok(Json(engine.update_webhook(&actor, id, draft).await?))
}

/// Delete a webhook
///
/// Nothing more is sent to it; deliveries that wait are discarded.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
) -> Result<StatusCode, Problem> {
    engine.delete_webhook(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The state a webhook is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateChange {
    /// `active`, `paused` or `disabled`.
    state: WebhookState,
}

/// Enable, pause or disable a webhook
///
/// `paused` keeps new events in the queue until it is `active` again. `disabled` lets new events pass by.
#[utoipa::path(put, path = "/api/v1/webhooks/{id}/state", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    request_body(content = StateChange, example = json!({"state": "paused"})),
    responses((status = 200, description = "The webhook as it is now", body = Webhook)))]
pub async fn set_state(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
    Json(change): Json<StateChange>,
) -> Answer<Webhook> {
    Ok(Json(engine.set_webhook_state(&actor, id, change.state).await?))
}

/// Send a test event to a webhook
///
/// Sends one signed request now, to this webhook alone, and waits for what comes of it: the answer holds the exact request
/// and response. Tests are never retried. Without a body, the webhook's first event type is sent with its sample data.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    request_body(content = Option<Test>, example = json!({"event": "job.created", "data": {"job_id": "job_42"}})),
    responses((status = 200, description = "The delivery with its one try", body = DeliveryDetail)))]
pub async fn test(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
    OptionalJson(test): OptionalJson<Test>,
) -> Answer<DeliveryDetail> {
    Ok(Json(engine.test_webhook(&actor, id, test).await?))
}

/// Show a webhook's signing secret
///
/// Each look is written to the audit log.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/secret", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses((status = 200, description = "The secret that signs now", body = RotatedSecret)))]
pub async fn secret(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
) -> Answer<RotatedSecret> {
    Ok(Json(engine.reveal_secret(&actor, id).await?))
}

/// How a secret is rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// How long the old secret signs beside the new one, 0–168 hours; 24 when not given. 0 revokes it at once.
    overlap_hours: Option<u32>,
}

/// Rotate a webhook's signing secret
///
/// Answers a new secret. Until the overlap ends every request carries both signatures, so that receivers can change over
/// without losing anything.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/secret/rotate", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    request_body(content = Option<Rotation>, example = json!({"overlap_hours": 24})),
    responses((status = 200, description = "The new secret", body = RotatedSecret)))]
pub async fn rotate_secret(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
    OptionalJson(rotation): OptionalJson<Rotation>,
) -> Answer<RotatedSecret> {
    Ok(Json(engine.rotate_secret(&actor, id, rotation.overlap_hours).await?))
}

/// List a webhook's deliveries
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "Webhooks",
    params(("id" = WebhookId, Path, description = "The webhook"), DeliveryQuery),
    responses((status = 200, description = "One page of deliveries", body = Page<Delivery>)))]
pub async fn deliveries(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<WebhookId>,
    Query(query): Query<DeliveryQuery>,
) -> Answer<Page<Delivery>> {
    let page = engine.deliveries(&actor, DeliveryQuery { webhook_id: Some(id), ..query }).await?;
    if page.data.is_empty() {
        // None yet, or no such webhook?
        engine.webhook(&actor, id).await?;
    }
    Ok(Json(page))
}
