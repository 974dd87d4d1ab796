//! The paths that other systems use: the same things in the same form.

use serde_json::json;

use crate::{
    harness::{App, rows, text},
    on_each_database,
    receiver::Receiver,
};

on_each_database!(integrations, service);

async fn integrations(app: &App) {
    let mut receiver = Receiver::start().await;
    let draft = json!({"name": "A", "url": receiver.url, "events": ["job.created"]});
    let created = app.post("/api/integrations/webhooks", draft.clone()).expect(201).await;
    let id = text(&created["id"]);
    assert!(created["secret"].is_string());
    let list = app.get("/api/integrations/webhooks").expect(200).await;
    assert_eq!(list, app.get("/api/v1/webhooks").expect(200).await);
    app.put(format!("/api/integrations/webhooks/{id}"), draft).expect(200).await;
    app.publish("job.created", json!({})).await;
    receiver.hit().await;
    let deliveries = app.get(format!("/api/integrations/webhooks/{id}/deliveries")).expect(200).await;
    let delivery = text(&rows(&deliveries)[0]["id"]);
    app.post(format!("/api/integrations/webhooks/{id}/replay/{delivery}"), json!({})).expect(202).await;
    receiver.hit().await;
    app.delete(format!("/api/integrations/webhooks/{id}")).expect(204).await;
}

async fn service(app: &App) {
    let mut receiver = Receiver::start().await;
    let draft = json!({"name": "A", "url": receiver.url, "events": ["job.created"]});
    let id = text(&app.post("/api/service/webhooks", draft.clone()).expect(201).await["id"]);
    app.put(format!("/api/service/webhooks/{id}"), draft).expect(200).await;
    let test = app.post(format!("/api/service/webhooks/{id}/test"), json!({})).expect(200).await;
    assert_eq!(test["status"], "delivered");
    receiver.hit().await;
    let event = app.post("/api/service/events", json!({"event": "job.created", "data": {}})).expect(202).await;
    receiver.hit().await;
    let events = app.get("/api/service/events").expect(200).await;
    assert_eq!(events, app.get("/api/v1/events").expect(200).await);
    let deliveries = app.get(format!("/api/service/events/{}/deliveries", text(&event["id"]))).expect(200).await;
    assert_eq!(rows(&deliveries).len(), 1);
    assert_eq!(rows(&app.get("/api/service/webhooks").expect(200).await).len(), 1);
    app.delete(format!("/api/service/webhooks/{id}")).expect(204).await;
}
