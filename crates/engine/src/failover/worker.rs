//! The worker that looks at groups when their time comes: it probes who failed, ends what a person decided for a time, gives
//! work back, and tells webhooks of moves.

use std::{sync::Arc, time::Duration};

use domain::{
    IntegrationId, OrganizationId,
    api::{ApiError, EventDraft, FailoverMove, LogKind},
    catalogue::Fault,
    failover::{MoveKind, PROBE_DEADLINE_MS},
};
use serde_json::{json, value::to_raw_value};

use crate::{Actor, Engine, Inner, Who, integrations::Probed, stopped_within};

/// How often it is looked what is due.
const POLL: Duration = Duration::from_millis(500);

/// Runs until the engine stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    while !stopped_within(&inner, POLL).await {
        if let Err(error) = turn(&inner).await {
            tracing::error!(%error, "failover waits for the database");
        }
    }
}

async fn turn(inner: &Arc<Inner>) -> storage::Result<()> {
    for (organization, id) in inner.store.due_failovers(inner.clock.now()).await? {
        for member in inner.take_probes(organization, id).await? {
            let worker = Arc::clone(inner);
            inner.tasks.spawn(async move { worker.probe_member(organization, member).await });
        }
    }
    for (organization, moved) in inner.store.untold_failover_moves().await? {
        // The key makes it one event, however many nodes tell it.
        match tell(inner, organization, &moved).await {
            Ok(()) => inner.store.tell_failover_move(organization, moved.id).await?,
            Err(error) => {
                tracing::warn!(detail = error.detail, move.id = %moved.id, "a move is told to webhooks later");
            }
        }
    }
    Ok(())
}

async fn tell(inner: &Arc<Inner>, organization: OrganizationId, moved: &FailoverMove) -> Result<(), ApiError> {
    let data = json!({
        "move_id": moved.id,
        "at": moved.at,
        "from": {"integration_id": moved.from_integration_id, "name": moved.from_name},
        "to": {"integration_id": moved.to_integration_id, "name": moved.to_name},
        "automatic": moved.is_automatic,
        "reason": moved.reason,
        "consecutive_failures": moved.failures,
        "actor": moved.actor,
    });
    let event = match moved.kind {
        MoveKind::Switched => "failover.switched",
        MoveKind::Restored => "failover.restored",
    };
    let draft = EventDraft {
        event: event.to_owned(),
        data: to_raw_value(&data).expect("texts, numbers and maps with text keys are JSON"),
        source_id: None,
        idempotency_key: Some(moved.id.to_string()),
    };
    let engine = Engine { inner: Arc::clone(inner) };
    engine.publish(&Actor { organization, who: Who::System }, vec![draft]).await.map(drop)
}

impl Inner {
    /// Tries a member that failed, with a deadline of its own. What is found is taken in as any result is.
    async fn probe_member(self: &Arc<Self>, organization: OrganizationId, member: IntegrationId) {
        let row = match self.store.integration(organization, member, self.clock.now()).await {
            Ok(Some(row)) => row,
            // Deleted meanwhile: the group is looked at for that.
            Ok(None) => return,
            Err(error) => return tracing::error!(%error, integration.id = %member, "a member is probed again later"),
        };
        let deadline = Duration::from_millis(PROBE_DEADLINE_MS.unsigned_abs());
        if tokio::time::timeout(deadline, self.check_health(row, None, LogKind::Check)).await.is_err() {
            let late = Probed {
                latency_ms: u32::try_from(PROBE_DEADLINE_MS).unwrap_or(u32::MAX),
                fault: Some(Fault::Timeout),
                message: "It did not answer in 10 seconds".to_owned(),
                detail: String::new(),
                code: None,
                target: String::new(),
            };
            self.hear_of_member(organization, member, &late, false).await;
        }
    }
}
