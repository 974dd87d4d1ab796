//! The worker that sends what is queued.
//!
//! An e-mail that is due is taken by one node, which has it until what became of it is stored. One that may have arrived (the
//! server had all of it and said nothing, or the node went while it was handed over) is sent again only if whoever wrote it
//! allows that, or if others stand in for the integration, and is marked. What failed for the provider's sake goes on at once
//! through whoever stands in. A recipient that does not exist is not tried again, and gets nothing more.

use std::{sync::Arc, time::Duration};

use domain::{
    IntegrationId, OrganizationId, Timestamp,
    api::{EmailState, SuppressionReason},
    catalogue::Fault,
};
use storage::{EmailRow, IntegrationRow, SettledEmail};
use tokio::sync::Semaphore;

use super::Letter;
use crate::{
    Inner,
    failover::{Carried, Handed, Way, Work},
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
            worker.deliver_email(row).await;
            drop(permit);
            // There is room for the next one.
            worker.mailer.notify_one();
        });
    }
    Ok(taken)
}

/// A queued e-mail as a piece of work.
struct Queued<'e>(&'e EmailRow);

impl Work for Queued<'_> {
    const CHANNEL: &'static str = "email";
    const IS_STORED: bool = true;

    async fn ask(&self, inner: &Inner, member: &IntegrationRow) -> Handed {
        let EmailRow { email, content, organization, .. } = self.0;
        let category = email.category.as_deref();
        let letter = Letter {
            to: &email.to,
            content,
            name: email.id.to_string(),
            unsubscribe_url: category.map(|category| inner.unsubscribe_url(*organization, &email.to, category)),
        };
        inner.send_through(member, &letter).await
    }

    async fn repeat(&self, inner: &Inner) -> storage::Result<()> {
        inner.store.mark_duplicated(inner.node(), self.0.email.id).await
    }
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
        let way = self.way_of_channel(row.organization, email.integration_id, Queued::CHANNEL).await?;
        // Nobody else goes on with it where nobody stands in; sending it again would be this integration's.
        let may_repeat =
            row.allow_duplicate || matches!(&way, Some(Way::Through { is_grouped: true, .. } | Way::Wait { .. }));
        if email.possibly_sent && !may_repeat {
            let detail = "The process ended while it was handed over. It may have arrived, so it is not sent again.";
            return Ok(SettledEmail { possibly_sent: true, ..outcome(row, EmailState::Failed, detail) });
        }
        let category = email.category.as_deref();
        if let Some(reason) = self.store.unwanted(row.organization, &email.to, category).await? {
            return Ok(SettledEmail { counts: false, ..outcome(row, EmailState::Suppressed, &reason) });
        }
        match way {
            None => {
                let detail = "There is no active e-mail integration to send it through";
                Ok(self.deferred(row, Some(Fault::Misconfigured), detail))
            }
            Some(Way::Wait { until, primary, fault }) => {
                let detail = format!("Neither {primary} nor a backup works; it goes out when one of them does");
                Ok(put_off(row, until, &detail, Some(fault)))
            }
            Some(Way::Through { row: first, is_grouped }) => {
                let carried = self.carry(&Queued(row), first, is_grouped, may_repeat, email.possibly_sent).await?;
                Ok(self.settled(row, &carried, may_repeat))
            }
        }
    }

    /// What becomes of an e-mail that was handed over.
    fn settled(&self, row: &EmailRow, carried: &Carried, may_repeat: bool) -> SettledEmail {
        let Carried { member, handed, may_be_done: possibly_sent } = carried;
        let (probed, possibly_sent) = (&handed.probed, *possibly_sent);
        let settled = SettledEmail { integration: Some(member.integration.id), ..outcome(row, row.email.state, "") };
        if let Some(until) = handed.wait_until {
            let waiting = put_off(row, until, &probed.detail, probed.fault);
            return SettledEmail { integration: settled.integration, possibly_sent, ..waiting };
        }
        let detail = if probed.detail.is_empty() { probed.message.clone() } else { probed.detail.clone() };
        let Some(fault) = probed.fault else {
            let sent_at = Some(self.clock.now());
            return SettledEmail { state: EmailState::Sent, sent_at, detail, possibly_sent, ..settled };
        };
        let settled = SettledEmail { fault: Some(fault), possibly_sent, detail, ..settled };
        if handed.is_ambiguous && !may_repeat {
            return SettledEmail { state: EmailState::Failed, ..settled };
        }
        if handed.is_permanent {
            // Only a code about the address (RFC 3463: x.1.x) says that nobody will ever be reached there.
            let is_gone = handed.is_about_recipient && settled.detail.contains("5.1.");
            let suppress = is_gone.then_some(SuppressionReason::Bounce);
            let state = if handed.is_about_recipient { EmailState::Bounced } else { EmailState::Failed };
            return SettledEmail { state, suppress, ..settled };
        }
        let SettledEmail { state, next_try_at, .. } = self.deferred(row, Some(fault), "");
        SettledEmail { state, next_try_at, ..settled }
    }

    /// Tried again after a pause, or given up.
    fn deferred(&self, row: &EmailRow, fault: Option<Fault>, detail: &str) -> SettledEmail {
        let tried = usize::try_from(row.email.tries - 1).unwrap_or_default();
        let next_try_at = PAUSES_MS.get(tried).map(|pause| self.clock.now().plus_ms(*pause));
        let state = if next_try_at.is_some() { EmailState::Deferred } else { EmailState::Failed };
        SettledEmail { next_try_at, fault, ..outcome(row, state, detail) }
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
