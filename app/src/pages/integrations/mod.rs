//! `/integrations`: which of the organization's integrations work, what is broken, what that affects, and what to press
//! (UC §3). Long because a dashboard is many small parts that are on no other page.

mod fields;
pub mod new;
pub mod one;

use domain::{
    IntegrationStatus, Permission,
    api::{Alert, CheckRound, IntegrationSummary, JobState},
    health::Health,
    human_ms,
};
use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::query_signal_with_options};

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::integrations::{
        ActOnIntegration, CancelCheck, CheckAll, Dashboard, Found, IntegrationRow, Verb, show_dashboard,
    },
    components::{
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        status::{Tone, count, status},
        toast::Toasts,
    },
    keyboard::shortcut,
    live::{Live, after},
    search::any_contains,
    session::may,
    time::Time,
};

/// Rows that are shown unless all are asked for.
const FIRST: usize = 100;
/// Between two looks at a check of all, in milliseconds.
const LOOK_AGAIN_MS: i32 = 2_000;

/// The dashboard.
#[component]
pub fn Integrations() -> AnyView {
    let live: Live = expect_context();
    let act = ServerAction::<ActOnIntegration>::new();
    let all = ServerAction::<CheckAll>::new();
    let options = || NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
    let (search, set_search) = query_signal_with_options::<String>("q", options());
    let (shown, set_shown) = query_signal_with_options::<String>("status", options());
    let (rows, set_rows) = query_signal_with_options::<String>("rows", options());
    let cancel = ServerAction::<CancelCheck>::new();
    let ticks = live.ticks(|event| event.is_of("integrations") || event.is_of("alerts"));
    let looks = RwSignal::new(0_u32);
    let changes = move || {
        let moves = (act.version().get(), all.version().get(), cancel.version().get());
        (moves, live.missed.get(), ticks.get(), looks.get())
    };
    let dashboard = Answer::new(changes, |_| show_dashboard());
    report(act);
    // News of this node come by themselves; what other nodes check is asked for.
    Effect::new(move |_| {
        let Some(Ok(dashboard)) = dashboard.get() else { return };
        if dashboard.round.is_some_and(|round| round.state == JobState::Running) {
            // The page may be gone by then.
            after(LOOK_AGAIN_MS, move || _ = looks.try_update(|looks| *looks += 1));
        }
    });
    let toasts: Toasts = expect_context();
    all.on_success(move |round| {
        toasts.say(&format!("Checking {}", count(round.total, "integration", "integrations")));
    });
    let pending = all.pending();
    let typed = search.get_untracked().unwrap_or_default();
    let chosen = shown.get_untracked().unwrap_or_default();
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Integrations" />
                <div class="row">
                    {may(Permission::OperateIntegrations)
                        .then(|| {
                            view! {
                                <ActionForm action=all>
                                    <button class="btn" disabled=move || pending.get() aria-keyshortcuts=shortcut("r")>
                                        {icon("retry")}
                                        "Health Check All"
                                    </button>
                                </ActionForm>
                            }
                        })}
                    <a class="btn" href="/logs">
                        {icon("list")}
                        "View Logs"
                    </a>
                    {may(Permission::WriteIntegrations)
                        .then(|| {
                            view! {
                                <a class="btn btn-primary" href="/integrations/new" aria-keyshortcuts=shortcut("n")>
                                    {icon("plus")}
                                    "Add Integration"
                                </a>
                            }
                        })}
                </div>
            </div>
            <FormProblem refusal=Refusal::of(all) />
            <FormProblem refusal=Refusal::of(act) />
            <FormProblem refusal=Refusal::of(cancel) />
            {loaded(
                dashboard,
                move |dashboard| {
                    view! {
                        <div class="stack-wide">
                            {totals(&dashboard.summary)} {dashboard.round.as_ref().map(|round| progress(round, cancel))}
                            {critical(&dashboard, act)}
                        </div>
                    }
                },
            )}
            <form method="get" class="toolbar" role="search" id="search-integrations" on:submit=|event| event.prevent_default()>
                <label class="search">
                    {icon("search")}
                    <input
                        type="search"
                        name="q"
                        aria-label="Search integrations"
                        aria-keyshortcuts=shortcut("/")
                        placeholder="Search by name, type or provider"
                        value=typed
                        on:input:target=move |event| {
                            let text = event.target().value();
                            set_search.set((!text.is_empty()).then_some(text));
                        }
                    />
                    <kbd class="needs-js">"/"</kbd>
                </label>
                <select
                    class="select"
                    name="status"
                    aria-label="Status"
                    on:change:target=move |event| {
                        let text = event.target().value();
                        set_shown.set((!text.is_empty()).then_some(text));
                    }
                >
                    {[("", "All statuses"), ("active", "Active"), ("error", "Error"), ("disabled", "Disabled")]
                        .map(|(value, label)| {
                            let selected = value == chosen;
                            view! { <option value=value selected=selected>{label}</option> }
                        })}
                </select>
            </form>
            {loaded(dashboard, move |dashboard| table(dashboard, search, shown, (rows, set_rows)))}
        </div>
    }
    .into_any()
}

/// Says what became of a button.
fn report(act: ServerAction<ActOnIntegration>) {
    let toasts: Toasts = expect_context();
    act.on_success(move |answer| {
        toasts.say(&answer.map_or_else(|| "Saved".to_owned(), |found| found_in_short(&found)));
    });
}

fn found_in_short(found: &Found) -> String {
    if found.ok { format!("{} in {}", found.message, human_ms(found.latency_ms.into())) } else { found.message.clone() }
}

fn totals(summary: &IntegrationSummary) -> AnyView {
    let card = |title: &'static str, value: i64, percent: Option<i64>, href: &'static str| {
        view! {
            <a class="card stat" href=href>
                <span class="stat-title">{title}</span>
                <span class="stat-value num">{value}</span>
                <span class="muted num">{percent.map_or_else(|| "configured".to_owned(), |percent| format!("{percent}%"))}</span>
            </a>
        }
    };
    view! {
        <section class="stats" aria-label="Health overview">
            {card("Total", summary.total, None, "/integrations")}
            {card("Active", summary.active, Some(summary.active_percent), "/integrations?status=active")}
            {card("Errors", summary.errors, Some(summary.errors_percent), "/integrations?status=error")}
            {card("Disabled", summary.disabled, Some(summary.disabled_percent), "/integrations?status=disabled")}
        </section>
    }
    .into_any()
}

/// How far a check of all has come, or what it found.
fn progress(round: &CheckRound, cancel: ServerAction<CancelCheck>) -> AnyView {
    let CheckRound { state, total, checked, .. } = *round;
    if state == JobState::Running {
        return view! {
            <div class="notice row" role="status">
                <progress max=total value=checked aria-label="Health check of all integrations"></progress>
                <span class="num grow">{format!("{checked} of {total} checked")}</span>
                {may(Permission::OperateIntegrations)
                    .then(|| {
                        view! {
                            <ActionForm action=cancel>
                                <button class="btn btn-sm">"Cancel check"</button>
                            </ActionForm>
                        }
                    })}
            </div>
        }
        .into_any();
    }
    let found = [
        (round.healthy, "healthy"),
        (round.degraded, "degraded"),
        (round.suspect, "failed once, checked again soon"),
        (round.down, "down"),
    ];
    let found: Vec<_> =
        found.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let ended = if state == JobState::Cancelled { "Health check cancelled" } else { "Health check done" };
    let colon = if found.is_empty() { "" } else { ": " };
    view! {
        <p class="muted" role="status">
            {format!("{ended}{colon}{}", found.join(", "))} {round.finished_at.map(|at| view! { " · " <Time at /> })}
        </p>
    }
    .into_any()
}

fn critical(dashboard: &Dashboard, act: ServerAction<ActOnIntegration>) -> Option<AnyView> {
    if dashboard.alerts.is_empty() {
        return None;
    }
    let row = |alert: &Alert| {
        let href = format!("/integrations/{}", alert.about());
        let id = alert.about().to_owned();
        let spoken = format!("Reconnect: {}", alert.title);
        view! {
            <li>
                <div class="grow">
                    <a class="row-link strong" href=href.clone()>
                        {alert.title.clone()}
                    </a>
                    {(!alert.impact.is_empty()).then(|| view! { <span class="sub bad">{format!("Impact: {}", alert.impact)}</span> })}
                    <span class="sub muted">"since " <Time at=alert.first_at /></span>
                </div>
                <a class="btn btn-sm" href=format!("{href}?tab=logs&level=error") aria-label=format!("View Logs: {}", alert.title)>
                    "View Logs"
                </a>
                {may(Permission::OperateIntegrations)
                    .then(|| {
                        view! {
                            <ActionForm action=act>
                                <input type="hidden" name="id" value=id />
                                <button class="btn btn-sm" name="verb" value="reconnect" aria-label=spoken>
                                    "Reconnect"
                                </button>
                            </ActionForm>
                        }
                    })}
                <a class="btn btn-sm" href=href aria-label=format!("Troubleshoot: {}", alert.title)>
                    "Troubleshoot"
                </a>
            </li>
        }
    };
    Some(
        view! {
            <section class="card attention" aria-labelledby="critical">
                <h2 id="critical">"Critical alerts"</h2>
                <ul>{dashboard.alerts.iter().map(row).collect_view()}</ul>
            </section>
        }
        .into_any(),
    )
}

fn fits(row: &IntegrationRow, search: &str, status: &str) -> bool {
    let line = &row.line;
    (status.is_empty() || line.status.as_str() == status)
        && any_contains([&*line.name, &*row.provider_name, line.kind.label()], search)
}

fn table(
    dashboard: Dashboard,
    search: Memo<Option<String>>,
    shown: Memo<Option<String>>,
    (rows, set_rows): (Memo<Option<String>>, SignalSetter<Option<String>>),
) -> AnyView {
    if dashboard.rows.is_empty() {
        return nothing_yet();
    }
    let all = StoredValue::new(dashboard.rows);
    let found = Memo::new(move |_| {
        let (search, status) = (search.get().unwrap_or_default(), shown.get().unwrap_or_default());
        all.with_value(|all| all.iter().filter(|row| fits(row, &search, &status)).cloned().collect::<Vec<_>>())
    });
    let none_found = move || found.read().is_empty();
    let most = move || if rows.read().is_some() { usize::MAX } else { FIRST };
    let first = move || found.read().iter().take(most()).cloned().collect::<Vec<_>>();
    let key = |row: &IntegrationRow| {
        let line = &row.line;
        (line.id, line.name.clone(), line.status, line.health, line.last_checked_at)
    };
    view! {
        <section class="section" aria-labelledby="all-integrations">
            <h2 class="sr-only" id="all-integrations">"All integrations"</h2>
            <div class="table-wrap" hidden=none_found>
                <table class="table">
                    <caption class="sr-only">"Integrations"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Integration"</th>
                            <th scope="col">"Provider"</th>
                            <th scope="col">"Status"</th>
                            <th scope="col">"Last sync"</th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=first key=key let:shown>
                            {row(&shown)}
                        </For>
                    </tbody>
                </table>
            </div>
            <div class="pager" hidden=move || { found.read().len() <= most() }>
                <span class="muted num">{move || format!("{FIRST} of {} shown", found.read().len())}</span>
                <button
                    class="btn btn-sm"
                    form="search-integrations"
                    name="rows"
                    value="all"
                    on:click=move |_| set_rows.set(Some("all".to_owned()))
                >
                    "Show all"
                </button>
            </div>
            <p class="empty" hidden=move || !none_found()>"No integration fits the search."</p>
        </section>
    }
    .into_any()
}

fn row(row: &IntegrationRow) -> AnyView {
    let line = &row.line;
    let is_down = line.health == Health::Down;
    let outcome = if line.last_error.is_some() { " (failed)" } else { "" };
    view! {
        <tr>
            <td class="primary">
                <span class="kind">{icon(line.kind.icon())}</span>
                <a class="row-link strong" data-row="" href=format!("/integrations/{}", line.id)>
                    {line.name.clone()}
                </a>
                <span class="sub muted">{line.kind.label()}</span>
            </td>
            <td>{row.provider_name.clone()}</td>
            <td>
                {health_status(line.status, line.health)}
                {is_down.then(|| view! { <span class="sub bad">{row.impact.clone()}</span> })}
                {(!is_down).then(|| line.last_error.clone().map(|error| view! { <span class="sub warn">{error}</span> }))}
            </td>
            <td>
                {match line.last_checked_at {
                    Some(at) => view! { <Time at /> {outcome} }.into_any(),
                    None => "–".into_any(),
                }}
            </td>
        </tr>
    }
    .into_any()
}

/// How an integration is, in one word.
pub fn health_status(of: IntegrationStatus, health: Health) -> AnyView {
    match (of, health) {
        (IntegrationStatus::Disabled, _) => status(Tone::Idle, "ban", "Disabled"),
        (_, Health::Down) => status(Tone::Bad, "x", "Error"),
        (_, Health::Degraded) => status(Tone::Warn, "alert", "Slow"),
        (_, Health::Maintenance) => status(Tone::Busy, "pause", "Maintenance"),
        (_, Health::Unknown) => status(Tone::Idle, "clock", "Checking"),
        (_, Health::Healthy) => status(Tone::Good, "check", "Active"),
    }
}

/// The word for a verb, as its button says it.
const fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Enable => "enable",
        Verb::Disable => "disable",
        Verb::Reconnect => "reconnect",
        Verb::Test => "test",
        Verb::BeginMaintenance => "begin_maintenance",
        Verb::EndMaintenance => "end_maintenance",
    }
}

fn nothing_yet() -> AnyView {
    view! {
        <div class="empty empty-big">
            {icon("plug")}
            <h2>"No integrations yet"</h2>
            <p class="muted">
                "Add the services that your company relies on: e-mail, calendar, payroll, storage and more. Signalbox checks every five minutes that they work and tells you when they do not."
            </p>
            {may(Permission::WriteIntegrations)
                .then(|| {
                    view! {
                        <a class="btn btn-primary" href="/integrations/new">
                            {icon("plus")}
                            "Add Integration"
                        </a>
                    }
                })}
        </div>
    }
    .into_any()
}
