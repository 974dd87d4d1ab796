//! `/webhooks`: all subscriptions, how they do, and what can be done about it (UC §6).

mod delivery_fields;
pub mod event_choice;
pub mod form;
pub mod header_rows;
pub mod health;
pub mod new;
pub mod one;

use domain::{Permission, Timestamp, WebhookId, WebhookState, api::Page};
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::query_signal_with_options};

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::webhooks::{SetWebhookState, WebhookRow, list_webhook_rows},
    components::{
        charts::sparkline,
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        status::{count, webhook_status},
        toast::Toasts,
    },
    keyboard::shortcut,
    live::Live,
    pages::overview::success_rate,
    search::any_contains,
    session::may,
    time::Time,
};

/// The list.
#[component]
pub fn Webhooks() -> AnyView {
    let live: Live = expect_context();
    let state = ServerAction::<SetWebhookState>::new();
    let options = NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
    let (search, set_search) = query_signal_with_options::<String>("q", options);
    let webhooks = Answer::new(move || (state.version().get(), live.missed.get()), |_| list_webhook_rows());
    report_state(state);
    let typed = search.get_untracked().unwrap_or_default();
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Webhooks" />
                {may(Permission::WriteWebhooks)
                    .then(|| {
                        view! {
                            <a class="btn btn-primary" href="/webhooks/new" aria-keyshortcuts=shortcut("n") title=format!("New webhook ({})", shortcut("n"))>
                                {icon("plus")}
                                "New Webhook"
                            </a>
                        }
                    })}
            </div>
            <form method="get" class="toolbar" role="search" on:submit=|event| event.prevent_default()>
                <label class="search">
                    {icon("search")}
                    <input
                        type="search"
                        name="q"
                        aria-label="Search webhooks"
                        aria-keyshortcuts=shortcut("/")
                        placeholder="Search by name, URL or event"
                        value=typed
                        on:input:target=move |event| {
                            let text = event.target().value();
                            set_search.set((!text.is_empty()).then_some(text));
                        }
                    />
                    <kbd class="needs-js">"/"</kbd>
                </label>
            </form>
            <FormProblem refusal=Refusal::of(state) />
            {loaded(webhooks, move |page| table(page, search, state))}
        </div>
    }
    .into_any()
}

/// Says that the state was switched.
pub fn report_state(state: ServerAction<SetWebhookState>) {
    let toasts: Toasts = expect_context();
    state.after_success(move || toasts.say("Saved"));
}

fn fits(WebhookRow { webhook, .. }: &WebhookRow, search: &str) -> bool {
    let texts = [&webhook.name, &webhook.url].into_iter().chain(&webhook.events);
    any_contains(texts.map(String::as_str), search)
}

fn table(page: Page<WebhookRow>, search: Memo<Option<String>>, state: ServerAction<SetWebhookState>) -> AnyView {
    if page.data.is_empty() {
        return nothing_yet();
    }
    let webhooks = StoredValue::new(page.data);
    let more = page.next_cursor.is_some();
    let found = move || {
        let search = search.get().unwrap_or_default();
        webhooks.with_value(|all| all.iter().filter(|row| fits(row, &search)).cloned().collect::<Vec<_>>())
    };
    let none_found =
        move || webhooks.with_value(|all| !all.iter().any(|it| fits(it, &search.get().unwrap_or_default())));
    view! {
        <div class="table-wrap" hidden=none_found>
            <table class="table">
                <caption class="sr-only">"Webhooks"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Webhook"</th>
                        <th scope="col">"Events"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col" class="num">"Success rate (30 d)"</th>
                        <th scope="col" class="col-actions"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For each=found key=row_key let:shown>
                        {row(shown, state)}
                    </For>
                </tbody>
            </table>
        </div>
        <p class="empty" hidden=move || !none_found()>"No webhook fits the search."</p>
        {more.then(|| view! { <p class="muted">"Only the newest 100 are shown; the palette and the API find the others."</p> })}
    }
    .into_any()
}

/// All that a row shows: what differs is drawn again.
fn row_key(WebhookRow { webhook, .. }: &WebhookRow) -> (WebhookId, i64, [Option<Timestamp>; 3], [i64; 3]) {
    let moments = [webhook.last_triggered_at, webhook.next_probe_at, webhook.blocked_until];
    (webhook.id, webhook.version, moments, [webhook.consecutive_failures, webhook.delivered_30d, webhook.failed_30d])
}

fn row(WebhookRow { webhook, days }: WebhookRow, state: ServerAction<SetWebhookState>) -> AnyView {
    let id = webhook.id.to_string();
    let page = format!("/webhooks/{id}");
    let tries = webhook.delivered_30d + webhook.failed_30d;
    let may_write = may(Permission::WriteWebhooks);
    let (next, verb, verb_icon) = match webhook.state {
        WebhookState::Active => ("disabled", "Disable", "pause"),
        WebhookState::Paused | WebhookState::Disabled => ("active", "Enable", "play"),
    };
    let action = |href: String, label: &'static str, name: &'static str| {
        view! {
            <a class="btn btn-sm btn-ghost btn-square" href=href aria-label=format!("{label} {}", webhook.name) title=label>
                {icon(name)}
            </a>
        }
    };
    view! {
        <tr>
            <td class="primary">
                <a class="row-link strong" data-row="" href=page.clone()>
                    {webhook.name.clone()}
                </a>
                <span class="mono muted truncate sub">{webhook.url.clone()}</span>
            </td>
            <td>{event_badges(&webhook.events)}</td>
            <td>
                {webhook_status(webhook.state)}
                <span class="sub muted">
                    {match webhook.last_triggered_at {
                        Some(at) => view! { "last triggered " <Time at /> }.into_any(),
                        None => "never triggered".into_any(),
                    }}
                </span>
                {health::note(&(&webhook).into())}
            </td>
            <td class="num">
                {success_rate(webhook.delivered_30d, tries).unwrap_or_else(|| "–".to_owned())}
                {(!days.is_empty()).then(|| sparkline(&days))}
                <span class="sub muted num">{count(tries, "try", "tries")}</span>
            </td>
            <td class="col-actions">
                <div class="row row-end">
                    {may_write.then(|| action(format!("{page}?tab=settings"), "Edit", "pencil"))}
                    {action(format!("{page}?tab=test"), "Test", "flask")}
                    {action(format!("{page}?tab=deliveries"), "View Logs", "list")}
                    {may_write
                        .then(|| {
                            view! {
                                <ActionForm action=state>
                                    <input type="hidden" name="id" value=id.clone() />
                                    <button
                                        class="btn btn-sm btn-ghost btn-square"
                                        name="state"
                                        value=next
                                        aria-label=format!("{verb} {}", webhook.name)
                                        title=verb
                                    >
                                        {icon(verb_icon)}
                                    </button>
                                </ActionForm>
                            }
                        })}
                </div>
            </td>
        </tr>
    }
    .into_any()
}

/// The first few events, and how many more there are.
pub fn event_badges(events: &[String]) -> AnyView {
    const SHOWN: usize = 3;
    let more = events.len().saturating_sub(SHOWN);
    let rest = events.iter().skip(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    view! {
        <span class="badges">
            {events
                .iter()
                .take(SHOWN)
                .map(|event| view! { <span class="badge mono">{if event == "*" { "all events".to_owned() } else { event.clone() }}</span> })
                .collect_view()}
            {(more > 0).then(|| view! { <span class="badge" title=rest>{format!("+{more}")}</span> })}
        </span>
    }
    .into_any()
}

fn nothing_yet() -> AnyView {
    view! {
        <div class="empty empty-big">
            {icon("webhook")}
            <h2>"No webhooks yet"</h2>
            <p class="muted">
                "A webhook sends the events you choose to an address of yours, signed, and again until they arrive."
            </p>
            {may(Permission::WriteWebhooks)
                .then(|| {
                    view! {
                        <a class="btn btn-primary" href="/webhooks/new">
                            {icon("plus")}
                            "New Webhook"
                        </a>
                    }
                })}
        </div>
    }
    .into_any()
}
