//! Jobs: work on many deliveries that goes on after its request was answered.

use axum::extract::State;
use domain::{
    JobId,
    api::{Job, Page},
};
use engine::Engine;

use super::{
    super::{
        auth::Caller,
        json::Json,
        query::{Id, PageQuery, Query},
    },
    Answer,
};

/// List jobs
///
/// The newest first, 30 days back.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "Replays and jobs", params(PageQuery),
    responses((status = 200, description = "One page of jobs", body = Page<Job>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(page): Query<PageQuery>,
) -> Answer<Page<Job>> {
    Ok(Json(engine.jobs(&actor, page.cursor, page.limit).await?))
}

/// Show a job
///
/// How far it has come, what matched, what was done, and what was refused for which reason.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "Replays and jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "The job", body = Job)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<JobId>) -> Answer<Job> {
    Ok(Json(engine.job(&actor, id).await?))
}

/// Cancel a job
///
/// It stops after the batch that is under way, at most 500 deliveries. What it did until then stays done. Refused (409)
/// when it has ended.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "Replays and jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "The job as it is now", body = Job)))]
pub async fn cancel(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<JobId>) -> Answer<Job> {
    Ok(Json(engine.cancel_job(&actor, id).await?))
}
