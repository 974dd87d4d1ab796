//! Numbers for operators. Counting costs one atomic addition; how they are written is the server's business.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something that only grows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    EventsAccepted,
    AttemptsSucceeded,
    AttemptsFailed,
}

#[derive(Default)]
pub(crate) struct Counters {
    events_accepted: AtomicU64,
    attempts_succeeded: AtomicU64,
    attempts_failed: AtomicU64,
}

impl Counters {
    pub(crate) fn add(&self, counter: Counter, amount: u64) {
        self.cell(counter).fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.cell(counter).load(Ordering::Relaxed)
    }

    const fn cell(&self, counter: Counter) -> &AtomicU64 {
        match counter {
            Counter::EventsAccepted => &self.events_accepted,
            Counter::AttemptsSucceeded => &self.attempts_succeeded,
            Counter::AttemptsFailed => &self.attempts_failed,
        }
    }
}

/// The numbers of one node at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Metrics {
    /// Events stored since this process started.
    pub events_accepted: u64,
    /// Tries that ended with 2xx since this process started.
    pub attempts_succeeded: u64,
    /// Tries that did not.
    pub attempts_failed: u64,
    /// Requests in flight now.
    pub in_flight: usize,
    /// Deliveries in hand now: in flight or waiting for their turn.
    pub in_hand: usize,
    /// Questions to the database since this process started.
    pub database_reads: u64,
}
