//! Delivery: from a lease to a stored outcome.
//!
//! What is in hand stands in [`lanes`], one per webhook. [`Inner::pump`] starts what may start; each started job is a
//! task that sends one try ([`attempt`]) and passes its outcome to the settler ([`settle`]), which stores outcomes in
//! batches. What did not fit in hand is fetched later by the claimer ([`claim`]). A webhook that fails too often is disabled and
//! tried now and then ([`probe`]). On a shared database [`heartbeat`] keeps this node's leases alive.
//!
//! When a process dies, its leases are taken back and the deliveries are tried again: at least once, never lost. When the
//! database is away, outcomes are kept and stored when it is back; meanwhile nothing new starts, because the places they
//! take are bounded. Leases whose statement failed on the way are found by [`stock`].

mod attempt;
mod claim;
mod heartbeat;
mod lanes;
mod probe;
mod settle;
mod stock;

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

pub(crate) use attempt::{PrefixedHeaders, StandardHeaders};
use bytes::Bytes;
pub(crate) use claim::run as claim;
use domain::{
    DeliveryId, EventId, NodeId, OrganizationId, PublicId, Timestamp, WebhookId, WebhookState,
    api::{Delivery, DeliveryKind},
    delivery::DeliveryState,
};
pub(crate) use heartbeat::{TTL_MS as LEASE_MS, run as heartbeat};
pub(crate) use lanes::{Lanes, Limits, Rules};
pub(crate) use probe::run as probe;
pub(crate) use settle::run as settle;
pub(crate) use stock::run as take_stock;
use storage::{Claimed, NextStep, Settlement};

use crate::{Inner, routing::Endpoint};

/// Longest sleep of [`pace`], in milliseconds: the clock may be set.
const LONGEST_PAUSE_MS: i64 = 1_000;

/// A try that was begun: by whom, of what, and its number.
pub(crate) type Try = (NodeId, DeliveryId, u32);

/// A delivery in hand: leased to this node, waiting for its turn or in flight.
pub(crate) struct Job {
    pub id: DeliveryId,
    pub organization: OrganizationId,
    pub webhook: WebhookId,
    pub event: EventId,
    pub event_type: Arc<str>,
    pub kind: DeliveryKind,
    /// Tries already made.
    pub attempts: u32,
    /// Those of them that the policy does not count.
    pub earlier_attempts: u32,
    pub replay_of: Option<DeliveryId>,
    /// Tried although its webhook is disabled, to see whether the endpoint is back.
    pub probe: bool,
    /// Read when it is sent, if it is large and was claimed.
    pub body: Option<Bytes>,
    /// Who holds the lease: this process, or what this process was before it was given up for dead.
    pub node: NodeId,
}

impl Job {
    pub(crate) fn claimed(claimed: Claimed, node: NodeId) -> Self {
        Self {
            id: claimed.id,
            organization: claimed.organization,
            webhook: claimed.webhook,
            event: claimed.event,
            event_type: claimed.event_type.into(),
            kind: claimed.kind,
            attempts: claimed.attempts,
            earlier_attempts: claimed.earlier_attempts,
            replay_of: claimed.replay_of,
            probe: false,
            body: claimed.body,
            node,
        }
    }

    /// Whether it has outlived the time that it is worth sending. What a person sends again is worth it.
    pub(crate) fn is_too_old(&self, endpoint: &Endpoint, at: Timestamp) -> bool {
        self.earlier_attempts == 0 && endpoint.is_too_old(self.id, at)
    }

    /// The try that it is for.
    fn begins(&self) -> Try {
        (self.node, self.id, self.attempts + 1)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }
}

/// A try that waits to be stored, with what the screens are told once it is. It counts as in flight until then, so that
/// a crash repeats at most what was in flight.
pub(crate) struct Tried {
    pub node: NodeId,
    /// Of the body, as its place in hand is counted.
    pub bytes: usize,
    pub settlement: Settlement,
    pub event: EventId,
    pub event_type: Arc<str>,
    pub webhook_name: Arc<str>,
    pub kind: DeliveryKind,
    pub replay_of: Option<DeliveryId>,
    pub probe: bool,
    /// Its webhook wants its deliveries in order.
    pub ordered: bool,
    /// When the receiver asked for the next request, of any delivery.
    pub pause_until: Option<Timestamp>,
}

impl Tried {
    fn begun(&self) -> Try {
        (self.node, self.settlement.delivery, self.settlement.attempt.number)
    }

    fn view(&self) -> Delivery {
        let settlement = &self.settlement;
        let (status, next_attempt_at, finished_at) = match settlement.next {
            NextStep::End(state, at) => (state, None, Some(at)),
            NextStep::RetryAt(at) => (DeliveryState::Retrying, Some(at), None),
        };
        Delivery {
            id: settlement.delivery,
            event_id: self.event,
            event: self.event_type.to_string(),
            webhook_id: settlement.webhook,
            webhook_name: self.webhook_name.to_string(),
            status,
            kind: self.kind,
            attempts: i64::from(settlement.attempt.number),
            created_at: settlement.delivery.created_at(),
            next_attempt_at,
            finished_at,
            response_status: settlement.attempt.response_status,
            error: settlement.attempt.error,
            duration_ms: Some(settlement.attempt.duration_ms),
            replay_of: self.replay_of,
        }
    }
}

impl Inner {
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes<Job>> {
        // Every change of the lanes is complete before anything that could panic.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts every job that may start.
    pub(crate) fn pump(self: &Arc<Self>) {
        while !self.stopping.is_cancelled() && self.holds_its_leases() {
            let now = self.clock.now();
            let mut lanes = self.lanes();
            let Some((job, bytes)) = lanes.pop(now) else {
                if lanes.next_wake().is_some() {
                    self.pacer.notify_one();
                }
                return;
            };
            self.begun().insert(job.begins());
            drop(lanes);
            let inner = Arc::clone(self);
            self.tasks.spawn(async move {
                let (begun, webhook) = (job.begins(), job.webhook);
                let tried = inner.carry_out(job, bytes).await;
                inner.answered(webhook, tried.as_ref().and_then(|tried| tried.pause_until));
                match tried {
                    // The settler lives until the last job is done, and ends the job when its outcome is stored.
                    Some(tried) => drop(inner.settler.send(tried).await),
                    None => inner.finished([(begun, webhook, bytes)]),
                }
            });
        }
    }

    /// A request is over; its receiver may get the next one, or has asked for a pause before it.
    fn answered(self: &Arc<Self>, webhook: WebhookId, pause_until: Option<Timestamp>) {
        {
            let mut lanes = self.lanes();
            if let Some(until) = pause_until {
                lanes.hold(webhook, self.clock.now(), until);
            }
            lanes.answered(webhook);
        }
        self.pump();
    }

    /// Frees the places of jobs that are done, and starts what may start now.
    pub(crate) fn finished(self: &Arc<Self>, jobs: impl IntoIterator<Item = (Try, WebhookId, usize)>) {
        let mut fetch_more = false;
        {
            let mut lanes = self.lanes();
            let mut begun = self.begun();
            for (ended, webhook, bytes) in jobs {
                begun.remove(&ended);
                fetch_more |= lanes.finish(webhook, bytes);
            }
        }
        if fetch_more {
            self.claimer.notify_one();
        }
        self.pump();
    }

    /// What a webhook asks of its lane here.
    pub(crate) fn rules(&self, endpoint: &Endpoint) -> Rules {
        endpoint.rules(self.nodes.load(Ordering::Relaxed))
    }

    /// Gives back what is held but will not be tried now.
    pub(crate) async fn give_back(&self, jobs: Vec<Job>) {
        let mut by_node: HashMap<NodeId, Vec<DeliveryId>> = HashMap::new();
        for job in jobs {
            by_node.entry(job.node).or_default().push(job.id);
        }
        for (node, deliveries) in by_node {
            self.noted(node, self.store.release(node, Some(deliveries)).await);
        }
        self.claimer.notify_one();
    }

    /// Gives back one delivery that could not be tried, with those that must not overtake it.
    async fn give_back_in_order(&self, job: Job, ordered: bool) {
        let mut jobs = vec![job];
        if ordered {
            let behind = self.lanes().drain(jobs[0].webhook);
            jobs.extend(behind);
        }
        self.give_back(jobs).await;
    }

    /// Tries a delivery once; `None` when there was nothing to try and it was given back.
    async fn carry_out(&self, mut job: Job, bytes: usize) -> Option<Tried> {
        if job.node != self.node() {
            // Its lease ended with the node that this process was.
            return None;
        }
        let snapshot = self.routing.current();
        let Some(endpoint) = snapshot.endpoint(job.webhook) else {
            self.noted(job.node, self.store.discard(job.node, vec![job.id], self.clock.now()).await);
            return None;
        };
        let now = self.clock.now();
        if job.is_too_old(endpoint, now) {
            self.noted(job.node, self.store.discard(job.node, vec![job.id], now).await);
            return None;
        }
        if endpoint.state != WebhookState::Active && !job.probe {
            self.give_back_in_order(job, endpoint.options.ordered).await;
            return None;
        }
        let body = match job.body.take() {
            Some(body) => body,
            None => match self.store.event_body(job.organization, job.event).await {
                Ok(Some(body)) => body,
                Ok(None) => {
                    self.noted(job.node, self.store.discard(job.node, vec![job.id], self.clock.now()).await);
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, delivery.id = %job.id, "a body cannot be read; its delivery waits");
                    self.give_back_in_order(job, endpoint.options.ordered).await;
                    return None;
                }
            },
        };
        let (settlement, pause_until) = attempt::attempt(self, &job, endpoint, body).await;
        Some(Tried {
            node: job.node,
            bytes,
            settlement,
            event: job.event,
            event_type: job.event_type,
            webhook_name: Arc::clone(&endpoint.name),
            kind: job.kind,
            replay_of: job.replay_of,
            probe: job.probe,
            ordered: endpoint.options.ordered,
            pause_until,
        })
    }
}

/// Starts what waited for its pace when it may go on.
pub(crate) async fn pace(inner: Arc<Inner>) {
    loop {
        let next = inner.lanes().next_wake();
        let pause = next.map(|next| next.since_ms(inner.clock.now()).clamp(1, LONGEST_PAUSE_MS));
        let pause = pause.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.pacer.notified() => {}
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => inner.pump(),
        }
    }
}
