#![doc = include_str!("../README.md")]

mod alerts;
mod api_keys;
mod audit;
mod authorizations;
mod check_rounds;
mod columns;
mod connections;
mod db;
mod dead_letters;
mod deliveries;
mod email_templates;
mod emails;
mod error;
mod event_types;
mod events;
mod facts;
mod failover;
mod health;
mod hot;
mod inspector;
mod integrations;
mod jobs;
mod keyset;
mod logs;
mod members;
mod notification_preferences;
mod organizations;
mod replays;
mod retention;
mod routes;
mod saved_views;
mod sealed;
pub mod seed;
mod sessions;
mod sources;
mod stats;
mod suppressions;
mod wake;
mod webhook_secrets;
mod webhooks;
mod writer;

pub use alerts::{AlertAct, DueNotice, NewAlert, Notice};
pub use api_keys::ApiKeyRow;
pub use audit::NewAudit;
pub use authorizations::{ConnectLink, StartedAuthorization};
pub use connections::{
    ConnectionRow, DueRevocation, Known, NewConnection, NewRevocation, NewTokens, RefreshLease, Refreshed,
};
pub use dead_letters::{DeadLetterRow, Moved};
pub use emails::{EmailNews, EmailNewsKind, EmailRow, NewEmail, QueuedEmail, SettledEmail};
pub use error::{Result, StoreError};
pub use facts::{Fact, FactKey};
pub use failover::{FailoverChange, FailoverRow, NewFailover, NewMove, Seat};
pub use health::{DueCheck, NewFinding, Recorded};
pub use hot::{Claimed, IngestOutcome, NewAttempt, NewDelivery, NewEvent, NextStep, Pulse, Settled, Settlement};
pub use inspector::NewInspectorRequest;
pub use integrations::{IntegrationRow, SealedSecrets};
pub use jobs::{Advance, BATCH, Cancellation, MissingEvent, NewJob, Span, TakenJob};
pub use logs::{NewLogEntry, RecordedResult};
pub use members::MemberRow;
pub use organizations::OrganizationRow;
pub use replays::{EditedEvent, QueuedDelivery};
pub use retention::{Bookmark, Grain, OldLetter, PRUNED, Pruned};
pub use routes::{RouteRow, SecretRow};
pub use sealed::{SEALED, Sealed, SealedPlace};
pub use sessions::{NewSession, SessionRow};
pub use sources::SourceRemoval;
pub use wake::{Listener, MAX_NEWS, Wake};
pub use webhook_secrets::{NewSecret, Rotation, StoredSecret};

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use db::Db;

/// A database. Cheap to clone; all clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    reads: Arc<AtomicU64>,
}

impl Store {
    /// Opens `sqlite://path` or `postgres://…` and migrates it.
    ///
    /// A SQLite file is locked for as long as the store lives: a second process is refused with
    /// [`StoreError::InUse`].
    pub async fn open(url: &str) -> Result<Self> {
        Ok(Self { db: Db::open(url).await?, reads: Arc::default() })
    }

    /// How often the database was asked for something since the store was opened. Writes are not counted: they come in
    /// batches.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Whether another process may use the same database at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self.db, Db::Postgres(_))
    }

    /// Finishes what is under way and closes every connection, for all clones. What comes later is refused. When this
    /// returns, another process may open the same SQLite file.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite(db) => {
                db.readers.close().await;
                db.writer.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        db::reading!(self, db => sqlx::query("select 1").execute(db).await.map(drop))?;
        Ok(())
    }

    /// The value that the installation keeps under `name`; `fresh` becomes it when there is none.
    pub async fn meta_or_insert(&self, name: &'static str, fresh: String) -> Result<String> {
        db::writing!(self, conn => {
            sqlx::query("insert into meta (name, value) values ($1, $2) on conflict (name) do nothing")
                .bind(name).bind(&fresh).execute(&mut *conn).await?;
            let value: String =
                sqlx::query_scalar("select value from meta where name = $1").bind(name).fetch_one(&mut *conn).await?;
            Ok(value)
        })
    }

    /// Changes what the installation keeps under `name`; `Stale` when it is not `seen` any more.
    pub async fn set_meta(&self, name: &'static str, seen: String, value: String) -> Result<()> {
        db::writing!(self, conn => {
            let done = sqlx::query("update meta set value = $3 where name = $1 and value = $2")
                .bind(name).bind(&seen).bind(&value).execute(&mut *conn).await?;
            if done.rows_affected() == 0 { Err(StoreError::Stale) } else { Ok(()) }
        })
    }
}
