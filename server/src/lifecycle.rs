//! Starting and stopping: in which order things come up, what can prevent it, and how they go down without loss.
//!
//! The port is taken first, so that a second server ends before it touches anything. Stopping goes the other way round:
//! no new connections, requests in progress end, then the engine ends what it is sending and gives its leases back.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::serve::ListenerExt as _;
use domain::api::ApiError;
use engine::{
    Bootstrap, Engine, EngineConfig, Entropy, StartError, SystemClock, SystemEntropy,
    secrets::{MasterKey, Secret},
};
use storage::{Store, StoreError};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, without_password},
    http::{self, Shared, Site},
};

/// How long requests in progress, and then deliveries in flight, may take to end.
pub const GRACE: Duration = Duration::from_secs(20);

/// Name of the file in the data folder that holds the generated master key.
const MASTER_KEY_FILE: &str = "master.key";

/// Why the server does not start. Complete sentences: the process prints them and ends.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The port is taken.
    #[error(
        "Cannot listen on {0}: the port is in use, perhaps by another Signalbox. Stop that, or choose another address \
         with --listen or SIGNALBOX_LISTEN"
    )]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("Cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The data folder is not one.
    #[error(
        "The data folder {} cannot be written: {error}. Choose another with --data-dir or SIGNALBOX_DATA_DIR",
        folder.display()
    )]
    DataFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The master key is not one.
    #[error("The master key in {0} cannot be used: {1}")]
    MasterKey(String, String),
    /// The database cannot be used.
    #[error("Cannot use the database {0}: {1}")]
    Database(String, String),
    /// The engine refuses to work with what is stored.
    #[error("{0}")]
    Engine(#[from] StartError),
    /// What was to be there from the beginning was refused.
    #[error("The bootstrap settings were refused: {0}")]
    Bootstrap(ApiError),
}

/// A server that answers.
pub struct Server {
    /// What people and programs reach it by, without a slash at the end.
    pub url: String,
    /// Where it really listens.
    pub address: SocketAddr,
    /// Its use-cases.
    pub engine: Engine,
    /// Its database.
    pub store: Store,
    stopping: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Brings everything up.
    pub async fn start(config: &Config) -> Result<Self, Failure> {
        let listener = TcpListener::bind(config.listen).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Failure::PortInUse(config.listen),
            _ => Failure::Listen(config.listen, error),
        })?;
        let address = listener.local_addr().map_err(|error| Failure::Listen(config.listen, error))?;
        let url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", local(address)));
        let store = open_store(config).await?;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let engine_config = engine_config(config, &url, address, &*entropy)?;
        let engine = Engine::start(store.clone(), engine_config, Arc::new(SystemClock), Arc::clone(&entropy)).await;
        if engine.is_err() {
            // Whoever tries again with another key finds the file free.
            store.close().await;
        }
        let engine = engine?;
        let owner = config.bootstrap_owner.clone().map(|(email, password)| (email, Secret::new(password)));
        let api_key = config.bootstrap_api_key.clone().map(Secret::new);
        engine.bootstrap(Bootstrap { owner, api_key }).await.map_err(Failure::Bootstrap)?;

        let stopping = CancellationToken::new();
        let site = Site { public_url: url.clone(), entropy, stopping: stopping.clone() };
        let app = http::router(Shared { engine: engine.clone(), site: Arc::new(site) });
        let listener = listener.tap_io(|connection| {
            // Answers are small and complete: waiting for more to send only delays them.
            drop(connection.set_nodelay(true));
        });
        let serving = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        Ok(Self { url, address, engine, store, stopping, serving: tokio::spawn(serving.into_future()) })
    }

    /// Brings everything down: requests, what is in flight, and the last outcomes have [`GRACE`] each.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if tokio::time::timeout(GRACE, &mut self.serving).await.is_err() {
            tracing::warn!("some requests did not end in time and were cut");
            self.serving.abort();
        }
        self.engine.stop(GRACE).await;
    }
}

/// Opens the database and migrates it.
pub async fn open_store(config: &Config) -> Result<Store, Failure> {
    let in_folder = config.database_url.starts_with("sqlite:") || config.master_key.is_none();
    if in_folder {
        make_folder(&config.data_dir)
            .map_err(|error| Failure::DataFolder { folder: config.data_dir.clone(), error })?;
    }
    let url = &config.database_url;
    Store::open(url).await.map_err(|error| {
        let reason = match error {
            StoreError::Open(reason) => reason,
            error => error.to_string(),
        };
        Failure::Database(without_password(url), reason)
    })
}

/// What the engine is told.
pub fn engine_config(
    config: &Config,
    public_url: &str,
    listener: SocketAddr,
    entropy: &dyn Entropy,
) -> Result<EngineConfig, Failure> {
    Ok(EngineConfig {
        public_url: public_url.to_owned(),
        listener: local(listener),
        allow_networks: config.allow_networks.clone(),
        proxy: config.proxy.clone(),
        master_key: master_key(config, entropy)?,
        secret_folders: config.secret_folders.clone(),
        storage_folder: config.storage_folder.clone(),
        uplink_hosts: config.uplink_hosts.clone(),
        header_prefix: config.header_prefix.clone(),
        in_flight: 2_048,
        webhook_requests: 64,
        webhook_unstored: 256,
        webhook_queue: 1_024,
        queue: 16_384,
        queue_bytes: 128 * 1024 * 1024,
    })
}

/// How this machine reaches what listens on `address`.
fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Makes the data folder, for this user alone, and finds out now rather than later whether it can be written.
fn make_folder(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, [])?;
    fs::remove_file(probe)
}

fn master_key(config: &Config, entropy: &dyn Entropy) -> Result<MasterKey, Failure> {
    let (text, place) = if let Some(text) = &config.master_key {
        (Secret::new(text), "SIGNALBOX_MASTER_KEY".to_owned())
    } else {
        let path = config.data_dir.join(MASTER_KEY_FILE);
        let text = kept_key(&path, || MasterKey::generate(entropy).to_text())
            .map_err(|error| Failure::MasterKey(path.display().to_string(), error.to_string()))?;
        (text, path.display().to_string())
    };
    MasterKey::parse(text.expose()).ok_or_else(|| Failure::MasterKey(place, "expected 32 bytes in base64".to_owned()))
}

/// The text in the file; if there is none, a new one, readable by this user alone.
fn kept_key(path: &Path, generate: impl FnOnce() -> Secret) -> io::Result<Secret> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let text = generate();
            writeln!(file, "{}", text.expose())?;
            // A key that is lost with the power takes all stored secrets with it.
            file.sync_all()?;
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path).map(Secret::new),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        assert_eq!(kept_key(&path, || Secret::new("first")).unwrap().expose(), "first");
        assert_eq!(kept_key(&path, || Secret::new("second")).unwrap().expose(), "first\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn how_a_listener_is_reached_from_here() {
        for (listen, reach) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.0.0.1:80", "10.0.0.1:80")]
        {
            assert_eq!(local(listen.parse().unwrap()).to_string(), reach);
        }
    }
}
