//! Receivers that stall, cut, flood and talk nonsense: each ends in the right class, within the deadline.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, sync::oneshot, time};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

#[tokio::test]
async fn no_answer_is_a_timeout() {
    let receiver = Receiver::answering("").await;
    let failure = failure(&local_client(), hasty(&receiver.url())).await;
    assert_eq!((failure.class, failure.remote), (ErrorClass::Timeout, Some(receiver.address)));
    assert!(failure.timing.connect_ms.is_some() && failure.timing.first_byte_ms.is_none());
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_deadline() {
    let receiver = Receiver::new(|mut stream| async move {
        request_in(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
        let mut drip = time::interval(Duration::from_millis(10));
        loop {
            drip.tick().await;
            stream.write_all(b".").await?;
        }
    })
    .await;
    let failure = failure(&local_client(), hasty(&receiver.url())).await;
    assert_eq!(failure.class, ErrorClass::Timeout);
    assert!(failure.timing.first_byte_ms.is_some());
}

#[tokio::test]
async fn heads_that_never_end_are_cut() {
    let one_line = Receiver::new(|mut stream| async move {
        request_in(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
        loop {
            stream.write_all(&[b'a'; 4_096]).await?;
        }
    })
    .await;
    assert_eq!(class(&local_client(), post(&one_line.url())).await, ErrorClass::TooLarge);

    let megabyte = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-filler: 0123456789abcdef\r\n".repeat(40_000));
    let megabyte = Receiver::answering(megabyte).await;
    assert_eq!(class(&local_client(), post(&megabyte.url())).await, ErrorClass::TooLarge);

    let many = Receiver::answering(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101))).await;
    assert_eq!(class(&local_client(), post(&many.url())).await, ErrorClass::TooLarge);

    let most = Receiver::answering(format!("HTTP/1.1 204 OK\r\n{}\r\n", "a: b\r\n".repeat(100))).await;
    assert_eq!(answer(&local_client(), post(&most.url())).await.headers.len(), 100);

    let interim = Receiver::new(|mut stream| async move {
        request_in(&mut stream).await?;
        loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await?;
        }
    })
    .await;
    assert_eq!(class(&local_client(), post(&interim.url())).await, ErrorClass::TooLarge);

    let polite = format!("{}{OK}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(16));
    let polite = Receiver::answering(polite).await;
    assert_eq!(answer(&local_client(), post(&polite.url())).await.status, 200);
}

#[tokio::test]
async fn a_body_is_read_up_to_the_cap_and_the_connection_dropped() {
    let (ended, end) = oneshot::channel::<()>();
    let ended = std::sync::Mutex::new(Some(ended));
    let receiver = Receiver::new(move |mut stream| {
        let ended = ended.lock().expect("no one panics").take();
        async move {
            request_in(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            while stream.write_all(&[b'a'; 4_096]).await.is_ok() {}
            drop(ended);
            Ok(())
        }
    })
    .await;
    let response = answer(&local_client(), post(&receiver.url())).await;
    assert_eq!((response.body.len(), response.body_truncated, response.status), (1_024, true, 200));
    // The receiver notices: nobody reads on behind its back.
    assert!(end.await.is_err());
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_whole() {
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n{}", "a".repeat(1_024));
    let receiver = Receiver::answering(whole).await;
    let response = answer(&local_client(), post(&receiver.url())).await;
    assert_eq!((response.body.len(), response.body_truncated), (1_024, false));
    let none = answer(&local_client(), Request { max_body_bytes: 0, ..post(&receiver.url()) }).await;
    assert_eq!((none.body.len(), none.body_truncated), (0, true));
}

#[tokio::test]
async fn a_huge_announced_length_costs_nothing() {
    let receiver = Receiver::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX - 2)).await;
    assert_eq!(class(&local_client(), hasty(&receiver.url())).await, ErrorClass::Timeout);
}

#[tokio::test]
async fn compressed_bodies_stay_compressed() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00";
    let receiver = Receiver::answering(&bytes[..]).await;
    assert_eq!(answer(&local_client(), post(&receiver.url())).await.body[..], *b"\x1f\x8b\x08\x00");
}

#[tokio::test]
async fn cut_connections_are_resets() {
    let before = Receiver::new(|mut stream| async move {
        request_in(&mut stream).await?;
        reset(stream)
    })
    .await;
    assert_eq!(class(&local_client(), post(&before.url())).await, ErrorClass::Reset);
    let silent_end = Receiver::closing_after("").await;
    assert_eq!(class(&local_client(), post(&silent_end.url())).await, ErrorClass::Reset);

    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let partial = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n64\r\nabc");
        let ended = Receiver::closing_after(partial.clone()).await;
        assert_eq!(class(&local_client(), post(&ended.url())).await, ErrorClass::Reset, "{head}");
        let torn = Receiver::new(move |mut stream| {
            let partial = partial.clone();
            async move {
                request_in(&mut stream).await?;
                stream.write_all(partial.as_bytes()).await?;
                reset(stream)
            }
        })
        .await;
        assert_eq!(class(&local_client(), post(&torn.url())).await, ErrorClass::Reset, "{head}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_failure() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "hello\n\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "\x16\x03\x01\x02\x00\x01",
    ] {
        let receiver = Receiver::answering(nonsense).await;
        let failure = failure(&local_client(), post(&receiver.url())).await;
        assert_eq!(failure.class, ErrorClass::Protocol, "{nonsense:?}: {}", failure.detail);
    }
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_body_was_read_is_the_answer() {
    let receiver = Receiver::new(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await?;
        std::future::pending().await
    })
    .await;
    let client = local_client();
    let large = Bytes::from(vec![b'a'; 32 * 1024 * 1024]);
    assert_eq!(answer(&client, Request { body: large, ..post(&receiver.url()) }).await.status, 413);
    // Half of that body is still on its way: the connection cannot carry the next request.
    assert_eq!(answer(&client, post(&receiver.url())).await.status, 413);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection() {
    let (arrived, arrival) = oneshot::channel();
    let (ended, end) = oneshot::channel::<()>();
    let signals = std::sync::Mutex::new(Some((arrived, ended)));
    let receiver = Receiver::new(move |mut stream| {
        let signals = signals.lock().expect("no one panics").take();
        async move {
            let (arrived, ended) = signals.expect("there is one connection");
            request_in(&mut stream).await?;
            let _ = arrived.send(());
            assert!(request_in(&mut stream).await?.is_none());
            drop(ended);
            Ok(())
        }
    })
    .await;
    let client = local_client();
    tokio::select! {
        _ = client.send(post(&receiver.url())) => panic!("nothing was answered"),
        heard = arrival => heard.expect("the request arrives"),
    }
    assert!(end.await.is_err());
}
