//! The screens: which requests become a page, who is looking, and where those go who may not look yet.
//!
//! Server functions (`/_ui/…`) and pages get the same contexts. What a screen shows is the business of `app`.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use app::ssr::Visitor;
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, USER_AGENT},
        request::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use engine::Origin;
use leptos::{
    WasmSplitManifest,
    prelude::{ArcStoredValue, LeptosOptions, expect_context, provide_context, use_context},
};
use leptos_axum::{AxumRouteListing, LeptosRoutes as _, ResponseOptions};
use tower_http::limit::RequestBodyLimitLayer;

use super::{
    Shared,
    auth::session_token,
    origin,
    problem::Problem,
    request::{RequestId, X_REQUEST_ID},
    threads::apart,
};
use crate::assets;

/// Largest form, in bytes: a test event with its data, encoded.
const MAX_FORM: usize = 32 * 1024 * 1024;
/// Pages for those who are not signed in.
const OPEN_PAGES: [&str; 2] = ["/login", "/setup"];
/// The pages. Finding them out keeps every resource of the process from loading meanwhile, for good: it is done once, before
/// the first server of a process answers.
static ROUTES: LazyLock<Vec<AxumRouteListing>> = LazyLock::new(|| leptos_axum::generate_route_list(app::App));

/// All pages, the server functions behind them, and the files they load. Answers every path that nothing else answers.
pub fn router(shared: &Shared) -> Router<Shared> {
    let options = LeptosOptions::builder().output_name("signalbox").build();
    let assets::Manifest { js, wasm, css, loader, pages } = assets::manifest();
    let parts = WasmSplitManifest(ArcStoredValue::new(named_as_leptos_does(&loader, pages)));
    let files = Arc::new(app::Assets { js, loader, wasm, css });
    let render = move || app::shell(&files);
    let provide = {
        let engine = shared.engine.clone();
        move || {
            provide_context(engine.clone());
            provide_context(parts.clone());
            if let Some(visitor) = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Visitor>().cloned()) {
                provide_context(visitor);
            }
            if let Some(nonce) = leptos::nonce::use_nonce()
                && let Ok(policy) = HeaderValue::try_from(format!(
                    "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
                     img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
                ))
            {
                expect_context::<ResponseOptions>().insert_header(CONTENT_SECURITY_POLICY, policy);
            }
        }
    };
    let not_found = leptos_axum::render_app_to_stream_with_context(provide.clone(), render.clone());
    let pages = Router::<LeptosOptions>::new()
        .leptos_routes_with_context(&options, ROUTES.clone(), provide, render)
        .fallback(move |request: Request| not_found(request))
        .layer(RequestBodyLimitLayer::new(MAX_FORM))
        .layer(middleware::from_fn_with_state(shared.clone(), receive))
        .layer(middleware::from_fn(apart))
        .with_state(options);
    Router::new().merge(assets::router()).fallback_service(pages)
}

/// What the head of a page lets the browser fetch early: Leptos puts a folder before and an ending behind the names.
fn named_as_leptos_does(
    loader: &str,
    pages: HashMap<String, Vec<String>>,
) -> (String, HashMap<String, Vec<String>>, String) {
    let bare = |path: &str| path.trim_start_matches('/').trim_end_matches(".wasm").to_owned();
    let pages = pages.into_iter().map(|(page, parts)| (page, parts.iter().map(|part| bare(part)).collect()));
    (String::new(), pages.collect(), bare(loader))
}

/// Finds out who is looking, refuses what another site made the browser send, and shows the way to those who have to
/// sign in first.
async fn receive(
    State(Shared { engine, site }): State<Shared>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = session_token(request.headers(), &site).map(str::to_owned);
    let is_call = request.uri().path().starts_with("/_ui/");
    if is_call {
        origin::refuse_foreign(request.headers(), &site.public_url, token.is_some())?;
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(super::problem::unknown_method(request.method().clone(), request.uri().clone())
            .await
            .into_response());
    }
    let actor = match &token {
        Some(token) => engine.session(token).await?,
        None => None,
    };
    if !is_call {
        let path = request.uri().path();
        if actor.is_none() {
            let needs_setup = engine.needs_setup().await?;
            if needs_setup && path != "/setup" {
                return Ok(redirect("/setup"));
            }
            if !needs_setup && path == "/setup" {
                return Ok(redirect("/login"));
            }
            if !OPEN_PAGES.contains(&path) {
                return Ok(redirect(&sign_in_then(request.uri())));
            }
        } else if OPEN_PAGES.contains(&path) {
            return Ok(redirect("/"));
        }
    }
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let origin = Origin { ip: Some(address.ip()), user_agent: user_agent.to_owned() };
    let secure_cookies = site.is_secure();
    // Screens show it beside an error.
    if let Some(RequestId(id)) = request.extensions().get().cloned() {
        request.headers_mut().insert(X_REQUEST_ID, id);
    }
    request.extensions_mut().insert(Visitor { actor, origin, session_token: token, secure_cookies });
    Ok(html(next.run(request).await))
}

/// Pages say which alphabet they are written in.
fn html(mut response: Response) -> Response {
    let content_type = response.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|value| value == "text/html") {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    }
    response
}

/// Where those go who have to sign in first, with where they wanted to go.
fn sign_in_then(uri: &Uri) -> String {
    let wanted = uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    if wanted == "/" {
        return "/login".to_owned();
    }
    let mut next = String::from("/login?next=");
    for byte in wanted.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            next.push(char::from(byte));
        } else {
            write!(next, "%{byte:02X}").expect("a String takes it");
        }
    }
    next
}

fn redirect(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_back() {
        for (wanted, expected) in [
            ("/", "/login"),
            ("/webhooks/whk_1", "/login?next=/webhooks/whk_1"),
            ("/deliveries?status=failed&x=a%20b", "/login?next=/deliveries%3Fstatus%3Dfailed%26x%3Da%2520b"),
        ] {
            assert_eq!(sign_in_then(&wanted.parse().unwrap()), expected);
        }
    }
}
