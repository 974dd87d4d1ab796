//! The server's half of a page: who asks, with which engine, and what is set on the response. The server provides [`Visitor`]
//! and the engine as contexts of every page and server function; nothing in here decides who may do what.

use domain::{Timestamp, api::ErrorCode};
use engine::{Actor, Engine, Origin};
use http::{
    HeaderName, HeaderValue,
    header::{ACCEPT, COOKIE, LOCATION, REFERER, SET_COOKIE},
    request::Parts,
};
use leptos::{
    prelude::*,
    server_fn::{ServerFn, error::ServerFnUrlError},
};
use leptos_axum::ResponseOptions;

use crate::error::CallError;

/// Who made the request.
#[derive(Clone)]
pub struct Visitor {
    /// The member, when the session cookie names a session that lives.
    pub actor: Option<Actor>,
    /// Where the request came from.
    pub origin: Origin,
    /// The session cookie's value.
    pub session_token: Option<String>,
    /// Whether the public address is https, so that cookies are `Secure` and carry the `__Host-` prefix.
    pub secure_cookies: bool,
}

/// Who made this request.
pub(crate) fn visitor() -> Result<Visitor, CallError> {
    use_context().ok_or_else(|| refusal(ErrorCode::Internal, "The server did not say who is asking."))
}

/// The engine.
pub(crate) fn engine() -> Result<Engine, CallError> {
    use_context().ok_or_else(|| refusal(ErrorCode::Internal, "The server did not provide its engine."))
}

/// The engine, and the member who is signed in.
pub(crate) fn caller() -> Result<(Engine, Actor), CallError> {
    let signed_out = || refusal(ErrorCode::Unauthorized, "Your session has ended. Sign in again.");
    Ok((engine()?, visitor()?.actor.ok_or_else(signed_out)?))
}

/// Reads an id out of an address or a form; what is no id names nothing.
pub(crate) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, CallError> {
    text.parse().map_err(|_| domain::api::ApiError::not_found(what).into())
}

pub(crate) fn refusal(code: ErrorCode, detail: &str) -> CallError {
    domain::api::ApiError::new(code, detail).into()
}

fn header(name: HeaderName) -> Option<String> {
    use_context::<Parts>()?.headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The id under which this request is in the log.
pub(crate) fn request_id() -> Option<String> {
    header(HeaderName::from_static("x-request-id"))
}

/// The value of a cookie of this request.
pub(crate) fn cookie(name: &str) -> Option<String> {
    let cookies = header(COOKIE)?;
    cookies.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

/// Adds a `Set-Cookie` to the response.
pub(crate) fn set_cookie(text: &str) {
    if let (Some(response), Ok(value)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(text)) {
        response.append_header(SET_COOKIE, value);
    }
}

/// Name of the session cookie. On https the prefix makes browsers refuse it from other hosts and from plain http.
pub const fn session_cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-signalbox_session" } else { "signalbox_session" }
}

/// Name of the cookie by which a browser is known that was sent to a provider of OAuth 2.0.
pub const fn oauth_cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-signalbox_oauth" } else { "signalbox_oauth" }
}

/// That cookie. It comes back with the provider's redirect, which is why it is not `Strict`.
pub fn oauth_cookie(sent: &engine::Sent, secure: bool) -> String {
    format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax; Expires={}{}",
        oauth_cookie_name(secure),
        sent.browser.expose(),
        http_date(sent.authorization.expires_at),
        if secure { "; Secure" } else { "" }
    )
}

/// Sends the browser to a provider, whose consent is needed. Without JavaScript it goes by a link of ours: the policy of our
/// pages lets no form lead elsewhere.
pub(crate) async fn send_to_provider(
    engine: &Engine,
    actor: &Actor,
    id: domain::IntegrationId,
    scopes: Vec<String>,
) -> Result<(), CallError> {
    let request = domain::api::AuthorizationRequest { scopes };
    if is_plain_form() {
        redirect(&engine.connect_link(actor, id, request).await?.authorization_url);
        return Ok(());
    }
    let secure = visitor()?.secure_cookies;
    let sent = engine.authorize(actor, id, request, cookie(oauth_cookie_name(secure)).as_deref()).await?;
    set_cookie(&oauth_cookie(&sent, secure));
    redirect(&sent.authorization.authorization_url);
    Ok(())
}

/// Gives the browser its session.
pub(crate) fn begin_session(session: &engine::NewSession, visitor: &Visitor) {
    set_cookie(&session_cookie(session.token.expose(), session.expires_at, visitor.secure_cookies));
}

/// Takes it away again.
pub(crate) fn end_session(secure: bool) {
    set_cookie(&session_cookie("", Timestamp::default(), secure));
}

fn session_cookie(token: &str, expires_at: Timestamp, secure: bool) -> String {
    format!(
        "{}={token}; Path=/; HttpOnly; SameSite=Lax; Expires={}{}",
        session_cookie_name(secure),
        http_date(expires_at),
        if secure { "; Secure" } else { "" }
    )
}

/// `Sun, 22 Nov 2026 10:00:00 GMT` (RFC 9110 §5.6.7).
fn http_date(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = at.to_string();
    let day = usize::try_from(at.millis().div_euclid(86_400_000).rem_euclid(7)).unwrap_or_default();
    let month = text[5..7].parse::<usize>().unwrap_or(1) - 1;
    format!("{}, {} {} {} {} GMT", DAYS[day], &text[8..10], MONTHS[month], &text[..4], &text[11..19])
}

/// Sets the status of a page that shows an error.
pub(crate) fn set_status(error: &CallError) {
    use leptos::server_fn::error::FromServerFnError;
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(error.status_code());
    }
}

/// Sends the browser elsewhere, with JavaScript and without.
pub(crate) fn redirect(path: &str) {
    leptos_axum::redirect(path, false);
}

/// Whether a form was posted without JavaScript.
fn is_plain_form() -> bool {
    header(ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

/// Sends the browser elsewhere only if it has no JavaScript: with it, the page stays and shows what happened.
pub(crate) fn redirect_plain_form(path: &str) {
    if is_plain_form() {
        redirect(path);
    }
}

/// A path of ours to go on to after signing in; anything else becomes `/`.
pub(crate) fn safe_path(next: &str) -> &str {
    let safe = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t']);
    if safe { next } else { "/" }
}

/// Lets a form that was posted without JavaScript keep what was typed: it travels back in the address, beside the error.
/// Never for secrets.
pub(crate) fn keep_typed<F: ServerFn>(error: CallError, typed: &[(&str, &str)]) -> CallError {
    let Some(referer) = header(REFERER).filter(|_| is_plain_form()) else { return error };
    let Ok(mut url) = url::Url::parse(&referer) else { return error };
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !name.starts_with("__") && !typed.iter().any(|(typed, _)| name == typed))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    if let Ok(mut url) = ServerFnUrlError::new(F::PATH, error.clone()).to_url(url.as_str())
        && let Some(response) = use_context::<ResponseOptions>()
    {
        url.query_pairs_mut().extend_pairs(kept).extend_pairs(typed);
        if let Ok(location) = url[url::Position::BeforePath..].parse() {
            response.insert_header(LOCATION, location);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        let at = Timestamp::parse("2026-11-22T10:00:00Z").unwrap();
        assert_eq!(
            session_cookie("abc", at, false),
            "signalbox_session=abc; Path=/; HttpOnly; SameSite=Lax; Expires=Sun, 22 Nov 2026 10:00:00 GMT"
        );
        assert!(session_cookie("abc", at, true).starts_with("__Host-signalbox_session=abc; Path=/;"));
        assert_eq!(http_date(Timestamp::from_millis(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn goes_on_to_own_paths_only() {
        for (next, expected) in [
            ("/deliveries?status=failed", "/deliveries?status=failed"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("https://evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(safe_path(next), expected);
        }
    }
}
