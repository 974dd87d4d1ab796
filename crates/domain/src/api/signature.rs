//! Why a signature verifies or does not: what is asked, and what was found. The words are the screens'.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A request as its receiver got it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureQuestion {
    /// One `Name: value` per line, or a JSON object.
    pub headers: String,
    /// The body, at most 256 KB.
    pub body: String,
    /// The secret that the receiver uses; without it those of the webhook.
    pub secret: Option<String>,
}

/// A way to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureScheme {
    /// `webhook-signature`: base64 over id, timestamp and body, keyed with the decoded secret.
    Standard,
    /// `X-InTime-Signature`: hexadecimal over the body, keyed with the secret's text.
    Body,
}

/// Whose secret a signature was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedWith {
    /// The one that was asked with.
    Given,
    /// The webhook's newest.
    Current,
    /// One that was rotated and signs until then.
    Older(Timestamp),
}

/// Where a signature departs from its scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureSlip {
    /// The key was the secret's text, not what it decodes to.
    KeyNotDecoded,
    /// The key was the secret's text without `whsec_`, not decoded.
    KeyWithoutPrefix,
    /// The key was what the secret decodes to, not its text.
    KeyDecoded,
    /// White space around the body.
    BodyTrimmed,
    /// The body written anew without spaces.
    BodyCompact,
    /// The body written anew with a space after each comma and colon.
    BodySpaced,
    /// The body that was sent, which is not the one that was asked with.
    BodyAsSent,
    /// The timestamp in milliseconds in one place and in seconds in the other.
    TimestampUnit,
    /// The id is not signed.
    NoId,
    /// The timestamp is not signed.
    NoTimestamp,
    /// Nothing but the body is signed.
    BodyOnly,
    /// Hexadecimal in place of base64.
    Hexadecimal,
    /// Base64 in place of hexadecimal.
    Base64,
    /// `v1,` or `sha256=` is missing in front.
    NoPrefix,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureFinding {
    /// There is no header with a signature.
    NoSignature,
    /// There is no `webhook-id`.
    NoId,
    /// There is no `webhook-timestamp`.
    NoTimestamp,
    /// The secret that was asked with is not `whsec_` and base64.
    SecretUnreadable,
    /// A signature fits a secret of the webhook, and not the one that was asked with.
    OtherSecret,
    /// `webhook-timestamp` is no number.
    TimestampUnreadable,
    /// `webhook-timestamp` counts milliseconds.
    TimestampInMilliseconds,
    /// `webhook-timestamp` is so many seconds ago, less than what receivers tolerate; negative when it is ahead.
    TimestampRecent(i64),
    /// The same, and more than what receivers tolerate.
    TimestampOff(i64),
    /// A signature that verifies when all of `slips` are made.
    Signed {
        /// How.
        scheme: SignatureScheme,
        /// Whose.
        with: SignedWith,
        /// None: it verifies.
        slips: Vec<SignatureSlip>,
    },
    /// A signature that fits nothing that was tried.
    Unknown(SignatureScheme),
    /// A header that holds no signature of its scheme at all.
    Unreadable(SignatureScheme),
    /// The body is not the one that was sent: the first byte that differs.
    BodyDiffers(u64),
}

impl SignatureFinding {
    /// Seconds that receivers tolerate between their clock and `webhook-timestamp`.
    pub const TOLERANCE_S: i64 = 300;
}
