//! Certificates that are refused and why, and HTTP/2.

use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::sync::Notify;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::*;

/// A certificate authority of these tests.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("it signs itself").der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn acceptor(&self, params: &CertificateParams, alpn: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs").der().clone();
        acceptor(certificate, &key, alpn)
    }

    /// Trusts this authority; every name is loopback.
    pub fn client(&self) -> Client {
        self.client_of(loopback(resolving(&["127.0.0.1"])), None)
    }

    /// Trusts this authority.
    pub fn client_of(&self, guard: Guard, proxy: Option<Proxy>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        Client::trusting(ClientConfig { guard, proxy, user_agent: String::new() }, roots)
    }
}

pub(super) fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair, alpn: &[&str]) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("the key is the certificate's");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

pub(super) fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("a name")
}

pub(super) async fn secured<F>(
    acceptor: TlsAcceptor,
    behave: impl Fn(TlsStream<TcpStream>) -> F + Copy + Send + Sync + 'static,
) -> Receiver
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Receiver::new(move |stream| {
        let acceptor = acceptor.clone();
        async move { behave(acceptor.accept(stream).await?).await }
    })
    .await
}

pub(super) async fn ok(mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    while request_in(&mut stream).await?.is_some() {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await?;
    }
    Ok(())
}

pub(super) fn at(receiver: &Receiver, host: &str) -> Request {
    post(&format!("https://{host}:{}/hook", receiver.address.port()))
}

#[tokio::test]
async fn a_good_certificate_is_accepted_and_its_connection_reused() {
    let authority = Authority::new("Authority");
    let receiver = secured(authority.acceptor(&named("good.example"), &["http/1.1"]), ok).await;
    let client = authority.client();
    let first = answer(&client, at(&receiver, "good.example")).await;
    assert!(first.timing.dns_ms.is_some() && first.timing.tls_ms.is_some());
    let second = answer(&client, at(&receiver, "good.example")).await;
    assert_eq!((second.timing.dns_ms, second.timing.connect_ms, second.timing.tls_ms), (None, None, None));
    assert_eq!(answer(&client, at(&receiver, "good.example.")).await.status, 200, "a final dot is no part of the name");
    let literal = secured(authority.acceptor(&named("127.0.0.1"), &[]), ok).await;
    assert_eq!(answer(&client, at(&literal, "127.0.0.1")).await.status, 200);
}

#[tokio::test]
async fn bad_certificates_are_refused_by_name() {
    let authority = Authority::new("Authority");
    let stranger = Authority::new("Stranger");
    let key = KeyPair::generate().expect("a key");
    let self_signed = named("host.example").self_signed(&key).expect("it signs itself").der().clone();
    let mut expired = named("host.example");
    expired.not_after = date_time_ymd(2001, 1, 1);
    let mut early = named("host.example");
    early.not_before = date_time_ymd(4000, 1, 1);
    for (acceptor, words) in [
        (acceptor(self_signed, &key, &[]), "self-signed"),
        (stranger.acceptor(&named("host.example"), &[]), "not trusted"),
        (authority.acceptor(&expired, &[]), "expired"),
        (authority.acceptor(&early, &[]), "not valid yet"),
        (authority.acceptor(&named("other.example"), &[]), "another host name"),
    ] {
        let receiver = secured(acceptor, ok).await;
        let failure = failure(&authority.client(), at(&receiver, "host.example")).await;
        assert_eq!(failure.class, ErrorClass::Tls, "{words}: {}", failure.detail);
        assert!(failure.detail.contains(words), "{words}: {}", failure.detail);
        assert!(failure.timing.connect_ms.is_some() && failure.timing.tls_ms.is_none());
    }
}

#[tokio::test]
async fn handshakes_that_fail_otherwise() {
    let client = Authority::new("Authority").client();
    let plain = Receiver::new(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        std::future::pending().await
    })
    .await;
    assert_eq!(class(&client, at(&plain, "host.example")).await, ErrorClass::Tls);
    let cut = Receiver::new(|mut stream| async move {
        stream.read_u8().await?;
        reset(stream)
    })
    .await;
    assert_eq!(class(&client, at(&cut, "host.example")).await, ErrorClass::Reset);
    let closed = Receiver::new(|mut stream| async move {
        // All of the greeting is read, else the end would be a reset.
        let mut header = [0; 5];
        stream.read_exact(&mut header).await?;
        let mut greeting = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        stream.read_exact(&mut greeting).await.map(drop)
    })
    .await;
    assert_eq!(class(&client, at(&closed, "host.example")).await, ErrorClass::Tls);
    let slow = Receiver::new(|stream| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let failure = failure(&client, Request { timeout_ms: 200, ..at(&slow, "host.example") }).await;
    assert_eq!(failure.class, ErrorClass::Timeout, "connected, but no further");
}

/// Lets the answers to `/later` go.
static GATE: Notify = Notify::const_new();

/// Answers with what the path asks for.
async fn http2(stream: TlsStream<TcpStream>) -> io::Result<()> {
    let service = service_fn(|request: http::Request<Incoming>| async move {
        assert!(!request.headers().contains_key(http::header::HOST));
        assert_eq!(request.uri().host(), Some("two.example"));
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await?.to_bytes();
        let response = http::Response::builder();
        let built = match path.as_str() {
            "/many" => (0..150).fold(response, |r, n| r.header(format!("x-{n}"), "1")).body(Full::new(body)),
            "/huge" => response.header("x-huge", "a".repeat(100_000)).body(Full::new(body)),
            "/long" => response.body(Full::new(vec![b'a'; 1_000_000].into())),
            "/hang" => std::future::pending().await,
            "/later" => {
                GATE.notified().await;
                response.body(Full::new(body))
            }
            _ => response.body(Full::new(body)),
        };
        Ok::<_, hyper::Error>(built.expect("a response"))
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    connection.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

#[tokio::test]
async fn http2_is_spoken_and_one_connection_carries_all() {
    let authority = Authority::new("Authority");
    let receiver = secured(authority.acceptor(&named("two.example"), &["h2"]), http2).await;
    let client = authority.client();
    let url = |path: &str| format!("https://two.example:{}{path}", receiver.address.port());
    let first = answer(&client, post(&url("/echo?a=1"))).await;
    assert_eq!(first.body[..], *br#"{"event":"ping"}"#);
    let twenty = (0..20).map(|_| answer(&client, post(&url("/echo"))));
    for response in futures_util::future::join_all(twenty).await {
        assert_eq!((response.status, response.timing.connect_ms), (200, None));
    }
    assert_eq!((receiver.connections(), client.waiting_connections()), (1, 1));
}

#[tokio::test]
async fn an_http2_connection_is_given_up_with_its_first_failure_but_carries_on_what_it_carries() {
    let authority = Authority::new("Authority");
    let receiver = secured(authority.acceptor(&named("two.example"), &["h2"]), http2).await;
    let client = authority.client();
    let url = |path: &str| format!("https://two.example:{}{path}", receiver.address.port());
    let later = async { answer(&client, post(&url("/later"))).await };
    let failures = async {
        while client.waiting_connections() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(class(&client, hasty(&url("/hang"))).await, ErrorClass::Timeout);
        assert_eq!((receiver.connections(), client.waiting_connections()), (1, 0));
        GATE.notify_one();
        assert_eq!(class(&client, post(&url("/many"))).await, ErrorClass::TooLarge);
        assert_eq!(
            class(&client, post(&url("/huge"))).await,
            ErrorClass::Protocol,
            "h2 does not tell large from wrong"
        );
        let long = answer(&client, post(&url("/long"))).await;
        assert_eq!((long.body.len(), long.body_truncated), (1_024, true));
        assert_eq!((receiver.connections(), client.waiting_connections()), (4, 0));
    };
    let (later, ()) = tokio::join!(later, failures);
    assert_eq!((later.status, &later.body[..]), (200, &br#"{"event":"ping"}"#[..]));
}

#[tokio::test]
async fn a_cut_http2_connection_is_a_reset() {
    let authority = Authority::new("Authority");
    let receiver = secured(authority.acceptor(&named("two.example"), &["h2"]), |mut stream| async move {
        stream.read_u8().await?;
        reset(stream.into_inner().0)
    })
    .await;
    let client = authority.client();
    for connections in 1..=3 {
        assert_eq!(class(&client, at(&receiver, "two.example")).await, ErrorClass::Reset);
        assert_eq!(receiver.connections(), connections, "what was cut is not used again");
    }
}
