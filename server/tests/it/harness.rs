//! A server in this process, and a client that says what went wrong.

use std::{borrow::Borrow, fmt::Display, time::Duration};

use domain::{
    OrganizationId, PublicId, Retention, RetryPolicy, Role, Timestamp,
    api::{ApiError, ApiKeyDraft, Delivery, MemberDraft},
    delivery::DeliveryState,
};
use engine::{Actor, Following, LiveEvent, Origin, Who};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use server::{
    config::{Config, LogFormat},
    lifecycle::Server,
};
use storage::{NewAudit, OrganizationRow};

use crate::database::Database;

/// The key that every test server has from the beginning, with scope `admin`.
pub(crate) const ADMIN: &str = "the-bootstrap-key-of-all-tests-0123456789";
/// What tests wait for anything before they fail.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A server with an organization, an admin key and no members.
pub(crate) struct App {
    pub(crate) server: Server,
    pub(crate) url: String,
    pub(crate) database: Database,
    pub(crate) client: reqwest::Client,
}

/// The settings of a test server.
pub(crate) fn config(database: &Database) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: database.folder.path().to_owned(),
        database_url: database.url.clone(),
        public_url: None,
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        proxy: None,
        master_key: None,
        secret_folders: Vec::new(),
        storage_folder: Some(database.folder.path().to_owned()),
        uplink_hosts: Vec::new(),
        header_prefix: "X-InTime".to_owned(),
        bootstrap_owner: None,
        bootstrap_api_key: Some(ADMIN.to_owned()),
        log: "warn".to_owned(),
        log_format: LogFormat::Text,
    }
}

/// A client that follows nothing and waits for a limited time.
#[expect(clippy::disallowed_methods, reason = "this is the other side: it asks the server, the product never does")]
pub(crate) fn client() -> reqwest::Client {
    // A second call finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).no_proxy().build().unwrap()
}

impl App {
    pub(crate) async fn start(database: Database) -> Self {
        Self::start_with(database, |_| ()).await
    }

    pub(crate) async fn start_with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(&database);
        change(&mut config);
        let server = Server::start(&config).await.unwrap();
        let url = format!("http://{}", server.address);
        Self { server, url, database, client: client() }
    }

    pub(crate) async fn end(self) {
        self.server.stop().await;
    }

    /// A request without credentials.
    pub(crate) fn ask(&self, method: Method, path: impl Display) -> Ask {
        Ask(self.client.request(method, format!("{}{path}", self.url)))
    }

    /// `GET`, with the admin key.
    pub(crate) fn get(&self, path: impl Display) -> Ask {
        self.ask(Method::GET, path).key(ADMIN)
    }

    /// `POST`, with the admin key.
    pub(crate) fn post(&self, path: impl Display, body: Value) -> Ask {
        self.ask(Method::POST, path).key(ADMIN).json(body)
    }

    /// `PUT`, with the admin key.
    pub(crate) fn put(&self, path: impl Display, body: Value) -> Ask {
        self.ask(Method::PUT, path).key(ADMIN).json(body)
    }

    /// `DELETE`, with the admin key.
    pub(crate) fn delete(&self, path: impl Display) -> Ask {
        self.ask(Method::DELETE, path).key(ADMIN)
    }

    /// Creates an active webhook; `more` is merged into the body. The answer has its `id` and `secret`.
    pub(crate) async fn webhook(&self, url: &str, more: Value) -> Value {
        let mut body = json!({"name": format!("Webhook {url}"), "url": url, "events": ["*"]});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.post("/api/v1/webhooks", body).expect(201).await
    }

    /// Publishes an event and answers its id.
    pub(crate) async fn publish(&self, event: &str, data: Value) -> String {
        let body = self.post("/api/v1/events", json!({"event": event, "data": data})).expect(202).await;
        text(&body["id"])
    }

    /// The organization that the admin key belongs to.
    pub(crate) async fn organization(&self) -> OrganizationId {
        self.server.store.first_organization().await.unwrap().unwrap().id
    }

    /// A key of this organization with one scope.
    pub(crate) async fn key(&self, scope: &str) -> String {
        let body = json!({"name": format!("Key for {scope}"), "scopes": [scope]});
        text(&self.post("/api/v1/api-keys", body).expect(201).await["key"])
    }

    /// A member of this organization with this role, signed in: the value of the `Cookie` header.
    pub(crate) async fn sign_in(&self, role: Role) -> String {
        self.sign_in_to(self.organization().await, role, "example.com").await
    }

    async fn sign_in_to(&self, organization: OrganizationId, role: Role, host: &str) -> String {
        let (email, password) = (format!("{role}@{host}"), "correct horse battery staple".to_owned());
        let actor = Actor { organization, who: Who::System };
        let draft = MemberDraft { name: role.to_string(), email: email.clone(), role, password: password.clone() };
        self.server.engine.create_member(&actor, draft).await.unwrap();
        let session = self.server.engine.sign_in(&email, &password, &Origin::default()).await.unwrap();
        format!("other=1; signalbox_session={}", session.token.expose())
    }

    /// The owner of the other organization, signed in.
    pub(crate) async fn sign_in_foreign_owner(&self) -> String {
        self.sign_in_to(foreign_organization(), Role::Owner, "others.example").await
    }

    /// Makes another organization, and a key of it with scope `admin`.
    pub(crate) async fn foreign_key(&self) -> String {
        let id = foreign_organization();
        let organization = OrganizationRow {
            id,
            name: "Others".to_owned(),
            inspector_token: "inspector-token-of-the-others".to_owned(),
            retry_policy: RetryPolicy::default(),
            retention: Retention::default(),
            created_at: Timestamp::default(),
        };
        let audit = NewAudit {
            id: domain::AuditId::new(Timestamp::default(), [7; 10]),
            at: Timestamp::default(),
            actor: "Test".to_owned(),
            action: "organization.created",
            subject: id.to_string(),
            fields: Vec::new(),
        };
        assert!(self.server.store.create_organization(organization, None, false, audit).await.unwrap());
        let draft = ApiKeyDraft {
            name: "Foreign".to_owned(),
            scopes: vec!["admin".to_owned()],
            source_id: None,
            expires_at: None,
        };
        let actor = Actor { organization: id, who: Who::System };
        self.server.engine.create_api_key(&actor, draft).await.unwrap().key
    }

    /// What happens from now on.
    pub(crate) async fn watch(&self) -> Watch {
        Watch(self.server.engine.live(self.organization().await, None))
    }
}

/// Younger than the one of the bootstrap key, which is the first.
fn foreign_organization() -> OrganizationId {
    OrganizationId::new(Timestamp::from_millis(4_000_000_000_000), [7; 10])
}

/// Waits for deliveries to come to something.
pub(crate) struct Watch(Following);

impl Watch {
    /// The next try that leaves a delivery in one of these states.
    pub(crate) async fn delivery(&mut self, states: &[DeliveryState]) -> Delivery {
        let found = async {
            loop {
                if let LiveEvent::Delivery { delivery } = self.0.next().await.unwrap().event
                    && states.contains(&delivery.status)
                {
                    return delivery;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("no delivery came to that")
    }
}

/// A request that is being made up.
pub(crate) struct Ask(reqwest::RequestBuilder);

impl Ask {
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn json(self, body: impl Borrow<Value>) -> Self {
        Self(self.0.json(body.borrow()))
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub(crate) async fn send_raw(self) -> reqwest::Response {
        self.0.send().await.unwrap()
    }

    pub(crate) async fn send(self) -> Reply {
        let response = self.send_raw().await;
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, body: response.text().await.unwrap() }
    }

    /// Sends, insists on the status, and reads the body; `null` when it is empty.
    pub(crate) async fn expect(self, status: u16) -> Value {
        self.send().await.expect(status)
    }

    /// Sends and insists on an error.
    pub(crate) async fn refused(self, status: u16) -> ApiError {
        self.send().await.refused(status)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        if self.body.is_empty() { Value::Null } else { serde_json::from_str(&self.body).unwrap() }
    }

    pub(crate) fn refused(self, status: u16) -> ApiError {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let error: ApiError = serde_json::from_str(&self.body).unwrap();
        assert_eq!(error.status, status);
        assert_eq!(error.request_id.as_deref(), Some(self.header("x-request-id")));
        error
    }
}

/// A JSON text without its quotation marks.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

/// The rows of a list.
pub(crate) fn rows(list: &Value) -> &[Value] {
    list["data"].as_array().unwrap_or_else(|| panic!("{list} is not a list"))
}
