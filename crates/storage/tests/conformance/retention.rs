//! Retention: what is old enough is forgotten, in batches, and nothing else is.

use std::collections::BTreeSet;

use domain::{
    DeliveryId, EventId, JobId, MemberId, NodeId, OrganizationId, PublicId, Retention, Timestamp, WebhookId,
    WebhookState,
    api::{DeliveryQuery, EventQuery, JobKind, JobScope, Webhook},
    delivery::{DeliveryState, ErrorClass},
};
use storage::{Bookmark, Grain, NewJob, NextStep, PRUNED, Pruned};

use crate::{
    Fresh,
    cold::{audit, hooked, store_webhook, webhook},
    conformance,
    dead_letters::{counted, die},
    hot::{T0, delivery, event, ingest, node, settlement},
    raw,
};

const DAY: i64 = 86_400_000;

/// One event for each number, whose delivery was delivered.
async fn history(
    fresh: &Fresh,
    node: NodeId,
    (organization, hook): (OrganizationId, WebhookId),
    numbers: std::ops::Range<u128>,
) {
    let events = numbers.clone().map(|n| event(organization, n, vec![delivery(hook, n, true)])).collect();
    ingest(&fresh.store, node, events).await;
    let done = |n| {
        settlement(organization, hook, delivery(hook, n, true).id, None, NextStep::End(DeliveryState::Delivered, T0))
    };
    let settled = fresh.store.settle(node, numbers.map(done).collect::<Vec<_>>().into()).await.unwrap();
    assert!(settled.counted.iter().all(|counted| *counted));
}

async fn count(fresh: &Fresh, table: &'static str) -> i64 {
    let sql = match table {
        "events" => "select count(*) from events",
        "deliveries" => "select count(*) from deliveries",
        "attempts" => "select count(*) from attempts",
        "sessions" => "select count(*) from sessions",
        _ => "select count(*) from dead_letter_counts",
    };
    let (rows,): (i64,) = raw!(fresh, conn => sqlx::query_as(sql).fetch_one(conn).await.unwrap());
    rows
}

async fn events(fresh: &Fresh, organization: OrganizationId) -> BTreeSet<EventId> {
    let page = fresh.store.events(organization, &EventQuery::default(), None, 200).await.unwrap();
    page.data.into_iter().map(|event| event.id).collect()
}

conformance! {
    /// Events that still have to be sent stay, and do not hold up the others.
    async fn events_go_with_their_age_unless_they_are_queued(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, other) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        history(fresh, node, (ours, hook), 0..1_100).await;
        history(fresh, node, (theirs, other), 2_000..2_001).await;
        let waiting = event(ours, 1_200, vec![delivery(hook, 1_200, false)]);
        let young = event(ours, 1_300, vec![]);
        let kept = BTreeSet::from([waiting.id, young.id]);
        ingest(store, node, vec![waiting, young]).await;

        let before = T0.plus_ms(1_300);
        let first = store.prune_events(ours, before, Bookmark::START).await.unwrap();
        assert_eq!(first.gone, u64::from(PRUNED));
        let second = store.prune_events(ours, before, first.rest.unwrap()).await.unwrap();
        assert_eq!(second.gone, 500);
        let third = store.prune_events(ours, before, second.rest.unwrap()).await.unwrap();
        assert_eq!(third, Pruned { gone: 100, rest: None });
        assert_eq!(events(fresh, ours).await, kept);
        assert_eq!(events(fresh, theirs).await.len(), 1, "another organization's are its own");
        // Deliveries stay, without what they carried.
        let detail = store.delivery_detail(ours, delivery(hook, 5, true).id).await.unwrap().unwrap();
        assert_eq!((detail.request_body, detail.attempts_made.len()), (None, 1));
        assert_eq!(store.event_source(ours, detail.delivery.event_id).await.unwrap(), None);
    }

    /// A delivery whose event is gone is claimed all the same, so that it can be ended.
    async fn a_delivery_without_its_event_is_claimed(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        ingest(store, node, vec![event(ours, 1, vec![delivery(hook, 1, false)])]).await;
        raw!(fresh, conn => sqlx::query("delete from events").execute(conn).await.map(drop).unwrap());
        let claimed = store.claim(node, vec![hook], 9, T0.plus_ms(9)).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].body.as_ref()), (1, None));
        store.release(node, None).await.unwrap();
        assert_eq!(store.claim_in_order(node, hook, 9, T0.plus_ms(9)).await.unwrap().0.len(), 1);
    }

    async fn history_goes_with_its_age_unless_something_is_still_to_be_done(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, other) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        history(fresh, node, (ours, hook), 0..600).await;
        history(fresh, node, (theirs, other), 2_000..2_001).await;
        let dead = die(fresh, node, (ours, hook), &[(700, ErrorClass::Server)]).await;
        ingest(store, node, vec![event(ours, 800, vec![delivery(hook, 800, false)]), event(ours, 801, vec![delivery(hook, 801, true)])]).await;
        history(fresh, node, (ours, hook), 900..901).await;

        let before = T0.plus_ms(900);
        let first = store.prune_deliveries(ours, before, Bookmark::START).await.unwrap();
        assert_eq!(first.gone, 500);
        let second = store.prune_deliveries(ours, before, first.rest.unwrap()).await.unwrap();
        assert_eq!(second, Pruned { gone: 100, rest: None });
        let left = store.deliveries(ours, &DeliveryQuery::default(), None, 9).await.unwrap().data;
        let left: BTreeSet<DeliveryId> = left.iter().map(|delivery| delivery.id).collect();
        let numbers = [800, 801, 900].map(|n| delivery(hook, n, true).id);
        assert_eq!(left, numbers.into_iter().chain(dead).collect());
        // One of a dead letter, one of a young delivery, one of another organization.
        assert_eq!((count(fresh, "attempts").await, count(fresh, "deliveries").await), (3, 5));
        assert_eq!(counted(fresh).await, [(hook.uuid(), 1)].into());
    }

    async fn what_is_held_for_too_long_is_discarded(fresh) {
        let store = &fresh.store;
        let (ours, paused) = hooked(fresh, 1).await;
        let (theirs, other) = hooked(fresh, 2).await;
        let active = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(3) }).await;
        let node = node(store, 900).await;
        ingest(store, node, (0..510).map(|n| event(ours, n, vec![delivery(paused, n, false)])).collect()).await;
        ingest(store, node, vec![
            event(ours, 600, vec![delivery(paused, 600, true)]),
            event(ours, 601, vec![delivery(active, 601, false)]),
            event(theirs, 602, vec![delivery(other, 602, false)]),
            event(ours, 1_000, vec![delivery(paused, 1_000, false)]),
        ]).await;
        for (organization, hook) in [(ours, paused), (theirs, other)] {
            store.set_webhook_state(organization, hook, WebhookState::Paused, None, T0, audit("webhook.paused", 1)).await.unwrap();
        }
        let (before, now) = (T0.plus_ms(1_000), T0.plus_ms(5_000));
        assert_eq!(store.discard_held(ours, before, now).await.unwrap(), 500);
        assert_eq!(store.discard_held(ours, before, now).await.unwrap(), 10);
        assert_eq!(store.discard_held(ours, before, now).await.unwrap(), 0);
        let stored = store.delivery(ours, delivery(paused, 0, false).id).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.finished_at, stored.next_attempt_at), (DeliveryState::Discarded, Some(now), None));
        let mut waiting: Vec<_> = store.waiting().await.unwrap().into_iter().map(|(webhook, _)| webhook).collect();
        waiting.sort();
        let mut expected = vec![paused, active, other];
        expected.sort();
        assert_eq!(waiting, expected);
    }

    async fn old_dead_letters_are_found_by_webhook(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let letters: Vec<_> = (0..510).map(|n| (n, ErrorClass::Server)).collect();
        let dead = die(fresh, node, (ours, hook), &letters).await;
        assert_eq!(store.webhooks_with_dead_letters().await.unwrap(), [(ours, hook, true)]);
        let old = |from| store.old_dead_letters(ours, hook, T0.plus_ms(505), from);
        let (first, rest) = old(Bookmark::START).await.unwrap();
        assert_eq!((first.len(), first[0].delivery, first[0].died_at), (500, dead[0], T0));
        assert_eq!(first[7].event_type, "job.n7");
        let (second, end) = old(rest.unwrap()).await.unwrap();
        assert_eq!((second.len(), second[4].delivery, end), (5, dead[504], None));
        store.delete_webhook(ours, hook, audit("webhook.deleted", 1)).await.unwrap();
        assert_eq!(store.webhooks_with_dead_letters().await.unwrap(), [(ours, hook, false)]);
        store.prune_dead_letter_counts().await.unwrap();
        assert_eq!(counted(fresh).await, [(hook.uuid(), 510)].into(), "a count that is not zero stays");
        store.clear_dead_letters(ours, dead, None).await.unwrap();
        assert_eq!(count(fresh, "counts").await, 1);
        store.prune_dead_letter_counts().await.unwrap();
        assert_eq!(count(fresh, "counts").await, 0);
        assert!(store.webhooks_with_dead_letters().await.unwrap().is_empty());
    }

    async fn figures_sessions_jobs_and_requests_go_too(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, other) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        history(fresh, node, (ours, hook), 0..1).await;
        history(fresh, node, (theirs, other), 1..2).await;
        // The tries were made at T0 + 61 s.
        let minute = T0.plus_ms(61_000).minute() * 60_000;
        let until = |ms| Timestamp::from_millis(minute + ms);
        assert_eq!(store.prune_rollups(ours, Grain::Minute, until(0)).await.unwrap(), 0);
        assert_eq!(store.prune_rollups(ours, Grain::Minute, until(60_000)).await.unwrap(), 1);
        assert_eq!(store.prune_rollups(ours, Grain::Hour, until(DAY)).await.unwrap(), 1);
        let rollups: Vec<(i64, i64)> = raw!(fresh, conn => {
            sqlx::query_as("select grain_minutes, count(*) from rollups group by grain_minutes order by 1").fetch_all(conn).await.unwrap()
        });
        assert_eq!(rollups, [(1, 1), (60, 1), (1440, 2)]);

        raw!(fresh, conn => {
            let owner: (uuid::Uuid,) = sqlx::query_as("select id from members where organization_id = $1").bind(ours.uuid()).fetch_one(&mut *conn).await.unwrap();
            for n in 0_i64..3 {
                sqlx::query("insert into sessions (token_hash, organization_id, member_id, user_agent, created_at, expires_at) values ($1, $2, $3, '', 0, $4)")
                    .bind(vec![u8::try_from(n).unwrap()]).bind(ours.uuid()).bind(MemberId::from_uuid(owner.0).uuid()).bind(n * 10).execute(&mut *conn).await.unwrap();
            }
        });
        assert_eq!(store.prune_sessions(Timestamp::from_millis(10)).await.unwrap(), 2);
        assert_eq!(count(fresh, "sessions").await, 1);

        let job = |n: u8| NewJob {
            id: JobId::new(T0.plus_ms(n.into()), [n; 10]),
            kind: JobKind::DeadLettersClear,
            scope: JobScope::default(),
            created_by: "somebody".into(),
        };
        for (organization, n) in [(ours, 1), (ours, 2), (ours, 3), (theirs, 4)] {
            let job = store.create_job(organization, job(n), audit("job.started", n.into())).await.unwrap();
            if n != 2 {
                store.cancel_job(organization, job.id, T0, audit("job.cancelled", n.into())).await.unwrap();
            }
        }
        assert_eq!(store.prune_jobs(ours, T0.plus_ms(3)).await.unwrap(), 1, "one runs, one is young");
        assert_eq!(store.jobs(ours, None, 9).await.unwrap().data.len(), 2);

        raw!(fresh, conn => {
            for n in 0_i64..5 {
                sqlx::query("insert into inspector_requests (id, organization_id, method, path, headers, body, truncated, signature) values ($1, $2, 'POST', '', '[]', $3, false, 'missing')")
                    .bind(uuid::Uuid::from_u128(u128::try_from(n).unwrap())).bind(ours.uuid()).bind(vec![0_u8]).execute(&mut *conn).await.unwrap();
            }
        });
        assert_eq!(store.prune_inspector(theirs, 0).await.unwrap(), 0);
        assert_eq!(store.prune_inspector(ours, 3).await.unwrap(), 2);
        let left = store.inspector_requests(ours, None, 9).await.unwrap().data;
        assert_eq!(left.iter().map(|request| request.id.uuid().as_u128()).collect::<Vec<_>>(), [4, 3, 2]);
    }

    async fn one_node_at_a_time_goes_through_everything(fresh) {
        let store = &fresh.store;
        let (ours, _) = hooked(fresh, 1).await;
        assert!(store.begin_pruning(T0, 600_000).await.unwrap());
        assert!(!store.begin_pruning(T0.plus_ms(599_999), 600_000).await.unwrap());
        assert!(store.begin_pruning(T0.plus_ms(600_000), 600_000).await.unwrap());
        assert!(store.begin_pruning(T0, 600_000).await.unwrap(), "the clock was set back");
        let changed = Retention { payload_days: 5, history_days: 6 };
        store.set_retention(ours, changed, audit("retention.updated", 1)).await.unwrap();
        assert_eq!(store.retentions().await.unwrap(), [(ours, changed)]);
        assert_eq!(store.audit(ours, None, 1).await.unwrap().data[0].action, "retention.updated");
    }
}
