//! Filters that members keep under a name. They are a member's own: nobody else sees them, and no permission is asked.

use domain::{
    MemberId, Problems,
    api::{ApiError, ErrorCode, MAX_SAVED_VIEWS, SavedView},
};

use crate::{Actor, Engine, Result, error::refused};

impl Engine {
    /// The views of whoever asks, by list and name. An API key has none.
    pub async fn saved_views(&self, actor: &Actor) -> Result<Vec<SavedView>> {
        let Some((member, _)) = actor.member() else { return Ok(Vec::new()) };
        self.inner.store.saved_views(actor.organization, member).await.map_err(refused)
    }

    /// Keeps a view, in place of the one of the same name.
    pub async fn save_view(&self, actor: &Actor, view: SavedView) -> Result<()> {
        let member = member(actor)?;
        let view = view.checked()?;
        let most = i64::try_from(MAX_SAVED_VIEWS).unwrap_or(i64::MAX);
        if self.inner.store.save_view(actor.organization, member, view, most).await.map_err(refused)? {
            return Ok(());
        }
        let message = format!("You have {MAX_SAVED_VIEWS} views already; remove one first");
        Err(Problems::one("name", message).into())
    }

    /// Forgets a view.
    pub async fn forget_view(&self, actor: &Actor, list: String, name: String) -> Result<()> {
        let member = member(actor)?;
        let found = self.inner.store.forget_view(actor.organization, member, list, name).await.map_err(refused)?;
        if found { Ok(()) } else { Err(ApiError::not_found("View")) }
    }
}

fn member(actor: &Actor) -> Result<MemberId> {
    let (id, _) = actor.member().ok_or_else(|| ApiError::new(ErrorCode::Forbidden, "Only members keep views."))?;
    Ok(id)
}
