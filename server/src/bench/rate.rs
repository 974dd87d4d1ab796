//! `bench rate`: an open loop. A server that stalls does not slow the load down, so a stall is seen by every event that it
//! delays.

use serde::Serialize;
use serde_json::json;

use super::{
    BenchError, Common, Measure,
    figures::{Figures, float},
    load::{Events, Load, closed_loop, open_loop},
    process::{Cpu, Server},
    sink::{Arrivals, Manner, Sink},
    stage::Stage,
};

/// What `bench rate` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Rate {
    #[command(flatten)]
    #[serde(flatten)]
    pace: Pace,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// How fast, for how long.
#[derive(Debug, Clone, Copy, clap::Args, Serialize)]
pub(super) struct Pace {
    /// Events per second.
    #[arg(default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    per_s: u64,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

impl Pace {
    /// Events that are sent before anything is measured.
    const WARM_UP: u64 = 1_000;

    const fn events(self) -> u64 {
        self.per_s * self.seconds
    }

    /// Sends at this pace until everything has arrived.
    pub(super) async fn keep(self, server: &Server, sink: &Sink, events: &Events) -> Result<Arrivals, BenchError> {
        closed_loop(&server.api, events, Load::bulk(Self::WARM_UP)).await?;
        sink.wait(Self::WARM_UP).await?;
        sink.take();
        open_loop(&server.api, events, self.per_s, self.events()).await?;
        sink.wait(self.events()).await?;
        Ok(sink.take())
    }
}

impl Measure for Rate {
    const NAME: &'static str = "rate";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let sink = stage.sink(Manner::Prompt).await?;
        let server = stage.serve().await?;
        server.api.create_webhook("Bench", &sink, json!({})).await?;
        let cpu = Cpu::until_now(&server, stage.is_shared());
        let arrivals = self.pace.keep(&server, &sink, &Events::new(stage.stopwatch, "job.created")).await?;
        let cpu = Cpu::until_now(&server, stage.is_shared()).since(cpu);
        let mut figures = Figures::default();
        let names = [("arrival_p50_ms", 50), ("arrival_p95_ms", 95), ("arrival_p99_ms", 99), ("arrival_max_ms", 100)];
        figures.add_percentiles(&names, arrivals.latencies_us);
        figures.add("repeated", float(arrivals.repeated));
        figures.add_cpu(cpu, float(Pace::WARM_UP + self.pace.events()));
        figures.add("rss_peak_mb", server.memory_mb("VmHWM"));
        Ok(figures)
    }
}
