//! The pages as downloads of their own: the browser fetches the code of a page when somebody goes there, so a first visit does
//! not pay for all of them. `xtask web` cuts the module at the functions marked `lazy` (ADR 0004).
//!
//! What several pages need is put together into few files (`xtask/src/packs.rs`), so each page can be a download of its own.

use std::pin::Pin;

use leptos::{LazyViewError, prelude::*};
use leptos_router::{ChooseView, hooks::use_location};

use super::{
    alerts::Alerts,
    api::Api,
    dead_letters::DeadLetters,
    deliveries::{Deliveries, one::Delivery},
    emails::{
        Emails,
        one::EmailPage as Email,
        suppressions::Suppressions,
        templates::{TemplatePage as Template, Templates},
    },
    events::{Events, one::Event},
    inspector::Inspector,
    integrations::{Integrations, new::NewIntegration, one::IntegrationPage as Integration},
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

/// What a lazy function answers: the error is that its code could not be fetched.
pub type Shown = Result<AnyView, LazyViewError>;

/// Makes the pages out of their components, each with the name of its code.
macro_rules! pages {
    ($($(#[$address:meta])* $page:ident = $code:ident,)+) => {
        /// A page, as a route names it.
        #[derive(Clone, Copy)]
        pub enum Page {
            $($(#[$address])* $page,)+
        }

        $(
            #[lazy(fallible)]
            fn $code() -> Shown {
                Ok($page())
            }
        )+

        impl ChooseView for Page {
            async fn choose(self) -> AnyView {
                // Boxed: one future that holds all of them is many times the code.
                let shown: Pin<Box<dyn Future<Output = Shown>>> = match self {
                    $(Self::$page => Box::pin($code()),)+
                };
                shown.await.unwrap_or_else(|_| unfetched())
            }

            async fn preload(&self) {}
        }
    };
}

pages! {
    /// `/login`
    Login = login,
    /// `/setup`
    Setup = setup,
    /// `/`
    Overview = overview,
    /// `/webhooks`
    Webhooks = webhooks,
    /// `/webhooks/new`
    NewWebhook = new_webhook,
    /// `/webhooks/{id}`
    Webhook = webhook,
    /// `/deliveries`
    Deliveries = deliveries,
    /// `/deliveries/{id}`
    Delivery = delivery,
    /// `/dead-letters`
    DeadLetters = dead_letters,
    /// `/jobs`
    Jobs = jobs,
    /// `/events`
    Events = events,
    /// `/events/{id}`
    Event = event,
    /// `/retry-policy`
    RetryPolicy = retry_policy,
    /// `/integrations`
    Integrations = integrations,
    /// `/integrations/new`
    NewIntegration = new_integration,
    /// `/integrations/{id}`
    Integration = integration,
    /// `/emails`
    Emails = emails,
    /// `/emails/templates`
    Templates = templates,
    /// `/emails/templates/{id}`, or `new`
    Template = template,
    /// `/emails/suppressions`
    Suppressions = suppressions,
    /// `/emails/{id}`
    Email = email,
    /// `/logs`
    Logs = logs,
    /// `/alerts`
    Alerts = alerts,
    /// `/inspector`
    Inspector = inspector,
    /// `/api`
    Api = api,
    /// `/settings`
    Settings = settings,
}

/// Shows a part of a page that is a download of its own, as soon as it is here. Until then what was there before stays.
pub fn lazily(part: impl Fn() -> Pin<Box<dyn Future<Output = Shown> + Send>> + Send + 'static) -> AnyView {
    let view = move || {
        let code = part();
        Suspend::new(async move { code.await.unwrap_or_else(|_| why_unfetched()) })
    };
    view! { <Transition>{view}</Transition> }.into_any()
}

/// In place of a page whose code is gone since the server was upgraded, or cannot be reached.
fn unfetched() -> AnyView {
    view! {
        <div class="page">
            <Heading text="This page could not be loaded" />
            {why_unfetched()}
        </div>
    }
    .into_any()
}

fn why_unfetched() -> AnyView {
    let path = use_location().pathname.get_untracked();
    view! {
        <p>"Signalbox may have been upgraded since you opened it, or it cannot be reached."</p>
        <p>
            <a class="link" href=path rel="external">
                "Reload"
            </a>
        </p>
    }
    .into_any()
}

/// Fetches the code of the page at this address; true once it is here. A page must be whole before it is woken: what runs while
/// code is still on its way would find half of it. What is asked for first comes in one file with all that it stands on, so a tab is
/// asked for before its page.
#[cfg(feature = "hydrate")]
pub async fn fetch(address: &str) -> bool {
    use futures_util::future::join;

    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let tab = query.split('&').find_map(|pair| pair.strip_prefix("tab=")).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let fetched = match parts[..] {
        [] => {
            let (page, steps) = join(__preload_overview(), super::overview::fetch_first_run()).await;
            return page.is_ok() && steps;
        }
        ["login"] => __preload_login().await,
        ["setup"] => __preload_setup().await,
        ["webhooks"] => __preload_webhooks().await,
        ["webhooks", "new"] => __preload_new_webhook().await,
        ["webhooks", _] => {
            let (tab, page) = join(super::webhooks::one::fetch_tab(tab, query), __preload_webhook()).await;
            return tab && page.is_ok();
        }
        ["deliveries"] => __preload_deliveries().await,
        ["deliveries", _] => __preload_delivery().await,
        ["dead-letters"] => __preload_dead_letters().await,
        ["jobs"] => __preload_jobs().await,
        ["events"] => __preload_events().await,
        ["events", _] => __preload_event().await,
        ["retry-policy"] => __preload_retry_policy().await,
        ["integrations"] => __preload_integrations().await,
        ["integrations", "new"] => {
            let (page, form) = join(__preload_new_integration(), super::integrations::new::fetch_form(query)).await;
            return page.is_ok() && form;
        }
        ["integrations", _] => {
            let (tab, page) = join(super::integrations::one::fetch_tab(tab), __preload_integration()).await;
            return tab && page.is_ok();
        }
        ["emails"] => __preload_emails().await,
        ["emails", "templates"] => __preload_templates().await,
        ["emails", "templates", _] => __preload_template().await,
        ["emails", "suppressions"] => __preload_suppressions().await,
        ["emails", _] => __preload_email().await,
        ["logs"] => __preload_logs().await,
        ["alerts"] => __preload_alerts().await,
        ["inspector"] => __preload_inspector().await,
        ["api"] => __preload_api().await,
        ["settings"] => __preload_settings().await,
        _ => Ok(()),
    };
    fetched.is_ok()
}
