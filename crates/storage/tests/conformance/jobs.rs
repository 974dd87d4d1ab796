//! Jobs: exactly their set, each once, whoever does the work and whatever happens meanwhile.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    DeliveryId, JobId, NodeId, OrganizationId, PublicId, Timestamp, WebhookId, WebhookState,
    api::{DeliveryKind, DeliveryQuery, Job, JobKind, JobScope, JobState, Refusal, Webhook},
    delivery::{DeliveryState, ErrorClass},
};
use storage::{Advance, BATCH, Cancellation, NewDelivery, NewJob, NextStep, QueuedDelivery, Span};

use crate::{
    Fresh,
    cold::{audit, hooked, store_webhook, webhook},
    conformance,
    dead_letters::{counted, die},
    hot::{T0, delivery, event, ingest, node, settlement},
    raw,
};

/// After everything that the cases store.
const LATER: Timestamp = T0.plus_ms(1_000_000);

fn job_id(number: u8) -> JobId {
    JobId::new(LATER, [number; 10])
}

async fn start(fresh: &Fresh, organization: OrganizationId, number: u8, kind: JobKind, scope: JobScope) -> Job {
    let new = NewJob { id: job_id(number), kind, scope, created_by: format!("person {number}") };
    fresh.store.create_job(organization, new, audit("job.started", number.into())).await.unwrap()
}

/// Ids for what the job makes.
fn fresh_ids() -> Vec<DeliveryId> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    (0..BATCH)
        .map(|_| {
            let mut random = [0; 10];
            random[2..].copy_from_slice(&NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes());
            DeliveryId::new(LATER.plus_ms(1), random)
        })
        .collect()
}

async fn advance(fresh: &Fresh, node: NodeId, number: u8) -> Option<Advance> {
    fresh.store.advance_job(node, job_id(number), fresh_ids(), LATER).await.unwrap()
}

/// Takes the job and does all of it.
async fn finish(fresh: &Fresh, node: NodeId) -> Job {
    let mut taken = fresh.store.take_job(node).await.unwrap().unwrap();
    while taken.job.state == JobState::Running {
        taken = fresh.store.advance_job(node, taken.job.id, fresh_ids(), LATER).await.unwrap().unwrap().job;
    }
    taken.job
}

/// Everything that is due.
async fn due(fresh: &Fresh, node: NodeId, webhook: WebhookId) -> Vec<storage::Claimed> {
    fresh.store.claim(node, vec![webhook], 10_000, LATER).await.unwrap()
}

fn letters(range: std::ops::Range<u128>) -> Vec<(u128, ErrorClass)> {
    range.map(|n| (n, ErrorClass::Server)).collect()
}

async fn end(
    fresh: &Fresh,
    node: NodeId,
    organization: OrganizationId,
    hook: WebhookId,
    n: u128,
    new: NewDelivery,
    state: DeliveryState,
) {
    ingest(&fresh.store, node, vec![event(organization, n, vec![new])]).await;
    let error = (state != DeliveryState::Delivered).then_some(ErrorClass::Client);
    let done =
        settlement(organization, hook, new.id, error, NextStep::End(state, T0.plus_ms(i64::try_from(n).unwrap())));
    assert_eq!(fresh.store.settle(node, Arc::from([done])).await.unwrap().counted, [true]);
}

conformance! {
    /// A node dies in the middle; the next one goes on where it was, and the dead one changes nothing any more.
    async fn an_interrupted_job_does_exactly_its_set_and_each_once(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, other) = hooked(fresh, 2).await;
        let dying = node(store, 900).await;
        let dead: BTreeSet<_> = die(fresh, dying, (ours, hook), &letters(0..1_203)).await.into_iter().collect();
        die(fresh, dying, (theirs, other), &letters(5_000..5_003)).await;
        let job = start(fresh, ours, 1, JobKind::DeadLettersRetry, JobScope::default()).await;
        assert_eq!((job.state, job.percent, job.matched, job.created_at), (JobState::Running, 0, 0, LATER));
        // It dies after the job was asked for, and is not part of it, although its id is.
        let late = delivery(hook, 2_000, true);
        ingest(store, dying, vec![event(ours, 2_000, vec![late])]).await;
        let end = NextStep::End(DeliveryState::DeadLetter, LATER.plus_ms(1));
        let settled = store.settle(dying, Arc::from([settlement(ours, hook, late.id, Some(ErrorClass::Server), end)]));
        assert_eq!(settled.await.unwrap().counted, [true]);

        let taken = store.take_job(dying).await.unwrap().unwrap();
        assert_eq!((taken.organization, taken.job.id), (ours, job.id));
        assert!(store.take_job(dying).await.unwrap().is_none(), "it is taken");
        let first = advance(fresh, dying, 1).await.unwrap();
        assert_eq!((first.queued, first.job.job.done, first.job.job.state), (500, 500, JobState::Running));

        let living = NodeId::new(T0, [1; 10]);
        if store.is_shared() {
            store.heartbeat(dying, -1, true).await.unwrap();
        }
        store.register(living, 60_000).await.unwrap();
        assert!(advance(fresh, dying, 1).await.is_none(), "it was given up");
        let done = finish(fresh, living).await;
        assert_eq!((done.state, done.percent, done.matched, done.done, done.refused), (JobState::Done, 100, 1_203, 1_203, 0));
        assert_eq!(done.finished_at, Some(LATER));
        assert_eq!(store.job(ours, job.id).await.unwrap(), Some(done));
        assert!(advance(fresh, living, 1).await.is_none(), "it has ended");
        assert!(store.take_job(living).await.unwrap().is_none());

        let claimed = due(fresh, living, hook).await;
        assert!(claimed.iter().all(|claimed| claimed.earlier_attempts == 1));
        assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<BTreeSet<_>>(), dead);
        assert_eq!(claimed.len(), 1_203);
        assert_eq!(counted(fresh).await, [(hook.uuid(), 1), (other.uuid(), 3)].into());
    }

    async fn conditions_pick_what_is_cleared(fresh) {
        let store = &fresh.store;
        let (ours, a) = hooked(fresh, 1).await;
        let b = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(2) }).await;
        let node = node(store, 900).await;
        die(fresh, node, (ours, a), &[(10, ErrorClass::Server), (20, ErrorClass::Timeout), (30, ErrorClass::Server)]).await;
        die(fresh, node, (ours, b), &[(40, ErrorClass::Server), (50, ErrorClass::Server)]).await;
        let all = JobScope::default;
        let scopes = [
            (JobScope { webhook_id: Some(a), error: Some(ErrorClass::Server), to: Some(T0.plus_ms(30)), ..all() }, 1),
            (JobScope { event: Some("job.n20".into()), ..all() }, 1),
            (JobScope { from: Some(T0.plus_ms(50)), ..all() }, 1),
            (JobScope { from: Some(T0.plus_ms(51)), ..all() }, 0),
            (JobScope { webhook_id: Some(b), ..all() }, 1),
            (all(), 1),
            (all(), 0),
        ];
        for (number, (scope, expected)) in (1..).zip(scopes) {
            let span = Span::of(&scope, job_id(number));
            let kind = JobKind::DeadLettersClear;
            let count = store.count_deliveries(ours, kind, &scope, span, LATER).await.unwrap();
            assert_eq!(count, (expected, None), "{scope:?}");
            start(fresh, ours, number, kind, scope.clone()).await;
            let done = finish(fresh, node).await;
            assert_eq!((done.matched, done.done, &done.scope), (expected, expected, &scope));
            counted(fresh).await;
        }
        let query = DeliveryQuery { status: Some(DeliveryState::Discarded), ..DeliveryQuery::default() };
        assert_eq!(store.deliveries(ours, &query, None, 9).await.unwrap().data.len(), 5);
        assert!(store.waiting().await.unwrap().is_empty());
    }

    /// Dead letters in place, what failed for good as a replay, tests not at all; and what cannot be sent is counted.
    async fn what_failed_is_sent_again(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let paused = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(2) }).await;
        let failing = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(3) }).await;
        let node = node(store, 900).await;
        let dead = die(fresh, node, (ours, hook), &letters(10..11)).await;
        die(fresh, node, (ours, paused), &letters(20..22)).await;
        die(fresh, node, (ours, failing), &letters(30..31)).await;
        let failed = delivery(hook, 40, true);
        end(fresh, node, ours, hook, 40, failed, DeliveryState::Failed).await;
        end(fresh, node, ours, hook, 41, delivery(hook, 41, true), DeliveryState::Delivered).await;
        let test = NewDelivery { kind: DeliveryKind::Test, ..delivery(hook, 42, true) };
        end(fresh, node, ours, hook, 42, test, DeliveryState::Failed).await;
        end(fresh, node, ours, paused, 43, delivery(paused, 43, true), DeliveryState::Failed).await;
        end(fresh, node, ours, hook, 44, delivery(hook, 44, true), DeliveryState::Failed).await;
        raw!(fresh, conn => sqlx::query("delete from events where event_type = 'job.n44'").execute(conn).await.map(drop).unwrap());
        store.set_webhook_state(ours, paused, WebhookState::Paused, None, T0, audit("webhook.paused", 1)).await.unwrap();
        let disabled = store.disable_failing_webhook(ours, failing, 1, "it fails".into(), LATER, audit("webhook.disabled", 2));
        assert!(disabled.await.unwrap());

        start(fresh, ours, 1, JobKind::ReplayFailed, JobScope::default()).await;
        store.take_job(node).await.unwrap().unwrap();
        let done = advance(fresh, node, 1).await.unwrap();
        assert_eq!((done.queued, &done.failing[..]), (3, &[failing][..]));
        let job = done.job.job;
        assert_eq!((job.state, job.matched, job.done, job.refused), (JobState::Done, 7, 3, 4));
        assert_eq!(job.refusals, [(Refusal::WebhookPaused, 3), (Refusal::PayloadGone, 1)].into());
        let mut claimed = due(fresh, node, hook).await;
        claimed.sort_by_key(|claimed| claimed.id);
        let claimed: Vec<_> = claimed.iter().map(|claimed| (claimed.kind, claimed.replay_of, claimed.attempts)).collect();
        assert_eq!(claimed, [(DeliveryKind::Event, None, 1), (DeliveryKind::Replay, Some(failed.id), 0)]);
        let stored = store.delivery(ours, dead[0]).await.unwrap().unwrap();
        assert_eq!(stored.status, DeliveryState::Sending, "in place");
        assert_eq!(counted(fresh).await, [(paused.uuid(), 2)].into());
    }

    /// A replay is not replayed by the job that made it.
    async fn a_filter_replays_each_match_once(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let node = node(store, 900).await;
        let mut originals = BTreeSet::new();
        for n in 0..4 {
            let new = delivery(hook, n, true);
            originals.insert(new.id);
            end(fresh, node, ours, hook, n, new, if n == 3 { DeliveryState::Discarded } else { DeliveryState::Delivered }).await;
        }
        let dead = die(fresh, node, (ours, hook), &letters(10..11)).await;
        // Not ended.
        ingest(store, node, vec![event(ours, 20, vec![delivery(hook, 20, true)])]).await;
        let scope = JobScope { webhook_id: Some(hook), ..JobScope::default() };
        start(fresh, ours, 1, JobKind::ReplayFilter, scope.clone()).await;
        let done = finish(fresh, node).await;
        assert_eq!((done.matched, done.done), (5, 5));
        let replayed: BTreeSet<_> = due(fresh, node, hook).await.iter().filter_map(|claimed| claimed.replay_of).collect();
        assert_eq!(replayed, originals.iter().copied().chain(dead.clone()).collect());
        assert_eq!(counted(fresh).await, [(hook.uuid(), 1)].into(), "the dead letter stays");
        let only = JobScope { status: Some(DeliveryState::Discarded), ..scope };
        start(fresh, ours, 2, JobKind::ReplayFilter, only).await;
        assert_eq!(finish(fresh, node).await.done, 1);
        assert_eq!(due(fresh, node, hook).await.len(), 1);
    }

    async fn missing_events_are_those_that_never_went_to_the_webhook(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, _) = hooked(fresh, 2).await;
        let other = store_webhook(fresh, ours, Webhook { state: WebhookState::Active, ..webhook(3) }).await;
        let node = node(store, 900).await;
        ingest(store, node, vec![
            event(ours, 1, vec![delivery(hook, 1, false)]),
            event(ours, 2, vec![delivery(other, 2, false)]),
            event(ours, 3, vec![]),
            event(ours, 4, vec![NewDelivery { kind: DeliveryKind::Test, ..delivery(other, 4, false) }]),
            event(theirs, 5, vec![]),
            event(ours, 6, vec![]),
        ]).await;
        let scope = JobScope { webhook_id: Some(hook), from: Some(T0.plus_ms(1)), to: Some(T0.plus_ms(6)), ..JobScope::default() };
        let span = Span::of(&scope, job_id(1));
        let (missing, rest) = store.missing_events(ours, hook, &scope, span, 10).await.unwrap();
        assert_eq!(missing.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>(), ["job.n2", "job.n3"]);
        assert_eq!((missing[0].source, rest), (event(ours, 2, vec![]).source, None));
        let one = JobScope { event: Some("job.n3".into()), ..scope.clone() };
        assert_eq!(store.missing_events(ours, hook, &one, span, 10).await.unwrap().0[..], missing[1..]);
        // Two at a time.
        let (first, rest) = store.missing_events(ours, hook, &scope, span, 2).await.unwrap();
        let (second, end) = store.missing_events(ours, hook, &scope, rest.unwrap(), 2).await.unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_eq!(store.missing_events(ours, hook, &scope, end.unwrap(), 2).await.unwrap(), (vec![], None));

        start(fresh, ours, 1, JobKind::ReplayMissing, scope.clone()).await;
        let taken = store.take_job(node).await.unwrap().unwrap();
        let replay = |event: &storage::MissingEvent| QueuedDelivery {
            id: fresh_ids()[0],
            webhook: hook,
            event: event.id,
            event_type: event.event_type.clone(),
            kind: DeliveryKind::Replay,
            replay_of: None,
            due_at: LATER,
        };
        let (first, rest) = store.missing_events(ours, hook, &scope, taken.span, 2).await.unwrap();
        let both: Vec<_> = missing.iter().map(replay).collect();
        let advanced = store.advance_missing(node, job_id(1), taken.span, rest, first.iter().map(replay).collect(), LATER);
        assert_eq!(advanced.await.unwrap().unwrap().job.job.matched, 1);
        // What was picked before that batch is out of date.
        let stale = store.advance_missing(node, job_id(1), taken.span, None, both.clone(), LATER).await.unwrap();
        assert!(stale.is_none());
        let done = store.advance_missing(node, job_id(1), rest.unwrap(), None, both, LATER).await.unwrap().unwrap();
        assert_eq!((done.queued, done.job.job.done, done.job.job.state), (1, 2, JobState::Done));
        let types: BTreeSet<_> = due(fresh, node, hook).await.into_iter().map(|claimed| claimed.event_type).collect();
        assert_eq!(types, ["job.n1", "job.n2", "job.n3"].map(str::to_owned).into());
        assert!(store.missing_events(ours, hook, &scope, span, 10).await.unwrap().0.is_empty());
    }

    async fn a_cancelled_job_stops_where_it_is(fresh) {
        let store = &fresh.store;
        let (ours, hook) = hooked(fresh, 1).await;
        let (theirs, _) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        die(fresh, node, (ours, hook), &letters(0..600)).await;
        let id = start(fresh, ours, 1, JobKind::DeadLettersClear, JobScope::default()).await.id;
        store.take_job(node).await.unwrap().unwrap();
        assert_eq!(advance(fresh, node, 1).await.unwrap().job.job.done, 500);
        let cancel = |organization, number| store.cancel_job(organization, id, LATER, audit("job.cancelled", number));
        assert_eq!(cancel(theirs, 10).await.unwrap(), Cancellation::Missing);
        let Cancellation::Done(cancelled) = cancel(ours, 11).await.unwrap() else { panic!("it was running") };
        assert_eq!((cancelled.state, cancelled.done, cancelled.finished_at), (JobState::Cancelled, 500, Some(LATER)));
        assert_eq!(cancel(ours, 12).await.unwrap(), Cancellation::Ended(JobState::Cancelled));
        assert!(advance(fresh, node, 1).await.is_none());
        assert_eq!(counted(fresh).await, [(hook.uuid(), 100)].into());
        assert_eq!(store.audit(ours, None, 1).await.unwrap().data[0].action, "job.cancelled");
        assert!(store.take_job(node).await.unwrap().is_none());
    }

    async fn jobs_are_listed_and_fail_with_a_reason(fresh) {
        let store = &fresh.store;
        let (ours, _) = hooked(fresh, 1).await;
        let (theirs, _) = hooked(fresh, 2).await;
        let node = node(store, 900).await;
        for number in 1..=3 {
            start(fresh, ours, number, JobKind::DeadLettersClear, JobScope::default()).await;
        }
        assert_eq!(store.job(theirs, job_id(1)).await.unwrap(), None);
        assert!(store.jobs(theirs, None, 9).await.unwrap().data.is_empty());
        let page = store.jobs(ours, None, 2).await.unwrap();
        assert_eq!(page.data.iter().map(|job| job.id).collect::<Vec<_>>(), [job_id(3), job_id(2)]);
        assert_eq!(page.next_cursor, Some(job_id(2).to_string()));
        assert_eq!(store.jobs(ours, Some(job_id(2)), 2).await.unwrap().data[0].created_by, "person 1");
        // Over nothing: done, and nothing matched.
        let done = finish(fresh, node).await;
        assert_eq!((done.id, done.matched, done.percent), (job_id(1), 0, 100));
        assert_eq!(store.take_job(node).await.unwrap().unwrap().job.id, job_id(2));
        assert!(!store.fail_job(node, job_id(3), "not mine".into(), LATER).await.unwrap());
        assert!(store.fail_job(node, job_id(2), "the webhook was deleted".into(), LATER).await.unwrap());
        let failed = store.job(ours, job_id(2)).await.unwrap().unwrap();
        assert_eq!((failed.state, failed.error.as_deref()), (JobState::Failed, Some("the webhook was deleted")));
        // What a node has when it stops, another may take.
        assert_eq!(store.take_job(node).await.unwrap().unwrap().job.id, job_id(3));
        store.release_job(NodeId::new(T0, [9; 10]), job_id(3)).await.unwrap();
        assert!(store.take_job(node).await.unwrap().is_none(), "another node cannot give it back");
        store.release_job(node, job_id(3)).await.unwrap();
        assert_eq!(store.take_job(node).await.unwrap().unwrap().job.id, job_id(3));
    }
}
