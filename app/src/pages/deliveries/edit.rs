//! Sending a delivery's payload again with changes: an event of its own, to the same webhook.

use domain::Problems;
use leptos::{ev::SubmitEvent, form::FromFormData, prelude::*};
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    calls::deliveries::{DeliveryScreen, ResendEdited},
    components::{
        field::{FieldError, FormProblem, Refusal},
        icon::icon,
    },
    json_text,
    keyboard::shortcut,
};

/// The editor; nothing when the payload is not kept any more.
pub fn editor(detail: &DeliveryScreen, edit: ServerAction<ResendEdited>) -> Option<AnyView> {
    let data = json_text::data_of(detail.request_body.as_deref()?)?;
    let refusal = Refusal::of(edit);
    let typed = use_query_map().with_untracked(|query| query.get("data")).filter(|_| refusal.is_refused());
    let check_text = move |text: &str| {
        refusal.check(json_text::problem(text).map_or(Ok(()), |problem| Err(Problems::one("data", problem))))
    };
    let check = move |event: SubmitEvent| {
        if ResendEdited::from_event(&event).is_ok_and(|edited| check_text(&edited.data)) {
            event.prevent_default();
        }
    };
    let pending = edit.pending();
    let id = detail.delivery.id.to_string();
    let view = view! {
        <details class="card more" open=refusal.is_refused()>
            <summary aria-keyshortcuts=shortcut("e")>"Edit and resend"</summary>
            <ActionForm action=edit attr:class="form" attr:novalidate=true on:submit:capture=check>
                <FormProblem refusal />
                <input type="hidden" name="id" value=id />
                <div class="field">
                    <label class="field-label" for="data">
                        "Payload"
                    </label>
                    <textarea
                        class="input mono"
                        id="data"
                        name="data"
                        rows="10"
                        spellcheck="false"
                        autocomplete="off"
                        aria-invalid=move || refusal.field("data").map(|_| "true")
                        aria-describedby="data-hint data-error"
                        on:input:target=move |event| _ = check_text(&event.target().value())
                    >
                        {typed.unwrap_or(data)}
                    </textarea>
                    <p class="field-hint" id="data-hint">
                        "JSON. Sent as the data of a new event of the same type, to this webhook only, and marked as edited."
                    </p>
                    <FieldError refusal name="data" />
                </div>
                <div class="form-foot">
                    <button class="btn btn-primary" disabled=pending>
                        {icon("send")}
                        "Send Edited"
                    </button>
                </div>
            </ActionForm>
        </details>
    };
    Some(view.into_any())
}
