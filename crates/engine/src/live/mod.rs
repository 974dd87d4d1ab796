//! What happens, as it happens, for the screens of all nodes. Nothing depends on it: a receiver that is too slow, or on another
//! node, is told that it missed something, and asks the database again.
//!
//! A page says from where on it wants to know: its [`Position`] was taken before its data was read, and rises with all that it
//! is told, so that nothing falls between the page and its stream, or between two streams.
//!
//! [`follow`] is what a page hears, [`news`] what other nodes are told.

mod follow;
mod news;

use std::{
    collections::VecDeque,
    fmt::{self, Display, Formatter},
    str::FromStr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use domain::{
    DeliveryId, NodeId, OrganizationId,
    api::{Delivery, InspectorRequest, Job},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast, oneshot};

pub use self::follow::Following;
pub(crate) use self::news::tell;
use self::news::{Changes, Topic};

/// Messages that a slow receiver may be behind before it misses some.
const BUFFER: usize = 1024;
/// Messages that are kept for a page that is about to listen. One that missed more loads what it shows again.
const KEPT: usize = 256;
/// How long after a page was made, or lost its stream, it is expected to listen, in milliseconds.
const EXPECTED_MS: u64 = 30_000;

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
    /// Something that is not told in full: deliveries, jobs or requests on another node, or more than a slow receiver takes.
    /// What is shown is loaded again.
    Missed,
}

/// A place in the order of one process's messages, as text for pages and `Last-Event-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    process: NodeId,
    /// Rises by one with each message.
    sequence: u64,
}

impl Display for Position {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process, self.sequence)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (process, sequence) = text.split_once('.').ok_or(())?;
        Ok(Self { process: process.parse().map_err(drop)?, sequence: sequence.parse().map_err(drop)? })
    }
}

/// An event, and where whoever was told of it goes on.
#[derive(Debug, Clone)]
pub struct LiveMessage {
    /// Who may see it; `None`: everybody.
    organization: Option<OrganizationId>,
    /// Its place.
    pub position: Position,
    /// What happened.
    pub event: LiveEvent,
}

/// The last messages, without a gap.
#[derive(Default)]
struct Recent {
    /// Of the last message, or of the last time that something happened and nobody was told.
    sequence: u64,
    messages: VecDeque<LiveMessage>,
}

/// Sends messages to all screens of this node, and collects what other nodes are told.
pub(crate) struct Hub {
    /// Who speaks.
    origin: NodeId,
    /// What other nodes have not been told; `None` where there can be none.
    untold: Option<Mutex<Changes>>,
    has_untold: Notify,
    sender: broadcast::Sender<LiveMessage>,
    recent: Mutex<Recent>,
    started_at: Instant,
    /// Until when messages are made for a page that does not listen yet, in milliseconds since the start.
    expected_until_ms: AtomicU64,
    /// Something happened of which no message was made.
    has_gap: AtomicBool,
    /// Callers that wait for the first try of one delivery.
    awaited: Mutex<Vec<(DeliveryId, oneshot::Sender<()>)>>,
}

impl Hub {
    pub(crate) fn new(origin: NodeId, is_shared: bool) -> Self {
        Self {
            origin,
            untold: is_shared.then(Mutex::default),
            has_untold: Notify::new(),
            sender: broadcast::Sender::new(BUFFER),
            recent: Mutex::default(),
            started_at: Instant::now(),
            expected_until_ms: AtomicU64::new(0),
            has_gap: AtomicBool::new(false),
            awaited: Mutex::new(Vec::new()),
        }
    }

    /// For a while messages are made although nobody listens.
    fn expect_page(&self) {
        self.expected_until_ms.store(self.age_ms() + EXPECTED_MS, Ordering::Relaxed);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The last messages, and nothing when something happened since of which there is none.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_gap.swap(false, Ordering::Relaxed) {
            recent.sequence += 1;
            recent.messages.clear();
        }
        recent
    }

    fn position(&self) -> Position {
        self.expect_page();
        Position { process: self.origin, sequence: self.recent().sequence }
    }

    /// Whether anybody wants to know of each delivery; making a message costs more than asking. If nobody does, whoever
    /// listens later is told that something was missed.
    pub(crate) fn is_followed(&self) -> bool {
        let is_followed =
            self.sender.receiver_count() > 0 || self.age_ms() < self.expected_until_ms.load(Ordering::Relaxed);
        if !is_followed {
            self.has_gap.store(true, Ordering::Relaxed);
        }
        is_followed
    }

    pub(crate) fn send(&self, organization: OrganizationId, event: LiveEvent) {
        self.note(organization, Topic::of(&event));
        self.show(Some(organization), event);
    }

    /// Deliveries of these organizations changed. Making a message of each is for whoever knows that somebody listens here.
    pub(crate) fn deliveries_changed(&self, organizations: impl Iterator<Item = OrganizationId>) {
        if self.untold.is_some() {
            organizations.for_each(|organization| self.note(organization, Topic::Missed));
        }
    }

    /// Tells the screens of this node.
    fn show(&self, organization: Option<OrganizationId>, event: LiveEvent) {
        let mut recent = self.recent();
        recent.sequence += 1;
        let position = Position { process: self.origin, sequence: recent.sequence };
        let message = LiveMessage { organization, position, event };
        if recent.messages.len() == KEPT {
            recent.messages.pop_front();
        }
        recent.messages.push_back(message.clone());
        // No listener is not an error.
        drop(self.sender.send(message));
    }

    /// Anything may have happened on other nodes.
    pub(crate) fn missed(&self) {
        self.show(None, LiveEvent::Missed);
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

#[cfg(test)]
pub(super) mod tests {
    use domain::{PublicId as _, Timestamp};

    use super::*;

    pub(in crate::live) fn organization(number: u32) -> OrganizationId {
        OrganizationId::new(Timestamp::from_millis(number.into()), [7; 10])
    }

    pub(in crate::live) fn hub(number: u8) -> Hub {
        Hub::new(NodeId::new(Timestamp::default(), [number; 10]), true)
    }

    #[test]
    fn what_nobody_heard_is_no_longer_known() {
        let hub = hub(1);
        let delivery = |number| hub.send(organization(number), LiveEvent::DeadLetters);
        let page = hub.position();
        assert_eq!(page.to_string().parse(), Ok(page));
        assert!(hub.is_followed(), "the page is about to listen");
        delivery(1);
        assert_eq!(hub.position().sequence, page.sequence + 1);
        assert_eq!(hub.recent().messages.len(), 1);
        hub.expected_until_ms.store(0, Ordering::Relaxed);
        assert!(!hub.is_followed(), "it did not come");
        assert_eq!(hub.position().sequence, page.sequence + 2);
        assert!(hub.recent().messages.is_empty());
        for number in 0..=u32::try_from(KEPT).unwrap() {
            delivery(number);
        }
        assert_eq!(hub.recent().messages.len(), KEPT, "memory is bounded");
    }
}
