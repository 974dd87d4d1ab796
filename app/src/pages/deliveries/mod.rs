//! `/deliveries`: everything on its way and everything that was, by filters that live in the address.

mod edit;
pub mod filters;
pub mod one;

use domain::api::{Delivery, Page};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    calls::{deliveries::list_deliveries, event_types::event_choices, webhooks::list_webhooks},
    components::{
        delivery_table::{Arrival, DeliveryTable},
        heading::Heading,
        loaded::loaded,
        pager::pager,
    },
    live::Live,
};
use filters::{Filters, filter_bar};

/// The list.
#[component]
pub fn Deliveries() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let filters = Memo::new(move |_| query.with(|query| Filters::read(|name| query.get(name))));
    let deliveries = Resource::new(
        move || (filters.get(), live.reopened.get()),
        |(filters, _)| list_deliveries(filters.query(), filters.within_hours()),
    );
    let choices = Resource::new(
        || (),
        |()| async {
            let webhooks = list_webhooks(None).await?.data;
            let webhooks = webhooks.into_iter().map(|webhook| (webhook.id.to_string(), webhook.name)).collect();
            let events = event_choices().await?.into_iter().map(|choice| choice.name).collect();
            Ok((webhooks, events))
        },
    );
    view! {
        <div class="page page-wide">
            <div class="page-head">
                <Heading text="Deliveries" />
            </div>
            {loaded(choices, move |choices: (Vec<(String, String)>, Vec<String>)| filter_bar(filters, choices))}
            {loaded(deliveries, move |page| rows(page, &filters.get_untracked()))}
        </div>
    }
    .into_any()
}

fn rows(page: Page<Delivery>, filters: &Filters) -> AnyView {
    let is_filtered = filters.is_filtered();
    let is_later_page = filters.cursor.is_some();
    view! {
        <DeliveryTable
            caption="Deliveries"
            rows=page.data
            query=filters.query()
            arrival=if is_later_page { Arrival::Ignored } else { Arrival::Waits }
            with_webhook=true
            empty=move || nothing(is_filtered)
        />
        {pager(&filters.path(), is_later_page, page.next_cursor.as_deref())}
    }
    .into_any()
}

fn nothing(is_filtered: bool) -> AnyView {
    if is_filtered {
        view! {
            <p class="empty">
                "No delivery fits the filters. " <a class="link" href="/deliveries">
                    "Show all"
                </a>
            </p>
        }
        .into_any()
    } else {
        view! {
            <p class="empty">
                "Nothing was sent yet. " <a class="link" href="/events">
                    "Publish an event"
                </a> " and its deliveries appear here."
            </p>
        }
        .into_any()
    }
}
