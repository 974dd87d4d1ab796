//! The fields of a retry policy, for the organization's and for a webhook's own, and when the retries would happen. Which fields
//! a strategy has is the stylesheet's business: it follows the chosen radio button with JavaScript and without.

use domain::{RetryPolicy, RetryPreset, Timestamp, human_ms};
use leptos::{ev::Event, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::FormData;

use super::{
    field::{FieldError, Number, Refusal, number_field},
    status::count,
};
use crate::{calls::retry_form::RetryForm, time::utc};

/// Where the fields stand.
#[derive(Clone, Copy)]
pub struct Place {
    /// They are posted as `{post}[max_retries]`.
    pub post: &'static str,
    /// Their errors are named `{error}max_retries`, and so are their ids.
    pub error: &'static str,
    /// Finds them in what the form around them would post.
    pub read: fn(&FormData) -> Option<RetryForm>,
}

const STRATEGIES: [(&str, &str); 4] = [
    ("exponential", "Exponential backoff (recommended)"),
    ("linear", "Linear delay"),
    ("fixed", "Fixed delay"),
    ("list", "List of delays"),
];
const JITTERS: [(&str, &str); 3] = [
    ("twenty_percent", "Add random jitter (±20%) - helps prevent thundering herd"),
    ("full", "Full jitter: anywhere between zero and the delay"),
    ("none", "No jitter"),
];
const FAILURES: [(&str, &str); 6] = [
    ("server_errors", "5xx Server Errors (500, 502, 503, 504)"),
    ("timeouts", "Connection Timeout (ETIMEDOUT)"),
    ("connection_failures", "Connection Refused (ECONNREFUSED)"),
    ("dns_failures", "DNS Resolution Failure (ENOTFOUND)"),
    ("rate_limited", "429 Too Many Requests (may need rate limiting)"),
    ("client_errors", "4xx Client Errors (usually not retriable)"),
];

/// The fields, with what `typed` holds; afterwards `typed` follows them.
pub fn retry_fields(typed: RwSignal<RetryForm>, place: Place, refusal: Refusal) -> AnyView {
    // A preset draws the fields anew; typing does not.
    let drawn = RwSignal::new(typed.get_untracked());
    let follow = move |event: Event| {
        let field = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let Some(Ok(Some(form))) = field.map(|field| field.closest("form")) else { return };
        let data = FormData::new_with_form(form.unchecked_ref());
        if let Some(now) = data.ok().as_ref().and_then(place.read) {
            typed.set(now);
        }
    };
    let presets = RetryPreset::ALL.map(|preset| {
        let is_chosen = move || typed.read().policy().is_ok_and(|policy| preset.apply(&policy) == policy);
        let choose = move |_| {
            let form = RetryForm::of(&preset.apply(&typed.read_untracked().policy().unwrap_or_default()));
            drawn.set(form.clone());
            typed.set(form);
        };
        view! {
            <button
                type="button"
                class="btn btn-sm"
                aria-pressed=move || is_chosen().to_string()
                on:click=choose
            >
                {preset.title()}
            </button>
        }
    });
    view! {
        <div class="form retry" on:input=follow>
            <div class="presets needs-js" role="group" aria-label="Presets">
                <span class="muted">"Presets"</span>
                {presets}
            </div>
            {move || fields(drawn.get(), place, refusal)}
        </div>
    }
    .into_any()
}

fn fields(form: RetryForm, Place { post, error, .. }: Place, refusal: Refusal) -> AnyView {
    let number = |name: &str, label: AnyView, unit: &'static str, value: String| {
        let (post, name) = (format!("{post}[{name}]"), format!("{error}{name}"));
        number_field(Number { post, name, label, unit, value, empty: "" }, refusal)
    };
    let strategies = STRATEGIES
        .map(|(value, text)| choice("radio", format!("{post}[strategy]"), value, text, form.strategy == value));
    let jitters =
        JITTERS.map(|(value, text)| choice("radio", format!("{post}[jitter]"), value, text, form.jitter == value));
    let failures = FAILURES.map(|(value, text)| {
        let ticked = form.retry_on.iter().any(|ticked| ticked == value);
        choice("checkbox", format!("{post}[retry_on][]"), value, text, ticked)
    });
    let (strategy, delays) = (format!("{error}strategy"), format!("{error}delays"));
    let strategy_error = format!("{strategy}-error");
    let is_refused = {
        let strategy = strategy.clone();
        move || refusal.field(&strategy).map(|_| "true")
    };
    let first_delay = view! {
        <span class="for-growth">"Initial delay"</span>
        <span class="for-fixed">"Delay"</span>
    };
    view! {
        <fieldset
            class="field"
            tabindex="-1"
            aria-invalid=is_refused
            aria-describedby=strategy_error.clone()
        >
            <legend class="field-label">"Retry Strategy"</legend>
            {strategies}
            <div class="for-list">
                <label class="field-label" for=delays.clone()>
                    "Delays"
                </label>
                <input
                    class="input mono"
                    id=delays.clone()
                    name=format!("{post}[delays]")
                    value=form.delays
                    placeholder="5s, 5m, 30m, 2h"
                    autocomplete="off"
                    spellcheck="false"
                    aria-describedby=format!("{delays}-hint {strategy_error}")
                />
                <p class="field-hint" id=format!("{delays}-hint")>
                    "One for each retry, at most 20, in s, m, h or d."
                </p>
            </div>
            <FieldError refusal name=strategy />
        </fieldset>
        <div class="numbers">
            <div class="not-list">
                {number("max_retries", "Max Retries".into_any(), "attempts", form.max_retries)}
            </div>
            <div class="not-list">
                {number("initial_delay_s", first_delay.into_any(), "seconds", form.initial_delay_s)}
            </div>
            <div class="not-list">{number("max_delay_s", "Max delay".into_any(), "seconds", form.max_delay_s)}</div>
            {number("timeout_s", "Timeout per attempt".into_any(), "seconds", form.timeout_s)}
        </div>
        <fieldset class="field">
            <legend class="field-label">"Jitter"</legend>
            {jitters}
        </fieldset>
        <fieldset class="field">
            <legend class="field-label">"Retry on these errors"</legend>
            {failures}
        </fieldset>
        <fieldset class="field">
            <legend class="field-label">"Dead Letter Queue"</legend>
            {choice(
                "checkbox",
                format!("{post}[dead_letters]"),
                "true",
                "Enable Dead Letter Queue for failed events",
                form.dead_letters,
            )}
            {number(
                "dead_letter_retention_days",
                "DLQ retention".into_any(),
                "days",
                form.dead_letter_retention_days,
            )}
        </fieldset>
    }
    .into_any()
}

fn choice(kind: &'static str, post: String, value: &'static str, text: &'static str, on: bool) -> AnyView {
    view! {
        <label class="check">
            <input type=kind class=if kind == "radio" { "radio" } else { "checkbox" } name=post value=value checked=on />
            <span>{text}</span>
        </label>
    }
    .into_any()
}

/// When the retries would happen if a first try failed at `start`, following what is typed.
pub fn retry_preview(typed: RwSignal<RetryForm>, start: Timestamp) -> AnyView {
    let shown = move || match typed.read().policy() {
        Ok(policy) => preview_table(&policy, start),
        Err(_) => view! { <p class="muted">"As soon as every field is right, the times appear here."</p> }.into_any(),
    };
    view! { <div class="stack">{shown}</div> }.into_any()
}

fn preview_table(policy: &RetryPolicy, start: Timestamp) -> AnyView {
    let times = policy.preview(start);
    let span = |from: i64, to: i64| {
        if from == to { human_ms(from) } else { format!("{} – {}", human_ms(from), human_ms(to)) }
    };
    let end = times.last().map(|last| span(last.earliest_at.since_ms(start), last.latest_at.since_ms(start)));
    let after = if policy.dead_letters { "becomes a dead letter" } else { "is given up" };
    let rows = times
        .into_iter()
        .map(|time| {
            view! {
                <tr>
                    <th scope="row" class="num">{time.retry}</th>
                    <td class="num">{human_ms(time.delay_ms)}</td>
                    <td class="num">
                        <time class="time" datetime=time.at.to_string()>{utc(time.at)}</time>
                        <span class="sub muted">
                            {span(time.earliest_at.since_ms(start), time.latest_at.since_ms(start))}
                            " after the first try"
                        </span>
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <p class="muted">"If the first try failed at " <time class="time">{utc(start)}</time> " and every retry at once:"</p>
        <table class="figures">
            <caption class="sr-only">"Retry times"</caption>
            <thead>
                <tr>
                    <th scope="col">"Retry"</th>
                    <th scope="col">"Wait"</th>
                    <th scope="col">"At"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
        {end.map(|end| view! { <p>{format!("A delivery that still fails after {end} {after}.")}</p> })}
    }
    .into_any()
}

/// A policy in a line: `Exponential backoff: 3 retries, after 5 s, 10 s, 20 s`.
pub fn summary(policy: &RetryPolicy) -> String {
    const SHOWN: u32 = 6;
    let name = match policy.strategy {
        domain::Backoff::Exponential => "Exponential backoff",
        domain::Backoff::Linear => "Linear delay",
        domain::Backoff::Fixed => "Fixed delay",
        domain::Backoff::List(_) => "List of delays",
    };
    let retries = policy.retries();
    let waits: Vec<String> = (1..=retries.min(SHOWN)).map(|retry| human_ms(policy.base_delay_ms(retry))).collect();
    let more = if retries > SHOWN { " …" } else { "" };
    format!("{name}: {}, after {}{more}", count(retries.into(), "retry", "retries"), waits.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_in_a_line() {
        assert_eq!(summary(&RetryPolicy::default()), "Exponential backoff: 3 retries, after 5 s, 10 s, 20 s");
        let patient = RetryPreset::StandardWebhooks.apply(&RetryPolicy::default());
        assert_eq!(summary(&patient), "List of delays: 9 retries, after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h …");
    }
}
