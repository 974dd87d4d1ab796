//! `/events`: what was published.

pub mod one;

use domain::{
    api::{EventQuery, EventSummary, Page},
    human_bytes,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    calls::{events::list_events, inspector::inspector_url},
    components::{copy::CopyButton, heading::Heading, icon::icon, loaded::loaded, pager::pager, problem::encode},
    live::Live,
    pages::overview::publish_command,
    time::Time,
};

/// The list.
#[component]
pub fn Events() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let asked = move |name: &str| query.with(|query| query.get(name)).filter(|text| !text.is_empty());
    let again = RwSignal::new(0_u32);
    let events = Resource::new(
        move || (asked("event"), asked("cursor"), live.reopened.get(), again.get()),
        |(event, cursor, ..)| list_events(EventQuery { event, cursor, limit: Some(50), ..EventQuery::default() }),
    );
    let inspector = Resource::new(|| (), |()| inspector_url());
    let typed = query.with_untracked(|query| query.get("event")).unwrap_or_default();
    let show = move |page: Page<EventSummary>| {
        let (event, cursor) = (asked("event"), asked("cursor"));
        if page.data.is_empty() && event.is_none() && cursor.is_none() {
            return loaded(inspector, |inspector| nothing_yet(&inspector));
        }
        let path = event.map_or_else(|| "/events".to_owned(), |event| format!("/events?event={}", encode(&event)));
        view! {
            {table(page.data)}
            {pager(&path, cursor.is_some(), page.next_cursor.as_deref())}
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
                    aria-keyshortcuts="r"
                    title="Refresh (r)"
                    on:click=move |_| again.update(|times| *times += 1)
                >
                    {icon("retry")}
                    "Refresh"
                </button>
            </div>
            <form method="get" action="/events" class="toolbar" role="search">
                <label class="search">
                    {icon("search")}
                    <input
                        type="search"
                        name="event"
                        aria-label="Search by event type"
                        aria-keyshortcuts="/"
                        placeholder="Event type, such as job.created"
                        value=typed
                    />
                    <kbd class="needs-js">"/"</kbd>
                </label>
                <button class="btn">"Search"</button>
            </form>
            {loaded(events, show)}
        </div>
    }
    .into_any()
}

fn table(events: Vec<EventSummary>) -> AnyView {
    if events.is_empty() {
        return view! {
            <p class="empty">
                "No event of this type. " <a class="link" href="/events">
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
