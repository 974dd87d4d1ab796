//! Use-cases and workers: what the REST API and the screens both call.
//!
//! Every use-case is a method of [`Engine`], in the file of its noun. It begins by asking the [`Actor`] for a permission,
//! checks its input with the functions of `domain`, and stores the change with its audit entry in one transaction. There
//! is no SQL and no HTTP server in here. Long because it is where everything is started, wired together and stopped.

mod accept;
mod actor;
mod alerts;
mod api_keys;
mod audit;
mod catalogue;
mod clock;
mod dead_letters;
mod deliver;
mod deliveries;
mod email;
mod error;
mod event_types;
mod events;
mod failover;
mod files;
pub mod http;
mod inspector;
mod integrations;
mod jobs;
mod live;
mod logs;
mod members;
mod metrics;
mod oauth;
mod overview;
mod paging;
mod rekey;
mod replays;
mod retention;
mod retry_policy;
mod routing;
mod saved_views;
pub mod secrets;
mod sessions;
mod setup;
pub mod signature;
mod signature_check;
mod sms;
pub mod smtp;
mod sources;
mod webhooks;

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub use actor::{Actor, Who};
pub use catalogue::Catalogue;
pub use clock::{Clock, Entropy, ManualClock, SeededEntropy, SystemClock, SystemEntropy};
pub use dead_letters::Handled;
use domain::{NodeId, PublicId, Timestamp, WebhookState, api::ApiError, catalogue::Provider};
pub use email::Subscription;
pub use inspector::InspectorHit;
pub use integrations::UplinkHost;
use ipnet::IpNet;
pub use live::{Following, LiveEvent, LiveMessage, Position};
pub use metrics::Metrics;
pub use oauth::{Callback, ConnectPage, Finished, Sent, Unfinished};
pub use rekey::Rekeyed;
pub use replays::Replayed;
pub use sessions::{NewSession, Origin};
pub use setup::{Bootstrap, Setup};
use storage::{Store, StoreError, Wake};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    deliver::{Job, Lanes, Limits},
    http::{Client, ClientConfig, Guard},
    metrics::{Counter, Counters},
    secrets::{Keyring, MasterKey},
};

/// What a use-case answers.
pub type Result<T> = std::result::Result<T, ApiError>;

/// What outgoing requests call themselves.
pub(crate) const USER_AGENT: &str = concat!("Signalbox/", env!("CARGO_PKG_VERSION"));
/// Workers that store accepted events. On SQLite their commits join; on PostgreSQL they overlap.
const ACCEPTORS: usize = 2;
/// How often the stored routing version is compared with the one in memory.
const ROUTING_POLL: Duration = Duration::from_millis(500);
/// Between two tries to listen to other nodes.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// Between two calls for help, in milliseconds.
const CALL_EVERY_MS: i64 = 250;
/// Shortest and longest rest of background work between two batches.
const REST: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));

/// What an operator decides.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where people and receivers reach this server, without a trailing slash.
    pub public_url: String,
    /// The process's own listener: deliveries to the built-in Inspector connect to it.
    pub listener: SocketAddr,
    /// Networks that requests may be sent to although they are not public; plain HTTP is allowed inside.
    pub allow_networks: Vec<IpNet>,
    /// The way that requests leave by, when it is not the direct one.
    pub proxy: Option<http::Proxy>,
    /// Encrypts what is secret at rest.
    pub master_key: MasterKey,
    /// Folders whose files integrations may refer to for their secrets.
    pub secret_folders: Vec<std::path::PathBuf>,
    /// Folder below which integrations may keep files; without one they may not.
    pub storage_folder: Option<std::path::PathBuf>,
    /// What this server is expected to reach: asked when a provider is not reached. Empty: nothing is asked.
    pub uplink_hosts: Vec<UplinkHost>,
    /// Begins the names of the headers that are not of Standard Webhooks, such as `X-InTime`.
    pub header_prefix: String,
    /// Tries to all webhooks that are in flight: begun, and their outcome not stored.
    pub in_flight: usize,
    /// Requests to one webhook that are not answered yet.
    pub webhook_requests: usize,
    /// Tries to one webhook that were answered, and their outcome is not stored.
    pub webhook_unstored: usize,
    /// Deliveries of one webhook that are held in memory; more wait in the database.
    pub webhook_queue: usize,
    /// Deliveries of all webhooks that are held in memory.
    pub queue: usize,
    /// Bytes of event bodies that are held in memory for delivery.
    pub queue_bytes: usize,
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key does not fit what is stored.
    #[error("{0}")]
    Key(String),
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) config: EngineConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) keyring: Keyring,
    pub(crate) client: Client,
    pub(crate) catalogue: event_types::Catalogue,
    pub(crate) providers: Catalogue,
    pub(crate) routing: routing::Table,
    pub(crate) live: live::Hub,
    pub(crate) metrics: Counters,
    pub(crate) doorkeeper: sessions::Doorkeeper,
    pub(crate) keys: api_keys::KeyCache,
    pub(crate) setup_token: String,
    /// Names of the headers that carry the configured prefix.
    prefixed: deliver::PrefixedHeaders,
    standard: deliver::StandardHeaders,
    /// Who holds this process's leases.
    node: RwLock<NodeId>,
    /// Until when it may begin what it has leased; for ever on a database of its own.
    leased_until: RwLock<Option<tokio::time::Instant>>,
    /// How many nodes share the work.
    nodes: AtomicU32,
    /// When this node last asked others to help, in milliseconds.
    called_at: AtomicI64,
    /// Time and number of the newest id.
    newest_id: AtomicU64,
    lanes: Mutex<Lanes<Job>>,
    /// Tries that are in flight. Locked after the lanes.
    begun: Mutex<HashSet<deliver::Try>>,
    /// Read-locked from a statement that leases until what it leased is in hand.
    leasing: tokio::sync::RwLock<()>,
    /// Says that there may be leases that are not in hand.
    unsure: Notify,
    submissions: mpsc::Sender<accept::Submission>,
    accept_room: Semaphore,
    settler: mpsc::Sender<deliver::Tried>,
    claimer: Notify,
    pacer: Notify,
    jobber: Notify,
    checker: Notify,
    /// Results of health checks could not be stored: their checks are still taken by this node.
    checks_lost: AtomicBool,
    uplink: integrations::Uplink,
    notifier: Notify,
    mailer: Notify,
    /// Callers of one connection queue here while it is refreshed.
    refreshing: [tokio::sync::Mutex<()>; oauth::STRIPES],
    pruner: Notify,
    /// Tasks that send.
    tasks: TaskTracker,
    /// Workers that run for as long as the engine.
    workers: TaskTracker,
    /// Nothing new is begun.
    stopping: CancellationToken,
    /// What was begun has ended.
    drained: CancellationToken,
}

impl Inner {
    /// A new id. Ids of one node rise in the order in which they were made, also within a millisecond (RFC 9562 §6.2,
    /// method 1), because queues that keep their order are sorted by them.
    pub(crate) fn new_id<I: PublicId>(&self) -> I {
        const NUMBERS: u64 = 1 << 12;
        /// A clock that was set back further than this is believed.
        const LONGEST_LEAD_MS: u64 = 10_000;
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        let now = u64::try_from(self.clock.now().millis()).unwrap_or_default();
        let next = |newest: u64| {
            let is_ahead = newest / NUMBERS > now + LONGEST_LEAD_MS;
            if is_ahead { now * NUMBERS } else { (newest + 1).max(now * NUMBERS) }
        };
        let before = self.newest_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |newest| Some(next(newest)));
        let id = next(before.unwrap_or_else(std::convert::identity));
        random[..2].copy_from_slice(&u16::to_be_bytes((id % NUMBERS) as u16));
        I::new(Timestamp::from_millis(i64::try_from(id / NUMBERS).unwrap_or(i64::MAX)), random)
    }

    pub(crate) fn node(&self) -> NodeId {
        *self.node.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_node(&self, node: NodeId) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = node;
    }
}

/// What the workers take in.
struct Intake {
    submitted: mpsc::Receiver<accept::Submission>,
    tried: mpsc::Receiver<deliver::Tried>,
}

impl Engine {
    /// Takes back what an earlier process left, loads the routing table and starts the workers.
    pub async fn start(
        store: Store,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, StartError> {
        let (engine, intake) = Self::build(store, config, clock, entropy).await?;
        let said_at = tokio::time::Instant::now();
        let recovered = engine.inner.store.register(engine.inner.node(), deliver::LEASE_MS).await?;
        if engine.inner.store.is_shared() {
            engine.inner.leases_last_from(said_at);
        }
        if recovered > 0 {
            tracing::info!(recovered, "took back deliveries that an earlier process left");
        }
        engine.start_workers(intake);
        Ok(engine)
    }

    /// An engine that administers and delivers nothing, for commands that end when they are done.
    pub async fn open(
        store: Store,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<Self, StartError> {
        Self::build(store, config, clock, entropy).await.map(|(engine, _)| engine)
    }

    async fn build(
        store: Store,
        config: EngineConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::result::Result<(Self, Intake), StartError> {
        let keyring = Keyring::open_store(&store, &config.master_key, &*entropy).await?;
        let prefixed = deliver::PrefixedHeaders::new(&config.header_prefix)
            .ok_or_else(|| StartError::Config(format!("\"{}\" cannot begin a header name", config.header_prefix)))?;
        let guard = Guard::new(config.allow_networks.clone());
        let client =
            Client::new(ClientConfig { guard, proxy: config.proxy.clone(), user_agent: USER_AGENT.to_owned() });
        let (submissions, submitted) = mpsc::channel(accept::QUEUE);
        let (settler, tried) = mpsc::channel(config.in_flight);
        let limits = Limits {
            in_flight: config.in_flight,
            lane_requests: config.webhook_requests,
            lane_unstored: config.webhook_unstored,
            lane: config.webhook_queue,
            total: config.queue,
            bytes: config.queue_bytes,
        };
        let setup_token = secrets::token(&*entropy);
        let mut random = [0; 10];
        entropy.fill(&mut random);
        let node = NodeId::new(clock.now(), random);
        let live = live::Hub::new(node, store.is_shared());
        let uplink = integrations::Uplink::new(config.uplink_hosts.clone());
        let inner = Arc::new(Inner {
            store,
            config,
            clock,
            entropy,
            keyring,
            client,
            catalogue: event_types::Catalogue::built_in(),
            providers: Catalogue::built_in()?,
            routing: routing::Table::new(),
            live,
            metrics: Counters::default(),
            doorkeeper: sessions::Doorkeeper::default(),
            keys: api_keys::KeyCache::default(),
            setup_token,
            prefixed,
            standard: deliver::StandardHeaders::new(),
            node: RwLock::new(node),
            leased_until: RwLock::new(None),
            nodes: AtomicU32::new(1),
            called_at: AtomicI64::new(0),
            newest_id: AtomicU64::new(0),
            lanes: Mutex::new(Lanes::new(limits)),
            begun: Mutex::default(),
            leasing: tokio::sync::RwLock::default(),
            unsure: Notify::new(),
            submissions,
            accept_room: Semaphore::new(accept::QUEUE_KB),
            settler,
            claimer: Notify::new(),
            pacer: Notify::new(),
            jobber: Notify::new(),
            checker: Notify::new(),
            checks_lost: AtomicBool::new(false),
            uplink,
            notifier: Notify::new(),
            mailer: Notify::new(),
            refreshing: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            pruner: Notify::new(),
            tasks: TaskTracker::new(),
            workers: TaskTracker::new(),
            stopping: CancellationToken::new(),
            drained: CancellationToken::new(),
        });
        let engine = Self { inner };
        engine.inner.refresh_routing().await?;
        Ok((engine, Intake { submitted, tried }))
    }

    fn start_workers(&self, Intake { submitted, tried }: Intake) {
        let inner = &self.inner;
        let submitted = Arc::new(tokio::sync::Mutex::new(submitted));
        for _ in 0..ACCEPTORS {
            inner.workers.spawn(accept::run(Arc::clone(inner), Arc::clone(&submitted)));
        }
        inner.workers.spawn(deliver::settle(Arc::clone(inner), tried));
        inner.workers.spawn(deliver::claim(Arc::clone(inner)));
        inner.workers.spawn(deliver::pace(Arc::clone(inner)));
        inner.workers.spawn(deliver::take_stock(Arc::clone(inner)));
        inner.workers.spawn(deliver::probe(Arc::clone(inner)));
        inner.workers.spawn(jobs::run(Arc::clone(inner)));
        inner.workers.spawn(integrations::run(Arc::clone(inner)));
        inner.workers.spawn(integrations::watch(Arc::clone(inner)));
        inner.workers.spawn(alerts::watch(Arc::clone(inner)));
        inner.workers.spawn(alerts::notify(Arc::clone(inner)));
        inner.workers.spawn(email::run(Arc::clone(inner)));
        inner.workers.spawn(oauth::run(Arc::clone(inner)));
        inner.workers.spawn(failover::run(Arc::clone(inner)));
        inner.workers.spawn(retention::run(Arc::clone(inner)));
        inner.workers.spawn(follow_routing(Arc::clone(inner)));
        inner.workers.spawn(listen(Arc::clone(inner)));
        if inner.store.is_shared() {
            inner.workers.spawn(live::tell(Arc::clone(inner)));
            inner.workers.spawn(deliver::heartbeat(Arc::clone(inner)));
        } else if inner.keyring.has_old_keys() {
            inner.workers.spawn(rekey::run(Arc::clone(inner)));
        }
    }

    /// Stops: nothing new is accepted or begun, what is in flight may end within `grace`, outcomes are stored, and leases
    /// are given back. What did not end in time is tried again by whoever comes next.
    pub async fn stop(&self, grace: Duration) {
        let inner = &self.inner;
        inner.stopping.cancel();
        inner.tasks.close();
        if tokio::time::timeout(grace, inner.tasks.wait()).await.is_err() {
            tracing::warn!(
                "requests were still in flight when the time to stop ran out; their deliveries are tried again"
            );
        }
        inner.drained.cancel();
        inner.workers.close();
        if tokio::time::timeout(grace, inner.workers.wait()).await.is_err() {
            tracing::error!("the database did not take the last outcomes; their deliveries are tried again");
        }
        let node = inner.node();
        let released = inner.store.release(node, None).await;
        if let Err(error) = released.and(inner.store.unregister(node).await) {
            tracing::warn!(%error, "leases were not given back; they end by themselves");
        }
        inner.store.close().await;
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> bool {
        !self.inner.stopping.is_cancelled() && self.inner.store.ping().await.is_ok()
    }

    /// The numbers of this moment.
    pub fn metrics(&self) -> Metrics {
        let counters = &self.inner.metrics;
        let (in_flight, in_hand) = self.inner.lanes().load();
        Metrics {
            events_accepted: counters.get(Counter::EventsAccepted),
            attempts_succeeded: counters.get(Counter::AttemptsSucceeded),
            attempts_failed: counters.get(Counter::AttemptsFailed),
            in_flight,
            in_hand,
            database_reads: self.inner.store.reads(),
        }
    }

    /// The engine's clock: what "the last 24 hours" of a screen count back from.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// What can be integrated, by type, then by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.inner.providers.providers().map(AsRef::as_ref)
    }

    pub(crate) fn new_id<I: PublicId>(&self) -> I {
        self.inner.new_id()
    }

    /// Brings this node's routing table up to date after a change. The change is stored already: when this fails, the
    /// worker that compares versions makes up for it.
    pub(crate) async fn refresh_routing(&self) {
        let refreshed = self.inner.refresh_routing().await;
        if let Err(error) = refreshed.and(self.inner.store.wake(Wake::Routing).await) {
            tracing::error!(%error, "the routing table is refreshed a moment late");
        }
    }
}

impl Inner {
    /// Tells the lanes what their webhooks ask now, and takes out what is not to be sent any more.
    fn pace_lanes(&self) -> Vec<Job> {
        let snapshot = self.routing.current();
        self.lanes().rule(|webhook| {
            let endpoint = snapshot.endpoint(webhook)?;
            (endpoint.state == WebhookState::Active).then(|| self.rules(endpoint))
        })
    }

    /// Lets other nodes know that there is work which this one has no room for, not more often than they would look.
    async fn call_for_help(&self) {
        let now = self.clock.now().millis();
        let last = self.called_at.load(Ordering::Relaxed);
        if !self.store.is_shared() || (0..CALL_EVERY_MS).contains(&(now - last)) {
            return;
        }
        self.called_at.store(now, Ordering::Relaxed);
        if let Err(error) = self.store.wake(Wake::Work).await {
            tracing::debug!(%error, "other nodes find waiting work by polling");
        }
    }

    async fn refresh_routing(&self) -> storage::Result<()> {
        if self.routing.refresh(&self.store, &self.keyring, &self.config, self.clock.now()).await? {
            let idle = self.pace_lanes();
            // Also wakes the claimer: a webhook may have become active again.
            self.give_back(idle).await;
        }
        Ok(())
    }
}

/// Looks at once at what other nodes changed, where they can say so.
async fn listen(inner: Arc<Inner>) {
    loop {
        match inner.store.listen().await {
            Ok(None) => return,
            Ok(Some(listener)) => {
                if let Err(error) = hear(&inner, listener).await {
                    tracing::warn!(%error, "other nodes are not heard; their changes are found by polling");
                }
            }
            Err(error) => tracing::warn!(%error, "other nodes are not heard; their changes are found by polling"),
        }
        // Whoever is not told has to look.
        inner.live.missed();
        if stopped_within(&inner, LISTEN_AGAIN).await {
            return;
        }
    }
}

/// Ends when the connection is lost or the engine stops, and when nothing is heard at all.
async fn hear(inner: &Arc<Inner>, mut listener: storage::Listener) -> storage::Result<()> {
    // A pooler may take the wish to listen and hand nothing on: that our own word comes back shows that it does.
    inner.store.wake(Wake::Routing).await?;
    let mut hears = false;
    loop {
        let wake = tokio::select! {
            () = inner.stopping.cancelled() => return Ok(()),
            wake = listener.next() => wake?,
            () = tokio::time::sleep(LISTEN_AGAIN), if !hears => {
                tracing::debug!("nothing is heard of other nodes; their changes are found by polling");
                return Ok(());
            }
        };
        hears = true;
        match wake {
            Some(Wake::Work) => inner.claimer.notify_one(),
            Some(Wake::Routing) => inner.refresh_routing().await?,
            Some(Wake::News(news)) => inner.live.hear(&news),
            None => {
                inner.live.missed();
                inner.claimer.notify_one();
                inner.refresh_routing().await?;
            }
        }
    }
}

/// Notices what other nodes changed, and what a refresh after a change of our own missed.
async fn follow_routing(inner: Arc<Inner>) {
    while !stopped_within(&inner, ROUTING_POLL).await {
        if let Err(error) = inner.refresh_routing().await {
            tracing::error!(%error, "the routing table cannot be compared with the stored one");
        }
    }
}

/// Sleeps, or answers at once that the engine is stopping.
async fn stopped_within(inner: &Inner, pause: Duration) -> bool {
    tokio::time::timeout(pause, inner.stopping.cancelled()).await.is_ok()
}

/// For how long background work rests after a batch that began then: as long as the batch took, so that the database has
/// at least half of its time for deliveries.
fn rest_since(began: Instant) -> Duration {
    began.elapsed().clamp(REST.0, REST.1)
}
