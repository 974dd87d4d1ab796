//! When a failed delivery is tried again: the policy and its arithmetic (UC §13, §17).

use serde::{Deserialize, Serialize};

use crate::{Problems, Timestamp, delivery::ErrorClass};

/// How delays grow from one retry to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Backoff {
    /// Doubles: 5 s, 10 s, 20 s …
    Exponential,
    /// Grows by the initial delay: 5 s, 10 s, 15 s …
    Linear,
    /// Stays at the initial delay.
    Fixed,
    /// These delays in seconds, one for each retry; their number is the number of retries.
    List(Vec<u32>),
}

/// Randomness added to a delay, so that receivers are not hit by all senders at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Jitter {
    /// Exactly the delay.
    None,
    /// The delay ±20 %.
    TwentyPercent,
    /// Anywhere between zero and the delay.
    Full,
}

/// Which failures are worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(clippy::struct_excessive_bools, reason = "six independent tick boxes of UC §13")]
pub struct RetryOn {
    /// 5xx.
    pub server_errors: bool,
    /// No connection or no answer in time.
    pub timeouts: bool,
    /// Refused or cut connections, TLS failures, answers that are not HTTP.
    pub connection_failures: bool,
    /// Names that do not resolve.
    pub dns_failures: bool,
    /// 429. With `Retry-After` it is retried in any case.
    pub rate_limited: bool,
    /// 3xx and 4xx other than 410 and 429.
    pub client_errors: bool,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            server_errors: true,
            timeouts: true,
            connection_failures: true,
            dns_failures: true,
            rate_limited: false,
            client_errors: false,
        }
    }
}

impl RetryOn {
    /// Whether a failure of this class is tried again. 410 and forbidden addresses never are.
    pub const fn contains(self, class: ErrorClass) -> bool {
        match class {
            ErrorClass::Server => self.server_errors,
            ErrorClass::Timeout | ErrorClass::ConnectTimeout => self.timeouts,
            ErrorClass::ConnectRefused
            | ErrorClass::Reset
            | ErrorClass::Tls
            | ErrorClass::Protocol
            | ErrorClass::TooLarge => self.connection_failures,
            ErrorClass::Dns => self.dns_failures,
            ErrorClass::RateLimited => self.rate_limited,
            ErrorClass::Client | ErrorClass::Redirect => self.client_errors,
            ErrorClass::Gone | ErrorClass::Blocked => false,
        }
    }
}

/// How an organization, or one webhook, retries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryPolicy {
    /// How delays grow.
    pub strategy: Backoff,
    /// Retries after the first try, 1–10. A list has as many as it has entries.
    pub max_retries: u32,
    /// First delay in seconds, 1–300; with the fixed strategy every delay.
    pub initial_delay_s: u32,
    /// Longest delay in seconds, 10–300; does not bind a list.
    pub max_delay_s: u32,
    /// Randomness added to each delay.
    pub jitter: Jitter,
    /// Deadline of one try in seconds, 1–60, from the name lookup to the last byte of the answer.
    pub timeout_s: u32,
    /// Which failures are tried again.
    pub retry_on: RetryOn,
    /// Whether a delivery that is given up is kept as a dead letter.
    pub dead_letters: bool,
    /// Days for which a dead letter is kept, 1–90.
    pub dead_letter_retention_days: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            strategy: Backoff::Exponential,
            max_retries: 3,
            initial_delay_s: 5,
            max_delay_s: 60,
            jitter: Jitter::TwentyPercent,
            timeout_s: 30,
            retry_on: RetryOn::default(),
            dead_letters: true,
            dead_letter_retention_days: 7,
        }
    }
}

/// Policies that people ask for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RetryPreset {
    /// Three retries within a minute: 5 s, 10 s, 20 s.
    Quick,
    /// Six retries within a day and a half: 1 min, 5 min, 15 min, 1 h, 4 h, 24 h.
    Patient,
    /// The schedule that Standard Webhooks recommends: nine retries from 5 s to 24 h, three days altogether.
    StandardWebhooks,
}

impl RetryPreset {
    /// All presets.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Patient, Self::StandardWebhooks];

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Quick => "Quick",
            Self::Patient => "Patient",
            Self::StandardWebhooks => "Standard Webhooks",
        }
    }

    /// `policy` with the schedule of this preset; what is not a schedule stays.
    pub fn apply(self, policy: &RetryPolicy) -> RetryPolicy {
        let list = |seconds: &[u32]| Backoff::List(seconds.to_vec());
        match self {
            Self::Quick => RetryPolicy {
                strategy: Backoff::Exponential,
                max_retries: 3,
                initial_delay_s: 5,
                max_delay_s: 60,
                ..policy.clone()
            },
            Self::Patient => RetryPolicy { strategy: list(&[60, 300, 900, 3_600, 14_400, 86_400]), ..policy.clone() },
            Self::StandardWebhooks => RetryPolicy {
                strategy: list(&[5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]),
                ..policy.clone()
            },
        }
    }
}

/// When one retry happens if every try before it fails at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryTime {
    /// 1 is the first retry.
    pub retry: u32,
    /// Wait before it in milliseconds, without jitter.
    pub delay_ms: i64,
    /// When it happens without jitter.
    pub at: Timestamp,
    /// When it happens if jitter shortens every wait as far as it can.
    pub earliest_at: Timestamp,
    /// When it happens if jitter lengthens every wait as far as it can.
    pub latest_at: Timestamp,
}

impl RetryPolicy {
    /// Most entries of a list strategy.
    pub const MAX_LIST: usize = 20;

    /// Retries after the first try.
    pub fn retries(&self) -> u32 {
        match &self.strategy {
            Backoff::List(delays) => u32::try_from(delays.len()).unwrap_or(u32::MAX),
            _ => self.max_retries,
        }
    }

    /// Milliseconds to wait before the `retry`-th retry (1 is the first), without jitter.
    pub fn base_delay_ms(&self, retry: u32) -> i64 {
        let step = retry.max(1) - 1;
        let initial = u64::from(self.initial_delay_s);
        let seconds = match &self.strategy {
            Backoff::Exponential => initial.saturating_mul(1_u64.checked_shl(step).unwrap_or(u64::MAX)),
            Backoff::Linear => initial.saturating_mul(u64::from(step) + 1),
            Backoff::Fixed => initial,
            Backoff::List(delays) => {
                let index = (step as usize).min(delays.len().saturating_sub(1));
                return delays.get(index).map_or(0, |seconds| i64::from(*seconds) * 1000);
            }
        };
        i64::try_from(seconds.min(u64::from(self.max_delay_s))).unwrap_or(i64::MAX / 1000) * 1000
    }

    /// Milliseconds to wait before the `retry`-th retry; `random` is uniform in `0.0..1.0`.
    pub fn delay_ms(&self, retry: u32, random: f64) -> i64 {
        let base = self.base_delay_ms(retry);
        let factor = match self.jitter {
            Jitter::None => return base,
            Jitter::TwentyPercent => 0.8 + 0.4 * random,
            Jitter::Full => random,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "delays are far below 2^52 ms"
        )]
        let delay = (base as f64 * factor) as i64;
        delay
    }

    /// When each retry happens after a first try at `start`.
    pub fn preview(&self, start: Timestamp) -> Vec<RetryTime> {
        let (mut at, mut earliest_at, mut latest_at) = (start, start, start);
        (1..=self.retries())
            .map(|retry| {
                let delay_ms = self.base_delay_ms(retry);
                at = at.plus_ms(delay_ms);
                earliest_at = earliest_at.plus_ms(self.delay_ms(retry, 0.0));
                latest_at = latest_at.plus_ms(self.delay_ms(retry, 1.0));
                RetryTime { retry, delay_ms, at, earliest_at, latest_at }
            })
            .collect()
    }

    /// Checks every limit of UC §17, with its words.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        match &self.strategy {
            Backoff::List(delays) => {
                if delays.is_empty() || delays.len() > Self::MAX_LIST {
                    problems.add("strategy", format!("Give between 1 and {} delays", Self::MAX_LIST));
                }
                if delays.iter().any(|delay| !(1..=604_800).contains(delay)) {
                    problems.add("strategy", "Each delay must be between 1 second and 7 days");
                }
            }
            Backoff::Exponential | Backoff::Linear | Backoff::Fixed => {
                match self.max_retries {
                    0 => problems.add("max_retries", "Minimum retry count is 1"),
                    1..=10 => {}
                    _ => problems.add("max_retries", "Maximum retry count is 10"),
                }
                match self.initial_delay_s {
                    0 => problems.add("initial_delay_s", "Minimum delay is 1 second"),
                    1..=300 => {}
                    _ => problems.add("initial_delay_s", "Maximum delay is 300 seconds (5 minutes)"),
                }
                match self.max_delay_s {
                    0..10 => problems.add("max_delay_s", "Minimum max delay is 10 seconds"),
                    10..=300 if self.max_delay_s < self.initial_delay_s => {
                        problems.add("max_delay_s", "Maximum delay must not be shorter than the initial delay");
                    }
                    10..=300 => {}
                    _ => problems.add("max_delay_s", "Maximum delay cannot exceed 300 seconds"),
                }
            }
        }
        if !(1..=60).contains(&self.timeout_s) {
            problems.add("timeout_s", "Timeout must be between 1 and 60 seconds");
        }
        if !(1..=90).contains(&self.dead_letter_retention_days) {
            problems.add("dead_letter_retention_days", "Retention must be between 1 and 90 days");
        }
        problems.or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delays(strategy: Backoff) -> Vec<i64> {
        let policy = RetryPolicy { strategy, max_retries: 6, ..RetryPolicy::default() };
        (1..=policy.retries()).map(|retry| policy.base_delay_ms(retry) / 1000).collect()
    }

    #[test]
    fn strategies_grow_as_their_names_say() {
        assert_eq!(delays(Backoff::Exponential), [5, 10, 20, 40, 60, 60]);
        assert_eq!(delays(Backoff::Linear), [5, 10, 15, 20, 25, 30]);
        assert_eq!(delays(Backoff::Fixed), [5; 6]);
        assert_eq!(
            delays(Backoff::List(vec![60, 300, 900, 3_600, 14_400, 86_400])),
            [60, 300, 900, 3_600, 14_400, 86_400]
        );
    }

    #[test]
    fn presets_are_valid_and_keep_what_is_no_schedule() {
        for preset in RetryPreset::ALL {
            let policy = preset.apply(&RetryPolicy { timeout_s: 7, ..RetryPolicy::default() });
            assert!(policy.validate().is_ok(), "{}", preset.title());
            assert_eq!(policy.timeout_s, 7);
        }
        let hours = |policy: RetryPolicy| {
            policy.preview(Timestamp::from_millis(0)).last().map(|last| last.at.millis() / 3_600_000)
        };
        assert_eq!(hours(RetryPreset::StandardWebhooks.apply(&RetryPolicy::default())), Some(75));
    }

    #[test]
    fn a_preview_adds_the_waits_up() {
        let times = RetryPolicy::default().preview(Timestamp::from_millis(0));
        let seconds =
            |of: fn(&RetryTime) -> Timestamp| times.iter().map(|time| of(time).millis() / 1000).collect::<Vec<_>>();
        assert_eq!(seconds(|time| time.at), [5, 15, 35]);
        assert_eq!(seconds(|time| time.earliest_at), [4, 12, 28]);
        assert_eq!(seconds(|time| time.latest_at), [6, 18, 42]);
    }

    #[test]
    fn limits_have_the_words_of_the_specification() {
        let problem = |policy: RetryPolicy| policy.validate().unwrap_err().into_vec()[0].message.clone();
        let default = RetryPolicy::default;
        assert!(default().validate().is_ok());
        assert_eq!(problem(RetryPolicy { max_retries: 0, ..default() }), "Minimum retry count is 1");
        assert_eq!(problem(RetryPolicy { max_retries: 11, ..default() }), "Maximum retry count is 10");
        assert_eq!(problem(RetryPolicy { max_delay_s: 9, ..default() }), "Minimum max delay is 10 seconds");
        assert_eq!(problem(RetryPolicy { max_delay_s: 301, ..default() }), "Maximum delay cannot exceed 300 seconds");
        assert_eq!(problem(RetryPolicy { initial_delay_s: 0, ..default() }), "Minimum delay is 1 second");
        assert_eq!(
            problem(RetryPolicy { initial_delay_s: 301, max_delay_s: 300, ..default() }),
            "Maximum delay is 300 seconds (5 minutes)"
        );
    }

    proptest! {
        #[test]
        fn jitter_stays_where_it_says(retry in 1_u32..40, random in 0.0..1.0) {
            let with = |jitter| RetryPolicy { jitter, ..RetryPolicy::default() };
            let base = with(Jitter::None).base_delay_ms(retry);
            prop_assert_eq!(with(Jitter::None).delay_ms(retry, random), base);
            let twenty = with(Jitter::TwentyPercent).delay_ms(retry, random);
            prop_assert!(twenty * 10 >= base * 8 - 10 && twenty * 10 <= base * 12);
            prop_assert!((0..=base).contains(&with(Jitter::Full).delay_ms(retry, random)));
        }

        #[test]
        fn delays_never_shrink(retry in 1_u32..100) {
            for strategy in [Backoff::Exponential, Backoff::Linear, Backoff::Fixed] {
                let policy = RetryPolicy { strategy, ..RetryPolicy::default() };
                prop_assert!(policy.base_delay_ms(retry) <= policy.base_delay_ms(retry + 1));
            }
        }
    }
}
