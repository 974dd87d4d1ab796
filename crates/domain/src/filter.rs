//! A payload filter: which events of the subscribed types a webhook really wants.
//!
//! Deliberately a flat list of conditions that must all hold. It is not a language: what needs one belongs into the
//! receiver.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most conditions in one filter.
pub const MAX_CONDITIONS: usize = 20;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Operator {
    /// Equal, as JSON.
    Eq,
    /// Not equal, or missing.
    Ne,
    /// Greater, for two numbers.
    Gt,
    /// Less, for two numbers.
    Lt,
    /// A text that contains, or a list that has, the value.
    Contains,
    /// There (`true`) or missing (`false`).
    Exists,
}

/// One condition on an event's `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Condition {
    /// Where to look in `data`: names separated by full stops, numbers for list positions, such as `job.tags.0`.
    pub path: String,
    /// How to compare.
    pub op: Operator,
    /// What to compare with.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: Value,
}

/// Conditions that must all hold; none means every event passes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Filter(pub Vec<Condition>);

impl Filter {
    /// Whether an event with this `data` passes.
    pub fn matches(&self, data: &Value) -> bool {
        self.0.iter().all(|condition| condition.holds(data))
    }

    /// Whether every event passes, so that `data` need not be parsed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<String> {
        if self.0.len() > MAX_CONDITIONS {
            return Some(format!("A filter has at most {MAX_CONDITIONS} conditions"));
        }
        self.0.iter().find_map(|condition| {
            let path = &condition.path;
            if path.is_empty() || path.len() > 200 || path.split('.').any(str::is_empty) {
                return Some(format!("\"{path}\" is not a path such as job.status"));
            }
            match condition.op {
                Operator::Gt | Operator::Lt if !condition.value.is_number() => {
                    Some(format!("{path}: compare with a number"))
                }
                Operator::Exists if !condition.value.is_boolean() => Some(format!("{path}: exists is true or false")),
                _ => None,
            }
        })
    }
}

impl Condition {
    fn holds(&self, data: &Value) -> bool {
        let found = self.path.split('.').try_fold(data, |value, name| match value {
            Value::Object(map) => map.get(name),
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            _ => None,
        });
        match (self.op, found) {
            (Operator::Exists, found) => self.value == Value::Bool(found.is_some()),
            (Operator::Ne, found) => found != Some(&self.value),
            (_, None) => false,
            (Operator::Eq, Some(found)) => *found == self.value,
            (Operator::Gt, Some(found)) => number(found).zip(number(&self.value)).is_some_and(|(a, b)| a > b),
            (Operator::Lt, Some(found)) => number(found).zip(number(&self.value)).is_some_and(|(a, b)| a < b),
            (Operator::Contains, Some(Value::String(text))) => {
                self.value.as_str().is_some_and(|part| text.contains(part))
            }
            (Operator::Contains, Some(Value::Array(list))) => list.contains(&self.value),
            (Operator::Contains, Some(_)) => false,
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions() {
        let data = json!({"job": {"status": "active", "rate": 85, "tags": ["java", "senior"]}, "note": null});
        for (path, op, value, expected) in [
            ("job.status", Operator::Eq, json!("active"), true),
            ("job.status", Operator::Eq, json!("closed"), false),
            ("job.missing", Operator::Eq, json!(null), false),
            ("job.missing", Operator::Ne, json!("x"), true),
            ("job.rate", Operator::Gt, json!(80.5), true),
            ("job.rate", Operator::Lt, json!(80), false),
            ("job.status", Operator::Gt, json!(1), false),
            ("job.tags", Operator::Contains, json!("java"), true),
            ("job.tags.1", Operator::Eq, json!("senior"), true),
            ("job.tags.x", Operator::Exists, json!(false), true),
            ("job.status", Operator::Contains, json!("act"), true),
            ("note", Operator::Exists, json!(true), true),
        ] {
            let condition = Condition { path: path.into(), op, value };
            assert_eq!(condition.holds(&data), expected, "{condition:?}");
        }
        assert!(Filter::default().matches(&data));
    }

    #[test]
    fn nonsense_is_named() {
        let filter = |path: &str, op, value| Filter(vec![Condition { path: path.into(), op, value }]);
        assert!(filter("a..b", Operator::Eq, json!(1)).problem().is_some());
        assert!(filter("a", Operator::Gt, json!("1")).problem().is_some());
        assert!(filter("a", Operator::Exists, json!(1)).problem().is_some());
        assert!(filter("a.b", Operator::Eq, json!(null)).problem().is_none());
    }
}
