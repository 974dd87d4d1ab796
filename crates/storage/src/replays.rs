//! Deliveries that people ask for: replays of events that are stored already, and events that were made by editing one.

use bytes::Bytes;
use domain::{DeliveryId, EventId, OrganizationId, PublicId, SourceId, Timestamp, WebhookId, api::DeliveryKind};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, audit,
    db::{reading, writing},
};

/// A delivery that is queued beside the hot path, to be claimed by any node.
#[derive(Debug, Clone)]
pub struct QueuedDelivery {
    /// Made by the caller.
    pub id: DeliveryId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// What it carries.
    pub event: EventId,
    /// The event's type.
    pub event_type: String,
    /// Why it exists.
    pub kind: DeliveryKind,
    /// The delivery it repeats.
    pub replay_of: Option<DeliveryId>,
    /// When it is due.
    pub due_at: Timestamp,
}

/// The event of an edited payload.
#[derive(Debug, Clone)]
pub struct EditedEvent {
    /// The source of the event that was edited.
    pub source: Option<SourceId>,
    /// Exactly what the receiver gets.
    pub body: Bytes,
}

/// A connection of either database, as far as queueing needs it.
pub(crate) trait Queueing: Send {
    /// Stores deliveries and queues them.
    fn queue(
        &mut self,
        organization: OrganizationId,
        deliveries: &[QueuedDelivery],
    ) -> impl Future<Output = Result<()>> + Send;
}

macro_rules! queueing {
    ($($connection:ty),*) => {$(
        impl Queueing for $connection {
            async fn queue(&mut self, organization: OrganizationId, deliveries: &[QueuedDelivery]) -> Result<()> {
                if deliveries.is_empty() {
                    return Ok(());
                }
                QueryBuilder::new(
                    "insert into deliveries \
                     (id, organization_id, webhook_id, event_id, event_type, kind, replay_of, state, attempts) ",
                )
                .push_values(deliveries, |mut row, delivery| {
                    row.push_bind(delivery.id.uuid())
                        .push_bind(organization.uuid())
                        .push_bind(delivery.webhook.uuid())
                        .push_bind(delivery.event.uuid())
                        .push_bind(delivery.event_type.clone())
                        .push_bind(delivery.kind.as_str())
                        .push_bind(delivery.replay_of.map(PublicId::uuid))
                        .push("'pending'")
                        .push("0");
                })
                .build()
                .execute(&mut *self)
                .await?;
                QueryBuilder::new("insert into queue (delivery_id, organization_id, webhook_id, due_at, earlier_attempts) ")
                    .push_values(deliveries, |mut row, delivery| {
                        row.push_bind(delivery.id.uuid())
                            .push_bind(organization.uuid())
                            .push_bind(delivery.webhook.uuid())
                            .push_bind(delivery.due_at.millis())
                            .push("0");
                    })
                    .build()
                    .execute(self)
                    .await?;
                Ok(())
            }
        }
    )*};
}
queueing!(sqlx::SqliteConnection, sqlx::PgConnection);

impl Store {
    /// Stores a replay, to be claimed by any node.
    pub async fn enqueue(&self, organization: OrganizationId, delivery: QueuedDelivery, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            conn.queue(organization, &[delivery]).await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// Stores the event of an edited payload with its one delivery.
    pub async fn enqueue_edited(
        &self,
        organization: OrganizationId,
        event: EditedEvent,
        delivery: QueuedDelivery,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into events (id, organization_id, source_id, event_type, body, deliveries) \
                 values ($1, $2, $3, $4, $5, 1)",
            )
            .bind(delivery.event.uuid())
            .bind(organization.uuid())
            .bind(event.source.map(PublicId::uuid))
            .bind(delivery.event_type.clone())
            .bind(event.body.to_vec())
            .execute(&mut *conn)
            .await?;
            conn.queue(organization, &[delivery]).await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// The source of an event; the outer `None` when the event is not kept any more.
    pub async fn event_source(&self, organization: OrganizationId, event: EventId) -> Result<Option<Option<SourceId>>> {
        let row: Option<(Option<Uuid>,)> = reading!(self, db => sqlx::query_as(
            "select source_id from events where organization_id = $1 and id = $2",
        )
        .bind(organization.uuid())
        .bind(event.uuid())
        .fetch_optional(db)
        .await)?;
        Ok(row.map(|(source,)| source.map(SourceId::from_uuid)))
    }
}
