//! The signing secret: hidden until asked for, copied without being shown, regenerated with an overlap.

use domain::{Permission, api::RotatedSecret};
use leptos::{prelude::*, task::spawn_local};
use std::sync::Arc;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::webhooks::{RotateSecret, WebhookLine, reveal_secret},
    components::{
        copy::copy,
        field::{FormProblem, Refusal, SelectField, TextField, empty_after},
        icon::icon,
        loaded::loaded,
        toast::Toasts,
    },
    pages::lazy::Shown,
    session::may,
    time::Time,
};

const HIDDEN: &str = "whsec_••••••••••••••••••••••••••••••••";

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn webhook_secret(
    webhook: Arc<WebhookLine>,
    secret: Answer<Option<RotatedSecret>>,
    rotate: ServerAction<RotateSecret>,
) -> Shown {
    Ok(loaded(secret, move |shown| tab(&webhook, shown, rotate)))
}

fn tab(webhook: &WebhookLine, shown: Option<RotatedSecret>, rotate: ServerAction<RotateSecret>) -> AnyView {
    if !may(Permission::ReadSecrets) {
        return view! { <p class="empty">"Only owners and admins see the secret."</p> }.into_any();
    }
    let previous = RwSignal::new(shown.as_ref().and_then(|secret| secret.previous_expires_at));
    let secret = RwSignal::new(shown.map(|secret| secret.secret));
    rotate.on_success(move |rotated| {
        secret.set(Some(rotated.secret));
        previous.set(rotated.previous_expires_at);
    });
    view! {
        <div class="stack-wide page-narrow">
            <section class="card form">
                <h2 id="secret-title">"Secret key"</h2>
                <p class="muted" id="secret-description">
                    "Used to verify webhook signatures (X-InTime-Signature header)"
                </p>
                {value_row(webhook, secret)}
                {move || {
                    previous
                        .get()
                        .map(|at| view! { <p class="notice">{icon("clock")} "The secret before it signs too, until " <Time at /></p> })
                }}
            </section>
            {regeneration(webhook, rotate)}
        </div>
    }
    .into_any()
}

fn value_row(webhook: &WebhookLine, secret: RwSignal<Option<String>>) -> AnyView {
    let id = StoredValue::new(webhook.id.to_string());
    let toasts: Toasts = expect_context();
    let fetch = move |then: fn(&str, RwSignal<Option<String>>, Toasts)| {
        spawn_local(async move {
            match reveal_secret(id.get_value()).await {
                Ok(revealed) => then(&revealed.secret, secret, toasts),
                Err(error) => toasts.say(&error.0.detail),
            }
        });
    };
    let toggle = move |_| {
        if secret.read_untracked().is_some() {
            secret.set(None);
        } else {
            fetch(|text, secret, _| secret.set(Some(text.to_owned())));
        }
    };
    let copy_it = move |_| {
        fetch(|text, _, toasts| {
            copy(text);
            toasts.say("Copied to the clipboard");
        });
    };
    view! {
        <div class="secret">
            <input
                class="input mono"
                readonly
                aria-labelledby="secret-title"
                aria-describedby="secret-description"
                value=secret.get_untracked().unwrap_or_else(|| HIDDEN.to_owned())
                prop:value=move || secret.get().unwrap_or_else(|| HIDDEN.to_owned())
            />
            <button type="button" class="btn needs-js" on:click=toggle>
                {move || if secret.read().is_some() { "Hide" } else { "Show" }}
            </button>
            <button type="button" class="btn needs-js" on:click=copy_it>
                {icon("copy")}
                "Copy"
            </button>
            <a class="btn no-js" href=format!("/webhooks/{}?tab=secret&show=1", webhook.id)>
                "Show"
            </a>
        </div>
    }
    .into_any()
}

fn regeneration(webhook: &WebhookLine, rotate: ServerAction<RotateSecret>) -> AnyView {
    let refusal = Refusal::of(rotate);
    let node = NodeRef::new();
    empty_after(node, rotate);
    let (id, name) = (webhook.id.to_string(), webhook.name.clone());
    let pending = rotate.pending();
    let choices = [("0", "Revoke the old one at once"), ("1", "1 hour"), ("24", "24 hours"), ("168", "7 days")];
    let choices = choices.map(|(value, text)| (value.to_owned(), text.to_owned())).to_vec();
    view! {
        <section class="card danger" aria-labelledby="regenerate-title">
            <h2 id="regenerate-title">"Regenerate"</h2>
            <p class="muted">
                "Makes a new secret. During the overlap every delivery carries both signatures, so that receivers can be changed without a gap."
            </p>
            <details class="confirm" open=refusal.is_refused()>
                <summary class="btn btn-danger">{icon("retry")} "Regenerate secret"</summary>
                <ActionForm action=rotate node_ref=node attr:class="confirm-box form" attr:novalidate=true>
                    <FormProblem refusal />
                    <input type="hidden" name="id" value=id />
                    <SelectField
                        label="The old secret signs for another"
                        name="overlap_hours"
                        value="24"
                        options=choices
                    />
                    <p>"Type " <strong>{name}</strong> " to confirm."</p>
                    <TextField label="Webhook Name" name="confirm" refusal />
                    <div>
                        <button class="btn btn-danger" disabled=pending>
                            "Regenerate"
                        </button>
                    </div>
                </ActionForm>
            </details>
        </section>
    }
    .into_any()
}
