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
}

impl From<domain::EventType> for EventChoice {
    fn from(kind: domain::EventType) -> Self {
        Self { name: kind.name, category: kind.category.0, description: kind.description }
    }
}

/// All event types in the order of the catalogue, each with the `data` of an example, laid out.
#[server(prefix = "/_ui", endpoint = "event-types/samples", protocol = ByJson)]
pub async fn event_samples() -> Result<Vec<(String, String)>, CallError> {
    let (engine, actor) = crate::ssr::caller()?;
    let types = engine.event_types(&actor).await?;
    Ok(types.into_iter().map(|kind| (kind.name, format!("{:#}", kind.sample))).collect())
}
