//! What produces events.

use domain::api::Source;
use leptos::prelude::*;

use crate::{codec::ByJson, error::CallError};

/// All sources.
#[server(prefix = "/_ui", endpoint = "sources/list", protocol = ByJson)]
pub async fn list_sources() -> Result<Vec<Source>, CallError> {
    let (engine, actor) = crate::ssr::caller()?;
    Ok(engine.sources(&actor).await?)
}
