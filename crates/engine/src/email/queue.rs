//! The worker that sends what is queued.
//!
//! An e-mail that is due is taken by one node, which has it until what became of it is stored. One that may have arrived (the
//! server had all of it and said nothing, or the node went while it was handed over) is sent again only if whoever wrote it
//! allows that, or if others stand in for the integration, and is marked. What failed for the provider's sake goes on at once
//! through whoever stands in. A recipient that does not exist is not tried again, and gets nothing more.

use std::{sync::Arc, time::Duration};

use domain::{
    IntegrationId, OrganizationId, Timestamp,
    api::{EmailState, LogKind, SuppressionReason},
    catalogue::{ConnectionKind, Fault, IntegrationType},
};
use storage::{EmailRow, IntegrationRow, SettledEmail};
use tokio::sync::Semaphore;

use super::Letter;
use crate::{
    Inner,
    failover::{Way, is_repeated},
};

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
        let failed_at = settled.integration.filter(|_| settled.state == EmailState::Deferred);
        match self.store.settle_email(node, organization, settled, self.clock.now()).await {
            Ok(true) => self.live.send(organization, crate::LiveEvent::Emails),
            Ok(false) => tracing::warn!(email.id = %id, "an e-mail was taken from this node while it was sent"),
            Err(error) => {
                tracing::error!(%error, email.id = %id, "what became of an e-mail is not stored; it may be sent again");
            }
        }
        if let Some(integration) = failed_at
            && let Err(error) = self.hasten_if_moved(organization, integration).await
        {
            tracing::warn!(%error, email.id = %id, "an e-mail waits for its time although others can send it");
        }
    }

    /// Work may have moved away from an integration while what had failed there was not stored yet.
    async fn hasten_if_moved(&self, organization: OrganizationId, from: IntegrationId) -> storage::Result<()> {
        if let Some(Way::Through { row, .. }) = self.way(organization, from).await?
            && row.integration.id != from
            && self.store.hasten_emails(organization, vec![from], self.clock.now()).await? > 0
        {
            self.mailer.notify_one();
        }
        Ok(())
    }

    async fn try_to_send(&self, row: &EmailRow) -> storage::Result<SettledEmail> {
        let email = &row.email;
        let way = self.sender(row).await?;
        let is_repeatable = row.allow_duplicate
            || matches!(&way, Some(Way::Through { row, is_grouped }) if is_repeated(self, row, *is_grouped))
            || matches!(&way, Some(Way::Wait { .. }));
        if email.possibly_sent && !is_repeatable {
            let detail = "The process ended while it was handed over. It may have arrived, so it is not sent again.";
            return Ok(SettledEmail { possibly_sent: true, ..outcome(row, EmailState::Failed, detail) });
        }
        let category = email.category.as_deref();
        if let Some(reason) = self.store.unwanted(row.organization, &email.to, category).await? {
            return Ok(SettledEmail { counts: false, ..outcome(row, EmailState::Suppressed, &reason) });
        }
        let mut tried = Vec::new();
        let mut last = match way {
            None => {
                let detail = "There is no active e-mail integration to send it through";
                return Ok(self.deferred(row, Some(Fault::Misconfigured), detail));
            }
            Some(Way::Wait { until, detail, fault }) => return Ok(put_off(row, until, &detail, Some(fault))),
            Some(Way::Through { row: integration, is_grouped }) => {
                tried.push(integration.integration.id);
                (self.try_through(row, &integration, is_repeatable, email.possibly_sent).await?, is_grouped)
            }
        };
        // What failed for the provider's sake goes on through whoever stands in since.
        while let (SettledEmail { state: EmailState::Deferred, counts: true, fault: Some(fault), .. }, true) = &last
            && fault.is_providers()
            && let Some(asked) = tried.last()
            && let Some(Way::Through { row: next, is_grouped }) = self.way(row.organization, *asked).await?
            && !tried.contains(&next.integration.id)
        {
            tried.push(next.integration.id);
            let may_have_arrived = email.possibly_sent || last.0.possibly_sent;
            last = (self.try_through(row, &next, is_repeatable, may_have_arrived).await?, is_grouped);
        }
        Ok(last.0)
    }

    /// Hands it to one integration. `may_have_arrived`: an earlier try of it may have succeeded, so this one is marked.
    async fn try_through(
        &self,
        row: &EmailRow,
        integration: &IntegrationRow,
        is_repeatable: bool,
        may_have_arrived: bool,
    ) -> storage::Result<SettledEmail> {
        let email = &row.email;
        if may_have_arrived {
            self.store.mark_duplicated(self.node(), email.id).await?;
        }
        let category = email.category.as_deref();
        let letter = Letter {
            to: &email.to,
            content: &row.content,
            name: email.id.to_string(),
            unsubscribe_url: category.map(|category| self.unsubscribe_url(row.organization, &email.to, category)),
        };
        let handed = self.send_through(integration, &letter).await;
        let probed = &handed.probed;
        let settled = SettledEmail { integration: Some(integration.integration.id), ..outcome(row, email.state, "") };
        let possibly_sent = handed.is_ambiguous || may_have_arrived;
        if let Some(until) = handed.wait_until {
            let waiting = put_off(row, until, &probed.detail, probed.fault);
            return Ok(SettledEmail { integration: settled.integration, possibly_sent, ..waiting });
        }
        if let Some(provider) = self.providers.provider(&integration.integration.provider) {
            self.record(row.organization, &integration.integration, provider, probed, None, LogKind::Send).await;
        }
        let detail = if probed.detail.is_empty() { probed.message.clone() } else { probed.detail.clone() };
        let Some(fault) = probed.fault else {
            let sent_at = Some(self.clock.now());
            return Ok(SettledEmail { state: EmailState::Sent, sent_at, detail, possibly_sent, ..settled });
        };
        let settled = SettledEmail { fault: Some(fault), possibly_sent, detail, ..settled };
        if handed.is_ambiguous && !is_repeatable {
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

    /// The way through the integration that was named, or through the first one by name that can. Who only stands in for
    /// others comes last.
    async fn sender(&self, row: &EmailRow) -> storage::Result<Option<Way>> {
        let is_able = |way: &Way| match way {
            Way::Wait { .. } => true,
            Way::Through { row, .. } => {
                let provider = self.providers.provider(&row.integration.provider);
                provider.is_some_and(|provider| provider.connection == ConnectionKind::Smtp)
            }
        };
        if let Some(id) = row.email.integration_id {
            return Ok(self.way(row.organization, id).await?.filter(is_able));
        }
        let members = self.store.failover_members(row.organization).await?;
        let mut all = self.store.integrations(row.organization, self.clock.now()).await?;
        all.sort_by_key(|integration| members.contains(&(integration.id, false)));
        for integration in all.iter().filter(|integration| integration.kind == IntegrationType::Email) {
            let found = self.way(row.organization, integration.id).await?.filter(is_able);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Nothing was tried: it waits until then.
fn put_off(row: &EmailRow, until: Timestamp, detail: &str, fault: Option<Fault>) -> SettledEmail {
    SettledEmail { counts: false, next_try_at: Some(until), fault, ..outcome(row, EmailState::Deferred, detail) }
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
