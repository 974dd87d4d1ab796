//! The routing table: everything needed to match an event and to sign and send its deliveries, in memory.
//!
//! A snapshot never changes; a new one replaces it whole when the stored version moves. Readers take no lock. What must
//! survive a swap, such as how many requests are in flight to a webhook, is not here but in the dispatcher's lanes.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use domain::{
    DeliveryId, DeliveryOptions, EventPattern, Filter, OrganizationId, PublicId, RetryPolicy, SourceId, Timestamp,
    WebhookId, WebhookState,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use storage::{RouteRow, SecretRow, Store};
use url::Url;

use crate::{EngineConfig, deliver::Rules, inspector, secrets::Keyring, signature::SigningKey};

/// A webhook, ready to be matched and sent to.
pub(crate) struct Endpoint {
    pub webhook: WebhookId,
    pub organization: OrganizationId,
    pub name: Arc<str>,
    pub url: Url,
    pub url_text: Arc<str>,
    pub events: Vec<EventPattern>,
    pub source: Option<SourceId>,
    pub filter: Filter,
    pub policy: RetryPolicy,
    /// Instead of `policy`, for single event types.
    pub event_policies: HashMap<String, RetryPolicy>,
    pub options: DeliveryOptions,
    pub state: WebhookState,
    /// Set while it is disabled because its endpoint failed: when that is tried next, and how often it was.
    pub probe_at: Option<Timestamp>,
    pub probes: u32,
    pub headers: HeaderMap,
    /// The newest first.
    pub keys: Vec<SigningKey>,
    /// Set for the organization's own Inspector, which is reached on the process's own listener.
    pub inspector: Option<SocketAddr>,
}

impl Endpoint {
    /// Whether it subscribes to events of this type and source. The payload filter is the caller's: it needs the data.
    pub(crate) fn subscribes(&self, event_type: &str, source: Option<SourceId>) -> bool {
        (self.state != WebhookState::Disabled || self.probe_at.is_some())
            && self.source.is_none_or(|only| source == Some(only))
            && self.events.iter().any(|pattern| pattern.matches(event_type))
    }
}

impl Endpoint {
    /// The policy for events of this type.
    pub(crate) fn policy(&self, event_type: &str) -> &RetryPolicy {
        self.event_policies.get(event_type).unwrap_or(&self.policy)
    }

    /// Whether a delivery has outlived the time that it is worth sending.
    pub(crate) fn is_too_old(&self, delivery: DeliveryId, at: Timestamp) -> bool {
        self.options.expires_at(delivery.created_at()).is_some_and(|expires_at| expires_at <= at)
    }

    /// What it asks of its lane on each of `nodes` nodes. Together they never exceed its rate.
    pub(crate) fn rules(&self, nodes: u32) -> Rules {
        Rules {
            organization: self.organization,
            requests: self.options.max_in_flight.map(|most| most as usize),
            in_order: self.options.ordered,
            per_second: self.options.rate_limit_per_s.map(|rate| f64::from(rate) / f64::from(nodes.max(1))),
        }
    }
}

/// What one organization has.
#[derive(Default)]
pub(crate) struct Tenant {
    pub endpoints: Vec<Arc<Endpoint>>,
    pub event_types: HashSet<String>,
    pub sources: HashSet<SourceId>,
}

/// Everything, at one version.
#[derive(Default)]
pub(crate) struct Snapshot {
    version: i64,
    tenants: HashMap<OrganizationId, Tenant>,
    webhooks: HashMap<WebhookId, Arc<Endpoint>>,
}

impl Snapshot {
    pub(crate) fn tenant(&self, organization: OrganizationId) -> Option<&Tenant> {
        self.tenants.get(&organization)
    }

    pub(crate) fn endpoint(&self, webhook: WebhookId) -> Option<&Arc<Endpoint>> {
        self.webhooks.get(&webhook)
    }

    /// Every webhook.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.webhooks.values()
    }
}

/// The current snapshot, and how to get the next one.
pub(crate) struct Table {
    current: ArcSwap<Snapshot>,
    /// One refresh at a time: the later of two would otherwise be overtaken by the earlier.
    refreshing: tokio::sync::Mutex<()>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { current: ArcSwap::from_pointee(Snapshot::default()), refreshing: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Loads what is stored, unless it is already here. Answers whether there was something new.
    pub(crate) async fn refresh(
        &self,
        store: &Store,
        keyring: &Keyring,
        config: &EngineConfig,
        now: Timestamp,
    ) -> storage::Result<bool> {
        let _one_at_a_time = self.refreshing.lock().await;
        // Read before the rows: a change in between is loaded now and, harmlessly, once more later.
        let version = store.routing_version().await?;
        if version == self.current.load().version {
            return Ok(false);
        }
        let mut secrets: HashMap<WebhookId, Vec<SigningKey>> = HashMap::new();
        for row in store.live_secrets(now).await? {
            if let Some((webhook, key)) = signing_key(keyring, &row) {
                secrets.entry(webhook).or_default().push(key);
            }
        }
        let mut snapshot = Snapshot { version, ..Snapshot::default() };
        for row in store.routes().await? {
            let keys = secrets.remove(&row.webhook).unwrap_or_default();
            let (webhook, organization) = (row.webhook, row.organization);
            match endpoint(row, keys, keyring, config) {
                Ok(endpoint) => {
                    let endpoint = Arc::new(endpoint);
                    snapshot.tenants.entry(organization).or_default().endpoints.push(Arc::clone(&endpoint));
                    snapshot.webhooks.insert(webhook, endpoint);
                }
                Err(reason) => {
                    tracing::error!(webhook.id = %webhook, reason, "a stored webhook cannot be read; its deliveries wait");
                }
            }
        }
        for (organization, name) in store.custom_event_types().await? {
            snapshot.tenants.entry(organization).or_default().event_types.insert(name);
        }
        for (organization, source) in store.all_sources().await? {
            snapshot.tenants.entry(organization).or_default().sources.insert(source);
        }
        self.current.store(Arc::new(snapshot));
        Ok(true)
    }
}

fn signing_key(keyring: &Keyring, row: &SecretRow) -> Option<(WebhookId, SigningKey)> {
    let webhook = WebhookId::from_uuid(row.webhook_id);
    let key = keyring
        .open("webhook_secrets", "secret", row.id, &row.secret)
        .ok()
        .and_then(|secret| SigningKey::new(secret.expose(), row.expires_at.map(Timestamp::from_millis)));
    if key.is_none() {
        tracing::error!(webhook.id = %webhook, "a signing secret cannot be decrypted; it does not sign");
    }
    Some((webhook, key?))
}

fn endpoint(
    row: RouteRow,
    keys: Vec<SigningKey>,
    keyring: &Keyring,
    config: &EngineConfig,
) -> Result<Endpoint, &'static str> {
    if keys.is_empty() {
        return Err("it has no secret");
    }
    let url = Url::parse(&row.url).map_err(|_| "its URL is not valid")?;
    let inspector = inspector::address(config, &row.inspector_token);
    let inspector = inspector::receives(&inspector, &row.url, &url).then_some(config.listener);
    let mut headers = HeaderMap::new();
    if let Some(sealed) = &row.headers {
        let text = keyring
            .open("webhooks", "headers", row.webhook.uuid(), sealed)
            .map_err(|_| "its headers cannot be decrypted")?;
        let pairs: Vec<(String, String)> =
            serde_json::from_str(text.expose()).map_err(|_| "its headers are not JSON")?;
        for (name, value) in pairs {
            let name = HeaderName::try_from(name).map_err(|_| "a header name is not valid")?;
            headers.append(name, HeaderValue::try_from(value).map_err(|_| "a header value is not valid")?);
        }
    }
    let events: Vec<String> = serde_json::from_str(&row.events).map_err(|_| "its events are not JSON")?;
    Ok(Endpoint {
        webhook: row.webhook,
        organization: row.organization,
        name: row.name.into(),
        url,
        url_text: row.url.into(),
        events: events.iter().filter_map(|event| event.parse().ok()).collect(),
        source: row.source,
        filter: serde_json::from_str(&row.filter).map_err(|_| "its filter is not JSON")?,
        policy: serde_json::from_str(&row.retry_policy).map_err(|_| "its retry policy is not JSON")?,
        event_policies: serde_json::from_str(&row.event_policies).map_err(|_| "a retry policy is not JSON")?,
        options: serde_json::from_str(&row.options).map_err(|_| "its options are not JSON")?,
        probe_at: row.probe_at,
        probes: row.probes,
        state: row.state,
        headers,
        keys,
        inspector,
    })
}
