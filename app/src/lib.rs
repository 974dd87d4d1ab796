//! The admin screens: pages, components, and the server functions behind them. Compiled twice: on the server (`ssr`), where it
//! renders whole pages, and for the browser (`hydrate`), where it brings them to life.
//!
//! The first render is the same on both sides by construction: no clock, no time zone, no storage, no randomness before
//! hydration. Every page works by links and forms alone; what needs JavaScript says so. Rules live in `engine` and `domain`,
//! never here.

// Parts of pages are downloads of their own (`lazy`): the browser waits for them and may not get them, the server has them.
#![cfg_attr(feature = "ssr", expect(clippy::unused_async, reason = "there is nothing to wait for on the server"))]
#![cfg_attr(feature = "hydrate", expect(clippy::unnecessary_wraps, reason = "it is the loading that can fail"))]

mod action;
mod answer;
mod calls;
mod codec;
mod components;
mod delay_text;
mod error;
mod json_text;
mod keyboard;
mod keymap;
mod live;
mod objects;
mod pages;
mod preferences;
mod search;
mod session;
#[cfg(feature = "ssr")]
pub mod ssr;
mod time;

pub use error::CallError;
#[cfg(feature = "hydrate")]
pub use pages::lazy::fetch as fetch_page;

use std::sync::Arc;

use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::{
    PossibleRouteMatch, SsrMode,
    components::{FlatRoutes, Route, Router},
    path,
};

use components::{
    frame::Frame,
    heading::LastPath,
    toast::{ToastRegion, Toasts},
};
use pages::lazy::Page;

/// Told to the window once the page is live.
const HYDRATED: &str = "hydrated";
/// Milliseconds that the page on the screen has for itself before the code of the other pages is fetched and started.
const PREPARE_ALL_MS: u32 = 1_000;

/// The addresses of the built files, such as `/pkg/signalbox.1a2b3c.js`.
#[derive(Clone, Debug)]
pub struct Assets {
    /// The JavaScript that loads the WASM module.
    pub js: String,
    /// The JavaScript that loads the parts of the module.
    pub loader: String,
    /// The WASM module.
    pub wasm: String,
    /// The stylesheet.
    pub css: String,
}

/// The document around [`App`].
pub fn shell(assets: &Assets) -> impl IntoView + use<> {
    let nonce = use_nonce();
    let boot = format!(
        "import init,{{hydrate}} from \"{}\";import{{prepareAll}} from \"{}\";\
         addEventListener(\"{HYDRATED}\",()=>setTimeout(prepareAll,{PREPARE_ALL_MS}),{{once:true}});\
         await init({{module_or_path:\"{}\"}});hydrate(location.pathname+location.search);",
        assets.js, assets.loader, assets.wasm
    );
    let session = session::current().and_then(|session| serde_json::to_string(&session).ok());
    let preferences = preferences::Preferences::current();
    let [(_, theme), (_, density), (_, keys), (_, keymap)] = preferences.attributes();
    let live = live::position();
    view! {
        <!DOCTYPE html>
        <html
            lang="en"
            translate="no"
            data-theme=theme
            data-density=density
            data-keys=keys
            data-keymap=keymap
            data-live=live
        >
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name=session::META content=session />
                <link rel="stylesheet" href=assets.css.clone() />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                <link rel="modulepreload" href=assets.js.clone() crossorigin="" nonce=nonce.clone() />
                <link rel="modulepreload" href=assets.loader.clone() crossorigin="" nonce=nonce.clone() />
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
                        <Route path=at(path!("/")) view=Page::Overview ssr=SsrMode::Async />
                        <Route path=at(path!("/login")) view=Page::Login ssr=SsrMode::Async />
                        <Route path=at(path!("/setup")) view=Page::Setup ssr=SsrMode::Async />
                        <Route path=at(path!("/webhooks")) view=Page::Webhooks ssr=SsrMode::Async />
                        <Route path=at(path!("/webhooks/new")) view=Page::NewWebhook ssr=SsrMode::Async />
                        <Route path=at(path!("/webhooks/:id")) view=Page::Webhook ssr=SsrMode::Async />
                        <Route path=at(path!("/deliveries")) view=Page::Deliveries ssr=SsrMode::Async />
                        <Route path=at(path!("/deliveries/:id")) view=Page::Delivery ssr=SsrMode::Async />
                        <Route path=at(path!("/dead-letters")) view=Page::DeadLetters ssr=SsrMode::Async />
                        <Route path=at(path!("/jobs")) view=Page::Jobs ssr=SsrMode::Async />
                        <Route path=at(path!("/events")) view=Page::Events ssr=SsrMode::Async />
                        <Route path=at(path!("/events/:id")) view=Page::Event ssr=SsrMode::Async />
                        <Route path=at(path!("/retry-policy")) view=Page::RetryPolicy ssr=SsrMode::Async />
                        <Route path=at(path!("/integrations")) view=Page::Integrations ssr=SsrMode::Async />
                        <Route path=at(path!("/integrations/new")) view=Page::NewIntegration ssr=SsrMode::Async />
                        <Route path=at(path!("/integrations/:id")) view=Page::Integration ssr=SsrMode::Async />
                        <Route path=at(path!("/emails")) view=Page::Emails ssr=SsrMode::Async />
                        <Route path=at(path!("/emails/templates")) view=Page::Templates ssr=SsrMode::Async />
                        <Route path=at(path!("/emails/templates/:id")) view=Page::Template ssr=SsrMode::Async />
                        <Route path=at(path!("/emails/suppressions")) view=Page::Suppressions ssr=SsrMode::Async />
                        <Route path=at(path!("/emails/:id")) view=Page::Email ssr=SsrMode::Async />
                        <Route path=at(path!("/logs")) view=Page::Logs ssr=SsrMode::Async />
                        <Route path=at(path!("/alerts")) view=Page::Alerts ssr=SsrMode::Async />
                        <Route path=at(path!("/inspector")) view=Page::Inspector ssr=SsrMode::Async />
                        <Route path=at(path!("/api")) view=Page::Api ssr=SsrMode::Async />
                        <Route path=at(path!("/settings")) view=Page::Settings ssr=SsrMode::Async />
                    </FlatRoutes>
                </main>
            </div>
        </Router>
        <ToastRegion />
    }
    .into_any()
}

/// A path as a route takes it. Paths of other shapes would each have their own copy of the router's code.
fn at(path: impl PossibleRouteMatch + Send + Sync + 'static) -> Arc<dyn PossibleRouteMatch + Send + Sync> {
    Arc::new(path)
}

/// Tells tests and measurements that the page is live, and the stylesheet that JavaScript works.
fn announce_hydrated() {
    if let Some(html) = document().document_element() {
        _ = html.set_attribute("data-hydrated", "true");
    }
    if let Some(performance) = window().performance() {
        _ = performance.mark(HYDRATED);
    }
    if let Ok(event) = web_sys::Event::new(HYDRATED) {
        _ = window().dispatch_event(&event);
    }
}
