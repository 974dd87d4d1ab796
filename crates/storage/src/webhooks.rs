//! Webhooks. Their custom headers are encrypted and stay so in here: the keys are the engine's.

use domain::{
    OrganizationId, PublicId, SourceId, Timestamp, WebhookId, WebhookState,
    api::{Page, Webhook},
};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json, word},
    db::{reading, writing},
    keyset,
    stats::first_day,
    webhook_secrets::{NewSecret, insert_secret},
};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    url: String,
    description: String,
    events: String,
    header_names: String,
    source_id: Option<Uuid>,
    filter: String,
    retry_policy: Option<String>,
    event_policies: String,
    options: String,
    state: String,
    state_reason: Option<String>,
    probe_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
    last_attempt_at: Option<i64>,
    consecutive_failures: i64,
    delivered: i64,
    failed: i64,
}

impl TryFrom<Row> for Webhook {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        let header_names: Vec<String> = json("webhooks", "header_names", &row.header_names)?;
        Ok(Self {
            id: WebhookId::from_uuid(row.id),
            name: row.name,
            url: row.url,
            description: row.description,
            events: json("webhooks", "events", &row.events)?,
            headers: header_names.into_iter().map(|name| domain::CustomHeader { name, value: None }).collect(),
            source_id: row.source_id.map(SourceId::from_uuid),
            filter: json("webhooks", "filter", &row.filter)?,
            retry_policy: row.retry_policy.map(|text| json("webhooks", "retry_policy", &text)).transpose()?,
            event_policies: json("webhooks", "event_policies", &row.event_policies)?,
            options: json("webhooks", "options", &row.options)?,
            state: word("webhooks", "state", &row.state)?,
            state_reason: row.state_reason,
            consecutive_failures: row.consecutive_failures,
            next_probe_at: row.probe_at.map(Timestamp::from_millis),
            blocked_until: None,
            version: row.version,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            last_triggered_at: row.last_attempt_at.map(Timestamp::from_millis),
            delivered_30d: row.delivered,
            failed_30d: row.failed,
        })
    }
}

/// Bumps the routing version inside a `writing!` body: every node reads its routes again.
macro_rules! bump_routing {
    ($conn:expr) => {
        sqlx::query("update meta set value = cast(cast(value as bigint) + 1 as text) where name = 'routing_version'")
            .execute(&mut *$conn)
            .await?
    };
}
pub(crate) use bump_routing;

/// Ends the series of failures that would disable a webhook, inside a `writing!` body.
macro_rules! forget_failures {
    ($conn:expr, $webhook:expr) => {
        sqlx::query("update webhook_health set consecutive_failures = 0 where webhook_id = $1")
            .bind($webhook.uuid())
            .execute(&mut *$conn)
            .await?
    };
}

/// Webhooks with what is counted of them. `$1` is the organization, `$2` the first day that counts.
macro_rules! select_webhooks {
    (rates $rates:literal, $which:literal) => {
        concat!(
            "select w.id, w.name, w.url, w.description, w.events, w.header_names, w.source_id, w.filter, \
             w.retry_policy, w.event_policies, w.options, w.state, w.state_reason, w.probe_at, w.version, \
             w.created_at, w.updated_at, h.last_attempt_at, \
             coalesce(h.consecutive_failures, 0) as consecutive_failures, \
             coalesce(r.delivered, 0) as delivered, coalesce(r.failed, 0) as failed \
             from webhooks w left join webhook_health h on h.webhook_id = w.id \
             left join (select webhook_id, cast(sum(delivered) as bigint) as delivered, \
             cast(sum(failed) as bigint) as failed from rollups \
             where organization_id = $1 and grain_minutes = 1440 and bucket >= $2",
            $rates,
            " group by webhook_id) r on r.webhook_id = w.id where w.organization_id = $1",
            $which
        )
    };
}

impl Store {
    /// The webhooks of an organization, newest first.
    pub async fn webhooks(
        &self,
        organization: OrganizationId,
        before: Option<WebhookId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Page<Webhook>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            select_webhooks!(rates "", " and w.id < $3 order by w.id desc limit $4"),
        )
        .bind(organization.uuid())
        .bind(first_day(now))
        .bind(keyset::before(before))
        .bind(keyset::one_more(limit))
        .fetch_all(db)
        .await)?;
        let mut page = keyset::page(rows, limit, |webhook: &Webhook| webhook.id.to_string())?;
        self.add_blocked(organization, &mut page.data).await?;
        Ok(page)
    }

    /// One webhook.
    pub async fn webhook(
        &self,
        organization: OrganizationId,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            select_webhooks!(rates " and webhook_id = $3", " and w.id = $3"),
        )
        .bind(organization.uuid())
        .bind(first_day(now))
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        let Some(row) = row else { return Ok(None) };
        let mut found = [row.try_into()?];
        self.add_blocked(organization, &mut found).await?;
        let [webhook] = found;
        Ok(Some(webhook))
    }

    /// The encrypted custom headers of a webhook; the outer `None` when there is no such webhook.
    pub async fn webhook_headers(
        &self,
        organization: OrganizationId,
        id: WebhookId,
    ) -> Result<Option<Option<Vec<u8>>>> {
        let row: Option<(Option<Vec<u8>>,)> = reading!(self, db => sqlx::query_as(
            "select headers from webhooks where organization_id = $1 and id = $2",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        Ok(row.map(|(headers,)| headers))
    }

    /// Stores a webhook with its first secret. A name that is taken is `Conflict("webhooks_name")`. `headers` are
    /// encrypted; of `webhook.headers` only the names are stored, and what is counted is not read.
    pub async fn create_webhook(
        &self,
        organization: OrganizationId,
        webhook: Webhook,
        headers: Option<Vec<u8>>,
        secret: NewSecret,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into webhooks (id, organization_id, name, url, description, events, header_names, headers, \
                 source_id, filter, retry_policy, state, state_reason, version, created_at, updated_at, \
                 event_policies, options, probes) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0)",
            )
            .bind(webhook.id.uuid())
            .bind(organization.uuid())
            .bind(&webhook.name)
            .bind(&webhook.url)
            .bind(&webhook.description)
            .bind(to_json(&webhook.events))
            .bind(header_names(&webhook))
            .bind(headers)
            .bind(webhook.source_id.map(PublicId::uuid))
            .bind(to_json(&webhook.filter))
            .bind(webhook.retry_policy.as_ref().map(to_json))
            .bind(webhook.state.as_str())
            .bind(&webhook.state_reason)
            .bind(webhook.version)
            .bind(webhook.created_at.millis())
            .bind(webhook.updated_at.millis())
            .bind(to_json(&webhook.event_policies))
            .bind(to_json(&webhook.options))
            .execute(&mut *conn)
            .await?;
            insert_secret!(conn, organization, webhook.id, secret);
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(())
        })
    }

    /// Changes all that [`Self::create_webhook`] stores, and counts `version` up. `webhook.version` is the one that was
    /// read: when it is not the stored one any more, the change is refused as `Stale`. `false` when there is no such
    /// webhook.
    pub async fn update_webhook(
        &self,
        organization: OrganizationId,
        webhook: Webhook,
        headers: Option<Vec<u8>>,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let updated = sqlx::query(
                "update webhooks set name = $4, url = $5, description = $6, events = $7, header_names = $8, \
                 headers = $9, source_id = $10, filter = $11, retry_policy = $12, state = $13, state_reason = $14, \
                 event_policies = $16, options = $17, \
                 probe_at = case when state = $13 then probe_at end, \
                 probes = case when state = $13 then probes else 0 end, \
                 version = version + 1, updated_at = $15 where organization_id = $1 and id = $2 and version = $3",
            )
            .bind(organization.uuid())
            .bind(webhook.id.uuid())
            .bind(webhook.version)
            .bind(&webhook.name)
            .bind(&webhook.url)
            .bind(&webhook.description)
            .bind(to_json(&webhook.events))
            .bind(header_names(&webhook))
            .bind(headers)
            .bind(webhook.source_id.map(PublicId::uuid))
            .bind(to_json(&webhook.filter))
            .bind(webhook.retry_policy.as_ref().map(to_json))
            .bind(webhook.state.as_str())
            .bind(&webhook.state_reason)
            .bind(webhook.updated_at.millis())
            .bind(to_json(&webhook.event_policies))
            .bind(to_json(&webhook.options))
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if updated == 0 {
                let found: Option<(i64,)> =
                    sqlx::query_as("select version from webhooks where organization_id = $1 and id = $2")
                        .bind(organization.uuid())
                        .bind(webhook.id.uuid())
                        .fetch_optional(&mut *conn)
                        .await?;
                return if found.is_some() { Err(StoreError::Stale) } else { Ok(false) };
            }
            if webhook.state == WebhookState::Active {
                forget_failures!(conn, webhook.id);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(true)
        })
    }

    /// Sets the state, with the reason when it was not a person who did it. Activating forgets the series of failures.
    /// `false` when there is no such webhook.
    pub async fn set_webhook_state(
        &self,
        organization: OrganizationId,
        id: WebhookId,
        state: WebhookState,
        reason: Option<String>,
        at: Timestamp,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let updated = sqlx::query(
                "update webhooks set state = $3, state_reason = $4, probe_at = null, probes = 0, \
                 version = version + 1, updated_at = $5 where organization_id = $1 and id = $2",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(state.as_str())
            .bind(reason)
            .bind(at.millis())
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if updated == 0 {
                return Ok(false);
            }
            if state == WebhookState::Active {
                forget_failures!(conn, id);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(true)
        })
    }

    /// Notes of those that want their deliveries in order until when the first one waits for its retry.
    async fn add_blocked(&self, organization: OrganizationId, webhooks: &mut [Webhook]) -> Result<()> {
        let ordered: Vec<Uuid> =
            webhooks.iter().filter(|webhook| webhook.options.ordered).map(|webhook| webhook.id.uuid()).collect();
        if ordered.is_empty() {
            return Ok(());
        }
        let heads: Vec<(Uuid, Option<i64>)> = reading!(self, db => {
            let mut sql = sqlx::QueryBuilder::<Dialect>::new(
                "select w.id, (select case when d.state = 'retrying' and q.node_id is null then q.due_at end \
                 from queue q join deliveries d on d.id = q.delivery_id \
                 where q.webhook_id = w.id order by q.delivery_id limit 1) from webhooks w where w.organization_id = ",
            );
            sql.push_bind(organization.uuid()).push(" and w.id in (");
            let mut ids = sql.separated(", ");
            for id in &ordered {
                ids.push_bind(*id);
            }
            ids.push_unseparated(")");
            sql.build_query_as().fetch_all(db).await
        })?;
        for (id, blocked_until) in heads {
            if let Some(webhook) = webhooks.iter_mut().find(|webhook| webhook.id.uuid() == id) {
                webhook.blocked_until = blocked_until.map(Timestamp::from_millis);
            }
        }
        Ok(())
    }

    /// Disables a webhook whose endpoint failed too often, if it is still active and its series of failures has not ended;
    /// at `probe_at` one held delivery is tried. Answers whether it did.
    pub async fn disable_failing_webhook(
        &self,
        organization: OrganizationId,
        id: WebhookId,
        failures: u32,
        reason: String,
        probe_at: Timestamp,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let disabled = sqlx::query(
                "update webhooks set state = 'disabled', state_reason = $4, probe_at = $5, probes = 0, \
                 version = version + 1, updated_at = $6 where organization_id = $1 and id = $2 and state = 'active' \
                 and exists (select 1 from webhook_health where webhook_id = $2 and consecutive_failures >= $3)",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(i64::from(failures))
            .bind(reason)
            .bind(probe_at.millis())
            .bind(audit.at.millis())
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if disabled == 0 {
                return Ok(false);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(true)
        })
    }

    /// Takes the right to make the probe that was due at `due_at`, and says when the next one is due. `false` when another
    /// node was faster or the webhook is not disabled by its failures any more.
    pub async fn begin_probe(
        &self,
        organization: OrganizationId,
        id: WebhookId,
        due_at: Timestamp,
        next_at: Timestamp,
    ) -> Result<bool> {
        writing!(self, conn => {
            let begun = sqlx::query(
                "update webhooks set probe_at = $4, probes = probes + 1 \
                 where organization_id = $1 and id = $2 and state = 'disabled' and probe_at = $3",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(due_at.millis())
            .bind(next_at.millis())
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if begun > 0 {
                bump_routing!(conn);
            }
            Ok(begun > 0)
        })
    }

    /// Makes the next probe of a webhook due at `now`, if it is disabled by its failures and was not due yet.
    pub async fn hasten_probe(&self, organization: OrganizationId, id: WebhookId, now: Timestamp) -> Result<()> {
        writing!(self, conn => {
            let hastened = sqlx::query(
                "update webhooks set probe_at = $3 where organization_id = $1 and id = $2 and state = 'disabled' \
                 and probe_at > $3",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(now.millis())
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if hastened > 0 {
                bump_routing!(conn);
            }
            Ok(())
        })
    }

    /// Enables a webhook that was disabled by its failures, because its endpoint answered again. `false` when it is not
    /// disabled for that reason.
    pub async fn enable_recovered_webhook(
        &self,
        organization: OrganizationId,
        id: WebhookId,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let enabled = sqlx::query(
                "update webhooks set state = 'active', state_reason = null, probe_at = null, probes = 0, \
                 version = version + 1, updated_at = $3 \
                 where organization_id = $1 and id = $2 and state = 'disabled' and probe_at is not null",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(audit.at.millis())
            .execute(&mut *conn)
            .await?
            .rows_affected();
            if enabled == 0 {
                return Ok(false);
            }
            forget_failures!(conn, id);
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(true)
        })
    }

    /// Deletes a webhook with its secrets. Its history stays. What waits to be sent and its dead letters are left to the
    /// nodes, which discard in batches what has no webhook any more. `false` when there is none.
    pub async fn delete_webhook(&self, organization: OrganizationId, id: WebhookId, audit: NewAudit) -> Result<bool> {
        writing!(self, conn => {
            let deleted = sqlx::query("delete from webhooks where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?
                .rows_affected();
            if deleted == 0 {
                return Ok(false);
            }
            audit::append(&mut *conn, organization, &audit).await?;
            bump_routing!(conn);
            Ok(true)
        })
    }
}

fn header_names(webhook: &Webhook) -> String {
    to_json(&webhook.headers.iter().map(|header| &header.name).collect::<Vec<_>>())
}
