//! By what deliveries and events are filtered, beside what they are.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::Timestamp;

/// What a receiver answered, by the first digit of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CodeClass {
    /// It succeeded.
    #[serde(rename = "2xx")]
    Success,
    /// It pointed elsewhere.
    #[serde(rename = "3xx")]
    Redirect,
    /// It refused.
    #[serde(rename = "4xx")]
    Client,
    /// It failed.
    #[serde(rename = "5xx")]
    Server,
    /// It was tried and did not answer.
    #[serde(rename = "none")]
    None,
}

impl CodeClass {
    /// All classes.
    pub const ALL: [Self; 5] = [Self::Success, Self::Redirect, Self::Client, Self::Server, Self::None];

    /// As sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::Client => "4xx",
            Self::Server => "5xx",
            Self::None => "none",
        }
    }

    /// The first status of the class; `None` for no answer.
    pub const fn first(self) -> Option<u16> {
        match self {
            Self::Success => Some(200),
            Self::Redirect => Some(300),
            Self::Client => Some(400),
            Self::Server => Some(500),
            Self::None => None,
        }
    }

    /// Whether the last try of `delivery` was answered so.
    pub fn holds(self, delivery: &Delivery) -> bool {
        match self.first() {
            Some(first) => delivery.response_status.is_some_and(|status| (first..first + 100).contains(&status)),
            None => delivery.error.is_some() && delivery.response_status.is_none(),
        }
    }
}

impl fmt::Display for CodeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CodeClass {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or(())
    }
}

/// A time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TimeRange {
    /// 15 minutes.
    #[serde(rename = "15m")]
    Minutes15,
    /// 60 minutes.
    #[serde(rename = "1h")]
    Hour,
    /// 24 hours.
    #[serde(rename = "24h")]
    Day,
    /// Seven times 24 hours.
    #[serde(rename = "7d")]
    Week,
    /// Thirty times 24 hours.
    #[serde(rename = "30d")]
    Month,
}

impl TimeRange {
    /// All ranges, the shortest first.
    pub const ALL: [Self; 5] = [Self::Minutes15, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minutes15 => "15m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// When it begins.
    pub fn before(self, now: Timestamp) -> Timestamp {
        let minutes = match self {
            Self::Minutes15 => 15,
            Self::Hour => 60,
            Self::Day => 24 * 60,
            Self::Week => 7 * 24 * 60,
            Self::Month => 30 * 24 * 60,
        };
        now.plus_ms(-minutes * 60_000)
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TimeRange {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|range| range.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for class in CodeClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
        for range in TimeRange::ALL {
            assert_eq!(range.as_str().parse(), Ok(range));
            assert_eq!(serde_json::to_string(&range).unwrap(), format!("\"{}\"", range.as_str()));
        }
    }

    #[test]
    fn ranges_end_now() {
        let now = Timestamp::from_millis(100 * 86_400_000);
        let hours = TimeRange::ALL.map(|range| now.since_ms(range.before(now)) / 900_000);
        assert_eq!(hours, [1, 4, 96, 672, 2880]);
    }
}
