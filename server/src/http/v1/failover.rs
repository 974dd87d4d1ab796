//! Failover: who does the work of an integration, when that changes, and moves that people want.

use axum::extract::State;
use domain::{
    IntegrationId,
    api::{Failover, FailoverMove, FailoverMoveQuery, Page, Rehearsal},
    failover::{FailoverDraft, MoveDraft, RehearsalDraft},
};
use engine::Engine;

use super::{
    super::{
        auth::Caller,
        json::Json,
        query::{Id, Query},
    },
    Answer,
};

/// Show failover
///
/// Who does the work now and since when, how each member is and when it is tried next, and what would keep a backup from
/// taking over. Any member's id shows its group.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/failover", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "The group", body = Failover)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<IntegrationId>) -> Answer<Failover> {
    Ok(Json(engine.failover(&actor, id).await?))
}

/// Configure failover
///
/// Backups in their order, and when they take over. A backup is for the same channel as the primary, and in one group only.
/// What would keep one from taking over is told in `warnings`. Without a backup and with `enable_auto_failover` false the
/// group is given up.
#[utoipa::path(put, path = "/api/v1/integrations/{id}/failover", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "The primary")),
    request_body(content = FailoverDraft, example = json!({
        "backup_integration_id": "int_01h455vb4pex5vsknk084sn02q",
        "enable_auto_failover": true,
        "failover_threshold": 3,
        "alert_on_failover": true,
        "auto_restore": true,
    })),
    responses((status = 200, description = "The group as it is now", body = Failover)))]
pub async fn put(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<FailoverDraft>,
) -> Answer<Failover> {
    Ok(Json(engine.put_failover(&actor, id, draft).await?))
}

/// Switch to a backup
///
/// By hand: work stays there until it is restored, or `pin_minutes` are over. The backup is tested first; what is wrong with
/// it is the detail of a 409, and `force` moves all the same.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/failover/trigger", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "A member of the group")),
    request_body(content = MoveDraft, example = json!({"reason": "The provider announced an outage", "pin_minutes": 120})),
    responses((status = 200, description = "The group as it is now", body = Failover)))]
pub async fn trigger(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<MoveDraft>,
) -> Answer<Failover> {
    Ok(Json(engine.trigger_failover(&actor, id, draft).await?))
}

/// Restore the primary
///
/// Work goes back, and results decide again. The primary is tested first; what is wrong with it is the detail of a 409, and
/// `force` restores all the same.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/failover/restore", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "A member of the group")),
    request_body(content = MoveDraft, example = json!({"reason": "The outage is over"})),
    responses((status = 200, description = "The group as it is now", body = Failover)))]
pub async fn restore(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<MoveDraft>,
) -> Answer<Failover> {
    Ok(Json(engine.restore_failover(&actor, id, draft).await?))
}

/// Make a backup the primary
///
/// The member `to_integration_id` becomes the primary and gets the work; the old primary becomes the first backup.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/failover/make-primary", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "A member of the group")),
    request_body(content = MoveDraft, example = json!({
        "to_integration_id": "int_01h455vb4pex5vsknk084sn02q", "reason": "A better contract",
    })),
    responses((status = 200, description = "The group as it is now", body = Failover)))]
pub async fn make_primary(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<MoveDraft>,
) -> Answer<Failover> {
    Ok(Json(engine.make_primary(&actor, id, draft).await?))
}

/// List moves
///
/// What moved from where to where, when, why and by whom; the newest first.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/failover/history", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "A member of the group"), FailoverMoveQuery),
    responses((status = 200, description = "One page of moves", body = Page<FailoverMove>)))]
pub async fn history(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Query(query): Query<FailoverMoveQuery>,
) -> Answer<Page<FailoverMove>> {
    Ok(Json(engine.failover_moves(&actor, id, query).await?))
}

/// Rehearse other settings
///
/// What would have happened with other settings in the last hours: recorded work is done again by whoever would have had it.
/// How it would have gone at somebody who did not have it is taken from that member's newest result before. It begins with the
/// primary in charge. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/failover/rehearsal", tag = "Failover",
    params(("id" = IntegrationId, Path, description = "A member of the group")),
    request_body(content = RehearsalDraft, example = json!({"hours": 24, "failover_threshold": 5, "auto_restore": false})),
    responses((status = 200, description = "What would have happened", body = Rehearsal)))]
pub async fn rehearse(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(draft): Json<RehearsalDraft>,
) -> Answer<Rehearsal> {
    Ok(Json(engine.rehearse_failover(&actor, id, draft).await?))
}
