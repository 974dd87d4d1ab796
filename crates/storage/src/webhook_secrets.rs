//! The signing secrets of webhooks. They are encrypted and stay so in here: the keys are the engine's.

use domain::{OrganizationId, PublicId, Timestamp, WebhookId};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, audit,
    db::{reading, writing},
    webhooks::bump_routing,
};

/// Secrets of one webhook that sign at the same time.
const MAX_LIVE_SECRETS: i64 = 10;

/// A secret to be stored.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Also what it is bound to when it is encrypted.
    pub id: Uuid,
    /// Encrypted.
    pub secret: Vec<u8>,
    /// When it was made. The newest one signs first.
    pub created_at: Timestamp,
}

/// A secret of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Also what it is bound to when it is encrypted.
    pub id: Uuid,
    /// Encrypted.
    pub secret: Vec<u8>,
    /// Until when it signs; `None` for the one that signs first.
    pub expires_at: Option<Timestamp>,
}

/// What became of the wish to rotate a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The new secret signs first.
    Done,
    /// Ten secrets sign already.
    TooMany,
    /// There is no such webhook.
    Missing,
}

/// Inserts a secret that signs first inside a `writing!` body.
macro_rules! insert_secret {
    ($conn:expr, $organization:expr, $webhook:expr, $secret:expr) => {
        sqlx::query(
            "insert into webhook_secrets (id, organization_id, webhook_id, secret, created_at) \
             values ($1, $2, $3, $4, $5)",
        )
        .bind($secret.id)
        .bind($organization.uuid())
        .bind($webhook.uuid())
        .bind($secret.secret)
        .bind($secret.created_at.millis())
        .execute(&mut *$conn)
        .await?
    };
}
pub(crate) use insert_secret;

impl Store {
    /// Adds a secret that signs first. The others sign until `others_until` at most, which may be now.
    pub async fn rotate_secret(
        &self,
        organization: OrganizationId,
        webhook: WebhookId,
        secret: NewSecret,
        others_until: Timestamp,
        audit: NewAudit,
    ) -> Result<Rotation> {
        writing!(self, conn => {
            // Locks the row, so that two rotations come one after the other.
            let found = sqlx::query("update webhooks set version = version where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(webhook.uuid())
                .execute(&mut *conn)
                .await?
                .rows_affected();
            if found == 0 {
                return Ok(Rotation::Missing);
            }
            let (live,): (i64,) = sqlx::query_as(
                "select count(*) from webhook_secrets \
                 where webhook_id = $1 and (expires_at is null or expires_at > $2)",
            )
            .bind(webhook.uuid())
            .bind(secret.created_at.millis())
            .fetch_one(&mut *conn)
            .await?;
            if live >= MAX_LIVE_SECRETS && others_until > secret.created_at {
                return Ok(Rotation::TooMany);
            }
            sqlx::query(
                "update webhook_secrets set expires_at = $2 \
                 where webhook_id = $1 and (expires_at is null or expires_at > $2)",
            )
            .bind(webhook.uuid())
            .bind(others_until.millis())
            .execute(&mut *conn)
            .await?;
            sqlx::query("delete from webhook_secrets where webhook_id = $1 and expires_at <= $2")
                .bind(webhook.uuid())
                .bind(secret.created_at.millis())
                .execute(&mut *conn)
                .await?;
            insert_secret!(conn, organization, webhook, secret);
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(Rotation::Done)
        })
    }

    /// The secrets of a webhook that sign at `now`, the newest first; empty when there is no such webhook.
    pub async fn webhook_secrets(
        &self,
        organization: OrganizationId,
        webhook: WebhookId,
        now: Timestamp,
    ) -> Result<Vec<StoredSecret>> {
        let rows: Vec<(Uuid, Vec<u8>, Option<i64>)> = reading!(self, db => sqlx::query_as(
            "select id, secret, expires_at from webhook_secrets where organization_id = $1 and webhook_id = $2 \
             and (expires_at is null or expires_at > $3) order by created_at desc, id desc limit $4",
        )
        .bind(organization.uuid())
        .bind(webhook.uuid())
        .bind(now.millis())
        .bind(MAX_LIVE_SECRETS)
        .fetch_all(db)
        .await)?;
        let secret = |(id, secret, expires_at): (Uuid, Vec<u8>, Option<i64>)| StoredSecret {
            id,
            secret,
            expires_at: expires_at.map(Timestamp::from_millis),
        };
        Ok(rows.into_iter().map(secret).collect())
    }
}
