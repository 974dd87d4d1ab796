//! `bench deliver` and `bench fanout`: a closed loop of callers, from the first request to the last arrival.

use std::time::Duration;

use serde::Serialize;

use super::{
    BenchError, Common, Measure,
    figures::{Figures, float},
    load::{Events, Load, closed_loop},
    process::{Cpu, Server},
    raw::raw,
    sink::{Manner, Sink},
    stage::Stage,
};

/// Events that are sent before anything is measured: connections, caches and prepared statements of the first requests
/// are not what is asked about.
const WARM_UP: u64 = 1_000;

/// What `bench deliver` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Deliver {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    #[command(flatten)]
    #[serde(flatten)]
    load: Load,
}

impl Measure for Deliver {
    const NAME: &'static str = "deliver";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        with_raw(stage, 1, self.load).await
    }
}

/// What `bench fanout` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Fanout {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Webhooks that want every event.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    webhooks: u64,
    #[command(flatten)]
    #[serde(flatten)]
    load: Load,
}

impl Measure for Fanout {
    const NAME: &'static str = "fanout";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        with_raw(stage, self.webhooks, self.load).await
    }
}

async fn with_raw(stage: &Stage, webhooks: u64, load: Load) -> Result<Figures, BenchError> {
    let sinks = stage.sinks(webhooks, Manner::Prompt).await?;
    let events = Events::new(stage.stopwatch, "job.created");
    let before = raw(&sinks, &events, load).await?;
    let server = stage.serve().await?;
    let idle_mb = server.memory_mb("VmRSS");
    server.api.create_webhooks("Bench", &sinks).await?;
    let mut figures = deliver(stage, &server, &sinks, &events, load).await?;
    figures.add("rss_idle_mb", idle_mb);
    figures.add("rss_peak_mb", server.memory_mb("VmHWM"));
    server.stop().await?;
    let after = raw(&sinks, &events, load).await?;
    figures.add_ratio_to_raw("delivered_per_s", [before, after]);
    // On a database that is migrated already, the usual case.
    figures.add("start_to_ready_ms", stage.serve().await?.ready.as_secs_f64() * 1000.0);
    Ok(figures)
}

/// Sends `load` to webhooks that lead to `sinks`, until every one of these has every event.
pub(super) async fn deliver(
    stage: &Stage,
    server: &Server,
    sinks: &[Sink],
    events: &Events,
    load: Load,
) -> Result<Figures, BenchError> {
    let warm_up = load.events.min(WARM_UP);
    closed_loop(&server.api, events, Load { events: warm_up, ..load }).await?;
    for sink in sinks {
        sink.wait(warm_up).await?;
        sink.take();
    }
    let cpu = Cpu::until_now(server, stage.is_shared());
    let began_us = stage.stopwatch.now_us();
    closed_loop(&server.api, events, load).await?;
    let accepted_us = stage.stopwatch.now_us() - began_us;
    let (mut latencies_us, mut repeated, mut last_us) = (Vec::new(), 0, began_us);
    for sink in sinks {
        sink.wait(load.events).await?;
        let mut arrivals = sink.take();
        latencies_us.append(&mut arrivals.latencies_us);
        repeated += arrivals.repeated;
        last_us = arrivals.last_us().unwrap_or_default().max(last_us);
    }
    let cpu = Cpu::until_now(server, stage.is_shared()).since(cpu);

    let deliveries = float(load.events) * float(sinks.len() as u64);
    let mut figures = Figures::default();
    figures.add("accepted_per_s", float(load.events) / Duration::from_micros(accepted_us).as_secs_f64());
    figures.add("delivered_per_s", deliveries / Duration::from_micros(last_us - began_us).as_secs_f64());
    figures.add_percentiles(&[("arrival_p50_ms", 50), ("arrival_p99_ms", 99)], latencies_us);
    figures.add("repeated", float(repeated));
    figures.add_cpu(cpu, deliveries);
    Ok(figures)
}
