//! Dead letters: sent again, cleared, or left alone.

use domain::{
    RetryPolicy, WebhookState,
    api::{Accepted, DeadLetterQuery, ErrorCode},
    delivery::DeliveryState,
};

use super::harness::{Receiver, Reply, START, World};

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// Publishes an event whose only delivery dies at its first try.
async fn dead(world: &World, receiver: &mut Receiver) -> Accepted {
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    assert_eq!(world.settled(&accepted, 1).await.delivery.status, DeliveryState::DeadLetter);
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_the_same_delivery_with_a_new_round_of_tries() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400), Reply::status(500)]).await;
    let created = world
        .webhook(&receiver.url(), |draft| {
            // A person's retry is worth sending however old the delivery is.
            draft.options.time_to_live_s = Some(60);
            draft.retry_policy = draft.retry_policy.take().map(|policy| RetryPolicy { max_retries: 1, ..policy });
        })
        .await;
    let accepted = world.publish("job.created", "{}").await;
    let first = receiver.next().await;
    let died = world.settled(&accepted, 1).await.delivery;
    let listed = world.engine.dead_letters(&world.actor, DeadLetterQuery::default()).await.unwrap().data;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].delivery.id, listed[0].died_at), (died.id, START));
    assert_eq!(listed[0].expires_at, START.plus_ms(7 * DAY));

    world.clock.advance_ms(DAY);
    let retried = world.engine.retry_dead_letter(&world.actor, died.id).await.unwrap();
    assert_eq!((retried.id, retried.finished_at, retried.attempts), (died.id, None, 1));
    let second = receiver.next().await;
    assert_eq!((&second.body, second.header("x-intime-delivery")), (&first.body, first.header("x-intime-delivery")));
    // The one retry that the policy allows is there again, although two tries were made.
    let waiting = world.settled(&accepted, 2).await.delivery;
    assert_eq!((waiting.status, waiting.next_attempt_at), (DeliveryState::Retrying, Some(START.plus_ms(DAY + 5_000))));
    world.clock.advance_ms(5_000);
    receiver.next().await;
    let done = world.settled(&accepted, 3).await;
    assert_eq!((done.delivery.status, done.attempts_made.len()), (DeliveryState::Delivered, 3));
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 0);
    // The failures of a retry that a person asked for are not held against the webhook.
    let webhook = world.engine.webhook(&world.actor, created.webhook.id).await.unwrap();
    assert_eq!((webhook.consecutive_failures, webhook.failed_30d, webhook.delivered_30d), (1, 2, 1));
    let again = world.engine.retry_dead_letter(&world.actor, died.id).await.unwrap_err();
    assert_eq!((again.code, again.detail.as_str()), (ErrorCode::Conflict, "This is not a dead letter."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_to_a_webhook_that_a_person_stopped_is_refused() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    let id = world.webhook(&receiver.url(), |_| {}).await.webhook.id;
    let accepted = dead(&world, &mut receiver).await;
    let delivery = world.settled(&accepted, 1).await.delivery.id;
    for (state, detail) in [
        (WebhookState::Paused, "The webhook is paused; enable it first."),
        (WebhookState::Disabled, "The webhook is disabled; enable it first."),
    ] {
        world.engine.set_webhook_state(&world.actor, id, state).await.unwrap();
        let refused = world.engine.retry_dead_letter(&world.actor, delivery).await.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (ErrorCode::Conflict, detail));
    }
    world.engine.delete_webhook(&world.actor, id).await.unwrap();
    let refused = world.engine.retry_dead_letter(&world.actor, delivery).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.detail.as_str()),
        (ErrorCode::Conflict, "The webhook was deleted; there is nowhere to send this to.")
    );
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_succeeds_enables_a_webhook_that_was_disabled_by_failures() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    let id = world.webhook(&receiver.url(), |draft| draft.options.disable_after = 1).await.webhook.id;
    let accepted = dead(&world, &mut receiver).await;
    world.becomes(id, WebhookState::Disabled).await;
    // What comes meanwhile is kept.
    let held = world.publish("job.created", "{}").await;
    let delivery = world.settled(&accepted, 1).await.delivery.id;
    let retried = world.engine.retry_dead_letter(&world.actor, delivery).await.unwrap();
    assert_eq!(retried.status, DeliveryState::Held);
    let mut arrived = [receiver.next().await, receiver.next().await].map(|got| got.header("webhook-id").to_owned());
    arrived.sort();
    assert_eq!(arrived, [accepted.id.to_string(), held.id.to_string()]);
    world.becomes(id, WebhookState::Active).await;
    assert_eq!(world.settled(&accepted, 2).await.delivery.status, DeliveryState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleared_one_is_discarded() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = dead(&world, &mut receiver).await;
    let delivery = world.settled(&accepted, 1).await.delivery.id;
    world.engine.clear_dead_letter(&world.actor, delivery).await.unwrap();
    assert_eq!(world.settled(&accepted, 1).await.delivery.status, DeliveryState::Discarded);
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 0);
    let refused = world.engine.clear_dead_letter(&world.actor, delivery).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    let nothing = world.engine.clear_dead_letter(&world.actor, "dlv_01h455vb4pex5vsknk084sn02q".parse().unwrap());
    assert_eq!(nothing.await.unwrap_err().code, ErrorCode::NotFound);
    assert!(receiver.is_quiet());
}
