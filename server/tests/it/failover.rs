//! Failover with two real mail servers: e-mails go out though the provider is down.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{App, PATIENCE, rows, text},
    mail::MailServer,
    on_each_database,
    receiver::Receiver,
};

on_each_database!(
    a_backup_is_linked_and_what_cannot_be_is_refused,
    work_moves_when_the_primary_fails,
    an_administrator_switches_and_restores,
    of_two_who_switch_at_once_one_is_told,
    refused_recipients_move_nothing,
    a_member_that_is_switched_off_or_deleted_is_left,
    a_primary_that_is_killed_under_load_loses_nothing,
);

/// A primary and its backup, each a real mail server.
struct Pair {
    primary: MailServer,
    backup: MailServer,
    primary_id: String,
    backup_id: String,
}

impl Pair {
    /// Made, not linked.
    async fn start(app: &App) -> Self {
        let (primary, backup) = tokio::join!(MailServer::start(), MailServer::start());
        let primary_id = added(app, primary.integration("sendgrid", &json!({}))).await;
        let backup_id = added(app, backup.integration("ses", &json!({}))).await;
        Self { primary, backup, primary_id, backup_id }
    }

    async fn linked(app: &App) -> Self {
        let pair = Self::start(app).await;
        app.put(pair.path(""), pair.draft()).expect(200).await;
        pair
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/integrations/{}/failover{rest}", self.primary_id)
    }

    fn draft(&self) -> Value {
        json!({"backup_integration_id": self.backup_id, "enable_auto_failover": true, "failover_threshold": 3,
               "alert_on_failover": true, "auto_restore": true})
    }

    async fn shown(&self, app: &App) -> Value {
        app.get(self.path("")).expect(200).await
    }

    /// Waits until that integration does the work.
    async fn until_active(&self, app: &App, id: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let shown = self.shown(app).await;
            if shown["active_integration_id"] == id {
                return shown;
            }
            assert!(tokio::time::Instant::now() < deadline, "{shown}");
        }
    }
}

async fn added(app: &App, draft: Value) -> String {
    text(&app.post("/api/v1/integrations", draft).expect(201).await["id"])
}

async fn sent(app: &App, to: &str, through: &str) -> Value {
    let draft = json!({"to": to, "subject": "Note", "text": "A note", "integration_id": through});
    app.post("/api/v1/emails", draft).expect(202).await
}

async fn until_sent(app: &App, email: &Value) -> Value {
    let path = format!("/api/v1/emails/{}", text(&email["id"]));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let shown = app.get(&path).expect(200).await;
        if shown["state"] == "sent" {
            return shown;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
    }
}

/// ADMIN-INT-022.
async fn a_backup_is_linked_and_what_cannot_be_is_refused(app: &App) {
    let pair = Pair::start(app).await;
    let alone = pair.shown(app).await;
    assert_eq!((&alone["is_configured"], &alone["failover_threshold"]), (&json!(false), &json!(3)));
    app.post(pair.path("/trigger"), json!({"reason": "Now"})).refused(409).await;

    let storage = json!({
        "provider": "s3", "name": "Files",
        "config": {"endpoint": "http://127.0.0.1:9", "region": "us-east-1", "bucket": "files", "access_key_id": "a"},
        "secrets": {"secret_access_key": "b"},
    });
    let storage = added(app, storage).await;
    let changed = |name: &str, value: Value| {
        let mut draft = pair.draft();
        draft[name] = value;
        draft
    };
    for (draft, field, message) in [
        (changed("backup_integration_id", Value::Null), "backup_integration_id", "Please select a backup provider"),
        (
            changed("backup_integration_id", json!(pair.primary_id)),
            "backup_integration_id",
            "The backup must be another integration than the primary",
        ),
        (
            changed("backup_integration_id", json!("int_01h455vb4pex5vsknk084sn02q")),
            "backup_integration_id",
            "Unknown integration: int_01h455vb4pex5vsknk084sn02q",
        ),
        (
            changed("backup_integration_id", json!(storage)),
            "backup_integration_id",
            "Files cannot do the work of Mail by sendgrid",
        ),
        (
            changed("failover_threshold", json!(0)),
            "failover_threshold",
            "Trigger after must be between 1 and 100 consecutive failures",
        ),
        (
            changed("failover_threshold", json!(101)),
            "failover_threshold",
            "Trigger after must be between 1 and 100 consecutive failures",
        ),
        (changed("further_backup_ids", json!([pair.backup_id])), "further_backup_ids", "Each backup can be named once"),
    ] {
        let error = app.put(pair.path(""), draft).refused(422).await;
        assert_eq!((&*error.errors[0].field, &*error.errors[0].message), (field, message), "{error:?}");
    }
    assert_eq!(pair.shown(app).await["is_configured"], false, "nothing was stored");

    let linked = app.put(pair.path(""), pair.draft()).expect(200).await;
    assert_eq!((&linked["channel"], &linked["mode"]), (&json!("email"), &json!("auto")));
    assert_eq!((&linked["backup_integration_id"], &linked["warnings"]), (&json!(pair.backup_id), &json!([])));
    let status = |shown: &Value| {
        let of = |n: usize| text(&shown["members"][n]["status"]);
        (of(0), of(1))
    };
    assert_eq!(status(&linked), ("active".to_owned(), "standby".to_owned()));
    assert!(text(&linked["members"][0]["target"]).starts_with("127.0.0.1:"));
    let by_backup = app.get(format!("/api/v1/integrations/{}/failover", pair.backup_id)).expect(200).await;
    assert_eq!(by_backup["primary_integration_id"], json!(pair.primary_id));
    let at_backup = format!("/api/v1/integrations/{}/failover", pair.backup_id);
    let error = app.put(at_backup, json!({"backup_integration_id": pair.primary_id})).refused(409).await;
    assert_eq!(error.detail, "Mail by ses is a backup of Mail by sendgrid. Change the settings there.");
    let stale = changed("version", json!(77));
    app.put(pair.path(""), stale).refused(409).await;

    // Saving warns of a backup that is switched off or not complete; switching to it is refused.
    app.post(format!("/api/v1/integrations/{}/disable", pair.backup_id), json!({})).expect(200).await;
    let warned = app.put(pair.path(""), pair.draft()).expect(200).await;
    assert_eq!(warned["warnings"], json!(["Mail by ses is disabled, so it cannot take over"]));
    let error = app.post(pair.path("/trigger"), json!({"reason": "Now"})).refused(409).await;
    assert_eq!(error.detail, "Mail by ses is disabled. Nothing was changed.");
    app.post(format!("/api/v1/integrations/{}/enable", pair.backup_id), json!({})).expect(200).await;
    let mut incomplete = pair.backup.integration("ses", &json!({"smtp_password": "env:NOT_SET_ANYWHERE"}));
    incomplete["name"] = json!("Mail by ses");
    app.put(format!("/api/v1/integrations/{}", pair.backup_id), incomplete).expect(200).await;
    let shown = pair.shown(app).await;
    assert!(text(&shown["warnings"][0]).starts_with("Mail by ses is not complete: "), "{shown}");
    let error = app.post(pair.path("/trigger"), json!({"reason": "Now", "force": true})).refused(409).await;
    assert!(error.detail.contains("NOT_SET_ANYWHERE") && error.detail.ends_with("Nothing was changed."), "{error:?}");

    let given_up = app.put(pair.path(""), json!({"enable_auto_failover": false})).expect(200).await;
    assert_eq!(given_up["is_configured"], false);
}

/// ADMIN-INT-023, and ADMIN-INT-011 of the use-case.
async fn work_moves_when_the_primary_fails(app: &App) {
    let mut pair = Pair::linked(app).await;
    let mut receiver = Receiver::start().await;
    app.webhook(&receiver.url, json!({"events": ["failover.*"]})).await;
    until_sent(app, &sent(app, "before@example.com", &pair.primary_id).await).await;
    assert_eq!(pair.primary.message().await["to"], json!(["before@example.com"]));

    pair.primary.change(json!({"greeting": 421})).await;
    let mut emails = Vec::new();
    for number in 0..5 {
        emails.push(sent(app, &format!("n{number}@example.com"), &pair.primary_id).await);
    }
    for email in &emails {
        let shown = until_sent(app, email).await;
        assert_eq!((&shown["integration_id"], &shown["possibly_duplicated"]), (&json!(pair.backup_id), &json!(false)));
    }
    let mut arrived = BTreeSet::new();
    for _ in 0..5 {
        arrived.insert(text(&pair.backup.message().await["to"][0]));
    }
    assert_eq!(arrived.len(), 5);
    let shown = pair.until_active(app, &pair.backup_id).await;
    assert_eq!((&shown["mode"], &shown["members"][0]["status"]), (&json!("auto"), &json!("down")));
    assert!(shown["members"][0]["next_probe_at"].is_string(), "{shown}");

    let history = app.get(pair.path("/history")).expect(200).await;
    let only = &rows(&history)[0];
    assert_eq!(rows(&history).len(), 1, "{history}");
    assert_eq!(
        (&only["kind"], &only["is_automatic"], &only["failures"]),
        (&json!("switched"), &json!(true), &json!(3))
    );
    assert_eq!((&only["to_name"], &only["actor"]), (&json!("Mail by ses"), &json!("Signalbox")));
    assert!(text(&only["reason"]).starts_with("3 failures in a row. SendGrid is currently unavailable"), "{only}");
    let alerts = app.get("/api/v1/alerts").expect(200).await;
    let rules: BTreeMap<_, _> =
        rows(&alerts).iter().map(|alert| (text(&alert["rule"]), text(&alert["title"]))).collect();
    assert_eq!(rules["failed_over"], "Mail by sendgrid: work runs on Mail by ses");
    let hit = receiver.hit().await;
    let event: Value = serde_json::from_slice(&hit.body).unwrap();
    assert_eq!((&event["event"], &event["data"]["to"]["name"]), (&json!("failover.switched"), &json!("Mail by ses")));
    assert_eq!(event["data"]["consecutive_failures"], 3);
    let audit = app.get("/api/v1/audit").expect(200).await;
    let entry = rows(&audit).iter().find(|entry| entry["action"] == "failover.switched").unwrap();
    assert_eq!(entry["actor"], "Signalbox");
    let logs = app.get(format!("/api/v1/integrations/{}/logs?q=moved", pair.primary_id)).expect(200).await;
    assert_eq!(
        (&rows(&logs)[0]["kind"], &rows(&logs)[0]["message"]),
        (&json!("failover"), &json!("Work moved to Mail by ses"))
    );

    // The primary is still bad: giving it the work back is refused with what is wrong.
    let error = app.post(pair.path("/restore"), json!({"reason": "Hope"})).refused(409).await;
    assert!(error.detail.starts_with("Mail by sendgrid does not work: SendGrid is currently unavailable"), "{error:?}");
    assert_eq!(receiver.unread(), 0);
}

/// ADMIN-INT-024 and ADMIN-INT-025.
async fn an_administrator_switches_and_restores(app: &App) {
    let mut pair = Pair::linked(app).await;
    let mut receiver = Receiver::start().await;
    app.webhook(&receiver.url, json!({"events": ["failover.*"]})).await;
    let error = app.post(pair.path("/trigger"), json!({})).refused(422).await;
    assert_eq!(error.field("reason"), Some("Please give a reason"));
    let error = app.post(pair.path("/trigger"), json!({"reason": "x", "pin_minutes": 0})).refused(422).await;
    assert!(error.field("pin_minutes").is_some());
    app.post(pair.path("/restore"), json!({"reason": "x"})).refused(409).await;

    let switched =
        app.post(pair.path("/trigger"), json!({"reason": "Maintenance", "pin_minutes": 60})).expect(200).await;
    assert_eq!((&switched["mode"], &switched["active_integration_id"]), (&json!("pinned"), &json!(pair.backup_id)));
    assert!(switched["pinned_until"].is_string());
    until_sent(app, &sent(app, "a@example.com", &pair.primary_id).await).await;
    assert_eq!(pair.backup.message().await["to"], json!(["a@example.com"]));
    let error = app.post(pair.path("/trigger"), json!({"reason": "Again", "to_integration_id": pair.backup_id}));
    assert!(error.refused(409).await.detail.starts_with("Mail by ses does the work already, since "));
    let error = app.put(pair.path(""), json!({"enable_auto_failover": false})).refused(409).await;
    assert_eq!(error.detail, "Work runs on Mail by ses now. Restore the primary before you remove it.");

    let restored = app.post(pair.path("/restore"), json!({"reason": "Done"})).expect(200).await;
    assert_eq!((&restored["mode"], &restored["active_integration_id"]), (&json!("auto"), &json!(pair.primary_id)));
    until_sent(app, &sent(app, "b@example.com", &pair.primary_id).await).await;
    assert_eq!(pair.primary.message().await["to"], json!(["b@example.com"]));
    let alerts = app.get("/api/v1/alerts").expect(200).await;
    assert!(rows(&alerts).is_empty(), "{alerts}");
    let history = app.get(pair.path("/history")).expect(200).await;
    let moves: Vec<_> = rows(&history).iter().map(|it| (text(&it["kind"]), text(&it["reason"]))).collect();
    assert_eq!(moves, [("restored".into(), "Done".into()), ("switched".into(), "Maintenance".to_owned())]);
    let mut told = Vec::new();
    for _ in 0..2 {
        let hit = receiver.hit().await;
        told.push(text(&serde_json::from_slice::<Value>(&hit.body).unwrap()["event"]));
    }
    told.sort();
    assert_eq!(told, ["failover.restored", "failover.switched"]);

    // The backup does not work: switching says so, and can be forced.
    pair.backup.change(json!({"greeting": 421})).await;
    let error = app.post(pair.path("/trigger"), json!({"reason": "x"})).refused(409).await;
    assert!(error.detail.starts_with("Mail by ses does not work: ") && error.detail.contains("forced"), "{error:?}");
    app.post(pair.path("/trigger"), json!({"reason": "x", "force": true})).expect(200).await;

    // Roles are swapped with the work.
    let swapped = app
        .post(
            pair.path("/make-primary"),
            json!({"reason": "Contract", "to_integration_id": pair.backup_id, "force": true}),
        )
        .expect(200)
        .await;
    assert_eq!((&swapped["primary_integration_id"], &swapped["mode"]), (&json!(pair.backup_id), &json!("auto")));
    assert_eq!(swapped["backup_integration_id"], json!(pair.primary_id));
}

async fn of_two_who_switch_at_once_one_is_told(app: &App) {
    let pair = Pair::linked(app).await;
    let switch = || app.post(pair.path("/trigger"), json!({"reason": "Both"})).send();
    let (first, second) = tokio::join!(switch(), switch());
    let (won, lost) = if first.status == 200 { (first, second) } else { (second, first) };
    won.expect(200);
    let told = lost.refused(409);
    assert!(told.detail.contains("somebody else meanwhile") || told.detail.contains("already"), "{told:?}");
    assert_eq!(rows(&app.get(pair.path("/history")).expect(200).await).len(), 1);
}

async fn refused_recipients_move_nothing(app: &App) {
    const ALL: usize = 1_000;
    /// Refusals that are accepted side by side.
    const AT_ONCE: usize = 25;
    let pair = Pair::start(app).await;
    // What it may send in an hour is not what stops it.
    let mut busy = pair.primary.integration("sendgrid", &json!({}));
    busy["config"]["rate_limit_hour"] = json!(10_000);
    app.put(format!("/api/v1/integrations/{}", pair.primary_id), busy).expect(200).await;
    app.put(pair.path(""), pair.draft()).expect(200).await;
    for numbers in (0..ALL).collect::<Vec<_>>().chunks(AT_ONCE) {
        let to = |number| format!("reply-550+{number}@example.com");
        let accepted = numbers.iter().map(|number| async { sent(app, &to(*number), &pair.primary_id).await });
        join_all(accepted).await;
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    let left = async |state: &str| {
        !rows(&app.get(format!("/api/v1/emails?state={state}&limit=1")).expect(200).await).is_empty()
    };
    while left("queued").await || left("deferred").await {
        assert!(tokio::time::Instant::now() < deadline);
        tick.tick().await;
    }
    let (mut bounced, mut cursor) = (0, String::new());
    loop {
        let page = app.get(format!("/api/v1/emails?state=bounced&limit=200{cursor}")).expect(200).await;
        bounced += rows(&page).len();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(bounced, ALL);
    let shown = pair.shown(app).await;
    assert_eq!(
        (&shown["active_integration_id"], &shown["members"][0]["failures"]),
        (&json!(pair.primary_id), &json!(0))
    );
    assert!(rows(&app.get(pair.path("/history")).expect(200).await).is_empty());
}

async fn a_member_that_is_switched_off_or_deleted_is_left(app: &App) {
    let pair = Pair::linked(app).await;
    app.post(format!("/api/v1/integrations/{}/disable", pair.primary_id), json!({})).expect(200).await;
    let shown = pair.until_active(app, &pair.backup_id).await;
    assert_eq!(shown["members"][0]["status"], "disabled");
    let email = until_sent(app, &sent(app, "a@example.com", &pair.primary_id).await).await;
    assert_eq!(email["integration_id"], json!(pair.backup_id));
    let history = app.get(pair.path("/history")).expect(200).await;
    assert_eq!(rows(&history)[0]["reason"], "Mail by sendgrid is disabled");
    app.post(format!("/api/v1/integrations/{}/enable", pair.primary_id), json!({})).expect(200).await;
    app.delete(format!("/api/v1/integrations/{}", pair.backup_id)).expect(204).await;
    let shown = pair.until_active(app, &pair.primary_id).await;
    assert_eq!(shown["members"][1]["status"], "missing");
    assert_eq!(shown["warnings"], json!(["This backup was deleted, so it cannot take over"]));
}

/// Twenty e-mails a second for three seconds; the primary is killed after one.
async fn a_primary_that_is_killed_under_load_loses_nothing(app: &App) {
    const SECONDS: u64 = 3;
    let Pair { primary, mut backup, primary_id, backup_id } = Pair::linked(app).await;
    let mut primary = Some(primary);
    let mut had = Vec::new();
    let mut emails = Vec::new();
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    for number in 0..20 * SECONDS {
        tick.tick().await;
        if number == 20 {
            had = primary.take().expect("it is killed once").kill().await;
        }
        emails.push(sent(app, &format!("n{number}@example.com"), &primary_id).await);
    }
    let mut marked = BTreeSet::new();
    for email in &emails {
        let shown = until_sent(app, email).await;
        if shown["possibly_duplicated"] == true {
            marked.insert(text(&shown["to"]));
        }
    }
    let mut arrived: BTreeMap<String, u32> = BTreeMap::new();
    for message in had {
        *arrived.entry(text(&message["to"][0])).or_default() += 1;
    }
    // The backup is asked for its messages by a last one, which comes after all others.
    until_sent(app, &sent(app, "last@example.com", &primary_id).await).await;
    loop {
        let to = text(&backup.message().await["to"][0]);
        if to == "last@example.com" {
            break;
        }
        *arrived.entry(to).or_default() += 1;
    }
    for email in &emails {
        let to = text(&email["to"]);
        let times = arrived.get(&to).copied().unwrap_or_default();
        assert!(times == 1 || (times == 2 && marked.contains(&to)), "{to} arrived {times} times; marked: {marked:?}");
    }
    let shown = app.get(format!("/api/v1/integrations/{primary_id}/failover")).expect(200).await;
    assert_eq!(shown["active_integration_id"], json!(backup_id));
}

/// All nodes say the same within two seconds, whichever counted the last failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_agree() {
    let first = App::start(Database::postgres()).await;
    let beside = || {
        let (url, folder) = (first.database.url.clone(), first.database.folder.path().to_owned());
        // The same master key: it lies in the first one's folder.
        App::start_with(Database::at(url), move |config| config.data_dir = folder)
    };
    let nodes = [beside().await, beside().await];
    let mut pair = Pair::linked(&first).await;
    pair.primary.change(json!({"greeting": 421})).await;
    let all: Vec<&App> = std::iter::once(&first).chain(&nodes).collect();
    let mut emails = Vec::new();
    for number in 0..30 {
        emails.push(sent(all[number % 3], &format!("n{number}@example.com"), &pair.primary_id).await);
    }
    pair.until_active(&first, &pair.backup_id).await;
    let moved = tokio::time::Instant::now();
    for app in &all {
        pair.until_active(app, &pair.backup_id).await;
    }
    assert!(moved.elapsed() < std::time::Duration::from_secs(2));
    for email in &emails {
        until_sent(&first, email).await;
    }
    let history = first.get(pair.path("/history")).expect(200).await;
    assert_eq!(rows(&history).len(), 1, "one move, however many nodes count: {history}");
    // Two who switch at once, on different nodes.
    pair.primary.change(json!({"greeting": 0})).await;
    let restore = |app: &App| app.post(pair.path("/restore"), json!({"reason": "Both"})).send();
    let (one, other) = tokio::join!(restore(all[1]), restore(all[2]));
    let codes = BTreeSet::from([one.status.as_u16(), other.status.as_u16()]);
    assert_eq!(codes, BTreeSet::from([200, 409]), "{} {}", one.body, other.body);
    for app in nodes {
        app.end().await;
    }
    first.end().await;
}
