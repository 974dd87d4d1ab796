//! What a member wants to be told, and how. Each decides for themselves; a key for programs is nobody who could be told.

use domain::{
    AlertRule, MemberId, NotificationPreferences, Permission,
    api::{AlertCount, ApiError},
};

use crate::{Actor, Engine, Result, error::refused};

/// The member who asks, and their address.
fn member(actor: &Actor) -> Result<(MemberId, &str)> {
    actor.member().ok_or_else(|| ApiError::not_found("Member"))
}

impl Engine {
    /// What the member who asks wants to be told.
    pub async fn notification_preferences(&self, actor: &Actor) -> Result<NotificationPreferences> {
        actor.require(Permission::ReadIntegrations)?;
        let (id, email) = member(actor)?;
        let (store, organization) = (&self.inner.store, actor.organization);
        if let Some(preferences) = store.notification_preferences(organization, id).await.map_err(refused)? {
            return Ok(preferences);
        }
        let settings = store.alert_settings(organization).await.map_err(refused)?;
        Ok(NotificationPreferences::unsaid(&settings, email))
    }

    /// Changes what the member who asks is told from now on.
    pub async fn set_notification_preferences(
        &self,
        actor: &Actor,
        mut preferences: NotificationPreferences,
    ) -> Result<NotificationPreferences> {
        actor.require(Permission::ReadIntegrations)?;
        let (id, _) = member(actor)?;
        for rules in [&mut preferences.email, &mut preferences.browser] {
            rules.sort_unstable();
            rules.dedup();
        }
        let audit = self.audit_entry(actor, "notification_preferences.updated", &id, &["email", "browser"]);
        let stored = self.inner.store.set_notification_preferences(actor.organization, id, preferences.clone(), audit);
        stored.await.map_err(refused)?;
        Ok(preferences)
    }

    /// How many alerts nobody has said anything of, and how many of these the browser of the member who asks tells of.
    pub async fn open_alerts(&self, actor: &Actor) -> Result<AlertCount> {
        let preferences = self.notification_preferences(actor).await?;
        let open = self.inner.store.open_alerts(actor.organization).await.map_err(refused)?;
        let told = |(rule, count): (&AlertRule, &i64)| if preferences.browser.contains(rule) { *count } else { 0 };
        Ok(AlertCount { open: open.values().sum(), told: open.iter().map(told).sum() })
    }
}
