//! Signing in and out.

use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{codec::ByForm, error::CallError};

/// Begins a session and goes on to `next`.
#[server(prefix = "/_ui", endpoint = "sessions/sign-in", protocol = ByForm)]
pub async fn sign_in(email: String, password: String, #[server(default)] next: String) -> Result<(), CallError> {
    let visitor = ssr::visitor()?;
    let session = ssr::engine()?.sign_in(&email, &password, &visitor.origin).await;
    let session =
        session.map_err(|error| ssr::keep_typed::<SignIn>(error.into(), &[("email", &email), ("next", &next)]))?;
    ssr::begin_session(&session, &visitor);
    ssr::redirect(ssr::safe_path(&next));
    Ok(())
}

/// Ends the session.
#[server(prefix = "/_ui", endpoint = "sessions/sign-out", protocol = ByForm)]
pub async fn sign_out() -> Result<(), CallError> {
    if let ssr::Visitor { session_token: Some(token), secure_cookies, .. } = ssr::visitor()? {
        ssr::engine()?.sign_out(&token).await?;
        ssr::end_session(secure_cookies);
    }
    ssr::redirect("/login");
    Ok(())
}
