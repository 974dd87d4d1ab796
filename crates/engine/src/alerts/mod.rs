//! Alerts: looking at them, and what people say of them. They are raised where things are noticed: with the results of
//! health checks, and by [`watch`] for what is noticed by looking.

mod notify;
mod preferences;
mod watch;

use domain::{
    AlertId, AlertSettings, Permission,
    api::{Alert, AlertQuery, ApiError, ErrorCode, Page, Snooze},
};
use storage::AlertAct;

pub(crate) use notify::notify;
pub(crate) use watch::watch;

use crate::{Actor, Engine, LiveEvent, Result, error::refused, paging};

impl Engine {
    /// Alerts, newest first.
    pub async fn alerts(&self, actor: &Actor, query: AlertQuery) -> Result<Page<Alert>> {
        actor.require(Permission::ReadIntegrations)?;
        let after: Option<AlertId> = paging::after(query.cursor.as_deref())?;
        let limit = paging::limit(query.limit);
        self.inner.store.alerts(actor.organization, &query, after, limit).await.map_err(refused)
    }

    /// Says that somebody works on it: no more reminders.
    pub async fn acknowledge_alert(&self, actor: &Actor, id: AlertId) -> Result<Alert> {
        self.act(actor, id, AlertAct::Acknowledge { by: actor.label() }, "alert.acknowledged").await
    }

    /// Makes an alert quiet for a while.
    pub async fn snooze_alert(&self, actor: &Actor, id: AlertId, snooze: Snooze) -> Result<Alert> {
        snooze.validate()?;
        let until = self.now().plus_ms(i64::from(snooze.minutes) * 60_000);
        self.act(actor, id, AlertAct::Snooze { until }, "alert.snoozed").await
    }

    /// Says that it is over. If it is not, it opens again when it is noticed again.
    pub async fn resolve_alert(&self, actor: &Actor, id: AlertId) -> Result<Alert> {
        self.act(actor, id, AlertAct::Resolve, "alert.resolved").await
    }

    async fn act(&self, actor: &Actor, id: AlertId, act: AlertAct, action: &'static str) -> Result<Alert> {
        actor.require(Permission::OperateIntegrations)?;
        let audit = self.audit_entry(actor, action, &id, &["state"]);
        let (store, organization) = (&self.inner.store, actor.organization);
        let done = store.act_on_alert(organization, id, act, audit).await.map_err(refused)?;
        let alert =
            store.alert(organization, id).await.map_err(refused)?.ok_or_else(|| ApiError::not_found("Alert"))?;
        if !done {
            return Err(ApiError::new(ErrorCode::Conflict, "This alert is resolved already."));
        }
        self.inner.live.send(organization, LiveEvent::Alerts);
        self.inner.notifier.notify_one();
        Ok(alert)
    }

    /// Who is told of alerts.
    pub async fn alert_settings(&self, actor: &Actor) -> Result<AlertSettings> {
        actor.require(Permission::ReadIntegrations)?;
        self.inner.store.alert_settings(actor.organization).await.map_err(refused)
    }

    /// Changes who is told of alerts.
    pub async fn set_alert_settings(&self, actor: &Actor, settings: AlertSettings) -> Result<AlertSettings> {
        actor.require(Permission::WriteSettings)?;
        settings.validate()?;
        let audit = self.audit_entry(actor, "alert_settings.updated", &actor.organization, &["alert_settings"]);
        self.inner.store.set_alert_settings(actor.organization, settings.clone(), audit).await.map_err(refused)?;
        Ok(settings)
    }
}
