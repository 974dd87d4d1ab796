//! A receiver: answers in its manner, and notes when each event arrived first and how long it was under way.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use tokio::{net::TcpListener, sync::watch};

use super::BenchError;

/// Microseconds since a moment that all parts of a round share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn us(self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.0).as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn now_us(self) -> u64 {
        self.us(Instant::now())
    }
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// 200 at once.
    Prompt,
    /// 200 after a while.
    Slow(Duration),
    /// 500 at once.
    Failing,
    /// Not at all, until the manner changes.
    Held,
}

/// What arrived.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// When each event, by its number, arrived first: microseconds of the stopwatch.
    pub(super) first_us: HashMap<u64, u64>,
    /// Microseconds under way, of each first arrival.
    pub(super) latencies_us: Vec<u64>,
    /// Arrivals that were not the first.
    pub(super) repeated: u64,
}

impl Arrivals {
    /// How many requests came.
    pub(super) fn all(&self) -> u64 {
        self.first_us.len() as u64 + self.repeated
    }

    pub(super) fn last_us(&self) -> Option<u64> {
        self.first_us.values().max().copied()
    }
}

/// A receiver on a free port of the loopback interface.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) url: String,
    stopwatch: Stopwatch,
    manner: watch::Sender<Manner>,
    arrivals: Arc<Mutex<Arrivals>>,
    count: watch::Sender<u64>,
}

impl Sink {
    pub(super) async fn start(stopwatch: Stopwatch, manner: Manner) -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("receiver", error);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.map_err(io)?;
        let url = format!("http://{}/", listener.local_addr().map_err(io)?);
        let (manner, count) = (watch::Sender::new(manner), watch::Sender::new(0));
        let sink = Self { url, stopwatch, manner, arrivals: Arc::default(), count };
        let router = Router::new().route("/", post(receive)).with_state(sink.clone());
        // Ends with the process.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(sink)
    }

    /// Changes how it answers from now on, also to what it holds.
    pub(super) fn turn(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// Waits until `count` events have arrived since [`Self::take`].
    pub(super) async fn wait(&self, count: u64) -> Result<(), BenchError> {
        let patience = Duration::from_secs(60 + count / 500);
        let mut watched = self.count.subscribe();
        let arrived = tokio::time::timeout(patience, watched.wait_for(|arrived| *arrived >= count)).await;
        let late = |_| BenchError::Server(format!("only {} of {count} events arrived", *self.count.borrow()));
        // The sender lives in `self`.
        arrived.map(drop).map_err(late)
    }

    /// Takes what arrived and begins anew.
    pub(super) fn take(&self) -> Arrivals {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        self.count.send_replace(0);
        std::mem::take(&mut *arrivals)
    }

    /// When the last of these events had arrived, if all of them have.
    pub(super) fn last_of(&self, numbers: &HashSet<u64>) -> Option<u64> {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().try_fold(0, |last, number| Some(last.max(*arrivals.first_us.get(number)?)))
    }

    fn note(&self, number: u64, sent_us: u64) {
        let now_us = self.stopwatch.now_us();
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(vacant) = arrivals.first_us.entry(number) {
            vacant.insert(now_us);
            arrivals.latencies_us.push(now_us.saturating_sub(sent_us));
            self.count.send_modify(|count| *count += 1);
        } else {
            arrivals.repeated += 1;
        }
    }
}

async fn receive(State(sink): State<Sink>, body: Bytes) -> StatusCode {
    if let Some((number, sent_us)) = number_after(&body, b"\"n\":").zip(number_after(&body, b"\"us\":")) {
        sink.note(number, sent_us);
    }
    let manner = *sink.manner.borrow();
    match manner {
        Manner::Prompt => StatusCode::OK,
        Manner::Failing => StatusCode::INTERNAL_SERVER_ERROR,
        Manner::Slow(pause) => {
            tokio::time::sleep(pause).await;
            StatusCode::OK
        }
        Manner::Held => {
            // The sender lives in `sink`.
            drop(sink.manner.subscribe().wait_for(|manner| *manner != Manner::Held).await);
            StatusCode::OK
        }
    }
}

/// The number behind `key`. The bodies are our own, so that this finds what a parser would, at a fraction of its cost.
fn number_after(body: &[u8], key: &[u8]) -> Option<u64> {
    let start = body.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = body[start..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
