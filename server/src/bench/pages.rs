//! `bench pages`: how long the server takes for pages with a month of a million deliveries behind them, one after the other, and
//! how many of one webhook's page a core makes.
//!
//! Everything is asked by a member who is signed in, over HTTP, and read to its end. With `--browser` a command measures what
//! the same server is like in a browser, before it goes.

use std::time::Instant;

use engine::{Clock as _, SystemClock};
use serde::Serialize;
use serde_json::json;
use storage::{Store, seed::Seed};
use tokio::process::Command;

use super::{
    BenchError, Common, Measure,
    api::{KEY, OWNER, Visitor},
    figures::{Figures, float},
    load::each,
    process::{Cpu, Server},
    sink::Manner,
    stage::Stage,
};

/// How far back the deliveries go.
const MONTH_MS: u64 = 30 * 86_400_000;
/// Callers of one page at a time, when it is the server's CPU that limits them.
const AT_ONCE: u64 = 8;

/// What `bench pages` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Pages {
    /// Deliveries of the last thirty days, each with its event and its try.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    deliveries: u64,
    /// Requests for each page.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    looks: u64,
    /// A command that is run beside the server, and told of it by SIGNALBOX_URL, SIGNALBOX_EMAIL, SIGNALBOX_PASSWORD and
    /// SIGNALBOX_API_KEY.
    #[arg(long)]
    #[serde(skip)]
    browser: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Pages {
    const NAME: &'static str = "pages";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let sink = stage.sink(Manner::Prompt).await?;
        let server = stage.serve().await?;
        let webhook = server.api.create_webhook("Bench", &sink, json!({})).await?;
        server.stop().await?;

        let id = webhook.parse().map_err(|_| BenchError::Server("the id of a webhook cannot be read".into()))?;
        let store = Store::open(&stage.database_url()).await?;
        let none = || BenchError::Server("the server made no organization".into());
        let organization = store.first_organization().await?.ok_or_else(none)?.id;
        let apart_ms = MONTH_MS / self.deliveries;
        store.seed(Seed::Finished, self.deliveries, organization, id, SystemClock.now(), apart_ms.max(1)).await?;
        store.seed_rollups(organization).await?;
        store.close().await;

        let server = stage.serve().await?;
        let visitor = server.api.sign_in().await?;
        let mut figures = Figures::default();
        self.look(&visitor, &webhook, &mut figures).await?;
        self.hurry(stage, &server, &visitor, &webhook, &mut figures).await?;
        if let Some(command) = &self.browser {
            browse(command, &server).await?;
        }
        server.stop().await?;
        Ok(figures)
    }
}

impl Pages {
    /// How long each page takes.
    async fn look(&self, visitor: &Visitor, webhook: &str, figures: &mut Figures) -> Result<(), BenchError> {
        let one = format!("/webhooks/{webhook}");
        for (path, names) in [
            ("/", [("overview_p50_ms", 50), ("overview_p99_ms", 99)]),
            ("/webhooks", [("webhooks_p50_ms", 50), ("webhooks_p99_ms", 99)]),
            (&*one, [("one_webhook_p50_ms", 50), ("one_webhook_p99_ms", 99)]),
            ("/deliveries", [("deliveries_p50_ms", 50), ("deliveries_p99_ms", 99)]),
            ("/events", [("events_p50_ms", 50), ("events_p99_ms", 99)]),
            ("/dead-letters", [("dead_letters_p50_ms", 50), ("dead_letters_p99_ms", 99)]),
        ] {
            figures.add_percentiles(&names, visitor.look(path, None, self.looks).await?);
        }
        Ok(())
    }

    /// How many pages of one webhook a second of the server's CPU is worth.
    async fn hurry(
        &self,
        stage: &Stage,
        server: &Server,
        visitor: &Visitor,
        webhook: &str,
        figures: &mut Figures,
    ) -> Result<(), BenchError> {
        let count = self.looks * AT_ONCE;
        let before = Cpu::until_now(server, stage.is_shared());
        let began = Instant::now();
        let (visitor, path) = (visitor.clone(), format!("/webhooks/{webhook}"));
        each(AT_ONCE, count, move |_| {
            let (visitor, path) = (visitor.clone(), path.clone());
            async move { visitor.ask(&path, None).await }
        })
        .await?;
        let took = began.elapsed();
        let cpu = Cpu::until_now(server, stage.is_shared()).since(before);
        figures.add("one_webhook_pages_per_s", float(count) / took.as_secs_f64());
        figures.add("one_webhook_pages_per_cpu_s", float(count) / cpu.server_s);
        Ok(())
    }
}

/// Runs a command that measures the server from outside.
async fn browse(command: &str, server: &Server) -> Result<(), BenchError> {
    let status = Command::new("sh")
        .args(["-c", command])
        .env("SIGNALBOX_URL", server.api.base())
        .env("SIGNALBOX_EMAIL", OWNER.0)
        .env("SIGNALBOX_PASSWORD", OWNER.1)
        .env("SIGNALBOX_API_KEY", KEY)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| BenchError::Io("the browser's command", error))?;
    if status.success() { Ok(()) } else { Err(BenchError::Server(format!("`{command}` ended with {status}"))) }
}
