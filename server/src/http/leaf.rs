//! Pages for people who have no account here: whoever unsubscribes, or connects an account by a link. One sheet, without
//! scripts and without a session; everything in it is escaped by whoever writes it.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

use super::docs::escape;

/// In the page itself: it loads nothing. No `form-action`: its forms lead on to providers.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'");

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:16px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}\
main{max-width:34rem;margin:12vh auto;padding:0 1.5rem}\
h1{font-size:1.4rem;line-height:1.25}\
.said{color:light-dark(#595959,#b0b0b0);overflow-wrap:anywhere}\
button,.go{font:inherit;padding:.5rem 1rem;margin:.25rem .5rem .25rem 0;border-radius:6px;border:1px solid GrayText;\
background:ButtonFace;color:ButtonText;cursor:pointer;display:inline-block;text-decoration:none}\
button:focus-visible,a:focus-visible{outline:3px solid Highlight;outline-offset:2px}\
form{display:inline}";

/// Items of a list, as HTML.
pub fn items(texts: &[String]) -> String {
    texts.iter().fold(String::new(), |list, text| list + "<li>" + &escape(text) + "</li>")
}

/// A page. `content` is HTML.
pub fn page(status: StatusCode, title: &str, content: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <style>{STYLE}</style></head><body><main>{content}</main></body></html>"
    );
    let html_type = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(CONTENT_TYPE, html_type), (CONTENT_SECURITY_POLICY, POLICY)], html).into_response()
}
