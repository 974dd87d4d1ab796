//! Rounds: all integrations of an organization are checked at once, by all nodes, within what each node does at a time. The
//! dashboard shows how far a round came; whoever asks again while it goes on is shown the same one.

use domain::{
    Permission,
    api::{ApiError, CheckRound, ErrorCode},
};

use crate::{Actor, Engine, LiveEvent, Result, error::refused};

impl Engine {
    /// Begins to check every active integration, or finds the round that goes on.
    pub async fn check_all_integrations(&self, actor: &Actor) -> Result<CheckRound> {
        actor.require(Permission::OperateIntegrations)?;
        let audit = self.audit_entry(actor, "integrations.checked", &actor.organization, &[]);
        let begun = self.inner.store.begin_check_round(actor.organization, actor.label(), audit);
        let (round, is_new) = begun.await.map_err(refused)?;
        if is_new {
            self.inner.checker.notify_one();
            self.inner.live.send(actor.organization, LiveEvent::Integrations);
        }
        Ok(round)
    }

    /// How far the last round came; `None` when there never was one.
    pub async fn check_round(&self, actor: &Actor) -> Result<Option<CheckRound>> {
        actor.require(Permission::ReadIntegrations)?;
        self.inner.store.check_round(actor.organization).await.map_err(refused)
    }

    /// Ends the round that goes on. Checks that are under way end, and count for health.
    pub async fn cancel_check_round(&self, actor: &Actor) -> Result<CheckRound> {
        actor.require(Permission::OperateIntegrations)?;
        let audit = self.audit_entry(actor, "integrations.check_cancelled", &actor.organization, &[]);
        let cancelled = self.inner.store.cancel_check_round(actor.organization, audit).await.map_err(refused)?;
        let round = self.check_round(actor).await?.ok_or_else(|| ApiError::not_found("Health check"))?;
        if !cancelled {
            return Err(ApiError::new(ErrorCode::Conflict, "The health check has ended already."));
        }
        self.inner.live.send(actor.organization, LiveEvent::Integrations);
        Ok(round)
    }
}
