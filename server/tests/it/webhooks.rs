//! Webhooks from their creation to their end.

use domain::delivery::DeliveryState;
use serde_json::{Value, json};

use crate::{
    harness::{App, rows, text},
    on_each_database,
    receiver::Receiver,
};

on_each_database!(
    from_creation_to_end,
    two_editors,
    secrets,
    paused,
    a_test_send,
    failure_and_retry,
    retry_policies,
    pace_and_order
);

async fn from_creation_to_end(app: &App) {
    let receiver = Receiver::start().await;
    let created = app.webhook(&receiver.url, json!({"name": "  Zapier  ", "description": "For HR"})).await;
    let path = format!("/api/v1/webhooks/{}", text(&created["id"]));
    assert_eq!((&created["name"], &created["state"]), (&json!("Zapier"), &json!("active")));
    assert!(created["secret"].as_str().unwrap().starts_with("whsec_"));
    let shown = app.get(&path).expect(200).await;
    assert!(shown.get("secret").is_none());
    assert_eq!(shown["description"], "For HR");
    let list = app.get("/api/v1/webhooks").expect(200).await;
    assert_eq!((&rows(&list)[0], rows(&list).len()), (&shown, 1));
    let changed =
        json!({"name": "Zapier", "url": format!("{}/new", receiver.url), "events": ["job.created", "user.*"]});
    let changed = app.put(&path, changed).expect(200).await;
    assert_eq!((&changed["description"], &changed["version"]), (&json!(""), &json!(2)));
    app.delete(&path).expect(204).await;
    app.get(&path).refused(404).await;
    app.delete(&path).refused(404).await;
    let audit = app.get("/api/v1/audit?limit=3").expect(200).await;
    let actions: Vec<_> = rows(&audit).iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["webhook.deleted", "webhook.updated", "webhook.created"]);
    assert_eq!(rows(&audit)[0]["actor"], "API key Bootstrap");
    assert!(!audit.to_string().contains(created["secret"].as_str().unwrap()));
}

async fn two_editors(app: &App) {
    let receiver = Receiver::start().await;
    let webhook = app.webhook(&receiver.url, json!({})).await;
    let path = format!("/api/v1/webhooks/{}", text(&webhook["id"]));
    let edit = |name: &str| json!({"name": name, "url": receiver.url, "events": ["*"], "version": 1});
    app.put(&path, edit("Mine")).expect(200).await;
    let error = app.put(&path, edit("Yours")).refused(409).await;
    assert!(error.detail.contains("changed by somebody else"), "{error:?}");
    assert_eq!(app.get(&path).expect(200).await["name"], "Mine");
}

async fn secrets(app: &App) {
    let mut receiver = Receiver::start().await;
    let webhook = app.webhook(&receiver.url, json!({})).await;
    let path = format!("/api/v1/webhooks/{}/secret", text(&webhook["id"]));
    assert_eq!(app.get(&path).expect(200).await["secret"], webhook["secret"]);
    let rotated = app.post(format!("{path}/rotate"), json!({"overlap_hours": 1})).expect(200).await;
    assert_ne!(rotated["secret"], webhook["secret"]);
    assert!(rotated["previous_expires_at"].is_string());
    app.publish("job.created", json!({})).await;
    let hit = receiver.hit().await;
    assert_eq!(hit.header("webhook-signature").split(' ').count(), 2, "both secrets sign during the overlap");
    // Without a body: the default overlap.
    let rotated = app.ask(http::Method::POST, format!("{path}/rotate")).key(crate::harness::ADMIN).expect(200).await;
    assert!(rotated["previous_expires_at"].is_string());
    let revoked = app.post(format!("{path}/rotate"), json!({"overlap_hours": 0})).expect(200).await;
    assert_eq!(revoked["previous_expires_at"], Value::Null);
    let audit = app.get("/api/v1/audit").expect(200).await.to_string();
    assert!(audit.contains("webhook.secret_revealed") && !audit.contains("whsec_"));
}

async fn paused(app: &App) {
    let mut receiver = Receiver::start().await;
    let webhook = app.webhook(&receiver.url, json!({})).await;
    let path = format!("/api/v1/webhooks/{}/state", text(&webhook["id"]));
    assert_eq!(app.put(&path, json!({"state": "paused"})).expect(200).await["state"], "paused");
    let event = app.publish("job.created", json!({})).await;
    let list = app.get(format!("/api/v1/events/{event}/deliveries")).expect(200).await;
    assert_eq!(rows(&list)[0]["status"], "held");
    app.put(&path, json!({"state": "asleep"})).refused(400).await;
    app.put(&path, json!({"state": "active"})).expect(200).await;
    assert_eq!(receiver.hit().await.header("webhook-id"), event);
    app.put(&path, json!({"state": "disabled"})).expect(200).await;
    let accepted = app.post("/api/v1/events", json!({"event": "job.created", "data": 1})).expect(202).await;
    assert_eq!(accepted["deliveries"], 0);
    let error = app.post(path.replace("/state", "/test"), json!({})).refused(409).await;
    assert!(error.detail.contains("disabled"), "{error:?}");
}

async fn a_test_send(app: &App) {
    let mut receiver = Receiver::start().await;
    let webhook = app.webhook(&receiver.url, json!({"events": ["candidate.created"]})).await;
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook["id"]));
    let test = app.ask(http::Method::POST, &path).key(crate::harness::ADMIN).expect(200).await;
    assert_eq!(
        (&test["status"], &test["kind"], &test["event"]),
        (&json!("delivered"), &json!("test"), &json!("candidate.created"))
    );
    assert_eq!(test["request_body"], std::str::from_utf8(&receiver.hit().await.body).unwrap());
    let test = app.post(&path, json!({"event": "job.created", "data": {"mine": true}})).expect(200).await;
    assert_eq!(test["attempts_made"][0]["response_status"], 200);
    assert_eq!(receiver.hit().await.json()["data"], json!({"mine": true}));
    app.post(&path, json!({"event": "job.dreamt"})).refused(422).await;
    receiver.script(&[500]);
    let test = app.post(&path, json!({})).expect(200).await;
    assert_eq!(test["attempts_made"].as_array().unwrap().len(), 1, "tests are not retried");
    assert_eq!((&test["error"], &test["next_attempt_at"]), (&json!("server"), &Value::Null));
}

async fn failure_and_retry(app: &App) {
    let mut receiver = Receiver::start().await;
    receiver.script(&[500]);
    let policy = json!({"strategy": {"list": [1]}, "jitter": "none"});
    let webhook = app.webhook(&receiver.url, json!({"retry_policy": policy})).await;
    let mut watch = app.watch().await;
    let event = app.publish("job.created", json!({})).await;
    let failed = watch.delivery(&[DeliveryState::Retrying]).await;
    assert_eq!(failed.response_status, Some(500));
    assert!(failed.next_attempt_at.is_some());
    let delivered = watch.delivery(&[DeliveryState::Delivered]).await;
    assert_eq!((delivered.id, delivered.attempts), (failed.id, 2));
    let (first, second) = (receiver.hit().await, receiver.hit().await);
    assert_eq!((first.body, first.headers["webhook-id"].clone()), (second.body, second.headers["webhook-id"].clone()));
    assert_eq!(first.headers["webhook-id"], event.as_str());

    receiver.script(&[500, 503]);
    app.publish("job.created", json!({})).await;
    let dead = watch.delivery(&[DeliveryState::DeadLetter]).await;
    assert_eq!(dead.attempts, 2);
    let overview = app.get("/api/v1/overview").expect(200).await;
    assert_eq!((&overview["webhooks"], &overview["dead_letters"]), (&json!(1), &json!(1)));
    let list = app.get(format!("/api/v1/webhooks/{}/deliveries?status=dead_letter", text(&webhook["id"])));
    assert_eq!(rows(&list.expect(200).await)[0]["id"], dead.id.to_string());
}

async fn retry_policies(app: &App) {
    let path = "/api/v1/retry-policy";
    let first = app.get(path).expect(200).await;
    assert_eq!((&first["strategy"], &first["max_retries"]), (&json!("exponential"), &json!(3)));
    let changed = json!({"strategy": {"list": [60, 300]}, "timeout_s": 9, "jitter": "none"});
    let stored = app.put(path, changed.clone()).expect(200).await;
    assert_eq!((&stored["strategy"], &stored["timeout_s"]), (&json!({"list": [60, 300]}), &json!(9)));
    assert_eq!(app.get(path).expect(200).await, stored);
    let audit = app.get("/api/v1/audit?limit=1").expect(200).await;
    assert_eq!(rows(&audit)[0]["action"], "retry_policy.updated");
    let preview = app.post("/api/v1/retry-policy/preview", changed).expect(200).await;
    let delays: Vec<_> =
        rows(&json!({"data": preview["retries"]})).iter().map(|retry| retry["delay_ms"].clone()).collect();
    assert_eq!(delays, [60_000, 300_000]);
    for (bad, field, message) in [
        (json!({"max_retries": 0}), "max_retries", "Minimum retry count is 1"),
        (json!({"max_retries": 11}), "max_retries", "Maximum retry count is 10"),
        (json!({"initial_delay_s": 0}), "initial_delay_s", "Minimum delay is 1 second"),
        (json!({"max_delay_s": 301}), "max_delay_s", "Maximum delay cannot exceed 300 seconds"),
        (
            json!({"max_delay_s": 10, "initial_delay_s": 11}),
            "max_delay_s",
            "Maximum delay must not be shorter than the initial delay",
        ),
        (json!({"strategy": {"list": []}}), "strategy", "Give between 1 and 20 delays"),
        (json!({"strategy": {"list": vec![1; 21]}}), "strategy", "Give between 1 and 20 delays"),
        (json!({"timeout_s": 61}), "timeout_s", "Timeout must be between 1 and 60 seconds"),
    ] {
        for refused in [app.put(path, bad.clone()), app.post("/api/v1/retry-policy/preview", bad.clone())] {
            let error = refused.refused(422).await;
            assert_eq!(json!(error.errors), json!([{"field": field, "message": message}]));
        }
    }
    assert_eq!(app.get(path).expect(200).await, stored);
}

async fn pace_and_order(app: &App) {
    let receiver = Receiver::start().await;
    let options = json!({"ordered": true, "rate_limit_per_s": 100, "time_to_live_s": 600, "disable_after": 0});
    let policies = json!({"job.created": {"max_retries": 7}});
    let webhook = app.webhook(&receiver.url, json!({"options": options, "event_policies": policies})).await;
    assert_eq!(webhook["event_policies"]["job.created"]["max_retries"], 7);
    assert_eq!((&webhook["options"]["ordered"], &webhook["options"]["max_in_flight"]), (&json!(true), &Value::Null));
    let mut receiver = receiver;
    for number in 0..20 {
        app.publish("job.created", json!(number)).await;
    }
    for number in 0..20 {
        assert_eq!(receiver.hit().await.json()["data"], json!(number));
    }
    let bad = json!({"name": "b", "url": receiver.url, "events": ["job.created"], "options": {"rate_limit_per_s": 0}});
    let error = app.post("/api/v1/webhooks", bad).refused(422).await;
    let message = "Rate limit must be between 1 and 1000 per second";
    assert_eq!(json!(error.errors), json!([{"field": "options.rate_limit_per_s", "message": message}]));
}
