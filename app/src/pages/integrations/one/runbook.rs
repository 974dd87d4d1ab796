//! The emergency procedure of an integration (UC §9): steps to tick off, and what members are told meanwhile.

use domain::Permission;
use leptos::prelude::*;
use std::sync::Arc;

use crate::{
    action::{ActionForm, ServerAction},
    calls::integrations::{IntegrationScreen, SaveRunbook},
    components::{
        field::{FieldError, FormProblem, Refusal, TextField},
        toast::Toasts,
    },
    pages::lazy::Shown,
    session::may,
};

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn integration_runbook(screen: Arc<IntegrationScreen>, save: ServerAction<SaveRunbook>) -> Shown {
    Ok(tab(&screen, save))
}

fn tab(integration: &IntegrationScreen, save: ServerAction<SaveRunbook>) -> AnyView {
    let refusal = Refusal::of(save);
    let pending = save.pending();
    let toasts: Toasts = expect_context();
    save.after_success(move || toasts.say("Saved"));
    let may_write = may(Permission::OperateIntegrations);
    let text = integration.runbook.iter().map(|step| step.text.clone()).collect::<Vec<_>>().join("\n");
    let done = integration.runbook.iter().filter(|step| step.done).count();
    let (id, note) = (integration.id.to_string(), integration.status_note.clone());
    let total = integration.runbook.len();
    let steps = integration.runbook.iter().enumerate().map(move |(index, step)| {
        view! {
            <li>
                <label class="check">
                    <input type="checkbox" class="checkbox" name="done[]" value=index.to_string() checked=step.done disabled=!may_write />
                    {step.text.clone()}
                </label>
            </li>
        }
    });
    let steps = steps.collect_view();
    view! {
        <ActionForm action=save attr:class="card form page-narrow" attr:novalidate=true>
            <FormProblem refusal />
            <input type="hidden" name="id" value=id />
            <p class="muted num">{format!("{done} of {total} steps done")}</p>
            <ol class="steps">{steps}</ol>
            <details class="more">
                <summary>"Edit the steps"</summary>
                <div class="field">
                    <label class="field-label" for="steps">
                        "Steps"
                    </label>
                    <textarea class="input" id="steps" name="steps" rows="12" aria-describedby="steps-hint steps-error">
                        {text}
                    </textarea>
                    <p class="field-hint" id="steps-hint">
                        "One step a line, at most 50."
                    </p>
                    <FieldError refusal name="steps" />
                </div>
            </details>
            <TextField
                label="Status note to members"
                name="status_note"
                value=note
                placeholder="E-mail is delayed; we are on it."
                hint="Shown on top of this integration's page."
                refusal
            />
            <div class="form-foot">
                <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                    "Save"
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}
