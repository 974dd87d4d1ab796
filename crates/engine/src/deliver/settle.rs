//! The settler: stores what tries came to, many in one commit.
//!
//! It takes whatever is queued, so that a batch is as large as the database is slow. When the database refuses, the batch
//! is kept and tried again until it is stored. A try is in flight until then, so that nothing new starts beyond the limits
//! of the lanes.

use std::{sync::Arc, time::Duration};

use domain::delivery::ErrorClass;
use storage::{NextStep, Settlement};
use tokio::sync::mpsc;

use super::Tried;
use crate::{Inner, live::LiveEvent, metrics::Counter};

/// Most outcomes in one commit.
const BATCH: usize = 512;
/// Longest wait between two tries to store a batch.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Runs until every sender is gone and everything is stored.
pub(crate) async fn run(inner: Arc<Inner>, mut queue: mpsc::Receiver<Tried>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            taken = queue.recv_many(&mut batch, BATCH) => if taken == 0 { return },
            // The senders live as long as the engine: when nothing can come any more, what is queued is the rest.
            () = inner.drained.cancelled() => {
                queue.close();
                if queue.recv_many(&mut batch, BATCH).await == 0 {
                    return;
                }
            }
        }
        // Usually one node; two just after this process was given up for dead and became another.
        while let Some(node) = batch.first().map(|tried| tried.node) {
            let (now, later) = batch.drain(..).partition(|tried: &Tried| tried.node == node);
            batch = later;
            store(&inner, node, now).await;
        }
    }
}

async fn store(inner: &Arc<Inner>, node: domain::NodeId, batch: Vec<Tried>) {
    let settlements: Arc<[Settlement]> = batch.iter().map(|tried| tried.settlement.clone()).collect();
    let mut pause = Duration::from_millis(50);
    let settled = loop {
        match inner.store.settle(node, Arc::clone(&settlements)).await {
            Ok(settled) => break settled,
            Err(error) => {
                tracing::error!(%error, outcomes = settlements.len(), "outcomes cannot be stored; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    };
    let behind = hold_back(inner, &batch);
    inner.finished(batch.iter().map(|tried| (tried.begun(), tried.settlement.webhook, tried.bytes)));
    if !behind.is_empty() {
        inner.give_back(behind).await;
    }
    for (webhook, failures) in settled.failing {
        let of_it = |tried: &&Tried| {
            tried.settlement.webhook == webhook
                && tried.settlement.counts_to_health
                && tried.settlement.attempt.error.is_some()
        };
        inner.judge_failures(webhook, failures, i64::try_from(batch.iter().filter(of_it).count()).unwrap_or(i64::MAX));
    }
    for (tried, counted) in batch.iter().zip(settled.counted) {
        if counted {
            announce(inner, tried);
        } else {
            tracing::warn!(delivery.id = %tried.settlement.delivery, node.id = %node, "a late outcome was refused: the lease had ended");
        }
    }
}

/// Takes out what must not overtake a delivery that waits for its retry.
fn hold_back(inner: &Arc<Inner>, batch: &[Tried]) -> Vec<super::Job> {
    let retries = |tried: &&Tried| tried.ordered && matches!(tried.settlement.next, NextStep::RetryAt(_));
    batch.iter().filter(retries).flat_map(|tried| inner.lanes().drain(tried.settlement.webhook)).collect()
}

fn announce(inner: &Arc<Inner>, tried: &Tried) {
    let settlement = &tried.settlement;
    match settlement.attempt.error {
        None => inner.metrics.add(Counter::AttemptsSucceeded, 1),
        Some(_) => inner.metrics.add(Counter::AttemptsFailed, 1),
    }
    if tried.probe && settlement.attempt.error.is_none() {
        let (inner, organization, webhook) = (Arc::clone(inner), settlement.organization, settlement.webhook);
        inner.clone().workers.spawn(async move { inner.enable_recovered(organization, webhook).await });
    }
    if settlement.attempt.error == Some(ErrorClass::Gone) {
        let (inner, organization, webhook) = (Arc::clone(inner), settlement.organization, settlement.webhook);
        inner.clone().workers.spawn(async move { inner.disable_gone(organization, webhook).await });
    }
    if matches!(settlement.next, NextStep::RetryAt(_)) {
        inner.claimer.notify_one();
    }
    inner.live.tried(settlement.delivery);
    inner.live.deliveries_changed(std::iter::once(settlement.organization));
    if inner.live.is_followed() {
        inner.live.send(settlement.organization, LiveEvent::Delivery { delivery: tried.view() });
    }
}
