//! Dead letters: listed, sent again, cleared, brought back, and always counted right.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    DeliveryId, NodeId, OrganizationId, PublicId, WebhookId, WebhookState,
    api::{DeadLetterFilter, Refusal, Webhook},
    delivery::{DeliveryState, ErrorClass},
};
use storage::{NextStep, Settlement};
use uuid::Uuid;

use crate::{
    Fresh,
    cold::{audit, hooked, store_webhook, webhook},
    conformance,
    hot::{T0, delivery, event, ingest, node, settlement},
    raw,
};

/// One event for each number, whose delivery has the same number and died `number` ms after T0 with its `error`.
pub(crate) async fn die(
    fresh: &Fresh,
    node: NodeId,
    (organization, webhook): (OrganizationId, WebhookId),
    letters: &[(u128, ErrorClass)],
) -> Vec<DeliveryId> {
    let new: Vec<_> = letters.iter().map(|(n, _)| (*n, delivery(webhook, *n, true))).collect();
    ingest(&fresh.store, node, new.iter().map(|(n, new)| event(organization, *n, vec![*new])).collect()).await;
    let dead = |(n, error): &(u128, ErrorClass)| {
        let at = T0.plus_ms(i64::try_from(*n).unwrap());
        settlement(
            organization,
            webhook,
            delivery(webhook, *n, true).id,
            Some(*error),
            NextStep::End(DeliveryState::DeadLetter, at),
        )
    };
    let settlements: Arc<[Settlement]> = letters.iter().map(dead).collect();
    let settled = fresh.store.settle(node, settlements).await.unwrap();
    assert!(settled.counted.iter().all(|counted| *counted));
    new.into_iter().map(|(_, new)| new.id).collect()
}

/// The rows of each webhook, which its count must equal.
pub(crate) async fn counted(fresh: &Fresh) -> BTreeMap<Uuid, i64> {
    type Counts = Vec<(Uuid, i64)>;
    let (rows, counts): (Counts, Counts) = raw!(fresh, conn => {
        (
            sqlx::query_as("select webhook_id, count(*) from dead_letters group by webhook_id")
                .fetch_all(&mut *conn).await.unwrap(),
            sqlx::query_as("select webhook_id, dead_letters from dead_letter_counts where dead_letters <> 0")
                .fetch_all(&mut *conn).await.unwrap(),
        )
    });
    let (rows, counts): (BTreeMap<_, _>, BTreeMap<_, _>) = (rows.into_iter().collect(), counts.into_iter().collect());
    assert_eq!(rows, counts, "the counts are those of the rows");
    rows
}

conformance! {
    async fn they_are_listed_by_what_people_ask_for(fresh) {
        let store = &fresh.store;
        let (ours, a) = hooked(fresh, 1).await;
        let (theirs, c) = hooked(fresh, 3).await;
        let b = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(2) }).await;
        let node = node(store, 900).await;
        let first = die(fresh, node, (ours, a), &[(10, ErrorClass::Server), (20, ErrorClass::Timeout)]).await;
        let second = die(fresh, node, (ours, b), &[(30, ErrorClass::Server)]).await;
        die(fresh, node, (theirs, c), &[(40, ErrorClass::Server)]).await;
        let list = |filter: DeadLetterFilter, before, limit| async move {
            let page = store.dead_letters(ours, &filter, before, limit).await.unwrap();
            (page.data.into_iter().map(|letter| letter.delivery.id).collect::<Vec<_>>(), page.next_cursor)
        };
        let all = DeadLetterFilter::default;
        assert_eq!(list(all(), None, 9).await, (vec![second[0], first[1], first[0]], None));
        let (page, cursor) = list(all(), None, 2).await;
        assert_eq!((page, cursor), (vec![second[0], first[1]], Some(first[1].to_string())));
        assert_eq!(list(all(), Some(first[1]), 2).await, (vec![first[0]], None));
        assert_eq!(list(DeadLetterFilter { webhook_id: Some(a), ..all() }, None, 9).await.0, [first[1], first[0]]);
        assert_eq!(list(DeadLetterFilter { error: Some(ErrorClass::Server), ..all() }, None, 9).await.0, [second[0], first[0]]);
        assert_eq!(list(DeadLetterFilter { event: Some("job.n20".into()), ..all() }, None, 9).await.0, [first[1]]);
        let middle = DeadLetterFilter { from: Some(T0.plus_ms(20)), to: Some(T0.plus_ms(30)), ..all() };
        assert_eq!(list(middle, None, 9).await.0, [first[1]]);
        let page = store.dead_letters(ours, &all(), None, 1).await.unwrap();
        let letter = &page.data[0];
        assert_eq!((letter.died_at, letter.delivery.status), (T0.plus_ms(30), DeliveryState::DeadLetter));
        assert_eq!((letter.delivery.webhook_name.as_str(), letter.delivery.error), ("webhook 2", Some(ErrorClass::Server)));
        let counts = store.dead_letter_counts(ours).await.unwrap();
        let counts: Vec<_> = counts.iter().map(|count| (count.webhook_id, count.webhook_name.as_str(), count.dead_letters)).collect();
        assert_eq!(counts, [(a, "webhook 1", 2), (b, "webhook 2", 1)]);
    }

    async fn a_retried_one_is_the_same_delivery_with_a_new_round_of_tries(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, _) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        let dead = die(fresh, node, (ours, hook), &[(10, ErrorClass::Server), (20, ErrorClass::Server)]).await;
        let foreign = store.retry_dead_letters(theirs, dead.clone(), T0, audit("dead_letters.retried", 1)).await.unwrap();
        assert_eq!(foreign.refused, [(dead[0], Refusal::NotDeadLetter), (dead[1], Refusal::NotDeadLetter)]);
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 2)]));

        let now = T0.plus_ms(500);
        let moved = store.retry_dead_letters(ours, vec![dead[0]], now, audit("dead_letter.retried", 2)).await.unwrap();
        assert_eq!((moved.done, moved.refused, moved.failing), (vec![(dead[0], hook)], vec![], vec![]));
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 1)]));
        let entry = store.audit(ours, None, 1).await.unwrap().data.remove(0);
        assert_eq!(entry.action, "dead_letter.retried");
        let stored = store.delivery(ours, dead[0]).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.attempts), (DeliveryState::Pending, 1));
        assert_eq!((stored.finished_at, stored.next_attempt_at), (None, Some(now)));
        // Once more: it is none any more, and nothing is written.
        let moved = store.retry_dead_letters(ours, vec![dead[0]], now, audit("dead_letter.retried", 3)).await.unwrap();
        assert_eq!((moved.done, moved.refused), (vec![], vec![(dead[0], Refusal::NotDeadLetter)]));
        assert_eq!(store.audit(ours, None, 1).await.unwrap().data[0].id, entry.id);

        let claimed = store.claim(node, vec![hook], 9, now).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].attempts, claimed[0].earlier_attempts), (1, 1, 1));
        // It dies again, and is counted again.
        let mut again = settlement(ours, hook, dead[0], Some(ErrorClass::Dns), NextStep::End(DeliveryState::DeadLetter, now));
        again.attempt.number = 2;
        store.settle(node, Arc::from([again])).await.unwrap();
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 2)]));
    }

    async fn what_cannot_be_sent_is_refused_and_stays(fresh) {
        let store = &fresh.store;
        let (ours, active) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let mut hooks = vec![active];
        for number in 2..=5 {
            hooks.push(store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(number) }).await);
        }
        let mut dead = Vec::new();
        for (n, hook) in (1_u128..).zip(&hooks) {
            dead.append(&mut die(fresh, node, (ours, *hook), &[(n, ErrorClass::Server)]).await);
        }
        let set = |hook, state, number| store.set_webhook_state(ours, hook, state, None, T0, audit("webhook.set", number));
        assert!(set(hooks[1], WebhookState::Paused, 1).await.unwrap());
        assert!(set(hooks[2], WebhookState::Disabled, 2).await.unwrap());
        let disabled = store.disable_failing_webhook(ours, hooks[3], 1, "it fails".into(), T0.plus_ms(60_000), audit("webhook.disabled", 3));
        assert!(disabled.await.unwrap());
        assert!(store.delete_webhook(ours, hooks[4], audit("webhook.deleted", 4)).await.unwrap());
        let gone = die(fresh, node, (ours, active), &[(6, ErrorClass::Server)]).await[0];
        raw!(fresh, conn => sqlx::query("delete from events where event_type = 'job.n6'").execute(conn).await.map(drop).unwrap());
        let ids = [dead.clone(), vec![gone]].concat();
        let moved = store.retry_dead_letters(ours, ids.clone(), T0, audit("dead_letters.retried", 5)).await.unwrap();
        assert_eq!(moved.done, [(dead[0], hooks[0]), (dead[3], hooks[3])]);
        assert_eq!(moved.failing, [hooks[3]]);
        assert_eq!(
            moved.refused,
            [
                (dead[1], Refusal::WebhookPaused),
                (dead[2], Refusal::WebhookDisabled),
                (dead[4], Refusal::WebhookDeleted),
                (gone, Refusal::PayloadGone),
            ]
        );
        let expected = [(hooks[0], 1), (hooks[1], 1), (hooks[2], 1), (hooks[4], 1)];
        assert_eq!(counted(fresh).await, expected.map(|(hook, count)| (hook.uuid(), count)).into());

        // The probe is made at once; that of a webhook that a person disabled never.
        let before = store.routing_version().await.unwrap();
        for hook in [hooks[2], hooks[3]] {
            store.hasten_probe(ours, hook, T0.plus_ms(5)).await.unwrap();
        }
        assert_eq!(store.routing_version().await.unwrap(), before + 1);
        let probe_at = |hook| async move { store.webhook(ours, hook, T0).await.unwrap().unwrap().next_probe_at };
        assert_eq!((probe_at(hooks[2]).await, probe_at(hooks[3]).await), (None, Some(T0.plus_ms(5))));
        store.hasten_probe(ours, hooks[3], T0.plus_ms(9)).await.unwrap();
        assert_eq!(probe_at(hooks[3]).await, Some(T0.plus_ms(5)), "it is due already");
    }

    async fn a_cleared_one_is_discarded(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, _) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        let letters: Vec<_> = (0..600).map(|n| (n, ErrorClass::Server)).collect();
        let dead = die(fresh, node, (ours, hook), &letters).await;
        let foreign = store.clear_dead_letters(theirs, dead.clone(), Some(audit("dead_letters.cleared", 1))).await.unwrap();
        assert_eq!((foreign.done.len(), foreign.refused.len()), (0, 600));
        // Whatever became of the webhook.
        assert!(store.delete_webhook(ours, hook, audit("webhook.deleted", 2)).await.unwrap());
        let moved = store.clear_dead_letters(ours, dead[..599].to_vec(), Some(audit("dead_letters.cleared", 3))).await.unwrap();
        assert_eq!((moved.done.len(), moved.refused.len()), (599, 0));
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 1)]));
        assert_eq!(store.audit(ours, None, 1).await.unwrap().data[0].action, "dead_letters.cleared");
        let stored = store.delivery(ours, dead[0]).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.finished_at), (DeliveryState::Discarded, Some(T0)));
        let moved = store.clear_dead_letters(ours, dead, None).await.unwrap();
        assert_eq!((moved.done.len(), moved.refused.len()), (1, 599));
        assert_eq!(counted(fresh).await, BTreeMap::new());
        assert!(store.waiting().await.unwrap().is_empty());
    }

    async fn a_cleared_one_comes_back_as_it_was(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, _) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        let dead = die(fresh, node, (ours, hook), &[(10, ErrorClass::Server), (20, ErrorClass::Dns), (30, ErrorClass::Dns)]).await;
        let list = || async { store.dead_letters(ours, &DeadLetterFilter::default(), None, 9).await.unwrap().data };
        let before = list().await;
        store.clear_dead_letters(ours, dead[..2].to_vec(), None).await.unwrap();
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 1)]));
        let restore = |organization, number| store.restore_dead_letters(organization, dead.clone(), audit("dead_letters.restored", number));
        let foreign = restore(theirs, 1).await.unwrap();
        assert_eq!((foreign.done.len(), foreign.refused.len()), (0, 3));
        assert!(store.audit(theirs, None, 9).await.unwrap().data.iter().all(|entry| entry.action != "dead_letters.restored"));

        let moved = restore(ours, 2).await.unwrap();
        assert_eq!((moved.done, moved.refused), (vec![(dead[0], hook), (dead[1], hook)], vec![(dead[2], Refusal::NotDiscarded)]));
        assert_eq!(list().await, before, "as if they had never been cleared");
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 3)]));
        assert_eq!(store.audit(ours, None, 1).await.unwrap().data[0].action, "dead_letters.restored");
        assert_eq!(restore(ours, 3).await.unwrap().done, []);
        // What comes back can be sent again like any other.
        let moved = store.retry_dead_letters(ours, vec![dead[0]], T0, audit("dead_letter.retried", 4)).await.unwrap();
        assert_eq!(moved.done, [(dead[0], hook)]);

        // A test is nobody's dead letter.
        store.clear_dead_letters(ours, vec![dead[1]], None).await.unwrap();
        raw!(fresh, conn => sqlx::query("update deliveries set kind = 'test' where state = 'discarded'").execute(conn).await.map(drop).unwrap());
        assert_eq!(restore(ours, 5).await.unwrap().done, []);
        assert_eq!(counted(fresh).await, BTreeMap::from([(hook.uuid(), 1)]));
    }

    /// Retries, clears and deaths at the same time: nobody waits in a circle, nothing is lost or counted twice.
    async fn counts_hold_when_many_act_at_once(fresh) {
        let store = &fresh.store;
        let (ours, a) = hooked(fresh, 1).await;
        let b = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(2) }).await;
        let node = node(store, 900).await;
        let letters = |from: u128| (from..from + 40).map(|n| (n, ErrorClass::Server)).collect::<Vec<_>>();
        let of_a = die(fresh, node, (ours, a), &letters(0)).await;
        let of_b = die(fresh, node, (ours, b), &letters(100)).await;
        let all = [of_a, of_b].concat();
        let dying = |round: u128| {
            let hook = if round.is_multiple_of(2) { a } else { b };
            async move { die(fresh, node, (ours, hook), &letters(200 + 100 * round)).await }
        };
        let moving = |n: i64| {
            let mut ids = all.clone();
            ids.rotate_left(usize::try_from(n).unwrap() * 7);
            async move {
                let entry = audit("dead_letters.moved", 50 + n);
                match n % 2 {
                    0 => store.retry_dead_letters(ours, ids, T0, entry).await.unwrap().done.len(),
                    _ => store.clear_dead_letters(ours, ids, Some(entry)).await.unwrap().done.len(),
                }
            }
        };
        let (moved, (), ()) = tokio::join!(
            async { [tokio::join!(moving(0), moving(1), moving(2), moving(3))] },
            async { for round in 0..3 { dying(round).await; } },
            async { for round in 3..6 { dying(round).await; } },
        );
        let [(first, second, third, fourth)] = moved;
        assert_eq!(first + second + third + fourth, 80, "each was moved once");
        assert_eq!(counted(fresh).await, BTreeMap::from([(a.uuid(), 120), (b.uuid(), 120)]));
    }
}
