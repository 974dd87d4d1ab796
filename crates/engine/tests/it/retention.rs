//! What is old is forgotten, and what that means for what people may still do.

use domain::{
    DeliveryId, Permission, PublicId, Retention, RetryPolicy, WebhookState,
    api::{DeliveryDetail, EditedPayload, ErrorCode, Refusal},
    delivery::DeliveryState,
};
use serde_json::value::RawValue;

use super::harness::{PATIENCE, Receiver, Reply, START, World};

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// The delivery, once it is as it should be; `None`: gone.
async fn until(
    world: &World,
    id: DeliveryId,
    is_so: impl Fn(Option<&DeliveryDetail>) -> bool,
) -> Option<DeliveryDetail> {
    let reached = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tick.tick().await;
            let found = match world.engine.delivery(&world.actor, id).await {
                Ok(found) => Some(found),
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::NotFound);
                    None
                }
            };
            if is_so(found.as_ref()) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("it comes to that in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_go_first_and_history_later() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    let id = world.webhook(&receiver.url(), |_| {}).await.webhook.id;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let delivery = world.settled(&accepted, 1).await.delivery.id;
    // What is held is kept with its event, however old it is.
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Paused).await.unwrap();
    let held = world.publish("job.created", "1").await;
    world.clock.advance_ms(30 * DAY - 1);
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Active).await.unwrap();
    receiver.next().await;
    let last = world.settled(&held, 1).await;
    assert!(last.request_body.is_some());

    world.clock.advance_ms(2 * DAY);
    let expunged = until(&world, delivery, |detail| detail.is_some_and(|detail| detail.request_body.is_none())).await;
    assert_eq!(expunged.unwrap().attempts_made.len(), 1, "the history stays");
    assert_eq!(world.engine.event(&world.actor, accepted.id).await.unwrap_err().code, ErrorCode::NotFound);
    let refused = world.engine.replay(&world.actor, delivery).await.unwrap_err();
    assert_eq!((refused.code, refused.status), (ErrorCode::Gone, 410));
    assert_eq!(refused.detail, Refusal::PayloadGone.detail());
    // Another payload can be sent all the same.
    let edited = EditedPayload { data: RawValue::from_string("2".into()).unwrap() };
    world.engine.resend_edited(&world.actor, delivery, edited).await.unwrap();
    assert!(receiver.next().await.body.ends_with(r#""data":2}"#));

    world.clock.advance_ms(60 * DAY);
    assert!(until(&world, delivery, |detail| detail.is_none()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_for_longer_than_history_is_discarded() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    let id = world.webhook(&receiver.url(), |_| {}).await.webhook.id;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let delivered = world.settled(&accepted, 1).await.delivery.id;
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Paused).await.unwrap();
    let held = world.publish("job.created", "{}").await;
    let held = world.settled(&held, 0).await.delivery;
    assert_eq!(held.status, DeliveryState::Held);
    world.clock.advance_ms(89 * DAY);
    // The other payload tells that everything was gone through.
    until(&world, delivered, |detail| detail.is_some_and(|detail| detail.request_body.is_none())).await;
    let still = world.engine.delivery(&world.actor, held.id).await.unwrap();
    assert_eq!((still.delivery.status, still.request_body.is_some()), (DeliveryState::Held, true));
    world.clock.advance_ms(DAY + 1);
    // Discarded and, because it is that old, forgotten with the history.
    until(&world, held.id, |detail| detail.is_none()).await;
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_kept_for_as_long_as_their_policy_says() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400), Reply::status(400)]).await;
    world
        .webhook(&receiver.url(), |draft| {
            let days = |days| RetryPolicy { dead_letter_retention_days: days, ..RetryPolicy::default() };
            draft.retry_policy = Some(days(1));
            draft.event_policies = [("job.closed".to_owned(), days(3))].into();
        })
        .await;
    let mut dead = Vec::new();
    for event in ["job.created", "job.closed"] {
        let accepted = world.publish(event, "{}").await;
        receiver.next().await;
        dead.push(world.settled(&accepted, 1).await.delivery.id);
    }
    let is_discarded = |detail: Option<&DeliveryDetail>| {
        detail.is_some_and(|detail| detail.delivery.status == DeliveryState::Discarded)
    };
    world.clock.advance_ms(DAY);
    until(&world, dead[0], is_discarded).await;
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 1);
    let listed = world.engine.dead_letters(&world.actor, domain::api::DeadLetterQuery::default()).await.unwrap().data;
    assert_eq!((listed[0].delivery.id, listed[0].expires_at), (dead[1], START.plus_ms(3 * DAY)));
    world.clock.advance_ms(2 * DAY);
    until(&world, dead[1], is_discarded).await;
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 0);
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_whose_payload_is_gone_cannot_be_retried() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let dead = world.settled(&accepted, 1).await.delivery.id;
    world.engine.set_retention(&world.actor, Retention { payload_days: 1, history_days: 1 }).await.unwrap();
    world.clock.advance_ms(2 * DAY);
    let kept = until(&world, dead, |detail| detail.is_none_or(|detail| detail.request_body.is_none())).await;
    assert_eq!(kept.expect("a dead letter outlives the history").delivery.status, DeliveryState::DeadLetter);
    let refused = world.engine.retry_dead_letter(&world.actor, dead).await.unwrap_err();
    assert_eq!((refused.code, refused.detail.as_str()), (ErrorCode::Gone, Refusal::PayloadGone.detail()));
    world.engine.clear_dead_letter(&world.actor, dead).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_deleted_webhook_are_discarded_at_once() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    let id = world.webhook(&receiver.url(), |_| {}).await.webhook.id;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let dead = world.settled(&accepted, 1).await.delivery.id;
    world.engine.delete_webhook(&world.actor, id).await.unwrap();
    // No time passes: it does not wait for the next pass.
    until(&world, dead, |detail| detail.is_some_and(|detail| detail.delivery.status == DeliveryState::Discarded)).await;
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_sensible_retention_is_stored() {
    let world = World::new().await;
    let refused = world.engine.set_retention(&world.actor, Retention { payload_days: 0, history_days: 90 }).await;
    assert_eq!(refused.unwrap_err().field("payload_days"), Some("Retention must be between 1 and 365 days"));
    let refused = world.engine.set_retention(&world.actor, Retention { payload_days: 31, history_days: 30 }).await;
    assert_eq!(
        refused.unwrap_err().field("history_days"),
        Some("Deliveries must be kept at least as long as payloads")
    );
    assert_eq!(world.engine.retention(&world.actor).await.unwrap(), Retention::default());
    let stored = Retention { payload_days: 30, history_days: 100 };
    assert_eq!(world.engine.set_retention(&world.actor, stored).await.unwrap(), stored);
    let entry = world.engine.audit(&world.actor, None, Some(1)).await.unwrap().data.remove(0);
    assert_eq!((entry.action.as_str(), entry.fields), ("retention.updated", vec!["history_days".to_owned()]));
    assert!(world.actor.may(Permission::WriteSettings));
    assert_eq!(entry.subject, world.actor.organization.to_string());
    assert_eq!(world.actor.organization.created_at(), START);
}
