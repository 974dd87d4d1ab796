//! Short notes about what just happened, in a corner and in the ear of a screen reader. Never for errors: these stay where they
//! belong.

use std::sync::Arc;

use leptos::prelude::*;

use super::icon::icon;
use crate::live::after;

#[derive(Clone)]
struct Toast {
    number: u32,
    text: String,
    link: Option<(String, &'static str)>,
    undo: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// The notes on the screen.
#[derive(Clone, Copy)]
pub struct Toasts(RwSignal<(u32, Vec<Toast>)>);

impl Toasts {
    /// None yet.
    pub fn provide() -> Self {
        let toasts = Self(RwSignal::new((0, Vec::new())));
        provide_context(toasts);
        toasts
    }

    /// A note.
    pub fn say(self, text: &str) {
        self.add(text.to_owned(), None, None);
    }

    /// A note with a link to what it is about.
    pub fn say_with_link(self, text: &str, href: String, link: &'static str) {
        self.add(text.to_owned(), Some((href, link)), None);
    }

    /// A note of something that can be taken back for ten seconds.
    pub fn say_with_undo(self, text: String, undo: impl Fn() + Send + Sync + 'static) {
        self.add(text, None, Some(Arc::new(undo)));
    }

    fn add(self, text: String, link: Option<(String, &'static str)>, undo: Option<Arc<dyn Fn() + Send + Sync>>) {
        let ms = if undo.is_some() { 10_000 } else { 5_000 };
        let mut number = 0;
        self.0.update(|(last, toasts)| {
            *last += 1;
            number = *last;
            toasts.push(Toast { number, text, link, undo });
            if toasts.len() > 3 {
                toasts.remove(0);
            }
        });
        self.expire(number, ms);
    }

    /// Removes a note after a while, but not while somebody points at it (WCAG 2.2.1).
    fn expire(self, number: u32, ms: i32) {
        let later = move || {
            let held = document().query_selector(".toasts:hover, .toasts:focus-within").ok().flatten().is_some();
            if held { self.expire(number, ms) } else { self.remove(number) }
        };
        after(ms, later);
    }

    fn remove(self, number: u32) {
        self.0.update(|(_, toasts)| toasts.retain(|toast| toast.number != number));
    }
}

/// Where the notes appear.
#[component]
pub fn ToastRegion() -> AnyView {
    let toasts: Toasts = expect_context();
    view! {
        <div class="toasts" role="status">
            <For each=move || toasts.0.get().1 key=|toast| toast.number let:toast>
                <div class="toast">
                    {icon("check")} <span>{toast.text}</span>
                    {toast
                        .link
                        .map(|(href, text)| {
                            view! {
                                <a class="link" href=href>
                                    {text}
                                </a>
                            }
                        })}
                    {toast
                        .undo
                        .map(|undo| {
                            let click = move |_| {
                                undo();
                                toasts.remove(toast.number);
                            };
                            view! {
                                <button type="button" class="btn btn-sm" on:click=click>
                                    "Undo"
                                </button>
                            }
                        })}
                    <button
                        type="button"
                        class="btn btn-sm btn-ghost btn-square"
                        aria-label="Dismiss"
                        on:click=move |_| toasts.remove(toast.number)
                    >
                        {icon("x")}
                    </button>
                </div>
            </For>
        </div>
    }
    .into_any()
}
