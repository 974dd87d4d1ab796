//! This server's own connection. When a provider is not reached, it may be that nobody would be: then nothing is concluded
//! about the provider, and one alert for each organization says so in place of one for each integration.
//!
//! What is asked is configuration: hosts that the operator expects this server to reach. Without any nothing is asked, and no
//! host is built in. What providers say counts for more than the list: whoever answers proves that there is a connection.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{AlertRule, OrganizationId, catalogue::Fault};
use futures_util::future::{join_all, select_ok};
use storage::NewAlert;
use tokio::time::Instant;

use super::Probed;
use crate::{Inner, LiveEvent, http::Client, stopped_within};

/// How long a host may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks while there is no connection.
const AGAIN: Duration = Duration::from_secs(5);

/// A host that this server is expected to reach, by the port that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkHost {
    /// A name or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl std::fmt::Display for UplinkHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What this process knows of its connection.
pub(crate) struct Uplink {
    hosts: Vec<UplinkHost>,
    /// One asks; who comes meanwhile uses what it finds.
    asking: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    is_down: bool,
    /// Whether no alert can be open that is over: not before an earlier process's were ended.
    is_settled: bool,
    /// Whether one of the hosts ever answered.
    host_answered: bool,
    /// When a provider last answered.
    provider_answered: Option<Instant>,
}

impl Uplink {
    pub(crate) fn new(hosts: Vec<UplinkHost>) -> Self {
        Self { hosts, asking: tokio::sync::Mutex::default(), seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A provider answered: there is a connection.
    fn hear_answer(&self) {
        let mut seen = self.seen();
        seen.provider_answered = Some(Instant::now());
        seen.is_down = false;
    }

    /// Whether a failure that began at `began` says nothing of its provider.
    async fn is_down_since(&self, began: Instant, client: &Client) -> bool {
        let _one = self.asking.lock().await;
        {
            let seen = self.seen();
            if seen.provider_answered.is_some_and(|at| at >= began) {
                return false;
            }
            if seen.is_down {
                return true;
            }
        }
        self.ask(client).await
    }

    /// Asks the hosts; answers whether there is no connection.
    async fn ask(&self, client: &Client) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let dial = |at: &UplinkHost| {
            let UplinkHost { host, port } = at.clone();
            Box::pin(async move { client.dial(&host, port, deadline).await.map(drop) })
        };
        let answered = select_ok(self.hosts.iter().map(dial)).await.is_ok();
        let mut seen = self.seen();
        seen.host_answered |= answered;
        // Where providers answer and none of the hosts ever did, it is the list that is wrong.
        let is_believed = seen.host_answered || seen.provider_answered.is_none();
        if !answered && !is_believed {
            tracing::warn!("none of uplink_hosts was ever reached, although providers are: the list is passed over");
        }
        seen.is_down = !answered && is_believed;
        seen.is_settled &= !seen.is_down;
        seen.is_down
    }
}

/// Runs until the engine stops: looks for the connection while it is away, and ends the alerts when it is back, an earlier
/// process's too.
pub(crate) async fn watch(inner: Arc<Inner>) {
    let uplink = &inner.uplink;
    let mut is_first = !uplink.hosts.is_empty();
    loop {
        if is_first || uplink.seen().is_down {
            let _one = uplink.asking.lock().await;
            uplink.ask(&inner.client).await;
            is_first = false;
        }
        let is_over = {
            let seen = uplink.seen();
            !seen.is_down && !seen.is_settled
        };
        if is_over && inner.end_uplink_alerts().await {
            uplink.seen().is_settled = true;
        }
        if stopped_within(&inner, AGAIN).await {
            return;
        }
    }
}

impl Inner {
    /// Whether a result says nothing of its provider, because this server has no connection; an alert then says that.
    pub(super) async fn is_cut_off(&self, organization: OrganizationId, probed: &Probed) -> bool {
        if self.uplink.hosts.is_empty() {
            return false;
        }
        if !matches!(probed.fault, Some(Fault::Dns | Fault::Timeout | Fault::Refused)) {
            self.uplink.hear_answer();
            return false;
        }
        let now = Instant::now();
        let began = now.checked_sub(Duration::from_millis(probed.latency_ms.into())).unwrap_or(now);
        if !self.uplink.is_down_since(began, &self.client).await {
            return false;
        }
        let hosts: Vec<_> = self.uplink.hosts.iter().map(ToString::to_string).collect();
        let alert = NewAlert {
            id: self.new_id(),
            rule: AlertRule::OwnConnection,
            subject: organization.to_string(),
            title: "This server has no connection".to_owned(),
            detail: format!("Neither providers nor {} are reached", hosts.join(", ")),
            impact: "Nobody knows whether the integrations work; what fails meanwhile does not count".to_owned(),
            at: self.clock.now(),
            is_told: true,
        };
        match self.store.raise_alert(organization, alert).await {
            Ok(is_new) => {
                self.live.send(organization, LiveEvent::Alerts);
                if is_new {
                    self.notifier.notify_one();
                }
            }
            Err(error) => tracing::error!(%error, "nobody is alerted that this server has no connection"),
        }
        true
    }

    /// Ends the alerts about this server's connection, in all organizations. Answers whether that succeeded.
    async fn end_uplink_alerts(&self) -> bool {
        let open = match self.store.open_alerts_of(AlertRule::OwnConnection).await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "alerts about this server's connection end later");
                return false;
            }
        };
        let now = self.clock.now();
        let ended = join_all(open.into_iter().map(async |(organization, subject)| {
            let ended = self.store.resolve_alert(organization, AlertRule::OwnConnection, subject, now).await;
            self.live.send(organization, LiveEvent::Alerts);
            ended.is_ok()
        }));
        let all = ended.await.into_iter().all(|ended| ended);
        self.notifier.notify_one();
        all
    }
}
