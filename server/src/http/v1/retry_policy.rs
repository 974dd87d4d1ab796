//! The organization's retry policy.

use axum::extract::State;
use domain::{RetryPolicy, api::RetryPreview};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json},
    Answer,
};

/// Show the retry policy
///
/// What every webhook uses that has no policy of its own.
#[utoipa::path(get, path = "/api/v1/retry-policy", tag = "Retry policy",
    responses((status = 200, description = "The policy", body = RetryPolicy)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<RetryPolicy> {
    Ok(Json(engine.retry_policy(&actor).await?))
}

/// Change the retry policy
///
/// It holds from the next try on, also for deliveries that wait for a retry. What is left out gets its default.
#[utoipa::path(put, path = "/api/v1/retry-policy", tag = "Retry policy",
    request_body(content = RetryPolicy, example = json!({"strategy": "exponential", "max_retries": 5, "initial_delay_s": 5, "max_delay_s": 300})),
    responses((status = 200, description = "The policy as it is now", body = RetryPolicy)))]
pub async fn update(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(policy): Json<RetryPolicy>,
) -> Answer<RetryPolicy> {
    Ok(Json(engine.set_retry_policy(&actor, policy).await?))
}

/// Preview a retry policy
///
/// When retries would happen if a try failed now, with the bounds that jitter sets. Nothing is stored.
#[utoipa::path(post, path = "/api/v1/retry-policy/preview", tag = "Retry policy",
    request_body(content = RetryPolicy, example = json!({"strategy": {"list": [60, 300, 900]}})),
    responses((status = 200, description = "The times", body = RetryPreview)))]
pub async fn preview(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(policy): Json<RetryPolicy>,
) -> Answer<RetryPreview> {
    Ok(Json(engine.preview_retries(&actor, &policy)?))
}
