//! What produces events.

use domain::api::Source;
use leptos::prelude::*;

use crate::{codec::Json, error::CallError};

/// All sources.
#[server(prefix = "/_ui", endpoint = "sources/list", input = Json, output = Json)]
pub async fn list_sources() -> Result<Vec<Source>, CallError> {
    let (engine, actor) = crate::ssr::caller()?;
    Ok(engine.sources(&actor).await?)
}
