//! An application at a provider: its id and secret, and the addresses of the provider's side. They come from the
//! integration's settings; of a custom provider that names only its issuer they are found by discovery (RFC 8414).

use std::sync::Arc;

use domain::catalogue::{Config, Fault, Oauth, Provider, fill};
use serde_json::Value;
use storage::{IntegrationRow, Known};
use url::Url;

use super::exchange::{Exchanged, exchange_code, get_json};
use crate::{
    Inner,
    integrations::{Values, values},
    secrets::{self, Secret},
};

/// An application at a provider.
pub(super) struct Application {
    pub provider: String,
    pub oauth: Arc<Oauth>,
    pub client_id: String,
    pub client_secret: Secret,
    pub redirect_uri: String,
    pub authorize_url: Url,
    pub token_url: Url,
    pub revoke_url: Option<Url>,
    pub introspect_url: Option<Url>,
    pub userinfo_url: Option<Url>,
    pub calendars_url: Option<Url>,
    /// Who answers, when that is known.
    pub issuer: Option<String>,
    /// Whether the provider says who answers.
    pub says_issuer: bool,
    /// Scopes of the settings.
    pub scopes: Vec<String>,
    /// What discovery found, to be kept with the connection.
    pub known: Known,
}

/// Names in metadata (RFC 8414 §2), and ours.
const METADATA: [(&str, &str); 5] = [
    ("authorization_endpoint", "authorize_url"),
    ("token_endpoint", "token_url"),
    ("revocation_endpoint", "revoke_url"),
    ("introspection_endpoint", "introspect_url"),
    ("userinfo_endpoint", "userinfo_url"),
];
/// Name under which it is known whether a provider says who answers.
const SAYS_ISSUER: &str = "says_issuer";

impl Application {
    /// The application of an integration. `known` is what was found before. The error is for people.
    pub async fn of(inner: &Inner, row: &IntegrationRow, known: &Known) -> Result<Self, String> {
        let integration = &row.integration;
        let provider = inner.providers.provider(&integration.provider).cloned();
        let provider = provider.ok_or_else(|| format!("Unknown provider: {}", integration.provider))?;
        let secrets = inner.open_secrets(row).map_err(|error| error.detail)?;
        let values = values(inner, &integration.config, &secrets).await?;
        Self::filled(inner, &provider, &values, &integration.config, known.clone()).await
    }

    /// The application that settings describe, whether they are stored or not.
    pub async fn filled(
        inner: &Inner,
        provider: &Provider,
        values: &Values,
        config: &Config,
        mut known: Known,
    ) -> Result<Self, String> {
        let oauth = inner.providers.oauth(&provider.id).cloned();
        let oauth = oauth.ok_or_else(|| format!("{} is not connected by OAuth", provider.name))?;
        // A value that is empty is not there.
        let mut values = values.clone();
        values.retain(|_, value| !value.is_empty());
        let filled = |template: &str| fill(template, &values);
        let issuer = oauth.issuer.as_deref().and_then(filled);
        let is_whole = filled(&oauth.authorize_url).is_some() && filled(&oauth.token_url).is_some();
        if let Some(issuer) = issuer.as_deref().filter(|_| !is_whole && !known.contains_key("token_url")) {
            known.extend(discover(inner, issuer).await?);
        }
        let address = |name: &str, template: Option<&str>| {
            let text = template.and_then(filled).or_else(|| known.get(name).cloned());
            text.map(|text| Url::parse(&text).map_err(|error| format!("{text} is not a URL: {error}"))).transpose()
        };
        let needed = |label: &str, url: Option<Url>| url.ok_or_else(|| format!("{label} is required"));
        let of = |name: &str| values.get(name).cloned().unwrap_or_default();
        let client_secret = Secret::new(of("client_secret"));
        if client_secret.expose().is_empty() {
            return Err("Client secret is required".to_owned());
        }
        Ok(Self {
            provider: provider.name.clone(),
            client_id: of("client_id"),
            client_secret,
            redirect_uri: inner.redirect_uri(&provider.id),
            authorize_url: needed("Authorization URL", address("authorize_url", Some(&oauth.authorize_url))?)?,
            token_url: needed("Token URL", address("token_url", Some(&oauth.token_url))?)?,
            revoke_url: address("revoke_url", oauth.revoke_url.as_deref())?,
            introspect_url: address("introspect_url", oauth.introspect_url.as_deref())?,
            userinfo_url: address("userinfo_url", oauth.userinfo_url.as_deref())?,
            calendars_url: address("calendars_url", oauth.calendars.as_ref().map(|listing| listing.url.as_str()))?,
            scopes: scopes(&oauth, config.get("scopes")),
            says_issuer: known.contains_key(SAYS_ISSUER),
            issuer,
            oauth,
            known,
        })
    }
}

/// Whether a provider knows an application, asked with a code that nobody was given: refused is then only the code. Answers
/// where it was asked.
pub(crate) async fn try_application(
    inner: &Inner,
    provider: &Provider,
    values: &Values,
) -> Result<String, (Fault, Option<u16>, String)> {
    let application = Application::filled(inner, provider, values, &Config::new(), Known::new()).await;
    let application = application.map_err(|detail| (Fault::Misconfigured, None, detail))?;
    let target = application.token_url.host_str().unwrap_or_default().to_owned();
    let verifier = application.oauth.pkce.then(|| Secret::new(secrets::token(&*inner.entropy)));
    match exchange_code(inner, &application, "signalbox-test", verifier).await {
        Exchanged::Answer(_) => Err((Fault::Garbage, None, "The provider gave tokens for no code at all".to_owned())),
        Exchanged::Refused { status, error, detail } => match error.as_str() {
            "invalid_grant" | "invalid_code" | "bad_verification_code" => Ok(target),
            _ if status >= 500 => Err((Fault::Outage, Some(status), detail)),
            _ => Err((Fault::Authentication, Some(status), detail)),
        },
        Exchanged::Unanswered { may_be_done, detail } => {
            Err((if may_be_done { Fault::Timeout } else { Fault::Refused }, None, detail))
        }
    }
}

/// The scopes of the settings, chosen or written.
pub(super) fn scopes(oauth: &Oauth, value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(chosen)) => chosen.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => oauth.scopes_of(text),
        _ => Vec::new(),
    }
}

impl Inner {
    /// What has to be registered at a provider (UC §17).
    pub(super) fn redirect_uri(&self, provider: &str) -> String {
        format!("{}/oauth/callback/{provider}", self.config.public_url)
    }
}

/// The addresses of an issuer, by its metadata.
async fn discover(inner: &Inner, issuer: &str) -> Result<Known, String> {
    let base = Url::parse(issuer).map_err(|error| format!("The issuer is not a URL: {error}"))?;
    let path = base.path().trim_end_matches('/').to_owned();
    // RFC 8414 §3.1 puts the name between host and path, OpenID Connect Discovery §4 after the path.
    let places =
        [format!("{path}/.well-known/openid-configuration"), format!("/.well-known/oauth-authorization-server{path}")];
    let mut said = String::new();
    for place in places {
        let mut url = base.clone();
        url.set_path(&place);
        match get_json(inner, url, None).await {
            Exchanged::Answer(metadata) => return found(issuer, &metadata),
            Exchanged::Refused { detail, .. } | Exchanged::Unanswered { detail, .. } => said = detail,
        }
    }
    Err(format!("The issuer does not say where its endpoints are: {said}"))
}

fn found(issuer: &str, metadata: &Value) -> Result<Known, String> {
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    // RFC 8414 §3.3: whoever answers for another issuer is not believed.
    if text("issuer").is_none_or(|said| said.trim_end_matches('/') != issuer.trim_end_matches('/')) {
        return Err(format!("{issuer} answers for another issuer"));
    }
    let mut known: Known =
        METADATA.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), text(theirs)?.to_owned()))).collect();
    if metadata.get("authorization_response_iss_parameter_supported").and_then(Value::as_bool) == Some(true) {
        known.insert(SAYS_ISSUER.to_owned(), "true".to_owned());
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_believed_only_of_its_issuer() {
        let metadata = json!({
            "issuer": "https://login.example.com", "authorization_endpoint": "https://login.example.com/auth",
            "token_endpoint": "https://login.example.com/token", "authorization_response_iss_parameter_supported": true,
        });
        let known = found("https://login.example.com/", &metadata).unwrap();
        assert_eq!(known["token_url"], "https://login.example.com/token");
        assert!(known.contains_key(SAYS_ISSUER) && !known.contains_key("revoke_url"));
        assert!(found("https://evil.example.com", &metadata).is_err());
    }
}
