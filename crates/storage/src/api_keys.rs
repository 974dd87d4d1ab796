//! API keys: what programs are known by. Only the hash of a key is stored.

use domain::{ApiKeyId, OrganizationId, PublicId, SourceId, Timestamp, api::ApiKey};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{WHOLE_LIST, json, to_json},
    db::{reading, writing},
    keyset,
};

/// A key and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Where it belongs.
    pub organization_id: OrganizationId,
    /// The key, live or not.
    pub key: ApiKey,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    name: String,
    prefix: String,
    scopes: String,
    source_id: Option<Uuid>,
    created_at: i64,
    last_used_at: Option<i64>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<Row> for ApiKeyRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: OrganizationId::from_uuid(row.organization_id),
            key: ApiKey {
                id: ApiKeyId::from_uuid(row.id),
                name: row.name,
                prefix: row.prefix,
                scopes: json("api_keys", "scopes", &row.scopes)?,
                source_id: row.source_id.map(SourceId::from_uuid),
                created_at: Timestamp::from_millis(row.created_at),
                last_used_at: row.last_used_at.map(Timestamp::from_millis),
                expires_at: row.expires_at.map(Timestamp::from_millis),
                revoked_at: row.revoked_at.map(Timestamp::from_millis),
            },
        })
    }
}

impl Store {
    /// Stores a key. A key that exists already, even in another organization, is `Conflict("api_keys_key_hash_key")`.
    pub async fn create_api_key(
        &self,
        organization: OrganizationId,
        key: ApiKey,
        key_hash: [u8; 32],
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into api_keys (id, organization_id, name, prefix, key_hash, scopes, source_id, created_at, \
                 last_used_at, expires_at, revoked_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(key.id.uuid())
            .bind(organization.uuid())
            .bind(key.name)
            .bind(key.prefix)
            .bind(key_hash.to_vec())
            .bind(to_json(&key.scopes))
            .bind(key.source_id.map(PublicId::uuid))
            .bind(key.created_at.millis())
            .bind(key.last_used_at.map(Timestamp::millis))
            .bind(key.expires_at.map(Timestamp::millis))
            .bind(key.revoked_at.map(Timestamp::millis))
            .execute(&mut *conn)
            .await?;
            audit::append(&mut *conn, organization, &audit).await?;
            Ok(())
        })
    }

    /// The keys of an organization, newest first, revoked and expired ones too; at most 1,000.
    pub async fn api_keys(&self, organization: OrganizationId) -> Result<Vec<ApiKey>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select id, organization_id, name, prefix, scopes, source_id, created_at, last_used_at, expires_at, \
             revoked_at from api_keys where organization_id = $1 order by id desc limit $2",
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        let keys: Vec<ApiKeyRow> = keyset::all(rows)?;
        Ok(keys.into_iter().map(|row| row.key).collect())
    }

    /// One key.
    pub async fn api_key(&self, organization: OrganizationId, id: ApiKeyId) -> Result<Option<ApiKey>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, organization_id, name, prefix, scopes, source_id, created_at, last_used_at, expires_at, \
             revoked_at from api_keys where organization_id = $1 and id = $2",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(|row| ApiKeyRow::try_from(row).map(|row| row.key)).transpose()
    }

    /// The key with this hash, live or not. Not scoped, because it is what tells the organization.
    pub async fn api_key_by_hash(&self, key_hash: [u8; 32]) -> Result<Option<ApiKeyRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, organization_id, name, prefix, scopes, source_id, created_at, last_used_at, expires_at, \
             revoked_at from api_keys where key_hash = $1",
        )
        .bind(key_hash.to_vec())
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Revokes a key; `false` when there is none or it is revoked already.
    pub async fn revoke_api_key(
        &self,
        organization: OrganizationId,
        id: ApiKeyId,
        at: Timestamp,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let revoked = sqlx::query(
                "update api_keys set revoked_at = $3 where organization_id = $1 and id = $2 and revoked_at is null",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(at.millis())
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if revoked == 0 {
                return Ok(false);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Notes that a key was used. Not audited: using a key changes nothing.
    pub async fn touch_api_key(&self, organization: OrganizationId, id: ApiKeyId, at: Timestamp) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "update api_keys set last_used_at = $3 where organization_id = $1 and id = $2 \
                 and coalesce(last_used_at, 0) < $3",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(at.millis())
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }
}
