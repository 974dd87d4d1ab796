//! The Inspector's receiving side: a receiver that takes everything, records it, and answers what its organization chose.
//!
//! Whoever knows an organization's token may send; nothing is read back here.

use std::time::Duration;

use axum::{
    extract::{OriginalUri, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use domain::api::{ApiError, ErrorCode, Header, InspectorResponse};
use engine::{Engine, InspectorHit};

use super::{body, problem::Problem};

/// How much of a body is read, in bytes: a whole delivery of the largest event, so that its signature can be checked. The
/// engine keeps the beginning of it.
const MAX_BODY: usize = domain::MAX_EVENT_BYTES + 64 * 1024;

/// Records a request, and answers when the time has come.
pub async fn record(
    State(engine): State<Engine>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
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
    let found = engine.inspector_record(token, hit).await?;
    let response = found.ok_or_else(|| ApiError::not_found("Inspector"))?;
    tokio::time::sleep(Duration::from_millis(response.delay_ms.into())).await;
    Ok(answer(response))
}

fn answer(response: InspectorResponse) -> Response {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&response.body).is_ok();
    let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
    let mut answer = (status, [(CONTENT_TYPE, HeaderValue::from_static(kind))], response.body).into_response();
    if let Some(seconds) = response.retry_after_s {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn list(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.to_string(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    headers.iter().map(header).collect()
}
