//! What happens to an event after it was accepted.

use std::sync::Arc;

use domain::{
    Condition, CustomHeader, Filter, Operator, WebhookState,
    api::{DeliveryKind, DeliveryQuery, ErrorCode, Test},
    delivery::{DeliveryState, ErrorClass},
};
use engine::signature::SigningKey;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::harness::{Receiver, Reply, START, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_signed_and_byte_for_byte() {
    let (world, mut receiver) = (World::new().await, Receiver::start([]).await);
    let created = world
        .webhook(&receiver.url(), |draft| {
            draft.headers = vec![CustomHeader { name: "Authorization".into(), value: Some("Bearer abc".into()) }];
        })
        .await;
    // Spacing, order and number formats of the data survive.
    let data = r#"{ "b": 1.50, "a": "ü \u0041" }"#;
    let accepted = world.publish("job.created", data).await;
    assert_eq!(accepted.deliveries, 1);

    let got = receiver.next().await;
    let id = accepted.id.to_string();
    assert_eq!(got.body, format!(r#"{{"id":"{id}","event":"job.created","timestamp":"{START}","data":{data}}}"#));
    let key = SigningKey::new(&created.secret, None).unwrap();
    let seconds = START.unix_seconds().to_string();
    assert_eq!(got.header("webhook-id"), id);
    assert_eq!(got.header("webhook-timestamp"), seconds);
    assert_eq!(got.header("webhook-signature"), key.standard(&id, &seconds, got.body.as_bytes()));
    assert_eq!(got.header("x-intime-signature"), key.body(got.body.as_bytes()));
    assert_eq!(got.header("x-intime-event"), "job.created");
    assert_eq!(got.header("x-intime-timestamp"), seconds);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("authorization"), "Bearer abc");

    let detail = world.settled(&accepted, 1).await;
    assert_eq!(detail.delivery.status, DeliveryState::Delivered);
    assert_eq!(got.header("x-intime-delivery"), detail.delivery.id.to_string());
    assert_eq!(detail.request_body.as_ref(), Some(&got.body));
    let sent = &detail.attempts_made[0].request_headers;
    let kept = |name: &str| {
        sent.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    };
    assert_eq!(kept("webhook-signature"), Some(got.header("webhook-signature")));
    assert!(!kept("authorization").unwrap().contains("abc"), "credentials are masked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_with_the_same_bytes_until_it_succeeds() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(500), Reply::Cut, Reply::status(200)]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    let first = receiver.next().await;
    let waiting = world.settled(&accepted, 1).await;
    assert_eq!(waiting.delivery.status, DeliveryState::Retrying);
    assert_eq!(waiting.delivery.next_attempt_at, Some(START.plus_ms(5_000)));
    assert_eq!(waiting.attempts_made[0].error_detail.as_deref(), Some("Webhook endpoint returned error: 500"));
    assert!(receiver.is_quiet());

    world.clock.advance_ms(5_000);
    let second = receiver.next().await;
    assert_eq!((&second.body, second.header("webhook-id")), (&first.body, first.header("webhook-id")));
    assert_ne!(second.header("webhook-timestamp"), first.header("webhook-timestamp"));
    let waiting = world.settled(&accepted, 2).await;
    assert_eq!(waiting.delivery.error, Some(ErrorClass::Reset));
    assert_eq!(waiting.delivery.next_attempt_at, Some(START.plus_ms(15_000)));

    world.clock.advance_ms(10_000);
    receiver.next().await;
    let done = world.settled(&accepted, 3).await;
    assert_eq!((done.delivery.status, done.attempts_made.len()), (DeliveryState::Delivered, 3));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_failing_becomes_a_dead_letter() {
    let world = World::new().await;
    let mut receiver = Receiver::start(std::iter::repeat_n(Reply::status(503), 4)).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    for attempt in 1..=4 {
        receiver.next().await;
        world.settled(&accepted, attempt).await;
        world.clock.advance_ms(60_000);
    }
    let dead = world.settled(&accepted, 4).await;
    assert_eq!((dead.delivery.status, dead.delivery.response_status), (DeliveryState::DeadLetter, Some(503)));
    assert_eq!(world.engine.overview(&world.actor).await.unwrap().dead_letters, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_failures_and_are_not_followed() {
    let world = World::new().await;
    let mut elsewhere = Receiver::start([]).await;
    let location: &'static str = Box::leak(format!("location: {}\r\n", elsewhere.url()).into_boxed_str());
    let mut receiver = Receiver::start([Reply::Status(302, location, String::new())]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let detail = world.settled(&accepted, 1).await;
    assert_eq!(
        (detail.delivery.status, detail.delivery.error),
        (DeliveryState::DeadLetter, Some(ErrorClass::Redirect))
    );
    assert!(elsewhere.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_disables_the_webhook_with_a_reason() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(410)]).await;
    let created = world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    world.settled(&accepted, 1).await;
    // The disabling follows the outcome; stopping waits for it.
    let (folder, clock) = world.stop().await;
    clock.advance_ms(1);
    let world = World::in_folder(folder, clock).await;
    let webhook = world.engine.webhook(&world.actor, created.webhook.id).await.unwrap();
    assert_eq!(
        (webhook.state, webhook.state_reason.as_deref()),
        (WebhookState::Disabled, Some("The endpoint answered 410 Gone"))
    );
    assert_eq!(world.publish("job.created", "{}").await.deliveries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::Status(429, "retry-after: 120\r\n", String::new())]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let waiting = world.settled(&accepted, 1).await;
    assert_eq!(
        (waiting.delivery.status, waiting.delivery.next_attempt_at),
        (DeliveryState::Retrying, Some(START.plus_ms(120_000)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_subscribed_to_and_passes_the_filter_arrives() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    world
        .webhook(&receiver.url(), |draft| {
            draft.events = vec!["job.created".into()];
            draft.filter = Filter(vec![Condition { path: "status".into(), op: Operator::Eq, value: json!("active") }]);
        })
        .await;
    assert_eq!(world.publish("job.closed", r#"{"status":"active"}"#).await.deliveries, 0);
    assert_eq!(world.publish("job.created", r#"{"status":"closed"}"#).await.deliveries, 0);
    assert_eq!(world.publish("job.created", r#"{"status":"active"}"#).await.deliveries, 1);
    let body: Value = serde_json::from_str(&receiver.next().await.body).unwrap();
    assert_eq!(body["data"]["status"], "active");
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_the_same_bytes_under_the_same_id_once_more() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", r#"{"n":1}"#).await;
    let first = receiver.next().await;
    let failed = world.settled(&accepted, 1).await;
    assert_eq!(failed.delivery.status, DeliveryState::DeadLetter);
    let replay = world.engine.replay(&world.actor, failed.delivery.id).await.unwrap();
    assert_eq!((replay.kind, replay.replay_of), (DeliveryKind::Replay, Some(failed.delivery.id)));
    let second = receiver.next().await;
    assert_eq!((&second.body, second.header("webhook-id")), (&first.body, first.header("webhook-id")));
    assert_ne!(second.header("x-intime-delivery"), first.header("x-intime-delivery"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_to_one_webhook_waits_and_is_not_retried() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::Status(500, "", "broken".into())]).await;
    let mut other = Receiver::start([]).await;
    let created = world.webhook(&receiver.url(), |_| {}).await;
    world.webhook(&other.url(), |_| {}).await;
    let test = Test { event: Some("job.updated".into()), data: None };
    let detail = world.engine.test_webhook(&world.actor, created.webhook.id, test).await.unwrap();
    assert_eq!((detail.delivery.status, detail.delivery.kind), (DeliveryState::Failed, DeliveryKind::Test));
    assert_eq!(detail.attempts_made[0].response_body, "broken");
    let body: Value = serde_json::from_str(&receiver.next().await.body).unwrap();
    assert_eq!((body["event"].as_str(), body["data"]["job_id"].as_str()), (Some("job.updated"), Some("JOB-2024-1234")));
    assert!(other.is_quiet());
    let unknown = Test { event: Some("job.dreamt".into()), data: None };
    let refused = world.engine.test_webhook(&world.actor, created.webhook.id, unknown).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.field("event")),
        (ErrorCode::ValidationFailed, Some("Unknown event type: job.dreamt"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_webhook_keeps_its_queue_and_a_disabled_one_gets_nothing_new() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    let id = world.webhook(&receiver.url(), |_| {}).await.webhook.id;
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Paused).await.unwrap();
    let held = world.publish("job.created", "{}").await;
    assert_eq!(held.deliveries, 1);
    let query = DeliveryQuery { event_id: Some(held.id), ..DeliveryQuery::default() };
    assert_eq!(world.engine.deliveries(&world.actor, query).await.unwrap().data[0].status, DeliveryState::Held);
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Disabled).await.unwrap();
    assert_eq!(world.publish("job.created", "{}").await.deliveries, 0);
    world.engine.set_webhook_state(&world.actor, id, WebhookState::Active).await.unwrap();
    assert_eq!(receiver.next().await.header("webhook-id"), held.id.to_string());
    assert!(receiver.is_quiet());
}

/// Far more than fits in hand: what overflows is fetched later, and nothing is sent twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_worked_off_completely() {
    const EVENTS: usize = 500;
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let mut receiver = Receiver::start(std::iter::repeat_n(Reply::Held(Arc::clone(&gate)), 8)).await;
    let patient = domain::RetryPolicy { timeout_s: 60, ..domain::RetryPolicy::default() };
    world.webhook(&receiver.url(), |draft| draft.retry_policy = Some(patient)).await;
    let mut expected = std::collections::BTreeSet::new();
    for _ in 0..EVENTS {
        expected.insert(world.publish("job.created", "{}").await.id.to_string());
    }
    let mut arrived = std::collections::BTreeSet::new();
    for _ in 0..8 {
        arrived.insert(receiver.next().await.header("webhook-id").to_owned());
    }
    assert!(receiver.is_quiet(), "only so many at a time");
    // `notify_one` keeps a permit for whoever comes to wait a moment later.
    for _ in 0..8 {
        gate.notify_one();
        arrived.insert(receiver.next().await.header("webhook-id").to_owned());
    }
    for _ in 0..EVENTS - 16 {
        arrived.insert(receiver.next().await.header("webhook-id").to_owned());
    }
    assert_eq!(arrived, expected);
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_webhook_ends_what_waits_for_it() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(500)]).await;
    let id = world.webhook(&receiver.url(), |_| {}).await.webhook.id;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    world.settled(&accepted, 1).await;
    world.engine.delete_webhook(&world.actor, id).await.unwrap();
    world.clock.advance_ms(5_000);
    // The next event finds no webhook; the old delivery is ended when its turn comes.
    assert_eq!(world.publish("job.created", "{}").await.deliveries, 0);
    let (folder, clock) = world.stop().await;
    clock.advance_ms(1);
    let world = World::in_folder(folder, clock).await;
    let ended = async {
        loop {
            let query = DeliveryQuery { event_id: Some(accepted.id), ..DeliveryQuery::default() };
            let page = world.engine.deliveries(&world.actor, query).await.unwrap();
            if page.data[0].status == DeliveryState::Discarded {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::harness::PATIENCE, ended).await.expect("discarded in time");
    assert!(receiver.is_quiet());
}
