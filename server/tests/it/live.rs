//! The live stream of a screen: its own organization's news, while they happen, until the server stops.

use domain::Role;
use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{App, PATIENCE},
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
