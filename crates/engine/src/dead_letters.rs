//! Dead letters: looking at them, sending them again, clearing them, and taking a clear back.
//!
//! A retry queues the same delivery again with a new round of tries. Its webhook must be one that a person would expect
//! to be sent to: not paused, and not disabled by a person or by its receiver. A webhook that is disabled because its
//! endpoint failed is probed at once, and enabled if that succeeds.

use domain::{
    DeliveryId, OrganizationId, Permission, Timestamp, WebhookId,
    api::{
        ApiError, DeadLetter, DeadLetterChoice, DeadLetterCount, DeadLetterFilter, DeadLetterIds, DeadLetterQuery,
        DeadLetterSummary, DeadLetterTarget, Delivery, DoneAtOnce, Job, JobKind, Page, Refusal, Refused,
    },
};
use storage::{DeadLetterRow, Moved};

use crate::{Actor, Engine, Inner, LiveEvent, Result, error::refused, paging, routing::Snapshot};

/// A day, in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// What was done to dead letters that a person chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It is done.
    Now(DoneAtOnce),
    /// A job does it.
    Job(Job),
}

impl Engine {
    /// Dead letters, the newest delivery first.
    pub async fn dead_letters(&self, actor: &Actor, query: DeadLetterQuery) -> Result<Page<DeadLetter>> {
        actor.require(Permission::ReadDeliveries)?;
        let (after, limit) = (paging::after(query.cursor.as_deref())?, paging::limit(query.limit));
        let filter = query.filter();
        let page = self.inner.store.dead_letters(actor.organization, &filter, after, limit).await;
        let Page { data, next_cursor } = page.map_err(refused)?;
        let snapshot = self.inner.routing.current();
        let data = data.into_iter().map(|row| with_end(&snapshot, row)).collect();
        Ok(Page { data, next_cursor })
    }

    /// How many dead letters there are, and of which webhooks.
    pub async fn dead_letter_summary(&self, actor: &Actor) -> Result<DeadLetterSummary> {
        actor.require(Permission::ReadDeliveries)?;
        let webhooks = self.inner.store.dead_letter_counts(actor.organization).await.map_err(refused)?;
        Ok(DeadLetterSummary { total: webhooks.iter().map(|webhook| webhook.dead_letters).sum(), webhooks })
    }

    /// Sends a dead letter again.
    pub async fn retry_dead_letter(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        actor.require(Permission::ReplayDeliveries)?;
        let audit = self.audit_entry(actor, "dead_letter.retried", &id, &[]);
        let retried = self.inner.store.retry_dead_letters(actor.organization, vec![id], self.now(), audit);
        let moved = retried.await.map_err(refused)?;
        self.check_moved(actor.organization, &moved).await?;
        self.inner.send_on(actor.organization, &moved.failing).await;
        let delivery = self.inner.store.delivery(actor.organization, id).await.map_err(refused)?;
        let delivery = delivery.ok_or_else(|| ApiError::not_found("Delivery"))?;
        self.inner.live.send(actor.organization, LiveEvent::Delivery { delivery: delivery.clone() });
        Ok(delivery)
    }

    /// Ends a dead letter as discarded.
    pub async fn clear_dead_letter(&self, actor: &Actor, id: DeliveryId) -> Result<()> {
        actor.require(Permission::ReplayDeliveries)?;
        let audit = self.audit_entry(actor, "dead_letter.cleared", &id, &[]);
        let cleared = self.inner.store.clear_dead_letters(actor.organization, vec![id], Some(audit));
        let moved = cleared.await.map_err(refused)?;
        self.check_moved(actor.organization, &moved).await?;
        self.inner.live.send(actor.organization, LiveEvent::DeadLetters);
        Ok(())
    }

    /// Retries the dead letters that were chosen.
    pub async fn retry_dead_letters(&self, actor: &Actor, choice: DeadLetterChoice) -> Result<Handled> {
        actor.require(Permission::ReplayDeliveries)?;
        let ids = match choice.check()? {
            DeadLetterTarget::Ids(ids) => ids,
            DeadLetterTarget::Matching(filter) => {
                self.check_target(actor, filter.webhook_id)?;
                let job = self.start_job(actor, JobKind::DeadLettersRetry, filter.into(), "dead_letters.retry_started");
                return job.await.map(Handled::Job);
            }
        };
        let audit = self.audit_entry(actor, "dead_letters.retried", &format!("{} deliveries", ids.len()), &[]);
        let retried = self.inner.store.retry_dead_letters(actor.organization, ids, self.now(), audit);
        let moved = retried.await.map_err(refused)?;
        self.inner.send_on(actor.organization, &moved.failing).await;
        Ok(Handled::Now(report(moved)))
    }

    /// Discards the dead letters that were chosen.
    pub async fn clear_dead_letters(&self, actor: &Actor, choice: DeadLetterChoice) -> Result<Handled> {
        actor.require(Permission::ReplayDeliveries)?;
        let ids = match choice.check()? {
            DeadLetterTarget::Ids(ids) => ids,
            DeadLetterTarget::Matching(filter) => {
                let job = self.start_job(actor, JobKind::DeadLettersClear, filter.into(), "dead_letters.clear_started");
                return job.await.map(Handled::Job);
            }
        };
        let audit = self.audit_entry(actor, "dead_letters.cleared", &format!("{} deliveries", ids.len()), &[]);
        let cleared = self.inner.store.clear_dead_letters(actor.organization, ids, Some(audit));
        let moved = cleared.await.map_err(refused)?;
        self.inner.live.send(actor.organization, LiveEvent::DeadLetters);
        Ok(Handled::Now(report(moved)))
    }

    /// Makes discarded deliveries dead letters again, as of when they ended.
    pub async fn restore_dead_letters(&self, actor: &Actor, chosen: DeadLetterIds) -> Result<DoneAtOnce> {
        actor.require(Permission::ReplayDeliveries)?;
        let ids = chosen.check()?;
        let audit = self.audit_entry(actor, "dead_letters.restored", &format!("{} deliveries", ids.len()), &[]);
        let restored = self.inner.store.restore_dead_letters(actor.organization, ids, audit);
        let moved = restored.await.map_err(refused)?;
        self.inner.live.send(actor.organization, LiveEvent::DeadLetters);
        Ok(report(moved))
    }

    /// How many dead letters there are that match.
    pub async fn count_dead_letters(&self, actor: &Actor, filter: DeadLetterFilter) -> Result<i64> {
        actor.require(Permission::ReadDeliveries)?;
        let DeadLetterFilter { webhook_id, event: None, error: None, from: None, to: None } = filter else {
            return self.count(actor, JobKind::DeadLettersRetry, &filter.into()).await;
        };
        let webhooks = self.inner.store.dead_letter_counts(actor.organization).await.map_err(refused)?;
        let wanted = |count: &&DeadLetterCount| webhook_id.is_none_or(|webhook| webhook == count.webhook_id);
        Ok(webhooks.iter().filter(wanted).map(|webhook| webhook.dead_letters).sum())
    }

    /// The refusal of the one dead letter that was asked for, if it was refused.
    async fn check_moved(&self, organization: OrganizationId, moved: &Moved) -> Result<()> {
        let Some((id, refusal)) = moved.refused.first() else { return Ok(()) };
        if *refusal == Refusal::NotDeadLetter
            && self.inner.store.delivery(organization, *id).await.map_err(refused)?.is_none()
        {
            return Err(ApiError::not_found("Delivery"));
        }
        Err((*refusal).into())
    }
}

impl Inner {
    /// Sends what was just queued again. Webhooks in `failing` are disabled because their endpoints failed: these are
    /// probed at once.
    pub(crate) async fn send_on(&self, organization: OrganizationId, failing: &[WebhookId]) {
        for webhook in failing {
            // What was queued is stored: when this fails, the probe is made at its own time.
            if let Err(error) = self.store.hasten_probe(organization, *webhook, self.clock.now()).await {
                tracing::warn!(%error, webhook.id = %webhook, "an endpoint that failed is not tried again at once");
            }
        }
        if !failing.is_empty()
            && let Err(error) = self.refresh_routing().await
        {
            tracing::error!(%error, "the routing table is refreshed a moment late");
        }
        self.live.send(organization, LiveEvent::DeadLetters);
        self.claimer.notify_one();
    }
}

/// When a dead letter is discarded, by the policy of its webhook; one whose webhook was deleted at once.
pub(crate) fn expires_at(snapshot: &Snapshot, webhook: WebhookId, event_type: &str, died_at: Timestamp) -> Timestamp {
    let endpoint = snapshot.endpoint(webhook);
    let days = endpoint.map_or(0, |endpoint| endpoint.policy(event_type).dead_letter_retention_days);
    died_at.plus_ms(i64::from(days) * DAY_MS)
}

fn with_end(snapshot: &Snapshot, DeadLetterRow { delivery, died_at }: DeadLetterRow) -> DeadLetter {
    let expires_at = expires_at(snapshot, delivery.webhook_id, &delivery.event, died_at);
    DeadLetter { delivery, died_at, expires_at }
}

fn report(moved: Moved) -> DoneAtOnce {
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let dead = moved
        .refused
        .iter()
        .filter(|(_, reason)| !matches!(reason, Refusal::NotDeadLetter | Refusal::NotDiscarded))
        .count();
    DoneAtOnce {
        matched: count(moved.done.len() + dead),
        done: count(moved.done.len()),
        refused: moved
            .refused
            .into_iter()
            .map(|(id, reason)| Refused { id, reason, detail: reason.detail().to_owned() })
            .collect(),
    }
}
