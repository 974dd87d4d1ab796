//! Whether an integration works: what follows from one result after the other.
//!
//! Pure: [`Pulse::after`] takes what was known and one result, and answers what is known now. One bad result proves
//! nothing, so it takes several in a row to be down and several to be up again (`research/connections.md` §2.7).

use serde::{Deserialize, Serialize};

use crate::{Timestamp, catalogue::Fault, words::words};

/// Bad results in a row that mean down.
pub const BAD_TO_DOWN: u32 = 3;
/// Good results in a row that mean up again.
pub const GOOD_TO_UP: u32 = 2;
/// A good result that took longer is a warning (UC §10), in milliseconds.
pub const SLOW_MS: u32 = 3_000;
/// The share of good results that an integration should reach (UC §5), in percent.
pub const UPTIME_TARGET_PERCENT: f64 = 99.9;
/// Shortest and longest interval between checks, in seconds.
pub const CHECK_INTERVAL_S: (u32, u32) = (10, 86_400);
/// The interval where none was chosen (UC §10: every 5 minutes), in seconds.
pub const DEFAULT_CHECK_INTERVAL_S: u32 = 300;

words! {
    /// How an integration is.
    pub enum Health {
        /// Nothing is known yet.
        Unknown = "unknown",
        /// It works.
        Healthy = "healthy",
        /// It works, but slowly.
        Degraded = "degraded",
        /// It does not work.
        Down = "down",
        /// Somebody works on it: nothing is concluded from what fails.
        Maintenance = "maintenance",
    }
}

impl Health {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Down => "Down",
            Self::Maintenance => "Maintenance",
        }
    }
}

/// What a probe or real work found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// When.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// What was wrong; `None` is good. What is not the provider's failing (a refused recipient) is no finding.
    pub fault: Option<Fault>,
    /// What is told of it, in words for people.
    pub message: String,
    /// What the provider said, or how far it came; at most 2,000 characters.
    pub detail: String,
    /// Whether it was real work, not a probe.
    pub is_work: bool,
}

words! {
    /// What one check came to, with what was known before.
    pub enum Verdict {
        /// It works.
        Healthy = "healthy",
        /// It works, but slowly.
        Degraded = "degraded",
        /// It did not work this time, which proves nothing yet.
        Suspect = "suspect",
        /// It does not work.
        Down = "down",
    }
}

/// What is known of an integration's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pulse {
    /// How it is.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// Bad results since the last good one.
    pub bad: u32,
    /// Good results since the last bad one, up to as many as matter.
    pub good: u32,
    /// Slow results since the last that was not, up to as many as matter.
    pub slow: u32,
}

impl Pulse {
    /// Of something new.
    pub const fn unknown(now: Timestamp) -> Self {
        Self { health: Health::Unknown, since: now, bad: 0, good: 0, slow: 0 }
    }

    /// What is known after one more result.
    #[must_use]
    pub fn after(self, finding: &Finding) -> Self {
        let is_good = finding.fault.is_none();
        let is_slow = is_good && finding.latency_ms > SLOW_MS;
        let next = Self {
            bad: if is_good { 0 } else { self.bad.saturating_add(1) },
            good: if is_good { (self.good + 1).min(GOOD_TO_UP) } else { 0 },
            slow: if is_slow { (self.slow + 1).min(BAD_TO_DOWN) } else { 0 },
            ..self
        };
        let health = match self.health {
            _ if next.bad >= BAD_TO_DOWN => Health::Down,
            Health::Down if next.good < GOOD_TO_UP => Health::Down,
            _ if is_slow => Health::Degraded,
            // What was never bad needs no second proof.
            Health::Unknown if is_good => Health::Healthy,
            Health::Degraded | Health::Down if next.good >= GOOD_TO_UP => Health::Healthy,
            unchanged => unchanged,
        };
        let since = if health == self.health { self.since } else { finding.at };
        Self { health, since, ..next }
    }

    /// Whether the last result was bad without proving anything yet: it is looked at again sooner.
    pub const fn is_suspect(&self) -> bool {
        self.bad > 0 && self.bad < BAD_TO_DOWN
    }

    /// What the last result came to.
    pub const fn verdict(&self) -> Verdict {
        match self.health {
            Health::Down => Verdict::Down,
            _ if self.bad > 0 => Verdict::Suspect,
            Health::Degraded => Verdict::Degraded,
            Health::Unknown | Health::Healthy | Health::Maintenance => Verdict::Healthy,
        }
    }

    /// How long to wait for the next check, in milliseconds: sooner while it is suspect. `share` (0–1) moves it by up to
    /// ±10 %, so that checks do not march in step.
    pub fn pause_ms(&self, interval_s: u32, share: f64) -> i64 {
        let whole = f64::from(interval_s) * 1_000.0;
        let base = if self.is_suspect() { (whole / 5.0).max(5_000.0).min(whole) } else { whole };
        #[expect(clippy::cast_possible_truncation, reason = "at most a day and a tenth")]
        let pause = (base * (0.9 + 0.2 * share.clamp(0.0, 1.0))) as i64;
        pause
    }
}

/// When the first check of something is due: at a place in its interval that depends on its id alone, so that many
/// integrations spread over the interval however they were made. In milliseconds from the start of the interval.
pub fn first_check_ms(id: u128, interval_s: u32) -> i64 {
    let [low, high] = [id & u128::from(u64::MAX), id >> 64].map(|half| u64::try_from(half).unwrap_or_default());
    let mut mixed = low ^ high;
    // splitmix64: neighbouring ids land far from each other.
    mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    i64::try_from(mixed % (u64::from(interval_s.max(1)) * 1_000)).unwrap_or_default()
}

/// What repeated faults suggest (UC §5).
pub fn pattern(faults: &[Fault]) -> Option<&'static str> {
    let (first, rest) = faults.split_first()?;
    if rest.len() < 2 {
        return None;
    }
    if rest.iter().any(|fault| fault != first) {
        return Some("Different errors one after the other suggest an outage at the provider");
    }
    Some(match first {
        Fault::Timeout => "Repeated timeouts suggest network/firewall issue",
        Fault::Refused => {
            "Repeated refusals suggest that the host or the port is wrong, or that the service is stopped"
        }
        Fault::Dns => "Repeated name errors suggest a wrong host name or a broken resolver",
        Fault::Reset => "Repeated resets suggest a proxy or firewall that cuts connections",
        Fault::Tls => {
            "Repeated certificate errors suggest an expired certificate or the wrong port for this encryption"
        }
        Fault::Authentication => {
            "Repeated authentication failures suggest that the key or password expired or was changed"
        }
        Fault::RateLimited => "Repeated rate limits suggest that the plan's quota is used up",
        Fault::Outage => "Repeated server errors suggest an outage at the provider",
        Fault::Blocked => "The host resolves to a private address, which outgoing requests may not go to",
        Fault::Misconfigured => "A secret that the configuration refers to is missing",
        Fault::Garbage => "Answers that make no sense suggest that something else listens at this address",
        Fault::Rejected => "Repeated refusals of single requests suggest that their content is wrong",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finding(fault: Option<Fault>, latency_ms: u32) -> Finding {
        let at = Timestamp::from_millis(1);
        Finding { at, latency_ms, fault, message: String::new(), detail: String::new(), is_work: false }
    }

    fn run(results: &[(Option<Fault>, u32)]) -> Health {
        let start = Pulse::unknown(Timestamp::from_millis(0));
        results.iter().fold(start, |pulse, (fault, ms)| pulse.after(&finding(*fault, *ms))).health
    }

    #[test]
    fn thresholds() {
        let (good, slow, bad) = ((None, 10), (None, 3_001), (Some(Fault::Timeout), 10));
        assert_eq!(run(&[]), Health::Unknown);
        assert_eq!(run(&[good]), Health::Healthy);
        assert_eq!(run(&[bad, bad]), Health::Unknown);
        assert_eq!(run(&[good, bad, bad]), Health::Healthy);
        assert_eq!(run(&[good, bad, bad, bad]), Health::Down);
        assert_eq!(run(&[good, bad, good, bad, good, bad]), Health::Healthy);
        assert_eq!(run(&[bad, bad, bad, good]), Health::Down);
        assert_eq!(run(&[bad, bad, bad, good, bad, good]), Health::Down);
        assert_eq!(run(&[bad, bad, bad, good, good]), Health::Healthy);
        assert_eq!(run(&[good, slow]), Health::Degraded);
        assert_eq!(run(&[good, slow, good]), Health::Healthy);
        assert_eq!(run(&[bad, bad, bad, slow, slow]), Health::Degraded);
    }

    proptest! {
        /// Whatever comes, only three bad results in a row end in down, and down ends only after two good ones.
        #[test]
        fn down_is_proved(results in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut pulse = Pulse::unknown(Timestamp::from_millis(0));
            for (index, good) in results.iter().enumerate() {
                let before = pulse.health;
                pulse = pulse.after(&finding((!good).then_some(Fault::Outage), 1));
                if before != Health::Down && pulse.health == Health::Down {
                    prop_assert!(results[index - 2..=index].iter().all(|good| !good));
                }
                if before == Health::Down && pulse.health != Health::Down {
                    prop_assert!(results[index - 1..=index].iter().all(|good| *good));
                }
            }
        }

        #[test]
        fn pauses_stay_near_the_interval(interval in 10_u32..86_400, share in 0.0..=1.0) {
            let pulse = Pulse::unknown(Timestamp::from_millis(0));
            let pause = pulse.pause_ms(interval, share);
            prop_assert!(pause >= i64::from(interval) * 899 && pause <= i64::from(interval) * 1_101);
            let suspect = Pulse { bad: 1, ..pulse };
            prop_assert!(suspect.pause_ms(interval, share) <= pause);
        }

        #[test]
        fn first_checks_fall_inside_the_interval(id: u128, interval in 10_u32..86_400) {
            prop_assert!((0..i64::from(interval) * 1_000).contains(&first_check_ms(id, interval)));
        }
    }

    #[test]
    fn first_checks_are_spread() {
        // 500 integrations made one after the other, in 60 seconds: no second has more than 2.5 times the mean.
        let mut seconds = [0_u32; 60];
        for n in 0..500_u128 {
            let id = (0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + (n << 80)) | n;
            seconds[usize::try_from(first_check_ms(id, 60) / 1_000).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| *count <= 20), "{seconds:?}");
    }

    #[test]
    fn verdicts() {
        let after = |results: &[(Option<Fault>, u32)]| {
            let start = Pulse::unknown(Timestamp::from_millis(0));
            results.iter().fold(start, |pulse, (fault, ms)| pulse.after(&finding(*fault, *ms))).verdict()
        };
        let (good, slow, bad) = ((None, 10), (None, 3_001), (Some(Fault::Timeout), 10));
        assert_eq!(after(&[good]), Verdict::Healthy);
        assert_eq!(after(&[slow]), Verdict::Degraded);
        assert_eq!(after(&[good, bad]), Verdict::Suspect);
        assert_eq!(after(&[bad]), Verdict::Suspect);
        assert_eq!(after(&[bad, bad, bad]), Verdict::Down);
        assert_eq!(after(&[bad, bad, bad, good]), Verdict::Down);
    }

    #[test]
    fn patterns_need_three() {
        assert_eq!(pattern(&[Fault::Timeout; 2]), None);
        assert_eq!(pattern(&[Fault::Timeout; 5]), Some("Repeated timeouts suggest network/firewall issue"));
        assert!(pattern(&[Fault::Timeout, Fault::Tls, Fault::Dns]).is_some_and(|text| text.starts_with("Different")));
    }
}
