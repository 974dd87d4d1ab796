//! Tests by people: does it work now? What is found counts like any check. A draft can be tried before it is saved; then
//! nothing is stored.

use domain::{
    IntegrationDraft, IntegrationId, IntegrationState, Permission, Problems,
    api::{ApiError, CheckResult, ErrorCode, LogKind},
    catalogue::{IntegrationType, is_email},
    health::Health,
};

use super::probe::probe;
use crate::{Actor, Engine, Result};

impl Engine {
    /// Tests the connection of an integration.
    pub async fn test_integration(&self, actor: &Actor, id: IntegrationId) -> Result<CheckResult> {
        actor.require(Permission::OperateIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        self.inner.check_health(row, None, LogKind::Test).await.ok_or_else(|| ApiError::not_found("Provider"))
    }

    /// Tests what is being entered, as a new integration or as a change of `id`. Nothing is stored.
    pub async fn test_draft(
        &self,
        actor: &Actor,
        id: Option<IntegrationId>,
        draft: IntegrationDraft,
    ) -> Result<CheckResult> {
        actor.require(Permission::WriteIntegrations)?;
        let stored = match id {
            Some(id) => Some(self.find_integration(actor.organization, id).await?),
            None => None,
        };
        let old = stored.as_ref().map(|row| self.inner.open_secrets(row)).transpose()?.unwrap_or_default();
        let known = stored.as_ref().map(|row| (&row.integration, &old));
        let checked = self.check_integration(actor.organization, draft, known).await?;
        let probed = probe(&self.inner, &checked.provider, &checked.config, &checked.secrets).await;
        let health = stored.map_or(Health::Unknown, |row| row.integration.health);
        Ok(probed.result(&checked.provider, &checked.config, health))
    }

    /// Checks an integration now. The same as a test, by the words of the dashboard.
    pub async fn check_integration_now(&self, actor: &Actor, id: IntegrationId) -> Result<CheckResult> {
        actor.require(Permission::OperateIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        self.inner.check_health(row, None, LogKind::Check).await.ok_or_else(|| ApiError::not_found("Provider"))
    }

    /// Begins anew with an integration that was switched off or failed: switches it on if need be, and tests it.
    pub async fn reconnect_integration(&self, actor: &Actor, id: IntegrationId) -> Result<CheckResult> {
        actor.require(Permission::OperateIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        if row.integration.state == IntegrationState::Disabled {
            self.set_integration_state(actor, id, IntegrationState::Active).await?;
        }
        self.test_integration(actor, id).await
    }

    /// Sends a test e-mail, through real SMTP, with the server's own reply in the answer.
    pub async fn send_test_email(&self, actor: &Actor, id: IntegrationId, to: &str) -> Result<CheckResult> {
        actor.require(Permission::OperateIntegrations)?;
        let to = to.trim();
        if to.is_empty() {
            return Err(Problems::one("to", "Email address is required").into());
        } else if !is_email(to) {
            return Err(Problems::one("to", "Please enter a valid email address").into());
        }
        let row = self.find_integration(actor.organization, id).await?;
        let provider = self.provider(&row.integration.provider)?.clone();
        if provider.kind != IntegrationType::Email {
            let detail = format!("{} is not an e-mail integration.", row.integration.name);
            return Err(ApiError::new(ErrorCode::Conflict, detail));
        }
        let text = format!(
            "This is a test of the e-mail integration \"{}\" of Signalbox.\n\nIf you can read it, it works.\n",
            row.integration.name
        );
        let probed = self.inner.send_mail(&row, to, "Signalbox test e-mail", &text).await;
        let recorded =
            self.inner.record(row.organization, &row.integration, &provider, &probed, None, LogKind::Send).await;
        let health = recorded.map_or(row.integration.health, |recorded| recorded.after.health);
        Ok(probed.result(&provider, &row.integration.config, health))
    }
}
