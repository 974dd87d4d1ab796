//! Alerts and the messages about them.
//!
//! An alert opens, counts on and ends in the transaction of what it tells of; so do its messages, which wait in `notices`
//! until a node has sent them. That is why no number of nodes, and no restart, tells anybody twice. One file, because an alert
//! and its messages change together or not at all.

use std::collections::BTreeMap;

use domain::{
    AlertId, AlertRule, AlertSettings, AlertState, Channel, NodeId, OrganizationId, PublicId, Severity, Timestamp,
    Transition,
    api::{Alert, AlertQuery, Page},
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{json, to_json, word},
    db::{reading, writing},
    hot::push_ids,
    keyset,
    retention::PRUNED,
};

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// The alert's id, if none is open for this rule and subject.
    pub id: AlertId,
    /// What was noticed.
    pub rule: AlertRule,
    /// Of what: an id.
    pub subject: String,
    /// In one line.
    pub title: String,
    /// What it is this time.
    pub detail: String,
    /// What does not work meanwhile.
    pub impact: String,
    /// When.
    pub at: Timestamp,
    /// Whether people are told: not while what the subject depends on is down.
    pub is_told: bool,
}

/// What a person says of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertAct {
    /// Somebody works on it.
    Acknowledge {
        /// Who.
        by: String,
    },
    /// It is to be quiet.
    Snooze {
        /// Until then.
        until: Timestamp,
    },
    /// It is over.
    Resolve,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// About which alert.
    pub alert: AlertId,
    /// What it tells.
    pub transition: Transition,
    /// By which way.
    pub channel: Channel,
    /// To whom; empty where the channel knows.
    pub target: String,
    /// Which of several.
    pub round: i64,
}

/// A message that is to be sent now, with all that it tells.
#[derive(Debug, Clone)]
pub struct DueNotice {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The message.
    pub notice: Notice,
    /// How often it was tried.
    pub tries: i64,
    /// What it is about, as it is now.
    pub alert: Alert,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    rule: String,
    severity: String,
    subject: String,
    title: String,
    detail: String,
    impact: String,
    state: String,
    occurrences: i64,
    first_at: i64,
    last_at: i64,
    acknowledged_by: Option<String>,
    snoozed_until: Option<i64>,
    resolved_at: Option<i64>,
}

impl TryFrom<Row> for Alert {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: AlertId::from_uuid(row.id),
            rule: word("alerts", "rule", &row.rule)?,
            severity: word::<Severity>("alerts", "severity", &row.severity)?,
            subject: row.subject,
            title: row.title,
            detail: row.detail,
            impact: row.impact,
            state: word("alerts", "state", &row.state)?,
            occurrences: row.occurrences,
            first_at: Timestamp::from_millis(row.first_at),
            last_at: Timestamp::from_millis(row.last_at),
            acknowledged_by: row.acknowledged_by,
            snoozed_until: row.snoozed_until.map(Timestamp::from_millis),
            resolved_at: row.resolved_at.map(Timestamp::from_millis),
        })
    }
}

/// Who is told, read inside a `writing!` body.
macro_rules! alert_settings {
    ($conn:expr, $organization:expr) => {{
        let stored: Option<String> =
            sqlx::query_scalar("select settings from alert_settings where organization_id = $1")
                .bind($organization.uuid())
                .fetch_optional(&mut *$conn)
                .await?;
        match stored {
            Some(text) => crate::columns::json("alert_settings", "settings", &text)?,
            None => domain::AlertSettings::default(),
        }
    }};
}
pub(crate) use alert_settings;

/// Puts messages about an alert into the outbox, inside a `writing!` body.
macro_rules! tell {
    ($conn:expr, $organization:expr, $alert:expr, $rule:expr, $transition:expr, $round:expr, $settings:expr, $now:expr) => {
        let wishes = crate::notification_preferences::members_wishes!($conn, $organization);
        for (channel, target) in $settings.targets($rule, &wishes) {
            sqlx::query(
                "insert into notices (organization_id, alert_id, transition, channel, target, round, tries, due_at) \
                 values ($1, $2, $3, $4, $5, $6, 0, $7) on conflict do nothing",
            )
            .bind($organization.uuid())
            .bind($alert)
            .bind($transition.as_str())
            .bind(channel.as_str())
            .bind(target)
            .bind($round)
            .bind($now.millis())
            .execute(&mut *$conn)
            .await?;
        }
    };
}
pub(crate) use tell;

/// Opens an alert or counts one more occurrence of the one that is open, inside a `writing!` body. Answers whether it
/// opened.
macro_rules! raise_alert {
    ($conn:expr, $organization:expr, $alert:expr) => {{
        let alert: &crate::NewAlert = $alert;
        let settings: domain::AlertSettings = crate::alerts::alert_settings!($conn, $organization);
        let remind_at = (alert.is_told && settings.reminder_minutes > 0)
            .then(|| alert.at.plus_ms(i64::from(settings.reminder_minutes) * 60_000).millis());
        let id: uuid::Uuid = sqlx::query_scalar(
            "insert into alerts (id, organization_id, rule, subject, severity, title, detail, impact, state, \
             occurrences, told, reminders, first_at, last_at, remind_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'open', 1, $9, 0, $10, $10, $11) \
             on conflict (organization_id, rule, subject) where resolved_at is null do update set \
             occurrences = alerts.occurrences + 1, last_at = excluded.last_at, detail = excluded.detail, \
             title = excluded.title returning id",
        )
        .bind(alert.id.uuid())
        .bind($organization.uuid())
        .bind(alert.rule.as_str())
        .bind(&alert.subject)
        .bind(alert.rule.severity().as_str())
        .bind(&alert.title)
        .bind(&alert.detail)
        .bind(&alert.impact)
        .bind(alert.is_told)
        .bind(alert.at.millis())
        .bind(remind_at)
        .fetch_one(&mut *$conn)
        .await?;
        let is_new = id == alert.id.uuid();
        if is_new && alert.is_told {
            crate::alerts::tell!(
                $conn,
                $organization,
                id,
                alert.rule,
                domain::Transition::Opened,
                0_i64,
                settings,
                alert.at
            );
        }
        is_new
    }};
}
pub(crate) use raise_alert;

/// Ends the open alert of a rule and subject, if there is one, inside a `writing!` body. Answers whether there was.
macro_rules! resolve_alert {
    ($conn:expr, $organization:expr, $rule:expr, $subject:expr, $now:expr) => {{
        let rule: domain::AlertRule = $rule;
        let ended: Option<(uuid::Uuid, bool)> = sqlx::query_as(
            "update alerts set state = 'resolved', resolved_at = $4, remind_at = null \
             where organization_id = $1 and rule = $2 and subject = $3 and resolved_at is null returning id, told",
        )
        .bind($organization.uuid())
        .bind(rule.as_str())
        .bind(&$subject)
        .bind($now.millis())
        .fetch_optional(&mut *$conn)
        .await?;
        if let Some((id, true)) = ended {
            let settings: domain::AlertSettings = crate::alerts::alert_settings!($conn, $organization);
            crate::alerts::tell!($conn, $organization, id, rule, domain::Transition::Resolved, 0_i64, settings, $now);
        }
        ended.is_some()
    }};
}
pub(crate) use resolve_alert;

const COLUMNS: &str = "select id, rule, severity, subject, title, detail, impact, state, occurrences, first_at, last_at, \
                       acknowledged_by, snoozed_until, resolved_at from alerts where organization_id = ";

impl Store {
    /// Opens an alert, or counts one more occurrence of the one that is open. Answers whether it opened.
    pub async fn raise_alert(&self, organization: OrganizationId, alert: NewAlert) -> Result<bool> {
        writing!(self, conn => { Ok(raise_alert!(conn, organization, &alert)) })
    }

    /// Says in the open alert of a rule and subject what is so now. Nobody is told of it.
    pub async fn reword_alert(
        &self,
        organization: OrganizationId,
        rule: AlertRule,
        subject: String,
        title: String,
        detail: String,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "update alerts set title = $4, detail = $5 \
                 where organization_id = $1 and rule = $2 and subject = $3 and resolved_at is null",
            )
            .bind(organization.uuid())
            .bind(rule.as_str())
            .bind(subject)
            .bind(title)
            .bind(detail)
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }

    /// Ends the open alert of a rule and subject. Answers whether there was one.
    pub async fn resolve_alert(
        &self,
        organization: OrganizationId,
        rule: AlertRule,
        subject: String,
        now: Timestamp,
    ) -> Result<bool> {
        writing!(self, conn => { Ok(resolve_alert!(conn, organization, rule, subject, now)) })
    }

    /// Alerts, newest first. `limit` and `cursor` of the query are not read: they come checked, beside it.
    pub async fn alerts(
        &self,
        organization: OrganizationId,
        query: &AlertQuery,
        before: Option<AlertId>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            sql.push_bind(organization.uuid()).push(" and id < ").push_bind(keyset::before(before));
            match query.state {
                None => sql.push(" and resolved_at is null"),
                Some(state) => sql.push(" and state = ").push_bind(state.as_str()),
            };
            if let Some(subject) = &query.subject {
                sql.push(" and subject = ").push_bind(subject.clone());
            }
            sql.push(" order by id desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        keyset::page(rows, limit, |alert: &Alert| alert.id.to_string())
    }

    /// One alert.
    pub async fn alert(&self, organization: OrganizationId, id: AlertId) -> Result<Option<Alert>> {
        let row: Option<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            sql.push_bind(organization.uuid()).push(" and id = ").push_bind(id.uuid());
            sql.build_query_as().fetch_optional(db).await
        })?;
        row.map(TryInto::try_into).transpose()
    }

    /// How many alerts of each rule are open and not acknowledged.
    pub async fn open_alerts(&self, organization: OrganizationId) -> Result<BTreeMap<AlertRule, i64>> {
        let rows: Vec<(String, i64)> = reading!(self, db => sqlx::query_as(
            "select rule, count(*) from alerts where organization_id = $1 and resolved_at is null and state = 'open' \
             group by rule",
        )
        .bind(organization.uuid())
        .fetch_all(db)
        .await)?;
        rows.into_iter().map(|(rule, count)| Ok((word("alerts", "rule", &rule)?, count))).collect()
    }

    /// What a person says of an alert. `false`: it is not there, or it is resolved already.
    pub async fn act_on_alert(
        &self,
        organization: OrganizationId,
        id: AlertId,
        act: AlertAct,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let now = audit.at;
            let (state, until, by) = match act {
                AlertAct::Acknowledge { by } => (AlertState::Acknowledged, None, Some(by)),
                AlertAct::Snooze { until } => (AlertState::Snoozed, Some(until), None),
                AlertAct::Resolve => (AlertState::Resolved, None, None),
            };
            let resolved_at = (state == AlertState::Resolved).then(|| now.millis());
            let done: Option<(String, bool)> = sqlx::query_as(
                "update alerts set state = $3, snoozed_until = $4, acknowledged_by = $5, resolved_at = $6, \
                 remind_at = $4 where organization_id = $1 and id = $2 and resolved_at is null returning rule, told",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .bind(state.as_str())
            .bind(until.map(Timestamp::millis))
            .bind(by)
            .bind(resolved_at)
            .fetch_optional(&mut *conn)
            .await?;
            let Some((rule, told)) = done else { return Ok(false) };
            if resolved_at.is_some() && told {
                let rule: AlertRule = word("alerts", "rule", &rule)?;
                let settings: AlertSettings = alert_settings!(conn, organization);
                tell!(conn, organization, id.uuid(), rule, Transition::Resolved, 0_i64, settings, now);
            }
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }

    /// Who is told of alerts.
    pub async fn alert_settings(&self, organization: OrganizationId) -> Result<AlertSettings> {
        let stored: Option<String> = reading!(self, db => sqlx::query_scalar(
            "select settings from alert_settings where organization_id = $1",
        )
        .bind(organization.uuid())
        .fetch_optional(db)
        .await)?;
        stored.map_or_else(|| Ok(AlertSettings::default()), |text| json("alert_settings", "settings", &text))
    }

    /// Changes who is told of alerts.
    pub async fn set_alert_settings(
        &self,
        organization: OrganizationId,
        settings: AlertSettings,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into alert_settings (organization_id, settings) values ($1, $2) \
                 on conflict (organization_id) do update set settings = excluded.settings",
            )
            .bind(organization.uuid())
            .bind(to_json(&settings))
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await
        })
    }

    /// Deletes alerts that were resolved and opened before `before`, with their messages, at most [`PRUNED`]. Answers how
    /// many.
    pub async fn prune_alerts(&self, organization: OrganizationId, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let old: Vec<Uuid> = sqlx::query_scalar(
                "delete from alerts where id in (select id from alerts where organization_id = $1 and id < $2 \
                 and resolved_at is not null and not exists (select 1 from notices \
                 where alert_id = alerts.id and due_at is not null) order by id limit $3) returning id",
            )
            .bind(organization.uuid())
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .fetch_all(&mut *conn)
            .await?;
            if !old.is_empty() {
                let mut sql = QueryBuilder::new("delete from notices");
                push_ids!(sql, " where alert_id in (", &old);
                sql.build().execute(&mut *conn).await?;
            }
            Ok(old.len() as u64)
        })
    }

    /// Reminds of alerts for which that is due, and wakes those whose snooze is over: at most `limit`. Answers how many.
    pub async fn remind_of_alerts(&self, now: Timestamp, limit: u32) -> Result<u64> {
        writing!(self, conn => {
            // Another node that looks at the same time finds the condition gone when it gets the row.
            let due: Vec<(Uuid, Uuid, String, i64)> = sqlx::query_as(
                "update alerts set remind_at = null, snoozed_until = null, reminders = reminders + 1, state = 'open' \
                 where remind_at <= $1 and resolved_at is null and id in (select id from alerts \
                 where remind_at <= $1 and resolved_at is null order by remind_at limit $2) \
                 returning id, organization_id, rule, reminders",
            )
            .bind(now.millis())
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
            for (id, organization, rule, round) in &due {
                let organization = OrganizationId::from_uuid(*organization);
                let rule: AlertRule = word("alerts", "rule", rule)?;
                let settings: AlertSettings = alert_settings!(conn, organization);
                tell!(conn, organization, *id, rule, Transition::Reminded, *round, settings, now);
                if settings.reminder_minutes > 0 {
                    sqlx::query("update alerts set remind_at = $2 where id = $1")
                        .bind(*id)
                        .bind(now.plus_ms(i64::from(settings.reminder_minutes) * 60_000).millis())
                        .execute(&mut *conn)
                        .await?;
                }
            }
            Ok(due.len() as u64)
        })
    }

    /// Takes messages that are due, at most `limit`, for `node` alone.
    pub async fn take_notices(&self, node: NodeId, now: Timestamp, limit: u32) -> Result<Vec<DueNotice>> {
        /// Alert, transition, channel, target, round, tries, organization.
        type Taken = (Uuid, String, String, String, i64, i64, Uuid);
        let taken: Vec<Taken> = writing!(self, conn => {
            Ok(sqlx::query_as(
                "update notices set node_id = $1, tries = tries + 1 where node_id is null and due_at <= $2 \
                 and (alert_id, transition, channel, target, round) in (\
                 select alert_id, transition, channel, target, round from notices \
                 where node_id is null and due_at <= $2 order by due_at limit $3) \
                 returning alert_id, transition, channel, target, round, tries, organization_id",
            )
            .bind(node.uuid())
            .bind(now.millis())
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?)
        })?;
        let mut due = Vec::with_capacity(taken.len());
        for (alert, transition, channel, target, round, tries, organization) in taken {
            let (organization, alert) = (OrganizationId::from_uuid(organization), AlertId::from_uuid(alert));
            let notice = Notice {
                alert,
                transition: word("notices", "transition", &transition)?,
                channel: word("notices", "channel", &channel)?,
                target,
                round,
            };
            // Alerts are never deleted while messages about them wait.
            if let Some(alert) = self.alert(organization, alert).await? {
                due.push(DueNotice { organization, notice, tries, alert });
            }
        }
        Ok(due)
    }

    /// Gives messages back that this node has taken and knows nothing of any more.
    pub async fn release_notices(&self, node: NodeId) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update notices set node_id = null where node_id = $1")
                .bind(node.uuid())
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }

    /// What became of a message: sent (`error` is `None`), to be tried again at `again_at`, or given up.
    pub async fn settle_notice(
        &self,
        node: NodeId,
        notice: Notice,
        error: Option<String>,
        again_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "update notices set node_id = null, due_at = $7, sent_at = $8, error = $9 where alert_id = $1 \
                 and transition = $2 and channel = $3 and target = $4 and round = $5 and node_id = $6",
            )
            .bind(notice.alert.uuid())
            .bind(notice.transition.as_str())
            .bind(notice.channel.as_str())
            .bind(&notice.target)
            .bind(notice.round)
            .bind(node.uuid())
            .bind(again_at.map(Timestamp::millis))
            .bind(error.is_none().then(|| now.millis()))
            .bind(error)
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }
}
