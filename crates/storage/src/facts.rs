//! What alerts are raised about by looking. All of it is read from counts, rollups and settings.
//!
//! Not scoped to one organization: it is a worker that asks, for all of them.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    AlertRule, ApiKeyId, CONSENT_WARNINGS_DAYS, ConnectionStatus, IntegrationId, OrganizationId, PublicId,
    SECRET_AGE_DAYS, Timestamp, WebhookId, api::SecretMark, consent_warning,
};
use uuid::Uuid;

use crate::{
    Result, Store,
    columns::{json, word},
    db::{reading, writing},
};

/// Most facts of one kind that are looked at: beyond, nobody reads single alerts any more.
const MOST: i64 = 500;
/// Rules whose alerts come and go with facts.
const RULES: [AlertRule; 6] = [
    AlertRule::DeadLetters,
    AlertRule::WebhookDisabled,
    AlertRule::SecretAge,
    AlertRule::ErrorRate,
    AlertRule::Reauthenticate,
    AlertRule::ConsentEnds,
];
/// Work in the last hour or two, below which a rate means nothing.
const LEAST_WORK: i64 = 20;
/// The share of failed work that is too much, in percent.
const ERROR_PERCENT: i64 = 5;

/// Something that is so now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Whose it is.
    pub organization: OrganizationId,
    /// What it is.
    pub rule: AlertRule,
    /// Of what: an id.
    pub subject: String,
    /// How people call that.
    pub name: String,
    /// More about it.
    pub detail: String,
    /// How many, or how much.
    pub count: i64,
}

#[derive(sqlx::FromRow)]
struct ConnectionFact {
    organization_id: Uuid,
    integration_id: Uuid,
    name: String,
    status: String,
    problem: Option<String>,
    client_id: String,
    consent_ends_at: Option<i64>,
}

/// What makes an open alert one of its kind.
pub type FactKey = (OrganizationId, AlertRule, String);

impl Store {
    /// Takes the right to look, which one node has every `every_ms` milliseconds.
    pub async fn begin_watch(&self, now: Timestamp, every_ms: i64) -> Result<bool> {
        writing!(self, conn => {
            // A time that has not come yet was written by a clock that has been set back since.
            let begun = sqlx::query(
                "update meta set value = $1 where name = 'watched_at' \
                 and (cast(value as bigint) <= $2 or cast(value as bigint) > $3)",
            )
            .bind(now.millis().to_string())
            .bind(now.plus_ms(-every_ms).millis())
            .bind(now.millis())
            .execute(&mut *conn)
            .await?;
            Ok(begun.rows_affected() > 0)
        })
    }

    /// What is so now.
    pub async fn facts(&self, now: Timestamp) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        let letters: Vec<(Uuid, i64)> = reading!(self, db => sqlx::query_as(
            "select organization_id, cast(sum(dead_letters) as bigint) from dead_letter_counts \
             where dead_letters > 0 group by organization_id limit $1",
        )
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        for (organization, count) in letters {
            let organization = OrganizationId::from_uuid(organization);
            facts.push(Fact {
                organization,
                rule: AlertRule::DeadLetters,
                subject: organization.to_string(),
                name: String::new(),
                detail: String::new(),
                count,
            });
        }
        let webhooks: Vec<(Uuid, Uuid, String, Option<String>)> = reading!(self, db => sqlx::query_as(
            "select organization_id, id, name, state_reason from webhooks \
             where state = 'disabled' and state_reason is not null limit $1",
        )
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        for (organization, id, name, reason) in webhooks {
            facts.push(Fact {
                organization: OrganizationId::from_uuid(organization),
                rule: AlertRule::WebhookDisabled,
                subject: WebhookId::from_uuid(id).to_string(),
                name,
                detail: reason.unwrap_or_default(),
                count: 1,
            });
        }
        let old = now.plus_ms(-SECRET_AGE_DAYS * 86_400_000);
        let keys: Vec<(Uuid, Uuid, String)> = reading!(self, db => sqlx::query_as(
            "select organization_id, id, name from api_keys where revoked_at is null and created_at < $1 \
             and (expires_at is null or expires_at > $2) limit $3",
        )
        .bind(old.millis())
        .bind(now.millis())
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        for (organization, id, name) in keys {
            facts.push(Fact {
                organization: OrganizationId::from_uuid(organization),
                rule: AlertRule::SecretAge,
                subject: ApiKeyId::from_uuid(id).to_string(),
                name,
                detail: "API key".to_owned(),
                count: 1,
            });
        }
        // Set before then at the earliest: an integration that is younger than the limit has no old secret.
        let secrets: Vec<(Uuid, Uuid, String, String)> = reading!(self, db => sqlx::query_as(
            "select organization_id, id, name, secret_marks from integrations \
             where state = 'active' and created_at < $1 and secret_marks <> '{}' limit $2",
        )
        .bind(old.millis())
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        for (organization, id, name, marks) in secrets {
            let marks: BTreeMap<String, SecretMark> = json("integrations", "secret_marks", &marks)?;
            let aged: Vec<_> = marks.iter().filter(|(_, mark)| mark.set_at < old).map(|(name, _)| &**name).collect();
            if !aged.is_empty() {
                facts.push(Fact {
                    organization: OrganizationId::from_uuid(organization),
                    rule: AlertRule::SecretAge,
                    subject: IntegrationId::from_uuid(id).to_string(),
                    name,
                    detail: aged.join(", "),
                    count: 1,
                });
            }
        }
        let hour = now.minute().div_euclid(60) * 60;
        let failing: Vec<(Uuid, Uuid, String, i64, i64)> = reading!(self, db => sqlx::query_as(
            "select i.organization_id, i.id, i.name, cast(sum(r.work_ok) as bigint), cast(sum(r.work_failed) as bigint) \
             from integrations i join health_rollups r on r.organization_id = i.organization_id \
             and r.integration_id = i.id and r.grain_minutes = 60 and r.bucket >= $1 \
             where i.state = 'active' group by i.organization_id, i.id, i.name having sum(r.work_failed) > 0 limit $2",
        )
        .bind(hour - 60)
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        for (organization, id, name, ok, failed) in failing {
            let percent = failed * 100 / (ok + failed);
            if ok + failed >= LEAST_WORK && percent >= ERROR_PERCENT {
                facts.push(Fact {
                    organization: OrganizationId::from_uuid(organization),
                    rule: AlertRule::ErrorRate,
                    subject: IntegrationId::from_uuid(id).to_string(),
                    name,
                    detail: format!("{failed} of {} in the last hours", ok + failed),
                    count: percent,
                });
            }
        }
        self.connection_facts(now, &mut facts).await?;
        Ok(facts)
    }

    /// Connections that do not work, or soon will not. What is wrong with an application is one fact, however many accounts
    /// are connected through it.
    async fn connection_facts(&self, now: Timestamp, facts: &mut Vec<Fact>) -> Result<()> {
        let soon = CONSENT_WARNINGS_DAYS.into_iter().max().unwrap_or_default() * 86_400_000;
        let rows: Vec<ConnectionFact> = reading!(self, db => sqlx::query_as(
                "select c.organization_id, c.integration_id, i.name, c.status, c.problem, c.client_id, c.consent_ends_at \
                 from connections c join integrations i on i.id = c.integration_id \
                 where i.state = 'active' and (c.status in ('needs_reauth', 'revoked', 'misconfigured') \
                 or (c.status in ('connected', 'expiring') and c.consent_ends_at < $1)) order by c.integration_id limit $2",
            )
            .bind(now.plus_ms(soon).millis())
            .bind(MOST)
            .fetch_all(db)
            .await)?;
        let mut applications = BTreeSet::new();
        for ConnectionFact { organization_id, integration_id, name, status, problem, client_id, consent_ends_at } in
            rows
        {
            let status: ConnectionStatus = word("connections", "status", &status)?;
            let days =
                consent_ends_at.filter(|_| status.is_usable()).and_then(|end| consent_warning(end - now.millis()));
            if status == ConnectionStatus::Misconfigured && !applications.insert((organization_id, client_id)) {
                continue;
            }
            let integration = IntegrationId::from_uuid(integration_id).to_string();
            facts.push(Fact {
                organization: OrganizationId::from_uuid(organization_id),
                rule: if days.is_some() { AlertRule::ConsentEnds } else { AlertRule::Reauthenticate },
                // Each warning is an alert of its own, so that the later ones are told too.
                subject: days.map_or(integration.clone(), |days| format!("{integration}/{days}")),
                name,
                detail: problem.unwrap_or_default(),
                count: days.unwrap_or(1),
            });
        }
        Ok(())
    }

    /// Open alerts of one rule, of all organizations, by their subjects.
    pub async fn open_alerts_of(&self, rule: AlertRule) -> Result<Vec<(OrganizationId, String)>> {
        let rows: Vec<(Uuid, String)> = reading!(self, db => sqlx::query_as(
            "select organization_id, subject from alerts where resolved_at is null and rule = $1",
        )
        .bind(rule.as_str())
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(|(id, subject)| (OrganizationId::from_uuid(id), subject)).collect())
    }

    /// Open alerts that come and go with facts, with their titles.
    pub async fn open_facts(&self) -> Result<BTreeMap<FactKey, String>> {
        let rows: Vec<(Uuid, String, String, String)> = reading!(self, db => {
            let mut sql = sqlx::QueryBuilder::<Dialect>::new(
                "select organization_id, rule, subject, title from alerts where resolved_at is null and rule in (",
            );
            let mut list = sql.separated(", ");
            for rule in RULES {
                list.push_bind(rule.as_str());
            }
            sql.push(")").build_query_as().fetch_all(db).await
        })?;
        let typed = |(organization, rule, subject, title): (Uuid, String, String, String)| {
            Ok(((OrganizationId::from_uuid(organization), word("alerts", "rule", &rule)?, subject), title))
        };
        rows.into_iter().map(typed).collect()
    }
}
