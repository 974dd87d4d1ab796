//! The signatures of SendGrid and Mailgun, and the password of Postmark.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Call;

/// Length of an uncompressed point of P-256, the end of what SendGrid shows as its public key.
const POINT_BYTES: usize = 65;

/// ECDSA over timestamp and body, with a key that SendGrid shows as base64 of its DER form.
pub(super) fn sendgrid(call: &Call<'_>) -> bool {
    let signature = BASE64_STANDARD.decode(call.header("x-twilio-email-event-webhook-signature"));
    let key = BASE64_STANDARD.decode(call.key.trim());
    let (Ok(signature), Ok(key)) = (signature, key) else { return false };
    let Some(at) = key.len().checked_sub(POINT_BYTES) else { return false };
    let timestamp = call.header("x-twilio-email-event-webhook-timestamp");
    let signed = [timestamp.as_bytes(), call.body].concat();
    !timestamp.is_empty()
        && UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key[at..]).verify(&signed, &signature).is_ok()
}

#[derive(Deserialize)]
struct Mailgun {
    signature: MailgunSignature,
}

#[derive(Deserialize)]
struct MailgunSignature {
    timestamp: String,
    token: String,
    signature: String,
}

/// HMAC-SHA256 in hexadecimal over timestamp and token, both inside the body.
pub(super) fn mailgun(call: &Call<'_>) -> bool {
    let Ok(Mailgun { signature }) = serde_json::from_slice(call.body) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(call.key.as_bytes()).expect("a key of HMAC has any length");
    mac.update(signature.timestamp.as_bytes());
    mac.update(signature.token.as_bytes());
    hex(&mac.finalize().into_bytes()).as_bytes().ct_eq(signature.signature.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes it");
        text
    })
}

/// Postmark signs nothing: user name and password, as they were entered on both sides.
pub(super) fn postmark(call: &Call<'_>) -> bool {
    let given = call.header("authorization").strip_prefix("Basic ").unwrap_or_default();
    let expected = BASE64_STANDARD.encode(call.key);
    expected.as_bytes().ct_eq(given.trim().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
    };

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn sendgrid_signs_with_its_own_key_over_time_and_body() {
        let random = SystemRandom::new();
        let pair = || {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap()
        };
        let ours = pair();
        // As DER has it, after the names of the algorithm and of the curve.
        let key = BASE64_STANDARD.encode([&[0x30; 26][..], ours.public_key().as_ref()].concat());
        let body = br#"[{"event":"bounce"}]"#;
        let signature = BASE64_STANDARD.encode(ours.sign(&random, &[&b"1700000000"[..], body].concat()).unwrap());
        let verifies = |key: &str, timestamp: &str, signature: &str, body: &[u8]| {
            let headers = headers(&[
                ("x-twilio-email-event-webhook-signature", signature),
                ("x-twilio-email-event-webhook-timestamp", timestamp),
            ]);
            sendgrid(&Call { headers: &headers, body, key })
        };
        assert!(verifies(&key, "1700000000", &signature, body));
        assert!(!verifies(&key, "1700000001", &signature, body));
        assert!(!verifies(&key, "1700000000", &signature, b"[]"));
        assert!(!verifies(&key, "1700000000", "AAAA", body));
        assert!(!verifies("AAAA", "1700000000", &signature, body));
        let other = BASE64_STANDARD.encode([&[0x30; 26][..], pair().public_key().as_ref()].concat());
        assert!(!verifies(&other, "1700000000", &signature, body));
    }

    #[test]
    fn mailgun_signs_time_and_token() {
        let body = |signature: &str| {
            serde_json::json!({"signature": {"timestamp": "1529006854", "token": "token", "signature": signature}})
                .to_string()
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        mac.update(b"1529006854token");
        let good = hex(&mac.finalize().into_bytes());
        let verifies =
            |key: &str, body: &str| mailgun(&Call { headers: &HeaderMap::new(), body: body.as_bytes(), key });
        assert!(verifies("key", &body(&good)));
        assert!(!verifies("other", &body(&good)));
        assert!(!verifies("key", &body(&good.replace(&good[..1], "x"))));
        assert!(!verifies("key", "{}"));
    }

    #[test]
    fn postmark_gives_name_and_password() {
        let verifies = |value: &str| {
            postmark(&Call { headers: &headers(&[("authorization", value)]), body: b"{}", key: "hook:secret" })
        };
        assert!(verifies(&format!("Basic {}", BASE64_STANDARD.encode("hook:secret"))));
        assert!(!verifies(&format!("Basic {}", BASE64_STANDARD.encode("hook:wrong"))));
        assert!(!verifies("Bearer hook:secret") && !verifies(""));
    }
}
