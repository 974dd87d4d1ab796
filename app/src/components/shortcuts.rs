//! The list of keys (`?`), made from the registry.

use leptos::{html, prelude::*};

use super::icon::icon;
use crate::{
    keyboard::{CONTROLS, Overlays, places},
    preferences::Preferences,
};

/// Opens and closes a native dialog with a signal: the browser traps the focus, closes on Escape, and makes the rest inert.
pub fn drive_dialog(node: NodeRef<html::Dialog>, open: RwSignal<bool>) {
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        match (open.get(), dialog.open()) {
            (true, false) => _ = dialog.show_modal(),
            (false, true) => dialog.close(),
            _ => {}
        }
    });
}

/// What a dialog does when the browser tells that it was closed. That may come late, when it is open again already.
pub fn told_closed(node: NodeRef<html::Dialog>, open: RwSignal<bool>) {
    open.set(node.get_untracked().is_some_and(|dialog| dialog.open()));
}

/// The dialog with all keys.
#[component]
pub fn ShortcutList(
    /// Whether it is open.
    overlays: Overlays,
) -> AnyView {
    let node: NodeRef<html::Dialog> = NodeRef::new();
    let open = overlays.help;
    drive_dialog(node, open);
    let row = |keys: Vec<String>, what: &'static str| {
        let keys = keys.into_iter().map(|key| view! { <kbd>{key}</kbd> }).collect_view();
        view! {
            <div>
                <dt>{keys}</dt>
                <dd>{what}</dd>
            </div>
        }
    };
    let fixed = move |keys: &[&str], what| row(keys.iter().map(|key| (*key).to_owned()).collect(), what);
    // Read anew each time it opens: the keys may have been changed meanwhile.
    let keymap = Memo::new(move |_| {
        open.track();
        Preferences::current().keymap
    });
    let controls = move || {
        let map = keymap.get();
        CONTROLS.iter().map(|(key, what)| row(vec![map.control(key)], what)).collect_view()
    };
    let pages = move || {
        let map = keymap.get();
        places().map(|place| row(vec!["g".to_owned(), map.place(place.key)], place.title)).collect_view()
    };
    view! {
        <dialog class="dialog" node_ref=node on:close=move |_| told_closed(node, open) aria-labelledby="shortcuts-title">
            <div class="dialog-head">
                <h2 id="shortcuts-title">"Keyboard shortcuts"</h2>
                <button
                    type="button"
                    class="btn btn-sm btn-ghost btn-square"
                    aria-label="Close"
                    on:click=move |_| open.set(false)
                >
                    {icon("x")}
                </button>
            </div>
            <div class="dialog-body columns">
                <dl class="keys">
                    {fixed(&["Ctrl", "K"], "Command palette")} {controls} {fixed(&["j", "k"], "Next or previous row")}
                    {fixed(&["Enter"], "Open the row")} {fixed(&["?"], "This list")} {fixed(&["Esc"], "Close")}
                </dl>
                <dl class="keys">{pages}</dl>
            </div>
            <p class="dialog-foot muted">
                "Single keys can be changed and switched off in " <a class="link" href="/settings">"Settings"</a> "."
            </p>
        </dialog>
        <div class="going" hidden=move || !overlays.going.get() aria-hidden="true">
            <kbd>"g"</kbd>
            " then …"
        </div>
    }
    .into_any()
}
