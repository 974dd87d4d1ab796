//! Everything that is stored encrypted, to be encrypted anew when the operator changes the key. The keys are the engine's.
//!
//! Not scoped to one organization: it is the operator who asks, for all of them.

use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    Result, Store,
    db::{reading, writing},
};

/// A column whose values are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedPlace {
    /// Its table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// What finds a row.
    key: &'static str,
    /// Under which names its values are sealed: table, and one of these columns. Usually its own.
    pub sealed_as: (&'static str, &'static [&'static str]),
    /// The column that its values are sealed to.
    row: &'static str,
}

const TOKENS: &[&str] = &["access_token", "refresh_token"];

/// All of them. Consents under way are not: they are over within ten minutes.
pub const SEALED: [SealedPlace; 7] = [
    SealedPlace { table: "webhooks", column: "headers", key: "id", sealed_as: ("webhooks", &["headers"]), row: "id" },
    SealedPlace {
        table: "webhook_secrets",
        column: "secret",
        key: "id",
        sealed_as: ("webhook_secrets", &["secret"]),
        row: "id",
    },
    SealedPlace {
        table: "integrations",
        column: "secrets",
        key: "id",
        sealed_as: ("integrations", &["secrets"]),
        row: "id",
    },
    SealedPlace {
        table: "connections",
        column: "access_token",
        key: "integration_id",
        sealed_as: ("connections", &["access_token"]),
        row: "integration_id",
    },
    SealedPlace {
        table: "connections",
        column: "refresh_token",
        key: "integration_id",
        sealed_as: ("connections", &["refresh_token"]),
        row: "integration_id",
    },
    SealedPlace {
        table: "refreshes",
        column: "orphan",
        key: "id",
        sealed_as: ("connections", &["refresh_token"]),
        row: "integration_id",
    },
    SealedPlace {
        table: "revocations",
        column: "token",
        key: "id",
        sealed_as: ("connections", TOKENS),
        row: "integration_id",
    },
];

/// An encrypted value.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sealed {
    /// Finds its row.
    pub key: Uuid,
    /// What it is sealed to.
    pub row: Uuid,
    /// The value.
    pub value: Vec<u8>,
}

impl Store {
    /// Encrypted values of one place behind `after`, by key.
    pub async fn sealed(&self, place: SealedPlace, after: Uuid, limit: u32) -> Result<Vec<Sealed>> {
        let SealedPlace { table, column, key, row, .. } = place;
        Ok(reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new("select ");
            sql.push(key).push(" as key, ").push(row).push(" as row, ").push(column).push(" as value from ").push(table);
            sql.push(" where ").push(column).push(" is not null and ").push(key).push(" > ").push_bind(after);
            sql.push(" order by ").push(key).push(" limit ").push_bind(i64::from(limit));
            sql.build_query_as().fetch_all(db).await
        })?)
    }

    /// Puts values in the place of those that were read. One that somebody else changed meanwhile stays.
    pub async fn reseal(&self, place: SealedPlace, changes: Vec<(Sealed, Vec<u8>)>) -> Result<()> {
        writing!(self, conn => {
            let SealedPlace { table, column, key, .. } = place;
            for (old, new) in changes {
                let mut sql = QueryBuilder::new("update ");
                sql.push(table).push(" set ").push(column).push(" = ").push_bind(new);
                sql.push(" where ").push(key).push(" = ").push_bind(old.key);
                sql.push(" and ").push(column).push(" = ").push_bind(old.value);
                sql.build().execute(&mut *conn).await?;
            }
            Ok(())
        })
    }
}
