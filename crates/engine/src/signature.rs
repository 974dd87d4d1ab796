//! Signatures of outgoing requests: Standard Webhooks, and the body signature that the `X-InTime` headers carry.
//!
//! A secret is `whsec_` and base64. Standard Webhooks keys its HMAC with the decoded bytes, the body signature with the
//! text as it is shown.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What every secret begins with.
pub const SECRET_PREFIX: &str = "whsec_";

/// A secret made ready: the key schedules are computed once, not per signature.
#[derive(Clone)]
pub struct SigningKey {
    standard: Hmac<Sha256>,
    body: Hmac<Sha256>,
    expires_at: Option<Timestamp>,
}

impl SigningKey {
    /// `None` when the text is not `whsec_` and base64.
    pub fn new(secret: &str, expires_at: Option<Timestamp>) -> Option<Self> {
        let key = BASE64_STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
        Some(Self {
            standard: Hmac::new_from_slice(&key).ok()?,
            body: Hmac::new_from_slice(secret.as_bytes()).ok()?,
            expires_at,
        })
    }

    /// Whether it still signs.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }

    /// One entry of the `webhook-signature` header: `v1,` and base64 of the HMAC over `id.seconds.body`.
    pub fn standard(&self, id: &str, unix_seconds: &str, body: &[u8]) -> String {
        let mut mac = self.standard.clone();
        for part in [id.as_bytes(), b".", unix_seconds.as_bytes(), b".", body] {
            mac.update(part);
        }
        let mut text = String::with_capacity(47);
        text.push_str("v1,");
        BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut text);
        text
    }

    /// The `X-InTime-Signature` header: `sha256=` and hex of the HMAC over the body.
    pub fn body(&self, body: &[u8]) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut mac = self.body.clone();
        mac.update(body);
        let mut text = String::with_capacity(71);
        text.push_str("sha256=");
        for byte in mac.finalize().into_bytes() {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that the published Standard Webhooks libraries test themselves with.
    #[test]
    fn agrees_with_the_published_vectors() {
        for (secret, id, seconds, body, expected) in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                "1649367553",
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ] {
            let key = SigningKey::new(secret, None).unwrap();
            assert_eq!(key.standard(id, seconds, body.as_bytes()), expected);
        }
    }

    #[test]
    fn the_body_signature_is_keyed_with_the_text() {
        // GitHub's published example has the same construction; its secret has no prefix, so it is checked on the MAC.
        let mut key = SigningKey::new("whsec_AAAA", None).unwrap();
        key.body = Hmac::new_from_slice(b"It's a Secret to Everybody").unwrap();
        assert_eq!(
            key.body(b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn an_expired_key_is_not_live() {
        let key = SigningKey::new("whsec_AAAA", Some(Timestamp::from_millis(10))).unwrap();
        assert!(key.is_live(Timestamp::from_millis(9)) && !key.is_live(Timestamp::from_millis(10)));
        assert!(SigningKey::new("AAAA", None).is_none() && SigningKey::new("whsec_!", None).is_none());
    }
}
