//! The health worker: checks each active integration once per interval, whatever the number of nodes.
//!
//! A check that is due is taken by one node, which has it until its result is stored; a dead node's checks are taken back
//! with its deliveries. What is found, by checks and by real work alike, goes through [`Inner::record`].

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::{
    AlertRule, IntegrationId, NodeId, OrganizationId, Timestamp,
    api::{CheckResult, Integration, LogKind, LogLevel},
    catalogue::{ConnectionKind, Provider},
    health::{CHECK_INTERVAL_S, Finding, SLOW_MS},
    human_ms,
};
use storage::{IntegrationRow, NewAlert, NewFinding, NewLogEntry, Recorded};
use tokio::sync::Semaphore;

use super::probe::{Probed, probe};
use crate::{Inner, LiveEvent};

/// Checks of one node at a time.
const AT_ONCE: usize = 32;
/// Checks that are taken in one go.
const BATCH: u32 = 16;
/// Longest pause between two looks: short, because all that became due meanwhile begins at once, and long enough for several
/// to be taken together, and stored together when they end.
const POLL: Duration = Duration::from_millis(500);
/// Pause while there is no room for more.
const FULL: Duration = Duration::from_millis(50);

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // With nothing in hand, what this node still has by the database is what could not be stored.
        if room.available_permits() == AT_ONCE
            && inner.checks_lost.swap(false, Ordering::Relaxed)
            && inner.store.release_checks(inner.node()).await.is_err()
        {
            inner.checks_lost.store(true, Ordering::Relaxed);
        }
        let pause = match take(&inner, &room).await {
            Ok(_) if room.available_permits() == 0 => FULL,
            Ok(taken) if taken >= BATCH as usize => Duration::ZERO,
            Ok(_) => POLL,
            Err(error) => {
                tracing::error!(%error, "health checks wait for the database");
                POLL
            }
        };
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.checker.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn take(inner: &Arc<Inner>, room: &Arc<Semaphore>) -> storage::Result<usize> {
    let free = u32::try_from(room.available_permits()).unwrap_or(BATCH).min(BATCH);
    if free == 0 {
        return Ok(0);
    }
    let now = inner.clock.now();
    // No check lies further ahead than the longest interval and its jitter.
    let latest = now.plus_ms(i64::from(CHECK_INTERVAL_S.1) * 1_100);
    let node = inner.node();
    let due = inner.store.take_checks(node, now, latest, free).await?;
    let taken = due.len();
    for row in due {
        let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
        let worker = Arc::clone(inner);
        inner.tasks.spawn(async move {
            let _permit = permit;
            worker.check_health(row, Some(node), LogKind::Check).await;
        });
    }
    Ok(taken)
}

impl Inner {
    /// Checks an integration at once, in the background.
    pub(crate) fn check_soon(self: &Arc<Self>, organization: OrganizationId, id: IntegrationId) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            match inner.store.integration(organization, id, inner.clock.now()).await {
                Ok(Some(row)) => drop(inner.check_health(row, None, LogKind::Check).await),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, integration.id = %id, "not checked; it is checked in its turn"),
            }
        });
    }

    /// Probes an integration and stores what was found. `node` is given when it had taken the check.
    pub(crate) async fn check_health(
        self: &Arc<Self>,
        row: IntegrationRow,
        node: Option<NodeId>,
        kind: LogKind,
    ) -> Option<CheckResult> {
        let organization = row.organization;
        let provider = self.providers.provider(&row.integration.provider).cloned();
        let Some(provider) = provider else {
            // A provider that this version does not know: it cannot be probed, and nothing is concluded.
            let Integration { id, provider, check_interval_s, .. } = row.integration;
            tracing::warn!(integration.id = %id, provider, "unknown provider");
            if let Some(node) = node {
                let later = self.clock.now().plus_ms(i64::from(check_interval_s) * 1_000);
                self.put_off(organization, id, node, later).await;
            }
            return None;
        };
        let probed = match self.open_secrets(&row) {
            Ok(_) if provider.connection == ConnectionKind::Oauth => self.probe_connection(&row, &provider.name).await,
            Ok(secrets) => probe(self, &provider, &row.integration.config, &secrets).await,
            Err(error) => Probed {
                latency_ms: 0,
                fault: Some(domain::catalogue::Fault::Misconfigured),
                message: error.detail,
                detail: String::new(),
                code: None,
                target: String::new(),
            },
        };
        let recorded = self.record(organization, &row.integration, &provider, &probed, node, kind).await;
        let health = recorded.map_or(row.integration.health, |recorded| recorded.after.health);
        Some(probed.result(&provider, &row.integration.config, health))
    }

    /// A check came to no result: this node has it no more, and it is due then.
    async fn put_off(&self, organization: OrganizationId, id: IntegrationId, node: NodeId, until: Timestamp) {
        if let Err(error) = self.store.put_off_check(organization, id, node, until).await {
            tracing::error!(%error, integration.id = %id, "a check is not put off");
            self.checks_lost.store(true, Ordering::Relaxed);
        }
    }

    /// Stores a result, of a check or of real work, with all that follows from it. What is not the provider's failing, and what
    /// fails because this server has no connection, is logged and not counted. `None`: it could not be stored, or it was not
    /// this node's to store.
    pub(crate) async fn record(
        &self,
        organization: OrganizationId,
        integration: &Integration,
        provider: &Provider,
        probed: &Probed,
        node: Option<NodeId>,
        kind: LogKind,
    ) -> Option<Recorded> {
        let now = self.clock.now();
        let is_work = kind == LogKind::Send;
        let mut entry = self.entry(integration, probed, kind);
        if self.is_cut_off(organization, probed).await {
            entry.details.insert("Counted".to_owned(), "No: this server has no connection".to_owned());
            self.write_log(organization, entry).await;
            if let Some(node) = node {
                let suspect = domain::health::Pulse { bad: 1, ..domain::health::Pulse::unknown(now) };
                let pause_ms = suspect.pause_ms(integration.check_interval_s, self.entropy.fraction());
                self.put_off(organization, integration.id, node, now.plus_ms(pause_ms)).await;
            }
            return None;
        }
        // A refused probe means that we cannot work; a refused recipient means nothing.
        if is_work && probed.fault.is_some_and(|fault| !fault.is_providers()) {
            self.write_log(organization, entry).await;
            return None;
        }
        let is_noted = kind != LogKind::Check || entry.level != LogLevel::Info;
        let interval = integration.check_interval_s;
        let (usual, suspect) = {
            let share = self.entropy.fraction();
            let calm = domain::health::Pulse::unknown(now);
            let worried = domain::health::Pulse { bad: 1, ..calm };
            (now.plus_ms(calm.pause_ms(interval, share)), now.plus_ms(worried.pause_ms(interval, share)))
        };
        let alert = |rule: AlertRule, title: String| NewAlert {
            id: self.new_id(),
            rule,
            subject: integration.id.to_string(),
            title,
            detail: if probed.detail.is_empty() { probed.message.clone() } else { probed.detail.clone() },
            impact: provider.impact.clone(),
            at: now,
            is_told: true,
        };
        let new = NewFinding {
            integration: integration.id,
            finding: Finding {
                at: now,
                latency_ms: probed.latency_ms,
                fault: probed.fault,
                message: probed.message.clone(),
                detail: probed.detail.clone(),
                is_work,
            },
            next_check_at: (!is_work).then_some((usual, suspect)),
            node,
            change: NewLogEntry {
                id: self.new_id(),
                integration: integration.id,
                level: if probed.fault.is_some() { LogLevel::Error } else { LogLevel::Info },
                kind: LogKind::Health,
                message: String::new(),
                details: BTreeMap::new(),
                fault: None,
            },
            entry: is_noted.then_some(entry),
            alerts: (
                alert(AlertRule::IntegrationDown, format!("{}: {}", integration.name, probed.message)),
                alert(
                    AlertRule::IntegrationSlow,
                    format!("{}: Slow response ({})", integration.name, human_ms(probed.latency_ms.into())),
                ),
            ),
        };
        match self.store.record_finding(organization, new).await {
            Ok(recorded) => {
                if recorded.is_some_and(|recorded| recorded.is_member) {
                    self.hear_of_member(organization, integration.id, probed, is_work).await;
                }
                self.live.send(organization, LiveEvent::Integrations);
                if recorded.is_some_and(|recorded| recorded.alerts_changed) {
                    self.live.send(organization, LiveEvent::Alerts);
                    self.notifier.notify_one();
                }
                recorded
            }
            Err(error) => {
                tracing::error!(%error, integration.id = %integration.id, "what a check found is not stored");
                if node.is_some() {
                    self.checks_lost.store(true, Ordering::Relaxed);
                }
                None
            }
        }
    }

    fn entry(&self, integration: &Integration, probed: &Probed, kind: LogKind) -> NewLogEntry {
        let is_slow = probed.latency_ms > SLOW_MS;
        let level = match probed.fault {
            Some(fault) if fault.is_providers() || kind != LogKind::Send => LogLevel::Error,
            Some(_) => LogLevel::Warn,
            None if is_slow => LogLevel::Warn,
            None => LogLevel::Info,
        };
        let message =
            if probed.fault.is_none() && is_slow { "Slow response".to_owned() } else { probed.message.clone() };
        let details = [
            ("Target", probed.target.clone()),
            ("Response time", human_ms(probed.latency_ms.into())),
            ("Code", probed.code.map(|code| code.to_string()).unwrap_or_default()),
            ("Answer", probed.detail.clone()),
        ];
        let given = details.into_iter().filter(|(_, value)| !value.is_empty());
        NewLogEntry {
            id: self.new_id(),
            integration: integration.id,
            level,
            kind,
            message,
            details: given.map(|(name, value)| (name.to_owned(), value)).collect(),
            fault: probed.fault,
        }
    }

    /// Writes an entry of an integration's log. That it fails is not worth failing for.
    pub(crate) async fn write_log(&self, organization: OrganizationId, entry: NewLogEntry) {
        match self.store.log(organization, entry).await {
            Ok(()) => self.live.send(organization, LiveEvent::Integrations),
            Err(error) => tracing::warn!(%error, "an entry of an integration's log is not written"),
        }
    }
}
