//! Lists as files, and the filters that they share with lists.

use domain::delivery::DeliveryState;
use http::Method;
use serde_json::{Value, json};

use crate::{
    harness::{App, rows, text},
    on_each_database,
    receiver::Receiver,
};

on_each_database!(as_files, filters_of_deliveries);

/// Deliveries of two webhooks: one fails twice, the other gets 201; the failing one's id and the other's.
async fn furnish(app: &App) -> (Receiver, Receiver, Value, Value) {
    let (mut broken, mut fine) = (Receiver::start().await, Receiver::start().await);
    broken.script(&[400, 404]);
    let frail = json!({"name": "=HYPERLINK(\"http://x\", \"click\")", "events": ["job.*"]});
    let frail = app.webhook(&broken.url, frail).await;
    let hale = app.webhook(&fine.url, json!({"name": "Hale", "events": ["task.*"]})).await;
    let mut watch = app.watch().await;
    for n in 0..2 {
        app.publish("job.created", json!({"n": n})).await;
        broken.hit().await;
        watch.delivery(&[DeliveryState::DeadLetter]).await;
    }
    app.publish("task.created", json!({})).await;
    fine.hit().await;
    watch.delivery(&[DeliveryState::Delivered]).await;
    (broken, fine, frail, hale)
}

async fn as_files(app: &App) {
    let (_broken, _fine, frail, _) = furnish(app).await;
    let list = app.get("/api/v1/deliveries").expect(200).await;
    let reply = app.get("/api/v1/deliveries/export?format=ndjson").send().await;
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, rows(&list), "the same rows as the list, one per line");
    assert!(reply.body.ends_with("}\n"));

    let path = format!("/api/v1/deliveries/export?format=csv&webhook_id={}", text(&frail["id"]));
    let reply = app.get(&path).send().await;
    assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
    let file = reply.header("content-disposition");
    assert!(file.starts_with("attachment; filename=\"deliveries-20") && file.ends_with(".csv\""), "{file}");
    let newest = &rows(&list)[1];
    let of = |name: &str| newest[name].as_str().unwrap_or_default().to_owned();
    let name = "\"'=HYPERLINK(\"\"http://x\"\", \"\"click\"\")\"";
    let first = format!(
        "{},{},job.created,{},{},{name},dead_letter,event,1,404,client,{},,{},\r\n",
        of("id"),
        of("created_at"),
        of("event_id"),
        of("webhook_id"),
        newest["duration_ms"],
        of("finished_at"),
    );
    let (head, rest) = reply.body.split_once("\r\n").unwrap();
    assert!(head.starts_with("id,created_at,event,event_id,webhook_id,webhook_name,status,"), "{head}");
    assert!(rest.starts_with(&first), "{rest}\nshould begin with\n{first}");
    assert_eq!(rest.matches("\r\n").count(), 2);

    // More than a page, and nothing twice.
    let events: Vec<Value> = (0..450).map(|n| json!({"event": "task.created", "data": {"n": n}})).collect();
    app.post("/api/v1/events/batch", json!({"events": events})).expect(202).await;
    let reply = app.get("/api/v1/deliveries/export?format=ndjson&event=task.created").send().await;
    let id = |line: &str| text(&serde_json::from_str::<Value>(line).unwrap()["id"]);
    let mut ids: Vec<String> = reply.body.lines().map(id).collect();
    assert_eq!(ids.len(), 451);
    assert!(ids.is_sorted_by(|newer, older| newer > older), "the newest first");
    ids.dedup();
    assert_eq!(ids.len(), 451);

    for (query, detail) in [
        ("", "format"),
        ("?format=xlsx", "unknown variant"),
        ("?format=csv&limit=3", "There is no parameter limit"),
        ("?format=csv&status=great", "unknown variant"),
    ] {
        let error = app.get(format!("/api/v1/deliveries/export{query}")).refused(400).await;
        assert!(error.detail.contains(detail), "{}", error.detail);
    }
    let foreign = app.foreign_key().await;
    let theirs = app.ask(Method::GET, "/api/v1/deliveries/export?format=ndjson").key(&foreign).send().await;
    assert_eq!(theirs.body, "");
}

async fn filters_of_deliveries(app: &App) {
    let (_broken, _fine, frail, hale) = furnish(app).await;
    let (frail, hale) = (text(&frail["id"]), text(&hale["id"]));
    let all = app.get("/api/v1/deliveries").expect(200).await;
    let (delivered, event) = (text(&rows(&all)[0]["id"]), text(&rows(&all)[0]["event_id"]));
    for (query, number) in [
        ("code=4xx", 2),
        ("code=2xx", 1),
        ("code=none", 0),
        ("error=client", 2),
        ("error=client&code=2xx", 0),
        ("range=15m", 3),
        // A range goes before `from`.
        ("range=30d&from=2100-01-01T00:00:00Z", 3),
        ("range=15m&to=2001-01-01T00:00:00Z", 0),
        (&format!("id={delivered}"), 1),
        (&format!("webhook_id={hale}&error=client"), 0),
        ("source_id=src_01h455vb4pex5vsknk084sn02q", 0),
    ] {
        let list = app.get(format!("/api/v1/deliveries?{query}")).expect(200).await;
        assert_eq!(rows(&list).len(), number, "{query}");
    }
    for query in ["code=6xx", "error=boredom", "range=1y", "id=evt_1", "status=", "event=%00"] {
        app.get(format!("/api/v1/deliveries?{query}")).refused(400).await;
    }
    let events = app.get(format!("/api/v1/events?id={event}&range=1h")).expect(200).await;
    assert_eq!(rows(&events)[0]["id"], event);

    let failures = app.get("/api/v1/deliveries/failures?range=1h").expect(200).await;
    let [group] = rows(&failures) else { panic!("{failures}") };
    assert_eq!(
        (&group["webhook_id"], &group["error"], &group["deliveries"]),
        (&json!(frail), &json!("client"), &json!(2))
    );
    assert_eq!(failures["more"], false);
    app.get("/api/v1/deliveries/failures?limit=1").refused(400).await;
    let none = app.get(format!("/api/v1/deliveries/failures?webhook_id={hale}")).expect(200).await;
    assert!(rows(&none).is_empty());
}
