//! The account behind an integration (P2 "OAuth Connection"): whose it is, how long its access lives, what it has granted and
//! what that blocks, what is done with it, and what became of the newest refreshes.

use domain::{
    ConnectionStatus, Permission,
    api::{Calendar, OauthConnection, Refresh},
};
use leptos::{prelude::*, task::spawn_local};
use std::sync::Arc;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        integrations::IntegrationScreen,
        oauth::{Connect, Disconnect, RefreshConnection, SaveSync, list_calendars, share_link},
    },
    components::{
        copy::{CopyButton, copy},
        field::{FormProblem, Refusal},
        icon::icon,
        loaded::loaded,
        toast::Toasts,
    },
    pages::lazy::Shown,
    session::may,
    time::Time,
};

/// What the tab does; made once, whichever tab is open.
#[derive(Clone, Copy)]
pub struct Actions {
    connect: ServerAction<Connect>,
    /// Renews the access.
    pub refresh: ServerAction<RefreshConnection>,
    /// Ends it.
    pub disconnect: ServerAction<Disconnect>,
    /// Stores what is done with the account.
    pub sync: ServerAction<SaveSync>,
    /// A link that was made, until somebody goes elsewhere.
    link: RwSignal<Option<String>>,
}

impl Actions {
    /// None of them has been asked for yet. What they come to is said once.
    pub fn new() -> Self {
        let actions = Self {
            connect: ServerAction::new(),
            refresh: ServerAction::new(),
            disconnect: ServerAction::new(),
            sync: ServerAction::new(),
            link: RwSignal::new(None),
        };
        let toasts: Toasts = expect_context();
        actions.refresh.after_success(move || toasts.say("The access was renewed"));
        actions.disconnect.on_success(move |done| {
            toasts.say(&done.message);
        });
        actions.sync.after_success(move || toasts.say("Saved"));
        actions
    }

    /// Changes with everything that was done.
    pub fn done(&self) -> (u32, u32, u32) {
        (self.refresh.version().get(), self.disconnect.version().get(), self.sync.version().get())
    }
}

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn integration_connection(
    screen: Arc<IntegrationScreen>,
    connection: Answer<Option<OauthConnection>>,
    actions: Actions,
) -> Shown {
    Ok(loaded(connection, move |connection| {
        connection.map(|it| tab(&screen.id.to_string(), &it, &screen.provider_name, actions))
    }))
}

fn tab(id: &str, connection: &OauthConnection, provider: &str, actions: Actions) -> AnyView {
    let is_connected = connection.connected_at.is_some();
    view! {
        <div class="stack-wide page-narrow">
            {status(id, connection, provider, actions)}
            {permissions(id, connection, provider, actions)}
            {is_connected.then(|| sync(id, connection, actions))}
            {(!connection.history.is_empty()).then(|| history(&connection.history))}
        </div>
    }
    .into_any()
}

fn status(id: &str, connection: &OauthConnection, provider: &str, actions: Actions) -> AnyView {
    let is_connected = connection.connected_at.is_some();
    let (class, sign) = match connection.status {
        ConnectionStatus::Connected => ("notice notice-good", "check"),
        ConnectionStatus::Expiring => ("notice notice-warn", "alert"),
        ConnectionStatus::NotConnected => ("notice", "plug"),
        ConnectionStatus::NeedsReauth | ConnectionStatus::Revoked | ConnectionStatus::Misconfigured => {
            ("notice notice-bad", "alert")
        }
    };
    let headline = match (&connection.account, is_connected) {
        (Some(account), true) => format!("Connected as {account}"),
        (None, true) => "Connected".to_owned(),
        (_, false) => "No account is connected".to_owned(),
    };
    let headline = if connection.status.is_usable() || !is_connected {
        headline
    } else {
        format!("{} ({})", connection.status.label(), connection.account.clone().unwrap_or_default())
    };
    let renewal = if connection.auto_refresh { " (auto-refresh enabled)" } else { " (nothing renews it)" };
    let may_write = may(Permission::WriteIntegrations);
    let (connect_id, refresh_id) = (id.to_owned(), id.to_owned());
    let connect_label = if is_connected { "Reconnect".to_owned() } else { format!("Connect {provider}") };
    let can_refresh = connection.auto_refresh && may(Permission::OperateIntegrations);
    let (connecting, refreshing) = (actions.connect.pending(), actions.refresh.pending());
    view! {
        <section class="card stack" aria-labelledby="connection">
            <h2 id="connection">"Connection status"</h2>
            <div class=class role="status">
                {icon(sign)}
                <div class="stack">
                    <p>
                        <strong>{headline}</strong>
                    </p>
                    {connection.problem.clone().map(|problem| view! { <p>{problem}</p> })}
                    {connection
                        .expires_at
                        .filter(|_| connection.status.is_usable())
                        .map(|at| view! { <p>"Token expires: " <Time at /> {renewal}</p> })}
                    {connection
                        .consent_ends_at
                        .map(|at| view! { <p>"The consent ends: " <Time at /> ". Reconnect before then."</p> })}
                </div>
            </div>
            <FormProblem refusal=Refusal::of(actions.connect) />
            <FormProblem refusal=Refusal::of(actions.refresh) />
            <FormProblem refusal=Refusal::of(actions.disconnect) />
            <div class="row">
                {may_write
                    .then(|| {
                        view! {
                            <ActionForm action=actions.connect>
                                <input type="hidden" name="id" value=connect_id />
                                <button
                                    class=if is_connected { "btn" } else { "btn btn-primary" }
                                    disabled=move || connecting.get()
                                >
                                    {icon("plug")}
                                    {connect_label}
                                </button>
                            </ActionForm>
                        }
                    })}
                {can_refresh
                    .then(|| {
                        view! {
                            <ActionForm action=actions.refresh>
                                <input type="hidden" name="id" value=refresh_id />
                                <button class="btn" disabled=move || refreshing.get()>
                                    {icon("retry")}
                                    "Refresh Now"
                                </button>
                            </ActionForm>
                        }
                    })}
                {may_write.then(|| link_button(id, actions.link))}
                {(may_write && is_connected).then(|| disconnect_box(id, connection, provider, actions))}
            </div>
            {redirect_uri(&connection.redirect_uri)}
            {connection
                .connected_at
                .map(|at| {
                    let by = connection.connected_by.clone().unwrap_or_default();
                    view! { <p class="muted">"Connected " <Time at /> {format!(" by {by}")}</p> }
                })}
        </section>
    }
    .into_any()
}

/// What has to be registered at the provider, to copy.
pub fn redirect_uri(uri: &str) -> AnyView {
    let (value, copied) = (uri.to_owned(), uri.to_owned());
    view! {
        <div class="field">
            <label class="field-label" for="redirect-uri">
                "Redirect URI"
            </label>
            <div class="secret">
                <input class="input mono" id="redirect-uri" readonly value=value aria-describedby="redirect-uri-hint" />
                <CopyButton text=copied label="Copy" visible=true />
            </div>
            <p class="field-hint" id="redirect-uri-hint">
                "Register it at the provider, exactly as it is."
            </p>
        </div>
    }
    .into_any()
}

fn link_button(id: &str, made: RwSignal<Option<String>>) -> AnyView {
    let toasts: Toasts = expect_context();
    let id = StoredValue::new(id.to_owned());
    let share = move |_| {
        spawn_local(async move {
            match share_link(id.get_value()).await {
                Ok(link) => {
                    copy(&link);
                    toasts.say("The link was copied. It can be used once, within a day.");
                    made.set(Some(link));
                }
                Err(error) => toasts.say(&error.0.detail),
            }
        });
    };
    view! {
        <button type="button" class="btn needs-js" on:click=share>
            {icon("users")}
            "Link for a Colleague"
        </button>
        {move || made.get().map(|link| view! { <p class="mono break notice grow" role="status">{link}</p> })}
    }
    .into_any()
}

fn disconnect_box(id: &str, connection: &OauthConnection, provider: &str, actions: Actions) -> AnyView {
    let id = id.to_owned();
    let account = connection.account.clone().unwrap_or_else(|| "the account".to_owned());
    let name = provider.to_owned();
    view! {
        <details class="confirm confirm-right">
            <summary class="btn btn-danger">"Disconnect"</summary>
            <ActionForm action=actions.disconnect attr:class="confirm-box">
                <input type="hidden" name="id" value=id />
                <p>
                    "Disconnect " <strong>{account}</strong>
                    {format!("? Its tokens are erased here, and {name} is asked to end the access. Settings stay.")}
                </p>
                <button class="btn btn-danger">"Yes, disconnect it"</button>
            </ActionForm>
        </details>
    }
    .into_any()
}

fn permissions(id: &str, connection: &OauthConnection, provider: &str, actions: Actions) -> AnyView {
    let is_connected = connection.connected_at.is_some();
    let blocked: Vec<_> =
        connection.permissions.iter().filter(|mark| mark.is_requested).filter_map(|mark| mark.blocks.clone()).collect();
    let row = |mark: &domain::api::PermissionMark| {
        let granted = mark.is_granted;
        let (scope, label) = (mark.scope.clone(), mark.label.clone());
        let plain = (scope != label).then(|| view! { <span class="sub muted mono break">{scope.clone()}</span> });
        let text = if is_connected && !granted { format!("{label} (not currently authorized)") } else { label };
        let checked = granted || (!is_connected && mark.is_requested);
        view! {
            <label class="check">
                <input
                    type="checkbox"
                    class="checkbox"
                    name=(!granted).then_some("scopes[]")
                    value=mark.scope.clone()
                    checked=checked
                    disabled=granted
                />
                <span>{text} {plain}</span>
            </label>
        }
    };
    let rows = connection.permissions.iter().map(row).collect_view();
    let has_more = connection.permissions.iter().any(|mark| !mark.is_granted);
    let (id, name) = (id.to_owned(), provider.to_owned());
    let pending = actions.connect.pending();
    view! {
        <section class="card form" aria-labelledby="permissions">
            <h2 id="permissions">"Permissions (scopes)"</h2>
            {(is_connected && !blocked.is_empty())
                .then(|| {
                    view! {
                        <div class="notice notice-warn">
                            {icon("alert")}
                            <div class="stack">
                                <p>{format!("{name} did not grant all that was asked for:")}</p>
                                <ul class="plain">{blocked.into_iter().map(|text| view! { <li>{text}</li> }).collect_view()}</ul>
                            </div>
                        </div>
                    }
                })}
            <ActionForm action=actions.connect attr:class="stack">
                <input type="hidden" name="id" value=id />
                <div class="checks">{rows}</div>
                {(is_connected && has_more && may(Permission::WriteIntegrations))
                    .then(|| {
                        view! {
                            <div>
                                <button class="btn" disabled=move || pending.get()>
                                    "Request Additional Permissions"
                                </button>
                            </div>
                        }
                    })}
            </ActionForm>
        </section>
    }
    .into_any()
}

fn sync(id: &str, connection: &OauthConnection, actions: Actions) -> AnyView {
    let (form_id, asked) = (id.to_owned(), id.to_owned());
    let chosen = connection.sync.calendar.clone();
    let has_calendars = connection.has_calendars && connection.status.is_usable();
    // Asked by the browser once it is live: the page does not wait for another server.
    let calendars = RwSignal::new(None);
    if has_calendars {
        Effect::new(move |_| {
            let asked = asked.clone();
            spawn_local(async move {
                let answer = list_calendars(asked).await;
                // The tab may be closed by then.
                drop(calendars.try_set(Some(answer)));
            });
        });
    }
    let kept = StoredValue::new(chosen);
    let choice = move || {
        let chosen = kept.get_value();
        match calendars.get() {
            Some(Ok(list)) => select(&list, chosen.as_deref()),
            answer => {
                let said = answer.and_then(Result::err).map(|error| error.0.detail);
                view! {
                    <select class="select" id="calendar" name="calendar">
                        {chosen.map(|id| view! { <option value=id.clone() selected=true>{id.clone()}</option> })}
                        <option value="">"The account's own choice"</option>
                    </select>
                    {said.map(|said| view! { <p class="field-error" role="alert">{said}</p> })}
                }
                .into_any()
            }
        }
    };
    let pending = actions.sync.pending();
    let may_write = may(Permission::WriteIntegrations);
    let auto = connection.sync.auto_sync;
    view! {
        <section class="card form" aria-labelledby="sync">
            <h2 id="sync">"Sync settings"</h2>
            <ActionForm action=actions.sync attr:class="stack">
                <FormProblem refusal=Refusal::of(actions.sync) />
                <input type="hidden" name="id" value=form_id />
                <label class="check">
                    <input type="checkbox" class="checkbox" name="auto_sync" value="true" checked=auto disabled=!may_write />
                    "Auto-sync interviews"
                </label>
                {has_calendars
                    .then(|| {
                        view! {
                            <div class="field">
                                <label class="field-label" for="calendar">
                                    "Default calendar"
                                </label>
                                {choice}
                            </div>
                        }
                    })}
                <div class="form-foot">
                    <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                        "Save Settings"
                    </button>
                </div>
            </ActionForm>
        </section>
    }
    .into_any()
}

fn select(calendars: &[Calendar], chosen: Option<&str>) -> AnyView {
    let option = |calendar: &Calendar| {
        let selected = chosen == Some(&*calendar.id);
        view! { <option value=calendar.id.clone() selected=selected>{calendar.name.clone()}</option> }
    };
    view! {
        <select class="select" id="calendar" name="calendar">
            <option value="" selected=chosen.is_none()>"The account's own choice"</option>
            {calendars.iter().map(option).collect_view()}
        </select>
    }
    .into_any()
}

fn history(refreshes: &[Refresh]) -> AnyView {
    let row = |refresh: &Refresh| {
        let (word, class) = match (refresh.ok, refresh.fault) {
            (Some(true), _) => ("Renewed".to_owned(), ""),
            (Some(false), Some(fault)) => (format!("Failed: {fault}"), "bad"),
            (Some(false), None) => ("Failed".to_owned(), "bad"),
            (None, _) => ("No answer".to_owned(), "bad"),
        };
        view! {
            <tr>
                <td><Time at=refresh.at /></td>
                <td class=class>{word}</td>
                <td class="break">{(!refresh.detail.is_empty()).then(|| refresh.detail.clone())}</td>
            </tr>
        }
    };
    view! {
        <section class="section" aria-labelledby="refreshes">
            <h2 id="refreshes">"Refreshes"</h2>
            <div class="table-wrap">
                <table class="table">
                    <caption class="sr-only">"The newest refreshes"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"When"</th>
                            <th scope="col">"Result"</th>
                            <th scope="col">"What the provider said"</th>
                        </tr>
                    </thead>
                    <tbody>{refreshes.iter().map(row).collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
