//! Where a request goes, and where it does not go.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, mpsc},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use tokio::{io::AsyncWriteExt, net::TcpSocket, sync};

use super::{addresses::FORBIDDEN, *};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Mixed-Case: yes\r\n\r\nhi";

#[tokio::test]
async fn a_request_arrives_as_it_was_given_and_the_answer_comes_back() {
    let (told, mut arrivals) = sync::mpsc::unbounded_channel();
    let receiver = Receiver::new(move |mut stream| {
        let told = told.clone();
        async move {
            told.send(request_in(&mut stream).await?).map_err(io::Error::other)?;
            stream.write_all(OK.as_bytes()).await
        }
    })
    .await;
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-one", "1"), ("host", "evil"), ("content-length", "3"), ("transfer-encoding", "chunked")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let response = answer(&local_client(), Request { headers, ..post(&receiver.url()) }).await;
    assert_eq!((response.status, &response.body[..], response.body_truncated), (200, &b"hi"[..], false));
    assert!(response.headers.contains(&("x-mixed-case".to_owned(), "yes".to_owned())));
    assert_eq!(response.remote, Some(receiver.address));
    assert!(response.timing.connect_ms.is_some() && response.timing.first_byte_ms.is_some());
    assert_eq!((response.timing.dns_ms, response.timing.tls_ms), (None, None));

    let request = arrivals.recv().await.flatten().expect("it was heard");
    let (head, body) = request.split_once("\r\n\r\n").expect("it has a head");
    let mut lines: Vec<_> = head.lines().collect();
    lines[1..].sort_unstable();
    let host = format!("host: {}", receiver.address);
    assert_eq!(lines, ["POST /hook?a=1 HTTP/1.1", "content-length: 16", &host, "user-agent: Signalbox/0", "x-one: 1"]);
    assert_eq!(body, r#"{"event":"ping"}"#);
}

#[tokio::test]
async fn literals_that_are_not_allowed_are_refused_before_a_socket_is_opened() {
    let receiver = Receiver::answering(OK).await;
    let strict = client(Guard::new(Vec::new()));
    let port = receiver.address.port();
    for host in FORBIDDEN {
        for scheme in ["http", "https"] {
            assert_eq!(
                class(&strict, post(&format!("{scheme}://{host}:{port}/"))).await,
                ErrorClass::Blocked,
                "{host}"
            );
        }
    }
    assert_eq!(class(&strict, post(&format!("http://user@127.0.0.1:{port}/"))).await, ErrorClass::Blocked);
    assert_eq!(class(&strict, post(&format!("ftp://127.0.0.1:{port}/"))).await, ErrorClass::Blocked);
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn one_forbidden_address_refuses_the_name() {
    let receiver = Receiver::answering(OK).await;
    let url = format!("http://mixed.example:{}/", receiver.address.port());
    let failure = failure(&client(loopback(resolving(&["127.0.0.1", "10.0.0.1"]))), post(&url)).await;
    assert_eq!(failure.class, ErrorClass::Blocked);
    assert!(!failure.detail.contains("10.0.0.1"), "the inside of the network is nobody's business");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn plain_http_stays_inside_the_allowed_networks() {
    let client = client(loopback(resolving(&["93.184.216.34"])));
    let failure = failure(&client, post("http://public.example/")).await;
    assert_eq!((failure.class, &*failure.detail), (ErrorClass::Blocked, "Webhook URLs must use HTTPS for security"));
}

#[tokio::test]
async fn a_name_server_that_changes_its_answer_gains_nothing() {
    let receiver = Receiver::closing_after(OK.replace("X-Mixed-Case: yes", "connection: close")).await;
    let answers = Mutex::new(["127.0.0.1", "10.0.0.1", "127.0.0.1", "169.254.169.254"].into_iter());
    let client = client(loopback(Resolver::new(Duration::ZERO, move |_| {
        let next = answers.lock().map_err(|_| io::ErrorKind::Other)?.next().ok_or(io::ErrorKind::NotFound)?;
        Ok(vec![next.parse().map_err(io::Error::other)?])
    })));
    let url = format!("http://flapping.example:{}/", receiver.address.port());
    assert_eq!(answer(&client, post(&url)).await.remote.map(|remote| remote.ip()), Some(receiver.address.ip()));
    assert_eq!(class(&client, post(&url)).await, ErrorClass::Blocked);
    assert_eq!(answer(&client, post(&url)).await.status, 200);
    assert_eq!(class(&client, post(&url)).await, ErrorClass::Blocked);
    assert_eq!(class(&client, post(&url)).await, ErrorClass::Dns);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let receiver = Receiver::answering(OK).await;
    let client = client(loopback(resolving(&["127.0.0.2", "127.0.0.1"])));
    let response = answer(&client, post(&format!("http://two.example:{}/", receiver.address.port()))).await;
    assert_eq!(response.remote, Some(receiver.address));
    assert!(response.timing.dns_ms.is_some());
}

#[tokio::test]
async fn names_that_do_not_resolve_fail_as_dns() {
    let missing = Resolver::new(Duration::ZERO, |_| Err(io::Error::other("no such name")));
    assert_eq!(class(&client(loopback(missing)), post("https://missing.example/")).await, ErrorClass::Dns);
    assert_eq!(class(&client(loopback(resolving(&[]))), post("https://empty.example/")).await, ErrorClass::Dns);
    // A name server that says nothing: the thread hangs until the sender is dropped at the end of this test.
    let (_silent, silence) = mpsc::channel::<IpAddr>();
    let silence = Mutex::new(silence);
    let hanging = Resolver::new(Duration::ZERO, move |_| {
        let silence = silence.lock().map_err(|_| io::ErrorKind::Other)?;
        Ok(vec![silence.recv().map_err(io::Error::other)?])
    });
    assert_eq!(class(&client(loopback(hanging)), hasty("https://silent.example/")).await, ErrorClass::Dns);
}

#[tokio::test]
async fn a_burst_to_one_name_costs_one_lookup() {
    let receiver = Receiver::answering(OK).await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = lookups.clone();
    let client = client(loopback(Resolver::new(Duration::from_mins(1), move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    })));
    let url = format!("http://busy.example:{}/", receiver.address.port());
    let sends: Vec<_> = (0..20).map(|_| answer(&client, post(&url))).collect();
    futures_util::future::join_all(sends).await;
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        listener.local_addr().expect("it is bound")
    };
    let failure = failure(&local_client(), post(&format!("http://{address}/"))).await;
    assert_eq!((failure.class, failure.timing.connect_ms), (ErrorClass::ConnectRefused, None));
}

#[tokio::test]
async fn a_host_that_never_accepts_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has ports");
    // Room for one connection, which is taken: the kernel ignores the next one.
    let listener = socket.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it is bound");
    let _first = TcpStream::connect(address).await.expect("there is room for one");
    assert_eq!(class(&local_client(), hasty(&format!("http://{address}/"))).await, ErrorClass::ConnectTimeout);
}

#[tokio::test]
async fn an_exempt_request_reaches_exactly_its_listener_and_lends_its_connection_to_nobody() {
    let receiver = Receiver::answering(OK).await;
    let strict = client(Guard::with_resolver(Vec::new(), resolving(&["10.0.0.1"])));
    let inspector = "https://signalbox.example/inspector/1";
    let exempt = || Request { exempt: Some(receiver.address), ..post(inspector) };
    let first = answer(&strict, exempt()).await;
    assert_eq!((first.remote, first.timing.tls_ms), (Some(receiver.address), None));
    assert_eq!(answer(&strict, exempt()).await.timing.connect_ms, None);
    assert_eq!(class(&strict, post(inspector)).await, ErrorClass::Blocked);
    assert_eq!(class(&strict, post(&receiver.url())).await, ErrorClass::Blocked);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn redirects_are_answers() {
    let elsewhere = Receiver::answering(OK).await;
    let moved = format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let receiver = Receiver::answering(moved).await;
    assert_eq!(answer(&local_client(), post(&receiver.url())).await.status, 307);
    assert_eq!(elsewhere.connections(), 0);
}
