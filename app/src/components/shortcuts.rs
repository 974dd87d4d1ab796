//! The list of keys (`?`), made from the registry.

use leptos::{html, prelude::*};

use super::icon::icon;
use crate::keyboard::{CONTROLS, Overlays, places};

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

/// The dialog with all keys.
#[component]
pub fn ShortcutList(
    /// Whether it is open.
    overlays: Overlays,
) -> AnyView {
    let node: NodeRef<html::Dialog> = NodeRef::new();
    let open = overlays.help;
    drive_dialog(node, open);
    let row = |keys: Vec<&'static str>, what: &'static str| {
        let keys = keys.into_iter().map(|key| view! { <kbd>{key}</kbd> }).collect_view();
        view! {
            <div>
                <dt>{keys}</dt>
                <dd>{what}</dd>
            </div>
        }
    };
    view! {
        <dialog class="dialog" node_ref=node on:close=move |_| open.set(false) aria-labelledby="shortcuts-title">
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
                    {row(vec!["Ctrl", "K"], "Command palette")}
                    {CONTROLS.iter().map(|(key, what)| row(vec![key], what)).collect_view()}
                    {row(vec!["j", "k"], "Next or previous row")} {row(vec!["Enter"], "Open the row")}
                    {row(vec!["?"], "This list")} {row(vec!["Esc"], "Close")}
                </dl>
                <dl class="keys">
                    {places().map(|place| row(vec!["g", place.key], place.title)).collect_view()}
                </dl>
            </div>
            <p class="dialog-foot muted">
                "Single keys can be switched off in " <a class="link" href="/settings">"Settings"</a> "."
            </p>
        </dialog>
        <div class="going" hidden=move || !overlays.going.get() aria-hidden="true">
            <kbd>"g"</kbd>
            " then …"
        </div>
    }
    .into_any()
}
