//! Deliveries: looking at them, sending a test.

use std::time::Duration;

use domain::{
    DeliveryId, Permission, Problems, WebhookId, WebhookState,
    api::{ApiError, Delivery, DeliveryDetail, DeliveryKind, DeliveryQuery, ErrorCode, Failures, Page, Test},
};
use storage::{NewDelivery, NewEvent};

use crate::{Actor, Engine, Result, accept, error::refused, events, paging};

/// How much longer than a try's own deadline a test is waited for: the way to its turn and into the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// Failures that are looked at to group them.
const MOST_FAILURES: u32 = 5_000;

impl Engine {
    /// Deliveries, newest first.
    pub async fn deliveries(&self, actor: &Actor, query: DeliveryQuery) -> Result<Page<Delivery>> {
        actor.require(Permission::ReadDeliveries)?;
        let (after, limit) = (paging::after(query.cursor.as_deref())?, paging::limit(query.limit));
        paging::search(query.text.as_ref())?;
        let query = self.since(query);
        self.inner.store.deliveries(actor.organization, &query, after, limit).await.map_err(refused)
    }

    /// The query with the beginning of its range.
    pub fn since(&self, query: DeliveryQuery) -> DeliveryQuery {
        let from = query.range.map(|range| range.before(self.now())).or(query.from);
        DeliveryQuery { from, range: None, ..query }
    }

    /// Deliveries whose last try failed, by webhook and reason. `limit` and `cursor` of the query are not read.
    pub async fn failures(&self, actor: &Actor, query: DeliveryQuery) -> Result<Failures> {
        actor.require(Permission::ReadDeliveries)?;
        paging::search(query.text.as_ref())?;
        let query = self.since(query);
        self.inner.store.failures(actor.organization, &query, MOST_FAILURES).await.map_err(refused)
    }

    /// One delivery with what was sent and all its tries.
    pub async fn delivery(&self, actor: &Actor, id: DeliveryId) -> Result<DeliveryDetail> {
        actor.require(Permission::ReadDeliveries)?;
        let found = self.inner.store.delivery_detail(actor.organization, id).await.map_err(refused)?;
        found.ok_or_else(|| ApiError::not_found("Delivery"))
    }

    /// Sends one event to one webhook only, whatever it subscribes to, and waits for the first try. A test is tried once.
    pub async fn test_webhook(&self, actor: &Actor, id: WebhookId, test: Test) -> Result<DeliveryDetail> {
        actor.require(Permission::TestWebhooks)?;
        if self.inner.stopping.is_cancelled() {
            return Err(accept::stopping());
        }
        let endpoint = self.inner.routing.current().endpoint(id).cloned();
        let endpoint = endpoint.filter(|endpoint| endpoint.organization == actor.organization);
        let endpoint = endpoint.ok_or_else(|| ApiError::not_found("Webhook"))?;
        if endpoint.state != WebhookState::Active {
            let detail = format!("The webhook is {}; enable it to send a test.", endpoint.state);
            return Err(ApiError::new(ErrorCode::Conflict, detail));
        }
        let types = self.event_types_of(actor.organization).await?;
        let wanted = match &test.event {
            Some(name) => types.iter().find(|known| known.name == *name),
            None => types.iter().find(|known| endpoint.subscribes(&known.name, endpoint.source)),
        };
        let Some(event_type) = wanted else {
            let message = format!("Unknown event type: {}", test.event.unwrap_or_default());
            return Err(Problems::one("event", message).into());
        };
        let data = test.data.as_ref().unwrap_or(&event_type.sample);
        let unreadable = |_| ApiError::new(ErrorCode::Internal, "The payload cannot be written as JSON");
        let data = serde_json::value::to_raw_value(data).map_err(unreadable)?;
        let now = self.now();
        let event_id = self.new_id();
        let body = events::body(event_id, &event_type.name, now, &data);
        if body.len() > domain::MAX_EVENT_BYTES {
            return Err(ApiError::new(ErrorCode::PayloadTooLarge, domain::PAYLOAD_TOO_LARGE));
        }
        let delivery: DeliveryId = self.new_id();
        let rules = self.inner.rules(&endpoint);
        let leased = self.inner.lanes().reserve(rules, id, body.len());
        let tried = self.inner.live.first_try(delivery);
        self.inner
            .accept(vec![NewEvent {
                id: event_id,
                organization: actor.organization,
                source: endpoint.source,
                event_type: event_type.name.as_str().into(),
                body,
                idempotency: None,
                accepted_at: now,
                deliveries: vec![NewDelivery { id: delivery, webhook: id, kind: DeliveryKind::Test, leased }],
            }])
            .await?;
        let patience = Duration::from_secs(endpoint.policy(&event_type.name).timeout_s.into()) + PATIENCE;
        // Another node may have taken it, or the queue is long: then the answer shows it as pending.
        drop(tokio::time::timeout(patience, tried).await);
        self.delivery(actor, delivery).await
    }
}
