//! `/webhooks/{id}`: the debugger. Tabs are in the address (`?tab=`), so that each can be linked to.

mod history;
mod secret;
mod settings;
mod signature;
mod test;

use domain::{Permission, WebhookState, api};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::{health, new::form_choices, report_state};
use crate::{
    calls::{
        deliveries::{list_deliveries, show_delivery},
        webhooks::{
            DeleteWebhook, ExplainSignature, RotateSecret, SaveWebhook, SetWebhookState, TestWebhook, reveal_secret,
            show_webhook,
        },
    },
    components::{
        bulk::BulkAction,
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::{loaded, loaded_or},
        problem::problem_page,
        status::webhook_status,
    },
    keyboard::shortcut,
    live::Live,
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

    fn parse(text: Option<String>) -> Self {
        let text = text.unwrap_or_default();
        Self::ALL.into_iter().find(|(_, name, _)| *name == text).map_or(Self::Test, |(tab, ..)| tab)
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

/// One webhook with its tabs.
#[component]
pub fn Webhook() -> AnyView {
    let params = use_params_map();
    let query = use_query_map();
    let live: Live = expect_context();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let tab = Memo::new(move |_| Tab::parse(query.with(|query| query.get("tab"))));
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
    let saved = Memo::new(move |seen: Option<&u32>| {
        let succeeded = actions.save.value().with(|answer| matches!(answer, Some(Ok(()))));
        seen.copied().unwrap_or_default() + u32::from(succeeded)
    });
    let webhook =
        Resource::new(move || (id.get(), saved.get(), actions.state.version().get()), |(id, ..)| show_webhook(id));
    let choices = Resource::new(|| (), |()| form_choices());
    let result = Resource::new(
        move || asked("delivery").filter(|_| tab.get() == Tab::Test),
        |delivery| async move {
            match delivery {
                Some(delivery) => show_delivery(delivery).await.map(Some),
                None => Ok(None),
            }
        },
    );
    let history = Resource::new(
        move || (id.get(), tab.get(), asked("cursor"), live.missed.get()),
        |(id, tab, cursor, _)| async move {
            let (limit, range) = match tab {
                Tab::Test => (20, Some(api::TimeRange::Day)),
                Tab::Deliveries => (50, None),
                Tab::Settings | Tab::Secret | Tab::Signature => return Ok(None),
            };
            let query = api::DeliveryQuery {
                webhook_id: id.parse().ok(),
                range,
                limit: Some(limit),
                cursor: cursor.filter(|_| tab == Tab::Deliveries),
                ..api::DeliveryQuery::default()
            };
            list_deliveries(query).await.map(Some)
        },
    );
    let secret = Resource::new(
        move || (id.get(), tab.get() == Tab::Secret && asked("show").is_some()),
        |(id, shown)| async move { if shown { reveal_secret(id).await.map(Some) } else { Ok(None) } },
    );
    let show = move |webhook: api::Webhook| {
        let head = head(&webhook, actions.state, tab);
        let webhook = StoredValue::new(webhook);
        let body = move || {
            let webhook = webhook.get_value();
            match tab.get() {
                Tab::Test => {
                    loaded(choices, move |choices| test::tab(&webhook, &choices.events, actions.test, result, history))
                }
                Tab::Deliveries => {
                    let cursor = asked("cursor");
                    loaded(history, move |page| history::tab(&webhook, page, cursor.is_some(), actions.replay))
                }
                Tab::Settings => {
                    loaded(choices, move |choices| settings::tab(&webhook, choices, actions.save, actions.delete))
                }
                Tab::Signature => signature::tab(&webhook, actions.explain),
                Tab::Secret => loaded(secret, move |secret| secret::tab(&webhook, secret, actions.rotate)),
            }
        };
        view! {
            <div class="page">
                {head}
                {body}
            </div>
        }
    };
    loaded_or(webhook, show, problem_page)
}

fn head(webhook: &api::Webhook, state: ServerAction<SetWebhookState>, tab: Memo<Tab>) -> AnyView {
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
