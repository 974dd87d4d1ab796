//! What providers say of e-mails that they took: verified by each provider's own scheme, then read.
//!
//! Whoever calls is unknown, and the address is no secret: without a valid signature nothing is read, and without a key to
//! verify with everything is refused. What is not about an e-mail that the integration has sent changes nothing.

mod dsn;
mod report;
mod signed;
mod sns;

use domain::{
    IntegrationId, Permission, Timestamp,
    api::{ApiError, ErrorCode},
    catalogue::EventScheme,
};
use http::HeaderMap;
use storage::{EmailNews, EmailNewsKind};

use crate::{Actor, Engine, LiveEvent, Result, error::refused, integrations::values};

/// One thing that a provider says, before it is known of which e-mail of ours.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    /// The `Message-ID`, when the provider names it.
    message_id: Option<String>,
    /// The recipient.
    to: String,
    kind: EmailNewsKind,
    detail: String,
}

/// A request of a provider.
struct Call<'c> {
    headers: &'c HeaderMap,
    body: &'c [u8],
    key: &'c str,
}

impl Call<'_> {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Engine {
    /// Takes what the provider of an integration says of its e-mails. `provider` is the one that the address names. Answers
    /// how many e-mails it was about.
    pub async fn hear_of_emails(
        &self,
        provider: &str,
        id: IntegrationId,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<u64> {
        let now = self.now();
        let not_found = || ApiError::not_found("Integration");
        let row = self.inner.store.integration_called(id, now).await.map_err(refused)?.ok_or_else(not_found)?;
        let known = self.inner.providers.provider(provider).filter(|known| known.id == row.integration.provider);
        let events = known.and_then(|provider| provider.events.as_ref()).ok_or_else(not_found)?;
        let secrets = self.inner.open_secrets(&row)?;
        let values = values(&self.inner, &row.integration.config, &secrets).await;
        let key = values.ok().and_then(|mut values| values.remove(&events.key_field)).filter(|key| !key.is_empty());
        let unverified = || ApiError::new(ErrorCode::Unauthorized, "The signature of the request is not valid.");
        let call = Call { headers, body, key: &key.ok_or_else(unverified)? };
        let said = match events.scheme {
            EventScheme::Sendgrid => signed::sendgrid(&call).then(|| report::sendgrid(body)),
            EventScheme::Mailgun => signed::mailgun(&call).then(|| report::mailgun(body)),
            EventScheme::Postmark => signed::postmark(&call).then(|| report::postmark(body)),
            EventScheme::Sns => sns::notified(&self.inner.client, &call).await,
        };
        let said = said.ok_or_else(unverified)?;
        let said =
            said.ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, "The body is not what it should be."))?;
        let news = said.into_iter().map(|said| news(said, now)).collect();
        let heard = self.inner.store.hear_of_emails(row.organization, id, news).await.map_err(refused)?;
        if heard > 0 {
            self.inner.live.send(row.organization, LiveEvent::Emails);
        }
        Ok(heard)
    }
}

impl Engine {
    /// Takes a message that says that e-mails did not arrive (RFC 3464). Answers how many it was about.
    pub async fn hear_of_bounce(&self, actor: &Actor, message: &[u8]) -> Result<u64> {
        actor.require(Permission::SendEmails)?;
        let mut heard = 0;
        for said in dsn::read(message) {
            let news = news(said, self.now());
            let Some(id) = news.id else { continue };
            let found = self.inner.store.email(actor.organization, id).await.map_err(refused)?;
            let Some(integration) = found.and_then(|row| row.email.integration_id) else { continue };
            let stored = self.inner.store.hear_of_emails(actor.organization, integration, vec![news]).await;
            heard += stored.map_err(refused)?;
        }
        if heard > 0 {
            self.inner.live.send(actor.organization, LiveEvent::Emails);
        }
        Ok(heard)
    }
}

fn news(said: Said, at: Timestamp) -> EmailNews {
    let id = said.message_id.and_then(|id| id.trim_matches(['<', '>', ' ']).split('@').next()?.parse().ok());
    let detail = said.detail.chars().filter(|c| !c.is_control()).take(500).collect();
    EmailNews { id, to: said.to.trim().to_lowercase(), kind: said.kind, detail, at }
}
