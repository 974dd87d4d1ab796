//! What is the matter with a webhook, and what happens next: disabled because its endpoint failed, close to it, or held up by
//! the order of its events.

use domain::{DeliveryOptions, Timestamp, WebhookState, api::FailingWebhook};
use leptos::prelude::*;

use crate::{
    calls::webhooks::WebhookLine,
    components::{icon::icon, status::count},
    time::Time,
};

/// What is known of a webhook's health.
pub struct Health {
    state: WebhookState,
    reason: Option<String>,
    failures: i64,
    options: DeliveryOptions,
    probe_at: Option<Timestamp>,
    blocked_until: Option<Timestamp>,
}

impl From<&WebhookLine> for Health {
    fn from(webhook: &WebhookLine) -> Self {
        Self {
            state: webhook.state,
            reason: webhook.state_reason.clone(),
            failures: webhook.consecutive_failures,
            options: webhook.options,
            probe_at: webhook.next_probe_at,
            blocked_until: webhook.blocked_until,
        }
    }
}

impl From<&FailingWebhook> for Health {
    fn from(webhook: &FailingWebhook) -> Self {
        Self {
            state: webhook.state,
            reason: webhook.state_reason.clone(),
            failures: webhook.consecutive_failures,
            options: webhook.options,
            probe_at: webhook.next_probe_at,
            blocked_until: None,
        }
    }
}

/// Something to know about a webhook, and the moment that it ends with.
struct Matter {
    is_bad: bool,
    text: String,
    then: Option<(&'static str, Timestamp)>,
}

fn matters(health: &Health) -> Vec<Matter> {
    let mut matters = Vec::new();
    match (health.state, &health.reason) {
        (WebhookState::Disabled, Some(reason)) => {
            let then = health.probe_at.map(|at| ("Its deliveries wait; one is tried", at));
            matters.push(Matter { is_bad: true, text: format!("Disabled by itself: {reason}."), then });
        }
        (WebhookState::Active, _) if health.options.warns_at(health.failures) => {
            let tries = count(health.failures, "try", "tries");
            let text = format!("{tries} in a row failed; after {} it is disabled.", health.options.disable_after);
            matters.push(Matter { is_bad: false, text, then: None });
        }
        _ => {}
    }
    if let Some(at) = health.blocked_until {
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
pub fn banner(health: &Health) -> AnyView {
    let notices = matters(health).into_iter().map(|matter| {
        let class = if matter.is_bad { "notice notice-bad" } else { "notice notice-warn" };
        view! { <div class=class>{icon("alert")} {words(matter)}</div> }
    });
    notices.collect_view().into_any()
}

/// In a list.
pub fn note(health: &Health) -> AnyView {
    let lines = matters(health).into_iter().map(|matter| {
        let class = if matter.is_bad { "sub bad" } else { "sub warn" };
        view! { <span class=class>{words(matter)}</span> }
    });
    lines.collect_view().into_any()
}
