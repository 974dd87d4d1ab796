//! Logs of integrations (UC §8): filtered by time, level and text, expanded to details, exported, cleared. The same list stands
//! on the page of one integration and on `/logs`.

use std::{fmt::Write, sync::Arc};

use domain::{
    IntegrationId, Permission,
    api::{LogEntry, LogLevel, LogQuery, Page, TimeRange},
};
use leptos::prelude::*;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::integrations::{CONFIRMATION, ClearLog, IntegrationScreen},
    components::{
        field::{FormProblem, Refusal, TextField, empty_after},
        icon::icon,
        loaded::loaded,
        pager::pager,
        problem::encode,
        status::{Tone, status},
    },
    keyboard::shortcut,
    pages::lazy::Shown,
    session::may,
    time::Time,
};

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn integration_logs(
    screen: Arc<IntegrationScreen>,
    page: Answer<Option<Page<LogEntry>>>,
    asked: LogQuery,
    range: Option<TimeRange>,
    clear: ServerAction<ClearLog>,
) -> Shown {
    Ok(loaded(page, move |page| page.map(|page| tab(screen.id, page, &asked, range, clear))))
}

fn tab(
    id: IntegrationId,
    page: Page<LogEntry>,
    asked: &LogQuery,
    range: Option<TimeRange>,
    clear: ServerAction<ClearLog>,
) -> AnyView {
    let path = format!("/integrations/{id}?tab=logs");
    view! {
        <div class="stack-wide">
            <div class="toolbar">
                {filters(&path, Some("logs"), asked, range)}
                {exports(Some(id), asked)}
                {may(Permission::WriteIntegrations).then(|| clearing(id, clear))}
            </div>
            {list(page, &path, asked, range, &[])}
        </div>
    }
    .into_any()
}

/// The filters: a form that works by itself.
pub fn filters(path: &str, tab: Option<&'static str>, asked: &LogQuery, range: Option<TimeRange>) -> AnyView {
    let action = path.split('?').next().unwrap_or_default().to_owned();
    let level = asked.level.map_or("", LogLevel::as_str);
    let range = range.map_or("", TimeRange::as_str);
    let levels = [("", "All levels"), ("info", "Info"), ("warn", "Warnings"), ("error", "Errors")];
    let ranges = [
        ("", "All time"),
        ("15m", "Last 15 minutes"),
        ("1h", "Last hour"),
        ("24h", "Last 24 hours"),
        ("7d", "Last 7 days"),
        ("30d", "Last 30 days"),
    ];
    let options = |all: &[(&'static str, &'static str)], chosen: &str| {
        let option = |(value, label): &(&'static str, &'static str)| {
            let selected = *value == chosen;
            view! { <option value=*value selected=selected>{*label}</option> }
        };
        all.iter().map(option).collect_view()
    };
    view! {
        <form method="get" action=action class="toolbar grow" role="search">
            {tab.map(|tab| view! { <input type="hidden" name="tab" value=tab /> })}
            <select class="select" name="range" aria-label="Time range">
                {options(&ranges, range)}
            </select>
            <select class="select" name="level" aria-label="Level">
                {options(&levels, level)}
            </select>
            <label class="search">
                {icon("search")}
                <input
                    type="search"
                    name="q"
                    aria-label="Search logs"
                    aria-keyshortcuts=shortcut("/")
                    placeholder="Search messages and details"
                    value=asked.q.clone().unwrap_or_default()
                />
            </label>
            <button class="btn">"Filter"</button>
        </form>
    }
    .into_any()
}

/// The files of what is listed.
pub fn exports(integration: Option<IntegrationId>, asked: &LogQuery) -> AnyView {
    let mut conditions = String::new();
    if let Some(id) = integration {
        _ = write!(conditions, "&integration_id={id}");
    }
    if let Some(level) = asked.level {
        _ = write!(conditions, "&level={level}");
    }
    if let Some(text) = &asked.q {
        _ = write!(conditions, "&q={}", encode(text));
    }
    let file = |format: &'static str, label: &'static str| {
        let href = format!("/api/v1/logs/export?format={format}{conditions}");
        view! {
            <a class="btn" href=href download="" rel="external">
                {icon("download")}
                {label}
            </a>
        }
    };
    view! { {file("csv", "Export CSV")} {file("ndjson", "Export NDJSON")} }.into_any()
}

fn clearing(id: IntegrationId, clear: ServerAction<ClearLog>) -> AnyView {
    let refusal = Refusal::of(clear);
    let node = NodeRef::new();
    empty_after(node, clear);
    let pending = clear.pending();
    let id = id.to_string();
    view! {
        <details class="confirm confirm-right" open=refusal.is_refused()>
            <summary class="btn btn-danger">{icon("trash")} "Clear"</summary>
            <ActionForm action=clear node_ref=node attr:class="confirm-box" attr:novalidate=true>
                <FormProblem refusal />
                <input type="hidden" name="id" value=id />
                <p>"All entries of this integration are deleted. This cannot be undone. Type " <strong>{CONFIRMATION}</strong> " to confirm."</p>
                <TextField label="Confirmation" name="confirm" refusal />
                <button class="btn btn-danger" disabled=pending>
                    "Yes, clear it"
                </button>
            </ActionForm>
        </details>
    }
    .into_any()
}

/// The entries. `names` tell integrations apart where there are several.
pub fn list(
    page: Page<LogEntry>,
    path: &str,
    asked: &LogQuery,
    range: Option<TimeRange>,
    names: &[(IntegrationId, String)],
) -> AnyView {
    if page.data.is_empty() {
        let words = if asked.level.is_some() || asked.q.is_some() || range.is_some() {
            "No entry fits the filters."
        } else {
            "Nothing was logged yet. Sends, tests, failed checks and changes of health appear here."
        };
        return view! { <p class="empty">{words}</p> }.into_any();
    }
    let mut here = path.to_owned();
    let mut add = |name: &str, value: &str| {
        here.push(if here.contains('?') { '&' } else { '?' });
        _ = write!(here, "{name}={}", encode(value));
    };
    if let Some(level) = asked.level {
        add("level", level.as_str());
    }
    if let Some(text) = &asked.q {
        add("q", text);
    }
    if let Some(range) = range {
        add("range", range.as_str());
    }
    let next = page.next_cursor.clone();
    let rows = page.data.into_iter().map(|entry| line(entry, names)).collect_view();
    view! {
        <ol class="log" aria-label="Log">
            {rows}
        </ol>
        {pager(&here, asked.cursor.is_some(), next.as_deref())}
    }
    .into_any()
}

fn line(entry: LogEntry, names: &[(IntegrationId, String)]) -> AnyView {
    let level = match entry.level {
        LogLevel::Info => status(Tone::Idle, "check", "INFO"),
        LogLevel::Warn => status(Tone::Warn, "alert", "WARN"),
        LogLevel::Error => status(Tone::Bad, "x", "ERROR"),
    };
    let name = names.iter().find(|(id, _)| *id == entry.integration_id).map(|(id, name)| {
        view! { <a class="link" href=format!("/integrations/{id}?tab=logs")>{name.clone()}</a> }
    });
    let details = (!entry.details.is_empty()).then(|| {
        let rows = entry.details.into_iter().map(|(name, value)| {
            view! {
                <dt>{name}</dt>
                <dd class="mono break pre">{value}</dd>
            }
        });
        view! {
            <details>
                <summary>"Details"</summary>
                <dl class="pairs">{rows.collect_view()}</dl>
            </details>
        }
    });
    view! {
        <li>
            <span class="muted num"><Time at=entry.at /></span>
            {level}
            <div class="grow">
                <span>{name} " " {entry.message}</span>
                {details}
            </div>
        </li>
    }
    .into_any()
}
