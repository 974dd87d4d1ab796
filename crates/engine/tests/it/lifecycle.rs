//! Starting, stopping, and what one process leaves to the next.

use std::sync::Arc;

use domain::{
    api::{ErrorCode, EventDraft},
    delivery::DeliveryState,
};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::harness::{PATIENCE, Receiver, Reply, World};

fn draft(key: Option<&str>, data: &str) -> EventDraft {
    EventDraft {
        event: "job.created".into(),
        data: RawValue::from_string(data.into()).unwrap(),
        source_id: None,
        idempotency_key: key.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_in_flight_and_stores_its_outcome() {
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let mut receiver = Receiver::start([Reply::Held(Arc::clone(&gate))]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    let engine = world.engine.clone();
    let stopping = tokio::spawn(async move { engine.stop(PATIENCE).await });
    // Nothing is accepted any more once it stops.
    let refused = loop {
        match world.engine.publish(&world.actor, vec![draft(None, "{}")]).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.code, refused.retry_after_s), (ErrorCode::Unavailable, Some(2)));
    gate.notify_one();
    stopping.await.unwrap();
    let world = World::in_folder(world.folder, world.clock).await;
    assert_eq!(world.settled(&accepted, 1).await.delivery.status, DeliveryState::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_end_in_time_is_sent_by_the_next_process() {
    let world = World::new().await;
    let never = Arc::new(Notify::new());
    let mut receiver = Receiver::start([Reply::Held(never)]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", "{}").await;
    receiver.next().await;
    world.engine.stop(std::time::Duration::ZERO).await;
    world.clock.advance_ms(1);
    let world = World::in_folder(world.folder, world.clock).await;
    assert_eq!(receiver.next().await.header("webhook-id"), accepted.id.to_string());
    world.settled(&accepted, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_file_is_refused() {
    let world = World::new().await;
    let path = world.folder.path().join("world.db");
    let refused = storage::Store::open(&format!("sqlite://{}", path.display())).await.unwrap_err();
    assert!(refused.to_string().ends_with("is in use by another Signalbox process"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_same_answer_and_one_event() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let publish = |key, data| world.engine.publish(&world.actor, vec![draft(Some(key), data)]);
    let first = publish("k", "1").await.unwrap();
    assert_eq!(publish("k", "1").await.unwrap(), first);
    let refused = publish("k", "2").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert_eq!(receiver.next().await.header("webhook-id"), first[0].id.to_string());
    assert!(receiver.is_quiet());
    let refused = publish("", "1").await.unwrap_err();
    assert_eq!(refused.field("idempotency_key"), Some("An idempotency key has between 1 and 255 printable characters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_invalid_event_of_a_batch_stores_none() {
    let world = World::new().await;
    let bad = EventDraft { event: "job.dreamt".into(), ..draft(None, "{}") };
    let refused = world.engine.publish(&world.actor, vec![draft(None, "{}"), bad]).await.unwrap_err();
    assert_eq!(refused.field("events[1].event"), Some("Unknown event type: job.dreamt"));
    let events = world.engine.events(&world.actor, domain::api::EventQuery::default()).await.unwrap();
    assert!(events.data.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_master_key_is_refused_at_the_start() {
    let world = World::new().await;
    let (folder, clock) = world.stop().await;
    let store = storage::Store::open(&format!("sqlite://{}", folder.path().join("world.db").display())).await.unwrap();
    let config = engine::EngineConfig {
        public_url: "http://signalbox.test".into(),
        listener: "127.0.0.1:1".parse().unwrap(),
        allow_networks: Vec::new(),
        proxy: None,
        master_key: engine::secrets::MasterKey::parse("BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(),
        secret_folders: Vec::new(),
        storage_folder: None,
        uplink_hosts: Vec::new(),
        header_prefix: "X-InTime".into(),
        in_flight: 1,
        webhook_requests: 1,
        webhook_unstored: 1,
        webhook_queue: 1,
        queue: 1,
        queue_bytes: 1,
    };
    let started = engine::Engine::start(store, config, clock, Arc::new(engine::SeededEntropy::new(1))).await;
    let error = started.map(drop).unwrap_err().to_string();
    assert!(error.contains("SIGNALBOX_MASTER_KEY"), "{error}");
}
