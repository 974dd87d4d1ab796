//! Administration and lists. Every column of a fixture has a value of its own, so that two that are swapped are seen.
//! One list of cases; it is long because there are many statements, and each must be run by one.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use domain::{
    ApiKeyId, AuditId, Backoff, Category, Condition, CustomHeader, DeliveryId, DeliveryOptions, EventId, EventType,
    Filter, InspectorRequestId, MemberId, NodeId, Operator, OrganizationId, PublicId, Retention, RetryPolicy, Role,
    Scope, Scopes, SourceId, Timestamp, WebhookId, WebhookState,
    api::{
        ApiKey, AttemptTiming, DeliveryKind, DeliveryQuery, EventQuery, Header, InspectorResponse, Member,
        ReceivedSignature, Source, Webhook,
    },
    delivery::{DeliveryState, ErrorClass},
};
use serde_json::json;
use storage::{
    IngestOutcome, MemberRow, NewAttempt, NewAudit, NewDelivery, NewEvent, NewInspectorRequest, NewSecret, NewSession,
    NextStep, OrganizationRow, Rotation, Settlement, SourceRemoval, StoreError,
};

use crate::{Fresh, conformance, raw};

/// A day in 2026.
const NOW: i64 = 1_790_000_000_000;
const DAY: i64 = 86_400_000;

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms)
}

/// An id made at `NOW + ms`; the same number gives the same id.
pub(crate) fn id<I: PublicId>(ms: i64) -> I {
    let mut random = [7; 10];
    random[2..].copy_from_slice(&ms.to_be_bytes());
    I::new(at(ms), random)
}

pub(crate) fn audit(action: &'static str, number: i64) -> NewAudit {
    NewAudit {
        id: id::<AuditId>(number),
        at: at(number),
        actor: format!("actor {number}"),
        action,
        subject: format!("subject {number}"),
        fields: vec![format!("field {number}"), "url".into()],
    }
}

fn member(organization: OrganizationId, number: i64, role: Role) -> MemberRow {
    MemberRow {
        organization_id: organization,
        member: Member {
            id: id::<MemberId>(number),
            name: format!("name {number}"),
            email: format!("member{number}@example.com"),
            role,
            created_at: at(number + 1),
        },
        password_hash: format!("hash {number}"),
    }
}

/// A member who signs in with this address.
pub(crate) async fn signed_up(fresh: &Fresh, organization: OrganizationId, number: i64, email: &str) -> MemberId {
    let mut row = member(organization, number, Role::Viewer);
    row.member.email = email.to_owned();
    let id = row.member.id;
    fresh.store.create_member(row, audit("member.created", number)).await.unwrap();
    id
}

fn organization_row(number: i64) -> OrganizationRow {
    OrganizationRow {
        id: id(number),
        name: format!("organization {number}"),
        inspector_token: format!("token {number}"),
        retry_policy: RetryPolicy { timeout_s: 17, ..RetryPolicy::default() },
        retention: Retention { payload_days: 3, history_days: 4 },
        created_at: at(number + 2),
    }
}

/// An organization with its owner.
pub(crate) async fn organization(fresh: &Fresh, number: i64) -> OrganizationId {
    let row = organization_row(number);
    let id = row.id;
    let owner = member(id, number, Role::Owner);
    assert!(
        fresh.store.create_organization(row, Some(owner), false, audit("organization.created", number)).await.unwrap()
    );
    id
}

pub(crate) fn webhook(number: i64) -> Webhook {
    Webhook {
        id: id::<WebhookId>(number),
        name: format!("webhook {number}"),
        url: format!("https://example.com/{number}"),
        description: format!("description {number}"),
        events: vec!["job.created".into(), format!("job{number}.*")],
        headers: vec![CustomHeader { name: format!("X-Custom-{number}"), value: None }],
        source_id: None,
        filter: Filter(vec![Condition { path: "job.rate".into(), op: Operator::Gt, value: json!(number) }]),
        retry_policy: Some(RetryPolicy { strategy: Backoff::List(vec![1, 2, 3]), ..RetryPolicy::default() }),
        event_policies: [("job.created".to_owned(), RetryPolicy { max_retries: 7, ..RetryPolicy::default() })].into(),
        options: DeliveryOptions { ordered: true, rate_limit_per_s: Some(5), ..DeliveryOptions::default() },
        state: WebhookState::Paused,
        state_reason: Some(format!("reason {number}")),
        consecutive_failures: 0,
        next_probe_at: None,
        blocked_until: None,
        version: 1,
        created_at: at(number + 3),
        updated_at: at(number + 4),
        last_triggered_at: None,
        delivered_30d: 0,
        failed_30d: 0,
    }
}

fn secret(number: i64) -> NewSecret {
    NewSecret { id: id::<EventId>(number).uuid(), secret: format!("secret {number}").into(), created_at: at(number) }
}

pub(crate) async fn store_webhook(fresh: &Fresh, organization: OrganizationId, webhook: Webhook) -> WebhookId {
    let id = webhook.id;
    let secret = NewSecret { id: id.uuid(), ..secret(0) };
    fresh.store.create_webhook(organization, webhook, None, secret, audit("webhook.created", 1)).await.unwrap();
    id
}

/// An organization with one active webhook.
pub(crate) async fn hooked(fresh: &Fresh, number: i64) -> (OrganizationId, WebhookId) {
    let organization = organization(fresh, number).await;
    let active = Webhook { state: WebhookState::Active, ..webhook(number) };
    (organization, store_webhook(fresh, organization, active).await)
}

async fn routing_version(fresh: &Fresh) -> i64 {
    fresh.store.routing_version().await.unwrap()
}

conformance! {
    async fn organizations(fresh) {
        let store = &fresh.store;
        assert!(store.first_organization().await.unwrap().is_none());
        let row = organization_row(10);
        let owner = member(row.id, 10, Role::Owner);
        let before = routing_version(fresh).await;
        assert!(store.create_organization(row.clone(), Some(owner.clone()), true, audit("made", 1)).await.unwrap());
        assert!(routing_version(fresh).await > before);
        assert!(store.first_organization().await.unwrap() == Some(row.clone()));
        assert!(store.organization(row.id).await.unwrap() == Some(row.clone()));
        assert!(store.organization(id(11)).await.unwrap().is_none());
        let default = InspectorResponse::default();
        assert_eq!(store.organization_of_inspector("token 10").await.unwrap(), Some((row.id, default.clone())));
        assert_eq!(store.inspector_response(row.id).await.unwrap(), Some(default));
        let busy = InspectorResponse { status: 503, delay_ms: 9, body: "later".into(), retry_after_s: Some(30) };
        store.set_inspector_response(row.id, busy.clone(), audit("inspector.response_changed", 77)).await.unwrap();
        assert_eq!(store.organization_of_inspector("token 10").await.unwrap(), Some((row.id, busy.clone())));
        assert_eq!(store.inspector_response(row.id).await.unwrap(), Some(busy));
        assert_eq!(store.inspector_response(id(11)).await.unwrap(), None);
        assert_eq!(store.organization_of_inspector("token 11").await.unwrap(), None);
        assert!(store.member_by_email(&owner.member.email).await.unwrap() == Some(owner));

        let second = organization_row(20);
        let owner = member(second.id, 20, Role::Owner);
        let created = store.create_organization(second.clone(), Some(owner.clone()), true, audit("made", 2)).await.unwrap();
        assert!(!created, "there is one already");
        assert!(store.organization(second.id).await.unwrap().is_none());
        assert!(store.member_by_email(&owner.member.email).await.unwrap().is_none());
        assert!(store.create_organization(second, Some(owner), false, audit("made", 2)).await.unwrap());
        assert!(store.first_organization().await.unwrap() == Some(row));
    }

    async fn only_one_of_many_is_the_first_organization(fresh) {
        let mut founders = tokio::task::JoinSet::new();
        for number in 0..8 {
            let store = fresh.store.clone();
            founders.spawn(async move {
                let row = organization_row(number);
                let owner = member(row.id, number, Role::Owner);
                store.create_organization(row, Some(owner), true, audit("made", number)).await.unwrap()
            });
        }
        assert_eq!(founders.join_all().await.into_iter().filter(|created| *created).count(), 1);
    }

    async fn members(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let viewer = member(ours, 3, Role::Viewer);
        store.create_member(viewer.clone(), audit("member.created", 3)).await.unwrap();
        assert_eq!(
            store.members(ours).await.unwrap(),
            [member(ours, 1, Role::Owner).member, viewer.member.clone()],
        );
        assert_eq!(store.members(theirs).await.unwrap(), [member(theirs, 2, Role::Owner).member]);
        assert!(store.member_by_email("member3@example.com").await.unwrap() == Some(viewer));
        assert!(store.member_by_email("nobody@example.com").await.unwrap().is_none());
        let mut again = member(theirs, 4, Role::Viewer);
        again.member.email = "member3@example.com".into();
        let refused = store.create_member(again, audit("member.created", 4)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("members_email_key")), "{refused:?}");
    }

    async fn sessions(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let owner = member(ours, 1, Role::Owner).member;
        let session = |number: u8, ends: i64| NewSession {
            token_hash: [number; 32],
            member_id: owner.id,
            user_agent: "browser".into(),
            address: Some("192.0.2.7".parse::<IpAddr>().unwrap()),
            created_at: at(ends - 100),
            expires_at: at(ends),
        };
        store.create_session(ours, session(1, 1_000), audit("signed_in", 3)).await.unwrap();
        let found = store.session([1; 32], at(999)).await.unwrap().unwrap();
        assert_eq!((found.organization_id, &found.member, found.expires_at), (ours, &owner, at(1_000)));
        assert_eq!(store.session([1; 32], at(1_000)).await.unwrap(), None, "it is over");
        assert_eq!(store.session([2; 32], at(0)).await.unwrap(), None);
        let (agent, address): (String, Option<String>) = raw!(fresh, conn => {
            sqlx::query_as("select user_agent, address from sessions").fetch_one(conn).await.unwrap()
        });
        assert_eq!((agent.as_str(), address.as_deref()), ("browser", Some("192.0.2.7")));

        store.create_session(ours, session(2, 2_000), audit("signed_in", 4)).await.unwrap();
        let (sessions,): (i64,) =
            raw!(fresh, conn => sqlx::query_as("select count(*) from sessions").fetch_one(conn).await.unwrap());
        assert_eq!(sessions, 1, "what was over is forgotten");
        assert!(!store.delete_session(theirs, [2; 32], audit("signed_out", 5)).await.unwrap());
        assert!(store.session([2; 32], at(0)).await.unwrap().is_some());
        assert!(store.delete_session(ours, [2; 32], audit("signed_out", 6)).await.unwrap());
        assert!(!store.delete_session(ours, [2; 32], audit("signed_out", 7)).await.unwrap());
        assert_eq!(store.session([2; 32], at(0)).await.unwrap(), None);
    }

    async fn api_keys(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let source = Source { id: id::<SourceId>(3), name: "source".into(), created_at: at(3) };
        store.create_source(ours, source.clone(), audit("source.created", 3)).await.unwrap();
        let key = |number: i64| ApiKey {
            id: id::<ApiKeyId>(number),
            name: format!("key {number}"),
            prefix: format!("sbk_{number}"),
            scopes: Scopes(vec![Scope::EventsWrite, Scope::WebhooksRead]),
            source_id: Some(source.id),
            created_at: at(number + 1),
            last_used_at: Some(at(number + 2)),
            expires_at: Some(at(number + 3)),
            revoked_at: None,
        };
        for (number, hash) in [(10, [10; 32]), (20, [20; 32])] {
            store.create_api_key(ours, key(number), hash, audit("key.created", number)).await.unwrap();
        }
        assert_eq!(store.api_keys(ours).await.unwrap(), [key(20), key(10)]);
        assert_eq!(store.api_keys(theirs).await.unwrap(), []);
        assert_eq!(store.api_key(ours, id(10)).await.unwrap(), Some(key(10)));
        assert_eq!(store.api_key(theirs, id(10)).await.unwrap(), None);
        let found = store.api_key_by_hash([20; 32]).await.unwrap().unwrap();
        assert_eq!((found.organization_id, found.key), (ours, key(20)));
        assert_eq!(store.api_key_by_hash([30; 32]).await.unwrap(), None);
        let refused = store.create_api_key(theirs, key(30), [10; 32], audit("key.created", 30)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("api_keys_key_hash_key")), "{refused:?}");

        store.touch_api_key(theirs, id(10), at(99)).await.unwrap();
        store.touch_api_key(ours, id(10), at(50)).await.unwrap();
        store.touch_api_key(ours, id(10), at(40)).await.unwrap();
        assert_eq!(store.api_key(ours, id(10)).await.unwrap().unwrap().last_used_at, Some(at(50)), "the latest");

        assert!(!store.revoke_api_key(theirs, id(10), at(60), audit("key.revoked", 40)).await.unwrap());
        assert!(store.revoke_api_key(ours, id(10), at(61), audit("key.revoked", 41)).await.unwrap());
        assert!(!store.revoke_api_key(ours, id(10), at(62), audit("key.revoked", 42)).await.unwrap());
        assert_eq!(store.api_key(ours, id(10)).await.unwrap().unwrap().revoked_at, Some(at(61)));
    }

    async fn sources(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let source = |number: i64, name: &str| Source {
            id: id::<SourceId>(number), name: name.into(), created_at: at(number + 1),
        };
        let before = routing_version(fresh).await;
        store.create_source(ours, source(10, "shop"), audit("source.created", 10)).await.unwrap();
        assert!(routing_version(fresh).await > before);
        store.create_source(ours, source(20, "app"), audit("source.created", 20)).await.unwrap();
        store.create_source(theirs, source(30, "shop"), audit("source.created", 30)).await.unwrap();
        let refused = store.create_source(ours, source(40, "shop"), audit("source.created", 40)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("sources_name")), "{refused:?}");
        assert_eq!(store.sources(ours).await.unwrap(), [source(20, "app"), source(10, "shop")]);
        assert_eq!(store.source(ours, id(10)).await.unwrap(), Some(source(10, "shop")));
        assert_eq!(store.source(theirs, id(10)).await.unwrap(), None);

        let user = store_webhook(fresh, ours, Webhook { source_id: Some(id(10)), ..webhook(50) }).await;
        let remove = |organization, number| {
            store.delete_source(organization, id::<SourceId>(10), audit("source.deleted", number))
        };
        assert_eq!(remove(theirs, 60).await.unwrap(), SourceRemoval::Missing);
        assert_eq!(remove(ours, 61).await.unwrap(), SourceRemoval::InUse);
        store.delete_webhook(ours, user, audit("webhook.deleted", 62)).await.unwrap();
        let key = ApiKey {
            id: id::<ApiKeyId>(70),
            name: "key".into(),
            prefix: "sbk".into(),
            scopes: Scopes(vec![Scope::Admin]),
            source_id: Some(id(10)),
            created_at: at(70),
            last_used_at: None,
            expires_at: None,
            revoked_at: None,
        };
        store.create_api_key(ours, key, [1; 32], audit("key.created", 70)).await.unwrap();
        assert_eq!(remove(ours, 71).await.unwrap(), SourceRemoval::InUse);
        store.revoke_api_key(ours, id(70), at(72), audit("key.revoked", 72)).await.unwrap();
        let before = routing_version(fresh).await;
        assert_eq!(remove(ours, 73).await.unwrap(), SourceRemoval::Removed);
        assert!(routing_version(fresh).await > before);
        assert_eq!(store.sources(ours).await.unwrap(), [source(20, "app")]);
        assert_eq!(store.api_key(ours, id(70)).await.unwrap().unwrap().source_id, None);
    }

    async fn event_types(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let kind = |name: &str| EventType {
            name: name.into(),
            category: Category("INVOICES".into()),
            description: format!("about {name}"),
            sample: json!({"name": name, "amount": 1.5, "nothing": null}),
            custom: true,
        };
        let before = routing_version(fresh).await;
        for (number, name) in [(1, "invoice.paid"), (2, "invoice.due")] {
            store.create_event_type(ours, kind(name), at(number), audit("event_type.created", number)).await.unwrap();
        }
        assert!(routing_version(fresh).await > before);
        assert_eq!(store.event_types(ours).await.unwrap(), [kind("invoice.due"), kind("invoice.paid")]);
        assert_eq!(store.event_types(theirs).await.unwrap(), []);
        let refused = store.create_event_type(ours, kind("invoice.due"), at(3), audit("x", 3)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("event_types_pkey")), "{refused:?}");
        store.create_event_type(theirs, kind("invoice.due"), at(4), audit("x", 4)).await.unwrap();
        assert!(!store.delete_event_type(theirs, "invoice.paid".into(), audit("x", 5)).await.unwrap());
        let before = routing_version(fresh).await;
        assert!(store.delete_event_type(ours, "invoice.paid".into(), audit("x", 6)).await.unwrap());
        assert!(routing_version(fresh).await > before);
        assert_eq!(store.event_types(ours).await.unwrap(), [kind("invoice.due")]);
    }

    async fn webhooks(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let source = Source { id: id::<SourceId>(3), name: "source".into(), created_at: at(3) };
        store.create_source(ours, source.clone(), audit("source.created", 3)).await.unwrap();
        let stored = Webhook { source_id: Some(source.id), ..webhook(10) };
        let headers = Some(b"encrypted".to_vec());
        let before = routing_version(fresh).await;
        store.create_webhook(ours, stored.clone(), headers.clone(), secret(10), audit("made", 10)).await.unwrap();
        assert!(routing_version(fresh).await > before);
        assert_eq!(store.webhook(ours, stored.id, at(0)).await.unwrap(), Some(stored.clone()));
        assert_eq!(store.webhook(theirs, stored.id, at(0)).await.unwrap(), None);
        assert_eq!(store.webhook_headers(ours, stored.id).await.unwrap(), Some(headers));
        assert_eq!(store.webhook_headers(theirs, stored.id).await.unwrap(), None);

        let taken = Webhook { name: stored.name.clone(), ..webhook(20) };
        let refused = store.create_webhook(ours, taken.clone(), None, secret(20), audit("made", 20)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("webhooks_name")), "{refused:?}");
        store.create_webhook(theirs, taken, None, secret(20), audit("made", 21)).await.unwrap();

        let change = Webhook {
            name: "changed name".into(),
            url: "https://example.org/changed".into(),
            description: "changed description".into(),
            events: vec!["*".into()],
            headers: vec![],
            source_id: None,
            filter: Filter::default(),
            retry_policy: None,
            state: WebhookState::Active,
            state_reason: None,
            updated_at: at(99),
            ..stored.clone()
        };
        assert!(!store.update_webhook(theirs, change.clone(), None, audit("changed", 30)).await.unwrap());
        let before = routing_version(fresh).await;
        assert!(store.update_webhook(ours, change.clone(), None, audit("changed", 31)).await.unwrap());
        assert!(routing_version(fresh).await > before);
        let now = store.webhook(ours, stored.id, at(0)).await.unwrap().unwrap();
        assert_eq!(now, Webhook { version: 2, ..change.clone() });
        assert_eq!(store.webhook_headers(ours, stored.id).await.unwrap(), Some(None));
        let stale = store.update_webhook(ours, change.clone(), None, audit("changed", 32)).await.unwrap_err();
        assert!(matches!(stale, StoreError::Stale), "{stale:?}");

        store_webhook(fresh, ours, webhook(40)).await;
        let clash = Webhook { name: "webhook 40".into(), version: 2, ..change };
        let refused = store.update_webhook(ours, clash, None, audit("changed", 41)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("webhooks_name")), "{refused:?}");
    }

    async fn webhook_states(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let webhook = store_webhook(fresh, ours, webhook(10)).await;
        raw!(fresh, conn => sqlx::query(
            "insert into webhook_health (webhook_id, organization_id, consecutive_failures, last_attempt_at) \
             values ($1, $2, 9, 77)",
        ).bind(webhook.uuid()).bind(ours.uuid()).execute(conn).await.map(drop).unwrap());
        let set = |organization, state, reason: Option<&str>, number| {
            let reason = reason.map(str::to_owned);
            store.set_webhook_state(organization, webhook, state, reason, at(number), audit("state", number))
        };
        assert!(!set(theirs, WebhookState::Disabled, None, 20).await.unwrap());
        let before = routing_version(fresh).await;
        assert!(set(ours, WebhookState::Disabled, Some("410"), 21).await.unwrap());
        assert!(routing_version(fresh).await > before);
        let now = store.webhook(ours, webhook, at(0)).await.unwrap().unwrap();
        assert_eq!((now.state, now.state_reason.as_deref(), now.version), (WebhookState::Disabled, Some("410"), 2));
        assert_eq!((now.updated_at, now.last_triggered_at), (at(21), Some(Timestamp::from_millis(77))));
        assert_eq!(failures(fresh).await, 9);
        assert!(set(ours, WebhookState::Active, None, 22).await.unwrap());
        assert_eq!(failures(fresh).await, 0, "the series begins anew");
    }

    async fn webhooks_by_page(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        for number in 10..15 {
            store_webhook(fresh, ours, webhook(number)).await;
        }
        store_webhook(fresh, theirs, webhook(15)).await;
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.webhooks(ours, cursor, 2, at(0)).await.unwrap();
            assert!(page.data.len() <= 2);
            seen.extend(page.data.into_iter().map(|webhook| webhook.id));
            let Some(next) = page.next_cursor else { break };
            cursor = Some(next.parse().unwrap());
        }
        assert_eq!(seen, [14, 13, 12, 11, 10].map(id::<WebhookId>));
        assert_eq!(store.webhooks(ours, None, 5, at(0)).await.unwrap().next_cursor, None, "exactly one page");
    }

    async fn secrets(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let webhook = webhook(10);
        let id = webhook.id;
        store.create_webhook(ours, webhook, None, secret(10), audit("made", 10)).await.unwrap();
        let rotate = |organization, number, others_until| {
            store.rotate_secret(organization, id, secret(number), at(others_until), audit("rotated", number))
        };
        assert_eq!(rotate(theirs, 20, 1_000).await.unwrap(), Rotation::Missing);
        let before = routing_version(fresh).await;
        assert_eq!(rotate(ours, 20, 1_000).await.unwrap(), Rotation::Done);
        assert!(routing_version(fresh).await > before);
        let live = |now| async move {
            let secrets = store.webhook_secrets(ours, id, at(now)).await.unwrap();
            let text = |secret: storage::StoredSecret| (String::from_utf8(secret.secret).unwrap(), secret.expires_at);
            secrets.into_iter().map(text).collect::<Vec<_>>()
        };
        let named = |number: i64, until: Option<i64>| (format!("secret {number}"), until.map(at));
        assert_eq!(live(999).await, [named(20, None), named(10, Some(1_000))]);
        assert_eq!(live(1_000).await, [named(20, None)]);
        assert!(store.webhook_secrets(theirs, id, at(0)).await.unwrap().is_empty());

        assert_eq!(rotate(ours, 30, 500).await.unwrap(), Rotation::Done);
        assert_eq!(live(40).await, [named(30, None), named(20, Some(500)), named(10, Some(500))], "no longer than now said");
        for number in 31..38 {
            assert_eq!(rotate(ours, number, 9_000).await.unwrap(), Rotation::Done);
        }
        assert_eq!(live(40).await.len(), 10);
        assert_eq!(rotate(ours, 38, 9_000).await.unwrap(), Rotation::TooMany);
        assert_eq!(live(40).await.len(), 10);
        assert_eq!(rotate(ours, 39, 39).await.unwrap(), Rotation::Done, "revoking makes room");
        assert_eq!(live(40).await, [named(39, None)]);
        let (rows,): (i64,) =
            raw!(fresh, conn => sqlx::query_as("select count(*) from webhook_secrets").fetch_one(conn).await.unwrap());
        assert_eq!(rows, 1, "what is over is gone");
    }

    async fn inspector(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        for number in 1..=5 {
            let request = request(number, ReceivedSignature::Invalid);
            store.record_inspector_request(ours, request, 3).await.unwrap();
        }
        store.record_inspector_request(theirs, request(6, ReceivedSignature::Missing), 3).await.unwrap();
        let page = store.inspector_requests(ours, None, 2).await.unwrap();
        assert_eq!(page.data.iter().map(|request| request.id).collect::<Vec<_>>(), [id(5), id(4)]);
        let newest = &page.data[0];
        assert_eq!((newest.received_at, newest.method.as_str(), newest.path.as_str()), (at(5), "POST", "/path/5?a=b"));
        assert_eq!(newest.headers, [Header { name: "x-5".into(), value: "value 5".into() }]);
        assert_eq!((newest.body.as_str(), newest.truncated), ("body 5 \u{fffd}", true));
        assert_eq!((newest.signature, newest.webhook_id), (ReceivedSignature::Invalid, Some(id(1_005))));
        let cursor = page.next_cursor.unwrap().parse().unwrap();
        let rest = store.inspector_requests(ours, Some(cursor), 2).await.unwrap();
        assert_eq!(rest.data.iter().map(|request| request.id).collect::<Vec<_>>(), [id(3)], "only three are kept");
        assert_eq!(rest.next_cursor, None);
        store.clear_inspector(ours, audit("inspector.cleared", 9)).await.unwrap();
        assert_eq!(store.inspector_requests(ours, None, 2).await.unwrap().data, []);
        assert_eq!(store.inspector_requests(theirs, None, 2).await.unwrap().data.len(), 1);
    }

    async fn audit_log(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        for number in 10..13 {
            store.record(ours, audit("secret.shown", number)).await.unwrap();
        }
        let page = store.audit(ours, None, 2).await.unwrap();
        let newest = &page.data[0];
        assert_eq!((newest.id, newest.at, newest.actor.as_str()), (id(12), at(12), "actor 12"));
        assert_eq!((newest.action.as_str(), newest.subject.as_str()), ("secret.shown", "subject 12"));
        assert_eq!(newest.fields, ["field 12", "url"]);
        let cursor: i64 = page.next_cursor.unwrap().parse().unwrap();
        let rest = store.audit(ours, Some(cursor), 2).await.unwrap();
        let actions: Vec<_> = rest.data.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!((actions, rest.next_cursor), (vec!["secret.shown", "organization.created"], None));
        assert_eq!(store.audit(theirs, None, 9).await.unwrap().data.len(), 1);

        assert_eq!(store.broken_audit(ours).await.unwrap(), None);
        raw!(fresh, conn => sqlx::query("update audit set actor = 'somebody else' where organization_id = $1 and sequence = 3")
            .bind(ours.uuid()).execute(conn).await.map(drop).unwrap());
        assert_eq!(store.broken_audit(ours).await.unwrap(), Some(3), "changed");
        raw!(fresh, conn => sqlx::query("delete from audit where organization_id = $1 and sequence = 3")
            .bind(ours.uuid()).execute(conn).await.map(drop).unwrap());
        assert_eq!(store.broken_audit(ours).await.unwrap(), Some(4), "missing");
        assert_eq!(store.broken_audit(theirs).await.unwrap(), None);
    }

    async fn the_chain_holds_under_many_writers(fresh) {
        let ours = organization(fresh, 1).await;
        let mut writers = tokio::task::JoinSet::new();
        for number in 10..50 {
            let store = fresh.store.clone();
            writers.spawn(async move { store.record(ours, audit("secret.shown", number)).await.unwrap() });
        }
        writers.join_all().await;
        assert_eq!(fresh.store.broken_audit(ours).await.unwrap(), None);
        assert_eq!(fresh.store.audit(ours, None, 200).await.unwrap().data.len(), 41);
    }

    async fn what_is_refused_leaves_no_audit(fresh) {
        let store = &fresh.store;
        let ours = organization(fresh, 1).await;
        let nothing = id::<WebhookId>(404);
        store.delete_webhook(ours, nothing, audit("webhook.deleted", 2)).await.unwrap();
        store.revoke_api_key(ours, id(404), at(0), audit("key.revoked", 3)).await.unwrap();
        store.delete_source(ours, id(404), audit("source.deleted", 4)).await.unwrap();
        store.create_member(member(ours, 1, Role::Viewer), audit("member.created", 5)).await.unwrap_err();
        assert_eq!(store.audit(ours, None, 9).await.unwrap().data.len(), 1);
    }

    async fn events(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let hook = store_webhook(fresh, ours, webhook(3)).await;
        let node = node(fresh).await;
        let source: SourceId = id(77);
        let kinds = [(10, "job.created", None), (20, "job.closed", Some(source)), (30, "job.created", None)];
        for (number, kind, source) in kinds {
            ingest(fresh, node, NewEvent { source, ..event(ours, hook, number, kind, false) }).await;
        }
        ingest(fresh, node, event(theirs, hook, 40, "job.created", false)).await;
        let list = |query: EventQuery, before, limit| async move {
            let page = store.events(ours, &query, before, limit).await.unwrap();
            (page.data.into_iter().map(|event| event.id).collect::<Vec<_>>(), page.next_cursor)
        };
        let all = EventQuery::default;
        assert_eq!(list(all(), None, 9).await, (vec![id(30), id(20), id(10)], None));
        let (page, cursor) = list(all(), None, 2).await;
        assert_eq!((page, cursor.as_deref()), (vec![id(30), id(20)], Some(id::<EventId>(20).to_string().as_str())));
        assert_eq!(list(all(), Some(id(20)), 2).await, (vec![id(10)], None));
        let created = EventQuery { event: Some("job.created".into()), ..all() };
        assert_eq!(list(created, None, 9).await.0, [id(30), id(10)]);
        assert_eq!(list(EventQuery { source_id: Some(source), ..all() }, None, 9).await.0, [id(20)]);
        assert_eq!(list(EventQuery { from: Some(at(20)), ..all() }, None, 9).await.0, [id(30), id(20)]);
        assert_eq!(list(EventQuery { to: Some(at(20)), ..all() }, None, 9).await.0, [id(10)]);

        let one = store.event(ours, id(20)).await.unwrap().unwrap();
        assert_eq!(one.body, "{\"id\":20}");
        let summary = &one.summary;
        assert_eq!((summary.event.as_str(), summary.source_id), ("job.closed", Some(source)));
        assert_eq!((summary.created_at, summary.body_bytes, summary.deliveries), (at(20), 9, 1));
        assert_eq!(store.events(ours, &all(), Some(id(30)), 1).await.unwrap().data[0], *summary);
        assert_eq!(store.event(theirs, id(20)).await.unwrap(), None);
    }

    async fn deliveries_in_every_state(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let active = Webhook { state: WebhookState::Active, ..webhook(3) };
        let hook = store_webhook(fresh, ours, active).await;
        let paused = store_webhook(fresh, ours, webhook(4)).await;
        let node = node(fresh).await;
        let retry = NextStep::RetryAt(at(5_000));
        let end = |state| NextStep::End(state, at(6_000));
        for (number, webhook, next) in [
            (10, hook, None),
            (20, hook, Some(retry)),
            (30, hook, Some(end(DeliveryState::Delivered))),
            (40, hook, Some(end(DeliveryState::DeadLetter))),
            (50, hook, Some(end(DeliveryState::Failed))),
            (70, paused, Some(retry)),
        ] {
            ingest(fresh, node, event(ours, webhook, number, "job.created", next.is_some())).await;
            if let Some(next) = next {
                settle(fresh, node, ours, webhook, number, next).await;
            }
        }
        ingest(fresh, node, event(ours, hook, 60, "job.closed", true)).await;
        ingest(fresh, node, event(ours, paused, 80, "job.created", false)).await;
        ingest(fresh, node, event(theirs, hook, 90, "job.created", false)).await;
        let list = |query: DeliveryQuery| async move {
            store.deliveries(ours, &query, None, 20).await.unwrap().data
        };
        let ids = |deliveries: Vec<domain::api::Delivery>| {
            deliveries.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
        };
        for (status, numbers) in [
            (DeliveryState::Pending, vec![10]),
            (DeliveryState::Sending, vec![60]),
            (DeliveryState::Retrying, vec![20]),
            (DeliveryState::Delivered, vec![30]),
            (DeliveryState::DeadLetter, vec![40]),
            (DeliveryState::Failed, vec![50]),
            (DeliveryState::Held, vec![80, 70]),
            (DeliveryState::Discarded, vec![]),
        ] {
            let found = list(DeliveryQuery { status: Some(status), ..DeliveryQuery::default() }).await;
            assert!(found.iter().all(|delivery| delivery.status == status), "{status}: {found:?}");
            assert_eq!(ids(found), numbers.into_iter().map(id).collect::<Vec<_>>(), "{status}");
        }
        let all = list(DeliveryQuery::default()).await;
        assert_eq!(ids(all.clone()), [80, 70, 60, 50, 40, 30, 20, 10].map(id));
        for delivery in all {
            assert_eq!(store.delivery(ours, delivery.id).await.unwrap(), Some(delivery.clone()));
            assert_eq!(store.delivery(theirs, delivery.id).await.unwrap(), None);
        }

        let by = |change: fn(&mut DeliveryQuery)| {
            let mut query = DeliveryQuery::default();
            change(&mut query);
            query
        };
        assert_eq!(ids(list(by(|q| q.webhook_id = Some(id(4)))).await), [id(80), id(70)]);
        assert_eq!(ids(list(by(|q| q.event_id = Some(id(30)))).await), [id(30)]);
        assert_eq!(ids(list(by(|q| q.event = Some("job.closed".into()))).await), [id(60)]);
        assert_eq!(ids(list(by(|q| q.from = Some(at(70)))).await), [id(80), id(70)]);
        assert_eq!(ids(list(by(|q| q.to = Some(at(20)))).await), [id(10)]);
        let all_at_once = DeliveryQuery {
            webhook_id: Some(id(3)),
            event_id: Some(id(40)),
            status: Some(DeliveryState::DeadLetter),
            event: Some("job.created".into()),
            from: Some(at(40)),
            to: Some(at(41)),
            ..DeliveryQuery::default()
        };
        assert_eq!(ids(list(all_at_once).await), [id(40)]);
    }

    async fn deliveries_by_page(fresh) {
        let store = &fresh.store;
        let ours = organization(fresh, 1).await;
        let hook = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(3) }).await;
        let node = node(fresh).await;
        for number in 10..15 {
            ingest(fresh, node, event(ours, hook, number, "job.created", true)).await;
            settle(fresh, node, ours, hook, number, NextStep::End(DeliveryState::DeadLetter, at(99))).await;
        }
        for status in [None, Some(DeliveryState::DeadLetter)] {
            let query = DeliveryQuery { status, ..DeliveryQuery::default() };
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = store.deliveries(ours, &query, cursor, 2).await.unwrap();
                seen.extend(page.data.into_iter().map(|delivery| delivery.id));
                let Some(next) = page.next_cursor else { break };
                cursor = Some(next.parse().unwrap());
            }
            assert_eq!(seen, [14, 13, 12, 11, 10].map(id::<DeliveryId>));
        }
    }

    async fn a_delivery_with_its_attempts(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let hook = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(3) }).await;
        let node = node(fresh).await;
        ingest(fresh, node, event(ours, hook, 10, "job.created", true)).await;
        let waiting = store.delivery_detail(ours, id(10)).await.unwrap().unwrap();
        assert_eq!((waiting.delivery.status, waiting.delivery.next_attempt_at), (DeliveryState::Sending, None));
        assert_eq!((waiting.delivery.attempts, waiting.attempts_made), (0, vec![]));
        settle(fresh, node, ours, hook, 10, NextStep::RetryAt(at(5_000))).await;
        let found = store.delivery_detail(ours, id(10)).await.unwrap().unwrap();
        assert_eq!(found.request_body.as_deref(), Some("{\"id\":10}"));
        let delivery = &found.delivery;
        assert_eq!((delivery.id, delivery.event_id, delivery.webhook_id), (id(10), id(10), hook));
        assert_eq!((delivery.event.as_str(), delivery.webhook_name.as_str()), ("job.created", "webhook 3"));
        assert_eq!((delivery.status, delivery.kind), (DeliveryState::Retrying, DeliveryKind::Event));
        assert_eq!((delivery.attempts, delivery.created_at), (1, at(10)));
        assert_eq!((delivery.next_attempt_at, delivery.finished_at), (Some(at(5_000)), None));
        assert_eq!((delivery.response_status, delivery.error), (Some(503), Some(ErrorClass::Server)));
        assert_eq!((delivery.duration_ms, delivery.replay_of), (Some(321), None));
        let attempt = &found.attempts_made[..];
        assert_eq!(attempt.len(), 1);
        let attempt = &attempt[0];
        assert_eq!((attempt.number, attempt.started_at, attempt.duration_ms), (1, at(30), 321));
        let timing = AttemptTiming { dns_ms: Some(1), connect_ms: Some(2), tls_ms: None, first_byte_ms: Some(4) };
        assert_eq!((attempt.timing, attempt.url.as_str()), (timing, "https://example.com/sent"));
        assert_eq!(attempt.request_headers, [Header { name: "webhook-id".into(), value: "evt".into() }]);
        assert_eq!(attempt.response_headers, [Header { name: "retry-after".into(), value: "5".into() }]);
        assert_eq!((attempt.response_status, attempt.error), (Some(503), Some(ErrorClass::Server)));
        assert_eq!((attempt.response_body.as_str(), attempt.response_truncated), ("busy \u{fffd}", true));
        assert_eq!(attempt.error_detail.as_deref(), Some("HTTP 503"));
        assert_eq!(store.delivery_detail(theirs, id(10)).await.unwrap(), None);
        assert_eq!(store.delivery_detail(ours, id(11)).await.unwrap(), None);

        let page = store.webhooks(ours, None, 9, at(0)).await.unwrap();
        assert_eq!((page.data[0].failed_30d, page.data[0].last_triggered_at), (1, Some(at(30))));
    }

    async fn a_deleted_webhook_leaves_its_history(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let hook = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(3) }).await;
        let node = node(fresh).await;
        ingest(fresh, node, event(ours, hook, 10, "job.created", false)).await;
        ingest(fresh, node, event(ours, hook, 20, "job.created", true)).await;
        settle(fresh, node, ours, hook, 20, NextStep::End(DeliveryState::DeadLetter, at(99))).await;
        assert!(!store.delete_webhook(theirs, hook, audit("webhook.deleted", 5)).await.unwrap());
        let before = routing_version(fresh).await;
        assert!(store.delete_webhook(ours, hook, audit("webhook.deleted", 6)).await.unwrap());
        assert!(routing_version(fresh).await > before);
        assert_eq!(store.webhook(ours, hook, at(0)).await.unwrap(), None);
        assert!(store.webhook_secrets(ours, hook, at(0)).await.unwrap().is_empty());
        let state = |number: i64| async move { store.delivery(ours, id(number)).await.unwrap().unwrap() };
        let waiting = state(10).await;
        assert_eq!((waiting.status, waiting.webhook_name.as_str()), (DeliveryState::Pending, "(deleted webhook)"));
        assert_eq!(state(20).await.status, DeliveryState::DeadLetter);
        assert_eq!(store.overview(ours, at(0)).await.unwrap().dead_letters, 1, "a node discards it");
        assert_eq!(store.waiting().await.unwrap().len(), 1, "a node discards it");
    }
}

async fn failures(fresh: &Fresh) -> i64 {
    let (failures,): (i64,) = raw!(fresh, conn => {
        sqlx::query_as("select consecutive_failures from webhook_health").fetch_one(conn).await.unwrap()
    });
    failures
}

pub(crate) fn request(number: i64, signature: ReceivedSignature) -> NewInspectorRequest {
    let mut body = format!("body {number} ").into_bytes();
    body.push(0xff);
    NewInspectorRequest {
        id: id::<InspectorRequestId>(number),
        method: "POST".into(),
        path: format!("/path/{number}?a=b"),
        headers: vec![Header { name: format!("x-{number}"), value: format!("value {number}") }],
        body: Bytes::from(body),
        truncated: true,
        signature,
        webhook_id: Some(id(1_000 + number)),
    }
}

async fn node(fresh: &Fresh) -> NodeId {
    let node = id::<NodeId>(5);
    fresh.store.register(node, DAY).await.unwrap();
    node
}

/// An event with one delivery of the same number.
fn event(
    organization: OrganizationId,
    webhook: WebhookId,
    number: i64,
    event_type: &'static str,
    leased: bool,
) -> NewEvent {
    NewEvent {
        id: id(number),
        organization,
        source: None,
        event_type: event_type.into(),
        body: Bytes::from(format!("{{\"id\":{number}}}")),
        idempotency: None,
        accepted_at: at(number),
        deliveries: vec![NewDelivery { id: id(number), webhook, kind: DeliveryKind::Event, leased }],
    }
}

async fn ingest(fresh: &Fresh, node: NodeId, event: NewEvent) {
    let outcomes = fresh.store.ingest(node, Arc::from([event])).await.unwrap();
    assert_eq!(outcomes, [IngestOutcome::Stored { leased: true }]);
}

async fn settle(
    fresh: &Fresh,
    node: NodeId,
    organization: OrganizationId,
    webhook: WebhookId,
    number: i64,
    next: NextStep,
) {
    let settlement = Settlement {
        delivery: id(number),
        organization,
        webhook,
        counts_to_health: true,
        attempt: NewAttempt {
            number: 1,
            started_at: at(30),
            duration_ms: 321,
            timing: AttemptTiming { dns_ms: Some(1), connect_ms: Some(2), tls_ms: None, first_byte_ms: Some(4) },
            url: "https://example.com/sent".into(),
            request_headers: json!([{"name": "webhook-id", "value": "evt"}]).to_string(),
            response_status: Some(503),
            response_headers: json!([{"name": "retry-after", "value": "5"}]).to_string(),
            response_body: Bytes::from_static(b"busy \xff"),
            response_truncated: true,
            error: Some(ErrorClass::Server),
            error_detail: Some("HTTP 503".into()),
        },
        next,
    };
    assert_eq!(fresh.store.settle(node, Arc::from([settlement])).await.unwrap().counted, [true]);
}
