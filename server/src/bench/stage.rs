//! Where a round plays: a folder and a database that nobody used before, both gone at the end however it ends.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use engine::http::{Client, ClientConfig, Guard};
use storage::seed::Scratch;

use super::{
    BenchError,
    process::Server,
    sink::{Manner, Sink, Stopwatch},
};

/// What load is sent with.
pub(super) fn loopback_client() -> Client {
    let loopback = ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8));
    Client::new(ClientConfig {
        guard: Guard::new(vec![loopback]),
        proxy: None,
        user_agent: "signalbox-bench".to_owned(),
    })
}

/// One round's surroundings.
pub(super) struct Stage {
    folder: PathBuf,
    /// On PostgreSQL.
    scratch: Option<Scratch>,
    client: Client,
    pub(super) stopwatch: Stopwatch,
}

impl Stage {
    /// On SQLite, or beside the PostgreSQL database named.
    pub(super) async fn new(database: Option<&str>) -> Result<Self, BenchError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("signalbox_bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir(&folder).map_err(|error| BenchError::Io("temporary folder", error))?;
        let mut stage = Self { folder, scratch: None, client: loopback_client(), stopwatch: Stopwatch::start() };
        if let Some(url) = database {
            stage.scratch = Some(Scratch::create(url, &name).await?);
        }
        Ok(stage)
    }

    /// For `SIGNALBOX_DATABASE_URL`.
    pub(super) fn database_url(&self) -> String {
        match &self.scratch {
            Some(scratch) => scratch.url().to_owned(),
            None => format!("sqlite://{}", self.folder.join("signalbox.db").display()),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.scratch.is_some()
    }

    /// Starts a server on what is there.
    pub(super) async fn serve(&self) -> Result<Server, BenchError> {
        Server::start(&self.folder, &self.database_url(), self.client.clone()).await
    }

    /// A receiver.
    pub(super) async fn sink(&self, manner: Manner) -> Result<Sink, BenchError> {
        Sink::start(self.stopwatch, manner).await
    }

    /// Receivers, all of the same manner.
    pub(super) async fn sinks(&self, count: u64, manner: Manner) -> Result<Vec<Sink>, BenchError> {
        let mut sinks = Vec::new();
        for _ in 0..count {
            sinks.push(self.sink(manner).await?);
        }
        Ok(sinks)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing depends on it; a temporary folder that stays is the system's to clear.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
