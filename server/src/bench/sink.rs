//! The receiver: answers 200, counts each event once, and notes how long it was under way.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use tokio::{net::TcpListener, sync::watch};

use super::BenchError;

/// What arrived.
#[derive(Default)]
struct Arrivals {
    /// Numbers of the events seen.
    seen: HashSet<u64>,
    /// Microseconds under way, of each first arrival.
    latencies_us: Vec<u64>,
    duplicates: u64,
    last: Option<Instant>,
}

/// A receiver on a free port of the loopback interface.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
    count: watch::Sender<usize>,
    /// Zero of the clock that sent events carry.
    epoch: Instant,
}

/// What a run came to.
pub(super) struct Tally {
    pub(super) latencies_us: Vec<u64>,
    pub(super) duplicates: u64,
    pub(super) last: Option<Instant>,
}

impl Sink {
    pub(super) async fn start() -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("receiver", error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let sink = Self { address, arrivals: Arc::default(), count: watch::Sender::new(0), epoch: Instant::now() };
        let router = Router::new().route("/", post(receive)).with_state(sink.clone());
        // Ends with the process.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(sink)
    }

    /// The `data` of event `number`, sent now. `padding` brings it to a usual size.
    pub(super) fn data(&self, number: u64, padding: &str) -> String {
        format!("{{\"n\":{number},\"us\":{},\"pad\":\"{padding}\"}}", self.epoch.elapsed().as_micros())
    }

    /// Waits until `count` events have arrived.
    pub(super) async fn wait(&self, count: usize) {
        let mut watched = self.count.subscribe();
        // The sender lives in `self`.
        drop(watched.wait_for(|arrived| *arrived >= count).await);
    }

    pub(super) fn arrived(&self) -> usize {
        *self.count.borrow()
    }

    /// Takes what arrived and begins anew.
    pub(super) fn take(&self) -> Tally {
        let arrivals = std::mem::take(&mut *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner));
        self.count.send_replace(0);
        Tally { latencies_us: arrivals.latencies_us, duplicates: arrivals.duplicates, last: arrivals.last }
    }

    fn note(&self, number: u64, sent_us: u64) {
        let now = Instant::now();
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if arrivals.seen.insert(number) {
            let arrived_us = u64::try_from((now - self.epoch).as_micros()).unwrap_or(u64::MAX);
            arrivals.latencies_us.push(arrived_us.saturating_sub(sent_us));
            arrivals.last = Some(now);
            self.count.send_replace(arrivals.seen.len());
        } else {
            arrivals.duplicates += 1;
        }
    }
}

async fn receive(State(sink): State<Sink>, body: Bytes) {
    if let Some((number, sent_us)) = number_after(&body, b"\"n\":").zip(number_after(&body, b"\"us\":")) {
        sink.note(number, sent_us);
    }
}

/// The number behind `key`. The bodies are our own, so that this finds what a parser would, at a fraction of its cost.
fn number_after(body: &[u8], key: &[u8]) -> Option<u64> {
    let start = body.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = body[start..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
