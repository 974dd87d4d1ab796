//! Publishing: what is accepted arrives, signed, once per key, page by page.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::delivery::DeliveryState;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    harness::{ADMIN, App, rows, text},
    on_each_database,
    receiver::{Hit, Receiver},
};

on_each_database!(
    arrives_signed,
    the_same_key_twice,
    the_same_key_at_the_same_moment,
    a_batch,
    a_refused_batch_beside_others,
    filters_and_sources,
    pages,
    replays,
);

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Verifies as the specification of Standard Webhooks and the documentation of `X-InTime-Signature` say, without any code
/// of the product.
fn verify(hit: &Hit, secret: &str) {
    let (id, timestamp) = (hit.header("webhook-id"), hit.header("webhook-timestamp"));
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &hit.body].concat();
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac(&key, &message)));
    assert!(hit.header("webhook-signature").split(' ').any(|signature| signature == expected));
    let hex: Vec<_> = hmac(secret.as_bytes(), &hit.body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hit.header("x-intime-signature"), format!("sha256={}", hex.concat()));
}

async fn arrives_signed(app: &App) {
    let mut receiver = Receiver::start().await;
    let headers = json!([{"name": "X-Team", "value": "red"}]);
    let webhook = app.webhook(&receiver.url, json!({"events": ["job.*"], "headers": headers})).await;
    assert_eq!(webhook["headers"], json!([{"name": "X-Team", "value": null}]));
    let mut watch = app.watch().await;
    let data = "{ \"job_id\" : \"job_42\", \"rate\": 1.50, \"ü\": \"\\u00e9\" }";
    let ask = app.ask(Method::POST, "/api/v1/events").key(ADMIN).header("content-type", "application/json");
    let accepted = ask.body(format!("{{\"event\": \"job.created\", \"data\": {data}}}")).expect(202).await;
    assert_eq!(accepted["deliveries"], 1);
    let id = text(&accepted["id"]);

    let hit = receiver.hit().await;
    verify(&hit, webhook["secret"].as_str().unwrap());
    let body = std::str::from_utf8(&hit.body).unwrap();
    assert!(body.starts_with(&format!("{{\"id\":\"{id}\",\"event\":\"job.created\",\"timestamp\":\"")), "{body}");
    assert!(body.ends_with(&format!("\"data\":{data}}}")), "data must arrive byte for byte: {body}");
    assert_eq!(hit.header("webhook-id"), id);
    assert_eq!((hit.header("x-intime-event"), hit.header("x-team")), ("job.created", "red"));
    assert_eq!(hit.header("content-type"), "application/json");

    let delivery = watch.delivery(&[DeliveryState::Delivered]).await;
    assert_eq!(hit.header("x-intime-delivery"), delivery.id.to_string());
    let detail = app.get(format!("/api/v1/deliveries/{}", delivery.id)).expect(200).await;
    assert_eq!(detail["request_body"], body);
    let attempt = &detail["attempts_made"][0];
    assert_eq!(
        (&attempt["number"], &attempt["response_status"], &attempt["response_body"]),
        (&json!(1), &json!(200), &json!("thank you"))
    );
    assert!(!attempt["request_headers"].to_string().contains("red"), "values of custom headers are not shown");
    assert_eq!(app.get(format!("/api/v1/events/{id}")).expect(200).await["body"], body);
    let deliveries = app.get(format!("/api/v1/events/{id}/deliveries?status=delivered")).expect(200).await;
    assert_eq!(rows(&deliveries)[0]["id"], delivery.id.to_string());
    // An event that nobody subscribed to is stored all the same.
    assert_eq!(
        app.post("/api/v1/events", json!({"event": "user.created", "data": null})).expect(202).await["deliveries"],
        0
    );
}

async fn the_same_key_twice(app: &App) {
    let mut receiver = Receiver::start().await;
    app.webhook(&receiver.url, json!({})).await;
    let event = json!({"event": "job.created", "data": {"n": 1}, "idempotency_key": "job-1"});
    let first = app.post("/api/v1/events", event.clone()).expect(202).await;
    assert_eq!(app.post("/api/v1/events", event).expect(202).await, first);
    let by_header = app.post("/api/v1/events", json!({"event": "job.created", "data": {"n": 1}}));
    assert_eq!(by_header.header("idempotency-key", "job-1").expect(202).await, first);
    let other = json!({"event": "job.created", "data": {"n": 2}, "idempotency_key": "job-1"});
    let error = app.post("/api/v1/events", other).refused(409).await;
    assert_eq!(error.detail, "This idempotency key was already used for a different event.");
    // Another organization has keys of its own.
    let foreign = app.foreign_key().await;
    let event = json!({"event": "job.created", "data": {"n": 1}, "idempotency_key": "job-1"});
    let theirs = app.ask(Method::POST, "/api/v1/events").key(&foreign).json(event).expect(202).await;
    assert_ne!(theirs["id"], first["id"]);

    assert_eq!(rows(&app.get("/api/v1/events").expect(200).await).len(), 1);
    assert_eq!(receiver.hit().await.header("webhook-id"), first["id"]);
    assert_eq!(rows(&app.get("/api/v1/deliveries").expect(200).await).len(), 1);
}

async fn the_same_key_at_the_same_moment(app: &App) {
    let event = || json!({"event": "job.created", "data": {}, "idempotency_key": "at-once"});
    let asks = (0..20).map(|_| tokio::spawn(app.post("/api/v1/events", event()).send()));
    let mut answers = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        answers.push(ask.await.unwrap().expect(202));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(rows(&app.get("/api/v1/events").expect(200).await).len(), 1);
}

async fn a_batch(app: &App) {
    let mut receiver = Receiver::start().await;
    app.webhook(&receiver.url, json!({"events": ["job.created"]})).await;
    let events: Vec<Value> = (0..1000)
        .map(|n| json!({"event": if n % 100 == 0 { "job.created" } else { "job.updated" }, "data": {"n": n}}))
        .collect();
    let accepted = app.post("/api/v1/events/batch", json!({"events": events})).expect(202).await;
    let accepted = rows(&accepted);
    assert_eq!(accepted.len(), 1000);
    let mut wanted: Vec<_> = accepted.iter().step_by(100).map(|one| text(&one["id"])).collect();
    assert!(accepted.iter().enumerate().all(|(n, one)| one["deliveries"] == u32::from(n % 100 == 0)));
    let mut arrived = Vec::new();
    for _ in 0..10 {
        let hit = receiver.hit().await;
        let id = text(&hit.json()["id"]);
        let position = accepted.iter().position(|one| one["id"] == id).unwrap();
        assert_eq!(hit.json()["data"]["n"], position, "answers are in the order of the events");
        arrived.push(id);
    }
    wanted.sort();
    arrived.sort();
    assert_eq!(arrived, wanted);
}

/// Many callers share a commit; each must get its own answer, also when one of them is refused in the middle.
async fn a_refused_batch_beside_others(app: &App) {
    let used = json!({"event": "job.created", "data": "first", "idempotency_key": "used"});
    app.post("/api/v1/events", used).expect(202).await;
    let mut asks = Vec::new();
    for n in 0..60 {
        let refused = json!({"event": "job.created", "data": n, "idempotency_key": "used"});
        let fine = json!({"event": "job.created", "data": n});
        asks.push((n, tokio::spawn(app.post("/api/v1/events", fine.clone()).send())));
        let batch = json!({"events": [refused, fine, fine]});
        asks.push((-1, tokio::spawn(app.post("/api/v1/events/batch", batch).send())));
    }
    for (n, ask) in asks {
        let reply = ask.await.unwrap();
        if n < 0 {
            reply.refused(409);
        } else {
            let id = text(&reply.expect(202)["id"]);
            let event = app.get(format!("/api/v1/events/{id}")).expect(200).await;
            let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            assert_eq!((&body["id"], &body["data"]), (&json!(id), &json!(n)), "somebody else's answer");
        }
    }
    let stored = app.get("/api/v1/events?limit=200").expect(200).await;
    assert_eq!(rows(&stored).len(), 1 + 60, "of a refused batch nothing is stored");
}

async fn filters_and_sources(app: &App) {
    let mut receiver = Receiver::start().await;
    let source = text(&app.post("/api/v1/sources", json!({"name": "Billing"})).expect(201).await["id"]);
    let filter = json!([{"path": "job.rate", "op": "gt", "value": 80}]);
    app.webhook(&format!("{}/rich", receiver.url), json!({"filter": filter, "events": ["job.created"]})).await;
    app.webhook(&format!("{}/billing", receiver.url), json!({"source_id": source})).await;
    let publish = async |body: Value| app.post("/api/v1/events", body).expect(202).await["deliveries"].clone();
    let data = json!({"job": {"rate": 70}});
    assert_eq!(publish(json!({"event": "job.created", "data": data})).await, 0);
    assert_eq!(publish(json!({"event": "job.created", "data": data, "source_id": source})).await, 1);
    assert_eq!(receiver.hit().await.path, "/billing");
    assert_eq!(publish(json!({"event": "job.created", "data": {"job": {"rate": 90}}})).await, 1);
    assert_eq!(receiver.hit().await.path, "/rich");
    let error = app.delete(format!("/api/v1/sources/{source}")).refused(409).await;
    assert!(error.detail.contains("limited to this source"));
    let list = app.get(format!("/api/v1/events?source_id={source}")).expect(200).await;
    assert_eq!(rows(&list).len(), 1);
}

async fn pages(app: &App) {
    let mut published = Vec::new();
    for n in 0..5 {
        published.push(app.publish(if n == 2 { "job.updated" } else { "job.created" }, json!({"n": n})).await);
    }
    published.reverse();
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(format!("/api/v1/events?limit=2{cursor}")).expect(200).await;
        assert!(rows(&page).len() <= 2);
        found.extend(rows(&page).iter().map(|event| text(&event["id"])));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, published, "the newest first, nothing twice, nothing left out");
    let updated = app.get("/api/v1/events?event=job.updated").expect(200).await;
    assert_eq!((rows(&updated).len(), &updated["next_cursor"]), (1, &Value::Null));
    let all = app.get("/api/v1/events?from=2020-01-01&to=2021-01-01T00:00:00Z").expect(200).await;
    assert!(rows(&all).is_empty());
}

async fn replays(app: &App) {
    let mut receiver = Receiver::start().await;
    let webhook = app.webhook(&receiver.url, json!({})).await;
    let mut watch = app.watch().await;
    app.publish("job.created", json!({"n": 1})).await;
    let first = receiver.hit().await;
    let delivery = watch.delivery(&[DeliveryState::Delivered]).await;
    let replay = app.post(format!("/api/v1/deliveries/{}/replay", delivery.id), json!({})).expect(202).await;
    assert_eq!((&replay["kind"], &replay["replay_of"]), (&json!("replay"), &json!(delivery.id)));
    let second = receiver.hit().await;
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    verify(&second, webhook["secret"].as_str().unwrap());
    assert_eq!(second.header("x-intime-delivery"), replay["id"]);
    let alias = format!("/api/integrations/webhooks/{}/replay/{}", text(&webhook["id"]), delivery.id);
    app.post(alias, json!({})).expect(202).await;
    assert_eq!(receiver.hit().await.body, first.body);
    let other = app.webhook(&format!("{}/other", receiver.url), json!({})).await;
    let alias = format!("/api/integrations/webhooks/{}/replay/{}", text(&other["id"]), delivery.id);
    app.post(alias, json!({})).refused(404).await;
}
