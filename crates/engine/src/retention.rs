//! Retention: how long an organization keeps what has ended, and the worker that forgets the rest.
//!
//! One node goes through all organizations every ten minutes, in batches with rests between them. Nothing depends on when
//! it does: what is too old to be kept is only too old to be promised. Dead letters of a webhook that was deleted are
//! discarded at once, by the node that deleted it.

use std::{sync::Arc, time::Instant};

use domain::{OrganizationId, Permission, Retention, Timestamp, WebhookId, api::ApiError};
use storage::{Bookmark, Grain, PRUNED, Pruned};

use crate::{
    Actor, Engine, Inner, LiveEvent, Result,
    dead_letters::{DAY_MS, expires_at},
    error::refused,
    inspector, rest_since, stopped_within,
};

/// Between two passes, in milliseconds.
const EVERY_MS: i64 = 10 * 60_000;
/// How soon it is asked again whether a pass is due, when another node made the last one, in milliseconds.
const ASK_AGAIN_MS: i64 = 60_000;
/// How often the clock is looked at.
const POLL: std::time::Duration = std::time::Duration::from_secs(1);
/// Days for which figures by minute are kept: two days of detail.
const MINUTES_KEPT_DAYS: i64 = 2;
/// Days for which figures by hour are kept.
const HOURS_KEPT_DAYS: i64 = 90;
/// Days for which jobs that have ended are kept.
const JOBS_KEPT_DAYS: i64 = 30;

impl Engine {
    /// How long the organization keeps what has ended.
    pub async fn retention(&self, actor: &Actor) -> Result<Retention> {
        actor.require(Permission::ReadDeliveries)?;
        let organization = self.inner.store.organization(actor.organization).await.map_err(refused)?;
        Ok(organization.ok_or_else(|| ApiError::not_found("Organization"))?.retention)
    }

    /// Changes how long the organization keeps what has ended. What is older is forgotten within minutes.
    pub async fn set_retention(&self, actor: &Actor, retention: Retention) -> Result<Retention> {
        actor.require(Permission::WriteSettings)?;
        retention.validate()?;
        let stored = self.retention(actor).await?;
        let fields: Vec<_> = [
            ("payload_days", stored.payload_days != retention.payload_days),
            ("history_days", stored.history_days != retention.history_days),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
        if fields.is_empty() {
            return Ok(stored);
        }
        let audit = self.audit_entry(actor, "retention.updated", &actor.organization, &fields);
        self.inner.store.set_retention(actor.organization, retention, audit).await.map_err(refused)?;
        Ok(retention)
    }
}

/// Why a pass ended early.
enum End {
    Stopping,
    Failed(storage::StoreError),
}

impl From<storage::StoreError> for End {
    fn from(error: storage::StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut next = inner.clock.now();
    loop {
        let deleted = tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.pruner.notified() => true,
            () = tokio::time::sleep(POLL) => false,
        };
        let now = inner.clock.now();
        let done = if deleted {
            orphans(&inner).await
        } else if now >= next {
            match inner.store.begin_pruning(now, EVERY_MS).await {
                Ok(begun) => {
                    next = now.plus_ms(if begun { EVERY_MS } else { ASK_AGAIN_MS });
                    if begun { pass(&inner, now).await } else { Ok(()) }
                }
                Err(error) => Err(error.into()),
            }
        } else {
            Ok(())
        };
        match done {
            Ok(()) => {}
            Err(End::Stopping) => return,
            Err(End::Failed(error)) => {
                tracing::warn!(%error, "what is not kept any more was not deleted; trying again later");
                next = now.plus_ms(ASK_AGAIN_MS);
            }
        }
    }
}

/// Rests after a batch.
async fn rest(inner: &Inner, began: Instant) -> std::result::Result<(), End> {
    if stopped_within(inner, rest_since(began)).await { Err(End::Stopping) } else { Ok(()) }
}

/// Repeats a batch that has no bookmark until it does not fill one any more.
macro_rules! until_done {
    ($inner:expr, $batch:expr) => {
        loop {
            let began = Instant::now();
            let gone = $batch.await?;
            if gone < u64::from(PRUNED) {
                break;
            }
            rest($inner, began).await?;
        }
    };
}

/// Repeats a batch from bookmark to bookmark.
macro_rules! to_the_end {
    ($inner:expr, $from:ident => $batch:expr) => {{
        let mut $from = Bookmark::START;
        loop {
            let began = Instant::now();
            let Pruned { rest: next, .. } = $batch.await?;
            let Some(next) = next else { break };
            $from = next;
            rest($inner, began).await?;
        }
    }};
}

async fn pass(inner: &Arc<Inner>, now: Timestamp) -> std::result::Result<(), End> {
    let store = &inner.store;
    let days_ago = |days: i64| now.plus_ms(-days * DAY_MS);
    orphans(inner).await?;
    letters(inner, now).await?;
    until_done!(inner, store.forget_idempotency_keys(now, i64::from(PRUNED)));
    until_done!(inner, store.prune_sessions(now));
    until_done!(inner, store.prune_email_usage(days_ago(2)));
    for (organization, retention) in store.retentions().await? {
        let (payloads, history) = (days_ago(retention.payload_days.into()), days_ago(retention.history_days.into()));
        until_done!(inner, store.discard_held(organization, history, now));
        to_the_end!(inner, from => store.prune_events(organization, payloads, from));
        to_the_end!(inner, from => store.prune_deliveries(organization, history, from));
        until_done!(inner, store.prune_rollups(organization, Grain::Minute, days_ago(MINUTES_KEPT_DAYS)));
        until_done!(inner, store.prune_rollups(organization, Grain::Hour, days_ago(HOURS_KEPT_DAYS)));
        until_done!(inner, store.prune_jobs(organization, days_ago(JOBS_KEPT_DAYS)));
        until_done!(inner, store.prune_inspector(organization, inspector::KEPT));
        until_done!(inner, store.prune_emails(organization, history));
        until_done!(inner, store.prune_logs(organization, payloads));
        until_done!(inner, store.prune_alerts(organization, history));
        until_done!(inner, store.prune_failover_moves(organization, history));
    }
    until_done!(inner, store.prune_health_rollups(Grain::Minute, days_ago(MINUTES_KEPT_DAYS)));
    until_done!(inner, store.prune_health_rollups(Grain::Hour, days_ago(HOURS_KEPT_DAYS)));
    Ok(())
}

/// Discards dead letters whose webhooks were deleted.
async fn orphans(inner: &Arc<Inner>) -> std::result::Result<(), End> {
    for (organization, webhook, is_there) in inner.store.webhooks_with_dead_letters().await? {
        if !is_there {
            discard(inner, organization, webhook, Timestamp::from_millis(i64::MAX), |_, _| true).await?;
        }
    }
    Ok(inner.store.prune_dead_letter_counts().await?)
}

/// Discards dead letters that were kept for as long as their policies say.
async fn letters(inner: &Arc<Inner>, now: Timestamp) -> std::result::Result<(), End> {
    let snapshot = inner.routing.current();
    for (organization, webhook, _) in inner.store.webhooks_with_dead_letters().await? {
        // Not in the snapshot: created a moment ago on another node, or it cannot be read. Nothing is lost by waiting.
        let Some(endpoint) = snapshot.endpoint(webhook) else { continue };
        let policies = std::iter::once(&endpoint.policy).chain(endpoint.event_policies.values());
        let least = policies.map(|policy| policy.dead_letter_retention_days).min().unwrap_or_default();
        // What died at that very moment is old enough.
        let before = now.plus_ms(1 - i64::from(least) * DAY_MS);
        let is_old = |event_type: &str, died_at| expires_at(&snapshot, webhook, event_type, died_at) <= now;
        discard(inner, organization, webhook, before, is_old).await?;
    }
    Ok(())
}

async fn discard(
    inner: &Arc<Inner>,
    organization: OrganizationId,
    webhook: WebhookId,
    before: Timestamp,
    is_old: impl Fn(&str, Timestamp) -> bool,
) -> std::result::Result<(), End> {
    let mut from = Bookmark::START;
    loop {
        let began = Instant::now();
        let (letters, next) = inner.store.old_dead_letters(organization, webhook, before, from).await?;
        let old: Vec<_> = letters
            .into_iter()
            .filter(|letter| is_old(&letter.event_type, letter.died_at))
            .map(|letter| letter.delivery)
            .collect();
        if !old.is_empty() {
            inner.store.clear_dead_letters(organization, old, None).await?;
            inner.live.send(organization, LiveEvent::DeadLetters);
        }
        let Some(next) = next else { return Ok(()) };
        from = next;
        rest(inner, began).await?;
    }
}
