//! The form of an integration: what it holds, and what that means.

use std::collections::BTreeMap;

use domain::{
    IntegrationDraft, IntegrationId, IntegrationState,
    api::SecretMark,
    catalogue::{Config, Field, FieldKind},
};
#[cfg(feature = "ssr")]
use domain::{api::Integration, catalogue::Provider, health::DEFAULT_CHECK_INTERVAL_S};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A form with all that has to be known to fill it in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormScreen {
    /// What stands in it.
    pub form: IntegrationForm,
    /// The provider's fields, in order.
    pub fields: Vec<Field>,
    /// The secrets that are stored.
    pub secrets: BTreeMap<String, SecretMark>,
    /// What has to be registered at the provider, when it is connected by OAuth.
    pub redirect_uri: Option<String>,
    /// What the integration can depend on: all others, by name.
    pub others: Vec<(IntegrationId, String)>,
}

/// The fields of the form, named as they are posted: all text, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntegrationForm {
    /// The integration that is changed; empty for a new one.
    pub id: String,
    /// Its version when it was read; empty for a new one.
    pub version: String,
    /// The provider of a new one.
    pub provider: String,
    /// "Name".
    pub name: String,
    /// Values of fields that hold one.
    pub config: BTreeMap<String, String>,
    /// Values of fields that hold several, each as `field:value`.
    pub chosen: Vec<String>,
    /// Secrets; an empty one keeps what is stored.
    pub secrets: BTreeMap<String, String>,
    /// Seconds between two checks.
    pub check_interval_s: String,
    /// The integration without which it cannot work; empty for none.
    pub depends_on: String,
    /// Whether it is used.
    pub active: bool,
}

impl IntegrationForm {
    /// What the form says, by the fields of its provider.
    pub fn draft(&self, fields: &[Field]) -> IntegrationDraft {
        let mut config = Config::new();
        for field in fields.iter().filter(|field| !field.is_secret()) {
            config.insert(field.name.clone(), self.value(field));
        }
        let given = self.secrets.iter().filter(|(_, value)| !value.is_empty());
        IntegrationDraft {
            kind: None,
            provider: self.provider.clone(),
            name: self.name.clone(),
            config,
            secrets: given.map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
            // What is no number is no interval either, and refused in the same words.
            check_interval_s: self.check_interval_s.trim().parse().unwrap_or_default(),
            depends_on: self.depends_on.parse().ok(),
            state: if self.active { IntegrationState::Active } else { IntegrationState::Disabled },
            version: self.version.parse().ok(),
        }
    }

    fn value(&self, field: &Field) -> Value {
        let text = self.config.get(&field.name).map(|text| text.trim()).unwrap_or_default();
        match field.kind {
            FieldKind::Switch => Value::Bool(text == "true"),
            FieldKind::Choices => {
                let prefix = format!("{}:", field.name);
                self.chosen.iter().filter_map(|text| text.strip_prefix(&prefix)).map(Value::from).collect()
            }
            FieldKind::Number | FieldKind::Choice => {
                text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
            }
            _ => Value::from(text),
        }
    }
}

#[cfg(feature = "ssr")]
impl IntegrationForm {
    /// The form of an integration that exists.
    pub fn of(integration: &Integration) -> Self {
        let mut form = Self {
            id: integration.id.to_string(),
            version: integration.version.to_string(),
            provider: integration.provider.clone(),
            name: integration.name.clone(),
            check_interval_s: integration.check_interval_s.to_string(),
            depends_on: integration.depends_on.map(|id| id.to_string()).unwrap_or_default(),
            active: integration.state == IntegrationState::Active,
            ..Self::default()
        };
        for (name, value) in &integration.config {
            form.put(name, value);
        }
        form
    }

    /// The form of a new integration.
    pub fn blank(provider: &Provider) -> Self {
        let mut form = Self {
            provider: provider.id.clone(),
            name: provider.name.clone(),
            check_interval_s: DEFAULT_CHECK_INTERVAL_S.to_string(),
            active: true,
            ..Self::default()
        };
        for field in &provider.fields {
            if let Some(value) = &field.default {
                form.put(&field.name, value);
            }
        }
        form
    }

    fn put(&mut self, name: &str, value: &Value) {
        match value {
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                self.chosen.extend(texts.map(|text| format!("{name}:{text}")));
            }
            Value::String(text) => drop(self.config.insert(name.to_owned(), text.clone())),
            other => drop(self.config.insert(name.to_owned(), other.to_string())),
        }
    }
}
