//! Requests that leave through a proxy: it is told addresses that were checked, and nothing else.

use tokio::{io::copy_bidirectional, sync::mpsc};

use super::{
    addresses::FORBIDDEN,
    tls::{Authority, at, named, ok, secured},
    *,
};
use crate::http::NotAProxy;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy on loopback that does what it is asked, and tells.
struct Tunnels {
    proxy: Receiver,
    heads: mpsc::UnboundedReceiver<String>,
}

impl Tunnels {
    /// Connects to where it is asked to; `instead`, when given, stands for every public address.
    async fn new(instead: Option<SocketAddr>) -> Self {
        let (told, heads) = mpsc::unbounded_channel();
        let proxy = Receiver::new(move |mut stream| {
            let told = told.clone();
            async move {
                let head = request_in(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let asked = head.split(' ').nth(1).expect("a request line").parse().expect("an address, never a name");
                told.send(head).map_err(io::Error::other)?;
                let Ok(mut onward) = TcpStream::connect(instead.unwrap_or(asked)).await else {
                    return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
                };
                stream.write_all(OPEN.as_bytes()).await?;
                copy_bidirectional(&mut stream, &mut onward).await.map(drop)
            }
        })
        .await;
        Self { proxy, heads }
    }

    /// What was asked first and not looked at yet.
    fn head(&mut self) -> String {
        self.heads.try_recv().expect("the proxy was asked")
    }

    fn is_quiet(&mut self) -> bool {
        self.heads.try_recv().is_err()
    }
}

fn proxied(guard: Guard, url: &str) -> Client {
    Client::new(ClientConfig { guard, proxy: Some(Proxy::parse(url).expect("a proxy")), user_agent: "S/0".to_owned() })
}

fn through(proxy: &Receiver) -> String {
    format!("http://{}", proxy.address)
}

#[tokio::test]
async fn https_goes_through_a_tunnel_to_the_checked_address() {
    let authority = Authority::new("Authority");
    let receiver = secured(authority.acceptor(&named("good.example"), &[]), ok).await;
    let mut tunnels = Tunnels::new(Some(receiver.address)).await;
    // Nothing is allowed that is not public: the proxy itself is not judged.
    let guard = Guard::with_resolver(Vec::new(), resolving(&["93.184.216.34"]));
    let url = format!("http://user:p%40ss%3Aword@{}", tunnels.proxy.address);
    let client = authority.client_of(guard, Some(Proxy::parse(&url).expect("a proxy")));
    let port = receiver.address.port();

    let first = answer(&client, at(&receiver, "good.example")).await;
    let told = format!("93.184.216.34:{port}");
    // The password is `p@ss:word`.
    assert_eq!(
        tunnels.head(),
        format!("CONNECT {told} HTTP/1.1\r\nhost: {told}\r\nproxy-authorization: Basic dXNlcjpwQHNzOndvcmQ=\r\n\r\n")
    );
    assert_eq!(first.remote.map(|remote| remote.to_string()), Some(told.clone()));
    assert!(first.timing.dns_ms.is_some() && first.timing.connect_ms.is_some() && first.timing.tls_ms.is_some());
    let second = answer(&client, at(&receiver, "good.example")).await;
    assert_eq!((second.timing.connect_ms, second.remote), (None, first.remote));
    assert!(tunnels.is_quiet(), "the tunnel is used again");

    // Another name at the same address has its own tunnel, and its own certificate to show.
    let failure = failure(&client, at(&receiver, "other.example")).await;
    assert_eq!((failure.class, &*failure.detail), (ErrorClass::Tls, "the certificate is for another host name"));
    assert!(tunnels.head().starts_with(&format!("CONNECT {told} ")));
}

#[tokio::test]
async fn plain_http_goes_through_a_tunnel_too() {
    let (told, mut requests) = mpsc::unbounded_channel();
    let receiver = Receiver::new(move |mut stream| {
        let told = told.clone();
        async move {
            while let Some(request) = request_in(&mut stream).await? {
                told.send(request).map_err(io::Error::other)?;
                stream.write_all(OK.as_bytes()).await?;
            }
            Ok(())
        }
    })
    .await;
    let mut tunnels = Tunnels::new(None).await;
    let url = format!("http://user:word@{}/", tunnels.proxy.address);
    let client = proxied(loopback(resolving(&["127.0.0.1"])), &url);
    let target = format!("http://inside.example:{}/hook?a=1", receiver.address.port());
    for _ in 0..3 {
        assert_eq!(answer(&client, post(&target)).await.remote, Some(receiver.address));
        let request = requests.recv().await.expect("it arrives");
        assert!(request.starts_with("POST /hook?a=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("host: inside.example") && !request.contains("proxy"), "{request}");
    }
    assert!(tunnels.head().starts_with(&format!("CONNECT {} ", receiver.address)));
    assert!(tunnels.is_quiet());
    assert_eq!(answer(&client, post(&receiver.url())).await.status, 200);
    assert!(tunnels.head().starts_with(&format!("CONNECT {} ", receiver.address)), "another origin, another tunnel");
}

#[tokio::test]
async fn what_is_forbidden_never_reaches_the_proxy() {
    let mut tunnels = Tunnels::new(None).await;
    let mixed = proxied(loopback(resolving(&["127.0.0.1", "10.0.0.1"])), &through(&tunnels.proxy));
    let strict = proxied(Guard::new(Vec::new()), &through(&tunnels.proxy));
    for url in [
        "https://mixed.example/",
        "http://mixed.example/",
        "https://10.0.0.1/",
        "https://0xa9fea9fe/",
        "https://[::ffff:10.0.0.1]/",
        "http://8.8.8.8/",
        "https://user@127.0.0.1/",
    ] {
        assert_eq!(class(&mixed, post(url)).await, ErrorClass::Blocked, "{url}");
    }
    for host in FORBIDDEN {
        assert_eq!(class(&strict, post(&format!("https://{host}/"))).await, ErrorClass::Blocked, "{host}");
    }
    let unknown = Resolver::new(Duration::ZERO, |_| Err(io::Error::other("no such name")));
    let unknown = proxied(loopback(unknown), &through(&tunnels.proxy));
    assert_eq!(
        class(&unknown, post("https://unknown.example/")).await,
        ErrorClass::Dns,
        "the proxy is not asked either"
    );
    assert_eq!(tunnels.proxy.connections(), 0);
    assert!(tunnels.is_quiet());
}

#[tokio::test]
async fn our_own_listener_is_reached_without_the_proxy() {
    let receiver = Receiver::answering(OK).await;
    let mut tunnels = Tunnels::new(Some(receiver.address)).await;
    let client = proxied(loopback(resolving(&["127.0.0.1"])), &through(&tunnels.proxy));
    let url = format!("http://signalbox.example:{}/inspect/1", receiver.address.port());
    for _ in 0..2 {
        let exempt = Request { exempt: Some(receiver.address), ..post(&url) };
        assert_eq!(answer(&client, exempt).await.remote, Some(receiver.address));
        assert!(tunnels.is_quiet());
    }
    // The same URL from a tenant takes the proxy: it is never handed the direct connection that waits.
    assert!(answer(&client, post(&url)).await.timing.connect_ms.is_some());
    assert!(tunnels.head().starts_with("CONNECT 127.0.0.1:"));
    assert_eq!(client.waiting_connections(), 2);
}

#[tokio::test]
async fn every_checked_address_is_offered_to_the_proxy() {
    let receiver = Receiver::answering(OK).await;
    let mut tunnels = Tunnels::new(None).await;
    let client = proxied(loopback(resolving(&["127.0.0.2", "127.0.0.1"])), &through(&tunnels.proxy));
    let port = receiver.address.port();
    let response = answer(&client, post(&format!("http://two.example:{port}/"))).await;
    assert_eq!(response.remote, Some(receiver.address));
    for ip in ["127.0.0.2", "127.0.0.1"] {
        assert!(tunnels.head().starts_with(&format!("CONNECT {ip}:{port} ")));
    }
}

#[tokio::test]
async fn addresses_of_version_6_are_told_in_brackets_and_the_proxy_may_have_a_name() {
    let mut tunnels = Tunnels::new(Some(SocketAddr::from(([127, 0, 0, 1], 1)))).await;
    let url = format!("http://proxy.internal:{}", tunnels.proxy.address.port());
    let client = proxied(Guard::with_resolver(Vec::new(), resolving(&["127.0.0.1"])), &url);
    let failure = failure(&client, post("https://[2606:4700::1111]/")).await;
    assert_eq!(failure.class, ErrorClass::ConnectRefused);
    assert!(tunnels.head().starts_with("CONNECT [2606:4700::1111]:443 HTTP/1.1\r\nhost: [2606:4700::1111]:443\r\n"));
    let lost =
        Guard::with_resolver(Vec::new(), Resolver::new(Duration::ZERO, |_| Err(io::Error::other("no such name"))));
    let failure = super::failure(&proxied(lost, &url), post("https://8.8.8.8/")).await;
    assert_eq!(
        (failure.class, &*failure.detail),
        (ErrorClass::Dns, "the proxy: its name did not resolve: no such name")
    );
}

#[tokio::test]
async fn what_a_proxy_can_do_wrong_is_named() {
    let closed = "the proxy: the connection was closed before the answer was complete";
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(100_000));
    for (proxy_answer, expected, detail) in [
        ("HTTP/1.1 407 X\r\n\r\n", ErrorClass::ConnectRefused, "the proxy refused our user name and password (407)"),
        ("HTTP/1.1 403 X\r\n\r\n", ErrorClass::ConnectRefused, "the proxy made no connection: 403 Forbidden"),
        (
            "HTTP/1.1 302 X\r\nlocation: http://127.0.0.1/\r\n\r\n",
            ErrorClass::ConnectRefused,
            "the proxy made no connection: 302 Found",
        ),
        ("HTTP/1.1 502 X\r\n\r\n", ErrorClass::ConnectRefused, "the proxy made no connection: 502 Bad Gateway"),
        ("HTTP/1.1 504 X\r\n\r\n", ErrorClass::ConnectTimeout, "the proxy got no connection in time (504)"),
        (
            "SSH-2.0-OpenSSH_9.9\r\n",
            ErrorClass::Protocol,
            "the proxy: the answer is not valid HTTP: invalid HTTP version parsed",
        ),
        (&long, ErrorClass::TooLarge, "the proxy: the answer has too many or too large headers"),
        ("", ErrorClass::Reset, closed),
        ("HTTP/1.1 200 OK\r\nx: y", ErrorClass::Reset, closed),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ErrorClass::Protocol, "the proxy sent more than its answer"),
    ] {
        let proxy = Receiver::closing_after(proxy_answer.to_owned()).await;
        let client = proxied(loopback(resolving(&["127.0.0.1"])), &format!("http://me:hush@{}", proxy.address));
        let failure = failure(&client, post("http://host.example/")).await;
        assert_eq!((failure.class, &*failure.detail), (expected, detail), "{proxy_answer:.60}");
    }
    // A tunnel that ends is a receiver that hangs up.
    let cut = Receiver::closing_after(OPEN).await;
    let client = proxied(loopback(resolving(&["127.0.0.1"])), &through(&cut));
    assert_eq!(class(&client, post("http://host.example/")).await, ErrorClass::Reset);

    let anonymous = Receiver::closing_after("HTTP/1.1 407 X\r\n\r\n").await;
    let client = proxied(Guard::new(Vec::new()), &through(&anonymous));
    let failure = failure(&client, post("https://8.8.8.8/")).await;
    assert_eq!(failure.detail, "the proxy asks for a user name and a password (407)");
}

#[tokio::test]
async fn a_proxy_that_is_away_or_silent_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a free port");
    let client = proxied(Guard::new(Vec::new()), &format!("http://{gone}"));
    let failure = failure(&client, post("https://8.8.8.8/")).await;
    assert_eq!((failure.class, failure.remote), (ErrorClass::ConnectRefused, None));
    assert!(failure.detail.starts_with("the proxy: could not connect: "), "{}", failure.detail);

    let silent = Receiver::answering("").await;
    let client = proxied(Guard::new(Vec::new()), &through(&silent));
    let failure = super::failure(&client, hasty("https://8.8.8.8/")).await;
    assert_eq!((failure.class, &*failure.detail), (ErrorClass::ConnectTimeout, "the proxy made no connection in time"));
    assert!(failure.timing.total_ms < 5_000 && failure.timing.connect_ms.is_none());
}

#[test]
fn texts_that_name_a_proxy_and_texts_that_do_not() {
    for text in ["http://proxy.example:3128", "http://proxy.example:80/", "http://[::1]:3128", "HTTP://me@10.0.0.1:1"] {
        assert!(Proxy::parse(text).is_ok(), "{text}");
    }
    for (text, expected) in [
        ("", NotAProxy::Form),
        ("proxy.example:3128", NotAProxy::Form),
        ("/proxy", NotAProxy::Form),
        ("http://", NotAProxy::Form),
        ("http://:3128", NotAProxy::Form),
        ("http://a b:3128", NotAProxy::Form),
        ("http://proxy.example:3128/path", NotAProxy::Form),
        ("http://proxy.example:3128?a", NotAProxy::Form),
        ("http://proxy.example:3128#a", NotAProxy::Form),
        ("http://me:pass/word@proxy.example:3128", NotAProxy::Form),
        ("http://me:pass#word@proxy.example:3128", NotAProxy::Form),
        ("http://[::1:3128", NotAProxy::Form),
        ("http://256.0.0.1:3128", NotAProxy::Form),
        ("https://proxy.example:3128", NotAProxy::Scheme),
        ("socks5://proxy.example:1080", NotAProxy::Scheme),
        ("http://proxy.example", NotAProxy::Port),
        ("http://proxy.example:", NotAProxy::Port),
        ("http://proxy.example:0", NotAProxy::Port),
        ("http://a%3Ab:c@proxy.example:3128", NotAProxy::Credentials),
        ("http://a:b%0Ac@proxy.example:3128", NotAProxy::Credentials),
    ] {
        assert_eq!(Proxy::parse(text).map(drop), Err(expected), "{text}");
    }
}

#[test]
fn credentials_are_not_printed() {
    let proxy = Proxy::parse("http://someone:hush@proxy.example:3128").expect("a proxy");
    let config = ClientConfig { guard: Guard::new(Vec::new()), proxy: Some(proxy), user_agent: String::new() };
    let printed = format!("{config:?}");
    assert!(printed.contains("proxy.example"), "{printed}");
    // Also not in the base64 of the header.
    assert!(!printed.contains("hush") && !printed.contains("someone") && !printed.contains("c29tZW9uZ"), "{printed}");
}
