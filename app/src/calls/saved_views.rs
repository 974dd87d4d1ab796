//! Views that a member keeps of lists.

use domain::api::SavedView;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// The views of all lists.
#[server(prefix = "/_ui", endpoint = "views/list", protocol = ByJson)]
pub async fn saved_views() -> Result<Vec<SavedView>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.saved_views(&actor).await?)
}

/// Keeps the filters of a list under a name.
#[server(prefix = "/_ui", endpoint = "views/save", protocol = ByForm)]
pub async fn save_view(
    list: String,
    #[server(default)] name: String,
    #[server(default)] query: String,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.save_view(&actor, SavedView { list, name, query }).await?)
}

/// Forgets a view.
#[server(prefix = "/_ui", endpoint = "views/forget", protocol = ByForm)]
pub async fn forget_view(list: String, name: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.forget_view(&actor, list, name).await?)
}
