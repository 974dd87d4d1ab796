//! Dead letters, replays and jobs over HTTP: shapes, words, and every way to ask for something wrong.

use domain::delivery::DeliveryState;
use serde_json::{Value, json};

use crate::{
    harness::{App, PATIENCE, rows, text},
    on_each_database,
    receiver::Receiver,
};

on_each_database!(
    one_at_a_time,
    chosen_ones,
    the_alert_counts,
    replays_and_jobs,
    another_payload,
    payloads_that_are_gone,
    nonsense,
);

/// A receiver whose webhook gets `number` deliveries that die at once; the newest first.
async fn dead(app: &App, number: usize) -> (Receiver, Value, Vec<String>) {
    let mut receiver = Receiver::start().await;
    receiver.script(&vec![400; number]);
    let webhook = app.webhook(&receiver.url, json!({"name": "Frail"})).await;
    let mut watch = app.watch().await;
    for n in 0..number {
        app.publish("job.created", json!({"n": n})).await;
        receiver.hit().await;
        watch.delivery(&[DeliveryState::DeadLetter]).await;
    }
    let list = app.get("/api/v1/dead-letters").expect(200).await;
    let ids: Vec<_> = rows(&list).iter().map(|letter| text(&letter["id"])).collect();
    assert_eq!(ids.len(), number);
    (receiver, webhook, ids)
}

/// A job, once it is not running any more.
async fn ended(app: &App, job: &Value) -> Value {
    let path = format!("/api/v1/jobs/{}", text(&job["id"]));
    let ended = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tick.tick().await;
            let job = app.get(&path).expect(200).await;
            if job["state"] != "running" {
                return job;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the job ends in time")
}

/// Waits until these are the titles of the open alerts.
async fn alerts_become(app: &App, titles: &[&str]) {
    let said = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tick.tick().await;
            let alerts = app.get("/api/v1/alerts").expect(200).await;
            if rows(&alerts).iter().map(|alert| &alert["title"]).eq(titles) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("the alerts are not {titles:?} in time"));
}

async fn the_alert_counts(app: &App) {
    let (receiver, webhook, _) = dead(app, 1).await;
    alerts_become(app, &["1 dead letter is waiting"]).await;
    receiver.script(&[400]);
    app.publish("job.created", json!({})).await;
    alerts_become(app, &["2 dead letters are waiting"]).await;
    let alert = rows(&app.get("/api/v1/alerts").expect(200).await)[0].clone();
    assert_eq!(alert["occurrences"], 1, "it is the same, and nobody is told again");
    let of_webhook = json!({"filter": {"webhook_id": webhook["id"]}});
    app.post("/api/v1/dead-letters/clear", of_webhook).expect(202).await;
    alerts_become(app, &[]).await;
}

async fn one_at_a_time(app: &App) {
    let (mut receiver, webhook, ids) = dead(app, 2).await;
    let list = app.get("/api/v1/dead-letters?limit=1&error=client&event=job.created").expect(200).await;
    let letter = &rows(&list)[0];
    assert_eq!(
        (&letter["status"], &letter["webhook_name"], &letter["error"], &letter["attempts"]),
        (&json!("dead_letter"), &json!("Frail"), &json!("client"), &json!(1))
    );
    let time = |name: &str| domain::Timestamp::parse(letter[name].as_str().unwrap()).unwrap();
    assert_eq!(time("expires_at").since_ms(time("died_at")), 7 * 86_400_000);
    assert_eq!((&letter["id"], &list["next_cursor"]), (&json!(ids[0]), &json!(ids[0])));
    let rest = app.get(format!("/api/v1/dead-letters?cursor={}", ids[0])).expect(200).await;
    assert_eq!((rows(&rest).len(), &rows(&rest)[0]["id"]), (1, &json!(ids[1])));
    assert!(rows(&app.get("/api/v1/dead-letters?error=dns").expect(200).await).is_empty());
    let summary = app.get("/api/v1/dead-letters/summary").expect(200).await;
    let expected =
        json!({"total": 2, "webhooks": [{"webhook_id": webhook["id"], "webhook_name": "Frail", "dead_letters": 2}]});
    assert_eq!(summary, expected);

    let mut watch = app.watch().await;
    let retried = app.post(format!("/api/v1/dead-letters/{}/retry", ids[0]), json!({})).expect(202).await;
    assert_eq!((&retried["id"], &retried["kind"]), (&json!(ids[0]), &json!("event")));
    assert_eq!(receiver.hit().await.header("x-intime-delivery"), ids[0]);
    assert_eq!(watch.delivery(&[DeliveryState::Delivered]).await.id.to_string(), ids[0]);
    let error = app.post(format!("/api/v1/dead-letters/{}/retry", ids[0]), json!({})).refused(409).await;
    assert_eq!(error.detail, "This is not a dead letter.");
    app.delete(format!("/api/v1/dead-letters/{}", ids[1])).expect(204).await;
    app.delete(format!("/api/v1/dead-letters/{}", ids[1])).refused(409).await;
    assert_eq!(app.get(format!("/api/v1/deliveries/{}", ids[1])).expect(200).await["status"], "discarded");
    assert_eq!(app.get("/api/v1/dead-letters/summary").expect(200).await, json!({"total": 0, "webhooks": []}));
    let audit = app.get("/api/v1/audit?limit=2").expect(200).await;
    let entries: Vec<_> = rows(&audit).iter().map(|entry| (text(&entry["action"]), text(&entry["subject"]))).collect();
    let expected = [("dead_letter.cleared", &ids[1]), ("dead_letter.retried", &ids[0])];
    assert_eq!(entries, expected.map(|(action, subject)| (action.to_owned(), subject.clone())));
}

async fn chosen_ones(app: &App) {
    let (mut receiver, webhook, ids) = dead(app, 5).await;
    let nothing = "dlv_01h455vb4pex5vsknk084sn02q";
    let done = app.post("/api/v1/dead-letters/retry", json!({"ids": [ids[0], nothing, ids[0]]})).expect(200).await;
    let refusal = json!([{"id": nothing, "reason": "not_dead_letter", "detail": "This is not a dead letter."}]);
    assert_eq!(done, json!({"matched": 1, "done": 1, "refused": refusal}));
    receiver.hit().await;
    let done = app.post("/api/v1/dead-letters/clear", json!({"ids": [ids[1]]})).expect(200).await;
    assert_eq!(done, json!({"matched": 1, "done": 1, "refused": []}));

    // A clear that was a mistake.
    let done = app.post("/api/v1/dead-letters/restore", json!({"ids": [ids[1], ids[2]]})).expect(200).await;
    assert_eq!((&done["matched"], &done["done"]), (&json!(1), &json!(1)));
    assert_eq!((&done["refused"][0]["id"], &done["refused"][0]["reason"]), (&json!(ids[2]), &json!("not_discarded")));
    assert_eq!(app.get("/api/v1/dead-letters/summary").expect(200).await["total"], 4);
    assert_eq!(app.get(format!("/api/v1/deliveries/{}", ids[1])).expect(200).await["status"], "dead_letter");
    app.post("/api/v1/dead-letters/restore", json!({"ids": []})).refused(422).await;
    app.delete(format!("/api/v1/dead-letters/{}", ids[1])).expect(204).await;

    let state = format!("/api/v1/webhooks/{}/state", text(&webhook["id"]));
    app.put(&state, json!({"state": "paused"})).expect(200).await;
    let error = app.post(format!("/api/v1/dead-letters/{}/retry", ids[2]), json!({})).refused(409).await;
    assert_eq!(error.detail, "The webhook is paused; enable it first.");
    let done = app.post("/api/v1/dead-letters/retry", json!({"ids": [ids[2], ids[3]]})).expect(200).await;
    assert_eq!((&done["matched"], &done["done"]), (&json!(2), &json!(0)));
    assert_eq!(done["refused"][0]["reason"], "webhook_paused");
    let of_webhook = json!({"filter": {"webhook_id": webhook["id"]}});
    let error = app.post("/api/v1/dead-letters/retry", of_webhook.clone()).refused(409).await;
    assert_eq!(error.detail, "The webhook is paused; enable it first.");
    // All webhooks: those that are paused are counted.
    let job = app.post("/api/v1/dead-letters/retry", json!({"all": true})).expect(202).await;
    let job = ended(app, &job).await;
    assert_eq!((&job["matched"], &job["done"], &job["refused"]), (&json!(3), &json!(0), &json!(3)));
    assert_eq!(job["refusals"], json!({"webhook_paused": 3}));

    app.put(&state, json!({"state": "disabled"})).expect(200).await;
    let error = app.post(format!("/api/v1/dead-letters/{}/retry", ids[2]), json!({})).refused(409).await;
    assert_eq!(error.detail, "The webhook is disabled; enable it first.");
    let job = app.post("/api/v1/dead-letters/clear", of_webhook).expect(202).await;
    let job = ended(app, &job).await;
    assert_eq!((&job["kind"], &job["state"], &job["done"]), (&json!("dead_letters_clear"), &json!("done"), &json!(3)));
    assert_eq!(app.get("/api/v1/dead-letters/summary").expect(200).await["total"], 0);
    assert_eq!(receiver.unread(), 0);
}

async fn replays_and_jobs(app: &App) {
    let (mut receiver, webhook, ids) = dead(app, 2).await;
    let failed = |dry_run| json!({"mode": "failed", "webhook_id": webhook["id"], "dry_run": dry_run});
    assert_eq!(app.post("/api/v1/replays", failed(true)).expect(200).await, json!({"matched": 2}));
    let started = app.post("/api/v1/replays", failed(false)).expect(202).await;
    assert_eq!(
        (&started["kind"], &started["state"], &started["created_by"]),
        (&json!("replay_failed"), &json!("running"), &json!("API key Bootstrap"))
    );
    assert_eq!(started["scope"]["webhook_id"], webhook["id"]);
    let job = ended(app, &started).await;
    assert_eq!((&job["state"], &job["percent"], &job["done"]), (&json!("done"), &json!(100), &json!(2)));
    assert!(job["finished_at"].is_string() && job["error"].is_null());
    let mut arrived =
        [receiver.hit().await, receiver.hit().await].map(|hit| hit.header("x-intime-delivery").to_owned());
    arrived.sort_by(|a, b| b.cmp(a));
    assert_eq!(arrived[..], ids[..]);

    // Events that were published before the webhook was there.
    let mut later = Receiver::start().await;
    let second = app.webhook(&later.url, json!({"name": "Later", "events": ["job.*"]})).await;
    let missing = json!({"mode": "missing", "webhook_id": second["id"], "from": "2020-01-01"});
    let job = ended(app, &app.post("/api/v1/replays", missing.clone()).expect(202).await).await;
    assert_eq!((&job["matched"], &job["done"]), (&json!(2), &json!(2)));
    later.hit().await;
    later.hit().await;
    // Nothing is missing any more: a job over nothing is done.
    let job = ended(app, &app.post("/api/v1/replays", missing).expect(202).await).await;
    assert_eq!((&job["state"], &job["matched"]), (&json!("done"), &json!(0)));

    let filter = json!({"mode": "filter", "status": "delivered", "event": "job.created", "webhook_id": second["id"]});
    let job = ended(app, &app.post("/api/v1/replays", filter).expect(202).await).await;
    assert_eq!(job["done"], 2);
    later.hit().await;
    later.hit().await;

    let list = app.get("/api/v1/jobs?limit=3").expect(200).await;
    assert_eq!((rows(&list).len(), &rows(&list)[0]), (3, &job));
    let older = app.get(format!("/api/v1/jobs?cursor={}", text(&list["next_cursor"]))).expect(200).await;
    assert_eq!(rows(&older)[0]["id"], started["id"]);
    let error = app.post(format!("/api/v1/jobs/{}/cancel", text(&job["id"])), json!({})).refused(409).await;
    assert_eq!(error.detail, "The job has ended already; it is done.");
    assert_eq!(app.get("/api/v1/jobs/job_01h455vb4pex5vsknk084sn02q").refused(404).await.detail, "Job not found");
    let audit = app.get("/api/v1/audit?limit=1").expect(200).await;
    assert_eq!((&rows(&audit)[0]["action"], &rows(&audit)[0]["subject"]), (&json!("replay.started"), &job["id"]));
}

async fn another_payload(app: &App) {
    let (mut receiver, webhook, ids) = dead(app, 1).await;
    let path = format!("/api/v1/deliveries/{}/resend", ids[0]);
    let sent = app.post(&path, json!({"data": {"n": "another"}})).expect(202).await;
    assert_eq!((&sent["kind"], &sent["replay_of"]), (&json!("edited"), &json!(ids[0])));
    let hit = receiver.hit().await;
    assert_eq!((&hit.json()["data"], &hit.json()["event"]), (&json!({"n": "another"}), &json!("job.created")));
    assert_eq!(hit.header("webhook-id"), sent["event_id"]);
    let error = app.post(&path, json!({})).refused(400).await;
    assert!(error.detail.contains("missing field `data`"), "{error:?}");
    app.put(format!("/api/v1/webhooks/{}/state", text(&webhook["id"])), json!({"state": "paused"})).expect(200).await;
    let error = app.post(&path, json!({"data": 1})).refused(409).await;
    assert_eq!(error.detail, "The webhook is paused; enable it first.");
    app.delete(format!("/api/v1/webhooks/{}", text(&webhook["id"]))).expect(204).await;
    for path in [path, format!("/api/v1/deliveries/{}/replay", ids[0])] {
        let error = app.post(&path, json!({"data": 1})).refused(409).await;
        assert_eq!(error.detail, "The webhook was deleted; there is nowhere to send this to.");
    }
    assert_eq!(receiver.unread(), 0);
}

async fn payloads_that_are_gone(app: &App) {
    let retention = app.get("/api/v1/retention").expect(200).await;
    assert_eq!(retention, json!({"payload_days": 30, "history_days": 90}));
    for (body, field, message) in [
        (json!({"payload_days": 0}), "payload_days", "Retention must be between 1 and 365 days"),
        (json!({"history_days": 366}), "history_days", "Retention must be between 1 and 365 days"),
        (
            json!({"payload_days": 31, "history_days": 30}),
            "history_days",
            "Deliveries must be kept at least as long as payloads",
        ),
    ] {
        let error = app.put("/api/v1/retention", body).refused(422).await;
        assert_eq!(error.field(field), Some(message), "{error:?}");
    }
    let changed = json!({"payload_days": 5, "history_days": 6});
    assert_eq!(app.put("/api/v1/retention", changed.clone()).expect(200).await, changed);
    assert_eq!(app.get("/api/v1/retention").expect(200).await, changed);
    let audit = app.get("/api/v1/audit?limit=1").expect(200).await;
    assert_eq!(rows(&audit)[0]["fields"], json!(["payload_days", "history_days"]));

    let (mut receiver, _, ids) = dead(app, 2).await;
    // What the worker will do in five days.
    let later = app.server.engine.now().plus_ms(1);
    let pruned =
        app.server.store.prune_events(app.organization().await, later, storage::Bookmark::START).await.unwrap();
    assert_eq!(pruned.gone, 2);
    let detail = app.get(format!("/api/v1/deliveries/{}", ids[0])).expect(200).await;
    assert_eq!((&detail["request_body"], &detail["status"]), (&Value::Null, &json!("dead_letter")));
    let gone = "The payload is older than the organization keeps payloads, so it cannot be sent again.";
    for path in ["deliveries/{}/replay", "dead-letters/{}/retry"] {
        let error = app.post(format!("/api/v1/{}", path.replace("{}", &ids[0])), json!({})).refused(410).await;
        assert_eq!((error.code, error.detail.as_str()), (domain::api::ErrorCode::Gone, gone));
    }
    let done = app.post("/api/v1/dead-letters/retry", json!({"ids": ids})).expect(200).await;
    assert_eq!((&done["done"], &done["refused"][1]["reason"]), (&json!(0), &json!("payload_gone")));
    let job = ended(app, &app.post("/api/v1/replays", json!({"mode": "failed"})).expect(202).await).await;
    assert_eq!(job["refusals"], json!({"payload_gone": 2}));
    // Another payload can be sent all the same.
    app.post(format!("/api/v1/deliveries/{}/resend", ids[0]), json!({"data": 1})).expect(202).await;
    assert_eq!(receiver.hit().await.json()["data"], 1);
}

async fn nonsense(app: &App) {
    for path in ["/api/v1/dead-letters/retry", "/api/v1/dead-letters/clear"] {
        for (body, field, message) in [
            (json!({}), "ids", "Give one of ids, filter or all"),
            (json!({"all": false}), "ids", "Give one of ids, filter or all"),
            (json!({"ids": ["dlv_01h455vb4pex5vsknk084sn02q"], "all": true}), "ids", "Give one of ids, filter or all"),
            (json!({"ids": []}), "ids", "Give between 1 and 1000 ids"),
            (
                json!({"filter": {}}),
                "filter",
                "A filter has at least one condition; send {\"all\": true} for all dead letters",
            ),
            (
                json!({"filter": {"from": "2026-02-02", "to": "2026-02-02"}}),
                "filter.to",
                "The end must be after the beginning",
            ),
        ] {
            let error = app.post(path, body.clone()).refused(422).await;
            assert_eq!(error.field(field), Some(message), "{body}: {error:?}");
        }
        let error = app.post(path, json!({"ids": ["dlv_1"]})).refused(400).await;
        assert_eq!(error.errors[0].field, "ids[0]");
        let error = app.post(path, json!({"filter": {"status": "failed"}})).refused(400).await;
        assert_eq!(error.errors[0].field, "filter.status");
    }
    let webhook = "whk_01h455vb4pex5vsknk084sn02q";
    for (body, field, message) in [
        (json!({"mode": "missing"}), "webhook_id", "Choose the webhook that misses events"),
        (json!({"mode": "missing", "webhook_id": webhook}), "from", "Say from when on events are missing"),
        (
            json!({"mode": "missing", "webhook_id": webhook, "from": "2026-01-01"}),
            "webhook_id",
            "Unknown webhook: whk_01h455vb4pex5vsknk084sn02q",
        ),
        (json!({"mode": "filter"}), "mode", "Give at least one condition with mode filter"),
        (
            json!({"mode": "filter", "status": "held"}),
            "status",
            "Only what has ended can be sent again: delivered, dead_letter, failed or discarded",
        ),
        (json!({"mode": "failed", "status": "failed"}), "status", "A status goes with mode filter only"),
        (
            json!({"mode": "failed", "from": "2026-02-02", "to": "2026-01-01", "dry_run": true}),
            "to",
            "The end must be after the beginning",
        ),
    ] {
        let error = app.post("/api/v1/replays", body.clone()).refused(422).await;
        assert_eq!(error.field(field), Some(message), "{body}: {error:?}");
    }
    let error = app.post("/api/v1/replays", json!({"mode": "everything"})).refused(400).await;
    assert_eq!(error.errors[0].field, "mode");
    assert!(error.detail.contains("expected one of `failed`, `missing`, `filter`"), "{error:?}");
    let error = app.get("/api/v1/dead-letters?status=failed").refused(400).await;
    assert_eq!(error.errors[0].field, "status");
    let nothing = "dlv_01h455vb4pex5vsknk084sn02q";
    assert_eq!(
        app.post(format!("/api/v1/dead-letters/{nothing}/retry"), json!({})).refused(404).await.detail,
        "Delivery not found"
    );
    app.delete(format!("/api/v1/dead-letters/{nothing}")).refused(404).await;
    assert!(rows(&app.get("/api/v1/jobs").expect(200).await).is_empty(), "what is refused starts nothing");
}
