//! The worker that sends what is queued.
//!
//! An e-mail that is due is taken by one node, which has it until what became of it is stored. One that may have arrived (the
//! server had all of it and said nothing, or the node went while it was handed over) is sent again only if whoever wrote it
//! allows that, and is marked. A recipient that does not exist is not tried again, and gets nothing more.

use std::{sync::Arc, time::Duration};

use domain::{
    IntegrationState,
    api::{EmailState, LogKind, SuppressionReason},
    catalogue::{ConnectionKind, Fault, IntegrationType},
};
use storage::{EmailRow, IntegrationRow, SettledEmail};
use tokio::sync::Semaphore;

use super::Letter;
use crate::Inner;

/// E-mails of one node that are handed over at a time.
const AT_ONCE: usize = 16;
/// E-mails that are taken in one go.
const BATCH: u32 = 16;
/// Longest pause between two looks.
const POLL: Duration = Duration::from_secs(1);
/// Pauses after each failed try, in milliseconds; after the last one it is given up.
const PAUSES_MS: [i64; 7] = [30_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 43_200_000];

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let pause = match take(&inner, &room).await {
            Ok(taken) if taken >= BATCH as usize => Duration::ZERO,
            Ok(_) => POLL,
            Err(error) => {
                tracing::error!(%error, "e-mails wait for the database");
                POLL
            }
        };
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.mailer.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn take(inner: &Arc<Inner>, room: &Arc<Semaphore>) -> storage::Result<usize> {
    let free = u32::try_from(room.available_permits()).unwrap_or(BATCH).min(BATCH);
    let now = inner.clock.now();
    // A look costs a reader; only work costs the writer.
    if free == 0 || inner.store.next_email_at().await?.is_none_or(|due| due > now) {
        return Ok(0);
    }
    let due = inner.store.take_emails(inner.node(), now, free).await?;
    let taken = due.len();
    for row in due {
        let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
        let worker = Arc::clone(inner);
        inner.tasks.spawn(async move {
            let _permit = permit;
            worker.deliver_email(row).await;
        });
    }
    Ok(taken)
}

impl Inner {
    async fn deliver_email(&self, row: EmailRow) {
        let node = self.node();
        let id = row.email.id;
        if self.stopping.is_cancelled() {
            if let Err(error) = self.store.release_email(node, id).await {
                tracing::warn!(%error, email.id = %id, "an e-mail is not given back; it is taken back when this node is gone");
            }
            return;
        }
        let organization = row.organization;
        let settled = match self.try_to_send(&row).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::error!(%error, email.id = %id, "an e-mail waits for the database");
                let waiting = outcome(&row, EmailState::Deferred, "The database did not answer");
                SettledEmail { counts: false, next_try_at: Some(self.clock.now().plus_ms(1_000)), ..waiting }
            }
        };
        match self.store.settle_email(node, organization, settled, self.clock.now()).await {
            Ok(true) => self.live.send(organization, crate::LiveEvent::Emails),
            Ok(false) => tracing::warn!(email.id = %id, "an e-mail was taken from this node while it was sent"),
            Err(error) => {
                tracing::error!(%error, email.id = %id, "what became of an e-mail is not stored; it may be sent again");
            }
        }
    }

    async fn try_to_send(&self, row: &EmailRow) -> storage::Result<SettledEmail> {
        let email = &row.email;
        let node = self.node();
        if email.possibly_sent && !row.allow_duplicate {
            let detail = "The process ended while it was handed over. It may have arrived, so it is not sent again.";
            return Ok(SettledEmail { possibly_sent: true, ..outcome(row, EmailState::Failed, detail) });
        }
        let category = email.category.as_deref();
        if let Some(reason) = self.store.unwanted(row.organization, &email.to, category).await? {
            return Ok(SettledEmail { counts: false, ..outcome(row, EmailState::Suppressed, &reason) });
        }
        let Some(integration) = self.sender(row).await? else {
            let detail = "There is no active e-mail integration to send it through";
            return Ok(self.deferred(row, Some(Fault::Misconfigured), detail));
        };
        if email.possibly_sent {
            self.store.mark_duplicated(node, email.id).await?;
        }
        let letter = Letter {
            to: &email.to,
            content: &row.content,
            name: email.id.to_string(),
            unsubscribe_url: category.map(|category| self.unsubscribe_url(row.organization, &email.to, category)),
        };
        let handed = self.send_through(&integration, &letter).await;
        let probed = &handed.probed;
        let settled = SettledEmail { integration: Some(integration.integration.id), ..outcome(row, email.state, "") };
        if let Some(until) = handed.wait_until {
            let detail = probed.detail.clone();
            let fault = probed.fault;
            return Ok(SettledEmail { counts: false, next_try_at: Some(until), detail, fault, ..settled });
        }
        if let Some(provider) = self.providers.provider(&integration.integration.provider) {
            self.record(row.organization, &integration.integration, provider, probed, None, LogKind::Send).await;
        }
        let detail = if probed.detail.is_empty() { probed.message.clone() } else { probed.detail.clone() };
        let Some(fault) = probed.fault else {
            let sent_at = Some(self.clock.now());
            return Ok(SettledEmail { state: EmailState::Sent, sent_at, detail, ..settled });
        };
        let settled = SettledEmail { fault: Some(fault), possibly_sent: handed.is_ambiguous, detail, ..settled };
        if handed.is_ambiguous && !row.allow_duplicate {
            return Ok(SettledEmail { state: EmailState::Failed, ..settled });
        }
        if handed.is_permanent {
            // Only a code about the address (RFC 3463: x.1.x) says that nobody will ever be reached there.
            let is_gone = handed.is_about_recipient && settled.detail.contains("5.1.");
            let suppress = is_gone.then_some(SuppressionReason::Bounce);
            let state = if handed.is_about_recipient { EmailState::Bounced } else { EmailState::Failed };
            return Ok(SettledEmail { state, suppress, ..settled });
        }
        let SettledEmail { state, next_try_at, .. } = self.deferred(row, Some(fault), "");
        Ok(SettledEmail { state, next_try_at, ..settled })
    }

    /// Tried again after a pause, or given up.
    fn deferred(&self, row: &EmailRow, fault: Option<Fault>, detail: &str) -> SettledEmail {
        let tried = usize::try_from(row.email.tries - 1).unwrap_or_default();
        let next_try_at = PAUSES_MS.get(tried).map(|pause| self.clock.now().plus_ms(*pause));
        let state = if next_try_at.is_some() { EmailState::Deferred } else { EmailState::Failed };
        SettledEmail { next_try_at, fault, ..outcome(row, state, detail) }
    }

    /// The integration that is to send it: the one that was named, or the first active one by name.
    async fn sender(&self, row: &EmailRow) -> storage::Result<Option<IntegrationRow>> {
        let now = self.clock.now();
        let is_able = |row: &IntegrationRow| {
            let provider = self.providers.provider(&row.integration.provider);
            row.integration.state == IntegrationState::Active
                && provider.is_some_and(|provider| provider.connection == ConnectionKind::Smtp)
        };
        if let Some(id) = row.email.integration_id {
            return Ok(self.store.integration(row.organization, id, now).await?.filter(is_able));
        }
        for integration in self.store.integrations(row.organization, now).await? {
            if integration.kind != IntegrationType::Email || integration.state != IntegrationState::Active {
                continue;
            }
            let found = self.store.integration(row.organization, integration.id, now).await?.filter(is_able);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// An outcome after which nothing more happens; what differs is laid over it.
fn outcome(row: &EmailRow, state: EmailState, detail: &str) -> SettledEmail {
    SettledEmail {
        id: row.email.id,
        state,
        counts: true,
        next_try_at: None,
        integration: None,
        detail: detail.to_owned(),
        fault: None,
        possibly_sent: row.email.possibly_sent,
        sent_at: None,
        suppress: None,
    }
}
