//! `bench neighbour`: what a webhook feels of another one that hangs.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{
    BenchError, Common, Measure,
    figures::Figures,
    load::{Events, Load, closed_loop},
    rate::Pace,
    sink::Manner,
    stage::Stage,
};

/// How long the one that hangs takes to answer.
const HANGING: Duration = Duration::from_secs(30);

/// What `bench neighbour` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Neighbour {
    #[command(flatten)]
    #[serde(flatten)]
    pace: Pace,
    /// Deliveries that wait for the webhook that hangs.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    queued: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Neighbour {
    const NAME: &'static str = "neighbour";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let (healthy, hung) = (stage.sink(Manner::Prompt).await?, stage.sink(Manner::Slow(HANGING)).await?);
        let (wanted, unwanted) =
            (Events::new(stage.stopwatch, "job.created"), Events::new(stage.stopwatch, "job.closed"));
        let server = stage.serve().await?;
        server.api.create_webhook("Healthy", &healthy, json!({})).await?;
        server.api.create_webhook("Hung", &hung, json!({"events": ["job.closed"]})).await?;

        let solo = self.pace.keep(&server, &healthy, &wanted).await?;
        closed_loop(&server.api, &unwanted, Load::bulk(self.queued)).await?;
        hung.wait(1).await?;
        let beside = self.pace.keep(&server, &healthy, &wanted).await?;

        let mut figures = Figures::default();
        figures.add_percentiles(&[("solo_p50_ms", 50), ("solo_p95_ms", 95), ("solo_p99_ms", 99)], solo.latencies_us);
        figures.add_percentiles(
            &[("beside_p50_ms", 50), ("beside_p95_ms", 95), ("beside_p99_ms", 99)],
            beside.latencies_us,
        );
        figures.add("p95_beside_to_solo", figures.get("beside_p95_ms") / figures.get("solo_p95_ms"));
        figures.add("rss_peak_mb", server.memory_mb("VmHWM"));
        Ok(figures)
    }
}
