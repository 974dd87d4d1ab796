//! `/alerts`: what somebody should look at, what is said of it, and who is told.

use domain::{
    AlertRule, AlertSettings, AlertState, Permission, Severity,
    api::{Alert, AlertQuery, Page},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::alerts::{ActOnAlert, SaveAlertSettings, list_alerts, show_alert_settings},
    components::{
        field::{FieldError, FormProblem, Refusal, TextField},
        frame::can_notify,
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        status::{Tone, count, status},
        toast::Toasts,
    },
    live::Live,
    session::may,
    time::Time,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Open,
    History,
    Settings,
}

/// The list.
#[component]
pub fn Alerts() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let shown = Memo::new(move |_| match query.with(|query| query.get("view")).as_deref() {
        Some("history") => View::History,
        Some("settings") => View::Settings,
        _ => View::Open,
    });
    let cursor = move || query.with(|query| query.get("cursor")).filter(|text| !text.is_empty());
    let act = ServerAction::<ActOnAlert>::new();
    let save = ServerAction::<SaveAlertSettings>::new();
    let toasts: Toasts = expect_context();
    save.after_success(move || toasts.say("Saved"));
    let ticks = live.ticks(|event| event.is_of("alerts"));
    let alerts = Answer::new(
        move || {
            let fresh = (ticks.get(), act.version().get(), live.missed.get());
            (shown.get(), cursor(), fresh)
        },
        |(shown, cursor, _)| async move {
            let state = (shown == View::History).then_some(AlertState::Resolved);
            list_alerts(AlertQuery { state, limit: Some(50), cursor, ..AlertQuery::default() }).await
        },
    );
    let settings = Answer::new(|| (), |()| show_alert_settings());
    let tab = move |it: View, href: &'static str, title: &'static str| {
        view! {
            <a href=href aria-current=move || (shown.get() == it).then_some("page") data-noscroll="">
                {title}
            </a>
        }
    };
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Alerts" />
                <button type="button" class="btn needs-js" on:click=move |_| {
                    if can_notify() {
                        drop(web_sys::Notification::request_permission());
                    } else {
                        toasts.say("This browser has no notifications");
                    }
                }>
                    {icon("bell")}
                    "Browser notifications"
                </button>
            </div>
            <nav class="tabs" aria-label="Alerts">
                {tab(View::Open, "/alerts", "Open")}
                {tab(View::History, "/alerts?view=history", "History")}
                {tab(View::Settings, "/alerts?view=settings", "Settings")}
            </nav>
            <FormProblem refusal=Refusal::of(act) />
            {move || match shown.get() {
                View::Settings => loaded(settings, move |settings| settings_form(&settings, save)),
                shown => loaded(alerts, move |page| list(&page, shown, cursor().is_some(), act)),
            }}
        </div>
    }
    .into_any()
}

fn list(page: &Page<Alert>, shown: View, is_later: bool, act: ServerAction<ActOnAlert>) -> AnyView {
    if page.data.is_empty() {
        let words = if shown == View::Open { "Nothing needs attention." } else { "No alert was resolved yet." };
        return view! { <p class="empty">{words}</p> }.into_any();
    }
    let path = if shown == View::Open { "/alerts" } else { "/alerts?view=history" };
    view! {
        <ul class="alerts">{page.data.iter().map(|alert| card(alert, act)).collect_view()}</ul>
        {pager(path, is_later, page.next_cursor.as_deref())}
    }
    .into_any()
}

/// Where the subject of an alert is.
fn subject_href(alert: &Alert) -> Option<String> {
    let subject = alert.about();
    match subject.split_once('_')?.0 {
        "int" => {
            let is_about_a_group =
                matches!(alert.rule, AlertRule::FailedOver | AlertRule::FailoverFlapping | AlertRule::AllDown);
            Some(format!("/integrations/{subject}{}", if is_about_a_group { "?tab=failover" } else { "" }))
        }
        "whk" => Some(format!("/webhooks/{subject}")),
        "org" if alert.rule == AlertRule::DeadLetters => Some("/dead-letters".to_owned()),
        "key" => Some("/api".to_owned()),
        _ => None,
    }
}

fn card(alert: &Alert, act: ServerAction<ActOnAlert>) -> AnyView {
    let severity = match (alert.state, alert.severity) {
        (AlertState::Resolved, _) => status(Tone::Good, "check", "Resolved"),
        (_, Severity::Critical) => status(Tone::Bad, "x", "Critical"),
        (_, Severity::Warning) => status(Tone::Warn, "alert", "Warning"),
        (_, Severity::Info) => status(Tone::Idle, "bell", "Notice"),
    };
    let is_open = alert.state != AlertState::Resolved;
    let href = subject_href(alert);
    let title = alert.title.clone();
    let button = move |value: &'static str, label: &'static str| {
        let spoken = format!("{label}: {title}");
        view! {
            <button class="btn btn-sm" name="say" value=value aria-label=spoken>
                {label}
            </button>
        }
    };
    let (id, state) = (alert.id.to_string(), alert.state);
    let acknowledge = (state != AlertState::Acknowledged).then(|| button("acknowledge", "Acknowledge"));
    let snooze = (state != AlertState::Snoozed).then(|| button("snooze", "Snooze 1 h"));
    let resolve = button("resolve", "Resolve");
    let buttons = (is_open && may(Permission::OperateIntegrations)).then(|| {
        view! {
            <ActionForm action=act attr:class="row">
                <input type="hidden" name="id" value=id />
                {acknowledge}
                {snooze}
                {resolve}
            </ActionForm>
        }
    });
    let (detail, times) = (alert.detail.clone(), count(alert.occurrences, "time", "times"));
    view! {
        <li class="card stack">
            <div class="row">
                {severity}
                {match href {
                    Some(href) => view! { <a class="row-link strong" data-row="" href=href>{alert.title.clone()}</a> }.into_any(),
                    None => view! { <span class="strong">{alert.title.clone()}</span> }.into_any(),
                }}
                <span class="badge">{alert.rule.label()}</span>
            </div>
            {(!alert.impact.is_empty()).then(|| view! { <p>{format!("Impact: {}", alert.impact)}</p> })}
            {(!detail.is_empty()).then(|| view! { <p class="mono muted break pre clamp">{detail}</p> })}
            <p class="muted">
                "Since " <Time at=alert.first_at /> {format!(", noticed {times}, last ")} <Time at=alert.last_at />
                {alert.acknowledged_by.clone().map(|by| format!(". Acknowledged by {by}"))}
                {alert.snoozed_until.map(|at| view! { ". Snoozed until " <Time at /> })}
                {alert.resolved_at.map(|at| view! { ". Resolved " <Time at /> })}
            </p>
            {buttons}
        </li>
    }
    .into_any()
}

fn settings_form(settings: &AlertSettings, save: ServerAction<SaveAlertSettings>) -> AnyView {
    let refusal = Refusal::of(save);
    let pending = save.pending();
    let may_write = may(Permission::WriteSettings);
    let (emails, slack, minutes) = (settings.emails.join(", "), settings.slack, settings.reminder_minutes.to_string());
    let rules = AlertRule::ALL.iter().map(|rule| {
        let checked = !settings.muted.contains(rule);
        view! {
            <label class="check">
                <input type="checkbox" class="checkbox" name="told[]" value=rule.as_str() checked=checked />
                {rule.label()}
            </label>
        }
    });
    let rules = rules.collect_view();
    view! {
        <ActionForm action=save attr:class="card form page-narrow" attr:novalidate=true>
            <FormProblem refusal />
            <TextField
                label="Alert e-mail addresses"
                name="emails"
                value=emails
                placeholder="ops@example.com, admin@example.com"
                hint="Separated by commas. Sent through an e-mail integration that works."
                refusal
            />
            <label class="check">
                <input type="checkbox" class="checkbox" name="slack" value="true" checked=slack />
                "Post to Slack integrations"
            </label>
            <TextField
                label="Remind every (minutes)"
                name="reminder_minutes"
                value=minutes
                hint="While nobody acknowledged it. 0: no reminders."
                refusal
            />
            <fieldset class="field">
                <legend class="field-label">"Tell people of"</legend>
                <div class="checks">{rules}</div>
                <FieldError refusal name="muted" />
            </fieldset>
            <div class="form-foot">
                <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                    "Save"
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}
