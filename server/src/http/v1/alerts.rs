//! Alerts: what somebody should look at, and who is told.

use axum::extract::State;
use domain::{
    AlertId, AlertSettings,
    api::{Alert, AlertQuery, Page, Snooze},
};
use engine::Engine;

use super::{
    super::{
        auth::Caller,
        json::{Json, OptionalJson},
        query::{Id, Query},
    },
    Answer,
};

/// List alerts
///
/// The newest first; without a `state`, those that are not resolved. One is open at most for each rule and subject, however
/// often it is noticed (`occurrences`).
#[utoipa::path(get, path = "/api/v1/alerts", tag = "Alerts", params(AlertQuery),
    responses((status = 200, description = "One page of alerts", body = Page<Alert>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<AlertQuery>,
) -> Answer<Page<Alert>> {
    Ok(Json(engine.alerts(&actor, query).await?))
}

/// Acknowledge an alert
///
/// Somebody works on it: nobody is reminded any more.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "Alerts",
    params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "The alert as it is now", body = Alert)))]
pub async fn acknowledge(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<AlertId>) -> Answer<Alert> {
    Ok(Json(engine.acknowledge_alert(&actor, id).await?))
}

/// Snooze an alert
///
/// It is quiet for a while, an hour when nothing is said, and then comes back as a reminder.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/snooze", tag = "Alerts",
    params(("id" = AlertId, Path, description = "The alert")),
    request_body(content = Option<Snooze>, example = json!({"minutes": 60})),
    responses((status = 200, description = "The alert as it is now", body = Alert)))]
pub async fn snooze(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<AlertId>,
    OptionalJson(snooze): OptionalJson<Snooze>,
) -> Answer<Alert> {
    Ok(Json(engine.snooze_alert(&actor, id, snooze).await?))
}

/// Resolve an alert
///
/// By hand. It opens again when it is noticed again.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/resolve", tag = "Alerts",
    params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "The alert as it is now", body = Alert)))]
pub async fn resolve(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<AlertId>) -> Answer<Alert> {
    Ok(Json(engine.resolve_alert(&actor, id).await?))
}

/// Show who is told of alerts
#[utoipa::path(get, path = "/api/v1/alert-settings", tag = "Alerts",
    responses((status = 200, description = "The settings", body = AlertSettings)))]
pub async fn settings(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<AlertSettings> {
    Ok(Json(engine.alert_settings(&actor).await?))
}

/// Change who is told of alerts
///
/// Addresses that get an e-mail, whether Slack is posted to, how often somebody is reminded, and which rules are only shown.
#[utoipa::path(put, path = "/api/v1/alert-settings", tag = "Alerts",
    request_body(content = AlertSettings, example = json!({
        "emails": ["ops@example.com"], "slack": true, "reminder_minutes": 60, "muted": ["secret_age"],
    })),
    responses((status = 200, description = "The settings as they are now", body = AlertSettings)))]
pub async fn set_settings(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(settings): Json<AlertSettings>,
) -> Answer<AlertSettings> {
    Ok(Json(engine.set_alert_settings(&actor, settings).await?))
}
