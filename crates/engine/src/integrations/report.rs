//! The health page (UC §5): how it is since when, what went wrong and what that suggests, figures against what is normal,
//! and what to do next.

use domain::{
    IntegrationId, Permission,
    api::{ActionStep, HealthReport, LogLevel, LogQuery},
    catalogue::{Action, Fault, Provider},
    health::{UPTIME_TARGET_PERCENT, pattern},
};

use super::probe;
use crate::{Actor, Engine, Result, error::refused};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Errors that are shown.
const ERRORS: u32 = 5;
/// Minutes with results that are shown as heartbeats.
const BEATS: u32 = 60;

impl Engine {
    /// All about an integration's health.
    pub async fn health_report(&self, actor: &Actor, id: IntegrationId) -> Result<HealthReport> {
        actor.require(Permission::ReadIntegrations)?;
        let organization = actor.organization;
        let integration = self.find_integration(organization, id).await?.integration;
        let provider = self.provider(&integration.provider)?;
        let (store, now) = (&self.inner.store, self.now());
        let errors = LogQuery { integration_id: Some(id), level: Some(LogLevel::Error), ..LogQuery::default() };
        let yesterday = now.plus_ms(-DAY_MS);
        let (recent, last_24h, normal, hours, days, beats) = tokio::join!(
            store.logs(organization, &errors, None, 2 * ERRORS),
            store.health_figures(organization, id, yesterday, now.plus_ms(HOUR_MS)),
            store.health_figures(organization, id, now.plus_ms(-8 * DAY_MS), yesterday),
            store.health_series(organization, id, 60, yesterday, 25),
            store.health_series(organization, id, 1440, now.plus_ms(-30 * DAY_MS), 31),
            store.health_series(organization, id, 1, now.plus_ms(-2 * DAY_MS), BEATS),
        );
        // That health changed is an entry too, and no error of its own.
        let mut recent_errors = recent.map_err(refused)?.data;
        recent_errors.retain(|entry| entry.fault.is_some());
        recent_errors.truncate(ERRORS as usize);
        let faults: Vec<Fault> = recent_errors.iter().filter_map(|entry| entry.fault).collect();
        // What went wrong long ago explains nothing today.
        let newest = recent_errors.first().filter(|entry| entry.at > yesterday);
        let trouble = newest.and_then(|entry| {
            let code = entry.details.get("Code").and_then(|code| code.parse().ok());
            let said = entry.details.get("Answer").map(String::as_str).unwrap_or_default();
            probe::trouble(provider, &integration.config, entry.fault?, code, said)
        });
        let actions = match &trouble {
            Some(trouble) => trouble
                .steps
                .iter()
                .map(|step| {
                    let url = step.action.and_then(|action| link(provider, action));
                    ActionStep { action: step.action, label: step.label.clone(), text: step.text.clone(), url }
                })
                .collect(),
            None => [Action::Reconnect, Action::ViewLogs, Action::StatusPage]
                .into_iter()
                .filter_map(|action| {
                    let url = link(provider, action);
                    let is_missing = action == Action::StatusPage && url.is_none();
                    let label = action.label(&provider.name);
                    (!is_missing).then_some(ActionStep { action: Some(action), label, text: String::new(), url })
                })
                .collect(),
        };
        Ok(HealthReport {
            pattern: pattern(&faults).map(str::to_owned),
            recent_errors,
            trouble,
            last_24h: last_24h.map_err(refused)?,
            normal: normal.map_err(refused)?,
            uptime_target_percent: UPTIME_TARGET_PERCENT,
            hours: hours.map_err(refused)?,
            days: days.map_err(refused)?,
            beats: beats.map_err(refused)?,
            actions,
            integration,
        })
    }
}

/// Where an action leads, when it leads out of Signalbox.
fn link(provider: &Provider, action: Action) -> Option<String> {
    match action {
        Action::StatusPage => provider.status_page.clone(),
        Action::VerifyKey => provider.keys_page.clone(),
        Action::Docs => provider.docs.clone(),
        Action::Support => provider.support.clone(),
        _ => None,
    }
}
