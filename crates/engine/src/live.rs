//! What happens, as it happens, for the screens. Nothing depends on it: a receiver that is too slow misses messages and
//! asks the database again.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use domain::{
    DeliveryId, OrganizationId,
    api::{Delivery, InspectorRequest, Job},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, oneshot};

/// Messages that a slow receiver may be behind before it misses some.
const BUFFER: usize = 1024;

/// Something that a screen wants to know at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveEvent {
    /// A delivery was accepted, or a try of it was stored.
    Delivery {
        /// The delivery as it is now.
        delivery: Delivery,
    },
    /// Dead letters were retried or cleared: lists and counts of them have changed. One that is new is told of as a
    /// delivery.
    DeadLetters,
    /// A webhook was disabled or enabled by what its endpoint answers, and is treated so from now on.
    Webhooks,
    /// Integrations, their health or their logs changed.
    Integrations,
    /// An e-mail was accepted, or something became of one.
    Emails,
    /// An account was connected or disconnected, or an access was renewed or was not.
    Connections,
    /// Alerts opened, ended, or somebody said something of them.
    Alerts,
    /// A job began, came further or ended.
    Job {
        /// The job as it is now.
        job: Job,
    },
    /// The Inspector recorded a request.
    Inspector {
        /// The request.
        request: InspectorRequest,
    },
}

/// An event, for whom, and its place in the order of this node's messages.
#[derive(Debug, Clone)]
pub struct LiveMessage {
    /// Who may see it.
    pub organization: OrganizationId,
    /// Rises by one with each message of this node.
    pub sequence: u64,
    /// What happened.
    pub event: LiveEvent,
}

/// Sends messages to all screens of this node.
pub(crate) struct Hub {
    sender: broadcast::Sender<LiveMessage>,
    sequence: AtomicU64,
    /// Callers that wait for the first try of one delivery.
    awaited: Mutex<Vec<(DeliveryId, oneshot::Sender<()>)>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(BUFFER), sequence: AtomicU64::new(0), awaited: Mutex::new(Vec::new()) }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<LiveMessage> {
        self.sender.subscribe()
    }

    /// Whether anybody listens; making a message costs more than asking.
    pub(crate) fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    pub(crate) fn send(&self, organization: OrganizationId, event: LiveEvent) {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        // No listener is not an error.
        drop(self.sender.send(LiveMessage { organization, sequence, event }));
    }

    /// Resolves when a try of `delivery` was stored on this node.
    pub(crate) fn first_try(&self, delivery: DeliveryId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|(_, sender)| !sender.is_closed());
        awaited.push((delivery, sender));
        receiver
    }

    /// A try of `delivery` was stored.
    pub(crate) fn tried(&self, delivery: DeliveryId) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = awaited.iter().position(|(id, _)| *id == delivery) {
            let (_, waiter) = awaited.swap_remove(index);
            // The waiter may have given up.
            let _ = waiter.send(());
        }
    }
}
