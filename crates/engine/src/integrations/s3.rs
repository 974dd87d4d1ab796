//! AWS Signature Version 4, as far as a HEAD of a bucket needs it: no body, no query.

use domain::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::secrets::Secret;

/// SHA-256 of nothing.
const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What signs.
pub(super) struct Credentials<'a> {
    pub region: &'a str,
    pub access_key_id: &'a str,
    pub secret_access_key: &'a Secret,
}

/// The headers that sign a HEAD of `path` at `host`.
pub(super) fn sign_head(
    credentials: &Credentials,
    host: &str,
    path: &str,
    now: Timestamp,
) -> [(&'static str, String); 3] {
    let rfc3339 = now.to_string();
    // 2026-11-22T10:00:00.000Z → 20261122T100000Z
    let stamp: String = rfc3339.chars().take(19).filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect();
    let day = &stamp[..8];
    let scope = format!("{day}/{}/s3/aws4_request", credentials.region);
    let signed = "host;x-amz-content-sha256;x-amz-date";
    let request = format!(
        "HEAD\n{path}\n\nhost:{host}\nx-amz-content-sha256:{EMPTY_BODY}\nx-amz-date:{stamp}\n\n{signed}\n{EMPTY_BODY}"
    );
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
    let mut key = mac(format!("AWS4{}", credentials.secret_access_key.expose()).as_bytes(), day);
    for part in [credentials.region, "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        credentials.access_key_id
    );
    [("authorization", authorization), ("x-amz-content-sha256", EMPTY_BODY.to_owned()), ("x-amz-date", stamp)]
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by botocore 1.44 (`S3SigV4Auth`) for the same request, key and time.
    #[test]
    fn signs_as_the_reference_does() {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials =
            Credentials { region: "us-east-1", access_key_id: "AKIAIOSFODNN7EXAMPLE", secret_access_key: &secret };
        let now = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
        let [(_, authorization), ..] = sign_head(&credentials, "examplebucket.s3.amazonaws.com", "/", now);
        assert!(authorization.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
        ));
        assert!(
            authorization.ends_with("cf7cc2623ed699603d97b8780d5d3d25ce2fb5c22534ad4fb7e04c30ab1dbedb"),
            "{authorization}"
        );
    }
}
