//! Icons out of the one sprite (`public/icons.svg`). They decorate: a word always stands beside them or in a label.

use leptos::prelude::*;

/// The icon `name` of the sprite.
pub fn icon(name: &'static str) -> AnyView {
    view! {
        <svg class="icon" aria-hidden="true">
            <use href=format!("/icons.svg#{name}")></use>
        </svg>
    }
    .into_any()
}
