//! Keeps this node's leases alive on a shared database, and takes back those of nodes that died.
//!
//! A lease lasts as long as its node says that it is alive. A node that was silent for too long, because it was stopped
//! or cut off, finds itself given up: it becomes another node with another id and forgets what it had not started. What
//! it had started ends with an outcome that is refused.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::NodeId;
use storage::Pulse;

use crate::Inner;

/// How long a silent node keeps its leases, in milliseconds by the database's clock.
pub(crate) const TTL_MS: i64 = 6_000;
/// Between two signs of life.
const INTERVAL: Duration = Duration::from_millis(1_500);

/// Runs until everything is drained: a node that stops still holds what is in flight.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.drained.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let node = inner.node();
        match inner.store.heartbeat(node, TTL_MS).await {
            Ok(Some(Pulse { recovered, nodes })) => {
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
            Err(error) => tracing::error!(%error, "no sign of life could be given"),
        }
    }
}

async fn become_another(inner: &Arc<Inner>, old: NodeId) {
    let new: NodeId = inner.new_id();
    if let Err(error) = inner.store.register(new, TTL_MS).await {
        tracing::error!(%error, "this node cannot be registered again");
        return;
    }
    inner.set_node(new);
    let forgotten = inner.lanes().clear();
    tracing::warn!(node.id = %new, previous.id = %old, forgotten, "this node was given up for dead and starts afresh");
    inner.claimer.notify_one();
}
