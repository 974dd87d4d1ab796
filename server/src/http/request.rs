//! What happens to every request and every answer: an id, a log line, headers that browsers heed.

use std::{borrow::Cow, time::Instant};

use axum::{
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use super::{Shared, problem};

/// Carries the id, in answers and for the screens.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Longest id that is taken over from a caller or a proxy, in bytes.
const MAX_ID: usize = 100;

/// Paths that go on with what only its holder may know.
const BEFORE_TOKENS: [&str; 3] = ["/connect/", "/inspect/", "/unsubscribe/"];

/// Finds a request in the log.
#[derive(Clone)]
pub struct RequestId(pub HeaderValue);

/// For answers that are not pages: they load nothing and are framed by nobody.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The outermost layer.
pub async fn envelope(State(Shared { site, .. }): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(&X_REQUEST_ID).and_then(acceptable).unwrap_or_else(|| {
        let mut bytes = [0_u8; 8];
        site.entropy.fill(&mut bytes);
        format!("{:016x}", u64::from_be_bytes(bytes))
    });
    let header = HeaderValue::from_str(&id).expect("acceptable() and hexadecimal digits are ASCII");
    // Not into the headers: the Inspector shows those as they came.
    request.extensions_mut().insert(RequestId(header.clone()));
    // Without the query: it may carry what is not for the log, such as the setup token.
    let span = tracing::info_span!("request", %id, method = %request.method(), path = &*loggable(request.uri().path()));
    let began = Instant::now();
    async move {
        let mut response = next.run(request).await;
        problem::write_body(&mut response, &id);
        add_headers(&mut response, header);
        let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
        if response.status().is_server_error() {
            tracing::warn!(status, %ms, "answered");
        } else {
            tracing::debug!(status, %ms, "answered");
        }
        response
    }
    .instrument(span)
    .await
}

/// A path as it may stand in the log: without tokens.
fn loggable(path: &str) -> Cow<'_, str> {
    let before = BEFORE_TOKENS.into_iter().find(|before| path.starts_with(before));
    before.map_or(Cow::Borrowed(path), |before| Cow::Owned(format!("{before}…")))
}

/// An id that can be shown in a page and a log as it is.
fn acceptable(id: &HeaderValue) -> Option<String> {
    let text = id.to_str().ok()?;
    let fits = (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    fits.then(|| text.to_owned())
}

fn add_headers(response: &mut Response, id: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    // Forms without JavaScript find their way back by the Referer header, so it must not be cut for ourselves.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
