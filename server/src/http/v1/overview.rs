//! The figures of the first screen.

use axum::extract::State;
use domain::api::Overview;
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json},
    Answer,
};

/// Show the overview
///
/// Webhooks, the last 24 hours, dead letters.
#[utoipa::path(get, path = "/api/v1/overview", tag = "Overview",
    responses((status = 200, description = "The figures now", body = Overview)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Overview> {
    Ok(Json(engine.overview(&actor).await?))
}
