//! `/events/{id}`: the body that receivers get, and where it went.

use domain::{
    api::{DeliveryQuery, Event as Full},
    human_bytes,
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use crate::{
    answer::Answer,
    calls::{deliveries::list_deliveries, events::show_event},
    components::{
        attempt::body_view,
        copy::CopyButton,
        delivery_table::{Arrival, DeliveryTable},
        heading::Heading,
        loaded::{loaded, loaded_or},
        problem::problem_page,
    },
    live::Live,
    time::Time,
};

/// The detail.
#[component]
pub fn Event() -> AnyView {
    let params = use_params_map();
    let live: Live = expect_context();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let event = Answer::new(move || id.get(), show_event);
    let deliveries = Answer::new(
        move || (id.get(), live.missed.get()),
        |(id, _)| {
            let query = DeliveryQuery { event_id: id.parse().ok(), limit: Some(200), ..DeliveryQuery::default() };
            list_deliveries(query)
        },
    );
    let show = move |event: Full| {
        let event_id = event.summary.id;
        view! {
            <div class="page">
                {head(&event)}
                <section class="section">
                    <div class="section-head">
                        <h2>"Deliveries"</h2>
                    </div>
                    {loaded(
                        deliveries,
                        move |page| {
                            view! {
                                <DeliveryTable
                                    caption="Deliveries of this event"
                                    rows=page.data
                                    query=DeliveryQuery { event_id: Some(event_id), ..DeliveryQuery::default() }
                                    arrival=Arrival::Enters(200)
                                    with_webhook=true
                                    empty=|| {
                                        view! { <p class="empty">"No webhook was subscribed to this event when it was published."</p> }
                                    }
                                />
                            }
                        },
                    )}
                </section>
                {body_view("Body", &event.body, false)}
            </div>
        }
    };
    loaded_or(event, show, problem_page)
}

fn head(event: &Full) -> AnyView {
    let summary = &event.summary;
    let id = summary.id.to_string();
    view! {
        <p class="crumbs">
            <a class="quiet" href="/events">
                "Events"
            </a>
            " / "
            <span class="mono">{id.clone()}</span>
            <CopyButton text=id label="Copy event id" />
        </p>
        <div class="page-head">
            <Heading text=summary.event.clone() />
        </div>
        <dl class="facts">
            <div>
                <dt>"Accepted"</dt>
                <dd>
                    <Time at=summary.created_at />
                </dd>
            </div>
            <div>
                <dt>"Size"</dt>
                <dd>{human_bytes(u64::try_from(summary.body_bytes).unwrap_or_default())}</dd>
            </div>
            <div>
                <dt>"Deliveries"</dt>
                <dd>{summary.deliveries}</dd>
            </div>
            <div>
                <dt>"Source"</dt>
                <dd class="mono">{summary.source_id.map_or_else(|| "–".to_owned(), |id| id.to_string())}</dd>
            </div>
        </dl>
    }
    .into_any()
}
