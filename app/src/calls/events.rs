//! Events, as they were accepted.

use domain::api::{Event, EventQuery, EventSummary, Page};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{codec::ByJson, error::CallError};

/// One page of events, newest first.
#[server(prefix = "/_ui", endpoint = "events/list", protocol = ByJson)]
pub async fn list_events(query: EventQuery) -> Result<Page<EventSummary>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.events(&actor, query).await?)
}

/// One event with its body.
#[server(prefix = "/_ui", endpoint = "events/show", protocol = ByJson)]
pub async fn show_event(id: String) -> Result<Event, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.event(&actor, ssr::id(&id, "Event")?).await?)
}
