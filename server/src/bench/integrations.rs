//! `bench integrations`: many integrations that are checked in their turns. How evenly the checks begin and what they cost, how
//! long the dashboard takes with a month of figures behind it, and how soon people know of an outage: on the screen, and by an
//! e-mail that a server has taken.
//!
//! The provider and the e-mail server are in this process. The interval is that of the integrations and not a shorter one: what a
//! second's checks cost depends on it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use engine::{Clock as _, SystemClock};
use serde::Serialize;
use serde_json::json;
use storage::Store;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    BenchError, Common, Measure,
    api::{Api, Visitor},
    figures::{Figures, float},
    load::each,
    process::{Cpu, Server},
    stage::Stage,
};

/// Longest wait for news of an outage.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bad results in a row that make an outage.
const BAD: u64 = domain::health::BAD_TO_DOWN as u64;

/// What `bench integrations` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Integrations {
    /// Integrations that are watched.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=1_000))]
    count: u64,
    /// Seconds between two checks of one.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3_600))]
    interval: u64,
    /// Intervals that are measured, after one that is not.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    intervals: u64,
    /// Requests for the dashboard.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    looks: u64,
    /// Outages, one after the other.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10))]
    outages: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Integrations {
    const NAME: &'static str = "integrations";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let provider = Provider::start().await?;
        let mail = Mailbox::start().await?;
        let server = stage.serve().await?;
        let ids = self.fill(&server.api, &provider, &mail).await?;
        server.stop().await?;
        let store = Store::open(&stage.database_url()).await?;
        let none = || BenchError::Server("the server made no organization".into());
        let organization = store.first_organization().await?.ok_or_else(none)?.id;
        store.seed_health(organization, SystemClock.now()).await?;
        store.close().await;

        let server = stage.serve().await?;
        let visitor = server.api.sign_in().await?;
        let mut figures = Figures::default();
        self.watch(stage, &server, &provider, &mut figures).await;
        self.look(&visitor, &mut figures).await?;
        self.break_some(&server.api, &visitor, &provider, &mail, &ids, &mut figures).await?;
        server.stop().await?;
        Ok(figures)
    }
}

impl Integrations {
    /// Adds the integrations; answers the ids of those that will break.
    async fn fill(&self, api: &Api, provider: &Provider, mail: &Mailbox) -> Result<Vec<String>, BenchError> {
        let sender = json!({
            "provider": "smtp",
            "name": "Mail",
            "config": {
                "smtp_host": "127.0.0.1", "smtp_port": mail.port, "smtp_security": "none", "smtp_username": "bench",
                "from_email": "bench@example.com", "from_name": "Bench",
            },
            "secrets": {"smtp_password": "bench"},
            "check_interval_s": 86_400,
        });
        api.made("/api/v1/integrations", &sender).await?;
        let told = json!({"emails": ["ops@example.com"], "slack": false, "reminder_minutes": 0, "muted": []});
        api.put("/api/v1/alert-settings", &told).await?;
        let (base, interval) = (provider.url.clone(), self.interval);
        let draft = move |number: u64| {
            json!({
                "provider": "custom_api",
                "name": format!("Integration {number:04}"),
                "config": {"base_url": base, "health_path": format!("/{number}")},
                "secrets": {"authorization": "Bearer bench"},
                "check_interval_s": interval,
            })
        };
        let mut ids = Vec::new();
        for number in 0..self.outages {
            ids.push(api.made("/api/v1/integrations", &draft(number)).await?);
        }
        let (api, first) = (api.clone(), self.outages);
        each(4, self.count - first, move |number| {
            let (api, draft) = (api.clone(), draft(first + number));
            async move { api.made("/api/v1/integrations", &draft).await.map(drop) }
        })
        .await?;
        Ok(ids)
    }

    /// How evenly checks begin, and what they cost.
    async fn watch(&self, stage: &Stage, server: &Server, provider: &Provider, figures: &mut Figures) {
        tokio::time::sleep(Duration::from_secs(self.interval)).await;
        provider.take();
        let cpu = Cpu::until_now(server, stage.is_shared());
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(self.interval * self.intervals)).await;
        let cpu = Cpu::until_now(server, stage.is_shared()).since(cpu);
        let lasted = began.elapsed().as_secs_f64();
        let starts = provider.take();
        let mut by_second: HashMap<u64, u64> = HashMap::new();
        for at in &starts {
            *by_second.entry(at.saturating_duration_since(began).as_secs()).or_default() += 1;
        }
        let mean = float(starts.len() as u64) / lasted;
        let most = float(by_second.into_values().max().unwrap_or_default());
        figures.add("starts_mean_per_s", mean);
        figures.add("starts_max_per_s", most);
        figures.add("starts_max_to_mean", most / mean);
        figures.add("cpu_server_percent", cpu.server_s / lasted * 100.0);
        figures.add("cpu_database_percent", cpu.database_s / lasted * 100.0);
        figures.add("rss_mb", server.memory_mb("VmRSS"));
    }

    /// How long the dashboard takes: its data, as it is fetched while things change, and the whole page.
    async fn look(&self, visitor: &Visitor, figures: &mut Figures) -> Result<(), BenchError> {
        for (path, body, names) in [
            ("/_ui/integrations/dashboard", Some("{}"), [("dashboard_data_p50_ms", 50), ("dashboard_data_p99_ms", 99)]),
            ("/integrations", None, [("dashboard_page_p50_ms", 50), ("dashboard_page_p99_ms", 99)]),
        ] {
            figures.add_percentiles(&names, visitor.look(path, body, self.looks).await?);
        }
        Ok(())
    }

    /// How soon an outage is known, from the answer that proves it.
    async fn break_some(
        &self,
        api: &Api,
        visitor: &Visitor,
        provider: &Provider,
        mail: &Mailbox,
        ids: &[String],
        figures: &mut Figures,
    ) -> Result<(), BenchError> {
        let (mut live_us, mut mail_us) = (Vec::new(), Vec::new());
        for (number, id) in (0_u64..).zip(ids) {
            let mut news = visitor.follow().await?;
            provider.break_path(number);
            // What is still told of the outage before does not count.
            let (tell, mut told) = mpsc::unbounded_channel();
            let listening = tokio::spawn(async move {
                while let Ok(at) = news.until(r#""type":"alerts""#).await
                    && tell.send(at).is_ok()
                {}
            });
            for _ in 0..BAD {
                api.send(&format!("/api/v1/integrations/{id}/health-check"), "{}".to_owned()).await?;
            }
            let proved = provider.proved_at(number).ok_or_else(|| BenchError::Server("nothing was checked".into()))?;
            let shown = loop {
                let at = told.recv().await.ok_or_else(|| BenchError::Server("no news of an outage came".into()))?;
                if at >= proved {
                    break at;
                }
            };
            listening.abort();
            let taken = mail.until(&format!("[Critical] Integration {number:04}:")).await?;
            for (at, into) in [(shown, &mut live_us), (taken, &mut mail_us)] {
                into.push(u64::try_from(at.saturating_duration_since(proved).as_micros()).unwrap_or(u64::MAX));
            }
        }
        figures.add_percentiles(&[("alert_shown_p50_ms", 50), ("alert_shown_max_ms", 100)], live_us);
        figures.add_percentiles(&[("mail_taken_p50_ms", 50), ("mail_taken_max_ms", 100)], mail_us);
        Ok(())
    }
}

/// A provider that answers at once, and notes when it is asked.
#[derive(Clone)]
struct Provider {
    url: String,
    asked: Arc<Mutex<Asked>>,
}

#[derive(Default)]
struct Asked {
    at: Vec<Instant>,
    /// Bad answers by path, since it is broken.
    broken: HashMap<u64, Vec<Instant>>,
}

impl Provider {
    async fn start() -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("provider", error);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.map_err(io)?;
        let url = format!("http://{}", listener.local_addr().map_err(io)?);
        let provider = Self { url, asked: Arc::default() };
        let router = Router::new().route("/{number}", get(answer)).with_state(provider.clone());
        // Ends with the process.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(provider)
    }

    fn asked<T>(&self, look: impl FnOnce(&mut Asked) -> T) -> T {
        look(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When it was asked since it was last taken.
    fn take(&self) -> Vec<Instant> {
        self.asked(|asked| std::mem::take(&mut asked.at))
    }

    /// From now on it has an outage for those who ask for this.
    fn break_path(&self, number: u64) {
        self.asked(|asked| drop(asked.broken.insert(number, Vec::new())));
    }

    /// When it gave the bad answer that proves the outage.
    fn proved_at(&self, number: u64) -> Option<Instant> {
        self.asked(|asked| asked.broken.get(&number)?.get(usize::try_from(BAD).ok()? - 1).copied())
    }
}

async fn answer(State(provider): State<Provider>, Path(number): Path<u64>) -> StatusCode {
    let now = Instant::now();
    provider.asked(|asked| {
        asked.at.push(now);
        match asked.broken.get_mut(&number) {
            Some(answers) => {
                answers.push(now);
                StatusCode::SERVICE_UNAVAILABLE
            }
            None => StatusCode::OK,
        }
    })
}

/// An e-mail server that takes everything, and notes when.
struct Mailbox {
    port: u16,
    taken: watch::Receiver<Vec<(Instant, String)>>,
}

impl Mailbox {
    async fn start() -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("e-mail server", error);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.map_err(io)?;
        let port = listener.local_addr().map_err(io)?.port();
        let (put, taken) = watch::channel(Vec::new());
        let put = Arc::new(put);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let put = Arc::clone(&put);
                // A client that goes away in the middle is its own affair.
                tokio::spawn(async move { drop(converse(stream, &put).await) });
            }
        });
        Ok(Self { port, taken })
    }

    /// When a message with these words was taken.
    async fn until(&self, words: &str) -> Result<Instant, BenchError> {
        let find = |all: &Vec<(Instant, String)>| all.iter().find(|(_, text)| text.contains(words)).map(|(at, _)| *at);
        let mut taken = self.taken.clone();
        let found = timeout(PATIENCE, taken.wait_for(|all| find(all).is_some())).await;
        let found = found.ok().and_then(Result::ok).and_then(|all| find(&all));
        found.ok_or_else(|| BenchError::Server(format!("no e-mail with {words} came")))
    }
}

/// One conversation (RFC 5321).
async fn converse(mut stream: TcpStream, put: &watch::Sender<Vec<(Instant, String)>>) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 bench\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-bench\r\n250 AUTH PLAIN\r\n",
            "AUTH" => b"235 2.7.0 Accepted\r\n",
            "DATA" => {
                write.write_all(b"354 Go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    text.push_str(&line);
                    text.push('\n');
                }
                put.send_modify(|all| all.push((Instant::now(), text)));
                b"250 2.0.0 Taken\r\n"
            }
            "QUIT" => {
                return write.write_all(b"221 2.0.0 Bye\r\n").await;
            }
            _ => b"250 2.0.0 OK\r\n",
        };
        write.write_all(reply).await?;
    }
    Ok(())
}

/// What a screen is told while it is open.
pub(super) struct News {
    stream: TcpStream,
    read: Vec<u8>,
}

impl News {
    /// Follows the stream of events of a member who is signed in; answers when it has begun.
    pub(super) async fn open(authority: &str, cookie: &str) -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("live updates", error);
        let mut stream = TcpStream::connect(authority).await.map_err(io)?;
        let head = format!("GET /_ui/live HTTP/1.1\r\nhost: {authority}\r\ncookie: {cookie}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.map_err(io)?;
        let mut news = Self { stream, read: Vec::new() };
        news.until("\r\n\r\n").await?;
        Ok(news)
    }

    /// When these words came.
    async fn until(&mut self, words: &str) -> Result<Instant, BenchError> {
        let found = timeout(PATIENCE, async {
            loop {
                if let Some(at) = self.read.windows(words.len()).position(|window| window == words.as_bytes()) {
                    self.read.drain(..at + words.len());
                    return Ok(Instant::now());
                }
                if self.stream.read_buf(&mut self.read).await.map_err(|error| BenchError::Io("live updates", error))?
                    == 0
                {
                    return Err(BenchError::Server("the live updates ended".into()));
                }
            }
        });
        found.await.map_err(|_| BenchError::Server("no news of an outage came".into()))?
    }
}
