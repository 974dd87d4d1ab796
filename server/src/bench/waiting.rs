//! `bench waiting`: how much memory the server needs while very many deliveries wait for receivers that are slow. What does
//! not fit in hand has to wait in the database.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{
    BenchError, Common, Measure,
    figures::{Figures, float},
    load::{Events, Load, closed_loop},
    sink::Manner,
    stage::Stage,
};

/// How long the receivers take to answer.
const SLOW: Duration = Duration::from_secs(20);

/// What `bench waiting` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Waiting {
    /// Deliveries that wait.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    deliveries: u64,
    /// Webhooks that they wait for, each for its share.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    webhooks: u64,
    /// For how long they are watched, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Waiting {
    const NAME: &'static str = "waiting";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let sink = stage.sink(Manner::Slow(SLOW)).await?;
        let server = stage.serve().await?;
        let share = self.deliveries.div_ceil(self.webhooks);
        for webhook in 0..self.webhooks {
            // Each gets events of its own, so that no two deliveries share a body.
            let filter = json!([
                {"path": "n", "op": "gt", "value": float(webhook * share) - 0.5},
                {"path": "n", "op": "lt", "value": float((webhook + 1) * share) - 0.5},
            ]);
            server.api.create_webhook(&format!("Slow {webhook}"), &sink, json!({"filter": filter})).await?;
        }
        let mut figures = Figures::default();
        figures.add("rss_idle_mb", server.memory_mb("VmRSS"));
        closed_loop(&server.api, &Events::new(stage.stopwatch, "job.created"), Load::bulk(self.deliveries)).await?;
        figures.add("rss_accepted_mb", server.memory_mb("VmRSS"));
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        figures.add("rss_end_mb", server.memory_mb("VmRSS"));
        figures.add("rss_peak_mb", server.memory_mb("VmHWM"));
        let begun = sink.take().all();
        figures.add("begun", float(begun));
        figures.add("not_begun_at_end", float(self.deliveries.saturating_sub(begun)));
        Ok(figures)
    }
}
