//! Sessions of signed-in members. Only the hash of a session's token is stored.

use std::net::IpAddr;

use domain::{MemberId, OrganizationId, PublicId, Timestamp, api::Member};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::word,
    db::{reading, writing},
};

/// A session to be stored.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of the cookie's value.
    pub token_hash: [u8; 32],
    /// Whose it is.
    pub member_id: MemberId,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Where the sign-in came from.
    pub address: Option<IpAddr>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Where the member belongs.
    pub organization_id: OrganizationId,
    /// Who is signed in, as they are now.
    pub member: Member,
    /// When it ends.
    pub expires_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    member_id: Uuid,
    name: String,
    email: String,
    role: String,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<Row> for SessionRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: OrganizationId::from_uuid(row.organization_id),
            member: Member {
                id: MemberId::from_uuid(row.member_id),
                name: row.name,
                email: row.email,
                role: word("members", "role", &row.role)?,
                created_at: Timestamp::from_millis(row.created_at),
            },
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }
}

impl Store {
    /// Begins a session, and forgets the member's sessions that are over.
    pub async fn create_session(
        &self,
        organization: OrganizationId,
        session: NewSession,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("delete from sessions where member_id = $1 and expires_at <= $2")
                .bind(session.member_id.uuid())
                .bind(session.created_at.millis())
                .execute(&mut *conn)
                .await?;
            sqlx::query(
                "insert into sessions \
                 (token_hash, organization_id, member_id, user_agent, address, created_at, expires_at) \
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(session.token_hash.to_vec())
            .bind(organization.uuid())
            .bind(session.member_id.uuid())
            .bind(session.user_agent)
            .bind(session.address.map(|address| address.to_string()))
            .bind(session.created_at.millis())
            .bind(session.expires_at.millis())
            .execute(&mut *conn)
            .await?;
            audit::append(&mut *conn, organization, &audit).await?;
            Ok(())
        })
    }

    /// The session with this token, unless it is over. Not scoped, because it is what tells the organization.
    pub async fn session(&self, token_hash: [u8; 32], now: Timestamp) -> Result<Option<SessionRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select s.organization_id, s.member_id, m.name, m.email, m.role, m.created_at, s.expires_at \
             from sessions s join members m on m.id = s.member_id where s.token_hash = $1 and s.expires_at > $2",
        )
        .bind(token_hash.to_vec())
        .bind(now.millis())
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Ends a session; `false` when there was none.
    pub async fn delete_session(
        &self,
        organization: OrganizationId,
        token_hash: [u8; 32],
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let deleted = sqlx::query("delete from sessions where organization_id = $1 and token_hash = $2")
                .bind(organization.uuid())
                .bind(token_hash.to_vec())
                .execute(&mut *conn)
                .await?
                .rows_affected();
            if deleted == 0 {
                return Ok(false);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            Ok(true)
        })
    }
}
