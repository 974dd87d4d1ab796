//! Reading events. They are written by the hot verbs and never changed.

use domain::{
    EventId, OrganizationId, PublicId, SourceId,
    api::{Event, EventQuery, EventSummary, MOST_SEARCHED, Page},
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{Result, Store, StoreError, db::reading, keyset};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    source_id: Option<Uuid>,
    event_type: String,
    body_bytes: i64,
    deliveries: i64,
}

impl TryFrom<Row> for EventSummary {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: EventId::from_uuid(row.id),
            event: row.event_type,
            source_id: row.source_id.map(SourceId::from_uuid),
            created_at: EventId::from_uuid(row.id).created_at(),
            body_bytes: row.body_bytes,
            deliveries: row.deliveries,
        })
    }
}

/// The text of a body, which is JSON because only JSON is accepted.
pub(crate) fn text(body: Vec<u8>) -> Result<String> {
    String::from_utf8(body).map_err(|error| StoreError::corrupt("events", "body", error))
}

/// Adds the conditions of a query, but that on payloads.
macro_rules! push_conditions {
    ($sql:ident, $organization:expr, $query:expr, $before:expr) => {
        $sql.push_bind($organization.uuid()).push(" and id < ").push_bind(keyset::before($before));
        if let Some(event) = &$query.event {
            $sql.push(" and event_type = ").push_bind(event.clone());
        }
        if let Some(source) = $query.source_id {
            $sql.push(" and source_id = ").push_bind(source.uuid());
        }
        if let Some(id) = $query.id {
            $sql.push(" and id = ").push_bind(id.uuid());
        }
        if let Some(from) = $query.from {
            $sql.push(" and id >= ").push_bind(keyset::first_id(from));
        }
        if let Some(to) = $query.to {
            $sql.push(" and id < ").push_bind(keyset::first_id(to));
        }
    };
}

impl Store {
    /// Events, newest first. `limit` and `cursor` of the query are not read: they come checked, beside it.
    pub async fn events(
        &self,
        organization: OrganizationId,
        query: &EventQuery,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Page<EventSummary>> {
        let mut floor: Option<Uuid> = None;
        if query.text.is_some() {
            floor = reading!(self, db => {
                let mut sql = QueryBuilder::<Dialect>::new("select id from events where organization_id = ");
                push_conditions!(sql, organization, query, before);
                sql.push(" order by id desc limit 1 offset ").push_bind(i64::from(MOST_SEARCHED) - 1);
                sql.build_query_scalar().fetch_optional(db).await
            })?;
        }
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(
                "select id, source_id, event_type, cast(length(body) as bigint) as body_bytes, deliveries \
                 from events where organization_id = ",
            );
            push_conditions!(sql, organization, query, before);
            if let Some(text) = &query.text {
                if let Some(floor) = floor {
                    sql.push(" and id >= ").push_bind(floor);
                }
                sql.push(" and instr(body, ").push_bind(text.as_bytes()).push(") > 0");
            }
            sql.push(" order by id desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        let page = keyset::page(rows, limit, |event: &EventSummary| event.id.to_string())?;
        Ok(keyset::down_to(page, floor.map(EventId::from_uuid)))
    }

    /// One event with its body.
    pub async fn event(&self, organization: OrganizationId, id: EventId) -> Result<Option<Event>> {
        let row: Option<(Option<Uuid>, String, i64, Vec<u8>)> = reading!(self, db => sqlx::query_as(
            "select source_id, event_type, deliveries, body from events where organization_id = $1 and id = $2",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        let Some((source_id, event_type, deliveries, body)) = row else { return Ok(None) };
        let body_bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
        let summary = EventSummary::try_from(Row { id: id.uuid(), source_id, event_type, body_bytes, deliveries })?;
        Ok(Some(Event { summary, body: text(body)? }))
    }
}
