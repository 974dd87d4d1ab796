//! Text messages: handed to a provider at once, and never twice.
//!
//! Nothing is stored and nothing is queued: the answer says who has the message. One whose fate is unknown is not sent again,
//! because the recipient pays for it with attention; it is reported as uncertain.

use domain::{
    Permission, Problems,
    api::{ApiError, RenderedEmail, SentSms, SmsDraft, SmsState},
    catalogue::{Fault, Handover, fill},
};
use storage::IntegrationRow;

use crate::{
    Actor, Engine, Inner, Result,
    email::Letter,
    error::refused,
    failover::{Carried, Handed, Verdict, Way, Work, unavailable},
    integrations::{Call, Wrong, judged},
    secrets,
};

/// A text message as a piece of work.
struct Sms<'m> {
    to: &'m str,
    text: &'m str,
}

impl Work for Sms<'_> {
    const CHANNEL: &'static str = "sms";
    const IS_STORED: bool = false;

    async fn ask(&self, inner: &Inner, member: &IntegrationRow) -> Handed {
        let mut opened = match inner.open(member).await {
            Ok(opened) => opened,
            Err(handed) => return handed,
        };
        let digits = self.to.trim_start_matches('+');
        for (name, value) in [("to", self.to), ("digits", digits), ("text", self.text)] {
            opened.values.insert(name.to_owned(), value.to_owned());
        }
        let mut target = String::new();
        let outcome = match &opened.provider.handover {
            Some(Handover::Smtp { to }) => match fill(to, &opened.values) {
                Some(to) => return as_email(inner, member, &to, self.text).await,
                None => Err(Wrong::new(Fault::Misconfigured, format!("A value is missing in {to}"))),
            },
            Some(Handover::Http { url, basic, headers, form }) => {
                let call = Call { method: "POST", url, headers, basic: basic.as_ref(), body: None, form };
                call.send(inner, &opened.values, &mut target).await.and_then(|answer| judged(&answer))
            }
            Some(Handover::S3 | Handover::Folder) | None => {
                let name = &opened.provider.name;
                Err(Wrong::new(Fault::Misconfigured, format!("{name} does not send text messages")))
            }
        };
        opened.handed(target, outcome, || format!("Text message to {} handed over", self.to))
    }
}

async fn as_email(inner: &Inner, member: &IntegrationRow, to: &str, text: &str) -> Handed {
    let content = RenderedEmail { subject: String::new(), text: text.to_owned(), html: String::new() };
    let letter = Letter { to, content: &content, name: secrets::token(&*inner.entropy), unsubscribe_url: None };
    inner.send_through(member, &letter).await
}

impl Engine {
    /// Sends a text message. An error means that nobody has it.
    pub async fn send_sms(&self, actor: &Actor, draft: SmsDraft) -> Result<SentSms> {
        actor.require(Permission::SendSms)?;
        draft.check()?;
        let work = Sms { to: &draft.to, text: &draft.text };
        let Carried { member, handed, .. } = self.carry_now(actor, &work, draft.integration_id).await?;
        let state = match handed.verdict() {
            Verdict::Done => SmsState::Sent,
            Verdict::Uncertain => SmsState::Uncertain,
            _ => return Err(handed.refusal("to", self.now())),
        };
        Ok(SentSms {
            state,
            integration_id: member.integration.id,
            integration_name: member.integration.name,
            detail: handed.probed.detail,
        })
    }

    /// Has work that is not stored done now: by the integration that was named, or by the first that can.
    pub(crate) async fn carry_now<W: Work>(
        &self,
        actor: &Actor,
        work: &W,
        named: Option<domain::IntegrationId>,
    ) -> Result<Carried> {
        let (inner, organization) = (&self.inner, actor.organization);
        let mut disabled = None;
        if let Some(id) = named {
            let integration = self.find_integration(organization, id).await?.integration;
            if !inner.is_of_channel(&integration, W::CHANNEL) {
                let message = format!("{} is no integration for {}", integration.name, W::CHANNEL);
                return Err(Problems::one("integration_id", message).into());
            }
            disabled = Some(format!("{} is disabled, and nobody stands in for it.", integration.name));
        }
        match inner.way_of_channel(organization, named, W::CHANNEL).await.map_err(refused)? {
            Some(Way::Through { row, is_grouped }) => {
                inner.carry(work, row, is_grouped, false, false).await.map_err(refused)
            }
            Some(Way::Wait { until, primary, .. }) => {
                let detail = format!("Neither {primary} nor a backup works. Nothing was done; try again then.");
                Err(unavailable(detail, Some(until), self.now()))
            }
            None => Err(disabled.map_or_else(
                || ApiError::not_found(&format!("Active integration for {}", W::CHANNEL)),
                |detail| ApiError::new(domain::api::ErrorCode::Conflict, detail),
            )),
        }
    }
}
