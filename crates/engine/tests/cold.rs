//! Administration as its callers see it: permissions, words, secrets, sessions, keys, webhooks, the Inspector. On a real
//! SQLite file, with a clock that is moved by hand and a seeded generator. One list of cases over one small harness, and long
//! because there are many rules.
#![expect(clippy::unwrap_used, reason = "a case that cannot go on should stop where it is")]

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    CustomHeader, OrganizationId, PublicId, Retention, RetryPolicy, Role, SourceId, Timestamp, WebhookDraft, WebhookId,
    WebhookState,
    api::{
        ApiError, ApiKeyDraft, ErrorCode, EventTypeDraft, Header, MemberDraft, ReceivedSignature, SourceDraft, Webhook,
    },
};
use engine::{
    Actor, Bootstrap, Clock, Engine, EngineConfig, InspectorHit, LiveEvent, ManualClock, Origin, SeededEntropy, Setup,
    Who,
    secrets::{MasterKey, Secret},
    signature::SigningKey,
};
use storage::{NewAudit, OrganizationRow, Store};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const PASSWORD: &str = "correct horse battery";
/// A public address that needs no name lookup.
const URL: &str = "https://93.184.216.34/hook";

struct House {
    engine: Engine,
    store: Store,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl House {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&url(&folder)).await.unwrap();
        let (clock, entropy) = (Arc::new(ManualClock::new(NOW)), Arc::new(SeededEntropy::new(7)));
        let config = EngineConfig {
            public_url: "http://127.0.0.1:3000".into(),
            listener: "127.0.0.1:3000".parse().unwrap(),
            allow_networks: vec![],
            proxy: None,
            master_key: MasterKey::generate(&*entropy),
            secret_folders: Vec::new(),
            storage_folder: None,
            uplink_hosts: Vec::new(),
            header_prefix: "X-InTime".into(),
            in_flight: 8,
            webhook_requests: 4,
            webhook_unstored: 4,
            webhook_queue: 16,
            queue: 64,
            queue_bytes: 1024 * 1024,
        };
        let engine = Engine::start(store.clone(), config, Arc::clone(&clock) as Arc<dyn Clock>, entropy).await.unwrap();
        Self { engine, store, clock, folder }
    }

    /// With an organization; its owner acts.
    async fn furnished() -> (Self, Actor) {
        let house = Self::open().await;
        let session = house.engine.setup(house.engine.setup_token(), form(), &Origin::default()).await.unwrap();
        let owner = house.engine.session(session.token.expose()).await.unwrap().unwrap();
        (house, owner)
    }

    /// Somebody of another organization who may do everything there.
    async fn stranger(&self) -> Actor {
        let id = OrganizationId::new(NOW, [9; 10]);
        let row = OrganizationRow {
            id,
            name: "Another".into(),
            inspector_token: "another".into(),
            retry_policy: RetryPolicy::default(),
            retention: Retention::default(),
            created_at: NOW,
        };
        let audit = NewAudit {
            id: domain::AuditId::new(NOW, [9; 10]),
            at: NOW,
            actor: "test".into(),
            action: "organization.created",
            subject: id.to_string(),
            fields: vec![],
        };
        assert!(self.store.create_organization(row, None, false, audit).await.unwrap());
        Actor { organization: id, who: Who::System }
    }

    async fn webhook(&self, actor: &Actor, name: &str) -> (Webhook, String) {
        let created = self.engine.create_webhook(actor, draft(name)).await.unwrap();
        (created.webhook, created.secret)
    }

    async fn last_audit(&self, actor: &Actor) -> (String, String, Vec<String>) {
        let entry = self.engine.audit(actor, None, Some(1)).await.unwrap().data.remove(0);
        (entry.action, entry.subject, entry.fields)
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("test.db").display())
}

fn form() -> Setup {
    Setup {
        organization: "Acme".into(),
        name: "Ada".into(),
        email: " Ada@Example.com ".into(),
        password: Secret::new(PASSWORD),
    }
}

fn draft(name: &str) -> WebhookDraft {
    WebhookDraft { name: name.into(), url: URL.into(), events: vec!["job.created".into()], ..WebhookDraft::default() }
}

fn viewer(actor: &Actor) -> Actor {
    let who = Who::Member {
        id: domain::MemberId::new(NOW, [1; 10]),
        name: "Vera".into(),
        email: "vera@example.com".into(),
        role: Role::Viewer,
    };
    Actor { organization: actor.organization, who }
}

#[track_caller]
fn refused<T>(outcome: Result<T, ApiError>) -> ApiError {
    match outcome {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => error,
    }
}

fn messages(error: &ApiError) -> Vec<(&str, &str)> {
    error.errors.iter().map(|error| (&*error.field, &*error.message)).collect()
}

#[tokio::test]
async fn setup_happens_once_and_needs_the_printed_token() {
    let house = House::open().await;
    let engine = &house.engine;
    let origin = Origin { ip: Some("192.0.2.1".parse().unwrap()), user_agent: "browser".into() };
    assert!(engine.needs_setup().await.unwrap());
    let error = refused(engine.setup("wrong", form(), &origin).await);
    assert_eq!((error.status, error.errors[0].field.as_str()), (422, "token"));
    let nothing =
        Setup { organization: " ".into(), name: String::new(), email: "ada".into(), password: Secret::new("short") };
    let error = refused(engine.setup(engine.setup_token(), nothing, &origin).await);
    assert_eq!(
        messages(&error),
        [
            ("organization", "Organization name is required"),
            ("name", "Name is required"),
            ("email", "Please enter a valid email address"),
            ("password", "Password must be at least 12 characters"),
        ]
    );
    assert!(engine.needs_setup().await.unwrap());

    let session = engine.setup(engine.setup_token(), form(), &origin).await.unwrap();
    let actor = engine.session(session.token.expose()).await.unwrap().unwrap();
    assert_eq!(actor.label(), "Ada <ada@example.com>");
    assert!(!engine.needs_setup().await.unwrap());
    let error = refused(engine.setup(engine.setup_token(), form(), &origin).await);
    assert_eq!(error.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn sessions_begin_end_and_expire() {
    let (house, _) = House::furnished().await;
    let (engine, origin) = (&house.engine, Origin::default());
    let wrong = refused(engine.sign_in("ada@example.com", "wrong password", &origin).await);
    let unknown = refused(engine.sign_in("nobody@example.com", PASSWORD, &origin).await);
    assert_eq!(wrong, unknown);
    assert_eq!((wrong.status, wrong.detail.as_str()), (401, "Email or password is incorrect"));

    let first = engine.sign_in("ADA@example.com", PASSWORD, &origin).await.unwrap();
    let second = engine.sign_in("ada@example.com", PASSWORD, &origin).await.unwrap();
    assert_ne!(first.token.expose(), second.token.expose());
    engine.sign_out(first.token.expose()).await.unwrap();
    engine.sign_out(first.token.expose()).await.unwrap();
    assert!(engine.session(first.token.expose()).await.unwrap().is_none());
    assert!(engine.session(second.token.expose()).await.unwrap().is_some());
    house.clock.advance_ms(second.expires_at.since_ms(NOW));
    assert!(engine.session(second.token.expose()).await.unwrap().is_none(), "it is over");
    assert!(engine.session("nonsense").await.unwrap().is_none());
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let (house, _) = House::furnished().await;
    let (engine, origin) = (&house.engine, Origin::default());
    for _ in 0..10 {
        let error = refused(engine.sign_in("ada@example.com", "wrong password", &origin).await);
        assert_eq!(error.code, ErrorCode::Unauthorized);
    }
    let error = refused(engine.sign_in("ada@example.com", PASSWORD, &origin).await);
    assert_eq!((error.status, error.retry_after_s), (429, Some(900)));
    house.clock.advance_ms(900_000);
    assert!(engine.sign_in("ada@example.com", PASSWORD, &origin).await.is_ok());
}

#[tokio::test]
async fn bootstrap_can_be_repeated() {
    let house = House::open().await;
    let engine = &house.engine;
    let key = "a-key-that-the-operator-has-chosen";
    let bootstrap = || Bootstrap {
        owner: Some(("root@example.com".into(), Secret::new(PASSWORD))),
        api_key: Some(Secret::new(key)),
    };
    let short = Bootstrap { api_key: Some(Secret::new("short")), ..bootstrap() };
    assert_eq!(refused(engine.bootstrap(short).await).errors[0].field, "api_key");
    for _ in 0..2 {
        engine.bootstrap(bootstrap()).await.unwrap();
    }
    let actor = engine.api_key(key).await.unwrap().unwrap();
    let keys = engine.api_keys(&actor).await.unwrap();
    assert_eq!((keys.len(), keys[0].prefix.as_str()), (1, "a-key-th"));
    let session = engine.sign_in("root@example.com", PASSWORD, &Origin::default()).await.unwrap();
    let owner = engine.session(session.token.expose()).await.unwrap().unwrap();
    assert_eq!(owner.organization, actor.organization);
    engine.revoke_api_key(&owner, keys[0].id).await.unwrap();
    engine.bootstrap(bootstrap()).await.unwrap();
    assert!(engine.api_key(key).await.unwrap().is_none(), "revoked stays revoked");
}

#[tokio::test]
async fn api_keys_are_recognised_until_they_end() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let key = |scopes: &[&str]| ApiKeyDraft {
        name: "CI".into(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        source_id: None,
        expires_at: Some(NOW.plus_ms(60_000)),
    };
    let created = engine.create_api_key(&owner, key(&["events:write", "events:write"])).await.unwrap();
    assert_eq!((created.key.len(), &created.key[..4]), (47, "sbk_"));
    assert_eq!(created.api_key.prefix, created.key[..16]);
    let actor = engine.api_key(&created.key).await.unwrap().unwrap();
    assert_eq!(actor.organization, owner.organization);
    let error = refused(engine.webhooks(&actor, None, None).await);
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert!(engine.api_key(&created.key[1..]).await.unwrap().is_none());
    house.clock.advance_ms(60_000);
    assert!(engine.api_key(&created.key).await.unwrap().is_none(), "expired, though it was remembered");

    let created = engine.create_api_key(&owner, ApiKeyDraft { expires_at: None, ..key(&["admin"]) }).await.unwrap();
    assert!(engine.api_key(&created.key).await.unwrap().is_some());
    engine.revoke_api_key(&owner, created.api_key.id).await.unwrap();
    assert!(engine.api_key(&created.key).await.unwrap().is_none(), "revoked at once");
    let again = engine.revoke_api_key(&owner, created.api_key.id).await.unwrap();
    assert_eq!(again.revoked_at, Some(house.clock.now()));
    let stranger = house.stranger().await;
    assert_eq!(refused(engine.revoke_api_key(&stranger, created.api_key.id).await).status, 404);

    let nonsense = ApiKeyDraft {
        name: " ".into(),
        scopes: vec!["root".into()],
        source_id: Some(SourceId::new(NOW, [3; 10])),
        expires_at: Some(NOW),
    };
    let error = refused(engine.create_api_key(&owner, nonsense).await);
    let fields: Vec<&str> = error.errors.iter().map(|error| &*error.field).collect();
    assert_eq!(fields, ["name", "scopes", "source_id", "expires_at"]);
    let error = refused(engine.create_api_key(&owner, key(&[])).await);
    assert_eq!(error.field("scopes"), Some("Please select at least one scope"));
}

#[tokio::test]
async fn a_key_revoked_elsewhere_works_for_seconds_only() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let draft = ApiKeyDraft { name: "CI".into(), scopes: vec!["admin".into()], source_id: None, expires_at: None };
    let created = engine.create_api_key(&owner, draft).await.unwrap();
    assert!(engine.api_key(&created.key).await.unwrap().is_some());
    let audit = NewAudit {
        id: domain::AuditId::new(NOW, [8; 10]),
        at: NOW,
        actor: "another node".into(),
        action: "api_key.revoked",
        subject: created.api_key.id.to_string(),
        fields: vec![],
    };
    assert!(house.store.revoke_api_key(owner.organization, created.api_key.id, NOW, audit).await.unwrap());
    house.clock.advance_ms(4_999);
    assert!(engine.api_key(&created.key).await.unwrap().is_some());
    house.clock.advance_ms(1);
    assert!(engine.api_key(&created.key).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted_to_the_minute() {
    let (house, owner) = House::furnished().await;
    let draft = ApiKeyDraft { name: "CI".into(), scopes: vec!["admin".into()], source_id: None, expires_at: None };
    let created = house.engine.create_api_key(&owner, draft).await.unwrap();
    for _ in 0..3 {
        house.engine.api_key(&created.key).await.unwrap().unwrap();
        house.clock.advance_ms(1_000);
    }
    // Stopping waits for what was begun.
    house.engine.stop(std::time::Duration::from_secs(10)).await;
    let store = Store::open(&url(&house.folder)).await.unwrap();
    let key = store.api_key(owner.organization, created.api_key.id).await.unwrap().unwrap();
    assert_eq!(key.last_used_at, Some(NOW), "once, not three times");
}

#[tokio::test]
async fn members_are_the_owners_business() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let member = |email: &str| MemberDraft {
        name: "Bob".into(),
        email: email.into(),
        role: Role::Operator,
        password: "another long one".into(),
    };
    let created = engine.create_member(&owner, member("Bob@Example.com")).await.unwrap();
    assert_eq!((created.email.as_str(), created.role), ("bob@example.com", Role::Operator));
    assert_eq!(engine.members(&owner).await.unwrap().len(), 2);
    let error = refused(engine.create_member(&owner, member("bob@example.com")).await);
    assert_eq!(messages(&error), [("email", "A member with this e-mail address already exists")]);
    let session = engine.sign_in("bob@example.com", "another long one", &Origin::default()).await.unwrap();
    let bob = engine.session(session.token.expose()).await.unwrap().unwrap();
    assert_eq!(refused(engine.create_member(&bob, member("eve@example.com")).await).status, 403);
    assert_eq!(refused(engine.members(&bob).await).status, 403);
}

#[tokio::test]
async fn sources_stay_while_they_are_needed() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let source = engine.create_source(&owner, SourceDraft { name: " Shop ".into() }).await.unwrap();
    assert_eq!(engine.sources(&owner).await.unwrap(), std::slice::from_ref(&source));
    let error = refused(engine.create_source(&owner, SourceDraft { name: "Shop".into() }).await);
    assert_eq!(messages(&error), [("name", "A source with this name already exists")]);
    let limited = WebhookDraft { source_id: Some(source.id), ..draft("limited") };
    let webhook = engine.create_webhook(&owner, limited).await.unwrap().webhook;
    let error = refused(engine.delete_source(&owner, source.id).await);
    assert_eq!(error.status, 409);
    let stranger = house.stranger().await;
    assert_eq!(refused(engine.delete_source(&stranger, source.id).await).status, 404);
    engine.delete_webhook(&owner, webhook.id).await.unwrap();
    engine.delete_source(&owner, source.id).await.unwrap();
    assert_eq!(engine.sources(&owner).await.unwrap(), []);
}

#[tokio::test]
async fn event_types_can_be_added() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let built_in = engine.event_types(&owner).await.unwrap().len();
    let kind = |name: &str| EventTypeDraft {
        name: name.into(),
        category: domain::Category("INVOICES".into()),
        description: "An invoice was paid.".into(),
        sample: serde_json::json!({"amount": 12}),
    };
    let created = engine.create_event_type(&owner, kind("invoice.paid")).await.unwrap();
    assert!(created.custom);
    let types = engine.event_types(&owner).await.unwrap();
    assert_eq!((types.len(), types.last()), (built_in + 1, Some(&created)));
    for name in ["invoice.paid", "job.created"] {
        let error = refused(engine.create_event_type(&owner, kind(name)).await);
        assert_eq!(messages(&error), [("name", "An event type with this name already exists")], "{name}");
    }
    assert!(refused(engine.create_event_type(&owner, kind("no spaces")).await).field("name").is_some());
    let subscribed = WebhookDraft { events: vec!["invoice.paid".into()], ..draft("books") };
    let webhook = engine.create_webhook(&owner, subscribed).await.unwrap().webhook;
    let error = refused(engine.delete_event_type(&owner, "invoice.paid").await);
    assert_eq!((error.status, error.detail.contains("books")), (409, true));
    engine.delete_webhook(&owner, webhook.id).await.unwrap();
    engine.delete_event_type(&owner, "invoice.paid").await.unwrap();
    assert_eq!(refused(engine.delete_event_type(&owner, "invoice.paid").await).status, 404);
    assert_eq!(refused(engine.delete_event_type(&owner, "job.created").await).status, 409);
}

#[tokio::test]
async fn a_bad_webhook_is_refused_with_the_words_of_the_specification() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    house.webhook(&owner, "taken").await;
    let private = "This URL leads to a private or reserved network address, which is not allowed";
    for (field, message, change) in [
        ("name", "Webhook name is required", (|d| d.name = " ".into()) as fn(&mut WebhookDraft)),
        ("name", "A webhook with this name already exists", |d| d.name = " taken ".into()),
        ("name", "Webhook name must be at most 100 characters", |d| d.name = "n".repeat(101)),
        ("url", "Webhook URL is required", |d| d.url = String::new()),
        ("url", "Please enter a valid HTTPS URL", |d| d.url = "https://exa mple.com".into()),
        ("url", "Please enter a valid HTTPS URL", |d| d.url = "https://[::1".into()),
        ("url", "Webhook URLs must use HTTPS for security", |d| d.url = "http://93.184.216.34/".into()),
        ("url", "Webhook URLs must use HTTPS for security", |d| d.url = "http://127.0.0.1:3000/".into()),
        ("url", private, |d| d.url = "https://127.0.0.1/".into()),
        ("url", private, |d| d.url = "https://10.1.2.3/".into()),
        ("url", private, |d| d.url = "https://169.254.169.254/latest/meta-data".into()),
        ("url", private, |d| d.url = "https://[fe80::1]/".into()),
        ("url", private, |d| d.url = "https://[::ffff:192.168.0.1]/".into()),
        ("url", private, |d| d.url = "https://0x7f000001/".into()),
        ("events", "Please select at least one event to subscribe to", |d| d.events.clear()),
        ("events", "Unknown event type: job.dreamt", |d| d.events = vec!["job.dreamt".into()]),
        ("headers", "Please give a value for header X-Token", |d| {
            d.headers = vec![CustomHeader { name: "X-Token".into(), value: None }];
        }),
        ("retry_policy.max_retries", "Maximum retry count is 10", |d| {
            d.retry_policy = Some(RetryPolicy { max_retries: 11, ..RetryPolicy::default() });
        }),
    ] {
        let mut draft = draft("new");
        change(&mut draft);
        let error = refused(engine.create_webhook(&owner, draft).await);
        assert_eq!((error.status, messages(&error)), (422, vec![(field, message)]));
    }
    let unknown = WebhookDraft { source_id: Some(SourceId::new(NOW, [3; 10])), ..WebhookDraft::default() };
    let error = refused(engine.create_webhook(&owner, unknown).await);
    let fields: Vec<&str> = error.errors.iter().map(|error| &*error.field).collect();
    assert_eq!(fields, ["name", "url", "events", "source_id"], "all at once");
    assert_eq!(engine.webhooks(&owner, None, None).await.unwrap().data.len(), 1, "nothing was stored");
}

#[tokio::test]
async fn only_the_own_inspector_is_reached_over_http() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let inspector = engine.inspector_url(&owner).await.unwrap();
    assert!(inspector.starts_with("http://127.0.0.1:3000/inspect/"));
    for url in [inspector.clone(), format!("{inspector}/below?a=b")] {
        engine.create_webhook(&owner, WebhookDraft { url: url.clone(), ..draft(&url) }).await.unwrap();
    }
    let outside = format!("{inspector}/../../api/v1/events");
    let error = refused(engine.create_webhook(&owner, WebhookDraft { url: outside, ..draft("outside") }).await);
    assert_eq!(messages(&error), [("url", "Webhook URLs must use HTTPS for security")]);
    let stranger = house.stranger().await;
    let error = refused(engine.create_webhook(&stranger, WebhookDraft { url: inspector, ..draft("theirs") }).await);
    assert_eq!(messages(&error), [("url", "Webhook URLs must use HTTPS for security")]);
}

#[tokio::test]
async fn webhooks_are_changed_by_whoever_saw_them_last() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let (webhook, secret) = house.webhook(&owner, "first").await;
    assert_eq!((secret.len(), &secret[..6]), (38, "whsec_"));
    assert_eq!(engine.webhook(&owner, webhook.id).await.unwrap(), webhook);
    let audit = house.last_audit(&owner).await;
    assert_eq!((audit.0.as_str(), audit.1), ("webhook.created", webhook.id.to_string()));

    let change = WebhookDraft { description: "new words".into(), version: Some(1), ..draft("first") };
    let changed = engine.update_webhook(&owner, webhook.id, change.clone()).await.unwrap();
    assert_eq!((changed.version, changed.description.as_str()), (2, "new words"));
    let audit = house.last_audit(&owner).await;
    assert_eq!((audit.0.as_str(), audit.2), ("webhook.updated", vec!["description".to_owned()]));
    let error = refused(engine.update_webhook(&owner, webhook.id, change.clone()).await);
    assert_eq!(error.code, ErrorCode::Conflict);
    let same = WebhookDraft { version: None, ..change };
    assert_eq!(engine.update_webhook(&owner, webhook.id, same.clone()).await.unwrap().version, 2, "nothing changed");

    let paused = engine.set_webhook_state(&owner, webhook.id, WebhookState::Paused).await.unwrap();
    assert_eq!((paused.state, paused.version), (WebhookState::Paused, 3));
    assert_eq!(house.last_audit(&owner).await.0, "webhook.paused");
    assert_eq!(engine.set_webhook_state(&owner, webhook.id, WebhookState::Paused).await.unwrap().version, 3);

    let stranger = house.stranger().await;
    for error in [
        refused(engine.webhook(&stranger, webhook.id).await),
        refused(engine.update_webhook(&stranger, webhook.id, same).await),
        refused(engine.set_webhook_state(&stranger, webhook.id, WebhookState::Active).await),
        refused(engine.delete_webhook(&stranger, webhook.id).await),
        refused(engine.rotate_secret(&stranger, webhook.id, None).await),
        refused(engine.reveal_secret(&stranger, webhook.id).await),
    ] {
        assert_eq!((error.status, error.detail.as_str()), (404, "Webhook not found"));
    }
    assert_eq!(engine.webhooks(&stranger, None, None).await.unwrap().data, []);
    engine.delete_webhook(&owner, webhook.id).await.unwrap();
    assert_eq!(refused(engine.webhook(&owner, webhook.id).await).status, 404);
}

#[tokio::test]
async fn header_values_are_written_and_never_read() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let header = |name: &str, value: Option<&str>| CustomHeader { name: name.into(), value: value.map(Into::into) };
    let with = |headers: Vec<CustomHeader>| WebhookDraft { headers, ..draft("headers") };
    let created = engine.create_webhook(&owner, with(vec![header("Authorization", Some("Bearer 42"))])).await.unwrap();
    let id = created.webhook.id;
    assert_eq!(created.webhook.headers, [header("Authorization", None)]);
    assert_eq!(engine.webhook(&owner, id).await.unwrap().headers, [header("Authorization", None)]);

    let kept = with(vec![header("authorization", None), header("X-More", Some("more"))]);
    let changed = engine.update_webhook(&owner, id, kept).await.unwrap();
    assert_eq!(changed.headers, [header("authorization", None), header("X-More", None)]);
    assert_eq!(house.last_audit(&owner).await.2, ["headers"]);
    let error = refused(engine.update_webhook(&owner, id, with(vec![header("X-New", None)])).await);
    assert_eq!(messages(&error), [("headers", "Please give a value for header X-New")]);
    let cleared = engine.update_webhook(&owner, id, with(vec![])).await.unwrap();
    assert_eq!(cleared.headers, []);
    house.engine.stop(std::time::Duration::from_secs(10)).await;
    let mut file = std::fs::read(house.folder.path().join("test.db")).unwrap();
    file.extend(std::fs::read(house.folder.path().join("test.db-wal")).unwrap_or_default());
    let holds = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&created.webhook.name), "what is not secret can be found, so what cannot be found is encrypted");
    assert!(!holds("Bearer 42") && !holds(&created.secret), "values are stored encrypted only");
}

#[tokio::test]
async fn secrets_are_rotated_and_shown_on_the_record() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let (webhook, first) = house.webhook(&owner, "rotated").await;
    assert_eq!(refused(engine.rotate_secret(&owner, webhook.id, Some(169)).await).errors[0].field, "overlap_hours");
    let second = engine.rotate_secret(&owner, webhook.id, None).await.unwrap();
    assert_eq!(second.previous_expires_at, Some(NOW.plus_ms(86_400_000)));
    assert_ne!(second.secret, first);
    house.clock.advance_ms(1);
    let shown = engine.reveal_secret(&owner, webhook.id).await.unwrap();
    assert_eq!(shown, second);
    assert_eq!(house.last_audit(&owner).await.0, "webhook.secret_revealed");
    assert_eq!(refused(engine.reveal_secret(&viewer(&owner), webhook.id).await).status, 403);
    let third = engine.rotate_secret(&owner, webhook.id, Some(0)).await.unwrap();
    assert_eq!(third.previous_expires_at, None);
    assert_eq!(engine.reveal_secret(&owner, webhook.id).await.unwrap().previous_expires_at, None);
    for _ in 0..9 {
        house.clock.advance_ms(1);
        engine.rotate_secret(&owner, webhook.id, Some(1)).await.unwrap();
    }
    let error = refused(engine.rotate_secret(&owner, webhook.id, Some(1)).await);
    assert_eq!(error.code, ErrorCode::Conflict);
}

/// A request as the engine sends it to the Inspector.
fn signed(secret: &str, at: Timestamp, body: &'static str) -> InspectorHit {
    let key = SigningKey::new(secret, None).unwrap();
    let seconds = at.unix_seconds().to_string();
    let header = |name: &str, value: String| Header { name: name.into(), value };
    InspectorHit {
        method: "POST".into(),
        path: "/below?a=b".into(),
        headers: vec![
            header("webhook-id", "evt_1".into()),
            header("webhook-timestamp", seconds.clone()),
            header("webhook-signature", format!("v1,AAAA {}", key.standard("evt_1", &seconds, body.as_bytes()))),
            header("x-intime-signature", key.body(body.as_bytes())),
            header("authorization", "Bearer 42".into()),
        ],
        body: Bytes::from_static(body.as_bytes()),
        truncated: false,
    }
}

#[tokio::test]
async fn the_inspector_checks_signatures() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let (webhook, secret) = house.webhook(&owner, "signed").await;
    let url = engine.inspector_url(&owner).await.unwrap();
    let token = url.rsplit_once('/').unwrap().1.to_owned();
    assert_eq!(engine.inspector_record("nonsense", signed(&secret, NOW, "{}")).await.unwrap(), None);
    let mut live = engine.live(owner.organization, None);
    let other = SigningKey::new("whsec_AAAA", None).unwrap();
    let verified = (ReceivedSignature::Verified, Some(webhook.id));
    let invalid = (ReceivedSignature::Invalid, None::<WebhookId>);
    for (change, expected) in [
        ((|_, _| {}) as fn(&mut InspectorHit, &SigningKey), verified),
        (|hit, _| hit.headers.retain(|header| header.name != "x-intime-signature"), verified),
        (|hit, _| hit.headers.retain(|header| !header.name.starts_with("webhook-")), verified),
        (|hit, _| hit.headers.clear(), (ReceivedSignature::Missing, None)),
        (|hit, _| hit.body = Bytes::from_static(b"{ }"), invalid),
        (|hit, _| hit.truncated = true, invalid),
        (|hit, _| hit.headers[0].value = "evt_2".into(), invalid),
        (|hit, _| hit.headers[1].value = "1".into(), invalid),
        (|hit, other| hit.headers[3].value = other.body(b"{}"), invalid),
    ] {
        // So that the newest is the last.
        house.clock.advance_ms(1);
        let mut hit = signed(&secret, NOW, "{}");
        change(&mut hit, &other);
        assert!(engine.inspector_record(&token, hit).await.unwrap().is_some());
        let newest = engine.inspector_requests(&owner, None, Some(1)).await.unwrap().data.remove(0);
        assert_eq!((newest.signature, newest.webhook_id), expected);
        assert!(!newest.headers.iter().any(|header| header.value.contains("42")), "credentials are masked");
        let message = live.next().await.unwrap();
        let LiveEvent::Inspector { request } = message.event else { panic!("not of the Inspector") };
        assert_eq!(request, newest);
    }
    for (age_s, expected) in [(300, verified), (301, invalid), (-300, verified), (-301, invalid)] {
        house.clock.advance_ms(1);
        assert!(
            engine.inspector_record(&token, signed(&secret, NOW.plus_ms(-age_s * 1000), "{}")).await.unwrap().is_some()
        );
        let newest = engine.inspector_requests(&owner, None, Some(1)).await.unwrap().data.remove(0);
        assert_eq!((newest.signature, newest.webhook_id), expected, "{age_s}");
    }
    engine.rotate_secret(&owner, webhook.id, None).await.unwrap();
    assert!(engine.inspector_record(&token, signed(&secret, NOW, "{}")).await.unwrap().is_some());
    assert!(engine.overview(&owner).await.unwrap().has_verified);

    let stranger = house.stranger().await;
    assert_eq!(engine.inspector_requests(&stranger, None, None).await.unwrap().data, []);
    assert_eq!(refused(engine.clear_inspector(&viewer(&owner)).await).status, 403);
    engine.clear_inspector(&owner).await.unwrap();
    assert_eq!(engine.inspector_requests(&owner, None, None).await.unwrap().data, []);
}

#[tokio::test]
async fn the_inspector_keeps_a_part_of_a_large_body() {
    let (house, owner) = House::furnished().await;
    let url = house.engine.inspector_url(&owner).await.unwrap();
    let token = url.rsplit_once('/').unwrap().1;
    let (webhook, secret) = house.webhook(&owner, "large").await;
    let hit = signed(&secret, NOW, Box::leak("x".repeat(100_000).into_boxed_str()));
    assert!(house.engine.inspector_record(token, hit).await.unwrap().is_some());
    let kept = house.engine.inspector_requests(&owner, None, None).await.unwrap().data.remove(0);
    assert_eq!((kept.body.len(), kept.truncated), (64 * 1024, true));
    assert_eq!((kept.signature, kept.webhook_id), (ReceivedSignature::Verified, Some(webhook.id)));
}

#[tokio::test]
async fn viewers_only_look() {
    let (house, owner) = House::furnished().await;
    let engine = &house.engine;
    let (webhook, _) = house.webhook(&owner, "seen").await;
    let viewer = viewer(&owner);
    assert_eq!(engine.webhook(&viewer, webhook.id).await.unwrap(), webhook);
    assert!(engine.overview(&viewer).await.is_ok() && engine.event_types(&viewer).await.is_ok());
    assert!(engine.sources(&viewer).await.is_ok() && engine.inspector_url(&viewer).await.is_ok());
    for error in [
        refused(engine.create_webhook(&viewer, draft("new")).await),
        refused(engine.update_webhook(&viewer, webhook.id, draft("new")).await),
        refused(engine.set_webhook_state(&viewer, webhook.id, WebhookState::Disabled).await),
        refused(engine.delete_webhook(&viewer, webhook.id).await),
        refused(engine.rotate_secret(&viewer, webhook.id, None).await),
        refused(engine.create_source(&viewer, SourceDraft { name: "new".into() }).await),
        refused(engine.delete_source(&viewer, SourceId::new(NOW, [3; 10])).await),
        refused(engine.delete_event_type(&viewer, "job.created").await),
        refused(engine.api_keys(&viewer).await),
        refused(engine.audit(&viewer, None, None).await),
    ] {
        assert_eq!(error.code, ErrorCode::Forbidden);
    }
    let error = refused(engine.webhooks(&viewer, Some("nonsense".into()), None).await);
    assert_eq!(error.code, ErrorCode::InvalidRequest);
}
