//! The claimer: fetches deliveries that are due and that nobody holds, as far as there is room for them.
//!
//! It sleeps until the next delivery is due, until somebody says that there is work, or at most [`POLL`]: on a shared
//! database another node may have left work behind.

use std::{sync::Arc, time::Duration};

use domain::{Timestamp, WebhookState};

use super::Job;
use crate::Inner;

/// Longest sleep.
const POLL: Duration = Duration::from_secs(1);
/// Webhooks in one claim.
const WEBHOOKS: usize = 64;
/// Deliveries in one claim. With the largest body that travels with a claim these are 64 MB.
const DELIVERIES: usize = 1_024;
/// Most deliveries of one webhook in one claim.
const PER_WEBHOOK: usize = 256;

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        let pause = match fetch(&inner).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "due deliveries cannot be fetched; trying again");
                POLL
            }
        };
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.claimer.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Claims what is due and fits; answers how long there is nothing to do.
async fn fetch(inner: &Arc<Inner>) -> storage::Result<Duration> {
    let half_a_lane = inner.config.webhook_queue / 2;
    loop {
        let now = inner.clock.now();
        let snapshot = inner.routing.current();
        let mut due = Vec::new();
        let mut next: Option<Timestamp> = None;
        let waiting = inner.store.waiting().await?;
        {
            let mut lanes = inner.lanes();
            for (webhook, due_at) in waiting {
                // Deleted webhooks are claimed too: their deliveries are ended when their turn comes.
                if snapshot.endpoint(webhook).is_some_and(|endpoint| endpoint.state != WebhookState::Active) {
                    continue;
                }
                if due_at > now {
                    next = Some(next.map_or(due_at, |next| next.min(due_at)));
                } else if lanes.room(webhook) >= half_a_lane {
                    due.push(webhook);
                } else {
                    lanes.refill_later(webhook);
                }
            }
        }
        if due.is_empty() {
            let until =
                next.map_or(POLL, |next| Duration::from_millis(u64::try_from(next.since_ms(now)).unwrap_or_default()));
            return Ok(until.min(POLL));
        }
        due.truncate(WEBHOOKS);
        let per_webhook = (DELIVERIES / due.len()).min(PER_WEBHOOK).min(half_a_lane).max(1);
        let node = inner.node();
        let claimed = inner.store.claim(node, due, u32::try_from(per_webhook).unwrap_or(u32::MAX), now).await?;
        if claimed.is_empty() {
            // Another node was faster, or this one was given up: the heartbeat will say.
            return Ok(POLL);
        }
        {
            let mut lanes = inner.lanes();
            for claimed in claimed {
                let job = Job::claimed(claimed, node);
                let bytes = job.bytes();
                lanes.admit(job.organization, job.webhook, job, bytes);
            }
        }
        inner.pump();
        if inner.stopping.is_cancelled() {
            return Ok(POLL);
        }
    }
}
