//! `/webhooks/new`.

use domain::api::Source;
use leptos::prelude::*;

use super::form::WebhookEditor;
use crate::{
    CallError,
    calls::{
        event_types::{EventChoice, event_choices},
        sources::list_sources,
        webhook_form::WebhookForm,
        webhooks::SaveWebhook,
    },
    components::{heading::Heading, loaded::loaded},
};

/// What the form offers to choose from.
pub async fn form_choices() -> Result<(Vec<EventChoice>, Vec<Source>), CallError> {
    Ok((event_choices().await?, list_sources().await?))
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
                move |(choices, sources)| {
                    let form = WebhookForm { active: true, ..WebhookForm::default() };
                    view! { <WebhookEditor form choices sources save /> }
                },
            )}
        </div>
    }
    .into_any()
}
