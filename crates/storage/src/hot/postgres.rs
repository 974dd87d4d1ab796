//! The hot verbs on PostgreSQL: one statement each, arrays in, so that a batch is one round trip and one commit. The
//! texts are in `sql/postgres`. No transaction is open while a request is sent.

use domain::{NodeId, PublicId, Timestamp, WebhookId, duration_slot};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Admission, ClaimedRow, IDEMPOTENCY_MS, IngestOutcome, KeyRow, MAX_CLAIMED_BODY_BYTES, NewEvent, Settled,
    Settlement, count, keyed,
};
use crate::Result;

pub(super) async fn ingest(
    pool: &PgPool,
    node: NodeId,
    events: &[NewEvent],
    whole: bool,
) -> Result<Vec<IngestOutcome>> {
    let keyed = keyed(events);
    if keyed.is_empty() {
        let mut connection = pool.acquire().await?;
        return insert(&mut connection, node, events, Admission::all_new(events)).await;
    }
    let mut transaction = pool.begin().await?;
    let fresh = claim_keys(&mut transaction, &keyed).await?;
    let known =
        if fresh.len() == keyed.len() { Vec::new() } else { known_keys(&mut transaction, &keyed, &fresh).await? };
    let admission = Admission::judge(events, &fresh, known).whole_or_none(whole)?;
    let outcomes = insert(&mut transaction, node, events, admission).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

async fn insert(
    conn: &mut PgConnection,
    node: NodeId,
    events: &[NewEvent],
    admission: Admission,
) -> Result<Vec<IngestOutcome>> {
    let stored = admission.stored(events);
    let deliveries: Vec<_> =
        stored.iter().flat_map(|event| event.deliveries.iter().map(move |delivery| (*event, delivery))).collect();
    let leased: bool = sqlx::query_scalar(include_str!("../../sql/postgres/ingest.sql"))
        .bind(node.uuid())
        .bind(stored.iter().map(|event| event.id.uuid()).collect::<Vec<_>>())
        .bind(stored.iter().map(|event| event.organization.uuid()).collect::<Vec<_>>())
        .bind(stored.iter().map(|event| event.source.map(PublicId::uuid)).collect::<Vec<_>>())
        .bind(stored.iter().map(|event| &*event.event_type).collect::<Vec<_>>())
        .bind(stored.iter().map(|event| &event.body[..]).collect::<Vec<_>>())
        .bind(stored.iter().map(|event| i64::from(count(&event.deliveries))).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(_, delivery)| delivery.id.uuid()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(event, _)| event.organization.uuid()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(_, delivery)| delivery.webhook.uuid()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(event, _)| event.id.uuid()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(event, _)| &*event.event_type).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(_, delivery)| delivery.kind.as_str()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(event, _)| event.accepted_at.millis()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|(_, delivery)| delivery.leased).collect::<Vec<_>>())
        .fetch_one(conn)
        .await?;
    Ok(if leased { admission } else { admission.leases_refused() }.outcomes)
}

async fn claim_keys(conn: &mut PgConnection, keyed: &[(&NewEvent, &str, &[u8; 32])]) -> Result<Vec<(Uuid, String)>> {
    // In key order, so that two nodes with the same keys never wait for each other in a circle.
    let mut keyed = keyed.to_vec();
    keyed.sort_unstable_by_key(|(event, key, _)| (event.organization, *key));
    Ok(sqlx::query_as(include_str!("../../sql/postgres/claim_keys.sql"))
        .bind(keyed.iter().map(|(event, ..)| event.organization.uuid()).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(_, _, fingerprint)| &fingerprint[..]).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(event, ..)| event.id.uuid()).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(event, ..)| i64::from(count(&event.deliveries))).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(event, ..)| event.accepted_at.millis()).collect::<Vec<_>>())
        .bind(IDEMPOTENCY_MS)
        .fetch_all(conn)
        .await?)
}

async fn known_keys(
    conn: &mut PgConnection,
    keyed: &[(&NewEvent, &str, &[u8; 32])],
    fresh: &[(Uuid, String)],
) -> Result<Vec<KeyRow>> {
    let known: Vec<_> = keyed
        .iter()
        .filter(|(event, key, _)| {
            !fresh.iter().any(|(organization, fresh)| *organization == event.organization.uuid() && fresh == key)
        })
        .collect();
    Ok(sqlx::query_as(
        "select organization_id, idempotency_key, fingerprint, event_id, deliveries from idempotency_keys
         where (organization_id, idempotency_key) in (select * from unnest($1::uuid[], $2::text[]))",
    )
    .bind(known.iter().map(|(event, ..)| event.organization.uuid()).collect::<Vec<_>>())
    .bind(known.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?)
}

pub(super) async fn claim(
    pool: &PgPool,
    node: NodeId,
    webhooks: &[WebhookId],
    per_webhook: u32,
    now: Timestamp,
) -> Result<Vec<ClaimedRow>> {
    Ok(sqlx::query_as(include_str!("../../sql/postgres/claim.sql"))
        .bind(webhooks.iter().map(|webhook| webhook.uuid()).collect::<Vec<_>>())
        .bind(now.millis())
        .bind(i64::from(per_webhook))
        .bind(node.uuid())
        .bind(MAX_CLAIMED_BODY_BYTES)
        .fetch_all(pool)
        .await?)
}

pub(super) async fn claim_in_order(
    pool: &PgPool,
    node: NodeId,
    webhook: WebhookId,
    limit: u32,
    now: Timestamp,
) -> Result<(Vec<ClaimedRow>, Option<i64>)> {
    let mut transaction = pool.begin().await?;
    // One node at a time looks at the head: what another one took meanwhile is seen by the statements that follow.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 0))")
        .bind(webhook.uuid())
        .execute(&mut *transaction)
        .await?;
    let head: Option<(i64, Option<Uuid>)> =
        sqlx::query_as("select due_at, node_id from queue where webhook_id = $1 order by delivery_id limit 1")
            .bind(webhook.uuid())
            .fetch_optional(&mut *transaction)
            .await?;
    match head {
        Some((due_at, None)) if due_at <= now.millis() => {}
        Some((due_at, None)) => return Ok((Vec::new(), Some(due_at))),
        Some((_, Some(_))) | None => return Ok((Vec::new(), None)),
    }
    let rows = sqlx::query_as(include_str!("../../sql/postgres/claim_in_order.sql"))
        .bind(webhook.uuid())
        .bind(i64::from(limit))
        .bind(node.uuid())
        .bind(MAX_CLAIMED_BODY_BYTES)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((rows, None))
}

pub(super) async fn settle(pool: &PgPool, node: NodeId, settlements: &[Settlement]) -> Result<Settled> {
    /// One array parameter.
    fn column<'s, T>(settlements: &'s [Settlement], value: impl Fn(&'s Settlement) -> T) -> Vec<T> {
        settlements.iter().map(value).collect()
    }
    let rows: Vec<(Uuid, Option<i64>)> = sqlx::query_as(include_str!("../../sql/postgres/settle.sql"))
        .bind(node.uuid())
        .bind(column(settlements, |s| s.delivery.uuid()))
        .bind(column(settlements, |s| s.organization.uuid()))
        .bind(column(settlements, |s| s.webhook.uuid()))
        .bind(column(settlements, |s| s.counts_to_health))
        .bind(column(settlements, Settlement::state))
        .bind(column(settlements, Settlement::due_at))
        .bind(column(settlements, Settlement::finished_at))
        .bind(column(settlements, |s| i64::from(s.attempt.number)))
        .bind(column(settlements, |s| s.attempt.started_at.millis()))
        .bind(column(settlements, |s| s.attempt.duration_ms))
        .bind(column(settlements, Settlement::timing))
        .bind(column(settlements, |s| &*s.attempt.url))
        .bind(column(settlements, |s| &*s.attempt.request_headers))
        .bind(column(settlements, |s| s.attempt.response_status.map(i64::from)))
        .bind(column(settlements, |s| &*s.attempt.response_headers))
        .bind(column(settlements, |s| &s.attempt.response_body[..]))
        .bind(column(settlements, |s| s.attempt.response_truncated))
        .bind(column(settlements, |s| s.attempt.error.map(domain::delivery::ErrorClass::as_str)))
        .bind(column(settlements, |s| s.attempt.error_detail.as_deref()))
        .bind(column(settlements, |s| duration_slot(s.attempt.duration_ms)))
        .fetch_all(pool)
        .await?;
    let mut mine = std::collections::HashSet::with_capacity(rows.len());
    let mut failing = Vec::new();
    for (id, failures) in rows {
        match failures {
            None => drop(mine.insert(id)),
            Some(failures) => failing.push((WebhookId::from_uuid(id), failures)),
        }
    }
    Ok(Settled {
        counted: settlements.iter().map(|settlement| mine.contains(&settlement.delivery.uuid())).collect(),
        failing,
    })
}

pub(super) async fn register(pool: &PgPool, node: NodeId, ttl_ms: i64) -> Result<()> {
    sqlx::query(
        "insert into nodes (id, alive_until) values ($1, (extract(epoch from clock_timestamp()) * 1000)::bigint + $2)",
    )
    .bind(node.uuid())
    .bind(ttl_ms)
    .execute(pool)
    .await?;
    Ok(())
}

/// Answers how many nodes there are; `None` when this one is none of them any more.
pub(super) async fn beat(pool: &PgPool, node: NodeId, ttl_ms: i64) -> Result<Option<u32>> {
    let nodes: Option<i64> = sqlx::query_scalar(
        "update nodes set alive_until = (extract(epoch from clock_timestamp()) * 1000)::bigint + $2 where id = $1
         returning (select count(*) from nodes)",
    )
    .bind(node.uuid())
    .bind(ttl_ms)
    .fetch_optional(pool)
    .await?;
    Ok(nodes.map(|nodes| u32::try_from(nodes).unwrap_or(u32::MAX)))
}

pub(super) async fn reap(pool: &PgPool) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    let dead = sqlx::query(include_str!("../../sql/postgres/reap_nodes.sql")).execute(&mut *transaction).await?;
    // A sign of life comes often, a death seldom: only then is the queue looked through.
    let recovered = if dead.rows_affected() == 0 {
        0
    } else {
        let leases = sqlx::query(include_str!("../../sql/postgres/reap_leases.sql")).execute(&mut *transaction).await?;
        for work in [
            include_str!("../../sql/postgres/reap_jobs.sql"),
            include_str!("../../sql/postgres/reap_checks.sql"),
            include_str!("../../sql/postgres/reap_notices.sql"),
            include_str!("../../sql/postgres/reap_emails.sql"),
        ] {
            sqlx::query(work).execute(&mut *transaction).await?;
        }
        leases.rows_affected()
    };
    transaction.commit().await?;
    Ok(recovered)
}
