//! Events and how they are sent: in a closed loop, or at a fixed rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};

use super::{BenchError, api::Api, figures::float, sink::Stopwatch};

/// How much is sent, in a closed loop: each caller waits for its answer before it sends again.
#[derive(Debug, Clone, Copy, clap::Args, Serialize)]
pub(super) struct Load {
    /// Events to send.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) events: u64,
    /// Connections that send at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) concurrency: u64,
    /// Events in one request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) batch: u64,
}

impl Load {
    /// To have many events stored soon.
    pub(super) const fn bulk(events: u64) -> Self {
        Self { events, concurrency: 8, batch: 100 }
    }
}

/// What the events of a scenario look like. Each carries its number and when it was sent.
#[derive(Debug, Clone)]
pub(super) struct Events {
    pub(super) stopwatch: Stopwatch,
    pub(super) event: &'static str,
    padding: Arc<str>,
    /// Every so many are large.
    pub(super) large: Option<(u64, Arc<str>)>,
}

impl Events {
    /// Of the usual size: about 250 bytes as they are delivered.
    pub(super) fn new(stopwatch: Stopwatch, event: &'static str) -> Self {
        Self { stopwatch, event, padding: "x".repeat(150).into(), large: None }
    }

    /// Every `every`th event has a body of `bytes`.
    pub(super) fn with_large(self, every: u64, bytes: usize) -> Self {
        Self { large: Some((every, "x".repeat(bytes).into())), ..self }
    }

    pub(super) fn data(&self, number: u64, sent_us: u64) -> String {
        let padding = match &self.large {
            Some((every, large)) if number.is_multiple_of(*every) => large,
            _ => &self.padding,
        };
        format!("{{\"n\":{number},\"us\":{sent_us},\"pad\":\"{padding}\"}}")
    }

    fn draft(&self, number: u64, sent_us: u64) -> String {
        format!("{{\"event\":\"{}\",\"data\":{}}}", self.event, self.data(number, sent_us))
    }
}

/// Sends events with the numbers from 0, and answers when all are accepted.
pub(super) async fn closed_loop(api: &Api, events: &Events, load: Load) -> Result<(), BenchError> {
    let Load { events: count, concurrency, batch } = load;
    let (api, events) = (api.clone(), events.clone());
    each(concurrency, count.div_ceil(batch), move |request| {
        let (api, events) = (api.clone(), events.clone());
        async move {
            let sent_us = events.stopwatch.now_us();
            if batch == 1 {
                return accepted(&api, "/api/v1/events", events.draft(request, sent_us)).await;
            }
            let numbers = request * batch..((request + 1) * batch).min(count);
            let drafts: Vec<String> = numbers.map(|number| events.draft(number, sent_us)).collect();
            accepted(&api, "/api/v1/events/batch", format!("{{\"events\":[{}]}}", drafts.join(","))).await
        }
    })
    .await
}

/// 503 says "later": a closed loop waits for its turn.
async fn accepted(api: &Api, path: &str, body: String) -> Result<(), BenchError> {
    loop {
        match api.send(path, body.clone()).await?.status {
            202 => return Ok(()),
            503 => tokio::time::sleep(Duration::from_millis(5)).await,
            other => return Err(BenchError::Server(format!("an event was answered with {other}"))),
        }
    }
}

/// Sends `count` events at `per_s`, whatever the answers. Each says that it was sent at its scheduled moment, so that a
/// stall is seen by every event that it delays, also by those that could not be sent in time.
pub(super) async fn open_loop(api: &Api, events: &Events, per_s: u64, count: u64) -> Result<(), BenchError> {
    let (api, events, runtime) = (api.clone(), events.clone(), Handle::current());
    let (hand_over, sent) = oneshot::channel();
    // A thread, because the runtime's own timers count in milliseconds.
    std::thread::spawn(move || {
        let mut requests = JoinSet::new();
        let began = Instant::now();
        for number in 0..count {
            let scheduled = began + Duration::from_secs_f64(float(number) / float(per_s));
            std::thread::sleep(scheduled.saturating_duration_since(Instant::now()));
            if hand_over.is_closed() {
                return;
            }
            let (api, draft) = (api.clone(), events.draft(number, events.stopwatch.us(scheduled)));
            requests.spawn_on(async move { accepted(&api, "/api/v1/events", draft).await }, &runtime);
        }
        // Nobody waits for an answer when it was interrupted.
        drop(hand_over.send(requests));
    });
    let requests = sent.await.map_err(|error| BenchError::Server(error.to_string()))?;
    all(requests).await
}

/// Runs `work` for the numbers below `count`, so many at a time.
pub(super) async fn each<F: Future<Output = Result<(), BenchError>> + Send + 'static>(
    concurrency: u64,
    count: u64,
    work: impl Fn(u64) -> F + Send + Sync + 'static,
) -> Result<(), BenchError> {
    let (next, work) = (Arc::new(AtomicU64::new(0)), Arc::new(work));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (next, work) = (Arc::clone(&next), Arc::clone(&work));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                work(number).await?;
            }
        });
    }
    all(workers).await
}

async fn all(mut tasks: JoinSet<Result<(), BenchError>>) -> Result<(), BenchError> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| BenchError::Server(error.to_string()))??;
    }
    Ok(())
}
