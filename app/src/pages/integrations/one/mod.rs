//! `/integrations/{id}`: one integration. Tabs are in the address (`?tab=`), so that each can be linked to.

pub mod connection;
mod failover;
mod health;
pub mod logs;
mod rehearsal;
mod runbook;
mod settings;

use domain::{
    IntegrationState, Permission,
    api::{LogLevel, LogQuery, TimeRange},
};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::{use_params_map, use_query_map};
use std::sync::Arc;

use super::{health_status, report, verb_word};
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        failover::{MoveWork, RehearsalAsked, SaveFailover, ShowFailover, show_failover},
        integrations::{
            ActOnIntegration, ClearLog, DeleteIntegration, Diagnose, IntegrationScreen, ListLogsIn, SaveIntegration,
            SaveRunbook, SendTestEmail, ShowHealth, ShowSettings, Verb, show_integration,
        },
        oauth::ShowConnection,
    },
    components::{
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::loaded_or,
        problem::problem_page,
        toast::Toasts,
    },
    keyboard::shortcut,
    live::{Connection, Live},
    pages::lazy::lazily,
    session::may,
    time::Time,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Health,
    Connection,
    Settings,
    Logs,
    Failover,
    Runbook,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Health, "health", "Health"),
        (Self::Connection, "connection", "Connection"),
        (Self::Settings, "settings", "Settings"),
        (Self::Logs, "logs", "Logs"),
        (Self::Failover, "failover", "Failover"),
        (Self::Runbook, "runbook", "Runbook"),
    ];

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|(_, it, _)| *it == name).map_or(Self::Health, |(tab, ..)| tab)
    }
}

/// What the tabs do; made once, whichever tab is open.
#[derive(Clone, Copy)]
struct Actions {
    act: ServerAction<ActOnIntegration>,
    save: ServerAction<SaveIntegration>,
    delete: ServerAction<DeleteIntegration>,
    mail: ServerAction<SendTestEmail>,
    diagnose: ServerAction<Diagnose>,
    runbook: ServerAction<SaveRunbook>,
    clear: ServerAction<ClearLog>,
    save_failover: ServerAction<SaveFailover>,
    work: ServerAction<MoveWork>,
}

/// Fetches the code of a tab; true once it is here.
#[cfg(feature = "hydrate")]
pub async fn fetch_tab(name: &str) -> bool {
    let fetched = match Tab::named(name) {
        Tab::Health => health::__preload_integration_health().await,
        Tab::Connection => connection::__preload_integration_connection().await,
        Tab::Settings => settings::__preload_integration_settings().await,
        Tab::Logs => logs::__preload_integration_logs().await,
        Tab::Failover => failover::__preload_integration_failover().await,
        Tab::Runbook => runbook::__preload_integration_runbook().await,
    };
    fetched.is_ok()
}

/// One integration with its tabs, each of which is a download of its own.
#[component]
pub fn IntegrationPage() -> AnyView {
    let params = use_params_map();
    let query = use_query_map();
    let live: Live = expect_context();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let tab = Memo::new(move |_| query.with(|query| Tab::named(query.get_str("tab").unwrap_or_default())));
    let asked = move |name: &'static str| query.with(|query| query.get(name)).filter(|text| !text.is_empty());
    let actions = Actions {
        act: ServerAction::new(),
        save: ServerAction::new(),
        delete: ServerAction::new(),
        mail: ServerAction::new(),
        diagnose: ServerAction::new(),
        runbook: ServerAction::new(),
        clear: ServerAction::new(),
        save_failover: ServerAction::new(),
        work: ServerAction::new(),
    };
    tell_of_moves(actions);
    report(actions.act);
    let connecting = connection::Actions::new();
    // Not with every health check: what is being chosen or shown would be taken away.
    let connections = live.ticks(|event| event.is_of("connections"));
    let ticks = live.ticks(|event| event.is_of("integrations"));
    // A form that is being filled in is not taken away by news: settings are fetched again only after a change of ours.
    let saved = Memo::new(move |seen: Option<&u32>| {
        let succeeded = matches!(actions.save.answer(), Some(Ok(None)));
        seen.copied().unwrap_or_default() + u32::from(succeeded)
    });
    let changes = move || (saved.get(), actions.act.version().get(), actions.runbook.version().get());
    let screen = Answer::new(move || (id.get(), changes()), |(id, _)| show_integration(id));
    let report = Answer::asked(
        move || {
            let moves = (actions.act.version().get(), actions.mail.version().get(), actions.work.version().get());
            let fresh = (ticks.get(), live.missed.get(), moves);
            (tab.get() == Tab::Health).then(|| (id.get(), fresh))
        },
        |asked| asked.map(|(id, _)| ShowHealth { id }),
    );
    let settings = Answer::asked(
        move || (tab.get() == Tab::Settings).then(|| (id.get(), changes())),
        |asked| asked.map(|(id, _)| ShowSettings { id }),
    );
    let connection = Answer::asked(
        move || {
            let fresh = (connections.get(), live.missed.get(), connecting.done());
            (tab.get() == Tab::Connection).then(|| (id.get(), fresh))
        },
        |asked| asked.map(|(id, _)| ShowConnection { id }),
    );
    let log_query = move || LogQuery {
        integration_id: id.get().parse().ok(),
        level: asked("level").and_then(|text| text.parse::<LogLevel>().ok()),
        q: asked("q"),
        limit: Some(50),
        cursor: asked("cursor"),
        ..LogQuery::default()
    };
    let range = move || asked("range").and_then(|text| text.parse::<TimeRange>().ok());
    let logs = Answer::asked(
        move || {
            let fresh = (ticks.get(), live.missed.get(), actions.clear.version().get());
            (tab.get() == Tab::Logs).then(|| (log_query(), range(), fresh))
        },
        |asked| asked.map(|(query, range, _)| ListLogsIn { query, range }),
    );
    // A refused move leaves what was typed where it is.
    let reset = actions.save_failover.successes();
    let moved = actions.work.successes();
    let rehearsed = move || {
        let typed = |name| asked(name).unwrap_or_default();
        query.with(|query| query.get("hours").is_some()).then(|| RehearsalAsked {
            hours: typed("hours"),
            threshold: typed("threshold"),
            restore: asked("restore").is_some(),
        })
    };
    let failover = Answer::asked(
        move || (tab.get() == Tab::Failover).then(|| (id.get(), rehearsed(), reset.get(), moved.get())),
        |asked| asked.map(|(id, asked, ..)| ShowFailover { id, asked }),
    );
    // Of a group, only what stands beside its forms follows the news.
    let news = RwSignal::new(None);
    Effect::new(move |_| {
        _ = (ticks.get(), live.missed.get(), actions.act.version().get());
        // What happened between loading and connecting was told to nobody.
        let is_connected = live.connection.get() == Connection::Open;
        if is_connected && tab.get() == Tab::Failover {
            spawn_local(async move {
                if let Ok(screen) = show_failover(id.get_untracked(), None).await {
                    // The page may be gone by now.
                    _ = news.try_set(Some(screen));
                }
            });
        }
    });
    let show = move |screen: IntegrationScreen| {
        let head = head(&screen, actions.act, tab);
        let screen = Arc::new(screen);
        let body = lazily(move || {
            let screen = screen.clone();
            let Actions { act, save, delete, mail, diagnose, runbook, clear, save_failover, work } = actions;
            match tab.get() {
                Tab::Health => Box::pin(health::integration_health(report, act, diagnose, work)),
                Tab::Connection => Box::pin(connection::integration_connection(screen, connection, connecting)),
                Tab::Settings => Box::pin(settings::integration_settings(settings, save, mail, delete)),
                Tab::Logs => Box::pin(logs::integration_logs(screen, logs, log_query(), range(), clear)),
                Tab::Failover => {
                    let actions = failover::Actions { save: save_failover, work, act };
                    Box::pin(failover::integration_failover(failover, news, actions, rehearsed()))
                }
                Tab::Runbook => Box::pin(runbook::integration_runbook(screen, runbook)),
            }
        });
        view! {
            <div class="page">
                {head}
                {body}
            </div>
        }
    };
    loaded_or(screen, show, problem_page)
}

/// Says what a change or a move came to.
fn tell_of_moves(actions: Actions) {
    let toasts: Toasts = expect_context();
    actions.save_failover.after_success(move || toasts.say("Saved"));
    actions.work.on_success(move |moved| {
        let name = moved.active().map(|member| member.name.clone()).unwrap_or_default();
        toasts.say(&format!("Work runs on {name}"));
    });
}

fn head(screen: &IntegrationScreen, act: ServerAction<ActOnIntegration>, tab: Memo<Tab>) -> AnyView {
    let id = screen.id.to_string();
    let path = format!("/integrations/{id}");
    // Where nothing can stand in, or nobody consents, there is nothing to configure.
    let is_shown = move |tab: Tab| match tab {
        Tab::Connection => screen.is_oauth,
        Tab::Failover => screen.can_fail_over,
        _ => true,
    };
    let tabs = Tab::ALL.into_iter().filter(|(it, ..)| is_shown(*it)).map(|(it, name, title)| {
        let key = match it {
            Tab::Connection => Some("c"),
            Tab::Settings => Some("e"),
            Tab::Logs => Some("l"),
            Tab::Health | Tab::Failover | Tab::Runbook => None,
        };
        view! {
            <a
                href=format!("{path}?tab={name}")
                aria-current=move || (tab.get() == it).then_some("page")
                aria-keyshortcuts=key.map(shortcut)
                data-noscroll=""
            >
                {title}
            </a>
        }
    });
    let tabs = tabs.collect_view();
    let is_active = screen.state == IntegrationState::Active;
    let button = move |verb: Verb, label: &'static str, name: &'static str, key: Option<&'static str>| {
        view! {
            <button class="btn" name="verb" value=verb_word(verb) aria-keyshortcuts=key.map(shortcut)>
                {icon(name)}
                {label}
            </button>
        }
    };
    let operate =
        may(Permission::OperateIntegrations).then(|| button(Verb::Reconnect, "Reconnect", "retry", Some("r")));
    let test = (is_active && may(Permission::OperateIntegrations))
        .then(|| button(Verb::Test, "Test Connection", "flask", Some("t")));
    let switch = may(Permission::WriteIntegrations).then(|| {
        if is_active {
            let (name, act_id) = (screen.name.clone(), id.clone());
            view! {
                <details class="confirm confirm-right">
                    <summary class="btn">{icon("pause")} "Disable Integration"</summary>
                    <ActionForm action=act attr:class="confirm-box">
                        <input type="hidden" name="id" value=act_id />
                        <p>"Stop using and watching " <strong>{name}</strong> "?"</p>
                        <button class="btn btn-danger" name="verb" value="disable">
                            "Yes, disable it"
                        </button>
                    </ActionForm>
                </details>
            }
            .into_any()
        } else {
            view! {
                <ActionForm action=act>
                    <input type="hidden" name="id" value=id.clone() />
                    {button(Verb::Enable, "Enable Integration", "play", None)}
                </ActionForm>
            }
            .into_any()
        }
    });
    let form_id = screen.id.to_string();
    view! {
        <p class="crumbs">
            <a class="quiet" href="/integrations">
                "Integrations"
            </a>
            " / "
            {screen.provider_name.clone()}
        </p>
        <div class="page-head">
            <div class="page-title">
                <span class="kind">{icon(screen.kind.icon())}</span>
                <Heading text=screen.name.clone() />
                {health_status(screen.status, screen.health)}
            </div>
            <div class="row">
                <ActionForm action=act attr:class="row">
                    <input type="hidden" name="id" value=form_id />
                    {test}
                    {operate}
                </ActionForm>
                {switch}
            </div>
        </div>
        {(!screen.status_note.is_empty())
            .then(|| view! { <p class="notice notice-warn">{icon("alert")} {screen.status_note.clone()}</p> })}
        {screen
            .maintenance_until
            .map(|at| view! { <p class="notice">{icon("pause")} <span>"In maintenance until " <Time at /></span></p> })}
        <FormProblem refusal=Refusal::of(act) />
        <nav class="tabs" aria-label="Integration">
            {tabs.collect_view()}
        </nav>
    }
    .into_any()
}
