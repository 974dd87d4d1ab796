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
/// Age at which a connection is not used again, so that a change in DNS is noticed however busy the host is.
const MAX_AGE: Duration = Duration::from_mins(5);
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

/// When a connection that could wait until `idle` has to go.
fn end(connection: &Connection, idle: Instant) -> Instant {
    idle.min(connection.opened + MAX_AGE)
}

impl Pool {
    /// A connection to `origin` that can take a request now.
    pub fn take(&self, origin: &str, now: Instant) -> Option<Connection> {
        let mut state = self.locked();
        let Shelf { origins, count, .. } = &mut *state;
        let waiting = origins.get_mut(origin)?;
        for index in (0..waiting.len()).rev() {
            let candidate = &mut waiting[index];
            if candidate.until <= now || candidate.connection.is_closed() {
                waiting.remove(index);
                *count -= 1;
            } else if let Some(shared) = candidate.connection.share() {
                candidate.until = end(&shared, now + IDLE);
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
        let until = end(&connection, Instant::now() + idle);
        let waiting = Waiting { connection, until };
        let mut state = self.locked();
        if let Some(list) = state.origins.get_mut(origin) {
            list.push(waiting);
        } else {
            state.origins.insert(origin.into(), vec![waiting]);
        }
        state.count += 1;
        if state.count > MOST {
            state.evict();
        }
        if !state.swept {
            state.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Forgets a connection that is to take no more requests; it ends with those that it carries.
    pub fn discard(&self, origin: &str, failed: &Connection) {
        let mut state = self.locked();
        let Shelf { origins, count, .. } = &mut *state;
        if let Some(waiting) = origins.get_mut(origin) {
            let before = waiting.len();
            waiting.retain(|candidate| !candidate.connection.is(failed));
            *count -= before - waiting.len();
        }
    }

    fn locked(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.locked().count
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
        let mut state = pool.locked();
        state.close_until(Instant::now());
        if state.count == 0 {
            state.swept = false;
            return;
        }
    }
}
