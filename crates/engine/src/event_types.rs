//! Event types: those of the product, which are data (`data/event_types.json`), and those that an organization defines.

use std::collections::HashSet;

use domain::{
    EventType, OrganizationId, Permission, Problems,
    api::{ApiError, ErrorCode, EventTypeDraft},
    is_event_type_name,
};

use crate::{
    Actor, Engine, Result,
    error::refused,
    members::{check_name, check_room},
};

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 500;
/// Largest sample, in bytes of JSON.
const MAX_SAMPLE_BYTES: usize = 64 * 1024;

/// The event types of the product.
pub(crate) struct Catalogue {
    types: Vec<EventType>,
    names: HashSet<String>,
}

impl Catalogue {
    pub(crate) fn built_in() -> Self {
        let types: Vec<EventType> = serde_json::from_str(include_str!("../data/event_types.json"))
            .expect("a test reads the catalogue that is compiled in");
        let names = types.iter().map(|event_type| event_type.name.clone()).collect();
        Self { types, names }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

impl Engine {
    /// All event types, the product's first.
    pub async fn event_types(&self, actor: &Actor) -> Result<Vec<EventType>> {
        actor.require(Permission::ReadEvents)?;
        self.event_types_of(actor.organization).await
    }

    /// Defines an event type.
    pub async fn create_event_type(&self, actor: &Actor, draft: EventTypeDraft) -> Result<EventType> {
        actor.require(Permission::WriteEventTypes)?;
        let mut problems = Problems::default();
        let mut draft = draft;
        draft.name = draft.name.trim().to_owned();
        draft.category.0 = draft.category.0.trim().to_owned();
        if draft.name.is_empty() {
            problems.add("name", "Event type name is required");
        } else if !is_event_type_name(&draft.name) {
            let message = "Use letters, digits and underscores, in words separated by full stops, such as invoice.paid \
                           (at most 100 characters)";
            problems.add("name", message);
        } else if self.inner.catalogue.contains(&draft.name) {
            problems.add("name", "An event type with this name already exists");
        }
        check_name(&draft.category.0, "category", "Category", &mut problems);
        if draft.description.chars().count() > MAX_DESCRIPTION {
            problems.add("description", format!("Description must be at most {MAX_DESCRIPTION} characters"));
        }
        if draft.sample.to_string().len() > MAX_SAMPLE_BYTES {
            problems.add("sample", "The sample must be at most 64 KB");
        }
        problems.or(())?;
        let own = self.inner.store.event_types(actor.organization).await.map_err(refused)?;
        check_room(own.len(), "event types of its own")?;
        let EventTypeDraft { name, category, description, sample } = draft;
        let event_type = EventType { name, category, description, sample, custom: true };
        let fields = ["name", "category", "description", "sample"];
        let audit = self.audit_entry(actor, "event_type.created", &event_type.name, &fields);
        let stored = self.inner.store.create_event_type(actor.organization, event_type.clone(), self.now(), audit);
        stored.await.map_err(refused)?;
        self.refresh_routing().await;
        Ok(event_type)
    }

    /// Deletes an event type that the organization defined and no webhook names.
    pub async fn delete_event_type(&self, actor: &Actor, name: &str) -> Result<()> {
        actor.require(Permission::WriteEventTypes)?;
        if self.inner.catalogue.contains(name) {
            return Err(ApiError::new(ErrorCode::Conflict, "A built-in event type cannot be deleted"));
        }
        let snapshot = self.inner.routing.current();
        let endpoints = snapshot.tenant(actor.organization).map(|tenant| &tenant.endpoints[..]).unwrap_or_default();
        let names_it = |pattern: &domain::EventPattern| pattern.as_str() == name;
        if let Some(user) = endpoints.iter().find(|endpoint| endpoint.events.iter().any(names_it)) {
            let detail = format!("Webhook {} subscribes to this event type. Change it first.", user.name);
            return Err(ApiError::new(ErrorCode::Conflict, detail));
        }
        let audit = self.audit_entry(actor, "event_type.deleted", &name, &[]);
        let deleted = self.inner.store.delete_event_type(actor.organization, name.to_owned(), audit);
        if !deleted.await.map_err(refused)? {
            return Err(ApiError::not_found("Event type"));
        }
        self.refresh_routing().await;
        Ok(())
    }

    /// All event types of an organization, the product's first.
    pub(crate) async fn event_types_of(&self, organization: OrganizationId) -> Result<Vec<EventType>> {
        let mut types = self.inner.catalogue.types.clone();
        types.extend(self.inner.store.event_types(organization).await.map_err(refused)?);
        Ok(types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_what_the_specification_names() {
        let catalogue = Catalogue::built_in();
        assert_eq!(catalogue.names.len(), catalogue.types.len(), "no name twice");
        let mut categories: Vec<&str> = catalogue.types.iter().map(|event_type| &*event_type.category.0).collect();
        categories.dedup();
        let expected =
            ["JOBS", "CANDIDATES", "SUBMISSIONS", "INTERVIEWS", "USERS", "TASKS", "APPROVALS", "INTEGRATIONS"];
        assert_eq!(categories, expected);
        for event_type in &catalogue.types {
            assert!(is_event_type_name(&event_type.name) && !event_type.custom, "{event_type:?}");
            assert!(!event_type.description.is_empty() && event_type.sample.is_object(), "{event_type:?}");
        }
        for name in ["job.closed", "candidate.status_changed", "submission.updated", "submission.placed"] {
            assert!(catalogue.contains(name), "{name}");
        }
        for name in ["failover.switched", "failover.restored"] {
            assert!(catalogue.contains(name), "{name}");
        }
        for name in ["user.deactivated", "task.swapped", "approval.delegated", "interview.completed"] {
            assert!(catalogue.contains(name), "{name}");
        }
    }
}
