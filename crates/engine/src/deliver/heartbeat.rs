//! Keeps this node's leases alive on a shared database, and takes back those of nodes that died.
//!
//! A lease lasts as long as its node says that it is alive. A node that was silent for too long, because it was stopped
//! or cut off, begins nothing more, since others may have its leases already. If they do, it finds itself given up: it
//! becomes another node with another id and forgets what it had not started. What it had started ends with an outcome
//! that is refused.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use domain::NodeId;
use storage::Pulse;
use tokio::time::Instant;

use crate::Inner;

/// How long a silent node keeps its leases, in milliseconds by the database's clock.
pub(crate) const TTL_MS: i64 = 6_000;
/// Between two signs of life.
const INTERVAL: Duration = Duration::from_millis(1_500);

/// Runs until everything is drained: a node that stops still holds what is in flight.
pub(crate) async fn run(inner: Arc<Inner>) {
    // While the database was away no node could say that it is alive: each gets the time to.
    let mut reap_from = Instant::now();
    loop {
        tokio::select! {
            () = inner.drained.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let (node, said_at) = (inner.node(), Instant::now());
        match inner.store.heartbeat(node, TTL_MS, said_at >= reap_from).await {
            Ok(Some(Pulse { recovered, nodes })) => {
                inner.leases_last_from(said_at);
                if inner.nodes.swap(nodes, Ordering::Relaxed) != nodes {
                    let idle = inner.pace_lanes();
                    inner.give_back(idle).await;
                }
                if recovered > 0 {
                    tracing::warn!(recovered, "took back what a dead node held");
                    inner.claimer.notify_one();
                }
            }
            Ok(None) => become_another(&inner, node).await,
            Err(error) => {
                tracing::error!(%error, "no sign of life could be given");
                reap_from = Instant::now() + Duration::from_millis(TTL_MS.unsigned_abs());
            }
        }
    }
}

async fn become_another(inner: &Arc<Inner>, old: NodeId) {
    let (new, said_at): (NodeId, _) = (inner.new_id(), Instant::now());
    if let Err(error) = inner.store.register(new, TTL_MS).await {
        tracing::error!(%error, "this node cannot be registered again");
        return;
    }
    // In this order: whatever is leased to the new node comes after the old one's jobs are forgotten.
    let forgotten = inner.lanes().clear();
    inner.set_node(new);
    inner.leases_last_from(said_at);
    tracing::warn!(node.id = %new, previous.id = %old, forgotten, "this node was given up for dead and starts afresh");
    inner.claimer.notify_one();
}

impl Inner {
    /// Whether what is leased to this node is still its own, by its own clock: counted from before it gave a sign of life, it
    /// ends no later than by the database's.
    pub(crate) fn holds_its_leases(&self) -> bool {
        let until = *self.leased_until.read().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() < until)
    }

    /// Notes a sign of life that was given after `said_at`, and starts what had to wait for it.
    pub(crate) fn leases_last_from(self: &Arc<Self>, said_at: Instant) {
        let until = said_at + Duration::from_millis(TTL_MS.unsigned_abs());
        *self.leased_until.write().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.pump();
    }
}
