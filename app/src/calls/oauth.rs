//! Connections of integrations by OAuth 2.0.

use domain::api::{Calendar, Disconnected, OauthConnection};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// The connection of an integration.
#[server(prefix = "/_ui", endpoint = "oauth/show", protocol = ByJson)]
pub async fn show_connection(id: String) -> Result<OauthConnection, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.oauth_connection(&actor, ssr::id(&id, "Integration")?).await?)
}

/// The calendars of its account, asked of the provider.
#[server(prefix = "/_ui", endpoint = "oauth/calendars", protocol = ByJson)]
pub async fn list_calendars(id: String) -> Result<Vec<Calendar>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.calendars(&actor, ssr::id(&id, "Integration")?).await?)
}

/// Sends the browser to the provider, to consent to `scopes` besides what is granted.
#[server(prefix = "/_ui", endpoint = "oauth/connect", protocol = ByForm)]
pub async fn connect(id: String, #[server(default)] scopes: Vec<String>) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    ssr::send_to_provider(&engine, &actor, ssr::id(&id, "Integration")?, scopes).await
}

/// Makes a link by which a colleague connects the account.
#[server(prefix = "/_ui", endpoint = "oauth/link", protocol = ByForm)]
pub async fn share_link(id: String) -> Result<String, CallError> {
    let (engine, actor) = ssr::caller()?;
    let request = domain::api::AuthorizationRequest::default();
    Ok(engine.connect_link(&actor, ssr::id(&id, "Integration")?, request).await?.authorization_url)
}

/// Renews the access now.
#[server(prefix = "/_ui", endpoint = "oauth/refresh", protocol = ByForm)]
pub async fn refresh_connection(id: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.refresh_connection(&actor, ssr::id(&id, "Integration")?).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=connection"));
    Ok(())
}

/// Erases the tokens, and ends the access at the provider.
#[server(prefix = "/_ui", endpoint = "oauth/disconnect", protocol = ByForm)]
pub async fn disconnect(id: String) -> Result<Disconnected, CallError> {
    let (engine, actor) = ssr::caller()?;
    let done = engine.disconnect(&actor, ssr::id(&id, "Integration")?).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=connection"));
    Ok(done)
}

/// Changes what is done with the account.
#[server(prefix = "/_ui", endpoint = "oauth/sync", protocol = ByForm)]
pub async fn save_sync(
    id: String,
    #[server(default)] auto_sync: bool,
    #[server(default)] calendar: String,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let sync = domain::api::SyncSettings { auto_sync, calendar: Some(calendar) };
    engine.set_sync(&actor, ssr::id(&id, "Integration")?, sync).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=connection"));
    Ok(())
}
