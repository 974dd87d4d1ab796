//! Notifications of Amazon SNS, by which SES tells of its e-mails.
//!
//! A notification is signed with a key whose certificate it names. Only Amazon's own hosts are asked for it, and only the
//! topic that is configured is listened to. Signature version 1 (SHA-1) is refused: set `SignatureVersion` 2 on the topic.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use url::Url;
use webpki::{EndEntityCert, ring::RSA_PKCS1_2048_8192_SHA256};

use super::{Call, Said, report};
use crate::http::{Client, Request};

/// Deadline of a request to Amazon, in milliseconds.
const TIMEOUT_MS: u32 = 10_000;
/// Largest certificate, in bytes.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default, rename = "SubscribeURL")]
    subscribe_url: Option<String>,
}

impl Notification {
    /// What is signed: names and values, each on a line.
    fn signed(&self) -> String {
        let subscribing = self.kind != "Notification";
        let lines = [
            ("Message", Some(&self.message)),
            ("MessageId", Some(&self.message_id)),
            ("Subject", self.subject.as_ref().filter(|_| !subscribing)),
            ("SubscribeURL", self.subscribe_url.as_ref().filter(|_| subscribing)),
            ("Timestamp", Some(&self.timestamp)),
            ("Token", self.token.as_ref().filter(|_| subscribing)),
            ("TopicArn", Some(&self.topic_arn)),
            ("Type", Some(&self.kind)),
        ];
        lines.into_iter().filter_map(|(name, value)| Some(format!("{name}\n{}\n", value?))).collect()
    }
}

/// What a notification says. Outside `None`: it is not Amazon's, or of another topic. A subscription is confirmed.
pub(super) async fn notified(client: &Client, call: &Call<'_>) -> Option<Option<Vec<Said>>> {
    let notification: Notification = serde_json::from_slice(call.body).ok()?;
    let is_ours: bool = notification.topic_arn.as_bytes().ct_eq(call.key.trim().as_bytes()).into();
    if !is_ours || notification.signature_version != "2" {
        return None;
    }
    let url = amazons(&notification.signing_cert_url)
        .filter(|url| url.path().rsplit_once('.').is_some_and(|(_, kind)| kind == "pem"))?;
    let certificate = get(client, url).await?;
    if !verifies(&notification, &certificate) {
        return None;
    }
    match notification.kind.as_str() {
        "SubscriptionConfirmation" => {
            let confirmed = get(client, amazons(notification.subscribe_url.as_deref()?)?).await;
            Some(confirmed.map(|_| Vec::new()))
        }
        "Notification" => Some(report::ses(&notification.message)),
        _ => Some(Some(Vec::new())),
    }
}

fn verifies(notification: &Notification, pem: &[u8]) -> bool {
    let Some(der) = der_of(pem) else { return false };
    let der = CertificateDer::from(der);
    let (Ok(certificate), Ok(signature)) =
        (EndEntityCert::try_from(&der), BASE64_STANDARD.decode(&notification.signature))
    else {
        return false;
    };
    certificate.verify_signature(RSA_PKCS1_2048_8192_SHA256, notification.signed().as_bytes(), &signature).is_ok()
}

fn der_of(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, begun) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (inside, _) = begun.split_once("-----END CERTIFICATE-----")?;
    BASE64_STANDARD.decode(inside.split_whitespace().collect::<String>()).ok()
}

/// A URL of SNS itself: `https://sns.<region>.amazonaws.com`, or of China.
fn amazons(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let region = url.host_str()?.strip_prefix("sns.")?;
    let region = region.strip_suffix(".amazonaws.com").or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
    let is_name = region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let is_plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty();
    (is_name && is_plain).then_some(url)
}

async fn get(client: &Client, url: Url) -> Option<Bytes> {
    let request = Request {
        url,
        method: Method::GET,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout_ms: TIMEOUT_MS,
        max_body_bytes: MAX_BYTES,
        exempt: None,
    };
    let answer = client.send(request).await.ok()?;
    (answer.status == 200 && !answer.body_truncated).then_some(answer.body)
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc, time::Duration};

    use rcgen::{CertificateParams, KeyPair};
    use ring::{
        rand::SystemRandom,
        signature::{RSA_PKCS1_SHA256, RsaKeyPair},
    };
    use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::http::{ClientConfig, Guard, Proxy, Resolver};

    #[test]
    fn only_amazon_is_asked() {
        for good in [
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        ] {
            assert!(amazons(good).is_some(), "{good}");
        }
        for bad in [
            "http://sns.us-east-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/x.pem",
            "https://evil.example/sns.us-east-1.amazonaws.com/x.pem",
            "https://sns.evil.example#.amazonaws.com",
            "https://bucket.s3.amazonaws.com/x.pem",
            "https://sns.a.b.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com:8443/x.pem",
            "https://user@sns.us-east-1.amazonaws.com/x.pem",
        ] {
            assert!(amazons(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_signed_has_the_documented_form() {
        let notification: Notification = serde_json::from_value(serde_json::json!({
            "Type": "Notification", "MessageId": "id", "TopicArn": "arn", "Message": "{}", "Timestamp": "now",
            "SignatureVersion": "2", "Signature": "", "SigningCertURL": "", "Subject": "s", "UnsubscribeURL": "u"
        }))
        .unwrap();
        let expected = "Message\n{}\nMessageId\nid\nSubject\ns\nTimestamp\nnow\nTopicArn\narn\nType\nNotification\n";
        assert_eq!(notification.signed(), expected);
        assert!(!verifies(&notification, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"));
    }

    const CERTIFICATE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem";
    const TOPIC: &str = "arn:aws:sns:eu-west-1:1:ses-events";

    /// A key that signs notifications, and its certificate as it is downloaded. `ring` makes no RSA keys, Node.js does.
    fn signer() -> (RsaKeyPair, String) {
        let script = "process.stdout.write(require('crypto').generateKeyPairSync('rsa', {modulusLength: 2048, \
                      publicKeyEncoding: {type: 'spki', format: 'der'}, \
                      privateKeyEncoding: {type: 'pkcs8', format: 'der'}}).privateKey)";
        let made = std::process::Command::new("node").args(["-e", script]).output().expect("node is installed");
        let key = RsaKeyPair::from_pkcs8(&made.stdout).expect("a key");
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&made.stdout.as_slice().into(), &rcgen::PKCS_RSA_SHA256);
        let params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).expect("a name");
        let certificate = params.self_signed(&pair.expect("the same key")).expect("it signs itself");
        let encoded = BASE64_STANDARD.encode(certificate.der());
        (key, format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n"))
    }

    /// Amazon, for whoever comes through the operator's proxy: every address that is asked for leads to a host with the right
    /// certificate, which answers `file`. So the client checks the name, the address and the certificate as it always does.
    async fn amazon(file: String) -> (Client, AbortOnDropHandle<()>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["sns.eu-west-1.amazonaws.com".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("it signs itself").der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("the key is the certificate's");
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let proxy = format!("http://{}", listener.local_addr().expect("it is bound"));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = head_in(&mut stream).await;
                assert!(head.starts_with("CONNECT 127.0.0.1:443 "), "{head}");
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("it listens");
                // Whoever asks for another host of Amazon's does not like the certificate.
                let Ok(mut stream) = tls.accept(stream).await else { continue };
                head_in(&mut stream).await;
                let length = file.len();
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{file}");
                stream.write_all(answer.as_bytes()).await.expect("it listens");
                // The client may have closed it already.
                drop(stream.shutdown().await);
            }
        });
        let resolver = Resolver::new(Duration::ZERO, |_| Ok(vec![IpAddr::from([127, 0, 0, 1])]));
        let guard = Guard::with_resolver(vec!["127.0.0.0/8".parse().expect("a network")], resolver);
        let proxy = Some(Proxy::parse(&proxy).expect("a proxy"));
        let config = ClientConfig { guard, proxy, user_agent: String::new() };
        (Client::trusting(config, roots), AbortOnDropHandle::new(task))
    }

    async fn head_in(stream: &mut (impl AsyncRead + Unpin)) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).expect("a head is text")
    }

    /// A notification that `key` has signed.
    fn signed(key: &RsaKeyPair, kind: &str, message: &str) -> serde_json::Value {
        let mut body = serde_json::json!({
            "Type": kind, "MessageId": "1", "TopicArn": TOPIC, "Message": message, "Timestamp": "2026-11-22T10:00:00Z",
            "SignatureVersion": "2", "Signature": "", "SigningCertURL": CERTIFICATE, "Token": "t",
            "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
        });
        let text = serde_json::from_value::<Notification>(body.clone()).expect("it is one").signed();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("it signs");
        body["Signature"] = BASE64_STANDARD.encode(signature).into();
        body
    }

    #[tokio::test]
    async fn what_amazon_signed_is_believed_and_nothing_else() {
        let (key, pem) = signer();
        let (client, _amazon) = amazon(pem).await;
        let heard = async |body: &serde_json::Value, topic: &str| {
            let (headers, body) = (HeaderMap::new(), body.to_string());
            notified(&client, &Call { headers: &headers, body: body.as_bytes(), key: topic }).await
        };
        let bounce = serde_json::json!({
            "eventType": "Bounce", "mail": {"headers": [{"name": "Message-ID", "value": "<eml_1@example.com>"}]},
            "bounce": {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "a@example.com"}]},
        });
        let body = signed(&key, "Notification", &bounce.to_string());
        let said = heard(&body, TOPIC).await.expect("it is Amazon's").expect("it is read");
        assert_eq!((said[0].to.as_str(), said[0].kind), ("a@example.com", storage::EmailNewsKind::Bounced));
        assert_eq!(heard(&signed(&key, "SubscriptionConfirmation", "Confirm"), TOPIC).await, Some(Some(Vec::new())));

        assert!(heard(&body, "arn:aws:sns:eu-west-1:1:other").await.is_none(), "another topic");
        let (stranger, _) = signer();
        assert!(heard(&signed(&stranger, "Notification", &bounce.to_string()), TOPIC).await.is_none(), "another key");
        for (name, value) in [
            ("Message", "{}"),
            ("Timestamp", "2026-11-23T10:00:00Z"),
            ("SignatureVersion", "1"),
            ("SigningCertURL", "https://evil.example/SimpleNotificationService-1.pem"),
            ("SigningCertURL", "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem"),
        ] {
            let mut changed = body.clone();
            changed[name] = value.into();
            assert!(heard(&changed, TOPIC).await.is_none(), "{name}: {value}");
        }
    }
}
