//! `/deliveries/{id}`: one delivery, try by try.

use domain::{Permission, api::DeliveryKind, human_ms};
use leptos::{form::form_data_from_event, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};

use super::edit::editor;
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::deliveries::{DeliveryScreen, ReplayDelivery, ResendEdited, show_delivery},
    components::{
        attempt::{payload_view, timeline},
        attempt_diff::attempt_diff,
        copy::CopyButton,
        field::{FormProblem, Refusal},
        filters::send_form,
        heading::Heading,
        icon::icon,
        loaded::loaded_or,
        problem::problem_page,
        status::delivery_status,
        toast::Toasts,
    },
    keyboard::shortcut,
    live::Live,
    session::may,
    time::Time,
};

/// The detail.
#[component]
pub fn Delivery() -> AnyView {
    let params = use_params_map();
    let live: Live = expect_context();
    let toasts: Toasts = expect_context();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let changed = RwSignal::new(0_u32);
    live.on_event(move |event| {
        let is_this = event.delivery().is_some_and(|delivery| delivery.id.to_string() == *id.read_untracked());
        if is_this {
            changed.update(|times| *times += 1);
        }
    });
    let detail = Answer::new(move || (id.get(), changed.get(), live.missed.get()), |(id, ..)| show_delivery(id));
    let replay = ServerAction::<ReplayDelivery>::new();
    let edit = ServerAction::<ResendEdited>::new();
    let navigate = use_navigate();
    let go_on = move |text: &str, id: domain::DeliveryId| {
        toasts.say(text);
        navigate(&format!("/deliveries/{id}"), NavigateOptions::default());
    };
    let go_on_edited = go_on.clone();
    replay.on_success(move |delivery| {
        go_on("Replayed: this is the new delivery", delivery.id);
    });
    edit.on_success(move |delivery| {
        go_on_edited("Sent: this is the edited delivery", delivery.id);
    });
    loaded_or(detail, move |detail| page(&detail, replay, edit), problem_page)
}

fn page(detail: &DeliveryScreen, replay: ServerAction<ReplayDelivery>, edit: ServerAction<ResendEdited>) -> AnyView {
    let delivery = &detail.delivery;
    let id = delivery.id.to_string();
    let pending = replay.pending();
    view! {
        <div class="page">
            <p class="crumbs">
                <a class="quiet" href="/deliveries">
                    "Deliveries"
                </a>
                " / "
                <span class="mono">{id.clone()}</span>
                <CopyButton text=id.clone() label="Copy delivery id" />
            </p>
            <div class="page-head">
                <div class="page-title">
                    <Heading text=delivery.event.clone() />
                    {delivery_status(delivery.status)}
                </div>
                {may(Permission::ReplayDeliveries)
                    .then(|| {
                        view! {
                            <ActionForm action=replay>
                                <input type="hidden" name="id" value=id />
                                <button class="btn btn-primary" disabled=pending aria-keyshortcuts=shortcut("r") title=format!("Replay ({})", shortcut("r"))>
                                    {icon("replay")}
                                    "Replay"
                                </button>
                            </ActionForm>
                        }
                    })}
            </div>
            <FormProblem refusal=Refusal::of(replay) />
            {facts(detail)}
            {may(Permission::ReplayDeliveries).then(|| editor(detail, edit))}
            <section class="section">
                <div class="section-head">
                    <h2>"Attempts"</h2>
                    <span class="muted num">{delivery.attempts}</span>
                </div>
                {if detail.attempts_made.is_empty() {
                    view! {
                        <div class="stack">
                            <p class="empty">"No attempt was made yet."</p>
                            {payload_view(detail.request_body.as_deref())}
                        </div>
                    }
                        .into_any()
                } else {
                    timeline(detail)
                }}
            </section>
            {(detail.attempts_made.len() > 1).then(|| comparison(detail))}
        </div>
    }
    .into_any()
}

fn facts(detail: &DeliveryScreen) -> AnyView {
    let delivery = &detail.delivery;
    let fact = |name: &'static str, value: AnyView| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let link = |href: String, text: String| view! { <a class="link" href=href>{text}</a> }.into_any();
    let kind = match (delivery.kind, delivery.replay_of) {
        (DeliveryKind::Event, _) => "Published event".into_any(),
        (DeliveryKind::Test, _) => "Test".into_any(),
        (DeliveryKind::Replay, None) => "Replay".into_any(),
        (DeliveryKind::Edited, None) => "Edited and sent".into_any(),
        (kind @ (DeliveryKind::Replay | DeliveryKind::Edited), Some(first)) => {
            let of = if kind == DeliveryKind::Replay { "Replay of " } else { "Edited from " };
            view! { {of} <a class="link mono break" href=format!("/deliveries/{first}")>{first.to_string()}</a> }
                .into_any()
        }
    };
    view! {
        <dl class="facts">
            {fact("Webhook", link(format!("/webhooks/{}", delivery.webhook_id), delivery.webhook_name.clone()))}
            {fact(
                "Event",
                view! {
                    <a class="link mono break" href=format!("/events/{}", delivery.event_id)>
                        {delivery.event_id.to_string()}
                    </a>
                }
                    .into_any(),
            )}
            {fact("Kind", kind)}
            {fact("Created", view! { <Time at=delivery.created_at /> }.into_any())}
            {delivery.next_attempt_at.map(|at| fact("Next retry", view! { <Time at /> }.into_any()))}
            {delivery
                .finished_at
                .map(|at| fact("Finished", view! { <Time at /> }.into_any()))}
            {delivery.finished_at.map(|at| fact("In all", human_ms(at.since_ms(delivery.created_at)).into_any()))}
            {delivery.error.map(|error| fact("Last error", error.title().into_any()))}
        </dl>
    }
    .into_any()
}

/// Two tries side by side: those that the address names (`?a=1&b=2`), or the last two.
fn comparison(detail: &DeliveryScreen) -> AnyView {
    let query = use_query_map();
    let attempts = StoredValue::new(detail.attempts_made.clone());
    let numbers: Vec<i64> = detail.attempts_made.iter().map(|attempt| attempt.number).collect();
    let last = numbers.len() - 1;
    let chosen = move |name: &str, otherwise: usize| {
        let asked = query.with(|query| query.get(name)).and_then(|text| text.parse::<i64>().ok());
        attempts.with_value(|all| all.iter().position(|attempt| Some(attempt.number) == asked).unwrap_or(otherwise))
    };
    let (first, second) = (move || chosen("a", last - 1), move || chosen("b", last));
    let side = |label: &'static str, name: &'static str, chosen: Signal<usize>| {
        let options = numbers
            .iter()
            .enumerate()
            .map(|(index, number)| {
                let is_chosen = move || chosen.get() == index;
                view! {
                    <option value=number.to_string() selected=is_chosen prop:selected=is_chosen>
                        {format!("#{number}")}
                    </option>
                }
            })
            .collect_view();
        view! {
            <div class="filter">
                <label for=name>{label}</label>
                <select class="select" id=name name=name on:change=|event| send_form(&event)>
                    {options}
                </select>
            </div>
        }
    };
    let navigate = use_navigate();
    let submit = move |event: leptos::ev::SubmitEvent| {
        let Ok(form) = form_data_from_event(&event) else { return };
        event.prevent_default();
        let number = |name: &str| form.get(name).as_string().unwrap_or_default();
        let path = format!("?a={}&b={}", number("a"), number("b"));
        navigate(&path, NavigateOptions { scroll: false, ..NavigateOptions::default() });
    };
    view! {
        <section class="section" aria-labelledby="compare">
            <div class="section-head">
                <h2 id="compare">"Compare attempts"</h2>
            </div>
            <form method="get" class="toolbar" aria-label="Attempts to compare" on:submit=submit>
                {side("Attempt", "a", Signal::derive(first))} {side("With", "b", Signal::derive(second))}
                <button class="btn no-js">"Compare"</button>
            </form>
            {move || attempts.with_value(|all| attempt_diff(&all[first()], &all[second()]))}
        </section>
    }
    .into_any()
}
