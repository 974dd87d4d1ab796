//! What the Inspector answers: to see what retries, timeouts and `Retry-After` do before a receiver fails for real.

use domain::{api::InspectorResponse, human_ms};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    calls::inspector::SaveInspectorResponse,
    components::{
        field::{FieldError, FormProblem, Number, Refusal, number_field},
        icon::icon,
        status::status_line,
    },
    session::may,
};

/// The settings, folded away while the Inspector answers as usual.
pub fn settings(response: &InspectorResponse, save: ServerAction<SaveInspectorResponse>) -> AnyView {
    let refusal = Refusal::of(save);
    let is_usual = *response == InspectorResponse::default();
    let query = use_query_map();
    let typed = move |name: &str, stored: String| {
        let typed = query.with_untracked(|query| query.get(name)).filter(|_| refusal.is_refused());
        typed.unwrap_or(stored)
    };
    let field =
        move |name: &'static str, label: &'static str, unit: &'static str, stored: String, empty: &'static str| {
            let value = typed(name, stored);
            number_field(
                Number { post: name.into(), name: name.into(), label: label.into_any(), unit, value, empty },
                refusal,
            )
        };
    let retry_after = response.retry_after_s.map(|seconds| seconds.to_string()).unwrap_or_default();
    let (status, delay_ms, body) = (response.status.to_string(), response.delay_ms.to_string(), response.body.clone());
    let pending = save.pending();
    let may_change = may(domain::Permission::TestWebhooks);
    let now = {
        let slow = if response.delay_ms > 0 {
            format!(" after {}", human_ms(response.delay_ms.into()))
        } else {
            String::new()
        };
        let later = response.retry_after_s.map(|seconds| format!(", with Retry-After: {seconds}")).unwrap_or_default();
        format!("Every request is answered with {}{slow}{later}.", status_line(response.status))
    };
    view! {
        {(!is_usual)
            .then(|| view! { <p class="notice notice-warn">{icon("flask")} <span>{now} " Deliveries to it may fail on purpose."</span></p> })}
        <details class="card more" open=!is_usual || refusal.is_refused()>
            <summary>"Respond with"</summary>
            <ActionForm action=save attr:class="form" attr:novalidate=true>
                <FormProblem refusal />
                <p class="muted">"To rehearse failures. It records what it receives all the same."</p>
                <div class="respond">
                    {field("status", "Status", "200–599", status, "200")}
                    {field("delay_ms", "Delay", "ms", delay_ms, "0")}
                    {field("retry_after_s", "Retry-After", "seconds", retry_after, "none")}
                </div>
                <div class="field">
                    <label class="field-label" for="body">
                        "Body"
                    </label>
                    <textarea
                        class="input mono"
                        id="body"
                        name="body"
                        rows="3"
                        spellcheck="false"
                        autocomplete="off"
                        aria-invalid=move || refusal.field("body").map(|_| "true")
                        aria-describedby="body-error"
                    >
                        {typed("body", body)}
                    </textarea>
                    <FieldError refusal name="body" />
                </div>
                <div class="form-foot">
                    <button class="btn btn-primary" disabled=move || pending.get() || !may_change>
                        "Save"
                    </button>
                    <button class="btn" name="then" value="reset" disabled=move || pending.get() || !may_change>
                        "Respond as usual"
                    </button>
                </div>
            </ActionForm>
        </details>
    }
    .into_any()
}
