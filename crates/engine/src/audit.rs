//! The audit log: who did what. Entries are made here and stored with the change they tell of.

use std::fmt::Display;

use domain::{
    Permission,
    api::{AuditEntry, Page},
};
use storage::NewAudit;

use crate::{Actor, Engine, Result, error::refused, paging};

impl Engine {
    /// The audit log, newest first.
    pub async fn audit(&self, actor: &Actor, cursor: Option<String>, limit: Option<u32>) -> Result<Page<AuditEntry>> {
        actor.require(Permission::ReadAudit)?;
        let (after, limit) = (paging::after(cursor.as_deref())?, paging::limit(limit));
        self.inner.store.audit(actor.organization, after, limit).await.map_err(refused)
    }

    /// An entry about what `actor` does to `subject`. `fields` are names, never values.
    pub(crate) fn audit_entry(
        &self,
        actor: &Actor,
        action: &'static str,
        subject: &dyn Display,
        fields: &[&str],
    ) -> NewAudit {
        NewAudit {
            id: self.new_id(),
            at: self.now(),
            actor: actor.label(),
            action,
            subject: subject.to_string(),
            fields: fields.iter().map(ToString::to_string).collect(),
        }
    }
}
