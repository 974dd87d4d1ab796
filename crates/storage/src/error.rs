//! What can go wrong in a database. A row that is not there is never an error: finders answer `Option`.

use std::{fmt::Display, sync::Arc};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What went wrong. Cheap to clone, because one failed commit answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A unique constraint refused it; the name is that of the constraint in the migrations, such as `webhooks_name`.
    #[error("already exists ({0})")]
    Conflict(&'static str),
    /// The idempotency key of the event with this index was used before, for something else.
    #[error("the idempotency key of event {0} was used for another event")]
    KeyReused(usize),
    /// Somebody else changed the row since it was read.
    #[error("changed by somebody else")]
    Stale,
    /// A stored value is not what this program stores.
    #[error("corrupt {table}.{column}: {reason}")]
    Corrupt {
        /// Where it is.
        table: &'static str,
        /// Where it is.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The database was migrated by a newer Signalbox.
    #[error("the database was migrated by a newer Signalbox (migration {0}); start that version or a newer one")]
    TooNew(i64),
    /// The file is in use by another process.
    #[error("{0} is in use by another Signalbox process")]
    InUse(String),
    /// The database cannot be reached or refused.
    #[error("database: {0}")]
    Driver(Arc<sqlx::Error>),
    /// The database cannot be opened or migrated.
    #[error("cannot open the database: {0}")]
    Open(String),
    /// The store is stopping.
    #[error("the store is stopping")]
    Stopping,
}

impl StoreError {
    /// A stored value that cannot be read.
    pub(crate) fn corrupt(table: &'static str, column: &'static str, reason: impl Display) -> Self {
        Self::Corrupt { table, column, reason: reason.to_string() }
    }

    /// Whether the same call may succeed later.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Driver(_) | Self::Stopping)
    }
}

/// Unique constraints that callers are told of. PostgreSQL names the constraint, SQLite its columns.
const UNIQUE: [(&str, &str); 8] = [
    ("email_templates_name", "email_templates.organization_id, email_templates.name"),
    ("integrations_name", "integrations.organization_id, integrations.name"),
    ("failover_members_integration", "failover_members.integration_id"),
    ("webhooks_name", "webhooks.organization_id, webhooks.name"),
    ("sources_name", "sources.organization_id, sources.name"),
    ("members_email_key", "members.email"),
    ("api_keys_key_hash_key", "api_keys.key_hash"),
    ("event_types_pkey", "event_types.organization_id, event_types.name"),
];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error
            && database.is_unique_violation()
        {
            let known = UNIQUE.iter().find(|(constraint, columns)| {
                database.constraint() == Some(constraint) || database.message().ends_with(columns)
            });
            if let Some((constraint, _)) = known {
                return Self::Conflict(constraint);
            }
        }
        Self::Driver(Arc::new(error))
    }
}
