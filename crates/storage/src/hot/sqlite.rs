//! The hot verbs on SQLite. They run on the writer's connection, inside its transaction.
//!
//! Rows go in by multi-row `values`, in chunks whose sizes are powers of two, so that there are few distinct texts and
//! every one of them stays prepared.

use domain::{NodeId, PublicId, Timestamp, WebhookId, duration_slot};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::{
    Admission, ClaimedRow, IDEMPOTENCY_MS, IngestOutcome, KeyRow, MAX_CLAIMED_BODY_BYTES, NewEvent, NextStep, Settled,
    Settlement, count, keyed,
};
use crate::Result;

/// Rows of the largest chunk.
const CHUNK: usize = 64;
/// Minutes per bucket of the rollups.
const GRAINS: [i64; 3] = [1, 60, 1440];

/// Cuts rows into chunks of 64, 32, … 1.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = if rows.is_empty() { return None } else { CHUNK.min(1 << rows.len().ilog2()) };
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

pub(super) async fn ingest(
    conn: &mut SqliteConnection,
    node: NodeId,
    events: &[NewEvent],
    whole: bool,
) -> Result<Vec<IngestOutcome>> {
    let keyed = keyed(events);
    let admission = if keyed.is_empty() {
        Admission::all_new(events)
    } else {
        let mut fresh = Vec::new();
        let mut known = Vec::new();
        for chunk in chunks(&keyed) {
            let before = fresh.len();
            fresh.append(&mut claim_keys(conn, chunk).await?);
            if fresh.len() - before < chunk.len() {
                known.append(&mut known_keys(conn, chunk, &fresh[before..]).await?);
            }
        }
        Admission::judge(events, &fresh, known).whole_or_none(whole)?
    };
    let stored = admission.stored(events);
    for chunk in chunks(&stored) {
        QueryBuilder::<Sqlite>::new(
            "insert into events (id, organization_id, source_id, event_type, body, deliveries) ",
        )
        .push_values(chunk, |mut row, event| {
            row.push_bind(event.id.uuid())
                .push_bind(event.organization.uuid())
                .push_bind(event.source.map(PublicId::uuid))
                .push_bind(&*event.event_type)
                .push_bind(&event.body[..])
                .push_bind(i64::from(count(&event.deliveries)));
        })
        .build()
        .execute(&mut *conn)
        .await?;
    }
    let deliveries: Vec<_> =
        stored.iter().flat_map(|event| event.deliveries.iter().map(move |delivery| (*event, delivery))).collect();
    for chunk in chunks(&deliveries) {
        QueryBuilder::<Sqlite>::new(
            "insert into deliveries (id, organization_id, webhook_id, event_id, event_type, kind, state, attempts) ",
        )
        .push_values(chunk, |mut row, (event, delivery)| {
            row.push_bind(delivery.id.uuid())
                .push_bind(event.organization.uuid())
                .push_bind(delivery.webhook.uuid())
                .push_bind(event.id.uuid())
                .push_bind(&*event.event_type)
                .push_bind(delivery.kind.as_str())
                .push("'pending'")
                .push("0");
        })
        .build()
        .execute(&mut *conn)
        .await?;
        QueryBuilder::<Sqlite>::new(
            "insert into queue (delivery_id, organization_id, webhook_id, due_at, earlier_attempts, node_id) ",
        )
        .push_values(chunk, |mut row, (event, delivery)| {
            row.push_bind(delivery.id.uuid())
                .push_bind(event.organization.uuid())
                .push_bind(delivery.webhook.uuid())
                .push_bind(event.accepted_at.millis())
                .push("0")
                .push_bind(delivery.leased.then(|| node.uuid()));
        })
        .build()
        .execute(&mut *conn)
        .await?;
    }
    Ok(admission.outcomes)
}

/// Writes keys that are unknown or expired; answers which.
async fn claim_keys(
    conn: &mut SqliteConnection,
    chunk: &[(&NewEvent, &str, &[u8; 32])],
) -> Result<Vec<(Uuid, String)>> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "insert into idempotency_keys (organization_id, idempotency_key, fingerprint, event_id, deliveries, created_at) ",
    );
    query.push_values(chunk, |mut row, (event, key, fingerprint)| {
        row.push_bind(event.organization.uuid())
            .push_bind(*key)
            .push_bind(&fingerprint[..])
            .push_bind(event.id.uuid())
            .push_bind(i64::from(count(&event.deliveries)))
            .push_bind(event.accepted_at.millis());
    });
    query.push(
        " on conflict (organization_id, idempotency_key) do update set fingerprint = excluded.fingerprint,
             event_id = excluded.event_id, deliveries = excluded.deliveries, created_at = excluded.created_at
         where idempotency_keys.created_at < excluded.created_at - ",
    );
    query.push_bind(IDEMPOTENCY_MS).push(" returning organization_id, idempotency_key");
    Ok(query.build_query_as().fetch_all(conn).await?)
}

async fn known_keys(
    conn: &mut SqliteConnection,
    chunk: &[(&NewEvent, &str, &[u8; 32])],
    fresh: &[(Uuid, String)],
) -> Result<Vec<KeyRow>> {
    let is_known = |(event, key, _): &&(&NewEvent, &str, &[u8; 32])| {
        !fresh.iter().any(|(organization, fresh)| *organization == event.organization.uuid() && fresh == key)
    };
    let mut query = QueryBuilder::<Sqlite>::new(
        "select organization_id, idempotency_key, fingerprint, event_id, deliveries from idempotency_keys
         where (organization_id, idempotency_key) in (",
    );
    query.push_values(chunk.iter().filter(is_known), |mut row, (event, key, _)| {
        row.push_bind(event.organization.uuid()).push_bind(*key);
    });
    query.push(")");
    Ok(query.build_query_as().fetch_all(conn).await?)
}

pub(super) async fn claim(
    conn: &mut SqliteConnection,
    node: NodeId,
    webhooks: &[WebhookId],
    per_webhook: u32,
    now: Timestamp,
) -> Result<Vec<ClaimedRow>> {
    let mut claimed = Vec::new();
    // One pair of statements per webhook, not per delivery. Both pick the same rows: nobody else can write in between.
    for webhook in webhooks {
        let mut rows: Vec<ClaimedRow> = sqlx::query_as(
            "select d.id, d.organization_id, d.webhook_id, d.event_id, d.event_type, d.kind, d.attempts,
                    q.earlier_attempts, d.replay_of, case when length(e.body) <= $4 then e.body end as body
             from queue q join deliveries d on d.id = q.delivery_id left join events e on e.id = d.event_id
             where q.webhook_id = $1 and q.node_id is null and q.due_at <= $2
             order by q.due_at, q.delivery_id limit $3",
        )
        .bind(webhook.uuid())
        .bind(now.millis())
        .bind(per_webhook)
        .bind(MAX_CLAIMED_BODY_BYTES)
        .fetch_all(&mut *conn)
        .await?;
        sqlx::query(
            "update queue set node_id = $4 where delivery_id in (
                 select delivery_id from queue where webhook_id = $1 and node_id is null and due_at <= $2
                 order by due_at, delivery_id limit $3)",
        )
        .bind(webhook.uuid())
        .bind(now.millis())
        .bind(per_webhook)
        .bind(node.uuid())
        .execute(&mut *conn)
        .await?;
        claimed.append(&mut rows);
    }
    Ok(claimed)
}

pub(super) async fn claim_in_order(
    conn: &mut SqliteConnection,
    node: NodeId,
    webhook: WebhookId,
    limit: u32,
    now: Timestamp,
) -> Result<(Vec<ClaimedRow>, Option<i64>)> {
    let head: Option<(i64, Option<Uuid>)> =
        sqlx::query_as("select due_at, node_id from queue where webhook_id = $1 order by delivery_id limit 1")
            .bind(webhook.uuid())
            .fetch_optional(&mut *conn)
            .await?;
    match head {
        Some((due_at, None)) if due_at <= now.millis() => {}
        Some((due_at, None)) => return Ok((Vec::new(), Some(due_at))),
        Some((_, Some(_))) | None => return Ok((Vec::new(), None)),
    }
    let rows = sqlx::query_as(
        "select d.id, d.organization_id, d.webhook_id, d.event_id, d.event_type, d.kind, d.attempts,
                q.earlier_attempts, d.replay_of, case when length(e.body) <= $3 then e.body end as body
         from queue q join deliveries d on d.id = q.delivery_id left join events e on e.id = d.event_id
         where q.webhook_id = $1 and q.node_id is null order by q.delivery_id limit $2",
    )
    .bind(webhook.uuid())
    .bind(limit)
    .bind(MAX_CLAIMED_BODY_BYTES)
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query(
        "update queue set node_id = $3 where delivery_id in (
             select delivery_id from queue where webhook_id = $1 and node_id is null order by delivery_id limit $2)",
    )
    .bind(webhook.uuid())
    .bind(limit)
    .bind(node.uuid())
    .execute(conn)
    .await?;
    Ok((rows, None))
}

pub(super) async fn settle(conn: &mut SqliteConnection, node: NodeId, settlements: &[Settlement]) -> Result<Settled> {
    let (ended, waiting): (Vec<_>, Vec<_>) =
        settlements.iter().partition(|settlement| matches!(settlement.next, NextStep::End(..)));
    let mut mine = std::collections::HashSet::with_capacity(settlements.len());
    for chunk in chunks(&ended) {
        let mut query = QueryBuilder::<Sqlite>::new("delete from queue where node_id = ");
        query.push_bind(node.uuid()).push(" and delivery_id in (");
        let mut ids = query.separated(", ");
        for settlement in chunk {
            ids.push_bind(settlement.delivery.uuid());
        }
        query.push(") returning delivery_id");
        mine.extend(query.build_query_scalar::<Uuid>().fetch_all(&mut *conn).await?);
    }
    for chunk in chunks(&waiting) {
        let mut query = QueryBuilder::<Sqlite>::new("update queue set node_id = null, due_at = retry.column2 from (");
        query.push_values(chunk, |mut row, settlement| {
            row.push_bind(settlement.delivery.uuid()).push_bind(settlement.due_at());
        });
        query.push(") as retry where queue.delivery_id = retry.column1 and queue.node_id = ").push_bind(node.uuid());
        query.push(" returning delivery_id");
        mine.extend(query.build_query_scalar::<Uuid>().fetch_all(&mut *conn).await?);
    }
    let counted: Vec<&Settlement> =
        settlements.iter().filter(|settlement| mine.contains(&settlement.delivery.uuid())).collect();
    for chunk in chunks(&counted) {
        update_deliveries(conn, chunk).await?;
        insert_attempts(conn, chunk).await?;
    }
    let dead: Vec<_> = counted.iter().filter_map(|settlement| Some((*settlement, settlement.died_at()?))).collect();
    for chunk in chunks(&dead) {
        QueryBuilder::<Sqlite>::new("insert into dead_letters (organization_id, delivery_id, webhook_id, died_at) ")
            .push_values(chunk, |mut row, (settlement, died_at)| {
                row.push_bind(settlement.organization.uuid())
                    .push_bind(settlement.delivery.uuid())
                    .push_bind(settlement.webhook.uuid())
                    .push_bind(*died_at);
            })
            .push(" on conflict do nothing")
            .build()
            .execute(&mut *conn)
            .await?;
    }
    let mut counts = std::collections::BTreeMap::<_, i64>::new();
    for (settlement, _) in &dead {
        *counts.entry((settlement.organization, settlement.webhook)).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().collect();
    for chunk in chunks(&counts) {
        QueryBuilder::<Sqlite>::new("insert into dead_letter_counts (organization_id, webhook_id, dead_letters) ")
            .push_values(chunk, |mut row, ((organization, webhook), died)| {
                row.push_bind(organization.uuid()).push_bind(webhook.uuid()).push_bind(*died);
            })
            .push(
                " on conflict (organization_id, webhook_id) do update set
                     dead_letters = dead_letter_counts.dead_letters + excluded.dead_letters",
            )
            .build()
            .execute(&mut *conn)
            .await?;
    }
    add_to_rollups(conn, &counted).await?;
    let failing = add_to_health(conn, &counted).await?;
    Ok(Settled {
        counted: settlements.iter().map(|settlement| mine.contains(&settlement.delivery.uuid())).collect(),
        failing,
    })
}

async fn update_deliveries(conn: &mut SqliteConnection, chunk: &[&Settlement]) -> Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "update deliveries set state = done.column2, attempts = done.column3, finished_at = done.column4,
             response_status = done.column5, error = done.column6, duration_ms = done.column7 from (",
    );
    query.push_values(chunk, |mut row, settlement| {
        let attempt = &settlement.attempt;
        row.push_bind(settlement.delivery.uuid())
            .push_bind(settlement.state())
            .push_bind(i64::from(attempt.number))
            .push_bind(settlement.finished_at())
            .push_bind(attempt.response_status.map(i64::from))
            .push_bind(attempt.error.map(domain::delivery::ErrorClass::as_str))
            .push_bind(attempt.duration_ms);
    });
    query.push(") as done where deliveries.id = done.column1").build().execute(conn).await?;
    Ok(())
}

async fn insert_attempts(conn: &mut SqliteConnection, chunk: &[&Settlement]) -> Result<()> {
    QueryBuilder::<Sqlite>::new(
        "insert into attempts (delivery_id, number, organization_id, started_at, duration_ms, timing, url,
             request_headers, response_status, response_headers, response_body, response_truncated, error, error_detail) ",
    )
    .push_values(chunk, |mut row, settlement| {
        let attempt = &settlement.attempt;
        row.push_bind(settlement.delivery.uuid())
            .push_bind(i64::from(attempt.number))
            .push_bind(settlement.organization.uuid())
            .push_bind(attempt.started_at.millis())
            .push_bind(attempt.duration_ms)
            .push_bind(settlement.timing())
            .push_bind(&*attempt.url)
            .push_bind(&*attempt.request_headers)
            .push_bind(attempt.response_status.map(i64::from))
            .push_bind(&*attempt.response_headers)
            .push_bind(&attempt.response_body[..])
            .push_bind(attempt.response_truncated)
            .push_bind(attempt.error.map(domain::delivery::ErrorClass::as_str))
            .push_bind(attempt.error_detail.as_deref());
    })
    .push(" on conflict do nothing")
    .build()
    .execute(conn)
    .await?;
    Ok(())
}

async fn add_to_rollups(conn: &mut SqliteConnection, counted: &[&Settlement]) -> Result<()> {
    let mut sums = std::collections::BTreeMap::<_, (i64, i64, i64)>::new();
    for settlement in counted {
        let attempt = &settlement.attempt;
        for grain in GRAINS {
            let bucket = attempt.started_at.minute().div_euclid(grain) * grain;
            let slot = duration_slot(attempt.duration_ms);
            let sum = sums.entry((settlement.organization, grain, bucket, settlement.webhook, slot)).or_default();
            sum.0 += i64::from(attempt.error.is_none());
            sum.1 += i64::from(attempt.error.is_some());
            sum.2 += attempt.duration_ms;
        }
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for chunk in chunks(&sums) {
        QueryBuilder::<Sqlite>::new(
            "insert into rollups (organization_id, grain_minutes, bucket, webhook_id, slot, delivered, failed, duration_ms) ",
        )
        .push_values(chunk, |mut row, ((organization, grain, bucket, webhook, slot), (delivered, failed, duration_ms))| {
            row.push_bind(organization.uuid())
                .push_bind(*grain)
                .push_bind(*bucket)
                .push_bind(webhook.uuid())
                .push_bind(*slot)
                .push_bind(*delivered)
                .push_bind(*failed)
                .push_bind(*duration_ms);
        })
        .push(
            " on conflict (organization_id, grain_minutes, bucket, webhook_id, slot) do update set
                     delivered = rollups.delivered + excluded.delivered, failed = rollups.failed + excluded.failed,
                     duration_ms = rollups.duration_ms + excluded.duration_ms",
        )
        .build()
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Answers the series of failures that grew.
async fn add_to_health(conn: &mut SqliteConnection, counted: &[&Settlement]) -> Result<Vec<(WebhookId, i64)>> {
    // Any success in the batch ends a series of failures.
    let mut health = std::collections::BTreeMap::<_, (bool, i64, i64)>::new();
    for settlement in counted.iter().filter(|settlement| settlement.counts_to_health) {
        let (succeeded, failures, last) = health.entry((settlement.organization, settlement.webhook)).or_default();
        *succeeded |= settlement.attempt.error.is_none();
        *failures += i64::from(settlement.attempt.error.is_some());
        *last = settlement.attempt.started_at.millis().max(*last);
    }
    let (succeeded, failing): (Vec<_>, Vec<_>) = health.into_iter().partition(|(_, (succeeded, ..))| *succeeded);
    let mut grew = Vec::new();
    for (rows, failures) in
        [(succeeded, "0"), (failing, "webhook_health.consecutive_failures + excluded.consecutive_failures")]
    {
        for chunk in chunks(&rows) {
            let series: Vec<(Uuid, i64)> = QueryBuilder::<Sqlite>::new("insert into webhook_health (organization_id, webhook_id, consecutive_failures, last_attempt_at) select * from (")
                .push_values(chunk, |mut row, ((organization, webhook), (succeeded, failures, last))| {
                    row.push_bind(organization.uuid())
                        .push_bind(webhook.uuid())
                        .push_bind(if *succeeded { 0 } else { *failures })
                        .push_bind(*last);
                })
                // A webhook may have been deleted while its deliveries were under way.
                .push(") where column2 in (select id from webhooks) on conflict (webhook_id) do update set consecutive_failures = ")
                .push(failures)
                .push(", last_attempt_at = max(webhook_health.last_attempt_at, excluded.last_attempt_at)")
                .push(" returning webhook_id, consecutive_failures")
                .build_query_as()
                .fetch_all(&mut *conn)
                .await?;
            let failing = series.into_iter().filter(|(_, failures)| *failures > 0);
            grew.extend(failing.map(|(webhook, failures)| (WebhookId::from_uuid(webhook), failures)));
        }
    }
    Ok(grew)
}

pub(super) async fn recover(conn: &mut SqliteConnection) -> Result<u64> {
    sqlx::query("update jobs set node_id = null where state = 'running'").execute(&mut *conn).await?;
    Ok(sqlx::query("update queue set node_id = null where node_id is not null").execute(conn).await?.rows_affected())
}
