//! Connections: grants of OAuth 2.0, and the leases under which they are refreshed. Tokens are encrypted and stay so in here.
//!
//! A refresh is a lease with a fence: whoever takes it gets a number that nobody else has, and can store only under that
//! number and the generation that it saw. Leases end by the database's clock. One file, because a grant and its leases change
//! together or not at all; consents that have begun are in [`crate::authorizations`].

use std::collections::BTreeMap;

use domain::{
    ConnectionStatus, IntegrationId, NodeId, OrganizationId, PublicId, REFRESH_LEASE_MS, RefreshFault, Timestamp,
    api::{Refresh, SyncSettings},
};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json, word},
    db::{reading, writing},
};

/// Days for which refreshes are kept.
const KEPT_DAYS: i64 = 30;
/// Refreshes that are shown.
const SHOWN: i64 = 20;

/// Texts by name that are known of a connection: addresses that were found, and what the provider said beside its tokens.
pub type Known = BTreeMap<String, String>;

/// A connection as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionRow {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// How it is.
    pub status: ConnectionStatus,
    /// What is wrong.
    pub problem: Option<String>,
    /// What tells its account from others.
    pub account_id: Option<String>,
    /// What its account is called.
    pub account_name: Option<String>,
    /// The application's id at the provider.
    pub client_id: String,
    /// Scopes that were asked for.
    pub requested: Vec<String>,
    /// Scopes that were granted.
    pub granted: Vec<String>,
    /// Sealed.
    pub access_token: Option<Vec<u8>>,
    /// Sealed.
    pub refresh_token: Option<Vec<u8>>,
    /// What else is known.
    pub known: Known,
    /// Rises with each change of the tokens.
    pub generation: i64,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the consent ends.
    pub consent_ends_at: Option<Timestamp>,
    /// When it is refreshed.
    pub refresh_at: Option<Timestamp>,
    /// Refreshes that failed in a row.
    pub failures: u32,
    /// When its account consented.
    pub connected_at: Option<Timestamp>,
    /// Who connected it.
    pub connected_by: Option<String>,
    /// What is done with the account.
    pub sync: SyncSettings,
    /// Which of several leases was the last.
    pub fence: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    integration_id: Uuid,
    organization_id: Uuid,
    status: String,
    problem: Option<String>,
    account_id: Option<String>,
    account_name: Option<String>,
    client_id: String,
    requested: String,
    granted: String,
    access_token: Option<Vec<u8>>,
    refresh_token: Option<Vec<u8>>,
    known: String,
    generation: i64,
    expires_at: Option<i64>,
    consent_ends_at: Option<i64>,
    refresh_at: Option<i64>,
    failures: i64,
    connected_at: Option<i64>,
    connected_by: Option<String>,
    sync: String,
    fence: i64,
}

macro_rules! columns {
    () => {
        "integration_id, organization_id, status, problem, account_id, account_name, client_id, requested, granted, \
         access_token, refresh_token, known, generation, expires_at, consent_ends_at, refresh_at, failures, connected_at, \
         connected_by, sync, fence"
    };
}

impl TryFrom<Row> for ConnectionRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        const TABLE: &str = "connections";
        Ok(Self {
            organization: OrganizationId::from_uuid(row.organization_id),
            integration: IntegrationId::from_uuid(row.integration_id),
            status: word(TABLE, "status", &row.status)?,
            problem: row.problem,
            account_id: row.account_id,
            account_name: row.account_name,
            client_id: row.client_id,
            requested: json(TABLE, "requested", &row.requested)?,
            granted: json(TABLE, "granted", &row.granted)?,
            access_token: row.access_token,
            refresh_token: row.refresh_token,
            known: json(TABLE, "known", &row.known)?,
            generation: row.generation,
            expires_at: row.expires_at.map(Timestamp::from_millis),
            consent_ends_at: row.consent_ends_at.map(Timestamp::from_millis),
            refresh_at: row.refresh_at.map(Timestamp::from_millis),
            failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
            connected_at: row.connected_at.map(Timestamp::from_millis),
            connected_by: row.connected_by,
            sync: json(TABLE, "sync", &row.sync)?,
            fence: row.fence,
        })
    }
}

/// What a provider gave: tokens sealed, and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTokens {
    /// Sealed.
    pub access_token: Vec<u8>,
    /// Sealed; `None` keeps the one that is stored.
    pub refresh_token: Option<Vec<u8>>,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// When the consent ends; `None` keeps what is stored.
    pub consent_ends_at: Option<Timestamp>,
    /// When they are refreshed; `None`: nothing refreshes them.
    pub refresh_at: Option<Timestamp>,
    /// Scopes that were granted; `None` keeps those that are stored.
    pub granted: Option<Vec<String>>,
    /// Laid over what is known.
    pub known: Known,
    /// How the connection is with them.
    pub status: ConnectionStatus,
}

/// An account that has consented.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConnection {
    /// Of which integration.
    pub integration: IntegrationId,
    /// The application's id at the provider.
    pub client_id: String,
    /// What tells the account from others.
    pub account_id: Option<String>,
    /// What the account is called.
    pub account_name: Option<String>,
    /// Scopes that were asked for.
    pub requested: Vec<String>,
    /// What it gave.
    pub tokens: NewTokens,
    /// Who connected it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The right to refresh one connection, and what for: the only one who has it.
#[derive(Debug, Clone, PartialEq)]
pub struct RefreshLease {
    /// The connection as it is while the lease lasts; its `fence` is this lease's.
    pub connection: ConnectionRow,
    /// The note of this try.
    pub attempt: Uuid,
    /// Whether an earlier try with the same refresh token ended without anybody knowing how.
    pub follows_unknown: bool,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq)]
pub enum Refreshed {
    /// New tokens.
    Tokens(NewTokens),
    /// A refusal, or no answer.
    Fault {
        /// What it means.
        fault: RefreshFault,
        /// Whether the request may have been done although nobody answered.
        is_unanswered: bool,
        /// What the provider said.
        detail: String,
        /// What people are told when the connection is broken by it.
        problem: Option<String>,
        /// When it is tried again; `None`: not.
        refresh_at: Option<Timestamp>,
    },
}

/// A right that is to be ended at its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRevocation {
    /// Its id.
    pub id: Uuid,
    /// Whose it was.
    pub organization: OrganizationId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Sealed.
    pub token: Vec<u8>,
    /// Addresses that were found.
    pub known: Known,
    /// How often it was tried.
    pub tries: i64,
}

/// A refresh token that is to be ended after its connection was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevocation {
    /// Its id.
    pub id: Uuid,
    /// Sealed.
    pub token: Vec<u8>,
    /// When a worker looks after it, if whoever ends it now does not succeed.
    pub due_at: Timestamp,
}

impl Store {
    /// The connection of an integration.
    pub async fn connection(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
    ) -> Result<Option<ConnectionRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(concat!(
            "select ", columns!(), " from connections where organization_id = $1 and integration_id = $2",
        ))
        .bind(organization.uuid())
        .bind(integration.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Stores what an account has granted, in the place of what was there. What refreshes the old tokens now can no longer
    /// store its outcome.
    pub async fn connect(&self, organization: OrganizationId, new: NewConnection, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into connections (integration_id, organization_id, status, account_id, account_name, client_id, \
                 requested, granted, access_token, refresh_token, known, generation, expires_at, consent_ends_at, \
                 refresh_at, failures, fence, connected_at, connected_by, sync) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13, $14, 0, 1, $15, $16, '{}') \
                 on conflict (integration_id) do update set status = $3, problem = null, account_id = $4, \
                 account_name = $5, client_id = $6, requested = $7, granted = $8, access_token = $9, \
                 refresh_token = $10, known = $11, generation = connections.generation + 1, expires_at = $12, \
                 consent_ends_at = $13, refresh_at = $14, failures = 0, lease_node = null, lease_until = null, \
                 fence = connections.fence + 1, connected_at = $15, connected_by = $16",
            )
            .bind(new.integration.uuid())
            .bind(organization.uuid())
            .bind(new.tokens.status.as_str())
            .bind(new.account_id)
            .bind(new.account_name)
            .bind(new.client_id)
            .bind(to_json(&new.requested))
            .bind(to_json(&new.tokens.granted.unwrap_or_default()))
            .bind(new.tokens.access_token)
            .bind(new.tokens.refresh_token)
            .bind(to_json(&new.tokens.known))
            .bind(new.tokens.expires_at.millis())
            .bind(new.tokens.consent_ends_at.map(Timestamp::millis))
            .bind(new.tokens.refresh_at.map(Timestamp::millis))
            .bind(new.at.millis())
            .bind(new.by)
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// Takes the right to refresh one connection, if its tokens are still those of `generation` and nobody else has it.
    pub async fn lease_refresh(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        generation: i64,
        attempt: Uuid,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Option<RefreshLease>> {
        writing!(self, conn => {
            let taken: Option<Row> = sqlx::query_as(concat!(
                "update connections set lease_node = $4, fence = fence + 1, \
                 lease_until = (select now_ms from database_clock) + $5 \
                 where organization_id = $1 and integration_id = $2 and generation = $3 and refresh_token is not null \
                 and (lease_until is null or lease_until < (select now_ms from database_clock)) returning ",
                columns!(),
            ))
            .bind(organization.uuid())
            .bind(integration.uuid())
            .bind(generation)
            .bind(node.uuid())
            .bind(REFRESH_LEASE_MS)
            .fetch_optional(&mut *conn)
            .await?;
            let Some(row) = taken else { return Ok(None) };
            let connection = ConnectionRow::try_from(row)?;
            sqlx::query("delete from refreshes where organization_id = $1 and integration_id = $2 and started_at < $3")
                .bind(organization.uuid())
                .bind(integration.uuid())
                .bind(now.plus_ms(-KEPT_DAYS * 86_400_000).millis())
                .execute(&mut *conn)
                .await?;
            let unknown: i64 = sqlx::query_scalar(
                "select count(*) from refreshes where organization_id = $1 and integration_id = $2 \
                 and generation = $3 and ok is null",
            )
            .bind(organization.uuid())
            .bind(integration.uuid())
            .bind(generation)
            .fetch_one(&mut *conn)
            .await?;
            sqlx::query(
                "insert into refreshes (id, organization_id, integration_id, generation, fence, started_at, detail) \
                 values ($1, $2, $3, $4, $5, $6, '')",
            )
            .bind(attempt)
            .bind(organization.uuid())
            .bind(integration.uuid())
            .bind(generation)
            .bind(connection.fence)
            .bind(now.millis())
            .execute(&mut *conn)
            .await?;
            Ok(Some(RefreshLease { connection, attempt, follows_unknown: unknown > 0 }))
        })
    }

    /// Connections that are to be refreshed and nobody is at, of any organization: it is a worker that asks.
    pub async fn due_refreshes(&self, now: Timestamp, limit: u32) -> Result<Vec<(OrganizationId, IntegrationId, i64)>> {
        let rows: Vec<(Uuid, Uuid, i64)> = reading!(self, db => sqlx::query_as(
            "select organization_id, integration_id, generation from connections where refresh_at <= $1 \
             and (lease_until is null or lease_until < (select now_ms from database_clock)) \
             order by refresh_at limit $2",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(db)
        .await)?;
        let typed = |(organization, integration, generation): (Uuid, Uuid, i64)| {
            (OrganizationId::from_uuid(organization), IntegrationId::from_uuid(integration), generation)
        };
        Ok(rows.into_iter().map(typed).collect())
    }

    /// Stores what became of a refresh, and ends its lease. `false`: the lease was not valid any more. Nothing is lost then:
    /// new tokens are kept beside the note of the try.
    pub async fn settle_refresh(&self, lease: &RefreshLease, outcome: Refreshed) -> Result<bool> {
        let (connection, attempt) = (lease.connection.clone(), lease.attempt);
        writing!(self, conn => {
            let (organization, integration) = (connection.organization.uuid(), connection.integration.uuid());
            let (stored, ok, fault, detail, orphan) = match outcome {
                Refreshed::Tokens(tokens) => {
                    let mut known = connection.known;
                    known.extend(tokens.known);
                    let done = sqlx::query(
                        "update connections set status = $5, problem = null, access_token = $6, \
                         refresh_token = coalesce($7, refresh_token), known = $8, generation = generation + 1, \
                         expires_at = $9, consent_ends_at = coalesce($10, consent_ends_at), refresh_at = $11, \
                         granted = coalesce($12, granted), failures = 0, lease_node = null, lease_until = null \
                         where organization_id = $1 and integration_id = $2 and generation = $3 and fence = $4",
                    )
                    .bind(organization)
                    .bind(integration)
                    .bind(connection.generation)
                    .bind(connection.fence)
                    .bind(tokens.status.as_str())
                    .bind(&tokens.access_token)
                    .bind(&tokens.refresh_token)
                    .bind(to_json(&known))
                    .bind(tokens.expires_at.millis())
                    .bind(tokens.consent_ends_at.map(Timestamp::millis))
                    .bind(tokens.refresh_at.map(Timestamp::millis))
                    .bind(tokens.granted.as_ref().map(to_json))
                    .execute(&mut *conn)
                    .await?;
                    let stored = done.rows_affected() > 0;
                    let orphan = tokens.refresh_token.filter(|_| !stored);
                    (stored, Some(true), None, String::new(), orphan)
                }
                Refreshed::Fault { fault, is_unanswered, detail, problem, refresh_at } => {
                    let status = fault.status().map(ConnectionStatus::as_str);
                    let done = sqlx::query(
                        "update connections set status = coalesce($5, status), problem = coalesce($6, problem), \
                         refresh_at = $7, failures = failures + 1, lease_node = null, lease_until = null \
                         where organization_id = $1 and integration_id = $2 and generation = $3 and fence = $4",
                    )
                    .bind(organization)
                    .bind(integration)
                    .bind(connection.generation)
                    .bind(connection.fence)
                    .bind(status)
                    .bind(problem)
                    .bind(refresh_at.map(Timestamp::millis))
                    .execute(&mut *conn)
                    .await?;
                    (done.rows_affected() > 0, (!is_unanswered).then_some(false), Some(fault), detail, None)
                }
            };
            sqlx::query("update refreshes set ok = $2, fault = $3, detail = $4, orphan = $5 where id = $1")
                .bind(attempt)
                .bind(ok)
                .bind(fault.map(RefreshFault::as_str))
                .bind(detail)
                .bind(orphan)
                .execute(&mut *conn)
                .await?;
            Ok(stored)
        })
    }

    /// The newest refreshes, the newest first.
    pub async fn refreshes(&self, organization: OrganizationId, integration: IntegrationId) -> Result<Vec<Refresh>> {
        let rows: Vec<(i64, Option<bool>, Option<String>, String)> = reading!(self, db => sqlx::query_as(
            "select started_at, ok, fault, detail from refreshes where organization_id = $1 and integration_id = $2 \
             order by id desc limit $3",
        )
        .bind(organization.uuid())
        .bind(integration.uuid())
        .bind(SHOWN)
        .fetch_all(db)
        .await)?;
        let typed = |(at, ok, fault, detail): (i64, Option<bool>, Option<String>, String)| {
            let fault = fault.map(|text| word("refreshes", "fault", &text)).transpose()?;
            Ok(Refresh { at: Timestamp::from_millis(at), ok, fault, detail })
        };
        rows.into_iter().map(typed).collect()
    }

    /// Changes what is done with an account; `false` when there is no connection.
    pub async fn set_sync(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        sync: SyncSettings,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let done =
                sqlx::query("update connections set sync = $3 where organization_id = $1 and integration_id = $2")
                    .bind(organization.uuid())
                    .bind(integration.uuid())
                    .bind(to_json(&sync))
                    .execute(&mut *conn)
                    .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Whether another connection of the organization lives by what the same account granted to the same application.
    pub async fn has_siblings(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        client_id: &str,
        account_id: &str,
    ) -> Result<bool> {
        let count: i64 = reading!(self, db => sqlx::query_scalar(
            "select count(*) from connections where organization_id = $1 and integration_id <> $2 and client_id = $3 \
             and account_id = $4 and access_token is not null",
        )
        .bind(organization.uuid())
        .bind(integration.uuid())
        .bind(client_id)
        .bind(account_id)
        .fetch_one(db)
        .await)?;
        Ok(count > 0)
    }

    /// Erases the tokens of a connection, and notes that the right is to be ended at the provider. Its settings stay. `false`
    /// when there is none.
    pub async fn disconnect(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        revocation: Option<NewRevocation>,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let known: Option<String> = sqlx::query_scalar(
                "update connections set status = 'not_connected', problem = null, access_token = null, \
                 refresh_token = null, granted = '[]', generation = generation + 1, fence = fence + 1, \
                 expires_at = null, consent_ends_at = null, refresh_at = null, failures = 0, lease_node = null, \
                 lease_until = null, account_id = null, account_name = null, connected_at = null, connected_by = null \
                 where organization_id = $1 and integration_id = $2 and access_token is not null returning known",
            )
            .bind(organization.uuid())
            .bind(integration.uuid())
            .fetch_optional(&mut *conn)
            .await?;
            let Some(known) = known else { return Ok(false) };
            sqlx::query("update refreshes set orphan = null where organization_id = $1 and integration_id = $2")
                .bind(organization.uuid())
                .bind(integration.uuid())
                .execute(&mut *conn)
                .await?;
            if let Some(revocation) = revocation {
                sqlx::query(
                    "insert into revocations (id, organization_id, integration_id, token, known, tries, due_at) \
                     values ($1, $2, $3, $4, $5, 0, $6)",
                )
                .bind(revocation.id)
                .bind(organization.uuid())
                .bind(integration.uuid())
                .bind(revocation.token)
                .bind(known)
                .bind(revocation.due_at.millis())
                .execute(&mut *conn)
                .await?;
            }
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Takes rights that are to be ended, of any organization, until `again`: then they are due once more.
    pub async fn take_revocations(&self, now: Timestamp, again: Timestamp, limit: u32) -> Result<Vec<DueRevocation>> {
        let due: Vec<Uuid> = reading!(self, db => sqlx::query_scalar(
            "select id from revocations where due_at <= $1 order by due_at limit $2",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(db)
        .await)?;
        let mut taken = Vec::new();
        for id in due {
            let row: Option<(Uuid, Uuid, Vec<u8>, String, i64)> = writing!(self, conn => {
                Ok(sqlx::query_as(
                    "update revocations set due_at = $3, tries = tries + 1 where id = $1 and due_at <= $2 \
                     returning organization_id, integration_id, token, known, tries",
                )
                .bind(id)
                .bind(now.millis())
                .bind(again.millis())
                .fetch_optional(&mut *conn)
                .await?)
            })?;
            if let Some((organization, integration, token, known, tries)) = row {
                taken.push(DueRevocation {
                    id,
                    organization: OrganizationId::from_uuid(organization),
                    integration: IntegrationId::from_uuid(integration),
                    token,
                    known: json("revocations", "known", &known)?,
                    tries,
                });
            }
        }
        Ok(taken)
    }

    /// Forgets a right that was ended, or given up.
    pub async fn end_revocation(&self, organization: OrganizationId, id: Uuid) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("delete from revocations where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(id)
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }
}
