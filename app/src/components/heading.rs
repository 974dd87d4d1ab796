//! The heading of a page: its title in the tab, and where the focus goes when the page was reached by a link.

use leptos::{html, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_location;

/// The path whose heading was focused last, so that a refresh of the same page does not take the focus away.
#[derive(Clone)]
pub struct LastPath(StoredValue<Option<String>>);

impl LastPath {
    /// Before the first page.
    pub fn provide() {
        provide_context(Self(StoredValue::new(None)));
    }
}

/// The page's one `<h1>`.
#[component]
pub fn Heading(
    /// What the page shows.
    #[prop(into)]
    text: String,
) -> AnyView {
    let node: NodeRef<html::H1> = NodeRef::new();
    let path = use_location().pathname;
    let LastPath(last) = expect_context();
    Effect::new(move |_| {
        let Some(heading) = node.get() else { return };
        let path = path.get_untracked();
        let before = last.get_value();
        if before.as_ref() != Some(&path) {
            last.set_value(Some(path));
            if before.is_some() {
                _ = heading.focus();
            }
        }
    });
    view! {
        <Title text=text.clone() />
        <h1 tabindex="-1" node_ref=node>
            {text}
        </h1>
    }
    .into_any()
}
