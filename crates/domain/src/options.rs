//! How fast, in what order and for how long deliveries go to one webhook (DL5, WH6, WH7).

use serde::{Deserialize, Serialize};

use crate::{Problems, Timestamp};

/// What a webhook asks of its deliveries beside the retry policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryOptions {
    /// Most tries begun per second, 1–1,000, over all nodes; without it there is no limit. Up to one second's worth may
    /// begin at once.
    pub rate_limit_per_s: Option<u32>,
    /// Most requests of one node that are not answered yet, 1–64; without it 64.
    pub max_in_flight: Option<u32>,
    /// One at a time, in the order in which the events were accepted, also over retries: while a delivery waits for its
    /// retry, those behind it wait too.
    pub ordered: bool,
    /// Seconds after which a delivery that was not delivered is discarded, 60–2,592,000 (30 days); without it never.
    pub time_to_live_s: Option<u32>,
    /// Failed tries in a row after which the webhook is disabled, 1–1,000; 0 for never.
    pub disable_after: u32,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self { rate_limit_per_s: None, max_in_flight: None, ordered: false, time_to_live_s: None, disable_after: 10 }
    }
}

impl DeliveryOptions {
    /// The most that [`Self::max_in_flight`] can be.
    pub const MAX_IN_FLIGHT: u32 = 64;

    /// Checks every limit.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.rate_limit_per_s.is_some_and(|rate| !(1..=1_000).contains(&rate)) {
            problems.add("rate_limit_per_s", "Rate limit must be between 1 and 1000 per second");
        }
        if self.max_in_flight.is_some_and(|most| !(1..=Self::MAX_IN_FLIGHT).contains(&most)) {
            problems.add("max_in_flight", "Requests in flight must be between 1 and 64");
        }
        if self.time_to_live_s.is_some_and(|seconds| !(60..=2_592_000).contains(&seconds)) {
            problems.add("time_to_live_s", "Time to live must be between 60 seconds and 30 days");
        }
        if self.disable_after > 1_000 {
            problems.add("disable_after", "Failures before disabling must be at most 1000 (0 for never)");
        }
        problems.or(())
    }

    /// When a delivery created at `created_at` is too old to be sent.
    pub fn expires_at(&self, created_at: Timestamp) -> Option<Timestamp> {
        Some(created_at.plus_ms(i64::from(self.time_to_live_s?) * 1000))
    }

    /// Whether this many failures in a row deserve a warning: half of what disables.
    pub const fn warns_at(&self, failures: i64) -> bool {
        self.disable_after > 1 && failures * 2 >= self.disable_after as i64
    }

    /// Whether this many failures in a row disable.
    pub const fn disables_at(&self, failures: i64) -> bool {
        self.disable_after > 0 && failures >= self.disable_after as i64
    }
}

/// How long what has ended is kept (OP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retention {
    /// Days for which payloads of events are kept, 1–365. A delivery whose payload is gone cannot be sent again.
    pub payload_days: u32,
    /// Days for which deliveries and their attempts are kept, 1–365, not shorter than payloads.
    pub history_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { payload_days: 30, history_days: 90 }
    }
}

impl Retention {
    /// Checks every limit.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for (field, days) in [("payload_days", self.payload_days), ("history_days", self.history_days)] {
            if !(1..=365).contains(&days) {
                problems.add(field, "Retention must be between 1 and 365 days");
            }
        }
        if problems.is_empty() && self.history_days < self.payload_days {
            problems.add("history_days", "Deliveries must be kept at least as long as payloads");
        }
        problems.or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_at_the_field() {
        let default = DeliveryOptions::default();
        assert!(default.validate().is_ok());
        for (field, options) in [
            ("rate_limit_per_s", DeliveryOptions { rate_limit_per_s: Some(0), ..default }),
            ("rate_limit_per_s", DeliveryOptions { rate_limit_per_s: Some(1_001), ..default }),
            ("max_in_flight", DeliveryOptions { max_in_flight: Some(0), ..default }),
            ("max_in_flight", DeliveryOptions { max_in_flight: Some(65), ..default }),
            ("time_to_live_s", DeliveryOptions { time_to_live_s: Some(59), ..default }),
            ("disable_after", DeliveryOptions { disable_after: 1_001, ..default }),
        ] {
            assert_eq!(options.validate().unwrap_err().into_vec()[0].field, field);
        }
    }

    #[test]
    fn a_warning_comes_at_half() {
        let options = DeliveryOptions::default();
        assert!(!options.warns_at(4) && options.warns_at(5));
        assert!(!options.disables_at(9) && options.disables_at(10));
        let never = DeliveryOptions { disable_after: 0, ..options };
        assert!(!never.warns_at(1_000) && !never.disables_at(1_000));
    }

    #[test]
    fn payloads_do_not_outlive_their_deliveries() {
        assert!(Retention::default().validate().is_ok());
        assert!(Retention { payload_days: 31, history_days: 30 }.validate().is_err());
        assert!(Retention { payload_days: 0, history_days: 30 }.validate().is_err());
    }
}
