//! What one HTTP try came to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Why a try was not a success. One vocabulary for storage, metrics, filters and retry rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ErrorClass {
    /// The name did not resolve.
    Dns,
    /// Nothing listens there.
    ConnectRefused,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The certificate or the handshake was refused.
    Tls,
    /// Connected, but no whole answer before the deadline.
    Timeout,
    /// The connection was cut.
    Reset,
    /// What came back was not HTTP.
    Protocol,
    /// 3xx: never followed.
    Redirect,
    /// 4xx other than 410 and 429.
    Client,
    /// 429.
    RateLimited,
    /// 5xx.
    Server,
    /// 410: the receiver wants no more.
    Gone,
    /// The address is one that requests are not sent to.
    Blocked,
    /// Headers beyond what is read.
    TooLarge,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 14] = [
        Self::Dns,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Redirect,
        Self::Client,
        Self::RateLimited,
        Self::Server,
        Self::Gone,
        Self::Blocked,
        Self::TooLarge,
    ];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Client => "client",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Gone => "gone",
            Self::Blocked => "blocked",
            Self::TooLarge => "too_large",
        }
    }

    /// A few words for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Dns => "DNS resolution failed",
            Self::ConnectRefused => "Connection refused",
            Self::ConnectTimeout => "Connection timed out",
            Self::Tls => "SSL certificate verification failed",
            Self::Timeout => "Timed out",
            Self::Reset => "Connection reset",
            Self::Protocol => "Invalid HTTP response",
            Self::Redirect => "Redirect (not followed)",
            Self::Client => "Client error",
            Self::RateLimited => "Rate limited",
            Self::Server => "Server error",
            Self::Gone => "Gone",
            Self::Blocked => "Address not allowed",
            Self::TooLarge => "Response headers too large",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ErrorClass {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or(())
    }
}

/// What one try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// When the receiver asked to be tried again (`Retry-After`), already turned into a moment.
        retry_after: Option<Timestamp>,
    },
    /// It did not.
    Unanswered(ErrorClass),
}

impl Outcome {
    /// Why this is not a success; `None` when it is (2xx, and only 2xx).
    pub const fn error(self) -> Option<ErrorClass> {
        match self {
            Self::Unanswered(class) => Some(class),
            Self::Answered { status, .. } => match status {
                200..=299 => None,
                300..=399 => Some(ErrorClass::Redirect),
                410 => Some(ErrorClass::Gone),
                429 => Some(ErrorClass::RateLimited),
                400..=499 => Some(ErrorClass::Client),
                500..=599 => Some(ErrorClass::Server),
                _ => Some(ErrorClass::Protocol),
            },
        }
    }
}
