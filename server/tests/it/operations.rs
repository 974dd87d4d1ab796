//! What operators rely on: probes, figures, request ids, headers, compression.

use http::Method;
use serde_json::json;

use crate::{
    database::Database,
    harness::{App, text},
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
