//! `/webhooks/new`.

use leptos::prelude::*;

use super::form::WebhookEditor;
use crate::{
    action::ServerAction,
    answer::Answer,
    calls::{
        webhook_form::WebhookForm,
        webhooks::{SaveWebhook, list_form_choices},
    },
    components::{heading::Heading, loaded::loaded},
};

/// Creating a webhook.
#[component]
pub fn NewWebhook() -> AnyView {
    let choices = Answer::new(|| (), |()| list_form_choices());
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
