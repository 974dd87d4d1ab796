//! Asking a provider whether it works: one request that proves it and changes nothing.
//!
//! What to ask is data (`domain::catalogue::Probe`); here it is asked, through the guarded client, within a deadline, and
//! what came back is put into the classes of `Fault` and the words of UC §16.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::{
    api::CheckResult,
    catalogue::{Config, Fault, Probe, Provider, fill, fill_json},
    delivery::ErrorClass,
    health::Health,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{Secrets, s3, secret};
use crate::{
    Inner,
    http::{Request, Response},
    secrets,
    smtp::{self, Security, SmtpServer},
};

/// Deadline of one probe, in milliseconds: shorter than the shortest interval that is not suspect.
pub(super) const DEADLINE_MS: u32 = 30_000;
/// Most bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 16 * 1024;
/// Most characters of an answer that are kept.
const DETAIL_CHARS: usize = 2_000;

/// Secrets that are shorter stand in any text by chance, in bytes.
const SHORTEST_HIDDEN: usize = 6;

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// What was wrong; `None` is good.
    pub fault: Option<Fault>,
    /// In words for people.
    pub message: String,
    /// What the provider said, or how far it came.
    pub detail: String,
    /// The status or the reply code.
    pub code: Option<u16>,
    /// Where it was asked: host and port.
    pub target: String,
}

impl Probed {
    /// What callers are told of it; `health` is how the integration is after it.
    pub(super) fn result(self, provider: &Provider, config: &Config, health: Health) -> CheckResult {
        CheckResult {
            ok: self.fault.is_none(),
            trouble: self.fault.and_then(|fault| trouble(provider, config, fault, self.code, &self.detail)),
            message: self.message,
            detail: self.detail,
            fault: self.fault,
            latency_ms: self.latency_ms,
            health,
        }
    }
}

/// What is wrong, while it is being found out.
struct Wrong {
    fault: Fault,
    detail: String,
    code: Option<u16>,
    retry_after_s: Option<u32>,
}

impl Wrong {
    fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into(), code: None, retry_after_s: None }
    }
}

/// What is right: what the provider said, and its code.
struct Right(String, Option<u16>);

/// Values of fields as texts, secrets among them.
pub(crate) type Values = BTreeMap<String, String>;

/// Asks `provider` with these settings.
pub(crate) async fn probe(inner: &Inner, provider: &Provider, config: &Config, given: &Secrets) -> Probed {
    let began = Instant::now();
    let mut target = String::new();
    let mut hidden = Vec::new();
    let outcome = match values(inner, config, given).await {
        Ok(values) => {
            hidden.extend(given.keys().filter_map(|name| values.get(name).cloned()));
            ask(inner, provider, &values, &mut target).await
        }
        Err(detail) => Err(Wrong::new(Fault::Misconfigured, detail)),
    };
    let latency_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    match outcome {
        Ok(Right(detail, code)) => {
            let message = format!("Connected to {}", provider.name);
            Probed { latency_ms, fault: None, message, detail: bounded(&detail, &hidden), code, target }
        }
        Err(Wrong { fault, detail, code, retry_after_s }) => {
            let message = match fault {
                Fault::Misconfigured => detail.clone(),
                fault => fault.message(&provider.name, retry_after_s),
            };
            Probed { latency_ms, fault: Some(fault), message, detail: bounded(&detail, &hidden), code, target }
        }
    }
}

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

/// A text that is kept: short, printable, and without secrets that the provider may have repeated.
fn bounded(text: &str, secrets: &[String]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST_HIDDEN);
    let text = long.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "•••"));
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).take(DETAIL_CHARS).collect()
}

/// The e-mail server that the fields describe.
pub(crate) fn smtp_server(values: &Values) -> SmtpServer {
    let of = |name: &str| values.get(name).cloned().unwrap_or_default();
    let port = of("smtp_port").parse().unwrap_or(587);
    SmtpServer {
        host: of("smtp_host"),
        port,
        security: Security::parse(&of("smtp_security")).unwrap_or(Security::Auto),
        username: of("smtp_username"),
        password: secrets::Secret::new(of("smtp_password")),
    }
}

async fn ask(inner: &Inner, provider: &Provider, values: &Values, target: &mut String) -> Result<Right, Wrong> {
    let written = |text: Option<String>, template: &str| {
        text.ok_or_else(|| Wrong::new(Fault::Misconfigured, format!("A value is missing in {template}")))
    };
    let filled = |template: &str| written(fill(template, values), template);
    match &provider.probe {
        Probe::Smtp => {
            let server = smtp_server(values);
            *target = format!("{}:{}", server.host, server.port);
            match server.verify(&inner.client, Instant::now() + smtp::DEADLINE).await {
                Ok(reply) => Ok(Right(reply.text, Some(reply.code))),
                Err(fault) => {
                    let retry_after_s = None;
                    Err(Wrong { fault: fault.fault, detail: fault.detail, code: fault.code, retry_after_s })
                }
            }
        }
        Probe::Http { method, url, headers, basic, body, form, also_good, good_texts } => {
            let url = parsed(&filled(url)?)?;
            *target = authority(&url);
            let mut sent = HeaderMap::new();
            for (name, template) in headers {
                insert(&mut sent, name, &filled(template)?)?;
            }
            if let Some((user, password)) = basic {
                let pair = BASE64_STANDARD.encode(format!("{}:{}", filled(user)?, filled(password)?));
                insert(&mut sent, "authorization", &format!("Basic {pair}"))?;
            }
            let body = if form.is_empty() {
                let body =
                    body.as_deref().map(|template| written(fill_json(template, values), template)).transpose()?;
                if body.is_some() {
                    sent.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                }
                body.unwrap_or_default()
            } else {
                let mut encoded = url::form_urlencoded::Serializer::new(String::new());
                for (name, template) in form {
                    encoded.append_pair(name, &filled(template)?);
                }
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                sent.entry(CONTENT_TYPE).or_insert(kind);
                encoded.finish()
            };
            let method = Method::from_bytes(method.as_bytes())
                .map_err(|_| Wrong::new(Fault::Misconfigured, format!("{method} is not a method")))?;
            let answer = send(inner, method, url, sent, body).await?;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            let is_said = good_texts.is_empty() || good_texts.iter().any(|text| said.contains(text.as_str()));
            if also_good.contains(&answer.status) && is_said {
                return Ok(Right(head(answer.status), Some(answer.status)));
            }
            judged(&answer)
        }
        Probe::S3 => {
            let of = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
            let endpoint = of("endpoint").trim_end_matches('/');
            let url = parsed(&format!("{endpoint}/{}", of("bucket")))?;
            *target = authority(&url);
            let secret = secrets::Secret::new(of("secret_access_key"));
            let credentials = s3::Credentials {
                region: of("region"),
                access_key_id: of("access_key_id"),
                secret_access_key: &secret,
            };
            // As the client writes it: without the port where it is the usual one.
            let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
            let mut sent = HeaderMap::new();
            for (name, value) in s3::sign_head(&credentials, host, url.path(), inner.clock.now()) {
                insert(&mut sent, name, &value)?;
            }
            let answer = send(inner, Method::HEAD, url, sent, String::new()).await?;
            if answer.status == StatusCode::NOT_FOUND.as_u16() {
                let detail = format!("The bucket {} does not exist", of("bucket"));
                return Err(Wrong { code: Some(404), ..Wrong::new(Fault::Rejected, detail) });
            }
            judged(&answer)
        }
        Probe::Challenge { url } => {
            let url = parsed(&filled(url)?)?;
            *target = authority(&url);
            let challenge = secrets::token(&*inner.entropy);
            let mut sent = HeaderMap::new();
            sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = serde_json::json!({"type": "challenge", "challenge": challenge}).to_string();
            let answer = send(inner, Method::POST, url, sent, body).await?;
            judged(&answer)?;
            if String::from_utf8_lossy(&answer.body).contains(&challenge) {
                Ok(Right("The challenge was answered".to_owned(), Some(answer.status)))
            } else {
                let detail = "The answer does not contain the challenge that was sent";
                Err(Wrong { code: Some(answer.status), ..Wrong::new(Fault::Garbage, detail) })
            }
        }
        Probe::Oauth => match crate::oauth::try_application(inner, provider, values).await {
            Ok(tried) => {
                *target = tried;
                Ok(Right("The provider accepts client ID and secret. Connect an account next.".to_owned(), None))
            }
            Err((fault, code, detail)) => Err(Wrong { code, ..Wrong::new(fault, detail) }),
        },
    }
}

fn parsed(text: &str) -> Result<Url, Wrong> {
    Url::parse(text).map_err(|error| Wrong::new(Fault::Misconfigured, format!("The address is not a URL: {error}")))
}

/// Host and port, without what may be secret.
fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Wrong> {
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

async fn send(inner: &Inner, method: Method, url: Url, headers: HeaderMap, body: String) -> Result<Response, Wrong> {
    let request = Request {
        url,
        method,
        headers,
        body: Bytes::from(body),
        timeout_ms: DEADLINE_MS,
        max_body_bytes: ANSWER_BYTES,
        exempt: None,
    };
    inner.client.send(request).await.map_err(|failure| {
        let fault = match failure.class {
            ErrorClass::Dns => Fault::Dns,
            ErrorClass::ConnectRefused => Fault::Refused,
            ErrorClass::ConnectTimeout | ErrorClass::Timeout => Fault::Timeout,
            ErrorClass::Tls => Fault::Tls,
            ErrorClass::Reset => Fault::Reset,
            ErrorClass::Blocked => Fault::Blocked,
            _ => Fault::Garbage,
        };
        Wrong::new(fault, failure.detail)
    })
}

fn head(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    format!("{status} {reason}").trim_end().to_owned()
}

/// What a status means.
fn judged(answer: &Response) -> Result<Right, Wrong> {
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
    })
}

/// What is known of a fault of a provider with these settings, their values written in.
pub(super) fn trouble(
    provider: &Provider,
    config: &Config,
    fault: Fault,
    code: Option<u16>,
    detail: &str,
) -> Option<domain::catalogue::Trouble> {
    provider.trouble(fault, code, detail).map(|trouble| trouble.filled(&plain_values(config)))
}
