//! Webhooks: their settings, state, secret, and tests.

use domain::{
    DeliveryOptions, Timestamp, WebhookId, WebhookState,
    api::{DayTries, Page, RotatedSecret, SignatureFinding, Webhook},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::webhook_form::{WebhookForm, WebhookFormScreen};
#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// A webhook by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookName {
    /// Its id.
    pub id: WebhookId,
    /// Its name.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
}

/// The newest hundred webhooks by name, newest first.
#[server(prefix = "/_ui", endpoint = "webhooks/names", protocol = ByJson)]
pub async fn name_webhooks() -> Result<Vec<WebhookName>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let name = |Webhook { id, name, url, .. }: Webhook| WebhookName { id, name, url };
    Ok(engine.webhooks(&actor, None, Some(100)).await?.data.into_iter().map(name).collect())
}

/// What lists and every tab say of a webhook; what else is set stands in its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookLine {
    /// Its id.
    pub id: WebhookId,
    /// Unique in the organization.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
    /// For people.
    pub description: String,
    /// Event types and patterns.
    pub events: Vec<String>,
    /// Whether events are delivered.
    pub state: WebhookState,
    /// Why it is disabled, when it was not a person who did it.
    pub state_reason: Option<String>,
    /// Failed tries in a row.
    pub consecutive_failures: i64,
    /// Pace, order and age of its deliveries.
    pub options: DeliveryOptions,
    /// When one held delivery is tried, while it is disabled because its endpoint failed.
    pub next_probe_at: Option<Timestamp>,
    /// Until when the others wait behind the first, when it wants its deliveries in order.
    pub blocked_until: Option<Timestamp>,
    /// Counts changes.
    pub version: i64,
    /// When a try was last made.
    pub last_triggered_at: Option<Timestamp>,
    /// Tries that succeeded in the last 30 days.
    pub delivered_30d: i64,
    /// Tries that failed in the last 30 days.
    pub failed_30d: i64,
}

impl From<Webhook> for WebhookLine {
    fn from(it: Webhook) -> Self {
        Self {
            id: it.id,
            name: it.name,
            url: it.url,
            description: it.description,
            events: it.events,
            state: it.state,
            state_reason: it.state_reason,
            consecutive_failures: it.consecutive_failures,
            options: it.options,
            next_probe_at: it.next_probe_at,
            blocked_until: it.blocked_until,
            version: it.version,
            last_triggered_at: it.last_triggered_at,
            delivered_30d: it.delivered_30d,
            failed_30d: it.failed_30d,
        }
    }
}

/// The form of a webhook, a new one without `id`. `typed` is what was refused without JavaScript.
#[server(prefix = "/_ui", endpoint = "webhooks/form", protocol = ByJson)]
pub async fn show_webhook_form(id: Option<String>, typed: Option<String>) -> Result<WebhookFormScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let retry_policy = engine.retry_policy(&actor).await?;
    let form = match id {
        Some(id) => WebhookForm::of(&engine.webhook(&actor, ssr::id(&id, "Webhook")?).await?, &retry_policy),
        None => WebhookForm::blank(&retry_policy),
    };
    let form = form.or_typed(typed);
    let sources = engine.sources(&actor).await?.into_iter().map(|source| (source.id, source.name)).collect();
    let events = engine.event_types(&actor).await?.into_iter().map(Into::into).collect();
    Ok(WebhookFormScreen { is_special: form.is_special(), form, events, sources, retry_policy })
}

/// A webhook in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookRow {
    /// The webhook.
    pub webhook: WebhookLine,
    /// Its last 30 days, the oldest first; empty when nothing was tried.
    pub days: Vec<DayTries>,
}

/// Webhooks with their last 30 days, newest first.
#[server(prefix = "/_ui", endpoint = "webhooks/rows", protocol = ByJson)]
pub async fn list_webhook_rows() -> Result<Page<WebhookRow>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let Page { data, next_cursor } = engine.webhooks(&actor, None, Some(100)).await?;
    let mut days = engine.webhook_days(&actor, &data).await?;
    let row =
        |webhook: Webhook| WebhookRow { days: days.remove(&webhook.id).unwrap_or_default(), webhook: webhook.into() };
    Ok(Page { data: data.into_iter().map(row).collect(), next_cursor })
}

/// One webhook.
#[server(prefix = "/_ui", endpoint = "webhooks/show", protocol = ByJson)]
pub async fn show_webhook(id: String) -> Result<WebhookLine, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.webhook(&actor, ssr::id(&id, "Webhook")?).await?.into())
}

/// Creates or changes a webhook; with `then` = `test` a test follows.
#[server(prefix = "/_ui", endpoint = "webhooks/save", protocol = ByForm)]
pub async fn save_webhook(form: WebhookForm, #[server(default)] then: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let saved = store(&engine, &actor, &form)
        .await
        .map_err(|error| ssr::keep_typed::<SaveWebhook>(error, &[("typed", &form.typed())]))?;
    let mut next = format!("/webhooks/{}?tab={}", saved.id, if form.id.is_empty() { "test" } else { "settings" });
    if then == "test" {
        let sent = engine.test_webhook(&actor, saved.id, domain::api::Test::default()).await?;
        next = format!("/webhooks/{}?tab=test&delivery={}", saved.id, sent.delivery.id);
    }
    ssr::redirect(&next);
    Ok(())
}

/// Stores the form. What the form does not show (policies of single event types, a pause) stays as it is.
#[cfg(feature = "ssr")]
async fn store(engine: &engine::Engine, actor: &engine::Actor, form: &WebhookForm) -> Result<Webhook, CallError> {
    let (mut draft, problems) = form.draft();
    problems.or(()).map_err(domain::api::ApiError::from)?;
    if form.id.is_empty() {
        return Ok(engine.create_webhook(actor, draft).await?.webhook);
    }
    let id = ssr::id(&form.id, "Webhook")?;
    let stored = engine.webhook(actor, id).await?;
    draft.event_policies = stored.event_policies;
    if !form.active && stored.state == WebhookState::Paused {
        draft.state = stored.state;
    }
    Ok(engine.update_webhook(actor, id, draft).await?)
}

/// Switches delivery on or off.
#[server(prefix = "/_ui", endpoint = "webhooks/state", protocol = ByForm)]
pub async fn set_webhook_state(id: String, state: WebhookState) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.set_webhook_state(&actor, ssr::id(&id, "Webhook")?, state).await?;
    Ok(())
}

/// Deletes a webhook.
#[server(prefix = "/_ui", endpoint = "webhooks/delete", protocol = ByForm)]
pub async fn delete_webhook(id: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.delete_webhook(&actor, ssr::id(&id, "Webhook")?).await?;
    ssr::redirect("/webhooks");
    Ok(())
}

/// Makes a new secret; the old one keeps signing for `overlap_hours`. The webhook's name is typed to confirm.
#[server(prefix = "/_ui", endpoint = "webhooks/rotate-secret", protocol = ByForm)]
pub async fn rotate_secret(
    id: String,
    #[server(default)] overlap_hours: Option<u32>,
    #[server(default)] confirm: String,
) -> Result<RotatedSecret, CallError> {
    let (engine, actor) = ssr::caller()?;
    let webhook = engine.webhook(&actor, ssr::id(&id, "Webhook")?).await?;
    if confirm.trim() != webhook.name {
        let problem = domain::Problems::one("confirm", format!("Type {} to confirm", webhook.name));
        return Err(domain::api::ApiError::from(problem).into());
    }
    let rotated = engine.rotate_secret(&actor, webhook.id, overlap_hours).await?;
    ssr::redirect_plain_form(&format!("/webhooks/{}?tab=secret&show=1", webhook.id));
    Ok(rotated)
}

/// Shows the secret. Who looked is in the audit log.
#[server(prefix = "/_ui", endpoint = "webhooks/reveal-secret", protocol = ByJson)]
pub async fn reveal_secret(id: String) -> Result<RotatedSecret, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.reveal_secret(&actor, ssr::id(&id, "Webhook")?).await?)
}

/// Says why the signature of a request verifies or does not; without a secret, with those of the webhook.
#[server(prefix = "/_ui", endpoint = "webhooks/explain-signature", protocol = ByForm)]
pub async fn explain_signature(
    id: String,
    headers: String,
    body: String,
    #[server(default)] secret: String,
) -> Result<Vec<SignatureFinding>, CallError> {
    /// Longest body that an address carries back.
    const MOST: usize = 4096;
    let (engine, actor) = ssr::caller()?;
    let webhook = ssr::id(&id, "Webhook")?;
    let kept = if body.len() > MOST { "" } else { &body };
    let typed = [("headers", &*headers), ("body", kept)];
    let question = domain::api::SignatureQuestion {
        headers: headers.clone(),
        body: body.clone(),
        secret: Some(secret).filter(|secret| !secret.trim().is_empty()),
    };
    let found = engine.explain_signature(&actor, webhook, question).await;
    let found = found.map_err(|error| ssr::keep_typed::<ExplainSignature>(error.into(), &typed))?;
    let json = serde_json::to_string(&found).unwrap_or_default();
    let query: Vec<String> = [("found", &*json)]
        .into_iter()
        .chain(typed)
        .map(|(name, value)| format!("&{name}={}", crate::components::problem::encode(value)))
        .collect();
    ssr::redirect_plain_form(&format!("/webhooks/{id}?tab=signature{}", query.concat()));
    Ok(found)
}

/// Sends a test and waits for its answer. `data` is JSON; empty, or still the sample of `sample_of`, it is the sample of `event`.
#[server(prefix = "/_ui", endpoint = "webhooks/test", protocol = ByForm)]
pub async fn test_webhook(
    id: String,
    event: String,
    #[server(default)] data: String,
    #[server(default)] sample_of: String,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let test = read_test(&engine, &actor, event, &data, &sample_of).await;
    let test = test.map_err(|error| ssr::keep_typed::<TestWebhook>(error, &[("data", &data)]))?;
    let sent = engine.test_webhook(&actor, ssr::id(&id, "Webhook")?, test).await?;
    ssr::redirect(&format!("/webhooks/{id}?tab=test&delivery={}", sent.delivery.id));
    Ok(())
}

#[cfg(feature = "ssr")]
async fn read_test(
    engine: &engine::Engine,
    actor: &engine::Actor,
    event: String,
    data: &str,
    sample_of: &str,
) -> Result<domain::api::Test, CallError> {
    if data.trim().is_empty() {
        return Ok(domain::api::Test { event: Some(event), data: None });
    }
    let typed: serde_json::Value = serde_json::from_str(data).map_err(|error| {
        domain::api::ApiError::from(domain::Problems::one("data", format!("Not valid JSON: {error}")))
    })?;
    // Without JavaScript the text stays when another event is chosen: then the sample of that event is meant.
    let untouched = event != sample_of
        && engine.event_types(actor).await?.iter().any(|kind| kind.name == sample_of && kind.sample == typed);
    Ok(domain::api::Test { event: Some(event), data: (!untouched).then_some(typed) })
}
