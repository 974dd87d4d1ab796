//! Who did what.

use domain::api::{AuditEntry, Page};
use leptos::prelude::*;

use crate::{codec::ByJson, error::CallError};

/// One page of the audit log, newest first.
#[server(prefix = "/_ui", endpoint = "audit/list", protocol = ByJson)]
pub async fn list_audit(cursor: Option<String>) -> Result<Page<AuditEntry>, CallError> {
    let (engine, actor) = crate::ssr::caller()?;
    Ok(engine.audit(&actor, cursor, Some(50)).await?)
}
