//! Event types, and the patterns by which a webhook subscribes to them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest event type name, in bytes.
const MAX_NAME: usize = 100;

/// Whether `name` can name an event type: words of `a-z A-Z 0-9 _` separated by full stops, at most 100 characters
/// (Standard Webhooks).
pub fn is_event_type_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.split('.').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// A group of event types on a form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Category(pub String);

/// What a kind of event is called, and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventType {
    /// Such as `job.created`.
    pub name: String,
    /// Heading under which it is offered, such as `JOBS`.
    pub category: Category,
    /// One sentence.
    pub description: String,
    /// The `data` of an example event.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub sample: serde_json::Value,
    /// Whether the organization defined it, rather than the product.
    #[serde(default)]
    pub custom: bool,
}

/// What a webhook subscribes to: one type, all of a group (`job.*`), or everything (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventPattern(String);

impl EventPattern {
    /// Whether events of this type are wanted.
    ///
    /// ```
    /// let jobs: domain::EventPattern = "job.*".parse().unwrap();
    /// assert!(jobs.matches("job.created") && jobs.matches("job.note.added"));
    /// assert!(!jobs.matches("job") && !jobs.matches("jobs.created"));
    /// ```
    pub fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => event_type.len() > prefix.len() && event_type.starts_with(prefix),
            None => self.0 == event_type,
        }
    }

    /// Whether it stands for more than one type.
    pub fn is_wildcard(&self) -> bool {
        self.0.ends_with('*')
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventPattern {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.strip_suffix(".*").unwrap_or(text);
        if text == "*" || is_event_type_name(name) { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["job.created", "a", "A_1.b", "submission.status_changed"] {
            assert!(is_event_type_name(name), "{name}");
        }
        for name in ["", ".", "job.", ".job", "job..x", "job created", "jöb", "job-created", "job.*"] {
            assert!(!is_event_type_name(name), "{name}");
        }
        assert!(!is_event_type_name(&"a".repeat(101)));
    }

    #[test]
    fn patterns() {
        let all: EventPattern = "*".parse().unwrap();
        assert!(all.matches("job.created") && all.is_wildcard());
        let one: EventPattern = "job.created".parse().unwrap();
        assert!(one.matches("job.created") && !one.matches("job.created.twice") && !one.is_wildcard());
        for text in ["", "**", "job*", "*.created", "job.*.x", "job.**"] {
            assert!(text.parse::<EventPattern>().is_err(), "{text}");
        }
    }
}
