//! All that a node needs to know to route and send without asking again: every webhook with its secrets.

use domain::{OrganizationId, PublicId, SourceId, Timestamp, WebhookId, WebhookState};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Result, Store, StoreError, db::reading};

/// A webhook as the engine's routing table takes it. Structured values are JSON, secrets are encrypted.
#[derive(Debug, Clone)]
pub struct RouteRow {
    /// The webhook.
    pub webhook: WebhookId,
    /// The tenant.
    pub organization: OrganizationId,
    /// For people.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
    /// JSON list of patterns.
    pub events: String,
    /// Encrypted custom headers.
    pub headers: Option<Vec<u8>>,
    /// Only events of this source.
    pub source: Option<SourceId>,
    /// JSON of the payload filter.
    pub filter: String,
    /// JSON of the policy that applies: its own, or the organization's.
    pub retry_policy: String,
    /// JSON of its policies by event type.
    pub event_policies: String,
    /// JSON of its options.
    pub options: String,
    /// When its endpoint is probed, if it is disabled because it failed.
    pub probe_at: Option<Timestamp>,
    /// Probes made since it was disabled.
    pub probes: u32,
    /// Unguessable part of the Inspector's address.
    pub inspector_token: String,
    /// Whether events are delivered.
    pub state: WebhookState,
}

/// A secret that signs.
#[derive(Debug, Clone, FromRow)]
pub struct SecretRow {
    /// Also what it is bound to when it is encrypted.
    pub id: Uuid,
    /// The webhook.
    pub webhook_id: Uuid,
    /// Encrypted.
    pub secret: Vec<u8>,
    /// Milliseconds; `None` for the one that signs first.
    pub expires_at: Option<i64>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    name: String,
    url: String,
    events: String,
    headers: Option<Vec<u8>>,
    source_id: Option<Uuid>,
    filter: String,
    retry_policy: String,
    event_policies: String,
    options: String,
    probe_at: Option<i64>,
    probes: i64,
    inspector_token: String,
    state: String,
}

impl TryFrom<Row> for RouteRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            webhook: WebhookId::from_uuid(row.id),
            organization: OrganizationId::from_uuid(row.organization_id),
            name: row.name,
            url: row.url,
            events: row.events,
            headers: row.headers,
            source: row.source_id.map(SourceId::from_uuid),
            filter: row.filter,
            retry_policy: row.retry_policy,
            event_policies: row.event_policies,
            options: row.options,
            probe_at: row.probe_at.map(Timestamp::from_millis),
            probes: u32::try_from(row.probes).unwrap_or(u32::MAX),
            inspector_token: row.inspector_token,
            state: row.state.parse().map_err(|()| StoreError::corrupt("webhooks", "state", &row.state))?,
        })
    }
}

impl Store {
    /// Changes with every change of a webhook, a secret, a source or a retry policy.
    pub async fn routing_version(&self) -> Result<i64> {
        let version: String = reading!(self, db => sqlx::query_scalar("select value from meta where name = 'routing_version'").fetch_one(db).await)?;
        version.parse().map_err(|error| StoreError::corrupt("meta", "value", error))
    }

    /// Every webhook of every organization. Not scoped to one: it is the engine that asks, not a person.
    pub async fn routes(&self) -> Result<Vec<RouteRow>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select w.id, w.organization_id, w.name, w.url, w.events, w.headers, w.source_id, w.filter,
                    coalesce(w.retry_policy, o.retry_policy) as retry_policy, w.event_policies, w.options,
                    w.probe_at, w.probes, o.inspector_token, w.state
             from webhooks w join organizations o on o.id = w.organization_id order by w.id",
        ).fetch_all(db).await)?;
        rows.into_iter().map(RouteRow::try_from).collect()
    }

    /// The secrets of all webhooks that still sign at `now`, of each webhook the newest first.
    pub async fn live_secrets(&self, now: Timestamp) -> Result<Vec<SecretRow>> {
        Ok(reading!(self, db => sqlx::query_as(
            "select id, webhook_id, secret, expires_at from webhook_secrets
             where expires_at is null or expires_at > $1 order by webhook_id, created_at desc, id desc",
        ).bind(now.millis()).fetch_all(db).await)?)
    }
}

impl Store {
    /// The names of all event types that organizations defined.
    pub async fn custom_event_types(&self) -> Result<Vec<(OrganizationId, String)>> {
        let rows: Vec<(Uuid, String)> =
            reading!(self, db => sqlx::query_as("select organization_id, name from event_types").fetch_all(db).await)?;
        Ok(rows.into_iter().map(|(organization, name)| (OrganizationId::from_uuid(organization), name)).collect())
    }

    /// The sources of all organizations.
    pub async fn all_sources(&self) -> Result<Vec<(OrganizationId, SourceId)>> {
        let rows: Vec<(Uuid, Uuid)> =
            reading!(self, db => sqlx::query_as("select organization_id, id from sources").fetch_all(db).await)?;
        let typed = |(organization, id)| (OrganizationId::from_uuid(organization), SourceId::from_uuid(id));
        Ok(rows.into_iter().map(typed).collect())
    }
}
