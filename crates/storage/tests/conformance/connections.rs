//! Connections: one lease at a time, a fence that the late cannot pass, and nothing that is new is lost.

use domain::{
    ConnectionStatus, IntegrationId, NodeId, OrganizationId, PublicId, RefreshFault, Timestamp, api::SyncSettings,
};
use storage::{ConnectLink, Known, NewConnection, NewRevocation, NewTokens, Refreshed, StartedAuthorization, Store};
use uuid::Uuid;

use crate::{
    Fresh,
    cold::{audit, organization},
    conformance, integrations, raw,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn tokens(access: &str, refresh: Option<&str>) -> NewTokens {
    NewTokens {
        access_token: access.as_bytes().to_vec(),
        refresh_token: refresh.map(|text| text.as_bytes().to_vec()),
        expires_at: NOW.plus_ms(3_600_000),
        consent_ends_at: None,
        refresh_at: Some(NOW.plus_ms(2_700_000)),
        granted: Some(vec!["openid".to_owned()]),
        known: Known::from([("instance_url".to_owned(), "https://x".to_owned())]),
        status: ConnectionStatus::Connected,
    }
}

async fn connect(store: &Store, organization: OrganizationId, integration: IntegrationId, access: &str) {
    let new = NewConnection {
        integration,
        client_id: "client".to_owned(),
        account_id: Some("1".to_owned()),
        account_name: Some("john@company.com".to_owned()),
        requested: vec!["openid".to_owned(), "calendar".to_owned()],
        tokens: tokens(access, Some("refresh")),
        by: "John".to_owned(),
        at: NOW,
    };
    store.connect(organization, new, audit("connection.changed", 1)).await.unwrap();
}

fn node(number: u8) -> NodeId {
    NodeId::new(NOW, [number; 10])
}

fn attempt(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn fault(fault: RefreshFault, is_unanswered: bool) -> Refreshed {
    Refreshed::Fault {
        fault,
        is_unanswered,
        detail: "said".to_owned(),
        problem: fault.status().map(|_| "broken".to_owned()),
        refresh_at: Some(NOW.plus_ms(30_000)),
    }
}

conformance! {
    /// Of two nodes one has the lease; what it brings counts, and the other can begin only with what that brought.
    async fn a_refresh_is_leased_once(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let id = integrations::stored(fresh, organization, 10).await;
        connect(store, organization, id, "a1").await;
        let first = store.lease_refresh(organization, id, 1, attempt(1), node(1), NOW).await.unwrap().unwrap();
        assert!(!first.follows_unknown);
        assert_eq!(store.lease_refresh(organization, id, 1, attempt(2), node(2), NOW).await.unwrap(), None);
        assert!(store.due_refreshes(NOW.plus_ms(3_000_000), 10).await.unwrap().is_empty(), "somebody is at it");
        assert!(store.settle_refresh(&first, Refreshed::Tokens(tokens("a2", None))).await.unwrap());
        let after = store.connection(organization, id).await.unwrap().unwrap();
        assert_eq!((after.generation, after.access_token.as_deref()), (2, Some(&b"a2"[..])));
        assert_eq!(after.refresh_token.as_deref(), Some(&b"refresh"[..]), "an answer without one keeps it");
        assert_eq!(store.lease_refresh(organization, id, 1, attempt(3), node(2), NOW).await.unwrap(), None);
        assert_eq!(store.due_refreshes(NOW.plus_ms(3_000_000), 10).await.unwrap(), [(organization, id, 2)]);
        assert!(store.lease_refresh(organization, id, 2, attempt(4), node(2), NOW).await.unwrap().is_some());
    }

    /// A lease that ended passes on. Who had it stores nothing any more, and what it brought late is kept beside its note.
    async fn the_late_cannot_pass_the_fence(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let id = integrations::stored(fresh, organization, 10).await;
        connect(store, organization, id, "a1").await;
        let late = store.lease_refresh(organization, id, 1, attempt(1), node(1), NOW).await.unwrap().unwrap();
        raw!(fresh, conn => sqlx::query("update connections set lease_until = 1").execute(conn).await.unwrap().rows_affected());
        let next = store.lease_refresh(organization, id, 1, attempt(2), node(2), NOW).await.unwrap().unwrap();
        assert!(next.follows_unknown, "the first may have spent the refresh token");
        assert!(next.connection.fence > late.connection.fence);
        assert!(!store.settle_refresh(&late, Refreshed::Tokens(tokens("late", Some("late")))).await.unwrap());
        assert!(!store.settle_refresh(&late, fault(RefreshFault::Revoked, false)).await.unwrap());
        let during = store.connection(organization, id).await.unwrap().unwrap();
        assert_eq!((during.generation, during.status), (1, ConnectionStatus::Connected));
        let kept: i64 = raw!(fresh, conn => sqlx::query_scalar("select count(*) from refreshes where orphan is not null or ok is null")
            .fetch_one(conn).await.unwrap());
        assert!(kept >= 1);
        assert!(store.settle_refresh(&next, Refreshed::Tokens(tokens("a2", Some("r2")))).await.unwrap());
        assert_eq!(store.refreshes(organization, id).await.unwrap().len(), 2);
    }

    /// What may pass leaves the connection as it is; what may not breaks it; an account that consents again mends it and
    /// makes what is under way worthless.
    async fn failures_and_mending(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let id = integrations::stored(fresh, organization, 10).await;
        connect(store, organization, id, "a1").await;
        let sync = SyncSettings { auto_sync: true, calendar: Some("team".to_owned()) };
        assert!(store.set_sync(organization, id, sync.clone(), audit("connection.changed", 1)).await.unwrap());
        let lease = store.lease_refresh(organization, id, 1, attempt(1), node(1), NOW).await.unwrap().unwrap();
        assert!(store.settle_refresh(&lease, fault(RefreshFault::Transient, true)).await.unwrap());
        let passing = store.connection(organization, id).await.unwrap().unwrap();
        assert_eq!((passing.status, passing.failures, passing.problem), (ConnectionStatus::Connected, 1, None));
        let lease = store.lease_refresh(organization, id, 1, attempt(2), node(1), NOW).await.unwrap().unwrap();
        assert!(lease.follows_unknown, "nobody answered the one before");
        assert!(store.settle_refresh(&lease, fault(RefreshFault::LostRotation, false)).await.unwrap());
        let broken = store.connection(organization, id).await.unwrap().unwrap();
        assert_eq!((broken.status, broken.problem.as_deref()), (ConnectionStatus::NeedsReauth, Some("broken")));
        let history = store.refreshes(organization, id).await.unwrap();
        assert_eq!(history.iter().map(|refresh| refresh.ok).collect::<Vec<_>>(), [Some(false), None]);

        let lease = store.lease_refresh(organization, id, 1, attempt(3), node(1), NOW).await.unwrap().unwrap();
        connect(store, organization, id, "b1").await;
        assert!(!store.settle_refresh(&lease, fault(RefreshFault::Revoked, false)).await.unwrap());
        let mended = store.connection(organization, id).await.unwrap().unwrap();
        assert_eq!((mended.status, mended.failures, mended.problem), (ConnectionStatus::Connected, 0, None));
        assert_eq!((mended.access_token.as_deref(), mended.sync), (Some(&b"b1"[..]), sync));
    }

    /// Ending a connection erases its tokens and notes the right that is to be ended, once.
    async fn disconnecting(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let id = integrations::stored(fresh, organization, 10).await;
        let sibling = integrations::stored(fresh, organization, 20).await;
        connect(store, organization, id, "a1").await;
        assert!(!store.has_siblings(organization, id, "client", "1").await.unwrap());
        connect(store, organization, sibling, "s1").await;
        assert!(store.has_siblings(organization, id, "client", "1").await.unwrap());
        let right = NewRevocation { id: attempt(9), token: b"refresh".to_vec(), due_at: NOW };
        assert!(store.disconnect(organization, id, Some(right.clone()), audit("connection.changed", 1)).await.unwrap());
        assert!(!store.disconnect(organization, id, Some(right), audit("connection.changed", 1)).await.unwrap());
        let after = store.connection(organization, id).await.unwrap().unwrap();
        assert_eq!((after.status, after.access_token, after.refresh_token), (ConnectionStatus::NotConnected, None, None));
        assert!(!store.has_siblings(organization, sibling, "client", "1").await.unwrap());
        let later = NOW.plus_ms(60_000);
        let due = store.take_revocations(NOW, later, 10).await.unwrap();
        assert_eq!((due.len(), due[0].tries, due[0].token.as_slice()), (1, 1, &b"refresh"[..]));
        assert_eq!(due[0].known["instance_url"], "https://x");
        assert!(store.take_revocations(NOW, later, 10).await.unwrap().is_empty(), "it is taken");
        assert_eq!(store.take_revocations(later, later.plus_ms(1), 10).await.unwrap()[0].tries, 2);
        store.end_revocation(organization, due[0].id).await.unwrap();
        assert!(store.take_revocations(later.plus_ms(10), later, 10).await.unwrap().is_empty());
    }

    /// A consent and a link can be used once, and a link not after its time.
    async fn consents_and_links_are_used_once(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let id = integrations::stored(fresh, organization, 10).await;
        let started = StartedAuthorization {
            state_hash: [1; 32],
            browser_hash: [2; 32],
            integration: id,
            member: None,
            started_by: "a link".to_owned(),
            provider: "google".to_owned(),
            verifier: Some(vec![3]),
            redirect_uri: "https://box.example/oauth/callback/google".to_owned(),
            scopes: vec!["openid".to_owned()],
            issuer: Some("https://accounts.example".to_owned()),
            says_issuer: true,
            known: Known::new(),
            expires_at: NOW.plus_ms(600_000),
        };
        store.start_authorization(organization, started.clone(), NOW).await.unwrap();
        assert_eq!(store.take_authorization([1; 32]).await.unwrap(), Some((organization, started.clone())));
        assert_eq!(store.take_authorization([1; 32]).await.unwrap(), None);
        let old = StartedAuthorization { state_hash: [4; 32], expires_at: NOW.plus_ms(-1), ..started.clone() };
        store.start_authorization(organization, old, NOW).await.unwrap();
        store.start_authorization(organization, started, NOW).await.unwrap();
        assert_eq!(store.take_authorization([4; 32]).await.unwrap(), None, "what was waited for in vain is forgotten");

        let link = ConnectLink {
            organization,
            integration: id,
            scopes: Vec::new(),
            made_by: "John".to_owned(),
            expires_at: NOW.plus_ms(1_000),
        };
        store.create_connect_link([5; 32], link.clone(), audit("connection.changed", 1)).await.unwrap();
        assert_eq!(store.connect_link([5; 32], NOW).await.unwrap(), Some(link.clone()));
        assert_eq!(store.take_connect_link([5; 32], NOW.plus_ms(1_000)).await.unwrap(), None, "its time is over");
        assert_eq!(store.take_connect_link([5; 32], NOW).await.unwrap(), Some(link));
        assert_eq!(store.take_connect_link([5; 32], NOW).await.unwrap(), None);
    }
}
