//! What a channel is beside the word in its providers' files: one trait. A piece of work is asked of a member, what comes of it
//! is judged, and what failed for the provider's sake goes on through others.
//!
//! It knows no channel and no provider. Which work may be done twice is data (`domain::failover::Repeat`).

use std::future::Future;

use domain::{
    IntegrationId, OrganizationId, Timestamp,
    api::{ApiError, ErrorCode, LogKind},
    catalogue::{Fault, Provider},
    failover::Repeat,
};
use storage::IntegrationRow;
use tokio::time::Instant;

use super::Way;
use crate::{
    Inner,
    integrations::{Probed, Right, Values, Wrong, found, values},
};

/// One piece of work of a channel.
pub(crate) trait Work: Sync {
    /// The channel whose members can do it.
    const CHANNEL: &'static str;
    /// Whether it is stored and tried again when it failed. What is not cannot wait until work has moved: it goes on at once
    /// through any member that is not known to fail.
    const IS_STORED: bool;

    /// Asks a member to do it, within a deadline.
    fn ask(&self, inner: &Inner, member: &IntegrationRow) -> impl Future<Output = Handed> + Send;

    /// It is about to be done again although it may have been done.
    fn repeat(&self, _: &Inner) -> impl Future<Output = storage::Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What became of asking a member.
pub(crate) struct Handed {
    /// How it went, as a result of real work.
    pub probed: Probed,
    /// This piece of work was refused, and would be again.
    pub is_permanent: bool,
    /// What was refused was the recipient.
    pub is_about_recipient: bool,
    /// It may have been done, although nobody said so.
    pub is_ambiguous: bool,
    /// A limit is spent: nothing was tried, and this is when there is room.
    pub wait_until: Option<Timestamp>,
}

/// What that means for the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is done.
    Done,
    /// Nothing was tried yet.
    Waits,
    /// The provider failed: others may do it.
    ProviderFailed,
    /// The request was refused for what it asks: others would refuse it too.
    RequestRefused,
    /// It may be done.
    Uncertain,
}

impl Handed {
    pub(crate) const fn new(probed: Probed) -> Self {
        Self { probed, is_permanent: false, is_about_recipient: false, is_ambiguous: false, wait_until: None }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.probed.fault {
            _ if self.wait_until.is_some() => Verdict::Waits,
            None => Verdict::Done,
            Some(_) if self.is_ambiguous => Verdict::Uncertain,
            Some(fault) if fault.is_providers() => Verdict::ProviderFailed,
            Some(_) => Verdict::RequestRefused,
        }
    }

    /// What to tell who asked for work that is not stored, and was not done. `field` is what a refusal is about.
    pub(crate) fn refusal(&self, field: &str, now: Timestamp) -> ApiError {
        let Probed { message, detail, .. } = &self.probed;
        let said =
            if detail.is_empty() || detail == message { message.clone() } else { format!("{message}: {detail}") };
        match self.verdict() {
            Verdict::RequestRefused => domain::Problems::one(field, said).into(),
            _ => unavailable(said, self.wait_until, now),
        }
    }
}

/// Nobody can do it now. `until` is when it is worth trying again.
pub(crate) fn unavailable(detail: String, until: Option<Timestamp>, now: Timestamp) -> ApiError {
    const SOON_S: u32 = 30;
    let seconds = |until: Timestamp| u32::try_from(until.since_ms(now).div_euclid(1_000) + 1).unwrap_or(SOON_S);
    ApiError {
        retry_after_s: Some(until.map_or(SOON_S, |until| seconds(until).max(1))),
        ..ApiError::new(ErrorCode::Unavailable, detail)
    }
}

/// How a piece of work ended.
pub(crate) struct Carried {
    /// Who was asked last.
    pub member: Box<IntegrationRow>,
    /// What became of that.
    pub handed: Handed,
    /// Somebody who was asked before, or this one, may have done it without saying so.
    pub may_be_done: bool,
}

/// What an integration says of itself, opened for one piece of work.
pub(crate) struct Opened<'p> {
    pub provider: &'p Provider,
    pub values: Values,
    /// Secrets, to be taken out of what is kept.
    hidden: Vec<String>,
    began: Instant,
}

impl Opened<'_> {
    /// What came of asking, as a piece of work. `good` is said of one that was done.
    pub(crate) fn handed(self, target: String, outcome: Result<Right, Wrong>, good: impl FnOnce() -> String) -> Handed {
        let is_ambiguous = outcome.as_ref().err().is_some_and(|wrong| wrong.is_ambiguous);
        let probed = found(self.provider, self.began, target, &self.hidden, outcome, good);
        let is_permanent = probed.fault == Some(Fault::Rejected);
        Handed { is_permanent, is_ambiguous, ..Handed::new(probed) }
    }
}

impl Inner {
    /// Opens the settings of an integration for a piece of work. An error is one that keeps it from being tried.
    pub(crate) async fn open(&self, member: &IntegrationRow) -> Result<Opened<'_>, Handed> {
        let began = Instant::now();
        let misconfigured = |detail: String| {
            Handed::new(Probed {
                latency_ms: 0,
                fault: Some(Fault::Misconfigured),
                message: detail,
                detail: String::new(),
                code: None,
                target: String::new(),
            })
        };
        let integration = &member.integration;
        let provider = self.providers.provider(&integration.provider).map(AsRef::as_ref);
        let provider = provider.ok_or_else(|| misconfigured("This version does not know its provider".to_owned()))?;
        let secrets = self.open_secrets(member).map_err(|error| misconfigured(error.detail))?;
        let values = values(self, &integration.config, &secrets).await.map_err(misconfigured)?;
        let hidden = secrets.keys().filter_map(|name| values.get(name).cloned()).collect();
        Ok(Opened { provider, values, hidden, began })
    }

    /// Has a piece of work done by `first`, and goes on through others for as long as that helps. `may_repeat` allows to do it
    /// again although it may have been done, beyond what its channel allows; `may_be_done`: that is so already.
    pub(crate) async fn carry<W: Work>(
        &self,
        work: &W,
        first: Box<IntegrationRow>,
        is_grouped: bool,
        may_repeat: bool,
        mut may_be_done: bool,
    ) -> storage::Result<Carried> {
        let may_repeat = may_repeat || Repeat::of(W::CHANNEL) != Repeat::Never;
        let (mut member, mut tried) = (first, Vec::new());
        loop {
            if may_be_done {
                work.repeat(self).await?;
            }
            let organization = member.organization;
            let handed = work.ask(self, &member).await;
            let verdict = handed.verdict();
            if verdict != Verdict::Waits
                && let Some(provider) = self.providers.provider(&member.integration.provider)
            {
                let kind = LogKind::Send;
                self.record(organization, &member.integration, provider, &handed.probed, None, kind).await;
            }
            tried.push(member.integration.id);
            may_be_done |= handed.is_ambiguous;
            let goes_on = match verdict {
                Verdict::ProviderFailed => is_grouped,
                Verdict::Uncertain => is_grouped && may_repeat,
                Verdict::Done | Verdict::Waits | Verdict::RequestRefused => false,
            };
            match if goes_on { self.next::<W>(organization, &tried).await? } else { None } {
                Some(next) => member = next,
                None => return Ok(Carried { member, handed, may_be_done }),
            }
        }
    }

    /// Who goes on with a piece of work that `tried` could not do.
    async fn next<W: Work>(
        &self,
        organization: OrganizationId,
        tried: &[IntegrationId],
    ) -> storage::Result<Option<Box<IntegrationRow>>> {
        let Some(asked) = tried.last() else { return Ok(None) };
        if let Some(Way::Through { row, .. }) = self.way(organization, *asked).await?
            && !tried.contains(&row.integration.id)
        {
            return Ok(Some(row));
        }
        if W::IS_STORED {
            return Ok(None);
        }
        let Some(group) = self.store.failover_of(organization, *asked).await? else { return Ok(None) };
        let able = group.able();
        let is_left = |id: &IntegrationId| {
            able.contains(id) && !tried.contains(id) && group.board.member(*id).is_some_and(|it| !it.is_open)
        };
        let Some(id) = group.board.members.iter().map(|member| member.id).find(is_left) else { return Ok(None) };
        Ok(self.store.integration(organization, id, self.clock.now()).await?.map(Box::new))
    }
}
