//! Integrations: the dashboard, settings, health, logs. Long because it is a list of small functions, one for each thing that
//! these screens ask for.
#![cfg_attr(
    feature = "ssr",
    expect(clippy::unused_async, reason = "server functions are async, and the catalogue is in memory")
)]

use domain::{
    IntegrationId, IntegrationState, IntegrationStatus, Timestamp,
    api::{
        ActionStep, Alert, CheckResult, CheckRound, Diagnosis, DiagnosisKind, EmailUsage, HealthFigures, HealthHour,
        IntegrationLine, IntegrationSummary, LogEntry, LogQuery, Page, RunbookStep, TimeRange,
    },
    catalogue::IntegrationType,
    health::Health,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    calls::integration_form::{FormScreen, IntegrationForm},
    codec::{ByForm, ByJson},
    error::CallError,
};
#[cfg(feature = "ssr")]
use {
    crate::ssr,
    domain::catalogue::{ConnectionKind, Provider},
    std::collections::BTreeMap,
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
            impact: provider.filter(|_| line.health == Health::Down).map(|it| it.impact.clone()).unwrap_or_default(),
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
    /// As people know it.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// Its documentation of what has to be set up.
    pub docs: Option<String>,
    /// The form of a new integration.
    pub form: FormScreen,
}

/// One provider.
#[server(prefix = "/_ui", endpoint = "integrations/provider", protocol = ByJson)]
pub async fn show_provider(id: String) -> Result<ProviderScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let provider = engine.provider(&id)?;
    let form = FormScreen {
        form: IntegrationForm::blank(provider),
        fields: provider.fields.clone(),
        secrets: BTreeMap::new(),
        redirect_uri: engine.redirect_uri(provider),
        others: named(&engine, &actor).await?,
    };
    let Provider { name, summary, docs, .. } = provider.as_ref().clone();
    Ok(ProviderScreen { name, summary, docs, form })
}

/// An integration, as much of it as stands on every tab. What only one tab shows comes with that tab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationScreen {
    /// Its id.
    pub id: IntegrationId,
    /// What it is for.
    pub kind: IntegrationType,
    /// Its name.
    pub name: String,
    /// Whether it is used.
    pub state: IntegrationState,
    /// What the dashboard counts it as.
    pub status: IntegrationStatus,
    /// How it is.
    pub health: Health,
    /// Until when somebody works on it.
    pub maintenance_until: Option<Timestamp>,
    /// Its emergency procedure.
    pub runbook: Vec<RunbookStep>,
    /// What members are told about it at the moment; empty: nothing.
    pub status_note: String,
    /// Its provider, as people know it.
    pub provider_name: String,
    /// Whether an account consents to it.
    pub is_oauth: bool,
    /// Whether another provider can stand in for it.
    pub can_fail_over: bool,
}

/// One integration.
#[server(prefix = "/_ui", endpoint = "integrations/show", protocol = ByJson)]
pub async fn show_integration(id: String) -> Result<IntegrationScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let it = engine.integration(&actor, ssr::id(&id, "Integration")?).await?;
    let provider = engine.provider(&it.provider)?;
    Ok(IntegrationScreen {
        id: it.id,
        kind: it.kind,
        name: it.name,
        state: it.state,
        status: it.status,
        health: it.health,
        maintenance_until: it.maintenance_until,
        runbook: it.runbook,
        status_note: it.status_note,
        provider_name: provider.name.clone(),
        is_oauth: provider.connection == ConnectionKind::Oauth,
        can_fail_over: provider.channel.is_some(),
    })
}

/// The settings of an integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsScreen {
    /// Its form.
    pub form: FormScreen,
    /// What it has sent, if it sends e-mails.
    pub usage: Option<EmailUsage>,
}

/// The settings of one integration.
#[server(prefix = "/_ui", endpoint = "integrations/settings", protocol = ByJson)]
pub async fn show_settings(id: String) -> Result<SettingsScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let integration = engine.integration(&actor, ssr::id(&id, "Integration")?).await?;
    let provider = engine.provider(&integration.provider)?;
    let mut others = named(&engine, &actor).await?;
    others.retain(|(id, _)| *id != integration.id);
    let usage = if integration.kind == IntegrationType::Email {
        Some(engine.email_usage(&actor, integration.id).await?)
    } else {
        None
    };
    let form = FormScreen {
        form: IntegrationForm::of(&integration),
        fields: provider.fields.clone(),
        secrets: integration.secrets,
        redirect_uri: engine.redirect_uri(provider),
        others,
    };
    Ok(SettingsScreen { form, usage })
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

/// The health of an integration, and what its provider calls things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthScreen {
    /// Its id.
    pub id: IntegrationId,
    /// What the dashboard counts it as.
    pub status: IntegrationStatus,
    /// How it is.
    pub health: Health,
    /// Since when it is so.
    pub health_since: Timestamp,
    /// When it was last checked or used.
    pub last_checked_at: Option<Timestamp>,
    /// How long the last result took, in milliseconds.
    pub last_latency_ms: Option<i64>,
    /// What was wrong the last time, until it works again.
    pub last_error: Option<String>,
    /// When it is checked next.
    pub next_check_at: Option<Timestamp>,
    /// Whether somebody works on it.
    pub is_maintained: bool,
    /// The newest errors, at most five.
    pub recent_errors: Vec<(Timestamp, String)>,
    /// What they have in common.
    pub pattern: Option<String>,
    /// What the newest error means.
    pub meaning: Option<String>,
    /// The last 24 hours.
    pub last_24h: HealthFigures,
    /// The 7 days before: what is normal.
    pub normal: HealthFigures,
    /// What uptime should be, in percent.
    pub uptime_target_percent: f64,
    /// The last 24 hours one by one, the oldest first.
    pub hours: Vec<HealthHour>,
    /// The last 60 results of checks by minute, the oldest first.
    pub beats: Vec<HealthHour>,
    /// The last 30 days one by one, the oldest first.
    pub days: Vec<HealthHour>,
    /// What to do next.
    pub actions: Vec<ActionStep>,
    /// What its metrics count: "E-mails".
    pub unit: String,
    /// Where the provider's support is reached.
    pub support: Option<String>,
    /// Whether another provider can stand in for it.
    pub can_fail_over: bool,
}

/// All about its health.
#[server(prefix = "/_ui", endpoint = "integrations/health", protocol = ByJson)]
pub async fn show_health(id: String) -> Result<HealthScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let report = engine.health_report(&actor, ssr::id(&id, "Integration")?).await?;
    let it = report.integration;
    let provider = engine.provider(&it.provider)?;
    Ok(HealthScreen {
        id: it.id,
        status: it.status,
        health: it.health,
        health_since: it.health_since,
        last_checked_at: it.last_checked_at,
        last_latency_ms: it.last_latency_ms,
        last_error: it.last_error,
        next_check_at: it.next_check_at,
        is_maintained: it.maintenance_until.is_some(),
        recent_errors: report.recent_errors.into_iter().map(|entry| (entry.at, entry.message)).collect(),
        pattern: report.pattern,
        meaning: report.trouble.map(|trouble| trouble.meaning),
        last_24h: report.last_24h,
        normal: report.normal,
        uptime_target_percent: report.uptime_target_percent,
        hours: report.hours,
        beats: report.beats,
        days: report.days,
        actions: report.actions,
        unit: provider.unit.clone(),
        support: provider.support.clone(),
        can_fail_over: provider.channel.is_some(),
    })
}

/// Entries of logs, newest first; with a range, those since it began.
#[server(prefix = "/_ui", endpoint = "integrations/logs", protocol = ByJson)]
pub async fn list_logs_in(query: LogQuery, range: Option<TimeRange>) -> Result<Page<LogEntry>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let from = range.map(|range| range.before(engine.now()));
    Ok(engine.logs(&actor, LogQuery { from: from.or(query.from), ..query }).await?)
}

/// What a test found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Whether it works.
    pub ok: bool,
    /// In words for people.
    pub message: String,
    /// What the provider said.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// What it means, when that is known.
    pub meaning: Option<String>,
    /// What helps.
    pub steps: Vec<String>,
}

impl From<CheckResult> for Found {
    fn from(CheckResult { ok, message, detail, latency_ms, trouble, .. }: CheckResult) -> Self {
        let (meaning, steps) = trouble.map(|it| (it.meaning, it.steps)).unzip();
        let steps = steps.unwrap_or_default().into_iter().map(|step| step.text).collect();
        Self { ok, message, detail, latency_ms, meaning, steps }
    }
}

/// Stores the form; with `then` = `test` a test follows, with `connect` the consent of an account. With `then` = `try` nothing
/// is stored, only tested.
#[server(prefix = "/_ui", endpoint = "integrations/save", protocol = ByForm)]
pub async fn save_integration(
    form: IntegrationForm,
    #[server(default)] then: String,
) -> Result<Option<Found>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let id = if form.id.is_empty() { None } else { Some(ssr::id(&form.id, "Integration")?) };
    let stored = match id {
        Some(id) => Some(engine.integration(&actor, id).await?),
        None => None,
    };
    let provider = engine.provider(stored.as_ref().map_or(&form.provider, |stored| &stored.provider))?;
    let draft = form.draft(&provider.fields);
    if then == "try" {
        return Ok(Some(engine.test_draft(&actor, id, draft).await?.into()));
    }
    let saved = match id {
        Some(id) => engine.update_integration(&actor, id, draft).await?,
        None => engine.create_integration(&actor, draft).await?,
    };
    if then == "connect" {
        ssr::send_to_provider(&engine, &actor, saved.id, Vec::new()).await?;
        return Ok(None);
    }
    let tested = if then == "test" { Some(engine.test_integration(&actor, saved.id).await?.into()) } else { None };
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
pub async fn act_on_integration(id: String, verb: Verb) -> Result<Option<Found>, CallError> {
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
        Verb::Reconnect => Some(engine.reconnect_integration(&actor, one).await?.into()),
        Verb::Test => Some(engine.test_integration(&actor, one).await?.into()),
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
pub async fn send_test_email(id: String, to: String) -> Result<Found, CallError> {
    let (engine, actor) = ssr::caller()?;
    let sent = engine.send_test_email(&actor, ssr::id(&id, "Integration")?, &to).await?;
    ssr::redirect_plain_form(&format!("/integrations/{id}?tab=logs"));
    Ok(sent.into())
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
    let step = |(index, text): (usize, &str)| RunbookStep { text: text.to_owned(), done: done.contains(&index) };
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
