//! A PostgreSQL server of a test's own, to be stopped in the middle.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::database::Database;

/// A running server; stopped and gone when this is dropped.
pub(crate) struct Cluster {
    /// What knows how to start one.
    xtask: String,
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// `None`, and a word about it, when the tests do not run under `xtask postgres`.
    pub(crate) fn start() -> Option<Self> {
        let Ok(xtask) = std::env::var("SIGNALBOX_TEST_XTASK") else {
            eprintln!("skipped: SIGNALBOX_TEST_XTASK is not set");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { xtask, folder: tempfile::tempdir().unwrap(), port };
        cluster.resume();
        Some(cluster)
    }

    /// Its only database, which is empty.
    pub(crate) fn database(&self) -> Database {
        Database::at(format!("postgres://postgres@127.0.0.1:{}/postgres", self.port))
    }

    /// Starts it again; answers when it takes connections.
    pub(crate) fn resume(&self) {
        self.ask(&["postgres-start", &self.path(), &self.port.to_string()]);
    }

    /// Stops it as a crash would.
    pub(crate) fn stop(&self) {
        self.ask(&["postgres-stop", &self.path()]);
    }

    fn path(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn ask(&self, arguments: &[&str]) {
        // The server keeps the standard output that it was started with.
        let status = Command::new(&self.xtask).args(arguments).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{arguments:?}: {status}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.stop();
        }
    }
}
