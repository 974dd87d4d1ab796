//! Figures for the screens. They are read from rollups and counts, never counted from the history.

use std::collections::BTreeMap;

use domain::{
    OrganizationId, PublicId, Timestamp, WebhookId,
    api::{DayTries, FailingWebhook, HourFigures, Overview, TryFigures},
    duration_percentile_ms,
};
use uuid::Uuid;

use crate::{
    Result, Store, StoreError,
    columns::{json, word},
    db::reading,
};

/// Minutes of a day: the grain of daily rollups.
const DAY: i64 = 1440;
/// Minutes of an hour: the grain of hourly rollups.
const HOUR: i64 = 60;
/// Days that a webhook's rates are of, today included.
const DAYS: i64 = 30;

/// The first daily rollup of the last 30 days, today included.
pub(crate) const fn first_day(now: Timestamp) -> i64 {
    (now.minute().div_euclid(DAY) - (DAYS - 1)) * DAY
}

/// The first hourly rollup of the last 24 hours, the one that is running included.
const fn first_hour(now: Timestamp) -> i64 {
    (now.minute().div_euclid(HOUR) - 23) * HOUR
}

#[derive(sqlx::FromRow)]
struct CountsRow {
    webhooks: i64,
    disabled_webhooks: i64,
    dead_letters: i64,
    has_delivered: bool,
    has_verified: bool,
}

#[derive(sqlx::FromRow)]
struct SlotRow {
    bucket: i64,
    slot: i64,
    delivered: i64,
    failed: i64,
}

/// Tries while they are added up.
#[derive(Default)]
struct Sum {
    delivered: i64,
    failed: i64,
    slots: BTreeMap<i64, i64>,
}

impl Sum {
    fn of<'a>(rows: impl IntoIterator<Item = &'a SlotRow>) -> TryFigures {
        let mut sum = Self::default();
        for row in rows {
            sum.delivered += row.delivered;
            sum.failed += row.failed;
            *sum.slots.entry(row.slot).or_default() += row.delivered + row.failed;
        }
        let slots: Vec<_> = sum.slots.into_iter().collect();
        TryFigures {
            delivered: sum.delivered,
            failed: sum.failed,
            p50_ms: duration_percentile_ms(&slots, 0.5),
            p95_ms: duration_percentile_ms(&slots, 0.95),
        }
    }
}

#[derive(sqlx::FromRow)]
struct FailingRow {
    id: Uuid,
    name: String,
    state: String,
    state_reason: Option<String>,
    consecutive_failures: i64,
    probe_at: Option<i64>,
    options: String,
}

impl TryFrom<FailingRow> for FailingWebhook {
    type Error = StoreError;
    fn try_from(row: FailingRow) -> Result<Self> {
        Ok(Self {
            id: WebhookId::from_uuid(row.id),
            name: row.name,
            state: word("webhooks", "state", &row.state)?,
            state_reason: row.state_reason,
            consecutive_failures: row.consecutive_failures,
            next_probe_at: row.probe_at.map(Timestamp::from_millis),
            options: json("webhooks", "options", &row.options)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct DayRow {
    webhook_id: Uuid,
    bucket: i64,
    delivered: i64,
    failed: i64,
}

impl Store {
    /// What the first screen shows: two queries.
    pub async fn overview(&self, organization: OrganizationId, now: Timestamp) -> Result<Overview> {
        let counts: CountsRow = reading!(self, db => sqlx::query_as(
            "select \
             (select count(*) from webhooks where organization_id = $1) as webhooks, \
             (select count(*) from webhooks where organization_id = $1 and state = 'disabled') as disabled_webhooks, \
             (select cast(coalesce(sum(dead_letters), 0) as bigint) from dead_letter_counts where organization_id = $1) \
             as dead_letters, \
             exists (select 1 from rollups where organization_id = $1 and grain_minutes = 1440 and delivered > 0) \
             as has_delivered, \
             exists (select 1 from inspector_requests where organization_id = $1 and signature = 'verified') \
             as has_verified",
        )
        .bind(organization.uuid())
        .fetch_one(db)
        .await)?;
        let first = first_hour(now);
        let rows: Vec<SlotRow> = reading!(self, db => sqlx::query_as(
            "select bucket, slot, cast(sum(delivered) as bigint) as delivered, cast(sum(failed) as bigint) as failed \
             from rollups where organization_id = $1 and grain_minutes = 60 and bucket >= $2 and bucket < $3 \
             group by bucket, slot order by bucket",
        )
        .bind(organization.uuid())
        .bind(first - DAY)
        .bind(first + DAY)
        .fetch_all(db)
        .await)?;
        let (before, last_24h) = rows.split_at(rows.partition_point(|row| row.bucket < first));
        let hours = (0..DAY / HOUR).map(|hour| {
            let bucket = first + hour * HOUR;
            let tries = Sum::of(last_24h.iter().filter(|row| row.bucket == bucket));
            HourFigures { at: Timestamp::from_millis(bucket * 60_000), tries }
        });
        Ok(Overview {
            webhooks: counts.webhooks,
            disabled_webhooks: counts.disabled_webhooks,
            last_24h: Sum::of(last_24h),
            before: Sum::of(before),
            hours: hours.collect(),
            dead_letters: counts.dead_letters,
            has_delivered: counts.has_delivered,
            has_verified: counts.has_verified,
        })
    }

    /// Webhooks that were disabled by themselves or whose last tries failed, the worst first.
    pub async fn failing_webhooks(&self, organization: OrganizationId, limit: i64) -> Result<Vec<FailingWebhook>> {
        let rows: Vec<FailingRow> = reading!(self, db => sqlx::query_as(
            "select w.id, w.name, w.state, w.state_reason, coalesce(h.consecutive_failures, 0) as consecutive_failures, \
             w.probe_at, w.options from webhooks w left join webhook_health h on h.webhook_id = w.id \
             where w.organization_id = $1 and (w.state = 'disabled' and w.state_reason is not null \
             or w.state = 'active' and h.consecutive_failures > 0) \
             order by w.state = 'active', h.consecutive_failures desc, w.id limit $2",
        )
        .bind(organization.uuid())
        .bind(limit)
        .fetch_all(db)
        .await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Tries of the last 30 days, the oldest first, of the webhooks from `oldest` to `newest`. A webhook without any is left
    /// out.
    pub async fn webhook_days(
        &self,
        organization: OrganizationId,
        oldest: WebhookId,
        newest: WebhookId,
        now: Timestamp,
    ) -> Result<BTreeMap<WebhookId, Vec<DayTries>>> {
        let first = first_day(now);
        let rows: Vec<DayRow> = reading!(self, db => sqlx::query_as(
            "select webhook_id, bucket, cast(sum(delivered) as bigint) as delivered, \
             cast(sum(failed) as bigint) as failed from rollups \
             where organization_id = $1 and grain_minutes = 1440 and bucket >= $2 and bucket < $3 \
             and webhook_id >= $4 and webhook_id <= $5 group by webhook_id, bucket",
        )
        .bind(organization.uuid())
        .bind(first)
        .bind(first + DAYS * DAY)
        .bind(oldest.uuid())
        .bind(newest.uuid())
        .fetch_all(db)
        .await)?;
        let mut days: BTreeMap<WebhookId, Vec<DayTries>> = BTreeMap::new();
        for row in rows {
            let of = days.entry(WebhookId::from_uuid(row.webhook_id)).or_default();
            of.resize(usize::try_from(DAYS).unwrap_or_default(), DayTries::default());
            if let Some(day) = usize::try_from((row.bucket - first) / DAY).ok().and_then(|day| of.get_mut(day)) {
                *day = DayTries { delivered: row.delivered, failed: row.failed };
            }
        }
        Ok(days)
    }
}
