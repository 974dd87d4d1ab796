//! The server's REST API, as far as a bench needs it.

use std::time::Instant;

use bytes::Bytes;
use engine::http::{Client, Request, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::{BenchError, integrations::News, sink::Sink};

/// The key that the server is started with.
pub(super) const KEY: &str = "bench-key-that-is-long-enough-for-it";
/// The member that the server is started with.
pub(super) const OWNER: (&str, &str) = ("owner@example.com", "a password of the bench");
/// Largest page that is read.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

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

    /// The server's address.
    pub(super) fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
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

    /// Creates something; answers its id.
    pub(super) async fn made(&self, path: &str, draft: &Value) -> Result<String, BenchError> {
        let response = self.send(path, draft.to_string()).await?;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match answer["id"].as_str() {
            Some(id) if response.status == 201 => Ok(id.to_owned()),
            _ => Err(BenchError::Server(format!("{path} was answered with {}: {answer}", response.status))),
        }
    }

    /// Replaces something.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<(), BenchError> {
        let mut target = self.url.clone();
        target.set_path(path);
        let body = body.to_string().into();
        let response = send(&self.client, Method::PUT, target, self.headers.clone(), body).await?;
        if response.status == 200 {
            return Ok(());
        }
        Err(BenchError::Server(format!("{path} was answered with {}", response.status)))
    }

    /// Signs the owner in, as the form does.
    pub(super) async fn sign_in(&self) -> Result<Visitor, BenchError> {
        let mut target = self.url.clone();
        target.set_path("/_ui/sessions/sign-in");
        let (email, password) = OWNER;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("email", email)
            .append_pair("password", password)
            .finish();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        let response = send(&self.client, Method::POST, target, headers, form.into()).await?;
        let cookie = response.headers.iter().find(|(name, _)| name == "set-cookie");
        let cookie = cookie.and_then(|(_, value)| value.split(';').next()).map(str::to_owned);
        let refused = || BenchError::Server(format!("signing in was answered with {}", response.status));
        Ok(Visitor { api: self.clone(), cookie: cookie.ok_or_else(refused)? })
    }

    /// One webhook for each of `sinks`, all of which want every event.
    pub(super) async fn create_webhooks(&self, name: &str, sinks: &[Sink]) -> Result<(), BenchError> {
        for (number, sink) in sinks.iter().enumerate() {
            self.create_webhook(&format!("{name} {number}"), sink, json!({})).await?;
        }
        Ok(())
    }
}

/// A member who is signed in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Visitor {
    api: Api,
    /// `name=value`.
    cookie: String,
}

impl Visitor {
    /// Loads a page, or with a body calls what pages call; insists on 200 and reads all of it.
    pub(super) async fn ask(&self, path: &str, body: Option<&str>) -> Result<(), BenchError> {
        let mut target = self.api.url.clone();
        target.set_path(path);
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, text(&self.cookie)?);
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let body = body.unwrap_or_default().to_owned().into();
        let response = send(&self.api.client, method, target, headers, body).await?;
        if response.status == 200 && !response.body_truncated {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&response.body).chars().take(200).collect();
        Err(BenchError::Server(format!("{path} was answered with {}: {said}", response.status)))
    }

    /// How long `count` requests take, one after the other, in microseconds. The first of all fills caches, which is not asked
    /// about.
    pub(super) async fn look(&self, path: &str, body: Option<&str>, count: u64) -> Result<Vec<u64>, BenchError> {
        self.ask(path, body).await?;
        let mut took_us = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            self.ask(path, body).await?;
            took_us.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        Ok(took_us)
    }

    /// Follows what happens.
    pub(super) async fn follow(&self) -> Result<News, BenchError> {
        let url = &self.api.url;
        News::open(&url[url::Position::BeforeHost..url::Position::AfterPort], &self.cookie).await
    }
}

pub(super) async fn post(
    client: &Client,
    target: url::Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, BenchError> {
    send(client, Method::POST, target, headers, body).await
}

async fn send(
    client: &Client,
    method: Method,
    target: url::Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, BenchError> {
    let request =
        Request { url: target, method, headers, body, timeout_ms: 30_000, max_body_bytes: PAGE_BYTES, exempt: None };
    client.send(request).await.map_err(|failure| BenchError::Server(failure.to_string()))
}

pub(super) fn text(value: &str) -> Result<HeaderValue, BenchError> {
    HeaderValue::from_str(value).map_err(|error| BenchError::Server(error.to_string()))
}

pub(super) fn url(text: &str) -> Result<url::Url, BenchError> {
    url::Url::parse(text).map_err(|error| BenchError::Server(error.to_string()))
}
