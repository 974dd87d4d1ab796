//! What is known of one member of a group: its circuit.
//!
//! Closed while it works. It opens when it failed so often in a row, or in so much of a minute's work. Then it rests, longer
//! each time, and is probed by one node at a time, until it has proved itself.

use serde::{Deserialize, Serialize};

use super::{FLAP_WINDOW_MS, GOOD_TO_RESTORE};
use crate::{IntegrationId, Timestamp};

/// Longest that a probe may take, in milliseconds.
pub const PROBE_DEADLINE_MS: i64 = 10_000;
/// The first rest, and between two probes that succeed, in milliseconds. Each further failure adds as much.
pub(super) const OPEN_MS: i64 = 30_000;
/// The longest rest, in milliseconds.
const LONGEST_OPEN_MS: i64 = 300_000;
/// A share of failed work means something from so many results on, within [`RATE_WINDOW_MS`].
const RATE_LEAST: u32 = 20;
/// The span in which the share of failed work is taken, in milliseconds.
const RATE_WINDOW_MS: i64 = 60_000;
/// Results are counted together by so many milliseconds.
const SLOT_MS: i64 = 10_000;

/// Results of ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    at: Timestamp,
    good: u32,
    bad: u32,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub id: IntegrationId,
    /// Failures since it last worked.
    pub failures: u32,
    /// Good results since it last failed, up to [`GOOD_TO_RESTORE`].
    pub good: u32,
    /// It failed, and has not proved itself since.
    pub is_open: bool,
    /// How often it failed so within an hour of the time before.
    pub trips: u32,
    /// When it last did.
    pub tripped_at: Option<Timestamp>,
    /// When it is probed next.
    pub next_probe_at: Option<Timestamp>,
    /// A node probes it, until then at the latest.
    pub probing_until: Option<Timestamp>,
    recent: Vec<Slot>,
}

/// A time moved by up to ±20 %.
pub(super) fn jittered(ms: i64, share: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "minutes at most")]
    let moved = (ms as f64 * (0.8 + 0.4 * share.clamp(0.0, 1.0))) as i64;
    moved
}

impl Member {
    pub(super) const fn new(id: IntegrationId) -> Self {
        Self {
            id,
            failures: 0,
            good: 0,
            is_open: false,
            trips: 0,
            tripped_at: None,
            next_probe_at: None,
            probing_until: None,
            recent: Vec::new(),
        }
    }

    pub(super) fn hear(&mut self, threshold: u32, is_good: bool, is_active: bool, at: Timestamp, share: f64) {
        // What was under way when it opened says nothing new.
        if self.is_open && self.next_probe_at.is_some_and(|due| at < due) {
            return;
        }
        self.probing_until = None;
        self.count(is_good, at);
        if is_good {
            self.failures = 0;
            self.good = (self.good + 1).min(GOOD_TO_RESTORE);
            // Who does the work although it failed is the best there is: it needs no further proof.
            if self.is_open && (is_active || self.good >= GOOD_TO_RESTORE) {
                self.close();
            }
        } else {
            self.failures = self.failures.saturating_add(1);
            self.good = 0;
            if self.is_open || self.failures >= threshold || self.fails_mostly() {
                self.open(at);
            }
        }
        let rest = if self.is_open && !is_good {
            OPEN_MS.saturating_mul(self.trips.into()).min(LONGEST_OPEN_MS)
        } else {
            OPEN_MS
        };
        // Whether a probe is wanted at all is for the group to say.
        self.next_probe_at = Some(at.plus_ms(jittered(rest, share)));
    }

    /// It is taken to work.
    pub(super) fn close(&mut self) {
        self.is_open = false;
        self.failures = 0;
        self.recent.clear();
    }

    fn open(&mut self, at: Timestamp) {
        let is_again = self.tripped_at.is_some_and(|before| at.since_ms(before) < FLAP_WINDOW_MS);
        self.trips = if is_again { self.trips.saturating_add(1) } else { 1 };
        self.tripped_at = Some(at);
        self.is_open = true;
        self.recent.clear();
    }

    fn count(&mut self, is_good: bool, at: Timestamp) {
        let begin = Timestamp::from_millis(at.millis().div_euclid(SLOT_MS) * SLOT_MS);
        self.recent.retain(|slot| at.since_ms(slot.at) < RATE_WINDOW_MS);
        if self.recent.last().is_none_or(|slot| slot.at != begin) {
            self.recent.push(Slot { at: begin, good: 0, bad: 0 });
        }
        if let Some(slot) = self.recent.last_mut() {
            let counted = if is_good { &mut slot.good } else { &mut slot.bad };
            *counted = counted.saturating_add(1);
        }
    }

    /// More than half of at least twenty results.
    fn fails_mostly(&self) -> bool {
        let bad: u32 = self.recent.iter().map(|slot| slot.bad).sum();
        let all: u32 = bad + self.recent.iter().map(|slot| slot.good).sum::<u32>();
        all >= RATE_LEAST && bad * 2 > all
    }
}
