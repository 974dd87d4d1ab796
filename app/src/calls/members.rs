//! Who belongs to the organization.

use domain::api::Member;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// All members.
#[server(prefix = "/_ui", endpoint = "members/list", protocol = ByJson)]
pub async fn list_members() -> Result<Vec<Member>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.members(&actor).await?)
}

/// Adds a member.
#[server(prefix = "/_ui", endpoint = "members/create", protocol = ByForm)]
pub async fn add_member(name: String, email: String, role: domain::Role, password: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let draft = domain::api::MemberDraft { name: name.clone(), email: email.clone(), role, password };
    let added = engine.create_member(&actor, draft).await;
    added.map_err(|error| ssr::keep_typed::<AddMember>(error.into(), &[("name", &name), ("email", &email)]))?;
    ssr::redirect_plain_form("/settings");
    Ok(())
}
