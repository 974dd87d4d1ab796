//! What happens, as it happens, for the screens of all nodes. Nothing depends on it: a receiver that is too slow, or on another
//! node, is told that it missed something, and asks the database again.
//!
//! A page says from where on it wants to know: its [`Position`] was taken before its data was read, and rises with all that it
//! is told, so that nothing falls between the page and its stream, or between two streams.
//!
//! Other nodes are told what changed and whose, not what it is now, and many changes at once: what it costs does not grow with
//! the number of deliveries.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::{self, Display, Formatter},
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    DeliveryId, NodeId, OrganizationId,
    api::{Delivery, InspectorRequest, Job},
};
use serde::{Deserialize, Serialize};
use storage::Wake;
use tokio::sync::{
    Notify,
    broadcast::{self, error::RecvError},
    oneshot,
};

use crate::{Engine, Inner, stopped_within};

/// Messages that a slow receiver may be behind before it misses some.
const BUFFER: usize = 1024;
/// Messages that are kept for a page that is about to listen. One that missed more loads what it shows again.
const KEPT: usize = 256;
/// How long after a page was made, or lost its stream, it is expected to listen, in milliseconds.
const EXPECTED_MS: u64 = 30_000;
/// Between two words to other nodes: what happens meanwhile is told in one.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Organizations of which one word tells.
const AT_ONCE: usize = 50;

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

/// What changed, without what it is now: all that other nodes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Topic {
    Missed,
    DeadLetters,
    Webhooks,
    Integrations,
    Emails,
    Connections,
    Alerts,
}

impl Topic {
    const fn of(event: &LiveEvent) -> Self {
        match event {
            LiveEvent::Delivery { .. } | LiveEvent::Job { .. } | LiveEvent::Inspector { .. } | LiveEvent::Missed => {
                Self::Missed
            }
            LiveEvent::DeadLetters => Self::DeadLetters,
            LiveEvent::Webhooks => Self::Webhooks,
            LiveEvent::Integrations => Self::Integrations,
            LiveEvent::Emails => Self::Emails,
            LiveEvent::Connections => Self::Connections,
            LiveEvent::Alerts => Self::Alerts,
        }
    }

    const fn event(self) -> LiveEvent {
        match self {
            Self::Missed => LiveEvent::Missed,
            Self::DeadLetters => LiveEvent::DeadLetters,
            Self::Webhooks => LiveEvent::Webhooks,
            Self::Integrations => LiveEvent::Integrations,
            Self::Emails => LiveEvent::Emails,
            Self::Connections => LiveEvent::Connections,
            Self::Alerts => LiveEvent::Alerts,
        }
    }
}

/// What changed of each organization.
type Changes = BTreeMap<OrganizationId, BTreeSet<Topic>>;

/// A word to other nodes.
#[derive(Debug, Serialize, Deserialize)]
struct News {
    /// Who says it: the process, because a node hears itself too.
    from: NodeId,
    of: Changes,
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

/// What one page is told.
pub struct Following {
    inner: Arc<Inner>,
    organization: OrganizationId,
    /// Where it is.
    position: Position,
    /// What happened before it listened.
    before: VecDeque<LiveMessage>,
    messages: broadcast::Receiver<LiveMessage>,
}

impl Following {
    /// Where it begins.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The next message; `None` once the engine is gone. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<LiveMessage> {
        loop {
            let message = match self.before.pop_front() {
                Some(message) => message,
                None => match self.messages.recv().await {
                    Ok(message) => message,
                    Err(RecvError::Lagged(_)) => self.missed(),
                    Err(RecvError::Closed) => return None,
                },
            };
            self.position = message.position;
            if message.organization.is_none_or(|whose| whose == self.organization) {
                return Some(message);
            }
        }
    }

    const fn missed(&self) -> LiveMessage {
        LiveMessage { organization: None, position: self.position, event: LiveEvent::Missed }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.inner.live.expect_page();
    }
}

impl Engine {
    /// Where a page that is made now is. To be asked before its data is read.
    pub fn live_position(&self) -> Position {
        self.inner.live.position()
    }

    /// What happens in an organization, on this node and in short on others: after `since` where that is still known, else from
    /// now on, which is said.
    pub fn live(&self, organization: OrganizationId, since: Option<Position>) -> Following {
        self.inner.live.follow(Arc::clone(&self.inner), organization, since)
    }
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

    fn follow(&self, inner: Arc<Inner>, organization: OrganizationId, since: Option<Position>) -> Following {
        // Messages are sent under the same lock: each is in one of both.
        let recent = self.recent();
        let messages = self.sender.subscribe();
        let position = Position { process: self.origin, sequence: recent.sequence };
        let mut following = Following { inner, organization, position, before: VecDeque::new(), messages };
        let Some(since) = since.filter(|since| *since != position) else { return following };
        let oldest = recent.messages.front().map_or(recent.sequence, |oldest| oldest.position.sequence - 1);
        if since.process == self.origin && (oldest..position.sequence).contains(&since.sequence) {
            let is_new = |message: &&LiveMessage| message.position.sequence > since.sequence;
            following.before.extend(recent.messages.iter().filter(is_new).cloned());
            following.position = since;
        } else {
            following.before.push_back(following.missed());
        }
        following
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

    /// Other nodes are told of it with what else happens in these moments.
    fn note(&self, organization: OrganizationId, topic: Topic) {
        let Some(untold) = &self.untold else { return };
        let is_new =
            untold.lock().unwrap_or_else(PoisonError::into_inner).entry(organization).or_default().insert(topic);
        if is_new {
            self.has_untold.notify_one();
        }
    }

    /// What other nodes are to be told, in words that are short enough.
    fn words(&self) -> Vec<String> {
        let Some(untold) = &self.untold else { return Vec::new() };
        let mut left = std::mem::take(&mut *untold.lock().unwrap_or_else(PoisonError::into_inner));
        let mut words = Vec::new();
        while !left.is_empty() {
            let next = left.keys().nth(AT_ONCE).copied();
            let beyond = next.map(|key| left.split_off(&key)).unwrap_or_default();
            let news = News { from: self.origin, of: std::mem::replace(&mut left, beyond) };
            words.push(serde_json::to_string(&news).expect("ids and words are JSON"));
        }
        words
    }

    /// Passes on what another node says. What cannot be read was said by another version.
    pub(crate) fn hear(&self, news: &str) {
        match serde_json::from_str::<News>(news) {
            Ok(News { from, .. }) if from == self.origin => {}
            Ok(News { of, .. }) => {
                for (organization, topics) in of {
                    for topic in topics {
                        self.show(Some(organization), topic.event());
                    }
                }
            }
            Err(_) => self.missed(),
        }
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

/// Tells other nodes what changed, until the engine stops.
pub(crate) async fn tell(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.live.has_untold.notified() => {}
        }
        for word in inner.live.words() {
            if let Err(error) = inner.store.wake(Wake::News(word)).await {
                tracing::debug!(%error, "screens of other nodes learn of it when they load");
            }
        }
        if stopped_within(&inner, TELL_EVERY).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{PublicId as _, Timestamp};
    use storage::MAX_NEWS;

    use super::*;

    fn organization(number: u32) -> OrganizationId {
        OrganizationId::new(Timestamp::from_millis(number.into()), [7; 10])
    }

    fn hub(number: u8) -> Hub {
        Hub::new(NodeId::new(Timestamp::default(), [number; 10]), true)
    }

    #[test]
    fn many_changes_are_few_words() {
        let (one, other) = (hub(1), hub(2));
        for _ in 0..1_000 {
            one.send(organization(1), LiveEvent::Alerts);
            one.send(organization(1), LiveEvent::Missed);
        }
        let [word] = &one.words()[..] else { panic!("one word is enough") };
        assert!(one.words().is_empty(), "it is said once");
        let (mut here, mut there) = (one.sender.subscribe(), other.sender.subscribe());
        one.hear(word);
        assert!(here.try_recv().is_err(), "what it said itself is no news");
        other.hear(word);
        for _ in 0..2 {
            let message = there.try_recv().unwrap();
            assert_eq!(message.organization, Some(organization(1)));
            assert!(matches!(message.event, LiveEvent::Alerts | LiveEvent::Missed));
        }
        assert!(there.try_recv().is_err() && other.words().is_empty(), "what was heard is not passed on");
        other.hear("in words of another version");
        assert!(matches!(there.try_recv().unwrap(), LiveMessage { organization: None, event: LiveEvent::Missed, .. }));
    }

    #[test]
    fn words_fit_into_a_notification() {
        let hub = hub(1);
        for number in 0..501 {
            for event in [LiveEvent::Missed, LiveEvent::DeadLetters, LiveEvent::Webhooks, LiveEvent::Integrations] {
                hub.send(organization(number), event);
            }
            for event in [LiveEvent::Emails, LiveEvent::Connections, LiveEvent::Alerts] {
                hub.send(organization(number), event);
            }
        }
        let words = hub.words();
        assert!(words.iter().all(|word| word.len() <= MAX_NEWS), "{:?}", words.iter().map(String::len).max());
        let told: usize = words.iter().map(|word| serde_json::from_str::<News>(word).unwrap().of.len()).sum();
        assert_eq!(told, 501);
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
