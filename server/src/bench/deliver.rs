//! `bench deliver`: one webhook, a closed loop of callers, from the first request to the last arrival.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use engine::{
    http::{Client, ClientConfig, Guard, Request},
    signature::SigningKey,
};
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Serialize;

use tokio::task::JoinSet;

use super::{
    BenchError,
    process::{KEY, Server, postgres_cpu_seconds},
    sink::Sink,
};

/// What the bench is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// `postgres://…`; an embedded SQLite database in a temporary folder when not given. The database should be empty.
    #[arg(long)]
    database: Option<String>,
    /// Events to send.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    events: u64,
    /// Connections that send at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    concurrency: u64,
    /// Events in one request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    batch: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    database: &'static str,
    events: u64,
    concurrency: u64,
    batch: u64,
    /// Requests per second with no storage in between, before and after.
    raw_per_s: [f64; 2],
    accepted_per_s: f64,
    delivered_per_s: f64,
    /// `delivered_per_s` by the mean of `raw_per_s`.
    ratio_to_raw: f64,
    /// From sending the event to its arrival, in milliseconds.
    arrival_p50_ms: f64,
    arrival_p99_ms: f64,
    duplicates: u64,
    server_cpu_s_per_1000: f64,
    database_cpu_s_per_1000: f64,
    idle_rss_mb: f64,
    peak_rss_mb: f64,
    start_to_ready_ms: u128,
}

/// Runs the bench and prints what it found.
#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub async fn deliver(options: Options) -> Result<(), BenchError> {
    let report = measure(&options).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
        return Ok(());
    }
    println!(
        "{} · {} events, {} at a time, {} per request",
        report.database, report.events, report.concurrency, report.batch
    );
    println!("  raw limit          {:>9.0} /s before, {:.0} /s after", report.raw_per_s[0], report.raw_per_s[1]);
    println!("  accepted           {:>9.0} /s", report.accepted_per_s);
    println!("  delivered          {:>9.0} /s", report.delivered_per_s);
    println!("  ratio to raw       {:>9.3}", report.ratio_to_raw);
    println!("  send to arrival    {:>9.2} ms p50, {:.2} ms p99", report.arrival_p50_ms, report.arrival_p99_ms);
    println!("  duplicates         {:>9}", report.duplicates);
    println!(
        "  CPU per 1,000      {:>9.3} s server, {:.3} s database",
        report.server_cpu_s_per_1000, report.database_cpu_s_per_1000
    );
    println!("  memory             {:>9.1} MB idle, {:.1} MB peak", report.idle_rss_mb, report.peak_rss_mb);
    println!("  start to ready     {:>9} ms", report.start_to_ready_ms);
    Ok(())
}

async fn measure(options: &Options) -> Result<Report, BenchError> {
    let client = Client::new(ClientConfig {
        guard: Guard::new(vec![ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8))]),
        proxy: None,
        user_agent: "signalbox-bench".to_owned(),
    });
    let sink = Sink::start().await?;
    let padding: Arc<str> = "x".repeat(150).into();
    let raw_before = raw(options, &client, &sink, &padding).await?;
    let folder = Folder::new()?;
    let server = Server::start(&folder.0, options.database.as_deref()).await?;
    let idle_rss_mb = server.memory_mb("VmRSS");
    create_webhook(&client, &server, &sink).await?;
    // Connections, caches and prepared statements of the first requests are not what is asked about.
    let warm_up = options.events.min(1_000);
    send(options, &client, &server, &sink, &padding, warm_up).await?;
    wait(&sink, warm_up).await?;
    sink.take();

    let (cpu, database_cpu) = (server.cpu_seconds(), postgres_cpu_seconds());
    let began = Instant::now();
    send(options, &client, &server, &sink, &padding, options.events).await?;
    let accepted = began.elapsed();
    wait(&sink, options.events).await?;
    let mut tally = sink.take();
    let delivered = tally.last.map_or(accepted, |last| last - began);
    let (cpu, database_cpu) = (server.cpu_seconds() - cpu, postgres_cpu_seconds() - database_cpu);
    let peak_rss_mb = server.memory_mb("VmHWM");
    drop(server);
    let raw_after = raw(options, &client, &sink, &padding).await?;

    tally.latencies_us.sort_unstable();
    let events = per(options.events);
    let delivered_per_s = events / delivered.as_secs_f64();
    Ok(Report {
        database: if options.database.is_some() { "PostgreSQL" } else { "SQLite" },
        events: options.events,
        concurrency: options.concurrency,
        batch: options.batch,
        raw_per_s: [raw_before, raw_after],
        accepted_per_s: events / accepted.as_secs_f64(),
        delivered_per_s,
        ratio_to_raw: delivered_per_s / f64::midpoint(raw_before, raw_after),
        arrival_p50_ms: percentile(&tally.latencies_us, 50),
        arrival_p99_ms: percentile(&tally.latencies_us, 99),
        duplicates: tally.duplicates,
        server_cpu_s_per_1000: cpu / events * 1000.0,
        database_cpu_s_per_1000: if options.database.is_some() { database_cpu / events * 1000.0 } else { 0.0 },
        idle_rss_mb,
        peak_rss_mb,
        start_to_ready_ms: server_ready(&folder, options).await?,
    })
}

/// Start to first readiness on a database that is already migrated, the usual case.
async fn server_ready(folder: &Folder, options: &Options) -> Result<u128, BenchError> {
    Ok(Server::start(&folder.0, options.database.as_deref()).await?.ready_ms)
}

/// Requests per second of the client alone: it signs and posts, the receiver counts.
async fn raw(options: &Options, client: &Client, sink: &Sink, padding: &Arc<str>) -> Result<f64, BenchError> {
    let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None)
        .ok_or_else(|| BenchError::Server("the bench's own secret is not valid".into()))?;
    let target = url(&format!("http://{}/", sink.address))?;
    let began = Instant::now();
    let (client, counted, padding) = (client.clone(), sink.clone(), Arc::clone(padding));
    each(options.concurrency, options.events, move |number| {
        let (client, target, key, sink, padding) =
            (client.clone(), target.clone(), key.clone(), counted.clone(), Arc::clone(&padding));
        async move {
            let id = format!("evt_{number:026}");
            let body =
                format!("{{\"id\":\"{id}\",\"event\":\"job.created\",\"data\":{}}}", sink.data(number, &padding));
            let mut headers = HeaderMap::new();
            let signed = [
                ("webhook-signature", key.standard(&id, "1700000000", body.as_bytes())),
                ("x-intime-signature", key.body(body.as_bytes())),
            ];
            headers.insert("webhook-id", text(&id)?);
            headers.insert("webhook-timestamp", HeaderValue::from_static("1700000000"));
            for (name, value) in signed {
                headers.insert(name, text(&value)?);
            }
            post(&client, target, headers, body.into(), 200).await.map(drop)
        }
    })
    .await?;
    let per_s = per(options.events) / began.elapsed().as_secs_f64();
    sink.take();
    Ok(per_s)
}

async fn create_webhook(client: &Client, server: &Server, sink: &Sink) -> Result<(), BenchError> {
    let body = format!("{{\"name\":\"bench\",\"url\":\"http://{}/\",\"events\":[\"job.created\"]}}", sink.address);
    let target = url(&format!("{}/api/v1/webhooks", server.url))?;
    post(client, target, authorized()?, body.into(), 201).await.map(drop)
}

async fn send(
    options: &Options,
    client: &Client,
    server: &Server,
    sink: &Sink,
    padding: &Arc<str>,
    events: u64,
) -> Result<(), BenchError> {
    let path = if options.batch == 1 { "/api/v1/events" } else { "/api/v1/events/batch" };
    let target = url(&format!("{}{path}", server.url))?;
    let headers = authorized()?;
    let batch = options.batch;
    let (client, sink, padding) = (client.clone(), sink.clone(), Arc::clone(padding));
    each(options.concurrency, events.div_ceil(batch), move |request| {
        let (client, target, headers, sink, padding) =
            (client.clone(), target.clone(), headers.clone(), sink.clone(), Arc::clone(&padding));
        async move {
            let event = |number| format!("{{\"event\":\"job.created\",\"data\":{}}}", sink.data(number, &padding));
            let body = if batch == 1 {
                event(request)
            } else {
                let numbers = request * batch..((request + 1) * batch).min(events);
                format!("{{\"events\":[{}]}}", numbers.map(event).collect::<Vec<_>>().join(","))
            };
            // 503 says "later": a closed loop waits for its turn.
            loop {
                let status = post(&client, target.clone(), headers.clone(), body.clone().into(), 0).await?;
                match status {
                    202 => return Ok(()),
                    503 => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => return Err(BenchError::Server(format!("an event was answered with {other}"))),
                }
            }
        }
    })
    .await
}

/// Runs `work` for the numbers below `count`, so many at a time.
async fn each<F: Future<Output = Result<(), BenchError>> + Send + 'static>(
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
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| BenchError::Server(error.to_string()))??;
    }
    Ok(())
}

async fn wait(sink: &Sink, events: u64) -> Result<(), BenchError> {
    let patience = Duration::from_secs(60 + events / 500);
    let arrived = tokio::time::timeout(patience, sink.wait(usize::try_from(events).unwrap_or(usize::MAX))).await;
    arrived.map_err(|_| BenchError::Server(format!("only {} of {events} events arrived", sink.arrived())))
}

async fn post(
    client: &Client,
    target: url::Url,
    headers: HeaderMap,
    body: Bytes,
    expected: u16,
) -> Result<u16, BenchError> {
    let request = Request {
        url: target,
        method: Method::POST,
        headers,
        body,
        timeout_ms: 30_000,
        max_body_bytes: 64 * 1024,
        exempt: None,
    };
    let response = client.send(request).await.map_err(|failure| BenchError::Server(failure.to_string()))?;
    if expected != 0 && response.status != expected {
        let body = String::from_utf8_lossy(&response.body).into_owned();
        return Err(BenchError::Server(format!("expected {expected}, got {}: {body}", response.status)));
    }
    Ok(response.status)
}

fn authorized() -> Result<HeaderMap, BenchError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, text(&format!("Bearer {KEY}"))?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

fn text(value: &str) -> Result<HeaderValue, BenchError> {
    HeaderValue::from_str(value).map_err(|error| BenchError::Server(error.to_string()))
}

fn url(text: &str) -> Result<url::Url, BenchError> {
    url::Url::parse(text).map_err(|error| BenchError::Server(error.to_string()))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per(count: u64) -> f64 {
    count as f64
}

/// In milliseconds, of sorted microseconds.
fn percentile(sorted_us: &[u64], percent: usize) -> f64 {
    let index = (sorted_us.len() * percent / 100).min(sorted_us.len().saturating_sub(1));
    per(sorted_us.get(index).copied().unwrap_or_default()) / 1000.0
}

/// A temporary folder, removed when the bench ends.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self, BenchError> {
        let path = std::env::temp_dir().join(format!("signalbox-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| BenchError::Io("temporary folder", error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it; a temporary folder that stays is the system's to clear.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
