//! Changing a webhook, and the end of it.

use domain::Permission;
use leptos::prelude::*;
use std::sync::Arc;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        webhook_form::WebhookFormScreen,
        webhooks::{DeleteWebhook, SaveWebhook, WebhookLine},
    },
    components::{
        field::{FormProblem, Refusal},
        icon::icon,
        loaded::loaded,
        status::count,
    },
    pages::{lazy::Shown, webhooks::form::webhook_form},
    session::may,
};

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn webhook_settings(
    webhook: Arc<WebhookLine>,
    form: Answer<Option<WebhookFormScreen>>,
    save: ServerAction<SaveWebhook>,
    delete: ServerAction<DeleteWebhook>,
) -> Shown {
    Ok(loaded(form, move |form| form.map(|form| tab(&webhook, form, save, delete))))
}

fn tab(
    webhook: &WebhookLine,
    form: WebhookFormScreen,
    save: ServerAction<SaveWebhook>,
    delete: ServerAction<DeleteWebhook>,
) -> AnyView {
    view! {
        <div class="stack-wide page-narrow">
            {webhook_form(form, save)}
            {may(Permission::WriteWebhooks).then(|| deletion(webhook, delete))}
        </div>
    }
    .into_any()
}

fn deletion(webhook: &WebhookLine, delete: ServerAction<DeleteWebhook>) -> AnyView {
    let refusal = Refusal::of(delete);
    let pending = delete.pending();
    let (id, name) = (webhook.id.to_string(), webhook.name.clone());
    let tries = webhook.delivered_30d + webhook.failed_30d;
    view! {
        <section class="card danger" aria-labelledby="delete">
            <h2 id="delete">"Delete webhook"</h2>
            <p class="muted">
                "It stops receiving events at once. Disabling keeps it and can be undone; deleting cannot."
            </p>
            <details class="confirm">
                <summary class="btn btn-danger">{icon("trash")} "Delete webhook"</summary>
                <ActionForm action=delete attr:class="confirm-box">
                    <FormProblem refusal />
                    <p>
                        "Delete " <strong>{name}</strong>
                        {format!(" for good? It made {} in the last 30 days.", count(tries, "try", "tries"))}
                    </p>
                    <input type="hidden" name="id" value=id />
                    <button class="btn btn-danger" disabled=pending>
                        "Yes, delete it"
                    </button>
                </ActionForm>
            </details>
        </section>
    }
    .into_any()
}
