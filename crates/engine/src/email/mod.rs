//! E-mails: accepted, rendered, queued, and handed to a provider.
//!
//! An e-mail that was answered with 202 is stored. What is sent, by the queue, by alerts and by tests, goes through
//! [`Inner::send_through`], which keeps the integration's limits. Whether a recipient wants it is asked when it is stored, and
//! again before it is sent.

mod events;
mod message;
mod queue;
mod template;
mod unsubscribe;

use std::collections::BTreeMap;

use domain::{
    EmailId, EmailTemplateId, IntegrationId, OrganizationId, Permission, Problems,
    api::{
        ApiError, Email, EmailDetail, EmailDraft, EmailPreviewRequest, EmailQuery, EmailTemplate, EmailTemplateDraft,
        EmailUsage, ErrorCode, Page, RenderedEmail, Suppression, SuppressionDraft, SuppressionQuery,
    },
    catalogue::{Fault, IntegrationType, rate_limited},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use storage::{IntegrationRow, NewEmail, QueuedEmail};
use tokio::time::Instant;

pub(crate) use queue::run;
pub use unsubscribe::Subscription;

use crate::{
    Actor, Engine, Inner, LiveEvent, Result,
    error::refused,
    failover::Handed,
    integrations::{Probed, smtp_server, values},
    paging, secrets, smtp,
};

/// One e-mail on its way to a provider.
pub(crate) struct Letter<'l> {
    /// The recipient.
    pub to: &'l str,
    /// Its words.
    pub content: &'l RenderedEmail,
    /// What its `Message-ID` begins with.
    pub name: String,
    /// Where its recipient unsubscribes.
    pub unsubscribe_url: Option<String>,
}

/// What makes two e-mails with the same idempotency key the same.
fn fingerprint(draft: &EmailDraft) -> [u8; 32] {
    let text = serde_json::to_vec(draft).expect("wire types have text keys and no failing serializer");
    Sha256::digest(text).into()
}

impl Engine {
    /// Accepts an e-mail: renders it, and queues it. One that was accepted under the same idempotency key is shown as it is.
    pub async fn send_email(&self, actor: &Actor, mut draft: EmailDraft) -> Result<Email> {
        actor.require(Permission::SendEmails)?;
        draft.check().or(())?;
        let organization = actor.organization;
        let key = draft.idempotency_key.take();
        let idempotency = key.map(|key| (key, fingerprint(&draft)));
        if let Some(id) = draft.integration_id {
            let row = self.find_integration(organization, id).await?;
            if row.integration.kind != IntegrationType::Email {
                return Err(Problems::one("integration_id", "This integration does not send e-mails").into());
            }
        }
        let template = match draft.template.as_deref() {
            None => None,
            Some(name) => {
                let found = self.inner.store.email_template(organization, name.trim()).await.map_err(refused)?;
                Some(found.ok_or_else(|| Problems::one("template", "There is no template with this name"))?)
            }
        };
        let (content, category) = match &template {
            Some(found) => {
                let content = template::render(&found.subject, &found.text, &found.html, &draft.data)?;
                (content, draft.category.or_else(|| found.category.clone()))
            }
            None => (template::render(&draft.subject, &draft.text, &draft.html, &draft.data)?, draft.category),
        };
        let id: EmailId = self.new_id();
        let new = NewEmail {
            id,
            integration: draft.integration_id,
            to: draft.to.trim().to_lowercase(),
            template: template.map(|template| template.name),
            category,
            content,
            allow_duplicate: draft.allow_duplicate,
            at: self.now(),
            idempotency,
        };
        match self.inner.store.queue_email(organization, new).await.map_err(refused)? {
            QueuedEmail::New(_) => {}
            QueuedEmail::Known(known) => return Ok(self.find_email(organization, known).await?.email),
            QueuedEmail::KeyReused => {
                let detail = "This idempotency key was already used for a different e-mail.";
                return Err(ApiError::new(ErrorCode::Conflict, detail));
            }
        }
        self.inner.mailer.notify_one();
        self.inner.live.send(organization, LiveEvent::Emails);
        Ok(self.find_email(organization, id).await?.email)
    }

    /// E-mails, newest first.
    pub async fn emails(&self, actor: &Actor, query: EmailQuery) -> Result<Page<Email>> {
        actor.require(Permission::ReadIntegrations)?;
        let after: Option<EmailId> = paging::after(query.cursor.as_deref())?;
        let limit = paging::limit(query.limit);
        self.inner.store.emails(actor.organization, &query, after, limit).await.map_err(refused)
    }

    /// One e-mail with its words, and what became of it.
    pub async fn email(&self, actor: &Actor, id: EmailId) -> Result<EmailDetail> {
        actor.require(Permission::ReadIntegrations)?;
        self.find_email(actor.organization, id).await
    }

    async fn find_email(&self, organization: OrganizationId, id: EmailId) -> Result<EmailDetail> {
        let found = self.inner.store.email(organization, id).await.map_err(refused)?;
        let row = found.ok_or_else(|| ApiError::not_found("E-mail"))?;
        let steps = self.inner.store.email_steps(organization, id).await.map_err(refused)?;
        Ok(EmailDetail { email: row.email, content: row.content, steps })
    }

    /// What an integration has sent in this hour and on this day, and what it may send.
    pub async fn email_usage(&self, actor: &Actor, id: IntegrationId) -> Result<EmailUsage> {
        actor.require(Permission::ReadIntegrations)?;
        let integration = self.find_integration(actor.organization, id).await?.integration;
        let [hour, day] = self.inner.store.email_usage(id, self.now()).await.map_err(refused)?;
        let limit = |name: &str| integration.config.get(name).and_then(Value::as_i64);
        Ok(EmailUsage { hour, hour_limit: limit("rate_limit_hour"), day, day_limit: limit("rate_limit_day") })
    }

    /// Values for everything that a draft leaves open, each its own name in brackets.
    pub fn sample_values(&self, actor: &Actor, draft: &EmailTemplateDraft) -> Result<BTreeMap<String, Value>> {
        actor.require(Permission::ReadIntegrations)?;
        Ok(template::with_samples([&*draft.subject, &*draft.text, &*draft.html], &BTreeMap::new()))
    }

    /// One template.
    pub async fn email_template(&self, actor: &Actor, id: EmailTemplateId) -> Result<EmailTemplate> {
        let all = self.email_templates(actor).await?;
        all.into_iter().find(|template| template.id == id).ok_or_else(|| ApiError::not_found("Template"))
    }

    /// Templates, by name.
    pub async fn email_templates(&self, actor: &Actor) -> Result<Vec<EmailTemplate>> {
        actor.require(Permission::ReadIntegrations)?;
        self.inner.store.email_templates(actor.organization).await.map_err(refused)
    }

    /// Stores a template: a new one, or with `id` a changed one.
    pub async fn put_email_template(
        &self,
        actor: &Actor,
        id: Option<EmailTemplateId>,
        mut draft: EmailTemplateDraft,
    ) -> Result<EmailTemplate> {
        actor.require(Permission::WriteIntegrations)?;
        draft.name = draft.name.trim().to_owned();
        draft.check().or(())?;
        template::check(&draft.subject, &draft.text, &draft.html)?;
        let (action, is_new) =
            if id.is_some() { ("email_template.updated", false) } else { ("email_template.created", true) };
        let id = id.unwrap_or_else(|| self.new_id());
        let audit = self.audit_entry(actor, action, &id, &["name", "subject", "text", "html", "category"]);
        let stored = self.inner.store.put_email_template(actor.organization, id, draft, is_new, audit).await;
        stored.map_err(refused)?.ok_or_else(|| ApiError::not_found("Template"))
    }

    /// Deletes a template. E-mails that were made from it keep their words.
    pub async fn delete_email_template(&self, actor: &Actor, id: EmailTemplateId) -> Result<()> {
        actor.require(Permission::WriteIntegrations)?;
        let audit = self.audit_entry(actor, "email_template.deleted", &id, &[]);
        if self.inner.store.delete_email_template(actor.organization, id, audit).await.map_err(refused)? {
            Ok(())
        } else {
            Err(ApiError::not_found("Template"))
        }
    }

    /// What an e-mail would look like.
    pub fn preview_email(&self, actor: &Actor, request: &EmailPreviewRequest) -> Result<RenderedEmail> {
        actor.require(Permission::ReadIntegrations)?;
        let EmailPreviewRequest { draft, data, samples } = request;
        let words = [&*draft.subject, &*draft.text, &*draft.html];
        let filled = if *samples { template::with_samples(words, data) } else { data.clone() };
        Ok(template::render(&draft.subject, &draft.text, &draft.html, &filled)?)
    }

    /// Addresses to which nothing is sent, by address.
    pub async fn suppressions(&self, actor: &Actor, query: &SuppressionQuery) -> Result<Page<Suppression>> {
        actor.require(Permission::ReadIntegrations)?;
        let limit = paging::limit(query.limit);
        self.inner.store.suppressions(actor.organization, query, limit).await.map_err(refused)
    }

    /// Sends nothing to an address from now on.
    pub async fn suppress_email(&self, actor: &Actor, draft: SuppressionDraft) -> Result<()> {
        actor.require(Permission::OperateIntegrations)?;
        draft.validate()?;
        let email = draft.email.trim().to_lowercase();
        let audit = self.audit_entry(actor, "suppression.added", &email, &[]);
        self.inner.store.suppress(actor.organization, email, draft.detail, audit).await.map_err(refused)?;
        Ok(())
    }

    /// Sends to an address again.
    pub async fn unsuppress_email(&self, actor: &Actor, email: &str) -> Result<()> {
        actor.require(Permission::OperateIntegrations)?;
        let email = email.trim().to_lowercase();
        let audit = self.audit_entry(actor, "suppression.removed", &email, &[]);
        if self.inner.store.unsuppress(actor.organization, email, audit).await.map_err(refused)? {
            Ok(())
        } else {
            Err(ApiError::not_found("Suppression"))
        }
    }
}

impl Inner {
    /// Hands an e-mail to an integration's provider, within the integration's limits. What comes of it is for the caller to
    /// record and to store.
    pub(crate) async fn send_through(&self, row: &IntegrationRow, letter: &Letter<'_>) -> Handed {
        let began = Instant::now();
        let integration = &row.integration;
        let provider = self.providers.provider(&integration.provider);
        let name = provider.map_or(integration.provider.as_str(), |provider| &provider.name);
        let failed = |fault: Fault, detail: String, code, target: String| {
            let message = if fault == Fault::Misconfigured { detail.clone() } else { fault.message(name, None) };
            let latency_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
            Handed::new(Probed { latency_ms, fault: Some(fault), message, detail, code, target })
        };
        let values = match self.open_secrets(row) {
            Ok(secrets) => values(self, &integration.config, &secrets).await,
            Err(error) => Err(error.detail),
        };
        let values = match values {
            Ok(values) => values,
            Err(detail) => return failed(Fault::Misconfigured, detail, None, String::new()),
        };
        let of = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
        let server = smtp_server(&values);
        let target = format!("{}:{}", server.host, server.port);
        let from = of("from_email");
        let domain = from.rsplit_once('@').map_or("signalbox", |(_, domain)| domain);
        let envelope = message::Envelope {
            from_name: of("from_name"),
            from,
            to: letter.to,
            message_id: format!("<{}@{domain}>", letter.name),
            unsubscribe_url: letter.unsubscribe_url.clone(),
        };
        let message = match message::write(envelope, letter.content) {
            Ok(message) => message,
            // It is about this message, and says nothing of the provider.
            Err(detail) => return Handed { is_permanent: true, ..failed(Fault::Rejected, detail, None, target) },
        };
        let limit = |name: &str| of(name).parse().unwrap_or(i64::MAX);
        let now = self.clock.now();
        match self.store.reserve_sending(integration.id, [limit("rate_limit_hour"), limit("rate_limit_day")], now).await
        {
            Ok(None) => {}
            Ok(Some(until)) => {
                let seconds = u32::try_from((until.millis() - now.millis()).div_euclid(1_000) + 1).unwrap_or(u32::MAX);
                let detail = rate_limited(seconds);
                return Handed { wait_until: Some(until), ..failed(Fault::RateLimited, detail, None, target) };
            }
            Err(error) => {
                tracing::error!(%error, "an e-mail waits for the database");
                let detail = "The database did not answer".to_owned();
                return Handed {
                    wait_until: Some(now.plus_ms(1_000)),
                    ..failed(Fault::Misconfigured, detail, None, target)
                };
            }
        }
        match server.send(&self.client, from, letter.to, &message, Instant::now() + smtp::DEADLINE).await {
            Ok(reply) => Handed::new(Probed {
                latency_ms: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
                fault: None,
                message: "Email sent successfully".to_owned(),
                detail: format!(
                    "To: {}\nSubject: {}\n{} {}",
                    letter.to, letter.content.subject, reply.code, reply.text
                ),
                code: Some(reply.code),
                target,
            }),
            Err(fault) => Handed {
                is_permanent: fault.is_permanent(),
                is_about_recipient: fault.stage == smtp::Stage::Recipient,
                is_ambiguous: fault.ambiguous,
                ..failed(fault.fault, fault.detail, fault.code, target)
            },
        }
    }

    /// Sends one plain text through an e-mail integration, at once.
    pub(crate) async fn send_mail(&self, row: &IntegrationRow, to: &str, subject: &str, text: &str) -> Probed {
        let content = RenderedEmail { subject: subject.to_owned(), text: text.to_owned(), html: String::new() };
        let letter = Letter { to, content: &content, name: secrets::token(&*self.entropy), unsubscribe_url: None };
        self.send_through(row, &letter).await.probed
    }
}
