//! What a token endpoint answers, and what follows from it: when tokens end, when they are refreshed, what was granted.

use std::{collections::BTreeMap, time::Duration};

use domain::{ConnectionStatus, PublicId, Timestamp, refresh_at};
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse, basic::BasicTokenType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{IntegrationRow, NewTokens};
use uuid::Uuid;

use super::{application::Application, exchange::introspect};
use crate::{Inner, secrets::Secret};

/// Where tokens are sealed.
const TABLE: &str = "connections";
const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";

/// An answer of a token endpoint. More lenient than RFC 6749 §5.1: LinkedIn names no type, others give numbers as texts.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Tokens {
    access_token: AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).filter(|seconds| *seconds > 0)
}

impl TokenResponse for Tokens {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        let seconds = self.expires_in.as_ref().and_then(seconds)?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// Separators differ: [`Tokens::granted`] reads them.
    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl Tokens {
    pub fn access(&self) -> Secret {
        Secret::new(self.access_token.secret().clone())
    }

    /// The scopes that were granted; `None`: the answer does not say, so those that were asked for (RFC 6749 §5.1).
    pub fn granted(&self, application: &Application) -> Option<Vec<String>> {
        self.scope.as_deref().map(|text| application.oauth.scopes_of(text))
    }

    /// What is stored of an answer that came at `now`. `has_refresh_token`: one is stored already, which an answer without
    /// one leaves in force (RFC 6749 §6).
    pub async fn to_store(
        &self,
        inner: &Inner,
        application: &Application,
        row: &IntegrationRow,
        now: Timestamp,
        has_refresh_token: bool,
    ) -> NewTokens {
        let oauth = &application.oauth;
        let mut lifetime_ms = self.expires_in.as_ref().and_then(seconds).map(|seconds| seconds * 1_000);
        if lifetime_ms.is_none() {
            let end = introspect(inner, application, &self.access()).await;
            lifetime_ms = end.map(|end| end * 1_000 - now.millis()).filter(|left| *left > 0);
        }
        let lifetime_ms = lifetime_ms.unwrap_or(i64::from(oauth.access_minutes) * 60_000);
        let is_refreshed = has_refresh_token || self.refresh_token.is_some();
        let said_ms = self.more.get("refresh_token_expires_in").and_then(seconds).map(|seconds| seconds * 1_000);
        // Of a provider that gives a fixed time, it begins with the refresh token and not with each refresh.
        let fixed = oauth.refresh_days.filter(|_| self.refresh_token.is_some() && !has_refresh_token);
        let consent_ms =
            said_ms.filter(|_| oauth.refresh_days.is_some()).or(fixed.map(|days| i64::from(days) * 86_400_000));
        let mut known = application.known.clone();
        for name in &oauth.keep {
            if let Some(text) = self.more.get(name).and_then(Value::as_str) {
                known.insert(name.clone(), text.to_owned());
            }
        }
        let id = row.integration.id.uuid();
        NewTokens {
            access_token: inner.seal_token(ACCESS, id, self.access_token.secret()),
            refresh_token: self.refresh_token.as_ref().map(|token| inner.seal_token(REFRESH, id, token.secret())),
            expires_at: now.plus_ms(lifetime_ms),
            consent_ends_at: consent_ms.map(|ms| now.plus_ms(ms)),
            refresh_at: is_refreshed.then(|| refresh_at(now, lifetime_ms, inner.entropy.fraction())),
            granted: self.granted(application),
            known,
            status: if is_refreshed { ConnectionStatus::Connected } else { ConnectionStatus::Expiring },
        }
    }
}

impl Inner {
    fn seal_token(&self, column: &str, id: Uuid, token: &str) -> Vec<u8> {
        self.keyring.seal(&*self.entropy, TABLE, column, id, token)
    }

    pub(super) fn open_access_token(&self, id: Uuid, sealed: &[u8]) -> Option<Secret> {
        self.open_token(ACCESS, id, sealed)
    }

    pub(super) fn open_refresh_token(&self, id: Uuid, sealed: &[u8]) -> Option<Secret> {
        self.open_token(REFRESH, id, sealed)
    }

    fn open_token(&self, column: &str, id: Uuid, sealed: &[u8]) -> Option<Secret> {
        let opened = self.keyring.open(TABLE, column, id, sealed);
        opened.inspect_err(|error| tracing::error!(%error, integration.id = %id, "a token cannot be read")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_answer_is_read() {
        for text in [
            r#"{"access_token": "a", "expires_in": 5184000, "scope": "openid,email"}"#,
            r#"{"access_token": "a", "token_type": "Bearer", "expires_in": "3599", "refresh_token": null}"#,
            r#"{"access_token": "a", "token_type": "Bearer", "instance_url": "https://x.my.salesforce.com"}"#,
        ] {
            let tokens: Tokens = serde_json::from_str(text).unwrap();
            assert_eq!(tokens.access().expose(), "a", "{text}");
        }
        assert!(serde_json::from_str::<Tokens>(r#"{"error": "invalid_grant"}"#).is_err());
        assert_eq!(seconds(&Value::from("3599")), Some(3_599));
        assert_eq!(seconds(&Value::from(0)), None);
    }
}
