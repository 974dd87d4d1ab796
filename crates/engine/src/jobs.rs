//! Jobs: looking at them, cancelling them, and the worker that does them.
//!
//! Any node takes a job that nobody works on, and does it batch by batch. A batch stores its effects together with how
//! far the job came, so a job that is interrupted by the end of its node goes on elsewhere, and does everything once.
//! Several jobs take turns, and between two batches the worker rests for as long as the last one took: a database that
//! works on jobs has at least half of its time for deliveries.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    DeliveryId, JobId, NodeId, OrganizationId, Permission, PublicId, Timestamp, WebhookId,
    api::{ApiError, DeliveryKind, ErrorCode, Job, JobKind, JobScope, JobState, Page},
};
use serde::Deserialize;
use storage::{Advance, Cancellation, MissingEvent, NewJob, QueuedDelivery, Span, TakenJob};

use crate::{Actor, Engine, Inner, LiveEvent, Result, error::refused, paging, replays::refusal, rest_since};

/// Jobs that a node works on at a time.
const AT_ONCE: usize = 8;
/// How often a node looks for jobs that others left.
const POLL: Duration = Duration::from_secs(1);

/// Events that a webhook misses.
pub(crate) struct Picked {
    pub events: Vec<MissingEvent>,
    /// What is still to be looked at.
    pub rest: Option<Span>,
}

/// The part of an event's body that filters look at.
#[derive(Deserialize)]
struct Body {
    data: serde_json::Value,
}

impl Engine {
    /// Jobs, newest first.
    pub async fn jobs(&self, actor: &Actor, cursor: Option<String>, limit: Option<u32>) -> Result<Page<Job>> {
        actor.require(Permission::ReadDeliveries)?;
        let (after, limit) = (paging::after(cursor.as_deref())?, paging::limit(limit));
        self.inner.store.jobs(actor.organization, after, limit).await.map_err(refused)
    }

    /// One job.
    pub async fn job(&self, actor: &Actor, id: JobId) -> Result<Job> {
        actor.require(Permission::ReadDeliveries)?;
        let found = self.inner.store.job(actor.organization, id).await.map_err(refused)?;
        found.ok_or_else(|| ApiError::not_found("Job"))
    }

    /// Stops a job after the batch that is under way.
    pub async fn cancel_job(&self, actor: &Actor, id: JobId) -> Result<Job> {
        actor.require(Permission::ReplayDeliveries)?;
        let audit = self.audit_entry(actor, "job.cancelled", &id, &[]);
        let cancelled =
            self.inner.store.cancel_job(actor.organization, id, self.now(), audit).await.map_err(refused)?;
        let conflict = |detail: String| Err(ApiError::new(ErrorCode::Conflict, detail));
        match cancelled {
            Cancellation::Done(job) => {
                self.inner.live.send(actor.organization, LiveEvent::Job { job: (*job).clone() });
                Ok(*job)
            }
            Cancellation::Ended(JobState::Cancelled) => conflict("The job was cancelled already.".to_owned()),
            Cancellation::Ended(state) => conflict(format!("The job has ended already; it is {state}.")),
            Cancellation::Missing => Err(ApiError::not_found("Job")),
        }
    }

    pub(crate) async fn start_job(
        &self,
        actor: &Actor,
        kind: JobKind,
        scope: JobScope,
        action: &'static str,
    ) -> Result<Job> {
        let id: JobId = self.new_id();
        let audit = self.audit_entry(actor, action, &id, &[]);
        let new = NewJob { id, kind, scope, created_by: actor.label() };
        let job = self.inner.store.create_job(actor.organization, new, audit).await.map_err(refused)?;
        self.inner.live.send(actor.organization, LiveEvent::Job { job: job.clone() });
        self.inner.jobber.notify_one();
        Ok(job)
    }
}

/// A job in the worker's hands.
struct Work {
    id: JobId,
    organization: OrganizationId,
    /// Who has it: this process, or what this process was when it took it.
    node: NodeId,
    taken: TakenJob,
    /// Webhooks whose endpoints failed and that were probed because of this job: once is enough.
    probed: HashSet<WebhookId>,
}

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut works: VecDeque<Work> = VecDeque::new();
    loop {
        take(&inner, &mut works).await;
        let pause = match works.pop_front() {
            None => POLL,
            Some(mut work) => {
                let began = Instant::now();
                match work.step(&inner).await {
                    Ok(goes_on) => {
                        if goes_on {
                            works.push_back(work);
                        }
                        rest_since(began)
                    }
                    Err(error) => {
                        tracing::error!(%error, job.id = %work.id, "a job cannot go on; trying again");
                        works.push_back(work);
                        POLL
                    }
                }
            }
        };
        tokio::select! {
            () = inner.stopping.cancelled() => break,
            () = inner.jobber.notified(), if works.is_empty() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    for work in works {
        if let Err(error) = inner.store.release_job(work.node, work.id).await {
            tracing::warn!(%error, job.id = %work.id, "a job was not given back; it is taken back later");
        }
    }
}

/// Takes jobs that nobody works on, as far as there is room.
async fn take(inner: &Inner, works: &mut VecDeque<Work>) {
    while works.len() < AT_ONCE {
        let node = inner.node();
        match inner.store.take_job(node).await {
            Ok(Some(taken)) => {
                let (id, organization) = (taken.job.id, taken.organization);
                works.push_back(Work { id, organization, node, taken, probed: HashSet::new() });
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "jobs cannot be looked for; trying again");
                return;
            }
        }
    }
}

impl Work {
    /// Does the next batch; answers whether there is more to do. Fails when trying again may help.
    async fn step(&mut self, inner: &Arc<Inner>) -> storage::Result<bool> {
        let now = inner.clock.now();
        let advanced = match self.batch(inner, now).await {
            Ok(advanced) => advanced,
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                tracing::error!(%error, job.id = %self.id, "a job failed");
                self.fail(inner, "Something stored cannot be read. The server's log says what.", now).await?;
                return Ok(false);
            }
        };
        // It was cancelled, or this node was given up for dead and another one has it.
        let Some(Advance { job, queued, failing }) = advanced else { return Ok(false) };
        let failing: Vec<_> = failing.into_iter().filter(|webhook| self.probed.insert(*webhook)).collect();
        if queued > 0 {
            inner.send_on(self.organization, &failing).await;
            inner.call_for_help().await;
        } else if job.job.done > self.taken.job.done {
            inner.live.send(self.organization, LiveEvent::DeadLetters);
        }
        inner.live.send(self.organization, LiveEvent::Job { job: job.job.clone() });
        self.taken = job;
        Ok(self.taken.job.state == JobState::Running)
    }

    async fn batch(&self, inner: &Arc<Inner>, now: Timestamp) -> storage::Result<Option<Advance>> {
        let TakenJob { organization, job, span } = &self.taken;
        let Some(webhook) = job.scope.webhook_id.filter(|_| job.kind == JobKind::ReplayMissing) else {
            let fresh = (0..storage::BATCH).map(|_| inner.new_id_after(self.id)).collect();
            return inner.store.advance_job(self.node, self.id, fresh, now).await;
        };
        let snapshot = inner.routing.current();
        if let Some(refusal) = refusal(snapshot.endpoint(webhook).map(|endpoint| &**endpoint)) {
            self.fail(inner, refusal.detail(), now).await?;
            return Ok(None);
        }
        let picked = inner.pick_missing(*organization, &job.scope, *span, storage::BATCH).await?;
        let replay = |event: MissingEvent| QueuedDelivery {
            id: inner.new_id_after(self.id),
            webhook,
            event: event.id,
            event_type: event.event_type,
            kind: DeliveryKind::Replay,
            replay_of: None,
            due_at: now,
        };
        let replays = picked.events.into_iter().map(replay).collect();
        let advanced = inner.store.advance_missing(self.node, self.id, *span, picked.rest, replays, now).await?;
        let is_failing = snapshot.endpoint(webhook).is_some_and(|endpoint| endpoint.probe_at.is_some());
        Ok(advanced.map(|advance| Advance { failing: is_failing.then_some(webhook).into_iter().collect(), ..advance }))
    }

    async fn fail(&self, inner: &Inner, reason: &str, now: Timestamp) -> storage::Result<()> {
        if inner.store.fail_job(self.node, self.id, reason.to_owned(), now).await?
            && let Some(job) = inner.store.job(self.organization, self.id).await?
        {
            inner.live.send(self.organization, LiveEvent::Job { job });
        }
        Ok(())
    }
}

impl Inner {
    /// A new id above that of a job, also on a node whose clock is behind the one that created it: what a job makes is never
    /// part of what it goes through.
    fn new_id_after(&self, job: JobId) -> DeliveryId {
        let id: DeliveryId = self.new_id();
        if id.uuid() > job.uuid() {
            return id;
        }
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        DeliveryId::new(job.created_at().plus_ms(1), random)
    }

    /// The next events that the webhook of `scope` subscribes to now and that never went to it.
    pub(crate) async fn pick_missing(
        &self,
        organization: OrganizationId,
        scope: &JobScope,
        span: Span,
        limit: u32,
    ) -> storage::Result<Picked> {
        let snapshot = self.routing.current();
        let endpoint = scope.webhook_id.and_then(|webhook| snapshot.endpoint(webhook));
        let Some(endpoint) = endpoint else { return Ok(Picked { events: Vec::new(), rest: None }) };
        let found = self.store.missing_events(organization, endpoint.webhook, scope, span, limit).await?;
        let (missing, rest) = found;
        let mut events = Vec::new();
        for event in missing.into_iter().filter(|event| endpoint.subscribes(&event.event_type, event.source)) {
            // Bodies can be large: they are read one by one, and only if their content matters.
            if endpoint.filter.is_empty() || self.passes(organization, &endpoint.filter, &event).await? {
                events.push(event);
            }
        }
        Ok(Picked { events, rest })
    }

    async fn passes(
        &self,
        organization: OrganizationId,
        filter: &domain::Filter,
        event: &MissingEvent,
    ) -> storage::Result<bool> {
        let body = self.store.event_body(organization, event.id).await?;
        let body = body.and_then(|body| serde_json::from_slice::<Body>(&body).ok());
        Ok(body.is_some_and(|body| filter.matches(&body.data)))
    }
}
