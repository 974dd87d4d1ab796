//! The queue of e-mails: storing, taking, settling, and what providers say of them later. Who does not want them is in
//! `suppressions.rs`; it is asked here when an e-mail is stored, in the same transaction. One file, because these are the
//! transitions of one row.

use domain::{
    EmailId, IntegrationId, NodeId, OrganizationId, PublicId, Timestamp,
    api::{Email, EmailQuery, EmailState, EmailStep, EmailStepKind, Page, RenderedEmail, SuppressionReason},
    catalogue::Fault,
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    Result, Store, StoreError,
    columns::{json, to_json, word},
    db::{reading, writing},
    hot::IDEMPOTENCY_MS,
    keyset,
    retention::PRUNED,
    suppressions::{suppress, unwanted},
};

const HOUR_MINUTES: i64 = 60;
const DAY_MINUTES: i64 = 1_440;
/// Steps that are kept of an e-mail: its tries are few, what providers say is not ours to bound.
const STEPS: i64 = 50;
/// What is read of an e-mail.
const COLUMNS: &str = "select id, organization_id, integration_id, recipient, subject, template, category, content, \
                       allow_duplicate, state, tries, next_try_at, detail, fault, possibly_duplicated, possibly_sent, \
                       sent_at, delivered_at from emails where organization_id = ";

/// An e-mail to be stored.
#[derive(Debug, Clone)]
pub struct NewEmail {
    /// Its id, which says when it was accepted.
    pub id: EmailId,
    /// The integration that is to send it.
    pub integration: Option<IntegrationId>,
    /// The recipient's address, in small letters.
    pub to: String,
    /// The template it is made from.
    pub template: Option<String>,
    /// What it is about.
    pub category: Option<String>,
    /// Its words.
    pub content: RenderedEmail,
    /// Whether it may be sent again when it may have arrived.
    pub allow_duplicate: bool,
    /// When it is tried first.
    pub at: Timestamp,
    /// The key under which it is sent once, and the SHA-256 of what was asked for.
    pub idempotency: Option<(String, [u8; 32])>,
}

/// What storing an e-mail came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuedEmail {
    /// It is new, and in this state.
    New(EmailState),
    /// The same was stored under the same key before: this one.
    Known(EmailId),
    /// Something else was stored under the same key; this was not.
    KeyReused,
}

/// An e-mail with its words.
#[derive(Debug, Clone)]
pub struct EmailRow {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The e-mail.
    pub email: Email,
    /// Its words.
    pub content: RenderedEmail,
    /// Whether it may be sent again when it may have arrived.
    pub allow_duplicate: bool,
}

/// What became of a try.
#[derive(Debug, Clone)]
pub struct SettledEmail {
    /// Which e-mail.
    pub id: EmailId,
    /// What it is now.
    pub state: EmailState,
    /// Whether the try counts: one that was only put off does not.
    pub counts: bool,
    /// When it is tried again.
    pub next_try_at: Option<Timestamp>,
    /// Who sent it, or tried to.
    pub integration: Option<IntegrationId>,
    /// The reply, or what went wrong.
    pub detail: String,
    /// In which class.
    pub fault: Option<Fault>,
    /// It may have arrived, although no reply said so.
    pub possibly_sent: bool,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// Why nothing more is sent to its recipient.
    pub suppress: Option<SuppressionReason>,
}

/// What a provider says of an e-mail that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailNews {
    /// The e-mail, when the provider names it.
    pub id: Option<EmailId>,
    /// The recipient, in small letters.
    pub to: String,
    /// What happened.
    pub kind: EmailNewsKind,
    /// In the provider's words.
    pub detail: String,
    /// When it was heard.
    pub at: Timestamp,
}

/// What happened to an e-mail after it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailNewsKind {
    /// It arrived.
    Delivered,
    /// It came back for good.
    Bounced,
    /// It came back, but not for the address: nobody is suppressed.
    Refused,
    /// It came back for now; the provider tries on.
    Deferred,
    /// It was reported as spam.
    Complained,
    /// Its recipient does not want any more.
    Unsubscribed,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    integration_id: Option<Uuid>,
    recipient: String,
    subject: String,
    template: Option<String>,
    category: Option<String>,
    content: String,
    allow_duplicate: bool,
    state: String,
    tries: i64,
    next_try_at: Option<i64>,
    detail: String,
    fault: Option<String>,
    possibly_duplicated: bool,
    possibly_sent: bool,
    sent_at: Option<i64>,
    delivered_at: Option<i64>,
}

impl TryFrom<Row> for EmailRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        const TABLE: &str = "emails";
        let id = EmailId::from_uuid(row.id);
        let email = Email {
            id,
            to: row.recipient,
            subject: row.subject,
            template: row.template,
            category: row.category,
            integration_id: row.integration_id.map(IntegrationId::from_uuid),
            state: word(TABLE, "state", &row.state)?,
            tries: row.tries,
            next_try_at: row.next_try_at.map(Timestamp::from_millis),
            detail: row.detail,
            fault: row.fault.map(|text| word(TABLE, "fault", &text)).transpose()?,
            possibly_duplicated: row.possibly_duplicated,
            possibly_sent: row.possibly_sent,
            sent_at: row.sent_at.map(Timestamp::from_millis),
            delivered_at: row.delivered_at.map(Timestamp::from_millis),
            created_at: id.created_at(),
        };
        Ok(Self {
            organization: OrganizationId::from_uuid(row.organization_id),
            email,
            content: json(TABLE, "content", &row.content)?,
            allow_duplicate: row.allow_duplicate,
        })
    }
}

impl TryFrom<Row> for Email {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        EmailRow::try_from(row).map(|row| row.email)
    }
}

#[derive(sqlx::FromRow)]
struct StepRow {
    at: i64,
    kind: String,
    integration_id: Option<Uuid>,
    detail: String,
    fault: Option<String>,
}

impl TryFrom<StepRow> for EmailStep {
    type Error = StoreError;
    fn try_from(row: StepRow) -> Result<Self> {
        const TABLE: &str = "email_steps";
        Ok(Self {
            at: Timestamp::from_millis(row.at),
            kind: word(TABLE, "kind", &row.kind)?,
            integration_id: row.integration_id.map(IntegrationId::from_uuid),
            detail: row.detail,
            fault: row.fault.map(|text| word(TABLE, "fault", &text)).transpose()?,
        })
    }
}

/// The step that a try came to; none when it was only put off, or is waiting.
const fn step_of(state: EmailState, counts: bool) -> Option<EmailStepKind> {
    match state {
        EmailState::Queued => None,
        EmailState::Deferred if counts => Some(EmailStepKind::Deferred),
        EmailState::Deferred => None,
        EmailState::Sent => Some(EmailStepKind::Sent),
        EmailState::Bounced => Some(EmailStepKind::Bounced),
        EmailState::Complained => Some(EmailStepKind::Complained),
        EmailState::Suppressed => Some(EmailStepKind::Suppressed),
        EmailState::Failed => Some(EmailStepKind::Failed),
    }
}

const fn step_of_news(kind: EmailNewsKind) -> EmailStepKind {
    match kind {
        EmailNewsKind::Delivered => EmailStepKind::Delivered,
        EmailNewsKind::Bounced | EmailNewsKind::Refused => EmailStepKind::Bounced,
        EmailNewsKind::Deferred => EmailStepKind::Deferred,
        EmailNewsKind::Complained => EmailStepKind::Complained,
        EmailNewsKind::Unsubscribed => EmailStepKind::Unsubscribed,
    }
}

/// Adds a step to an e-mail inside a `writing!` body.
macro_rules! add_step {
    ($conn:expr, $email:expr, $step:expr) => {{
        let step: EmailStep = $step;
        sqlx::query(
            "insert into email_steps (email_id, step, at, kind, integration_id, detail, fault) \
             select $1, count(*) + 1, $2, $3, $4, $5, $6 from email_steps where email_id = $1 having count(*) < $7",
        )
        .bind($email)
        .bind(step.at.millis())
        .bind(step.kind.as_str())
        .bind(step.integration_id.map(PublicId::uuid))
        .bind(step.detail)
        .bind(step.fault.map(Fault::as_str))
        .bind(STEPS)
        .execute(&mut *$conn)
        .await?
    }};
}

impl Store {
    /// Stores an e-mail, to be sent or, when its recipient does not want it, to be seen.
    pub async fn queue_email(&self, organization: OrganizationId, new: NewEmail) -> Result<QueuedEmail> {
        writing!(self, conn => {
            if let Some((key, fingerprint)) = &new.idempotency {
                // Whoever comes second waits for the first, and then finds the key taken.
                let claimed = sqlx::query(
                    "insert into email_keys (organization_id, idempotency_key, fingerprint, email_id, created_at) \
                     values ($1, $2, $3, $4, $5) on conflict (organization_id, idempotency_key) do update set \
                     fingerprint = excluded.fingerprint, email_id = excluded.email_id, \
                     created_at = excluded.created_at where email_keys.created_at < $6",
                )
                .bind(organization.uuid())
                .bind(key)
                .bind(&fingerprint[..])
                .bind(new.id.uuid())
                .bind(new.at.millis())
                .bind(new.at.plus_ms(-IDEMPOTENCY_MS).millis())
                .execute(&mut *conn)
                .await?;
                if claimed.rows_affected() == 0 {
                    let (known, email): (Vec<u8>, Uuid) = sqlx::query_as(
                        "select fingerprint, email_id from email_keys where organization_id = $1 and idempotency_key = $2",
                    )
                    .bind(organization.uuid())
                    .bind(key)
                    .fetch_one(&mut *conn)
                    .await?;
                    let is_same = known == fingerprint;
                    return Ok(if is_same { QueuedEmail::Known(EmailId::from_uuid(email)) } else { QueuedEmail::KeyReused });
                }
            }
            let unwanted = unwanted!(conn, organization, &new.to, new.category.as_deref());
            let (state, next, detail) = match unwanted {
                Some(detail) => (EmailState::Suppressed, None, detail),
                None => (EmailState::Queued, Some(new.at.millis()), String::new()),
            };
            sqlx::query(
                "insert into emails (id, organization_id, integration_id, recipient, subject, template, category, \
                 content, allow_duplicate, state, tries, next_try_at, detail, possibly_duplicated, possibly_sent) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $13)",
            )
            .bind(new.id.uuid())
            .bind(organization.uuid())
            .bind(new.integration.map(PublicId::uuid))
            .bind(new.to)
            .bind(&new.content.subject)
            .bind(new.template)
            .bind(new.category)
            .bind(to_json(&new.content))
            .bind(new.allow_duplicate)
            .bind(state.as_str())
            .bind(next)
            .bind(&detail)
            .bind(false)
            .execute(&mut *conn)
            .await?;
            if let Some(kind) = step_of(state, true) {
                let step = EmailStep { at: new.at, kind, integration_id: None, detail, fault: None };
                add_step!(conn, new.id.uuid(), step);
            }
            Ok(QueuedEmail::New(state))
        })
    }

    /// E-mails, newest first. `limit` and `cursor` of the query are not read: they come checked, beside it.
    pub async fn emails(
        &self,
        organization: OrganizationId,
        query: &EmailQuery,
        before: Option<EmailId>,
        limit: u32,
    ) -> Result<Page<Email>> {
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            sql.push_bind(organization.uuid()).push(" and id < ").push_bind(keyset::before(before));
            if let Some(state) = query.state {
                sql.push(" and state = ").push_bind(state.as_str());
            }
            if let Some(to) = &query.to {
                sql.push(" and recipient = ").push_bind(to.trim().to_lowercase());
            }
            if let Some(integration) = query.integration_id {
                sql.push(" and integration_id = ").push_bind(integration.uuid());
            }
            sql.push(" order by id desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        keyset::page(rows, limit, |email: &Email| email.id.to_string())
    }

    /// One e-mail with its words.
    pub async fn email(&self, organization: OrganizationId, id: EmailId) -> Result<Option<EmailRow>> {
        let row: Option<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            sql.push_bind(organization.uuid()).push(" and id = ").push_bind(id.uuid());
            sql.build_query_as().fetch_optional(db).await
        })?;
        row.map(TryInto::try_into).transpose()
    }

    /// What became of an e-mail, the oldest step first.
    pub async fn email_steps(&self, organization: OrganizationId, id: EmailId) -> Result<Vec<EmailStep>> {
        let rows: Vec<StepRow> = reading!(self, db => sqlx::query_as(
            "select s.at, s.kind, s.integration_id, s.detail, s.fault from email_steps s \
             join emails e on e.id = s.email_id where e.organization_id = $1 and e.id = $2 order by s.step",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_all(db)
        .await)?;
        keyset::all(rows)
    }

    /// Takes e-mails that are due, at most `limit`, for `node` alone.
    pub async fn take_emails(&self, node: NodeId, now: Timestamp, limit: u32) -> Result<Vec<EmailRow>> {
        let rows: Vec<Row> = writing!(self, conn => {
            // Another node that took one at the same time has the row locked; then the condition does not hold any more.
            Ok(sqlx::query_as(
                "update emails set node_id = $1, tries = tries + 1 where node_id is null and next_try_at <= $2 \
                 and id in (select id from emails where node_id is null and next_try_at <= $2 \
                 order by next_try_at limit $3) returning id, organization_id, integration_id, recipient, subject, \
                 template, category, content, allow_duplicate, state, tries, next_try_at, detail, fault, \
                 possibly_duplicated, possibly_sent, sent_at, delivered_at",
            )
            .bind(node.uuid())
            .bind(now.millis())
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?)
        })?;
        keyset::all(rows)
    }

    /// When the next e-mail is due that nobody has taken.
    pub async fn next_email_at(&self) -> Result<Option<Timestamp>> {
        let next: Option<i64> = reading!(self, db => sqlx::query_scalar(
            "select min(next_try_at) from emails where next_try_at is not null and node_id is null",
        )
        .fetch_one(db)
        .await)?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// Gives one back that this node has taken and not begun.
    pub async fn release_email(&self, node: NodeId, id: EmailId) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update emails set node_id = null, tries = tries - 1 where id = $1 and node_id = $2")
                .bind(id.uuid())
                .bind(node.uuid())
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }

    /// Says that an e-mail goes out again although an earlier try may have arrived.
    pub async fn mark_duplicated(&self, node: NodeId, id: EmailId) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update emails set possibly_duplicated = $3 where id = $1 and node_id = $2")
                .bind(id.uuid())
                .bind(node.uuid())
                .bind(true)
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }

    /// Whether a recipient does not want e-mail of a category, and why.
    pub async fn unwanted(
        &self,
        organization: OrganizationId,
        email: &str,
        category: Option<&str>,
    ) -> Result<Option<String>> {
        let (email, category) = (email.to_owned(), category.map(str::to_owned));
        writing!(self, conn => { Ok(unwanted!(conn, organization, &email, category.as_deref())) })
    }

    /// Counts one e-mail of an integration, if its limits leave room. Otherwise answers when they do.
    pub async fn reserve_sending(
        &self,
        integration: IntegrationId,
        limits: [i64; 2],
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        writing!(self, conn => {
            for (grain, limit) in [DAY_MINUTES, HOUR_MINUTES].into_iter().zip([limits[1], limits[0]]) {
                let bucket = now.minute().div_euclid(grain) * grain;
                let counted = sqlx::query(
                    "insert into email_usage (integration_id, grain_minutes, bucket, sent) values ($1, $2, $3, 1) \
                     on conflict (integration_id, grain_minutes, bucket) do update set sent = email_usage.sent + 1 \
                     where email_usage.sent < $4",
                )
                .bind(integration.uuid())
                .bind(grain)
                .bind(bucket)
                .bind(limit)
                .execute(&mut *conn)
                .await?;
                if counted.rows_affected() == 0 {
                    if grain == HOUR_MINUTES {
                        sqlx::query(
                            "update email_usage set sent = sent - 1 where integration_id = $1 and grain_minutes = $2 \
                             and bucket = $3",
                        )
                        .bind(integration.uuid())
                        .bind(DAY_MINUTES)
                        .bind(now.minute().div_euclid(DAY_MINUTES) * DAY_MINUTES)
                        .execute(&mut *conn)
                        .await?;
                    }
                    return Ok(Some(Timestamp::from_millis((bucket + grain) * 60_000)));
                }
            }
            Ok(None)
        })
    }

    /// What an integration has sent in this hour and on this day.
    pub async fn email_usage(&self, integration: IntegrationId, now: Timestamp) -> Result<[i64; 2]> {
        let rows: Vec<(i64, i64)> = reading!(self, db => sqlx::query_as(
            "select grain_minutes, sent from email_usage where integration_id = $1 \
             and ((grain_minutes = 60 and bucket = $2) or (grain_minutes = 1440 and bucket = $3))",
        )
        .bind(integration.uuid())
        .bind(now.minute().div_euclid(HOUR_MINUTES) * HOUR_MINUTES)
        .bind(now.minute().div_euclid(DAY_MINUTES) * DAY_MINUTES)
        .fetch_all(db)
        .await)?;
        let of = |grain| rows.iter().find(|row| row.0 == grain).map_or(0, |row| row.1);
        Ok([of(HOUR_MINUTES), of(DAY_MINUTES)])
    }

    /// Stores what became of a try of this node. `false`: it is not this node's any more.
    pub async fn settle_email(
        &self,
        node: NodeId,
        organization: OrganizationId,
        settled: SettledEmail,
        now: Timestamp,
    ) -> Result<bool> {
        writing!(self, conn => {
            let recipient: Option<String> = sqlx::query_scalar(
                "update emails set node_id = null, state = $4, tries = tries - $5, next_try_at = $6, \
                 integration_id = coalesce($7, integration_id), detail = $8, fault = $9, possibly_sent = $10, \
                 sent_at = coalesce($11, sent_at) where organization_id = $1 and id = $2 and node_id = $3 \
                 returning recipient",
            )
            .bind(organization.uuid())
            .bind(settled.id.uuid())
            .bind(node.uuid())
            .bind(settled.state.as_str())
            .bind(i64::from(!settled.counts))
            .bind(settled.next_try_at.map(Timestamp::millis))
            .bind(settled.integration.map(PublicId::uuid))
            .bind(&settled.detail)
            .bind(settled.fault.map(Fault::as_str))
            .bind(settled.possibly_sent)
            .bind(settled.sent_at.map(Timestamp::millis))
            .fetch_optional(&mut *conn)
            .await?;
            let Some(recipient) = recipient else { return Ok(false) };
            if let Some(kind) = step_of(settled.state, settled.counts) {
                let (integration_id, detail) = (settled.integration, settled.detail.clone());
                let step = EmailStep { at: now, kind, integration_id, detail, fault: settled.fault };
                add_step!(conn, settled.id.uuid(), step);
            }
            if let Some(reason) = settled.suppress {
                suppress!(conn, organization, &recipient, reason, &settled.detail, now);
            }
            Ok(true)
        })
    }

    /// Stores what a provider says of e-mails that an integration has sent. What it says of others is passed over. Answers
    /// how many it was about.
    pub async fn hear_of_emails(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        news: Vec<EmailNews>,
    ) -> Result<u64> {
        writing!(self, conn => {
            let mut heard = 0_u64;
            for one in news {
                // Without an id it is about the newest one to that recipient.
                let found: Option<(Uuid, Option<String>)> = match one.id {
                    Some(id) => sqlx::query_as(
                        "select id, category from emails where organization_id = $1 and integration_id = $2 \
                         and recipient = $3 and id = $4 and sent_at is not null",
                    )
                    .bind(organization.uuid())
                    .bind(integration.uuid())
                    .bind(&one.to)
                    .bind(id.uuid())
                    .fetch_optional(&mut *conn)
                    .await?,
                    None => sqlx::query_as(
                        "select id, category from emails where organization_id = $1 and integration_id = $2 \
                         and recipient = $3 and sent_at is not null order by id desc limit 1",
                    )
                    .bind(organization.uuid())
                    .bind(integration.uuid())
                    .bind(&one.to)
                    .fetch_optional(&mut *conn)
                    .await?,
                };
                let Some((id, category)) = found else { continue };
                heard += 1;
                let (state, delivered_at, reason) = match one.kind {
                    EmailNewsKind::Delivered => (None, Some(one.at.millis()), None),
                    EmailNewsKind::Bounced => (Some(EmailState::Bounced), None, Some(SuppressionReason::Bounce)),
                    EmailNewsKind::Refused => (Some(EmailState::Bounced), None, None),
                    EmailNewsKind::Complained => {
                        (Some(EmailState::Complained), None, Some(SuppressionReason::Complaint))
                    }
                    EmailNewsKind::Deferred | EmailNewsKind::Unsubscribed => (None, None, None),
                };
                sqlx::query(
                    "update emails set state = coalesce($3, state), delivered_at = coalesce($4, delivered_at), \
                     detail = $5 where organization_id = $1 and id = $2",
                )
                .bind(organization.uuid())
                .bind(id)
                .bind(state.map(EmailState::as_str))
                .bind(delivered_at)
                .bind(&one.detail)
                .execute(&mut *conn)
                .await?;
                let (kind, detail) = (step_of_news(one.kind), one.detail.clone());
                let step = EmailStep { at: one.at, kind, integration_id: Some(integration), detail, fault: None };
                add_step!(conn, id, step);
                if let Some(reason) = reason {
                    suppress!(conn, organization, &one.to, reason, &one.detail, one.at);
                }
                if one.kind == EmailNewsKind::Unsubscribed {
                    let category = category.unwrap_or_else(|| crate::suppressions::EVERYTHING.to_owned());
                    crate::suppressions::unsubscribe!(conn, organization, &one.to, &category, one.at);
                }
            }
            Ok(heard)
        })
    }

    /// Deletes what is known of sending before `before`. Answers how many rows.
    pub async fn prune_email_usage(&self, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from email_usage where (integration_id, grain_minutes, bucket) in (\
                 select integration_id, grain_minutes, bucket from email_usage where bucket < $1 limit $2)",
            )
            .bind(before.minute())
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }

    /// Deletes e-mails from before `before` that are not tried any more, at most [`PRUNED`]. Answers how many.
    pub async fn prune_emails(&self, organization: OrganizationId, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from emails where id in (select id from emails where organization_id = $1 and id < $2 \
                 and next_try_at is null and node_id is null order by id limit $3)",
            )
            .bind(organization.uuid())
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }
}
