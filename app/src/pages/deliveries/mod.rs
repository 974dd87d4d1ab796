//! `/deliveries`: everything on its way and everything that was, by filters that live in the address; as a list, or the
//! failures by webhook and reason.

mod edit;
pub mod one;

use domain::{
    DeliveryId, EventId, SourceId, WebhookId,
    api::{CodeClass, Delivery, DeliveryQuery, Failures, Page, TimeRange},
    delivery::{DeliveryState, ErrorClass},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    answer::Answer,
    calls::{
        deliveries::{GroupFailures, ListDeliveries},
        filters::filter_choices,
    },
    components::{
        delivery_table::{Arrival, DeliveryTable},
        filters::{Field, Filters, Input, filter_bar, known, moment, not_among, word},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        saved_views::views,
        status::{count, thousands},
    },
    live::Live,
    time::Time,
};

const PATH: &str = "/deliveries";
/// The view that groups failures.
const FAILURES: &str = "failures";

const FIELDS: &[Field] = &[
    Field { name: "status", title: "status", read: known::<DeliveryState>, input: Input::Choice },
    Field { name: "webhook_id", title: "webhook", read: known::<WebhookId>, input: Input::Choice },
    Field { name: "event", title: "event", read: word, input: Input::Choice },
    Field { name: "source_id", title: "source", read: known::<SourceId>, input: Input::Choice },
    Field { name: "code", title: "code", read: known::<CodeClass>, input: Input::Choice },
    Field { name: "error", title: "error", read: known::<ErrorClass>, input: Input::Choice },
    Field { name: "range", title: "time", read: known::<TimeRange>, input: Input::Choice },
    Field { name: "from", title: "from", read: moment, input: Input::Moment },
    Field { name: "to", title: "to", read: moment, input: Input::Moment },
    Field { name: "id", title: "id", read: delivery_or_event, input: Input::Text("dlv_… or evt_…") },
    Field { name: "text", title: "payload", read: word, input: Input::Text("Text in the payload") },
    Field { name: "view", title: "view", read: view_name, input: Input::View },
];

fn delivery_or_event(text: &str) -> Option<String> {
    known::<DeliveryId>(text).or_else(|| known::<EventId>(text))
}

fn view_name(text: &str) -> Option<String> {
    (text == FAILURES).then(|| text.to_owned())
}

fn read(get: &dyn Fn(&str) -> Option<String>) -> Filters {
    Filters::read(PATH, FIELDS, known::<DeliveryId>, get)
}

/// As the server is asked.
fn query(filters: &Filters) -> DeliveryQuery {
    DeliveryQuery {
        webhook_id: filters.parsed("webhook_id"),
        event_id: filters.parsed("id"),
        status: filters.parsed("status"),
        event: filters.get("event").map(str::to_owned),
        id: filters.parsed("id"),
        source_id: filters.parsed("source_id"),
        code: filters.parsed("code"),
        error: filters.parsed("error"),
        range: filters.parsed("range"),
        from: filters.moment("from"),
        to: filters.moment("to"),
        text: filters.get("text").map(str::to_owned),
        limit: Some(50),
        cursor: filters.cursor.clone(),
    }
}

/// The list.
#[component]
pub fn Deliveries() -> AnyView {
    let address = use_query_map();
    let live: Live = expect_context();
    let filters = Memo::new(move |_| address.with(|query| read(&|name| query.get(name))));
    let is_grouped = Memo::new(move |_| filters.read().get("view").is_some());
    let asked =
        move |for_groups: bool| (is_grouped.get() == for_groups).then(|| (query(&filters.read()), live.missed.get()));
    let deliveries = Answer::asked(move || asked(false), |asked| asked.map(|(query, _)| ListDeliveries { query }));
    let failures = Answer::asked(move || asked(true), |asked| asked.map(|(query, _)| GroupFailures { query }));
    let choices = Answer::new(|| (), |()| filter_choices());
    let tab = move |label: &'static str, view: &'static str| {
        let href = move || {
            let with = [("view", view)];
            filters.read().address(PATH, &["view"], if view.is_empty() { &with[..0] } else { &with[..] })
        };
        let current = move || (is_grouped.get() != view.is_empty()).then_some("page");
        view! {
            <a href=href aria-current=current data-noscroll="">
                {label}
            </a>
        }
    };
    view! {
        <div class="page page-wide">
            <div class="page-head">
                <Heading text="Deliveries" />
                <div class="row">{export("csv", "CSV", filters)} {export("ndjson", "NDJSON", filters)}</div>
            </div>
            {loaded(choices, move |choices| filter_bar(filters, choices, read))}
            {views(PATH, filters)}
            <nav class="tabs" aria-label="View">{tab("List", "")} {tab("Failures by cause", FAILURES)}</nav>
            {move || {
                if is_grouped.get() {
                    loaded(failures, move |found| found.map(|found| groups(found, &filters.read_untracked())).into_any())
                } else {
                    loaded(deliveries, move |page| page.map(|page| rows(page, &filters.read_untracked())).into_any())
                }
            }}
        </div>
    }
    .into_any()
}

/// A link to what is listed, all pages of it, as a file.
fn export(format: &'static str, label: &'static str, filters: Memo<Filters>) -> AnyView {
    let href = move || {
        let filters = filters.read();
        // The page has one field for both kinds of id.
        let id = filters.get("id").unwrap_or_default();
        let name = if known::<EventId>(id).is_some() { "event_id" } else { "id" };
        let with = [("format", format), (name, id)];
        let with = if id.is_empty() { &with[..1] } else { &with[..] };
        filters.address("/api/v1/deliveries/export", &["view", "id"], with)
    };
    view! {
        <a class="btn" href=href rel="external" download="" title=format!("Everything that fits the filters, as {label}")>
            {icon("download")}
            "Export "
            {label}
        </a>
    }
    .into_any()
}

fn rows(page: Page<Delivery>, filters: &Filters) -> AnyView {
    let is_filtered = filters.is_filtered();
    let is_later_page = filters.cursor.is_some();
    let has_more = page.next_cursor.is_some();
    view! {
        <DeliveryTable
            caption="Deliveries"
            rows=page.data
            query=query(filters)
            arrival=if is_later_page { Arrival::Ignored } else { Arrival::Waits }
            with_webhook=true
            empty=move || nothing(is_filtered, has_more)
        />
        {pager(&filters.path(), is_later_page, page.next_cursor.as_deref())}
    }
    .into_any()
}

fn groups(Failures { data, more }: Failures, filters: &Filters) -> AnyView {
    if data.is_empty() {
        return view! { <p class="empty">"Nothing failed that fits the filters."</p> }.into_any();
    }
    let rows = data.into_iter().map(|group| {
        let (webhook, error) = (group.webhook_id.to_string(), group.error);
        let with = [("webhook_id", &*webhook), ("error", error.as_str())];
        let href = filters.address(PATH, &["view"], &with);
        view! {
            <tr>
                <td class="primary">
                    <a class="row-link" data-row="" href=href>
                        {group.webhook_name}
                    </a>
                </td>
                <td>{error.title()}</td>
                <td class="num">{thousands(group.deliveries)}</td>
                <td>
                    <Time at=group.first_at />
                </td>
                <td>
                    <Time at=group.last_at />
                </td>
            </tr>
        }
    });
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr-only">"Failures by webhook and reason"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Webhook"</th>
                        <th scope="col">"Last try failed because"</th>
                        <th scope="col" class="num">"Deliveries"</th>
                        <th scope="col">"First"</th>
                        <th scope="col">"Last"</th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
        {more.then(|| view! { <p class="muted">{format!("Of the newest {}.", count(5_000, "failure", "failures"))}</p> })}
    }
    .into_any()
}

/// `has_more`: a search looks at so many payloads for a page, and may find nothing in them.
fn nothing(is_filtered: bool, has_more: bool) -> AnyView {
    if is_filtered {
        view! {
            <p class="empty">
                {if has_more { not_among("delivery") } else { "No delivery fits the filters.".to_owned() }} " " <a class="link" href="/deliveries">
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
