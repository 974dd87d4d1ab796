//! Integrations: configured providers, their health and their logs. One file because it is one noun: each operation is a
//! few lines, and most of the text is their documentation.

use axum::{
    extract::{Path, State},
    http::{HeaderName, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use domain::{
    IntegrationDraft, IntegrationId, IntegrationState,
    api::{
        ApiError, CheckResult, CheckRound, Diagnosis, DiagnosisKind, EmailUsage, HealthReport, Integration,
        IntegrationQuery, IntegrationSummary, LogEntry, LogQuery, Page, RunbookDraft,
    },
};
use engine::Engine;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{
        auth::Caller,
        export::{self, ExportQuery},
        json::Json,
        problem::Problem,
        query::{Id, Query, parse_id},
    },
    Answer, Made, whole,
};

/// List integrations
///
/// All of them by name, with their health. Secrets are not shown, only which are set.
#[utoipa::path(get, path = "/api/v1/integrations", tag = "Integrations", params(IntegrationQuery),
    responses((status = 200, description = "All integrations that match", body = Page<Integration>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<IntegrationQuery>,
) -> Answer<Page<Integration>> {
    Ok(whole(engine.integrations(&actor, &query).await?))
}

/// Count integrations
///
/// How many there are, how many work, are broken, and are switched off; with percent.
#[utoipa::path(get, path = "/api/v1/integrations/summary", tag = "Integrations",
    responses((status = 200, description = "The counts now", body = IntegrationSummary)))]
pub async fn summary(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<IntegrationSummary> {
    Ok(Json(engine.integration_summary(&actor).await?))
}

/// Add an integration
///
/// `provider` is one of the catalogue; `config` and `secrets` hold the values of its fields. A secret of the form
/// `env:NAME` or `file:/path` is a reference. Its health is checked at once.
#[utoipa::path(post, path = "/api/v1/integrations", tag = "Integrations",
    request_body(content = IntegrationDraft, example = json!({
        "type": "email",
        "provider": "sendgrid",
        "name": "Transactional mail",
        "config": {"smtp_username": "apikey", "from_email": "noreply@example.com", "from_name": "Example"},
        "secrets": {"smtp_password": "env:SENDGRID_API_KEY"},
    })),
    responses((status = 201, description = "The integration", body = Integration)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<IntegrationDraft>,
) -> Made<Integration> {
    Ok((StatusCode::CREATED, Json(engine.create_integration(&actor, draft).await?)))
}

/// Show an integration
#[utoipa::path(get, path = "/api/v1/integrations/{id}", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "The integration", body = Integration)))]
pub async fn show(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<Integration> {
    Ok(Json(engine.integration(&actor, id).await?))
}

/// Change an integration
///
/// Replaces all settings; what is left out gets its default. Secrets that are left out or `null` keep their values. Send the
/// `version` that you read to be refused (409) when somebody else was faster.
#[utoipa::path(put, path = "/api/v1/integrations/{id}", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = IntegrationDraft, example = json!({
        "name": "Transactional mail",
        "config": {"smtp_username": "apikey", "from_email": "hello@example.com", "from_name": "Example"},
        "version": 1,
    })),
    responses((status = 200, description = "The integration as it is now", body = Integration)))]
pub async fn update(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<IntegrationDraft>,
) -> Answer<Integration> {
    Ok(Json(engine.update_integration(&actor, id, draft).await?))
}

/// Delete an integration
///
/// With its secrets and what is known of its health. Its log is kept as long as other history.
#[utoipa::path(delete, path = "/api/v1/integrations/{id}", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Result<StatusCode, Problem> {
    engine.delete_integration(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable an integration
///
/// It is used and watched again, and checked at once.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/enable", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "The integration as it is now", body = Integration)))]
pub async fn enable(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<Integration> {
    Ok(Json(engine.set_integration_state(&actor, id, IntegrationState::Active).await?))
}

/// Disable an integration
///
/// It is neither used nor watched; its alerts are resolved.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/disable", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "The integration as it is now", body = Integration)))]
pub async fn disable(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<Integration> {
    Ok(Json(engine.set_integration_state(&actor, id, IntegrationState::Disabled).await?))
}

/// Reconnect an integration
///
/// Enables it if need be, and tests it.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/reconnect", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "What the test found", body = CheckResult)))]
pub async fn reconnect(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<CheckResult> {
    Ok(Json(engine.reconnect_integration(&actor, id).await?))
}

/// Test an integration
///
/// Asks the provider now, and answers what it said. What is found counts for health like any check.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/test", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "What was found", body = CheckResult)))]
pub async fn test(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<CheckResult> {
    Ok(Json(engine.test_integration(&actor, id).await?))
}

/// Try settings without saving them
///
/// The same test with settings that are being entered. Nothing is stored.
#[utoipa::path(post, path = "/api/v1/integrations/test", tag = "Integrations",
    request_body(content = IntegrationDraft, example = json!({
        "provider": "sendgrid",
        "config": {"smtp_username": "apikey", "from_email": "noreply@example.com", "from_name": "Example"},
        "secrets": {"smtp_password": "env:SENDGRID_API_KEY"},
    })),
    responses((status = 200, description = "What was found", body = CheckResult)))]
pub async fn test_draft(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<IntegrationDraft>,
) -> Answer<CheckResult> {
    Ok(Json(engine.test_draft(&actor, None, draft).await?))
}

/// To whom a test e-mail goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestEmail {
    /// An e-mail address.
    #[serde(default)]
    to: String,
}

/// Send a test e-mail
///
/// Through the integration's real server; the answer holds the server's own reply.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/test-email", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = TestEmail, example = json!({"to": "admin@example.com"})),
    responses((status = 200, description = "What came of it", body = CheckResult)))]
pub async fn test_email(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(request): Json<TestEmail>,
) -> Answer<CheckResult> {
    Ok(Json(engine.send_test_email(&actor, id, &request.to).await?))
}

/// Check an integration's health
///
/// Now, and not when its turn comes.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/health-check", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "What was found", body = CheckResult)))]
pub async fn check(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<CheckResult> {
    Ok(Json(engine.check_integration_now(&actor, id).await?))
}

/// Check all integrations
///
/// Every active integration is checked now, some at a time; its turns stay as they are. There is one such round at a time:
/// while one goes on, that one is answered. `Location` is where its progress can be read.
#[utoipa::path(post, path = "/api/v1/integrations/health-check", tag = "Integrations",
    responses((status = 202, description = "They are being checked", body = CheckRound,
        headers(("Location" = String, description = "Where its progress can be read")))))]
pub async fn check_all(
    State(engine): State<Engine>,
    Caller(actor): Caller,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<CheckRound>), Problem> {
    let round = engine.check_all_integrations(&actor).await?;
    Ok((StatusCode::ACCEPTED, [(LOCATION, "/api/v1/integrations/health-check")], Json(round)))
}

/// Show the check of all integrations
///
/// How far the last one came, and what it found so far.
#[utoipa::path(get, path = "/api/v1/integrations/health-check", tag = "Integrations",
    responses((status = 200, description = "The last round", body = CheckRound)))]
pub async fn check_round(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<CheckRound> {
    let round = engine.check_round(&actor).await?;
    Ok(Json(round.ok_or_else(|| ApiError::not_found("Health check"))?))
}

/// Cancel the check of all integrations
///
/// What was not checked yet is checked in its turn. 409 when it has ended.
#[utoipa::path(delete, path = "/api/v1/integrations/health-check", tag = "Integrations",
    responses((status = 200, description = "The round as it is now", body = CheckRound)))]
pub async fn cancel_check(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<CheckRound> {
    Ok(Json(engine.cancel_check_round(&actor).await?))
}

/// Show an integration's health
///
/// Recent errors and their pattern, the last 24 hours against the 7 days before, series by minute, hour and day, and what to
/// do next.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/health", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "All about its health", body = HealthReport)))]
pub async fn health(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<HealthReport> {
    Ok(Json(engine.health_report(&actor, id).await?))
}

/// Show what an integration has sent
///
/// In this hour and on this day by UTC, beside its limits.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/usage", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "What it has sent", body = EmailUsage)))]
pub async fn usage(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<EmailUsage> {
    Ok(Json(engine.email_usage(&actor, id).await?))
}

/// What is to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// `network`, `port` or `credentials`.
    check: DiagnosisKind,
}

/// Look at one thing that may be wrong
///
/// Whether the host is reached, whether its port is open, or whether the credentials are accepted. Nothing is stored.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/diagnose", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = Question, example = json!({"check": "port"})),
    responses((status = 200, description = "What was found", body = Diagnosis)))]
pub async fn diagnose(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(question): Json<Question>,
) -> Answer<Diagnosis> {
    Ok(Json(engine.diagnose(&actor, id, question.check).await?))
}

/// For how long somebody works on it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Hours from now, at most 168; 0 ends it.
    hours: u32,
}

/// Begin or end maintenance
///
/// While somebody works on an integration, failures are not counted and nobody is alerted.
#[utoipa::path(put, path = "/api/v1/integrations/{id}/maintenance", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = Maintenance, example = json!({"hours": 2})),
    responses((status = 200, description = "The integration as it is now", body = Integration)))]
pub async fn maintenance(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(maintenance): Json<Maintenance>,
) -> Answer<Integration> {
    Ok(Json(engine.set_maintenance(&actor, id, maintenance.hours).await?))
}

/// Change an integration's runbook
///
/// The steps of its emergency procedure, each done or not, and what members are told at the moment.
#[utoipa::path(put, path = "/api/v1/integrations/{id}/runbook", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = RunbookDraft, example = json!({
        "steps": [{"text": "Check the status page", "done": true}, {"text": "Switch to the backup"}],
        "status_note": "E-mail is delayed; we are on it.",
    })),
    responses((status = 200, description = "The integration as it is now", body = Integration)))]
pub async fn runbook(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<RunbookDraft>,
) -> Answer<Integration> {
    Ok(Json(engine.set_runbook(&actor, id, draft).await?))
}

/// Who wants to see a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reauthentication {
    /// The password of the member who asks.
    #[serde(default)]
    password: String,
}

/// The value of a secret.
#[derive(Serialize, ToSchema)]
pub struct SecretValue {
    /// The value, or the reference where one is stored.
    value: String,
}

/// Show a stored secret
///
/// Only to members, who give their password again. Each look is written to the audit log.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/secrets/{name}/reveal", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration"),
        ("name" = String, Path, description = "The secret field")),
    request_body(content = Reauthentication, example = json!({"password": "…"})),
    responses((status = 200, description = "The secret", body = SecretValue)))]
pub async fn reveal(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Path((id, name)): Path<(String, String)>,
    Json(request): Json<Reauthentication>,
) -> Answer<SecretValue> {
    let value = engine.reveal_integration_secret(&actor, parse_id(&id)?, &name, &request.password).await?;
    Ok(Json(SecretValue { value }))
}

/// Make a new secret
///
/// Where the secret is ours to make. The old one is not valid any more. Where the provider makes it (409), the answer says
/// where.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/secrets/{name}/regenerate", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration"),
        ("name" = String, Path, description = "The secret field")),
    responses((status = 200, description = "The new secret, shown once", body = SecretValue)))]
pub async fn regenerate(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Path((id, name)): Path<(String, String)>,
) -> Answer<SecretValue> {
    Ok(Json(SecretValue { value: engine.regenerate_secret(&actor, parse_id(&id)?, &name).await? }))
}

/// List an integration's log
///
/// The newest first: sends, tests, checks that failed or changed its health.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/logs", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration"), LogQuery),
    responses((status = 200, description = "One page of entries", body = Page<LogEntry>)))]
pub async fn logs(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Query(query): Query<LogQuery>,
) -> Answer<Page<LogEntry>> {
    engine.integration(&actor, id).await?;
    Ok(Json(engine.logs(&actor, LogQuery { integration_id: Some(id), ..query }).await?))
}

/// How much was cleared.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cleared {
    /// Entries that are gone.
    cleared: u64,
}

/// Clear an integration's log
///
/// That it was, and by whom, is in the audit log.
#[utoipa::path(delete, path = "/api/v1/integrations/{id}/logs", tag = "Integrations",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "How many entries are gone", body = Cleared)))]
pub async fn clear_logs(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<Cleared> {
    Ok(Json(Cleared { cleared: engine.clear_log(&actor, id).await? }))
}

/// List the logs of all integrations
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/logs", tag = "Integrations", params(LogQuery),
    responses((status = 200, description = "One page of entries", body = Page<LogEntry>)))]
pub async fn all_logs(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<LogQuery>,
) -> Answer<Page<LogEntry>> {
    Ok(Json(engine.logs(&actor, query).await?))
}

/// Export logs
///
/// All entries that match as a file, the newest first.
#[utoipa::path(get, path = "/api/v1/logs/export", tag = "Integrations", params(ExportQuery<LogQuery>),
    responses((status = 200, description = "The file", body = String, content_type = "text/csv")))]
pub async fn export_logs(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<ExportQuery<LogQuery>>,
) -> Result<Response, Problem> {
    Ok(export::logs(engine, actor, query).await?.into_response())
}
