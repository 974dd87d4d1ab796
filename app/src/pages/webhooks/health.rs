//! What is the matter with a webhook, and what happens next: disabled because its endpoint failed, close to it, or held up by
//! the order of its events.

use domain::{Timestamp, WebhookState, api::Webhook};
use leptos::prelude::*;

use crate::{
    components::{icon::icon, status::count},
    time::Time,
};

/// Something to know about a webhook, and the moment that it ends with.
struct Matter {
    is_bad: bool,
    text: String,
    then: Option<(&'static str, Timestamp)>,
}

fn matters(webhook: &Webhook) -> Vec<Matter> {
    let failures = webhook.consecutive_failures;
    let options = webhook.options;
    let mut matters = Vec::new();
    match (webhook.state, &webhook.state_reason) {
        (WebhookState::Disabled, Some(reason)) => {
            let then = webhook.next_probe_at.map(|at| ("Its deliveries wait; one is tried", at));
            matters.push(Matter { is_bad: true, text: format!("Disabled by itself: {reason}."), then });
        }
        (WebhookState::Active, _) if options.warns_at(failures) => {
            let tries = count(failures, "try", "tries");
            let text = format!("{tries} in a row failed; after {} it is disabled.", options.disable_after);
            matters.push(Matter { is_bad: false, text, then: None });
        }
        _ => {}
    }
    if let Some(at) = webhook.blocked_until {
        let text = "In order: the others wait behind the first delivery, which failed.".to_owned();
        matters.push(Matter { is_bad: false, text, then: Some(("It is tried again", at)) });
    }
    matters
}

fn words(Matter { text, then, .. }: Matter) -> AnyView {
    view! {
        <span>
            {text}
            {then.map(|(what, at)| view! { " " {what} " " <Time at /> "." })}
        </span>
    }
    .into_any()
}

/// Above the page of a webhook.
pub fn banner(webhook: &Webhook) -> AnyView {
    let notices = matters(webhook).into_iter().map(|matter| {
        let class = if matter.is_bad { "notice notice-bad" } else { "notice notice-warn" };
        view! { <div class=class>{icon("alert")} {words(matter)}</div> }
    });
    notices.collect_view().into_any()
}

/// In the list of webhooks.
pub fn note(webhook: &Webhook) -> AnyView {
    let lines = matters(webhook).into_iter().map(|matter| {
        let class = if matter.is_bad { "sub bad" } else { "sub warn" };
        view! { <span class=class>{words(matter)}</span> }
    });
    lines.collect_view().into_any()
}
