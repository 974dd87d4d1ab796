//! `bench mixed`: prompt webhooks beside a slow and a failing one, and some large events. All webhooks want every event;
//! measured is what the prompt ones get, and how much the others get meanwhile.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{
    BenchError, Common, Measure,
    deliver::deliver,
    figures::{Figures, float},
    load::{Events, Load},
    raw::raw,
    sink::Manner,
    stage::Stage,
};

/// How long the slow one takes to answer.
const SLOW: Duration = Duration::from_millis(200);
/// One event in so many is large: 5 %.
const LARGE_EVERY: u64 = 20;
const LARGE_BYTES: usize = 50_000;

/// What `bench mixed` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Mixed {
    /// Webhooks that answer at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    prompt: u64,
    #[command(flatten)]
    #[serde(flatten)]
    load: Load,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Mixed {
    const NAME: &'static str = "mixed";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let prompt = stage.sinks(self.prompt, Manner::Prompt).await?;
        let (slow, failing) = (stage.sink(Manner::Slow(SLOW)).await?, stage.sink(Manner::Failing).await?);
        let events = Events::new(stage.stopwatch, "job.created").with_large(LARGE_EVERY, LARGE_BYTES);
        let before = raw(&prompt, &events, self.load).await?;
        let server = stage.serve().await?;
        server.api.create_webhooks("Prompt", &prompt).await?;
        server.api.create_webhook("Slow", &slow, json!({})).await?;
        server.api.create_webhook("Failing", &failing, json!({})).await?;
        let began_us = stage.stopwatch.now_us();
        let mut figures = deliver(stage, &server, &prompt, &events, self.load).await?;
        let seconds = Duration::from_micros(stage.stopwatch.now_us() - began_us).as_secs_f64();
        figures.add("slow_per_s", float(slow.take().first_us.len() as u64) / seconds);
        figures.add("failing_per_s", float(failing.take().all()) / seconds);
        figures.add("rss_peak_mb", server.memory_mb("VmHWM"));
        server.kill().await?;
        let after = raw(&prompt, &events, self.load).await?;
        figures.add_ratio_to_raw("delivered_per_s", [before, after]);
        Ok(figures)
    }
}
