//! The hot verbs: what happens for every event and every try. Each takes a slice and exists twice, once per database.
//!
//! A delivery that must be sent has a row in `queue`. The row is leased by writing a node's id into it. Every verb that
//! ends a lease compares that id, so a node that was given up for dead changes nothing when it comes back: its rows
//! have another owner by then, and it learns so from the answer.
//!
//! Long because the verbs and their words belong side by side: one protocol, of which each database's file is a translation.

mod postgres;
mod sqlite;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use domain::{
    DeliveryId, EventId, NodeId, OrganizationId, PublicId, SourceId, Timestamp, WebhookId,
    api::{AttemptTiming, DeliveryKind},
    delivery::{DeliveryState, ErrorClass},
};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::{
    Result, Store, StoreError,
    db::{Db, reading, writing},
};

/// Bodies up to this size travel with a claim; a larger one is read when its delivery is sent, so that a claim is
/// bounded in bytes too.
const MAX_CLAIMED_BODY_BYTES: i64 = 64 * 1024;
/// For how long an idempotency key is remembered.
pub(crate) const IDEMPOTENCY_MS: i64 = 24 * 3_600_000;

/// Most ids in one statement.
const IDS: usize = 256;

/// Pushes a list of ids in brackets.
macro_rules! push_ids {
    ($sql:expr, $before:literal, $ids:expr) => {
        $sql.push($before);
        let mut list = $sql.separated(", ");
        for id in $ids {
            list.push_bind(id);
        }
        list.push_unseparated(")");
    };
}
pub(crate) use push_ids;

/// An event to store, with the deliveries it causes.
#[derive(Debug)]
pub struct NewEvent {
    /// Made by the caller; carries the time of acceptance.
    pub id: EventId,
    /// The tenant.
    pub organization: OrganizationId,
    /// Who produced it.
    pub source: Option<SourceId>,
    /// Its type.
    pub event_type: Arc<str>,
    /// Exactly what receivers get.
    pub body: Bytes,
    /// The caller's key, and the SHA-256 of what it sent with it.
    pub idempotency: Option<(String, [u8; 32])>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// One for each webhook that wants it.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery to store, due at once.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    /// Made by the caller.
    pub id: DeliveryId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// Why it exists.
    pub kind: DeliveryKind,
    /// Whether the caller takes it at once; otherwise it waits to be claimed.
    pub leased: bool,
}

/// What became of one event of an ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestOutcome {
    /// Stored. `leased` is false when the node had lost its right to lease, so its deliveries wait to be claimed.
    Stored {
        /// Whether the leases asked for were given.
        leased: bool,
    },
    /// The idempotency key was used before, for the same content.
    Duplicate {
        /// The event it made then.
        id: EventId,
        /// The deliveries of that event.
        deliveries: u32,
    },
    /// The idempotency key was used before, for something else.
    KeyReused,
}

/// A delivery that this node may now try.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id.
    pub id: DeliveryId,
    /// The tenant.
    pub organization: OrganizationId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: String,
    /// Why it exists.
    pub kind: DeliveryKind,
    /// Tries already made.
    pub attempts: u32,
    /// Those of them made before it was queued this time: the policy does not count them.
    pub earlier_attempts: u32,
    /// The delivery it repeats.
    pub replay_of: Option<DeliveryId>,
    /// What to send, unless it is large: then it is read when it is sent.
    pub body: Option<Bytes>,
}

/// What one try came to, as it is stored.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// Name lookup to last byte.
    pub duration_ms: i64,
    /// The phases.
    pub timing: AttemptTiming,
    /// Where it was sent.
    pub url: Arc<str>,
    /// JSON list of headers, credentials masked.
    pub request_headers: String,
    /// HTTP status, if there was an answer.
    pub response_status: Option<u16>,
    /// JSON list of headers.
    pub response_headers: String,
    /// The beginning of the answer.
    pub response_body: Bytes,
    /// Whether there was more.
    pub response_truncated: bool,
    /// Why it failed; `None` for success.
    pub error: Option<ErrorClass>,
    /// The failure in words.
    pub error_detail: Option<String>,
}

/// What becomes of a delivery after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// It has ended in this state, then.
    End(DeliveryState, Timestamp),
    /// It waits for another try.
    RetryAt(Timestamp),
}

/// A try and what follows from it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The tenant.
    pub organization: OrganizationId,
    /// Where it went.
    pub webhook: WebhookId,
    /// Whether it says something about the webhook's health: tests and replays by people do not.
    pub counts_to_health: bool,
    /// The try.
    pub attempt: NewAttempt,
    /// What follows.
    pub next: NextStep,
}

/// What became of settlements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// For each, in order, whether it counted: a settlement of a delivery that the node no longer holds changes nothing.
    pub counted: Vec<bool>,
    /// Webhooks whose series of failures grew, with its length now.
    pub failing: Vec<(WebhookId, i64)>,
}

/// What a node learns when it says that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Leases that were taken back from dead nodes.
    pub recovered: u64,
    /// Nodes that are known, dead ones included until they are found out.
    pub nodes: u32,
}

impl Settlement {
    fn state(&self) -> &'static str {
        match self.next {
            NextStep::End(state, _) => state.as_str(),
            NextStep::RetryAt(_) => DeliveryState::Retrying.as_str(),
        }
    }

    fn finished_at(&self) -> Option<i64> {
        match self.next {
            NextStep::End(_, at) => Some(at.millis()),
            NextStep::RetryAt(_) => None,
        }
    }

    fn due_at(&self) -> Option<i64> {
        match self.next {
            NextStep::End(..) => None,
            NextStep::RetryAt(at) => Some(at.millis()),
        }
    }

    /// The column for a dead letter's time of death.
    fn died_at(&self) -> Option<i64> {
        match self.next {
            NextStep::End(DeliveryState::DeadLetter, at) => Some(at.millis()),
            _ => None,
        }
    }

    fn timing(&self) -> String {
        // Four optional numbers always serialize; the fallback keeps the column readable all the same.
        serde_json::to_string(&self.attempt.timing).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// A row of a claim.
#[derive(FromRow)]
struct ClaimedRow {
    id: Uuid,
    organization_id: Uuid,
    webhook_id: Uuid,
    event_id: Uuid,
    event_type: String,
    kind: String,
    attempts: i64,
    earlier_attempts: i64,
    replay_of: Option<Uuid>,
    body: Option<Vec<u8>>,
}

impl TryFrom<ClaimedRow> for Claimed {
    type Error = StoreError;
    fn try_from(row: ClaimedRow) -> Result<Self> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.id),
            organization: OrganizationId::from_uuid(row.organization_id),
            webhook: WebhookId::from_uuid(row.webhook_id),
            event: EventId::from_uuid(row.event_id),
            event_type: row.event_type,
            kind: row.kind.parse().map_err(|()| StoreError::corrupt("deliveries", "kind", &row.kind))?,
            attempts: u32::try_from(row.attempts)
                .map_err(|error| StoreError::corrupt("deliveries", "attempts", error))?,
            earlier_attempts: u32::try_from(row.earlier_attempts)
                .map_err(|error| StoreError::corrupt("queue", "earlier_attempts", error))?,
            replay_of: row.replay_of.map(DeliveryId::from_uuid),
            body: row.body.map(Bytes::from),
        })
    }
}

/// A remembered idempotency key.
#[derive(FromRow)]
struct KeyRow {
    organization_id: Uuid,
    idempotency_key: String,
    fingerprint: Vec<u8>,
    event_id: Uuid,
    deliveries: i64,
}

/// Which events of an ingest are new, once their idempotency keys were claimed.
struct Admission {
    outcomes: Vec<IngestOutcome>,
}

impl Admission {
    /// `fresh` holds the keys that were not known before; `known` the rows of the others. Of events with the same key in
    /// one ingest the first counts.
    fn judge(events: &[NewEvent], fresh: &[(Uuid, String)], known: Vec<KeyRow>) -> Self {
        let known: HashMap<(Uuid, String), KeyRow> =
            known.into_iter().map(|row| ((row.organization_id, row.idempotency_key.clone()), row)).collect();
        let mut first: HashMap<(Uuid, &str), &NewEvent> = HashMap::with_capacity(fresh.len());
        let outcomes = events
            .iter()
            .map(|event| {
                let Some((key, fingerprint)) = &event.idempotency else {
                    return IngestOutcome::Stored { leased: true };
                };
                let organization = event.organization.uuid();
                if let Some(row) = known.get(&(organization, key.clone())) {
                    return if row.fingerprint == fingerprint {
                        IngestOutcome::Duplicate {
                            id: EventId::from_uuid(row.event_id),
                            deliveries: u32::try_from(row.deliveries).unwrap_or_default(),
                        }
                    } else {
                        IngestOutcome::KeyReused
                    };
                }
                match first.get(&(organization, key.as_str())) {
                    None => {
                        first.insert((organization, key), event);
                        IngestOutcome::Stored { leased: true }
                    }
                    Some(earlier) if earlier.idempotency.as_ref().is_some_and(|(_, other)| other == fingerprint) => {
                        IngestOutcome::Duplicate { id: earlier.id, deliveries: count(&earlier.deliveries) }
                    }
                    Some(_) => IngestOutcome::KeyReused,
                }
            })
            .collect();
        Self { outcomes }
    }

    fn all_new(events: &[NewEvent]) -> Self {
        Self { outcomes: vec![IngestOutcome::Stored { leased: true }; events.len()] }
    }

    /// Refuses all when it has to be all or none and one was refused.
    fn whole_or_none(self, whole: bool) -> Result<Self> {
        let reused = self.outcomes.iter().position(|outcome| *outcome == IngestOutcome::KeyReused);
        match reused.filter(|_| whole) {
            Some(index) => Err(StoreError::KeyReused(index)),
            None => Ok(self),
        }
    }

    /// The events to store.
    fn stored<'e>(&self, events: &'e [NewEvent]) -> Vec<&'e NewEvent> {
        let new = |(event, outcome): (&'e NewEvent, &IngestOutcome)| {
            matches!(outcome, IngestOutcome::Stored { .. }).then_some(event)
        };
        events.iter().zip(&self.outcomes).filter_map(new).collect()
    }

    fn leases_refused(mut self) -> Self {
        for outcome in &mut self.outcomes {
            if let IngestOutcome::Stored { leased } = outcome {
                *leased = false;
            }
        }
        self
    }
}

/// The events of an ingest whose idempotency key has to be claimed: the first one of each key.
fn keyed(events: &[NewEvent]) -> Vec<(&NewEvent, &str, &[u8; 32])> {
    let mut seen = std::collections::HashSet::new();
    events
        .iter()
        .filter_map(|event| {
            let (key, fingerprint) = event.idempotency.as_ref()?;
            seen.insert((event.organization, key.as_str())).then_some((event, key.as_str(), fingerprint))
        })
        .collect()
}

fn count(deliveries: &[NewDelivery]) -> u32 {
    u32::try_from(deliveries.len()).unwrap_or(u32::MAX)
}

impl Store {
    /// Stores events and all their deliveries in one transaction, and answers for each event in order. When this
    /// returns, they are on disk.
    pub async fn ingest(&self, node: NodeId, events: Arc<[NewEvent]>) -> Result<Vec<IngestOutcome>> {
        self.ingest_either(node, events, false).await
    }

    /// The same, but all or none: a key that was used for something else refuses the whole ingest, as
    /// [`StoreError::KeyReused`].
    pub async fn ingest_whole(&self, node: NodeId, events: Arc<[NewEvent]>) -> Result<Vec<IngestOutcome>> {
        self.ingest_either(node, events, true).await
    }

    async fn ingest_either(&self, node: NodeId, events: Arc<[NewEvent]>, whole: bool) -> Result<Vec<IngestOutcome>> {
        match &self.db {
            Db::Sqlite(db) => {
                db.writer
                    .run(move |conn| Box::pin(async move { sqlite::ingest(conn, node, &events, whole).await }))
                    .await
            }
            Db::Postgres(pool) => postgres::ingest(pool, node, &events, whole).await,
        }
    }

    /// Stores what tries came to.
    pub async fn settle(&self, node: NodeId, settlements: Arc<[Settlement]>) -> Result<Settled> {
        match &self.db {
            Db::Sqlite(db) => {
                db.writer.run(move |conn| Box::pin(async move { sqlite::settle(conn, node, &settlements).await })).await
            }
            Db::Postgres(pool) => postgres::settle(pool, node, &settlements).await,
        }
    }

    /// Webhooks that have deliveries nobody holds, and when the first of these is due.
    pub async fn waiting(&self) -> Result<Vec<(WebhookId, Timestamp)>> {
        // Jumps from webhook to webhook along the index instead of reading every row.
        let rows: Vec<(Uuid, i64)> = reading!(self, db => sqlx::query_as(
            "with recursive waiting (webhook_id) as (
                 select (select webhook_id from queue where node_id is null order by webhook_id limit 1)
                 union all
                 select (select queue.webhook_id from queue
                         where queue.node_id is null and queue.webhook_id > waiting.webhook_id
                         order by queue.webhook_id limit 1)
                 from waiting where waiting.webhook_id is not null
             )
             select waiting.webhook_id, (
                 select queue.due_at from queue
                 where queue.webhook_id = waiting.webhook_id and queue.node_id is null order by queue.due_at limit 1
             ) from waiting where waiting.webhook_id is not null",
        ).fetch_all(db).await)?;
        Ok(rows
            .into_iter()
            .map(|(webhook, due)| (WebhookId::from_uuid(webhook), Timestamp::from_millis(due)))
            .collect())
    }

    /// Leases up to `per_webhook` due deliveries of each of `webhooks` to `node`, the longest due first.
    pub async fn claim(
        &self,
        node: NodeId,
        webhooks: Vec<WebhookId>,
        per_webhook: u32,
        now: Timestamp,
    ) -> Result<Vec<Claimed>> {
        let rows = match &self.db {
            Db::Sqlite(db) => {
                db.writer
                    .run(move |conn| {
                        Box::pin(async move { sqlite::claim(conn, node, &webhooks, per_webhook, now).await })
                    })
                    .await?
            }
            Db::Postgres(pool) => postgres::claim(pool, node, &webhooks, per_webhook, now).await?,
        };
        rows.into_iter().map(Claimed::try_from).collect()
    }

    /// Leases up to `limit` deliveries of one webhook that wants them in order: from the head of its queue, if that is due
    /// and nobody holds any of them. Without a claim the answer says when the head is due, `None` when there is none or
    /// it is held.
    pub async fn claim_in_order(
        &self,
        node: NodeId,
        webhook: WebhookId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(Vec<Claimed>, Option<Timestamp>)> {
        let (rows, head) = match &self.db {
            Db::Sqlite(db) => {
                db.writer
                    .run(move |conn| {
                        Box::pin(async move { sqlite::claim_in_order(conn, node, webhook, limit, now).await })
                    })
                    .await?
            }
            Db::Postgres(pool) => postgres::claim_in_order(pool, node, webhook, limit, now).await?,
        };
        let claimed = rows.into_iter().map(Claimed::try_from).collect::<Result<_>>()?;
        Ok((claimed, head.map(Timestamp::from_millis)))
    }

    /// Makes due `by_ms` earlier what is due after `now` and held by nobody. Answers how many.
    pub async fn bring_forward(&self, now: Timestamp, by_ms: i64) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query("update queue set due_at = due_at - $2 where node_id is null and due_at > $1")
                .bind(now.millis()).bind(by_ms).execute(&mut *conn).await?;
            Ok(done.rows_affected())
        })
    }

    /// What `node` has leased. It looks through the whole queue: for after a failure.
    pub async fn leased(&self, node: NodeId) -> Result<Vec<DeliveryId>> {
        let ids: Vec<Uuid> = reading!(self, db => sqlx::query_scalar(
            "select delivery_id from queue where node_id = $1",
        ).bind(node.uuid()).fetch_all(db).await)?;
        Ok(ids.into_iter().map(DeliveryId::from_uuid).collect())
    }

    /// Gives back leases of `node` without a try: those of `deliveries`, or all it has.
    pub async fn release(&self, node: NodeId, deliveries: Option<Vec<DeliveryId>>) -> Result<()> {
        writing!(self, conn => {
            let Some(deliveries) = deliveries else {
                sqlx::query("update queue set node_id = null where node_id = $1").bind(node.uuid()).execute(&mut *conn).await?;
                return Ok(());
            };
            for ids in deliveries.chunks(IDS) {
                let mut sql = QueryBuilder::new("update queue set node_id = null where node_id = ");
                sql.push_bind(node.uuid());
                push_ids!(sql, " and delivery_id in (", ids.iter().map(|id| id.uuid()));
                sql.build().execute(&mut *conn).await?;
            }
            Ok(())
        })
    }

    /// Ends deliveries of `node` without a try, because their webhook was deleted or their time is over.
    pub async fn discard(&self, node: NodeId, deliveries: Vec<DeliveryId>, now: Timestamp) -> Result<()> {
        writing!(self, conn => {
            for ids in deliveries.chunks(IDS) {
                let mut sql = QueryBuilder::new("delete from queue where node_id = ");
                sql.push_bind(node.uuid());
                push_ids!(sql, " and delivery_id in (", ids.iter().map(|id| id.uuid()));
                let mine: Vec<Uuid> = sql.push(" returning delivery_id").build_query_scalar().fetch_all(&mut *conn).await?;
                if mine.is_empty() {
                    continue;
                }
                let mut sql = QueryBuilder::new("update deliveries set state = 'discarded', finished_at = ");
                sql.push_bind(now.millis());
                push_ids!(sql, " where id in (", mine);
                sql.build().execute(&mut *conn).await?;
            }
            Ok(())
        })
    }

    /// What receivers of an event get.
    pub async fn event_body(&self, organization: OrganizationId, event: EventId) -> Result<Option<Bytes>> {
        let body: Option<Vec<u8>> = reading!(self, db => sqlx::query_scalar(
            "select body from events where organization_id = $1 and id = $2",
        ).bind(organization.uuid()).bind(event.uuid()).fetch_optional(db).await)?;
        Ok(body.map(Bytes::from))
    }

    /// Makes `node` known and takes back what dead nodes held. On SQLite every lease is taken back: one process owns the
    /// file, and it has just started.
    pub async fn register(&self, node: NodeId, ttl_ms: i64) -> Result<u64> {
        match &self.db {
            Db::Sqlite(db) => db.writer.run(move |conn| Box::pin(async move { sqlite::recover(conn).await })).await,
            Db::Postgres(pool) => {
                postgres::register(pool, node, ttl_ms).await?;
                postgres::reap(pool).await
            }
        }
    }

    /// Says that `node` is alive, and takes back what dead nodes held if it is to `reap`. `None` when the node itself was given up: what it
    /// held belongs to others.
    pub async fn heartbeat(&self, node: NodeId, ttl_ms: i64, reap: bool) -> Result<Option<Pulse>> {
        match &self.db {
            Db::Sqlite(_) => Ok(Some(Pulse { recovered: 0, nodes: 1 })),
            Db::Postgres(pool) => {
                let Some(nodes) = postgres::beat(pool, node, ttl_ms).await? else { return Ok(None) };
                let recovered = if reap { postgres::reap(pool).await? } else { 0 };
                Ok(Some(Pulse { recovered, nodes }))
            }
        }
    }

    /// Forgets a node that stopped in good order, and gives back what it still held of checks, notices and e-mails.
    pub async fn unregister(&self, node: NodeId) -> Result<()> {
        writing!(self, conn => {
            for statement in [
                "update integration_health set node_id = null where node_id = $1",
                "update notices set node_id = null where node_id = $1",
                "update emails set node_id = null, possibly_sent = (1 = 1) where node_id = $1",
                "delete from nodes where id = $1",
            ] {
                sqlx::query(statement).bind(node.uuid()).execute(&mut *conn).await?;
            }
            Ok(())
        })
    }

    /// Forgets idempotency keys that are too old to matter, at most `limit` of events and as many of e-mails. Answers how many.
    pub async fn forget_idempotency_keys(&self, now: Timestamp, limit: i64) -> Result<u64> {
        let before = now.plus_ms(-IDEMPOTENCY_MS).millis();
        writing!(self, conn => {
            let mut forgotten = 0;
            for statement in [
                "delete from idempotency_keys where (organization_id, idempotency_key) in (
                     select organization_id, idempotency_key from idempotency_keys where created_at < $1
                     order by created_at limit $2)",
                "delete from email_keys where (organization_id, idempotency_key) in (
                     select organization_id, idempotency_key from email_keys where created_at < $1
                     order by created_at limit $2)",
            ] {
                forgotten += sqlx::query(statement).bind(before).bind(limit).execute(&mut *conn).await?.rows_affected();
            }
            Ok(forgotten)
        })
    }
}
