//! Alerts, what people say of them, and who is told.

use domain::{
    AlertRule, AlertSettings, NotificationPreferences,
    api::{Alert, AlertCount, AlertQuery, Page},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// Alerts, newest first.
#[server(prefix = "/_ui", endpoint = "alerts/list", protocol = ByJson)]
pub async fn list_alerts(query: AlertQuery) -> Result<Page<Alert>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.alerts(&actor, query).await?)
}

/// How many alerts nobody has said anything of, and of how many the browser tells.
#[server(prefix = "/_ui", endpoint = "alerts/open", protocol = ByJson)]
pub async fn open_alerts() -> Result<AlertCount, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.open_alerts(&actor).await?)
}

/// What is said of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    /// Somebody works on it.
    Acknowledge,
    /// Quiet for an hour.
    Snooze,
    /// It is over.
    Resolve,
}

/// Says it.
#[server(prefix = "/_ui", endpoint = "alerts/act", protocol = ByForm)]
pub async fn act_on_alert(id: String, say: Say) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let id = ssr::id(&id, "Alert")?;
    match say {
        Say::Acknowledge => engine.acknowledge_alert(&actor, id).await?,
        Say::Snooze => engine.snooze_alert(&actor, id, domain::api::Snooze::default()).await?,
        Say::Resolve => engine.resolve_alert(&actor, id).await?,
    };
    ssr::redirect_plain_form("/alerts");
    Ok(())
}

/// Who is told.
#[server(prefix = "/_ui", endpoint = "alerts/settings", protocol = ByJson)]
pub async fn show_alert_settings() -> Result<AlertSettings, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.alert_settings(&actor).await?)
}

/// Changes who is told. `emails` are separated by commas or lines; `told` are the rules that are sent.
#[server(prefix = "/_ui", endpoint = "alerts/save-settings", protocol = ByForm)]
pub async fn save_alert_settings(
    #[server(default)] emails: String,
    #[server(default)] slack: bool,
    reminder_minutes: String,
    #[server(default)] told: Vec<AlertRule>,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let split = emails.split([',', '\n', ' ']).map(str::trim).filter(|email| !email.is_empty());
    let settings = AlertSettings {
        emails: split.map(str::to_owned).collect(),
        slack,
        // What is no number is out of range, and refused in the same words.
        reminder_minutes: reminder_minutes.trim().parse().unwrap_or(u32::MAX),
        muted: AlertRule::ALL.iter().copied().filter(|rule| !told.contains(rule)).collect(),
    };
    engine.set_alert_settings(&actor, settings).await?;
    ssr::redirect_plain_form("/alerts?view=settings");
    Ok(())
}

/// What the member who asks is told.
#[server(prefix = "/_ui", endpoint = "alerts/preferences", protocol = ByJson)]
pub async fn show_notifications() -> Result<NotificationPreferences, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.notification_preferences(&actor).await?)
}

/// Changes it. A list that is not given is empty.
#[server(prefix = "/_ui", endpoint = "alerts/save-preferences", protocol = ByForm)]
pub async fn save_notifications(
    #[server(default)] email: Vec<AlertRule>,
    #[server(default)] browser: Vec<AlertRule>,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.set_notification_preferences(&actor, NotificationPreferences { email, browser }).await?;
    ssr::redirect_plain_form("/settings");
    Ok(())
}
