//! `/webhooks/new`.

use domain::{RetryPolicy, api::Source};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::form::WebhookEditor;
use crate::{
    CallError,
    calls::{
        event_types::{EventChoice, event_choices},
        retry_policy::show_retry_policy,
        sources::list_sources,
        webhook_form::WebhookForm,
        webhooks::SaveWebhook,
    },
    components::{heading::Heading, loaded::loaded},
};

/// What the form offers to choose from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormChoices {
    /// The catalogue of events.
    pub events: Vec<EventChoice>,
    /// What it can be limited to.
    pub sources: Vec<Source>,
    /// The policy of webhooks that have none of their own.
    pub retry_policy: RetryPolicy,
}

/// Asks for it.
pub async fn form_choices() -> Result<FormChoices, CallError> {
    let (events, sources) = (event_choices().await?, list_sources().await?);
    Ok(FormChoices { events, sources, retry_policy: show_retry_policy().await?.policy })
}

/// Creating a webhook.
#[component]
pub fn NewWebhook() -> AnyView {
    let choices = Resource::new(|| (), |()| form_choices());
    let save = ServerAction::<SaveWebhook>::new();
    view! {
        <div class="page page-narrow">
            <div class="page-head">
                <Heading text="Configure Webhook" />
            </div>
            {loaded(
                choices,
                move |choices| {
                    let form = WebhookForm::blank(&choices.retry_policy);
                    view! { <WebhookEditor form choices save /> }
                },
            )}
        </div>
    }
    .into_any()
}
