//! Requests to object storage that are signed by AWS Signature Version 4: a HEAD of a bucket, and a PUT of an object. No query.

use bytes::Bytes;
use domain::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use super::call::{self, Values, Wrong, authority, insert, parsed};
use crate::{Inner, http::Response, secrets::Secret};

/// What is asked of the bucket.
pub(crate) enum Operation<'o> {
    /// Whether it is there.
    Head,
    /// To keep this under a key of unreserved characters and slashes, which are written as they are (RFC 3986 §2.3).
    Put { key: &'o str, content_type: &'o str, bytes: Bytes },
}

/// What signs.
struct Credentials<'a> {
    region: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a Secret,
}

/// What is signed.
struct Signed<'s> {
    method: &'s Method,
    host: &'s str,
    path: &'s str,
    content_type: Option<&'s str>,
    body: &'s [u8],
}

/// Sends one operation with the fields `endpoint`, `region`, `bucket`, `access_key_id` and `secret_access_key`.
pub(crate) async fn send(
    inner: &Inner,
    values: &Values,
    operation: Operation<'_>,
    target: &mut String,
) -> Result<Response, Wrong> {
    let of = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    let (method, key, content_type, body) = match operation {
        Operation::Head => (Method::HEAD, String::new(), None, Bytes::new()),
        Operation::Put { key, content_type, bytes } => (Method::PUT, format!("/{key}"), Some(content_type), bytes),
    };
    let url = parsed(&format!("{}/{}{key}", of("endpoint").trim_end_matches('/'), of("bucket")))?;
    *target = authority(&url);
    let secret = Secret::new(of("secret_access_key"));
    let credentials =
        Credentials { region: of("region"), access_key_id: of("access_key_id"), secret_access_key: &secret };
    // As the client writes it: without the port where it is the usual one.
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let signed = Signed { method: &method, host, path: url.path(), content_type, body: &body };
    let mut headers = HeaderMap::new();
    for (name, value) in sign(&credentials, &signed, inner.clock.now()) {
        insert(&mut headers, name, &value)?;
    }
    if let Some(content_type) = content_type {
        insert(&mut headers, "content-type", content_type)?;
    }
    call::send(inner, method, url, headers, body).await
}

/// The headers that sign a request.
fn sign(credentials: &Credentials, signed: &Signed, now: Timestamp) -> [(&'static str, String); 3] {
    let rfc3339 = now.to_string();
    // 2026-11-22T10:00:00.000Z → 20261122T100000Z
    let stamp: String = rfc3339.chars().take(19).filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect();
    let day = &stamp[..8];
    let scope = format!("{day}/{}/s3/aws4_request", credentials.region);
    let body = hex(&Sha256::digest(signed.body));
    let (kind, kind_name) = match signed.content_type {
        Some(kind) => (format!("content-type:{kind}\n"), "content-type;"),
        None => (String::new(), ""),
    };
    let names = format!("{kind_name}host;x-amz-content-sha256;x-amz-date");
    let request = format!(
        "{}\n{}\n\n{kind}host:{}\nx-amz-content-sha256:{body}\nx-amz-date:{stamp}\n\n{names}\n{body}",
        signed.method, signed.path, signed.host
    );
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
    let mut key = mac(format!("AWS4{}", credentials.secret_access_key.expose()).as_bytes(), day);
    for part in [credentials.region, "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key_id
    );
    [("authorization", authorization), ("x-amz-content-sha256", body), ("x-amz-date", stamp)]
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

    /// Computed by botocore 1.44 (`S3SigV4Auth`) for the same requests, key and time.
    #[test]
    fn signs_as_the_reference_does() {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials =
            Credentials { region: "us-east-1", access_key_id: "AKIAIOSFODNN7EXAMPLE", secret_access_key: &secret };
        let now = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
        let host = "examplebucket.s3.amazonaws.com";
        let head = Signed { method: &Method::HEAD, host, path: "/", content_type: None, body: b"" };
        let put = Signed {
            method: &Method::PUT,
            path: "/reports/2013.csv",
            content_type: Some("text/csv"),
            body: b"a,b\n",
            ..head
        };
        for (signed, names, signature) in [
            (
                &head,
                "host;x-amz-content-sha256;x-amz-date",
                "cf7cc2623ed699603d97b8780d5d3d25ce2fb5c22534ad4fb7e04c30ab1dbedb",
            ),
            (
                &put,
                "content-type;host;x-amz-content-sha256;x-amz-date",
                "a6a1e9f0a88077a832784147ce104301788c4ca85e10d42095d930e9592ccfb0",
            ),
        ] {
            let [(_, authorization), ..] = sign(&credentials, signed, now);
            assert_eq!(
                authorization,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders={names}, Signature={signature}"
                )
            );
        }
    }
}
