//! The raw limit: the same HTTP client signing and posting the same bodies to the same receivers, with nothing else to do.
//!
//! It runs in a process of its own, as the server does: a client that shared its threads with the receivers would skip the
//! wake-ups that every delivery pays.

use std::{process::Stdio, sync::Arc, time::Instant};

use engine::signature::SigningKey;
use http::{HeaderMap, HeaderValue};
use tokio::process::Command;

use super::{
    BenchError,
    api::{post, text, url},
    figures::float,
    load::{Events, Load, each},
    sink::{Sink, Stopwatch},
    stage::loopback_client,
};

/// What the process is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Raw {
    /// Where to post, in turn.
    #[arg(required = true)]
    targets: Vec<String>,
    /// Requests.
    #[arg(long)]
    events: u64,
    /// Requests at the same time.
    #[arg(long)]
    concurrency: u64,
    /// Every so many are large.
    #[arg(long, requires = "large_bytes")]
    large_every: Option<u64>,
    /// Bytes of a large one.
    #[arg(long, default_value_t = 0)]
    large_bytes: usize,
}

impl Raw {
    /// Prints the requests per second.
    #[expect(clippy::print_stdout, reason = "that is its answer to the process that asked")]
    pub(super) async fn run(self) -> Result<(), BenchError> {
        let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None)
            .ok_or_else(|| BenchError::Server("the bench's own secret is not valid".into()))?;
        let targets = self.targets.iter().map(|target| url(target)).collect::<Result<Arc<[_]>, _>>()?;
        let mut events = Events::new(Stopwatch::start(), "job.created");
        if let Some(every) = self.large_every {
            events = events.with_large(every, self.large_bytes);
        }
        let client = loopback_client();
        let began = Instant::now();
        each(self.concurrency, self.events, move |number| {
            let (client, events, key, targets) = (client.clone(), events.clone(), key.clone(), Arc::clone(&targets));
            async move {
                let id = format!("evt_{number:026}");
                let data = events.data(number, events.stopwatch.now_us());
                let body = format!("{{\"id\":\"{id}\",\"event\":\"{}\",\"data\":{data}}}", events.event);
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
                let target = targets[usize::try_from(number).unwrap_or_default() % targets.len()].clone();
                match post(&client, target, headers, body.into()).await?.status {
                    200 => Ok(()),
                    other => Err(BenchError::Server(format!("the receiver answered {other}"))),
                }
            }
        })
        .await?;
        println!("{}", float(self.events) / began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Requests per second of the client alone.
pub(super) async fn raw(sinks: &[Sink], events: &Events, load: Load) -> Result<f64, BenchError> {
    let io = |error| BenchError::Io("client", error);
    let mut command = Command::new(std::env::current_exe().map_err(io)?);
    command.args(["bench", "raw"]).args(sinks.iter().map(|sink| &sink.url));
    command.arg(format!("--events={}", load.events)).arg(format!("--concurrency={}", load.concurrency));
    if let Some((every, padding)) = &events.large {
        command.arg(format!("--large-every={every}")).arg(format!("--large-bytes={}", padding.len()));
    }
    let output = command.stderr(Stdio::inherit()).kill_on_drop(true).output().await.map_err(io)?;
    for sink in sinks {
        sink.take();
    }
    let per_s = String::from_utf8_lossy(&output.stdout).trim().parse();
    per_s.map_err(|_| BenchError::Server("the client alone did not come to a result".into()))
}
