//! A clock that is set: by an operator, by a time server after a long sleep, by a hypervisor. Nothing is lost, nothing is
//! repeated, and nothing waits for the clock to come back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{Timestamp, api::Accepted, delivery::DeliveryState};
use tokio::sync::Notify;

use super::harness::{Receiver, Reply, START, World};

const HOUR_MS: i64 = 3_600_000;
/// More than what is in flight and in hand, so that some wait in the database.
const EVENTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn forward() {
    jump(30 * 24 * HOUR_MS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backward() {
    jump(-24 * HOUR_MS).await;
}

/// The clock is set by `ms` while deliveries are in flight, in hand, in the database, and waiting for a retry.
async fn jump(ms: i64) {
    let world = World::new().await;
    let mut failing = Receiver::start([Reply::status(500)]).await;
    world.webhook(&failing.url(), |draft| draft.events = vec!["job.closed".into()]).await;
    let retried = world.publish("job.closed", "{}").await;
    failing.next().await;
    assert_eq!(world.settled(&retried, 1).await.delivery.status, DeliveryState::Retrying);

    let gate = Arc::new(Notify::new());
    let mut receiver = Receiver::start(std::iter::repeat_n(Reply::Held(Arc::clone(&gate)), 8)).await;
    world.webhook(&receiver.url(), |draft| draft.events = vec!["job.created".into()]).await;
    let mut promised: Vec<Accepted> = Vec::new();
    for n in 0..EVENTS {
        // Each a moment later, as in life: what is oldest is due first.
        world.clock.advance_ms(1);
        promised.push(world.publish("job.created", &n.to_string()).await);
    }
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..8 {
        *arrived.entry(receiver.next().await.header("webhook-id").to_owned()).or_default() += 1;
    }
    world.clock.advance_ms(ms);
    let jumped = world.engine.now();
    for _ in 0..8 {
        gate.notify_one();
    }
    promised.push(world.publish("job.created", "1").await);
    let arrive = async {
        while arrived.len() < promised.len() {
            let got = receiver.next().await;
            *arrived.entry(got.header("webhook-id").to_owned()).or_default() += 1;
            let signed_at: i64 = got.header("webhook-timestamp").parse().unwrap();
            let by = |clock: Timestamp| (clock.unix_seconds()..=clock.unix_seconds() + 60).contains(&signed_at);
            assert!(by(START) || by(jumped), "signed by the clock of the moment");
        }
    };
    // How far it was set back is known from when it was last looked at: what waits may be due so much later.
    let go_on = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            world.clock.advance_ms(10);
        }
    };
    tokio::select! {
        () = arrive => {}
        () = go_on => {}
    }
    assert!(arrived.values().all(|times| *times == 1), "nothing is repeated");
    let done = world.settled(&promised[0], 1).await;
    assert_eq!(done.delivery.status, DeliveryState::Delivered);
    assert!(done.attempts_made[0].duration_ms < 60_000, "a try lasts as long as it lasts, not as the clock says");

    // The retry waits for no longer than it would have.
    world.clock.advance_ms(5_000);
    failing.next().await;
    assert_eq!(world.settled(&retried, 2).await.delivery.status, DeliveryState::Delivered);
    assert!(receiver.is_quiet() && failing.is_quiet());
    world.stop().await;
}
