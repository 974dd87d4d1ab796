//! What operators rely on: probes, figures, request ids, headers, compression.

use http::Method;
use serde_json::{Value, json};
use server::lifecycle::Server;

use crate::{
    database::Database,
    harness::{ADMIN, App, PATIENCE, client, config, text},
    on_each_database,
    receiver::Receiver,
};

on_each_database!(probes_and_figures, every_answer);

async fn probes_and_figures(app: &App) {
    for path in ["/livez", "/readyz"] {
        let reply = app.ask(Method::GET, path).send().await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "ok\n"), "{path}");
    }
    let mut receiver = Receiver::start().await;
    let webhook = app.webhook(&receiver.url, json!({})).await;
    app.post(format!("/api/v1/webhooks/{}/test", text(&webhook["id"])), json!({})).expect(200).await;
    receiver.hit().await;
    let reply = app.ask(Method::GET, "/metrics").send().await;
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in ["signalbox_events_accepted_total 1", "signalbox_attempts_total{outcome=\"succeeded\"} 1"] {
        assert!(reply.body.lines().any(|other| other == line), "{line} is not in\n{}", reply.body);
    }
}

async fn every_answer(app: &App) {
    for path in ["/livez", "/api/v1/me", "/api/nothing", "/api/docs", "/login"] {
        let reply = app.ask(Method::GET, path).header("x-request-id", "mine-1").send().await;
        assert_eq!(reply.header("x-request-id"), "mine-1", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{path}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
    let made = app.get("/api/v1/me").send().await;
    assert_eq!(made.header("x-request-id").len(), 16);
    let reply = app.get("/api/v1/me").header("x-request-id", "<b>not mine</b>").send().await;
    assert_eq!(reply.header("x-request-id").len(), 16, "what could do harm in a page or a log is not taken over");

    let large = app.ask(Method::GET, "/api/openapi.json").header("accept-encoding", "gzip");
    assert_eq!(large.send_raw().await.headers()["content-encoding"], "gzip");
    let small = app.ask(Method::GET, "/livez").header("accept-encoding", "gzip");
    assert!(!small.send_raw().await.headers().contains_key("content-encoding"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_ready_without_a_database() {
    let database = Database::postgres();
    let app = App::start(database).await;
    app.ask(Method::GET, "/readyz").send().await.status.is_success().then_some(()).unwrap();
    app.database.take_away();
    let error = app.ask(Method::GET, "/readyz").refused(503).await;
    assert_eq!(error.detail, "The database does not answer");
    assert_eq!(app.ask(Method::GET, "/livez").send().await.status, 200);
    let reply = app.post("/api/v1/events", json!({"event": "job.created", "data": {}})).send().await;
    assert_eq!(reply.header("retry-after"), "1");
    assert!(reply.refused(503).detail.contains("Nothing was stored"));
    app.end().await;
}

/// A key of 32 bytes that are all the same.
fn key(byte: &str) -> String {
    byte.repeat(43) + "="
}

/// The master key is changed while the server runs; nothing is lost, and a key that is needed is asked for.
async fn rotate(database: Database) {
    let start = async |keys: String| {
        let mut config = config(&database);
        config.master_key = Some(keys);
        Server::start(&config).await
    };
    let (old, new) = (key("A"), key("E"));
    let server = start(old.clone()).await.unwrap();
    let ask = |server: &Server, method: Method, path: &str| {
        client().request(method, format!("http://{}{path}", server.address)).bearer_auth(ADMIN)
    };
    let webhook = json!({
        "name": "W", "url": "http://127.0.0.1:9/x", "events": ["*"], "headers": [{"name": "X-Key", "value": "canary"}],
    });
    let made = ask(&server, Method::POST, "/api/v1/webhooks").json(&webhook).send().await.unwrap();
    let made: Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let (id, secret) = (text(&made["id"]), text(&made["secret"]));
    server.stop().await;

    assert!(start(new.clone()).await.is_err(), "the old key is needed still");
    let server = start(format!("{new} {old}")).await.unwrap();
    if server.store.is_shared() {
        let done = server.engine.rotate_master(|_, _| ()).await.unwrap();
        assert_eq!((done.resealed, done.verified), (2, 2), "headers and a secret");
        assert_eq!(server.engine.rotate_master(|_, _| ()).await.unwrap().resealed, 0);
    } else {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while server.store.meta_or_insert("key_check", String::new()).await.unwrap().contains(' ') {
            assert!(tokio::time::Instant::now() < deadline, "the server does not do it by itself");
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;

    assert!(start(old).await.is_err(), "nothing is sealed with it any more");
    let server = start(new).await.unwrap();
    let shown = ask(&server, Method::GET, &format!("/api/v1/webhooks/{id}/secret")).send().await.unwrap();
    let shown: Value = serde_json::from_str(&shown.text().await.unwrap()).unwrap();
    assert_eq!(text(&shown["secret"]), secret);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_changed_on_sqlite() {
    rotate(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_changed_on_postgres() {
    rotate(Database::postgres()).await;
}
