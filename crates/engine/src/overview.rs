//! What the first screen shows.

use std::collections::BTreeMap;

use domain::{
    Permission, WebhookId, WebhookState,
    api::{DayTries, FailingWebhook, Overview, Webhook},
};

use crate::{Actor, Engine, Result, error::refused};

/// Most failing webhooks that are named.
const MOST_FAILING: i64 = 20;

impl Engine {
    /// Figures of the organization.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        actor.require(Permission::ReadDeliveries)?;
        self.inner.store.overview(actor.organization, self.now()).await.map_err(refused)
    }

    /// Webhooks that were disabled by themselves, and active ones that are at least half way to it, the worst first.
    pub async fn failing_webhooks(&self, actor: &Actor) -> Result<Vec<FailingWebhook>> {
        actor.require(Permission::ReadWebhooks)?;
        let found = self.inner.store.failing_webhooks(actor.organization, MOST_FAILING).await.map_err(refused)?;
        let needs_eye = |webhook: &FailingWebhook| {
            webhook.state == WebhookState::Disabled || webhook.options.warns_at(webhook.consecutive_failures)
        };
        Ok(found.into_iter().filter(needs_eye).collect())
    }

    /// Tries of the last 30 days, the oldest first, of a page of webhooks. A webhook without any is left out.
    pub async fn webhook_days(
        &self,
        actor: &Actor,
        webhooks: &[Webhook],
    ) -> Result<BTreeMap<WebhookId, Vec<DayTries>>> {
        actor.require(Permission::ReadWebhooks)?;
        let ids = || webhooks.iter().map(|webhook| webhook.id);
        let (Some(oldest), Some(newest)) = (ids().min(), ids().max()) else { return Ok(BTreeMap::new()) };
        self.inner.store.webhook_days(actor.organization, oldest, newest, self.now()).await.map_err(refused)
    }
}
