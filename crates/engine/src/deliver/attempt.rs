//! One try: sign, send, read, judge. Touches no database.

use bytes::Bytes;
use domain::{
    Timestamp,
    api::{AttemptTiming, DeliveryKind},
    delivery::{DeliveryState, ErrorClass, Outcome, Verdict, verdict},
    parse_http_date,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use storage::{NewAttempt, NextStep, Settlement};

use super::Job;
use crate::{
    Inner,
    http::{Failure, Request, Response},
    routing::Endpoint,
};

/// Bytes of an answer's body that are read and kept.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;
/// Headers of an answer that are kept.
const MAX_RESPONSE_HEADERS: usize = 64;
/// Stands for a value that may be a credential.
const MASK: &str = "••••••••";

/// The names of the headers that carry the configured prefix.
pub(crate) struct PrefixedHeaders {
    signature: (String, HeaderName),
    previous: (String, HeaderName),
    event: (String, HeaderName),
    delivery: (String, HeaderName),
    timestamp: (String, HeaderName),
}

impl PrefixedHeaders {
    /// `None` when the prefix cannot begin a header name.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let name = |suffix: &str| {
            let text = format!("{prefix}-{suffix}");
            HeaderName::try_from(text.to_ascii_lowercase()).ok().map(|name| (text, name))
        };
        Some(Self {
            signature: name("Signature")?,
            previous: name("Signature-Previous")?,
            event: name("Event")?,
            delivery: name("Delivery")?,
            timestamp: name("Timestamp")?,
        })
    }
}

/// A header as it is kept.
#[derive(Serialize)]
struct Kept<'h> {
    name: &'h str,
    value: &'h str,
}

/// The headers of one request, and the same as they are kept.
struct Headers {
    sent: HeaderMap,
    kept: String,
}

fn headers(inner: &Inner, job: &Job, endpoint: &Endpoint, body: &[u8], now: Timestamp) -> Headers {
    let names = &inner.prefixed;
    let (id, seconds) = (job.event.to_string(), now.unix_seconds().to_string());
    let live = || endpoint.keys.iter().filter(|key| key.is_live(now));
    let mut standard = String::with_capacity(96);
    for key in live() {
        if !standard.is_empty() {
            standard.push(' ');
        }
        standard.push_str(&key.standard(&id, &seconds, body));
    }
    let mut bodies = live().map(|key| key.body(body));
    let delivery = job.id.to_string();
    let mut own: Vec<(&str, &HeaderName, String)> = vec![
        ("Content-Type", &header::CONTENT_TYPE, "application/json".to_owned()),
        ("webhook-id", &inner.standard.id, id),
        ("webhook-timestamp", &inner.standard.timestamp, seconds.clone()),
        ("webhook-signature", &inner.standard.signature, standard),
        (&names.signature.0, &names.signature.1, bodies.next().unwrap_or_default()),
        (&names.event.0, &names.event.1, job.event_type.to_string()),
        (&names.delivery.0, &names.delivery.1, delivery),
        (&names.timestamp.0, &names.timestamp.1, seconds),
    ];
    if let Some(previous) = bodies.next() {
        own.push((&names.previous.0, &names.previous.1, previous));
    }
    let host = endpoint.url.authority();
    let length = body.len().to_string();
    let mut kept = vec![
        Kept { name: "Host", value: host },
        Kept { name: "User-Agent", value: crate::USER_AGENT },
        Kept { name: "Content-Length", value: &length },
    ];
    kept.extend(own.iter().map(|(name, _, value)| Kept { name, value }));
    kept.extend(endpoint.headers.keys().map(|name| Kept { name: name.as_str(), value: MASK }));
    let kept = serde_json::to_string(&kept).unwrap_or_else(|_| "[]".to_owned());
    let mut sent = HeaderMap::with_capacity(own.len() + endpoint.headers.len());
    for (_, name, value) in own {
        // All of these are ASCII of our own making; an event type is too, by its validation.
        if let Ok(value) = HeaderValue::try_from(value) {
            sent.insert(name.clone(), value);
        }
    }
    for (name, value) in &endpoint.headers {
        sent.append(name.clone(), value.clone());
    }
    Headers { sent, kept }
}

/// Names of the Standard Webhooks headers.
pub(crate) struct StandardHeaders {
    id: HeaderName,
    timestamp: HeaderName,
    signature: HeaderName,
}

impl StandardHeaders {
    pub(crate) const fn new() -> Self {
        Self {
            id: HeaderName::from_static("webhook-id"),
            timestamp: HeaderName::from_static("webhook-timestamp"),
            signature: HeaderName::from_static("webhook-signature"),
        }
    }
}

/// Sends one try of `job` and says what follows from it; beside that, until when the receiver asked to be left alone.
pub(super) async fn attempt(
    inner: &Inner,
    job: &Job,
    endpoint: &Endpoint,
    body: Bytes,
) -> (Settlement, Option<Timestamp>) {
    let policy = endpoint.policy(&job.event_type);
    let started_at = inner.clock.now();
    let headers = headers(inner, job, endpoint, &body, started_at);
    let answer = inner
        .client
        .send(Request {
            url: endpoint.url.clone(),
            method: http::Method::POST,
            headers: headers.sent,
            body,
            timeout_ms: policy.timeout_s * 1000,
            max_body_bytes: MAX_RESPONSE_BYTES,
            exempt: endpoint.inspector,
        })
        .await;
    let now = inner.clock.now();
    let number = job.attempts + 1;
    // The tries that count: those since it was queued.
    let counted = number.saturating_sub(job.earlier_attempts);
    let outcome = match &answer {
        Ok(response) => Outcome::Answered { status: response.status, retry_after: retry_after(response, now) },
        Err(failure) => Outcome::Unanswered(failure.class),
    };
    let pause_until = match outcome {
        Outcome::Answered { status: 429 | 503, retry_after } => retry_after,
        _ => None,
    };
    let next = match verdict(outcome, policy, counted, now, inner.entropy.fraction()) {
        Verdict::Delivered => NextStep::End(DeliveryState::Delivered, now),
        // A person waits for the answer of a test and sees it; trying again would only surprise.
        _ if job.kind == DeliveryKind::Test => NextStep::End(DeliveryState::Failed, now),
        // It would be too old by then.
        Verdict::RetryAt(at) if job.is_too_old(endpoint, at) => NextStep::End(DeliveryState::Discarded, now),
        Verdict::RetryAt(at) => NextStep::RetryAt(at),
        Verdict::DeadLetter => NextStep::End(DeliveryState::DeadLetter, now),
        Verdict::Failed => NextStep::End(DeliveryState::Failed, now),
    };
    let settlement = Settlement {
        delivery: job.id,
        organization: job.organization,
        webhook: job.webhook,
        // What a person sends again says nothing about what is ordinarily sent.
        counts_to_health: job.kind == DeliveryKind::Event && job.earlier_attempts == 0,
        attempt: kept(endpoint, number, started_at, headers.kept, answer, outcome.error()),
        next,
    };
    (settlement, pause_until)
}

fn kept(
    endpoint: &Endpoint,
    number: u32,
    started_at: Timestamp,
    request_headers: String,
    answer: Result<Response, Failure>,
    error: Option<ErrorClass>,
) -> NewAttempt {
    let timing = match &answer {
        Ok(response) => response.timing,
        Err(failure) => failure.timing,
    };
    let base = NewAttempt {
        number,
        started_at,
        duration_ms: i64::from(timing.total_ms),
        timing: AttemptTiming {
            dns_ms: timing.dns_ms,
            connect_ms: timing.connect_ms,
            tls_ms: timing.tls_ms,
            first_byte_ms: timing.first_byte_ms,
        },
        url: endpoint.url_text.clone(),
        request_headers,
        response_status: None,
        response_headers: "[]".to_owned(),
        response_body: Bytes::new(),
        response_truncated: false,
        error,
        error_detail: None,
    };
    match answer {
        Ok(response) => {
            let headers: Vec<Kept<'_>> =
                response.headers.iter().take(MAX_RESPONSE_HEADERS).map(|(name, value)| Kept { name, value }).collect();
            NewAttempt {
                response_status: Some(response.status),
                response_headers: serde_json::to_string(&headers).unwrap_or_else(|_| "[]".to_owned()),
                response_body: response.body,
                response_truncated: response.body_truncated,
                error_detail: error.map(|class| status_detail(class, response.status)),
                ..base
            }
        }
        Err(failure) => NewAttempt { error_detail: Some(failure.detail), ..base },
    }
}

fn status_detail(class: ErrorClass, status: u16) -> String {
    match class {
        ErrorClass::Redirect => format!("Webhook endpoint answered with a redirect ({status}), which is not followed"),
        // UC §16.
        _ => format!("Webhook endpoint returned error: {status}"),
    }
}

/// When the receiver asks to be tried again: seconds or a date (RFC 9110 §10.2.3).
fn retry_after(response: &Response, now: Timestamp) -> Option<Timestamp> {
    let (_, value) = response.headers.iter().find(|(name, _)| name == "retry-after")?;
    match value.trim().parse::<u32>() {
        Ok(seconds) => Some(now.plus_ms(i64::from(seconds) * 1000)),
        Err(_) => parse_http_date(value),
    }
}
