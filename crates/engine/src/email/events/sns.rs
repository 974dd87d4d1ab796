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
    use super::*;

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
}
