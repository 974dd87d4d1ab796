//! What browsers do: the first visit, signing in and out, and requests that another site makes them send.

use domain::Role;
use http::Method;
use serde_json::json;

use crate::{
    database::Database,
    harness::{ADMIN, App, Ask, Reply, rows},
    on_each_database,
};

on_each_database!(requests_of_other_sites, signing_in_and_out);

const PASSWORD: &str = "correct horse battery staple";

/// A form as a script of our own page posts it.
fn form(app: &App, path: &str, fields: &[(&str, &str)]) -> Ask {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
    app.ask(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .header("origin", &app.url)
        .body(body.join("&"))
}

fn page(app: &App, path: &str, cookie: &str) -> Ask {
    app.ask(Method::GET, path).header("accept", "text/html").header("cookie", cookie)
}

fn leads_to(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.header("location"))
}

/// The cookie of a `Set-Cookie`, ready to be sent.
fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_visit() {
    let app = App::start_with(Database::sqlite(), |config| config.bootstrap_api_key = None).await;
    for path in ["/", "/login", "/webhooks/new"] {
        assert_eq!(leads_to(&page(&app, path, "").send().await), (303, "/setup"), "{path}");
    }
    let token = app.server.engine.setup_token().to_owned();
    let reply = page(&app, &format!("/setup?token={token}"), "").send().await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "text/html; charset=utf-8"));
    let setup = |token: &str, password: &str| {
        let fields = [
            ("token", token),
            ("organization", "Acme"),
            ("name", "Ada"),
            ("email", "ada@example.com"),
            ("password", password),
        ];
        form(&app, "/_ui/setup/create", &fields)
    };
    let reply = setup("wrong", PASSWORD).send().await;
    assert!(reply.status.is_client_error() && reply.header("set-cookie").is_empty(), "{reply:?}");
    let reply = setup(&token, "short").send().await;
    assert!(reply.body.contains("Password must be at least 12 characters"), "{reply:?}");
    assert!(app.server.engine.needs_setup().await.unwrap(), "nothing was stored");

    let reply = setup(&token, PASSWORD).send().await;
    let set = reply.header("set-cookie");
    assert!(set.starts_with("signalbox_session=") && set.contains("HttpOnly; SameSite=Lax"), "{reply:?}");
    let session = cookie(&reply);
    let home = page(&app, "/", &session).send().await;
    assert_eq!(home.status, 200);
    let policy = home.header("content-security-policy");
    assert!(policy.contains("script-src 'nonce-") && policy.contains("'wasm-unsafe-eval'"), "{policy}");
    for path in ["/setup", "/login"] {
        assert_eq!(leads_to(&page(&app, path, &session).send().await), (303, "/"), "{path}");
    }
    assert_eq!(leads_to(&page(&app, "/setup", "").send().await), (303, "/login"));
    let me = app.ask(Method::GET, "/api/v1/me").header("cookie", &session).expect(200).await;
    assert_eq!((&me["kind"], &me["role"]), (&json!("member"), &json!("owner")));
    // The token works once.
    assert_eq!(setup(&token, PASSWORD).send().await.status, 409);
    app.end().await;
}

async fn signing_in_and_out(app: &App) {
    app.sign_in(Role::Viewer).await;
    assert_eq!(leads_to(&page(app, "/", "").send().await), (303, "/login"));
    let deep = page(app, "/deliveries?status=failed", "").send().await;
    assert_eq!(leads_to(&deep), (303, "/login?next=/deliveries%3Fstatus%3Dfailed"));
    assert_eq!(page(app, "/login", "").send().await.status, 200);
    let sign_in =
        |password: &str| form(app, "/_ui/sessions/sign-in", &[("email", "viewer@example.com"), ("password", password)]);
    let reply = sign_in("wrong password").send().await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("Email or password is incorrect"), "{reply:?}");
    assert!(reply.body.contains(reply.header("x-request-id")), "{reply:?}");
    let session = cookie(&sign_in(PASSWORD).send().await);
    assert_eq!(page(app, "/", &session).send().await.status, 200);
    assert_eq!(page(app, "/no-such-page", &session).send().await.status, 404);
    form(app, "/_ui/sessions/sign-out", &[]).header("cookie", &session).send().await;
    assert_eq!(leads_to(&page(app, "/", &session).send().await), (303, "/login"));
    app.ask(Method::GET, "/api/v1/me").header("cookie", &session).refused(401).await;
    for _ in 0..10 {
        sign_in("wrong password").send().await;
    }
    let reply = sign_in(PASSWORD).send().await;
    assert_eq!(reply.status, 429, "{reply:?}");
    assert!(reply.body.contains("Too many failed sign-ins. Try again in "), "{reply:?}");
}

async fn requests_of_other_sites(app: &App) {
    let session = app.sign_in(Role::Admin).await;
    let create = |name: &str| app.ask(Method::POST, "/api/v1/sources").json(json!({"name": name}));
    for (header, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("x-nothing", "x", 403),
        ("sec-fetch-site", "same-origin", 201),
        ("origin", app.url.as_str(), 201),
    ] {
        let reply = create(value).header("cookie", &session).header(header, value).send().await;
        assert_eq!(reply.status, status, "{header}: {value}");
        if status == 403 {
            assert_eq!(reply.refused(403).detail, "This request came from another site");
        }
    }
    // Looking does no harm, and a key does not travel by itself.
    let sources =
        app.ask(Method::GET, "/api/v1/sources").header("cookie", &session).header("sec-fetch-site", "cross-site");
    assert_eq!(rows(&sources.expect(200).await).len(), 2);
    create("By key").key(ADMIN).header("sec-fetch-site", "cross-site").expect(201).await;

    let sign_out = || app.ask(Method::POST, "/_ui/sessions/sign-out").header("cookie", &session);
    sign_out().refused(403).await;
    sign_out().header("sec-fetch-site", "cross-site").refused(403).await;
    app.ask(Method::GET, "/api/v1/me").header("cookie", &session).expect(200).await;
    let sign_in = app.ask(Method::POST, "/_ui/sessions/sign-in").header("origin", "https://evil.example");
    sign_in.header("content-type", "application/x-www-form-urlencoded").body("email=a&password=b").refused(403).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_on_https() {
    let app = App::start_with(Database::sqlite(), |config| {
        config.public_url = Some("https://box.example".to_owned());
    })
    .await;
    app.sign_in(Role::Owner).await;
    let fields = [("email", "owner@example.com"), ("password", PASSWORD)];
    let reply = form(&app, "/_ui/sessions/sign-in", &fields).header("sec-fetch-site", "same-origin").send().await;
    let set = reply.header("set-cookie");
    assert!(set.starts_with("__Host-signalbox_session=") && set.ends_with("; Secure"), "{reply:?}");
    let session = cookie(&reply);
    app.ask(Method::GET, "/api/v1/me").header("cookie", &session).expect(200).await;
    let plain = session.trim_start_matches("__Host-").to_owned();
    app.ask(Method::GET, "/api/v1/me").header("cookie", &plain).refused(401).await;
    let url = app.get("/api/v1/inspector").expect(200).await["url"].to_string();
    assert!(url.starts_with("\"https://box.example/inspect/"), "{url}");
    app.end().await;
}
