//! When a connection is used again, and when it is not.

use std::time::Duration;

use tokio::{
    io::duplex,
    sync::mpsc,
    time::{self, Instant},
};

use super::*;
use crate::http::{
    connection::{Connection, http1},
    meter::Allowance,
    pool::{IDLE, MOST, Pool},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

#[tokio::test]
async fn the_second_request_finds_the_connection_of_the_first() {
    for bytes in [OK, CHUNKED, "HTTP/1.1 204 No Content\r\n\r\n"] {
        let receiver = Receiver::answering(bytes).await;
        let client = local_client();
        assert!(answer(&client, post(&receiver.url())).await.timing.connect_ms.is_some());
        for _ in 0..10 {
            let response = answer(&client, post(&receiver.url())).await;
            assert_eq!((response.timing.connect_ms, response.remote), (None, Some(receiver.address)), "{bytes}");
        }
        assert_eq!((receiver.connections(), client.waiting_connections()), (1, 1));
    }
}

#[tokio::test]
async fn clones_share_and_concurrent_requests_each_have_their_own() {
    let receiver = Receiver::answering(OK).await;
    let client = local_client();
    for _ in 0..5 {
        let clones: Vec<_> = (0..8).map(|_| client.clone()).collect();
        futures_util::future::join_all(clones.iter().map(|client| answer(client, post(&receiver.url())))).await;
    }
    assert_eq!((receiver.connections(), client.waiting_connections()), (8, 8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_there_are_no_more_connections_than_requests_at_a_time() {
    let receiver = Receiver::answering(OK).await;
    let client = local_client();
    let loops = (0..16).map(|_| {
        let (client, url) = (client.clone(), receiver.url());
        tokio::spawn(async move {
            for _ in 0..200 {
                assert_eq!(answer(&client, post(&url)).await.status, 200);
            }
        })
    });
    for ended in futures_util::future::join_all(loops).await {
        ended.expect("every request was answered");
    }
    // A connection may be seen just before it is ready again; that is rare and costs one connection.
    assert!(receiver.connections() <= 32, "{} connections for 3,200 requests", receiver.connections());
}

#[tokio::test]
async fn connections_that_end_are_not_kept() {
    for head in ["connection: close", "keep-alive: timeout=1, max=100"] {
        let receiver = Receiver::answering(OK.replace("content-length", &format!("{head}\r\ncontent-length"))).await;
        let client = local_client();
        for _ in 0..3 {
            assert!(answer(&client, post(&receiver.url())).await.timing.connect_ms.is_some(), "{head}");
        }
        assert_eq!(receiver.connections(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_is_no_failure() {
    let (closed, mut closing) = mpsc::unbounded_channel();
    let receiver = Receiver::new(move |mut stream| {
        let closed = closed.clone();
        async move {
            request_in(&mut stream).await?;
            stream.write_all(OK.as_bytes()).await?;
            drop(stream);
            closed.send(()).map_err(io::Error::other)
        }
    })
    .await;
    let client = local_client();
    for _ in 0..20 {
        assert_eq!(answer(&client, post(&receiver.url())).await.status, 200);
        closing.recv().await.expect("the receiver closes");
        // One turn of the reactor brings the news.
        tokio::task::yield_now().await;
    }
}

async fn connection() -> Connection {
    let (near, far) = duplex(64);
    // Leaked on purpose into a task that ends with the test: the peer stays open.
    tokio::spawn(async move {
        let _far = far;
        std::future::pending::<()>().await;
    });
    let connection =
        http1(near, SocketAddr::from(([127, 0, 0, 1], 1)), Allowance::new(0)).await.expect("nothing is sent yet");
    while !connection.is_ready() {
        tokio::task::yield_now().await;
    }
    connection
}

#[tokio::test]
async fn nothing_waits_longer_than_it_may() {
    let pool = Arc::new(Pool::default());
    pool.put("a", connection().await, Duration::from_secs(4));
    pool.put("a", connection().await, IDLE);
    let soon = Instant::now() + Duration::from_secs(5);
    assert!(pool.take("b", soon).is_none());
    assert!(pool.take("a", soon).is_some());
    assert!(pool.take("a", soon).is_none());
    assert_eq!(pool.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_pool_empties_itself_without_traffic() {
    let pool = Arc::new(Pool::default());
    for _ in 0..2 {
        pool.put("a", connection().await, IDLE);
        pool.put("b", connection().await, IDLE);
        time::sleep(IDLE * 2).await;
        assert_eq!(pool.len(), 0);
    }
}

#[tokio::test]
async fn the_pool_is_bounded_and_the_oldest_go() {
    let pool = Arc::new(Pool::default());
    for index in 0..=MOST {
        pool.put(&format!("host {index}"), connection().await, IDLE);
    }
    assert!(pool.len() <= MOST);
    assert!(pool.take("host 0", Instant::now()).is_none());
    assert!(pool.take(&format!("host {MOST}"), Instant::now()).is_some());
}
