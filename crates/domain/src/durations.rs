//! Durations counted in slots, so that percentiles come from sums and never from the history.
//!
//! A slot is a quarter of a doubling: each is 19 % wider than the one before, and a percentile read from slots is off by at
//! most half of that.

/// Slots per doubling.
const PER_DOUBLING: f64 = 4.0;
/// Longest duration told apart, in milliseconds: more than any deadline.
const LONGEST_MS: i64 = 120_000;

/// The slot that counts a duration in milliseconds.
pub fn duration_slot(duration_ms: i64) -> i64 {
    let ms = duration_ms.clamp(0, LONGEST_MS);
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 4 × log2(120,001) = 68")]
    let slot = (((ms + 1) as f64).log2() * PER_DOUBLING).round() as i64;
    slot
}

/// The duration in milliseconds that stands for a slot.
fn middle_ms(slot: i64) -> i64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "slots are at most 68")]
    let ms = (slot as f64 / PER_DOUBLING).exp2().round() as i64 - 1;
    ms
}

/// The duration in milliseconds that the share `q` (0–1) of what `slots` count does not exceed. `slots` are pairs of slot
/// and count in rising order of slots. `None` when nothing was counted.
pub fn duration_percentile_ms(slots: &[(i64, i64)], q: f64) -> Option<i64> {
    let total: i64 = slots.iter().map(|(_, count)| count).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let rank = ((total as f64 * q).ceil() as i64).max(1);
    let mut seen = 0;
    slots.iter().find_map(|(slot, count)| {
        seen += count;
        (seen >= rank).then(|| middle_ms(*slot))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn nothing_counted_has_no_percentile() {
        assert_eq!(duration_percentile_ms(&[], 0.5), None);
    }

    proptest! {
        #[test]
        fn a_slot_stands_for_durations_near_it(ms in 0_i64..LONGEST_MS) {
            let middle = middle_ms(duration_slot(ms));
            prop_assert!((middle - ms).abs() * 10 <= ms + 10, "{ms} is counted as {middle}");
        }

        #[test]
        fn percentiles_are_near_the_exact_ones(mut all in proptest::collection::vec(0_i64..60_000, 1..200), q in 0.01_f64..1.0) {
            let mut slots = BTreeMap::new();
            for ms in &all {
                *slots.entry(duration_slot(*ms)).or_insert(0) += 1;
            }
            all.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a few hundred")]
            let exact = all[((all.len() as f64 * q).ceil() as usize).max(1) - 1];
            let slots: Vec<_> = slots.into_iter().collect();
            let found = duration_percentile_ms(&slots, q).expect("something was counted");
            prop_assert!((found - exact).abs() * 10 <= exact + 10, "{exact} was found as {found}");
        }
    }
}
