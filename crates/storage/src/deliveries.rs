//! Reading deliveries and their attempts. They are written by the hot verbs.
//!
//! Two states are never stored but made when read: a delivery that still has to be sent is `sending` while its queue row
//! is leased, and `held` while its webhook is not active.

use std::collections::BTreeMap;

use domain::{
    DeliveryId, EventId, OrganizationId, PublicId, Timestamp, WebhookId, WebhookState,
    api::{Attempt, CodeClass, Delivery, DeliveryDetail, DeliveryQuery, FailureGroup, Failures, MOST_SEARCHED, Page},
    delivery::DeliveryState,
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    Result, Store, StoreError,
    columns::{json, status, word},
    db::reading,
    events::text,
    keyset,
};

/// What a delivery is called whose webhook was deleted.
pub(crate) const DELETED_WEBHOOK: &str = "(deleted webhook)";

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: Uuid,
    event_id: Uuid,
    event_type: String,
    webhook_id: Uuid,
    webhook_name: Option<String>,
    webhook_state: Option<String>,
    kind: String,
    state: String,
    leased_by: Option<Uuid>,
    due_at: Option<i64>,
    attempts: i64,
    finished_at: Option<i64>,
    response_status: Option<i64>,
    error: Option<String>,
    duration_ms: Option<i64>,
    replay_of: Option<Uuid>,
}

impl Row {
    fn state(&self) -> Result<DeliveryState> {
        let stored = word("deliveries", "state", &self.state)?;
        if !matches!(stored, DeliveryState::Pending | DeliveryState::Retrying) {
            return Ok(stored);
        }
        if self.leased_by.is_some() {
            return Ok(DeliveryState::Sending);
        }
        let webhook = self.webhook_state.as_deref().map(|state| word("webhooks", "state", state)).transpose()?;
        Ok(if webhook.is_some_and(|state: WebhookState| state != WebhookState::Active) {
            DeliveryState::Held
        } else {
            stored
        })
    }
}

impl TryFrom<Row> for Delivery {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.id),
            event_id: EventId::from_uuid(row.event_id),
            webhook_id: WebhookId::from_uuid(row.webhook_id),
            status: row.state()?,
            kind: word("deliveries", "kind", &row.kind)?,
            attempts: row.attempts,
            created_at: DeliveryId::from_uuid(row.id).created_at(),
            next_attempt_at: row.due_at.filter(|_| row.leased_by.is_none()).map(Timestamp::from_millis),
            finished_at: row.finished_at.map(Timestamp::from_millis),
            response_status: status("deliveries", row.response_status)?,
            error: row.error.map(|error| word("deliveries", "error", &error)).transpose()?,
            duration_ms: row.duration_ms,
            replay_of: row.replay_of.map(DeliveryId::from_uuid),
            event: row.event_type,
            webhook_name: row.webhook_name.unwrap_or_else(|| DELETED_WEBHOOK.to_owned()),
        })
    }
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    number: i64,
    started_at: i64,
    duration_ms: i64,
    timing: String,
    url: String,
    request_headers: String,
    response_status: Option<i64>,
    response_headers: String,
    response_body: Vec<u8>,
    response_truncated: bool,
    error: Option<String>,
    error_detail: Option<String>,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;
    fn try_from(row: AttemptRow) -> Result<Self> {
        Ok(Self {
            number: row.number,
            started_at: Timestamp::from_millis(row.started_at),
            duration_ms: row.duration_ms,
            timing: json("attempts", "timing", &row.timing)?,
            url: row.url,
            request_headers: json("attempts", "request_headers", &row.request_headers)?,
            response_status: status("attempts", row.response_status)?,
            response_headers: json("attempts", "response_headers", &row.response_headers)?,
            response_body: String::from_utf8_lossy(&row.response_body).into_owned(),
            response_truncated: row.response_truncated,
            error: row.error.map(|error| word("attempts", "error", &error)).transpose()?,
            error_detail: row.error_detail,
        })
    }
}

/// Where the rows of a status are found. What is live or dead is few among many that have ended, so it is looked for in
/// the small table that holds only such rows; `cross join` keeps SQLite from turning the join around, and is a plain
/// join to PostgreSQL.
pub(crate) const fn origin(status: Option<DeliveryState>) -> &'static str {
    match status {
        Some(DeliveryState::Pending | DeliveryState::Retrying | DeliveryState::Sending | DeliveryState::Held) => {
            "queue q cross join deliveries d left join webhooks w on w.id = d.webhook_id \
             where d.id = q.delivery_id and q.organization_id = "
        }
        Some(DeliveryState::DeadLetter) => {
            "dead_letters l cross join deliveries d left join webhooks w on w.id = d.webhook_id \
             left join queue q on q.delivery_id = d.id where d.id = l.delivery_id and l.organization_id = "
        }
        Some(DeliveryState::Delivered | DeliveryState::Failed | DeliveryState::Discarded) | None => {
            "deliveries d left join webhooks w on w.id = d.webhook_id left join queue q on q.delivery_id = d.id \
             where d.organization_id = "
        }
    }
}

/// What holds for rows of a status, beside where they are found.
const fn condition(status: Option<DeliveryState>) -> &'static str {
    match status {
        None | Some(DeliveryState::DeadLetter) => "",
        Some(DeliveryState::Pending) => {
            " and d.state = 'pending' and q.node_id is null and coalesce(w.state, 'active') = 'active'"
        }
        Some(DeliveryState::Retrying) => {
            " and d.state = 'retrying' and q.node_id is null and coalesce(w.state, 'active') = 'active'"
        }
        Some(DeliveryState::Sending) => " and q.node_id is not null",
        Some(DeliveryState::Held) => " and q.node_id is null and w.state <> 'active'",
        Some(DeliveryState::Delivered) => " and d.state = 'delivered'",
        Some(DeliveryState::Failed) => " and d.state = 'failed'",
        Some(DeliveryState::Discarded) => " and d.state = 'discarded'",
    }
}

/// The id by which rows are ordered: that of the table they are looked for in.
const fn ordering(status: Option<DeliveryState>) -> &'static str {
    match status {
        Some(DeliveryState::Pending | DeliveryState::Retrying | DeliveryState::Sending | DeliveryState::Held) => {
            "q.delivery_id"
        }
        Some(DeliveryState::DeadLetter) => "l.delivery_id",
        Some(DeliveryState::Delivered | DeliveryState::Failed | DeliveryState::Discarded) | None => "d.id",
    }
}

/// What a [`Row`] is made of.
pub(crate) const COLUMNS: &str = "select d.id, d.event_id, d.event_type, d.webhook_id, w.name as webhook_name, \
    w.state as webhook_state, d.kind, d.state, q.node_id as leased_by, q.due_at, d.attempts, d.finished_at, \
    d.response_status, d.error, d.duration_ms, d.replay_of";

/// Adds where the rows of a query are found, those before `$before` in the order of `$id`, and all its conditions but that on
/// payloads.
macro_rules! push_rows {
    ($sql:ident, $organization:expr, $query:expr, $before:expr, $id:expr) => {
        $sql.push(" from ").push(origin($query.status)).push_bind($organization.uuid());
        $sql.push(" and ").push($id).push(" < ").push_bind(keyset::before::<DeliveryId>($before));
        $sql.push(condition($query.status));
        if let Some(webhook) = $query.webhook_id {
            $sql.push(" and d.webhook_id = ").push_bind(webhook.uuid());
        }
        if let Some(event) = $query.event_id {
            $sql.push(" and d.event_id = ").push_bind(event.uuid());
        }
        if let Some(event) = &$query.event {
            $sql.push(" and d.event_type = ").push_bind(event.clone());
        }
        if let Some(id) = $query.id {
            $sql.push(" and ").push($id).push(" = ").push_bind(id.uuid());
        }
        if let Some(source) = $query.source_id {
            $sql.push(" and exists (select 1 from events e where e.id = d.event_id and e.organization_id = ")
                .push_bind($organization.uuid())
                .push(" and e.source_id = ")
                .push_bind(source.uuid())
                .push(")");
        }
        match $query.code.map(CodeClass::first) {
            Some(Some(first)) => {
                $sql.push(" and d.response_status >= ").push_bind(i64::from(first));
                $sql.push(" and d.response_status < ").push_bind(i64::from(first) + 100);
            }
            Some(None) => {
                $sql.push(" and d.response_status is null");
            }
            None => {}
        }
        // Whoever looks for failures finds them in an index that holds nothing else.
        if only_failures($query) {
            $sql.push(" and d.error is not null");
        }
        if let Some(error) = $query.error {
            $sql.push(" and d.error = ").push_bind(error.as_str());
        }
        if let Some(from) = $query.from {
            $sql.push(" and ").push($id).push(" >= ").push_bind(keyset::first_id(from));
        }
        if let Some(to) = $query.to {
            $sql.push(" and ").push($id).push(" < ").push_bind(keyset::first_id(to));
        }
    };
}

/// Lets only those through whose event's payload holds a text, and bounds how many are looked at: those from `floor` on, if
/// there are more below it.
macro_rules! push_search {
    ($sql:ident, $organization:expr, $text:expr, $id:expr, $floor:expr) => {
        if let Some(text) = $text {
            if let Some(floor) = $floor {
                $sql.push(" and ").push($id).push(" >= ").push_bind(floor);
            }
            $sql.push(" and exists (select 1 from events e where e.id = d.event_id and e.organization_id = ")
                .push_bind($organization.uuid())
                .push(" and instr(e.body, ")
                .push_bind(text.as_bytes())
                .push(") > 0)");
        }
    };
}

/// Whether a query lets nothing through but deliveries whose last try failed.
fn only_failures(query: &DeliveryQuery) -> bool {
    query.error.is_some()
        || query.status == Some(DeliveryState::Failed)
        || query.code.is_some_and(|code| code != CodeClass::Success)
}

impl Store {
    /// Deliveries, newest first. `limit` and `cursor` of the query are not read: they come checked, beside it.
    pub async fn deliveries(
        &self,
        organization: OrganizationId,
        query: &DeliveryQuery,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Page<Delivery>> {
        let id = ordering(query.status);
        let floor = self.search_floor(organization, query, before).await?;
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            push_rows!(sql, organization, query, before, id);
            push_search!(sql, organization, query.text.as_deref(), id, floor);
            sql.push(" order by ").push(id).push(" desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        let page = keyset::page(rows, limit, |delivery: &Delivery| delivery.id.to_string())?;
        Ok(keyset::down_to(page, floor.map(DeliveryId::from_uuid)))
    }

    /// The last one whose payload is searched, if there may be more behind it.
    async fn search_floor(
        &self,
        organization: OrganizationId,
        query: &DeliveryQuery,
        before: Option<DeliveryId>,
    ) -> Result<Option<Uuid>> {
        if query.text.is_none() {
            return Ok(None);
        }
        let id = ordering(query.status);
        Ok(reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new("select ");
            sql.push(id);
            push_rows!(sql, organization, query, before, id);
            sql.push(" order by ").push(id).push(" desc limit 1 offset ").push_bind(i64::from(MOST_SEARCHED) - 1);
            sql.build_query_scalar().fetch_optional(db).await
        })?)
    }

    /// Deliveries whose last try failed, by webhook and reason: the newest `limit` of those that the query asks for.
    pub async fn failures(&self, organization: OrganizationId, query: &DeliveryQuery, limit: u32) -> Result<Failures> {
        let id = ordering(query.status);
        let floor = self.search_floor(organization, query, None).await?;
        let mut rows: Vec<(Uuid, Uuid, Option<String>, String)> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new("select d.id, d.webhook_id, w.name, d.error");
            push_rows!(sql, organization, query, None, id);
            sql.push(" and d.error is not null");
            push_search!(sql, organization, query.text.as_deref(), id, floor);
            sql.push(" order by ").push(id).push(" desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        let more = rows.len() > limit as usize || floor.is_some();
        rows.truncate(limit as usize);
        let mut groups: BTreeMap<(Uuid, String), FailureGroup> = BTreeMap::new();
        for (id, webhook, name, error) in rows {
            let at = DeliveryId::from_uuid(id).created_at();
            let class = word("deliveries", "error", &error)?;
            let group = groups.entry((webhook, error)).or_insert_with(|| FailureGroup {
                webhook_id: WebhookId::from_uuid(webhook),
                webhook_name: name.unwrap_or_else(|| DELETED_WEBHOOK.to_owned()),
                error: class,
                deliveries: 0,
                first_at: at,
                last_at: at,
            });
            group.deliveries += 1;
            group.first_at = at;
        }
        let mut data: Vec<FailureGroup> = groups.into_values().collect();
        data.sort_by_key(|group| std::cmp::Reverse(group.deliveries));
        Ok(Failures { data, more })
    }

    /// One delivery.
    pub async fn delivery(&self, organization: OrganizationId, id: DeliveryId) -> Result<Option<Delivery>> {
        let row: Option<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            sql.push(" from ").push(origin(None)).push_bind(organization.uuid()).push(" and d.id = ").push_bind(id.uuid());
            sql.build_query_as().fetch_optional(db).await
        })?;
        row.map(TryInto::try_into).transpose()
    }

    /// One delivery with what is sent and all tries.
    pub async fn delivery_detail(
        &self,
        organization: OrganizationId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryDetail>> {
        let Some(delivery) = self.delivery(organization, id).await? else { return Ok(None) };
        let body = self.event_body(organization, delivery.event_id).await?;
        let rows: Vec<AttemptRow> = reading!(self, db => sqlx::query_as(
            "select number, started_at, duration_ms, timing, url, request_headers, response_status, \
             response_headers, response_body, response_truncated, error, error_detail from attempts \
             where organization_id = $1 and delivery_id = $2 order by number",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_all(db)
        .await)?;
        let request_body = body.map(|body| text(body.into())).transpose()?;
        Ok(Some(DeliveryDetail { delivery, request_body, attempts_made: keyset::all(rows)? }))
    }
}
