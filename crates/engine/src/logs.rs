//! Logs of integrations: reading and clearing them. They are written where things happen.

use domain::{
    IntegrationId, LogEntryId, Permission,
    api::{LogEntry, LogQuery, Page},
};

use crate::{Actor, Engine, LiveEvent, Result, error::refused, paging};

impl Engine {
    /// Entries, newest first.
    pub async fn logs(&self, actor: &Actor, query: LogQuery) -> Result<Page<LogEntry>> {
        actor.require(Permission::ReadIntegrations)?;
        query.check()?;
        let after: Option<LogEntryId> = paging::after(query.cursor.as_deref())?;
        let limit = paging::limit(query.limit);
        let query = LogQuery { q: query.q.filter(|text| !text.trim().is_empty()), ..query };
        self.inner.store.logs(actor.organization, &query, after, limit).await.map_err(refused)
    }

    /// Empties the log of an integration; that it was, and by whom, is in the audit log. Answers how many entries are gone.
    pub async fn clear_log(&self, actor: &Actor, id: IntegrationId) -> Result<u64> {
        actor.require(Permission::WriteIntegrations)?;
        self.find_integration(actor.organization, id).await?;
        let audit = self.audit_entry(actor, "integration.log_cleared", &id, &[]);
        let gone = self.inner.store.clear_log(actor.organization, id, audit).await.map_err(refused)?;
        self.inner.live.send(actor.organization, LiveEvent::Integrations);
        Ok(gone)
    }
}
