//! Sending again: one delivery, one with another payload, or many by a job.
//!
//! A replay is a delivery of its own, with the same body under the same `webhook-id`. An edited payload is an event of its
//! own. Neither counts to a webhook's health.

use domain::{
    DeliveryId, EventId, Permission, Problems, PublicId, WebhookId, WebhookState,
    api::{
        ApiError, Delivery, DeliveryKind, EditedPayload, ErrorCode, Job, JobKind, JobScope, Refusal, ReplayCount,
        ReplayRequest,
    },
    delivery::DeliveryState,
};
use storage::{EditedEvent, QueuedDelivery, Span};

use crate::{Actor, Engine, LiveEvent, Result, error::refused, events, routing::Endpoint};

/// Events that are looked at in one statement when what is missing is only counted.
const COUNTED: u32 = 1_000;

/// What a replay would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It was only counted.
    Counted(ReplayCount),
    /// A job does it.
    Job(Box<Job>),
}

/// Why nothing is sent to a webhook in this state; `None`: it was deleted. One that is disabled because its endpoint failed
/// is probed with what is sent.
pub(crate) fn refusal(endpoint: Option<&Endpoint>) -> Option<Refusal> {
    let Some(endpoint) = endpoint else { return Some(Refusal::WebhookDeleted) };
    match endpoint.state {
        WebhookState::Active => None,
        WebhookState::Paused => Some(Refusal::WebhookPaused),
        WebhookState::Disabled => endpoint.probe_at.is_none().then_some(Refusal::WebhookDisabled),
    }
}

impl Engine {
    /// Sends the same body under the same `webhook-id` once more, as a delivery of its own.
    pub async fn replay(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        actor.require(Permission::ReplayDeliveries)?;
        let original = self.original(actor, id).await?;
        let kept = self.inner.store.event_source(actor.organization, original.event_id).await.map_err(refused)?;
        if kept.is_none() {
            return Err(Refusal::PayloadGone.into());
        }
        let replay = self.queued(&original, original.event_id, DeliveryKind::Replay);
        let audit = self.audit_entry(actor, "delivery.replayed", &replay.id, &[]);
        self.inner.store.enqueue(actor.organization, replay.clone(), audit).await.map_err(refused)?;
        Ok(self.announced(actor, original, &replay).await)
    }

    /// Sends another payload to the webhook of a delivery, as an event of its own of the same type and source.
    pub async fn resend_edited(&self, actor: &Actor, id: DeliveryId, edited: EditedPayload) -> Result<Delivery> {
        actor.require(Permission::ReplayDeliveries)?;
        let original = self.original(actor, id).await?;
        let source = self.inner.store.event_source(actor.organization, original.event_id).await.map_err(refused)?;
        let event: EventId = self.new_id();
        let body = events::body(event, &original.event, self.now(), &edited.data);
        if body.len() > domain::MAX_EVENT_BYTES {
            return Err(ApiError::new(ErrorCode::PayloadTooLarge, domain::PAYLOAD_TOO_LARGE));
        }
        let queued = self.queued(&original, event, DeliveryKind::Edited);
        let audit = self.audit_entry(actor, "delivery.edited", &queued.id, &["data"]);
        let edited = EditedEvent { source: source.flatten(), body };
        let stored = self.inner.store.enqueue_edited(actor.organization, edited, queued.clone(), audit);
        stored.await.map_err(refused)?;
        Ok(self.announced(actor, original, &queued).await)
    }

    /// Sends many deliveries again, or counts them.
    pub async fn replay_many(&self, actor: &Actor, request: ReplayRequest) -> Result<Replayed> {
        actor.require(Permission::ReplayDeliveries)?;
        let dry_run = request.dry_run;
        let (kind, scope) = request.check()?;
        self.check_target(actor, scope.webhook_id)?;
        if dry_run {
            let matched = self.count(actor, kind, &scope).await?;
            return Ok(Replayed::Counted(ReplayCount { matched }));
        }
        let job = self.start_job(actor, kind, scope, "replay.started").await?;
        Ok(Replayed::Job(Box::new(job)))
    }

    /// Refuses a webhook that is not there, or that nothing is sent to.
    pub(crate) fn check_target(&self, actor: &Actor, webhook: Option<WebhookId>) -> Result<()> {
        let Some(webhook) = webhook else { return Ok(()) };
        let snapshot = self.inner.routing.current();
        let endpoint = snapshot.endpoint(webhook).filter(|endpoint| endpoint.organization == actor.organization);
        let Some(endpoint) = endpoint else {
            return Err(Problems::one("webhook_id", format!("Unknown webhook: {webhook}")).into());
        };
        refusal(Some(endpoint)).map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    pub(crate) async fn count(&self, actor: &Actor, kind: JobKind, scope: &JobScope) -> Result<i64> {
        let (organization, now) = (actor.organization, self.now());
        let mut rest = Some(Span::of(scope, self.new_id()));
        let mut matched = 0;
        while let Some(span) = rest {
            let found = if kind == JobKind::ReplayMissing {
                let picked = self.inner.pick_missing(organization, scope, span, COUNTED).await.map_err(refused)?;
                (i64::try_from(picked.events.len()).unwrap_or(i64::MAX), picked.rest)
            } else {
                self.inner.store.count_deliveries(organization, kind, scope, span, now).await.map_err(refused)?
            };
            matched += found.0;
            rest = found.1;
        }
        Ok(matched)
    }

    /// A delivery that can be sent again as far as its webhook goes.
    async fn original(&self, actor: &Actor, id: DeliveryId) -> Result<Delivery> {
        let original = self.inner.store.delivery(actor.organization, id).await.map_err(refused)?;
        let original = original.ok_or_else(|| ApiError::not_found("Delivery"))?;
        let snapshot = self.inner.routing.current();
        match refusal(snapshot.endpoint(original.webhook_id).map(|endpoint| &**endpoint)) {
            None => Ok(original),
            Some(refusal) => Err(refusal.into()),
        }
    }

    fn queued(&self, original: &Delivery, event: EventId, kind: DeliveryKind) -> QueuedDelivery {
        QueuedDelivery {
            id: self.new_id(),
            webhook: original.webhook_id,
            event,
            event_type: original.event.clone(),
            kind,
            replay_of: Some(original.id),
            due_at: self.now(),
        }
    }

    /// Sets a delivery in motion that was just queued, and answers it.
    async fn announced(&self, actor: &Actor, original: Delivery, queued: &QueuedDelivery) -> Delivery {
        let snapshot = self.inner.routing.current();
        let is_held = snapshot.endpoint(queued.webhook).is_some_and(|at| at.state != WebhookState::Active);
        let delivery = Delivery {
            id: queued.id,
            event_id: queued.event,
            status: if is_held { DeliveryState::Held } else { DeliveryState::Pending },
            kind: queued.kind,
            attempts: 0,
            created_at: queued.id.created_at(),
            next_attempt_at: Some(queued.due_at),
            finished_at: None,
            response_status: None,
            error: None,
            duration_ms: None,
            replay_of: queued.replay_of,
            ..original
        };
        self.inner.live.send(actor.organization, LiveEvent::Delivery { delivery: delivery.clone() });
        let failing = if is_held { &[queued.webhook][..] } else { &[] };
        self.inner.send_on(actor.organization, failing).await;
        delivery
    }
}
