//! Logs of integrations: what happened in their real work. Newest first, found by integration, level, time and text.

use std::collections::BTreeMap;

use domain::{
    IntegrationId, LogEntryId, OrganizationId, PublicId, Timestamp,
    api::{LogEntry, LogKind, LogLevel, LogQuery, Page},
    catalogue::Fault,
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{anywhere, json, word},
    db::{reading, writing},
    hot::push_ids,
    keyset,
    retention::PRUNED,
};

/// Entries that a search for a text looks through, from the newest on: what it costs at most.
const SEARCHED: i64 = 20_000;

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLogEntry {
    /// Its id, which says when.
    pub id: LogEntryId,
    /// Whose log.
    pub integration: IntegrationId,
    /// How much it matters.
    pub level: LogLevel,
    /// What it tells of.
    pub kind: LogKind,
    /// In words for people.
    pub message: String,
    /// More about it, by name.
    pub details: BTreeMap<String, String>,
    /// What was wrong.
    pub fault: Option<Fault>,
}

/// A result as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedResult {
    /// When.
    pub at: Timestamp,
    /// Of which integration.
    pub integration: IntegrationId,
    /// What was wrong.
    pub fault: Option<Fault>,
    /// Whether it was real work, not a check.
    pub is_work: bool,
}

#[derive(sqlx::FromRow)]
struct ResultRow {
    id: Uuid,
    integration_id: Uuid,
    kind: String,
    fault: Option<String>,
}

impl TryFrom<ResultRow> for RecordedResult {
    type Error = StoreError;
    fn try_from(row: ResultRow) -> Result<Self> {
        const TABLE: &str = "log_entries";
        Ok(Self {
            at: LogEntryId::from_uuid(row.id).created_at(),
            integration: IntegrationId::from_uuid(row.integration_id),
            fault: row.fault.map(|text| word(TABLE, "fault", &text)).transpose()?,
            is_work: word::<LogKind>(TABLE, "kind", &row.kind)? == LogKind::Send,
        })
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    integration_id: Uuid,
    level: String,
    kind: String,
    message: String,
    details: String,
    fault: Option<String>,
}

impl TryFrom<Row> for LogEntry {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        const TABLE: &str = "log_entries";
        let id = LogEntryId::from_uuid(row.id);
        Ok(Self {
            id,
            integration_id: IntegrationId::from_uuid(row.integration_id),
            at: id.created_at(),
            level: word(TABLE, "level", &row.level)?,
            kind: word(TABLE, "kind", &row.kind)?,
            message: row.message,
            details: json(TABLE, "details", &row.details)?,
            fault: row.fault.map(|text| word(TABLE, "fault", &text)).transpose()?,
        })
    }
}

/// Writes an entry inside a `writing!` body.
macro_rules! write_log {
    ($conn:expr, $organization:expr, $entry:expr) => {{
        let entry: &crate::NewLogEntry = $entry;
        sqlx::query(
            "insert into log_entries (id, organization_id, integration_id, level, kind, message, details, fault) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(entry.id.uuid())
        .bind($organization.uuid())
        .bind(entry.integration.uuid())
        .bind(entry.level.as_str())
        .bind(entry.kind.as_str())
        .bind(&entry.message)
        .bind(crate::columns::to_json(&entry.details))
        .bind(entry.fault.map(domain::catalogue::Fault::as_str))
        .execute(&mut *$conn)
        .await?;
    }};
}
pub(crate) use write_log;

impl Store {
    /// Writes an entry.
    pub async fn log(&self, organization: OrganizationId, entry: NewLogEntry) -> Result<()> {
        writing!(self, conn => {
            write_log!(conn, organization, &entry);
            Ok(())
        })
    }

    /// Entries, newest first. `limit` and `cursor` of the query are not read: they come checked, beside it.
    pub async fn logs(
        &self,
        organization: OrganizationId,
        query: &LogQuery,
        before: Option<LogEntryId>,
        limit: u32,
    ) -> Result<Page<LogEntry>> {
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new("select * from (");
            sql.push("select id, integration_id, level, kind, message, details, fault from log_entries \
                      where organization_id = ").push_bind(organization.uuid());
            sql.push(" and id < ").push_bind(keyset::before(before));
            if let Some(integration) = query.integration_id {
                sql.push(" and integration_id = ").push_bind(integration.uuid());
            }
            if let Some(level) = query.level {
                sql.push(" and level = ").push_bind(level.as_str());
            }
            if let Some(from) = query.from {
                sql.push(" and id >= ").push_bind(keyset::first_id(from));
            }
            if let Some(to) = query.to {
                sql.push(" and id < ").push_bind(keyset::first_id(to));
            }
            sql.push(" order by id desc");
            if query.q.is_some() {
                sql.push(" limit ").push_bind(SEARCHED);
            }
            sql.push(") x");
            if let Some(text) = &query.q {
                let pattern = anywhere(text);
                sql.push(" where lower(message) like ").push_bind(pattern.clone()).push(" escape '\\'");
                sql.push(" or lower(details) like ").push_bind(pattern).push(" escape '\\'");
            }
            sql.push(" order by id desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        keyset::page(rows, limit, |entry: &LogEntry| entry.id.to_string())
    }

    /// Results of some integrations since `from`, the oldest first: all work, and the checks that failed. The newest `limit`.
    pub async fn recorded_results(
        &self,
        organization: OrganizationId,
        integrations: &[IntegrationId],
        from: Timestamp,
        limit: u32,
    ) -> Result<Vec<RecordedResult>> {
        let rows: Vec<ResultRow> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(
                "select id, integration_id, kind, fault from log_entries where organization_id = ",
            );
            sql.push_bind(organization.uuid()).push(" and id >= ").push_bind(keyset::first_id(from));
            sql.push(" and (kind = 'send' or (kind in ('check', 'test') and fault is not null)) and integration_id in (");
            let ids: Vec<Uuid> = integrations.iter().map(|id| id.uuid()).collect();
            push_ids!(sql, "", &ids);
            sql.push(" order by id desc limit ").push_bind(i64::from(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        rows.into_iter().rev().map(TryInto::try_into).collect()
    }

    /// Empties the log of an integration. Answers how many entries are gone.
    pub async fn clear_log(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        audit: NewAudit,
    ) -> Result<u64> {
        writing!(self, conn => {
            let gone = sqlx::query("delete from log_entries where organization_id = $1 and integration_id = $2")
                .bind(organization.uuid())
                .bind(integration.uuid())
                .execute(&mut *conn)
                .await?;
            audit::append(conn, organization, &audit).await?;
            Ok(gone.rows_affected())
        })
    }

    /// Deletes entries from before `before`, at most [`PRUNED`]. Answers how many.
    pub async fn prune_logs(&self, organization: OrganizationId, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from log_entries where id in (select id from log_entries \
                 where organization_id = $1 and id < $2 order by id limit $3)",
            )
            .bind(organization.uuid())
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }
}
