//! The Inspector: a receiver that every organization has, which records what it gets and says whether its signature is
//! right. Its address holds a token; who knows it may send, and only members and keys of the organization may look.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    OrganizationId, Permission, Timestamp, WebhookId,
    api::{
        ApiError, ErrorCode, Header, InspectorRequest, InspectorResponse, Page, ReceivedSignature, SignatureFinding,
    },
};
use storage::NewInspectorRequest;
use subtle::ConstantTimeEq;
use url::Url;

use crate::{
    Actor, Engine, EngineConfig, LiveEvent, Result, error::refused, paging, routing::Endpoint, signature::SigningKey,
};

/// Requests that are kept of each organization.
pub(crate) const KEPT: u32 = 500;
/// Bytes of a body that are kept.
const KEPT_BODY_BYTES: usize = 64 * 1024;
/// Secrets that are tried on one request: those of webhooks that lead here first.
const MAX_KEYS: usize = 64;
/// Headers whose values are credentials wherever they come from.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Stands for such a value.
const MASK: &str = "••••••••";

/// A request that the server received for the Inspector.
#[derive(Debug, Clone)]
pub struct InspectorHit {
    /// HTTP method.
    pub method: String,
    /// Path and query after the Inspector's address.
    pub path: String,
    /// All headers.
    pub headers: Vec<Header>,
    /// The body. A signature covers all of it, so that one that was cut cannot be verified.
    pub body: Bytes,
    /// Whether there was more.
    pub truncated: bool,
}

impl InspectorHit {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| &*header.value)
    }
}

/// Where the Inspector with this token receives.
pub(crate) fn address(config: &EngineConfig, token: &str) -> String {
    format!("{}/inspect/{token}", config.public_url)
}

/// Whether a webhook's URL leads to the Inspector at `address`. The beginning of its text is not enough: `..` could lead
/// out again, so the path counts as it is requested.
pub(crate) fn receives(address: &str, text: &str, url: &Url) -> bool {
    let path = Url::parse(address).map(|address| address.path().to_owned());
    text.starts_with(address) && path.is_ok_and(|path| url.path().starts_with(&path))
}

impl Engine {
    /// Where the organization's Inspector receives.
    pub async fn inspector_url(&self, actor: &Actor) -> Result<String> {
        actor.require(Permission::ReadInspector)?;
        self.own_inspector(actor.organization).await
    }

    /// Records a request, and tells what is to be answered; `None` when no Inspector has this token.
    pub async fn inspector_record(&self, token: &str, hit: InspectorHit) -> Result<Option<InspectorResponse>> {
        let found = self.inner.store.organization_of_inspector(token).await.map_err(refused)?;
        let Some((organization, response)) = found else { return Ok(None) };
        let now = self.now();
        let snapshot = self.inner.routing.current();
        let mut endpoints = snapshot.tenant(organization).map(|tenant| tenant.endpoints.clone()).unwrap_or_default();
        endpoints.sort_by_key(|endpoint| endpoint.inspector.is_none());
        let body_header = format!("{}-Signature", self.inner.config.header_prefix);
        let hit = Arc::new(hit);
        let judged = tokio::task::spawn_blocking({
            let hit = Arc::clone(&hit);
            // Hashing megabytes with many keys takes a while.
            move || (judge(&hit, &endpoints, &body_header, now), custom_headers(&endpoints))
        });
        let cannot = |_| ApiError::new(ErrorCode::Internal, "The request could not be looked at");
        let ((signature, webhook_id), custom) = judged.await.map_err(cannot)?;
        let body = hit.body.slice(..hit.body.len().min(KEPT_BODY_BYTES));
        let request = NewInspectorRequest {
            id: self.new_id(),
            method: hit.method.clone(),
            path: hit.path.clone(),
            headers: hit.headers.iter().map(|header| masked(header, &custom)).collect(),
            truncated: hit.truncated || body.len() < hit.body.len(),
            body,
            signature,
            webhook_id,
        };
        let view = InspectorRequest {
            id: request.id,
            received_at: now,
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            truncated: request.truncated,
            signature,
            webhook_id,
        };
        self.inner.store.record_inspector_request(organization, request, KEPT).await.map_err(refused)?;
        self.inner.live.send(organization, LiveEvent::Inspector { request: view });
        Ok(Some(response))
    }

    /// What the Inspector recorded, newest first.
    pub async fn inspector_requests(
        &self,
        actor: &Actor,
        cursor: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<InspectorRequest>> {
        actor.require(Permission::ReadInspector)?;
        let (after, limit) = (paging::after(cursor.as_deref())?, paging::limit(limit));
        self.inner.store.inspector_requests(actor.organization, after, limit).await.map_err(refused)
    }

    /// Forgets what the Inspector recorded.
    pub async fn clear_inspector(&self, actor: &Actor) -> Result<()> {
        actor.require(Permission::ClearInspector)?;
        let audit = self.audit_entry(actor, "inspector.cleared", &actor.organization, &[]);
        self.inner.store.clear_inspector(actor.organization, audit).await.map_err(refused)
    }

    /// What the Inspector answers.
    pub async fn inspector_response(&self, actor: &Actor) -> Result<InspectorResponse> {
        actor.require(Permission::ReadInspector)?;
        let found = self.inner.store.inspector_response(actor.organization).await.map_err(refused)?;
        found.ok_or_else(|| ApiError::not_found("Organization"))
    }

    /// Changes what the Inspector answers, from the next request on.
    pub async fn set_inspector_response(
        &self,
        actor: &Actor,
        response: InspectorResponse,
    ) -> Result<InspectorResponse> {
        actor.require(Permission::TestWebhooks)?;
        response.validate()?;
        let audit = self.audit_entry(actor, "inspector.response_changed", &actor.organization, &[]);
        let stored = self.inner.store.set_inspector_response(actor.organization, response.clone(), audit);
        stored.await.map_err(refused)?;
        Ok(response)
    }

    pub(crate) async fn own_inspector(&self, organization: OrganizationId) -> Result<String> {
        let found = self.inner.store.organization(organization).await.map_err(refused)?;
        let organization = found.ok_or_else(|| ApiError::not_found("Organization"))?;
        Ok(address(&self.inner.config, &organization.inspector_token))
    }
}

/// Whether a request is signed with a secret of one of these webhooks, and of which.
fn judge(
    hit: &InspectorHit,
    endpoints: &[Arc<Endpoint>],
    body_header: &str,
    now: Timestamp,
) -> (ReceivedSignature, Option<WebhookId>) {
    let standard = hit.header("webhook-signature");
    let body = hit.header(body_header);
    if standard.is_none() && body.is_none() {
        return (ReceivedSignature::Missing, None);
    }
    let (id, seconds) =
        (hit.header("webhook-id").unwrap_or_default(), hit.header("webhook-timestamp").unwrap_or_default());
    let is_recent = seconds
        .parse()
        .is_ok_and(|seconds: i64| now.unix_seconds().abs_diff(seconds) <= SignatureFinding::TOLERANCE_S as u64);
    if hit.truncated || (standard.is_some() && !is_recent) {
        return (ReceivedSignature::Invalid, None);
    }
    let is_right = |key: &SigningKey| {
        let standard = standard.is_none_or(|header| {
            let expected = key.standard(id, seconds, &hit.body);
            header.split(' ').any(|entry| is_same(entry, &expected))
        });
        standard && body.is_none_or(|header| is_same(header, &key.body(&hit.body)))
    };
    let keys = endpoints.iter().flat_map(|endpoint| endpoint.keys.iter().map(|key| (endpoint.webhook, key)));
    let found = keys.filter(|(_, key)| key.is_live(now)).take(MAX_KEYS).find(|(_, key)| is_right(key));
    match found {
        Some((webhook, _)) => (ReceivedSignature::Verified, Some(webhook)),
        None => (ReceivedSignature::Invalid, None),
    }
}

fn is_same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// Names of the headers that webhooks add: their values are write-only, here too.
fn custom_headers(endpoints: &[Arc<Endpoint>]) -> Vec<String> {
    endpoints.iter().flat_map(|endpoint| endpoint.headers.keys().map(ToString::to_string)).collect()
}

fn masked(header: &Header, custom: &[String]) -> Header {
    let name = header.name.to_ascii_lowercase();
    let is_credential = CREDENTIALS.contains(&&*name) || custom.contains(&name);
    let value = if is_credential { MASK.to_owned() } else { header.value.clone() };
    Header { name: header.name.clone(), value }
}
