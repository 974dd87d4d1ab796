//! The live stream of a screen: its own organization's news, while they happen, on whichever node, until the server stops.

use std::time::Duration;

use domain::Role;
use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{App, PATIENCE, text},
    mail::MailServer,
    on_each_database,
    receiver::Receiver,
};

on_each_database!(news_of_ones_own);

struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(app: &App, cookie: &str) -> Self {
        let response = app.client.get(format!("{}/_ui/live", app.url)).header("cookie", cookie).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let found = field("data: ")
                    .map(|data| (field("id: ").unwrap_or_default().to_owned(), serde_json::from_str(data).unwrap()));
                if found.is_some() {
                    return found;
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("silence").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

impl Stream {
    /// Reads until it hears of this kind.
    async fn hears(&mut self, kind: &str) {
        while self.event().await.expect("it goes on").1["type"] != kind {}
    }
}

/// How soon a screen knows what happened on another node.
const SOON: Duration = Duration::from_secs(1);

/// What happens through one node is on the screens of all others within a second, and only on those of its organization.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_hear_of_it() {
    let first = App::start(Database::postgres()).await;
    let beside = || {
        let (url, folder) = (first.database.url.clone(), first.database.folder.path().to_owned());
        App::start_with(Database::at(url), move |config| config.data_dir = folder)
    };
    let nodes = [beside().await, beside().await];
    let cookie = first.sign_in(Role::Viewer).await;
    let foreign = first.foreign_key().await;
    let their_owner = first.sign_in_foreign_owner().await;
    let mut receiver = Receiver::start().await;
    first.webhook(&receiver.url, json!({})).await;
    let mut streams = Vec::new();
    for node in &nodes {
        streams.push(Stream::open(node, &cookie).await);
    }
    let mut theirs = Stream::open(&nodes[0], &their_owner).await;

    // Deliveries: accepted, and tried. Whoever listens loads them again.
    first.publish("job.created", json!({})).await;
    for stream in &mut streams {
        tokio::time::timeout(SOON, stream.hears("missed")).await.expect("a delivery");
    }
    receiver.hit().await;
    // Integrations.
    let (primary, backup) = tokio::join!(MailServer::start(), MailServer::start());
    let added = async |draft: Value| text(&first.post("/api/v1/integrations", draft).expect(201).await["id"]);
    let id = added(primary.integration("sendgrid", &json!({}))).await;
    for stream in &mut streams {
        tokio::time::timeout(SOON, stream.hears("integrations")).await.expect("an integration");
    }
    let backup = added(backup.integration("ses", &json!({}))).await;
    let path = format!("/api/v1/integrations/{id}/failover");
    first.put(&path, json!({"backup_integration_id": backup})).expect(200).await;
    // Failover: the switch raises the first alert that there is.
    first.post(format!("{path}/trigger"), json!({"reason": "Trying"})).expect(200).await;
    for (node, stream) in nodes.iter().zip(&mut streams) {
        tokio::time::timeout(SOON, stream.hears("alerts")).await.expect("a switch");
        assert_eq!(node.get(&path).expect(200).await["active_integration_id"], json!(backup));
    }
    // The other organization has heard of nothing but its own.
    let draft = json!({"provider": "local_folder", "name": "Theirs"});
    first.ask(http::Method::POST, "/api/v1/integrations").key(&foreign).json(draft).expect(201).await;
    let (_, heard) = tokio::time::timeout(SOON, theirs.event()).await.expect("their integration").unwrap();
    assert_eq!(heard["type"], "integrations");
    drop((streams, theirs));
    for node in nodes {
        node.end().await;
    }
    first.end().await;
}

async fn news_of_ones_own(app: &App) {
    app.ask(http::Method::GET, "/_ui/live").refused(401).await;
    let mut receiver = Receiver::start().await;
    app.webhook(&receiver.url, json!({})).await;
    let cookie = app.sign_in(Role::Viewer).await;
    let mut stream = Stream::open(app, &cookie).await;

    let foreign = app.foreign_key().await;
    let theirs = json!({"name": "Theirs", "url": format!("{}/theirs", receiver.url), "events": ["*"]});
    app.ask(http::Method::POST, "/api/v1/webhooks").key(&foreign).json(theirs).expect(201).await;
    let event = json!({"event": "job.created", "data": {}});
    app.ask(http::Method::POST, "/api/v1/events").key(&foreign).json(event).expect(202).await;
    assert_eq!(receiver.hit().await.path, "/theirs");

    let ours = app.publish("job.created", json!({})).await;
    let (id, message) = stream.event().await.unwrap();
    assert!(id.parse::<u64>().is_ok());
    assert_eq!((&message["type"], &message["delivery"]["event_id"]), (&json!("delivery"), &json!(ours)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_when_the_server_stops() {
    let app = App::start(Database::sqlite()).await;
    let cookie = app.sign_in(Role::Viewer).await;
    let mut stream = Stream::open(&app, &cookie).await;
    let stopping = tokio::spawn(app.server.stop());
    assert!(stream.event().await.is_none());
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
