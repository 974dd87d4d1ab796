//! The built-in receiver.

use domain::api::{InspectorRequest, Page};
use leptos::{prelude::*, server_fn::codec::Json};

use crate::error::CallError;
#[cfg(feature = "ssr")]
use crate::ssr;

/// Where the Inspector receives.
#[server(prefix = "/_ui", endpoint = "inspector/url", input = Json)]
pub async fn inspector_url() -> Result<String, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.inspector_url(&actor).await?)
}

/// One page of what it received, newest first.
#[server(prefix = "/_ui", endpoint = "inspector/list", input = Json)]
pub async fn inspector_requests(cursor: Option<String>) -> Result<Page<InspectorRequest>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.inspector_requests(&actor, cursor, Some(25)).await?)
}

/// Forgets all of it.
#[server(prefix = "/_ui", endpoint = "inspector/clear")]
pub async fn clear_inspector() -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.clear_inspector(&actor).await?;
    ssr::redirect_plain_form("/inspector");
    Ok(())
}
