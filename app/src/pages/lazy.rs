//! The pages as downloads of their own: the browser fetches the code of a page when somebody goes there, so a first visit does
//! not pay for all of them. `xtask web` cuts the module at the functions marked `lazy` (ADR 0004).
//!
//! Pages of one function come together. What several functions need becomes a file for each set of functions that shares it,
//! so more of them mean smaller visits in many more files: six make about fifty, eight make more than a hundred.
#![cfg_attr(
    feature = "hydrate",
    expect(
        clippy::unnecessary_wraps,
        reason = "the code around a lazy function adds the error: it could not be fetched"
    )
)]

use leptos::{LazyViewError, prelude::*};
use leptos_router::{ChooseView, hooks::use_location};

use super::{
    alerts::Alerts,
    api::Api,
    dead_letters::DeadLetters,
    deliveries::{Deliveries, one::Delivery},
    emails::{
        Emails,
        one::EmailPage,
        suppressions::Suppressions,
        templates::{TemplatePage, Templates},
    },
    events::{Events, one::Event},
    inspector::Inspector,
    integrations::{Integrations, new::NewIntegration, one::IntegrationPage},
    jobs::Jobs,
    login::Login,
    logs::Logs,
    overview::Overview,
    retry_policy::RetryPolicy,
    settings::Settings,
    setup::Setup,
    webhooks::{Webhooks, new::NewWebhook, one::Webhook},
};
use crate::components::heading::Heading;

/// A page, as a route names it.
#[derive(Clone, Copy)]
pub enum Page {
    /// For those who are not signed in.
    Entry(Entry),
    /// Where people come to look.
    Landing(Landing),
    /// Where webhooks are edited.
    Edit(Edit),
    /// What was sent.
    Traffic(Traffic),
    /// What could not be sent, and what is done about it.
    Triage(Triage),
    /// How what the organization relies on is, and what is added to it.
    Services(Services),
    /// One of these.
    Service(Service),
    /// Everything else.
    Admin(Admin),
}

/// See [`Page::Entry`].
#[derive(Clone, Copy)]
pub enum Entry {
    /// `/login`
    Login,
    /// `/setup`
    Setup,
}

/// See [`Page::Landing`].
#[derive(Clone, Copy)]
pub enum Landing {
    /// `/`
    Overview,
    /// `/webhooks`
    Webhooks,
}

/// See [`Page::Edit`].
#[derive(Clone, Copy)]
pub enum Edit {
    /// `/webhooks/new`
    NewWebhook,
    /// `/webhooks/{id}`
    Webhook,
    /// `/retry-policy`
    RetryPolicy,
}

/// See [`Page::Traffic`].
#[derive(Clone, Copy)]
pub enum Traffic {
    /// `/deliveries`
    Deliveries,
    /// `/deliveries/{id}`
    Delivery,
    /// `/events`
    Events,
    /// `/events/{id}`
    Event,
}

/// See [`Page::Triage`].
#[derive(Clone, Copy)]
pub enum Triage {
    /// `/dead-letters`
    DeadLetters,
    /// `/jobs`
    Jobs,
}

/// See [`Page::Services`].
#[derive(Clone, Copy)]
pub enum Services {
    /// `/integrations`
    Integrations,
    /// `/integrations/new`
    NewIntegration,
    /// `/logs`
    Logs,
    /// `/alerts`
    Alerts,
}

/// See [`Page::Service`].
#[derive(Clone, Copy)]
pub enum Service {
    /// `/integrations/{id}`
    Integration,
}

/// See [`Page::Admin`].
#[derive(Clone, Copy)]
pub enum Admin {
    /// `/inspector`
    Inspector,
    /// `/emails`
    Emails,
    /// `/emails/{id}`
    Email,
    /// `/emails/templates`
    EmailTemplates,
    /// `/emails/templates/{id}`, or `new`
    EmailTemplate,
    /// `/emails/suppressions`
    Suppressions,
    /// `/api`
    Api,
    /// `/settings`
    Settings,
}

/// What a lazy function answers: the error is that its code could not be fetched.
type Shown = Result<AnyView, LazyViewError>;

#[lazy(fallible)]
fn entry(page: Entry) -> Shown {
    Ok(match page {
        Entry::Login => Login(),
        Entry::Setup => Setup(),
    })
}

#[lazy(fallible)]
fn landing(page: Landing) -> Shown {
    Ok(match page {
        Landing::Overview => Overview(),
        Landing::Webhooks => Webhooks(),
    })
}

#[lazy(fallible)]
fn edit(page: Edit) -> Shown {
    Ok(match page {
        Edit::NewWebhook => NewWebhook(),
        Edit::Webhook => Webhook(),
        Edit::RetryPolicy => RetryPolicy(),
    })
}

#[lazy(fallible)]
fn traffic(page: Traffic) -> Shown {
    Ok(match page {
        Traffic::Deliveries => Deliveries(),
        Traffic::Delivery => Delivery(),
        Traffic::Events => Events(),
        Traffic::Event => Event(),
    })
}

#[lazy(fallible)]
fn triage(page: Triage) -> Shown {
    Ok(match page {
        Triage::DeadLetters => DeadLetters(),
        Triage::Jobs => Jobs(),
    })
}

#[lazy(fallible)]
fn services(page: Services) -> Shown {
    Ok(match page {
        Services::Integrations => Integrations(),
        Services::NewIntegration => NewIntegration(),
        Services::Logs => Logs(),
        Services::Alerts => Alerts(),
    })
}

#[lazy(fallible)]
fn service(page: Service) -> Shown {
    Ok(match page {
        Service::Integration => IntegrationPage(),
    })
}

#[lazy(fallible)]
fn admin(page: Admin) -> Shown {
    Ok(match page {
        Admin::Inspector => Inspector(),
        Admin::Emails => Emails(),
        Admin::Email => EmailPage(),
        Admin::EmailTemplates => Templates(),
        Admin::EmailTemplate => TemplatePage(),
        Admin::Suppressions => Suppressions(),
        Admin::Api => Api(),
        Admin::Settings => Settings(),
    })
}

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        let shown = match self {
            Self::Entry(page) => entry(page).await,
            Self::Landing(page) => landing(page).await,
            Self::Edit(page) => edit(page).await,
            Self::Traffic(page) => traffic(page).await,
            Self::Triage(page) => triage(page).await,
            Self::Services(page) => services(page).await,
            Self::Service(page) => service(page).await,
            Self::Admin(page) => admin(page).await,
        };
        shown.unwrap_or_else(|_| unfetched().into_any())
    }

    async fn preload(&self) {}
}

/// In place of a page whose code is gone since the server was upgraded, or cannot be reached.
fn unfetched() -> impl IntoView {
    let path = use_location().pathname.get_untracked();
    view! {
        <div class="page">
            <Heading text="This page could not be loaded" />
            <p>"Signalbox may have been upgraded since you opened it, or it cannot be reached."</p>
            <p>
                <a class="link" href=path rel="external">
                    "Reload"
                </a>
            </p>
        </div>
    }
}

/// Fetches the code of the page at this path; true once it is here. A page must be whole before it is woken: what runs while
/// code is still on its way would find half of it.
#[cfg(feature = "hydrate")]
pub async fn fetch(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let fetched = match parts[..] {
        ["login" | "setup"] => __preload_entry().await,
        [] | ["webhooks"] => __preload_landing().await,
        ["webhooks", _] | ["retry-policy"] => __preload_edit().await,
        ["deliveries" | "events", ..] => __preload_traffic().await,
        ["dead-letters" | "jobs"] => __preload_triage().await,
        ["integrations", "new"] | ["integrations" | "logs" | "alerts"] => __preload_services().await,
        ["integrations", _] => __preload_service().await,
        ["inspector" | "api" | "settings"] | ["emails", ..] => __preload_admin().await,
        _ => Ok(()),
    };
    fetched.is_ok()
}
