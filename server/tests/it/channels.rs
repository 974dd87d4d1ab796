//! Channels beside e-mail: text messages and files go through whoever works, and what may not be done twice is not.

use domain::api::ErrorCode;
use serde_json::{Value, json};

use crate::{
    harness::{ADMIN, App, rows, text},
    mail::MailServer,
    on_each_database,
    outside::Storage,
    receiver::{Hit, Receiver},
};

on_each_database!(
    a_text_message_goes_through_whoever_works_and_never_twice,
    a_file_goes_to_the_folder_when_the_bucket_is_gone,
    what_nobody_can_do_is_said,
    other_settings_are_tried_on_what_was_recorded,
);

const TO: &str = "+15551234567";

async fn added(app: &App, draft: Value) -> String {
    text(&app.post("/api/v1/integrations", draft).expect(201).await["id"])
}

async fn linked(app: &App, primary: &str, backup: &str) {
    let draft = json!({"backup_integration_id": backup});
    app.put(format!("/api/v1/integrations/{primary}/failover"), draft).expect(200).await;
}

fn twilio(url: &str) -> Value {
    json!({
        "provider": "twilio",
        "name": "Twilio",
        "config": {"account_sid": "AC0123456789", "from_number": "+15550000000", "base_url": url},
        "secrets": {"auth_token": "the-token-of-twilio"},
    })
}

fn gateway(server: &MailServer) -> Value {
    let mut draft = server.integration("sms_gateway", &json!({}));
    draft["type"] = json!("sms");
    draft["name"] = json!("Carrier");
    draft["config"]["gateway_domain"] = json!("sms.example.net");
    draft
}

fn form(hit: &Hit) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&hit.body).into_owned().collect()
}

async fn a_text_message_goes_through_whoever_works_and_never_twice(app: &App) {
    let mut provider = Receiver::start().await;
    let mut carrier = MailServer::start().await;
    let primary = added(app, twilio(&provider.url)).await;
    assert!(provider.hit().await.path.ends_with("/Accounts/AC0123456789.json"), "it is checked at once");
    let backup = added(app, gateway(&carrier)).await;
    linked(app, &primary, &backup).await;
    let handed = |words: &str| app.post("/api/v1/sms", json!({"to": TO, "text": words, "integration_id": primary}));

    let sent = handed("Größe & more").expect(200).await;
    assert_eq!((&sent["state"], &sent["integration_id"]), (&json!("sent"), &json!(primary)));
    let hit = provider.hit().await;
    assert_eq!(hit.path, "/2010-04-01/Accounts/AC0123456789/Messages.json");
    assert!(hit.header("authorization").starts_with("Basic "));
    let pairs = [("Body", "Größe & more"), ("From", "+15550000000"), ("To", TO)];
    assert_eq!(form(&hit), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));

    // It cannot wait until work has moved: it goes on at once.
    provider.script(&[500]);
    let sent = handed("second").expect(200).await;
    assert_eq!((&sent["state"], &sent["integration_name"]), (&json!("sent"), &json!("Carrier")));
    let message = carrier.message().await;
    assert_eq!(message["to"], json!(["15551234567@sms.example.net"]));
    assert!(text(&message["text"]).contains("second"));
    // Whoever stands behind a gateway may have it: it is not sent again.
    provider.script(&[504]);
    let uncertain = handed("third").expect(200).await;
    assert_eq!((&uncertain["state"], &uncertain["integration_id"]), (&json!("uncertain"), &json!(primary)));
    // What is refused for itself is refused by others too, and says nothing of the provider.
    provider.script(&[400]);
    let error = handed("fourth").refused(422).await;
    assert!(error.field("to").is_some_and(|said| said.starts_with("Twilio refused the request: 400")), "{error:?}");
    let group = format!("/api/v1/integrations/{primary}/failover");
    assert_eq!(app.get(&group).expect(200).await["members"][0]["failures"], 2);
    provider.script(&[503]);
    handed("fifth").expect(200).await;
    assert_eq!(app.get(&group).expect(200).await["active_integration_id"], json!(backup));
    let message = carrier.message().await;
    assert!(text(&message["text"]).contains("fifth"), "neither the third nor the fourth: {message}");

    // Work that moved goes there first, and nobody else is left.
    carrier.change(json!({"greeting": 421})).await;
    let error = handed("sixth").refused(503).await;
    assert!(error.retry_after_s.is_some() && error.detail.contains("SMS by E-mail"), "{error:?}");
    let logs = app.get(format!("/api/v1/integrations/{primary}/logs")).expect(200).await;
    assert!(rows(&logs).iter().any(|entry| entry["kind"] == "send"), "{logs}");
    for word in ["second", "fourth", "the-token-of-twilio"] {
        assert!(!logs.to_string().contains(word), "{logs}");
    }
}

async fn a_file_goes_to_the_folder_when_the_bucket_is_gone(app: &App) {
    let mut storage = Storage::start().await;
    let bucket = added(app, storage.valid()).await;
    let folder = json!({"provider": "local_folder", "name": "Cellar", "config": {"folder": "kept"}});
    let folder = added(app, folder).await;
    linked(app, &bucket, &folder).await;
    let put = |key: &str, bytes: Vec<u8>| {
        app.ask(http::Method::PUT, format!("/api/v1/files/{key}?integration_id={bucket}"))
            .key(ADMIN)
            .header("content-type", "text/csv")
            .body(bytes)
    };
    for (key, status) in [("..%2Fa", 422), ("a%2F%2Fb", 422), (".hidden", 422), ("a b", 422)] {
        assert!(put(key, vec![1]).refused(status).await.field("key").is_some(), "{key}");
    }
    let error = put("large", vec![0; 10 * 1024 * 1024 + 1]).refused(413).await;
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);

    let kept = put("reports%2F2026.csv", b"a,b\n".to_vec()).expect(200).await;
    assert_eq!((&kept["key"], &kept["size_bytes"]), (&json!("reports/2026.csv"), &json!(4)));
    assert_eq!((&kept["integration_id"], &kept["possibly_elsewhere"]), (&json!(bucket), &json!(false)));
    let stored = storage.object("reports/2026.csv").await;
    assert_eq!(stored, json!({"text": "a,b\n", "type": "text/csv"}));

    drop(storage);
    let kept = put("reports%2F2026.csv", b"c,d\n".to_vec()).expect(200).await;
    assert_eq!(kept["integration_id"], json!(folder));
    let organization = app.organization().await.to_string();
    let path = app.database.folder.path().join(organization).join("kept/reports/2026.csv");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "c,d\n");
}

async fn what_nobody_can_do_is_said(app: &App) {
    let send = |integration: Option<&str>| {
        app.post("/api/v1/sms", json!({"to": TO, "text": "Hello", "integration_id": integration}))
    };
    assert_eq!(send(None).refused(404).await.detail, "Active integration for sms not found");
    let error = app.post("/api/v1/sms", json!({"to": "5551234567", "text": ""})).refused(422).await;
    assert!(error.field("to").is_some() && error.field("text").is_some());
    let folder = added(app, json!({"provider": "local_folder", "name": "Cellar"})).await;
    let error = send(Some(&folder)).refused(422).await;
    assert_eq!(error.field("integration_id"), Some("Cellar is no integration for sms"));
    let provider = Receiver::start().await;
    let twilio = added(app, twilio(&provider.url)).await;
    app.post(format!("/api/v1/integrations/{twilio}/disable"), json!({})).expect(200).await;
    let error = send(Some(&twilio)).refused(409).await;
    assert_eq!(error.detail, "Twilio is disabled, and nobody stands in for it.");
}

async fn other_settings_are_tried_on_what_was_recorded(app: &App) {
    let mut provider = Receiver::start().await;
    let carrier = MailServer::start().await;
    let primary = added(app, twilio(&provider.url)).await;
    // It is checked at once; what is scripted is for messages.
    provider.hit().await;
    let path = |rest: &str| format!("/api/v1/integrations/{primary}/failover{rest}");
    app.post(path("/rehearsal"), json!({})).refused(409).await;
    let backup = added(app, gateway(&carrier)).await;
    linked(app, &primary, &backup).await;
    let statuses = [200, 200, 500, 500, 500];
    provider.script(&statuses);
    for number in 0..=statuses.len() {
        let draft = json!({"to": TO, "text": format!("n{number}"), "integration_id": primary});
        app.post("/api/v1/sms", draft).expect(200).await;
    }
    let before = app.get(path("")).expect(200).await;
    assert_eq!(before["active_integration_id"], json!(backup));
    let tried = async |draft: Value| app.post(path("/rehearsal"), draft).expect(200).await;

    let as_it_was = tried(json!({})).await;
    assert_eq!((&as_it_was["moves"][0]["failures"], &as_it_was["failed"]), (&json!(3), &json!(3)), "{as_it_was}");
    assert_eq!((&as_it_was["actual_moves"], &as_it_was["failover_threshold"]), (&json!(1), &json!(3)), "{as_it_was}");
    let sooner = tried(json!({"hours": 1, "failover_threshold": 1})).await;
    let only = &sooner["moves"][0];
    assert_eq!((&only["kind"], &only["to_name"]), (&json!("switched"), &json!("Carrier")), "{sooner}");
    assert_eq!((&only["failures"], &sooner["failed"]), (&json!(1), &json!(1)), "{sooner}");
    let never = tried(json!({"hours": 48, "failover_threshold": 100, "auto_restore": false})).await;
    assert_eq!((&never["moves"], &never["away_s"]), (&json!([]), &json!(0)), "{never}");
    assert!(never["failed"].as_u64() > as_it_was["failed"].as_u64(), "{never}");
    for (draft, field) in [
        (json!({"hours": 0}), "hours"),
        (json!({"hours": 49}), "hours"),
        (json!({"failover_threshold": 101}), "failover_threshold"),
    ] {
        assert!(app.post(path("/rehearsal"), draft).refused(422).await.field(field).is_some());
    }
    let after = app.get(path("")).expect(200).await;
    assert_eq!(after["version"], before["version"], "it was only imagined");
}
