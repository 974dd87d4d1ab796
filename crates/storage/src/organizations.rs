//! Organizations: the tenants. Everything else belongs to one.

use domain::{OrganizationId, PublicId, Retention, RetryPolicy, Timestamp};
use uuid::Uuid;

use crate::{
    MemberRow, NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json},
    db::{reading, writing},
    members::insert_member,
    webhooks::bump_routing,
};

/// An organization. Without `Debug`, because who knows the Inspector's token can write to it.
#[derive(Clone, PartialEq, Eq)]
pub struct OrganizationRow {
    /// Its id.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Unguessable part of the Inspector's address.
    pub inspector_token: String,
    /// What its webhooks use that have none of their own.
    pub retry_policy: RetryPolicy,
    /// How long it keeps what has ended.
    pub retention: Retention,
    /// When it was created.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    inspector_token: String,
    retry_policy: String,
    retention: String,
    created_at: i64,
}

impl TryFrom<Row> for OrganizationRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: OrganizationId::from_uuid(row.id),
            name: row.name,
            inspector_token: row.inspector_token,
            retry_policy: json("organizations", "retry_policy", &row.retry_policy)?,
            retention: json("organizations", "retention", &row.retention)?,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

impl Store {
    /// Creates an organization, with its owner if there is one yet. With `only_first` it is refused, by `false`, when there is any
    /// organization already, even one that is being created at the same moment.
    pub async fn create_organization(
        &self,
        organization: OrganizationRow,
        owner: Option<MemberRow>,
        only_first: bool,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            // Also the lock that makes two first organizations wait for each other.
            bump_routing!(conn);
            if only_first {
                let any: Option<(Uuid,)> =
                    sqlx::query_as("select id from organizations limit 1").fetch_optional(&mut *conn).await?;
                if any.is_some() {
                    return Ok(false);
                }
            }
            sqlx::query(
                "insert into organizations (id, name, inspector_token, retry_policy, retention, created_at) \
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(organization.id.uuid())
            .bind(organization.name)
            .bind(organization.inspector_token)
            .bind(to_json(&organization.retry_policy))
            .bind(to_json(&organization.retention))
            .bind(organization.created_at.millis())
            .execute(&mut *conn)
            .await?;
            if let Some(owner) = owner {
                insert_member!(conn, owner);
            }
            audit::append(&mut *conn, organization.id, &audit).await?;
            Ok(true)
        })
    }

    /// One organization.
    pub async fn organization(&self, organization: OrganizationId) -> Result<Option<OrganizationRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, name, inspector_token, retry_policy, retention, created_at from organizations where id = $1",
        )
        .bind(organization.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Changes what the webhooks of an organization use that have no retry policy of their own.
    pub async fn set_retry_policy(
        &self,
        organization: OrganizationId,
        policy: RetryPolicy,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update organizations set retry_policy = $2 where id = $1")
                .bind(organization.uuid())
                .bind(to_json(&policy))
                .execute(&mut *conn)
                .await?;
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(())
        })
    }

    /// The organization that was created first: the one that commands of the operator mean. `None` before setup.
    pub async fn first_organization(&self) -> Result<Option<OrganizationRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, name, inspector_token, retry_policy, retention, created_at from organizations order by id limit 1",
        )
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }
}
