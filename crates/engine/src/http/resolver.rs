//! Names to addresses, without letting slow names hold others up.
//!
//! The system's resolver answers (so `/etc/hosts` and `nsswitch.conf` hold), on a bounded number of threads. A burst of
//! requests to one host costs one lookup. It does not judge addresses and keeps no answer longer than a few seconds:
//! reuse of connections is what saves lookups.

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OnceCell, Semaphore};

/// How long an answer is shared.
const FRESH: Duration = Duration::from_secs(5);
/// Lookups at a time. Half of the threads that tokio keeps for blocking work, so that names that never resolve cannot
/// take the threads of anything else.
const LOOKUPS: usize = 256;
/// Names remembered before stale ones are thrown out.
const NAMES: usize = 4_096;

type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;
type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// Resolves names. Cheap to clone; clones share their answers.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    lookup: Box<Lookup>,
    fresh: Duration,
    lookups: Arc<Semaphore>,
    names: Mutex<HashMap<Box<str>, Arc<Entry>>>,
}

struct Entry {
    asked: Instant,
    answer: OnceCell<Answer>,
}

impl Entry {
    fn is_current(&self, fresh: Duration) -> bool {
        !self.answer.initialized() || self.asked.elapsed() < fresh
    }
}

impl Resolver {
    /// The operating system's resolver.
    pub fn system() -> Self {
        Self::new(FRESH, |name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    /// Resolves by `lookup`, which may block. Answers, also failures, are shared for `fresh`.
    pub fn new(fresh: Duration, lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self(Arc::new(Inner { lookup: Box::new(lookup), fresh, lookups, names: Mutex::default() }))
    }

    /// The addresses of `name`, at least one, or why there are none. As slow as the name server: the caller has a
    /// deadline.
    pub(super) async fn resolve(&self, name: &str) -> Answer {
        self.entry(name).answer.get_or_init(|| self.look_up(name)).await.clone()
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = names.get(name).filter(|entry| entry.is_current(self.0.fresh)) {
            return entry.clone();
        }
        if names.len() >= NAMES {
            // Strong count 1: whoever asked has gone away without an answer.
            names.retain(|_, entry| Arc::strong_count(entry) > 1 || entry.asked.elapsed() < self.0.fresh);
        }
        let entry = Arc::new(Entry { asked: Instant::now(), answer: OnceCell::new() });
        names.insert(name.into(), entry.clone());
        entry
    }

    async fn look_up(&self, name: &str) -> Answer {
        let permit = self.0.lookups.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (inner, name) = (self.0.clone(), Box::<str>::from(name));
        let looked_up = tokio::task::spawn_blocking(move || {
            // Held by the thread, not by the caller, who may leave at its deadline while the thread goes on.
            let _permit = permit;
            (inner.lookup)(&name)
        });
        match looked_up.await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err("the name has no addresses".into()),
            Ok(Ok(addresses)) => Ok(addresses.into()),
            Ok(Err(error)) => Err(error.to_string().into()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}
