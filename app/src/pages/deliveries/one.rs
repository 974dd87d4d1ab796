//! `/deliveries/{id}`: one delivery, try by try.

use domain::{
    Permission,
    api::{DeliveryDetail, DeliveryKind},
    human_ms,
};
use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map},
};

use crate::{
    calls::deliveries::{ReplayDelivery, show_delivery},
    components::{
        attempt::{payload_view, timeline},
        copy::CopyButton,
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::loaded_or,
        problem::problem_page,
        status::delivery_status,
        toast::Toasts,
    },
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
        let is_this = event.delivery.as_ref().is_some_and(|delivery| delivery.id.to_string() == *id.read_untracked());
        if is_this {
            changed.update(|times| *times += 1);
        }
    });
    let detail = Resource::new(move || (id.get(), changed.get(), live.reopened.get()), |(id, ..)| show_delivery(id));
    let replay = ServerAction::<ReplayDelivery>::new();
    let navigate = use_navigate();
    Effect::new(move |_| {
        if let Some(Ok(delivery)) = replay.value().get() {
            toasts.say("Replayed: this is the new delivery");
            navigate(&format!("/deliveries/{}", delivery.id), NavigateOptions::default());
        }
    });
    loaded_or(detail, move |detail| page(&detail, replay), problem_page)
}

fn page(detail: &DeliveryDetail, replay: ServerAction<ReplayDelivery>) -> AnyView {
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
                                <button class="btn btn-primary" disabled=pending aria-keyshortcuts="r" title="Replay (r)">
                                    {icon("replay")}
                                    "Replay"
                                </button>
                            </ActionForm>
                        }
                    })}
            </div>
            <FormProblem refusal=Refusal::of(replay) />
            {facts(detail)}
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
        </div>
    }
    .into_any()
}

fn facts(detail: &DeliveryDetail) -> AnyView {
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
