//! Health of integrations: which checks are due, what results mean, and what they add up to.
//!
//! A result, what follows from it, its alert and its messages are one transaction. What follows is decided in
//! `domain::health`; here the row is locked while it is.

use domain::{
    AlertRule, IntegrationId, NodeId, OrganizationId, PublicId, Timestamp,
    api::{HealthFigures, HealthHour},
    health::{BAD_TO_DOWN, Finding, Health, Pulse},
};
use uuid::Uuid;

use crate::{
    IntegrationRow, NewAlert, NewLogEntry, Result, Store,
    alerts::{raise_alert, resolve_alert},
    db::{reading, writing},
    integrations::pulse,
    logs::write_log,
    retention::{Grain, PRUNED},
};

/// A check that is due, taken by this node.
pub type DueCheck = IntegrationRow;

/// A result to be stored.
#[derive(Debug, Clone)]
pub struct NewFinding {
    /// Of which integration.
    pub integration: IntegrationId,
    /// The result.
    pub finding: Finding,
    /// When it is checked next: usually, and while it is suspect. `None` for real work.
    pub next_check_at: Option<(Timestamp, Timestamp)>,
    /// The node that had taken the check.
    pub node: Option<NodeId>,
    /// What the log says of it. Good checks that change nothing say nothing: `None`.
    pub entry: Option<NewLogEntry>,
    /// What the log says when health changes: its message is made here.
    pub change: NewLogEntry,
    /// The alert that opens if this proves it to be down, and if it proves it to be slow.
    pub alerts: (NewAlert, NewAlert),
}

/// What is known before and after a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Before.
    pub before: Pulse,
    /// After.
    pub after: Pulse,
    /// Whether an alert opened or ended.
    pub alerts_changed: bool,
    /// Whether the integration is in a failover group.
    pub is_member: bool,
}

#[derive(sqlx::FromRow)]
struct LockedRow {
    health: String,
    health_since: i64,
    bad: i64,
    good: i64,
    slow: i64,
    next_check_at: Option<i64>,
    maintenance_until: Option<i64>,
    depends_on: Option<Uuid>,
    is_member: bool,
}

#[derive(sqlx::FromRow)]
struct SumRow {
    bucket: i64,
    work_ok: i64,
    work_failed: i64,
    checks_ok: i64,
    checks_failed: i64,
    latency_ms: i64,
}

impl SumRow {
    fn figures(&self) -> HealthFigures {
        HealthFigures::of((self.work_ok, self.work_failed), (self.checks_ok, self.checks_failed), self.latency_ms)
    }
}

impl Store {
    /// Takes checks that are due or were asked for, at most `limit`, for `node` alone: the row says who has it until the result
    /// is stored, or the node is known to be dead. `latest` is the latest time that a check can be due by its interval: one
    /// beyond was written by a clock that has been set back since.
    pub async fn take_checks(
        &self,
        node: NodeId,
        now: Timestamp,
        latest: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueCheck>> {
        let due: Option<i64> = reading!(self, db => sqlx::query_scalar(
            "select 1 from integration_health where next_check_at is not null and node_id is null \
             and (next_check_at <= $1 or next_check_at > $2 or (asked_at is not null and answered is null)) limit 1",
        )
        .bind(now.millis())
        .bind(latest.millis())
        .fetch_optional(db)
        .await.map(|row: Option<i32>| row.map(i64::from)))?;
        if due.is_none() {
            return Ok(Vec::new());
        }
        let taken: Vec<Uuid> = writing!(self, conn => {
            // Another node that took one at the same time has the row locked; then the condition does not hold any more.
            Ok(sqlx::query_scalar(
                "update integration_health set node_id = $1 where node_id is null and integration_id in (\
                 select integration_id from integration_health where next_check_at is not null and node_id is null \
                 and (next_check_at <= $2 or next_check_at > $3 or (asked_at is not null and answered is null)) \
                 order by next_check_at limit $4) \
                 returning integration_id",
            )
            .bind(node.uuid())
            .bind(now.millis())
            .bind(latest.millis())
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?)
        })?;
        self.integrations_by_id(&taken, now).await
    }

    /// Gives checks back that this node has taken and cannot do.
    pub async fn release_checks(&self, node: NodeId) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update integration_health set node_id = null where node_id = $1")
                .bind(node.uuid())
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }

    /// Puts a check off that came to no result, until `next_check_at`. A round does not wait for it.
    pub async fn put_off_check(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        node: NodeId,
        next_check_at: Timestamp,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "update integration_health set node_id = null, asked_at = case when answered is null then null \
                 else asked_at end, next_check_at = case when next_check_at is null then null else $4 end \
                 where organization_id = $1 and integration_id = $2 and node_id = $3",
            )
            .bind(organization.uuid())
            .bind(integration.uuid())
            .bind(node.uuid())
            .bind(next_check_at.millis())
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }

    /// When the next check is due that nobody has taken.
    pub async fn next_check_at(&self) -> Result<Option<Timestamp>> {
        let next: Option<i64> = reading!(self, db => sqlx::query_scalar(
            "select min(next_check_at) from integration_health where next_check_at is not null and node_id is null",
        )
        .fetch_one(db)
        .await)?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// Stores a result with all that follows from it. `None`: the integration is gone, or another node has the check.
    pub async fn record_finding(&self, organization: OrganizationId, new: NewFinding) -> Result<Option<Recorded>> {
        writing!(self, conn => {
            let NewFinding { integration, finding, next_check_at, node, entry, mut change, alerts: (down, slow) } = new;
            // Locks the row for both databases. A check that another node has been given counts for nothing.
            let row: Option<LockedRow> = sqlx::query_as(
                "update integration_health set bad = bad where integration_id = $1 and organization_id = $2 \
                 and ($3 is null or node_id = $3) returning health, health_since, bad, good, slow, next_check_at, \
                 (select maintenance_until from integrations where id = $1) as maintenance_until, \
                 (select depends_on from integrations where id = $1) as depends_on, \
                 exists (select 1 from failover_members where integration_id = $1) as is_member",
            )
            .bind(integration.uuid())
            .bind(organization.uuid())
            .bind(node.map(PublicId::uuid))
            .fetch_optional(&mut *conn)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let is_member = row.is_member;
            let before = pulse(&row.health, row.health_since, [row.bad, row.good, row.slow])?;
            let after = before.after(&finding);
            let good_at = finding.fault.is_none().then(|| finding.at.millis());
            let error = finding.fault.map(|_| finding.message.clone());
            // Null stays null: what is switched off meanwhile is not checked again.
            let next = row.next_check_at.map(Timestamp::from_millis).map(|planned| match next_check_at {
                Some((_, suspect)) if after.is_suspect() && node.is_none() => planned.min(suspect),
                Some((_, suspect)) if after.is_suspect() => suspect,
                Some((usual, _)) if node.is_some() && planned <= finding.at => usual,
                // A round leaves the turns as they are, unless a clock has been set back since they were written.
                Some((usual, _)) if node.is_some() => planned.min(usual),
                // So do checks that a person asks for, and real work.
                _ => planned,
            });
            sqlx::query(
                "update integration_health set health = $2, health_since = $3, bad = $4, good = $5, slow = $6, \
                 last_checked_at = $7, last_good_at = coalesce($8, last_good_at), last_latency_ms = $9, last_error = $10, \
                 last_fault = $11, next_check_at = $12, node_id = case when node_id = $13 then null else node_id end, \
                 answered = case when asked_at is null then null else coalesce(answered, $14) end, \
                 answered_at = case when asked_at is null then null else coalesce(answered_at, $15) end \
                 where integration_id = $1",
            )
            .bind(integration.uuid())
            .bind(after.health.as_str())
            .bind(after.since.millis())
            .bind(i64::from(after.bad))
            .bind(i64::from(after.good))
            .bind(i64::from(after.slow))
            .bind(finding.at.millis())
            .bind(good_at)
            .bind(i64::from(finding.latency_ms))
            .bind(error)
            .bind(finding.fault.map(domain::catalogue::Fault::as_str))
            .bind(next.map(Timestamp::millis))
            .bind(node.map(PublicId::uuid))
            .bind((!finding.is_work).then(|| after.verdict().as_str()))
            .bind((!finding.is_work).then(|| finding.at.millis()))
            .execute(&mut *conn)
            .await?;
            if let Some(entry) = entry {
                write_log!(conn, organization, &entry);
            }
            if before.health != after.health {
                change.message = format!("Health: {} → {}", before.health.label(), after.health.label());
                write_log!(conn, organization, &change);
            }
            if row.maintenance_until.is_some_and(|until| until > finding.at.millis()) {
                return Ok(Some(Recorded { before, after, alerts_changed: false, is_member }));
            }
            let is_good = finding.fault.is_none();
            let columns = [
                i64::from(is_good && finding.is_work),
                i64::from(!is_good && finding.is_work),
                i64::from(is_good && !finding.is_work),
                i64::from(!is_good && !finding.is_work),
                if is_good { i64::from(finding.latency_ms) } else { 0 },
            ];
            let mut sql = sqlx::query(
                "insert into health_rollups (organization_id, integration_id, grain_minutes, bucket, work_ok, \
                 work_failed, checks_ok, checks_failed, latency_ms) values ($1, $2, 1, $3, $6, $7, $8, $9, $10), \
                 ($1, $2, 60, $4, $6, $7, $8, $9, $10), ($1, $2, 1440, $5, $6, $7, $8, $9, $10) \
                 on conflict (organization_id, integration_id, grain_minutes, bucket) do update set \
                 work_ok = health_rollups.work_ok + excluded.work_ok, \
                 work_failed = health_rollups.work_failed + excluded.work_failed, \
                 checks_ok = health_rollups.checks_ok + excluded.checks_ok, \
                 checks_failed = health_rollups.checks_failed + excluded.checks_failed, \
                 latency_ms = health_rollups.latency_ms + excluded.latency_ms",
            )
            .bind(organization.uuid())
            .bind(integration.uuid());
            for grain in [1, 60, 1440] {
                sql = sql.bind(finding.at.minute().div_euclid(grain) * grain);
            }
            for column in columns {
                sql = sql.bind(column);
            }
            sql.execute(&mut *conn).await?;
            let subject = integration.to_string();
            let mut alerts_changed = false;
            if after.health == Health::Down && !is_good {
                let parent_is_down: bool = match row.depends_on {
                    None => false,
                    Some(parent) => sqlx::query_scalar(
                        "select exists (select 1 from alerts where organization_id = $1 and rule = $2 and subject = $3 \
                         and resolved_at is null)",
                    )
                    .bind(organization.uuid())
                    .bind(AlertRule::IntegrationDown.as_str())
                    .bind(IntegrationId::from_uuid(parent).to_string())
                    .fetch_one(&mut *conn)
                    .await?,
                };
                let down = NewAlert { is_told: !parent_is_down, ..down };
                alerts_changed |= raise_alert!(conn, organization, &down);
            } else if after.health != Health::Down && (before.health == Health::Down || after.good > before.good) {
                alerts_changed |= resolve_alert!(conn, organization, AlertRule::IntegrationDown, subject, finding.at);
            }
            if after.slow >= BAD_TO_DOWN && after.health == Health::Degraded {
                alerts_changed |= raise_alert!(conn, organization, &slow);
            } else if before.health == Health::Degraded && after.health != Health::Degraded {
                alerts_changed |= resolve_alert!(conn, organization, AlertRule::IntegrationSlow, subject, finding.at);
            }
            Ok(Some(Recorded { before, after, alerts_changed, is_member }))
        })
    }

    /// Sums of an integration's results from `from` up to `to`, that one not included.
    pub async fn health_figures(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<HealthFigures> {
        let row: SumRow = reading!(self, db => sqlx::query_as(
            "select cast(0 as bigint) as bucket, cast(coalesce(sum(work_ok), 0) as bigint) as work_ok, \
             cast(coalesce(sum(work_failed), 0) as bigint) as work_failed, \
             cast(coalesce(sum(checks_ok), 0) as bigint) as checks_ok, \
             cast(coalesce(sum(checks_failed), 0) as bigint) as checks_failed, \
             cast(coalesce(sum(latency_ms), 0) as bigint) as latency_ms from health_rollups \
             where organization_id = $1 and integration_id = $2 and grain_minutes = 60 and bucket >= $3 and bucket < $4",
        )
        .bind(organization.uuid())
        .bind(integration.uuid())
        .bind(from.minute())
        .bind(to.minute())
        .fetch_one(db)
        .await)?;
        Ok(row.figures())
    }

    /// The newest results by minute (1), hour (60) or day (1440), at most `limit`, the oldest first.
    pub async fn health_series(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        grain_minutes: i64,
        from: Timestamp,
        limit: u32,
    ) -> Result<Vec<HealthHour>> {
        let rows: Vec<SumRow> = reading!(self, db => sqlx::query_as(
            "select bucket, work_ok, work_failed, checks_ok, checks_failed, latency_ms from health_rollups \
             where organization_id = $1 and integration_id = $2 and grain_minutes = $3 and bucket >= $4 \
             order by bucket desc limit $5",
        )
        .bind(organization.uuid())
        .bind(integration.uuid())
        .bind(grain_minutes)
        .bind(from.minute())
        .bind(i64::from(limit))
        .fetch_all(db)
        .await)?;
        let typed =
            |row: &SumRow| HealthHour { at: Timestamp::from_millis(row.bucket * 60_000), figures: row.figures() };
        Ok(rows.iter().rev().map(typed).collect())
    }

    /// Deletes health figures of the time before `before`, at most [`PRUNED`] rows. Answers how many.
    pub async fn prune_health_rollups(&self, grain: Grain, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from health_rollups where (organization_id, integration_id, grain_minutes, bucket) in (\
                 select organization_id, integration_id, grain_minutes, bucket from health_rollups \
                 where grain_minutes = $1 and bucket < $2 order by bucket limit $3)",
            )
            .bind(grain.minutes())
            .bind(before.minute())
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }
}
