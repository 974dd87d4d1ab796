//! Waking other nodes on a shared database. A wake that is lost costs time only: every node also looks for itself.
//!
//! `LISTEN` needs a session of its own, so it does not work through a pooler in transaction mode; nodes then find out by
//! polling.

use sqlx::postgres::PgListener;

use crate::{Result, Store, db::Db};

const CHANNEL: &str = "signalbox";

/// What begins the payload of news.
const NEWS: &str = "news ";
/// Longest text of news, in bytes: a notification takes less than 8,000.
pub const MAX_NEWS: usize = 7_000;

/// What nodes tell each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Webhooks, policies or secrets changed.
    Routing,
    /// Deliveries wait that nobody holds.
    Work,
    /// Something that screens show changed, in the words of whoever says it; at most [`MAX_NEWS`].
    News(String),
}

/// Hears what other nodes, and this one, say.
pub struct Listener(PgListener);

impl Listener {
    /// The next wake. `None`: the connection was lost and made again, and anything may have been missed.
    pub async fn next(&mut self) -> Result<Option<Wake>> {
        let heard = self.0.try_recv().await?;
        Ok(heard.as_ref().map(sqlx::postgres::PgNotification::payload).map(|payload| match payload {
            "work" => Wake::Work,
            text => text.strip_prefix(NEWS).map_or(Wake::Routing, |news| Wake::News(news.to_owned())),
        }))
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
            let payload = match wake {
                Wake::Routing => "routing".to_owned(),
                Wake::Work => "work".to_owned(),
                Wake::News(text) => format!("{NEWS}{text}"),
            };
            sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(pool).await?;
        }
        Ok(())
    }
}
