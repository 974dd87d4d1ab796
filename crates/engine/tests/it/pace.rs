//! Pace, order and age of deliveries, and endpoints that keep failing.

use domain::{Backoff, RetryPolicy, WebhookState, api::DeliveryQuery, delivery::DeliveryState};
use engine::{Following, LiveEvent};

use super::harness::{PATIENCE, Receiver, Reply, START, World};

async fn count(world: &World, status: DeliveryState) -> usize {
    let query = DeliveryQuery { status: Some(status), ..DeliveryQuery::default() };
    world.engine.deliveries(&world.actor, query).await.unwrap().data.len()
}

/// Waits until a webhook is treated as disabled or enabled, which is a moment after it is stored.
async fn switched(live: &mut Following) {
    let told = async { while !matches!(live.next().await.unwrap().event, LiveEvent::Webhooks) {} };
    tokio::time::timeout(PATIENCE, told).await.expect("told in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_over_retries_and_restarts() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(200), Reply::status(500)]).await;
    let created = world.webhook(&receiver.url(), |draft| draft.options.ordered = true).await;
    let mut published = Vec::new();
    for number in 0..40 {
        published.push(world.publish("job.created", &number.to_string()).await);
    }
    assert_eq!(receiver.next().await.header("webhook-id"), published[0].id.to_string());
    assert_eq!(receiver.next().await.header("webhook-id"), published[1].id.to_string());
    world.settled(&published[1], 1).await;
    // The second waits for its retry, and everything behind it waits too.
    assert_eq!(count(&world, DeliveryState::Retrying).await, 1);
    let webhook = world.engine.webhook(&world.actor, created.webhook.id).await.unwrap();
    assert_eq!(webhook.blocked_until, Some(START.plus_ms(5_000)));
    assert!(receiver.is_quiet());
    let (folder, clock) = world.stop().await;
    clock.advance_ms(4_999);
    let world = World::in_folder(folder, clock).await;
    assert!(receiver.is_quiet());
    world.clock.advance_ms(1);
    for accepted in &published[1..] {
        assert_eq!(receiver.next().await.header("webhook-id"), accepted.id.to_string());
    }
    world.settled(&published[39], 1).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_webhook_goes_on_when_its_head_is_given_up() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    world.webhook(&receiver.url(), |draft| draft.options.ordered = true).await;
    let (first, second) = (world.publish("job.created", "1").await, world.publish("job.created", "2").await);
    assert_eq!(receiver.next().await.header("webhook-id"), first.id.to_string());
    assert_eq!(receiver.next().await.header("webhook-id"), second.id.to_string());
    assert_eq!(world.settled(&first, 1).await.delivery.status, DeliveryState::DeadLetter);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    world.webhook(&receiver.url(), |draft| draft.options.rate_limit_per_s = Some(2)).await;
    let mut published = Vec::new();
    for _ in 0..5 {
        published.push(world.publish("job.created", "1").await);
    }
    for second in 0..2 {
        receiver.next().await;
        receiver.next().await;
        for accepted in &published[second * 2..second * 2 + 2] {
            world.settled(accepted, 1).await;
        }
        assert!(receiver.is_quiet());
        world.clock.advance_ms(1_000);
    }
    receiver.next().await;
    world.settled(&published[4], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_a_pause_gets_it() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::Status(503, "retry-after: 30\r\n", String::new())]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let first = world.publish("job.created", "1").await;
    receiver.next().await;
    world.settled(&first, 1).await;
    let second = world.publish("job.created", "2").await;
    world.clock.advance_ms(29_999);
    assert!(receiver.is_quiet());
    world.clock.advance_ms(1);
    let mut arrived = [receiver.next().await, receiver.next().await].map(|got| got.header("webhook-id").to_owned());
    arrived.sort();
    assert_eq!(arrived, [first.id.to_string(), second.id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_discarded() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(500)]).await;
    let created = world
        .webhook(&receiver.url(), |draft| {
            draft.options.time_to_live_s = Some(60);
            draft.retry_policy = Some(RetryPolicy { strategy: Backoff::List(vec![61]), ..RetryPolicy::default() });
        })
        .await;
    // Its retry would come too late.
    let retried = world.publish("job.created", "1").await;
    receiver.next().await;
    assert_eq!(world.settled(&retried, 1).await.delivery.status, DeliveryState::Discarded);
    // It was held for too long.
    let id = created.webhook.id;
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Paused).await.unwrap();
    let held = world.publish("job.created", "2").await;
    assert_eq!(count(&world, DeliveryState::Held).await, 1);
    world.clock.advance_ms(60_000);
    let fresh = world.publish("job.created", "3").await;
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Active).await.unwrap();
    assert_eq!(receiver.next().await.header("webhook-id"), fresh.id.to_string());
    assert_eq!(world.settled(&held, 0).await.delivery.status, DeliveryState::Discarded);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_type_can_have_its_own_policy() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(500), Reply::status(500)]).await;
    world
        .webhook(&receiver.url(), |draft| {
            let own = RetryPolicy {
                dead_letters: false,
                strategy: Backoff::List(vec![77]),
                jitter: domain::Jitter::None,
                ..RetryPolicy::default()
            };
            draft.event_policies = [("job.closed".to_owned(), own)].into();
        })
        .await;
    let usual = world.publish("job.created", "1").await;
    receiver.next().await;
    assert_eq!(world.settled(&usual, 1).await.delivery.next_attempt_at, Some(START.plus_ms(5_000)));
    let special = world.publish("job.closed", "1").await;
    receiver.next().await;
    assert_eq!(world.settled(&special, 1).await.delivery.next_attempt_at, Some(START.plus_ms(77_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizations_policy_holds_from_the_next_try_on() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(500)]).await;
    world.webhook(&receiver.url(), |draft| draft.retry_policy = None).await;
    let policy = RetryPolicy {
        strategy: Backoff::Fixed,
        initial_delay_s: 42,
        jitter: domain::Jitter::None,
        ..RetryPolicy::default()
    };
    world.engine.set_retry_policy(&world.actor, policy.clone()).await.unwrap();
    assert_eq!(world.engine.retry_policy(&world.actor).await.unwrap(), policy);
    let accepted = world.publish("job.created", "1").await;
    receiver.next().await;
    assert_eq!(world.settled(&accepted, 1).await.delivery.next_attempt_at, Some(START.plus_ms(42_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_keeps_failing_is_disabled_probed_and_enabled_when_it_is_back() {
    let world = World::new().await;
    let mut receiver = Receiver::start(std::iter::repeat_n(Reply::status(500), 4)).await;
    let created = world.webhook(&receiver.url(), |draft| draft.options.disable_after = 3).await;
    let id = created.webhook.id;
    let mut live = world.engine.live(world.actor.organization, None);
    let mut accepted = Vec::new();
    for number in 0..3 {
        accepted.push(world.publish("job.created", "1").await);
        receiver.next().await;
        world.settled(&accepted[number], 1).await;
    }
    switched(&mut live).await;
    let disabled = world.engine.webhook(&world.actor, id).await.unwrap();
    assert_eq!(disabled.state, WebhookState::Disabled);
    assert_eq!(disabled.state_reason.as_deref(), Some("3 tries in a row failed"));
    assert_eq!((disabled.consecutive_failures, disabled.next_probe_at), (3, Some(START.plus_ms(60_000))));
    // What is published meanwhile queues up, and nothing is tried although retries are due.
    let held = world.publish("job.created", "4").await;
    assert_eq!(held.deliveries, 1);
    world.clock.advance_ms(59_999);
    assert!(receiver.is_quiet());
    // The first probe fails; the second succeeds, and what was held is sent.
    world.clock.advance_ms(1);
    receiver.next().await;
    let probed = world.webhook_when(id, |webhook| webhook.consecutive_failures == 4).await;
    assert_eq!((probed.state, probed.next_probe_at), (WebhookState::Disabled, Some(START.plus_ms(180_000))));
    world.clock.advance_ms(120_000);
    let webhook = world.becomes(id, WebhookState::Active).await;
    assert_eq!((webhook.consecutive_failures, webhook.next_probe_at, webhook.state_reason), (0, None, None));
    for accepted in accepted.iter().chain([&held]) {
        let done = async {
            loop {
                let detail = world.settled(accepted, 1).await;
                if detail.delivery.status == DeliveryState::Delivered {
                    return;
                }
                receiver.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("delivered in time");
    }
}
