//! The hot verbs on SQLite. They run on the writer's connection, inside its transaction.
//!
//! What costs most here is not SQLite but going to its thread and back, so that a verb makes few calls: rows go in by
//! multi-row `values`, and statements that need no answer of each other go together. Rows are padded with nulls to one of
//! few sizes, so that there are few distinct texts and every one of them stays prepared.

use std::collections::{BTreeMap, HashSet};

use domain::{NodeId, PublicId, Timestamp, WebhookId, duration_slot};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, query_builder::Separated};
use uuid::Uuid;

use super::{
    Admission, ClaimedRow, IDEMPOTENCY_MS, IngestOutcome, KeyRow, MAX_CLAIMED_BODY_BYTES, NewEvent, NextStep, Settled,
    Settlement, count, keyed,
};
use crate::Result;

/// Rows of the largest chunk.
const CHUNK: usize = 128;
/// Minutes per bucket of the rollups.
const GRAINS: [i64; 3] = [1, 60, 1440];

/// One row of `values`.
type Row<'a> = Separated<'a, Sqlite, &'static str>;

/// To how many rows so many are padded: a power of two, or one and a half of it.
fn padded(rows: usize) -> usize {
    let power = rows.next_power_of_two();
    if power >= 4 && rows <= power / 4 * 3 { power / 4 * 3 } else { power }
}

/// Adds `(values (…), (…))` with `columns` columns and, behind the rows, rows of nulls: whoever reads it leaves out those
/// whose first column is null.
fn push_rows<T>(query: &mut QueryBuilder<Sqlite>, rows: &[T], columns: usize, mut push: impl FnMut(&mut Row<'_>, &T)) {
    let padding = padded(rows.len()) - rows.len();
    query.push("(");
    query.push_values(rows.iter().map(Some).chain(std::iter::repeat_n(None, padding)), |mut row, item| match item {
        Some(item) => push(&mut row, item),
        None => {
            for _ in 0..columns {
                row.push_bind(None::<i64>);
            }
        }
    });
    query.push(")");
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
        for chunk in keyed.chunks(CHUNK) {
            let before = fresh.len();
            fresh.append(&mut claim_keys(conn, chunk).await?);
            if fresh.len() - before < chunk.len() {
                known.append(&mut known_keys(conn, chunk, &fresh[before..]).await?);
            }
        }
        Admission::judge(events, &fresh, known).whole_or_none(whole)?
    };
    let stored = admission.stored(events);
    for chunk in stored.chunks(CHUNK) {
        let mut query = QueryBuilder::new(
            "insert into events (id, organization_id, source_id, event_type, body, deliveries) select * from ",
        );
        push_rows(&mut query, chunk, 6, |row, event| {
            row.push_bind(event.id.uuid())
                .push_bind(event.organization.uuid())
                .push_bind(event.source.map(PublicId::uuid))
                .push_bind(&*event.event_type)
                .push_bind(&event.body[..])
                .push_bind(i64::from(count(&event.deliveries)));
        });
        query.push(" where column1 is not null").build().execute(&mut *conn).await?;
    }
    let deliveries: Vec<_> =
        stored.iter().flat_map(|event| event.deliveries.iter().map(move |delivery| (*event, delivery))).collect();
    for chunk in deliveries.chunks(CHUNK) {
        let mut query = QueryBuilder::new(
            "insert into deliveries (id, organization_id, webhook_id, event_id, event_type, kind, state, attempts)
             select *, 'pending', 0 from ",
        );
        push_rows(&mut query, chunk, 6, |row, (event, delivery)| {
            row.push_bind(delivery.id.uuid())
                .push_bind(event.organization.uuid())
                .push_bind(delivery.webhook.uuid())
                .push_bind(event.id.uuid())
                .push_bind(&*event.event_type)
                .push_bind(delivery.kind.as_str());
        });
        query.push(
            " where column1 is not null;
             insert into queue (delivery_id, organization_id, webhook_id, due_at, node_id, earlier_attempts)
             select *, 0 from ",
        );
        push_rows(&mut query, chunk, 5, |row, (event, delivery)| {
            row.push_bind(delivery.id.uuid())
                .push_bind(event.organization.uuid())
                .push_bind(delivery.webhook.uuid())
                .push_bind(event.accepted_at.millis())
                .push_bind(delivery.leased.then(|| node.uuid()));
        });
        query.push(" where column1 is not null").build().execute(&mut *conn).await?;
    }
    Ok(admission.outcomes)
}

/// Writes keys that are unknown or expired; answers which.
async fn claim_keys(
    conn: &mut SqliteConnection,
    chunk: &[(&NewEvent, &str, &[u8; 32])],
) -> Result<Vec<(Uuid, String)>> {
    let mut query = QueryBuilder::new(
        "insert into idempotency_keys (organization_id, idempotency_key, fingerprint, event_id, deliveries, created_at)
         select * from ",
    );
    push_rows(&mut query, chunk, 6, |row, (event, key, fingerprint)| {
        row.push_bind(event.organization.uuid())
            .push_bind(*key)
            .push_bind(&fingerprint[..])
            .push_bind(event.id.uuid())
            .push_bind(i64::from(count(&event.deliveries)))
            .push_bind(event.accepted_at.millis());
    });
    query.push(
        " where column1 is not null
         on conflict (organization_id, idempotency_key) do update set fingerprint = excluded.fingerprint,
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
    let known: Vec<_> = chunk.iter().filter(is_known).collect();
    let mut query = QueryBuilder::new(
        "select organization_id, idempotency_key, fingerprint, event_id, deliveries from idempotency_keys
         where (organization_id, idempotency_key) in ",
    );
    push_rows(&mut query, &known, 2, |row, (event, key, _)| {
        row.push_bind(event.organization.uuid()).push_bind(*key);
    });
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
    let lost = lost(conn, node, settlements).await?;
    let is_mine = |settlement: &Settlement| !lost.contains(&settlement.delivery.uuid());
    let counted: Vec<&Settlement> = settlements.iter().filter(|settlement| is_mine(settlement)).collect();
    let (ended, waiting): (Vec<&Settlement>, Vec<&Settlement>) =
        counted.iter().partition(|settlement| matches!(settlement.next, NextStep::End(..)));
    for chunk in ended.chunks(CHUNK) {
        let mut query = QueryBuilder::new("delete from queue where delivery_id in ");
        push_rows(&mut query, chunk, 1, |row, settlement| {
            row.push_bind(settlement.delivery.uuid());
        });
        push_outcomes(&mut query, chunk);
        query.build().execute(&mut *conn).await?;
    }
    for chunk in waiting.chunks(CHUNK) {
        let mut query = QueryBuilder::new("update queue set node_id = null, due_at = retry.column2 from ");
        push_rows(&mut query, chunk, 2, |row, settlement| {
            row.push_bind(settlement.delivery.uuid()).push_bind(settlement.due_at());
        });
        query.push(" as retry where queue.delivery_id = retry.column1");
        push_outcomes(&mut query, chunk);
        query.build().execute(&mut *conn).await?;
    }
    let dead: Vec<_> = counted.iter().filter_map(|settlement| Some((*settlement, settlement.died_at()?))).collect();
    add_dead_letters(conn, &dead).await?;
    add_to_rollups(conn, &counted).await?;
    let failing = add_to_health(conn, &counted).await?;
    Ok(Settled { counted: settlements.iter().map(is_mine).collect(), failing })
}

/// Those that `node` has no lease of any more. Usually none: rows cost more than the question.
async fn lost(conn: &mut SqliteConnection, node: NodeId, settlements: &[Settlement]) -> Result<HashSet<Uuid>> {
    let mut lost = HashSet::new();
    for chunk in settlements.chunks(CHUNK) {
        let mut query = QueryBuilder::new("select column1 from ");
        push_rows(&mut query, chunk, 1, |row, settlement| {
            row.push_bind(settlement.delivery.uuid());
        });
        query.push(
            " where column1 is not null and not exists (select 1 from queue where delivery_id = column1 and node_id = ",
        );
        query.push_bind(node.uuid()).push(")");
        lost.extend(query.build_query_scalar::<Uuid>().fetch_all(&mut *conn).await?);
    }
    Ok(lost)
}

/// What is to be known of tries and their deliveries.
fn push_outcomes(query: &mut QueryBuilder<Sqlite>, chunk: &[&Settlement]) {
    query.push(
        "; update deliveries set state = done.column2, attempts = done.column3, finished_at = done.column4,
             response_status = done.column5, error = done.column6, duration_ms = done.column7 from ",
    );
    push_rows(query, chunk, 7, |row, settlement| {
        let attempt = &settlement.attempt;
        row.push_bind(settlement.delivery.uuid())
            .push_bind(settlement.state())
            .push_bind(i64::from(attempt.number))
            .push_bind(settlement.finished_at())
            .push_bind(attempt.response_status.map(i64::from))
            .push_bind(attempt.error.map(domain::delivery::ErrorClass::as_str))
            .push_bind(attempt.duration_ms);
    });
    query.push(
        " as done where deliveries.id = done.column1;
         insert into attempts (delivery_id, number, organization_id, started_at, duration_ms, timing, url,
             request_headers, response_status, response_headers, response_body, response_truncated, error, error_detail)
         select * from ",
    );
    push_rows(query, chunk, 14, |row, settlement| {
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
    });
    query.push(" where column1 is not null on conflict do nothing");
}

/// Deliveries that were given up, and when.
async fn add_dead_letters(conn: &mut SqliteConnection, dead: &[(&Settlement, i64)]) -> Result<()> {
    for chunk in dead.chunks(CHUNK) {
        let mut query = QueryBuilder::new(
            "insert into dead_letters (organization_id, delivery_id, webhook_id, died_at) select * from ",
        );
        push_rows(&mut query, chunk, 4, |row, (settlement, died_at)| {
            row.push_bind(settlement.organization.uuid())
                .push_bind(settlement.delivery.uuid())
                .push_bind(settlement.webhook.uuid())
                .push_bind(*died_at);
        });
        query.push(" where column1 is not null on conflict do nothing").build().execute(&mut *conn).await?;
    }
    let mut counts = BTreeMap::<_, i64>::new();
    for (settlement, _) in dead {
        *counts.entry((settlement.organization, settlement.webhook)).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().collect();
    for chunk in counts.chunks(CHUNK) {
        let mut query = QueryBuilder::new(
            "insert into dead_letter_counts (organization_id, webhook_id, dead_letters) select * from ",
        );
        push_rows(&mut query, chunk, 3, |row, ((organization, webhook), died)| {
            row.push_bind(organization.uuid()).push_bind(webhook.uuid()).push_bind(*died);
        });
        query
            .push(
                " where column1 is not null on conflict (organization_id, webhook_id) do update set
                     dead_letters = dead_letter_counts.dead_letters + excluded.dead_letters",
            )
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn add_to_rollups(conn: &mut SqliteConnection, counted: &[&Settlement]) -> Result<()> {
    let mut sums = BTreeMap::<_, (i64, i64, i64)>::new();
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
    for chunk in sums.chunks(CHUNK) {
        let mut query = QueryBuilder::new(
            "insert into rollups (organization_id, grain_minutes, bucket, webhook_id, slot, delivered, failed, duration_ms)
             select * from ",
        );
        push_rows(
            &mut query,
            chunk,
            8,
            |row, ((organization, grain, bucket, webhook, slot), (delivered, failed, duration_ms))| {
                row.push_bind(organization.uuid())
                    .push_bind(*grain)
                    .push_bind(*bucket)
                    .push_bind(webhook.uuid())
                    .push_bind(*slot)
                    .push_bind(*delivered)
                    .push_bind(*failed)
                    .push_bind(*duration_ms);
            },
        );
        query
            .push(
                " where column1 is not null on conflict (organization_id, grain_minutes, bucket, webhook_id, slot)
                 do update set delivered = rollups.delivered + excluded.delivered,
                     failed = rollups.failed + excluded.failed, duration_ms = rollups.duration_ms + excluded.duration_ms",
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
    let mut health = BTreeMap::<_, (bool, i64, i64)>::new();
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
        for chunk in rows.chunks(CHUNK) {
            let mut query = QueryBuilder::new(
                "insert into webhook_health (organization_id, webhook_id, consecutive_failures, last_attempt_at)
                 select * from ",
            );
            push_rows(&mut query, chunk, 4, |row, ((organization, webhook), (succeeded, failures, last))| {
                row.push_bind(organization.uuid())
                    .push_bind(webhook.uuid())
                    .push_bind(if *succeeded { 0 } else { *failures })
                    .push_bind(*last);
            });
            // A webhook may have been deleted while its deliveries were under way.
            query
                .push(
                    " where column2 in (select id from webhooks)
                     on conflict (webhook_id) do update set consecutive_failures = ",
                )
                .push(failures)
                .push(
                    ", last_attempt_at = max(webhook_health.last_attempt_at, excluded.last_attempt_at)
                     returning webhook_id, consecutive_failures",
                );
            let series: Vec<(Uuid, i64)> = query.build_query_as().fetch_all(&mut *conn).await?;
            let failing = series.into_iter().filter(|(_, failures)| *failures > 0);
            grew.extend(failing.map(|(webhook, failures)| (WebhookId::from_uuid(webhook), failures)));
        }
    }
    Ok(grew)
}

pub(super) async fn recover(conn: &mut SqliteConnection) -> Result<u64> {
    for work in ["jobs", "integration_health", "notices"] {
        let text = format!("update {work} set node_id = null where node_id is not null");
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut *conn).await?;
    }
    // What was being handed over may have arrived.
    sqlx::query("update emails set node_id = null, possibly_sent = 1 where node_id is not null")
        .execute(&mut *conn)
        .await?;
    Ok(sqlx::query("update queue set node_id = null where node_id is not null").execute(conn).await?.rows_affected())
}
