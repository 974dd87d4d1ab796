//! Replays of many deliveries at once.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::api::{Job, ReplayCount, ReplayRequest};
use engine::{Engine, Replayed};

use super::super::{auth::Caller, json::Json, problem::Problem};

/// Replay many deliveries
///
/// Three modes. `failed` sends again what was given up: dead letters are retried in place, deliveries that failed because
/// the retry policy keeps no dead letters get a replay. `missing` sends one webhook the events that it subscribes to now
/// (types, source, filter) and that never went to it; it needs `webhook_id` and `from`. `filter` sends a replay of every
/// delivery that has ended and matches; it needs at least one condition. Tests are left out.
///
/// With `dry_run` the answer says how many match, and nothing is sent. Otherwise it is a job, which goes through what is
/// there now and nothing that comes later.
#[utoipa::path(post, path = "/api/v1/replays", tag = "Replays and jobs",
    request_body(content = ReplayRequest, example = json!({
        "mode": "failed",
        "webhook_id": "whk_01h455vb4pex5vsknk084sn02q",
        "from": "2026-11-22T10:00:00Z",
        "dry_run": true,
    })),
    responses(
        (status = 200, description = "With `dry_run`: how many match", body = ReplayCount),
        (status = 202, description = "The job", body = Job),
    ))]
pub async fn start(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(request): Json<ReplayRequest>,
) -> Result<Response, Problem> {
    Ok(match engine.replay_many(&actor, request).await? {
        Replayed::Counted(count) => Json(count).into_response(),
        Replayed::Job(job) => (StatusCode::ACCEPTED, Json(job)).into_response(),
    })
}
