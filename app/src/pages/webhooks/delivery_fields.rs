//! How a webhook's deliveries are tried again and paced: two disclosures of its form, closed while nothing in them is special.

use domain::RetryPolicy;
use leptos::{form::FromFormData, prelude::*};

use crate::{
    calls::{webhook_form::WebhookForm, webhooks::SaveWebhook},
    components::{
        field::{FieldError, Number, Refusal, number_field},
        retry_fields::{Place, retry_fields, summary},
    },
};

/// Where the fields of a policy stand in the form.
const PLACE: Place = Place {
    post: "form[retry]",
    error: "retry_policy.",
    read: |data| SaveWebhook::from_form_data(data).ok().map(|save| save.form.retry),
};

/// The age's name in errors, and its id.
const AGE: &str = "options.time_to_live_s";

/// The organization's policy or an own one.
pub fn policy(form: &WebhookForm, inherited: &RetryPolicy, refusal: Refusal) -> AnyView {
    let typed = RwSignal::new(form.retry.clone());
    let own = form.own_policy;
    let in_words = move || typed.read().policy().map(|policy| summary(&policy)).unwrap_or_default();
    view! {
        <details class="more" open=own>
            <summary>"Retry policy"</summary>
            <fieldset class="own-policy stack">
                <legend class="sr-only">"Retry policy"</legend>
                <label class="check">
                    <input type="radio" class="radio" name="form[own_policy]" value="false" checked=!own />
                    "As the organization"
                    <span class="muted">{summary(inherited)}</span>
                </label>
                <label class="check">
                    <input type="radio" class="radio" name="form[own_policy]" value="true" checked=own />
                    "Own policy"
                    <span class="muted if-own">{in_words}</span>
                </label>
                <div class="if-own indented">{retry_fields(typed, PLACE, refusal)}</div>
            </fieldset>
        </details>
    }
    .into_any()
}

/// Pace, order and age; open where they are special.
pub fn options(form: &WebhookForm, is_special: bool, refusal: Refusal) -> AnyView {
    let number = |name: &str, label: &'static str, unit: &'static str, value: &str, empty: &'static str| {
        let (post, name) = (format!("form[{name}]"), format!("options.{name}"));
        number_field(Number { post, name, label: label.into_any(), unit, value: value.to_owned(), empty }, refusal)
    };
    view! {
        <details class="more" open=is_special>
            <summary>"Advanced: pace, order and age"</summary>
            <div class="stack">
                <div class="numbers">
                    {number("rate_limit_per_s", "Rate limit", "per second", &form.rate_limit_per_s, "none")}
                    {number("max_in_flight", "Requests in flight", "at most", &form.max_in_flight, "64")}
                    {number("disable_after", "Disable after", "failures in a row", &form.disable_after, "never")}
                    <div class="field">
                        <label class="field-label" for=AGE>
                            "Time to live"
                        </label>
                        <div class="with-unit">
                            <input
                                class="input mono"
                                id=AGE
                                name="form[time_to_live]"
                                value=form.time_to_live.clone()
                                placeholder="none"
                                autocomplete="off"
                                aria-invalid=move || refusal.field(AGE).map(|_| "true")
                                aria-describedby="time-to-live-hint options.time_to_live_s-error"
                            />
                        </div>
                        <FieldError refusal name=AGE />
                        <p class="field-hint" id="time-to-live-hint">
                            "Such as 30m, 12h or 2d. What is older is discarded."
                        </p>
                    </div>
                </div>
                <label class="check">
                    <input type="checkbox" class="checkbox" name="form[ordered]" value="true" checked=form.ordered />
                    "Keep the order of events"
                    <span class="muted">"One at a time; while one waits for its retry, those behind it wait too."</span>
                </label>
            </div>
        </details>
    }
    .into_any()
}
