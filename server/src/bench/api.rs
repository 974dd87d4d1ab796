//! The server's REST API, as far as a bench needs it.

use bytes::Bytes;
use engine::http::{Client, Request, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::{BenchError, sink::Sink};

/// The key that the server is started with.
pub(super) const KEY: &str = "bench-key-that-is-long-enough-for-it";

/// A server, addressed with its key. Cheap to clone.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    url: url::Url,
    headers: HeaderMap,
}

impl Api {
    pub(super) fn new(client: Client, server: &str) -> Result<Self, BenchError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, text(&format!("Bearer {KEY}"))?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self { client, url: url(server)?, headers })
    }

    /// Posts, and answers with whatever came back.
    pub(super) async fn send(&self, path: &str, body: String) -> Result<Response, BenchError> {
        let mut target = self.url.clone();
        target.set_path(path);
        post(&self.client, target, self.headers.clone(), body.into()).await
    }

    /// Creates a webhook that leads to `sink`; `more` is merged into the draft. Answers its id.
    pub(super) async fn create_webhook(&self, name: &str, sink: &Sink, more: Value) -> Result<String, BenchError> {
        let mut draft = json!({"name": name, "url": sink.url, "events": ["job.created"]});
        for (key, value) in more.as_object().into_iter().flatten() {
            draft[key] = value.clone();
        }
        let response = self.send("/api/v1/webhooks", draft.to_string()).await?;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match answer["id"].as_str() {
            Some(id) if response.status == 201 => Ok(id.to_owned()),
            _ => Err(BenchError::Server(format!("a webhook was answered with {}: {answer}", response.status))),
        }
    }

    /// One webhook for each of `sinks`, all of which want every event.
    pub(super) async fn create_webhooks(&self, name: &str, sinks: &[Sink]) -> Result<(), BenchError> {
        for (number, sink) in sinks.iter().enumerate() {
            self.create_webhook(&format!("{name} {number}"), sink, json!({})).await?;
        }
        Ok(())
    }
}

pub(super) async fn post(
    client: &Client,
    target: url::Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, BenchError> {
    let request = Request {
        url: target,
        method: Method::POST,
        headers,
        body,
        timeout_ms: 30_000,
        max_body_bytes: 64 * 1024,
        exempt: None,
    };
    client.send(request).await.map_err(|failure| BenchError::Server(failure.to_string()))
}

pub(super) fn text(value: &str) -> Result<HeaderValue, BenchError> {
    HeaderValue::from_str(value).map_err(|error| BenchError::Server(error.to_string()))
}

pub(super) fn url(text: &str) -> Result<url::Url, BenchError> {
    url::Url::parse(text).map_err(|error| BenchError::Server(error.to_string()))
}
