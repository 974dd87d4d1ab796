//! What the built-in Inspector received: the newest requests of each organization, and no more than that; and what it answers.

use bytes::Bytes;
use domain::{
    InspectorRequestId, OrganizationId, PublicId, WebhookId,
    api::{Header, InspectorRequest, InspectorResponse, Page, ReceivedSignature},
};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json, word},
    db::{reading, writing},
    keyset,
};

/// A request to be stored. Its id says when it came.
#[derive(Debug, Clone)]
pub struct NewInspectorRequest {
    /// Its id.
    pub id: InspectorRequestId,
    /// HTTP method.
    pub method: String,
    /// Path and query after the Inspector's address.
    pub path: String,
    /// All headers.
    pub headers: Vec<Header>,
    /// The body, as much of it as is kept.
    pub body: Bytes,
    /// Whether there was more.
    pub truncated: bool,
    /// Whether its signature verifies.
    pub signature: ReceivedSignature,
    /// The webhook whose secret it was signed with.
    pub webhook_id: Option<WebhookId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    method: String,
    path: String,
    headers: String,
    body: Vec<u8>,
    truncated: bool,
    signature: String,
    webhook_id: Option<Uuid>,
}

impl TryFrom<Row> for InspectorRequest {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: InspectorRequestId::from_uuid(row.id),
            received_at: InspectorRequestId::from_uuid(row.id).created_at(),
            method: row.method,
            path: row.path,
            headers: json("inspector_requests", "headers", &row.headers)?,
            body: String::from_utf8_lossy(&row.body).into_owned(),
            truncated: row.truncated,
            signature: word("inspector_requests", "signature", &row.signature)?,
            webhook_id: row.webhook_id.map(WebhookId::from_uuid),
        })
    }
}

fn response(text: Option<String>) -> Result<InspectorResponse> {
    text.map_or_else(|| Ok(InspectorResponse::default()), |text| json("organizations", "inspector_response", &text))
}

impl Store {
    /// The organization whose Inspector has this token, and what it answers.
    pub async fn organization_of_inspector(&self, token: &str) -> Result<Option<(OrganizationId, InspectorResponse)>> {
        let row: Option<(Uuid, Option<String>)> = reading!(self, db => sqlx::query_as(
            "select id, inspector_response from organizations where inspector_token = $1",
        )
        .bind(token)
        .fetch_optional(db)
        .await)?;
        row.map(|(id, text)| Ok((OrganizationId::from_uuid(id), response(text)?))).transpose()
    }

    /// What an organization's Inspector answers; `None` when there is no such organization.
    pub async fn inspector_response(&self, organization: OrganizationId) -> Result<Option<InspectorResponse>> {
        let row: Option<(Option<String>,)> = reading!(self, db => sqlx::query_as(
            "select inspector_response from organizations where id = $1",
        )
        .bind(organization.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(|(text,)| response(text)).transpose()
    }

    /// Changes what an organization's Inspector answers.
    pub async fn set_inspector_response(
        &self,
        organization: OrganizationId,
        response: InspectorResponse,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update organizations set inspector_response = $2 where id = $1")
                .bind(organization.uuid())
                .bind(to_json(&response))
                .execute(&mut *conn)
                .await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// Stores a request and forgets those before the newest `keep`.
    pub async fn record_inspector_request(
        &self,
        organization: OrganizationId,
        request: NewInspectorRequest,
        keep: u32,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into inspector_requests \
                 (id, organization_id, method, path, headers, body, truncated, signature, webhook_id) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(request.id.uuid())
            .bind(organization.uuid())
            .bind(request.method)
            .bind(request.path)
            .bind(to_json(&request.headers))
            .bind(request.body.to_vec())
            .bind(request.truncated)
            .bind(request.signature.as_str())
            .bind(request.webhook_id.map(PublicId::uuid))
            .execute(&mut *conn)
            .await?;
            // Walks `keep` entries of an index and usually deletes one row.
            sqlx::query(
                "delete from inspector_requests where organization_id = $1 and id <= \
                 (select id from inspector_requests where organization_id = $1 order by id desc limit 1 offset $2)",
            )
            .bind(organization.uuid())
            .bind(i64::from(keep))
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }

    /// The requests, newest first.
    pub async fn inspector_requests(
        &self,
        organization: OrganizationId,
        before: Option<InspectorRequestId>,
        limit: u32,
    ) -> Result<Page<InspectorRequest>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select id, method, path, headers, body, truncated, signature, webhook_id from inspector_requests \
             where organization_id = $1 and id < $2 order by id desc limit $3",
        )
        .bind(organization.uuid())
        .bind(keyset::before(before))
        .bind(keyset::one_more(limit))
        .fetch_all(db)
        .await)?;
        keyset::page(rows, limit, |request: &InspectorRequest| request.id.to_string())
    }

    /// Forgets all requests of an organization.
    pub async fn clear_inspector(&self, organization: OrganizationId, audit: NewAudit) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("delete from inspector_requests where organization_id = $1")
                .bind(organization.uuid())
                .execute(&mut *conn)
                .await?;
            audit::append(conn, organization, &audit).await
        })
    }
}
