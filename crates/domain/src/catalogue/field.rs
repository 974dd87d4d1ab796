//! The form of a provider: fields, their limits, and the words of their refusals (UC §17). The browser checks with the
//! very same function as the server.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Provider;
use crate::Problems;

/// What an integration is configured with: values by name of field, none of them secret.
pub type Config = BTreeMap<String, Value>;

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Field {
    /// Name in the API, such as `smtp_host`.
    pub name: String,
    /// For people: "SMTP Host".
    pub label: String,
    /// What may be entered.
    pub kind: FieldKind,
    /// The part of the form it stands in, such as "Connection settings".
    #[serde(default)]
    pub section: String,
    /// An example, shown while it is empty.
    #[serde(default)]
    pub placeholder: String,
    /// A sentence of help.
    #[serde(default)]
    pub help: String,
    /// Whether it may be left empty.
    #[serde(default)]
    pub optional: bool,
    /// What it is when nothing is entered.
    #[serde(default)]
    pub default: Option<Value>,
    /// Most characters.
    #[serde(default)]
    pub max_length: Option<usize>,
    /// Least number.
    #[serde(default)]
    pub min: Option<i64>,
    /// Largest number.
    #[serde(default)]
    pub max: Option<i64>,
    /// What can be chosen.
    #[serde(default)]
    pub options: Vec<Choice>,
    /// Whether other values than the options may be entered.
    #[serde(default)]
    pub open: bool,
    /// Whether the provider makes a new one on request, so that it can be regenerated here.
    #[serde(default)]
    pub regenerate: bool,
    /// The words of its refusals.
    #[serde(default)]
    pub words: Words,
}

/// What kind of value a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FieldKind {
    /// One line of text.
    Text,
    /// A name for people: letters, digits, spaces and `.,'&()-`.
    Name,
    /// An identifier: letters, digits, `-`, `_` and `.`.
    Identifier,
    /// An e-mail address.
    Email,
    /// A host name or an IP address.
    Host,
    /// A URL; https unless the operator opened networks.
    Url,
    /// A whole number.
    Number,
    /// One of the options.
    Choice,
    /// Some of the options.
    Choices,
    /// Yes or no.
    Switch,
    /// A secret: never in `config`, always in `secrets`.
    Password,
}

/// One option of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Choice {
    /// As stored.
    pub value: String,
    /// For people.
    pub label: String,
}

/// The words of a field's refusals; where one is empty, a general one is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Words {
    /// Nothing was entered.
    pub empty: String,
    /// What was entered is not of the field's kind.
    pub invalid: String,
    /// Less than [`Field::min`].
    pub below_min: String,
    /// More than [`Field::max`].
    pub above_max: String,
}

impl Field {
    /// Whether its value is a secret.
    pub fn is_secret(&self) -> bool {
        self.kind == FieldKind::Password
    }

    /// What is wrong with a value.
    pub fn problem(&self, value: Option<&Value>) -> Option<String> {
        let value = value.filter(|value| !is_empty(value));
        let Some(value) = value else {
            return (!self.optional).then(|| self.word(&self.words.empty, "is required"));
        };
        let invalid = || Some(self.word(&self.words.invalid, "is not valid"));
        match self.kind {
            FieldKind::Number => self.number_problem(value),
            FieldKind::Switch if value.is_boolean() => None,
            FieldKind::Switch => invalid(),
            FieldKind::Choice => {
                let Some(text) = plain_text(value) else { return invalid() };
                let known = self.options.iter().any(|option| option.value == text);
                if known {
                    None
                } else if self.open {
                    self.number_problem(value)
                } else {
                    invalid()
                }
            }
            FieldKind::Choices => {
                let known = |value: &Value| self.options.iter().any(|option| Some(&*option.value) == value.as_str());
                let all = value.as_array().is_some_and(|values| values.iter().all(known));
                if all { None } else { invalid() }
            }
            _ => {
                let Some(text) = value.as_str() else { return invalid() };
                if let Some(max) = self.max_length.filter(|max| text.chars().count() > *max) {
                    return Some(format!("{} must be at most {max} characters", self.label));
                }
                if is_of_kind(self.kind, text.trim()) { None } else { invalid() }
            }
        }
    }

    fn number_problem(&self, value: &Value) -> Option<String> {
        let number = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
        let Some(number) = number else { return Some(self.word(&self.words.invalid, "must be a whole number")) };
        if let Some(min) = self.min.filter(|min| number < *min) {
            return Some(self.word(&self.words.below_min, &format!("must be at least {min}")));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            return Some(self.word(&self.words.above_max, &format!("must be at most {max}")));
        }
        None
    }

    fn word(&self, own: &str, general: &str) -> String {
        if own.is_empty() { format!("{} {general}", self.label) } else { own.to_owned() }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

/// The text of a value that is one.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn is_of_kind(kind: FieldKind, text: &str) -> bool {
    if text.chars().any(char::is_control) {
        return false;
    }
    match kind {
        FieldKind::Name => text.chars().all(|c| c.is_alphanumeric() || " .,'&()-".contains(c)),
        FieldKind::Identifier => text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)),
        FieldKind::Email => is_email(text),
        FieldKind::Host => is_host(text),
        FieldKind::Url => {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace))
        }
        _ => true,
    }
}

/// A host name or an IP address.
pub fn is_host(text: &str) -> bool {
    let literal = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if literal.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    // A name that ends in a number would be read as an address (WHATWG URL, "ends in a number").
    let last_is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(is_label) && !last_is_number
}

/// An address that mail can be sent to: one `@`, a local part, a domain with a dot or `localhost`.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_local = (1..=64).contains(&local.len())
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    is_local && text.len() <= 254 && is_host(domain) && (domain.contains('.') || domain == "localhost")
}

/// Checks all values of a configuration that can be checked without asking anybody. `has_secret` tells whether a secret is given
/// or stored already.
pub fn validate_fields(fields: &[Field], config: &Config, has_secret: impl Fn(&str) -> bool) -> Problems {
    let mut problems = Problems::default();
    for field in fields {
        if field.is_secret() {
            if !field.optional && !has_secret(&field.name) {
                problems.add(&format!("secrets.{}", field.name), field.word(&field.words.empty, "is required"));
            }
        } else if let Some(message) = field.problem(config.get(&field.name)) {
            problems.add(&format!("config.{}", field.name), message);
        }
    }
    problems
}

/// The same, and whether the provider has each of these settings.
pub fn validate_config(
    provider: &Provider,
    config: &Config,
    has_secret: impl Fn(&str) -> bool,
) -> Result<(), Problems> {
    let mut problems = validate_fields(&provider.fields, config, has_secret);
    for name in config.keys() {
        if provider.field(name).is_none_or(Field::is_secret) {
            problems.add(&format!("config.{name}"), format!("{} has no setting {name}", provider.name));
        }
    }
    problems.or(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts() {
        for good in ["smtp.sendgrid.net", "localhost", "127.0.0.1", "::1", "[::1]", "a-b.c_d.example."] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "smtp sendgrid", "https://a.b", "a..b", "-a.b", "a.b:25", "1.2.3", "256.1.1.1", "a/b"] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["noreply@intime.com", "a.b+c@d.example", "root@localhost"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "a@", "@b.c", "a@b", "a b@c.de", "a@b.c\r\nBcc: x@y.z", ".a@b.c", "a@-b.c"] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn numbers_and_choices() {
        let field: Field = serde_json::from_value(json!({
            "name": "rate_limit_hour", "label": "Max emails/hour", "kind": "number", "min": 100, "max": 10000,
            "words": {"below_min": "Minimum hourly limit is 100"}
        }))
        .unwrap();
        assert_eq!(field.problem(Some(&json!(99))).as_deref(), Some("Minimum hourly limit is 100"));
        assert_eq!(field.problem(Some(&json!("10001"))).as_deref(), Some("Max emails/hour must be at most 10000"));
        assert_eq!(field.problem(Some(&json!(1.5))).as_deref(), Some("Max emails/hour must be a whole number"));
        assert_eq!(field.problem(None).as_deref(), Some("Max emails/hour is required"));
        assert_eq!(field.problem(Some(&json!(100))), None);
        let port: Field = serde_json::from_value(json!({
            "name": "smtp_port", "label": "SMTP Port", "kind": "choice", "open": true, "min": 1, "max": 65535,
            "options": [{"value": "587", "label": "587"}]
        }))
        .unwrap();
        assert_eq!(port.problem(Some(&json!(587))), None);
        assert_eq!(port.problem(Some(&json!(2525))), None);
        assert!(port.problem(Some(&json!(70000))).is_some());
        assert!(port.problem(Some(&json!("x"))).is_some());
    }
}
