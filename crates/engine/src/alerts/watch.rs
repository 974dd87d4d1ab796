//! What is noticed by looking: dead letters that wait, webhooks that were disabled, keys that are old, work that fails more
//! than it should. One node looks every few seconds, at counts and rollups and never at history.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use domain::{AlertRule, Timestamp};
use storage::{Fact, NewAlert};

use crate::{Inner, LiveEvent, stopped_within};

/// Between two looks of all nodes together, in milliseconds.
const EVERY_MS: i64 = 2_000;
/// How often a node asks whether it is its turn.
const POLL: Duration = Duration::from_secs(1);

/// Runs until the engine stops.
pub(crate) async fn watch(inner: Arc<Inner>) {
    while !stopped_within(&inner, POLL).await {
        let now = inner.clock.now();
        let looked = match inner.store.begin_watch(now, EVERY_MS).await {
            Ok(true) => look(&inner, now).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "alerts are noticed later");
        }
    }
}

async fn look(inner: &Inner, now: Timestamp) -> storage::Result<()> {
    let facts = inner.store.facts(now).await?;
    let open = inner.store.open_facts().await?;
    let is_there: BTreeSet<_> = facts.iter().map(|fact| (fact.organization, fact.rule, fact.subject.clone())).collect();
    let (mut changed, mut is_news) = (BTreeSet::new(), false);
    for fact in facts {
        let key = (fact.organization, fact.rule, fact.subject.clone());
        let now_so = alert(inner, fact, now);
        match open.get(&key) {
            None => {
                if inner.store.raise_alert(key.0, now_so).await? {
                    changed.insert(key.0);
                    is_news = true;
                }
            }
            Some(title) if *title != now_so.title => {
                inner.store.reword_alert(key.0, key.1, key.2, now_so.title, now_so.detail).await?;
                changed.insert(key.0);
            }
            Some(_) => {}
        }
    }
    for (organization, rule, subject) in open.into_keys() {
        if !is_there.contains(&(organization, rule, subject.clone()))
            && inner.store.resolve_alert(organization, rule, subject, now).await?
        {
            changed.insert(organization);
            is_news = true;
        }
    }
    if is_news {
        inner.notifier.notify_one();
    }
    for organization in changed {
        inner.live.send(organization, LiveEvent::Alerts);
    }
    Ok(())
}

fn alert(inner: &Inner, fact: Fact, now: Timestamp) -> NewAlert {
    let (title, impact) = match fact.rule {
        AlertRule::DeadLetters => (
            format!("{} dead letter{} waiting", fact.count, if fact.count == 1 { " is" } else { "s are" }),
            "These deliveries are not tried again until somebody retries them".to_owned(),
        ),
        AlertRule::WebhookDisabled => {
            (format!("Webhook disabled: {}", fact.name), "Its events wait until it is enabled".to_owned())
        }
        AlertRule::SecretAge => (
            format!("{}: {} is older than 90 days", fact.name, fact.detail),
            "An old key is more likely to have leaked; renew it".to_owned(),
        ),
        AlertRule::ErrorRate => {
            (format!("{}: {}% of requests fail", fact.name, fact.count), "More fails than is normal".to_owned())
        }
        AlertRule::Reauthenticate => {
            let title = if fact.detail.is_empty() { fact.rule.label() } else { &fact.detail };
            (format!("{}: {title}", fact.name), "Nothing works that needs this connection".to_owned())
        }
        AlertRule::ConsentEnds => (
            format!("{}: the consent ends in {} day{}", fact.name, fact.count, if fact.count == 1 { "" } else { "s" }),
            "Reconnect the account before then; nothing else prolongs it".to_owned(),
        ),
        rule => (format!("{}: {}", rule.label(), fact.name), String::new()),
    };
    NewAlert {
        id: inner.new_id(),
        rule: fact.rule,
        subject: fact.subject,
        title,
        detail: fact.detail,
        impact,
        at: now,
        is_told: true,
    }
}
