//! Connections that wait for the next request to the same origin.
//!
//! A connection is handed out newest first, since that one has most of its life left. The pool opens nothing and
//! writes nothing; it closes what waited too long, and the quarter that waits longest when there are too many.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::connection::Connection;

/// How long a connection waits for its next request. Shorter than the 60 s after which common load balancers close.
pub(super) const IDLE: Duration = Duration::from_secs(45);
/// Waiting connections in all. Each is a file descriptor, of which a process often has 1,024.
pub(super) const MOST: usize = 512;

#[derive(Default)]
pub(super) struct Pool(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    /// By origin, as in the URL: `https://host:port`.
    origins: HashMap<Box<str>, Vec<Waiting>>,
    count: usize,
    swept: bool,
}

struct Waiting {
    connection: Connection,
    until: Instant,
}

impl Pool {
    /// A connection to `origin` that can take a request now.
    pub fn take(&self, origin: &str, now: Instant) -> Option<Connection> {
        let mut shelf = self.shelf();
        let Shelf { origins, count, .. } = &mut *shelf;
        let waiting = origins.get_mut(origin)?;
        for index in (0..waiting.len()).rev() {
            let candidate = &mut waiting[index];
            if candidate.until <= now || candidate.connection.is_closed() {
                waiting.remove(index);
                *count -= 1;
            } else if let Some(shared) = candidate.connection.share() {
                candidate.until = now + IDLE;
                return Some(shared);
            } else if candidate.connection.is_ready() {
                *count -= 1;
                return Some(waiting.remove(index).connection);
            }
        }
        None
    }

    /// Keeps a connection for at most `idle`.
    pub fn put(self: &Arc<Self>, origin: &str, connection: Connection, idle: Duration) {
        let waiting = Waiting { connection, until: Instant::now() + idle };
        let mut shelf = self.shelf();
        if let Some(list) = shelf.origins.get_mut(origin) {
            list.push(waiting);
        } else {
            shelf.origins.insert(origin.into(), vec![waiting]);
        }
        shelf.count += 1;
        if shelf.count > MOST {
            shelf.evict();
        }
        if !shelf.swept {
            shelf.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Forgets a shared connection that failed.
    pub fn discard(&self, origin: &str, failed: &Connection) {
        let mut shelf = self.shelf();
        let Shelf { origins, count, .. } = &mut *shelf;
        if let Some(waiting) = origins.get_mut(origin) {
            let before = waiting.len();
            waiting.retain(|candidate| !candidate.connection.is(failed));
            *count -= before - waiting.len();
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shelf().count
    }
}

impl Shelf {
    /// Closes whatever waits until `moment` at the latest, and what its peer has closed.
    fn close_until(&mut self, moment: Instant) {
        self.origins.retain(|_, waiting| {
            waiting.retain(|candidate| candidate.until > moment && !candidate.connection.is_closed());
            !waiting.is_empty()
        });
        self.count = self.origins.values().map(Vec::len).sum();
    }

    fn evict(&mut self) {
        let mut ends: Vec<Instant> = self.origins.values().flatten().map(|candidate| candidate.until).collect();
        let (_, &mut quarter, _) = ends.select_nth_unstable(MOST / 4);
        self.close_until(quarter);
    }
}

/// Closes connections on time also when no request comes by. Ends when nothing waits.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE / 3).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut shelf = pool.shelf();
        shelf.close_until(Instant::now());
        if shelf.count == 0 {
            shelf.swept = false;
            return;
        }
    }
}
