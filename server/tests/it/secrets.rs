//! What must stay secret, looked for in everything that a server writes: its log at its most talkative, its database and a
//! dump of that, its answers and its pages, while things succeed and while they fail.

use std::process::Command;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{ADMIN, client, text},
    mail::MailServer,
    oauth_server::{Browser, OauthServer},
    process::Process,
    receiver::Receiver,
};

/// Seeded where the user types them.
const HEADER: &str = "header-canary-6f1d";
const MAIL_PASSWORD: &str = "mail-canary-93ab";
const WRONG_PASSWORD: &str = "mail-canary-wrong-51ce";
const API_SECRET: &str = "Bearer api-canary-77e0";

struct Client(String);

impl Client {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> String {
        let mut request = client().request(method, format!("{}{path}", self.0)).bearer_auth(ADMIN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().text().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        serde_json::from_str(&self.ask(Method::POST, path, Some(body)).await).unwrap()
    }
}

/// Everything that was typed in, given out or received. `shown` gathers answers that have no business to hold any of it.
async fn use_everything(server: &Client, shown: &mut String) -> Vec<String> {
    let mut seeds: Vec<String> = [HEADER, MAIL_PASSWORD, WRONG_PASSWORD, API_SECRET, ADMIN].map(str::to_owned).into();

    let mut receiver = Receiver::start().await;
    receiver.script(&[500]);
    let headers = json!([{"name": "X-Key", "value": HEADER}]);
    let webhook = json!({"name": "W", "url": receiver.url, "events": ["*"], "headers": headers});
    seeds.push(text(&server.post("/api/v1/webhooks", webhook).await["secret"]));
    server.post("/api/v1/events", json!({"event": "job.created", "data": {}})).await;
    assert_eq!(receiver.hit().await.header("x-key"), HEADER);
    let key = server.post("/api/v1/api-keys", json!({"name": "K", "scopes": ["events:write"]})).await;
    seeds.push(text(&key["key"]));

    let mut mail = MailServer::start().await;
    mail.change(json!({"password": MAIL_PASSWORD})).await;
    let wrong = mail.integration("smtp", &json!({"smtp_password": WRONG_PASSWORD}));
    *shown += &server.post("/api/v1/integrations/test", wrong).await.to_string();
    let right =
        server.post("/api/v1/integrations", mail.integration("smtp", &json!({"smtp_password": MAIL_PASSWORD}))).await;
    let path = format!("/api/v1/integrations/{}/test-email", text(&right["id"]));
    *shown += &server.post(&path, json!({"to": "ada@example.com"})).await.to_string();
    mail.message().await;
    let api = json!({
        "provider": "custom_api", "name": "API", "config": {"base_url": "http://127.0.0.1:9"},
        "secrets": {"authorization": API_SECRET},
    });
    let api = server.post("/api/v1/integrations", api).await;
    *shown +=
        &server.post(&format!("/api/v1/integrations/{}/health-check", text(&api["id"])), json!({})).await.to_string();

    let mut provider = OauthServer::start(&server.0, json!({})).await;
    let id = text(&server.post("/api/v1/integrations", provider.draft()).await["id"]);
    let link =
        text(&server.post(&format!("/api/v1/integrations/{id}/oauth/authorize"), json!({})).await["authorization_url"]);
    let mut browser = Browser::default();
    browser.stops_before_callback = true;
    browser.open(Method::POST, &link, None).await;
    let back = browser.consent(&[]).await.url;
    browser.stops_before_callback = false;
    *shown += &browser.open(Method::GET, &back, None).await.body;
    for (name, value) in reqwest::Url::parse(&back).unwrap().query_pairs() {
        if name == "state" || name == "code" {
            seeds.push(value.into_owned());
        }
    }
    seeds.push(link.rsplit('/').next().unwrap().to_owned());
    let access =
        async || text(&server.post(&format!("/api/v1/connections/{id}/token"), json!({})).await["access_token"]);
    let refresh = format!("/api/v1/integrations/{id}/oauth/refresh");
    seeds.push(access().await);
    *shown += &server.post(&refresh, json!({})).await.to_string();
    seeds.push(access().await);
    for change in [json!({"token_status": 503}), json!({"token_status": 0, "garbage": true})] {
        provider.change(&change).await;
        *shown += &server.post(&refresh, json!({})).await.to_string();
    }
    seeds.extend(provider.tokens().await.iter().filter_map(|token| token["refresh_token"].as_str()).map(str::to_owned));
    seeds.push("right-secret".to_owned());
    for path in [
        "/api/v1/webhooks",
        "/api/v1/api-keys",
        "/api/v1/integrations",
        "/api/v1/audit",
        "/api/v1/deliveries",
        "/metrics",
    ] {
        *shown += &server.ask(Method::GET, path, None).await;
    }
    for path in ["", "/oauth", "/health", "/logs"] {
        *shown += &server.ask(Method::GET, &format!("/api/v1/integrations/{id}{path}"), None).await;
    }
    seeds
}

/// What the database holds, and what its own tools make of it.
fn kept(database: &Database) -> Vec<u8> {
    if database.url.starts_with("postgres") {
        let dump = Command::new("pg_dump").args(["--dbname", &database.url]).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        return dump.stdout;
    }
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(database.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "master.key") {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

async fn nothing_leaks(database: Database) {
    let mut command = Process::command(&database, &[]);
    command.env("SIGNALBOX_LOG", "trace").env("SIGNALBOX_DATA_DIR", database.folder.path());
    let mut process = Process::start(&mut command).await;
    let server = Client(process.url.clone());
    let mut shown = String::new();
    let seeds = use_everything(&server, &mut shown).await;
    process.signal("TERM").await;
    let log = process.rest_of_log().await;
    process.ends_well().await;
    let kept = kept(&database);
    // They can be found at all: what is no secret is there.
    assert!(log.contains("job.created") || log.contains("/api/v1/events"), "the log says what was done");
    assert!(kept.windows(11).any(|window| window == b"job.created") && shown.contains("custom_oauth"));
    assert!(seeds.len() >= 14, "{}", seeds.len());
    for seed in seeds {
        for form in [seed.clone(), BASE64_STANDARD.encode(&seed), BASE64_STANDARD.encode(format!("\0apikey\0{seed}"))] {
            let told = log.lines().find(|line| line.contains(&form));
            assert_eq!(told, None, "the log holds {form}");
            assert!(!shown.contains(&form), "an answer holds {form}");
            assert!(!kept.windows(form.len()).any(|window| window == form.as_bytes()), "the database holds {form}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_on_sqlite() {
    nothing_leaks(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_on_postgres() {
    nothing_leaks(Database::postgres()).await;
}
