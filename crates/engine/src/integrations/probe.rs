//! Asking a provider whether it works: one request that proves it and changes nothing.
//!
//! What to ask is data (`domain::catalogue::Probe`); here it is asked, through the guarded client, within a deadline, and
//! what came back is put into the classes of `Fault` and the words of UC §16.

use std::collections::BTreeMap;

use domain::{
    api::CheckResult,
    catalogue::{Config, Fault, Probe, Provider},
    health::Health,
};
use http::StatusCode;
use tokio::time::Instant;

use super::{
    Secrets,
    call::{Call, Right, Values, Wrong, head, judged, plain_values, values},
    folder, s3,
};
use crate::{
    Inner, secrets,
    smtp::{self, Security, SmtpServer},
};

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
    found(provider, began, target, &hidden, outcome, || format!("Connected to {}", provider.name))
}

/// What came of asking `provider`, as it is recorded: `good` is said when nothing was wrong, `hidden` is taken out of what the
/// provider said.
pub(crate) fn found(
    provider: &Provider,
    began: Instant,
    target: String,
    hidden: &[String],
    outcome: Result<Right, Wrong>,
    good: impl FnOnce() -> String,
) -> Probed {
    let latency_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    match outcome {
        Ok(Right(detail, code)) => {
            Probed { latency_ms, fault: None, message: good(), detail: bounded(&detail, hidden), code, target }
        }
        Err(Wrong { fault, detail, code, retry_after_s, .. }) => {
            let message = match fault {
                Fault::Misconfigured => detail.clone(),
                fault => fault.message(&provider.name, retry_after_s),
            };
            Probed { latency_ms, fault: Some(fault), message, detail: bounded(&detail, hidden), code, target }
        }
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
    match &provider.probe {
        Probe::Smtp => {
            let server = smtp_server(values);
            *target = format!("{}:{}", server.host, server.port);
            match server.verify(&inner.client, Instant::now() + smtp::DEADLINE).await {
                Ok(reply) => Ok(Right(reply.text, Some(reply.code))),
                Err(fault) => Err(Wrong { code: fault.code, ..Wrong::new(fault.fault, fault.detail) }),
            }
        }
        Probe::Http { method, url, headers, basic, body, form, also_good, good_texts } => {
            let call = Call { method, url, headers, basic: basic.as_ref(), body: body.as_ref(), form };
            let answer = call.send(inner, values, target).await?;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            let is_said = good_texts.is_empty() || good_texts.iter().any(|text| said.contains(text.as_str()));
            if also_good.contains(&answer.status) && is_said {
                return Ok(Right(head(answer.status), Some(answer.status)));
            }
            judged(&answer)
        }
        Probe::S3 => {
            let answer = s3::send(inner, values, s3::Operation::Head, target).await?;
            if answer.status == StatusCode::NOT_FOUND.as_u16() {
                let bucket = values.get("bucket").map(String::as_str).unwrap_or_default();
                let detail = format!("The bucket {bucket} does not exist");
                return Err(Wrong { code: Some(404), ..Wrong::new(Fault::Rejected, detail) });
            }
            judged(&answer)
        }
        Probe::Folder => {
            folder::try_root(inner.config.storage_folder.as_deref(), &*inner.entropy).await?;
            Ok(Right("The folder can be written".to_owned(), None))
        }
        Probe::Challenge { url } => {
            let challenge = secrets::token(&*inner.entropy);
            let body = serde_json::json!({"type": "challenge", "challenge": challenge}).to_string();
            let (headers, form) = (BTreeMap::new(), BTreeMap::new());
            let call = Call { method: "POST", url, headers: &headers, basic: None, body: Some(&body), form: &form };
            let answer = call.send(inner, values, target).await?;
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
