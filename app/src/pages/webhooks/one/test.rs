//! Sending a test and seeing exactly what happened (part 2, "Webhook Debugger").

use domain::{
    EventPattern, Permission, Problems,
    api::{Delivery, DeliveryQuery, Page},
};
use leptos::{ev::SubmitEvent, html, prelude::*};
use leptos_router::hooks::use_query_map;
use std::sync::Arc;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        deliveries::DeliveryScreen,
        webhooks::{TestWebhook, WebhookLine},
    },
    components::{
        attempt::{attempt_view, result_line},
        delivery_table::{Arrival, DeliveryTable},
        field::{FieldError, FormProblem, Refusal},
        icon::icon,
        loaded::loaded,
        status::delivery_status,
    },
    json_text,
    pages::lazy::{Shown, lazily},
    session::may,
};

/// Event types, each with the `data` of an example.
type Samples = Vec<(String, String)>;

/// Rows of the history.
const ROWS: usize = 20;

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn webhook_test(
    webhook: Arc<WebhookLine>,
    samples: Answer<Option<Samples>>,
    test: ServerAction<TestWebhook>,
    result: Answer<Option<DeliveryScreen>>,
    history: Answer<Option<Page<Delivery>>>,
) -> Shown {
    Ok(loaded(samples, move |samples| samples.map(|samples| tab(&webhook, samples, test, result, history))))
}

fn tab(
    webhook: &WebhookLine,
    samples: Samples,
    test: ServerAction<TestWebhook>,
    result: Answer<Option<DeliveryScreen>>,
    history: Answer<Option<Page<Delivery>>>,
) -> AnyView {
    let id = webhook.id.to_string();
    let webhook_id = webhook.id;
    view! {
        <div class="stack-wide">
            {form(webhook, samples, test)} {loaded(result, move |detail| detail.map(|detail| lazily(move || Box::pin(webhook_test_result(detail.clone(), test)))))}
            <section class="section">
                <div class="section-head">
                    <h2>"Delivery history (Last 24h)"</h2>
                    <a class="link" href=format!("/webhooks/{id}?tab=deliveries")>
                        "View Full History"
                    </a>
                </div>
                {loaded(
                    history,
                    move |page| {
                        let query = DeliveryQuery { webhook_id: Some(webhook_id), ..DeliveryQuery::default() };
                        view! {
                            <DeliveryTable
                                caption="Delivery history of the last 24 hours"
                                rows=page.map(|page| page.data).unwrap_or_default()
                                query
                                arrival=Arrival::Enters(ROWS)
                                empty=|| view! { <p class="empty">"Nothing was sent in the last 24 hours."</p> }
                            />
                        }
                    },
                )}
            </section>
        </div>
    }
    .into_any()
}

fn form(webhook: &WebhookLine, samples: Samples, test: ServerAction<TestWebhook>) -> AnyView {
    let refusal = Refusal::of(test);
    let patterns: Vec<EventPattern> = webhook.events.iter().filter_map(|event| event.parse().ok()).collect();
    let subscribed = |(event, _): &&(String, String)| patterns.iter().any(|pattern| pattern.matches(event));
    let first = samples.iter().find(subscribed).or(samples.first());
    let (first_name, first_sample) = first.cloned().unwrap_or_default();
    let typed = use_query_map().with_untracked(|query| query.get("data")).filter(|_| refusal.is_refused());
    let sample = typed.unwrap_or(first_sample);
    let options = |wanted: bool| {
        samples
            .iter()
            .filter(|sample| subscribed(sample) == wanted)
            .map(|(event, _)| {
                view! {
                    <option value=event.clone() selected=*event == first_name>
                        {event.clone()}
                    </option>
                }
            })
            .collect::<Vec<_>>()
    };
    let (mine, others) = (options(true), options(false));
    let samples = StoredValue::new(samples);
    let shown = RwSignal::new(first_name.clone());
    let area: NodeRef<html::Textarea> = NodeRef::new();
    let show_sample = move |event: String| {
        let sample = samples.with_value(|all| all.iter().find(|(name, _)| *name == event).map(|(_, it)| it.clone()));
        if let (Some(area), Some(sample)) = (area.get_untracked(), sample) {
            area.set_value(&sample);
            refusal.checked.set(None);
        }
        shown.set(event);
    };
    let check_text = move |text: &str| {
        let problem = json_text::problem(text).filter(|_| !text.trim().is_empty());
        refusal.check(problem.map_or(Ok(()), |problem| Err(Problems::one("data", problem))))
    };
    let check = move |event: SubmitEvent| {
        if area.get_untracked().is_some_and(|area| check_text(&area.value())) {
            event.prevent_default();
        }
    };
    let id = webhook.id.to_string();
    let pending = test.pending();
    let may_test = may(Permission::TestWebhooks);
    view! {
        <ActionForm action=test attr:class="card form" attr:novalidate=true on:submit:capture=check>
            <h2>"Test webhook"</h2>
            <FormProblem refusal />
            <input type="hidden" name="id" value=id />
            <input type="hidden" name="sample_of" value=first_name prop:value=move || shown.get() />
            <div class="field">
                <label class="field-label" for="event">
                    "Event"
                </label>
                <select class="select mono" id="event" name="event" on:change:target=move |event| show_sample(event.target().value())>
                    {(!mine.is_empty()).then(|| view! { <optgroup label="Subscribed">{mine}</optgroup> })}
                    {(!others.is_empty()).then(|| view! { <optgroup label="Not subscribed">{others}</optgroup> })}
                </select>
            </div>
            <div class="field">
                <div class="block-head">
                    <label class="field-label grow" for="data">
                        "Sample Payload"
                    </label>
                    <button
                        type="button"
                        class="link needs-js"
                        on:click=move |_| show_sample(shown.get_untracked())
                    >
                        "Reset"
                    </button>
                </div>
                <textarea
                    class="input mono"
                    id="data"
                    name="data"
                    rows="10"
                    spellcheck="false"
                    autocomplete="off"
                    node_ref=area
                    aria-invalid=move || refusal.field("data").map(|_| "true")
                    aria-describedby="data-hint data-error"
                    on:input:target=move |event| _ = check_text(&event.target().value())
                >
                    {sample}
                </textarea>
                <p class="field-hint" id="data-hint">"JSON. Sent as the event's data, signed like any other."</p>
                <FieldError refusal name="data" />
            </div>
            <div class="form-foot">
                <button class="btn btn-primary" disabled=move || pending.get() || !may_test>
                    {icon("send")}
                    {move || if pending.get() { "Sending…" } else { "Send Test Webhook" }}
                </button>
                {(!may_test).then(|| view! { <span class="muted">"Your role may not send tests."</span> })}
            </div>
        </ActionForm>
    }
    .into_any()
}

/// Fetches the code of the tab; true once it is here.
#[cfg(feature = "hydrate")]
pub async fn fetch(query: &str) -> bool {
    let has_result = query.contains("delivery=");
    __preload_webhook_test().await.is_ok() && (!has_result || __preload_webhook_test_result().await.is_ok())
}

/// What became of a test, as a download of its own.
#[lazy(later_test_result, fallible)]
fn webhook_test_result(detail: DeliveryScreen, test: ServerAction<TestWebhook>) -> Shown {
    let last = detail.attempts_made.last();
    let node: NodeRef<html::Section> = NodeRef::new();
    Effect::new(move |_| {
        // The answer of a test that was just sent is what the person waits for.
        if let (Some(node), true) = (node.get(), test.version().get_untracked() > 0) {
            node.scroll_into_view();
        }
    });
    let result = view! {
        <section class="card result" aria-labelledby="result" node_ref=node>
            <div class="section-head">
                <h2 id="result">"Delivery result"</h2>
                <a class="link" href=format!("/deliveries/{}", detail.delivery.id)>
                    "Open delivery"
                </a>
            </div>
            <div role="status">
                {match last {
                    Some(attempt) => result_line(attempt),
                    None => delivery_status(detail.delivery.status),
                }}
            </div>
            {last.map(|attempt| attempt_view(attempt, detail.request_body.as_deref()))}
        </section>
    };
    Ok(result.into_any())
}
