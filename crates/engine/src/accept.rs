//! Acceptance: many callers, one commit.
//!
//! Callers put their events into a bounded queue and wait. A few workers each take what is queued, store it in one
//! transaction, hand the deliveries that got a lease to the dispatcher, and only then answer. What does not fit into the
//! queue is refused at once: the caller gets a 503 and knows that nothing was stored.

use std::sync::Arc;

use domain::{
    NodeId, PublicId, WebhookState,
    api::{Accepted, ApiError, Delivery, ErrorCode},
    delivery::DeliveryState,
};
use storage::{IngestOutcome, NewEvent};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{Inner, Result, deliver::Job, error::refused, live::LiveEvent, metrics::Counter};

/// Most events in one commit.
const BATCH_EVENTS: usize = 512;
/// Callers that may wait.
pub(crate) const QUEUE: usize = 2048;
/// Bytes of event bodies that may wait, in units of one kilobyte.
pub(crate) const QUEUE_KB: usize = 64 * 1024;

/// Events of one caller.
pub(crate) struct Submission {
    events: Vec<NewEvent>,
    reply: oneshot::Sender<Result<Vec<Accepted>>>,
}

impl Inner {
    /// Stores events; answers in order, when they are on disk.
    pub(crate) async fn accept(self: &Arc<Self>, events: Vec<NewEvent>) -> Result<Vec<Accepted>> {
        let bytes: usize = events.iter().map(|event| event.body.len()).sum();
        let kilobytes = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let (reply, answer) = oneshot::channel();
        // Leases that were reserved for refused events are given back here; for accepted ones by the worker.
        let Ok(_room) = self.accept_room.try_acquire_many(kilobytes) else { return self.overloaded(&events) };
        match self.submissions.try_send(Submission { events, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(submission)) => return self.overloaded(&submission.events),
            Err(mpsc::error::TrySendError::Closed(submission)) => {
                self.cancel_leases(&submission.events);
                return Err(stopping());
            }
        }
        answer.await.map_err(|_| stopping())?
    }

    fn overloaded(&self, events: &[NewEvent]) -> Result<Vec<Accepted>> {
        self.cancel_leases(events);
        let detail = "The server has more to do than it can take in. Nothing was stored; try again shortly.";
        Err(ApiError { retry_after_s: Some(1), ..ApiError::new(ErrorCode::Unavailable, detail) })
    }

    fn cancel_leases(&self, events: &[NewEvent]) {
        let mut lanes = self.lanes();
        for event in events {
            for delivery in event.deliveries.iter().filter(|delivery| delivery.leased) {
                lanes.cancel(delivery.webhook, event.body.len());
            }
        }
    }

    /// Tells the screens of new deliveries; how they end is told when it is stored.
    fn announce(&self, events: &[NewEvent], outcomes: &[IngestOutcome]) {
        let snapshot = self.routing.current();
        for (event, outcome) in events.iter().zip(outcomes) {
            let IngestOutcome::Stored { leased } = *outcome else { continue };
            for new in &event.deliveries {
                let endpoint = snapshot.endpoint(new.webhook);
                let status = match endpoint.map(|endpoint| endpoint.state) {
                    Some(WebhookState::Active) if leased && new.leased => DeliveryState::Sending,
                    Some(WebhookState::Active) => DeliveryState::Pending,
                    _ => DeliveryState::Held,
                };
                let delivery = Delivery {
                    id: new.id,
                    event_id: event.id,
                    event: event.event_type.to_string(),
                    webhook_id: new.webhook,
                    webhook_name: endpoint.map(|endpoint| endpoint.name.to_string()).unwrap_or_default(),
                    status,
                    kind: new.kind,
                    attempts: 0,
                    created_at: new.id.created_at(),
                    next_attempt_at: None,
                    finished_at: None,
                    response_status: None,
                    error: None,
                    duration_ms: None,
                    replay_of: None,
                };
                self.live.send(event.organization, LiveEvent::Delivery { delivery });
            }
        }
    }

    /// Puts what was stored with a lease in hand, and gives back the places of the rest.
    /// Answers whether some of it waits to be claimed.
    fn hand_over(self: &Arc<Self>, events: &[NewEvent], node: NodeId, outcomes: &[IngestOutcome]) -> bool {
        let mut waits = false;
        {
            let mut lanes = self.lanes();
            for (event, outcome) in events.iter().zip(outcomes) {
                let stored = matches!(outcome, IngestOutcome::Stored { .. });
                let leased = *outcome == IngestOutcome::Stored { leased: true };
                for delivery in &event.deliveries {
                    waits |= stored && !(leased && delivery.leased);
                    if delivery.leased && leased {
                        let job = Job {
                            id: delivery.id,
                            organization: event.organization,
                            webhook: delivery.webhook,
                            event: event.id,
                            event_type: Arc::clone(&event.event_type),
                            kind: delivery.kind,
                            attempts: 0,
                            earlier_attempts: 0,
                            replay_of: None,
                            probe: false,
                            body: Some(event.body.clone()),
                            node,
                        };
                        lanes.push(delivery.webhook, job, event.body.len());
                    } else if delivery.leased {
                        lanes.cancel(delivery.webhook, event.body.len());
                    }
                }
            }
        }
        self.pump();
        if waits {
            self.claimer.notify_one();
        }
        waits
    }
}

pub(crate) fn stopping() -> ApiError {
    let detail = "The server is stopping. Nothing was stored; try again shortly.";
    ApiError { retry_after_s: Some(2), ..ApiError::new(ErrorCode::Unavailable, detail) }
}

/// One of the workers. Runs until the engine is stopping and the queue is empty.
pub(crate) async fn run(inner: Arc<Inner>, queue: Arc<Mutex<mpsc::Receiver<Submission>>>) {
    let mut batch = Vec::new();
    loop {
        {
            let mut queue = queue.lock().await;
            tokio::select! {
                biased;
                first = queue.recv() => match first {
                    Some(first) => batch.push(first),
                    None => return,
                },
                () = inner.stopping.cancelled() => {
                    queue.close();
                    continue;
                }
            }
            let mut events = batch[0].events.len();
            while events < BATCH_EVENTS
                && let Ok(next) = queue.try_recv()
            {
                events += next.events.len();
                batch.push(next);
            }
        }
        store(&inner, &mut batch).await;
    }
}

async fn store(inner: &Arc<Inner>, batch: &mut Vec<Submission>) {
    // A call with several events of which one has a key is refused as a whole when the key was used for something else: it
    // cannot share its fate with other calls.
    let alone =
        |call: &Submission| call.events.len() > 1 && call.events.iter().any(|event| event.idempotency.is_some());
    let (whole, merged): (Vec<_>, Vec<_>) = batch.drain(..).partition(alone);
    if !merged.is_empty() {
        commit(inner, merged, false).await;
    }
    for call in whole {
        commit(inner, vec![call], true).await;
    }
}

async fn commit(inner: &Arc<Inner>, calls: Vec<Submission>, whole: bool) {
    let mut replies = Vec::with_capacity(calls.len());
    let mut events = Vec::with_capacity(calls.len());
    for call in calls {
        replies.push((call.events.len(), call.reply));
        events.extend(call.events);
    }
    let events: Arc<[NewEvent]> = events.into();
    let _leasing = inner.leasing.read().await;
    let node = inner.node();
    let stored = if whole {
        inner.store.ingest_whole(node, Arc::clone(&events)).await
    } else {
        inner.store.ingest(node, Arc::clone(&events)).await
    };
    match stored {
        Ok(outcomes) => {
            inner.live.deliveries_changed(events.iter().map(|event| event.organization));
            if inner.live.is_followed() {
                inner.announce(&events, &outcomes);
            }
            let waits = inner.hand_over(&events, node, &outcomes);
            let stored = outcomes.iter().filter(|outcome| matches!(outcome, IngestOutcome::Stored { .. })).count();
            inner.metrics.add(Counter::EventsAccepted, stored as u64);
            let mut answers = events.iter().zip(outcomes).map(|(event, outcome)| answer(event, outcome));
            for (count, reply) in replies {
                // A call that is refused here has one event, so no answer of it is left over for the next. A caller that is
                // gone does not mind.
                drop(reply.send(answers.by_ref().take(count).collect()));
            }
            if waits {
                inner.call_for_help().await;
            }
        }
        Err(error) => {
            inner.cancel_leases(&events);
            inner.unsure.notify_one();
            let error = refused(error);
            for (_, reply) in replies {
                drop(reply.send(Err(error.clone())));
            }
        }
    }
}

fn answer(event: &NewEvent, outcome: IngestOutcome) -> Result<Accepted> {
    match outcome {
        IngestOutcome::Stored { .. } => {
            Ok(Accepted { id: event.id, deliveries: u32::try_from(event.deliveries.len()).unwrap_or(u32::MAX) })
        }
        IngestOutcome::Duplicate { id, deliveries } => Ok(Accepted { id, deliveries }),
        IngestOutcome::KeyReused => {
            Err(ApiError::new(ErrorCode::Conflict, "This idempotency key was already used for a different event."))
        }
    }
}
