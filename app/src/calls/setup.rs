//! The first run: creating the organization and its owner.

use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{codec::ByForm, error::CallError};

/// Creates the organization and signs its owner in.
#[server(prefix = "/_ui", endpoint = "setup/create", protocol = ByForm)]
pub async fn create_organization(
    token: String,
    organization: String,
    name: String,
    email: String,
    password: String,
) -> Result<(), CallError> {
    let visitor = ssr::visitor()?;
    let typed = [("organization", organization.clone()), ("name", name.clone()), ("email", email.clone())];
    let form = engine::Setup { organization, name, email, password: engine::secrets::Secret::new(password) };
    let session = ssr::engine()?.setup(&token, form, &visitor.origin).await.map_err(|error| {
        ssr::keep_typed::<CreateOrganization>(
            error.into(),
            &typed.each_ref().map(|(name, value)| (*name, value.as_str())),
        )
    })?;
    ssr::begin_session(&session, &visitor);
    ssr::redirect("/");
    Ok(())
}
