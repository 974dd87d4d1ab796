//! Integrations over HTTP: forms and their words, health from real answers, alerts told once, logs. One list of cases, long
//! because every word of the specification is provoked.

use std::time::Duration;

use domain::Role;
use engine::UplinkHost;
use http::Method;
use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{ADMIN, App, PATIENCE, client, rows, text},
    mail::MailServer,
    on_each_database,
    process::Process,
    receiver::{Receiver, hanging, refusing},
};

on_each_database!(
    settings_and_secrets,
    what_is_refused,
    health_is_found_and_told,
    all_are_checked_in_a_round,
    a_hundred_are_shown_until_all_are_asked_for,
    members_choose_what_they_are_told,
    scenarios_in_the_words_of_the_specification,
    logs_are_searched_exported_and_cleared,
    the_tools_of_troubleshooting,
);

/// An HTTP API whose probe asks `{base_url}{path}`.
fn api(name: &str, base_url: &str, path: &str) -> Value {
    json!({
        "type": "custom",
        "provider": "custom_api",
        "name": name,
        "config": {"base_url": base_url, "health_path": path},
        "secrets": {"authorization": "Bearer canary-4711"},
        // So that only checks that a test asks for happen while it runs.
        "check_interval_s": 86_400,
    })
}

async fn added(app: &App, draft: Value) -> String {
    text(&app.post("/api/v1/integrations", draft).expect(201).await["id"])
}

/// Waits until the check that follows adding it is stored: it must not come between others.
async fn settled(app: &App, id: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while app.get(format!("/api/v1/integrations/{id}")).expect(200).await["last_checked_at"].is_null() {
        assert!(tokio::time::Instant::now() < deadline, "{id} was not checked");
        tokio::task::yield_now().await;
    }
}

/// Checks now and answers what was found.
async fn checked(app: &App, id: &str) -> Value {
    app.post(format!("/api/v1/integrations/{id}/health-check"), json!({})).expect(200).await
}

async fn settings_and_secrets(app: &App) {
    let mut receiver = Receiver::start().await;
    let id = added(app, api("Billing", &receiver.url, "/ok")).await;
    let hit = receiver.hit().await;
    assert_eq!((&*hit.path, hit.header("authorization")), ("/ok", "Bearer canary-4711"), "it is checked at once");
    let shown = app.get(format!("/api/v1/integrations/{id}")).expect(200).await;
    assert_eq!(
        (&shown["type"], &shown["provider"], &shown["version"]),
        (&json!("custom"), &json!("custom_api"), &json!(1))
    );
    assert_eq!(shown["secrets"]["authorization"]["reference"], Value::Null);
    assert!(!shown.to_string().contains("canary-4711"), "{shown}");
    assert!(!shown["runbook"].as_array().unwrap().is_empty(), "it begins with the provider's steps");

    let changed = json!({
        "name": "Invoices",
        "config": {"base_url": receiver.url, "health_path": "/new"},
        "check_interval_s": 86_400,
        "version": 1,
    });
    let changed = app.put(format!("/api/v1/integrations/{id}"), changed).expect(200).await;
    assert_eq!((&changed["name"], &changed["version"]), (&json!("Invoices"), &json!(2)));
    let hit = receiver.hit().await;
    assert_eq!((&*hit.path, hit.header("authorization")), ("/new", "Bearer canary-4711"), "the secret stayed");
    let stale = json!({"name": "Third", "config": {"base_url": receiver.url}, "version": 1});
    app.put(format!("/api/v1/integrations/{id}"), stale).refused(409).await;

    let summary = app.get("/api/v1/integrations/summary").expect(200).await;
    assert_eq!(
        (&summary["total"], &summary["active"], &summary["active_percent"]),
        (&json!(1), &json!(1), &json!(100))
    );
    let disabled = app.post(format!("/api/v1/integrations/{id}/disable"), json!({})).expect(200).await;
    assert_eq!((&disabled["status"], &disabled["next_check_at"]), (&json!("disabled"), &Value::Null));
    assert_eq!(app.get("/api/v1/integrations/summary").expect(200).await["disabled"], 1);
    let list = app.get("/api/v1/integrations?status=disabled&q=invo").expect(200).await;
    assert_eq!(rows(&list).len(), 1);
    assert!(rows(&app.get("/api/v1/integrations?type=email").expect(200).await).is_empty());
    let found = app.post(format!("/api/v1/integrations/{id}/reconnect"), json!({})).expect(200).await;
    assert_eq!(found["ok"], true);
    assert_eq!(app.get(format!("/api/v1/integrations/{id}")).expect(200).await["state"], "active");

    // A member sees a secret for their password; an API key never.
    let reveal = format!("/api/v1/integrations/{id}/secrets/authorization/reveal");
    app.post(&reveal, json!({"password": "x"})).refused(403).await;
    let cookie = app.sign_in(Role::Admin).await;
    let ask = |password: &str| {
        let ask = app.ask(Method::POST, &reveal).header("cookie", &cookie).header("sec-fetch-site", "same-origin");
        ask.json(json!({"password": password}))
    };
    ask("wrong").refused(422).await;
    assert_eq!(ask("correct horse battery staple").expect(200).await["value"], "Bearer canary-4711");
    let audit = app.get("/api/v1/audit").expect(200).await;
    assert!(audit.to_string().contains("integration.secret_revealed") && !audit.to_string().contains("canary-4711"));

    app.delete(format!("/api/v1/integrations/{id}")).expect(204).await;
    app.get(format!("/api/v1/integrations/{id}")).expect(404).await;
}

async fn what_is_refused(app: &App) {
    let refused = async |draft: Value, field: &str, message: &str| {
        let answer = app.post("/api/v1/integrations", draft).refused(422).await;
        let found = answer.errors.iter().any(|error| error.field == field && error.message == message);
        assert!(found, "{field}: {message} is not in {:?}", answer.errors);
    };
    refused(json!({"type": "email"}), "provider", "Please select an email provider").await;
    refused(json!({"provider": "nobody"}), "provider", "Unknown provider: nobody").await;
    let empty = json!({"type": "email", "provider": "smtp", "config": {"smtp_port": null, "rate_limit_hour": 99}});
    for (field, message) in [
        ("config.smtp_host", "SMTP host is required"),
        ("config.smtp_username", "Username/API key is required"),
        ("secrets.smtp_password", "Password/API secret is required"),
        ("config.from_email", "From email address is required"),
        ("config.from_name", "From name is required"),
        ("config.rate_limit_hour", "Minimum hourly limit is 100"),
    ] {
        refused(empty.clone(), field, message).await;
    }
    let wrong = json!({"type": "email", "provider": "smtp", "config": {
        "smtp_host": "not a host", "from_email": "nobody", "from_name": "<b>", "rate_limit_hour": 10_001, "nonsense": 1,
    }});
    for (field, message) in [
        ("config.smtp_host", "Please enter a valid hostname or IP address"),
        ("config.from_email", "Please enter a valid email address"),
        ("config.from_name", "From name contains invalid characters"),
        ("config.rate_limit_hour", "Maximum hourly limit is 10,000"),
        ("config.nonsense", "Custom SMTP has no setting nonsense"),
    ] {
        refused(wrong.clone(), field, message).await;
    }
    let blocked = api("Inside", "https://10.0.0.1", "/");
    let inside = "This URL leads to a private or reserved network address, which is not allowed";
    refused(blocked, "config.base_url", inside).await;
    let mut reference = api("Reference", "https://api.example.com", "/");
    reference["secrets"]["authorization"] = json!("file:relative");
    refused(reference, "secrets.authorization", "Please give an absolute path, as in file:/path").await;
    added(app, api("Twice", "https://192.0.2.1.nip.example", "/")).await;
    refused(api("Twice", "https://api.example.com", "/"), "name", "An integration with this name already exists").await;
    assert_eq!(app.get("/api/v1/integrations/summary").expect(200).await["total"], 1, "nothing else was stored");
    app.ask(Method::GET, "/api/v1/integrations").key(&app.key("events:write").await).expect(403).await;
    app.ask(Method::POST, "/api/v1/integrations")
        .key(&app.key("integrations:read").await)
        .json(json!({}))
        .expect(403)
        .await;
}

/// The nth integration's `health` field.
async fn health(app: &App, id: &str) -> Value {
    app.get(format!("/api/v1/integrations/{id}")).expect(200).await["health"].clone()
}

async fn health_is_found_and_told(app: &App) {
    let (mut provider, mut slack) = (Receiver::start().await, Receiver::start().await);
    added(
        app,
        json!({
            "provider": "slack",
            "name": "Team",
            "secrets": {"webhook_url": format!("{}/hook", slack.url)},
            "check_interval_s": 86_400,
        }),
    )
    .await;
    slack.hit().await;
    let id = added(app, api("Payroll", &provider.url, "/api")).await;
    provider.hit().await;
    settled(app, &id).await;
    assert_eq!(health(app, &id).await, "healthy");
    provider.script(&[503; 3]);
    for (number, wanted) in [(1, "healthy"), (2, "healthy"), (3, "down")] {
        let found = checked(app, &id).await;
        assert_eq!(found["message"], "Custom API is currently unavailable");
        assert_eq!((&found["fault"], &found["health"]), (&json!("outage"), &json!(wanted)), "{number}");
    }
    assert_eq!(health(app, &id).await, "down");
    assert_eq!(app.get("/api/v1/integrations/summary").expect(200).await["errors"], 1);
    let told = slack.hit().await.json();
    assert!(
        told["text"].as_str().unwrap().contains("[Critical] Payroll: Custom API is currently unavailable"),
        "{told}"
    );
    let alerts = app.get("/api/v1/alerts").expect(200).await;
    let alert = &rows(&alerts)[0];
    assert_eq!(
        (&alert["rule"], &alert["subject"], &alert["occurrences"]),
        (&json!("integration_down"), &json!(id), &json!(1))
    );
    provider.script(&[503]);
    checked(app, &id).await;
    let again = app.get("/api/v1/alerts").expect(200).await;
    assert_eq!((rows(&again).len(), &rows(&again)[0]["occurrences"]), (1, &json!(2)), "one alert, counted");

    let path = format!("/api/v1/alerts/{}", text(&alert["id"]));
    app.post(format!("{path}/snooze"), json!({"minutes": 1})).refused(422).await;
    let snoozed = app.post(format!("{path}/snooze"), json!({"minutes": 30})).expect(200).await;
    assert_eq!(snoozed["state"], "snoozed");
    let acknowledged = app.post(format!("{path}/acknowledge"), json!({})).expect(200).await;
    assert_eq!(acknowledged["state"], "acknowledged");

    let report = app.get(format!("/api/v1/integrations/{id}/health")).expect(200).await;
    assert_eq!(report["recent_errors"].as_array().unwrap().len(), 4);
    assert_eq!(report["pattern"], "Repeated server errors suggest an outage at the provider");
    assert_eq!((&report["last_24h"]["checks_failed"], &report["uptime_target_percent"]), (&json!(4), &json!(99.9)));
    assert!(!report["actions"].as_array().unwrap().is_empty());

    assert_eq!(checked(app, &id).await["health"], "down", "one good answer proves nothing");
    assert_eq!(checked(app, &id).await["health"], "healthy");
    let told = slack.hit().await.json();
    assert!(told["text"].as_str().unwrap().contains("[Resolved] Payroll"), "{told}");
    assert_eq!(slack.unread(), 0, "told once each time");
    assert!(rows(&app.get("/api/v1/alerts").expect(200).await).is_empty());
    assert_eq!(rows(&app.get("/api/v1/alerts?state=resolved").expect(200).await).len(), 1);
    app.post(format!("{path}/resolve"), json!({})).refused(409).await;
}

async fn a_hundred_are_shown_until_all_are_asked_for(app: &App) {
    let draft = |number: u32| json!({"provider": "local_folder", "name": format!("Folder {number:03}")});
    for number in 0..101 {
        app.post("/api/v1/integrations", draft(number)).expect(201).await;
    }
    let cookie = app.sign_in(Role::Viewer).await;
    let shown = async |query: &str| {
        let url = format!("{}/integrations{query}", app.url);
        let page = app.client.get(url).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
        (page.matches(" data-row").count(), page.contains(">Folder 100<"))
    };
    assert_eq!(shown("").await, (100, false));
    assert_eq!(shown("?rows=all").await, (101, true));
    assert_eq!(shown("?q=folder%20100").await, (1, true), "all are searched");
}

async fn all_are_checked_in_a_round(app: &App) {
    const ROUND: &str = "/api/v1/integrations/health-check";
    let (mut provider, mut slow) = (Receiver::start().await, Receiver::start().await);
    app.get(ROUND).refused(404).await;
    let good = added(app, api("Good", &provider.url, "/ok")).await;
    let bad = added(app, api("Bad", &format!("http://{}", refusing().await), "/")).await;
    let turn = app.get(format!("/api/v1/integrations/{good}")).expect(200).await["next_check_at"].clone();
    for _ in 0..3 {
        checked(app, &bad).await;
    }
    let held = added(app, api("Held", &slow.url, "/held")).await;
    let off = added(app, api("Off", &provider.url, "/off")).await;
    app.post(format!("/api/v1/integrations/{off}/disable"), json!({})).expect(200).await;
    for id in [&good, &bad, &held, &off] {
        settled(app, id).await;
    }
    assert_eq!((provider.unread(), slow.unread()), (2, 1), "each is checked when it is added");
    for _ in 0..2 {
        provider.hit().await;
    }
    slow.hit().await;
    let gate = slow.close();

    let begun = app.post(ROUND, json!({})).send().await;
    assert_eq!(begun.header("location"), ROUND);
    let begun = begun.expect(202);
    assert_eq!((&begun["state"], &begun["total"], &begun["checked"]), (&json!("running"), &json!(3), &json!(0)));
    assert_eq!(app.post(ROUND, json!({})).expect(202).await["started_at"], begun["started_at"], "one at a time");
    let until = async |done: &dyn Fn(&Value) -> bool| {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let round = app.ask(Method::GET, ROUND).key(ADMIN).expect(200).await;
            if done(&round) {
                return round;
            }
            assert!(tokio::time::Instant::now() < deadline, "{round}");
            tokio::task::yield_now().await;
        }
    };
    let nearly = until(&|round| round["checked"] == 2).await;
    assert_eq!((&nearly["state"], &nearly["healthy"], &nearly["down"]), (&json!("running"), &json!(1), &json!(1)));
    slow.hit().await;
    assert_eq!((provider.hit().await.path, provider.unread()), ("/ok".to_owned(), 0), "the disabled one is not asked");
    let shown = app.get(format!("/api/v1/integrations/{good}")).expect(200).await;
    assert_eq!(shown["next_check_at"], turn, "its turn stays as it is");
    let cancelled = app.delete(ROUND).expect(200).await;
    assert_eq!((&cancelled["state"], &cancelled["total"]), (&json!("cancelled"), &json!(2)), "{cancelled}");
    app.delete(ROUND).refused(409).await;

    app.delete(format!("/api/v1/integrations/{held}")).expect(204).await;
    gate.cancel();
    app.post(ROUND, json!({})).expect(202).await;
    let done = until(&|round| round["state"] == "done").await;
    assert_eq!((&done["total"], &done["healthy"], &done["down"]), (&json!(2), &json!(1), &json!(1)));
    assert!(done["finished_at"].is_string() && provider.hit().await.path == "/ok", "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blamed_for_our_own_connection() {
    // It need not do more than take connections.
    let gateway = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = gateway.local_addr().unwrap();
    let uplink = || vec![UplinkHost { host: at.ip().to_string(), port: at.port() }];
    let app = App::start_with(Database::sqlite(), |config| config.uplink_hosts = uplink()).await;
    let mut slack = Receiver::start().await;
    let team = json!({
        "provider": "slack",
        "name": "Team",
        "secrets": {"webhook_url": format!("{}/hook", slack.url)},
        "check_interval_s": 86_400,
    });
    added(&app, team).await;
    slack.hit().await;
    let told = async |slack: &mut Receiver, words: &str| {
        let message = slack.hit().await.json();
        assert!(message["text"].as_str().unwrap().contains(words), "{message}");
    };
    let gone = async |name: &str| added(&app, api(name, &format!("http://{}", refusing().await), "/")).await;

    // While the gateway answers, a provider that does not is to blame.
    let first = gone("First").await;
    settled(&app, &first).await;
    for _ in 0..3 {
        checked(&app, &first).await;
    }
    assert_eq!(health(&app, &first).await, "down");
    told(&mut slack, "[Critical] First").await;
    let counted = rows(&app.get("/api/v1/alerts").expect(200).await)[0]["occurrences"].clone();

    drop(gateway);
    let others = [gone("Second").await, gone("Third").await];
    for id in others.iter().chain([&first]) {
        for _ in 0..4 {
            assert_eq!(checked(&app, id).await["fault"], "refused");
        }
    }
    let open = app.get("/api/v1/alerts").expect(200).await;
    let rules: Vec<_> = rows(&open).iter().map(|alert| text(&alert["rule"])).collect();
    assert_eq!(rules, ["own_connection", "integration_down"], "one in place of one for each");
    assert_eq!(rows(&open)[1]["occurrences"], counted, "what is known already is not counted either");
    told(&mut slack, "[Critical] This server has no connection").await;
    for id in &others {
        let shown = app.get(format!("/api/v1/integrations/{id}")).expect(200).await;
        assert_eq!((&shown["health"], &shown["pulse"]["bad"]), (&json!("unknown"), &json!(0)), "not counted");
        let log = app.get(format!("/api/v1/integrations/{id}/logs")).expect(200).await;
        assert_eq!(rows(&log)[0]["details"]["Counted"], "No: this server has no connection");
    }

    // Another process does not forget it, tells nobody again, and ends it when the gateway is back.
    let App { server, database, .. } = app;
    server.stop().await;
    let app = App::start_with(database, |config| config.uplink_hosts = uplink()).await;
    checked(&app, &first).await;
    assert!(rows(&app.get("/api/v1/alerts?state=resolved").expect(200).await).is_empty());
    let _gateway = std::net::TcpListener::bind(at).unwrap();
    told(&mut slack, "[Resolved] This server has no connection").await;
    for _ in 0..3 {
        checked(&app, &others[0]).await;
    }
    assert_eq!(health(&app, &others[0]).await, "down", "from now on it counts");
    told(&mut slack, "[Critical] Second").await;
    app.end().await;
}

async fn members_choose_what_they_are_told(app: &App) {
    const OWN: &str = "/api/v1/me/notifications";
    let (mut mail, provider) = (MailServer::start().await, Receiver::start().await);
    let mut sender = mail.integration("smtp", &json!({}));
    sender["check_interval_s"] = json!(86_400);
    let sender = added(app, sender).await;
    let cookie = app.sign_in(Role::Viewer).await;
    let own = |method: Method| app.ask(method, OWN).header("cookie", &cookie).header("sec-fetch-site", "same-origin");
    let told = json!({"emails": ["ops@example.com", "Viewer@example.com"], "slack": false, "reminder_minutes": 0});
    app.put("/api/v1/alert-settings", told).expect(200).await;
    app.get(OWN).refused(404).await;
    let unsaid = own(Method::GET).expect(200).await;
    let of = |list: &Value, name: &str| list[name].as_array().unwrap().len();
    assert_eq!(of(&unsaid, "email"), of(&unsaid, "browser"), "as the organization says, which has the address");
    own(Method::PUT).json(json!({"email": ["nonsense"], "browser": []})).refused(400).await;

    let wants = json!({"email": ["secret_age"], "browser": []});
    assert_eq!(own(Method::PUT).json(&wants).expect(200).await, wants);
    let id = added(app, api("Payroll", &provider.url, "/status/503")).await;
    for _ in 0..3 {
        checked(app, &id).await;
    }
    assert_eq!(mail.message().await["to"], json!(["ops@example.com"]));
    let wants = json!({"email": ["integration_down", "integration_down"], "browser": ["all_down"]});
    own(Method::PUT).json(wants).expect(200).await;
    assert_eq!(own(Method::GET).expect(200).await, json!({"email": ["integration_down"], "browser": ["all_down"]}));
    let alert = text(&rows(&app.get("/api/v1/alerts").expect(200).await)[0]["id"]);
    app.post(format!("/api/v1/alerts/{alert}/resolve"), json!({})).expect(200).await;
    let mut to = vec![mail.message().await["to"].to_string(), mail.message().await["to"].to_string()];
    to.sort();
    assert_eq!(to, ["[\"ops@example.com\"]", "[\"viewer@example.com\"]"]);
    app.post(format!("/api/v1/integrations/{sender}/test-email"), json!({"to": "us@example.com"})).expect(200).await;
    assert_eq!(mail.message().await["to"], json!(["us@example.com"]), "nobody else was told");
    assert!(app.get("/api/v1/audit").expect(200).await.to_string().contains("notification_preferences.updated"));
}

async fn scenarios_in_the_words_of_the_specification(app: &App) {
    let receiver = Receiver::start().await;
    let found = async |base_url: &str, path: &str| {
        let draft = api("Draft", base_url, path);
        app.post("/api/v1/integrations/test", draft).expect(200).await
    };
    for (path, fault, message) in [
        ("/status/401", "authentication", "Authentication failed. Please check credentials."),
        ("/status/503", "outage", "Custom API is currently unavailable"),
        ("/status/429", "rate_limited", "Rate limit exceeded. Retry in 60 seconds."),
        ("/status/404", "rejected", "Custom API refused the request"),
        ("/cut", "reset", "Custom API is currently unavailable"),
    ] {
        let found = found(&receiver.url, path).await;
        assert_eq!((&found["fault"], &found["message"]), (&json!(fault), &json!(message)), "{path}");
        let meaning = found["trouble"]["meaning"].as_str().expect("what it means is said");
        assert!(!meaning.contains('{'), "a value was not written in: {meaning}");
    }
    let echo = found(&receiver.url, "/echo").await.to_string();
    assert!(echo.contains("authorization") && !echo.contains("canary-4711"), "a secret was repeated: {echo}");
    let refused = found(&format!("http://{}", refusing().await), "/").await;
    assert_eq!(
        (&refused["fault"], &refused["message"]),
        (&json!("refused"), &json!("Custom API is currently unavailable"))
    );
    let plain = found(&receiver.url.replace("http://", "https://"), "/").await;
    assert_eq!((&plain["fault"], &plain["message"]), (&json!("tls"), &json!("SSL certificate verification failed")));
    // Nobody says anything until the deadline of a probe.
    let silent = found(&format!("http://{}", hanging().await), "/").await;
    assert_eq!(
        (&silent["fault"], &silent["message"]),
        (&json!("timeout"), &json!("Connection to Custom API timed out"))
    );
    let mut missing = api("Missing", &receiver.url, "/");
    missing["secrets"]["authorization"] = json!("env:NOBODY_HAS_SET_THIS");
    let missing = app.post("/api/v1/integrations/test", missing).expect(200).await;
    assert_eq!(missing["message"], "The environment variable NOBODY_HAS_SET_THIS is not set");
    assert_eq!(app.get("/api/v1/integrations/summary").expect(200).await["total"], 0, "nothing is stored by a try");
}

async fn logs_are_searched_exported_and_cleared(app: &App) {
    let mut receiver = Receiver::start().await;
    let id = added(app, api("Logged", &receiver.url, "/status/500")).await;
    receiver.hit().await;
    for _ in 0..2 {
        app.post(format!("/api/v1/integrations/{id}/test"), json!({})).expect(200).await;
    }
    let path = format!("/api/v1/integrations/{id}/logs");
    let errors = app.get(format!("{path}?level=error&q=unavailable")).expect(200).await;
    let kinds: Vec<_> = rows(&errors).iter().map(|entry| text(&entry["kind"])).collect();
    assert!(kinds.iter().filter(|kind| *kind == "test").count() == 2, "{kinds:?}");
    assert_eq!(rows(&errors)[0]["details"]["Code"], "500");
    assert!(rows(&app.get(format!("{path}?q=nothing-like-it")).expect(200).await).is_empty());
    assert!(!rows(&app.get("/api/v1/logs?limit=1").expect(200).await).is_empty());
    let csv = app.get(format!("/api/v1/logs/export?format=csv&integration_id={id}&level=error")).send().await.body;
    assert!(csv.starts_with("id,at,integration_id,level,kind,message,fault,details\r\n"), "{csv}");
    assert!(csv.contains(",error,test,Custom API is currently unavailable,outage,"), "{csv}");
    let lines = app.get(format!("/api/v1/logs/export?format=ndjson&integration_id={id}")).send().await.body;
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["id"].is_string()));
    assert!(app.delete(&path).expect(200).await["cleared"].as_u64().unwrap() >= 2);
    assert!(rows(&app.get(format!("{path}?level=error")).expect(200).await).is_empty());
    assert!(app.get("/api/v1/audit").expect(200).await.to_string().contains("integration.log_cleared"));
}

async fn the_tools_of_troubleshooting(app: &App) {
    let receiver = Receiver::start().await;
    let id = added(app, api("Tools", &receiver.url, "/ok")).await;
    let look = async |id: &str, check: &str| {
        app.post(format!("/api/v1/integrations/{id}/diagnose"), json!({"check": check})).expect(200).await
    };
    for check in ["network", "port", "credentials"] {
        assert_eq!(look(&id, check).await["ok"], true, "{check}");
    }
    let shut = added(app, api("Shut", &format!("http://{}", refusing().await), "/")).await;
    assert_eq!(look(&shut, "network").await["ok"], true, "whoever refuses a port is there");
    assert_eq!(look(&shut, "port").await["ok"], false);
    assert_eq!(look(&shut, "credentials").await["ok"], false);
    let silent = added(app, api("Silent", &format!("http://{}", hanging().await), "/")).await;
    assert_eq!(look(&silent, "port").await["ok"], true);

    let working = app.put(format!("/api/v1/integrations/{shut}/maintenance"), json!({"hours": 2})).expect(200).await;
    assert_eq!(working["health"], "maintenance");
    app.put(format!("/api/v1/integrations/{shut}/maintenance"), json!({"hours": 169})).refused(422).await;
    let over = app.put(format!("/api/v1/integrations/{shut}/maintenance"), json!({"hours": 0})).expect(200).await;
    assert_eq!(over["maintenance_until"], Value::Null);
    let runbook = json!({"steps": [{"text": "Call them", "done": true}], "status_note": "On it"});
    let changed = app.put(format!("/api/v1/integrations/{shut}/runbook"), runbook.clone()).expect(200).await;
    assert_eq!((&changed["runbook"], &changed["status_note"]), (&runbook["steps"], &runbook["status_note"]));
    let note = "x".repeat(501);
    let long = json!({"steps": [{"text": ""}], "status_note": note});
    app.put(format!("/api/v1/integrations/{shut}/runbook"), long).refused(422).await;

    let settings =
        json!({"emails": ["ops@example.com"], "slack": false, "reminder_minutes": 0, "muted": ["secret_age"]});
    let set = app.put("/api/v1/alert-settings", settings.clone()).expect(200).await;
    assert_eq!(set, settings);
    assert_eq!(app.get("/api/v1/alert-settings").expect(200).await, settings);
    app.put("/api/v1/alert-settings", json!({"emails": ["nobody"]})).refused(422).await;
}

/// However many nodes there are: a check happens once per interval, and an outage is one alert and one e-mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_check_once_and_tell_once() {
    let database = Database::postgres();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Process::serve(&database).await);
    }
    let client = client();
    let ask = async |node: usize, method: Method, path: &str, body: Value| {
        let url = format!("{}{path}", nodes[node].url);
        let answer = client.request(method, url).bearer_auth(ADMIN).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap()
    };
    let (mut mail, mut provider) = (MailServer::start().await, Receiver::start().await);
    let mut sender = mail.integration("smtp", &json!({}));
    sender["check_interval_s"] = json!(86_400);
    let sender = text(&ask(0, Method::POST, "/api/v1/integrations", sender).await["id"]);
    let told = json!({"emails": ["ops@example.com"], "slack": false, "reminder_minutes": 0, "muted": []});
    ask(1, Method::PUT, "/api/v1/alert-settings", told).await;
    provider.script(&[503; 3]);
    let mut payroll = api("Payroll", &provider.url, "/ok");
    payroll["check_interval_s"] = json!(10);
    ask(2, Method::POST, "/api/v1/integrations", payroll).await;

    // The first check is at once, the second in its turn. From then on there is a pause: half the interval while it is suspect.
    let mut checked = Vec::new();
    for _ in 0..5 {
        provider.hit().await;
        checked.push(tokio::time::Instant::now());
    }
    for pair in checked[1..].windows(2) {
        assert!(pair[1] - pair[0] > Duration::from_secs(4), "two checks at a time: {checked:?}");
    }
    for words in ["[Critical] Payroll", "[Resolved] Payroll"] {
        let message = mail.message().await;
        assert_eq!(message["to"], json!(["ops@example.com"]));
        assert!(message["text"].as_str().unwrap().contains(words), "{message}");
    }
    let path = format!("/api/v1/integrations/{sender}/test-email");
    ask(1, Method::POST, &path, json!({"to": "us@example.com"})).await;
    assert_eq!(mail.message().await["to"], json!(["us@example.com"]), "nobody was told twice");
    assert!(rows(&ask(0, Method::GET, "/api/v1/alerts", Value::Null).await).is_empty());
    assert_eq!(rows(&ask(2, Method::GET, "/api/v1/alerts?state=resolved", Value::Null).await).len(), 1);
}
