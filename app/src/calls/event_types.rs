//! The catalogue of event types.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::ByJson, error::CallError};

/// An event type as a form offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventChoice {
    /// Such as `job.created`.
    pub name: String,
    /// Heading under which it is offered.
    pub category: String,
    /// One sentence.
    pub description: String,
    /// The `data` of an example, laid out.
    pub sample: String,
}

/// All event types, in the order of the catalogue.
#[server(prefix = "/_ui", endpoint = "event-types/list", protocol = ByJson)]
pub async fn event_choices() -> Result<Vec<EventChoice>, CallError> {
    let (engine, actor) = crate::ssr::caller()?;
    let types = engine.event_types(&actor).await?;
    let choice = |kind: domain::EventType| EventChoice {
        sample: format!("{:#}", kind.sample),
        name: kind.name,
        category: kind.category.0,
        description: kind.description,
    };
    Ok(types.into_iter().map(choice).collect())
}
