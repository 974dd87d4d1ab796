//! The key by which a caller names what is to be done once: in the header `Idempotency-Key`, or in the body.

use axum::http::{HeaderMap, HeaderName};
use domain::api::ErrorCode;

use super::problem::Problem;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key, from wherever it was given; refused when both places name one and they differ.
pub fn key(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(&HEADER) else { return Ok(in_body) };
    let Ok(key) = key.to_str() else {
        return Err(Problem::new(ErrorCode::InvalidRequest, "The Idempotency-Key header must be ASCII"));
    };
    if in_body.is_some_and(|other| other != key) {
        let detail = "The Idempotency-Key header and idempotency_key in the body differ; send one of them";
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    Ok(Some(key.to_owned()))
}
