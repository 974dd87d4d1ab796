//! The one registry of keys: where `g` goes, what the help says, and the single listener. A page takes part by marking a control
//! with `aria-keyshortcuts`, so that the key, the tooltip and what assistive technology announces cannot drift apart. Single
//! letters never fire while somebody types, inside dialogs, or when they are switched off (WCAG 2.1.4).

use std::time::Duration;

use leptos::{ev, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use crate::preferences::Preferences;

/// A page that can be gone to.
pub struct Place {
    /// The key after `g`.
    pub key: &'static str,
    /// Its name.
    pub title: &'static str,
    /// Its address.
    pub href: &'static str,
    /// Its icon.
    pub icon: &'static str,
}

/// A group of the sidebar.
pub struct Group {
    /// Its heading; the first group has none.
    pub title: &'static str,
    /// Its pages.
    pub places: &'static [Place],
}

const fn place(key: &'static str, title: &'static str, href: &'static str, icon: &'static str) -> Place {
    Place { key, title, href, icon }
}

/// Every page of the sidebar.
pub const GROUPS: [Group; 5] = [
    Group { title: "", places: &[place("o", "Overview", "/", "home")] },
    Group {
        title: "Integrations",
        places: &[place("i", "Integrations", "/integrations", "plug"), place("m", "E-mails", "/emails", "mail")],
    },
    Group {
        title: "Webhooks",
        places: &[
            place("w", "Webhooks", "/webhooks", "webhook"),
            place("e", "Events", "/events", "zap"),
            place("d", "Deliveries", "/deliveries", "send"),
            place("q", "Dead letters", "/dead-letters", "inbox"),
            place("j", "Jobs", "/jobs", "list"),
            place("r", "Retry policy", "/retry-policy", "retry"),
            place("v", "Inspector", "/inspector", "scan"),
        ],
    },
    Group {
        title: "Developers",
        places: &[
            place("a", "API keys", "/api", "key"),
            place("p", "API docs", "/api/docs", "book"),
            place("l", "Logs", "/logs", "list"),
        ],
    },
    Group {
        title: "Admin",
        places: &[place("h", "Alerts", "/alerts", "bell"), place("s", "Settings", "/settings", "settings")],
    },
];

/// All pages, in the order of the sidebar.
pub fn places() -> impl Iterator<Item = &'static Place> {
    GROUPS.iter().flat_map(|group| group.places)
}

/// What single keys do on pages that have a control for it.
pub const CONTROLS: [(&str, &str); 8] = [
    ("/", "Search"),
    ("n", "New"),
    ("e", "Edit"),
    ("t", "Test"),
    ("r", "Replay, retry or refresh"),
    ("x", "Select the row"),
    ("l", "Logs: the deliveries of a webhook"),
    ("c", "Connection of an integration"),
];

/// The key that a person has for the control which is `key` with us.
pub fn shortcut(key: &str) -> String {
    Preferences::current().keymap.control(key)
}

/// What the listener opens.
#[derive(Clone, Copy)]
pub struct Overlays {
    /// The command palette.
    pub palette: RwSignal<bool>,
    /// The list of keys.
    pub help: RwSignal<bool>,
    /// Whether `g` was pressed and a second key is awaited.
    pub going: RwSignal<bool>,
}

/// Listens for as long as the tab lives.
pub fn listen(overlays: Overlays) {
    let navigate = use_navigate();
    // Ends the wait for the second key. One at a time: an earlier `g` must not end the wait of a later one.
    let wait = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move |_| {
        let navigate = navigate.clone();
        let go = move |place: &Place| {
            // The API documentation is not one of our pages.
            if place.href.starts_with("/api/") {
                _ = window().location().set_href(place.href);
            } else {
                navigate(place.href, NavigateOptions::default());
            }
        };
        let handle = window_event_listener(ev::keydown, move |event| press(&event, overlays, wait, &go));
        on_cleanup(move || handle.remove());
    });
}

fn press(event: &KeyboardEvent, overlays: Overlays, wait: StoredValue<Option<TimeoutHandle>>, go: &impl Fn(&Place)) {
    let key = event.key();
    if (event.ctrl_key() || event.meta_key()) && key.eq_ignore_ascii_case("k") {
        event.prevent_default();
        overlays.palette.update(|open| *open = !*open);
        return;
    }
    if event.ctrl_key() || event.meta_key() || event.alt_key() || event.is_composing() || !may_fire(event) {
        return;
    }
    if overlays.going.get_untracked() {
        overlays.going.set(false);
        if let Some(timer) = wait.try_update_value(Option::take).flatten() {
            timer.clear();
        }
        let keymap = Preferences::current().keymap;
        if let Some(place) = places().find(|place| keymap.place(place.key) == key) {
            event.prevent_default();
            go(place);
        }
        return;
    }
    let done = match key.as_str() {
        "g" => {
            overlays.going.set(true);
            let timer = set_timeout(move || overlays.going.set(false), Duration::from_millis(1_500));
            wait.set_value(timer.ok());
            true
        }
        "?" => {
            overlays.help.set(true);
            true
        }
        "j" => move_row(1),
        "k" => move_row(-1),
        "ArrowDown" => is_on_row() && move_row(1),
        "ArrowUp" => is_on_row() && move_row(-1),
        key => {
            let keymap = Preferences::current().keymap;
            CONTROLS.iter().any(|(control, _)| keymap.control(control) == key) && use_control(key)
        }
    };
    if done {
        event.prevent_default();
    }
}

/// Single letters belong to whoever is typing, and to an open dialog.
fn may_fire(event: &KeyboardEvent) -> bool {
    let is_off = document().document_element().is_some_and(|html| html.has_attribute("data-keys"));
    let typing = event.target().and_then(|target| target.dyn_into::<Element>().ok()).is_some_and(|target| {
        target
            .closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog")
            .is_ok_and(|found| found.is_some())
    });
    let in_dialog = document().query_selector("dialog[open]").is_ok_and(|found| found.is_some());
    !is_off && !typing && !in_dialog
}

/// Clicks or focuses the first visible control that is marked with `key`, in the row that has the focus if there is one.
fn use_control(key: &str) -> bool {
    let marked = format!("[aria-keyshortcuts='{key}']");
    let row = document().active_element().and_then(|active| active.closest("tr").ok()?);
    let in_row = row.and_then(|row| row.query_selector_all(&marked).ok()).filter(|found| found.length() > 0);
    let Some(found) = in_row.or_else(|| document().query_selector_all(&marked).ok()) else { return false };
    let controls = (0..found.length()).filter_map(|index| found.item(index)?.dyn_into::<HtmlElement>().ok());
    let Some(control) = { controls }.find(|control| control.offset_parent().is_some()) else { return false };
    if control.matches("input:not([type=checkbox])").unwrap_or_default() {
        _ = control.focus();
    } else {
        control.click();
    }
    true
}

fn is_on_row() -> bool {
    document().active_element().is_some_and(|active| active.has_attribute("data-row"))
}

/// The rows of the page's lists: what is focused in each.
fn rows() -> Vec<HtmlElement> {
    let Ok(found) = document().query_selector_all("[data-row]") else { return Vec::new() };
    (0..found.length())
        .filter_map(|index| found.item(index)?.dyn_into::<HtmlElement>().ok())
        .filter(|row| row.offset_parent().is_some())
        .collect()
}

/// The place among all rows of the one that has the focus, or holds what has it.
pub fn focused_row() -> Option<usize> {
    let row = document().active_element()?.closest("tr").ok()??;
    rows().iter().position(|other| row.contains(Some(other)))
}

/// Gives the focus back to the row at this place, or to the last one, if what had it is gone from the page.
pub fn refocus_row(index: usize) {
    let is_lost = document().active_element().is_none_or(|active| active.tag_name() == "BODY");
    let rows = rows();
    if let Some(row) = rows.get(index.min(rows.len().saturating_sub(1))).filter(|_| is_lost) {
        _ = row.focus();
    }
}

/// Moves the focus among the rows of the page's lists.
fn move_row(step: i32) -> bool {
    let rows = rows();
    let active = document().active_element();
    let current = rows.iter().position(|row| active.as_ref().is_some_and(|active| active.is_same_node(Some(row))));
    let next = match (current, step) {
        (Some(index), 1) => (index + 1).min(rows.len().saturating_sub(1)),
        (Some(index), _) => index.saturating_sub(1),
        (None, _) => 0,
    };
    rows.get(next).is_some_and(|row| row.focus().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_goes_to_two_places() {
        let mut keys: Vec<_> = places().map(|place| place.key).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
