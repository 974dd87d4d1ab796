//! Integrations: the dashboard, the form, health, logs. Long because it is a list of small functions, one for each thing that
//! these screens ask for.
#![cfg_attr(
    feature = "ssr",
    expect(clippy::unused_async, reason = "server functions are async, and the catalogue is in memory")
)]

use std::collections::BTreeMap;

use domain::{
    IntegrationDraft, IntegrationId, IntegrationState,
    api::{
        Alert, CheckResult, CheckRound, Diagnosis, DiagnosisKind, EmailUsage, HealthReport, Integration,
        IntegrationLine, IntegrationSummary, LogEntry, LogQuery, Page, TimeRange,
    },
    catalogue::{Field, FieldKind, IntegrationType, Provider},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// What is typed to clear a log.
pub const CONFIRMATION: &str = "clear";

/// An integration in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegrationRow {
    /// The integration.
    pub line: IntegrationLine,
    /// Its provider, as people know it.
    pub provider_name: String,
    /// What does not work while it is down; empty while it is not.
    pub impact: String,
}

/// The dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    /// The counts.
    pub summary: IntegrationSummary,
    /// All integrations by name.
    pub rows: Vec<IntegrationRow>,
    /// Open alerts about integrations.
    pub alerts: Vec<Alert>,
    /// The last check of all.
    pub round: Option<CheckRound>,
}

/// All integrations with what is wrong.
#[server(prefix = "/_ui", endpoint = "integrations/dashboard", protocol = ByJson)]
pub async fn show_dashboard() -> Result<Dashboard, CallError> {
    let (engine, actor) = ssr::caller()?;
    let all = engine.integration_lines(&actor).await?;
    let summary = IntegrationSummary::of_lines(&all);
    let open = engine.alerts(&actor, domain::api::AlertQuery::default()).await?.data;
    let alerts = open.into_iter().filter(|alert| alert.subject.starts_with("int_")).collect();
    let row = |line: IntegrationLine| {
        let provider = engine.provider(&line.provider).ok();
        IntegrationRow {
            provider_name: provider.map_or_else(|| line.provider.clone(), |it| it.name.clone()),
            impact: provider
                .filter(|_| line.health == domain::health::Health::Down)
                .map(|it| it.impact.clone())
                .unwrap_or_default(),
            line,
        }
    };
    let round = engine.check_round(&actor).await?;
    Ok(Dashboard { summary, rows: all.into_iter().map(row).collect(), alerts, round })
}

/// A provider that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderChoice {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub kind: IntegrationType,
    /// As people know it.
    pub name: String,
    /// What it does.
    pub summary: String,
}

/// Every provider, by type, then by name.
#[server(prefix = "/_ui", endpoint = "integrations/providers", protocol = ByJson)]
pub async fn list_providers() -> Result<Vec<ProviderChoice>, CallError> {
    let (engine, _) = ssr::caller()?;
    let choice = |provider: &Provider| ProviderChoice {
        id: provider.id.clone(),
        kind: provider.kind,
        name: provider.name.clone(),
        summary: provider.summary.clone(),
    };
    Ok(engine.providers().map(choice).collect())
}

/// A provider that is to be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderScreen {
    /// The provider.
    pub provider: Provider,
    /// What has to be registered there, when it is connected by OAuth.
    pub redirect_uri: Option<String>,
    /// What an integration of it can depend on, by name.
    pub others: Vec<(IntegrationId, String)>,
}

/// One provider.
#[server(prefix = "/_ui", endpoint = "integrations/provider", protocol = ByJson)]
pub async fn show_provider(id: String) -> Result<ProviderScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let provider = engine.provider(&id)?;
    let (redirect_uri, others) = (engine.redirect_uri(provider), named(&engine, &actor).await?);
    Ok(ProviderScreen { provider: provider.as_ref().clone(), redirect_uri, others })
}

/// An integration with its provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegrationScreen {
    /// The integration.
    pub integration: Integration,
    /// Its provider.
    pub provider: Provider,
    /// What has to be registered there, when it is connected by OAuth.
    pub redirect_uri: Option<String>,
    /// What it has sent, if it sends e-mails.
    pub usage: Option<EmailUsage>,
}

/// One integration.
#[server(prefix = "/_ui", endpoint = "integrations/show", protocol = ByJson)]
pub async fn show_integration(id: String) -> Result<IntegrationScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let integration = engine.integration(&actor, ssr::id(&id, "Integration")?).await?;
    let provider = engine.provider(&integration.provider)?.clone();
    let usage = if provider.kind == IntegrationType::Email {
        Some(engine.email_usage(&actor, integration.id).await?)
    } else {
        None
    };
    let redirect_uri = engine.redirect_uri(&provider);
    Ok(IntegrationScreen { provider: provider.as_ref().clone(), redirect_uri, integration, usage })
}

/// What an integration can depend on: all others, by name.
#[server(prefix = "/_ui", endpoint = "integrations/others", protocol = ByJson)]
pub async fn list_others(id: String) -> Result<Vec<(IntegrationId, String)>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let own: IntegrationId = ssr::id(&id, "Integration")?;
    let mut others = named(&engine, &actor).await?;
    others.retain(|(id, _)| *id != own);
    Ok(others)
}

/// All integrations with their names.
#[server(prefix = "/_ui", endpoint = "integrations/names", protocol = ByJson)]
pub async fn integration_names() -> Result<Vec<(IntegrationId, String)>, CallError> {
    let (engine, actor) = ssr::caller()?;
    named(&engine, &actor).await
}

#[cfg(feature = "ssr")]
async fn named(engine: &engine::Engine, actor: &engine::Actor) -> Result<Vec<(IntegrationId, String)>, CallError> {
    Ok(engine.integration_lines(actor).await?.into_iter().map(|line| (line.id, line.name)).collect())
}

/// All about its health.
#[server(prefix = "/_ui", endpoint = "integrations/health", protocol = ByJson)]
pub async fn show_health(id: String) -> Result<HealthReport, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.health_report(&actor, ssr::id(&id, "Integration")?).await?)
}

/// Entries of logs, newest first; with a range, those since it began.
#[server(prefix = "/_ui", endpoint = "integrations/logs", protocol = ByJson)]
pub async fn list_logs_in(query: LogQuery, range: Option<TimeRange>) -> Result<Page<LogEntry>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let from = range.map(|range| range.before(engine.now()));
    Ok(engine.logs(&actor, LogQuery { from: from.or(query.from), ..query }).await?)
}

/// The fields of the form, named as they are posted: all text, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntegrationForm {
    /// The integration that is changed; empty for a new one.
    pub id: String,
    /// Its version when it was read; empty for a new one.
    pub version: String,
    /// The provider of a new one.
    pub provider: String,
    /// "Name".
    pub name: String,
    /// Values of fields that hold one.
    pub config: BTreeMap<String, String>,
    /// Values of fields that hold several, each as `field:value`.
    pub chosen: Vec<String>,
    /// Secrets; an empty one keeps what is stored.
    pub secrets: BTreeMap<String, String>,
    /// Seconds between two checks.
    pub check_interval_s: String,
    /// The integration without which it cannot work; empty for none.
    pub depends_on: String,
    /// Whether it is used.
    pub active: bool,
}

impl IntegrationForm {
    /// What the form says, by the provider's fields.
    pub fn draft(&self, provider: &Provider) -> IntegrationDraft {
        let mut config = domain::catalogue::Config::new();
        for field in provider.fields.iter().filter(|field| !field.is_secret()) {
            config.insert(field.name.clone(), self.value(field));
        }
        let given = self.secrets.iter().filter(|(_, value)| !value.is_empty());
        IntegrationDraft {
            kind: None,
            provider: self.provider.clone(),
            name: self.name.clone(),
            config,
            secrets: given.map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
            // What is no number is no interval either, and refused in the same words.
            check_interval_s: self.check_interval_s.trim().parse().unwrap_or_default(),
            depends_on: self.depends_on.parse().ok(),
            state: if self.active { IntegrationState::Active } else { IntegrationState::Disabled },
            version: self.version.parse().ok(),
        }
    }

    fn value(&self, field: &Field) -> Value {
        let text = self.config.get(&field.name).map(|text| text.trim()).unwrap_or_default();
        match field.kind {
            FieldKind::Switch => Value::Bool(text == "true"),
            FieldKind::Choices => {
                let prefix = format!("{}:", field.name);
                self.chosen.iter().filter_map(|text| text.strip_prefix(&prefix)).map(Value::from).collect()
            }
            FieldKind::Number | FieldKind::Choice => {
                text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
            }
            _ => Value::from(text),
        }
    }

    /// The form of an integration that exists.
    pub fn of(integration: &Integration) -> Self {
        let mut form = Self {
            id: integration.id.to_string(),
            version: integration.version.to_string(),
            provider: integration.provider.clone(),
            name: integration.name.clone(),
            check_interval_s: integration.check_interval_s.to_string(),
            depends_on: integration.depends_on.map(|id| id.to_string()).unwrap_or_default(),
            active: integration.state == IntegrationState::Active,
            ..Self::default()
        };
        for (name, value) in &integration.config {
            form.put(name, value);
        }
        form
    }

    /// The form of a new integration.
    pub fn blank(provider: &Provider) -> Self {
        let mut form = Self {
            provider: provider.id.clone(),
            name: provider.name.clone(),
            check_interval_s: domain::health::DEFAULT_CHECK_INTERVAL_S.to_string(),
            active: true,
            ..Self::default()
        };
        for field in &provider.fields {
            if let Some(value) = &field.default {
                form.put(&field.name, value);
            }
        }
        form
    }

    fn put(&mut self, name: &str, value: &Value) {
        match value {
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                self.chosen.extend(texts.map(|text| format!("{name}:{text}")));
            }
            Value::String(text) => drop(self.config.insert(name.to_owned(), text.clone())),
            other => drop(self.config.insert(name.to_owned(), other.to_string())),
        }
    }
}

/// Stores the form; with `then` = `test` a test follows, with `connect` the consent of an account. With `then` = `try` nothing
/// is stored, only tested.
#[server(prefix = "/_ui", endpoint = "integrations/save", protocol = ByForm)]
pub async fn save_integration(
    form: IntegrationForm,
    #[server(default)] then: String,
) -> Result<Option<CheckResult>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let id = if form.id.is_empty() { None } else { Some(ssr::id(&form.id, "Integration")?) };
    let stored = match id {
        Some(id) => Some(engine.integration(&actor, id).await?),
        None => None,
    };
    let provider = engine.provider(stored.as_ref().map_or(&form.provider, |stored| &stored.provider))?;
    let draft = form.draft(provider);
    if then == "try" {
        return Ok(Some(engine.test_draft(&actor, id, draft).await?));
    }
    let saved = match id {
        Some(id) => engine.update_integration(&actor, id, draft).await?,
        None => engine.create_integration(&actor, draft).await?,
    };
    if then == "connect" {
        ssr::send_to_provider(&engine, &actor, saved.id, Vec::new()).await?;
        return Ok(None);
    }
    let tested = if then == "test" { Some(engine.test_integration(&actor, saved.id).await?) } else { None };
    let path = format!("/integrations/{}{}", saved.id, if then == "test" { "" } else { "?tab=settings" });
    if id.is_none() || then == "test" {
        ssr::redirect(&path);
    } else {
        ssr::redirect_plain_form(&path);
    }
    Ok(tested)
}

/// What is done with an integration at the press of a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Uses it again.
    Enable,
    /// Stops using it.
    Disable,
    /// Begins anew and tests.
    Reconnect,
    /// Tests.
    Test,
    /// Begins two hours of maintenance.
    BeginMaintenance,
    /// Ends maintenance.
    EndMaintenance,
}

/// Does it. What a test found is answered.
#[server(prefix = "/_ui", endpoint = "integrations/act", protocol = ByForm)]
pub async fn act_on_integration(id: String, verb: Verb) -> Result<Option<CheckResult>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let one = ssr::id(&id, "Integration")?;
    // Where an account has to sign in again, that is what reconnects.
    if verb == Verb::Reconnect && engine.needs_consent(&actor, one).await? {
        return ssr::send_to_provider(&engine, &actor, one, Vec::new()).await.map(|()| None);
    }
    ssr::redirect_plain_form(&format!("/integrations/{id}"));
    Ok(match verb {
        Verb::Enable => engine.set_integration_state(&actor, one, IntegrationState::Active).await.map(|_| None)?,
        Verb::Disable => engine.set_integration_state(&actor, one, IntegrationState::Disabled).await.map(|_| None)?,
        Verb::Reconnect => Some(engine.reconnect_integration(&actor, one).await?),
        Verb::Test => Some(engine.test_integration(&actor, one).await?),
        Verb::BeginMaintenance => engine.set_maintenance(&actor, one, 2).await.map(|_| None)?,
        Verb::EndMaintenance => engine.set_maintenance(&actor, one, 0).await.map(|_| None)?,
    })
}

/// Checks every active integration.
#[server(prefix = "/_ui", endpoint = "integrations/check-all", protocol = ByForm)]
pub async fn check_all() -> Result<CheckRound, CallError> {
    let (engine, actor) = ssr::caller()?;
    let round = engine.check_all_integrations(&actor).await?;
    ssr::redirect_plain_form("/integrations");
    Ok(round)
}

/// Ends that.
#[server(prefix = "/_ui", endpoint = "integrations/cancel-check", protocol = ByForm)]
pub async fn cancel_check() -> Result<CheckRound, CallError> {
    let (engine, actor) = ssr::caller()?;
    let round = engine.cancel_check_round(&actor).await?;
    ssr::redirect_plain_form("/integrations");
    Ok(round)
}

/// Deletes an integration.
#[server(prefix = "/_ui", endpoint = "integrations/delete", protocol = ByForm)]
pub async fn delete_integration(id: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.delete_integration(&actor, ssr::id(&id, "Integration")?).await?;
    ssr::redirect("/integrations");
    Ok(())
}

/// Sends a test e-mail.
#[server(prefix = "/_ui", endpoint = "integrations/test-email", protocol = ByForm)]
pub async fn send_test_email(id: String, to: String) -> Result<CheckResult, CallError> {
    let (engine, actor) = ssr::caller()?;
    let sent = engine.send_test_email(&actor, ssr::id(&id, "Integration")?, &to).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=logs"));
    Ok(sent)
}

/// Looks at one thing that may be wrong.
#[server(prefix = "/_ui", endpoint = "integrations/diagnose", protocol = ByForm)]
pub async fn diagnose(id: String, check: DiagnosisKind) -> Result<Diagnosis, CallError> {
    let (engine, actor) = ssr::caller()?;
    let found = engine.diagnose(&actor, ssr::id(&id, "Integration")?, check).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}"));
    Ok(found)
}

/// Changes the emergency procedure: a step a line; `done` holds the numbers of those that are done.
#[server(prefix = "/_ui", endpoint = "integrations/runbook", protocol = ByForm)]
pub async fn save_runbook(
    id: String,
    steps: String,
    #[server(default)] done: Vec<usize>,
    #[server(default)] status_note: String,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let lines = steps.lines().map(str::trim).filter(|line| !line.is_empty());
    let step =
        |(index, text): (usize, &str)| domain::api::RunbookStep { text: text.to_owned(), done: done.contains(&index) };
    let draft = domain::api::RunbookDraft {
        steps: lines.enumerate().map(step).collect(),
        status_note: status_note.trim().to_owned(),
    };
    engine.set_runbook(&actor, ssr::id(&id, "Integration")?, draft).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=runbook"));
    Ok(())
}

/// Shows a stored secret to whoever gives their password again.
#[server(prefix = "/_ui", endpoint = "integrations/reveal", protocol = ByForm)]
pub async fn reveal_secret(id: String, name: String, password: String) -> Result<String, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.reveal_integration_secret(&actor, ssr::id(&id, "Integration")?, &name, &password).await?)
}

/// Makes a new secret where it is ours to make.
#[server(prefix = "/_ui", endpoint = "integrations/regenerate", protocol = ByForm)]
pub async fn regenerate_secret(id: String, name: String) -> Result<String, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.regenerate_secret(&actor, ssr::id(&id, "Integration")?, &name).await?)
}

/// Empties a log. [`CONFIRMATION`] must be typed.
#[server(prefix = "/_ui", endpoint = "integrations/clear-log", protocol = ByForm)]
pub async fn clear_log(id: String, #[server(default)] confirm: String) -> Result<u64, CallError> {
    let (engine, actor) = ssr::caller()?;
    if confirm.trim() != CONFIRMATION {
        let problem = domain::Problems::one("confirm", format!("Type {CONFIRMATION} to confirm"));
        return Err(domain::api::ApiError::from(problem).into());
    }
    let gone = engine.clear_log(&actor, ssr::id(&id, "Integration")?).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=logs"));
    Ok(gone)
}
