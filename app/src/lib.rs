//! The admin screens: pages, components, and the server functions behind them. Compiled twice: on the server (`ssr`), where it
//! renders whole pages, and for the browser (`hydrate`), where it brings them to life.
//!
//! The first render is the same on both sides by construction: no clock, no time zone, no storage, no randomness before
//! hydration. Every page works by links and forms alone; what needs JavaScript says so. Rules live in `engine` and `domain`,
//! never here.

mod calls;
mod components;
mod delay_text;
mod error;
mod json_text;
mod keyboard;
mod live;
mod pages;
mod preferences;
mod session;
#[cfg(feature = "ssr")]
pub mod ssr;
mod time;

pub use error::CallError;

use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{FlatRoutes, Route, Router},
    path,
};

use components::{
    frame::Frame,
    heading::LastPath,
    toast::{ToastRegion, Toasts},
};

/// The addresses of the built files, such as `/pkg/signalbox.1a2b3c.js`.
#[derive(Clone, Debug)]
pub struct Assets {
    /// The JavaScript that loads the WASM module.
    pub js: String,
    /// The WASM module.
    pub wasm: String,
    /// The stylesheet.
    pub css: String,
}

/// The document around [`App`].
pub fn shell(assets: &Assets) -> impl IntoView + use<> {
    let nonce = use_nonce();
    let boot = format!(
        "import init,{{hydrate}} from \"{}\";await init({{module_or_path:\"{}\"}});hydrate();",
        assets.js, assets.wasm
    );
    let session = session::current().and_then(|session| serde_json::to_string(&session).ok());
    let preferences = preferences::Preferences::current();
    let [(_, theme), (_, density), (_, keys)] =
        preferences.attributes().map(|(name, value)| (name, value.map(str::to_owned)));
    view! {
        <!DOCTYPE html>
        <html lang="en" translate="no" data-theme=theme data-density=density data-keys=keys>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name=session::META content=session />
                <link rel="stylesheet" href=assets.css.clone() />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                <link rel="modulepreload" href=assets.js.clone() crossorigin="" nonce=nonce.clone() />
                <link rel="preload" href=assets.wasm.clone() r#as="fetch" r#type="application/wasm" crossorigin="" />
                <script type="module" nonce=nonce>
                    {boot}
                </script>
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// All pages, inside the frame when somebody is signed in.
#[component]
pub fn App() -> AnyView {
    provide_meta_context();
    let clock = time::Clock::provide();
    live::Live::provide();
    Toasts::provide();
    LastPath::provide();
    let session = session::current();
    if let Some(session) = &session {
        provide_context(session.clone());
    }
    Effect::new(move |_| {
        if clock.hydrated.get() {
            announce_hydrated();
        }
    });
    let class = if session.is_some() { "app" } else { "app app-bare" };
    view! {
        <Title formatter=|title: String| {
            if title.is_empty() { "Signalbox".to_owned() } else { format!("{title} · Signalbox") }
        } />
        <Router>
            <div class=class>
                <a class="skip" href="#main" rel="external">
                    "Skip to content"
                </a>
                {session.map(|session| view! { <Frame session /> })}
                <main id="main" tabindex="-1">
                    <FlatRoutes fallback=pages::not_found::NotFound>
                        <Route path=path!("/") view=pages::overview::Overview ssr=SsrMode::Async />
                        <Route path=path!("/login") view=pages::login::Login ssr=SsrMode::Async />
                        <Route path=path!("/setup") view=pages::setup::Setup ssr=SsrMode::Async />
                        <Route path=path!("/webhooks") view=pages::webhooks::Webhooks ssr=SsrMode::Async />
                        <Route path=path!("/webhooks/new") view=pages::webhooks::new::NewWebhook ssr=SsrMode::Async />
                        <Route path=path!("/webhooks/:id") view=pages::webhooks::one::Webhook ssr=SsrMode::Async />
                        <Route path=path!("/deliveries") view=pages::deliveries::Deliveries ssr=SsrMode::Async />
                        <Route path=path!("/deliveries/:id") view=pages::deliveries::one::Delivery ssr=SsrMode::Async />
                        <Route path=path!("/dead-letters") view=pages::dead_letters::DeadLetters ssr=SsrMode::Async />
                        <Route path=path!("/jobs") view=pages::jobs::Jobs ssr=SsrMode::Async />
                        <Route path=path!("/events") view=pages::events::Events ssr=SsrMode::Async />
                        <Route path=path!("/events/:id") view=pages::events::one::Event ssr=SsrMode::Async />
                        <Route path=path!("/retry-policy") view=pages::retry_policy::RetryPolicy ssr=SsrMode::Async />
                        <Route path=path!("/integrations") view=pages::integrations::Integrations ssr=SsrMode::Async />
                        <Route path=path!("/integrations/new") view=pages::integrations::new::NewIntegration ssr=SsrMode::Async />
                        <Route path=path!("/integrations/:id") view=pages::integrations::one::IntegrationPage ssr=SsrMode::Async />
                        <Route path=path!("/logs") view=pages::logs::Logs ssr=SsrMode::Async />
                        <Route path=path!("/alerts") view=pages::alerts::Alerts ssr=SsrMode::Async />
                        <Route path=path!("/inspector") view=pages::inspector::Inspector ssr=SsrMode::Async />
                        <Route path=path!("/api") view=pages::api::Api ssr=SsrMode::Async />
                        <Route path=path!("/settings") view=pages::settings::Settings ssr=SsrMode::Async />
                    </FlatRoutes>
                </main>
            </div>
        </Router>
        <ToastRegion />
    }
    .into_any()
}

/// Tells tests and measurements that the page is live, and the stylesheet that JavaScript works.
fn announce_hydrated() {
    if let Some(html) = document().document_element() {
        _ = html.set_attribute("data-hydrated", "true");
    }
    if let Some(performance) = window().performance() {
        _ = performance.mark("hydrated");
    }
}
