//! Who did what.

use domain::api::{AuditEntry, Page};
use leptos::{prelude::*, server_fn::codec::Json};

use crate::error::CallError;

/// One page of the audit log, newest first.
#[server(prefix = "/_ui", endpoint = "audit/list", input = Json)]
pub async fn list_audit(cursor: Option<String>) -> Result<Page<AuditEntry>, CallError> {
    let (engine, actor) = crate::ssr::caller()?;
    Ok(engine.audit(&actor, cursor, Some(50)).await?)
}
