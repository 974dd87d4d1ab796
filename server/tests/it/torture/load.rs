//! Callers that do as the documentation says: they send an event with an idempotency key until it is accepted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::harness::{ADMIN, PATIENCE, client, rows, text};

/// Callers at the same time.
const CALLERS: u64 = 6;
/// Every third caller sends so many events in one request.
const BATCH: u64 = 5;
/// How long a caller that was turned away waits before it asks again.
const TURNED_AWAY: std::time::Duration = std::time::Duration::from_millis(5);

/// An event that was answered with 202: its number and the id it was given.
pub(super) type Accepted = (u64, String);

/// Callers at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<Vec<Accepted>>,
}

struct Shared {
    /// Servers that can be asked. Changed when one is killed or started.
    servers: watch::Sender<Vec<String>>,
    next: Arc<AtomicU64>,
    enough: CancellationToken,
    accepted: watch::Sender<u64>,
    turned_away: watch::Sender<u64>,
}

impl Load {
    /// Sends events with the numbers from `next` on to `servers`.
    pub(super) fn start(servers: Vec<String>, next: &Arc<AtomicU64>) -> Self {
        let shared = Arc::new(Shared {
            servers: watch::Sender::new(servers),
            next: Arc::clone(next),
            enough: CancellationToken::new(),
            accepted: watch::Sender::new(0),
            turned_away: watch::Sender::new(0),
        });
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(call(Arc::clone(&shared), if caller % 3 == 0 { BATCH } else { 1 }));
        }
        Self { shared, callers }
    }

    /// From now on callers ask these.
    pub(super) fn ask(&self, servers: Vec<String>) {
        self.shared.servers.send_replace(servers);
    }

    /// Waits for `more` answers with 202.
    pub(super) async fn is_accepted(&self, more: u64) {
        wait_for_more(&self.shared.accepted, more).await;
    }

    /// Waits for `more` answers with 503.
    pub(super) async fn is_turned_away(&self, more: u64) {
        wait_for_more(&self.shared.turned_away, more).await;
    }

    /// Begins nothing new, waits until every event that was ever sent is accepted, and answers them.
    pub(super) async fn finish(mut self) -> Vec<Accepted> {
        self.shared.enough.cancel();
        let all = async {
            let mut accepted = Vec::new();
            while let Some(caller) = self.callers.join_next().await {
                accepted.append(&mut caller.unwrap());
            }
            accepted
        };
        tokio::time::timeout(PATIENCE, all).await.expect("some events are never accepted")
    }
}

async fn wait_for_more(count: &watch::Sender<u64>, more: u64) {
    let mut count = count.subscribe();
    let enough = *count.borrow() + more;
    tokio::time::timeout(PATIENCE, count.wait_for(|now| *now >= enough)).await.expect("no such answers").unwrap();
}

async fn call(shared: Arc<Shared>, batch: u64) -> Vec<Accepted> {
    let client = client();
    let mut accepted = Vec::new();
    while !shared.enough.is_cancelled() {
        let first = shared.next.fetch_add(batch, Ordering::Relaxed);
        let events: Vec<Value> = (first..first + batch)
            .map(|n| json!({"event": "job.created", "data": {"n": n}, "idempotency_key": format!("key-{n}")}))
            .collect();
        let (path, body) = match &events[..] {
            [one] => ("/api/v1/events", one.clone()),
            several => ("/api/v1/events/batch", json!({"events": several})),
        };
        let answer = loop {
            if let Some(answer) = send(&shared, &client, path, &body).await {
                break answer;
            }
            sleep(TURNED_AWAY).await;
        };
        let ids = if batch == 1 { vec![answer] } else { rows(&answer).to_vec() };
        accepted.extend((first..).zip(ids.iter().map(|one| text(&one["id"]))));
    }
    accepted
}

/// The answer of 202. `None` when there was none and nothing is known, or when it was 503.
async fn send(shared: &Shared, client: &reqwest::Client, path: &str, body: &Value) -> Option<Value> {
    let server = {
        let servers = shared.servers.borrow();
        let turn = usize::try_from(shared.next.load(Ordering::Relaxed)).unwrap();
        servers.get(turn % servers.len().max(1))?.clone()
    };
    let response = client.post(format!("{server}{path}")).bearer_auth(ADMIN).json(body).send().await.ok()?;
    let status = response.status();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        shared.turned_away.send_modify(|count| *count += 1);
        return None;
    }
    let answer = response.text().await.ok()?;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    shared.accepted.send_modify(|count| *count += 1);
    Some(serde_json::from_str(&answer).unwrap())
}
