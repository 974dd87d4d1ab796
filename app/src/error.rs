//! The error of every server function: the API's own error, so that a screen and a program read the same words. It refuses to
//! carry anything that is not part of the public interface.

use std::fmt;

use domain::api::{ApiError, ErrorCode};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::codec::JsonText;

/// An [`ApiError`] on its way to a screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallError(pub ApiError);

impl CallError {
    /// Whether the session has ended.
    pub fn is_signed_out(&self) -> bool {
        self.0.code == ErrorCode::Unauthorized
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl std::error::Error for CallError {}

#[cfg(feature = "ssr")]
impl From<ApiError> for CallError {
    fn from(mut error: ApiError) -> Self {
        error.request_id = error.request_id.or_else(crate::ssr::request_id);
        Self(error)
    }
}

impl FromServerFnError for CallError {
    type Encoder = JsonText;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let (code, detail) = match error {
            ServerFnErrorErr::Request(_) => (
                ErrorCode::Unavailable,
                "The server cannot be reached. What you typed is still here; try again in a moment.",
            ),
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Serialization(_) => {
                (ErrorCode::InvalidRequest, "The server did not understand the request. Reload the page and try again.")
            }
            // A page that was open during an upgrade meets answers that it does not know.
            ServerFnErrorErr::Deserialization(_) => {
                (ErrorCode::Unavailable, "The server's answer could not be read. Reload the page and try again.")
            }
            _ => (ErrorCode::Internal, "The server could not answer. Try again in a moment."),
        };
        Self(ApiError::new(code, detail))
    }

    fn status_code(&self) -> http::StatusCode {
        http::StatusCode::from_u16(self.0.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }
}
