//! Jobs: work on many deliveries, in batches.
//!
//! What a job goes through is settled when it is created: ids below its own, and nothing that ended later. It looks at
//! [`BATCH`] rows at a time, from the oldest to the newest. What a batch does, how far it came and what it counted are one
//! transaction, which begins by making sure that the node still has the job: so a job that is interrupted goes on where
//! it was, and does everything once.

mod batch;

use std::collections::BTreeMap;

use domain::{
    EventId, JobId, NodeId, OrganizationId, PublicId, SourceId, Timestamp, WebhookId,
    api::{Job, JobKind, JobScope, JobState, Page, Refusal},
};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json, word},
    db::{reading, writing},
    keyset,
};

/// Rows that one batch looks at: the longest that others wait for it.
pub const BATCH: u32 = 500;

/// A job to be created. Its id also says when it was asked for, and bounds what it goes through.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Made by the caller.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// To which deliveries.
    pub scope: JobScope,
    /// Who asked for it, as people know them.
    pub created_by: String,
}

/// The ids that are still to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    next: Uuid,
    end: Uuid,
}

impl Span {
    /// The ids that `scope` allows and that were made before `now`.
    pub fn of(scope: &JobScope, now: JobId) -> Self {
        let end = scope.to.map_or(now.uuid(), |to| keyset::first_id(to).min(now.uuid()));
        Self { next: scope.from.map_or(Uuid::nil(), keyset::first_id), end }
    }

    /// What remains after a batch of `looked_at` rows of at most `limit`, of which `last` was the last; `None`: nothing.
    fn after(self, last: Option<Uuid>, looked_at: usize, limit: u32) -> Option<Self> {
        let last = last.filter(|_| looked_at == limit as usize)?;
        Some(Self { next: Uuid::from_u128(last.as_u128().saturating_add(1)), ..self })
    }
}

/// A job that a node works on.
#[derive(Debug, Clone)]
pub struct TakenJob {
    /// The tenant.
    pub organization: OrganizationId,
    /// The job as it is now.
    pub job: Job,
    /// What it has not looked at.
    pub span: Span,
}

/// What one batch of a job came to.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The job as it is now.
    pub job: TakenJob,
    /// Deliveries that were queued.
    pub queued: usize,
    /// Webhooks of these that are disabled because their endpoints failed.
    pub failing: Vec<WebhookId>,
}

/// What became of the wish to cancel a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// It is cancelled.
    Done(Box<Job>),
    /// It had ended before, so.
    Ended(JobState),
    /// There is none.
    Missing,
}

/// An event that never went to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingEvent {
    /// The event.
    pub id: EventId,
    /// Its type.
    pub event_type: String,
    /// Who produced it.
    pub source: Option<SourceId>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    kind: String,
    scope: String,
    state: String,
    first_id: Uuid,
    next_id: Uuid,
    end_id: Uuid,
    matched: i64,
    done: i64,
    refusals: String,
    error: Option<String>,
    created_by: String,
    finished_at: Option<i64>,
}

/// All that a [`Row`] is made of.
macro_rules! job_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, organization_id, kind, scope, state, first_id, next_id, end_id, matched, done, refusals, error, \
             created_by, finished_at ",
            $after
        )
    };
}

use job_columns;

impl TryFrom<Row> for TakenJob {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        let state = word("jobs", "state", &row.state)?;
        let refusals: BTreeMap<Refusal, i64> = json("jobs", "refusals", &row.refusals)?;
        let age = |id| EventId::from_uuid(id).created_at();
        let (come, whole) = (age(row.next_id).since_ms(age(row.first_id)), age(row.end_id).since_ms(age(row.first_id)));
        let percent = if state == JobState::Done { 100 } else { (come * 100 / whole.max(1)).clamp(0, 99) };
        let id = JobId::from_uuid(row.id);
        let job = Job {
            id,
            kind: word("jobs", "kind", &row.kind)?,
            scope: json("jobs", "scope", &row.scope)?,
            state,
            percent,
            matched: row.matched,
            done: row.done,
            refused: refusals.values().sum(),
            refusals,
            error: row.error,
            created_by: row.created_by,
            created_at: id.created_at(),
            finished_at: row.finished_at.map(Timestamp::from_millis),
        };
        let span = Span { next: row.next_id, end: row.end_id };
        Ok(Self { organization: OrganizationId::from_uuid(row.organization_id), job, span })
    }
}

impl TryFrom<Row> for Job {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        TakenJob::try_from(row).map(|taken| taken.job)
    }
}

/// Pushes a query of the next ids that a job goes through, at most `limit`, from the oldest on. What else they must be is
/// looked at outside of it, so that a statement reads that many rows of an index and no more, however few of them belong
/// to the job.
macro_rules! push_next {
    ($sql:expr, $organization:expr, $kind:expr, $webhook:expr, $span:expr, $limit:expr) => {
        let webhook: Option<WebhookId> = $webhook;
        let id = match $kind {
            JobKind::DeadLettersRetry | JobKind::DeadLettersClear => {
                $sql.push("select delivery_id as id from dead_letters where organization_id = ");
                $sql.push_bind($organization.uuid());
                if let Some(webhook) = webhook {
                    $sql.push(" and webhook_id = ").push_bind(webhook.uuid());
                }
                "delivery_id"
            }
            JobKind::ReplayFailed | JobKind::ReplayFilter => {
                match webhook {
                    Some(webhook) => {
                        $sql.push("select id from deliveries where webhook_id = ").push_bind(webhook.uuid())
                    }
                    None => {
                        $sql.push("select id from deliveries where organization_id = ").push_bind($organization.uuid())
                    }
                };
                "id"
            }
            JobKind::ReplayMissing => {
                $sql.push("select id from events where organization_id = ").push_bind($organization.uuid());
                "id"
            }
        };
        $sql.push(" and ").push(id).push(" >= ").push_bind($span.next);
        $sql.push(" and ").push(id).push(" < ").push_bind($span.end);
        $sql.push(" order by ").push(id).push(" limit ").push_bind(i64::from($limit));
    };
}

use push_next;

impl Store {
    /// Creates a job, for any node to take.
    pub async fn create_job(&self, organization: OrganizationId, new: NewJob, audit: NewAudit) -> Result<Job> {
        let span = Span::of(&new.scope, new.id);
        writing!(self, conn => {
            let mut sql = QueryBuilder::new("");
            push_next!(sql, organization, new.kind, new.scope.webhook_id, span, 1_u32);
            let first: Option<Uuid> = sql.build_query_scalar().fetch_optional(&mut *conn).await?;
            let first = first.unwrap_or(span.end);
            let row: Row = sqlx::query_as(job_columns!(
                "insert into jobs (id, organization_id, kind, scope, state, first_id, next_id, end_id, matched, done, \
                 refusals, created_by) values ($1, $2, $3, $4, 'running', $5, $5, $6, 0, 0, '{}', $7) returning",
                ""
            ))
            .bind(new.id.uuid())
            .bind(organization.uuid())
            .bind(new.kind.as_str())
            .bind(to_json(&new.scope))
            .bind(first)
            .bind(span.end)
            .bind(&new.created_by)
            .fetch_one(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await?;
            row.try_into()
        })
    }

    /// Jobs, newest first.
    pub async fn jobs(&self, organization: OrganizationId, before: Option<JobId>, limit: u32) -> Result<Page<Job>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(job_columns!(
            "select",
            "from jobs where organization_id = $1 and id < $2 order by id desc limit $3"
        ))
        .bind(organization.uuid())
        .bind(keyset::before(before))
        .bind(keyset::one_more(limit))
        .fetch_all(db)
        .await)?;
        keyset::page(rows, limit, |job: &Job| job.id.to_string())
    }

    /// One job.
    pub async fn job(&self, organization: OrganizationId, id: JobId) -> Result<Option<Job>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(job_columns!(
            "select",
            "from jobs where organization_id = $1 and id = $2"
        ))
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Stops a job after the batch that is under way, if any.
    pub async fn cancel_job(
        &self,
        organization: OrganizationId,
        id: JobId,
        now: Timestamp,
        audit: NewAudit,
    ) -> Result<Cancellation> {
        writing!(self, conn => {
            let row: Option<Row> = sqlx::query_as(job_columns!(
                "update jobs set state = 'cancelled', finished_at = $3, node_id = null \
                 where organization_id = $1 and id = $2 and state = 'running' returning",
                ""
            ))
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(now.millis())
            .fetch_optional(&mut *conn)
            .await?;
            if let Some(row) = row {
                audit::append(conn, organization, &audit).await?;
                return Ok(Cancellation::Done(Box::new(row.try_into()?)));
            }
            let state: Option<String> =
                sqlx::query_scalar("select state from jobs where organization_id = $1 and id = $2")
                    .bind(organization.uuid())
                    .bind(id.uuid())
                    .fetch_optional(&mut *conn)
                    .await?;
            match state {
                Some(state) => Ok(Cancellation::Ended(word("jobs", "state", &state)?)),
                None => Ok(Cancellation::Missing),
            }
        })
    }

    /// Takes the oldest job that no node works on.
    pub async fn take_job(&self, node: NodeId) -> Result<Option<TakenJob>> {
        let free: Option<Uuid> = reading!(self, db => sqlx::query_scalar(
            "select id from jobs where state = 'running' and node_id is null order by id limit 1",
        )
        .fetch_optional(db)
        .await)?;
        let Some(free) = free else { return Ok(None) };
        let row: Option<Row> = writing!(self, conn => {
            // Another node may have been faster.
            Ok(sqlx::query_as(job_columns!(
                "update jobs set node_id = $2 where id = $1 and state = 'running' and node_id is null returning",
                ""
            ))
            .bind(free)
            .bind(node.uuid())
            .fetch_optional(&mut *conn)
            .await?)
        })?;
        row.map(TryInto::try_into).transpose()
    }

    /// Gives a job back, for another node to take.
    pub async fn release_job(&self, node: NodeId, id: JobId) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update jobs set node_id = null where id = $1 and node_id = $2")
                .bind(id.uuid())
                .bind(node.uuid())
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }

    /// Ends a job that cannot go on. `false` when `node` does not have it any more.
    pub async fn fail_job(&self, node: NodeId, id: JobId, error: String, now: Timestamp) -> Result<bool> {
        writing!(self, conn => {
            let failed = sqlx::query(
                "update jobs set state = 'failed', error = $3, finished_at = $4, node_id = null \
                 where id = $1 and node_id = $2 and state = 'running'",
            )
            .bind(id.uuid())
            .bind(node.uuid())
            .bind(error)
            .bind(now.millis())
            .execute(&mut *conn)
            .await?;
            Ok(failed.rows_affected() > 0)
        })
    }
}
