//! What happens, as it happens, for the screens of all nodes. Nothing depends on it: a receiver that is too slow, or on another
//! node, is told that it missed something, and asks the database again.
//!
//! Other nodes are told what changed and whose, not what it is now, and many changes at once: what it costs does not grow with
//! the number of deliveries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{
    DeliveryId, NodeId, OrganizationId,
    api::{Delivery, InspectorRequest, Job},
};
use serde::{Deserialize, Serialize};
use storage::Wake;
use tokio::sync::{Notify, broadcast, oneshot};

use crate::{Inner, stopped_within};

/// Messages that a slow receiver may be behind before it misses some.
const BUFFER: usize = 1024;
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

/// An event, for whom, and its place in the order of this node's messages.
#[derive(Debug, Clone)]
pub struct LiveMessage {
    /// Who may see it; `None`: everybody.
    pub organization: Option<OrganizationId>,
    /// Rises by one with each message of this node.
    pub sequence: u64,
    /// What happened.
    pub event: LiveEvent,
}

/// Sends messages to all screens of this node, and collects what other nodes are told.
pub(crate) struct Hub {
    /// Who speaks.
    origin: NodeId,
    /// What other nodes have not been told; `None` where there can be none.
    untold: Option<Mutex<Changes>>,
    has_untold: Notify,
    sender: broadcast::Sender<LiveMessage>,
    sequence: AtomicU64,
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
            sequence: AtomicU64::new(0),
            awaited: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<LiveMessage> {
        self.sender.subscribe()
    }

    /// Whether anybody listens; making a message costs more than asking.
    pub(crate) fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
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
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        // No listener is not an error.
        drop(self.sender.send(LiveMessage { organization, sequence, event }));
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
        let (mut here, mut there) = (one.subscribe(), other.subscribe());
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
}
