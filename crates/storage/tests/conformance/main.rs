//! One suite for both databases: what holds on one must hold on the other.
//!
//! Every case runs on SQLite in a temporary folder, and in a database of its own on the PostgreSQL that
//! `SIGNALBOX_TEST_POSTGRES_URL` names. Without the variable the PostgreSQL half fails: half a proof is none.
#![expect(clippy::unwrap_used, reason = "a case that cannot go on should stop where it is")]

mod cold;
mod connections;
mod dead_letters;
mod emails;
mod failover;
mod filters;
mod hot;
mod integrations;
mod jobs;
mod model;
mod retention;
mod schema_parity;
mod stats;
mod upgrade;

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use storage::Store;
use tempfile::TempDir;

/// A store that nobody used before, and where it is.
pub(crate) struct Fresh {
    pub(crate) store: Store,
    /// To open it beside the store, for what the store does not do.
    pub(crate) url: String,
    place: Place,
}

enum Place {
    Folder { _held: TempDir },
    Server { admin_url: String, database: String },
}

impl Fresh {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self { store: Store::open(&url).await.unwrap(), url, place: Place::Folder { _held: folder } }
    }

    pub(crate) async fn postgres() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let admin_url = std::env::var("SIGNALBOX_TEST_POSTGRES_URL")
            .expect("SIGNALBOX_TEST_POSTGRES_URL is not set: run `cargo run -p xtask -- postgres -- cargo test …`");
        let database = format!("signalbox_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (address, options) = admin_url.split_once('?').map_or((&*admin_url, None), |(a, b)| (a, Some(b)));
        let (server, _) = address.rsplit_once('/').unwrap();
        let url = format!("{server}/{database}{}", options.map(|text| format!("?{text}")).unwrap_or_default());
        let mut admin = PgConnection::connect(&admin_url).await.unwrap();
        // A process of the same number may have left one behind.
        for statement in ["drop database if exists", "create database"] {
            let text = format!("{statement} {database}");
            sqlx::query(AssertSqlSafe(text)).execute(&mut admin).await.unwrap();
        }
        Self { store: Store::open(&url).await.unwrap(), url, place: Place::Server { admin_url, database } }
    }

    pub(crate) async fn end(self) {
        drop(self.store);
        if let Place::Server { admin_url, database } = self.place {
            let mut admin = PgConnection::connect(&admin_url).await.unwrap();
            sqlx::query(AssertSqlSafe(format!("drop database {database} with (force)")))
                .execute(&mut admin)
                .await
                .unwrap();
        }
    }
}

/// Runs statements that the store has no function for: `raw!(fresh, conn => sqlx::query("…").execute(conn).await)`.
macro_rules! raw {
    ($fresh:expr, $conn:ident => $body:expr) => {
        if $fresh.store.is_shared() {
            let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&$fresh.url).await.unwrap();
            let $conn = &mut connection;
            $body
        } else {
            let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&$fresh.url).await.unwrap();
            let $conn = &mut connection;
            $body
        }
    };
}
pub(crate) use raw;

/// Stamps cases over both databases: `conformance! { async fn name(fresh) { … } }`, where `fresh` is a `&Fresh`, which the
/// calling module imports.
macro_rules! conformance {
    ($($(#[doc = $doc:literal])* async fn $name:ident($fresh:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[doc = $doc])*
            async fn case($fresh: &Fresh) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                let fresh = Fresh::sqlite().await;
                case(&fresh).await;
                fresh.end().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                let fresh = Fresh::postgres().await;
                case(&fresh).await;
                fresh.end().await;
            }
        }
    )*};
}
pub(crate) use conformance;
