//! Health checks by the worker: in their turn, once each, and what follows from them.

use std::collections::BTreeMap;

use domain::{
    IntegrationDraft, IntegrationState,
    api::{AlertQuery, Integration},
    health::Health,
};
use serde_json::json;

use super::harness::{PATIENCE, Receiver, Reply, World};

/// An HTTP API that is checked every minute.
fn draft(name: &str, url: &str) -> IntegrationDraft {
    IntegrationDraft {
        provider: "custom_api".into(),
        name: name.into(),
        config: BTreeMap::from([("base_url".to_owned(), json!(url))]),
        secrets: BTreeMap::from([("authorization".to_owned(), Some("Bearer x".to_owned()))]),
        check_interval_s: 60,
        ..IntegrationDraft::default()
    }
}

/// The integration, once it is as it should be.
async fn until(world: &World, id: domain::IntegrationId, is_so: impl Fn(&Integration) -> bool) -> Integration {
    let reached = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tick.tick().await;
            let found = world.engine.integration(&world.actor, id).await.unwrap();
            if is_so(&found) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("it comes to that in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_come_in_their_turn_and_an_outage_survives_a_restart() {
    let world = World::new().await;
    let mut receiver = Receiver::start([
        Reply::status(200),
        Reply::status(200),
        Reply::status(503),
        Reply::status(503),
        Reply::status(503),
        Reply::status(503),
        Reply::status(200),
        Reply::status(200),
    ])
    .await;
    let id = world.engine.create_integration(&world.actor, draft("API", &receiver.url())).await.unwrap().id;
    receiver.next().await;
    until(&world, id, |found| found.health == Health::Healthy).await;
    assert!(receiver.is_quiet(), "nothing is due");

    // The first in its turn lies inside the first interval.
    world.clock.advance_ms(60_000);
    receiver.next().await;
    let found = until(&world, id, |found| found.last_checked_at == Some(world.engine.now())).await;
    let pause = found.next_check_at.unwrap().since_ms(world.engine.now());
    assert!((54_000..=66_000).contains(&pause), "{pause}");

    world.clock.advance_ms(66_000);
    receiver.next().await;
    let found = until(&world, id, |found| found.pulse.bad == 1).await;
    assert_eq!(found.health, Health::Healthy, "one bad result proves nothing");
    let pause = found.next_check_at.unwrap().since_ms(world.engine.now());
    assert!((10_800..=13_200).contains(&pause), "it is looked at again sooner: {pause}");
    for bad in 2..=3 {
        world.clock.advance_ms(13_200);
        receiver.next().await;
        until(&world, id, |found| found.pulse.bad == bad).await;
    }
    assert_eq!(until(&world, id, |found| found.health == Health::Down).await.pulse.bad, 3);
    let open = world.engine.alerts(&world.actor, AlertQuery::default()).await.unwrap().data;
    assert_eq!(open.len(), 1);

    // Another process: it neither alerts again nor forgets.
    let (folder, clock) = world.stop().await;
    let world = World::in_folder(folder, clock).await;
    world.clock.advance_ms(66_000);
    receiver.next().await;
    until(&world, id, |found| found.pulse.bad == 4).await;
    let still = world.engine.alerts(&world.actor, AlertQuery::default()).await.unwrap().data;
    assert_eq!(still.iter().map(|alert| (alert.id, alert.occurrences)).collect::<Vec<_>>(), [(open[0].id, 2)]);

    for good in 1..=2 {
        world.clock.advance_ms(66_000);
        receiver.next().await;
        until(&world, id, |found| found.pulse.good == good).await;
    }
    assert_eq!(until(&world, id, |found| found.health == Health::Healthy).await.last_error, None);
    assert!(world.engine.alerts(&world.actor, AlertQuery::default()).await.unwrap().data.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_not_checked() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    let off = IntegrationDraft { state: IntegrationState::Disabled, ..draft("Off", &receiver.url()) };
    let off = world.engine.create_integration(&world.actor, off).await.unwrap();
    assert_eq!(off.next_check_at, None);
    let on = world.engine.create_integration(&world.actor, draft("On", &receiver.url())).await.unwrap().id;
    receiver.next().await;
    until(&world, on, |found| found.health == Health::Healthy).await;
    world.clock.advance_ms(3_600_000);
    receiver.next().await;
    until(&world, on, |found| found.last_checked_at == Some(world.engine.now())).await;
    assert!(receiver.is_quiet());
    world.engine.set_integration_state(&world.actor, off.id, IntegrationState::Active).await.unwrap();
    receiver.next().await;
    until(&world, off.id, |found| found.health == Health::Healthy).await;
    world.stop().await;
}
