//! The catalogue: what Signalbox knows of the providers that can be integrated.
//!
//! A provider is data (one file each in `crates/engine/catalogue`), never code: its form, the words of its refusals, how its
//! health is probed, what its errors mean and what helps. The types here are what such a file may say. They refuse to know
//! any provider by name. One file, because it is the description of one format; forms and probes have files of their own.

mod field;
mod kind;
mod oauth;
mod probe;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use field::{Choice, Config, Field, FieldKind, Words, is_email, is_host, validate_config, validate_fields};
pub use kind::{Category, IntegrationType};
pub use oauth::{ClientAuthentication, Listing, Oauth, Rotation};
pub use probe::{Handover, Probe, Template};

/// One provider of one kind of integration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Provider {
    /// Name in the API, unique in the catalogue, such as `sendgrid`. In a file, the file's name.
    #[serde(default)]
    pub id: String,
    /// What it is used for.
    #[serde(rename = "type")]
    pub kind: IntegrationType,
    /// As people know it: "SendGrid".
    pub name: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// How Signalbox talks to it.
    pub connection: ConnectionKind,
    /// What does not work while it is down: "E-mails are not sent".
    pub impact: String,
    /// What its metrics count: "E-mails".
    #[serde(default = "requests")]
    pub unit: String,
    /// Where it tells about its own outages.
    #[serde(default)]
    pub status_page: Option<String>,
    /// Its documentation of what has to be set up.
    #[serde(default)]
    pub docs: Option<String>,
    /// Where its keys are made and renewed.
    #[serde(default)]
    pub keys_page: Option<String>,
    /// Where its support is reached.
    #[serde(default)]
    pub support: Option<String>,
    /// Its form, in order.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// How to find out whether it works.
    pub probe: Probe,
    /// How a piece of work of its channel is handed to it, where the channel leaves that open.
    #[serde(default)]
    pub handover: Option<Handover>,
    /// Events that it reports by itself.
    #[serde(default)]
    pub events: Option<ProviderEvents>,
    /// Providers of one channel can stand in for each other.
    #[serde(default)]
    pub channel: Option<String>,
    /// What its errors mean, the most specific first.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
    /// How people get by while it is down: "Switch to the backup provider".
    pub fallback: String,
    /// First steps when it fails; an integration's own runbook begins with them.
    #[serde(default)]
    pub runbook: Vec<String>,
}

fn requests() -> String {
    "Requests".to_owned()
}

/// How a provider is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ConnectionKind {
    /// E-mail over SMTP.
    Smtp,
    /// An HTTP API with a key or a password.
    ApiKey,
    /// An HTTP API on behalf of an account that has consented.
    Oauth,
    /// A URL that is posted to.
    Webhook,
    /// Object storage with signed requests.
    S3,
    /// A folder of the server.
    Folder,
}

/// Events that a provider sends to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderEvents {
    /// How its requests are verified.
    pub scheme: EventScheme,
    /// The field whose options are the events that it can send.
    pub events_field: String,
    /// The secret field that verifies its requests.
    pub key_field: String,
}

/// How a provider signs what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventScheme {
    /// ECDSA over timestamp and body (`X-Twilio-Email-Event-Webhook-Signature`).
    Sendgrid,
    /// HMAC-SHA256 over timestamp and token, inside the body.
    Mailgun,
    /// User name and password in the URL.
    Postmark,
    /// A signed notification of Amazon SNS.
    Sns,
}

/// One error and what helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trouble {
    /// Classes of faults that it explains, such as `timeout` or `authentication`; empty: any.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// The status or reply code it explains, when only that.
    #[serde(default)]
    pub code: Option<u16>,
    /// A text that the provider's answer must contain, when only then; compared without case.
    #[serde(default)]
    pub contains: Option<String>,
    /// What it means, in a sentence. `{name}` stands for the value of a field.
    pub meaning: String,
    /// What to do, in this order.
    pub steps: Vec<Step>,
}

/// One thing to do about a trouble: "[Test Network] - Can server reach smtp.sendgrid.net?" (UC §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// What a button beside it does; without one, it is for people to do.
    #[serde(default)]
    pub action: Option<Action>,
    /// The words on the button. In a file, only where they differ from those of the action.
    #[serde(default)]
    pub label: String,
    /// The question that it answers, or what to do. `{name}` stands for the value of a field.
    pub text: String,
}

impl Trouble {
    /// The same with the values of fields written in; what has no value is called by its name.
    #[must_use]
    pub fn filled(&self, values: &BTreeMap<String, String>) -> Self {
        let write = |text: &str| fill(text, values).unwrap_or_else(|| text.replace(['{', '}'], ""));
        let mut trouble = self.clone();
        trouble.meaning = write(&trouble.meaning);
        for step in &mut trouble.steps {
            step.text = write(&step.text);
        }
        trouble
    }
}

/// What can be done about a trouble without leaving the page, or where a link leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Action {
    /// Opens [`Provider::status_page`].
    StatusPage,
    /// Opens [`Provider::keys_page`], or the form where the key is entered.
    VerifyKey,
    /// Resolves the host and connects to it.
    TestNetwork,
    /// Connects to the port.
    CheckFirewall,
    /// Opens the integration's log at its errors.
    ViewLogs,
    /// Makes the backup of the failover group the active one.
    SwitchToBackup,
    /// Probes at once.
    Reconnect,
    /// Opens the integration's form.
    Configure,
    /// Opens [`Provider::docs`].
    Docs,
    /// Opens [`Provider::support`].
    Support,
}

impl Action {
    /// The words on its button (UC §5).
    pub fn label(self, provider: &str) -> String {
        match self {
            Self::StatusPage => format!("Check {provider} Status Page"),
            Self::VerifyKey => "Verify API Key".to_owned(),
            Self::TestNetwork => "Test Network".to_owned(),
            Self::CheckFirewall => "Check Firewall".to_owned(),
            Self::ViewLogs => "View Error Logs".to_owned(),
            Self::SwitchToBackup => "Switch to Backup".to_owned(),
            Self::Reconnect => "Reconnect".to_owned(),
            Self::Configure => "Check Settings".to_owned(),
            Self::Docs => "Open Documentation".to_owned(),
            Self::Support => "Contact Support".to_owned(),
        }
    }
}

impl Provider {
    /// What is known of a fault: the first entry that fits.
    pub fn trouble(&self, fault: Fault, code: Option<u16>, detail: &str) -> Option<&Trouble> {
        let detail = detail.to_lowercase();
        self.troubles.iter().find(|trouble| {
            (trouble.faults.is_empty() || trouble.faults.contains(&fault))
                && trouble.code.is_none_or(|wanted| code == Some(wanted))
                && trouble.contains.as_ref().is_none_or(|text| detail.contains(&text.to_lowercase()))
        })
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// `config` with the defaults of what it leaves out.
    #[must_use]
    pub fn with_defaults(&self, mut config: Config) -> Config {
        for field in self.fields.iter().filter(|field| !field.is_secret()) {
            if let Some(default) = &field.default {
                config.entry(field.name.clone()).or_insert_with(|| default.clone());
            }
        }
        config
    }
}

/// Why a provider did not do its part, in the classes that alerts, failover and troubleshooting know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Fault {
    /// The host's name does not resolve.
    Dns,
    /// Nobody listens there.
    Refused,
    /// No connection, or no answer, in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// The certificate, or the handshake.
    Tls,
    /// The address is not one that may be connected to.
    Blocked,
    /// User name, password, key or token was refused.
    Authentication,
    /// Too many requests.
    RateLimited,
    /// The provider says that it has trouble itself (5xx, 421, 451).
    Outage,
    /// The provider refused this request for what it asks (4xx, 5xx of SMTP for a recipient or a content).
    Rejected,
    /// The answer makes no sense.
    Garbage,
    /// The configuration cannot be used: a referenced secret is missing.
    Misconfigured,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Dns,
        Self::Refused,
        Self::Timeout,
        Self::Reset,
        Self::Tls,
        Self::Blocked,
        Self::Authentication,
        Self::RateLimited,
        Self::Outage,
        Self::Rejected,
        Self::Garbage,
        Self::Misconfigured,
    ];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Blocked => "blocked",
            Self::Authentication => "authentication",
            Self::RateLimited => "rate_limited",
            Self::Outage => "outage",
            Self::Rejected => "rejected",
            Self::Garbage => "garbage",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// What the status of an answer means; `None`: nothing is wrong.
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            401 | 403 => Some(Self::Authentication),
            429 => Some(Self::RateLimited),
            300..=499 => Some(Self::Rejected),
            500..=599 => Some(Self::Outage),
            _ => Some(Self::Garbage),
        }
    }

    /// Whether it is the provider's failing and not the request's: what health and failover count.
    pub const fn is_providers(self) -> bool {
        !matches!(self, Self::Rejected)
    }

    /// What people are told, in the words of UC §16. `provider` is its name; `retry_after_s` what it asked for.
    pub fn message(self, provider: &str, retry_after_s: Option<u32>) -> String {
        match self {
            Self::Timeout => format!("Connection to {provider} timed out"),
            Self::Authentication => "Authentication failed. Please check credentials.".to_owned(),
            Self::RateLimited => rate_limited(retry_after_s.unwrap_or(60)),
            Self::Tls => "SSL certificate verification failed".to_owned(),
            Self::Refused | Self::Reset | Self::Outage => format!("{provider} is currently unavailable"),
            Self::Dns => format!("The host name of {provider} does not resolve"),
            Self::Blocked => "This leads to a private or reserved network address, which is not allowed".to_owned(),
            Self::Rejected => format!("{provider} refused the request"),
            Self::Garbage => format!("{provider} gave an answer that makes no sense"),
            Self::Misconfigured => "The configuration is not complete".to_owned(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Fault {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == text).ok_or(())
    }
}

/// The words for a rate that is spent (UC §16).
pub fn rate_limited(retry_after_s: u32) -> String {
    format!("Rate limit exceeded. Retry in {retry_after_s} seconds.")
}

/// Fills `{name}` in a template from the values of fields. `None` when a value is missing. Braces around anything else
/// than a field's name are themselves.
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> Option<String> {
    fill_with(template, |name| values.get(name).cloned())
}

/// The same for a template that is JSON: a value is written as what stands between the quotes of a string.
pub fn fill_json(template: &str, values: &BTreeMap<String, String>) -> Option<String> {
    fill_with(template, |name| {
        let quoted = serde_json::Value::from(values.get(name)?.as_str()).to_string();
        Some(quoted[1..quoted.len() - 1].to_owned())
    })
}

fn fill_with(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        if let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_name(name)) {
            filled.push_str(&value(name)?);
            rest = behind;
        } else {
            filled.push('{');
            rest = after;
        }
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_specification() {
        assert_eq!(Fault::Timeout.message("SendGrid", None), "Connection to SendGrid timed out");
        assert_eq!(Fault::Authentication.message("SendGrid", None), "Authentication failed. Please check credentials.");
        assert_eq!(Fault::RateLimited.message("X", Some(7)), "Rate limit exceeded. Retry in 7 seconds.");
        assert_eq!(Fault::Outage.message("Checkr", None), "Checkr is currently unavailable");
        assert_eq!(Fault::Tls.message("X", None), "SSL certificate verification failed");
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.as_str());
        }
    }

    #[test]
    fn templates_are_filled() {
        let values = BTreeMap::from([("host".to_owned(), "a.b".to_owned()), ("key".to_owned(), "k{x}".to_owned())]);
        assert_eq!(fill("https://{host}/v1?k={key}", &values).as_deref(), Some("https://a.b/v1?k=k{x}"));
        assert_eq!(fill("{missing}", &values), None);
        assert_eq!(fill("{open", &values).as_deref(), Some("{open"));
        assert_eq!(fill(r#"{} {"a":"{key}"}"#, &values).as_deref(), Some(r#"{} {"a":"k{x}"}"#));
        let values = BTreeMap::from([("key".to_owned(), "a\"b\\".to_owned())]);
        assert_eq!(fill_json(r#"{"a":"{key}"}"#, &values).as_deref(), Some(r#"{"a":"a\"b\\"}"#));
    }
}
