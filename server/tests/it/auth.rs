//! Who may what: every operation × every kind of caller, and never another organization's things.

use domain::{Permission, Role, Scope};
use http::Method;
use serde_json::{Value, json};
use server::http::document;

use crate::{
    harness::{ADMIN, App, rows, text},
    on_each_database,
    receiver::{Receiver, refusing},
};

on_each_database!(every_operation, other_organizations, keys, credentials);

/// Every operation: method, path, and the permission it declares; `None`: everybody who is known.
fn operations() -> Vec<(Method, String, Option<Permission>)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["x-permission"].as_str().unwrap_or_else(|| panic!("{method} {path} declares nothing"));
            let permission = Permission::ALL.into_iter().find(|permission| format!("{permission:?}") == name);
            assert!(permission.is_some() || name == "SignedIn", "{method} {path}");
            operations.push((method.to_uppercase().parse().unwrap(), path.clone(), permission));
        }
    }
    assert!(operations.len() > 40);
    operations
}

/// The path with ids of things that are not there.
fn nowhere(path: &str) -> String {
    let id = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
    let noun = match path {
        _ if path.contains("/webhooks") => "whk",
        _ if path.contains("/events") => "evt",
        _ if path.contains("/deliveries") || path.contains("/dead-letters") => "dlv",
        _ if path.contains("/sources") => "src",
        _ if path.contains("/jobs") => "job",
        _ => "key",
    };
    path.replace("{id}", &id(noun)).replace("{deliveryId}", &id("dlv")).replace("{name}", "no.such")
}

enum Caller {
    Key(Scope, String),
    Member(Role, String),
}

async fn every_operation(app: &App) {
    let mut callers = Vec::new();
    for scope in Scope::ALL {
        callers.push(Caller::Key(scope, app.key(scope.as_str()).await));
    }
    for role in Role::ALL {
        callers.push(Caller::Member(role, app.sign_in(role).await));
    }
    for (method, path, permission) in operations() {
        let ask = || app.ask(method.clone(), nowhere(&path));
        let error = ask().refused(401).await;
        assert_eq!(error.detail, "Sign in, or send an API key in the header Authorization: Bearer <API key>");
        for caller in &callers {
            let (ask, may, who) = match caller {
                Caller::Key(scope, key) => {
                    (ask().key(key), permission.is_none_or(|permission| scope.may(permission)), scope.to_string())
                }
                Caller::Member(role, cookie) => (
                    ask().header("cookie", cookie).header("sec-fetch-site", "same-origin"),
                    permission.is_none_or(|permission| role.may(permission)),
                    role.to_string(),
                ),
            };
            // A body that is refused: what is looked at is who may come so far.
            let reply = ask.header("content-type", "application/json").body("[]").send().await;
            let allowed = !matches!(reply.status.as_u16(), 401 | 403);
            assert_eq!(allowed, may, "{who}: {method} {path} ({permission:?}): {} {}", reply.status, reply.body);
        }
    }
}

async fn other_organizations(app: &App) {
    let mut receiver = Receiver::start().await;
    let webhook = text(&app.webhook(&receiver.url, json!({})).await["id"]);
    let event = app.publish("job.created", json!({"of": "ours"})).await;
    receiver.hit().await;
    let deliveries = app.get("/api/v1/deliveries").expect(200).await;
    let delivery = text(&rows(&deliveries)[0]["id"]);
    let source = text(&app.post("/api/v1/sources", json!({"name": "Ours"})).expect(201).await["id"]);
    app.post("/api/v1/event-types", json!({"name": "ours.only", "category": "OURS"})).expect(201).await;
    let key = text(&rows(&app.get("/api/v1/api-keys").expect(200).await)[0]["id"]);
    let job = text(&app.post("/api/v1/replays", json!({"mode": "failed"})).expect(202).await["id"]);
    let broken = json!({
        "provider": "custom_api",
        "name": "Ours",
        "config": {"base_url": format!("http://{}", refusing().await)},
        "secrets": {"authorization": "x"},
    });
    let integration = text(&app.post("/api/v1/integrations", broken).expect(201).await["id"]);
    for _ in 0..3 {
        app.post(format!("/api/v1/integrations/{integration}/health-check"), json!({})).expect(200).await;
    }
    let oauth = json!({
        "provider": "google",
        "name": "Our calendar",
        "config": {"client_id": "ours"},
        "secrets": {"client_secret": "ours"},
    });
    let oauth = text(&app.post("/api/v1/integrations", oauth).expect(201).await["id"]);
    let alert = text(&rows(&app.get("/api/v1/alerts").expect(200).await)[0]["id"]);
    let template = json!({"name": "ours", "subject": "s", "text": "t"});
    let template = text(&app.post("/api/v1/email-templates", template).expect(201).await["id"]);
    let email = json!({"to": "a@example.com", "subject": "s", "text": "t"});
    let email = text(&app.post("/api/v1/emails", email).expect(202).await["id"]);
    app.post("/api/v1/suppressions", json!({"email": "gone@example.com"})).expect(204).await;
    let foreign = app.foreign_key().await;

    for (method, path, _) in operations() {
        if !path.contains('{') {
            continue;
        }
        let id = match path.as_str() {
            path if path.contains("/oauth") || path.contains("/connections") => &oauth,
            path if path.contains("/v1/integrations") => &integration,
            path if path.contains("/alerts") => &alert,
            path if path.contains("/email-templates") => &template,
            path if path.contains("/emails") => &email,
            path if path.contains("/webhooks") => &webhook,
            path if path.contains("/events") => &event,
            path if path.contains("/deliveries") || path.contains("/dead-letters") => &delivery,
            path if path.contains("/sources") => &source,
            path if path.contains("/jobs") => &job,
            _ => &key,
        };
        let path = path
            .replace("{id}", id)
            .replace("{deliveryId}", &delivery)
            .replace("{name}", "ours.only")
            .replace("{email}", "gone@example.com")
            .replace("{key}", "ours.csv");
        let body = match path.rsplit('/').next() {
            Some("state") => json!({"state": "disabled"}),
            Some("test" | "rotate" | "replay" | "retry" | "cancel") => json!({}),
            Some("resend") => json!({"data": {}}),
            Some("test-email") => json!({"to": "us@example.com"}),
            Some("diagnose") => json!({"check": "port"}),
            Some("authorize" | "links" | "token" | "refresh" | "sync") => json!({}),
            Some("maintenance") => json!({"hours": 1}),
            Some("runbook") => json!({"steps": []}),
            Some("reveal") => json!({"password": "x"}),
            Some("snooze") => json!({"minutes": 60}),
            Some("failover") => json!({"enable_auto_failover": false}),
            Some("rehearsal") => json!({"hours": 1}),
            Some("trigger" | "restore" | "make-primary") => json!({"reason": "Ours", "to_integration_id": integration}),
            _ if path.contains("/v1/integrations") => json!({"name": "Taken"}),
            _ if path.contains("/email-templates") => json!({"name": "Taken", "subject": "s", "text": "t"}),
            _ => json!({"name": "Taken", "url": receiver.url, "events": ["*"]}),
        };
        let error = app.ask(method.clone(), &path).key(&foreign).json(body).refused(404).await;
        assert!(error.detail.ends_with("not found"), "{method} {path}: {}", error.detail);
    }
    for path in [
        "webhooks",
        "events",
        "deliveries",
        "dead-letters",
        "jobs",
        "sources",
        "inspector/requests",
        "integrations",
        "logs",
        "alerts",
        "emails",
        "email-templates",
        "suppressions",
    ] {
        let list = app.ask(Method::GET, format!("/api/v1/{path}")).key(&foreign).expect(200).await;
        assert!(rows(&list).is_empty(), "{path}: {list}");
    }
    for (path, ours) in [("api-keys", &key), ("event-types", &"ours.only".to_owned()), ("audit", &webhook)] {
        let list = app.ask(Method::GET, format!("/api/v1/{path}")).key(&foreign).expect(200).await;
        assert!(!list.to_string().contains(ours.as_str()), "{path}: {list}");
    }
    app.sign_in(Role::Viewer).await;
    let their_owner = app.sign_in_foreign_owner().await;
    let list = app.ask(Method::GET, "/api/v1/members").header("cookie", &their_owner).expect(200).await;
    assert_eq!(rows(&list).iter().map(|member| text(&member["email"])).collect::<Vec<_>>(), ["owner@others.example"]);
    let theirs = app.ask(Method::POST, "/api/v1/events").key(&foreign);
    let accepted = theirs.json(json!({"event": "job.created", "data": {}})).expect(202).await;
    assert_eq!(accepted["deliveries"], 0);
    let error = app
        .ask(Method::POST, "/api/v1/webhooks")
        .key(&foreign)
        .json(json!({"name": "W", "url": receiver.url, "events": ["job.*"], "source_id": source}))
        .refused(422)
        .await;
    assert!(error.field("source_id").is_some());
    // All is as it was.
    let ours = app.get(format!("/api/v1/webhooks/{webhook}")).expect(200).await;
    assert_eq!((&ours["state"], &ours["version"]), (&json!("active"), &json!(1)));
    app.get(format!("/api/v1/webhooks/{webhook}/deliveries?event_id={event}")).expect(200).await;
    assert_eq!(receiver.unread(), 0);
}

async fn keys(app: &App) {
    let created =
        app.post("/api/v1/api-keys", json!({"name": "Publisher", "scopes": ["events:write"]})).expect(201).await;
    let key = text(&created["key"]);
    assert!(key.starts_with("sbk_") && key.starts_with(created["prefix"].as_str().unwrap()));
    let list = app.get("/api/v1/api-keys").send().await;
    assert!(!list.body.contains(&key) && list.body.contains("Publisher"));

    let publish =
        || app.ask(Method::POST, "/api/v1/events").key(&key).json(json!({"event": "job.created", "data": {}}));
    publish().expect(202).await;
    let me = app.ask(Method::GET, "/api/v1/me").key(&key).expect(200).await;
    assert_eq!((&me["kind"], &me["scopes"]), (&json!("api_key"), &json!(["events:write"])));
    let error = app.ask(Method::GET, "/api/v1/webhooks").key(&key).refused(403).await;
    assert_eq!(error.detail, "This API key's scopes do not allow this.");

    let path = format!("/api/v1/api-keys/{}", text(&created["id"]));
    let revoked = app.delete(&path).expect(200).await;
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(publish().refused(401).await.detail, "The API key is unknown, revoked or expired");
    assert_eq!(rows(&app.get("/api/v1/events").expect(200).await).len(), 1);

    let source = text(&app.post("/api/v1/sources", json!({"name": "Billing"})).expect(201).await["id"]);
    let bound = json!({"name": "Bound", "scopes": ["events:write"], "source_id": source});
    let bound = text(&app.post("/api/v1/api-keys", bound).expect(201).await["key"]);
    let event = app.ask(Method::POST, "/api/v1/events").key(&bound).json(json!({"event": "job.created", "data": 1}));
    let event = text(&event.expect(202).await["id"]);
    assert_eq!(app.get(format!("/api/v1/events/{event}")).expect(200).await["source_id"], json!(source));

    let expired = json!({"name": "Old", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"});
    let reply = app.post("/api/v1/api-keys", expired).send().await;
    if reply.status == 201 {
        let key = text(&reply.expect(201)["key"]);
        app.ask(Method::GET, "/api/v1/me").key(&key).refused(401).await;
    } else {
        reply.refused(422);
    }
}

async fn credentials(app: &App) {
    let me = || app.ask(Method::GET, "/api/v1/me");
    let reply = me().send().await;
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"signalbox\"");
    assert_eq!(reply.refused(401).code, domain::api::ErrorCode::Unauthorized);
    for header in ["Basic YTpi", "Bearer", ADMIN] {
        let error = me().header("authorization", header).refused(401).await;
        assert_eq!(error.detail, "The Authorization header must be: Bearer <API key>", "{header}");
    }
    let error = me().key("sbk_unknown").refused(401).await;
    assert_eq!(error.detail, "The API key is unknown, revoked or expired");
    let error = me().header("cookie", "signalbox_session=nonsense").refused(401).await;
    assert_eq!(error.detail, "The session has ended; sign in again");
    let me: Value = me().header("authorization", &format!("bearer {ADMIN}")).expect(200).await;
    assert_eq!(me["name"], "Bootstrap");
}
