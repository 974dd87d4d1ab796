//! `/logs`: what happened in the work of all integrations.

use domain::api::{LogLevel, LogQuery, TimeRange};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    answer::Answer,
    calls::integrations::{integration_names, list_logs_in},
    components::{heading::Heading, loaded::loaded},
    live::Live,
    pages::integrations::one::logs::{exports, filters, list},
};

const PATH: &str = "/logs";

/// The log.
#[component]
pub fn Logs() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let asked = move |name: &'static str| query.with(|query| query.get(name)).filter(|text| !text.is_empty());
    let log_query = move || LogQuery {
        level: asked("level").and_then(|text| text.parse::<LogLevel>().ok()),
        q: asked("q"),
        limit: Some(50),
        cursor: asked("cursor"),
        ..LogQuery::default()
    };
    let range = move || asked("range").and_then(|text| text.parse::<TimeRange>().ok());
    let ticks = live.ticks(|event| event.is_of("integrations"));
    let logs = Answer::new(
        move || (log_query(), range(), ticks.get(), live.missed.get()),
        |(query, range, ..)| async move {
            let page = list_logs_in(query, range).await?;
            Ok((page, integration_names().await?))
        },
    );
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Logs" />
            </div>
            {move || {
                let asked = log_query();
                view! {
                    <div class="toolbar">
                        {filters(PATH, None, &asked, range())}
                        {exports(None, &asked)}
                    </div>
                }
            }}
            {loaded(logs, move |(page, names)| list(page, PATH, &log_query(), range(), &names))}
        </div>
    }
    .into_any()
}
