//! Telling people: sends what waits in the outbox, and reminds.
//!
//! A message is taken by one node. A dead node's messages are taken back; one that it had sent and not yet said so is sent
//! twice, which is better than never.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    Channel, Transition,
    api::Integration,
    catalogue::{ConnectionKind, IntegrationType},
    health::Health,
    human_ms,
};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use storage::{DueNotice, IntegrationRow};
use url::Url;

use crate::{Inner, LiveEvent, http::Request, integrations};

/// How often the outbox is looked at when nobody calls.
const POLL: Duration = Duration::from_secs(1);
/// Messages that are sent at a time.
const BATCH: u32 = 20;
/// Tries of one message.
const TRIES: i64 = 8;
/// Before the second try, in milliseconds; doubles with each.
const FIRST_PAUSE_MS: i64 = 5_000;
/// Deadline of a post to Slack, in milliseconds.
const POST_MS: u32 = 10_000;

/// Runs until the engine stops.
pub(crate) async fn notify(inner: Arc<Inner>) {
    loop {
        let taken = match send_due(&inner).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%error, "messages about alerts wait for the database");
                0
            }
        };
        let pause = if taken == BATCH as usize { Duration::ZERO } else { POLL };
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.notifier.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn send_due(inner: &Arc<Inner>) -> storage::Result<usize> {
    let now = inner.clock.now();
    inner.store.remind_of_alerts(now, BATCH).await?;
    let due = inner.store.take_notices(inner.node(), now, BATCH).await?;
    let taken = due.len();
    let sending: Vec<_> = due
        .into_iter()
        .map(|notice| {
            let inner = Arc::clone(inner);
            inner.tasks.clone().spawn(async move { inner.tell(notice).await })
        })
        .collect();
    for task in sending {
        // A task that was cancelled leaves its message to be taken back.
        let _ = task.await;
    }
    // Nothing is in hand now: what this node still has by the database is what could not be stored, and is sent again.
    if taken > 0 {
        inner.store.release_notices(inner.node()).await?;
    }
    Ok(taken)
}

impl Inner {
    async fn tell(&self, due: DueNotice) {
        let outcome = match due.notice.channel {
            Channel::Email => self.mail(&due).await,
            Channel::Slack => self.post(&due).await,
        };
        let now = self.clock.now();
        let (error, again_at) = match outcome {
            Ok(()) => (None, None),
            Err(error) => {
                let pause_ms = FIRST_PAUSE_MS << (due.tries - 1).clamp(0, 10);
                let again = (due.tries < TRIES).then(|| now.plus_ms(pause_ms));
                tracing::warn!(%error, alert.id = %due.notice.alert, tries = due.tries, "nobody was told of an alert");
                (Some(error), again)
            }
        };
        if let Err(error) = self.store.settle_notice(self.node(), due.notice, error, again_at, now).await {
            tracing::error!(%error, "what became of a message about an alert is not stored");
        }
        self.live.send(due.organization, LiveEvent::Alerts);
    }

    /// By the e-mail integration that is in the best shape; what the alert is about comes last.
    async fn mail(&self, due: &DueNotice) -> Result<(), String> {
        let of_mail = |integration: &Integration| integration.kind == IntegrationType::Email;
        let rows = self.usable(due, of_mail).await?;
        let mut last = "There is no e-mail integration to send it through".to_owned();
        let (subject, text) = (subject(due), text(due, &self.config.public_url));
        for row in rows {
            let is_smtp = |id: &str| {
                self.providers.provider(id).is_some_and(|provider| provider.connection == ConnectionKind::Smtp)
            };
            if !is_smtp(&row.integration.provider) {
                continue;
            }
            let probed = self.send_mail(&row, &due.notice.target, &subject, &text).await;
            let Some(provider) = self.providers.provider(&row.integration.provider) else { continue };
            let kind = domain::api::LogKind::Send;
            self.record(due.organization, &row.integration, provider, &probed, None, kind).await;
            if probed.fault.is_none() {
                return Ok(());
            }
            last = format!("{}: {}", row.integration.name, probed.message);
        }
        Err(last)
    }

    /// To every Slack integration that works.
    async fn post(&self, due: &DueNotice) -> Result<(), String> {
        let of_chat = |integration: &Integration| integration.kind == IntegrationType::Chat;
        let mut last = Ok(());
        for row in self.usable(due, of_chat).await? {
            let secrets = self.open_secrets(&row).map_err(|error| error.detail)?;
            let values = integrations::values(self, &row.integration.config, &secrets).await?;
            let Some(url) = values.get("webhook_url").and_then(|text| Url::parse(text).ok()) else { continue };
            let message = format!("*{}*\n{}", subject(due), text(due, &self.config.public_url));
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let request = Request {
                url,
                method: Method::POST,
                headers,
                body: Bytes::from(serde_json::json!({"text": message}).to_string()),
                timeout_ms: POST_MS,
                max_body_bytes: 1024,
                exempt: None,
            };
            match self.client.send(request).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
                Ok(answer) => last = Err(format!("{} answered {}", row.integration.name, answer.status)),
                Err(failure) => last = Err(format!("{}: {failure}", row.integration.name)),
            }
        }
        // Without any, there is nobody to tell this way.
        last
    }

    /// Active integrations of a kind, the healthiest first.
    async fn usable(
        &self,
        due: &DueNotice,
        is_wanted: impl Fn(&Integration) -> bool,
    ) -> Result<Vec<IntegrationRow>, String> {
        let now = self.clock.now();
        let all = self.store.integrations(due.organization, now).await.map_err(|error| error.to_string())?;
        let is_active = |integration: &Integration| integration.state == domain::IntegrationState::Active;
        let mut found: Vec<_> = all.into_iter().filter(|one| is_active(one) && is_wanted(one)).collect();
        found.sort_by_key(|integration| {
            let is_subject = integration.id.to_string() == due.alert.subject;
            let rank = match integration.health {
                Health::Healthy => 0,
                Health::Unknown | Health::Degraded => 1,
                Health::Maintenance => 2,
                Health::Down => 3,
            };
            (is_subject, rank)
        });
        let mut rows = Vec::new();
        for integration in found {
            let row = self.store.integration(due.organization, integration.id, now).await;
            rows.extend(row.map_err(|error| error.to_string())?);
        }
        Ok(rows)
    }
}

fn subject(due: &DueNotice) -> String {
    let word = match due.notice.transition {
        Transition::Opened => match due.alert.severity {
            domain::Severity::Critical => "Critical",
            domain::Severity::Warning => "Warning",
            domain::Severity::Info => "Notice",
        },
        Transition::Reminded => "Reminder",
        Transition::Resolved => "Resolved",
    };
    format!("[{word}] {}", due.alert.title)
}

fn text(due: &DueNotice, public_url: &str) -> String {
    let alert = &due.alert;
    let mut lines = vec![alert.title.clone(), String::new()];
    if !alert.impact.is_empty() {
        lines.push(format!("Impact: {}", alert.impact));
    }
    lines.push(format!("Since: {}", alert.first_at));
    match alert.resolved_at {
        Some(at) => lines.push(format!("Over: {at}, after {}", human_ms(at.millis() - alert.first_at.millis()))),
        None if alert.occurrences > 1 => lines.push(format!("Noticed {} times", alert.occurrences)),
        None => {}
    }
    if !alert.detail.is_empty() {
        lines.extend([String::new(), alert.detail.clone()]);
    }
    lines.extend([String::new(), format!("{public_url}/alerts")]);
    lines.join("\n")
}
