//! `signalbox bench`: what this machine does, measured on this machine.
//!
//! A figure alone says little, because machines differ and drift. So every run that ends in a rate also measures the raw
//! limit ([`raw`]) before and after, and says how much of it is left. The server under test is a process of its own, started
//! as a user would; receivers and load run in this process, so all of them share the machine's cores.
//!
//! A scenario is a file. What scenarios have in common: a [`stage`] (a fresh folder or database for every round), the
//! server as a [`process`], receivers ([`sink`]), events and how they are sent ([`load`]), and [`figures`].

mod api;
mod backlog;
mod deliver;
mod figures;
mod integrations;
mod load;
mod mixed;
mod neighbour;
mod pages;
mod process;
mod rate;
mod raw;
mod recover;
mod sink;
mod stage;
mod waiting;

use clap::Subcommand;
use serde::Serialize;

use self::{
    figures::{Figures, print},
    stage::Stage,
};

/// What can be measured.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// One webhook: events accepted and delivered per second, and what they cost.
    Deliver(deliver::Deliver),
    /// The same with several webhooks that all want every event.
    Fanout(deliver::Fanout),
    /// A healthy webhook alone, and beside one that hangs with a long queue.
    Neighbour(neighbour::Neighbour),
    /// `deliver` on a database with a large backlog and a long history, compared with an empty one.
    Backlog(backlog::Backlog),
    /// Prompt, slow and failing webhooks, and some large events.
    Mixed(mixed::Mixed),
    /// Events at a fixed rate, whatever the answers: how long each takes from its scheduled moment to its arrival.
    Rate(rate::Rate),
    /// Killed with a backlog: how soon it delivers again, and how soon what was in flight arrives again.
    Recover(recover::Recover),
    /// Memory while many deliveries wait for slow receivers.
    Waiting(waiting::Waiting),
    /// Many integrations that are checked in their turns: how evenly, at what cost, and how soon an outage is known.
    Integrations(integrations::Integrations),
    /// Pages with a long history behind them: how long the server takes for each.
    Pages(pages::Pages),
    /// The client alone, which others are compared with.
    #[command(hide = true)]
    Raw(raw::Raw),
}

/// What every scenario is asked for.
#[derive(Debug, Clone, clap::Args, Serialize)]
struct Common {
    /// `postgres://…`: every round gets a database of its own beside the one named, dropped at the end. Without it,
    /// SQLite in a temporary folder.
    #[arg(long)]
    #[serde(skip)]
    database: Option<String>,
    /// Repetitions; the figures are their medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// A scenario. Serialized, it is what it was asked for, as the report says it.
trait Measure: Serialize {
    /// As on the command line.
    const NAME: &'static str;

    fn common(&self) -> &Common;

    /// One round on a fresh stage.
    async fn round(&self, stage: &Stage) -> Result<Figures, BenchError>;

    async fn rounds(&self) -> Result<Vec<Figures>, BenchError> {
        let mut rounds = Vec::new();
        for _ in 0..self.common().rounds {
            let stage = Stage::new(self.common().database.as_deref()).await?;
            rounds.push(self.round(&stage).await?);
        }
        Ok(rounds)
    }
}

/// Why a bench did not come to a result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Starting or reading a process or socket.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    /// The database of a round cannot be made or filled.
    #[error(transparent)]
    Store(#[from] storage::StoreError),
    /// The server did not do its part.
    #[error("{0}")]
    Server(String),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Measures and prints. Interrupted, it removes what it made all the same.
pub async fn run(scenario: Scenario) -> Result<(), BenchError> {
    let measured = async {
        match scenario {
            Scenario::Deliver(deliver) => measure(deliver).await,
            Scenario::Fanout(fanout) => measure(fanout).await,
            Scenario::Neighbour(neighbour) => measure(neighbour).await,
            Scenario::Backlog(backlog) => measure(backlog).await,
            Scenario::Mixed(mixed) => measure(mixed).await,
            Scenario::Rate(rate) => measure(rate).await,
            Scenario::Recover(recover) => measure(recover).await,
            Scenario::Waiting(waiting) => measure(waiting).await,
            Scenario::Integrations(integrations) => measure(integrations).await,
            Scenario::Pages(pages) => measure(pages).await,
            Scenario::Raw(raw) => raw.run().await,
        }
    };
    tokio::select! {
        outcome = measured => outcome,
        _ = tokio::signal::ctrl_c() => Err(BenchError::Interrupted),
    }
}

async fn measure<S: Measure>(scenario: S) -> Result<(), BenchError> {
    let rounds = scenario.rounds().await?;
    print(&scenario, &rounds);
    Ok(())
}
