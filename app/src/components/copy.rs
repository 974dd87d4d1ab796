//! Copying to the clipboard.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{icon::icon, toast::Toasts};

/// Copies `text`. Browsers offer the clipboard on https and on localhost only; elsewhere the old command still works.
pub fn copy(text: &str) {
    let navigator = window().navigator();
    let has_clipboard = js_sys::Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|it| !it.is_undefined());
    if has_clipboard {
        drop(navigator.clipboard().write_text(text));
        return;
    }
    let Ok(document) = document().dyn_into::<web_sys::HtmlDocument>() else { return };
    let Some(Ok(area)) = document.create_element("textarea").ok().map(JsCast::dyn_into::<web_sys::HtmlTextAreaElement>)
    else {
        return;
    };
    area.set_value(text);
    // An open dialog makes everything outside it inert, and inert text cannot be selected.
    let parent = document.active_element().and_then(|active| active.parent_element());
    let Some(parent) = parent.or_else(|| document.body().map(JsCast::unchecked_into)) else { return };
    if parent.append_child(&area).is_ok() {
        area.select();
        _ = document.exec_command("copy");
        area.remove();
    }
}

/// A button that copies `text` and says so.
#[component]
pub fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: Signal<String>,
    /// What the button is called; shown when `visible`.
    label: &'static str,
    /// Whether the label is shown beside the icon.
    #[prop(optional)]
    visible: bool,
) -> AnyView {
    let toasts = use_context::<Toasts>();
    let click = move |_| {
        copy(&text.get_untracked());
        if let Some(toasts) = toasts {
            toasts.say("Copied to the clipboard");
        }
    };
    view! {
        <button
            type="button"
            class=if visible { "btn btn-sm needs-js" } else { "btn btn-sm btn-ghost btn-square needs-js" }
            aria-label=label
            title=label
            on:click=click
        >
            {icon("copy")}
            {visible.then_some(label)}
        </button>
    }
    .into_any()
}
