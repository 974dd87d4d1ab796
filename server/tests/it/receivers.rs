//! Receivers that misbehave: whatever they do, it ends in a recorded try, in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::{App, PATIENCE, text},
    on_each_database,
    receiver::{Receiver, hanging, refusing, resetting},
};

on_each_database!(every_failure_is_recorded, gone);

async fn every_failure_is_recorded(app: &App) {
    let receiver = Receiver::start().await;
    let at = |path: &str| format!("{}{path}", receiver.url);
    let policy = json!({"timeout_s": 2});
    for (url, error, status) in [
        (format!("http://{}/", refusing().await), "connect_refused", Value::Null),
        (format!("http://{}/", hanging().await), "timeout", Value::Null),
        (format!("http://{}/", resetting().await), "reset", Value::Null),
        (at("/status/500"), "server", json!(500)),
        (at("/status/503"), "server", json!(503)),
        (at("/status/302"), "redirect", json!(302)),
        (at("/status/404"), "client", json!(404)),
        (at("/status/429"), "rate_limited", json!(429)),
        (at("/cut"), "reset", Value::Null),
    ] {
        let webhook = app.webhook(&url, json!({"name": url, "retry_policy": policy})).await;
        let began = Instant::now();
        let test = app.post(format!("/api/v1/webhooks/{}/test", text(&webhook["id"])), json!({})).expect(200).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{url} took {:?}", began.elapsed());
        let attempts = test["attempts_made"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{url}");
        assert_eq!(attempts[0]["error"], error, "{url}: {}", attempts[0]);
        if url.ends_with("/cut") {
            continue;
        }
        assert_eq!(attempts[0]["response_status"], status, "{url}");
        assert!(attempts[0]["error_detail"].is_string() || !status.is_null(), "{url}: {}", attempts[0]);
    }
    // What is beyond what is kept is not read, and is not held against the receiver.
    for path in ["/endless", "/bomb"] {
        let webhook = app.webhook(&at(path), json!({"name": path, "retry_policy": policy})).await;
        let test = app.post(format!("/api/v1/webhooks/{}/test", text(&webhook["id"])), json!({})).expect(200).await;
        let attempt = &test["attempts_made"][0];
        assert_eq!(attempt["response_truncated"], true, "{path}");
        assert!(attempt["response_body"].as_str().unwrap().len() <= 64 * 1024, "{path}");
        assert_eq!(test["status"], "delivered", "{path}");
    }
}

async fn gone(app: &App) {
    let receiver = Receiver::start().await;
    let webhook = app.webhook(&format!("{}/status/410", receiver.url), json!({})).await;
    let id = text(&webhook["id"]);
    let test = app.post(format!("/api/v1/webhooks/{id}/test"), json!({})).expect(200).await;
    assert_eq!(test["attempts_made"][0]["error"], "gone");
    // It is disabled in the background, after the try is stored.
    let disabled = async {
        loop {
            let webhook = app.get(format!("/api/v1/webhooks/{id}")).expect(200).await;
            if webhook["state"] == "disabled" {
                return webhook;
            }
        }
    };
    let webhook = tokio::time::timeout(PATIENCE, disabled).await.expect("it stays active");
    assert_eq!(webhook["state_reason"], "The endpoint answered 410 Gone");
}
