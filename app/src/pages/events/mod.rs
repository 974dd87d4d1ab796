//! `/events`: what was published.

pub mod one;

use domain::{
    EventId, SourceId,
    api::{EventQuery, EventSummary, Page, TimeRange},
    human_bytes,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    answer::Answer,
    calls::{events::list_events, filters::filter_choices, inspector::inspector_url},
    components::{
        copy::CopyButton,
        filters::{Field, Filters, Input, filter_bar, known, moment, not_among, word},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        saved_views::views,
    },
    keyboard::shortcut,
    live::Live,
    pages::overview::publish_command,
    time::Time,
};

const FIELDS: &[Field] = &[
    Field { name: "event", title: "event", read: word, input: Input::Choice },
    Field { name: "source_id", title: "source", read: known::<SourceId>, input: Input::Choice },
    Field { name: "range", title: "time", read: known::<TimeRange>, input: Input::Choice },
    Field { name: "from", title: "from", read: moment, input: Input::Moment },
    Field { name: "to", title: "to", read: moment, input: Input::Moment },
    Field { name: "id", title: "id", read: known::<EventId>, input: Input::Text("evt_…") },
    Field { name: "text", title: "payload", read: word, input: Input::Text("Text in the payload") },
];

fn read(get: &dyn Fn(&str) -> Option<String>) -> Filters {
    Filters::read("/events", FIELDS, known::<EventId>, get)
}

/// As the server is asked.
fn query(filters: &Filters) -> EventQuery {
    EventQuery {
        event: filters.get("event").map(str::to_owned),
        source_id: filters.parsed("source_id"),
        id: filters.parsed("id"),
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
pub fn Events() -> AnyView {
    let address = use_query_map();
    let live: Live = expect_context();
    let filters = Memo::new(move |_| address.with(|query| read(&|name| query.get(name))));
    let again = RwSignal::new(0_u32);
    let events =
        Answer::new(move || (query(&filters.read()), live.missed.get(), again.get()), |(query, ..)| list_events(query));
    let choices = Answer::new(|| (), |()| filter_choices());
    let inspector = Answer::new(|| (), |()| inspector_url());
    let show = move |page: Page<EventSummary>| {
        let filters = filters.read_untracked();
        let is_later_page = filters.cursor.is_some();
        if page.data.is_empty() && !filters.is_filtered() && !is_later_page {
            return loaded(inspector, |inspector| nothing_yet(&inspector));
        }
        view! {
            {table(page.data, page.next_cursor.is_some())}
            {pager(&filters.path(), is_later_page, page.next_cursor.as_deref())}
        }
        .into_any()
    };
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Events" />
                <button
                    type="button"
                    class="btn needs-js"
                    aria-keyshortcuts=shortcut("r")
                    title=format!("Refresh ({})", shortcut("r"))
                    on:click=move |_| again.update(|times| *times += 1)
                >
                    {icon("retry")}
                    "Refresh"
                </button>
            </div>
            {loaded(choices, move |choices| filter_bar(filters, choices, read))}
            {views("/events", filters)}
            {loaded(events, show)}
        </div>
    }
    .into_any()
}

/// `has_more`: a search looks at so many payloads for a page, and may find nothing in them.
fn table(events: Vec<EventSummary>, has_more: bool) -> AnyView {
    if events.is_empty() {
        return view! {
            <p class="empty">
                {if has_more { not_among("event") } else { "No event fits the filters.".to_owned() }} " " <a class="link" href="/events">
                    "Show all"
                </a>
            </p>
        }
        .into_any();
    }
    let rows = events
        .into_iter()
        .map(|event| {
            view! {
                <tr>
                    <td class="col-time">
                        <Time at=event.created_at />
                    </td>
                    <td class="primary">
                        <a class="row-link mono" data-row="" href=format!("/events/{}", event.id)>
                            {event.event}
                        </a>
                    </td>
                    <td class="mono muted truncate">{event.id.to_string()}</td>
                    <td class="num">{human_bytes(u64::try_from(event.body_bytes).unwrap_or_default())}</td>
                    <td class="num">{event.deliveries}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr-only">"Events"</caption>
                <thead>
                    <tr>
                        <th scope="col" class="col-time">"Time"</th>
                        <th scope="col">"Event"</th>
                        <th scope="col">"Id"</th>
                        <th scope="col" class="num">"Size"</th>
                        <th scope="col" class="num">"Deliveries"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn nothing_yet(inspector: &str) -> AnyView {
    let command = publish_command(inspector);
    view! {
        <div class="empty empty-big">
            {icon("zap")}
            <h2>"No events yet"</h2>
            <p class="muted">
                "Programs publish events with an " <a class="link" href="/api">"API key"</a> ":"
            </p>
            <div class="snippet">
                <pre class="code" tabindex="0" aria-label="Command">{command.clone()}</pre>
                <CopyButton text=command label="Copy command" visible=true />
            </div>
        </div>
    }
    .into_any()
}
