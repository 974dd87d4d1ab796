//! `/webhooks/{id}`: the debugger. Tabs are in the address (`?tab=`), so that each can be linked to.

mod history;
mod secret;
mod settings;
mod signature;
mod test;

use domain::{Permission, WebhookState, api};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use std::sync::Arc;

use super::{health, report_state};
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        deliveries::{ListDeliveries, ShowDelivery},
        event_types::EventSamples,
        webhooks::{
            DeleteWebhook, ExplainSignature, RevealSecret, RotateSecret, SaveWebhook, SetWebhookState, ShowWebhookForm,
            TestWebhook, WebhookLine, show_webhook,
        },
    },
    components::{
        bulk::BulkAction,
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::loaded_or,
        problem::problem_page,
        status::webhook_status,
    },
    keyboard::shortcut,
    live::Live,
    pages::lazy::lazily,
    session::may,
    time::Time,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Test,
    Deliveries,
    Settings,
    Secret,
    Signature,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Test, "test", "Test"),
        (Self::Deliveries, "deliveries", "Deliveries"),
        (Self::Settings, "settings", "Settings"),
        (Self::Secret, "secret", "Secret"),
        (Self::Signature, "signature", "Signature"),
    ];

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|(_, it, _)| *it == name).map_or(Self::Test, |(tab, ..)| tab)
    }
}

/// What the tabs do; made once, whichever tab is open.
#[derive(Clone, Copy)]
struct Actions {
    test: ServerAction<TestWebhook>,
    save: ServerAction<SaveWebhook>,
    state: ServerAction<SetWebhookState>,
    delete: ServerAction<DeleteWebhook>,
    rotate: ServerAction<RotateSecret>,
    explain: ServerAction<ExplainSignature>,
    replay: BulkAction,
}

/// Fetches the code of a tab, `name`, and of what `query` has it show; true once it is here.
#[cfg(feature = "hydrate")]
pub async fn fetch_tab(name: &str, query: &str) -> bool {
    let fetched = match Tab::named(name) {
        Tab::Test => return test::fetch(query).await,
        Tab::Deliveries => history::__preload_webhook_deliveries().await,
        Tab::Settings => settings::__preload_webhook_settings().await,
        Tab::Secret => secret::__preload_webhook_secret().await,
        Tab::Signature => signature::__preload_webhook_signature().await,
    };
    fetched.is_ok()
}

/// One webhook with its tabs, each of which is a download of its own.
#[component]
pub fn Webhook() -> AnyView {
    let params = use_params_map();
    let query = use_query_map();
    let live: Live = expect_context();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let tab = Memo::new(move |_| query.with(|query| Tab::named(query.get_str("tab").unwrap_or_default())));
    let asked = move |name: &'static str| query.with(|query| query.get(name));
    let actions = Actions {
        test: ServerAction::new(),
        save: ServerAction::new(),
        state: ServerAction::new(),
        delete: ServerAction::new(),
        rotate: ServerAction::new(),
        explain: ServerAction::new(),
        replay: BulkAction::new(),
    };
    report_state(actions.state);
    // A refused form keeps what was typed: only a success is a reason to fetch again.
    let saved = actions.save.successes();
    let webhook =
        Answer::new(move || (id.get(), saved.get(), actions.state.version().get()), |(id, ..)| show_webhook(id));
    let samples = Answer::asked(move || tab.get() == Tab::Test, |is_asked| is_asked.then_some(EventSamples {}));
    // What was refused without JavaScript is in the address, until it is saved.
    let form = Answer::asked(
        move || {
            let changes = (saved.get(), actions.state.version().get());
            (tab.get() == Tab::Settings).then(|| (id.get(), asked("typed"), changes))
        },
        |asked| asked.map(|(id, typed, _)| ShowWebhookForm { id: Some(id), typed }),
    );
    let result = Answer::asked(
        move || asked("delivery").filter(|_| tab.get() == Tab::Test),
        |delivery| delivery.map(|id| ShowDelivery { id }),
    );
    let history = Answer::asked(
        move || (id.get(), tab.get(), asked("cursor"), live.missed.get()),
        |(id, tab, cursor, _)| {
            let (limit, range) = match tab {
                Tab::Test => (20, Some(api::TimeRange::Day)),
                Tab::Deliveries => (50, None),
                Tab::Settings | Tab::Secret | Tab::Signature => return None,
            };
            let query = api::DeliveryQuery {
                webhook_id: id.parse().ok(),
                range,
                limit: Some(limit),
                cursor: cursor.filter(|_| tab == Tab::Deliveries),
                ..api::DeliveryQuery::default()
            };
            Some(ListDeliveries { query })
        },
    );
    let secret = Answer::asked(
        move || (id.get(), tab.get() == Tab::Secret && asked("show").is_some()),
        |(id, is_asked)| is_asked.then_some(RevealSecret { id }),
    );
    let show = move |webhook: WebhookLine| {
        let head = head(&webhook, actions.state, tab);
        let webhook = Arc::new(webhook);
        let body = lazily(move || {
            let webhook = webhook.clone();
            match tab.get() {
                Tab::Test => Box::pin(test::webhook_test(webhook, samples, actions.test, result, history)),
                Tab::Deliveries => {
                    let is_later_page = asked("cursor").is_some();
                    Box::pin(history::webhook_deliveries(webhook, history, is_later_page, actions.replay))
                }
                Tab::Settings => Box::pin(settings::webhook_settings(webhook, form, actions.save, actions.delete)),
                Tab::Secret => Box::pin(secret::webhook_secret(webhook, secret, actions.rotate)),
                Tab::Signature => Box::pin(signature::webhook_signature(webhook, actions.explain)),
            }
        });
        view! {
            <div class="page">
                {head}
                {body}
            </div>
        }
    };
    loaded_or(webhook, show, problem_page)
}

fn head(webhook: &WebhookLine, state: ServerAction<SetWebhookState>, tab: Memo<Tab>) -> AnyView {
    let id = webhook.id.to_string();
    let path = format!("/webhooks/{id}");
    let (next, verb, verb_icon) = match webhook.state {
        WebhookState::Active => ("disabled", "Disable", "pause"),
        WebhookState::Paused | WebhookState::Disabled => ("active", "Enable", "play"),
    };
    let tabs = Tab::ALL.map(|(it, name, title)| {
        let key = match it {
            Tab::Test => Some("t"),
            Tab::Deliveries => Some("l"),
            Tab::Settings => Some("e"),
            Tab::Secret | Tab::Signature => None,
        };
        view! {
            <a
                href=format!("{path}?tab={name}")
                aria-current=move || (tab.get() == it).then_some("page")
                aria-keyshortcuts=key.map(shortcut)
                data-noscroll=""
            >
                {title}
            </a>
        }
    });
    view! {
        <p class="crumbs">
            <a class="quiet" href="/webhooks">
                "Webhooks"
            </a>
            " / Webhook Debugger"
        </p>
        <div class="page-head">
            <div class="page-title">
                <Heading text=webhook.name.clone() />
                {webhook_status(webhook.state)}
            </div>
            {may(Permission::WriteWebhooks)
                .then(|| {
                    view! {
                        <ActionForm action=state>
                            <input type="hidden" name="id" value=id />
                            <button class="btn" name="state" value=next>
                                {icon(verb_icon)}
                                {verb}
                            </button>
                        </ActionForm>
                    }
                })}
        </div>
        <div class="lede">
            <p class="mono break">{webhook.url.clone()}</p>
            {(!webhook.description.is_empty()).then(|| view! { <p>{webhook.description.clone()}</p> })}
            {webhook.last_triggered_at.map(|at| view! { <p>"Last triggered " <Time at /></p> })}
        </div>
        <FormProblem refusal=Refusal::of(state) />
        {health::banner(&webhook.into())}
        <nav class="tabs" aria-label="Webhook">
            {tabs}
        </nav>
    }
    .into_any()
}
