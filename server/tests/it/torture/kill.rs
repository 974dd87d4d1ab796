//! `kill -9` at random instants: while serving, while recovering, while starting.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use storage::Store;
use tokio::time::sleep;

use super::{Chance, REPEATED, ledger::Ledger, load::Load, rounds, subscribe};
use crate::{database::Database, process::Process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_on_sqlite() {
    kill(Database::sqlite(), 1, 1, rounds(1.0, 6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_postgres() {
    // Dead nodes are given up after some seconds, so several die before the books are balanced.
    kill(Database::postgres(), 3, 10, rounds(0.5, 10)).await;
}

/// Kills nodes `rounds` times, and balances the books after every `between` of them.
async fn kill(database: Database, count: u32, between: usize, rounds: usize) {
    let chance = Chance::new(if count == 1 { "kill on SQLite" } else { "kill on PostgreSQL" });
    let mut ledger = Ledger::open().await;
    let mut nodes = vec![Process::serve(&database).await];
    subscribe(&nodes[0].url, &ledger.receiver().url).await;
    // Those that start later know the webhooks from the beginning.
    for _ in 1..count {
        nodes.push(Process::serve(&database).await);
    }
    let numbers = Arc::new(AtomicU64::new(0));
    let (mut killed, mut again) = (0, 0);
    while killed < rounds {
        let load = Load::start(urls(&nodes), &numbers);
        let mut killed_now = 0;
        while killed_now < between.min(rounds - killed) {
            sleep(Duration::from_micros(chance.below(150_000).into())).await;
            // One of them, or as many as there are.
            for _ in 0..=chance.below(count) {
                let mut victim = nodes.swap_remove(usize::try_from(chance.below(count)).unwrap() % nodes.len());
                victim.child.kill().await.unwrap();
                killed_now += 1;
                if nodes.is_empty() {
                    break;
                }
            }
            load.ask(urls(&nodes));
            if chance.below(4) == 0 {
                let mut stillborn = Process::command(&database, &[]).spawn().unwrap();
                sleep(Duration::from_micros(chance.below(150_000).into())).await;
                stillborn.kill().await.unwrap();
                killed_now += 1;
            }
            while nodes.len() < usize::try_from(count).unwrap() {
                nodes.push(Process::serve(&database).await);
            }
            load.ask(urls(&nodes));
        }
        killed += killed_now;
        ledger.promise(load.finish().await);
        ledger.is_kept().await;
        let repeated = ledger.repeated().await;
        assert!(repeated <= killed_now * REPEATED, "{repeated} deliveries were repeated after {killed_now} kills");
        again += repeated;
    }
    eprintln!("{killed} kills, {} events, {again} deliveries repeated", numbers.load(Ordering::Relaxed));
    for node in nodes {
        node.signal("TERM").await;
        node.ends_well().await;
    }
    assert!(ledger.repeated().await <= REPEATED, "what is stored as delivered is not sent again");
    let store = Store::open(&database.url).await.unwrap();
    assert_eq!(store.waiting().await.unwrap(), [], "every outcome is stored");
    store.close().await;
}

fn urls(nodes: &[Process]) -> Vec<String> {
    nodes.iter().map(|node| node.url.clone()).collect()
}
