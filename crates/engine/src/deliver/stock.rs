//! Taking stock: finds leases that this node holds without knowing, and gives them back.
//!
//! A statement that leases deliveries may be stored although its answer is lost, as when the database stops at that moment;
//! and what should be given back may not be. Nobody would ever send such a delivery: this node does not know of it, and
//! for all others it is in good hands. So whenever a statement about leases failed, what the database says that this node
//! holds is compared with what it has in hand.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{DeliveryId, NodeId};

use super::Try;
use crate::{Inner, stopped_within};

/// From a failure to the comparison: a statement whose connection was lost may run on for a moment.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until the engine stops; then all leases are given back.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.unsure.notified() => {}
        }
        loop {
            if stopped_within(&inner, PAUSE).await {
                return;
            }
            match take(&inner).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "leases cannot be compared; trying again"),
            }
        }
    }
}

async fn take(inner: &Inner) -> storage::Result<()> {
    let unknown = {
        // Nothing is leased meanwhile: what this node has in hand can only become less.
        let _still = inner.leasing.write().await;
        let node = inner.node();
        let in_hand: HashSet<DeliveryId> = {
            let lanes = inner.lanes();
            let begun = inner.begun();
            let waiting = lanes.waiting().map(|job| (job.node, job.id));
            let begun = begun.iter().map(|(node, delivery, _)| (*node, *delivery));
            // What this process has from when it was another node is not leased to it any more.
            waiting.chain(begun).filter(|(holder, _)| *holder == node).map(|(_, delivery)| delivery).collect()
        };
        let mut unknown = inner.store.leased(node).await?;
        unknown.retain(|delivery| !in_hand.contains(delivery));
        for d in &unknown {
            tracing::warn!("DBG stock {d} {node}");
        }
        inner.store.release(node, Some(unknown.clone())).await?;
        unknown.len()
    };
    if unknown > 0 {
        tracing::warn!(unknown, "gave back leases that this node did not know of");
        inner.claimer.notify_one();
    }
    Ok(())
}

impl Inner {
    /// What was begun and whose outcome is not stored.
    pub(crate) fn begun(&self) -> MutexGuard<'_, HashSet<Try>> {
        // A set is whole after every change.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a lease may not have been given back.
    pub(crate) fn noted(&self, node: NodeId, outcome: storage::Result<()>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, node.id = %node, "a lease was not given back; it is taken back later");
            self.unsure.notify_one();
        }
    }
}
