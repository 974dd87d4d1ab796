//! A node stopped by `SIGSTOP` for longer than its lease, and continued: what it still believes must not count.

use std::sync::{Arc, atomic::AtomicU64};

use super::{REQUESTS, ledger::Ledger, load::Load, rounds, subscribe};
use crate::{database::Database, process::Process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_outcome_is_refused_and_logged() {
    let database = Database::postgres();
    let mut ledger = Ledger::open().await;
    let mut frozen = Process::serve(&database).await;
    subscribe(&frozen.url, &ledger.receiver().url).await;
    // It knows the webhooks from the beginning.
    let mut other = Process::serve(&database).await;
    let numbers = Arc::new(AtomicU64::new(0));
    for _ in 0..rounds(0.05, 1) {
        // What it has begun is held by the receiver, more waits in its hand.
        let gate = ledger.receiver().close();
        let load = Load::start(vec![frozen.url.clone()], &numbers);
        load.is_accepted(300).await;
        ledger.promise(load.finish().await);
        ledger.gets(REQUESTS).await;
        frozen.forget_log();
        other.forget_log();
        frozen.signal("STOP").await;
        gate.cancel();
        other.logs("took back what a dead node held").await;
        ledger.is_kept().await;
        let repeated = ledger.repeated().await;
        assert!(repeated <= REQUESTS, "{repeated} deliveries were repeated, {REQUESTS} were in flight");

        frozen.signal("CONT").await;
        frozen.logs_each(&["a late outcome was refused", "given up for dead"]).await;
        // It works again, and nothing of what it still had in hand was begun.
        let load = Load::start(vec![frozen.url.clone()], &numbers);
        load.is_accepted(50).await;
        ledger.promise(load.finish().await);
        ledger.is_kept().await;
        assert_eq!(ledger.repeated().await, 0);
    }
    for node in [frozen, other] {
        node.signal("TERM").await;
        node.ends_well().await;
    }
}
