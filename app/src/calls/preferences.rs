//! Keeping how a person likes the screens.
#![cfg_attr(feature = "ssr", expect(clippy::unused_async, reason = "a server function is async whatever it does"))]

use leptos::prelude::*;

use crate::{error::CallError, preferences::Preferences};

/// Keeps the choices in a cookie for a year. What is not given stays as it is.
#[server(prefix = "/_ui", endpoint = "preferences/save")]
pub async fn save_preferences(
    #[server(default)] theme: Option<String>,
    #[server(default)] density: Option<String>,
    #[server(default)] keys: Option<String>,
) -> Result<Preferences, CallError> {
    let preferences = Preferences::current().with(theme.as_deref(), density.as_deref(), keys.as_deref());
    let (name, value) = (Preferences::COOKIE, preferences.to_text());
    crate::ssr::set_cookie(&format!("{name}={value}; Path=/; SameSite=Lax; Max-Age=31536000"));
    Ok(preferences)
}
