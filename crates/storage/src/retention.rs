//! Forgetting what is older than an organization keeps things.
//!
//! Ids are UUIDv7, so what is older than a moment is a range at the beginning of the indexes by organization and id, and no
//! other row is ever looked at. A batch looks at [`PRUNED`] rows of that range at most and is one transaction; rows that
//! must stay are passed over, and the next batch begins after them. What still has to be sent, and dead letters, are
//! never taken away with their age alone.

use domain::{DeliveryId, OrganizationId, PublicId, Retention, Timestamp, WebhookId};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json},
    db::{reading, writing},
    hot::push_ids,
    keyset,
};

/// Rows that one batch looks at: the longest that others wait for it.
pub const PRUNED: u32 = 500;

/// How far a pass over a range of ids has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark(Uuid);

impl Bookmark {
    /// Before everything.
    pub const START: Self = Self(Uuid::nil());

    /// After the last of `ids`, if there were as many as a batch looks at: then there may be more.
    fn after(ids: impl ExactSizeIterator<Item = Uuid>) -> Option<Self> {
        let is_full = ids.len() == PRUNED as usize;
        let last = ids.last().filter(|_| is_full)?;
        Some(Self(Uuid::from_u128(last.as_u128().saturating_add(1))))
    }
}

/// What one batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that are gone.
    pub gone: u64,
    /// Where the next batch begins; `None`: there is nothing more.
    pub rest: Option<Bookmark>,
}

/// A dead letter that may have been kept for long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldLetter {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The type of its event: event types can have policies of their own.
    pub event_type: String,
    /// When it was given up.
    pub died_at: Timestamp,
}

/// Figures of these are kept for a limited time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// By minute.
    Minute,
    /// By hour.
    Hour,
}

impl Grain {
    pub(crate) const fn minutes(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
        }
    }
}

/// Cuts rows of a batch into those that must stay and the ids of the others.
fn free(rows: &[(Uuid, bool)]) -> Vec<Uuid> {
    rows.iter().filter(|(_, stays)| !stays).map(|(id, _)| *id).collect()
}

impl Store {
    /// Changes how long an organization keeps what has ended.
    pub async fn set_retention(
        &self,
        organization: OrganizationId,
        retention: Retention,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update organizations set retention = $2 where id = $1")
                .bind(organization.uuid())
                .bind(to_json(&retention))
                .execute(&mut *conn)
                .await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// How long each organization keeps what has ended. Not scoped to one: it is the worker that asks.
    pub async fn retentions(&self) -> Result<Vec<(OrganizationId, Retention)>> {
        let rows: Vec<(Uuid, String)> = reading!(self, db => sqlx::query_as("select id, retention from organizations order by id").fetch_all(db).await)?;
        let typed = |(id, text): (Uuid, String)| {
            Ok::<_, StoreError>((OrganizationId::from_uuid(id), json("organizations", "retention", &text)?))
        };
        rows.into_iter().map(typed).collect()
    }

    /// Takes the right to go through everything, which one node has every `every_ms` milliseconds.
    pub async fn begin_pruning(&self, now: Timestamp, every_ms: i64) -> Result<bool> {
        writing!(self, conn => {
            // A time that has not come yet was written by a clock that has been set back since.
            let begun = sqlx::query(
                "update meta set value = $1 where name = 'pruned_at' \
                 and (cast(value as bigint) <= $2 or cast(value as bigint) > $3)",
            )
            .bind(now.millis().to_string())
            .bind(now.plus_ms(-every_ms).millis())
            .bind(now.millis())
            .execute(&mut *conn)
            .await?;
            Ok(begun.rows_affected() > 0)
        })
    }

    /// Deletes events that were accepted before `before`, but none that still has to be sent.
    pub async fn prune_events(
        &self,
        organization: OrganizationId,
        before: Timestamp,
        from: Bookmark,
    ) -> Result<Pruned> {
        writing!(self, conn => {
            let rows: Vec<(Uuid, bool)> = sqlx::query_as(
                "select x.id, exists (select 1 from deliveries d join queue q on q.delivery_id = d.id \
                 where d.event_id = x.id) from (select id from events \
                 where organization_id = $1 and id >= $2 and id < $3 order by id limit $4) x order by x.id",
            )
            .bind(organization.uuid())
            .bind(from.0)
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .fetch_all(&mut *conn)
            .await?;
            let old = free(&rows);
            if !old.is_empty() {
                let mut sql = QueryBuilder::new("delete from events");
                push_ids!(sql, " where id in (", &old);
                sql.build().execute(&mut *conn).await?;
            }
            Ok(Pruned { gone: old.len() as u64, rest: Bookmark::after(rows.iter().map(|row| row.0)) })
        })
    }

    /// Deletes deliveries that were created before `before`, with their attempts, but none that still has to be sent or is
    /// a dead letter.
    pub async fn prune_deliveries(
        &self,
        organization: OrganizationId,
        before: Timestamp,
        from: Bookmark,
    ) -> Result<Pruned> {
        writing!(self, conn => {
            let rows: Vec<(Uuid, bool)> = sqlx::query_as(
                "select x.id, exists (select 1 from queue where delivery_id = x.id) or \
                 exists (select 1 from dead_letters where organization_id = $1 and delivery_id = x.id) \
                 from (select id from deliveries \
                 where organization_id = $1 and id >= $2 and id < $3 order by id limit $4) x order by x.id",
            )
            .bind(organization.uuid())
            .bind(from.0)
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .fetch_all(&mut *conn)
            .await?;
            let old = free(&rows);
            if !old.is_empty() {
                let mut sql = QueryBuilder::new("delete from attempts");
                push_ids!(sql, " where delivery_id in (", &old);
                sql.build().execute(&mut *conn).await?;
                let mut sql = QueryBuilder::new("delete from deliveries");
                push_ids!(sql, " where id in (", &old);
                sql.build().execute(&mut *conn).await?;
            }
            Ok(Pruned { gone: old.len() as u64, rest: Bookmark::after(rows.iter().map(|row| row.0)) })
        })
    }

    /// Ends deliveries that have been due since before `before` and are held because their webhook is not active. Answers
    /// how many; there may be more when it is [`PRUNED`].
    pub async fn discard_held(&self, organization: OrganizationId, before: Timestamp, now: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            // The queue's own index leads to what has been due for the longest, webhook by webhook.
            let held: Vec<Uuid> = sqlx::query_scalar(
                "select q.delivery_id from webhooks w cross join queue q where w.organization_id = $1 \
                 and w.state <> 'active' and q.webhook_id = w.id and q.node_id is null and q.due_at < $2 limit $3",
            )
            .bind(organization.uuid())
            .bind(before.millis())
            .bind(i64::from(PRUNED))
            .fetch_all(&mut *conn)
            .await?;
            if held.is_empty() {
                return Ok(0);
            }
            let mut sql = QueryBuilder::new("delete from queue where node_id is null");
            push_ids!(sql, " and delivery_id in (", &held);
            let ended: Vec<Uuid> = sql.push(" returning delivery_id").build_query_scalar().fetch_all(&mut *conn).await?;
            if !ended.is_empty() {
                let mut sql = QueryBuilder::new("update deliveries set state = 'discarded', finished_at = ");
                sql.push_bind(now.millis());
                push_ids!(sql, " where id in (", &ended);
                sql.build().execute(&mut *conn).await?;
            }
            Ok(ended.len() as u64)
        })
    }

    /// Webhooks with dead letters, and whether they are still there. Not scoped to one organization: it is the worker that
    /// asks.
    pub async fn webhooks_with_dead_letters(&self) -> Result<Vec<(OrganizationId, WebhookId, bool)>> {
        let rows: Vec<(Uuid, Uuid, bool)> = reading!(self, db => sqlx::query_as(
            "select c.organization_id, c.webhook_id, w.id is not null from dead_letter_counts c \
             left join webhooks w on w.id = c.webhook_id where c.dead_letters > 0",
        )
        .fetch_all(db)
        .await)?;
        let typed = |(organization, webhook, is_there)| {
            (OrganizationId::from_uuid(organization), WebhookId::from_uuid(webhook), is_there)
        };
        Ok(rows.into_iter().map(typed).collect())
    }

    /// The next dead letters of a webhook whose deliveries were created before `before`: only these can have died before
    /// it.
    pub async fn old_dead_letters(
        &self,
        organization: OrganizationId,
        webhook: WebhookId,
        before: Timestamp,
        from: Bookmark,
    ) -> Result<(Vec<OldLetter>, Option<Bookmark>)> {
        let rows: Vec<(Uuid, String, i64)> = reading!(self, db => sqlx::query_as(
            "select x.delivery_id, d.event_type, l.died_at from (select delivery_id from dead_letters \
             where organization_id = $1 and webhook_id = $2 and delivery_id >= $3 and delivery_id < $4 \
             order by delivery_id limit $5) x cross join dead_letters l cross join deliveries d \
             where l.organization_id = $1 and l.delivery_id = x.delivery_id and d.id = x.delivery_id \
             order by x.delivery_id",
        )
        .bind(organization.uuid())
        .bind(webhook.uuid())
        .bind(from.0)
        .bind(keyset::first_id(before))
        .bind(i64::from(PRUNED))
        .fetch_all(db)
        .await)?;
        let rest = Bookmark::after(rows.iter().map(|row| row.0));
        let letters = rows.into_iter().map(|(delivery, event_type, died_at)| OldLetter {
            delivery: DeliveryId::from_uuid(delivery),
            event_type,
            died_at: Timestamp::from_millis(died_at),
        });
        Ok((letters.collect(), rest))
    }

    /// Forgets the counts of deleted webhooks that have no dead letters any more.
    pub async fn prune_dead_letter_counts(&self) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "delete from dead_letter_counts where dead_letters = 0 \
                 and not exists (select 1 from webhooks where id = dead_letter_counts.webhook_id)",
            )
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }

    /// Deletes figures of the time before `before`, at most [`PRUNED`] rows. Answers how many.
    pub async fn prune_rollups(&self, organization: OrganizationId, grain: Grain, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from rollups where (organization_id, grain_minutes, bucket, webhook_id, slot) in (
                     select organization_id, grain_minutes, bucket, webhook_id, slot from rollups
                     where organization_id = $1 and grain_minutes = $2 and bucket < $3
                     order by organization_id, grain_minutes, bucket limit $4)",
            )
            .bind(organization.uuid())
            .bind(grain.minutes())
            .bind(before.minute())
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }

    /// Deletes jobs that were created before `before` and have ended, at most [`PRUNED`]. Answers how many.
    pub async fn prune_jobs(&self, organization: OrganizationId, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from jobs where id in (select id from jobs \
                 where organization_id = $1 and id < $2 and state <> 'running' order by id limit $3)",
            )
            .bind(organization.uuid())
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }

    /// Deletes sessions that are over, at most [`PRUNED`]. Answers how many.
    pub async fn prune_sessions(&self, now: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from sessions where token_hash in (select token_hash from sessions \
                 where expires_at <= $1 order by expires_at limit $2)",
            )
            .bind(now.millis())
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }

    /// Deletes what the Inspector recorded before the newest `keep` requests, at most [`PRUNED`]. Answers how many. Usually
    /// nothing: they are deleted as others come, unless fewer are kept than were before.
    pub async fn prune_inspector(&self, organization: OrganizationId, keep: u32) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from inspector_requests where id in (select id from inspector_requests \
                 where organization_id = $1 order by id desc limit $2 offset $3)",
            )
            .bind(organization.uuid())
            .bind(i64::from(PRUNED))
            .bind(i64::from(keep))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }
}
