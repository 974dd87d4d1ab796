//! What the first screen shows.

use domain::{Permission, api::Overview};

use crate::{Actor, Engine, Result, error::refused};

impl Engine {
    /// Figures of the organization.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        actor.require(Permission::ReadDeliveries)?;
        self.inner.store.overview(actor.organization, self.now()).await.map_err(refused)
    }
}
