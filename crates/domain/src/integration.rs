//! Integrations: configured providers. What a draft must be is checked against the provider's form
//! ([`crate::catalogue::validate_config`]); here is what holds for all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    IntegrationId, Problems,
    catalogue::{Config, IntegrationType},
    health::{CHECK_INTERVAL_S, DEFAULT_CHECK_INTERVAL_S},
    words::words,
};

/// Most characters of a stored secret.
const MAX_SECRET: usize = 8_192;
/// Days after which a secret should be renewed (UC §10).
pub const SECRET_AGE_DAYS: i64 = 90;

words! {
    /// Whether an integration is used.
    pub enum IntegrationState {
        /// It is used and its health is watched.
        Active = "active",
        /// It is neither used nor watched.
        Disabled = "disabled",
    }

    /// What the dashboard counts (UC §3).
    pub enum IntegrationStatus {
        /// Used, and not known to be broken.
        Active = "active",
        /// Used, and down.
        Error = "error",
        /// Switched off.
        Disabled = "disabled",
    }
}

impl IntegrationStatus {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Error => "Error",
            Self::Disabled => "Disabled",
        }
    }
}

/// What a person or a program says of an integration, new or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IntegrationDraft {
    /// What it is for. Left out: what its provider is for. Cannot be changed.
    #[serde(default, rename = "type")]
    pub kind: Option<IntegrationType>,
    /// The provider's id in the catalogue.
    #[serde(default)]
    pub provider: String,
    /// Unique in the organization, at most 100 characters. Left empty: the provider's name.
    #[serde(default)]
    pub name: String,
    /// Values of the provider's fields. What is left out has its default.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub config: Config,
    /// Values of its secret fields: write-only. A value of the form `env:NAME` or `file:/path` is a reference, resolved
    /// whenever the secret is used. In a change, a secret that is left out or `null` keeps its value.
    #[serde(default)]
    pub secrets: BTreeMap<String, Option<String>>,
    /// Seconds between two health checks, 10–86,400.
    #[serde(default = "default_interval")]
    pub check_interval_s: u32,
    /// Another integration without which this one cannot work: while that one is down, nobody is told of this one.
    #[serde(default)]
    pub depends_on: Option<IntegrationId>,
    /// Whether it is used.
    #[serde(default = "active")]
    pub state: IntegrationState,
    /// In a change: the `version` that was read. The change is refused when somebody else was faster.
    #[serde(default)]
    pub version: Option<i64>,
}

const fn default_interval() -> u32 {
    DEFAULT_CHECK_INTERVAL_S
}

const fn active() -> IntegrationState {
    IntegrationState::Active
}

impl Default for IntegrationDraft {
    fn default() -> Self {
        Self {
            kind: None,
            provider: String::new(),
            name: String::new(),
            config: Config::new(),
            secrets: BTreeMap::new(),
            check_interval_s: DEFAULT_CHECK_INTERVAL_S,
            depends_on: None,
            state: IntegrationState::Active,
            version: None,
        }
    }
}

impl IntegrationDraft {
    /// Checks what does not depend on the provider.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        let name = self.name.trim();
        if name.chars().count() > 100 {
            problems.add("name", "Integration name must be at most 100 characters");
        } else if name.chars().any(char::is_control) {
            problems.add("name", "Integration name must be a single line of text");
        }
        if !(CHECK_INTERVAL_S.0..=CHECK_INTERVAL_S.1).contains(&self.check_interval_s) {
            problems.add("check_interval_s", "The check interval must be between 10 and 86400 seconds");
        }
        for (name, value) in &self.secrets {
            let Some(value) = value else { continue };
            if value.len() > MAX_SECRET {
                problems.add(&format!("secrets.{name}"), "A secret must be at most 8192 bytes");
            } else if let Err(message) = SecretSource::parse(value) {
                problems.add(&format!("secrets.{name}"), message);
            }
        }
        problems
    }
}

/// Where the value of a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource<'a> {
    /// Here, encrypted.
    Stored,
    /// In an environment variable of the server.
    Env(&'a str),
    /// In a file that the server can read.
    File(&'a str),
}

impl<'a> SecretSource<'a> {
    const ENV: &'static str = "env:";
    const FILE: &'static str = "file:";

    /// Reads what was entered for a secret.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        if let Some(name) = text.strip_prefix(Self::ENV) {
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return if is_name {
                Ok(Self::Env(name))
            } else {
                Err("Please give the name of a variable, as in env:NAME")
            };
        }
        if let Some(path) = text.strip_prefix(Self::FILE) {
            let is_path = path.starts_with('/') && !path.split('/').any(|part| part == "..");
            return if is_path { Ok(Self::File(path)) } else { Err("Please give an absolute path, as in file:/path") };
        }
        Ok(Self::Stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        assert_eq!(SecretSource::parse("SG.abc"), Ok(SecretSource::Stored));
        assert_eq!(SecretSource::parse("env:SMTP_PASSWORD"), Ok(SecretSource::Env("SMTP_PASSWORD")));
        assert_eq!(SecretSource::parse("file:/run/secrets/smtp"), Ok(SecretSource::File("/run/secrets/smtp")));
        for bad in ["env:", "env:a b", "file:", "file:relative", "file:/a/../etc/shadow"] {
            assert!(SecretSource::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_told_at_the_field() {
        let draft = IntegrationDraft {
            name: "x".repeat(101),
            check_interval_s: 9,
            secrets: BTreeMap::from([("smtp_password".to_owned(), Some("env:a b".to_owned()))]),
            ..IntegrationDraft::default()
        };
        let fields: Vec<String> = draft.check().into_vec().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["name", "check_interval_s", "secrets.smtp_password"]);
    }
}
