//! Sending again: another payload, what failed, what is missing, what matches; and the jobs that do it.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    Condition, DeliveryId, EventId, Filter, JobId, NodeId, Operator, OrganizationId, PublicId, RetryPolicy, WebhookId,
    WebhookState,
    api::{
        AttemptTiming, DeadLetterChoice, DeadLetterFilter, DeliveryKind, DeliveryQuery, EditedPayload, ErrorCode, Job,
        JobState, Refusal, ReplayMode, ReplayRequest,
    },
    delivery::DeliveryState,
};
use engine::{Following, Handled, LiveEvent, ManualClock, Replayed};
use serde_json::{json, value::RawValue};
use storage::{NewAttempt, NewDelivery, NewEvent, NextStep, Settlement, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::harness::{PATIENCE, Receiver, Reply, START, World};

fn request(mode: ReplayMode) -> ReplayRequest {
    ReplayRequest { mode, webhook_id: None, event: None, status: None, from: None, to: None, dry_run: false }
}

async fn count(world: &World, request: ReplayRequest) -> i64 {
    let dry = ReplayRequest { dry_run: true, ..request };
    let Replayed::Counted(count) = world.engine.replay_many(&world.actor, dry).await.unwrap() else {
        panic!("it was only to be counted")
    };
    count.matched
}

async fn start(world: &World, request: ReplayRequest) -> Job {
    let Replayed::Job(job) = world.engine.replay_many(&world.actor, request).await.unwrap() else {
        panic!("it was to be done")
    };
    *job
}

/// The job, once it is not running any more.
async fn ended(world: &World, id: JobId) -> Job {
    let reached = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
        loop {
            tick.tick().await;
            let job = world.engine.job(&world.actor, id).await.unwrap();
            if job.state != JobState::Running {
                return job;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the job ends in time")
}

/// The originals of all replays, as often as they were replayed.
async fn replayed(world: &World) -> Vec<DeliveryId> {
    let mut originals = Vec::new();
    let mut cursor = None;
    loop {
        let query = DeliveryQuery { limit: Some(200), cursor, ..DeliveryQuery::default() };
        let page = world.engine.deliveries(&world.actor, query).await.unwrap();
        originals.extend(page.data.iter().filter_map(|delivery| delivery.replay_of));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return originals;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_payload_is_an_event_of_its_own_for_one_webhook() {
    let world = World::new().await;
    let mut receiver = Receiver::start([]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let accepted = world.publish("job.created", r#"{"n":1}"#).await;
    let first = receiver.next().await;
    let original = world.settled(&accepted, 1).await.delivery;
    let mut other = Receiver::start([]).await;
    world.webhook(&other.url(), |_| {}).await;

    world.clock.advance_ms(1_000);
    let edited = EditedPayload { data: RawValue::from_string(r#"{ "n" : 2.50 }"#.into()).unwrap() };
    let sent = world.engine.resend_edited(&world.actor, original.id, edited).await.unwrap();
    assert_eq!(
        (sent.kind, sent.replay_of, sent.event.as_str()),
        (DeliveryKind::Edited, Some(original.id), "job.created")
    );
    assert_ne!(sent.event_id, original.event_id);
    let second = receiver.next().await;
    assert_eq!(second.header("webhook-id"), sent.event_id.to_string());
    assert_ne!(second.header("webhook-id"), first.header("webhook-id"));
    assert!(second.body.ends_with(r#""data":{ "n" : 2.50 }}"#), "{}", second.body);
    let event = world.engine.event(&world.actor, sent.event_id).await.unwrap();
    assert_eq!((event.summary.deliveries, event.body), (1, second.body));
    let entry = world.engine.audit(&world.actor, None, Some(1)).await.unwrap().data.remove(0);
    assert_eq!((entry.action.as_str(), entry.subject), ("delivery.edited", sent.id.to_string()));
    assert!(other.is_quiet());

    let huge = RawValue::from_string(format!("\"{}\"", "x".repeat(domain::MAX_EVENT_BYTES))).unwrap();
    let refused =
        world.engine.resend_edited(&world.actor, original.id, EditedPayload { data: huge }).await.unwrap_err();
    assert_eq!((refused.code, refused.detail.as_str()), (ErrorCode::PayloadTooLarge, domain::PAYLOAD_TOO_LARGE));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_sent_again_by_a_job() {
    let world = World::new().await;
    let mut receiver = Receiver::start([Reply::status(400)]).await;
    let mut forgetful = Receiver::start([Reply::status(400)]).await;
    world.webhook(&receiver.url(), |_| {}).await;
    world
        .webhook(&forgetful.url(), |draft| {
            draft.retry_policy = Some(RetryPolicy { dead_letters: false, ..RetryPolicy::default() });
        })
        .await;
    let accepted = world.publish("job.created", "{}").await;
    let first = receiver.next().await;
    assert_eq!(forgetful.next().await.body, first.body);
    world.settled(&accepted, 1).await;
    let failed = DeliveryQuery { status: Some(DeliveryState::Failed), ..DeliveryQuery::default() };
    let gone = async {
        while world.engine.deliveries(&world.actor, failed.clone()).await.unwrap().data.is_empty()
            || world.engine.dead_letter_summary(&world.actor).await.unwrap().total == 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("both are given up in time");

    assert_eq!(count(&world, request(ReplayMode::Failed)).await, 2);
    let later = ReplayRequest { from: Some(START.plus_ms(1)), ..request(ReplayMode::Failed) };
    assert_eq!(count(&world, later).await, 0);
    assert!(receiver.is_quiet() && forgetful.is_quiet(), "counting sends nothing");
    let job = ended(&world, start(&world, request(ReplayMode::Failed)).await.id).await;
    assert_eq!((job.state, job.matched, job.done, job.refused), (JobState::Done, 2, 2, 0));
    let (again, replay) = (receiver.next().await, forgetful.next().await);
    assert_eq!((&again.body, &replay.body), (&first.body, &first.body));
    assert_eq!(again.header("x-intime-delivery"), first.header("x-intime-delivery"), "in place");
    assert_eq!(replayed(&world).await.len(), 1);
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_events_are_sent_to_a_webhook_that_came_later() {
    let world = World::new().await;
    let mut early = Receiver::start([]).await;
    world.webhook(&early.url(), |_| {}).await;
    for (event, data) in [("job.created", r#"{"n":1}"#), ("job.created", r#"{"n":7}"#), ("user.created", r#"{"n":9}"#)]
    {
        world.publish(event, data).await;
    }
    early.next().await;
    early.next().await;
    let mut receiver = Receiver::start([]).await;
    let created = world
        .webhook(&receiver.url(), |draft| {
            draft.filter = Filter(vec![Condition { path: "n".into(), op: Operator::Gt, value: json!(5) }]);
        })
        .await;
    let missing =
        ReplayRequest { webhook_id: Some(created.webhook.id), from: Some(START), ..request(ReplayMode::Missing) };
    assert_eq!(count(&world, missing.clone()).await, 1);
    let job = ended(&world, start(&world, missing.clone()).await.id).await;
    assert_eq!((job.state, job.matched, job.done), (JobState::Done, 1, 1));
    assert!(receiver.next().await.body.ends_with(r#""data":{"n":7}}"#));
    // Now it has been there, and a second job finds nothing.
    let again = ended(&world, start(&world, missing.clone()).await.id).await;
    assert_eq!((again.state, again.matched, again.percent), (JobState::Done, 0, 100));
    assert!(receiver.is_quiet() && early.is_quiet());

    let unknown = ReplayRequest { webhook_id: Some(WebhookId::new(START, [9; 10])), ..missing.clone() };
    let refused = world.engine.replay_many(&world.actor, unknown).await.unwrap_err();
    assert!(refused.field("webhook_id").unwrap().starts_with("Unknown webhook: whk_"), "{refused}");
    world.engine.set_webhook_state(&world.actor, created.webhook.id, WebhookState::Paused).await.unwrap();
    let refused = world.engine.replay_many(&world.actor, missing).await.unwrap_err();
    assert_eq!((refused.code, refused.detail.as_str()), (ErrorCode::Conflict, Refusal::WebhookPaused.detail()));
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_dead_letters_are_handled_at_once_and_matching_ones_by_a_job() {
    let world = World::new().await;
    let mut receiver = Receiver::start(std::iter::repeat_n(Reply::status(400), 4)).await;
    world.webhook(&receiver.url(), |_| {}).await;
    let mut dead = Vec::new();
    for _ in 0..4 {
        let accepted = world.publish("job.created", "{}").await;
        receiver.next().await;
        dead.push(world.settled(&accepted, 1).await.delivery.id);
    }
    let nothing = DeliveryId::new(START, [9; 10]);
    let choice = DeadLetterChoice { ids: Some(vec![dead[0], nothing]), ..DeadLetterChoice::default() };
    let Handled::Now(done) = world.engine.retry_dead_letters(&world.actor, choice).await.unwrap() else {
        panic!("ids are handled at once")
    };
    assert_eq!((done.matched, done.done), (1, 1));
    assert_eq!((done.refused[0].id, done.refused[0].reason), (nothing, Refusal::NotDeadLetter));
    receiver.next().await;
    let choice = DeadLetterChoice { ids: Some(vec![dead[1]]), ..DeadLetterChoice::default() };
    let Handled::Now(done) = world.engine.clear_dead_letters(&world.actor, choice).await.unwrap() else {
        panic!("ids are handled at once")
    };
    assert_eq!((done.matched, done.done, done.refused.len()), (1, 1, 0));

    let filter = DeadLetterFilter { event: Some("job.closed".into()), ..DeadLetterFilter::default() };
    let choice = DeadLetterChoice { filter: Some(filter), ..DeadLetterChoice::default() };
    let Handled::Job(job) = world.engine.clear_dead_letters(&world.actor, choice).await.unwrap() else {
        panic!("a filter is a job")
    };
    assert_eq!(ended(&world, job.id).await.matched, 0);
    let all = DeadLetterChoice { all: true, ..DeadLetterChoice::default() };
    let Handled::Job(job) = world.engine.retry_dead_letters(&world.actor, all).await.unwrap() else {
        panic!("all is a job")
    };
    let job = ended(&world, job.id).await;
    assert_eq!((job.state, job.matched, job.done), (JobState::Done, 2, 2));
    receiver.next().await;
    receiver.next().await;
    assert_eq!(world.engine.dead_letter_summary(&world.actor).await.unwrap().total, 0);
    assert!(receiver.is_quiet());
}

/// Stores deliveries that were delivered, without sending anything. Nobody else may have the database open.
async fn store_history(folder: &TempDir, organization: OrganizationId, webhook: WebhookId, number: u32) {
    let store = Store::open(&format!("sqlite://{}", folder.path().join("world.db").display())).await.unwrap();
    let node = NodeId::new(START, [0; 10]);
    let mut random = [0; 10];
    let mut settlements = Vec::new();
    let events: Vec<_> = (0..number)
        .map(|n| {
            random[6..].copy_from_slice(&n.to_be_bytes());
            let id = DeliveryId::new(START, random);
            let attempt = NewAttempt {
                number: 1,
                started_at: START,
                duration_ms: 1,
                timing: AttemptTiming::default(),
                url: "".into(),
                request_headers: "[]".into(),
                response_status: Some(200),
                response_headers: "[]".into(),
                response_body: "".into(),
                response_truncated: false,
                error: None,
                error_detail: None,
            };
            let next = NextStep::End(DeliveryState::Delivered, START);
            settlements.push(Settlement { delivery: id, organization, webhook, counts_to_health: true, attempt, next });
            NewEvent {
                id: EventId::new(START, random),
                organization,
                source: None,
                event_type: "job.created".into(),
                body: format!(r#"{{"data":{n}}}"#).into(),
                idempotency: None,
                accepted_at: START,
                deliveries: vec![NewDelivery { id, webhook, kind: DeliveryKind::Event, leased: true }],
            }
        })
        .collect();
    store.ingest(node, events.into()).await.unwrap();
    assert!(store.settle(node, settlements.into()).await.unwrap().counted.iter().all(|counted| *counted));
    store.close().await;
}

/// A world with as much history, and the answer of a receiver that gets what is sent again.
async fn with_history(url: &str, number: u32) -> World {
    let world = World::new().await;
    let webhook = world.webhook(url, |_| {}).await.webhook.id;
    let organization = world.actor.organization;
    let (folder, clock) = world.stop().await;
    store_history(&folder, organization, webhook, number).await;
    clock.advance_ms(1_000);
    World::in_folder(folder, clock).await
}

/// Waits until a job did something.
async fn begun(live: &mut Following) {
    let begun = async {
        loop {
            if let LiveEvent::Job { job } = live.next().await.unwrap().event
                && job.done > 0
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("the job begins in time");
}

fn delivered() -> ReplayRequest {
    ReplayRequest { status: Some(DeliveryState::Delivered), ..request(ReplayMode::Filter) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_after_its_batch() {
    const HISTORY: u32 = 4_000;
    let receiver = Receiver::start([]).await;
    let world = with_history(&receiver.url(), HISTORY).await;
    let mut live = world.engine.live(world.actor.organization, None);
    let id = start(&world, delivered()).await.id;
    begun(&mut live).await;
    let cancelled = world.engine.cancel_job(&world.actor, id).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert!(cancelled.done > 0 && cancelled.done < i64::from(HISTORY), "{cancelled:?}");
    let again = world.engine.cancel_job(&world.actor, id).await.unwrap_err();
    assert_eq!((again.code, again.detail.as_str()), (ErrorCode::Conflict, "The job was cancelled already."));
    // A job that comes after it has its turn; the cancelled one did nothing more.
    let next = start(&world, ReplayRequest { event: Some("job.none".into()), ..request(ReplayMode::Filter) }).await;
    let next = ended(&world, next.id).await;
    assert_eq!((next.state, next.matched), (JobState::Done, 0));
    assert_eq!(replayed(&world).await.len(), usize::try_from(cancelled.done).unwrap());
    let late = world.engine.cancel_job(&world.actor, next.id).await.unwrap_err();
    assert_eq!((late.code, late.detail.as_str()), (ErrorCode::Conflict, "The job has ended already; it is done."));
}

/// The process disappears in the middle of a job; the next one finishes exactly what is left.
#[test]
fn a_job_goes_on_after_a_crash() {
    const HISTORY: u32 = 4_000;
    let outside = Runtime::new().unwrap();
    let receiver = outside.block_on(Receiver::start([]));
    let process = Runtime::new().unwrap();
    let (folder, clock, id): (Arc<TempDir>, Arc<ManualClock>, JobId) = process.block_on(async {
        let world = with_history(&receiver.url(), HISTORY).await;
        let mut live = world.engine.live(world.actor.organization, None);
        let id = start(&world, delivered()).await.id;
        begun(&mut live).await;
        (world.folder, world.clock, id)
    });
    // Nothing is given back, nothing that is under way ends.
    drop(process);
    clock.advance_ms(1);
    outside.block_on(async {
        let path = format!("sqlite://{}", folder.path().join("world.db").display());
        let store = Store::open(&path).await.unwrap();
        let organization = store.first_organization().await.unwrap().unwrap().id;
        let left = store.job(organization, id).await.unwrap().unwrap();
        assert_eq!(left.state, JobState::Running);
        assert!(left.done < i64::from(HISTORY), "it was interrupted: {left:?}");
        store.close().await;
        let world = World::in_folder(folder, clock).await;
        let job = ended(&world, id).await;
        assert_eq!((job.state, job.matched, job.done), (JobState::Done, HISTORY.into(), HISTORY.into()));
        let originals = replayed(&world).await;
        assert_eq!(originals.len(), HISTORY as usize);
        assert_eq!(originals.iter().collect::<BTreeSet<_>>().len(), HISTORY as usize, "each once");
        world.stop().await;
    });
}
