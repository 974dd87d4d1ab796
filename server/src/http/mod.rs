//! The HTTP face: routes, who may call them, and how bodies and errors look on the wire.
//!
//! Handlers are thin. They read a request, call one function of [`engine`] and write its answer; rules live there. Where
//! everything is: [`router`] lists every path.

mod auth;
mod body;
mod docs;
mod email_frames;
mod export;
mod health;
mod idempotency;
mod inspect;
mod json;
mod leaf;
mod live;
mod metrics;
mod oauth;
mod openapi;
mod origin;
mod pages;
mod problem;
mod query;
mod request;
mod router;
mod threads;
mod unsubscribe;
mod v1;

use std::sync::Arc;

use axum::{extract::FromRef, http::HeaderValue};
use engine::{Engine, Entropy};
use tokio_util::sync::CancellationToken;

pub use openapi::document;
pub use router::router;

/// What handlers have in common. Cheap to clone.
#[derive(Clone, FromRef)]
pub struct Shared {
    /// The use-cases.
    pub engine: Engine,
    /// Where and how this server is reached.
    pub site: Arc<Site>,
}

/// Where and how this server is reached.
pub struct Site {
    /// `scheme://host[:port]`, without a slash at the end.
    pub public_url: String,
    /// Makes request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Cancelled when the server stops: streams that would never end by themselves end then.
    pub stopping: CancellationToken,
}

impl Site {
    /// Whether browsers reach this server by https, so that cookies must not travel otherwise.
    pub fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The name of the cookie by which a browser is known that was sent to a provider.
    pub fn oauth_cookie(&self) -> &'static str {
        app::ssr::oauth_cookie_name(self.is_secure())
    }

    /// That cookie, for `Set-Cookie`.
    pub fn oauth_cookie_for(&self, sent: &engine::Sent) -> HeaderValue {
        let text = app::ssr::oauth_cookie(sent, self.is_secure());
        HeaderValue::try_from(text).expect("a name, base64 and a date are ASCII")
    }

    /// The session cookie's name. On https the prefix makes browsers refuse it from other hosts and from plain http.
    pub fn session_cookie(&self) -> &'static str {
        app::ssr::session_cookie_name(self.is_secure())
    }
}
