//! What a webhook must be to be stored: the rules and words of UC §17, the same in the browser and on the server.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DeliveryOptions, EventPattern, Filter, Problems, RetryPolicy, SourceId};

/// Most custom headers of one webhook.
const MAX_HEADERS: usize = 20;
/// Most events (or patterns) one webhook names.
const MAX_EVENTS: usize = 200;

/// Whether events reach a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WebhookState {
    /// Events are delivered.
    Active,
    /// New events queue up (`held`) until it is resumed.
    Paused,
    /// New events pass it by, unless it was disabled because its endpoint failed; what was queued is held.
    Disabled,
}

impl WebhookState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Disabled];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for WebhookState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WebhookState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// How long the old secret keeps signing beside the new one after a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap(u32);

impl Overlap {
    /// One day.
    pub const DEFAULT_HOURS: u32 = 24;
    /// Seven days.
    pub const MAX_HOURS: u32 = 168;

    /// 0 hours revokes the old secret at once; more than [`Self::MAX_HOURS`] is refused.
    pub fn from_hours(hours: u32) -> Result<Self, Problems> {
        if hours > Self::MAX_HOURS {
            return Err(Problems::one("overlap_hours", "The overlap can be at most 168 hours (7 days)"));
        }
        Ok(Self(hours))
    }

    /// In milliseconds.
    pub const fn ms(self) -> i64 {
        self.0 as i64 * 3_600_000
    }
}

/// A header that is sent with every delivery of a webhook.
///
/// Values may be credentials, so they are write-only: an answer has `null` in their place, and `null` in a change keeps
/// the value that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomHeader {
    /// Such as `Authorization`.
    pub name: String,
    /// At most 4,096 characters.
    #[serde(default)]
    pub value: Option<String>,
}

/// What a person or a program says of a webhook, new or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookDraft {
    /// Unique in the organization, at most 100 characters.
    #[serde(default)]
    pub name: String,
    /// Where deliveries go: HTTPS, at most 2,048 characters.
    #[serde(default)]
    pub url: String,
    /// For people, at most 500 characters.
    #[serde(default)]
    pub description: String,
    /// Event types, `group.*` or `*`; at least one.
    #[serde(default)]
    pub events: Vec<String>,
    /// Sent with every delivery.
    #[serde(default)]
    pub headers: Vec<CustomHeader>,
    /// Only events of this source; without it, of the whole organization.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// Only events whose `data` passes.
    #[serde(default)]
    pub filter: Filter,
    /// Instead of the organization's retry policy.
    #[serde(default)]
    pub retry_policy: Option<RetryPolicy>,
    /// Instead of the webhook's retry policy, for single event types.
    #[serde(default)]
    pub event_policies: BTreeMap<String, RetryPolicy>,
    /// Pace, order and age of its deliveries.
    #[serde(default)]
    pub options: DeliveryOptions,
    /// Whether events are delivered.
    #[serde(default = "active")]
    pub state: WebhookState,
    /// In a change: the `version` that was read. The change is refused when somebody else was faster.
    #[serde(default)]
    pub version: Option<i64>,
}

const fn active() -> WebhookState {
    WebhookState::Active
}

impl Default for WebhookDraft {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            description: String::new(),
            events: Vec::new(),
            headers: Vec::new(),
            source_id: None,
            filter: Filter::default(),
            retry_policy: None,
            event_policies: BTreeMap::new(),
            options: DeliveryOptions::default(),
            state: WebhookState::Active,
            version: None,
        }
    }
}

/// Checks all that can be checked without asking anybody.
///
/// `known` tells whether an event type exists. `http_allowed` is true where the operator opened networks for plain
/// HTTP; the server then still checks the address itself.
pub fn validate_webhook(
    draft: &WebhookDraft,
    known: impl Fn(&str) -> bool,
    http_allowed: bool,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let name = draft.name.trim();
    if name.is_empty() {
        problems.add("name", "Webhook name is required");
    } else if name.chars().count() > 100 {
        problems.add("name", "Webhook name must be at most 100 characters");
    } else if name.chars().any(char::is_control) {
        problems.add("name", "Webhook name must be a single line of text");
    }
    if let Some(message) = url_problem(draft.url.trim(), http_allowed) {
        problems.add("url", message);
    }
    if draft.description.chars().count() > 500 {
        problems.add("description", "Description must be at most 500 characters");
    }
    if draft.events.is_empty() {
        problems.add("events", "Please select at least one event to subscribe to");
    } else if draft.events.len() > MAX_EVENTS {
        problems.add("events", format!("A webhook names at most {MAX_EVENTS} events; use a wildcard such as job.*"));
    } else if let Some(unknown) = draft.events.iter().find(|event| match event.parse::<EventPattern>() {
        Ok(pattern) => !pattern.is_wildcard() && !known(event),
        Err(()) => true,
    }) {
        problems.add("events", format!("Unknown event type: {unknown}"));
    }
    if draft.headers.len() > MAX_HEADERS {
        problems.add("headers", format!("A webhook has at most {MAX_HEADERS} custom headers"));
    }
    for (index, header) in draft.headers.iter().enumerate() {
        if let Some(message) = header_problem(header) {
            problems.add("headers", message);
        } else if draft.headers[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&header.name)) {
            problems.add("headers", format!("Header {} is given twice", header.name));
        }
    }
    if let Some(message) = draft.filter.problem() {
        problems.add("filter", message);
    }
    if let Some(policy) = &draft.retry_policy {
        problems.add_inside("retry_policy", policy.validate());
    }
    if draft.event_policies.len() > MAX_EVENTS {
        problems.add("event_policies", format!("A webhook has at most {MAX_EVENTS} policies for event types"));
    }
    for (event, policy) in &draft.event_policies {
        if !known(event) {
            problems.add("event_policies", format!("Unknown event type: {event}"));
        }
        problems.add_inside(&format!("event_policies.{event}"), policy.validate());
    }
    problems.add_inside("options", draft.options.validate());
    problems.or(())
}

fn url_problem(url: &str, http_allowed: bool) -> Option<&'static str> {
    const INVALID: &str = "Please enter a valid HTTPS URL";
    if url.is_empty() {
        return Some("Webhook URL is required");
    }
    if url.len() > 2048 {
        return Some("Webhook URL must be at most 2048 characters");
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Some(INVALID) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some(INVALID);
    }
    match scheme.to_ascii_lowercase().as_str() {
        "https" => {}
        "http" if http_allowed => {}
        "http" => return Some("Webhook URLs must use HTTPS for security"),
        _ => return Some(INVALID),
    }
    authority.contains('@').then_some("Webhook URL must not contain a user name or password; use a custom header")
}

fn header_problem(header: &CustomHeader) -> Option<String> {
    /// Headers that carry the message itself, its framing, or our identity.
    const RESERVED: [&str; 11] = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "user-agent",
    ];
    let name = &header.name;
    let lower = name.to_ascii_lowercase();
    if name.is_empty()
        || name.len() > 100
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    {
        return Some(format!("\"{name}\" is not a header name"));
    }
    if RESERVED.contains(&lower.as_str())
        || ["webhook-", "x-intime-", "proxy-"].iter().any(|prefix| lower.starts_with(prefix))
    {
        return Some(format!("Header {name} is set by the sender and cannot be changed"));
    }
    match &header.value {
        Some(value) if value.len() > 4096 => Some(format!("The value of {name} must be at most 4096 characters")),
        Some(value) if value.bytes().any(|b| b == 0x7f || (b < 0x20 && b != b'\t')) => {
            Some(format!("The value of {name} must be a single line of text"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> WebhookDraft {
        WebhookDraft {
            name: "Job Created - Zapier".into(),
            url: "https://hooks.zapier.com/hooks/catch/1/a".into(),
            events: vec!["job.created".into()],
            ..WebhookDraft::default()
        }
    }

    fn problem(change: impl FnOnce(&mut WebhookDraft)) -> (String, String) {
        let mut draft = draft();
        change(&mut draft);
        let errors = validate_webhook(&draft, |name| name == "job.created", false).unwrap_err().into_vec();
        assert_eq!(errors.len(), 1, "{errors:?}");
        (errors[0].field.clone(), errors[0].message.clone())
    }

    #[test]
    fn the_words_of_the_specification() {
        assert!(validate_webhook(&draft(), |_| true, false).is_ok());
        for (field, message, change) in [
            ("name", "Webhook name is required", (|d| d.name = "  ".into()) as fn(&mut WebhookDraft)),
            ("name", "Webhook name must be at most 100 characters", |d| d.name = "ü".repeat(101)),
            ("url", "Webhook URL is required", |d| d.url = String::new()),
            ("url", "Please enter a valid HTTPS URL", |d| d.url = "zapier".into()),
            ("url", "Please enter a valid HTTPS URL", |d| d.url = "ftp://example.com".into()),
            ("url", "Please enter a valid HTTPS URL", |d| d.url = "https:///path".into()),
            ("url", "Webhook URLs must use HTTPS for security", |d| d.url = "http://example.com".into()),
            ("url", "Webhook URL must be at most 2048 characters", |d| {
                d.url = format!("https://a.b/{}", "x".repeat(2048));
            }),
            ("events", "Please select at least one event to subscribe to", |d| d.events.clear()),
            ("events", "Unknown event type: job.dreamt", |d| d.events.push("job.dreamt".into())),
            ("headers", "Header Webhook-Id is set by the sender and cannot be changed", |d| {
                d.headers.push(CustomHeader { name: "Webhook-Id".into(), value: Some("x".into()) });
            }),
            ("headers", "The value of X-A must be a single line of text", |d| {
                d.headers.push(CustomHeader { name: "X-A".into(), value: Some("a\r\nb".into()) });
            }),
        ] {
            assert_eq!(problem(change), (field.to_owned(), message.to_owned()));
        }
    }

    #[test]
    fn policies_and_options_are_checked_at_their_fields() {
        let bad = RetryPolicy { max_retries: 11, ..RetryPolicy::default() };
        let (field, message) = problem(|d| d.event_policies = [("job.created".to_owned(), bad)].into());
        assert_eq!((&*field, &*message), ("event_policies.job.created.max_retries", "Maximum retry count is 10"));
        let (field, _) = problem(|d| d.event_policies = [("job.dreamt".to_owned(), RetryPolicy::default())].into());
        assert_eq!(field, "event_policies");
        let (field, message) = problem(|d| d.options.rate_limit_per_s = Some(0));
        assert_eq!(
            (&*field, &*message),
            ("options.rate_limit_per_s", "Rate limit must be between 1 and 1000 per second")
        );
    }

    #[test]
    fn wildcards_need_no_known_type() {
        let mut draft = draft();
        draft.events = vec!["nothing.*".into(), "*".into()];
        assert!(validate_webhook(&draft, |_| false, false).is_ok());
    }

    #[test]
    fn overlap_has_a_limit() {
        assert_eq!(Overlap::from_hours(24).map(Overlap::ms), Ok(86_400_000));
        assert!(Overlap::from_hours(169).is_err());
    }
}
