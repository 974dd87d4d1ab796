//! `bench recover`: killed with a backlog. How soon after the start of the next process does it deliver, and how soon does
//! what was in flight at the kill arrive again?

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    BenchError, Common, Measure,
    figures::{Figures, float},
    load::{Events, Load, closed_loop},
    sink::{Manner, Sink},
    stage::Stage,
};

/// Longest wait for what was in flight.
const PATIENCE: Duration = Duration::from_mins(2);

/// What `bench recover` is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Recover {
    /// Deliveries that are pending at the kill.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    deliveries: u64,
    /// Webhooks that they wait for: each wants every event.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    webhooks: u64,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Measure for Recover {
    const NAME: &'static str = "recover";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError> {
        let sinks = stage.sinks(self.webhooks, Manner::Held).await?;
        let server = stage.serve().await?;
        server.api.create_webhooks("Held", &sinks).await?;
        let count = self.deliveries.div_ceil(self.webhooks);
        closed_loop(&server.api, &Events::new(stage.stopwatch, "job.created"), Load::bulk(count)).await?;
        for sink in &sinks {
            sink.wait(1).await?;
        }
        server.kill().await?;
        // What the dead process had sent is on its way to the receivers for a moment longer.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let in_flight: Vec<HashSet<u64>> =
            sinks.iter().map(|sink| sink.take().first_us.into_keys().collect()).collect();
        for sink in &sinks {
            sink.turn(Manner::Prompt);
        }

        let restart_us = stage.stopwatch.now_us();
        let server = stage.serve().await?;
        let again_us = all_again(&sinks, &in_flight).await?;
        for sink in &sinks {
            sink.wait(count).await?;
        }
        let after_restart_ms = |us: u64| Duration::from_micros(us.saturating_sub(restart_us)).as_secs_f64() * 1000.0;
        let arrivals: Vec<_> = sinks.iter().map(Sink::take).collect();
        let first_us = arrivals.iter().flat_map(|arrivals| arrivals.first_us.values()).min().copied();
        let last_us = arrivals.iter().filter_map(super::sink::Arrivals::last_us).max();
        let mut figures = Figures::default();
        figures.add("in_flight_at_kill", float(in_flight.iter().map(|numbers| numbers.len() as u64).sum()));
        figures.add("start_to_ready_ms", server.ready.as_secs_f64() * 1000.0);
        figures.add("first_delivery_ms", after_restart_ms(first_us.unwrap_or_default()));
        figures.add("in_flight_again_ms", after_restart_ms(again_us));
        figures.add("everything_ms", after_restart_ms(last_us.unwrap_or_default()));
        figures.add("repeated", float(arrivals.iter().map(|arrivals| arrivals.repeated).sum()));
        Ok(figures)
    }
}

/// When the last of `awaited`, by receiver, had arrived again.
async fn all_again(sinks: &[Sink], awaited: &[HashSet<u64>]) -> Result<u64, BenchError> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let last: Option<Vec<u64>> = sinks.iter().zip(awaited).map(|(sink, numbers)| sink.last_of(numbers)).collect();
        if let Some(last) = last {
            return Ok(last.into_iter().max().unwrap_or_default());
        }
        // Only when it is noticed depends on this, not when it was.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(BenchError::Server("what was in flight at the kill did not arrive again".into()))
}
