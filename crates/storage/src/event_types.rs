//! Event types that an organization defined beside those of the product.

use domain::{Category, EventType, OrganizationId, PublicId, Timestamp};

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{WHOLE_LIST, json, to_json},
    db::{reading, writing},
    keyset,
    webhooks::bump_routing,
};

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    category: String,
    description: String,
    sample: String,
}

impl TryFrom<Row> for EventType {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            sample: json("event_types", "sample", &row.sample)?,
            name: row.name,
            category: Category(row.category),
            description: row.description,
            custom: true,
        })
    }
}

impl Store {
    /// Stores an event type. A name that is taken is `Conflict("event_types_pkey")`.
    pub async fn create_event_type(
        &self,
        organization: OrganizationId,
        event_type: EventType,
        at: Timestamp,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into event_types (organization_id, name, category, description, sample, created_at) \
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(organization.uuid())
            .bind(event_type.name)
            .bind(event_type.category.0)
            .bind(event_type.description)
            .bind(to_json(&event_type.sample))
            .bind(at.millis())
            .execute(&mut *conn)
            .await?;
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(())
        })
    }

    /// The event types of an organization by name; at most 1,000.
    pub async fn event_types(&self, organization: OrganizationId) -> Result<Vec<EventType>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select name, category, description, sample from event_types where organization_id = $1 \
             order by name limit $2",
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        keyset::all(rows)
    }

    /// Deletes an event type; `false` when there is none.
    pub async fn delete_event_type(&self, organization: OrganizationId, name: String, audit: NewAudit) -> Result<bool> {
        writing!(self, conn => {
            let deleted = sqlx::query("delete from event_types where organization_id = $1 and name = $2")
                .bind(organization.uuid())
                .bind(name)
                .execute(&mut *conn)
                .await?
                .rows_affected();
            if deleted == 0 {
                return Ok(false);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(true)
        })
    }
}
