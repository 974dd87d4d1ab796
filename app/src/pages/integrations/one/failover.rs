//! Who does the work of an integration (P2 "Failover Configuration"): the primary, its backups, when they take over, and what
//! moved. The same panel stands on the page of every member; the settings are the primary's.

use domain::{
    IntegrationId, Permission,
    api::{Failover, FailoverMember, FailoverMove},
    failover::{FailoverMode, MAX_BACKUPS, MemberStatus, MoveKind},
};
use leptos::prelude::*;

use super::rehearsal;
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        failover::{FailoverScreen, MoveWork, RehearsalAsked, SaveFailover},
        integrations::ActOnIntegration,
    },
    components::{
        field::{FieldError, FormProblem, Number, Refusal, number_field},
        icon::icon,
        loaded::loaded,
        status::{Tone, count, status},
    },
    pages::lazy::Shown,
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

/// What is known: forms stand on what was loaded with them, all else follows the news.
#[derive(Clone, Copy)]
struct Known {
    first: StoredValue<FailoverScreen>,
    news: RwSignal<Option<FailoverScreen>>,
}

impl Known {
    fn newest<T>(self, look: impl Fn(&FailoverScreen) -> T) -> T {
        self.first.with_value(|first| {
            self.news.with(|news| {
                let is_newer =
                    |news: &&FailoverScreen| news.id == first.id && news.failover.version >= first.failover.version;
                look(news.as_ref().filter(is_newer).unwrap_or(first))
            })
        })
    }
}

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn integration_failover(
    screen: Answer<Option<FailoverScreen>>,
    news: RwSignal<Option<FailoverScreen>>,
    actions: Actions,
    rehearsed: Option<RehearsalAsked>,
) -> Shown {
    Ok(loaded(screen, move |screen| screen.map(|screen| tab(&screen, news, actions, rehearsed.clone()))))
}

/// `news` is what was heard since `screen` was loaded, `rehearsed` the settings that are tried.
fn tab(
    screen: &FailoverScreen,
    news: RwSignal<Option<FailoverScreen>>,
    actions: Actions,
    rehearsed: Option<RehearsalAsked>,
) -> AnyView {
    let known = Known { first: StoredValue::new(screen.clone()), news };
    let failover = &screen.failover;
    let channel = failover.channel.clone().unwrap_or_default();
    let title = channel.get(..1).map(|first| first.to_ascii_uppercase() + &channel[1..]).unwrap_or_default();
    let ids: Vec<IntegrationId> = failover.members.iter().map(|member| member.integration_id).collect();
    let cards = ids.iter().map(|id| card(screen, known, *id, actions)).collect::<Vec<_>>();
    let mut cards = cards.into_iter();
    let primary = cards.next();
    let backups = cards.collect_view();
    let is_primary = failover.primary_integration_id == screen.id;
    view! {
        <div class="stack-wide page-narrow">
            <h2>{format!("Failover Configuration - {title}")}</h2>
            {move || known.newest(|screen| notices(&screen.failover))}
            <FormProblem refusal=Refusal::of(actions.work) />
            <section class="section" aria-labelledby="primary">
                <h3 id="primary">"Primary provider"</h3>
                {primary}
            </section>
            <section class="section" aria-labelledby="backups">
                <h3 id="backups">"Backup provider"</h3>
                {if failover.is_configured {
                    backups.into_any()
                } else {
                    view! { <p class="empty">"No backup yet. Choose one below, and work goes on when this one fails."</p> }
                        .into_any()
                }}
            </section>
            {if is_primary { settings(screen, actions.save) } else { elsewhere(failover) }}
            {failover.is_configured.then(|| rehearsal::section(screen, rehearsed))}
            <section class="card stack" aria-labelledby="moves">
                <h3 id="moves">"History"</h3>
                {move || known.newest(|screen| history(&screen.moves))}
            </section>
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
fn notices(failover: &Failover) -> AnyView {
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

/// One member: its facts follow the news, its forms come and go with what they are for.
fn card(screen: &FailoverScreen, known: Known, id: IntegrationId, actions: Actions) -> AnyView {
    let name = screen.failover.members.iter().find(|member| member.integration_id == id);
    let (name, is_there) =
        name.map(|member| (member.name.clone(), member.status != MemberStatus::Missing)).unwrap_or_default();
    view! {
        <article class="card stack" aria-label=name.clone()>
            {move || known.newest(|screen| facts(&screen.failover, id))}
            {is_there.then(|| buttons(screen, known, id, &name, actions))}
        </article>
    }
    .into_any()
}

fn facts(failover: &Failover, id: IntegrationId) -> Option<AnyView> {
    let member: &FailoverMember = failover.members.iter().find(|member| member.integration_id == id)?;
    let is_active = failover.active_integration_id == id;
    let since = (is_active && failover.is_configured).then(|| {
        view! { <span class="muted">"Does the work since " <Time at=failover.active_since /></span> }
    });
    let failures = (member.failures > 0).then(|| {
        let text = count(member.failures.into(), "failure in a row", "failures in a row");
        view! { <span class="bad num">{text}</span> }
    });
    let next = member.next_probe_at.map(|at| view! { <span class="muted">"Next try " <Time at /></span> });
    let error = member.last_error.clone().map(|error| view! { <p class="bad break">{error}</p> });
    let label = format!("{}{}", member.name, if is_active { " (Currently Active)" } else { "" });
    Some(
        view! {
            <div class="row">
                <a class="strong grow" href=format!("/integrations/{id}")>
                    {label}
                </a>
                {member_status(member.status)}
            </div>
            <p class="muted mono break">{member.target.clone()}</p>
            <p class="row">{since} {failures} {next}</p>
            {error}
        }
        .into_any(),
    )
}

fn buttons(screen: &FailoverScreen, known: Known, id: IntegrationId, name: &str, actions: Actions) -> AnyView {
    let (own, name) = (screen.id, name.to_owned());
    let (is_configured, primary) = (screen.failover.is_configured, screen.failover.primary_integration_id);
    let is_primary = primary == id;
    let is_active = Memo::new(move |_| known.newest(|screen| screen.failover.active_integration_id == id));
    let is_pinned = Memo::new(move |_| known.newest(|screen| screen.failover.mode == FailoverMode::Pinned));
    let operates = may(Permission::OperateIntegrations);
    let pending = actions.act.pending();
    let (id, work) = (id.to_string(), actions.work);
    let test = operates.then(|| {
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
    let form = {
        let (id, name) = (id.clone(), name.clone());
        move |verb, label| confirm(own, &id, verb, label, &name, work)
    };
    let (restore, switch, promote) = (form.clone(), form.clone(), form);
    let may_restore = move || operates && is_configured && is_primary && (!is_active.get() || is_pinned.get());
    let may_switch = move || operates && is_configured && !is_primary && !is_active.get();
    let may_promote = may(Permission::WriteIntegrations) && !is_primary;
    view! {
        <div class="member-actions">
            <a class="btn btn-sm" href=format!("/integrations/{id}?tab=settings") aria-label=format!("Configure: {name}")>
                "Configure"
            </a>
            {test}
            {move || may_switch().then(|| switch("switch", "Switch Now"))}
            {move || may_restore().then(|| restore("restore", "Restore Primary"))}
            {may_promote.then(|| promote("make_primary", "Make Primary"))}
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
    let error = move |field: &'static str, of: &str| {
        let id = format!("{of}-error");
        view! {
            <p class="field-error" id=id>
                {move || refusal.field(field)}
            </p>
        }
    };
    let minutes = is_timed.then(|| {
        let (id, described) = (minutes_id.clone(), format!("{minutes_id}-error"));
        view! {
            <div class="field">
                <label class="field-label" for=minutes_id.clone()>
                    "For (minutes)"
                </label>
                <input
                    class="input num"
                    id=id
                    name="minutes"
                    inputmode="numeric"
                    autocomplete="off"
                    placeholder="Until it is restored"
                    aria-invalid=move || refusal.field("pin_minutes").map(|_| "true")
                    aria-describedby=described
                />
                {error("pin_minutes", &minutes_id)}
            </div>
        }
    });
    let (input_id, described) = (reason_id.clone(), format!("{reason_id}-error"));
    let reason_error = error("reason", &reason_id);
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
                        aria-describedby=described
                    />
                    {reason_error}
                </div>
                {minutes}
                <label class="check">
                    <input type="checkbox" class="checkbox" name="force" value="true" />
                    "Even if its test fails"
                </label>
                <button class="btn btn-primary" name="verb" value=verb disabled=move || pending.get()>
                    {format!("Yes, {}", label.to_ascii_lowercase())}
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
    if moves.is_empty() {
        view! { <p class="muted">"Nothing moved yet."</p> }.into_any()
    } else {
        view! { <ul class="moves">{moves.iter().map(row).collect_view()}</ul> }.into_any()
    }
}
