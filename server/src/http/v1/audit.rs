//! The audit log: who changed what.

use axum::extract::State;
use domain::api::{AuditEntry, Page};
use engine::Engine;

use super::{
    super::{
        auth::Caller,
        json::Json,
        query::{PageQuery, Query},
    },
    Answer,
};

/// List the audit log
///
/// The newest first. Names of changed fields, never their values.
#[utoipa::path(get, path = "/api/v1/audit", tag = "Audit", params(PageQuery),
    responses((status = 200, description = "One page of entries", body = Page<AuditEntry>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(page): Query<PageQuery>,
) -> Answer<Page<AuditEntry>> {
    Ok(Json(engine.audit(&actor, page.cursor, page.limit).await?))
}
