//! Who does the work of an integration (P2 "Failover Configuration"): the primary, its backups, when they take over, and what
//! moved. The same panel stands on the page of every member; the settings are the primary's.

use domain::{
    IntegrationId, Permission,
    api::{Failover, FailoverMember, FailoverMove},
    failover::{FailoverMode, MAX_BACKUPS, MemberStatus, MoveKind},
};
use leptos::prelude::*;

use crate::{
    calls::{
        failover::{FailoverScreen, MoveWork, SaveFailover},
        integrations::ActOnIntegration,
    },
    components::{
        field::{FieldError, FormProblem, Number, Refusal, number_field},
        icon::icon,
        status::{Tone, count, status},
    },
    session::may,
    time::Time,
};

/// What the panel does.
#[derive(Clone, Copy)]
pub struct Actions {
    /// Changes the settings.
    pub save: ServerAction<SaveFailover>,
    /// Moves work.
    pub work: ServerAction<MoveWork>,
    /// Tests a member.
    pub act: ServerAction<ActOnIntegration>,
}

/// The tab.
pub fn tab(screen: &FailoverScreen, actions: Actions) -> AnyView {
    let failover = &screen.failover;
    let title = failover.channel.as_deref().map_or("", |channel| channel).to_owned();
    let title = title.get(..1).map(|first| first.to_uppercase() + &title[1..]).unwrap_or_default();
    let backups = failover.members.iter().skip(1).map(|member| self::member(screen, member, actions));
    let is_primary = failover.primary_integration_id == screen.id;
    view! {
        <div class="stack-wide page-narrow">
            <h2>{format!("Failover Configuration - {title}")}</h2>
            {now(failover)}
            <FormProblem refusal=Refusal::of(actions.work) />
            <section class="section" aria-labelledby="primary">
                <h3 id="primary">"Primary provider"</h3>
                {failover.members.first().map(|member| self::member(screen, member, actions))}
            </section>
            <section class="section" aria-labelledby="backups">
                <h3 id="backups">"Backup provider"</h3>
                {if failover.is_configured {
                    backups.collect_view().into_any()
                } else {
                    view! { <p class="empty">"No backup yet. Choose one below, and work goes on when this one fails."</p> }
                        .into_any()
                }}
            </section>
            {if is_primary { settings(screen, actions.save) } else { elsewhere(failover) }}
            {history(&screen.moves)}
        </div>
    }
    .into_any()
}

fn elsewhere(failover: &Failover) -> AnyView {
    let href = format!("/integrations/{}?tab=failover", failover.primary_integration_id);
    let name = failover.members.first().map(|member| member.name.clone()).unwrap_or_default();
    view! { <p class="notice">{icon("alert")} <span>"The settings are those of " <a href=href>{name}</a> "."</span></p> }
        .into_any()
}

/// What somebody should know first.
fn now(failover: &Failover) -> AnyView {
    let warning = |text: String| view! { <p class="notice notice-warn">{icon("alert")} <span>{text}</span></p> };
    let all_down = failover.is_all_down.then(|| {
        view! {
            <p class="notice notice-bad">
                {icon("alert")} <span>"Nobody works: work waits, and goes out when one of them does."</span>
            </p>
        }
    });
    let flapping = failover.is_flapping.then(|| {
        warning("Work moved too often within an hour. It stays where it is until you switch or restore.".into())
    });
    let pinned = (failover.mode == FailoverMode::Pinned).then(|| {
        let until = failover.pinned_until.map(|at| view! { " until " <Time at /> });
        view! {
            <p class="notice">
                {icon("pause")} <span>"Somebody decided: nothing moves by itself" {until} "."</span>
            </p>
        }
    });
    let warnings = failover.warnings.iter().cloned().map(warning).collect_view();
    view! { {all_down} {flapping} {pinned} {warnings} }.into_any()
}

fn member_status(status_of: MemberStatus) -> AnyView {
    match status_of {
        MemberStatus::Active => status(Tone::Good, "check", "Active"),
        MemberStatus::Standby => status(Tone::Warn, "clock", "Standby"),
        MemberStatus::Down => status(Tone::Bad, "x", "Down"),
        MemberStatus::Recovering => status(Tone::Busy, "retry", "Recovering"),
        MemberStatus::Disabled => status(Tone::Idle, "ban", "Disabled"),
        MemberStatus::Missing => status(Tone::Idle, "trash", "Deleted"),
    }
}

fn member(screen: &FailoverScreen, member: &FailoverMember, actions: Actions) -> AnyView {
    let failover = &screen.failover;
    let id = member.integration_id;
    let is_active = failover.active_integration_id == id;
    let is_primary = failover.primary_integration_id == id;
    let since = (is_active && failover.is_configured).then(|| {
        view! { <span class="muted">"Does the work since " <Time at=failover.active_since /></span> }
    });
    let failures = (member.failures > 0).then(|| {
        let text = count(member.failures.into(), "failure in a row", "failures in a row");
        view! { <span class="bad num">{text}</span> }
    });
    let next = member.next_probe_at.map(|at| view! { <span class="muted">"Tried again " <Time at /></span> });
    let error = member.last_error.clone().map(|error| view! { <p class="bad break">{error}</p> });
    let name = member.name.clone();
    let label = format!("{name}{}", if is_active { " (Currently Active)" } else { "" });
    let is_there = member.status != MemberStatus::Missing;
    view! {
        <article class="card stack" aria-label=name.clone()>
            <div class="row">
                <a class="strong grow" href=format!("/integrations/{id}")>{label}</a>
                {member_status(member.status)}
            </div>
            <p class="muted mono break">{member.target.clone()}</p>
            <p class="row">{since} {failures} {next}</p>
            {error}
            {is_there.then(|| buttons(screen, member, is_active, is_primary, actions))}
        </article>
    }
    .into_any()
}

fn buttons(
    screen: &FailoverScreen,
    member: &FailoverMember,
    is_active: bool,
    is_primary: bool,
    actions: Actions,
) -> AnyView {
    let (id, name) = (member.integration_id.to_string(), member.name.clone());
    let operates = may(Permission::OperateIntegrations);
    let is_configured = screen.failover.is_configured;
    let pending = actions.act.pending();
    let test = (operates && member.status != MemberStatus::Disabled).then(|| {
        let (id, label) = (id.clone(), format!("Test Connection: {name}"));
        view! {
            <ActionForm action=actions.act attr:class="inline">
                <input type="hidden" name="id" value=id />
                <button class="btn btn-sm" name="verb" value="test" aria-label=label disabled=move || pending.get()>
                    "Test Connection"
                </button>
            </ActionForm>
        }
    });
    let is_pinned = screen.failover.mode == FailoverMode::Pinned;
    let restore = (operates && is_configured && is_primary && (!is_active || is_pinned))
        .then(|| confirm(screen.id, &id, "restore", "Restore Primary", &name, actions.work));
    let switch = (operates && is_configured && !is_active && !is_primary)
        .then(|| confirm(screen.id, &id, "switch", "Switch Now", &name, actions.work));
    let promote = (may(Permission::WriteIntegrations) && !is_primary)
        .then(|| confirm(screen.id, &id, "make_primary", "Make Primary", &name, actions.work));
    view! {
        <div class="row">
            <a class="btn btn-sm" href=format!("/integrations/{id}?tab=settings") aria-label=format!("Configure: {name}")>
                "Configure"
            </a>
            {test}
            {switch}
            {restore}
            {promote}
        </div>
    }
    .into_any()
}

/// A move with its reason.
fn confirm(
    id: IntegrationId,
    to: &str,
    verb: &'static str,
    label: &'static str,
    name: &str,
    work: ServerAction<MoveWork>,
) -> AnyView {
    let (question, is_timed) = match verb {
        "switch" => {
            (format!("Work goes to {name} and stays there until you restore the primary. It is tested first."), true)
        }
        "restore" => (format!("Work goes back to {name}, and results decide again. It is tested first."), false),
        _ => (format!("{name} becomes the primary and gets the work; the primary becomes its first backup."), false),
    };
    let refusal = Refusal::of(work);
    let pending = work.pending();
    let (id, to) = (id.to_string(), to.to_owned());
    let (reason_id, minutes_id) = (format!("reason-{verb}-{to}"), format!("minutes-{verb}-{to}"));
    let spoken = format!("{label}: {name}");
    let minutes = is_timed.then(|| {
        let id = minutes_id.clone();
        view! {
            <div class="field">
                <label class="field-label" for=minutes_id>
                    "For (minutes)"
                </label>
                <input class="input num" id=id name="minutes" inputmode="numeric" autocomplete="off" placeholder="Until it is restored" />
                <FieldError refusal name="pin_minutes" />
            </div>
        }
    });
    let input_id = reason_id.clone();
    view! {
        <details class="confirm">
            <summary class="btn btn-sm" aria-label=spoken>{label}</summary>
            <ActionForm action=work attr:class="confirm-box form" attr:novalidate=true>
                <input type="hidden" name="id" value=id />
                <input type="hidden" name="to" value=to />
                <p>{question}</p>
                <div class="field">
                    <label class="field-label" for=reason_id>
                        "Reason"
                    </label>
                    <input
                        class="input"
                        id=input_id
                        name="reason"
                        autocomplete="off"
                        aria-invalid=move || refusal.field("reason").map(|_| "true")
                    />
                    <FieldError refusal name="reason" />
                </div>
                {minutes}
                <label class="check">
                    <input type="checkbox" class="checkbox" name="force" value="true" />
                    "Even if its test fails"
                </label>
                <button class="btn btn-primary" name="verb" value=verb disabled=move || pending.get()>
                    {format!("Yes, {}", label.to_lowercase())}
                </button>
            </ActionForm>
        </details>
    }
    .into_any()
}

fn settings(screen: &FailoverScreen, save: ServerAction<SaveFailover>) -> AnyView {
    let refusal = Refusal::of(save);
    let pending = save.pending();
    let failover = &screen.failover;
    let rules = failover.rules;
    let may_write = may(Permission::WriteIntegrations);
    let chosen: Vec<IntegrationId> =
        failover.backup_integration_id.into_iter().chain(failover.further_backup_ids.iter().copied()).collect();
    let shown = (chosen.len() + 1).min(MAX_BACKUPS).min(screen.candidates.len().max(1));
    let selects = (0..shown).map(|index| backup_select(screen, index, chosen.get(index).copied(), refusal));
    let selects = selects.collect_view();
    let switch = |name: &'static str, label: &'static str, checked: bool| {
        view! {
            <label class="check">
                <input type="checkbox" class="checkbox" name=name value="true" checked=checked />
                {label}
            </label>
        }
    };
    let threshold = Number {
        post: "threshold".to_owned(),
        name: "failover_threshold".to_owned(),
        label: "Trigger after".into_any(),
        unit: "consecutive failures",
        value: rules.failover_threshold.to_string(),
        empty: "",
    };
    let (id, version) = (screen.id.to_string(), failover.version);
    view! {
        <ActionForm action=save attr:class="card form" attr:novalidate=true>
            <h3>"Failover settings"</h3>
            <FormProblem refusal />
            <input type="hidden" name="id" value=id />
            <input type="hidden" name="version" value=version />
            {selects}
            {switch("automatic", "Enable automatic failover", rules.enable_auto_failover)}
            {number_field(threshold, refusal)}
            {switch("alert", "Send alert on failover", rules.alert_on_failover)}
            {switch("restore", "Auto-restore when primary recovers", rules.auto_restore)}
            <div class="form-foot">
                <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                    "Save Configuration"
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}

fn backup_select(screen: &FailoverScreen, index: usize, chosen: Option<IntegrationId>, refusal: Refusal) -> AnyView {
    let (label, field) = match index {
        0 => ("Backup provider".to_owned(), "backup_integration_id"),
        _ => (format!("Backup {} (optional)", index + 1), "further_backup_ids"),
    };
    let id = format!("backup-{index}");
    let options = screen.candidates.iter().map(|(candidate, name)| {
        let selected = chosen == Some(*candidate);
        view! {
            <option value=candidate.to_string() selected=selected>
                {name.clone()}
            </option>
        }
    });
    let options = options.collect_view();
    let select_id = id.clone();
    view! {
        <div class="field">
            <label class="field-label" for=id>
                {label}
            </label>
            <select
                class="select"
                id=select_id
                name="backups[]"
                aria-invalid=move || refusal.field(field).map(|_| "true")
                aria-describedby=format!("{field}-error")
            >
                <option value="">"None"</option>
                {options}
            </select>
            {(index < 2).then(|| view! { <FieldError refusal name=field /> })}
        </div>
    }
    .into_any()
}

fn history(moves: &[FailoverMove]) -> AnyView {
    let row = |moved: &FailoverMove| {
        let kind = match moved.kind {
            MoveKind::Switched => status(Tone::Warn, "send", "Switched"),
            MoveKind::Restored => status(Tone::Good, "retry", "Restored"),
        };
        let failures = (moved.failures > 0)
            .then(|| format!(" ({})", count(moved.failures.into(), "failure in a row", "failures in a row")));
        view! {
            <li class="stack">
                <p class="row">
                    {kind} <span class="grow">{format!("{} → {}", moved.from_name, moved.to_name)}</span>
                    <span class="muted"><Time at=moved.at /></span>
                </p>
                <p class="break">{moved.reason.clone()}</p>
                <p class="muted">{format!("By {}", moved.actor)} {failures}</p>
            </li>
        }
    };
    view! {
        <section class="card stack" aria-labelledby="moves">
            <h3 id="moves">"History"</h3>
            {if moves.is_empty() {
                view! { <p class="muted">"Nothing moved yet."</p> }.into_any()
            } else {
                view! { <ul class="moves">{moves.iter().map(row).collect_view()}</ul> }.into_any()
            }}
        </section>
    }
    .into_any()
}
