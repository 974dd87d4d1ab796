//! Events: publishing them, and looking at them.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    BAD_IDEMPOTENCY_KEY, DeliveryId, EventId, Permission, Problems, SourceId, Timestamp,
    api::{Accepted, DeliveryKind, Event, EventDraft, EventQuery, EventSummary, Page},
    is_idempotency_key,
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use storage::{NewDelivery, NewEvent};

use crate::{Actor, Engine, Inner, Result, accept, actor::Who, error::refused, paging, routing::Snapshot};

/// The exact bytes that receivers get; `data` is copied as it came.
pub(crate) fn body(id: EventId, event_type: &str, accepted_at: Timestamp, data: &RawValue) -> Bytes {
    // Event types and ids are made of characters that JSON does not escape.
    format!("{{\"id\":\"{id}\",\"event\":\"{event_type}\",\"timestamp\":\"{accepted_at}\",\"data\":{}}}", data.get())
        .into()
}

impl Engine {
    /// Stores events with all their deliveries; when this returns, they are on disk. When one of them is not valid, or its
    /// idempotency key was used for something else, none is stored.
    pub async fn publish(&self, actor: &Actor, drafts: Vec<EventDraft>) -> Result<Vec<Accepted>> {
        actor.require(Permission::SendEvents)?;
        if self.inner.stopping.is_cancelled() {
            return Err(accept::stopping());
        }
        let snapshot = self.inner.routing.current();
        self.inner.check(actor, &snapshot, &drafts)?;
        let now = self.now();
        let events = drafts.into_iter().map(|draft| self.inner.event(actor, &snapshot, draft, now)).collect();
        self.inner.accept(events).await
    }

    /// Events, newest first.
    pub async fn events(&self, actor: &Actor, query: EventQuery) -> Result<Page<EventSummary>> {
        actor.require(Permission::ReadEvents)?;
        let (after, limit) = (paging::after(query.cursor.as_deref())?, paging::limit(query.limit));
        paging::search(query.text.as_ref())?;
        let from = query.range.map(|range| range.before(self.now())).or(query.from);
        let query = EventQuery { from, ..query };
        self.inner.store.events(actor.organization, &query, after, limit).await.map_err(refused)
    }

    /// One event with its body.
    pub async fn event(&self, actor: &Actor, id: EventId) -> Result<Event> {
        actor.require(Permission::ReadEvents)?;
        let found = self.inner.store.event(actor.organization, id).await.map_err(refused)?;
        found.ok_or_else(|| domain::api::ApiError::not_found("Event"))
    }
}

impl Inner {
    fn check(&self, actor: &Actor, snapshot: &Snapshot, drafts: &[EventDraft]) -> Result<()> {
        let tenant = snapshot.tenant(actor.organization);
        let mut problems = Problems::default();
        let single = drafts.len() == 1;
        for (index, draft) in drafts.iter().enumerate() {
            let mut add = |field: &str, message: String| {
                problems.add(&if single { field.to_owned() } else { format!("events[{index}].{field}") }, message);
            };
            let known = self.catalogue.contains(&draft.event)
                || tenant.is_some_and(|tenant| tenant.event_types.contains(&draft.event));
            if !known {
                add("event", format!("Unknown event type: {}", draft.event));
            }
            if let Some(source) = draft.source_id
                && !tenant.is_some_and(|tenant| tenant.sources.contains(&source))
            {
                add("source_id", format!("Unknown source: {source}"));
            }
            if let (Some(bound), Some(source)) = (bound_source(actor), draft.source_id)
                && bound != source
            {
                add("source_id", format!("This key publishes only events of {bound}"));
            }
            if draft.idempotency_key.as_deref().is_some_and(|key| !is_idempotency_key(key)) {
                add("idempotency_key", BAD_IDEMPOTENCY_KEY.to_owned());
            }
        }
        Ok(problems.or(())?)
    }

    fn event(&self, actor: &Actor, snapshot: &Snapshot, draft: EventDraft, now: Timestamp) -> NewEvent {
        let EventDraft { event, data, source_id, idempotency_key } = draft;
        let source = bound_source(actor).or(source_id);
        let id: EventId = self.new_id();
        let body = body(id, &event, now, &data);
        let mut parsed = None;
        let mut deliveries = Vec::new();
        for endpoint in snapshot.tenant(actor.organization).map(|tenant| &tenant.endpoints[..]).unwrap_or_default() {
            let wanted = endpoint.subscribes(&event, source)
                && (endpoint.filter.is_empty() || {
                    // RawValue was checked to be JSON when it was read.
                    let parsed = parsed.get_or_insert_with(|| serde_json::from_str(data.get()).unwrap_or_default());
                    endpoint.filter.matches(parsed)
                });
            if wanted {
                // What must keep its order is claimed from the head of its queue.
                let leased = endpoint.state == domain::WebhookState::Active
                    && !endpoint.options.ordered
                    && self.lanes().reserve(self.rules(endpoint), endpoint.webhook, body.len());
                let id: DeliveryId = self.new_id();
                deliveries.push(NewDelivery { id, webhook: endpoint.webhook, kind: DeliveryKind::Event, leased });
            }
        }
        let idempotency = idempotency_key.map(|key| (key, fingerprint(&event, source, &data)));
        NewEvent {
            id,
            organization: actor.organization,
            source,
            event_type: Arc::from(event),
            body,
            idempotency,
            accepted_at: now,
            deliveries,
        }
    }
}

fn bound_source(actor: &Actor) -> Option<SourceId> {
    match &actor.who {
        Who::Key { source_id, .. } => *source_id,
        Who::Member { .. } | Who::System => None,
    }
}

/// What makes two events with the same idempotency key the same.
fn fingerprint(event: &str, source: Option<SourceId>, data: &RawValue) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(event.as_bytes());
    hash.update([0]);
    if let Some(source) = source {
        hash.update(source.to_string().as_bytes());
    }
    hash.update([0]);
    hash.update(data.get().as_bytes());
    hash.finalize().into()
}
