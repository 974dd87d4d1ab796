//! Sources: what produces events. Webhooks and API keys can be bound to one.

use domain::{OrganizationId, PublicId, SourceId, Timestamp, api::Source};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::WHOLE_LIST,
    db::{reading, writing},
    keyset,
    webhooks::bump_routing,
};

/// What became of the wish to delete a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceRemoval {
    /// It is gone.
    Removed,
    /// A webhook or a key that is not revoked is bound to it.
    InUse,
    /// There is none.
    Missing,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    created_at: i64,
}

impl TryFrom<Row> for Source {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self { id: SourceId::from_uuid(row.id), name: row.name, created_at: Timestamp::from_millis(row.created_at) })
    }
}

impl Store {
    /// Stores a source. A name that is taken is `Conflict("sources_name")`.
    pub async fn create_source(&self, organization: OrganizationId, source: Source, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("insert into sources (id, organization_id, name, created_at) values ($1, $2, $3, $4)")
                .bind(source.id.uuid())
                .bind(organization.uuid())
                .bind(source.name)
                .bind(source.created_at.millis())
                .execute(&mut *conn)
                .await?;
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(())
        })
    }

    /// The sources of an organization by name; at most 1,000.
    pub async fn sources(&self, organization: OrganizationId) -> Result<Vec<Source>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select id, name, created_at from sources where organization_id = $1 order by name limit $2",
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        keyset::all(rows)
    }

    /// One source.
    pub async fn source(&self, organization: OrganizationId, id: SourceId) -> Result<Option<Source>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, name, created_at from sources where organization_id = $1 and id = $2",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Deletes a source that nothing is bound to any more. Revoked keys let go of it.
    pub async fn delete_source(
        &self,
        organization: OrganizationId,
        id: SourceId,
        audit: NewAudit,
    ) -> Result<SourceRemoval> {
        writing!(self, conn => {
            let found: Option<(Uuid,)> =
                sqlx::query_as("select id from sources where organization_id = $1 and id = $2")
                    .bind(organization.uuid())
                    .bind(id.uuid())
                    .fetch_optional(&mut *conn)
                    .await?;
            if found.is_none() {
                return Ok(SourceRemoval::Missing);
            }
            // What is bound to it at this very moment and not yet visible is caught by the foreign key.
            let (users,): (i64,) = sqlx::query_as(
                "select (select count(*) from webhooks where organization_id = $1 and source_id = $2) \
                 + (select count(*) from api_keys where organization_id = $1 and source_id = $2 and revoked_at is null)",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .fetch_one(&mut *conn)
            .await?;
            if users > 0 {
                return Ok(SourceRemoval::InUse);
            }
            sqlx::query("update api_keys set source_id = null where organization_id = $1 and source_id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?;
            sqlx::query("delete from sources where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?;
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(SourceRemoval::Removed)
        })
    }
}
