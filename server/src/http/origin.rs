//! Whether a browser sends a request of its own page's making (CSRF).
//!
//! A session cookie travels with every request to this server, also with one that another site made the browser send.
//! Browsers say where a request comes from: `Sec-Fetch-Site`, and where that is missing (old browsers, plain http),
//! `Origin`. There are no CSRF tokens.

use axum::http::{
    HeaderMap, HeaderName, Method,
    header::{HOST, ORIGIN},
};
use domain::api::ErrorCode;

use super::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether requests with this method change nothing, so that it does not matter who makes them.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses a request that another site made. `with_session`: it came with a session cookie; without one, a client that
/// says nothing of its origin is a program and has nothing to steal.
pub fn refuse_foreign(headers: &HeaderMap, public_url: &str, with_session: bool) -> Result<(), Problem> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let own = match (text(&SEC_FETCH_SITE), text(&ORIGIN)) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Behind a proxy the public URL is right, on a laptop reached by another name the Host header.
        (None, Some(origin)) => {
            origin == public_url
                || origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == text(&HOST))
        }
        (None, None) => !with_session,
    };
    if own { Ok(()) } else { Err(Problem::new(ErrorCode::Forbidden, "This request came from another site")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(&HeaderName, &str)], with_session: bool) -> bool {
        let headers = headers.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect();
        refuse_foreign(&headers, "https://box.example", with_session).is_ok()
    }

    #[test]
    fn where_requests_may_come_from() {
        for (site, expected) in [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)] {
            // What the browser vouches for counts, not what the page may have arranged.
            assert_eq!(allowed(&[(&SEC_FETCH_SITE, site), (&ORIGIN, "https://box.example")], true), expected, "{site}");
        }
        for (origin, expected) in [
            ("https://box.example", true),
            ("http://10.0.0.5:3000", true),
            ("https://evil.example", false),
            ("https://box.example.evil.example", false),
            ("null", false),
        ] {
            for with_session in [true, false] {
                assert_eq!(allowed(&[(&ORIGIN, origin), (&HOST, "10.0.0.5:3000")], with_session), expected, "{origin}");
            }
        }
        assert!(allowed(&[], false) && !allowed(&[], true));
    }
}
