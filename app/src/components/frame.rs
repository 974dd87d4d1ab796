//! What surrounds every page of a signed-in member: the sidebar, the menu of the person, the state of live updates, and the
//! dialogs that keys open.

use domain::api::AlertCount;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_location;
use wasm_bindgen::JsCast;
use web_sys::{Notification, NotificationPermission};

use super::{icon::icon, overlays::overlays_code, status::count, toast::Toasts};
use crate::{
    action::{ActionForm, ServerAction},
    answer::{Answer, Content},
    calls::{alerts::open_alerts, dead_letters::dead_letter_total, preferences::SavePreferences, sessions::SignOut},
    keyboard::{self, GROUPS, Overlays, Place},
    live::{Connection, Live},
    preferences::Preferences,
    session::Session,
};

/// The sidebar, which is a drawer on small screens, and the dialogs.
#[component]
pub fn Frame(
    /// Who is signed in.
    session: Session,
) -> AnyView {
    let overlays = Overlays { palette: RwSignal::new(false), help: RwSignal::new(false), going: RwSignal::new(false) };
    keyboard::listen(overlays);
    let live: Live = expect_context();
    live.connect();
    let path = use_location().pathname;
    let deaths = live.ticks(|event| event.moves_dead_letters() || event.is_dead_letter());
    let dead_letters = Answer::new(move || (deaths.get(), live.missed.get()), |_| dead_letter_total());
    let rung = live.ticks(|event| event.is_of("alerts"));
    let alerts = Answer::new(move || (rung.get(), live.missed.get()), |_| open_alerts());
    notify_of_more(alerts);
    // On a small screen the drawer has done its work when a page was chosen.
    Effect::new(move |_| {
        path.track();
        for id in ["sidebar", "person"] {
            let open = document().query_selector(&format!("#{id}:popover-open")).ok().flatten();
            if let Some(open) = open.and_then(|open| open.dyn_into::<web_sys::HtmlElement>().ok()) {
                _ = open.hide_popover();
            }
        }
    });
    view! {
        <header class="topbar">
            <button type="button" class="btn btn-ghost btn-square" popovertarget="sidebar" aria-label="Menu">
                {icon("menu")}
            </button>
            <a class="brand" href="/">
                {logo()}
                "Signalbox"
            </a>
            <button
                type="button"
                class="btn btn-ghost btn-square needs-js"
                aria-label="Search"
                on:click=move |_| overlays.palette.set(true)
            >
                {icon("search")}
            </button>
        </header>
        <aside class="sidebar" id="sidebar" popover="auto" aria-label="Sidebar">
            <a class="brand" href="/">
                {logo()}
                "Signalbox"
            </a>
            <button type="button" class="search-button needs-js" on:click=move |_| overlays.palette.set(true)>
                {icon("search")}
                <span class="grow">"Search"</span>
                <kbd>"Ctrl K"</kbd>
            </button>
            <nav aria-label="Main">
                {GROUPS
                    .iter()
                    .map(|group| {
                        view! {
                            {(!group.title.is_empty()).then(|| view! { <p class="nav-title">{group.title}</p> })}
                            <ul>
                                {group.places.iter().map(|place| nav_link(place, path, dead_letters, alerts)).collect_view()}
                            </ul>
                        }
                    })
                    .collect_view()}
            </nav>
            <div class="grow"></div>
            {connection(live)}
            {person(session, overlays)}
        </aside>
        {dialogs(overlays)}
    }
    .into_any()
}

/// What keys open. Its code is fetched when the first of it is opened, unless it is here by then.
fn dialogs(overlays: Overlays) -> AnyView {
    let toasts: Toasts = expect_context();
    let is_wanted = Memo::new(move |was: Option<&bool>| {
        let opened = overlays.palette.get() || overlays.help.get() || overlays.going.get();
        opened || was.copied().unwrap_or_default()
    });
    let code = move || async move {
        overlays_code(overlays).await.unwrap_or_else(|_| {
            toasts.say("This needs the server, which cannot be reached.");
            ().into_any()
        })
    };
    (move || is_wanted.get().then(|| Suspend::new(code()))).into_any()
}

fn logo() -> AnyView {
    view! { <img class="logo" src="/favicon.svg" alt="" width="20" height="20" /> }.into_any()
}

fn nav_link(
    place: &'static Place,
    path: Memo<String>,
    dead_letters: Answer<i64>,
    alerts: Answer<AlertCount>,
) -> AnyView {
    let is_here = move || {
        let path = path.read();
        *path == place.href || (place.href != "/" && path.starts_with(&format!("{}/", place.href)))
    };
    let external = place.href.starts_with("/api/").then_some("external");
    let counted = match place.href {
        "/dead-letters" => Some(("dead-letter-count", waiting("dead-letter-count", dead_letters, |total| total))),
        "/alerts" => Some(("alert-count", waiting("alert-count", alerts, |alerts| alerts.open))),
        _ => None,
    };
    let (described_by, badge) = counted.unzip();
    view! {
        <li>
            <a
                class="nav-link"
                href=place.href
                rel=external
                aria-current=move || is_here().then_some("page")
                aria-label=described_by.map(|_| place.title)
                aria-describedby=described_by
            >
                {icon(place.icon)}
                {place.title}
                {badge}
            </a>
        </li>
    }
    .into_any()
}

/// Says in a notification of the browser that there are more alerts than before, if that was asked for and they are of those
/// that the member wants to hear of.
fn notify_of_more(alerts: Answer<AlertCount>) {
    let before = StoredValue::new(None::<i64>);
    Effect::new(move |_| {
        let Some(Ok(AlertCount { open, told })) = alerts.get() else { return };
        let is_more = before.get_value().is_some_and(|before| told > before);
        before.set_value(Some(told));
        if is_more && can_notify() && Notification::permission() == NotificationPermission::Granted {
            _ = Notification::new(&format!("Signalbox: {}", count(open, "open alert", "open alerts")));
        }
    });
}

/// Whether the browser has notifications at all.
pub fn can_notify() -> bool {
    js_sys::Reflect::has(&window(), &"Notification".into()).unwrap_or_default()
}

/// How many wait for a person; nothing while there are none.
fn waiting<T: Content>(id: &'static str, answer: Answer<T>, total: fn(T) -> i64) -> AnyView {
    let shown = answer.shown(move |answer| {
        answer.ok().map(total).filter(|total| *total > 0).map(|total| total.to_string()).into_any()
    });
    view! {
        <span class="nav-count num" id=id>
            <Transition>{shown}</Transition>
        </span>
    }
    .into_any()
}

fn connection(live: Live) -> AnyView {
    let state = move || match live.connection.get() {
        Connection::Off => ("live", "Live updates need JavaScript"),
        Connection::Connecting => ("live", "Connecting…"),
        Connection::Open => ("live live-open", "Live"),
        Connection::Lost => ("live live-lost", "Connection lost, trying again…"),
    };
    view! {
        <p class=move || state().0 role="status">
            <i aria-hidden="true"></i>
            {move || state().1}
        </p>
    }
    .into_any()
}

fn person(session: Session, overlays: Overlays) -> AnyView {
    let initial = session.name.chars().next().unwrap_or('?').to_string();
    let label = format!("Account of {}", session.name);
    view! {
        <button type="button" class="person" popovertarget="person" aria-label=label>
            <span class="avatar" aria-hidden="true">
                {initial}
            </span>
            <span class="person-name">
                <span class="truncate">{session.name}</span>
                <span class="muted truncate">{session.email}</span>
            </span>
            {icon("chevrons")}
        </button>
        <div class="menu" id="person" popover="auto">
            {theme_form()}
            <button
                type="button"
                class="menu-item needs-js"
                popovertarget="person"
                popovertargetaction="hide"
                on:click=move |_| overlays.help.set(true)
            >
                {icon("keyboard")}
                <span class="grow">"Keyboard shortcuts"</span>
                <kbd>"?"</kbd>
            </button>
            <a class="menu-item" href="/settings">
                {icon("settings")}
                "Settings"
            </a>
            // Not an ActionForm: the page that follows has to forget everything.
            <form method="post" action=SignOut::PATH>
                <button class="menu-item">{icon("log-out")} "Sign out"</button>
            </form>
        </div>
    }
    .into_any()
}

/// Shows saved preferences as soon as the server has them.
pub fn apply_saved(save: ServerAction<SavePreferences>) {
    save.on_success(|preferences| preferences.apply());
}

fn theme_form() -> AnyView {
    let save = ServerAction::<SavePreferences>::new();
    apply_saved(save);
    let now = Preferences::current().theme;
    let theme = Memo::new(move |_| {
        let saved = save.answer().and_then(|saved| Some(saved.ok()?.theme));
        saved.unwrap_or_else(|| now.clone()).unwrap_or_else(|| "system".to_owned())
    });
    let choices = [("system", "System", "monitor"), ("light", "Light", "sun"), ("dark", "Dark", "moon")];
    view! {
        <ActionForm action=save attr:class="theme" attr:aria-label="Theme">
            {choices
                .map(|(value, label, name)| {
                    view! {
                        <button
                            name="theme"
                            value=value
                            title=label
                            aria-label=format!("{label} theme")
                            aria-pressed=move || (*theme.read() == value).to_string()
                        >
                            {icon(name)}
                        </button>
                    }
                })}
        </ActionForm>
    }
    .into_any()
}
