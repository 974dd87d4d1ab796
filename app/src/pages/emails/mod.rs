//! `/emails`: what was sent to whom and what became of it, by filters that live in the address.

pub mod one;
mod preview;
pub mod suppressions;
pub mod templates;

use domain::{
    EmailId, IntegrationId,
    api::{Email, EmailQuery, EmailState, Page},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    answer::Answer,
    calls::emails::{email_choices, list_emails},
    components::{
        filters::{Field, Filters, Input, filter_bar, known, word},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        status::{Tone, count, email_status, status},
    },
    live::{Live, LiveEvent},
    time::Time,
};

const PATH: &str = "/emails";

const FIELDS: &[Field] = &[
    Field { name: "state", title: "state", read: known::<EmailState>, input: Input::Choice },
    Field { name: "integration_id", title: "sent by", read: known::<IntegrationId>, input: Input::Choice },
    Field { name: "to", title: "recipient", read: word, input: Input::Text("ada@example.com") },
];

fn read(get: &dyn Fn(&str) -> Option<String>) -> Filters {
    Filters::read(PATH, FIELDS, known::<EmailId>, get)
}

/// As the server is asked.
fn query(filters: &Filters) -> EmailQuery {
    EmailQuery {
        state: filters.parsed("state"),
        to: filters.get("to").map(str::to_owned),
        integration_id: filters.parsed("integration_id"),
        limit: Some(50),
        cursor: filters.cursor.clone(),
    }
}

/// Whether e-mails may have changed.
fn is_news(event: &LiveEvent) -> bool {
    event.is_of("emails")
}

/// The pages about e-mail.
fn tabs(current: &'static str) -> AnyView {
    let tab = |(href, title): (&'static str, &'static str)| {
        view! {
            <a href=href aria-current=(href == current).then_some("page")>
                {title}
            </a>
        }
    };
    let all = [(PATH, "Sent and queued"), ("/emails/templates", "Templates"), ("/emails/suppressions", "Suppressions")];
    view! {
        <nav class="tabs" aria-label="E-mail">
            {all.map(tab)}
        </nav>
    }
    .into_any()
}

/// The list.
#[component]
pub fn Emails() -> AnyView {
    let address = use_query_map();
    let live: Live = expect_context();
    let filters = Memo::new(move |_| address.with(|query| read(&|name| query.get(name))));
    let ticks = live.ticks(is_news);
    let emails =
        Answer::new(move || (query(&filters.read()), ticks.get(), live.missed.get()), |(query, ..)| list_emails(query));
    let choices = Answer::new(|| (), |()| email_choices());
    view! {
        <div class="page page-wide">
            <div class="page-head">
                <Heading text="E-mails" />
            </div>
            {tabs(PATH)}
            {loaded(choices, move |choices| filter_bar(filters, choices, read))}
            {loaded(emails, move |page| list(page, &filters.get_untracked()))}
        </div>
    }
    .into_any()
}

fn list(page: Page<Email>, filters: &Filters) -> AnyView {
    if page.data.is_empty() {
        return nothing(filters.is_filtered());
    }
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr-only">"E-mails"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Recipient"</th>
                        <th scope="col">"Subject"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="num">"Tries"</th>
                        <th scope="col" class="col-time">"Accepted"</th>
                    </tr>
                </thead>
                <tbody>{page.data.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
        {pager(&filters.path(), filters.cursor.is_some(), page.next_cursor.as_deref())}
    }
    .into_any()
}

fn row(email: Email) -> AnyView {
    let has_failed = matches!(email.state, EmailState::Deferred | EmailState::Bounced | EmailState::Failed);
    view! {
        <tr>
            <td class="primary">
                <a class="row-link strong break" data-row="" href=format!("{PATH}/{}", email.id)>
                    {email.to}
                </a>
            </td>
            <td class="wide break">
                {email.subject} {email.template.map(|template| view! { <span class="sub muted">{template}</span> })}
            </td>
            <td>
                {email_status(email.state)} {doubts(email.possibly_duplicated, email.possibly_sent)}
                {(has_failed && !email.detail.is_empty())
                    .then(|| view! { <span class="sub muted clamp break">{email.detail}</span> })}
            </td>
            <td class="num">{count(email.tries, "try", "tries")}</td>
            <td class="col-time">
                <Time at=email.created_at />
            </td>
        </tr>
    }
    .into_any()
}

/// What is not known for sure of an e-mail.
fn doubts(possibly_duplicated: bool, possibly_sent: bool) -> Option<AnyView> {
    if possibly_duplicated {
        Some(view! { <span class="sub">{status(Tone::Warn, "copy", "Possibly duplicated")}</span> }.into_any())
    } else {
        possibly_sent
            .then(|| view! { <span class="sub">{status(Tone::Warn, "alert", "May have arrived")}</span> }.into_any())
    }
}

fn nothing(is_filtered: bool) -> AnyView {
    if is_filtered {
        return view! {
            <p class="empty">
                "No e-mail fits the filters. " <a class="link" href=PATH>
                    "Show all"
                </a>
            </p>
        }
        .into_any();
    }
    view! {
        <div class="empty empty-big">
            {icon("mail")}
            <h2>"No e-mails yet"</h2>
            <p class="muted">
                "Programs send e-mails with " <code>"POST /api/v1/emails"</code>
                " through an e-mail integration. What becomes of each appears here."
            </p>
            <a class="btn" href="/api/docs" rel="external">
                {icon("book")}
                "API docs"
            </a>
        </div>
    }
    .into_any()
}
