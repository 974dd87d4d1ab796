//! The audit log: what people and programs changed, one hash-chained list for each organization.
//!
//! An entry is written in the transaction of the change it tells of, by [`append`]. Entries are never changed and never
//! deleted here; changing or deleting one elsewhere breaks the chain, and [`Store::broken_audit`] says where.

use domain::{AuditId, OrganizationId, PublicId, Timestamp, api::AuditEntry, api::Page};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Result, Store, StoreError,
    columns::{json, to_json},
    db::{reading, writing},
    keyset,
};

/// Entries verified at a time.
const VERIFIED_AT_ONCE: i64 = 1_000;

/// An entry to be written.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it, as people know them.
    pub actor: String,
    /// What was done, such as `webhook.updated`.
    pub action: &'static str,
    /// To what: an id, or how many.
    pub subject: String,
    /// Names of the fields that changed; never their values.
    pub fields: Vec<String>,
}

impl NewAudit {
    /// What follows `last` (sequence and hash) in the chain of `organization`.
    fn after(&self, organization: OrganizationId, last: Option<(i64, Vec<u8>)>) -> Row {
        let (sequence, previous) = last.unwrap_or_default();
        let mut row = Row {
            sequence: sequence + 1,
            id: self.id.uuid(),
            at: self.at.millis(),
            actor: self.actor.clone(),
            action: self.action.to_owned(),
            subject: self.subject.clone(),
            fields: to_json(&self.fields),
            hash: Vec::new(),
        };
        row.hash = row.digest(organization, &previous);
        row
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    sequence: i64,
    id: Uuid,
    at: i64,
    actor: String,
    action: String,
    subject: String,
    fields: String,
    hash: Vec<u8>,
}

impl Row {
    /// SHA-256 over the hash before, and every column. Texts carry their length, so that no two entries read alike.
    fn digest(&self, organization: OrganizationId, previous: &[u8]) -> Vec<u8> {
        let mut hasher = Sha256::new();
        hasher.update(previous);
        hasher.update(organization.uuid().as_bytes());
        hasher.update(self.sequence.to_be_bytes());
        hasher.update(self.id.as_bytes());
        hasher.update(self.at.to_be_bytes());
        for text in [&self.actor, &self.action, &self.subject, &self.fields] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_vec()
    }
}

/// An entry and where it stands: the cursor of its page.
struct Numbered(i64, AuditEntry);

impl TryFrom<Row> for Numbered {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        let entry = AuditEntry {
            id: AuditId::from_uuid(row.id),
            at: Timestamp::from_millis(row.at),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            fields: json("audit", "fields", &row.fields)?,
        };
        Ok(Self(row.sequence, entry))
    }
}

/// A connection of either database, as far as the chain needs it.
pub(crate) trait Chain: Send {
    /// Locks the organization and answers with the end of its chain.
    fn last(&mut self, organization: Uuid) -> impl Future<Output = Result<Option<(i64, Vec<u8>)>>> + Send;
    /// Writes the next entry.
    fn push(&mut self, organization: Uuid, row: Row) -> impl Future<Output = Result<()>> + Send;
}

macro_rules! chains {
    ($($connection:ty),*) => {$(
        impl Chain for $connection {
            async fn last(&mut self, organization: Uuid) -> Result<Option<(i64, Vec<u8>)>> {
                sqlx::query("update organizations set name = name where id = $1")
                    .bind(organization)
                    .execute(&mut *self)
                    .await?;
                Ok(sqlx::query_as(
                    "select sequence, hash from audit where organization_id = $1 order by sequence desc limit 1",
                )
                .bind(organization)
                .fetch_optional(&mut *self)
                .await?)
            }

            async fn push(&mut self, organization: Uuid, row: Row) -> Result<()> {
                sqlx::query(
                    "insert into audit (organization_id, sequence, id, at, actor, action, subject, fields, hash) \
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                )
                .bind(organization)
                .bind(row.sequence)
                .bind(row.id)
                .bind(row.at)
                .bind(row.actor)
                .bind(row.action)
                .bind(row.subject)
                .bind(row.fields)
                .bind(row.hash)
                .execute(&mut *self)
                .await?;
                Ok(())
            }
        }
    )*};
}
chains!(sqlx::SqliteConnection, sqlx::PgConnection);

/// Appends an entry, inside the transaction of what it tells of.
///
/// It locks the organization's row, so that two changes of one organization cannot take the same place in the chain. A
/// transaction therefore touches what it changes first, then appends, then bumps the routing version: always in this
/// order, so that two transactions cannot wait for each other.
pub(crate) async fn append(connection: &mut impl Chain, organization: OrganizationId, audit: &NewAudit) -> Result<()> {
    let last = connection.last(organization.uuid()).await?;
    connection.push(organization.uuid(), audit.after(organization, last)).await
}

impl Store {
    /// Records something that changes nothing else, such as that a secret was shown.
    pub async fn record(&self, organization: OrganizationId, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            append(conn, organization, &audit).await
        })
    }

    /// The audit log, newest first. `before` is the number that a page's cursor names.
    pub async fn audit(
        &self,
        organization: OrganizationId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select sequence, id, at, actor, action, subject, fields, hash from audit \
             where organization_id = $1 and sequence < $2 order by sequence desc limit $3",
        )
        .bind(organization.uuid())
        .bind(before.unwrap_or(i64::MAX))
        .bind(keyset::one_more(limit))
        .fetch_all(db)
        .await)?;
        let page: Page<Numbered> = keyset::page(rows, limit, |entry: &Numbered| entry.0.to_string())?;
        Ok(Page { data: page.data.into_iter().map(|entry| entry.1).collect(), next_cursor: page.next_cursor })
    }

    /// Walks the whole chain. Answers with the number of the first entry that is not as it was written or whose
    /// predecessor is missing; `None` when all is well. It cannot see that the newest entries were cut off.
    pub async fn broken_audit(&self, organization: OrganizationId) -> Result<Option<i64>> {
        let (mut sequence, mut hash) = (0_i64, Vec::new());
        loop {
            let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
                "select sequence, id, at, actor, action, subject, fields, hash from audit \
                 where organization_id = $1 and sequence > $2 order by sequence limit $3",
            )
            .bind(organization.uuid())
            .bind(sequence)
            .bind(VERIFIED_AT_ONCE)
            .fetch_all(db)
            .await)?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in rows {
                if row.sequence != sequence + 1 || row.hash != row.digest(organization, &hash) {
                    return Ok(Some(row.sequence));
                }
                (sequence, hash) = (row.sequence, row.hash);
            }
        }
    }
}
