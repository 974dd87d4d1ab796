//! Integrations. Their secrets are encrypted and stay so in here: the keys are the engine's. Long because of
//! the columns: an integration has many, and they are named where they are read and where they are written.

use domain::{
    IntegrationId, IntegrationState, IntegrationStatus, OrganizationId, PublicId, Timestamp,
    api::{Integration, IntegrationLine, IntegrationSummary, RunbookDraft},
    health::{Health, Pulse},
};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{WHOLE_LIST, json, to_json, word},
    db::{reading, writing},
};

const TABLE: &str = "integrations";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    kind: String,
    provider: String,
    name: String,
    config: String,
    secret_marks: String,
    secrets: Option<Vec<u8>>,
    state: String,
    depends_on: Option<Uuid>,
    maintenance_until: Option<i64>,
    runbook: String,
    status_note: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
    health: String,
    health_since: i64,
    bad: i64,
    good: i64,
    slow: i64,
    last_checked_at: Option<i64>,
    last_good_at: Option<i64>,
    last_latency_ms: Option<i64>,
    last_error: Option<String>,
    last_fault: Option<String>,
    next_check_at: Option<i64>,
    check_interval_s: i64,
}

#[derive(sqlx::FromRow)]
struct Line {
    id: Uuid,
    kind: String,
    provider: String,
    name: String,
    state: String,
    maintenance_until: Option<i64>,
    health: String,
    last_checked_at: Option<i64>,
    last_error: Option<String>,
}

impl Line {
    fn typed(self, now: Timestamp) -> Result<IntegrationLine> {
        let is_maintained = self.maintenance_until.is_some_and(|until| Timestamp::from_millis(until) > now);
        let state = word(TABLE, "state", &self.state)?;
        let (status, health) = shown(state, is_maintained, word("integration_health", "health", &self.health)?);
        Ok(IntegrationLine {
            id: IntegrationId::from_uuid(self.id),
            kind: word(TABLE, "kind", &self.kind)?,
            provider: self.provider,
            name: self.name,
            status,
            health,
            last_checked_at: self.last_checked_at.map(Timestamp::from_millis),
            last_error: self.last_error,
        })
    }
}

/// Secrets of an integration as they are stored; `None`: it has none.
pub type SealedSecrets = Option<Vec<u8>>;

/// An integration with what workers need beside it.
#[derive(Debug, Clone)]
pub struct IntegrationRow {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The integration.
    pub integration: Integration,
    /// Its secrets.
    pub secrets: SealedSecrets,
}

/// A pulse as it is stored.
pub(crate) fn pulse(health: &str, since: i64, counts: [i64; 3]) -> Result<Pulse> {
    let [bad, good, slow] = counts.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let health = word("integration_health", "health", health)?;
    Ok(Pulse { health, since: Timestamp::from_millis(since), bad, good, slow })
}

/// How an integration is shown, after what people said of it: switched off and maintenance come before what checks found.
fn shown(state: IntegrationState, in_maintenance: bool, found: Health) -> (IntegrationStatus, Health) {
    match state {
        IntegrationState::Disabled => (IntegrationStatus::Disabled, Health::Unknown),
        IntegrationState::Active if in_maintenance => (IntegrationStatus::Active, Health::Maintenance),
        IntegrationState::Active if found == Health::Down => (IntegrationStatus::Error, Health::Down),
        IntegrationState::Active => (IntegrationStatus::Active, found),
    }
}

impl Row {
    fn typed(self, now: Timestamp) -> Result<IntegrationRow> {
        let pulse = pulse(&self.health, self.health_since, [self.bad, self.good, self.slow])?;
        let state = word(TABLE, "state", &self.state)?;
        let maintenance_until = self.maintenance_until.map(Timestamp::from_millis).filter(|until| *until > now);
        let (status, health) = shown(state, maintenance_until.is_some(), pulse.health);
        let integration = Integration {
            id: IntegrationId::from_uuid(self.id),
            kind: word(TABLE, "kind", &self.kind)?,
            provider: self.provider,
            name: self.name,
            config: json(TABLE, "config", &self.config)?,
            secrets: json(TABLE, "secret_marks", &self.secret_marks)?,
            state,
            status,
            health,
            health_since: pulse.since,
            pulse,
            last_checked_at: self.last_checked_at.map(Timestamp::from_millis),
            last_good_at: self.last_good_at.map(Timestamp::from_millis),
            last_latency_ms: self.last_latency_ms,
            last_error: self.last_error,
            last_fault: self.last_fault.map(|text| word("integration_health", "last_fault", &text)).transpose()?,
            next_check_at: self.next_check_at.map(Timestamp::from_millis),
            check_interval_s: u32::try_from(self.check_interval_s)
                .map_err(|error| StoreError::corrupt("integration_health", "check_interval_s", error))?,
            depends_on: self.depends_on.map(IntegrationId::from_uuid),
            maintenance_until,
            runbook: json(TABLE, "runbook", &self.runbook)?,
            status_note: self.status_note,
            version: self.version,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        };
        Ok(IntegrationRow {
            organization: OrganizationId::from_uuid(self.organization_id),
            integration,
            secrets: self.secrets,
        })
    }
}

/// Integrations with what is known of their health; the condition follows.
macro_rules! select_integrations {
    ($which:literal) => {
        concat!(
            "select i.id, i.organization_id, i.kind, i.provider, i.name, i.config, i.secret_marks, i.secrets, i.state, \
             i.depends_on, i.maintenance_until, i.runbook, i.status_note, i.version, i.created_at, i.updated_at, \
             h.health, h.health_since, h.bad, h.good, h.slow, h.last_checked_at, h.last_good_at, h.last_latency_ms, \
             h.last_error, h.last_fault, h.next_check_at, h.check_interval_s \
             from integrations i join integration_health h on h.integration_id = i.id ",
            $which
        )
    };
}

impl Store {
    /// All integrations of an organization by name; at most 1,000.
    pub async fn integrations(&self, organization: OrganizationId, now: Timestamp) -> Result<Vec<Integration>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            select_integrations!("where i.organization_id = $1 order by i.name, i.id limit $2"),
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        rows.into_iter().map(|row| Ok(row.typed(now)?.integration)).collect()
    }

    /// What a list says of all integrations of an organization, by name; at most 1,000.
    pub async fn integration_lines(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<Vec<IntegrationLine>> {
        let rows: Vec<Line> = reading!(self, db => sqlx::query_as(
            "select i.id, i.kind, i.provider, i.name, i.state, i.maintenance_until, h.health, h.last_checked_at, \
             h.last_error from integrations i join integration_health h on h.integration_id = i.id \
             where i.organization_id = $1 order by i.name, i.id limit $2",
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        rows.into_iter().map(|row| row.typed(now)).collect()
    }

    /// One integration, with its secrets.
    pub async fn integration(
        &self,
        organization: OrganizationId,
        id: IntegrationId,
        now: Timestamp,
    ) -> Result<Option<IntegrationRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            select_integrations!("where i.organization_id = $1 and i.id = $2"),
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await)?;
        row.map(|row| row.typed(now)).transpose()
    }

    /// How many integrations there are in each status.
    pub async fn integration_summary(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<IntegrationSummary> {
        let rows: Vec<(bool, bool, i64)> = reading!(self, db => sqlx::query_as(
            "select i.state = 'disabled', h.health = 'down' and coalesce(i.maintenance_until, 0) <= $2, count(*) \
             from integrations i join integration_health h on h.integration_id = i.id \
             where i.organization_id = $1 group by 1, 2",
        )
        .bind(organization.uuid())
        .bind(now.millis())
        .fetch_all(db)
        .await)?;
        let count = |wanted: fn(bool, bool) -> bool| {
            rows.iter().filter(|(disabled, down, _)| wanted(*disabled, *down)).map(|row| row.2).sum()
        };
        Ok(IntegrationSummary::of(
            count(|disabled, down| !disabled && !down),
            count(|disabled, down| !disabled && down),
            count(|disabled, _| disabled),
        ))
    }

    /// Stores an integration. A name that is taken is `Conflict("integrations_name")`. Of what is known of its health only
    /// when it is checked first is stored.
    pub async fn create_integration(
        &self,
        organization: OrganizationId,
        integration: Integration,
        secrets: SealedSecrets,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into integrations (id, organization_id, kind, provider, name, config, secret_marks, secrets, \
                 state, depends_on, runbook, status_note, version, created_at, updated_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            )
            .bind(integration.id.uuid())
            .bind(organization.uuid())
            .bind(integration.kind.as_str())
            .bind(&integration.provider)
            .bind(&integration.name)
            .bind(to_json(&integration.config))
            .bind(to_json(&integration.secrets))
            .bind(secrets)
            .bind(integration.state.as_str())
            .bind(integration.depends_on.map(PublicId::uuid))
            .bind(to_json(&integration.runbook))
            .bind(&integration.status_note)
            .bind(integration.version)
            .bind(integration.created_at.millis())
            .bind(integration.updated_at.millis())
            .execute(&mut *conn)
            .await?;
            sqlx::query(
                "insert into integration_health (integration_id, organization_id, health, health_since, bad, good, \
                 slow, next_check_at, check_interval_s) values ($1, $2, 'unknown', $3, 0, 0, 0, $4, $5)",
            )
            .bind(integration.id.uuid())
            .bind(organization.uuid())
            .bind(integration.created_at.millis())
            .bind(integration.next_check_at.map(Timestamp::millis))
            .bind(i64::from(integration.check_interval_s))
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// Changes an integration that still has the version before; `Stale` when somebody was faster, `false` when it is gone.
    /// Its secrets stay when `secrets` is `None`.
    pub async fn update_integration(
        &self,
        organization: OrganizationId,
        integration: Integration,
        secrets: Option<SealedSecrets>,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let version: Option<i64> = sqlx::query_scalar(
                "update integrations set version = version + 1 where organization_id = $1 and id = $2 returning version",
            )
            .bind(organization.uuid())
            .bind(integration.id.uuid())
            .fetch_optional(&mut *conn)
            .await?;
            match version {
                None => return Ok(false),
                Some(version) if version != integration.version + 1 => return Err(StoreError::Stale),
                Some(_) => {}
            }
            sqlx::query(
                "update integrations set name = $3, config = $4, secret_marks = $5, state = $6, depends_on = $7, \
                 maintenance_until = $8, updated_at = $9 where organization_id = $1 and id = $2",
            )
            .bind(organization.uuid())
            .bind(integration.id.uuid())
            .bind(&integration.name)
            .bind(to_json(&integration.config))
            .bind(to_json(&integration.secrets))
            .bind(integration.state.as_str())
            .bind(integration.depends_on.map(PublicId::uuid))
            .bind(integration.maintenance_until.map(Timestamp::millis))
            .bind(integration.updated_at.millis())
            .execute(&mut *conn)
            .await?;
            if let Some(secrets) = secrets {
                sqlx::query("update integrations set secrets = $3 where organization_id = $1 and id = $2")
                    .bind(organization.uuid())
                    .bind(integration.id.uuid())
                    .bind(secrets)
                    .execute(&mut *conn)
                    .await?;
            }
            sqlx::query(
                "update integration_health set next_check_at = $2, check_interval_s = $3 where integration_id = $1",
            )
            .bind(integration.id.uuid())
            .bind(integration.next_check_at.map(Timestamp::millis))
            .bind(i64::from(integration.check_interval_s))
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Changes the emergency procedure and the note of an integration; `false` when it is gone.
    pub async fn set_runbook(
        &self,
        organization: OrganizationId,
        id: IntegrationId,
        runbook: RunbookDraft,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let done = sqlx::query(
                "update integrations set runbook = $3, status_note = $4 where organization_id = $1 and id = $2",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(to_json(&runbook.steps))
            .bind(&runbook.status_note)
            .execute(&mut *conn)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Deletes an integration with what is known of its health, and resolves its alerts. Its log goes with retention.
    /// `false` when there is none.
    pub async fn delete_integration(
        &self,
        organization: OrganizationId,
        id: IntegrationId,
        now: Timestamp,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let gone = sqlx::query("delete from integrations where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?;
            if gone.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query("delete from health_rollups where organization_id = $1 and integration_id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?;
            sqlx::query("update integrations set depends_on = null where organization_id = $1 and depends_on = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?;
            sqlx::query(
                "update alerts set state = 'resolved', resolved_at = $3, remind_at = null \
                 where organization_id = $1 and subject = $2 and resolved_at is null",
            )
            .bind(organization.uuid())
            .bind(id.to_string())
            .bind(now.millis())
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Integrations by id, with their secrets, of any organization: it is a worker that asks, with ids it was given.
    pub(crate) async fn integrations_by_id(&self, ids: &[Uuid], now: Timestamp) -> Result<Vec<IntegrationRow>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = sqlx::QueryBuilder::<Dialect>::new(select_integrations!(""));
            crate::hot::push_ids!(sql, "where i.id in (", ids);
            sql.build_query_as().fetch_all(db).await
        })?;
        rows.into_iter().map(|row| row.typed(now)).collect()
    }

    /// One integration of any organization, with its secrets: it is its provider that calls, and knows nothing else of us.
    pub async fn integration_called(&self, id: IntegrationId, now: Timestamp) -> Result<Option<IntegrationRow>> {
        Ok(self.integrations_by_id(&[id.uuid()], now).await?.pop())
    }
}
