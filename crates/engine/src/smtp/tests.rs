//! Conversations with a real SMTP server, the one that nodemailer publishes, and with hosts that are none.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
};

use super::*;
use crate::http::{ClientConfig, Guard, Resolver};

/// What a test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(20);
const MESSAGE: &[u8] = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Hi\r\n\r\nFirst\r\n.\r\n..\r\n.last";

/// A certificate for `mail.test`, and who trusts it.
struct Identity {
    pem: [String; 2],
    client: Client,
}

fn identity() -> Identity {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["mail.test".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("it signs itself");
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a certificate");
    Identity {
        pem: [pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der())],
        client: client(&["127.0.0.0/8"], roots),
    }
}

/// Every name is loopback, but `nowhere.test` is nothing.
fn client(allow: &[&str], roots: RootCertStore) -> Client {
    let resolver = Resolver::new(Duration::ZERO, |name| match name {
        "nowhere.test" => Err(std::io::Error::other("no such name")),
        "split.test" => Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1])]),
        _ => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
    });
    let allow = allow.iter().map(|net| net.parse().expect("a network")).collect();
    let guard = Guard::with_resolver(allow, resolver);
    Client::trusting(ClientConfig { guard, proxy: None, user_agent: String::new() }, roots)
}

fn plain_client() -> Client {
    client(&["127.0.0.0/8"], RootCertStore::empty())
}

/// The published server, in a process of its own.
struct Published {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Published {
    async fn start(options: Value) -> Self {
        let modules = std::env::var("SIGNALBOX_TEST_NODE_MODULES")
            .expect("SIGNALBOX_TEST_NODE_MODULES is not set: run `make test`");
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../end2end/support/smtp-server.mjs"))
            .arg(options.to_string())
            .env("SIGNALBOX_TEST_NODE_MODULES", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut server = Self { child, said, port: 0 };
        let listening = server.says("listening").await;
        server.port = listening["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        server
    }

    /// The next thing it says.
    async fn says(&mut self, event: &str) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.said.next_line()).await.expect("it says something");
        let said: Value = serde_json::from_str(&line.expect("it is read").expect("it runs")).expect("JSON");
        assert_eq!(said["event"], event, "{said}");
        said
    }

    async fn change(&mut self, options: Value) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("{options}\n").as_bytes()).await.expect("it listens");
        self.says("changed").await;
    }

    fn server(&self, security: Security) -> SmtpServer {
        server_at(self.port, security)
    }
}

fn server_at(port: u16, security: Security) -> SmtpServer {
    SmtpServer {
        host: "mail.test".to_owned(),
        port,
        security,
        username: "apikey".to_owned(),
        password: Secret::new("right"),
    }
}

async fn verify(server: &SmtpServer, client: &Client) -> Result<SmtpReply, SmtpFault> {
    server.verify(client, Instant::now() + PATIENCE).await
}

async fn send(server: &SmtpServer, client: &Client, to: &str) -> Result<SmtpReply, SmtpFault> {
    server.send(client, "noreply@example.com", to, MESSAGE, Instant::now() + PATIENCE).await
}

#[tokio::test]
async fn a_message_goes_over_starttls_signed_in_and_unharmed() {
    let Identity { pem: [cert, key], client } = identity();
    let mut published = Published::start(json!({"cert": cert, "key": key, "auth": "required"})).await;
    let server = published.server(Security::StartTls);
    let reply = verify(&server, &client).await.expect("it signs in");
    assert_eq!((reply.code, reply.encrypted, reply.signed_in), (235, true, true));
    let reply = send(&server, &client, "candidate@example.com").await.expect("it is taken");
    assert_eq!((reply.code, reply.text.as_str()), (250, "2.0.0 Taken as 1A2B3C"));
    let got = published.says("message").await;
    assert_eq!(got["from"], "noreply@example.com");
    assert_eq!(got["to"], json!(["candidate@example.com"]));
    assert_eq!((&got["user"], &got["secure"]), (&json!("apikey"), &json!(true)));
    assert_eq!(got["text"], format!("{}\r\n", std::str::from_utf8(MESSAGE).unwrap()));
}

#[tokio::test]
async fn encryption_follows_from_the_choice_and_is_never_given_up() {
    let Identity { pem: [cert, key], client } = identity();
    let tls = Published::start(json!({"cert": cert, "key": key, "secure": true})).await;
    assert!(verify(&tls.server(Security::Tls), &client).await.expect("TLS from the first byte").encrypted);
    let soon = Instant::now() + Duration::from_millis(500);
    let fault = tls.server(Security::Plain).verify(&client, soon).await.expect_err("it waits for TLS");
    assert_eq!((fault.fault, fault.stage), (Fault::Timeout, Stage::Greeting), "{fault:?}");

    let both = Published::start(json!({"cert": cert, "key": key})).await;
    assert!(verify(&both.server(Security::Auto), &client).await.expect("it is offered, so it is used").encrypted);
    assert!(!verify(&both.server(Security::Plain), &client).await.expect("as asked for").encrypted);
    let fault = verify(&both.server(Security::Tls), &client).await.expect_err("it greets in plain");
    assert_eq!((fault.fault, fault.stage), (Fault::Tls, Stage::Encrypt), "{fault:?}");

    let neither = Published::start(json!({"starttls": false})).await;
    assert!(!verify(&neither.server(Security::Auto), &client).await.expect("it is not offered").encrypted);
    let fault = verify(&neither.server(Security::StartTls), &client).await.expect_err("it is not offered");
    assert_eq!(fault.fault, Fault::Tls);
    assert!(fault.detail.contains("does not offer STARTTLS"), "{fault:?}");

    // Nobody trusts this certificate, or it is for another name.
    for (client, host, words) in
        [(&plain_client(), "mail.test", "self-signed"), (&client, "other.test", "another host name")]
    {
        for security in [Security::StartTls, Security::Auto] {
            let server = SmtpServer { host: host.to_owned(), ..both.server(security) };
            let fault = verify(&server, client).await.expect_err("the certificate is refused");
            assert_eq!((fault.fault, fault.stage), (Fault::Tls, Stage::Encrypt), "{fault:?}");
            assert!(fault.detail.contains(words), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn credentials_are_judged_and_stay_secret() {
    let client = plain_client();
    let mut published = Published::start(json!({"auth": "required", "methods": ["LOGIN"]})).await;
    let good = published.server(Security::Plain);
    assert!(verify(&good, &client).await.expect("LOGIN works as well").signed_in);
    let bad = SmtpServer { password: Secret::new("wrong-and-long"), ..good.clone() };
    let fault = verify(&bad, &client).await.expect_err("the password is wrong");
    assert_eq!((fault.fault, fault.code, fault.stage), (Fault::Authentication, Some(535), Stage::SignIn));
    assert_eq!(fault.detail, "535 5.7.8 Authentication failed");
    assert!(!format!("{bad:?}").contains("wrong-and-long"));
    for (code, expected) in [(534, Fault::Authentication), (454, Fault::Outage), (421, Fault::Outage)] {
        published.change(json!({"auth_reply": code})).await;
        let fault = verify(&good, &client).await.expect_err("it is refused");
        assert_eq!((fault.fault, fault.code), (expected, Some(code)), "{fault:?}");
    }
    let open = Published::start(json!({"auth": "off"})).await;
    assert!(!verify(&open.server(Security::Plain), &client).await.expect("nobody asks").signed_in);
}

#[tokio::test]
async fn replies_about_a_message_have_their_class() {
    let client = plain_client();
    let mut published = Published::start(json!({})).await;
    let server = published.server(Security::Plain);
    for (to, fault, stage, is_permanent) in [
        ("reply-550@example.com", Fault::Rejected, Stage::Recipient, true),
        ("reply-450@example.com", Fault::Rejected, Stage::Recipient, false),
        ("reply-451@example.com", Fault::Outage, Stage::Recipient, false),
        ("reply-454@example.com", Fault::RateLimited, Stage::Recipient, false),
        ("data-554@example.com", Fault::Rejected, Stage::Accepted, true),
        ("data-452@example.com", Fault::Rejected, Stage::Accepted, false),
        ("data-421@example.com", Fault::Outage, Stage::Accepted, false),
    ] {
        let failed = send(&server, &client, to).await.expect_err("it is refused");
        assert_eq!((failed.fault, failed.stage, failed.is_permanent()), (fault, stage, is_permanent), "{failed:?}");
        assert_eq!(failed.code.map(|code| to.contains(&code.to_string())), Some(true), "{failed:?}");
        assert!(!failed.ambiguous, "the server said no: {failed:?}");
    }
    let failed = send(&server, &client, "not an address").await.expect_err("it is none");
    assert!(failed.is_permanent() && failed.stage == Stage::Recipient, "{failed:?}");
    published.change(json!({"greeting": 421})).await;
    let failed = verify(&server, &client).await.expect_err("it sends everybody away");
    assert_eq!((failed.fault, failed.stage), (Fault::Outage, Stage::Greeting));
}

#[tokio::test]
async fn what_ends_after_the_message_may_have_arrived() {
    let client = plain_client();
    let mut published = Published::start(json!({})).await;
    let server = published.server(Security::Plain);
    let failed = send(&server, &client, "drop@example.com").await.expect_err("the connection ended");
    assert_eq!((failed.fault, failed.ambiguous), (Fault::Reset, true), "{failed:?}");
    published.says("message").await;
    let deadline = Instant::now() + Duration::from_secs(2);
    let failed =
        server.send(&client, "a@example.com", "hang@example.com", MESSAGE, deadline).await.expect_err("no reply");
    assert_eq!((failed.fault, failed.stage, failed.ambiguous), (Fault::Timeout, Stage::Accepted, true), "{failed:?}");
    assert!(failed.detail.contains("did not say whether it accepted the message"), "{failed:?}");
    published.says("message").await;
}

/// A host on loopback that does `behave` with each connection.
async fn host<F>(behave: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
    port
}

/// Says `text` over and over, then stays.
async fn repeating(text: &'static [u8], times: usize) -> u16 {
    host(move |mut stream| async move {
        for _ in 0..times {
            if stream.write_all(text).await.is_err() {
                return;
            }
        }
        let mut ignored = Vec::new();
        let _ = stream.read_to_end(&mut ignored).await;
    })
    .await
}

#[tokio::test]
async fn hosts_that_are_no_servers_are_named() {
    let client = plain_client();
    for (text, times, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], 1, "not SMTP"),
        (b"SSH-2.0-OpenSSH_9\r\n", 1, "not SMTP"),
        (b"220-and so on\r\n", 100_000, "has no end"),
        (b"2", 10_000_000, "has no end"),
        (b"\xff\xfe\x00\r\n", 1, "not SMTP"),
    ] {
        let port = repeating(text, times).await;
        let failed = verify(&server_at(port, Security::Plain), &client).await.expect_err("it is no server");
        assert_eq!((failed.fault, failed.stage), (Fault::Garbage, Stage::Greeting), "{failed:?}");
        assert!(failed.detail.contains(words) && failed.detail.chars().count() <= MAX_DETAIL, "{failed:?}");
    }
}

#[tokio::test]
async fn what_is_said_before_encryption_is_not_believed() {
    let port = host(|mut stream| async move {
        let _ = stream.write_all(b"220 hi\r\n").await;
        let mut bytes = [0; 512];
        let _ = stream.read(&mut bytes).await;
        let _ = stream.write_all(b"250-hi\r\n250 STARTTLS\r\n").await;
        let _ = stream.read(&mut bytes).await;
        let _ = stream.write_all(b"220 go\r\n250 AUTH PLAIN\r\n").await;
        let _ = stream.read(&mut bytes).await;
    })
    .await;
    let failed = verify(&server_at(port, Security::StartTls), &plain_client()).await.expect_err("it is injected");
    assert_eq!((failed.fault, failed.stage), (Fault::Garbage, Stage::Encrypt), "{failed:?}");
}

#[tokio::test]
async fn silence_and_absence_are_named() {
    let client = plain_client();
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let watched = Arc::clone(&seen);
    let silent = host(move |mut stream| {
        watched.lock().expect("nobody panics with it").insert(stream.peer_addr().expect("it is connected"));
        async move {
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        }
    })
    .await;
    let failed = server_at(silent, Security::Plain)
        .verify(&client, Instant::now() + Duration::from_millis(300))
        .await
        .expect_err("it says nothing");
    assert_eq!((failed.fault, failed.stage, failed.ambiguous), (Fault::Timeout, Stage::Greeting, false));
    assert!(failed.detail.contains(&format!("mail.test:{silent} did not greet")), "{failed:?}");

    let closed =
        TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports").local_addr().expect("bound").port();
    let at = |host: &str, port| SmtpServer { host: host.to_owned(), ..server_at(port, Security::Plain) };
    for (server, fault) in [
        (at("mail.test", closed), Fault::Refused),
        (at("nowhere.test", silent), Fault::Dns),
        (at("not a host", silent), Fault::Dns),
        // One of its addresses is not allowed, so none is used.
        (at("split.test", silent), Fault::Blocked),
        (at("169.254.169.254", silent), Fault::Blocked),
        (at("::ffff:10.0.0.1", silent), Fault::Blocked),
    ] {
        let failed = verify(&server, &client).await.expect_err("nobody is there");
        assert_eq!((failed.fault, failed.stage), (fault, Stage::Connect), "{failed:?}");
    }
    let guarded = self::client(&[], RootCertStore::empty());
    let failed = verify(&at("127.0.0.1", silent), &guarded).await.expect_err("loopback is not open");
    assert_eq!(failed.fault, Fault::Blocked);
    assert_eq!(seen.lock().expect("nobody panics with it").len(), 1, "who is refused is not connected to");
}

#[test]
fn encryption_by_port() {
    for (security, port, encryption) in [
        (Security::Auto, 465, Encryption::FirstByte),
        (Security::Auto, 587, Encryption::Demanded),
        (Security::Auto, 25, Encryption::Never),
        (Security::Auto, 2525, Encryption::WhenOffered),
        (Security::Tls, 2525, Encryption::FirstByte),
        (Security::StartTls, 25, Encryption::Demanded),
        (Security::Plain, 587, Encryption::Never),
    ] {
        assert_eq!(server_at(port, security).encryption(), encryption, "{security:?} {port}");
    }
    for (text, security) in
        [("auto", Security::Auto), ("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::Plain)]
    {
        assert_eq!(Security::parse(text), Some(security));
    }
    assert_eq!(Security::parse("ssl"), None);
}
