//! `/emails/suppressions`: addresses to which nothing is sent, why, and since when.

use domain::{
    Permission,
    api::{Page, Suppression, SuppressionQuery, SuppressionReason},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::{is_news, tabs};
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        emails::{Suppress, Unsuppress, list_suppressions},
        filters::{Choice, FieldChoices},
    },
    components::{
        field::{FormProblem, Refusal, TextField, empty_after},
        filters::{Field, Filters, Input, filter_bar, known, word},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        status::{Tone, status},
        toast::Toasts,
    },
    keyboard::shortcut,
    live::Live,
    session::may,
    time::Time,
};

const PATH: &str = "/emails/suppressions";

const FIELDS: &[Field] = &[
    Field { name: "reason", title: "reason", read: known::<SuppressionReason>, input: Input::Choice },
    Field { name: "q", title: "address", read: word, input: Input::Text("Part of an address") },
];

fn read(get: &dyn Fn(&str) -> Option<String>) -> Filters {
    Filters::read(PATH, FIELDS, word, get)
}

const fn reason_word(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Bounce => "Bounced",
        SuppressionReason::Complaint => "Reported as spam",
        SuppressionReason::Manual => "Added by hand",
    }
}

/// The list.
#[component]
pub fn Suppressions() -> AnyView {
    let address = use_query_map();
    let live: Live = expect_context();
    let filters = Memo::new(move |_| address.with(|query| read(&|name| query.get(name))));
    let (add, remove) = (ServerAction::<Suppress>::new(), ServerAction::<Unsuppress>::new());
    let toasts: Toasts = expect_context();
    add.after_success(move || toasts.say("Nothing is sent to it from now on."));
    remove.after_success(move || toasts.say("E-mails are sent to it again."));
    let ticks = live.ticks(is_news);
    let suppressions = Answer::new(
        move || {
            let filters = filters.get();
            let query = SuppressionQuery {
                q: filters.get("q").map(str::to_owned),
                reason: filters.parsed("reason"),
                limit: Some(50),
                cursor: filters.cursor,
            };
            (query, add.version().get(), remove.version().get(), ticks.get(), live.missed.get())
        },
        |(query, ..)| list_suppressions(query),
    );
    let reasons = SuppressionReason::ALL
        .iter()
        .map(|reason| Choice { value: reason.to_string(), text: reason_word(*reason).to_owned() });
    let choices = vec![FieldChoices { field: "reason".to_owned(), choices: reasons.collect() }];
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Suppressions" />
                {may(Permission::OperateIntegrations).then(|| adding(add))}
            </div>
            {tabs(PATH)}
            <p class="muted">
                "Nothing is sent to these addresses. Hard bounces and complaints put them here; who was unsubscribed from a category is not among them."
            </p>
            <FormProblem refusal=Refusal::of(remove) />
            {filter_bar(filters, choices, read)}
            {loaded(suppressions, move |page| list(page, &filters.get_untracked(), remove))}
        </div>
    }
    .into_any()
}

fn adding(add: ServerAction<Suppress>) -> AnyView {
    let refusal = Refusal::of(add);
    let node = NodeRef::new();
    empty_after(node, add);
    let pending = add.pending();
    view! {
        <details class="confirm confirm-right" open=refusal.is_refused()>
            <summary class="btn btn-primary" aria-keyshortcuts=shortcut("n")>
                {icon("plus")}
                "Suppress Address"
            </summary>
            <ActionForm action=add node_ref=node attr:class="confirm-box" attr:novalidate=true>
                <FormProblem refusal />
                <TextField label="Address" name="email" kind="email" required=true refusal />
                <TextField label="Note" name="detail" placeholder="Left the company" refusal />
                <button class="btn btn-primary" disabled=pending>
                    "Suppress"
                </button>
            </ActionForm>
        </details>
    }
    .into_any()
}

fn list(page: Page<Suppression>, filters: &Filters, remove: ServerAction<Unsuppress>) -> AnyView {
    if page.data.is_empty() {
        let words = if filters.is_filtered() { "No address fits the filters." } else { "No address is suppressed." };
        return view! { <p class="empty">{words}</p> }.into_any();
    }
    let acts = may(Permission::OperateIntegrations);
    let rows = page.data.into_iter().map(|suppression| row(suppression, acts, remove)).collect_view();
    view! {
        <div class="table-wrap table-open">
            <table class="table">
                <caption class="sr-only">"Suppressed addresses"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Reason"</th>
                        <th scope="col" class="wide">"What was said"</th>
                        <th scope="col" class="col-time">"Since"</th>
                        <th scope="col" class="col-actions"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {pager(&filters.path(), filters.cursor.is_some(), page.next_cursor.as_deref())}
    }
    .into_any()
}

fn row(suppression: Suppression, acts: bool, remove: ServerAction<Unsuppress>) -> AnyView {
    let Suppression { email, reason, detail, created_at } = suppression;
    let reason = match reason {
        SuppressionReason::Bounce => status(Tone::Bad, "x", reason_word(reason)),
        SuppressionReason::Complaint => status(Tone::Warn, "alert", reason_word(reason)),
        SuppressionReason::Manual => status(Tone::Idle, "ban", reason_word(reason)),
    };
    let sent = format!("/emails?to={}", crate::components::problem::encode(&email));
    let removal = acts.then(|| {
        let (value, shown, label) = (email.clone(), email.clone(), format!("Remove {email}"));
        view! {
            <details class="confirm confirm-right">
                <summary class="btn btn-sm" aria-label=label>
                    "Remove"
                </summary>
                <ActionForm action=remove attr:class="confirm-box">
                    <input type="hidden" name="email" value=value />
                    <p>"Send to " <strong class="break">{shown}</strong> " again?"</p>
                    <button class="btn btn-danger">"Yes, send again"</button>
                </ActionForm>
            </details>
        }
    });
    view! {
        <tr>
            <td class="primary">
                <a class="row-link strong break" data-row="" href=sent>
                    {email}
                </a>
            </td>
            <td>{reason}</td>
            <td class="wide muted break">{detail}</td>
            <td class="col-time">
                <Time at=created_at />
            </td>
            <td class="col-actions">{removal}</td>
        </tr>
    }
    .into_any()
}
