//! PostgreSQL stopped as by a crash, and started again, under two nodes at work.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Chance, REPEATED, ledger::Ledger, load::Load, rounds, subscribe};
use crate::{cluster::Cluster, process::Process};

/// How soon everything goes on once the database is back.
const RESUMED: Duration = Duration::from_secs(5);
/// A node that says nothing for so long, after its last of regular signs of life, may be given up by the other.
const SILENT: Duration = Duration::from_millis(6_000 - 1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_work_goes_on_when_the_database_is_back() {
    let Some(cluster) = Cluster::start() else { return };
    let chance = Chance::new("restarts of PostgreSQL");
    let database = cluster.database();
    let mut ledger = Ledger::open().await;
    let first = Process::serve(&database).await;
    subscribe(&first.url, &ledger.receiver().url).await;
    // It knows the webhooks from the beginning.
    let nodes = [first, Process::serve(&database).await];
    let numbers = Arc::new(AtomicU64::new(0));
    for round in 0..rounds(0.05, 1) {
        let before = Load::start(nodes.iter().map(|node| node.url.clone()).collect(), &numbers);
        before.is_accepted(20).await;
        sleep(Duration::from_millis(chance.below(300).into())).await;
        let stopped = Instant::now();
        cluster.stop();
        // Every answer is 202 or 503: the callers insist on it.
        before.is_turned_away(1).await;
        // Every fifth time for longer than a lease, so that each node may find itself given up by the other.
        let pause = if round % 5 == 4 { 8_000 } else { chance.below(1_000) };
        sleep(Duration::from_millis(pause.into())).await;
        cluster.resume();

        let (back, down) = (Instant::now(), stopped.elapsed());
        before.is_accepted(10).await;
        let accepting = back.elapsed();
        ledger.promise(before.finish().await);
        ledger.is_kept().await;
        let delivering = back.elapsed();
        eprintln!("down for {down:?}, accepting after {accepting:?}, everything delivered after {delivering:?}");
        assert!(accepting < RESUMED, "events are accepted only after {accepting:?}");
        assert!(delivering < RESUMED, "everything is delivered only after {delivering:?}");
        let repeated = ledger.repeated().await;
        let given_up = if down + accepting < SILENT { 0 } else { nodes.len() };
        assert!(repeated <= given_up * REPEATED, "{repeated} deliveries were repeated");
    }
    for node in nodes {
        node.signal("TERM").await;
        node.ends_well().await;
    }
}
