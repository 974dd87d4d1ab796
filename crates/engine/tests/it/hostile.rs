//! Receivers that misbehave hold a slot for the deadline at most, and nobody else's deliveries.

use std::{collections::HashMap, io, net::SocketAddr, time::Duration};

use domain::{
    RetryOn, RetryPolicy, WebhookId,
    api::DeliveryQuery,
    delivery::{DeliveryState, ErrorClass},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

use super::harness::{PATIENCE, Receiver, World};

/// Events, of which every webhook gets each. With the webhooks below, more deliveries than the engine has slots (64), and
/// fewer per webhook than any rule about failing webhooks asks for.
const EVENTS: usize = 4;

/// What a receiver does when it has read something.
#[derive(Clone, Copy)]
enum Manner {
    /// Writes this, then waits.
    Says(&'static str),
    /// Writes the first, then the second over and over.
    Floods(&'static str, &'static str),
    /// Writes the first, then a byte every 100 ms.
    Drips(&'static str),
    /// Writes this, then resets the connection.
    Resets(&'static str),
}

const MANNERS: [(Manner, Option<ErrorClass>); 9] = [
    (Manner::Says(""), Some(ErrorClass::Timeout)),
    (Manner::Drips("HTTP/1.1 200 OK\r\nx: "), Some(ErrorClass::Timeout)),
    (Manner::Drips("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"), Some(ErrorClass::Timeout)),
    (Manner::Floods("HTTP/1.1 200 OK\r\n", "x: y\r\n"), Some(ErrorClass::TooLarge)),
    (Manner::Floods("", "HTTP/1.1 100 Continue\r\n\r\n"), Some(ErrorClass::TooLarge)),
    (Manner::Says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), Some(ErrorClass::Protocol)),
    (Manner::Resets("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), Some(ErrorClass::Reset)),
    (Manner::Resets(""), Some(ErrorClass::Reset)),
    // 2xx is 2xx: what is beyond the cap is not read, and is the receiver's own affair.
    (Manner::Floods("HTTP/1.1 200 OK\r\n\r\n", "a"), None),
];

async fn misbehave(mut stream: TcpStream, manner: Manner) -> io::Result<()> {
    if stream.read(&mut [0; 4_096]).await? == 0 {
        return Ok(());
    }
    match manner {
        Manner::Says(text) => {
            stream.write_all(text.as_bytes()).await?;
            while stream.read(&mut [0; 64]).await? > 0 {}
            Ok(())
        }
        Manner::Floods(first, then) => {
            stream.write_all(first.as_bytes()).await?;
            let then = then.repeat(100);
            loop {
                stream.write_all(then.as_bytes()).await?;
            }
        }
        Manner::Drips(first) => {
            stream.write_all(first.as_bytes()).await?;
            let mut drop = time::interval(Duration::from_millis(100));
            loop {
                drop.tick().await;
                stream.write_u8(b'a').await?;
            }
        }
        Manner::Resets(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.set_zero_linger()
        }
    }
}

async fn receiver(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misbehave(stream, manner));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_comes_back_and_a_healthy_neighbour_gets_everything() {
    let world = World::new().await;
    let once = |timeout_s| {
        let retry_on =
            RetryOn { server_errors: false, timeouts: false, connection_failures: false, ..RetryOn::default() };
        Some(RetryPolicy { timeout_s, retry_on, ..RetryPolicy::default() })
    };
    let mut expected: HashMap<WebhookId, Option<ErrorClass>> = HashMap::new();
    for (manner, error) in MANNERS {
        let address = receiver(manner).await;
        // Only those that must run into it have a short deadline.
        let timeout_s = if error == Some(ErrorClass::Timeout) { 1 } else { 20 };
        for path in ["one", "two"] {
            let url = format!("http://{address}/{path}");
            let created = world.webhook(&url, |draft| draft.retry_policy = once(timeout_s)).await;
            expected.insert(created.webhook.id, error);
        }
    }
    let mut healthy = Receiver::start([]).await;
    let neighbour = world.webhook(&healthy.url(), |_| {}).await;
    expected.insert(neighbour.webhook.id, None);

    let mut live = world.engine.live(world.actor.organization, None);
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        events.push(world.publish("job.created", "{}").await.id);
    }
    for _ in 0..EVENTS {
        healthy.next().await;
    }
    let all_ended = async {
        for event in events {
            let query = DeliveryQuery { event_id: Some(event), ..DeliveryQuery::default() };
            let ended = loop {
                let page = world.engine.deliveries(&world.actor, query.clone()).await.unwrap();
                if page.data.iter().all(|delivery| delivery.attempts == 1 && delivery.status != DeliveryState::Sending)
                {
                    break page.data;
                }
                // Also when some news were missed: the question above is asked again.
                let _ = live.next().await;
            };
            assert_eq!(ended.len(), expected.len());
            for delivery in ended {
                assert_eq!(delivery.error, expected[&delivery.webhook_id], "{}", delivery.webhook_name);
                let state = if delivery.error.is_none() { DeliveryState::Delivered } else { DeliveryState::DeadLetter };
                assert_eq!(delivery.status, state);
            }
        }
        while world.engine.metrics().in_flight > 0 {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(PATIENCE, all_ended).await.expect("every try ends");
    world.stop().await;
}
