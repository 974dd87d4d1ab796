//! Browsers on their way to and from a provider of OAuth 2.0.
//!
//! A provider sends a browser back with a GET, so the callback is one; what it may do hangs on a cookie that only the browser
//! has which was sent. A link to connect an account is shown by a GET, which changes nothing, and used by a POST.

use axum::{
    extract::{Path, Query, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{LOCATION, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use domain::api::ApiError;
use engine::{Callback, Finished, Unfinished};
use serde::Deserialize;

use super::{
    Shared,
    auth::{cookie, session_token},
    docs::escape,
    leaf,
};

/// What a provider sends back (RFC 6749 §4.1.2, RFC 9207). What else it says is not read.
#[derive(Deserialize)]
pub struct Parameters {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

/// A browser comes back.
pub async fn callback(
    State(Shared { engine, site }): State<Shared>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Query(said): Query<Parameters>,
) -> Response {
    let session = match session_token(&headers, &site) {
        Some(token) => engine.session(token).await.ok().flatten(),
        None => None,
    };
    let callback = Callback {
        state: said.state,
        code: said.code,
        error: said.error,
        error_description: said.error_description,
        iss: said.iss,
    };
    let browser = cookie(&headers, site.oauth_cookie());
    match engine.finish_authorization(&provider, callback, browser, session.as_ref()).await {
        Ok(finished) if finished.is_member => {
            redirect(&format!("/integrations/{}?tab=connection&connected=1", finished.integration))
        }
        Ok(finished) => connected(&finished),
        Err(unfinished) => failed(&unfinished, session.is_some()),
    }
}

fn connected(finished: &Finished) -> Response {
    let account = finished.account.as_deref().unwrap_or("Your account");
    let missing = if finished.missing.is_empty() {
        String::new()
    } else {
        format!("<p>These permissions were asked for and not granted:</p><ul>{}</ul>", leaf::items(&finished.missing))
    };
    let content = format!(
        "<h1>Connected</h1><p>{} is connected to \u{201c}{}\u{201d}.</p>{missing}<p>You can close this window.</p>",
        escape(account),
        escape(&finished.name)
    );
    leaf::page(StatusCode::OK, "Connected", &content)
}

fn failed(unfinished: &Unfinished, is_signed_in: bool) -> Response {
    let steps = leaf::items(&unfinished.steps);
    let said = if unfinished.detail.is_empty() {
        String::new()
    } else {
        format!("<p class=\"said\">The provider said: {}</p>", escape(&unfinished.detail))
    };
    let back = unfinished.integration.filter(|_| is_signed_in).map(|id| {
        format!("<p><a class=\"go\" href=\"/integrations/{id}?tab=connection\">Back to the integration</a></p>")
    });
    let content = format!(
        "<h1>The account was not connected</h1><p>{}</p>{said}<p>What to do:</p><ol>{steps}</ol>{}",
        escape(&unfinished.problem),
        back.unwrap_or_default()
    );
    leaf::page(StatusCode::BAD_REQUEST, "Not connected", &content)
}

/// What a link asks for.
pub async fn show_link(State(Shared { engine, .. }): State<Shared>, Path(token): Path<String>) -> Response {
    match engine.connect_page(&token).await {
        Ok(page) => {
            let list = leaf::items(&page.permissions);
            let provider = escape(&page.provider);
            let content = format!(
                "<h1>Connect your {provider} account</h1><p>{} asks you to connect your account to \u{201c}{}\u{201d}, \
                 with these permissions:</p><ul>{list}</ul><form method=\"post\"><button>Continue to {provider}</button>\
                 </form><p class=\"said\">This link can be used once, until {} UTC.</p>",
                escape(&page.made_by),
                escape(&page.name),
                page.expires_at.to_string()[..16].replace('T', " ")
            );
            leaf::page(StatusCode::OK, "Connect an account", &content)
        }
        Err(error) => broken_link(&error),
    }
}

/// Whoever has a link goes on to the provider.
pub async fn follow_link(
    State(Shared { engine, site }): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    match engine.follow_link(&token, cookie(&headers, site.oauth_cookie())).await {
        Ok(sent) => {
            let mut response = redirect(&sent.authorization.authorization_url);
            response.headers_mut().insert(SET_COOKIE, site.oauth_cookie_for(&sent));
            response
        }
        Err(error) => broken_link(&error),
    }
}

fn broken_link(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content = format!(
        "<h1>This link does not work</h1><p>It was used already, has ended, or was cut. Ask whoever sent it for a new \
         one.</p><p class=\"said\">{}</p>",
        escape(&error.detail)
    );
    leaf::page(status, "Connect an account", &content)
}

fn redirect(to: &str) -> Response {
    let location = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}
