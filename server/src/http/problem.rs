//! Errors on their way out: problem details (RFC 9457) with a request id.
//!
//! An error does not know which request it belongs to. It travels in the response's extensions, and [`super::request`]
//! writes the body when it knows the id; so every error of the API, whoever made it, looks the same.

use axum::{
    body::Body,
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use domain::api::{ApiError, ErrorCode};

/// An error as an answer. `?` makes it of whatever an [`ApiError`] is made of.
#[derive(Debug)]
pub struct Problem(ApiError);

impl Problem {
    /// An error with what happened and what to do.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(ApiError::new(code, detail))
    }
}

impl<E: Into<ApiError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(seconds) = error.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if error.code == ErrorCode::Unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"signalbox\""));
        }
        response.extensions_mut().insert(error);
        response
    }
}

/// Writes the body of a response that is a [`Problem`].
pub fn write_body(response: &mut Response, request_id: &str) {
    let Some(mut error) = response.extensions_mut().remove::<ApiError>() else { return };
    error.request_id = Some(request_id.to_owned());
    if error.code == ErrorCode::Internal {
        tracing::error!(detail = error.detail, "a request failed");
    }
    let body = serde_json::to_vec(&error).expect("an ApiError has only texts and numbers");
    *response.body_mut() = Body::from(body);
    // A router on the way may have measured the body that was not there yet.
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
}

/// The answer under `/api` where nothing is.
pub async fn unknown_path(method: Method, uri: Uri) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("There is no {method} {}. See /api/docs", uri.path()))
}

/// The answer to a method that a path does not have; axum adds `Allow`.
pub async fn unknown_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not answer {method}; the Allow header says what it answers", uri.path());
    let title = "Method not allowed".to_owned();
    Problem(ApiError { status: 405, title, ..ApiError::new(ErrorCode::InvalidRequest, detail) })
}
