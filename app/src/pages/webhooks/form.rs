//! The form of a webhook, for a new one and for one that exists (part 2, "Webhook Configuration"). It is checked in the browser
//! by the server's own rules before it is sent, and works without JavaScript.

use domain::{Permission, validate_webhook};
use leptos::{LazyViewError, form::FromFormData, prelude::*};

use super::{delivery_fields, event_choice::EventChoices, header_rows::HeaderRows};
use crate::{
    action::{ActionForm, ServerAction},
    calls::{webhook_form::WebhookFormScreen, webhooks::SaveWebhook},
    components::{
        check::{Rules, checked},
        field::{FieldError, FormProblem, Refusal, SelectField, TextField},
    },
    session::may,
};

/// An example of a filter.
const FILTER_EXAMPLE: &str = "[{\"path\": \"job.status\", \"op\": \"eq\", \"value\": \"active\"}]";

/// The rules of the form, as a download of their own. `known` are the event types that there are.
#[lazy(later_webhook_rules, fallible)]
fn webhook_rules(known: Vec<String>) -> Result<Rules, LazyViewError> {
    Ok(Box::new(move |event| {
        let Ok(SaveWebhook { form, .. }) = SaveWebhook::from_event(event) else { return Ok(()) };
        // Whether plain http is allowed to this address only the server knows.
        let is_known = |name: &str| known.iter().any(|known| known == name);
        let (draft, mut problems) = form.draft();
        for problem in validate_webhook(&draft, is_known, true).err().unwrap_or_default().into_vec() {
            problems.add(&problem.field, problem.message);
        }
        problems.or(())
    }))
}

/// The form.
pub fn webhook_form(screen: WebhookFormScreen, save: ServerAction<SaveWebhook>) -> AnyView {
    let refusal = Refusal::of(save);
    let WebhookFormScreen { form, is_special, events, sources, retry_policy } = screen;
    let refused_before = refusal.is_refused();
    let cancel = if form.id.is_empty() { "/webhooks".to_owned() } else { format!("/webhooks/{}", form.id) };
    let known: Vec<String> = events.iter().map(|choice| choice.name.clone()).collect();
    let (prepare, check) = checked(refusal, move || Box::pin(webhook_rules(known.clone())));
    let source_options = std::iter::once((String::new(), "Whole organization".to_owned()))
        .chain(sources.into_iter().map(|(id, name)| (id.to_string(), name)))
        .collect::<Vec<_>>();
    let has_more = form.source_id.len() + form.filter.len() + form.header_names.len() > 0;
    let policy = delivery_fields::policy(&form, &retry_policy, refusal);
    let options = delivery_fields::options(&form, is_special, refusal);
    let pending = save.pending();
    let may_write = may(Permission::WriteWebhooks);
    view! {
        <ActionForm action=save attr:class="card form" attr:novalidate=true on:focusin=prepare on:submit:capture=check>
            <FormProblem refusal />
            <input type="hidden" name="form[id]" value=form.id />
            <input type="hidden" name="form[version]" value=form.version />
            <TextField
                label="Webhook Name"
                name="name"
                post_as="form[name]"
                value=form.name
                placeholder="Job Created - Zapier"
                required=true
                refusal
            />
            <TextField
                label="Webhook URL"
                name="url"
                post_as="form[url]"
                kind="url"
                value=form.url
                placeholder="https://hooks.zapier.com/..."
                hint="HTTPS required."
                required=true
                refusal
            />
            <EventChoices choices=events chosen=form.events.clone() refusal />
            <TextField
                label="Description"
                name="description"
                post_as="form[description]"
                value=form.description
                placeholder="What it is for, and whom to ask"
                refusal
            />
            <details class="more" open=has_more>
                <summary>"Scope, payload filter and custom headers"</summary>
                <div class="stack">
                    <SelectField
                        label="Events from"
                        name="source_id"
                        post_as="form[source_id]"
                        value=form.source_id
                        options=source_options
                        hint="Only events that this source publishes."
                    />
                    <div class="field">
                        <label class="field-label" for="filter">
                            "Payload filter"
                        </label>
                        <textarea
                            class="input mono"
                            id="filter"
                            name="form[filter]"
                            rows="4"
                            spellcheck="false"
                            placeholder=FILTER_EXAMPLE
                            aria-invalid=move || refusal.field("filter").map(|_| "true")
                            aria-describedby="filter-hint filter-error"
                        >
                            {form.filter}
                        </textarea>
                        <p class="field-hint" id="filter-hint">
                            "Conditions on the event's data that must all hold, as JSON. Operators: eq, ne, gt, lt, contains, exists."
                        </p>
                        <FieldError refusal name="filter" />
                    </div>
                    <HeaderRows names=form.header_names refusal typed_before=refused_before />
                </div>
            </details>
            {policy}
            {options}
            <label class="check">
                <input type="checkbox" class="checkbox" name="form[active]" value="true" checked=form.active />
                "Active"
            </label>
            <div class="form-foot">
                <a class="btn" href=cancel>
                    "Cancel"
                </a>
                <span class="grow"></span>
                <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                    "Save"
                </button>
                <button class="btn" name="then" value="test" disabled=move || pending.get() || !may_write>
                    "Save & Test"
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}
