//! One request to a provider, as its file describes it: through the guarded client, within a deadline, and what came back put
//! into the classes of `Fault`.
//!
//! It refuses to judge beyond that: what a probe or a piece of work makes of an answer is theirs to say.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::{
    catalogue::{Config, Fault, Template, fill, fill_json},
    delivery::ErrorClass,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use url::Url;

use super::{Secrets, secret};
use crate::{
    Inner,
    http::{Request, Response},
};

/// Deadline of one request, in milliseconds: shorter than the shortest interval of checks that is not suspect.
const DEADLINE_MS: u32 = 30_000;
/// Most bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 16 * 1024;

/// What is wrong, while it is being found out.
pub(crate) struct Wrong {
    /// In which class.
    pub fault: Fault,
    /// What the provider said, or how far it came.
    pub detail: String,
    /// The status or the reply code.
    pub code: Option<u16>,
    /// How long the provider asked to wait, in seconds.
    pub retry_after_s: Option<u32>,
    /// Whether the provider may have done what it was asked for all the same.
    pub is_ambiguous: bool,
}

impl Wrong {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into(), code: None, retry_after_s: None, is_ambiguous: false }
    }
}

/// What is right: what the provider said, and its code.
pub(crate) struct Right(pub String, pub Option<u16>);

/// Values of fields as texts, secrets among them.
pub(crate) type Values = BTreeMap<String, String>;

/// The values of all fields, references to secrets resolved.
pub(crate) async fn values(inner: &Inner, config: &Config, given: &Secrets) -> Result<Values, String> {
    let mut values = plain_values(config);
    for (name, value) in given {
        let value = secret::resolve(value, &inner.config.secret_folders).await?;
        values.insert(name.clone(), value.expose().to_owned());
    }
    Ok(values)
}

/// The values of fields that are not secret.
pub(super) fn plain_values(config: &Config) -> Values {
    config.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A request in templates, as `Probe::Http` and `Handover::Http` have it.
pub(crate) struct Call<'c> {
    pub method: &'c str,
    pub url: &'c Template,
    pub headers: &'c BTreeMap<String, Template>,
    pub basic: Option<&'c (Template, Template)>,
    pub body: Option<&'c Template>,
    pub form: &'c BTreeMap<String, Template>,
}

impl Call<'_> {
    /// Fills it and sends it. `target` becomes host and port as soon as they are known.
    pub(crate) async fn send(&self, inner: &Inner, values: &Values, target: &mut String) -> Result<Response, Wrong> {
        let written = |text: Option<String>, template: &str| {
            text.ok_or_else(|| Wrong::new(Fault::Misconfigured, format!("A value is missing in {template}")))
        };
        let filled = |template: &str| written(fill(template, values), template);
        let url = parsed(&filled(self.url)?)?;
        *target = authority(&url);
        let mut sent = HeaderMap::new();
        for (name, template) in self.headers {
            insert(&mut sent, name, &filled(template)?)?;
        }
        if let Some((user, password)) = self.basic {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", filled(user)?, filled(password)?));
            insert(&mut sent, "authorization", &format!("Basic {pair}"))?;
        }
        let body = if self.form.is_empty() {
            let body = self.body.map(|template| written(fill_json(template, values), template)).transpose()?;
            if body.is_some() {
                sent.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            }
            body.unwrap_or_default()
        } else {
            let mut encoded = url::form_urlencoded::Serializer::new(String::new());
            for (name, template) in self.form {
                encoded.append_pair(name, &filled(template)?);
            }
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            sent.entry(CONTENT_TYPE).or_insert(kind);
            encoded.finish()
        };
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Wrong::new(Fault::Misconfigured, format!("{} is not a method", self.method)))?;
        send(inner, method, url, sent, Bytes::from(body)).await
    }
}

pub(super) fn parsed(text: &str) -> Result<Url, Wrong> {
    Url::parse(text).map_err(|error| Wrong::new(Fault::Misconfigured, format!("The address is not a URL: {error}")))
}

/// Host and port, without what may be secret.
pub(super) fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

pub(super) fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Wrong> {
    let name = HeaderName::from_bytes(name.as_bytes());
    let value = HeaderValue::from_str(value);
    match (name, value) {
        (Ok(name), Ok(mut value)) => {
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok(())
        }
        _ => Err(Wrong::new(Fault::Misconfigured, "A value contains what a header cannot carry, such as a line break")),
    }
}

pub(super) async fn send(
    inner: &Inner,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Wrong> {
    let request =
        Request { url, method, headers, body, timeout_ms: DEADLINE_MS, max_body_bytes: ANSWER_BYTES, exempt: None };
    inner.client.send(request).await.map_err(|failure| {
        let (fault, is_ambiguous) = match failure.class {
            ErrorClass::Dns => (Fault::Dns, false),
            ErrorClass::ConnectRefused => (Fault::Refused, false),
            ErrorClass::ConnectTimeout => (Fault::Timeout, false),
            ErrorClass::Tls => (Fault::Tls, false),
            ErrorClass::Blocked => (Fault::Blocked, false),
            // There was a connection, so the request may have gone through it.
            ErrorClass::Timeout => (Fault::Timeout, true),
            ErrorClass::Reset => (Fault::Reset, true),
            _ => (Fault::Garbage, true),
        };
        Wrong { is_ambiguous, ..Wrong::new(fault, failure.detail) }
    })
}

pub(super) fn head(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    format!("{status} {reason}").trim_end().to_owned()
}

/// What a status means. A gateway that got no answer does not know what became of the request.
pub(crate) fn judged(answer: &Response) -> Result<Right, Wrong> {
    let Some(fault) = Fault::of_status(answer.status) else {
        return Ok(Right(head(answer.status), Some(answer.status)));
    };
    let retry_after = answer.headers.iter().find(|(name, _)| name == "retry-after");
    let said = String::from_utf8_lossy(&answer.body);
    Err(Wrong {
        fault,
        detail: format!("{}\n{said}", head(answer.status)).trim().to_owned(),
        code: Some(answer.status),
        retry_after_s: retry_after.and_then(|(_, value)| value.trim().parse().ok()),
        is_ambiguous: matches!(answer.status, 502 | 504),
    })
}
