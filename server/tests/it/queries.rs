//! How often a page asks the database: as often with a few rows as with many.

use domain::{Role, delivery::DeliveryState};
use serde_json::json;

use crate::{harness::App, on_each_database, receiver::Receiver};

on_each_database!(pages_ask_as_often_for_many_rows);

/// Every page that lists something.
const PAGES: [&str; 16] = [
    "/",
    "/webhooks",
    "/deliveries",
    "/deliveries?view=failures",
    "/deliveries?text=job",
    "/events",
    "/dead-letters",
    "/jobs",
    "/integrations",
    "/emails",
    "/emails/templates",
    "/emails/suppressions",
    "/logs",
    "/alerts",
    "/api",
    "/settings",
];
/// Questions that a page may ask, with who is signed in and what the sidebar counts.
const MOST: u64 = 20;
/// How often a page is asked for at least.
const FEWEST_TIMES: u32 = 6;
/// How often at most, until it took no more questions than it may.
const TIMES: u32 = 60;

/// A few of everything that pages list.
async fn add(app: &App, receiver: &mut Receiver, numbers: std::ops::Range<u32>) {
    let mut watch = app.watch().await;
    for number in numbers {
        let (event, path) = if number % 2 == 0 { ("job.created", "ok") } else { ("job.closed", "status/400") };
        let more = json!({"name": format!("W{number}"), "events": [event]});
        app.webhook(&format!("{}/{path}", receiver.url), more).await;
        app.publish(event, json!({"number": number})).await;
        watch
            .delivery(&[
                DeliveryState::Delivered,
                DeliveryState::DeadLetter,
                DeliveryState::Retrying,
                DeliveryState::Failed,
            ])
            .await;
        let integration = json!({
            "provider": "custom_api", "name": format!("I{number}"), "config": {"base_url": "http://127.0.0.1:9"},
            "secrets": {"authorization": "Bearer x"},
        });
        let made = app.post("/api/v1/integrations", integration).expect(201).await;
        app.post(format!("/api/v1/integrations/{}/health-check", made["id"].as_str().unwrap()), json!({}))
            .expect(200)
            .await;
        app.key("events:write").await;
        let template = json!({"name": format!("t{number}"), "subject": "S", "text": "T"});
        app.post("/api/v1/email-templates", template).expect(201).await;
        app.post("/api/v1/suppressions", json!({"email": format!("u{number}@example.com"), "detail": ""}))
            .expect(204)
            .await;
        let email = json!({"to": format!("v{number}@example.com"), "subject": "S", "text": "T"});
        app.post("/api/v1/emails", email).expect(202).await;
    }
}

async fn pages_ask_as_often_for_many_rows(app: &App) {
    let mut receiver = Receiver::start().await;
    let session = app.sign_in(Role::Owner).await;
    // Workers ask too, now and then, more often the longer a page takes: of several times the least is the page's own.
    let asked = async |path: &str, enough: u64| {
        let mut least = u64::MAX;
        for time in 0..TIMES {
            let before = app.server.store.reads();
            let page = app.get(path).header("cookie", &session).header("accept", "text/html").send().await;
            assert_eq!(page.status, 200, "{path}");
            least = least.min(app.server.store.reads() - before);
            if time >= FEWEST_TIMES && least <= enough {
                break;
            }
        }
        least
    };
    add(app, &mut receiver, 0..2).await;
    let mut few = Vec::new();
    for path in PAGES {
        few.push(asked(path, MOST).await);
    }
    add(app, &mut receiver, 2..24).await;
    for (path, few) in PAGES.into_iter().zip(few) {
        let many = asked(path, few).await;
        assert!(many <= few && few > 0 && many <= MOST, "{path}: {few} questions with a few rows, {many} with many");
    }
}
