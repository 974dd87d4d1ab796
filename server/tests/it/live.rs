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

on_each_database!(news_of_ones_own, nothing_falls_between);

struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(app: &App, cookie: &str) -> Self {
        Self::of(app.client.get(format!("{}/_ui/live", app.url)).header("cookie", cookie)).await
    }

    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event with its id; `None` when the stream has ended.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            if let (id, Some(data)) = self.block().await? {
                return Some((id, serde_json::from_str(&data).unwrap()));
            }
        }
    }

    /// The next id, and data where there is some.
    async fn block(&mut self) -> Option<(String, Option<String>)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                return Some((field("id: ").unwrap_or_default(), field("data: ")));
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
    let (_, message) = stream.event().await.unwrap();
    assert_eq!((&message["type"], &message["delivery"]["event_id"]), (&json!("delivery"), &json!(ours)));
}

/// What happens between a page and its stream, and between two streams, is told; or that it is no longer known.
async fn nothing_falls_between(app: &App) {
    let mut receiver = Receiver::start().await;
    app.webhook(&receiver.url, json!({})).await;
    let cookie = app.sign_in(Role::Viewer).await;
    let url = format!("{}/_ui/live", app.url);
    let page = app.client.get(format!("{}/deliveries", app.url)).header("cookie", &cookie).send().await.unwrap();
    let page = page.text().await.unwrap();
    let (_, since) = page.split_once("data-live=\"").expect("the page says where it is");
    let (since, _) = since.split_once('"').unwrap();

    let between = app.publish("job.created", json!({})).await;
    receiver.hit().await;
    let since_the_page = || app.client.get(format!("{url}?since={since}")).header("cookie", &cookie);
    let mut stream = Stream::of(since_the_page()).await;
    assert_eq!(stream.block().await.unwrap(), (since.to_owned(), None));
    let (last, message) = stream.event().await.unwrap();
    assert_eq!(message["delivery"]["event_id"], json!(between));
    // The acceptance was told of; of the try it is told after that, now or in the next stream.
    drop(stream);

    let after = app.publish("job.created", json!({})).await;
    receiver.hit().await;
    // As browsers do: with the address of the page, and what they heard last.
    let mut stream = Stream::of(since_the_page().header("last-event-id", &last)).await;
    let mut told = Vec::new();
    while told.last() != Some(&json!(after)) {
        let (id, mut message) = stream.event().await.unwrap();
        assert_ne!(id, last, "nothing is told twice");
        told.push(message["delivery"]["event_id"].take());
    }
    assert!(told.iter().all(|event| *event == json!(between) || *event == json!(after)));

    // Another process, and nonsense.
    let (_, number) = since.split_once('.').unwrap();
    let elsewhere = format!("nod_00000000000000000000000000.{number}");
    let mut stream = Stream::of(since_the_page().header("last-event-id", elsewhere)).await;
    assert_eq!(stream.event().await.unwrap().1, json!({"type": "missed"}));
    let mut stream = Stream::of(since_the_page().header("last-event-id", "nonsense")).await;
    let now = app.publish("job.created", json!({})).await;
    assert_eq!(stream.event().await.unwrap().1["delivery"]["event_id"], json!(now));
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
