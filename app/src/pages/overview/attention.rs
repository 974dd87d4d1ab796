//! What needs attention, and the one click that helps.

use domain::{
    Permission, WebhookId, WebhookState,
    api::{Alert, FailingWebhook},
};
use leptos::prelude::*;

use crate::{
    action::{ActionForm, ServerAction},
    calls::{overview::FirstScreen, webhooks::SetWebhookState},
    components::{
        icon::icon,
        status::{Tone, count, status},
    },
    pages::webhooks::health,
    session::may,
};

/// Most webhooks that are named.
const MOST: usize = 8;

/// A webhook that needs attention.
struct Item {
    id: WebhookId,
    name: String,
    failing: Option<FailingWebhook>,
    dead_letters: i64,
}

/// Failing webhooks first, then those that only have dead letters.
fn items(screen: &FirstScreen) -> Vec<Item> {
    let dead =
        |id: WebhookId| screen.dead_letters.iter().find(|it| it.webhook_id == id).map_or(0, |it| it.dead_letters);
    let failing = screen.failing.iter().map(|webhook| Item {
        id: webhook.id,
        name: webhook.name.clone(),
        failing: Some(webhook.clone()),
        dead_letters: dead(webhook.id),
    });
    let quiet =
        screen.dead_letters.iter().filter(|it| !screen.failing.iter().any(|webhook| webhook.id == it.webhook_id));
    let quiet = quiet.map(|it| Item {
        id: it.webhook_id,
        name: it.webhook_name.clone(),
        failing: None,
        dead_letters: it.dead_letters,
    });
    failing.chain(quiet).take(MOST).collect()
}

/// The list, or the good news that there is none.
pub fn attention(screen: &FirstScreen, state: ServerAction<SetWebhookState>) -> AnyView {
    let items = items(screen);
    if items.is_empty() && screen.alerts.is_empty() {
        let is_quiet = screen.figures.has_delivered;
        return is_quiet.then(|| view! { <p>{status(Tone::Good, "check", "Nothing needs attention")}</p> }).into_any();
    }
    view! {
        <section class="card attention" aria-labelledby="attention">
            <h2 id="attention">"Needs attention"</h2>
            <ul>
                {screen.alerts.iter().take(MOST).map(outage).collect_view()}
                {items.into_iter().map(|item| line(item, state)).collect_view()}
            </ul>
        </section>
    }
    .into_any()
}

fn outage(alert: &Alert) -> AnyView {
    let href = format!("/integrations/{}", alert.about());
    view! {
        <li>
            <div class="grow">
                <a class="row-link strong" href=href.clone()>
                    {alert.title.clone()}
                </a>
                {(!alert.impact.is_empty()).then(|| view! { <span class="sub bad">{format!("Impact: {}", alert.impact)}</span> })}
            </div>
            <a class="btn btn-sm" href=href aria-label=format!("Troubleshoot: {}", alert.title)>
                "Troubleshoot"
            </a>
        </li>
    }
    .into_any()
}

fn line(Item { id, name, failing, dead_letters }: Item, state: ServerAction<SetWebhookState>) -> AnyView {
    let is_disabled = failing.as_ref().is_some_and(|webhook| webhook.state == WebhookState::Disabled);
    let of = name.clone();
    let link = move |href: String, label: &'static str, name: &'static str| {
        view! {
            <a class="btn btn-sm" href=href aria-label=format!("{label} of {of}")>
                {icon(name)}
                {label}
            </a>
        }
    };
    let letters = (dead_letters > 0).then(|| count(dead_letters, "dead letter", "dead letters"));
    let letters_link =
        letters.as_ref().map(|_| link(format!("/dead-letters?webhook_id={id}"), "Dead letters", "inbox"));
    let enable_label = format!("Enable {name}");
    let enable = (is_disabled && may(Permission::WriteWebhooks)).then(|| {
        view! {
            <ActionForm action=state>
                <input type="hidden" name="id" value=id.to_string() />
                <button class="btn btn-sm" name="state" value="active" aria-label=enable_label>
                    {icon("play")}
                    "Enable"
                </button>
            </ActionForm>
        }
    });
    view! {
        <li>
            <div class="grow">
                <a class="row-link strong" href=format!("/webhooks/{id}")>
                    {name.clone()}
                </a>
                {failing.as_ref().map(|webhook| health::note(&webhook.into()))}
                {letters.map(|letters| view! { <span class="sub bad">{letters}</span> })}
            </div>
            {letters_link}
            {link(format!("/webhooks/{id}?tab=deliveries"), "Logs", "list")}
            {enable}
        </li>
    }
    .into_any()
}
