//! Every way to say something wrong: its exact message, its status, and nothing stored (UC §16–17).

use http::Method;
use serde_json::{Value, json};

use crate::{
    harness::{ADMIN, App, rows},
    on_each_database,
};

on_each_database!(webhooks, events, json_bodies, too_large, queries, other_things);

const HTTPS: &str = "Webhook URLs must use HTTPS for security";
const INVALID_URL: &str = "Please enter a valid HTTPS URL";
const PRIVATE: &str = "This URL leads to a private or reserved network address, which is not allowed";

async fn count(app: &App, path: &str) -> usize {
    rows(&app.get(path).expect(200).await).len()
}

fn draft(change: impl FnOnce(&mut Value)) -> Value {
    let mut draft = json!({"name": "A", "url": "https://93.184.215.14/hook", "events": ["job.created"]});
    change(&mut draft);
    draft
}

async fn webhooks(app: &App) {
    let set = |field: &'static str, value: Value| draft(move |draft| draft[field] = value);
    let url = |url: &str| set("url", url.into());
    for (body, field, message) in [
        (set("name", "  ".into()), "name", "Webhook name is required"),
        (set("name", "x".repeat(101).into()), "name", "Webhook name must be at most 100 characters"),
        (set("url", "".into()), "url", "Webhook URL is required"),
        (url("zapier"), "url", INVALID_URL),
        (url("ftp://example.com/"), "url", INVALID_URL),
        (url(&format!("https://a.example/{}", "x".repeat(2048))), "url", "Webhook URL must be at most 2048 characters"),
        (url("http://93.184.215.14/hook"), "url", HTTPS),
        (url("https://10.0.0.1/"), "url", PRIVATE),
        (url("https://169.254.169.254/latest/meta-data/"), "url", PRIVATE),
        (url("https://[::1]/"), "url", PRIVATE),
        (url("https://[::ffff:10.0.0.1]/"), "url", PRIVATE),
        (url("https://[fe80::1]/"), "url", PRIVATE),
        (url("https://0x0a000001/"), "url", PRIVATE),
        (
            url("https://me:secret@example.com/"),
            "url",
            "Webhook URL must not contain a user name or password; use a custom header",
        ),
        (set("events", json!([])), "events", "Please select at least one event to subscribe to"),
        (set("events", json!(["job.dreamt"])), "events", "Unknown event type: job.dreamt"),
        (
            set("headers", json!([{"name": "Webhook-Id", "value": "x"}])),
            "headers",
            "Header Webhook-Id is set by the sender and cannot be changed",
        ),
        (
            set("source_id", json!("src_01h455vb4pex5vsknk084sn02q")),
            "source_id",
            "Unknown source: src_01h455vb4pex5vsknk084sn02q",
        ),
    ] {
        let error = app.post("/api/v1/webhooks", body.clone()).refused(422).await;
        assert_eq!(error.field(field), Some(message), "{body}: {error:?}");
        assert_eq!(error.errors.len(), 1, "{error:?}");
    }
    let everything = app.post("/api/v1/webhooks", json!({})).refused(422).await;
    assert_eq!(
        everything.errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(),
        ["name", "url", "events"]
    );
    assert_eq!(count(app, "/api/v1/webhooks").await, 0);

    let first = app.post("/api/v1/webhooks", draft(|_| ())).expect(201).await;
    let error = app.post("/api/v1/webhooks", draft(|_| ())).refused(422).await;
    assert_eq!(error.field("name"), Some("A webhook with this name already exists"));
    app.post("/api/v1/webhooks", set("name", "B".into())).expect(201).await;
    let path = format!("/api/v1/webhooks/{}", first["id"].as_str().unwrap());
    let error = app.put(&path, set("name", "B".into())).refused(422).await;
    assert_eq!(error.field("name"), Some("A webhook with this name already exists"));
    assert_eq!(count(app, "/api/v1/webhooks").await, 2);
    assert_eq!(app.get(&path).expect(200).await["name"], "A");
    let error = app.post(format!("{path}/secret/rotate"), json!({"overlap_hours": 169})).refused(422).await;
    assert_eq!(error.field("overlap_hours"), Some("The overlap can be at most 168 hours (7 days)"));
}

async fn events(app: &App) {
    let event = |more: Value| {
        let mut event = json!({"event": "job.created", "data": {}});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    for (body, field, message) in [
        (event(json!({"event": "job.dreamt"})), "event", "Unknown event type: job.dreamt"),
        (
            event(json!({"idempotency_key": ""})),
            "idempotency_key",
            "An idempotency key has between 1 and 255 printable characters",
        ),
        (
            event(json!({"idempotency_key": "x".repeat(256)})),
            "idempotency_key",
            "An idempotency key has between 1 and 255 printable characters",
        ),
        (
            event(json!({"source_id": "src_01h455vb4pex5vsknk084sn02q"})),
            "source_id",
            "Unknown source: src_01h455vb4pex5vsknk084sn02q",
        ),
    ] {
        let error = app.post("/api/v1/events", body).refused(422).await;
        assert_eq!(error.field(field), Some(message), "{error:?}");
    }
    let batch = |events: Vec<Value>| app.post("/api/v1/events/batch", json!({"events": events}));
    let error = batch(vec![]).refused(422).await;
    assert_eq!(error.field("events"), Some("A batch holds at least one event"));
    let error = batch(vec![event(json!({})); 1001]).refused(422).await;
    assert_eq!(error.field("events"), Some("A batch holds at most 1000 events"));
    let error = batch(vec![event(json!({})), event(json!({"event": "job.dreamt"}))]).refused(422).await;
    assert_eq!(error.field("events[1].event"), Some("Unknown event type: job.dreamt"));
    let error = batch(vec![event(json!({}))]).header("idempotency-key", "k").refused(400).await;
    assert_eq!(
        error.detail,
        "The Idempotency-Key header is for a single event; give each event its own idempotency_key"
    );
    let error = app
        .post("/api/v1/events", event(json!({"idempotency_key": "a"})))
        .header("idempotency-key", "b")
        .refused(400)
        .await;
    assert_eq!(error.detail, "The Idempotency-Key header and idempotency_key in the body differ; send one of them");
    assert_eq!(count(app, "/api/v1/events").await, 0);
}

async fn json_bodies(app: &App) {
    let send = |body: &'static str| {
        app.ask(Method::POST, "/api/v1/events").key(ADMIN).header("content-type", "application/json").body(body)
    };
    for (body, detail) in [
        ("", "The body is empty; send JSON"),
        ("{\"event\": ", "Invalid JSON: EOF while parsing a value at line 1 column 10"),
        ("event=job.created", "Invalid JSON: expected value at line 1 column 1"),
        ("{\"event\": \"job.created\"}", "body: missing field `data` at line 1 column 24"),
        (
            "{\"event\": \"job.created\", \"data\": {}, \"dta\": 1}",
            "dta: unknown field `dta`, expected one of `event`, `data`, `source_id`, `idempotency_key` at line 1 column \
             42",
        ),
    ] {
        assert_eq!(send(body).refused(400).await.detail, detail);
    }
    let error = app
        .ask(Method::POST, "/api/v1/events/batch")
        .key(ADMIN)
        .header("content-type", "application/json; charset=utf-8")
        .body("{\"events\": [{\"event\": \"job.created\", \"data\": 1}, {\"event\": 7}]}")
        .refused(400)
        .await;
    assert_eq!(error.errors[0].field, "events[1].event");
    let error = app
        .ask(Method::POST, "/api/v1/events")
        .key(ADMIN)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("{\"event\":\"job.created\",\"data\":{}}")
        .refused(400)
        .await;
    assert_eq!(
        error.detail,
        "The body has type application/x-www-form-urlencoded; send JSON, with Content-Type: application/json"
    );
    let error = app.post("/api/v1/webhooks", json!({"nam": "x"})).refused(400).await;
    assert_eq!(error.errors[0].field, "nam");
    assert_eq!(count(app, "/api/v1/events").await, 0);
}

async fn too_large(app: &App) {
    let limit = 10 * 1024 * 1024;
    let frame = "{\"event\":\"job.created\",\"data\":\"\"}".len();
    let body = |bytes: usize| format!("{{\"event\":\"job.created\",\"data\":\"{}\"}}", "x".repeat(bytes - frame));
    for path in ["/api/v1/events", "/api/service/events", "/api/v1/events/batch"] {
        let ask = app.ask(Method::POST, path).key(ADMIN).header("content-type", "application/json");
        let error = ask.body(body(limit + 1)).refused(413).await;
        assert_eq!(error.detail, "Request payload too large (max 10 MB)");
    }
    assert_eq!(count(app, "/api/v1/events").await, 0);
    let ask = app.ask(Method::POST, "/api/v1/events").key(ADMIN).header("content-type", "application/json");
    ask.body(body(limit)).expect(202).await;
    assert_eq!(count(app, "/api/v1/events").await, 1);
}

async fn queries(app: &App) {
    for (path, field, detail) in [
        ("/api/v1/webhooks?limt=1", "limt", "There is no parameter limt. There are: limit, cursor"),
        ("/api/v1/webhooks?limit=x", "limit", "limit: invalid digit found in string"),
        (
            "/api/v1/deliveries?webhook_id=evt_1",
            "webhook_id",
            "webhook_id: not a valid id: expected `whk_` and 26 characters",
        ),
        ("/api/v1/events?from=yesterday", "from", "from: expected an RFC 3339 time such as 2026-11-22T10:00:00Z"),
    ] {
        let error = app.get(path).refused(400).await;
        assert_eq!((error.errors[0].field.as_str(), error.detail.as_str()), (field, detail));
    }
    let error = app.get("/api/v1/deliveries?status=lost").refused(400).await;
    assert!(error.detail.starts_with("status: unknown variant `lost`, expected one of `pending`"), "{error:?}");
    let error = app.get("/api/v1/events?cursor=x").refused(400).await;
    assert_eq!(error.detail, "The cursor is not one that this list gave out");
}

async fn other_things(app: &App) {
    for (path, detail) in [
        ("/api/v1/webhooks/whk_01h455vb4pex5vsknk084sn02q", "Webhook not found"),
        ("/api/v1/webhooks/7", "\"7\" is not a valid id: expected `whk_` and 26 characters"),
        ("/api/v1/events/evt_01h455vb4pex5vsknk084sn02q", "Event not found"),
        ("/api/v1/deliveries/dlv_01h455vb4pex5vsknk084sn02q", "Delivery not found"),
        ("/api/v1/webhooks/whk_01h455vb4pex5vsknk084sn02q/deliveries", "Webhook not found"),
        ("/api/v1/events/evt_01h455vb4pex5vsknk084sn02q/deliveries", "Event not found"),
        ("/api/v1/nothing", "There is no GET /api/v1/nothing. See /api/docs"),
    ] {
        assert_eq!(app.get(path).refused(404).await.detail, detail);
    }
    let reply = app.delete("/api/v1/events").send().await;
    let mut allowed: Vec<_> = reply.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    assert_eq!(
        reply.refused(405).detail,
        "/api/v1/events does not answer DELETE; the Allow header says what it answers"
    );

    let error = app.post("/api/v1/sources", json!({"name": ""})).refused(422).await;
    assert_eq!(error.field("name"), Some("Source name is required"));
    app.post("/api/v1/sources", json!({"name": "Billing"})).expect(201).await;
    let error = app.post("/api/v1/sources", json!({"name": "Billing"})).refused(422).await;
    assert_eq!(error.field("name"), Some("A source with this name already exists"));
    assert_eq!(count(app, "/api/v1/sources").await, 1);

    let types = count(app, "/api/v1/event-types").await;
    let error = app.post("/api/v1/event-types", json!({"name": "job.created", "category": "x"})).refused(422).await;
    assert_eq!(error.field("name"), Some("An event type with this name already exists"));
    let error = app.post("/api/v1/event-types", json!({"name": "not a name", "category": ""})).refused(422).await;
    assert_eq!(error.errors.len(), 2);
    assert_eq!(count(app, "/api/v1/event-types").await, types);
    app.delete("/api/v1/event-types/job.created").refused(409).await;
    app.delete("/api/v1/event-types/job.dreamt").refused(404).await;

    let error = app.post("/api/v1/api-keys", json!({"name": "k", "scopes": ["all"]})).refused(422).await;
    assert!(error.field("scopes").is_some(), "{error:?}");
    assert_eq!(count(app, "/api/v1/api-keys").await, 1);
}
