//! What nodes tell each other: what changed and whose, not what it is now, and many changes at once, so that it costs the same
//! however many deliveries there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use domain::{NodeId, OrganizationId};
use serde::{Deserialize, Serialize};
use storage::Wake;

use super::{Hub, LiveEvent};
use crate::{Inner, stopped_within};

/// Between two words to other nodes: what happens meanwhile is told in one.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Organizations of which one word tells.
const AT_ONCE: usize = 50;

/// What changed, without what it is now: all that other nodes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Topic {
    Missed,
    DeadLetters,
    Webhooks,
    Integrations,
    Emails,
    Connections,
    Alerts,
}

impl Topic {
    pub(super) const fn of(event: &LiveEvent) -> Self {
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
pub(super) type Changes = BTreeMap<OrganizationId, BTreeSet<Topic>>;

/// A word to other nodes.
#[derive(Debug, Serialize, Deserialize)]
struct News {
    /// Who says it: the process, because a node hears itself too.
    from: NodeId,
    of: Changes,
}

impl Hub {
    /// Other nodes are told of it with what else happens in these moments.
    pub(super) fn note(&self, organization: OrganizationId, topic: Topic) {
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
    use storage::MAX_NEWS;

    use super::{
        super::tests::{hub, organization},
        *,
    };
    use crate::LiveMessage;

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
}
