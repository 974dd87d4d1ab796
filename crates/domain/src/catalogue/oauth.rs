//! How a provider does OAuth 2.0: what RFC 6749 leaves open, and where a provider leaves it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Template;

/// Minutes for which an access token is taken to live when nobody says how long it does.
const ASSUMED_MINUTES: u32 = 55;

/// A provider's side of OAuth 2.0. Templates whose fields have no value stand for an address that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Oauth {
    /// Where people consent.
    pub authorize_url: Template,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: Template,
    /// Where a token is ended (RFC 7009).
    #[serde(default)]
    pub revoke_url: Option<Template>,
    /// Where a token's end is asked for (RFC 7662) when the answer does not say it.
    #[serde(default)]
    pub introspect_url: Option<Template>,
    /// Whose account it is; also what a health check calls.
    #[serde(default)]
    pub userinfo_url: Option<Template>,
    /// Who must have answered (RFC 9207); with a custom provider also where the other addresses are found (RFC 8414).
    #[serde(default)]
    pub issuer: Option<Template>,
    /// How the application proves itself at the token endpoint.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// More parameters of the authorization request, such as `access_type=offline`.
    #[serde(default)]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Between scopes in requests.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// Between scopes in answers, besides spaces.
    #[serde(default)]
    pub granted_separator: String,
    /// Scopes that answers do not repeat although they are granted.
    #[serde(default)]
    pub unsaid_scopes: Vec<String>,
    /// Whether a code is bound to who asked for it (PKCE with S256, RFC 7636).
    #[serde(default = "yes")]
    pub pkce: bool,
    /// What becomes of a refresh token that was used.
    #[serde(default)]
    pub rotation: Rotation,
    /// Minutes for which an access token is taken to live when nobody says how long it does.
    #[serde(default = "assumed_minutes")]
    pub access_minutes: u32,
    /// Days after which a refresh token ends, used or not.
    #[serde(default)]
    pub refresh_days: Option<u32>,
    /// Whether ending one token ends all that the account granted to the application.
    #[serde(default)]
    pub revokes_whole_grant: bool,
    /// Where the owner of an account sees and ends what it granted.
    #[serde(default)]
    pub access_page: Option<String>,
    /// What an account is called: names of members of the answer about it, the first that is there.
    #[serde(default = "account_names")]
    pub account_names: Vec<String>,
    /// What tells accounts apart: the same.
    #[serde(default = "account_ids")]
    pub account_ids: Vec<String>,
    /// Members of the token answer that are kept, such as `instance_url`, although later answers leave them out.
    #[serde(default)]
    pub keep: Vec<String>,
    /// What stops when a scope is missing, by scope: "Interviews are not scheduled".
    #[serde(default)]
    pub features: BTreeMap<String, String>,
    /// The calendars of the account.
    #[serde(default)]
    pub calendars: Option<Listing>,
}

/// How an application proves itself at the token endpoint (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ClientAuthentication {
    /// Id and secret in the body.
    #[default]
    Body,
    /// Id and secret as user name and password.
    Basic,
}

/// What becomes of a refresh token that was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Rotation {
    /// It stays; a new one may come or not.
    #[default]
    Lenient,
    /// It is dead at once, and to present it again ends the whole grant: after a lost answer nothing may be tried that can
    /// wait.
    Strict,
}

/// A list that the account's API answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Listing {
    /// Where it is.
    pub url: Template,
    /// The member of the answer that is the list.
    pub items: String,
    /// The member of an item that is its id.
    pub id: String,
    /// The member of an item that is its name.
    pub name: String,
}

fn space() -> String {
    " ".to_owned()
}

const fn yes() -> bool {
    true
}

const fn assumed_minutes() -> u32 {
    ASSUMED_MINUTES
}

fn account_names() -> Vec<String> {
    ["email", "mail", "userPrincipalName", "preferred_username", "name", "sub"].map(str::to_owned).to_vec()
}

fn account_ids() -> Vec<String> {
    ["sub", "id", "user_id", "email"].map(str::to_owned).to_vec()
}

impl Oauth {
    /// The scopes of an answer.
    pub fn scopes_of(&self, text: &str) -> Vec<String> {
        let is_between = |c: char| c.is_whitespace() || self.granted_separator.contains(c);
        text.split(is_between).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    }

    /// Which of the `requested` scopes were not `granted`.
    pub fn missing<'a>(&self, requested: &'a [String], granted: &[String]) -> Vec<&'a String> {
        requested.iter().filter(|scope| !granted.contains(scope) && !self.unsaid_scopes.contains(scope)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth() -> Oauth {
        serde_json::from_str(r#"{"authorize_url": "a", "token_url": "t", "granted_separator": ",", "unsaid_scopes": ["offline_access"]}"#)
            .unwrap()
    }

    #[test]
    fn what_a_file_leaves_out_is_what_the_standards_say() {
        let oauth = oauth();
        assert!(oauth.pkce);
        assert_eq!((oauth.scope_separator.as_str(), oauth.access_minutes), (" ", 55));
        assert_eq!(oauth.client_authentication, ClientAuthentication::Body);
    }

    #[test]
    fn scopes_are_compared_with_what_was_granted() {
        let oauth = oauth();
        let granted = oauth.scopes_of("openid,email  r_basic");
        assert_eq!(granted, ["openid", "email", "r_basic"]);
        let requested = ["openid", "offline_access", "calendar"].map(str::to_owned);
        assert_eq!(oauth.missing(&requested, &granted), ["calendar"]);
    }
}
