//! The batches of a job: what is looked at, what belongs to the job, and what is done to it.

use std::collections::BTreeMap;

use domain::{
    DeliveryId, EventId, JobId, NodeId, OrganizationId, PublicId, SourceId, Timestamp, WebhookId,
    api::{DeliveryKind, Job, JobKind, JobScope, JobState, Refusal},
    delivery::DeliveryState,
};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{Advance, BATCH, MissingEvent, Row, Span, TakenJob, job_columns, push_next};
use crate::{
    QueuedDelivery, Result, Store,
    columns::to_json,
    db::{reading, writing},
    dead_letters::{Letters, failing, judge, refusal},
    hot::push_ids,
    replays::Queueing,
};

/// Rows that are looked at in one statement when they are only counted.
const COUNTED: u32 = 5_000;

/// A delivery that a job looks at.
#[derive(FromRow)]
struct Seen {
    id: Uuid,
    webhook_id: Uuid,
    event_id: Uuid,
    event_type: String,
    kind: String,
    state: String,
    error: Option<String>,
    finished_at: Option<i64>,
    webhook_state: Option<String>,
    probe_at: Option<i64>,
    has_payload: bool,
}

impl Seen {
    /// Whether it belongs to a job: it has ended before `now`, as the job wants it, and is no test.
    fn belongs(&self, kind: JobKind, scope: &JobScope, now: Timestamp) -> bool {
        let ended = |state: DeliveryState| self.state == state.as_str();
        let state = match kind {
            JobKind::ReplayFailed => ended(DeliveryState::DeadLetter) || ended(DeliveryState::Failed),
            JobKind::ReplayFilter => match scope.status {
                Some(status) => ended(status),
                None => !ended(DeliveryState::Pending) && !ended(DeliveryState::Retrying),
            },
            JobKind::DeadLettersRetry | JobKind::DeadLettersClear => ended(DeliveryState::DeadLetter),
            JobKind::ReplayMissing => false,
        };
        state
            && self.kind != DeliveryKind::Test.as_str()
            && self.finished_at.is_some_and(|at| at <= now.millis())
            && scope.webhook_id.is_none_or(|webhook| webhook.uuid() == self.webhook_id)
            && scope.event.as_ref().is_none_or(|event| *event == self.event_type)
            && scope.error.is_none_or(|error| self.error.as_deref() == Some(error.as_str()))
    }

    fn replay(&self, id: DeliveryId, due_at: Timestamp) -> QueuedDelivery {
        QueuedDelivery {
            id,
            webhook: WebhookId::from_uuid(self.webhook_id),
            event: EventId::from_uuid(self.event_id),
            event_type: self.event_type.clone(),
            kind: DeliveryKind::Replay,
            replay_of: Some(DeliveryId::from_uuid(self.id)),
            due_at,
        }
    }
}

/// The next deliveries of a job, as a query that is still to be run. `cross join` keeps SQLite from turning the join around.
macro_rules! look {
    ($organization:expr, $kind:expr, $scope:expr, $span:expr, $limit:expr) => {{
        let mut sql = QueryBuilder::new(
            "select d.id, d.webhook_id, d.event_id, d.event_type, d.kind, d.state, d.error, d.finished_at, \
             w.state as webhook_state, w.probe_at, e.id is not null as has_payload from (",
        );
        push_next!(sql, $organization, $kind, $scope.webhook_id, $span, $limit);
        sql.push(
            ") x cross join deliveries d left join webhooks w on w.id = d.webhook_id \
             left join events e on e.id = d.event_id where d.id = x.id and d.organization_id = ",
        );
        sql.push_bind($organization.uuid()).push(" order by d.id");
        sql
    }};
}

/// What a batch counted.
#[derive(Default)]
struct Tally {
    matched: i64,
    done: i64,
    refusals: BTreeMap<Refusal, i64>,
}

impl Tally {
    fn refuse(&mut self, refusal: Refusal, times: usize) {
        if times > 0 {
            *self.refusals.entry(refusal).or_default() += count(times);
        }
    }

    fn add_to(self, job: &mut Job) {
        job.matched += self.matched;
        job.done += self.done;
        for (refusal, times) in self.refusals {
            *job.refusals.entry(refusal).or_default() += times;
        }
        job.refused = job.refusals.values().sum();
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Makes sure that `node` still has the job, keeps it from being cancelled until the transaction ends, and reads it.
/// Inside a `writing!` body; leaves the body when the job is gone.
macro_rules! hold_job {
    ($conn:expr, $node:expr, $id:expr) => {{
        let row: Option<Row> = sqlx::query_as(job_columns!(
            "update jobs set node_id = node_id where id = $1 and node_id = $2 and state = 'running' returning",
            ""
        ))
        .bind($id.uuid())
        .bind($node.uuid())
        .fetch_optional(&mut *$conn)
        .await?;
        let Some(row) = row else { return Ok(None) };
        TakenJob::try_from(row)?
    }};
}

/// Stores how far a job came. Inside a `writing!` body.
macro_rules! store_progress {
    ($conn:expr, $taken:expr, $rest:expr, $tally:expr, $now:expr) => {{
        let taken: &mut TakenJob = &mut $taken;
        $tally.add_to(&mut taken.job);
        let rest: Option<Span> = $rest;
        if rest.is_none() {
            taken.job.state = JobState::Done;
            taken.job.finished_at = Some($now);
        }
        taken.span = rest.unwrap_or(Span { next: taken.span.end, ..taken.span });
        let row: Row = sqlx::query_as(job_columns!(
            "update jobs set next_id = $2, matched = $3, done = $4, refusals = $5, state = $6, finished_at = $7, \
             node_id = case when $6 = 'running' then node_id end where id = $1 returning",
            ""
        ))
        .bind(taken.job.id.uuid())
        .bind(taken.span.next)
        .bind(taken.job.matched)
        .bind(taken.job.done)
        .bind(to_json(&taken.job.refusals))
        .bind(taken.job.state.as_str())
        .bind(taken.job.finished_at.map(Timestamp::millis))
        .fetch_one(&mut *$conn)
        .await?;
        TakenJob::try_from(row)?
    }};
}

impl Store {
    /// Does the next batch of a job that goes through deliveries. `fresh` are ids for replays, [`BATCH`] of them and none
    /// below the job's own, so that it never meets what it made. `None` when `node` does not have the job any more.
    pub async fn advance_job(
        &self,
        node: NodeId,
        id: JobId,
        fresh: Vec<DeliveryId>,
        now: Timestamp,
    ) -> Result<Option<Advance>> {
        writing!(self, conn => {
            let mut taken = hold_job!(conn, node, id);
            let TakenJob { organization, job, span } = &taken;
            let mut sql = look!(organization, job.kind, job.scope, span, BATCH);
            let seen: Vec<Seen> = sql.build_query_as().fetch_all(&mut *conn).await?;
            let rest = span.after(seen.last().map(|seen| seen.id), seen.len(), BATCH);
            let wanted: Vec<&Seen> =
                seen.iter().filter(|seen| seen.belongs(job.kind, &job.scope, job.created_at)).collect();
            let mut tally = Tally { matched: count(wanted.len()), ..Tally::default() };
            // A dead letter is retried in place, except where all that matches is sent once more.
            let is_retried = |seen: &&Seen| {
                job.kind != JobKind::ReplayFilter && seen.state == DeliveryState::DeadLetter.as_str()
            };
            let (dead, others): (Vec<&Seen>, Vec<&Seen>) = wanted.into_iter().partition(is_retried);
            let letters = conn.letters(*organization, &dead.iter().map(|seen| seen.id).collect::<Vec<_>>()).await?;
            tally.refuse(Refusal::NotDeadLetter, dead.len() - letters.len());
            if job.kind == JobKind::DeadLettersClear {
                conn.bury(*organization, &letters).await?;
                tally.done = count(letters.len());
                let job = store_progress!(conn, taken, rest, tally, now);
                return Ok(Some(Advance { job, queued: 0, failing: Vec::new() }));
            }
            let (letters, refused) = judge(letters)?;
            for (_, refusal) in &refused {
                tally.refuse(*refusal, 1);
            }
            conn.revive(*organization, &letters, now).await?;
            let mut failing = failing(&letters);
            let mut replays = Vec::with_capacity(others.len());
            for (seen, id) in others.into_iter().zip(fresh) {
                if let Some(refusal) = refusal(seen.webhook_state.as_deref(), seen.probe_at, seen.has_payload)? {
                    tally.refuse(refusal, 1);
                    continue;
                }
                failing.extend(seen.probe_at.map(|_| WebhookId::from_uuid(seen.webhook_id)));
                replays.push(seen.replay(id, now));
            }
            conn.queue(*organization, &replays).await?;
            let queued = letters.len() + replays.len();
            tally.done = count(queued);
            failing.sort_unstable();
            failing.dedup();
            let job = store_progress!(conn, taken, rest, tally, now);
            Ok(Some(Advance { job, queued, failing }))
        })
    }

    /// The next events that never went to `webhook`, and what remains to be looked at. Events that were made for one
    /// webhook only, tests and edited ones, are missed by nobody.
    pub async fn missing_events(
        &self,
        organization: OrganizationId,
        webhook: WebhookId,
        scope: &JobScope,
        span: Span,
        limit: u32,
    ) -> Result<(Vec<MissingEvent>, Option<Span>)> {
        let rows: Vec<(Uuid, String, Option<Uuid>, bool)> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(
                "select e.id, e.event_type, e.source_id, exists (select 1 from deliveries d where d.event_id = e.id and \
                 (d.kind in ('test', 'edited') or d.webhook_id = ",
            );
            sql.push_bind(webhook.uuid()).push(")) from (");
            push_next!(sql, organization, JobKind::ReplayMissing, None, span, limit);
            sql.push(") x cross join events e where e.id = x.id order by e.id");
            sql.build_query_as().fetch_all(db).await
        })?;
        let rest = span.after(rows.last().map(|row| row.0), rows.len(), limit);
        let missing = rows
            .into_iter()
            .filter(|(_, event_type, _, went)| !went && scope.event.as_ref().is_none_or(|event| event == event_type))
            .map(|(id, event_type, source, _)| MissingEvent {
                id: EventId::from_uuid(id),
                event_type,
                source: source.map(SourceId::from_uuid),
            });
        Ok((missing.collect(), rest))
    }

    /// Does the next batch of a job that goes through events: queues `replays`, which were picked among the events that
    /// `before` was still to be looked at, and leaves `rest`. Those that another job queued meanwhile are left out. `None`
    /// when `node` does not have the job any more.
    pub async fn advance_missing(
        &self,
        node: NodeId,
        id: JobId,
        before: Span,
        rest: Option<Span>,
        replays: Vec<QueuedDelivery>,
        now: Timestamp,
    ) -> Result<Option<Advance>> {
        writing!(self, conn => {
            let mut taken = hold_job!(conn, node, id);
            if taken.span != before {
                return Ok(None);
            }
            let mut replays = replays;
            if let Some(webhook) = replays.first().map(|replay| replay.webhook) {
                let mut sql = QueryBuilder::new("select event_id, webhook_id from deliveries");
                push_ids!(sql, " where event_id in (", replays.iter().map(|replay| replay.event.uuid()));
                let went: Vec<(Uuid, Uuid)> = sql.build_query_as().fetch_all(&mut *conn).await?;
                replays.retain(|replay| !went.contains(&(replay.event.uuid(), webhook.uuid())));
            }
            conn.queue(taken.organization, &replays).await?;
            let queued = replays.len();
            let tally = Tally { matched: count(queued), done: count(queued), ..Tally::default() };
            let job = store_progress!(conn, taken, rest, tally, now);
            Ok(Some(Advance { job, queued, failing: Vec::new() }))
        })
    }

    /// How many of the next deliveries belong to a job of this kind, and what remains to be looked at.
    pub async fn count_deliveries(
        &self,
        organization: OrganizationId,
        kind: JobKind,
        scope: &JobScope,
        span: Span,
        now: Timestamp,
    ) -> Result<(i64, Option<Span>)> {
        let seen: Vec<Seen> = reading!(self, db => {
            let mut sql: QueryBuilder<Dialect> = look!(organization, kind, scope, span, COUNTED);
            sql.build_query_as().fetch_all(db).await
        })?;
        let rest = span.after(seen.last().map(|seen| seen.id), seen.len(), COUNTED);
        Ok((count(seen.iter().filter(|seen| seen.belongs(kind, scope, now)).count()), rest))
    }
}
