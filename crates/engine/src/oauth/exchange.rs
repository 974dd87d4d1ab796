//! Requests to a provider's side of OAuth 2.0, through the guarded client: codes and refresh tokens are exchanged, tokens
//! ended and asked about, and the account's API is called.
//!
//! The protocol is the `oauth2` crate's; what providers answer beside it is read here. Redirects are never followed.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::{REFRESH_DEADLINE_MS, catalogue::ClientAuthentication, delivery::ErrorClass};
use http::{HeaderMap, HeaderValue, Method, header};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, TokenUrl,
};
use serde_json::Value;
use url::Url;

use super::{application::Application, tokens::Tokens};
use crate::{
    Inner,
    http::{Failure, Request, Response},
    secrets::Secret,
};

/// Most bytes of an answer that are read.
const ANSWER_BYTES: usize = 256 * 1024;
/// Most characters of an answer that are kept.
const DETAIL_CHARS: usize = 1_000;

/// What became of a request.
pub(super) enum Exchanged<T> {
    /// What was asked for.
    Answer(T),
    /// The provider said no.
    Refused {
        status: u16,
        /// `error` of the body (RFC 6749 §5.2); empty when it says none.
        error: String,
        /// For people: the description, or what else was said.
        detail: String,
    },
    /// Nobody answered.
    Unanswered {
        /// Whether the request may have arrived.
        may_be_done: bool,
        detail: String,
    },
}

type Client = oauth2::Client<
    oauth2::basic::BasicErrorResponse,
    Tokens,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    oauth2::EndpointSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

fn client(application: &Application) -> Client {
    let redirect = RedirectUrl::new(application.redirect_uri.clone());
    oauth2::Client::new(ClientId::new(application.client_id.clone()))
        .set_client_secret(ClientSecret::new(application.client_secret.expose().to_owned()))
        .set_auth_uri(AuthUrl::from_url(application.authorize_url.clone()))
        .set_token_uri(TokenUrl::from_url(application.token_url.clone()))
        .set_redirect_uri(redirect.expect("the public URL was parsed when the configuration was read"))
        .set_auth_type(match application.oauth.client_authentication {
            ClientAuthentication::Body => AuthType::RequestBody,
            ClientAuthentication::Basic => AuthType::BasicAuth,
        })
}

/// Where a browser is sent so that an account consents.
pub(super) fn authorization_url(
    application: &Application,
    scopes: &[String],
    state: &str,
    verifier: Option<&Secret>,
) -> Url {
    let client = client(application);
    let mut request = client.authorize_url(|| CsrfToken::new(state.to_owned()));
    if !scopes.is_empty() {
        request = request.add_scope(Scope::new(scopes.join(&application.oauth.scope_separator)));
    }
    for (name, value) in &application.oauth.authorize_parameters {
        request = request.add_extra_param(name.clone(), value.clone());
    }
    if let Some(verifier) = verifier {
        let verifier = PkceCodeVerifier::new(verifier.expose().to_owned());
        request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    }
    request.url().0
}

/// Exchanges the code that a browser brought back.
pub(super) async fn exchange_code(
    inner: &Inner,
    application: &Application,
    code: &str,
    verifier: Option<Secret>,
) -> Exchanged<Tokens> {
    let client = client(application);
    let mut request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
    if let Some(verifier) = verifier {
        request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
    }
    let asking = Asking::of(inner);
    let answer = request.request_async(&asking).await.ok();
    asking.judge(answer)
}

/// Exchanges a refresh token.
pub(super) async fn exchange_refresh_token(
    inner: &Inner,
    application: &Application,
    refresh_token: &Secret,
) -> Exchanged<Tokens> {
    let client = client(application);
    let token = RefreshToken::new(refresh_token.expose().to_owned());
    let asking = Asking::of(inner);
    let answer = client.exchange_refresh_token(&token).request_async(&asking).await.ok();
    asking.judge(answer)
}

/// The guarded client as the crate asks it. It keeps what came back: the crate says less of a refusal than people need.
struct Asking<'a> {
    inner: &'a Inner,
    seen: Mutex<Option<Result<Response, Failure>>>,
}

impl<'c> AsyncHttpClient<'c> for Asking<'_> {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, Failure>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl<'a> Asking<'a> {
    fn of(inner: &'a Inner) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    async fn send(&self, request: oauth2::HttpRequest) -> Result<oauth2::HttpResponse, Failure> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).expect("the crate writes the URL that it was given");
        let answer = self.inner.client.send(to_send(url, parts.method, parts.headers, body.into())).await;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.clone());
        let answer = answer?;
        // Without its type: what is JSON is read as JSON, whatever the provider calls it.
        let mut response = http::Response::new(answer.body.to_vec());
        *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
        Ok(response)
    }

    fn judge(self, answer: Option<Tokens>) -> Exchanged<Tokens> {
        match (answer, self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            (Some(tokens), _) => Exchanged::Answer(tokens),
            // It said yes, and what it gave cannot be read: the old refresh token may be spent.
            (None, Some(Ok(answer))) if (200..300).contains(&answer.status) => Exchanged::Unanswered {
                may_be_done: true,
                detail: format!("{} with an answer that makes no sense", answer.status),
            },
            (None, Some(seen)) => refusal(seen),
            (None, None) => Exchanged::Unanswered { may_be_done: false, detail: "The request is not valid".to_owned() },
        }
    }
}

fn to_send(url: Url, method: Method, headers: HeaderMap, body: Bytes) -> Request {
    Request { url, method, headers, body, timeout_ms: REFRESH_DEADLINE_MS, max_body_bytes: ANSWER_BYTES, exempt: None }
}

/// What an answer without what was asked for says.
fn refusal<T>(seen: Result<Response, Failure>) -> Exchanged<T> {
    match seen {
        Ok(answer) => {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            // Zoom says "reason", Microsoft Graph and Google wrap the error.
            let text = |names: &[&str]| {
                let found = names.iter().find_map(|name| body.get(*name)?.as_str());
                found.unwrap_or_default().to_owned()
            };
            let error = text(&["error", "code"]);
            let described = text(&["error_description", "reason", "message"]);
            let said = match (error.is_empty(), described.is_empty()) {
                (false, false) => format!("{error}: {described}"),
                (false, true) => error.clone(),
                (true, false) => described,
                (true, true) => String::from_utf8_lossy(&answer.body).into_owned(),
            };
            Exchanged::Refused { status: answer.status, error, detail: printable(&format!("{} {said}", answer.status)) }
        }
        Err(failure) => {
            let never_sent = matches!(
                failure.class,
                ErrorClass::Dns
                    | ErrorClass::ConnectRefused
                    | ErrorClass::ConnectTimeout
                    | ErrorClass::Tls
                    | ErrorClass::Blocked
            );
            Exchanged::Unanswered { may_be_done: !never_sent, detail: failure.detail }
        }
    }
}

fn printable(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(DETAIL_CHARS).collect()
}

/// Calls the account's API, or reads metadata.
pub(super) async fn get_json(inner: &Inner, url: Url, token: Option<&Secret>) -> Exchanged<Value> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, bearer(token));
    }
    let seen = inner.client.send(to_send(url, Method::GET, headers, Bytes::new())).await;
    match seen {
        Ok(answer) if (200..300).contains(&answer.status) => match serde_json::from_slice(&answer.body) {
            Ok(value) => Exchanged::Answer(value),
            Err(_) => Exchanged::Refused {
                status: answer.status,
                error: String::new(),
                detail: "The answer is not JSON".to_owned(),
            },
        },
        seen => refusal(seen),
    }
}

fn bearer(token: &Secret) -> HeaderValue {
    let text = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut value = text.unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}

/// Ends a token (RFC 7009).
pub(super) async fn revoke(inner: &Inner, application: &Application, url: Url, token: &Secret) -> Exchanged<()> {
    match post_form(inner, application, url, &[("token", token.expose())]).await {
        Ok(answer) if (200..300).contains(&answer.status) => Exchanged::Answer(()),
        seen => refusal(seen),
    }
}

/// When a token ends, in seconds since 1970 (RFC 7662), if the provider says so.
pub(super) async fn introspect(inner: &Inner, application: &Application, token: &Secret) -> Option<i64> {
    let url = application.introspect_url.clone()?;
    let answer = post_form(inner, application, url, &[("token", token.expose())]).await.ok()?;
    let said: Value = serde_json::from_slice(&answer.body).ok()?;
    // LinkedIn calls it so.
    said.get("exp").or_else(|| said.get("expires_at"))?.as_i64()
}

async fn post_form(
    inner: &Inner,
    application: &Application,
    url: Url,
    pairs: &[(&str, &str)],
) -> Result<Response, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let (id, secret) = (&application.client_id, application.client_secret.expose());
    let mut pairs = pairs.to_vec();
    match application.oauth.client_authentication {
        ClientAuthentication::Body => pairs.extend([("client_id", id.as_str()), ("client_secret", secret)]),
        ClientAuthentication::Basic => {
            // RFC 6749 §2.3.1: each is form-encoded first.
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
            let mut value = HeaderValue::from_str(&format!("Basic {pair}")).expect("base64 is a header value");
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    inner.client.send(to_send(url, Method::POST, headers, form.into())).await
}
