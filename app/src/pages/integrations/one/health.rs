//! The health of an integration (UC §5): since when, what goes wrong and what that suggests, figures against what is normal,
//! and what to press.

use domain::{
    IntegrationStatus, Permission,
    api::{ActionStep, HealthFigures, HealthHour},
    catalogue::Action,
    health::Health,
    human_ms,
};
use leptos::prelude::*;

use super::super::health_status;
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        failover::MoveWork,
        integrations::{ActOnIntegration, Diagnose, HealthScreen},
    },
    components::{
        charts::{average_chart, heartbeats, results_chart},
        field::{FormProblem, Refusal},
        icon::icon,
        loaded::loaded,
        status::{count, thousands},
    },
    pages::{lazy::Shown, overview::success_rate},
    session::may,
    time::Time,
};

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn integration_health(
    report: Answer<Option<HealthScreen>>,
    act: ServerAction<ActOnIntegration>,
    diagnose: ServerAction<Diagnose>,
    work: ServerAction<MoveWork>,
) -> Shown {
    Ok(loaded(report, move |report| report.map(|report| tab(&report, act, diagnose, work))))
}

fn tab(
    report: &HealthScreen,
    act: ServerAction<ActOnIntegration>,
    diagnose: ServerAction<Diagnose>,
    work: ServerAction<MoveWork>,
) -> AnyView {
    view! {
        <div class="stack-wide">
            {now(report)} {errors(report)} {metrics(report)} {pictures(report)}
            {actions(report, diagnose, work)} {maintenance(report, act)}
        </div>
    }
    .into_any()
}

fn now(report: &HealthScreen) -> AnyView {
    let since = report.status != IntegrationStatus::Disabled && report.health != Health::Unknown;
    view! {
        <section class="card stack" aria-labelledby="now">
            <h2 id="now" class="sr-only">"Status"</h2>
            <p class="row">
                {health_status(report.status, report.health)}
                {since.then(|| view! { <span class="muted">"since " <Time at=report.health_since /></span> })}
            </p>
            <dl class="pairs">
                <dt>"Last check"</dt>
                <dd>
                    {match report.last_checked_at {
                        Some(at) => {
                            let took = report.last_latency_ms.map(|ms| format!(", {}", human_ms(ms)));
                            view! { <Time at /> {took} }.into_any()
                        }
                        None => "not yet".into_any(),
                    }}
                </dd>
                {report.next_check_at.map(|at| view! { <dt>"Next check"</dt> <dd><Time at /></dd> })}
                {report.last_error.clone().map(|error| view! { <dt>"Last error"</dt> <dd class="bad">{error}</dd> })}
            </dl>
            {heartbeats(&report.beats)}
        </section>
    }
    .into_any()
}

fn errors(report: &HealthScreen) -> Option<AnyView> {
    if report.recent_errors.is_empty() {
        return None;
    }
    let rows = report.recent_errors.iter().map(|(at, message)| {
        view! {
            <li>
                <span class="muted"><Time at=*at /></span>
                <span class="grow">{message.clone()}</span>
            </li>
        }
    });
    Some(
        view! {
            <section class="card stack attention" aria-labelledby="errors">
                <h2 id="errors">{format!("Recent errors ({})", report.recent_errors.len())}</h2>
                <ul>{rows.collect_view()}</ul>
                {report.pattern.clone().map(|pattern| view! { <p><strong>"Pattern: "</strong> {pattern}</p> })}
            </section>
        }
        .into_any(),
    )
}

/// `98.2%`.
fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1}%", (value * 10.0).floor() / 10.0))
}

fn metrics(report: &HealthScreen) -> AnyView {
    let (now, normal) = (&report.last_24h, &report.normal);
    let card = |title: String, value: String, detail: String, bad: bool| {
        let class = if bad { "muted num bad" } else { "muted num" };
        view! {
            <div class="card stat">
                <span class="stat-title">{title}</span>
                <span class="stat-value num">{value}</span>
                <span class=class>{detail}</span>
            </div>
        }
    };
    let rate = |of: &HealthFigures| success_rate(of.work_ok, of.work_ok + of.work_failed);
    let failed_share = |of: &HealthFigures| {
        let all = of.work_ok + of.work_failed;
        (all > 0).then(|| of.work_failed * 1000 / all)
    };
    let above = failed_share(now).unwrap_or_default() > failed_share(normal).unwrap_or_default();
    let unit = &report.unit;
    let ms = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), human_ms);
    let below = now.uptime_percent.is_some_and(|uptime| uptime < report.uptime_target_percent);
    view! {
        <section class="section" aria-labelledby="metrics">
            <h2 id="metrics">"Metrics (last 24 hours)"</h2>
            <div class="stats">
                {card(
                    format!("{unit} sent"),
                    thousands(now.work_ok),
                    rate(now).map_or_else(|| "none yet".to_owned(), |rate| format!("{rate} success rate")),
                    false,
                )}
                {card(
                    format!("{unit} failed"),
                    thousands(now.work_failed),
                    match failed_share(normal) {
                        Some(share) if above => format!("above normal {}.{}%", share / 10, share % 10),
                        Some(share) => format!("normal {}.{}%", share / 10, share % 10),
                        None => "nothing to compare with".to_owned(),
                    },
                    above && now.work_failed > 0,
                )}
                {card("Avg response time".to_owned(), ms(now.average_ms), format!("normal: {}", ms(normal.average_ms)), false)}
                {card(
                    "Uptime".to_owned(),
                    percent(now.uptime_percent),
                    format!("target: {}%", report.uptime_target_percent),
                    below,
                )}
                {card(
                    "Checks".to_owned(),
                    thousands(now.checks_ok + now.checks_failed),
                    count(now.checks_failed, "failed", "failed"),
                    false,
                )}
            </div>
        </section>
    }
    .into_any()
}

fn pictures(report: &HealthScreen) -> Option<AnyView> {
    let row = |hour: &HealthHour| {
        let figures = &hour.figures;
        view! {
            <tr>
                <th scope="row"><Time at=hour.at /></th>
                <td class="num">{thousands(figures.checks_ok + figures.work_ok)}</td>
                <td class="num">{thousands(figures.checks_failed + figures.work_failed)}</td>
                <td class="num">{figures.average_ms.map_or_else(|| "–".to_owned(), human_ms)}</td>
                <td class="num">{percent(figures.uptime_percent)}</td>
            </tr>
        }
    };
    let table = |title: &'static str, rows: &[HealthHour]| {
        let rows = rows.iter().rev().map(row).collect_view();
        view! {
            <details class="more">
                <summary>{title}</summary>
                <div class="card">
                    <table class="figures">
                        <caption class="sr-only">{title}</caption>
                        <thead>
                            <tr>
                                <th scope="col">"From"</th>
                                <th scope="col">"Good"</th>
                                <th scope="col">"Bad"</th>
                                <th scope="col">"Average"</th>
                                <th scope="col">"Uptime"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </details>
        }
    };
    (!report.hours.is_empty()).then(|| {
        view! {
            <div class="charts">{results_chart(&report.hours)} {average_chart(&report.hours)}</div>
            {table("Figures hour by hour", &report.hours)}
            {table("Figures day by day", &report.days)}
        }
        .into_any()
    })
}

fn actions(report: &HealthScreen, diagnose: ServerAction<Diagnose>, work: ServerAction<MoveWork>) -> AnyView {
    let id = report.id.to_string();
    let pending = diagnose.pending();
    let operates = may(Permission::OperateIntegrations);
    let step = |step: &ActionStep| {
        let button = match (step.action, step.url.clone()) {
            (Some(Action::TestNetwork), _) if operates => Some(check(&id, "network", &step.label, diagnose)),
            (Some(Action::CheckFirewall), _) if operates => Some(check(&id, "port", &step.label, diagnose)),
            (Some(Action::VerifyKey | Action::Reconnect), _) if operates => {
                Some(check(&id, "credentials", &step.label, diagnose))
            }
            (Some(Action::SwitchToBackup), _) if operates && report.can_fail_over => {
                Some(switch(&id, &step.label, work))
            }
            (Some(Action::ViewLogs), _) => Some(link(format!("/integrations/{id}?tab=logs&level=error"), &step.label)),
            (Some(Action::Configure), _) => Some(link(format!("/integrations/{id}?tab=settings"), &step.label)),
            (_, Some(url)) => Some(away(url, &step.label)),
            _ => None,
        };
        let words =
            if button.is_none() && !step.label.is_empty() { format!("{}: ", step.label) } else { String::new() };
        view! { <li>{button} <span>{words} {step.text.clone()}</span></li> }
    };
    let found = move || {
        diagnose.answer().and_then(Result::ok).map(|found| {
            let class = if found.ok { "notice notice-good" } else { "notice notice-bad" };
            view! {
                <p class=class>
                    {icon(if found.ok { "check" } else { "alert" })}
                    <span class="break">{found.message} {format!(" ({})", human_ms(found.duration_ms.into()))}</span>
                </p>
            }
        })
    };
    let support = report.support.clone().map(|url| away(url, "Contact Support"));
    view! {
        <section class="card stack" aria-labelledby="troubleshooting">
            <h2 id="troubleshooting">"Troubleshooting"</h2>
            {report.meaning.clone().map(|meaning| view! { <p>{meaning}</p> })}
            <p class="muted">"Suggested actions:"</p>
            <ol class="steps">{report.actions.iter().map(step).collect_view()}</ol>
            <FormProblem refusal=Refusal::of(diagnose) />
            <FormProblem refusal=Refusal::of(work) />
            <div aria-live="polite" aria-busy=move || pending.get().then_some("true")>
                {found}
            </div>
            <div class="row">{support}</div>
        </section>
    }
    .into_any()
}

fn check(id: &str, kind: &'static str, label: &str, diagnose: ServerAction<Diagnose>) -> AnyView {
    let pending = diagnose.pending();
    let (id, label) = (id.to_owned(), label.to_owned());
    view! {
        <ActionForm action=diagnose attr:class="inline">
            <input type="hidden" name="id" value=id />
            <button class="btn btn-sm" name="check" value=kind disabled=move || pending.get()>
                {label}
            </button>
        </ActionForm>
    }
    .into_any()
}

/// Moves work to a backup at once; which one, and until when, is said on the tab "Failover".
fn switch(id: &str, label: &str, work: ServerAction<MoveWork>) -> AnyView {
    let pending = work.pending();
    let (id, label) = (id.to_owned(), label.to_owned());
    view! {
        <ActionForm action=work attr:class="inline">
            <input type="hidden" name="id" value=id />
            <input type="hidden" name="reason" value="Switched from the health page" />
            <button class="btn btn-sm" name="verb" value="switch" disabled=move || pending.get()>
                {label}
            </button>
        </ActionForm>
    }
    .into_any()
}

fn link(href: String, label: &str) -> AnyView {
    view! { <a class="btn btn-sm" href=href>{label.to_owned()}</a> }.into_any()
}

fn away(href: String, label: &str) -> AnyView {
    view! { <a class="btn btn-sm" href=href target="_blank" rel="noreferrer">{label.to_owned()}</a> }.into_any()
}

fn maintenance(report: &HealthScreen, act: ServerAction<ActOnIntegration>) -> Option<AnyView> {
    if !may(Permission::OperateIntegrations) {
        return None;
    }
    let (verb, words) = if report.is_maintained {
        ("end_maintenance", "End maintenance")
    } else {
        ("begin_maintenance", "Begin maintenance (2 hours)")
    };
    let id = report.id.to_string();
    Some(
        view! {
            <section class="card stack" aria-labelledby="maintenance">
                <h2 id="maintenance">"Maintenance window"</h2>
                <p class="muted">"While somebody works on it, failures are not counted and nobody is alerted."</p>
                <ActionForm action=act>
                    <input type="hidden" name="id" value=id />
                    <button class="btn btn-sm" name="verb" value=verb>
                        {words}
                    </button>
                </ActionForm>
            </section>
        }
        .into_any(),
    )
}
