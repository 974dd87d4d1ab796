//! The built-in receiver, which is how a newcomer sees the first delivery.

use http::Method;
use serde_json::json;

use crate::{
    harness::{App, rows, text},
    on_each_database,
};

on_each_database!(a_first_delivery, records_what_it_gets, rehearses_failures);

async fn a_first_delivery(app: &App) {
    let url = text(&app.get("/api/v1/inspector").expect(200).await["url"]);
    assert!(url.starts_with(&format!("{}/inspect/", app.url)));
    // The server's own address is no public one, and still this is allowed.
    let webhook = app.webhook(&url, json!({"events": ["job.created"]})).await;
    let test = app.post(format!("/api/v1/webhooks/{}/test", text(&webhook["id"])), json!({})).expect(200).await;
    assert_eq!(test["status"], "delivered");
    assert_eq!(test["attempts_made"][0]["response_body"], "{\"status\":\"received\"}");
    let list = app.get("/api/v1/inspector/requests").expect(200).await;
    let recorded = &rows(&list)[0];
    assert_eq!((&recorded["signature"], &recorded["webhook_id"]), (&json!("verified"), &webhook["id"]));
    assert_eq!((&recorded["body"], &recorded["method"]), (&test["request_body"], &json!("POST")));
    let overview = app.get("/api/v1/overview").expect(200).await;
    assert_eq!(overview["has_verified"], true);
}

async fn records_what_it_gets(app: &App) {
    let url = text(&app.get("/api/v1/inspector").expect(200).await["url"]);
    let path = url.strip_prefix(&app.url).unwrap();
    let reply = app.ask(Method::PUT, format!("{path}/some/where?a=1%202")).header("x-team", "red").body("hello").send();
    assert_eq!(reply.await.expect(200), json!({"status": "received"}));
    app.ask(Method::GET, path).expect(200).await;
    app.ask(Method::POST, path).body(vec![0xff; 70_000]).expect(200).await;
    app.ask(Method::POST, path).body("x".repeat(12 * 1024 * 1024)).expect(200).await;
    let list = app.get("/api/v1/inspector/requests").expect(200).await;
    let [huge, large, get, put] = rows(&list) else { panic!("{list}") };
    assert_eq!(
        (&put["method"], &put["path"], &put["body"], &put["truncated"], &put["signature"]),
        (&json!("PUT"), &json!("/some/where?a=1%202"), &json!("hello"), &json!(false), &json!("missing"))
    );
    assert!(put["headers"].as_array().unwrap().contains(&json!({"name": "x-team", "value": "red"})));
    assert!(!put["headers"].to_string().contains("x-request-id"), "what the server adds for itself is not shown");
    assert_eq!((&get["method"], &get["path"]), (&json!("GET"), &json!("")));
    for (request, character, bytes) in [(large, '\u{fffd}', 65_536), (huge, 'x', 65_536)] {
        assert_eq!(request["truncated"], true);
        let body = request["body"].as_str().unwrap();
        assert!(body.chars().all(|c| c == character) && body.chars().count() == bytes);
    }
    app.ask(Method::POST, "/inspect/no-such-token").refused(404).await;
    app.delete("/api/v1/inspector/requests").expect(204).await;
    assert!(rows(&app.get("/api/v1/inspector/requests").expect(200).await).is_empty());
}

async fn rehearses_failures(app: &App) {
    let url = text(&app.get("/api/v1/inspector").expect(200).await["url"]);
    let response = "/api/v1/inspector/response";
    let ordinary = json!({"status": 200, "delay_ms": 0, "body": "{\"status\":\"received\"}", "retry_after_s": null});
    assert_eq!(app.get(response).expect(200).await, ordinary);
    let busy = json!({"status": 503, "delay_ms": 300, "body": "come back later", "retry_after_s": 30});
    assert_eq!(app.put(response, busy.clone()).expect(200).await, busy);
    assert_eq!(app.get(response).expect(200).await, busy);

    let webhook = app.webhook(&url, json!({"events": ["job.created"]})).await;
    let test = app.post(format!("/api/v1/webhooks/{}/test", text(&webhook["id"])), json!({})).expect(200).await;
    let attempt = &test["attempts_made"][0];
    assert_eq!((&attempt["response_status"], &attempt["response_body"]), (&json!(503), &json!("come back later")));
    assert!(attempt["duration_ms"].as_i64().unwrap() >= 300, "it took its time: {attempt}");
    let headers = attempt["response_headers"].as_array().unwrap();
    assert!(headers.contains(&json!({"name": "retry-after", "value": "30"})), "{attempt}");
    let list = app.get("/api/v1/inspector/requests").expect(200).await;
    assert_eq!(rows(&list)[0]["signature"], "verified", "it is recorded all the same");

    for (field, wrong) in [
        ("status", json!({"status": 100})),
        ("delay_ms", json!({"delay_ms": 30_001})),
        ("body", json!({"body": "x".repeat(8_193)})),
        ("retry_after_s", json!({"retry_after_s": 86_401})),
    ] {
        let error = app.put(response, wrong).refused(422).await;
        assert_eq!(error.errors[0].field, field);
    }
    app.put(response, json!({"wait": 1})).refused(400).await;
    assert_eq!(app.put(response, json!({})).expect(200).await, ordinary);
}
