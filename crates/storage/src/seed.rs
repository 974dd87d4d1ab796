//! What `signalbox bench` needs of a database and the product does not: one that nobody used before.

use std::str::FromStr;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{Result, StoreError};

/// A PostgreSQL database of its own, dropped with this.
#[derive(Debug)]
pub struct Scratch {
    /// Where it was created from.
    beside: PgConnectOptions,
    name: String,
    url: String,
}

impl Scratch {
    /// Creates the database `name`, letters and underscores, on the server of the database `beside`. The user of that URL
    /// must be allowed to create databases.
    pub async fn create(beside: &str, name: &str) -> Result<Self> {
        let beside = PgConnectOptions::from_str(beside).map_err(|error| StoreError::Open(error.to_string()))?;
        let url = beside.clone().database(name).to_url_lossy().to_string();
        let scratch = Self { beside, name: name.to_owned(), url };
        scratch.ask(format!("create database {name}")).await?;
        Ok(scratch)
    }

    /// For [`crate::Store::open`].
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn ask(&self, statement: String) -> Result<()> {
        let mut connection = PgConnection::connect_with(&self.beside).await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A bench that fails or is interrupted is dropped where it waits, and nobody is left to wait for this.
        let dropping = std::thread::scope(|scope| {
            let drop = || {
                // A server that was killed a moment ago may still be connected.
                let statement = format!("drop database if exists {} with (force)", self.name);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map(|runtime| runtime.block_on(self.ask(statement)))
            };
            scope.spawn(drop).join()
        });
        if !matches!(dropping, Ok(Ok(Ok(())))) {
            tracing::warn!(database.name = self.name, "a database of the bench was not dropped");
        }
    }
}
