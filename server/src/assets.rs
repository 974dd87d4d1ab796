//! The browser half inside the binary: the files that `xtask web` put into `dist/`, already hashed and compressed, served as
//! they are. It refuses to read the disk in a release and to compress anything per request.
//!
//! Without a `dist/` everything still compiles and pages still render; they only stay without style and script.

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use rust_embed::RustEmbed;
use serde::Deserialize;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

#[derive(RustEmbed)]
#[folder = "../dist"]
#[allow_missing = true]
// Whoever runs WebAssembly takes it compressed, and plain it would be a sixth of the binary. `xtask web --dev`, which compresses
// nothing, is for debug builds.
#[cfg_attr(not(debug_assertions), exclude = "*.wasm")]
struct Dist;

/// The paths of the hashed files that every page links to, such as `/pkg/signalbox.0123456789abcdef.js`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Manifest {
    /// The JavaScript module that loads the WASM module.
    pub js: String,
    /// The WASM module.
    pub wasm: String,
    /// The stylesheet.
    pub css: String,
    /// The JavaScript that loads the parts of the module.
    pub loader: String,
    /// The parts that a page needs beside the module, by the name of the function that shows it.
    pub pages: HashMap<String, Vec<String>>,
}

/// What `dist/` holds now; paths that answer 404 if it was never built.
pub fn manifest() -> Manifest {
    manifest_in::<Dist>().unwrap_or_else(|| {
        tracing::warn!("built without the browser half (dist/): pages will have neither style nor script");
        let path = |kind| format!("/pkg/unbuilt.{kind}");
        Manifest { js: path("js"), wasm: path("wasm"), css: path("css"), loader: path("js"), pages: HashMap::new() }
    })
}

/// Routes for `/pkg/*`, which browsers keep for ever, and for the files of `public/` at the root.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    router_of::<S, Dist>()
}

fn manifest_in<Files: RustEmbed>() -> Option<Manifest> {
    serde_json::from_slice(&Files::get("manifest.json")?.data).ok()
}

/// Only what is there when the server starts has a route, so a path from outside never reaches the file system.
fn router_of<S: Clone + Send + Sync + 'static, Files: RustEmbed + 'static>() -> Router<S> {
    let paths: BTreeSet<String> = Files::iter().filter_map(|path| public(&path).map(str::to_owned)).collect();
    paths.into_iter().fold(Router::new(), |router, path| {
        let cache =
            if path.starts_with("pkg/") { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
        let route = format!("/{path}");
        router.route(&route, get(async move |headers: HeaderMap| answer::<Files>(&path, cache, &headers)))
    })
}

/// The path under which a file is served, also if only its compressed twins are there; none for ours.
fn public(path: &str) -> Option<&str> {
    let path = path.strip_suffix(".br").or_else(|| path.strip_suffix(".gz")).unwrap_or(path);
    (path != "manifest.json").then_some(path)
}

fn answer<Files: RustEmbed>(path: &str, cache: &'static str, headers: &HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut codings =
        [("br", "br"), ("gzip", "gz")].map(|(coding, ending)| (quality(accepted, coding), coding, ending));
    codings.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    let twin = codings
        .into_iter()
        .filter(|(quality, ..)| *quality > 0.0)
        .find_map(|(_, coding, ending)| Some((Files::get(&format!("{path}.{ending}"))?, Some(coding))));
    let Some((file, coding)) = twin.or_else(|| Some((Files::get(path)?, None))) else {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    };
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{:016x}\"", u64::from_be_bytes(*hash.first_chunk().expect("SHA-256 is longer than 8 bytes")));
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let caching = [fixed(CACHE_CONTROL, cache), fixed(VARY, "accept-encoding")];
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if known.split(',').map(str::trim).any(|known| known.trim_start_matches("W/") == tag || known == "*") {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)], caching).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let coding = coding.map(|coding| [(CONTENT_ENCODING, coding)]);
    ([(ETAG, tag)], caching, [fixed(CONTENT_TYPE, content_type(path))], coding, body).into_response()
}

/// How much a client wants a coding, 0 to 1 (RFC 9110, 12.5.3); what it does not name it does not get.
fn quality(accepted: &str, coding: &str) -> f32 {
    let named = |wanted: &str| {
        accepted.split(',').find_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
            Some(parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0))
        })
    };
    named(coding).or_else(|| named("*")).unwrap_or(0.0)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::{Body, to_bytes},
        http::{Method, Request},
    };
    use tower::ServiceExt as _;

    #[derive(RustEmbed)]
    #[folder = "tests/fixtures/dist"]
    struct Fixture;

    async fn ask(method: Method, path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router_of::<(), Fixture>().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1_000_000).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn body_for(accepted: &str) -> String {
        ask(Method::GET, "/pkg/signalbox.00.js", &[(ACCEPT_ENCODING, accepted)]).await.2
    }

    #[tokio::test]
    async fn the_best_accepted_coding_is_sent() {
        assert_eq!(body_for("gzip, deflate, br, zstd").await, "script in brotli");
        assert_eq!(body_for("gzip").await, "script in gzip");
        assert_eq!(body_for("br;q=0.5, gzip;q=0.8").await, "script in gzip");
        assert_eq!(body_for("BR;q=0, gzip;q=0").await, "plain script");
        assert_eq!(body_for("*").await, "script in brotli");
        assert_eq!(body_for("br;q=0, *").await, "script in gzip");
        assert_eq!(body_for("identity").await, "plain script");
        assert_eq!(body_for("").await, "plain script");
    }

    #[tokio::test]
    async fn what_is_there_only_compressed_is_refused_to_who_does_not_take_that() {
        let packed = async |accepted| ask(Method::GET, "/pkg/packed.00.wasm", &[(ACCEPT_ENCODING, accepted)]).await;
        let (status, headers, body) = packed("br").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "packed in brotli"));
        assert_eq!(headers[CONTENT_TYPE], "application/wasm");
        assert_eq!(packed("identity").await.0, StatusCode::NOT_ACCEPTABLE);
    }

    #[tokio::test]
    async fn hashed_files_are_kept_for_ever_and_typed() {
        let (status, headers, _) = ask(Method::GET, "/pkg/signalbox.00.js", &[(ACCEPT_ENCODING, "br")]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers[CONTENT_ENCODING], "br");
        assert_eq!(headers[VARY], "accept-encoding");
        let (_, headers, body) = ask(Method::GET, "/pkg/signalbox.00.wasm", &[(ACCEPT_ENCODING, "br")]).await;
        assert_eq!((&headers[CONTENT_TYPE], body.as_str()), (&HeaderValue::from_static("application/wasm"), "module"));
        assert!(!headers.contains_key(CONTENT_ENCODING), "there is no compressed twin");
    }

    #[tokio::test]
    async fn a_known_tag_is_not_sent_again() {
        let (_, headers, _) = ask(Method::GET, "/favicon.svg", &[]).await;
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=3600");
        let tag = headers[ETAG].to_str().unwrap();
        let (status, headers, body) =
            ask(Method::GET, "/favicon.svg", &[(IF_NONE_MATCH, &format!("\"x\", W/{tag}"))]).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(headers[ETAG], tag);
        let (status, ..) = ask(Method::GET, "/favicon.svg", &[(IF_NONE_MATCH, "\"x\"")]).await;
        assert_eq!(status, StatusCode::OK);
    }

    #[tokio::test]
    async fn each_coding_has_its_own_tag() {
        let tag = async |accepted| {
            ask(Method::GET, "/pkg/signalbox.00.js", &[(ACCEPT_ENCODING, accepted)]).await.1[ETAG].clone()
        };
        assert_ne!(tag("br").await, tag("gzip").await);
        assert_ne!(tag("br").await, tag("identity").await);
    }

    #[tokio::test]
    async fn head_has_the_headers_and_no_body() {
        let (status, headers, body) = ask(Method::HEAD, "/favicon.svg", &[]).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
        assert_eq!(headers["content-length"], "6");
        assert_eq!(headers[CONTENT_TYPE], "image/svg+xml");
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        for path in
            ["/manifest.json", "/pkg/signalbox.99.js", "/pkg/../manifest.json", "/pkg/%2e%2e/manifest.json", "/"]
        {
            assert_eq!(ask(Method::GET, path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(ask(Method::POST, "/favicon.svg", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_manifest_names_the_files() {
        let manifest = manifest_in::<Fixture>().unwrap();
        assert_eq!(manifest.wasm, "/pkg/signalbox.00.wasm");
        assert_eq!(manifest.pages["home"], ["/pkg/home.00.wasm"]);
    }
}
