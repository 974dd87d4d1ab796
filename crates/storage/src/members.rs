//! Members: the people of an organization, and what they sign in with.

use domain::{MemberId, OrganizationId, PublicId, Timestamp, api::Member};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{WHOLE_LIST, word},
    db::{reading, writing},
    keyset,
    webhooks::bump_routing,
};

/// A member with what their password is checked against. Without `Debug`, because a hash does not belong into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Where they belong.
    pub organization_id: OrganizationId,
    /// The member. The e-mail address is in lower case.
    pub member: Member,
    /// In PHC form.
    pub password_hash: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    name: String,
    email: String,
    role: String,
    password_hash: String,
    created_at: i64,
}

impl TryFrom<Row> for MemberRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organization_id: OrganizationId::from_uuid(row.organization_id),
            member: Member {
                id: MemberId::from_uuid(row.id),
                name: row.name,
                email: row.email,
                role: word("members", "role", &row.role)?,
                created_at: Timestamp::from_millis(row.created_at),
            },
            password_hash: row.password_hash,
        })
    }
}

/// Inserts a member inside a `writing!` body.
macro_rules! insert_member {
    ($conn:expr, $member:expr) => {
        sqlx::query(
            "insert into members (id, organization_id, name, email, role, password_hash, created_at) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind($member.member.id.uuid())
        .bind($member.organization_id.uuid())
        .bind($member.member.name)
        .bind($member.member.email)
        .bind($member.member.role.as_str())
        .bind($member.password_hash)
        .bind($member.member.created_at.millis())
        .execute(&mut *$conn)
        .await?
    };
}
pub(crate) use insert_member;

impl Store {
    /// Adds a member. The e-mail address is unique among all organizations: `Conflict("members_email_key")`.
    pub async fn create_member(&self, member: MemberRow, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            let organization = member.organization_id;
            insert_member!(conn, member);
            audit::append(&mut *conn, organization, &audit).await?;
            Ok(())
        })
    }

    /// Adds the first member of all; refused, by `false`, when there is any already, even one that is being added at the
    /// same moment.
    pub async fn create_first_member(&self, member: MemberRow, audit: NewAudit) -> Result<bool> {
        writing!(self, conn => {
            let organization = member.organization_id;
            // The lock that makes two first members wait for each other.
            bump_routing!(conn);
            let any: Option<(Uuid,)> = sqlx::query_as("select id from members limit 1").fetch_optional(&mut *conn).await?;
            if any.is_some() {
                return Ok(false);
            }
            insert_member!(conn, member);
            audit::append(&mut *conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Whether anybody can sign in, in any organization.
    pub async fn has_members(&self) -> Result<bool> {
        let any: Option<(Uuid,)> =
            reading!(self, db => sqlx::query_as("select id from members limit 1").fetch_optional(db).await)?;
        Ok(any.is_some())
    }

    /// The members of an organization, the first one first; at most 1,000.
    pub async fn members(&self, organization: OrganizationId) -> Result<Vec<Member>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select id, organization_id, name, email, role, password_hash, created_at from members \
             where organization_id = $1 order by id limit $2",
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        let members: Vec<MemberRow> = keyset::all(rows)?;
        Ok(members.into_iter().map(|row| row.member).collect())
    }

    /// Who signs in with this e-mail address, which must be in lower case. Not scoped, because it is what tells the
    /// organization.
    pub async fn member_by_email(&self, email: &str) -> Result<Option<MemberRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, organization_id, name, email, role, password_hash, created_at from members where email = $1",
        )
        .bind(email)
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }
}
