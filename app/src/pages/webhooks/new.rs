//! `/webhooks/new`.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::form::webhook_form;
use crate::{
    action::ServerAction,
    answer::Answer,
    calls::webhooks::{SaveWebhook, show_webhook_form},
    components::{heading::Heading, loaded::loaded},
};

/// Creating a webhook.
#[component]
pub fn NewWebhook() -> AnyView {
    let typed = use_query_map().get_untracked().get("typed");
    let form = Answer::new(move || typed.clone(), |typed| show_webhook_form(None, typed));
    let save = ServerAction::<SaveWebhook>::new();
    view! {
        <div class="page page-narrow">
            <div class="page-head">
                <Heading text="Configure Webhook" />
            </div>
            {loaded(form, move |form| webhook_form(form, save))}
        </div>
    }
    .into_any()
}
