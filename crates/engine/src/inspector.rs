//! The Inspector: a receiver of one's own that keeps what it gets and says whether the signature verifies.

use bytes::Bytes;
use domain::{
    OrganizationId, Permission, PublicId, Timestamp, WebhookId,
    api::{ApiError, Header, InspectorRequest, Page, ReceivedSignature},
};
use storage::NewInspectorRequest;
use subtle::ConstantTimeEq;

use crate::{Actor, Engine, EngineConfig, Result, error::refused, live::LiveEvent, paging};

/// Requests that are kept for one organization.
const KEEP: u32 = 500;
/// Age of a signature that is accepted, either way.
const MAX_SKEW_S: i64 = 300;

/// Where an Inspector receives.
pub(crate) fn address(config: &EngineConfig, token: &str) -> String {
    format!("{}/inspect/{token}", config.public_url)
}

/// A request as the server received it.
#[derive(Debug, Clone)]
pub struct InspectorHit {
    /// HTTP method.
    pub method: String,
    /// Path and query after the Inspector's address.
    pub path: String,
    /// Headers in order of arrival; bytes that are not UTF-8 are replaced.
    pub headers: Vec<Header>,
    /// The body, as much of it as is kept.
    pub body: Bytes,
    /// Whether there was more.
    pub truncated: bool,
}

impl InspectorHit {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

impl Engine {
    /// The address of the organization's Inspector.
    pub async fn inspector_url(&self, actor: &Actor) -> Result<String> {
        actor.require(Permission::ReadInspector)?;
        self.own_inspector(actor.organization).await
    }

    pub(crate) async fn own_inspector(&self, organization: OrganizationId) -> Result<String> {
        let found = self.inner.store.organization(organization).await.map_err(refused)?;
        let found = found.ok_or_else(|| ApiError::not_found("Organization"))?;
        Ok(address(&self.inner.config, &found.inspector_token))
    }

    /// Keeps a request to the Inspector with this token; `false` when there is none.
    pub async fn inspector_record(&self, token: &str, hit: InspectorHit) -> Result<bool> {
        let Some(organization) = self.inner.store.organization_of_inspector(token).await.map_err(refused)? else {
            return Ok(false);
        };
        let now = self.now();
        let (signature, webhook_id) = self.judge(organization, &hit, now);
        let request = NewInspectorRequest {
            id: self.new_id(),
            method: hit.method,
            path: hit.path,
            headers: hit.headers,
            body: hit.body,
            truncated: hit.truncated,
            signature,
            webhook_id,
        };
        let view = InspectorRequest {
            id: request.id,
            received_at: request.id.created_at(),
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            truncated: request.truncated,
            signature,
            webhook_id,
        };
        self.inner.store.record_inspector_request(organization, request, KEEP).await.map_err(refused)?;
        self.inner.live.send(organization, LiveEvent::Inspector { request: view });
        Ok(true)
    }

    /// What the Inspector keeps, newest first.
    pub async fn inspector_requests(&self, actor: &Actor, cursor: Option<String>, limit: Option<u32>) -> Result<Page<InspectorRequest>> {
        actor.require(Permission::ReadInspector)?;
        let after = paging::after(cursor.as_deref())?;
        let page = self.inner.store.inspector_requests(actor.organization, after, paging::limit(limit)).await;
        page.map_err(refused)
    }

    /// Forgets what the Inspector keeps.
    pub async fn clear_inspector(&self, actor: &Actor) -> Result<()> {
        actor.require(Permission::ClearInspector)?;
        let audit = self.audit_entry(actor, "inspector.cleared", &actor.organization, &[]);
        self.inner.store.clear_inspector(actor.organization, audit).await.map_err(refused)
    }

    /// Whether one of the organization's webhooks signed this just now. Standard Webhooks if its headers are there, else
    /// the body signature.
    fn judge(&self, organization: OrganizationId, hit: &InspectorHit, now: Timestamp) -> (ReceivedSignature, Option<WebhookId>) {
        let standard = hit.header("webhook-signature");
        let name = format!("{}-Signature", self.inner.config.header_prefix);
        let body = hit.header(&name);
        if standard.is_none() && body.is_none() {
            return (ReceivedSignature::Missing, None);
        }
        let snapshot = self.inner.routing.current();
        let endpoints = snapshot.tenant(organization).map(|tenant| &tenant.endpoints[..]).unwrap_or_default();
        let signer = endpoints.iter().find(|endpoint| {
            endpoint.keys.iter().filter(|key| key.is_live(now)).any(|key| match standard {
                Some(given) => {
                    let (id, seconds) = (hit.header("webhook-id"), hit.header("webhook-timestamp"));
                    let Some((id, seconds)) = id.zip(seconds) else { return false };
                    let fresh = seconds.parse::<i64>().is_ok_and(|sent| (now.unix_seconds() - sent).abs() <= MAX_SKEW_S);
                    let expected = key.standard(id, seconds, &hit.body);
                    fresh && given.split(' ').any(|given| same(given, &expected))
                }
                None => body.is_some_and(|given| same(given, &key.body(&hit.body))),
            })
        });
        match signer {
            Some(endpoint) => (ReceivedSignature::Verified, Some(endpoint.webhook)),
            None => (ReceivedSignature::Invalid, None),
        }
    }
}

fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}
