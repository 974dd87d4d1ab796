//! Keeping how a person likes the screens.
#![cfg_attr(feature = "ssr", expect(clippy::unused_async, reason = "a server function is async whatever it does"))]

use std::collections::BTreeMap;

use leptos::prelude::*;

use crate::{codec::ByForm, error::CallError, preferences::Preferences};

/// Keeps the choices. What is not given stays as it is.
#[server(prefix = "/_ui", endpoint = "preferences/save", protocol = ByForm)]
pub async fn save_preferences(
    #[server(default)] theme: Option<String>,
    #[server(default)] density: Option<String>,
    #[server(default)] keys: Option<String>,
) -> Result<Preferences, CallError> {
    let preferences = Preferences::current().with(theme.as_deref(), density.as_deref(), keys.as_deref());
    keep(&preferences);
    Ok(preferences)
}

/// Keeps a person's own keys: for each thing that has one, by our key for it. Empty: ours.
#[server(prefix = "/_ui", endpoint = "preferences/keys", protocol = ByForm)]
pub async fn save_keys(#[server(default)] own: BTreeMap<String, String>) -> Result<Preferences, CallError> {
    let keymap = crate::keymap::Keymap::chosen(&own).map_err(domain::api::ApiError::from)?;
    let preferences = Preferences { keymap, ..Preferences::current() };
    keep(&preferences);
    Ok(preferences)
}

/// In a cookie, for a year.
#[cfg(feature = "ssr")]
fn keep(preferences: &Preferences) {
    let (name, value) = (Preferences::COOKIE, preferences.to_text());
    crate::ssr::set_cookie(&format!("{name}={value}; Path=/; SameSite=Lax; Max-Age=31536000"));
}
