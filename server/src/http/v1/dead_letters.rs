//! Dead letters: deliveries that were given up and wait for a person.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    DeliveryId,
    api::{
        DeadLetter, DeadLetterChoice, DeadLetterIds, DeadLetterQuery, DeadLetterSummary, Delivery, DoneAtOnce, Job,
        Page,
    },
};
use engine::{Engine, Handled};

use super::{
    super::{
        auth::Caller,
        json::Json,
        problem::Problem,
        query::{Id, Query},
    },
    Answer, Made,
};

/// List dead letters
///
/// The newest delivery first. All conditions must hold. Each tells when it was given up and when it is discarded, which
/// follows from `dead_letter_retention_days` of its webhook's retry policy.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "Dead letters", params(DeadLetterQuery),
    responses((status = 200, description = "One page of dead letters", body = Page<DeadLetter>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<DeadLetterQuery>,
) -> Answer<Page<DeadLetter>> {
    Ok(Json(engine.dead_letters(&actor, query).await?))
}

/// Count dead letters
///
/// All of them, and those of each webhook that has any.
#[utoipa::path(get, path = "/api/v1/dead-letters/summary", tag = "Dead letters",
    responses((status = 200, description = "The counts now", body = DeadLetterSummary)))]
pub async fn summary(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<DeadLetterSummary> {
    Ok(Json(engine.dead_letter_summary(&actor).await?))
}

/// Retry a dead letter
///
/// Queues the same delivery again with a new round of tries; its earlier tries stay. Refused (409) when it is no dead
/// letter or its webhook is deleted, paused, or disabled by a person or by a 410, and (410) when its payload is not kept
/// any more. A webhook that is disabled because its endpoint failed is tried at once, and enabled if that succeeds.
#[utoipa::path(post, path = "/api/v1/dead-letters/{id}/retry", tag = "Dead letters",
    params(("id" = DeliveryId, Path, description = "The delivery")),
    responses((status = 202, description = "The delivery as it is now", body = Delivery)))]
pub async fn retry(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<DeliveryId>) -> Made<Delivery> {
    Ok((StatusCode::ACCEPTED, Json(engine.retry_dead_letter(&actor, id).await?)))
}

/// Clear a dead letter
///
/// It is discarded: it stays in the history and is not sent again. Refused (409) when it is no dead letter.
#[utoipa::path(delete, path = "/api/v1/dead-letters/{id}", tag = "Dead letters",
    params(("id" = DeliveryId, Path, description = "The delivery")),
    responses((status = 204, description = "It is discarded")))]
pub async fn clear(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<DeliveryId>,
) -> Result<StatusCode, Problem> {
    engine.clear_dead_letter(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Retry many dead letters
///
/// Exactly one of `ids`, `filter` and `all`. Up to 1,000 ids are retried at once, all in one transaction; the answer says
/// which were refused and why. The others are a job, which goes through what is there now.
#[utoipa::path(post, path = "/api/v1/dead-letters/retry", tag = "Dead letters",
    request_body(content = DeadLetterChoice, example = json!({"ids": ["dlv_01h455vb4pex5vsknk084sn02q"]})),
    responses(
        (status = 200, description = "For `ids`: what was done", body = DoneAtOnce),
        (status = 202, description = "The job", body = Job),
    ))]
pub async fn retry_many(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(choice): Json<DeadLetterChoice>,
) -> Result<Response, Problem> {
    Ok(answer(engine.retry_dead_letters(&actor, choice).await?))
}

/// Clear many dead letters
///
/// Exactly one of `ids`, `filter` and `all`, as for retrying them.
#[utoipa::path(post, path = "/api/v1/dead-letters/clear", tag = "Dead letters",
    request_body(content = DeadLetterChoice, example = json!({"filter": {"error": "dns"}})),
    responses(
        (status = 200, description = "For `ids`: what was done", body = DoneAtOnce),
        (status = 202, description = "The job", body = Job),
    ))]
pub async fn clear_many(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(choice): Json<DeadLetterChoice>,
) -> Result<Response, Problem> {
    Ok(answer(engine.clear_dead_letters(&actor, choice).await?))
}

/// Restore cleared dead letters
///
/// Takes a clear back: discarded deliveries are dead letters again, as of when they were given up. All in one transaction;
/// the answer says which were not discarded. Tests are never dead letters.
#[utoipa::path(post, path = "/api/v1/dead-letters/restore", tag = "Dead letters",
    request_body(content = DeadLetterIds, example = json!({"ids": ["dlv_01h455vb4pex5vsknk084sn02q"]})),
    responses((status = 200, description = "What was done", body = DoneAtOnce)))]
pub async fn restore(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(chosen): Json<DeadLetterIds>,
) -> Answer<DoneAtOnce> {
    Ok(Json(engine.restore_dead_letters(&actor, chosen).await?))
}

fn answer(handled: Handled) -> Response {
    match handled {
        Handled::Now(done) => Json(done).into_response(),
        Handled::Job(job) => (StatusCode::ACCEPTED, Json(job)).into_response(),
    }
}
