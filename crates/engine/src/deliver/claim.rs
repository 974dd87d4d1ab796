//! The claimer: fetches deliveries that are due and that nobody holds, as far as there is room for them.
//!
//! It sleeps until the next delivery is due, until somebody says that there is work, or at most [`POLL`]: on a shared
//! database another node may have left work behind.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{Timestamp, WebhookId, WebhookState};

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

/// How soon a queue whose head another node holds is looked at again, in milliseconds.
const HELD_ELSEWHERE_MS: i64 = 250;

/// A clock that is set back by less is waited for, in milliseconds.
const SET_BACK_MS: i64 = 1_000;

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut latest = inner.clock.now();
    loop {
        let fetched = match follow_clock(&inner, &mut latest).await {
            Ok(()) => fetch(&inner).await,
            Err(error) => Err(error),
        };
        let pause = match fetched {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "due deliveries cannot be fetched; trying again");
                inner.unsure.notify_one();
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

/// What waits was dated by the clock as it was. When that is set back, it would wait for so much longer.
async fn follow_clock(inner: &Inner, latest: &mut Timestamp) -> storage::Result<()> {
    let now = inner.clock.now();
    let back_ms = latest.since_ms(now);
    if back_ms >= SET_BACK_MS {
        let moved = inner.store.bring_forward(now, back_ms).await?;
        tracing::warn!(back_ms, moved, "the clock was set back; what waits is due so much earlier");
    }
    *latest = now;
    Ok(())
}

/// Claims what is due and fits; answers how long there is nothing to do.
async fn fetch(inner: &Arc<Inner>) -> storage::Result<Duration> {
    // Webhooks that want their order and whose head is not due, until when.
    let mut blocked: HashMap<WebhookId, Timestamp> = HashMap::new();
    let half_a_lane = inner.config.webhook_queue / 2;
    loop {
        let now = inner.clock.now();
        let snapshot = inner.routing.current();
        let mut due = Vec::new();
        let mut in_order = Vec::new();
        let mut next: Option<Timestamp> = None;
        let waiting = inner.store.waiting().await?;
        {
            let mut lanes = inner.lanes();
            for (webhook, due_at) in waiting {
                let endpoint = snapshot.endpoint(webhook);
                if endpoint.is_some_and(|endpoint| endpoint.state != WebhookState::Active) {
                    continue;
                }
                let ordered = endpoint.is_some_and(|endpoint| endpoint.options.ordered);
                let due_at = blocked.get(&webhook).copied().unwrap_or(due_at);
                if ordered && lanes.in_hand(webhook) > 0 {
                    lanes.refill_later(webhook);
                } else if ordered && due_at <= now {
                    in_order.push(webhook);
                } else if due_at > now {
                    next = Some(next.map_or(due_at, |next| next.min(due_at)));
                } else if lanes.room(webhook) >= half_a_lane {
                    due.push(webhook);
                } else {
                    lanes.refill_later(webhook);
                }
            }
        }
        if due.is_empty() && in_order.is_empty() {
            let until =
                next.map_or(POLL, |next| Duration::from_millis(u64::try_from(next.since_ms(now)).unwrap_or_default()));
            return Ok(until.min(POLL));
        }
        due.truncate(WEBHOOKS);
        in_order.truncate(WEBHOOKS);
        let per_webhook = (DELIVERIES / (due.len() + in_order.len())).min(PER_WEBHOOK).min(half_a_lane).max(1);
        let per_webhook = u32::try_from(per_webhook).unwrap_or(u32::MAX);
        let _leasing = inner.leasing.read().await;
        let node = inner.node();
        let was_blocked = blocked.len();
        let mut claimed =
            if due.is_empty() { Vec::new() } else { inner.store.claim(node, due, per_webhook, now).await? };
        for webhook in in_order {
            let (mut taken, head) = inner.store.claim_in_order(node, webhook, per_webhook, now).await?;
            if taken.is_empty() {
                // Held by another node: its end is not announced here.
                blocked.insert(webhook, head.unwrap_or(now.plus_ms(HELD_ELSEWHERE_MS)));
            }
            claimed.append(&mut taken);
        }
        if claimed.is_empty() && blocked.len() == was_blocked {
            // Another node was faster, or this one was given up: the heartbeat will say.
            return Ok(POLL);
        }
        let mut ended = Vec::new();
        {
            let mut lanes = inner.lanes();
            for claimed in claimed {
                let job = Job::claimed(claimed, node);
                // Deleted webhooks were claimed too, to end their deliveries here.
                match snapshot.endpoint(job.webhook) {
                    Some(endpoint) if !job.is_too_old(endpoint, now) => {
                        let bytes = job.bytes();
                        lanes.admit(inner.rules(endpoint), job.webhook, job, bytes);
                    }
                    _ => ended.push(job.id),
                }
            }
        }
        if !ended.is_empty() {
            inner.store.discard(node, ended, now).await?;
        }
        inner.pump();
        if inner.stopping.is_cancelled() {
            return Ok(POLL);
        }
    }
}
