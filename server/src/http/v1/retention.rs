//! Retention: how long the organization keeps what has ended.

use axum::extract::State;
use domain::Retention;
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json},
    Answer,
};

/// Show the retention
///
/// Events with their payloads are deleted after `payload_days`, deliveries with their tries after `history_days`. What still
/// has to be sent is kept with its event; dead letters are kept for as long as their retry policy says.
#[utoipa::path(get, path = "/api/v1/retention", tag = "Retention",
    responses((status = 200, description = "The retention", body = Retention)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Retention> {
    Ok(Json(engine.retention(&actor).await?))
}

/// Change the retention
///
/// What is older than that is deleted within minutes, and cannot be brought back. What is left out gets its default.
#[utoipa::path(put, path = "/api/v1/retention", tag = "Retention",
    request_body(content = Retention, example = json!({"payload_days": 30, "history_days": 90})),
    responses((status = 200, description = "The retention as it is now", body = Retention)))]
pub async fn update(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(retention): Json<Retention>,
) -> Answer<Retention> {
    Ok(Json(engine.set_retention(&actor, retention).await?))
}
