//! Databases that nobody used before.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

/// A fresh database, gone when this is dropped.
pub(crate) struct Database {
    /// For `SIGNALBOX_DATABASE_URL`.
    pub(crate) url: String,
    /// A data folder of its own, also beside PostgreSQL: the master key lives there.
    pub(crate) folder: TempDir,
    /// Where to drop it.
    server: Option<(String, String)>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("signalbox.db").display());
        Self { url, folder, server: None }
    }

    /// One that somebody else takes away.
    pub(crate) fn at(url: String) -> Self {
        Self { url, folder: tempfile::tempdir().unwrap(), server: None }
    }

    /// On the PostgreSQL that `SIGNALBOX_TEST_POSTGRES_URL` names.
    pub(crate) fn postgres() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let admin = std::env::var("SIGNALBOX_TEST_POSTGRES_URL")
            .expect("SIGNALBOX_TEST_POSTGRES_URL is not set: run `cargo run -p xtask -- postgres -- cargo test …`");
        let name = format!("signalbox_server_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (address, options) = admin.split_once('?').map_or((&*admin, None), |(a, b)| (a, Some(b)));
        let (server, _) = address.rsplit_once('/').unwrap();
        let url = format!("{server}/{name}{}", options.map(|text| format!("?{text}")).unwrap_or_default());
        // A process of the same number may have left one behind.
        psql(&admin, &format!("drop database if exists {name} with (force)"));
        psql(&admin, &format!("create database {name}"));
        Self { url, folder: tempfile::tempdir().unwrap(), server: Some((admin, name)) }
    }

    /// Takes the database away under whoever uses it. Only for PostgreSQL.
    pub(crate) fn take_away(&self) {
        let (admin, name) = self.server.as_ref().expect("PostgreSQL");
        psql(admin, &format!("drop database {name} with (force)"));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.server {
            psql(admin, &format!("drop database if exists {name} with (force)"));
        }
    }
}

/// Lets PostgreSQL do something beside the servers.
pub(crate) fn psql(url: &str, statement: &str) {
    let output =
        Command::new("psql").args(["--no-psqlrc", "--quiet", "--dbname", url, "--command", statement]).output();
    let output = output.expect("psql comes with PostgreSQL");
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
}
