//! Keys of the REST API.

use domain::api::{ApiKey, CreatedApiKey};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// All keys, without their secrets.
#[server(prefix = "/_ui", endpoint = "api-keys/list", protocol = ByJson)]
pub async fn list_api_keys() -> Result<Vec<ApiKey>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.api_keys(&actor).await?)
}

/// Creates a key and shows it, once.
#[server(prefix = "/_ui", endpoint = "api-keys/create", protocol = ByForm)]
pub async fn create_api_key(
    name: String,
    #[server(default)] scopes: Vec<String>,
    #[server(default)] source_id: String,
) -> Result<CreatedApiKey, CallError> {
    let (engine, actor) = ssr::caller()?;
    let source_id = if source_id.is_empty() { None } else { Some(ssr::id(&source_id, "Source")?) };
    let draft = domain::api::ApiKeyDraft { name: name.clone(), scopes, source_id, expires_at: None };
    let created = engine.create_api_key(&actor, draft).await;
    created.map_err(|error| ssr::keep_typed::<CreateApiKey>(error.into(), &[("name", &name)]))
}

/// Makes a key useless at once.
#[server(prefix = "/_ui", endpoint = "api-keys/revoke", protocol = ByForm)]
pub async fn revoke_api_key(id: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.revoke_api_key(&actor, ssr::id(&id, "API key")?).await?;
    ssr::redirect_plain_form("/api");
    Ok(())
}
