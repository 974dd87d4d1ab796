//! What `signalbox bench` needs of a database and the product does not: one that nobody used before, and a backlog or a
//! history of millions of rows within minutes. Nothing else may call it: it goes past every rule.

use std::str::FromStr;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use domain::{OrganizationId, PublicId, Timestamp, WebhookId, duration_slot};

use crate::{
    Result, Store, StoreError,
    db::{Db, writing},
};

/// Rows of each table in one transaction.
const BATCH: i64 = 50_000;
/// How long a delivery that was made took.
const MS: i64 = 3;

/// A PostgreSQL database of its own, dropped with this.
#[derive(Debug)]
pub struct Scratch {
    /// Where it was created from.
    beside: PgConnectOptions,
    name: String,
    url: String,
}

impl Scratch {
    /// Creates the database `name`, letters and underscores, on the server of the database `beside`. The user of that URL
    /// must be allowed to create databases.
    pub async fn create(beside: &str, name: &str) -> Result<Self> {
        let beside = PgConnectOptions::from_str(beside).map_err(|error| StoreError::Open(error.to_string()))?;
        let url = beside.clone().database(name).to_url_lossy().to_string();
        let scratch = Self { beside, name: name.to_owned(), url };
        scratch.ask(format!("create database {name}")).await?;
        Ok(scratch)
    }

    /// For [`crate::Store::open`].
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn ask(&self, statement: String) -> Result<()> {
        let mut connection = PgConnection::connect_with(&self.beside).await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A bench that fails or is interrupted is dropped where it waits, and nobody is left to wait for this.
        let dropping = std::thread::scope(|scope| {
            let drop = || {
                // A server that was killed a moment ago may still be connected.
                let statement = format!("drop database if exists {} with (force)", self.name);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map(|runtime| runtime.block_on(self.ask(statement)))
            };
            scope.spawn(drop).join()
        });
        if !matches!(dropping, Ok(Ok(Ok(())))) {
            tracing::warn!(database.name = self.name, "a database of the bench was not dropped");
        }
    }
}

/// What [`Store::seed`] makes. Records are short: it is their number that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// Deliveries that succeeded at their first try, with that try.
    Finished,
    /// Deliveries that are due and that nobody holds.
    Pending,
}

impl Seed {
    /// Statements that make the rows with the numbers from $1 until before $2, of organization $3 and webhook $4. Row n is of
    /// the millisecond $5 + n * $6.
    fn statements(self, sqlite: bool) -> Vec<String> {
        // Ids are UUIDv7s made of the row's millisecond and number; the variant's nibble keeps the two kinds apart.
        let nibble = match self {
            Self::Finished => 'a',
            Self::Pending => 'b',
        };
        let (id, numbers, body, nothing) = if sqlite {
            (
                format!("unhex(printf('%012x7000{nibble}%015x', $5 + n * $6, n))"),
                "(with recursive number (n) as (select $1 union all select n + 1 from number where n + 1 < $2)
                  select n from number)",
                "cast('{\"event\":\"job.created\",\"data\":{\"seeded\":true}}' as blob)",
                "x''",
            )
        } else {
            (
                format!(
                    "cast(lpad(to_hex($5 + n * $6), 12, '0') || '7000{nibble}' || lpad(to_hex(n), 15, '0') as uuid)"
                ),
                "(select generate_series($1, $2 - 1) as n) as number",
                "convert_to('{\"event\":\"job.created\",\"data\":{\"seeded\":true}}', 'UTF8')",
                "''::bytea",
            )
        };
        let state = match self {
            Self::Finished => format!("'delivered', 1, $5 + n * $6, 200, {MS}"),
            Self::Pending => "'pending', 0, null, null, null".to_owned(),
        };
        let last = match self {
            Self::Finished => format!(
                "insert into attempts (delivery_id, number, organization_id, started_at, duration_ms, timing, url,
                     request_headers, response_status, response_headers, response_body, response_truncated)
                 select {id}, 1, $3, $5 + n * $6, {MS}, '{{}}', 'http://127.0.0.1/', '[]', 200, '[]', {nothing}, {} from {numbers}",
                if sqlite { "0" } else { "false" }
            ),
            Self::Pending => format!(
                "insert into queue (delivery_id, organization_id, webhook_id, due_at, earlier_attempts)
                 select {id}, $3, $4, $5 + n * $6, 0 from {numbers}"
            ),
        };
        vec![
            format!(
                "insert into events (id, organization_id, event_type, body, deliveries)
                 select {id}, $3, 'job.created', {body}, 1 from {numbers}"
            ),
            format!(
                "insert into deliveries (id, organization_id, webhook_id, event_id, event_type, kind, state, attempts,
                     finished_at, response_status, duration_ms)
                 select {id}, $3, $4, {id}, 'job.created', 'event', {state} from {numbers}"
            ),
            last,
        ]
    }
}

/// What is kept of health figures: grain in minutes, and how many of it back from now.
const KEPT: [(i64, i64); 3] = [(1, 2 * 1_440), (60, 30 * 24), (1_440, 30)];
/// Buckets of each integration in one transaction.
const BUCKETS: i64 = 60;

impl Store {
    /// Makes a month of health figures, up to `until`, for every integration of `organization`.
    pub async fn seed_health(&self, organization: OrganizationId, until: Timestamp) -> Result<()> {
        let numbers = if self.is_shared() {
            "(select generate_series(cast($1 as bigint), cast($2 as bigint) - 1) as n) as number"
        } else {
            "(with recursive number (n) as (select $1 union all select n + 1 from number where n + 1 < $2) \
             select n from number)"
        };
        let statement = format!(
            "insert into health_rollups (organization_id, integration_id, grain_minutes, bucket, work_ok, work_failed, \
             checks_ok, checks_failed, latency_ms) \
             select i.organization_id, i.id, $4, $5 - n * $4, 0, 0, $4, 0, $4 * 12 from integrations i cross join {numbers} \
             where i.organization_id = $3 on conflict do nothing"
        );
        for (grain, count) in KEPT {
            let newest = until.minute().div_euclid(grain) * grain;
            for first in (0..count).step_by(usize::try_from(BUCKETS).unwrap_or(1)) {
                let (statement, end) = (statement.clone(), (first + BUCKETS).min(count));
                writing!(self, conn => {
                    sqlx::query(AssertSqlSafe(statement))
                        .bind(first).bind(end).bind(organization.uuid()).bind(grain).bind(newest)
                        .execute(&mut *conn).await?;
                    Ok(())
                })?;
            }
        }
        if let Db::Postgres(pool) = &self.db {
            sqlx::query("vacuum analyze").execute(pool).await?;
        }
        Ok(())
    }

    /// Makes `count` deliveries to `webhook`, each with an event of its own, one every `apart_ms` milliseconds up to `until`.
    pub async fn seed(
        &self,
        seed: Seed,
        count: u64,
        organization: OrganizationId,
        webhook: WebhookId,
        until: Timestamp,
        apart_ms: u64,
    ) -> Result<()> {
        let (count, apart) = (i64::try_from(count).unwrap_or(i64::MAX), i64::try_from(apart_ms).unwrap_or(i64::MAX));
        let start = until.plus_ms(count.saturating_mul(apart).saturating_neg()).millis();
        let mut first = 0;
        while first < count {
            let end = first.saturating_add(BATCH).min(count);
            let statements = seed.statements(!self.is_shared());
            writing!(self, conn => {
                for statement in statements {
                    sqlx::query(AssertSqlSafe(statement))
                        .bind(first).bind(end).bind(organization.uuid()).bind(webhook.uuid()).bind(start).bind(apart)
                        .execute(&mut *conn).await?;
                }
                Ok(())
            })?;
            first = end;
        }
        if let Db::Postgres(pool) = &self.db {
            // As it would have been done, little by little, while the history grew.
            sqlx::query("vacuum analyze").execute(pool).await?;
        }
        Ok(())
    }

    /// Makes the rollups of all deliveries that [`Store::seed`] made.
    pub async fn seed_rollups(&self, organization: OrganizationId) -> Result<()> {
        for grain_minutes in [1_i64, 60, 1_440] {
            writing!(self, conn => {
                sqlx::query(
                    "insert into rollups (organization_id, grain_minutes, bucket, webhook_id, slot, delivered, failed, \
                     duration_ms) select organization_id, $2, finished_at / 60000 / $2 * $2, webhook_id, $3, count(*), 0, \
                     count(*) * $4 from deliveries where organization_id = $1 and finished_at is not null group by 1, 3, 4",
                )
                .bind(organization.uuid()).bind(grain_minutes).bind(duration_slot(MS)).bind(MS)
                .execute(&mut *conn).await?;
                Ok(())
            })?;
        }
        Ok(())
    }
}
