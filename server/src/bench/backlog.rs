//! `bench backlog`: the same load on an empty database, on one with a large backlog and a long history, and on an empty one
//! again.

use engine::{Clock as _, SystemClock};
use serde::Serialize;
use serde_json::json;
use storage::{Store, seed::Seed};

use super::{
    BenchError, Common, Measure,
    deliver::deliver,
    figures::Figures,
    load::{Events, Load},
    sink::{Manner, Sink},
    stage::Stage,
};

/// What `bench backlog` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Backlog {
    /// Deliveries that wait for a paused webhook.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    pending: u64,
    /// Deliveries that have ended, each with its event and its try.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    finished: u64,
    #[command(flatten)]
    #[serde(flatten)]
    load: Load,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Backlog {
    const NAME: &'static str = "backlog";

    fn common(&self) -> &Common {
        &self.common
    }

    /// Compares a stage that was filled with empty ones before and after.
    async fn round(&self, filled: &Stage) -> Result<Figures, BenchError> {
        let sink = self.fill(filled).await?;
        let before = self.empty().await?;
        let mut figures = self.measure(filled, &sink).await?;
        let after = self.empty().await?;
        figures.add("empty_before_per_s", before);
        figures.add("empty_after_per_s", after);
        figures.add("ratio_to_empty", figures.get("delivered_per_s") / f64::midpoint(before, after));
        Ok(figures)
    }
}

impl Backlog {
    /// Fills a stage; the receiver is that of its webhook which is not paused.
    async fn fill(&self, stage: &Stage) -> Result<Sink, BenchError> {
        let sink = stage.sink(Manner::Prompt).await?;
        let server = stage.serve().await?;
        let active = server.api.create_webhook("Bench", &sink, json!({})).await?;
        let paused = json!({"events": ["job.closed"], "state": "paused"});
        let paused = server.api.create_webhook("Paused", &sink, paused).await?;
        server.stop().await?;

        let unreadable = |_| BenchError::Server("the id of a webhook cannot be read".into());
        let (active, paused) = (active.parse().map_err(unreadable)?, paused.parse().map_err(unreadable)?);
        let store = Store::open(&stage.database_url()).await?;
        let none = || BenchError::Server("the server made no organization".into());
        let organization = store.first_organization().await?.ok_or_else(none)?.id;
        let now = SystemClock.now();
        store.seed(Seed::Finished, self.finished, organization, active, now, 1).await?;
        store.seed(Seed::Pending, self.pending, organization, paused, now, 1).await?;
        store.close().await;
        Ok(sink)
    }

    /// Deliveries per second with nothing stored.
    async fn empty(&self) -> Result<f64, BenchError> {
        let stage = Stage::new(self.common.database.as_deref()).await?;
        let sink = stage.sink(Manner::Prompt).await?;
        let server = stage.serve().await?;
        server.api.create_webhook("Bench", &sink, json!({})).await?;
        server.stop().await?;
        Ok(self.measure(&stage, &sink).await?.get("delivered_per_s"))
    }

    async fn measure(&self, stage: &Stage, sink: &Sink) -> Result<Figures, BenchError> {
        let server = stage.serve().await?;
        let events = Events::new(stage.stopwatch, "job.created");
        let mut figures = deliver(stage, &server, std::slice::from_ref(sink), &events, self.load).await?;
        figures.add("start_to_ready_ms", server.ready.as_secs_f64() * 1000.0);
        figures.add("rss_peak_mb", server.memory_mb("VmHWM"));
        server.stop().await?;
        Ok(figures)
    }
}
