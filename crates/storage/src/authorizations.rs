//! Consents that have begun, and links by which they begin. Each can be used once, and not after its time. Of their tokens
//! only hashes are here.

use domain::{IntegrationId, MemberId, OrganizationId, PublicId, Timestamp};
use uuid::Uuid;

use crate::{
    Known, NewAudit, Result, Store, audit,
    columns::{json, to_json},
    db::{reading, writing},
};

/// A consent that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedAuthorization {
    /// SHA-256 of `state`.
    pub state_hash: [u8; 32],
    /// SHA-256 of the cookie of the browser that was sent.
    pub browser_hash: [u8; 32],
    /// For which integration.
    pub integration: IntegrationId,
    /// Who was sent; `None`: whoever opened a link.
    pub member: Option<MemberId>,
    /// The same for people.
    pub started_by: String,
    /// The provider's id in the catalogue.
    pub provider: String,
    /// Sealed; `None` where the provider takes none.
    pub verifier: Option<Vec<u8>>,
    /// Where the browser is expected back.
    pub redirect_uri: String,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// Who must answer.
    pub issuer: Option<String>,
    /// Whether the answer says who answers.
    pub says_issuer: bool,
    /// Addresses that were found.
    pub known: Known,
    /// Until when it is waited for.
    pub expires_at: Timestamp,
}

/// A link by which somebody without an account here connects theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectLink {
    /// Whose it is.
    pub organization: OrganizationId,
    /// For which integration.
    pub integration: IntegrationId,
    /// What is asked for beyond the integration's settings.
    pub scopes: Vec<String>,
    /// Who made it.
    pub made_by: String,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    browser_hash: Vec<u8>,
    integration_id: Uuid,
    member_id: Option<Uuid>,
    started_by: String,
    provider: String,
    verifier: Option<Vec<u8>>,
    redirect_uri: String,
    scopes: String,
    issuer: Option<String>,
    says_issuer: bool,
    known: String,
    expires_at: i64,
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    organization_id: Uuid,
    integration_id: Uuid,
    scopes: String,
    made_by: String,
    expires_at: i64,
}

impl LinkRow {
    fn typed(self) -> Result<ConnectLink> {
        Ok(ConnectLink {
            organization: OrganizationId::from_uuid(self.organization_id),
            integration: IntegrationId::from_uuid(self.integration_id),
            scopes: json("connect_links", "scopes", &self.scopes)?,
            made_by: self.made_by,
            expires_at: Timestamp::from_millis(self.expires_at),
        })
    }
}

impl Store {
    /// Notes that a browser was sent to a provider. What was waited for in vain is forgotten.
    pub async fn start_authorization(
        &self,
        organization: OrganizationId,
        started: StartedAuthorization,
        now: Timestamp,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("delete from authorizations where expires_at < $1")
                .bind(now.millis())
                .execute(&mut *conn)
                .await?;
            sqlx::query(
                "insert into authorizations (state_hash, browser_hash, organization_id, integration_id, member_id, \
                 started_by, provider, verifier, redirect_uri, scopes, issuer, says_issuer, known, expires_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            )
            .bind(started.state_hash.to_vec())
            .bind(started.browser_hash.to_vec())
            .bind(organization.uuid())
            .bind(started.integration.uuid())
            .bind(started.member.map(PublicId::uuid))
            .bind(started.started_by)
            .bind(started.provider)
            .bind(started.verifier)
            .bind(started.redirect_uri)
            .bind(to_json(&started.scopes))
            .bind(started.issuer)
            .bind(started.says_issuer)
            .bind(to_json(&started.known))
            .bind(started.expires_at.millis())
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }

    /// Takes the consent of that `state`, of any organization, so that nobody takes it again: a provider sends it back, who
    /// knows nothing else of us. `None`: there is none, or it was taken.
    pub async fn take_authorization(
        &self,
        state_hash: [u8; 32],
    ) -> Result<Option<(OrganizationId, StartedAuthorization)>> {
        const TABLE: &str = "authorizations";
        let row: Option<Row> = writing!(self, conn => {
            Ok(sqlx::query_as(
                "delete from authorizations where state_hash = $1 returning organization_id, browser_hash, \
                 integration_id, member_id, started_by, provider, verifier, redirect_uri, scopes, issuer, says_issuer, \
                 known, expires_at",
            )
            .bind(state_hash.to_vec())
            .fetch_optional(&mut *conn)
            .await?)
        })?;
        let Some(row) = row else { return Ok(None) };
        let browser_hash = row
            .browser_hash
            .try_into()
            .map_err(|_| crate::StoreError::corrupt(TABLE, "browser_hash", "not 32 bytes"))?;
        let started = StartedAuthorization {
            state_hash,
            browser_hash,
            integration: IntegrationId::from_uuid(row.integration_id),
            member: row.member_id.map(MemberId::from_uuid),
            started_by: row.started_by,
            provider: row.provider,
            verifier: row.verifier,
            redirect_uri: row.redirect_uri,
            scopes: json(TABLE, "scopes", &row.scopes)?,
            issuer: row.issuer,
            says_issuer: row.says_issuer,
            known: json(TABLE, "known", &row.known)?,
            expires_at: Timestamp::from_millis(row.expires_at),
        };
        Ok(Some((OrganizationId::from_uuid(row.organization_id), started)))
    }

    /// Stores a link. Those that have ended are forgotten.
    pub async fn create_connect_link(&self, token_hash: [u8; 32], link: ConnectLink, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("delete from connect_links where expires_at < $1")
                .bind(audit.at.millis())
                .execute(&mut *conn)
                .await?;
            sqlx::query(
                "insert into connect_links (token_hash, organization_id, integration_id, scopes, made_by, expires_at) \
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(token_hash.to_vec())
            .bind(link.organization.uuid())
            .bind(link.integration.uuid())
            .bind(to_json(&link.scopes))
            .bind(&link.made_by)
            .bind(link.expires_at.millis())
            .execute(&mut *conn)
            .await?;
            audit::append(conn, link.organization, &audit).await
        })
    }

    /// The link of that token, of any organization: whoever has it knows nothing else of us.
    pub async fn connect_link(&self, token_hash: [u8; 32], now: Timestamp) -> Result<Option<ConnectLink>> {
        let row: Option<LinkRow> = reading!(self, db => sqlx::query_as(
            "select organization_id, integration_id, scopes, made_by, expires_at from connect_links \
             where token_hash = $1 and expires_at > $2",
        )
        .bind(token_hash.to_vec())
        .bind(now.millis())
        .fetch_optional(db)
        .await)?;
        row.map(LinkRow::typed).transpose()
    }

    /// The same, and nobody uses it again.
    pub async fn take_connect_link(&self, token_hash: [u8; 32], now: Timestamp) -> Result<Option<ConnectLink>> {
        let row: Option<LinkRow> = writing!(self, conn => {
            Ok(sqlx::query_as(
                "delete from connect_links where token_hash = $1 and expires_at > $2 \
                 returning organization_id, integration_id, scopes, made_by, expires_at",
            )
            .bind(token_hash.to_vec())
            .bind(now.millis())
            .fetch_optional(&mut *conn)
            .await?)
        })?;
        row.map(LinkRow::typed).transpose()
    }
}
