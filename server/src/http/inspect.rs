//! The Inspector's receiving side: a receiver that takes everything, records it, and answers 200.
//!
//! Whoever knows an organization's token may send; nothing is read back here.

use axum::{
    extract::{OriginalUri, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::IntoResponse,
};
use domain::api::{ApiError, ErrorCode, Header};
use engine::{Engine, InspectorHit};
use serde::Serialize;

use super::{body, json::Json, problem::Problem};

/// How much of a body is read, in bytes: a whole delivery of the largest event, so that its signature can be checked. The
/// engine keeps the beginning of it.
const MAX_BODY: usize = domain::MAX_EVENT_BYTES + 64 * 1024;

#[derive(Serialize)]
struct Received {
    status: &'static str,
}

/// Records a request.
pub async fn record(
    State(engine): State<Engine>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let (parts, body) = request.into_parts();
    let below = uri.path().trim_start_matches("/inspect/");
    let (token, path) = below.split_at(below.find('/').unwrap_or(below.len()));
    let body = body::read(body, MAX_BODY)
        .await
        .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "The body ended early"))?;
    let hit = InspectorHit {
        method: parts.method.to_string(),
        path: uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")),
        headers: list(&parts.headers),
        body: body.bytes,
        truncated: body.truncated,
    };
    if engine.inspector_record(token, hit).await? {
        Ok(Json(Received { status: "received" }))
    } else {
        Err(ApiError::not_found("Inspector").into())
    }
}

fn list(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.to_string(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    headers.iter().map(header).collect()
}
