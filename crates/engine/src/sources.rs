//! Sources: what produces events. A webhook or an API key can be limited to one.

use domain::{
    Permission, Problems, SourceId,
    api::{ApiError, ErrorCode, Source, SourceDraft},
};
use storage::SourceRemoval;

use crate::{
    Actor, Engine, Result,
    error::refused,
    members::{check_name, check_room},
};

impl Engine {
    /// The sources of the organization by name.
    pub async fn sources(&self, actor: &Actor) -> Result<Vec<Source>> {
        actor.require(Permission::ReadSources)?;
        self.inner.store.sources(actor.organization).await.map_err(refused)
    }

    /// Adds a source.
    pub async fn create_source(&self, actor: &Actor, draft: SourceDraft) -> Result<Source> {
        actor.require(Permission::WriteSources)?;
        let mut problems = Problems::default();
        let name = draft.name.trim().to_owned();
        check_name(&name, "name", "Source name", &mut problems);
        problems.or(())?;
        check_room(self.inner.store.sources(actor.organization).await.map_err(refused)?.len(), "sources")?;
        let source = Source { id: self.new_id(), name, created_at: self.now() };
        let audit = self.audit_entry(actor, "source.created", &source.id, &["name"]);
        self.inner.store.create_source(actor.organization, source.clone(), audit).await.map_err(refused)?;
        self.refresh_routing().await;
        Ok(source)
    }

    /// Deletes a source to which nothing is limited any more.
    pub async fn delete_source(&self, actor: &Actor, id: SourceId) -> Result<()> {
        actor.require(Permission::WriteSources)?;
        let audit = self.audit_entry(actor, "source.deleted", &id, &[]);
        match self.inner.store.delete_source(actor.organization, id, audit).await.map_err(refused)? {
            SourceRemoval::Removed => {
                self.refresh_routing().await;
                Ok(())
            }
            SourceRemoval::InUse => {
                let detail = "Webhooks or API keys are limited to this source. Change, delete or revoke them first.";
                Err(ApiError::new(ErrorCode::Conflict, detail))
            }
            SourceRemoval::Missing => Err(ApiError::not_found("Source")),
        }
    }
}
