//! Waking other nodes on a shared database. A wake that is lost costs time only: every node also looks for itself.
//!
//! `LISTEN` needs a session of its own, so it does not work through a pooler in transaction mode; nodes then find out by
//! polling.

use sqlx::postgres::PgListener;

use crate::{Result, Store, db::Db};

const CHANNEL: &str = "signalbox";

/// What other nodes should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Webhooks, policies or secrets changed.
    Routing,
    /// Deliveries wait that nobody holds.
    Work,
}

impl Wake {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Routing => "routing",
            Self::Work => "work",
        }
    }
}

/// Hears what other nodes, and this one, say.
pub struct Listener(PgListener);

impl Listener {
    /// The next wake. After a lost connection it connects again, and answers [`Wake::Routing`] because something may have
    /// been missed.
    pub async fn next(&mut self) -> Result<Wake> {
        let heard = self.0.try_recv().await?;
        Ok(match heard.as_ref().map(sqlx::postgres::PgNotification::payload) {
            Some("work") => Wake::Work,
            _ => Wake::Routing,
        })
    }
}

impl Store {
    /// Begins to listen; `None` where no other node can be.
    pub async fn listen(&self) -> Result<Option<Listener>> {
        let Db::Postgres(pool) = &self.db else { return Ok(None) };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(Listener(listener)))
    }

    /// Wakes every node that listens.
    pub async fn wake(&self, wake: Wake) -> Result<()> {
        if let Db::Postgres(pool) = &self.db {
            sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(wake.as_str()).execute(pool).await?;
        }
        Ok(())
    }
}
