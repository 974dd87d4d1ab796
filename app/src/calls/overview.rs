//! The first screen.

use domain::{
    WebhookId,
    api::{Alert, DeadLetterCount, FailingWebhook, IntegrationSummary, Overview},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{inspector::inspector_url, webhooks::name_webhooks};
#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// What the first screen shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstScreen {
    /// The figures.
    pub figures: Overview,
    /// Webhooks that are disabled because they failed, or close to it.
    pub failing: Vec<FailingWebhook>,
    /// Webhooks that have dead letters, the most first.
    pub dead_letters: Vec<DeadLetterCount>,
    /// How many integrations there are, and how they are.
    pub integrations: IntegrationSummary,
    /// Open alerts about integrations.
    pub alerts: Vec<Alert>,
    /// The way to the first delivery, while deliveries are not ordinary yet.
    pub first_run: Option<FirstRun>,
}

/// What the first steps need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstRun {
    /// The webhook that is tested: the oldest.
    pub webhook_id: Option<WebhookId>,
    /// Where the Inspector receives.
    pub inspector: String,
}

/// What the first screen shows.
#[server(prefix = "/_ui", endpoint = "overview/show", protocol = ByJson)]
pub async fn show_overview() -> Result<FirstScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let figures = engine.overview(&actor).await?;
    let failing = engine.failing_webhooks(&actor).await?;
    let dead_letters =
        if figures.dead_letters == 0 { Vec::new() } else { engine.dead_letter_summary(&actor).await?.webhooks };
    let integrations = engine.integration_summary(&actor).await?;
    let open = engine.alerts(&actor, domain::api::AlertQuery::default()).await?.data;
    let alerts = open.into_iter().filter(|alert| alert.subject.starts_with("int_")).collect();
    let (is_untried, is_tried_once) = (!figures.has_delivered, figures.last_24h.tries() == 1);
    let mut first_run = None;
    if is_untried || is_tried_once {
        let webhooks = name_webhooks().await?;
        if is_untried || webhooks.len() <= 1 {
            let webhook_id = webhooks.last().map(|webhook| webhook.id);
            first_run = Some(FirstRun { webhook_id, inspector: inspector_url().await? });
        }
    }
    Ok(FirstScreen { figures, failing, dead_letters, integrations, alerts, first_run })
}

/// First step of the first run: a webhook that sends everything to the Inspector.
#[server(prefix = "/_ui", endpoint = "overview/first-webhook", protocol = ByForm)]
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
#[server(prefix = "/_ui", endpoint = "overview/first-test", protocol = ByForm)]
pub async fn send_first_test(id: String, #[server(default)] event: Option<String>) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.test_webhook(&actor, ssr::id(&id, "Webhook")?, domain::api::Test { event, data: None }).await?;
    ssr::redirect_plain_form("/");
    Ok(())
}
