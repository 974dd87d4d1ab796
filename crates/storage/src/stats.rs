//! Figures for the first screen. They are read from rollups, never counted from the history.

use domain::{OrganizationId, PublicId, Timestamp, api::Overview};

use crate::{Result, Store, db::reading};

/// Minutes of a day: the grain of daily rollups.
const DAY: i64 = 1440;
/// Minutes of an hour: the grain of hourly rollups.
const HOUR: i64 = 60;

/// The first daily rollup of the last 30 days, today included.
pub(crate) const fn first_day(now: Timestamp) -> i64 {
    (now.minute().div_euclid(DAY) - 29) * DAY
}

/// The first hourly rollup that reaches into the last 24 hours.
const fn first_hour(now: Timestamp) -> i64 {
    (now.minute() - DAY).div_euclid(HOUR) * HOUR
}

#[derive(sqlx::FromRow)]
struct Row {
    webhooks: i64,
    disabled_webhooks: i64,
    delivered: i64,
    failed: i64,
    duration_ms: i64,
    dead_letters: i64,
    has_delivered: bool,
    has_verified: bool,
}

impl Store {
    /// What the first screen shows. The last 24 hours are those of whole hours, the one that they began in included.
    pub async fn overview(&self, organization: OrganizationId, now: Timestamp) -> Result<Overview> {
        let row: Row = reading!(self, db => sqlx::query_as(
            "select \
             (select count(*) from webhooks where organization_id = $1) as webhooks, \
             (select count(*) from webhooks where organization_id = $1 and state = 'disabled') as disabled_webhooks, \
             cast(coalesce(sum(delivered), 0) as bigint) as delivered, \
             cast(coalesce(sum(failed), 0) as bigint) as failed, \
             cast(coalesce(sum(duration_ms), 0) as bigint) as duration_ms, \
             (select cast(coalesce(sum(dead_letters), 0) as bigint) from dead_letter_counts where organization_id = $1) \
             as dead_letters, \
             exists (select 1 from rollups where organization_id = $1 and grain_minutes = 1440 and delivered > 0) \
             as has_delivered, \
             exists (select 1 from inspector_requests where organization_id = $1 and signature = 'verified') \
             as has_verified \
             from rollups where organization_id = $1 and grain_minutes = 60 and bucket >= $2",
        )
        .bind(organization.uuid())
        .bind(first_hour(now))
        .fetch_one(db)
        .await)?;
        let tries = row.delivered + row.failed;
        Ok(Overview {
            webhooks: row.webhooks,
            disabled_webhooks: row.disabled_webhooks,
            delivered_24h: row.delivered,
            failed_24h: row.failed,
            mean_ms_24h: (tries > 0).then(|| row.duration_ms / tries),
            dead_letters: row.dead_letters,
            has_delivered: row.has_delivered,
            has_verified: row.has_verified,
        })
    }
}
