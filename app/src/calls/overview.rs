//! The first screen.

use domain::api::Overview;
use leptos::{prelude::*, server_fn::codec::Json};

use crate::error::CallError;
#[cfg(feature = "ssr")]
use crate::ssr;

/// The figures of the first screen.
#[server(prefix = "/_ui", endpoint = "overview/show", input = Json)]
pub async fn show_overview() -> Result<Overview, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.overview(&actor).await?)
}

/// First step of the first run: a webhook that sends everything to the Inspector.
#[server(prefix = "/_ui", endpoint = "overview/first-webhook")]
pub async fn create_first_webhook() -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let url = engine.inspector_url(&actor).await?;
    let description = "Sends every event to the built-in Inspector.".to_owned();
    let (name, events) = ("Inspector".to_owned(), vec!["*".to_owned()]);
    engine
        .create_webhook(&actor, domain::WebhookDraft { name, url, events, description, ..Default::default() })
        .await?;
    ssr::redirect_plain_form("/");
    Ok(())
}

/// Second step: a test through that webhook.
#[server(prefix = "/_ui", endpoint = "overview/first-test")]
pub async fn send_first_test(id: String, #[server(default)] event: Option<String>) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.test_webhook(&actor, ssr::id(&id, "Webhook")?, domain::api::Test { event, data: None }).await?;
    ssr::redirect_plain_form("/");
    Ok(())
}
