//! An engine to play with, and a receiver that answers as it is told.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    DeliveryId, RetryPolicy, Timestamp, WebhookDraft, WebhookId, WebhookState,
    api::{Accepted, CreatedWebhook, DeliveryDetail, DeliveryQuery, EventDraft, Webhook},
    delivery::DeliveryState,
};
use engine::{
    Actor, Bootstrap, Clock, Engine, EngineConfig, ManualClock, SeededEntropy,
    secrets::{MasterKey, Secret},
};
use serde_json::value::RawValue;
use storage::Store;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What the receiver does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with a status, extra header lines and a body.
    Status(u16, &'static str, String),
    /// Answers when the gate opens.
    Held(Arc<Notify>),
    /// Closes without an answer.
    Cut,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Status(status, "", String::new())
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap()
    }
}

/// A receiver: scripted answers first, then 200 for ever.
pub struct Receiver {
    pub address: SocketAddr,
    script: Arc<Mutex<VecDeque<Reply>>>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    pub async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Mutex<VecDeque<Reply>>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let (sender, received) = mpsc::unbounded_channel();
        let read = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&read), sender.clone()));
            }
        });
        Self { address, script, received }
    }

    /// Adds to the script.
    pub fn then(&self, reply: Reply) {
        self.script.lock().unwrap().push_back(reply);
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next request.
    pub async fn next(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("a request in time").unwrap()
    }

    /// Whether a request came that nobody asked for.
    pub fn is_quiet(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Reply>>>, sender: mpsc::UnboundedSender<Received>) {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read(&mut stream, &mut buffer).await else { return };
        let reply = script.lock().unwrap().pop_front().unwrap_or(Reply::status(200));
        let _ = sender.send(request);
        let (status, headers, body) = match reply {
            Reply::Status(status, headers, body) => (status, headers, body),
            Reply::Held(gate) => {
                gate.notified().await;
                (200, "", String::new())
            }
            Reply::Cut => return,
        };
        let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request; without a content length it has no body.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let headers: Vec<(String, String)> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length = length.map_or(0, |(_, value)| value.parse::<usize>().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                buffer.drain(..end + 4 + length);
                return Some(Received { headers, body });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// An engine on a fresh SQLite file. The folder outlives it, so that another engine can take over.
pub struct World {
    pub engine: Engine,
    pub actor: Actor,
    pub clock: Arc<ManualClock>,
    pub folder: Arc<TempDir>,
    store: Store,
}

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

impl World {
    pub async fn new() -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().unwrap()), Arc::new(ManualClock::new(START))).await
    }

    /// Another process on the same data.
    pub async fn in_folder(folder: Arc<TempDir>, clock: Arc<ManualClock>) -> Self {
        let store = Store::open(&format!("sqlite://{}", folder.path().join("world.db").display())).await.unwrap();
        Self::on(store, folder, clock).await
    }

    /// Another node on the same data, by a clock of its own.
    pub async fn beside(&self, clock: ManualClock) -> Self {
        Self::on(self.store.clone(), Arc::clone(&self.folder), Arc::new(clock)).await
    }

    async fn on(store: Store, folder: Arc<TempDir>, clock: Arc<ManualClock>) -> Self {
        // Another sequence than the one before, as another process has.
        let entropy = SeededEntropy::new(u64::try_from(clock.now().millis()).unwrap());
        let config = EngineConfig {
            public_url: "http://signalbox.test".into(),
            listener: "127.0.0.1:1".parse().unwrap(),
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            proxy: None,
            master_key: MasterKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(),
            secret_folders: Vec::new(),
            storage_folder: None,
            uplink_hosts: Vec::new(),
            header_prefix: "X-InTime".into(),
            in_flight: 64,
            webhook_requests: 8,
            webhook_unstored: 8,
            webhook_queue: 32,
            queue: 256,
            queue_bytes: 1 << 20,
        };
        let engine = Engine::start(store.clone(), config, clock.clone(), Arc::new(entropy)).await.unwrap();
        let key = Secret::new("a-bootstrap-key-of-more-than-32-characters");
        engine.bootstrap(Bootstrap { owner: None, api_key: Some(key) }).await.unwrap();
        let actor = engine.operator().await.unwrap().unwrap();
        Self { engine, actor, clock, folder, store }
    }

    /// Stops as an operator would.
    pub async fn stop(self) -> (Arc<TempDir>, Arc<ManualClock>) {
        self.engine.stop(PATIENCE).await;
        (self.folder, self.clock)
    }

    pub async fn webhook(&self, url: &str, change: impl FnOnce(&mut WebhookDraft)) -> CreatedWebhook {
        let mut draft = WebhookDraft {
            name: format!("to {url}"),
            url: url.to_owned(),
            events: vec!["job.*".into()],
            retry_policy: Some(RetryPolicy { jitter: domain::Jitter::None, timeout_s: 60, ..RetryPolicy::default() }),
            ..WebhookDraft::default()
        };
        change(&mut draft);
        self.engine.create_webhook(&self.actor, draft).await.unwrap()
    }

    pub async fn publish(&self, event: &str, data: &str) -> Accepted {
        let draft = EventDraft {
            event: event.to_owned(),
            data: RawValue::from_string(data.to_owned()).unwrap(),
            source_id: None,
            idempotency_key: None,
        };
        self.engine.publish(&self.actor, vec![draft]).await.unwrap().remove(0)
    }

    /// The delivery of an event, once it has come to a state in which it stays for now.
    pub async fn settled(&self, accepted: &Accepted, attempts: i64) -> DeliveryDetail {
        let mut live = self.engine.live(self.actor.organization, None);
        let find = async {
            loop {
                let query = DeliveryQuery { event_id: Some(accepted.id), ..DeliveryQuery::default() };
                let page = self.engine.deliveries(&self.actor, query).await.unwrap();
                let found = page
                    .data
                    .iter()
                    .find(|delivery| delivery.attempts >= attempts && delivery.status != DeliveryState::Sending);
                if let Some(found) = found {
                    return found.id;
                }
                live.next().await.unwrap();
            }
        };
        let id: DeliveryId = tokio::time::timeout(PATIENCE, find).await.expect("settled in time");
        self.engine.delivery(&self.actor, id).await.unwrap()
    }

    /// The webhook, once it is in this state.
    pub async fn becomes(&self, id: WebhookId, state: WebhookState) -> Webhook {
        self.webhook_when(id, |webhook| webhook.state == state).await
    }

    /// The webhook, once this is true of it.
    pub async fn webhook_when(&self, id: WebhookId, is_reached: impl Fn(&Webhook) -> bool) -> Webhook {
        let reached = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                let webhook = self.engine.webhook(&self.actor, id).await.unwrap();
                if is_reached(&webhook) {
                    return webhook;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the state in time")
    }
}
