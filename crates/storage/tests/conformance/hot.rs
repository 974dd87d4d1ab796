//! The hot verbs: ingest, claim, settle, recover.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    DeliveryId, EventId, NodeId, OrganizationId, PublicId, SourceId, Timestamp, WebhookId, WebhookState,
    api::{AttemptTiming, DeliveryKind, DeliveryQuery},
    delivery::{DeliveryState, ErrorClass},
};
use storage::{IngestOutcome, NewAttempt, NewDelivery, NewEvent, NextStep, Pulse, Settlement, Store, seed::Seed};

use crate::{
    Fresh,
    cold::{audit, hooked},
    conformance,
};

pub(crate) fn id<I: PublicId>(n: u128) -> I {
    I::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) const T0: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const TTL_MS: i64 = 60_000;

pub(crate) fn event(organization: OrganizationId, n: u128, deliveries: Vec<NewDelivery>) -> NewEvent {
    NewEvent {
        id: EventId::new(T0.plus_ms(i64::try_from(n).unwrap()), id_bytes(n)),
        organization,
        source: n.is_multiple_of(2).then(|| id::<SourceId>(n)),
        event_type: Arc::from(format!("job.n{n}")),
        body: Bytes::from(format!("{{\"n\":{n}}}")),
        idempotency: None,
        accepted_at: T0.plus_ms(i64::try_from(n).unwrap()),
        deliveries,
    }
}

fn id_bytes(n: u128) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&n.to_be_bytes()[6..]);
    bytes
}

pub(crate) fn delivery(webhook: WebhookId, n: u128, leased: bool) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::new(T0.plus_ms(i64::try_from(n).unwrap()), id_bytes(n)),
        webhook,
        kind: DeliveryKind::Event,
        leased,
    }
}

pub(crate) fn settlement(
    organization: OrganizationId,
    webhook: WebhookId,
    delivery: DeliveryId,
    error: Option<ErrorClass>,
    next: NextStep,
) -> Settlement {
    Settlement {
        delivery,
        organization,
        webhook,
        counts_to_health: true,
        attempt: NewAttempt {
            number: 1,
            started_at: T0.plus_ms(61_000),
            duration_ms: 245,
            timing: AttemptTiming { dns_ms: Some(1), connect_ms: Some(2), tls_ms: Some(3), first_byte_ms: Some(4) },
            url: "https://example.com/hook".into(),
            request_headers: r#"[{"name":"a","value":"b"}]"#.into(),
            response_status: if error.is_none() { Some(200) } else { None },
            response_headers: r#"[{"name":"c","value":"d"}]"#.into(),
            response_body: Bytes::from_static(b"\xffok"),
            response_truncated: true,
            error,
            error_detail: error.map(|_| "refused".into()),
        },
        next,
    }
}

pub(crate) async fn ingest(store: &Store, node: NodeId, events: Vec<NewEvent>) -> Vec<IngestOutcome> {
    store.ingest(node, events.into()).await.unwrap()
}

pub(crate) async fn node(store: &Store, n: u128) -> NodeId {
    let node = id::<NodeId>(n);
    store.register(node, TTL_MS).await.unwrap();
    node
}

/// The one delivery of a listing.
async fn only(store: &Store, organization: OrganizationId) -> domain::api::Delivery {
    let page = store.deliveries(organization, &DeliveryQuery::default(), None, 10).await.unwrap();
    assert_eq!(page.data.len(), 1);
    page.data.into_iter().next().unwrap()
}

conformance! {
    async fn an_event_and_its_deliveries_are_stored_together(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let event = event(organization, 4, vec![delivery(webhook, 5, true), delivery(webhook, 6, false)]);
        let (event_id, body) = (event.id, event.body.clone());
        assert_eq!(ingest(store, node, vec![event]).await, [IngestOutcome::Stored { leased: true }]);

        let stored = store.event(organization, event_id).await.unwrap().unwrap();
        assert_eq!(stored.body.as_bytes(), &body[..]);
        assert_eq!((stored.summary.event.as_str(), stored.summary.deliveries), ("job.n4", 2));
        assert_eq!(stored.summary.source_id, Some(id(4)));
        assert_eq!(store.event_body(organization, event_id).await.unwrap(), Some(body));
        assert_eq!(store.event_body(id(77), event_id).await.unwrap(), None);

        let page = store.deliveries(organization, &DeliveryQuery::default(), None, 10).await.unwrap();
        let states: Vec<_> = page.data.iter().map(|delivery| delivery.status).collect();
        assert_eq!(states, [DeliveryState::Pending, DeliveryState::Sending]);
        // The leased one is not waiting; the other is.
        assert_eq!(store.waiting().await.unwrap(), [(webhook, T0.plus_ms(4))]);
    }

    async fn a_large_ingest_keeps_every_row(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let events: Vec<_> = (0..203).map(|n| event(organization, n, vec![delivery(webhook, n * 2, false), delivery(webhook, n * 2 + 1, false)])).collect();
        assert_eq!(ingest(store, node, events).await.len(), 203);
        let mut claimed = Vec::new();
        loop {
            let more = store.claim(node, vec![webhook], 100, T0.plus_ms(1_000)).await.unwrap();
            if more.is_empty() {
                break;
            }
            claimed.extend(more);
        }
        assert_eq!(claimed.len(), 406);
        let distinct: std::collections::HashSet<_> = claimed.iter().map(|claimed| claimed.id).collect();
        assert_eq!(distinct.len(), 406);
        for claimed in claimed {
            assert_eq!(claimed.body.unwrap(), store.event_body(organization, claimed.event).await.unwrap().unwrap());
        }
    }

    async fn an_idempotency_key_makes_one_event(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let (other, _) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        let keyed = |organization, n, key: &str, print| NewEvent {
            idempotency: Some((key.to_owned(), [print; 32])),
            ..event(organization, n, vec![delivery(webhook, 100 + n, false)])
        };
        let first = keyed(organization, 1, "a", 1);
        let first_id = first.id;
        // Twice in one batch, next to one without a key.
        let outcomes = ingest(store, node, vec![first, keyed(organization, 2, "a", 1), event(organization, 3, vec![]), keyed(organization, 4, "a", 2)]).await;
        let stored = IngestOutcome::Stored { leased: true };
        let duplicate = IngestOutcome::Duplicate { id: first_id, deliveries: 1 };
        assert_eq!(outcomes, [stored, duplicate, stored, IngestOutcome::KeyReused]);
        // And later; another organization's key is its own.
        let outcomes = ingest(store, node, vec![keyed(organization, 5, "a", 1), keyed(organization, 6, "a", 3), keyed(other, 7, "a", 1), keyed(organization, 8, "b", 1)]).await;
        assert_eq!(outcomes, [duplicate, IngestOutcome::KeyReused, stored, stored]);
        let page = store.events(organization, &domain::api::EventQuery::default(), None, 50).await.unwrap();
        assert_eq!(page.data.len(), 3);
        // All or none.
        let whole = store.ingest_whole(node, vec![event(organization, 20, vec![]), keyed(organization, 21, "c", 1), keyed(organization, 22, "a", 9)].into()).await;
        assert!(matches!(whole, Err(storage::StoreError::KeyReused(2))), "{whole:?}");
        let page = store.events(organization, &domain::api::EventQuery::default(), None, 50).await.unwrap();
        assert_eq!(page.data.len(), 3);
        let whole = store.ingest_whole(node, vec![keyed(organization, 23, "c", 2), keyed(organization, 24, "a", 1)].into()).await.unwrap();
        assert_eq!(whole, [stored, duplicate], "a key of a refused ingest is free");
        // A day later it is free again.
        let late = NewEvent { accepted_at: T0.plus_ms(24 * 3_600_000 + 2_000), ..keyed(organization, 9, "a", 9) };
        assert_eq!(ingest(store, node, vec![late]).await, [stored]);
        assert_eq!(store.forget_idempotency_keys(T0.plus_ms(24 * 3_600_000 + 1_000), 1).await.unwrap(), 1);
        assert_eq!(store.forget_idempotency_keys(T0.plus_ms(24 * 3_600_000 + 1_000), 10).await.unwrap(), 2);
    }

    async fn claims_take_what_is_due_the_longest_due_first(fresh) {
        let store = &fresh.store;
        let (organization, a) = hooked(fresh, 1).await;
        let (_, b) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        let events = (1..=6).map(|n| event(organization, n * 10, vec![delivery(if n % 2 == 0 { a } else { b }, n * 10, false)])).collect();
        ingest(store, node, events).await;
        let mut waiting = store.waiting().await.unwrap();
        waiting.sort();
        let mut expected = vec![(a, T0.plus_ms(20)), (b, T0.plus_ms(10))];
        expected.sort();
        assert_eq!(waiting, expected);
        // 60 is not due yet; one of each webhook.
        let claimed = store.claim(node, vec![a, b], 1, T0.plus_ms(55)).await.unwrap();
        let mut types: Vec<_> = claimed.iter().map(|claimed| claimed.event_type.as_str()).collect();
        types.sort_unstable();
        assert_eq!(types, ["job.n10", "job.n20"]);
        let claimed = store.claim(node, vec![a], 9, T0.plus_ms(55)).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].event_type.as_str(), claimed[0].attempts, claimed[0].kind), ("job.n40", 0, DeliveryKind::Event));
        assert!(store.claim(node, vec![a], 9, T0.plus_ms(55)).await.unwrap().is_empty());
        assert_eq!(store.claim(node, vec![a], 9, T0.plus_ms(60)).await.unwrap().len(), 1);
    }

    async fn a_large_body_does_not_travel_with_the_claim(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let large = NewEvent { body: Bytes::from(vec![b'x'; 65_537]), ..event(organization, 1, vec![delivery(webhook, 1, false)]) };
        let small = NewEvent { body: Bytes::from(vec![b'y'; 65_536]), ..event(organization, 2, vec![delivery(webhook, 2, false)]) };
        ingest(store, node, vec![large, small]).await;
        let claimed = store.claim(node, vec![webhook], 9, T0.plus_ms(9)).await.unwrap();
        let lengths: Vec<_> = claimed.iter().map(|claimed| claimed.body.as_ref().map(Bytes::len)).collect();
        assert_eq!(lengths, [None, Some(65_536)]);
    }

    async fn a_success_is_settled_once_and_counted(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new = delivery(webhook, 5, true);
        ingest(store, node, vec![event(organization, 4, vec![new])]).await;
        let done = settlement(organization, webhook, new.id, None, NextStep::End(DeliveryState::Delivered, T0.plus_ms(62_000)));
        assert_eq!(store.settle(node, Arc::from([done.clone()])).await.unwrap().counted, [true]);
        // A second outcome finds no lease.
        assert_eq!(store.settle(node, Arc::from([done])).await.unwrap().counted, [false]);

        let stored = only(store, organization).await;
        assert_eq!((stored.status, stored.attempts, stored.response_status), (DeliveryState::Delivered, 1, Some(200)));
        assert_eq!((stored.finished_at, stored.duration_ms, stored.error), (Some(T0.plus_ms(62_000)), Some(245), None));
        let detail = store.delivery_detail(organization, new.id).await.unwrap().unwrap();
        let attempt = &detail.attempts_made[0];
        assert_eq!((attempt.number, attempt.started_at, attempt.duration_ms), (1, T0.plus_ms(61_000), 245));
        assert_eq!(attempt.timing, AttemptTiming { dns_ms: Some(1), connect_ms: Some(2), tls_ms: Some(3), first_byte_ms: Some(4) });
        assert_eq!((attempt.url.as_str(), attempt.response_body.as_str()), ("https://example.com/hook", "\u{fffd}ok"));
        assert_eq!((attempt.request_headers[0].name.as_str(), attempt.response_headers[0].value.as_str()), ("a", "d"));
        assert!(attempt.response_truncated && attempt.error.is_none());
        let webhook = store.webhook(organization, webhook, T0.plus_ms(100_000)).await.unwrap().unwrap();
        assert_eq!((webhook.delivered_30d, webhook.failed_30d), (1, 0));
        assert_eq!(webhook.last_triggered_at, Some(T0.plus_ms(61_000)));
        assert!(store.waiting().await.unwrap().is_empty());
    }

    async fn a_failure_waits_and_is_claimed_again(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new = delivery(webhook, 5, true);
        ingest(store, node, vec![event(organization, 4, vec![new])]).await;
        let retry_at = T0.plus_ms(70_000);
        let failed = settlement(organization, webhook, new.id, Some(ErrorClass::ConnectRefused), NextStep::RetryAt(retry_at));
        assert_eq!(store.settle(node, Arc::from([failed])).await.unwrap().counted, [true]);
        let stored = only(store, organization).await;
        assert_eq!((stored.status, stored.next_attempt_at, stored.error), (DeliveryState::Retrying, Some(retry_at), Some(ErrorClass::ConnectRefused)));
        assert_eq!(store.waiting().await.unwrap(), [(webhook, retry_at)]);
        assert!(store.claim(node, vec![webhook], 9, retry_at.plus_ms(-1)).await.unwrap().is_empty());
        let claimed = store.claim(node, vec![webhook], 9, retry_at).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].attempts), (1, 1));
        let mut dead = settlement(organization, webhook, new.id, Some(ErrorClass::Timeout), NextStep::End(DeliveryState::DeadLetter, T0.plus_ms(80_000)));
        dead.attempt.number = 2;
        assert_eq!(store.settle(node, Arc::from([dead])).await.unwrap().counted, [true]);
        let query = DeliveryQuery { status: Some(DeliveryState::DeadLetter), ..DeliveryQuery::default() };
        let page = store.deliveries(organization, &query, None, 10).await.unwrap();
        assert_eq!((page.data.len(), page.data[0].attempts, page.data[0].error), (1, 2, Some(ErrorClass::Timeout)));
        assert_eq!(store.delivery_detail(organization, new.id).await.unwrap().unwrap().attempts_made.len(), 2);
        assert_eq!(store.webhook(organization, webhook, T0.plus_ms(100_000)).await.unwrap().unwrap().failed_30d, 2);
    }

    /// A claim may have read how many tries there were just before another node stored one: its outcome is one of many in a
    /// batch, and must not hold up the others.
    async fn an_outcome_with_the_number_of_another_is_no_obstacle(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new = [delivery(webhook, 5, true), delivery(webhook, 6, true)];
        ingest(store, node, vec![event(organization, 4, new.to_vec())]).await;
        let failed = settlement(organization, webhook, new[0].id, Some(ErrorClass::Server), NextStep::RetryAt(T0));
        store.settle(node, Arc::from([failed])).await.unwrap();
        assert_eq!(store.claim(node, vec![webhook], 9, T0).await.unwrap().len(), 1);
        let done = |n: usize| settlement(organization, webhook, new[n].id, None, NextStep::End(DeliveryState::Delivered, T0));
        assert_eq!(store.settle(node, Arc::from([done(0), done(1)])).await.unwrap().counted, [true; 2]);
        assert!(store.waiting().await.unwrap().is_empty());
        let attempts = store.delivery_detail(organization, new[0].id).await.unwrap().unwrap().attempts_made;
        assert_eq!(attempts.iter().map(|one| (one.number, one.error)).collect::<Vec<_>>(), [(1, Some(ErrorClass::Server))]);
    }

    async fn a_large_settlement_counts_each(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new: Vec<_> = (0..150).map(|n| delivery(webhook, n, true)).collect();
        ingest(store, node, new.iter().enumerate().map(|(n, new)| event(organization, n as u128, vec![*new])).collect()).await;
        let settlements: Vec<_> = new
            .iter()
            .enumerate()
            .map(|(n, new)| match n % 3 {
                0 => settlement(organization, webhook, new.id, None, NextStep::End(DeliveryState::Delivered, T0)),
                1 => settlement(organization, webhook, new.id, Some(ErrorClass::Server), NextStep::RetryAt(T0.plus_ms(90_000))),
                _ => settlement(organization, webhook, new.id, Some(ErrorClass::Server), NextStep::End(DeliveryState::DeadLetter, T0)),
            })
            .collect();
        assert_eq!(store.settle(node, settlements.into()).await.unwrap().counted, [true; 150]);
        let stored = store.webhook(organization, webhook, T0.plus_ms(100_000)).await.unwrap().unwrap();
        assert_eq!((stored.delivered_30d, stored.failed_30d), (50, 100));
        assert_eq!(store.claim(node, vec![webhook], 200, T0.plus_ms(90_000)).await.unwrap().len(), 50);
    }

    async fn what_is_ordered_is_claimed_from_the_head_by_one_node(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let (one, other) = (node(store, 900).await, if store.is_shared() { node(store, 901).await } else { id(901) });
        assert_eq!(store.claim_in_order(one, webhook, 9, T0.plus_ms(9)).await.unwrap().1, None);
        let new: Vec<_> = (1..=4).map(|n| delivery(webhook, n, false)).collect();
        ingest(store, one, vec![event(organization, 4, new.clone())]).await;
        assert_eq!(store.claim_in_order(one, webhook, 9, T0.plus_ms(3)).await.unwrap().1, Some(T0.plus_ms(4)));
        let (claimed, _) = store.claim_in_order(one, webhook, 3, T0.plus_ms(9)).await.unwrap();
        assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), new[..3].iter().map(|new| new.id).collect::<Vec<_>>());
        // While one node holds the head, nobody overtakes it.
        let (overtaken, head) = store.claim_in_order(other, webhook, 9, T0.plus_ms(9)).await.unwrap();
        assert!(overtaken.is_empty() && head.is_none());
        // The head waits for its retry, and so do the others.
        let retry_at = T0.plus_ms(70_000);
        let failed = settlement(organization, webhook, new[0].id, Some(ErrorClass::Server), NextStep::RetryAt(retry_at));
        store.settle(one, Arc::from([failed])).await.unwrap();
        store.release(one, Some(vec![new[1].id, new[2].id])).await.unwrap();
        let (overtaken, head) = store.claim_in_order(other, webhook, 9, retry_at.plus_ms(-1)).await.unwrap();
        assert_eq!((overtaken.len(), head), (0, Some(retry_at)));
        assert_eq!(store.claim_in_order(one, webhook, 9, retry_at).await.unwrap().0.len(), 4);
    }

    async fn failures_in_a_row_disable_and_a_probe_enables(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new: Vec<_> = (1..=3).map(|n| delivery(webhook, n, true)).collect();
        ingest(store, node, vec![event(organization, 4, new.clone())]).await;
        let failed = |n: usize| settlement(organization, webhook, new[n].id, Some(ErrorClass::Server), NextStep::RetryAt(T0.plus_ms(90_000)));
        assert_eq!(store.settle(node, Arc::from([failed(0)])).await.unwrap().failing, [(webhook, 1)]);
        assert_eq!(store.settle(node, Arc::from([failed(1), failed(2)])).await.unwrap().failing, [(webhook, 3)]);
        let disable = |failures| store.disable_failing_webhook(organization, webhook, failures, "why".into(), T0.plus_ms(5), audit("webhook.disabled", 7));
        assert!(!disable(4).await.unwrap(), "the series is shorter");
        assert!(disable(3).await.unwrap());
        assert!(!disable(3).await.unwrap(), "once");
        let stored = || async { store.webhook(organization, webhook, T0).await.unwrap().unwrap() };
        let disabled = stored().await;
        assert_eq!((disabled.state, disabled.next_probe_at, disabled.consecutive_failures), (WebhookState::Disabled, Some(T0.plus_ms(5)), 3));
        // One node makes the probe.
        let begin = || store.begin_probe(organization, webhook, T0.plus_ms(5), T0.plus_ms(50));
        assert!(begin().await.unwrap());
        assert!(!begin().await.unwrap());
        let route = store.routes().await.unwrap().into_iter().find(|route| route.webhook == webhook).unwrap();
        assert_eq!((route.probe_at, route.probes), (Some(T0.plus_ms(50)), 1));
        assert!(store.enable_recovered_webhook(organization, webhook, audit("webhook.enabled", 8)).await.unwrap());
        assert!(!store.enable_recovered_webhook(organization, webhook, audit("webhook.enabled", 9)).await.unwrap());
        let enabled = stored().await;
        assert_eq!((enabled.state, enabled.next_probe_at, enabled.consecutive_failures), (WebhookState::Active, None, 0));
        // A success in the batch ends the series.
        let again = store.claim(node, vec![webhook], 9, T0.plus_ms(90_000)).await.unwrap();
        let mut outcomes: Vec<_> = (0..3).map(failed).collect();
        outcomes[1] = settlement(organization, webhook, new[1].id, None, NextStep::End(DeliveryState::Delivered, T0));
        for outcome in &mut outcomes {
            outcome.attempt.number = 2;
        }
        assert_eq!((again.len(), store.settle(node, outcomes.into()).await.unwrap().failing), (3, vec![]));
    }

    async fn what_is_seeded_is_like_what_happened(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        store.seed(Seed::Finished, 3, organization, webhook, T0, 10).await.unwrap();
        store.seed(Seed::Pending, 2, organization, webhook, T0, 1).await.unwrap();
        let page = store.deliveries(organization, &DeliveryQuery::default(), None, 10).await.unwrap();
        let states = page.data.iter().filter(|one| one.status == DeliveryState::Delivered).count();
        assert_eq!((page.data.len(), states), (5, 3));
        let oldest = store.delivery_detail(organization, page.data[4].id).await.unwrap().unwrap();
        assert_eq!((oldest.delivery.created_at, oldest.delivery.finished_at), (T0.plus_ms(-30), Some(T0.plus_ms(-30))));
        assert_eq!((oldest.attempts_made[0].number, oldest.attempts_made[0].response_status), (1, Some(200)));
        assert_eq!(store.waiting().await.unwrap(), [(webhook, T0.plus_ms(-2))]);
        store.seed_rollups(organization).await.unwrap();
        let days = store.webhook_days(organization, webhook, webhook, T0).await.unwrap();
        assert_eq!(days[&webhook].iter().map(|day| day.delivered).sum::<i64>(), 3);
        let last_24h = store.overview(organization, T0).await.unwrap().last_24h;
        assert_eq!((last_24h.delivered, last_24h.p50_ms), (3, Some(3)));
        let claimed = store.claim(node, vec![webhook], 9, T0).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].event_type.as_str()), (2, "job.created"));
        assert_eq!(claimed[1].body.as_deref(), Some(&br#"{"event":"job.created","data":{"seeded":true}}"#[..]));
    }

    async fn what_waits_is_brought_forward(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new = [delivery(webhook, 1, false), delivery(webhook, 2, true)];
        ingest(store, node, vec![event(organization, 40, new.to_vec())]).await;
        assert_eq!(store.bring_forward(T0.plus_ms(40), 30).await.unwrap(), 0);
        // The other one is held.
        assert_eq!(store.bring_forward(T0.plus_ms(39), 30).await.unwrap(), 1);
        assert_eq!(store.waiting().await.unwrap(), [(webhook, T0.plus_ms(10))]);
    }

    async fn released_leases_are_claimed_again(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let new = [delivery(webhook, 1, true), delivery(webhook, 2, true)];
        ingest(store, node, vec![event(organization, 4, new.to_vec())]).await;
        store.release(node, Some(vec![new[0].id])).await.unwrap();
        assert_eq!(store.leased(node).await.unwrap(), [new[1].id]);
        assert_eq!(store.leased(id(901)).await.unwrap(), []);
        assert_eq!(store.claim(node, vec![webhook], 9, T0.plus_ms(9)).await.unwrap().len(), 1);
        store.release(node, None).await.unwrap();
        assert_eq!(store.claim(node, vec![webhook], 9, T0.plus_ms(9)).await.unwrap().len(), 2);
        store.discard(node, vec![new[1].id], T0.plus_ms(10)).await.unwrap();
        store.release(node, None).await.unwrap();
        assert_eq!(store.claim(node, vec![webhook], 9, T0.plus_ms(9)).await.unwrap().len(), 1);
        let query = DeliveryQuery { status: Some(DeliveryState::Discarded), ..DeliveryQuery::default() };
        assert_eq!(store.deliveries(organization, &query, None, 10).await.unwrap().data[0].id, new[1].id);
    }

    /// On SQLite a start takes back everything; on PostgreSQL only what dead nodes held.
    async fn a_dead_nodes_leases_are_taken_back_and_its_outcomes_refused(fresh) {
        let store = &fresh.store;
        let (organization, webhook) = hooked(fresh, 1).await;
        let dead = id::<NodeId>(900);
        store.register(dead, TTL_MS).await.unwrap();
        let new = delivery(webhook, 1, true);
        let outcome = ingest(store, dead, vec![event(organization, 4, vec![new])]).await;
        assert_eq!(outcome, [IngestOutcome::Stored { leased: true }]);
        let living = id::<NodeId>(901);
        if store.is_shared() {
            let spared = store.heartbeat(dead, -1, false).await.unwrap().unwrap();
            assert_eq!(spared, Pulse { recovered: 0, nodes: 1 }, "it had run out, and nobody was to look");
        }
        // A sign of life that ran out before it was given stands for a node that fell silent.
        let silent = if store.is_shared() { store.heartbeat(dead, -1, true).await.unwrap().unwrap().recovered } else { 0 };
        assert_eq!(store.register(living, TTL_MS).await.unwrap() + silent, 1);
        assert_eq!(store.claim(living, vec![webhook], 9, T0.plus_ms(9)).await.unwrap().len(), 1);
        let late = settlement(organization, webhook, new.id, Some(ErrorClass::Reset), NextStep::End(DeliveryState::Failed, T0));
        assert_eq!(store.settle(dead, Arc::from([late])).await.unwrap().counted, [false]);
        let stored = only(store, organization).await;
        assert_eq!((stored.status, stored.attempts), (DeliveryState::Sending, 0));
        assert!(store.delivery_detail(organization, new.id).await.unwrap().unwrap().attempts_made.is_empty());
        if store.is_shared() {
            assert_eq!(store.heartbeat(dead, TTL_MS, true).await.unwrap(), None);
            // A node that was given up gets no leases any more.
            let outcome = ingest(store, dead, vec![event(organization, 6, vec![delivery(webhook, 2, true)])]).await;
            assert_eq!(outcome, [IngestOutcome::Stored { leased: false }]);
            assert!(store.claim(dead, vec![webhook], 9, T0.plus_ms(9)).await.unwrap().is_empty());
            assert_eq!(store.claim(living, vec![webhook], 9, T0.plus_ms(9)).await.unwrap().len(), 1);
        }
        assert_eq!(store.heartbeat(living, TTL_MS, true).await.unwrap(), Some(Pulse { recovered: 0, nodes: 1 }));
        store.unregister(living).await.unwrap();
    }
}

/// A node that is given up while it commits leases leaves none behind. Only where nodes share a database.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_committed_while_its_node_is_given_up_is_taken_back() {
    use sqlx::{Connection, Executor, PgConnection};

    let fresh = Fresh::postgres().await;
    let (organization, webhook) = hooked(&fresh, 1).await;
    let dead = node(&fresh.store, 900).await;
    ingest(&fresh.store, dead, vec![event(organization, 4, vec![delivery(webhook, 1, false)])]).await;
    let mut slow = PgConnection::connect(&fresh.url).await.unwrap();
    slow.execute("update nodes set alive_until = 0").await.unwrap();
    let mut transaction = slow.begin().await.unwrap();
    transaction.execute("select id from nodes for key share").await.unwrap();
    sqlx::query("update queue set node_id = $1").bind(dead.uuid()).execute(&mut *transaction).await.unwrap();

    let store = fresh.store.clone();
    let reaping = tokio::spawn(async move { store.register(id::<NodeId>(901), TTL_MS).await.unwrap() });
    let mut observer = PgConnection::connect(&fresh.url).await.unwrap();
    let waits = async {
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&mut observer)
            .await
            .unwrap();
            if waiting > 0 {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waits).await.expect("the reaper waits");
    transaction.commit().await.unwrap();
    assert_eq!(reaping.await.unwrap(), 1);
    drop((slow, observer));
    fresh.end().await;
}
