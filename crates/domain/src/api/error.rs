//! The one error that callers see, as problem details (RFC 9457).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FieldError, Problems};

/// What went wrong, as a word that programs can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ErrorCode {
    /// The body or a parameter cannot be read.
    InvalidRequest,
    /// Nobody is signed in, or the key is unknown, revoked or expired.
    Unauthorized,
    /// Known, but not allowed to.
    Forbidden,
    /// Not there, or not in this organization.
    NotFound,
    /// Somebody was faster, or the name is taken, or the state does not allow it.
    Conflict,
    /// It was there, and is not kept any more.
    Gone,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// Fields were refused; `errors` says which.
    ValidationFailed,
    /// Too many requests.
    RateLimited,
    /// Our fault. The request id finds it in the log.
    Internal,
    /// Not now: overloaded, stopping, or the database is away. Nothing was stored.
    Unavailable,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::PayloadTooLarge => 413,
            Self::ValidationFailed => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// A few words for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request cannot be read",
            Self::Unauthorized => "Sign in or send a valid API key",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::Conflict => "Conflict",
            Self::Gone => "Not kept any more",
            Self::PayloadTooLarge => "Payload too large",
            Self::ValidationFailed => "Some fields need attention",
            Self::RateLimited => "Too many requests",
            Self::Internal => "Something went wrong on our side",
            Self::Unavailable => "Temporarily unavailable",
        }
    }
}

/// Problem details. Never carries database text or secrets: it is part of the public interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// A stable word.
    pub code: ErrorCode,
    /// A few words that go with the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// The refused fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Finds this request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds after which it is worth trying again; also the `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl ApiError {
    /// An error with what happened and what to do.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            errors: Vec::new(),
            request_id: None,
            retry_after_s: None,
        }
    }

    /// `what` (such as "Webhook") is not there.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{what} not found"))
    }

    /// The message for `field`, if it was refused.
    pub fn field(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        let errors = problems.into_vec();
        let detail = errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join(". ");
        Self { errors, ..Self::new(ErrorCode::ValidationFailed, detail) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ApiError {}
