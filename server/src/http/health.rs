//! For operators: is it alive, is it ready, how is it doing. Open to whoever reaches the port: nothing here is secret, and
//! a reverse proxy that faces the world should not pass these paths on.

use axum::{
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use domain::api::ErrorCode;
use engine::Engine;

use super::{metrics, problem::Problem};

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The database answers too: requests can be sent here.
pub async fn ready(State(engine): State<Engine>) -> Result<&'static str, Problem> {
    if engine.ready().await {
        return Ok("ok\n");
    }
    Err(Problem::new(ErrorCode::Unavailable, "The database does not answer"))
}

/// Counters and gauges in the Prometheus text format.
pub async fn metrics(State(engine): State<Engine>) -> Response {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, content_type)], metrics::render(&engine.metrics())).into_response()
}
