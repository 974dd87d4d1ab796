//! What becomes of a delivery after a try. Pure: the same facts give the same verdict.

use super::{ErrorClass, Outcome};
use crate::{RetryPolicy, Timestamp};

/// Longest wait that a receiver can ask for with `Retry-After`, in milliseconds: one hour.
pub const RETRY_AFTER_CAP_MS: i64 = 3_600_000;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Delivered,
    /// Try again then.
    RetryAt(Timestamp),
    /// Give up and keep it for a person.
    DeadLetter,
    /// Give up.
    Failed,
}

/// Judges the `attempt`-th try (1 is the first) of a delivery.
///
/// `random` is uniform in `0.0..1.0` and decides the jitter. A receiver that sends `Retry-After` is never tried before
/// that moment, up to [`RETRY_AFTER_CAP_MS`]; on 429 it is an invitation to come back, so such an answer is retried even
/// where the policy does not retry 429 in general.
///
/// ```
/// use domain::{RetryPolicy, Timestamp, delivery::{Outcome, Verdict, verdict}};
/// let policy = RetryPolicy { jitter: domain::Jitter::None, ..RetryPolicy::default() };
/// let failed = Outcome::Answered { status: 500, retry_after: None };
/// let now = Timestamp::from_millis(0);
/// assert_eq!(verdict(failed, &policy, 1, now, 0.5), Verdict::RetryAt(Timestamp::from_millis(5_000)));
/// assert_eq!(verdict(failed, &policy, 4, now, 0.5), Verdict::DeadLetter);
/// ```
pub fn verdict(outcome: Outcome, policy: &RetryPolicy, attempt: u32, now: Timestamp, random: f64) -> Verdict {
    let Some(error) = outcome.error() else { return Verdict::Delivered };
    let asked = match outcome {
        Outcome::Answered { retry_after, .. } => retry_after,
        Outcome::Unanswered(_) => None,
    };
    let invited = error == ErrorClass::RateLimited && asked.is_some();
    if attempt <= policy.retries() && (policy.retry_on.contains(error) || invited) {
        let scheduled = now.plus_ms(policy.delay_ms(attempt, random));
        let asked = asked.map_or(now, |at| at.min(now.plus_ms(RETRY_AFTER_CAP_MS)));
        return Verdict::RetryAt(scheduled.max(asked));
    }
    if policy.dead_letters { Verdict::DeadLetter } else { Verdict::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backoff, Jitter, RetryOn};
    use proptest::prelude::*;

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            (0..ErrorClass::ALL.len()).prop_map(|index| Outcome::Unanswered(ErrorClass::ALL[index])),
            (100_u16..600, proptest::option::of(0_i64..10_000_000)).prop_map(|(status, after)| Outcome::Answered {
                status,
                retry_after: after.map(Timestamp::from_millis)
            }),
        ]
    }

    fn policies() -> impl Strategy<Value = RetryPolicy> {
        let strategy = prop_oneof![
            Just(Backoff::Exponential),
            Just(Backoff::Linear),
            Just(Backoff::Fixed),
            proptest::collection::vec(1_u32..86_400, 1..20).prop_map(Backoff::List),
        ];
        let jitter = prop_oneof![Just(Jitter::None), Just(Jitter::TwentyPercent), Just(Jitter::Full)];
        (strategy, jitter, 1_u32..=10, 1_u32..=300, 10_u32..=300, any::<bool>()).prop_map(
            |(strategy, jitter, max_retries, initial_delay_s, max_delay_s, dead_letters)| RetryPolicy {
                strategy,
                jitter,
                max_retries,
                initial_delay_s,
                max_delay_s,
                dead_letters,
                retry_on: RetryOn { client_errors: true, rate_limited: true, ..RetryOn::default() },
                ..RetryPolicy::default()
            },
        )
    }

    proptest! {
        #[test]
        fn success_is_2xx_and_nothing_else(outcome in outcomes(), policy in policies(), attempt in 1_u32..30) {
            let success = matches!(outcome, Outcome::Answered { status: 200..=299, .. });
            let verdict = verdict(outcome, &policy, attempt, Timestamp::from_millis(0), 0.5);
            prop_assert_eq!(verdict == Verdict::Delivered, success);
        }

        #[test]
        fn a_retry_lies_in_the_future_and_within_bounds(outcome in outcomes(), policy in policies(), attempt in 1_u32..30, random in 0.0..1.0) {
            let now = Timestamp::from_millis(1_000_000);
            if let Verdict::RetryAt(at) = verdict(outcome, &policy, attempt, now, random) {
                prop_assert!(attempt <= policy.retries());
                prop_assert!(at >= now);
                let longest = match &policy.strategy {
                    Backoff::List(delays) => delays.iter().copied().max().unwrap_or(0),
                    _ => policy.max_delay_s,
                };
                prop_assert!(at.since_ms(now) <= (i64::from(longest) * 1200).max(RETRY_AFTER_CAP_MS));
            }
        }

        #[test]
        fn every_delivery_ends(policy in policies(), outcome in outcomes()) {
            let last = verdict(outcome, &policy, policy.retries() + 1, Timestamp::from_millis(0), 0.5);
            prop_assert!(!matches!(last, Verdict::RetryAt(_)));
        }

        #[test]
        fn dead_letters_only_where_wanted(policy in policies(), outcome in outcomes(), attempt in 1_u32..30) {
            let verdict = verdict(outcome, &policy, attempt, Timestamp::from_millis(0), 0.5);
            prop_assert!(verdict != Verdict::DeadLetter || policy.dead_letters);
            prop_assert!(verdict != Verdict::Failed || !policy.dead_letters);
        }
    }

    #[test]
    fn retry_after_is_honoured_and_capped() {
        let policy = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() };
        let now = Timestamp::from_millis(0);
        let busy = |status, seconds: i64| Outcome::Answered { status, retry_after: Some(now.plus_ms(seconds * 1000)) };
        assert_eq!(verdict(busy(503, 30), &policy, 1, now, 0.5), Verdict::RetryAt(now.plus_ms(30_000)));
        assert_eq!(verdict(busy(503, 1), &policy, 1, now, 0.5), Verdict::RetryAt(now.plus_ms(5_000)));
        assert_eq!(
            verdict(busy(503, 999_999), &policy, 1, now, 0.5),
            Verdict::RetryAt(now.plus_ms(RETRY_AFTER_CAP_MS))
        );
        assert_eq!(verdict(busy(429, 30), &policy, 1, now, 0.5), Verdict::RetryAt(now.plus_ms(30_000)));
        let bare = Outcome::Answered { status: 429, retry_after: None };
        assert_eq!(verdict(bare, &policy, 1, now, 0.5), Verdict::DeadLetter);
    }
}
