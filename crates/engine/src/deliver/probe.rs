//! Endpoints that fail: their webhooks are disabled, and tried now and then to see whether they are back.
//!
//! A webhook is disabled when so many tries in a row failed as its options say, or at once when its receiver answered 410.
//! In the first case its deliveries queue up, and one of them is tried as a probe: after a minute, then after twice as
//! long each time, up to an hour. A probe that succeeds enables the webhook, and what was held is sent. After a 410 only
//! a person enables it.

use std::{sync::Arc, time::Duration};

use domain::{OrganizationId, Timestamp, WebhookId, WebhookState};
use storage::NewAudit;

use super::Job;
use crate::{Inner, LiveEvent, routing::Endpoint, stopped_within};

/// From disabling to the first probe, in milliseconds.
const FIRST_MS: i64 = 60_000;
/// Longest time between two probes, in milliseconds.
const LONGEST_MS: i64 = 3_600_000;
/// How often it is looked for probes that are due.
const POLL: Duration = Duration::from_secs(1);

/// From the probe with this number, counted from 0, to the next, in milliseconds.
fn pause_ms(probes: u32) -> i64 {
    FIRST_MS.saturating_mul(1_i64.checked_shl(probes + 1).unwrap_or(i64::MAX)).clamp(FIRST_MS, LONGEST_MS)
}

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    while !stopped_within(&inner, POLL).await {
        let now = inner.clock.now();
        let snapshot = inner.routing.current();
        for endpoint in snapshot.endpoints() {
            if let Some(due_at) = endpoint.probe_at
                && due_at <= now
                && let Err(error) = probe(&inner, endpoint, due_at, now).await
            {
                tracing::warn!(%error, webhook.id = %endpoint.webhook, "an endpoint that failed was not tried again");
                inner.unsure.notify_one();
            }
        }
    }
}

/// Sends one held delivery, if this node is the first that wants to.
async fn probe(inner: &Arc<Inner>, endpoint: &Endpoint, due_at: Timestamp, now: Timestamp) -> storage::Result<()> {
    let next_at = now.plus_ms(pause_ms(endpoint.probes));
    if !inner.store.begin_probe(endpoint.organization, endpoint.webhook, due_at, next_at).await? {
        return inner.refresh_routing().await;
    }
    inner.refresh_routing().await?;
    let _leasing = inner.leasing.read().await;
    let node = inner.node();
    let claimed = if endpoint.options.ordered {
        inner.store.claim_in_order(node, endpoint.webhook, 1, now).await?.0
    } else {
        // Waiting for its retry is no reason to spare a delivery: its webhook would be tried by now.
        let any_due = now.plus_ms(LONGEST_MS * 24 * 8);
        inner.store.claim(node, vec![endpoint.webhook], 1, any_due).await?
    };
    {
        let mut lanes = inner.lanes();
        for claimed in claimed {
            let job = Job { probe: true, ..Job::claimed(claimed, node) };
            let bytes = job.bytes();
            lanes.admit(inner.rules(endpoint), job.webhook, job, bytes);
        }
    }
    inner.pump();
    Ok(())
}

impl Inner {
    /// What follows from a series of failures that is now `failures` long and was shorter by `grew` before.
    pub(crate) fn judge_failures(self: &Arc<Self>, webhook: WebhookId, failures: i64, grew: i64) {
        let snapshot = self.routing.current();
        let Some(endpoint) = snapshot.endpoint(webhook).filter(|endpoint| endpoint.state == WebhookState::Active)
        else {
            return;
        };
        let options = endpoint.options;
        if options.disables_at(failures) {
            let (inner, organization) = (Arc::clone(self), endpoint.organization);
            self.workers
                .spawn(async move { inner.disable_failing(organization, webhook, options.disable_after).await });
        } else if options.warns_at(failures) && !options.warns_at(failures - grew) {
            tracing::warn!(webhook.id = %webhook, failures, disabled_at = options.disable_after, "an endpoint keeps failing");
        }
    }

    async fn disable_failing(&self, organization: OrganizationId, webhook: WebhookId, failures: u32) {
        let reason = format!("{failures} tries in a row failed");
        let audit = self.own_audit("webhook.disabled", webhook);
        let probe_at = audit.at.plus_ms(FIRST_MS);
        let disabled =
            self.store.disable_failing_webhook(organization, webhook, failures, reason, probe_at, audit).await;
        match disabled {
            Ok(true) => {
                tracing::warn!(webhook.id = %webhook, failures, "a webhook was disabled: its endpoint keeps failing");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, webhook.id = %webhook, "a webhook whose endpoint keeps failing was not disabled");
            }
        }
        self.reroute(organization, webhook).await;
    }

    /// A probe succeeded.
    pub(crate) async fn enable_recovered(&self, organization: OrganizationId, webhook: WebhookId) {
        let audit = self.own_audit("webhook.enabled", webhook);
        match self.store.enable_recovered_webhook(organization, webhook, audit).await {
            Ok(true) => tracing::info!(webhook.id = %webhook, "a webhook was enabled: its endpoint answers again"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, webhook.id = %webhook, "a webhook that recovered was not enabled"),
        }
        self.reroute(organization, webhook).await;
    }

    /// The receiver answered 410: it wants no more (Standard Webhooks).
    pub(crate) async fn disable_gone(&self, organization: OrganizationId, webhook: WebhookId) {
        let reason = Some("The endpoint answered 410 Gone".to_owned());
        let audit = self.own_audit("webhook.disabled", webhook);
        let now = audit.at;
        let disabled =
            self.store.set_webhook_state(organization, webhook, WebhookState::Disabled, reason, now, audit).await;
        if let Err(error) = disabled {
            tracing::error!(%error, webhook.id = %webhook, "a webhook that answered 410 was not disabled");
        }
        self.reroute(organization, webhook).await;
    }

    fn own_audit(&self, action: &'static str, webhook: WebhookId) -> NewAudit {
        NewAudit {
            id: self.new_id(),
            at: self.clock.now(),
            actor: "Signalbox".to_owned(),
            action,
            subject: webhook.to_string(),
            fields: vec!["state".to_owned()],
        }
    }

    async fn reroute(&self, organization: OrganizationId, webhook: WebhookId) {
        if let Err(error) = self.refresh_routing().await {
            tracing::error!(%error, webhook.id = %webhook, "the routing table is refreshed a moment late");
        }
        self.live.send(organization, LiveEvent::Webhooks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_become_rarer_up_to_an_hour() {
        let minutes: Vec<_> = (0..8).map(|probes| pause_ms(probes) / 60_000).collect();
        assert_eq!(minutes, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_ms(u32::MAX - 1), LONGEST_MS);
    }
}
