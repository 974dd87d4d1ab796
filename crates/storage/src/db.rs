//! The two databases as one value, and the two macros that stamp a statement over both.
//!
//! A statement is written once (`reading!`, `writing!`) or it is a pair of functions of the same name in `hot::sqlite`
//! and `hot::postgres`. Nothing else.

use std::{fs::File, path::Path, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Result, StoreError, writer::Writer};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Connections for reading SQLite; WAL lets them run beside the writer.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL of one node. None is held while a request is sent, so few are enough.
const POSTGRES_CONNECTIONS: u32 = 16;
/// Longest wait for PostgreSQL at start.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for a connection later: when the database is away, callers are to know soon.
const POSTGRES_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) enum Db {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    pub(crate) readers: SqlitePool,
    pub(crate) writer: Writer,
}

/// Runs a read: `reading!(self, db => query.fetch_all(db).await)`. The body is compiled once for each database.
macro_rules! reading {
    ($store:expr, $db:ident => $body:expr) => {{
        $store.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match &$store.db {
            crate::db::Db::Sqlite(sqlite) => {
                #[expect(clippy::allow_attributes, reason = "only some bodies name the dialect")]
                #[allow(dead_code, reason = "only bodies that build their text name the dialect")]
                type Dialect = sqlx::Sqlite;
                let $db = &sqlite.readers;
                $body
            }
            crate::db::Db::Postgres(pool) => {
                #[expect(clippy::allow_attributes, reason = "only some bodies name the dialect")]
                #[allow(dead_code, reason = "only bodies that build their text name the dialect")]
                type Dialect = sqlx::Postgres;
                let $db = pool;
                $body
            }
        }
    }};
}

/// Runs a write in a transaction: `writing!(self, conn => { …; Ok(value) })`. The body is compiled once for each
/// database and moves what it uses. On SQLite it joins the writer's next commit.
macro_rules! writing {
    ($store:expr, $conn:ident => $body:block) => {
        match &$store.db {
            crate::db::Db::Sqlite(sqlite) => {
                sqlite
                    .writer
                    .run(move |$conn: &mut sqlx::SqliteConnection| {
                        Box::pin(async move { $body }) as crate::writer::Work<'_, _>
                    })
                    .await
            }
            crate::db::Db::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let outcome: crate::Result<_> = {
                    let $conn: &mut sqlx::PgConnection = &mut transaction;
                    async { $body }.await
                };
                match outcome {
                    Ok(value) => {
                        transaction.commit().await?;
                        Ok(value)
                    }
                    Err(error) => {
                        transaction.rollback().await?;
                        Err(error)
                    }
                }
            }
        }
    };
}

pub(crate) use {reading, writing};

impl Db {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            Self::open_sqlite(Path::new(path.strip_prefix("//").unwrap_or(path))).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url).await
        } else {
            Err(StoreError::Open("the URL must begin with sqlite:// or postgres://".into()))
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self> {
        let cannot = |error: &dyn std::fmt::Display| StoreError::Open(format!("{}: {error}", path.display()));
        let lock = lock(path).map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => StoreError::InUse(path.display().to_string()),
            std::fs::TryLockError::Error(error) => cannot(&error),
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(256)
            .pragma("temp_store", "memory")
            .pragma("cache_size", "-16384")
            .pragma("wal_autocheckpoint", "4000")
            .disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(|error| cannot(&error))?;
        SQLITE.run(&mut connection).await.map_err(refused)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .test_before_acquire(false)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(|error| cannot(&error))?;
        Ok(Self::Sqlite(Sqlite { readers, writer: Writer::start(connection, lock) }))
    }

    async fn open_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Open(error.to_string()))?
            .application_name("signalbox")
            .disable_statement_logging();
        // A connection of its own first: it says why it is refused, where a pool would only try until its time is over.
        let mut connection = tokio::time::timeout(POSTGRES_PATIENCE, PgConnection::connect_with(&options))
            .await
            .map_err(|_| StoreError::Open(format!("PostgreSQL did not answer within {POSTGRES_PATIENCE:?}")))?
            .map_err(|error| StoreError::Open(error.to_string()))?;
        POSTGRES.run(&mut connection).await.map_err(refused)?;
        connection.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(POSTGRES_WAIT)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|error| StoreError::Open(error.to_string()))?;
        Ok(Self::Postgres(pool))
    }
}

/// One process owns the file: that is what makes it safe to take back every lease at start.
fn lock(path: &Path) -> std::result::Result<File, std::fs::TryLockError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::create(name).map_err(std::fs::TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => StoreError::TooNew(version),
        other => StoreError::Open(other.to_string()),
    }
}
