//! What the Inspector answers, so that failures can be rehearsed before a receiver has them.

use serde::{Deserialize, Serialize};

use crate::Problems;

/// Longest delay, in milliseconds: that of the longest timeout which is worth rehearsing.
const MAX_DELAY_MS: u32 = 30_000;
/// Longest body, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024;
/// Longest `Retry-After`, in seconds: a day.
const MAX_RETRY_AFTER_S: u32 = 86_400;

/// What the Inspector answers to every request, after it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InspectorResponse {
    /// HTTP status, 200–599.
    pub status: u16,
    /// How long it waits before it answers, in milliseconds, up to 30,000.
    pub delay_ms: u32,
    /// The body, up to 8 KB.
    pub body: String,
    /// Value of a `Retry-After` header in seconds, up to 86,400; none when not given.
    pub retry_after_s: Option<u32>,
}

impl Default for InspectorResponse {
    fn default() -> Self {
        Self { status: 200, delay_ms: 0, body: r#"{"status":"received"}"#.to_owned(), retry_after_s: None }
    }
}

impl InspectorResponse {
    /// Checks every limit.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !(200..=599).contains(&self.status) {
            problems.add("status", "Status must be between 200 and 599");
        }
        if self.delay_ms > MAX_DELAY_MS {
            problems.add("delay_ms", "Delay must not be longer than 30,000 ms");
        }
        if self.body.len() > MAX_BODY_BYTES {
            problems.add("body", "The body must not be larger than 8 KB");
        }
        if self.retry_after_s.is_some_and(|seconds| seconds > MAX_RETRY_AFTER_S) {
            problems.add("retry_after_s", "Retry-After must not be longer than 86,400 seconds");
        }
        problems.or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_at_the_field() {
        let default = InspectorResponse::default;
        assert_eq!(default().validate(), Ok(()));
        let longest =
            InspectorResponse { status: 599, delay_ms: 30_000, body: "x".repeat(8_192), retry_after_s: Some(86_400) };
        assert_eq!(longest.validate(), Ok(()));
        for (field, response) in [
            ("status", InspectorResponse { status: 199, ..default() }),
            ("status", InspectorResponse { status: 600, ..default() }),
            ("delay_ms", InspectorResponse { delay_ms: 30_001, ..default() }),
            ("body", InspectorResponse { body: "x".repeat(8_193), ..default() }),
            ("retry_after_s", InspectorResponse { retry_after_s: Some(86_401), ..default() }),
        ] {
            assert_eq!(response.validate().unwrap_err().into_vec()[0].field, field);
        }
    }
}
