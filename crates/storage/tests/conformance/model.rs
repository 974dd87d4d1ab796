//! Random sequences of what happens to deliveries, on both databases and in a model of a few lines. After every step the
//! queue, the deliveries, the dead letters and their counts must be what the model says. Long because a step, what it does
//! to the database and what it does to the model are read together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{
    DeliveryId, NodeId, OrganizationId, PublicId, Timestamp, WebhookId, WebhookState,
    api::{Refusal, Webhook},
    delivery::{DeliveryState, ErrorClass},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use storage::NextStep;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::{
    Fresh,
    cold::{audit, hooked, store_webhook, webhook},
    dead_letters::counted,
    hot::{T0, delivery, event, settlement},
    raw,
};

/// Steps of one sequence.
const STEPS: usize = 40;
/// Webhooks, and nodes that are alive at a time.
const TWO: usize = 2;
/// Nodes are alive for as long as a case takes.
const TTL_MS: i64 = 3_600_000;

/// What becomes of a try.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Ends(DeliveryState),
    /// Due so many milliseconds after T0.
    Retries(i64),
}

/// A delivery: an index into all there are.
type Pick = usize;

#[derive(Debug, Clone)]
enum Step {
    Ingest {
        webhook: usize,
        node: usize,
        leased: Vec<bool>,
    },
    Claim {
        webhook: usize,
        node: usize,
        limit: u32,
        at: i64,
    },
    ClaimInOrder {
        webhook: usize,
        node: usize,
        limit: u32,
        at: i64,
    },
    /// `late`: by what the node was before it was given up.
    Settle {
        node: usize,
        late: bool,
        tries: Vec<(Pick, Outcome)>,
    },
    Release {
        node: usize,
        picks: Option<Vec<Pick>>,
    },
    Discard {
        node: usize,
        picks: Vec<Pick>,
        at: i64,
    },
    /// The node is given up for dead and becomes another.
    Lose {
        node: usize,
    },
    Switch {
        webhook: usize,
        active: bool,
    },
    Retry {
        picks: Vec<Pick>,
        at: i64,
    },
    Clear {
        picks: Vec<Pick>,
    },
    Restore {
        picks: Vec<Pick>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (two, ms, pick) = (|| 0..TWO, || 0_i64..100, || 0_usize..1_000);
    let picks = move || vec(pick(), 1..5);
    let outcome = prop_oneof![
        2 => Just(Outcome::Ends(DeliveryState::Delivered)),
        4 => Just(Outcome::Ends(DeliveryState::DeadLetter)),
        1 => Just(Outcome::Ends(DeliveryState::Failed)),
        1 => Just(Outcome::Ends(DeliveryState::Discarded)),
        3 => ms().prop_map(Outcome::Retries),
    ];
    let step = prop_oneof![
        4 => (two(), two(), vec(any::<bool>(), 1..4)).prop_map(|(webhook, node, leased)| Step::Ingest { webhook, node, leased }),
        3 => (two(), two(), 1_u32..4, ms()).prop_map(|(webhook, node, limit, at)| Step::Claim { webhook, node, limit, at }),
        2 => (two(), two(), 1_u32..4, ms()).prop_map(|(webhook, node, limit, at)| Step::ClaimInOrder { webhook, node, limit, at }),
        8 => (two(), prop::bool::weighted(0.1), vec((pick(), outcome), 1..5))
            .prop_map(|(node, late, tries)| Step::Settle { node, late, tries }),
        1 => (two(), proptest::option::of(picks())).prop_map(|(node, picks)| Step::Release { node, picks }),
        1 => (two(), picks(), ms()).prop_map(|(node, picks, at)| Step::Discard { node, picks, at }),
        1 => two().prop_map(|node| Step::Lose { node }),
        1 => (two(), any::<bool>()).prop_map(|(webhook, active)| Step::Switch { webhook, active }),
        4 => (picks(), ms()).prop_map(|(picks, at)| Step::Retry { picks, at }),
        2 => picks().prop_map(|picks| Step::Clear { picks }),
        2 => picks().prop_map(|picks| Step::Restore { picks }),
    ];
    vec(step, STEPS)
}

/// A delivery as it is stored: webhook, state, tries, when it ended.
type Delivery = (WebhookId, DeliveryState, i64, Option<i64>);
/// Its place in the queue: when it is due, earlier tries, who has it.
type Place = (i64, i64, Option<Uuid>);

/// All of it.
#[derive(Debug, Default, PartialEq)]
struct World {
    deliveries: BTreeMap<DeliveryId, Delivery>,
    queue: BTreeMap<DeliveryId, Place>,
    dead: BTreeSet<DeliveryId>,
}

impl World {
    /// What is stored.
    async fn stored(fresh: &Fresh) -> Self {
        type Row = (Uuid, Uuid, String, i64, Option<i64>);
        type Queued = (Uuid, i64, i64, Option<Uuid>);
        let (deliveries, queue, dead): (Vec<Row>, Vec<Queued>, Vec<(Uuid,)>) = raw!(fresh, conn => {
            (
                sqlx::query_as("select id, webhook_id, state, attempts, finished_at from deliveries")
                    .fetch_all(&mut *conn).await.unwrap(),
                sqlx::query_as("select delivery_id, due_at, earlier_attempts, node_id from queue")
                    .fetch_all(&mut *conn).await.unwrap(),
                sqlx::query_as("select delivery_id from dead_letters").fetch_all(&mut *conn).await.unwrap(),
            )
        });
        let id = DeliveryId::from_uuid;
        Self {
            deliveries: deliveries
                .into_iter()
                .map(|(delivery, webhook, state, attempts, finished_at)| {
                    (id(delivery), (WebhookId::from_uuid(webhook), state.parse().unwrap(), attempts, finished_at))
                })
                .collect(),
            queue: queue
                .into_iter()
                .map(|(delivery, due_at, earlier, node)| (id(delivery), (due_at, earlier, node)))
                .collect(),
            dead: dead.into_iter().map(|(delivery,)| id(delivery)).collect(),
        }
    }

    fn picked(&self, picks: &[Pick]) -> BTreeSet<DeliveryId> {
        let all: Vec<_> = self.deliveries.keys().copied().collect();
        picks.iter().filter_map(|pick| all.get(pick % all.len().max(1)).copied()).collect()
    }

    fn is_held_by(&self, delivery: DeliveryId, node: NodeId) -> bool {
        self.queue.get(&delivery).is_some_and(|(_, _, holder)| *holder == Some(node.uuid()))
    }

    /// What waits for a webhook, by when it is due.
    fn waiting(&self, webhook: WebhookId) -> Vec<(i64, DeliveryId)> {
        let of_it = |id: &DeliveryId| self.deliveries.get(id).is_some_and(|delivery| delivery.0 == webhook);
        let mut waiting: Vec<_> = self
            .queue
            .iter()
            .filter(|(id, (_, _, node))| node.is_none() && of_it(id))
            .map(|(id, (due_at, ..))| (*due_at, *id))
            .collect();
        waiting.sort_unstable();
        waiting
    }

    fn lease(&mut self, deliveries: &[DeliveryId], node: NodeId) {
        for delivery in deliveries {
            self.queue.entry(*delivery).and_modify(|place| place.2 = Some(node.uuid()));
        }
    }

    fn end(&mut self, delivery: DeliveryId, state: DeliveryState, at: Option<i64>) {
        let stored = self.deliveries.get_mut(&delivery).expect("picks are of those that are there");
        (stored.1, stored.3) = (state, at);
    }
}

/// One sequence on one database.
struct Run<'a> {
    fresh: &'a Fresh,
    organization: OrganizationId,
    webhooks: [WebhookId; TWO],
    active: [bool; TWO],
    nodes: [NodeId; TWO],
    former: [NodeId; TWO],
    model: World,
    /// Makes numbers of events, deliveries and nodes.
    next: u128,
}

type Checked = Result<(), TestCaseError>;

fn at(ms: i64) -> Timestamp {
    T0.plus_ms(ms)
}

impl Run<'_> {
    fn number(&mut self) -> u128 {
        self.next += 1;
        self.next
    }

    async fn become_another(&mut self, node: usize) {
        let store = &self.fresh.store;
        let new = NodeId::from_uuid(Uuid::from_u128(1 << 100 | self.next));
        self.next += 1;
        store.register(new, TTL_MS).await.unwrap();
        self.former[node] = std::mem::replace(&mut self.nodes[node], new);
    }

    async fn take(&mut self, step: Step) -> Checked {
        let store = &self.fresh.store;
        match step {
            Step::Ingest { webhook, node, leased } => {
                let (webhook, holder) = (self.webhooks[webhook], self.nodes[node]);
                let n = self.number();
                let new: Vec<_> = leased.into_iter().map(|leased| delivery(webhook, self.number(), leased)).collect();
                let event = event(self.organization, n, new.clone());
                let due_at = event.accepted_at.millis();
                let outcomes = self.fresh.store.ingest(holder, Arc::from([event])).await.unwrap();
                prop_assert_eq!(outcomes, [storage::IngestOutcome::Stored { leased: true }]);
                for new in new {
                    self.model.deliveries.insert(new.id, (webhook, DeliveryState::Pending, 0, None));
                    self.model.queue.insert(new.id, (due_at, 0, new.leased.then(|| holder.uuid())));
                }
            }
            Step::Claim { webhook, node, limit, at: ms } => {
                let (webhook, node) = (self.webhooks[webhook], self.nodes[node]);
                let claimed = store.claim(node, vec![webhook], limit, at(ms)).await.unwrap();
                let due = self.model.waiting(webhook).into_iter().filter(|(due_at, _)| *due_at <= at(ms).millis());
                let expected: Vec<_> = due.map(|(_, id)| id).take(limit as usize).collect();
                self.check_claim(&claimed, &expected, node)?;
            }
            Step::ClaimInOrder { webhook, node, limit, at: ms } => {
                let (webhook, node) = (self.webhooks[webhook], self.nodes[node]);
                let (claimed, head) = store.claim_in_order(node, webhook, limit, at(ms)).await.unwrap();
                let of_it = |id: &DeliveryId| self.model.deliveries[id].0 == webhook;
                let first = self.model.queue.iter().find(|(id, _)| of_it(id)).map(|(_, place)| *place);
                let mut expected: Vec<_> = self.model.waiting(webhook).into_iter().map(|(_, id)| id).collect();
                expected.sort_unstable();
                expected.truncate(limit as usize);
                match first {
                    Some((due_at, _, None)) if due_at <= at(ms).millis() => prop_assert_eq!(head, None),
                    Some((due_at, _, None)) => {
                        prop_assert_eq!(head, Some(Timestamp::from_millis(due_at)));
                        expected.clear();
                    }
                    Some((_, _, Some(_))) | None => {
                        prop_assert_eq!(head, None);
                        expected.clear();
                    }
                }
                self.check_claim(&claimed, &expected, node)?;
            }
            Step::Settle { node, late, tries } => {
                let node = if late { self.former[node] } else { self.nodes[node] };
                let mut seen = BTreeSet::new();
                let mut settlements = Vec::new();
                for (pick, outcome) in tries {
                    let Some(id) = self.model.picked(&[pick]).pop_first().filter(|id| seen.insert(*id)) else {
                        continue;
                    };
                    let next = match outcome {
                        Outcome::Ends(state) => NextStep::End(state, at(200)),
                        Outcome::Retries(ms) => NextStep::RetryAt(at(ms)),
                    };
                    let (webhook, _, attempts, _) = self.model.deliveries[&id];
                    let is_success = matches!(outcome, Outcome::Ends(DeliveryState::Delivered));
                    let error = (!is_success).then_some(ErrorClass::Server);
                    let mut settlement = settlement(self.organization, webhook, id, error, next);
                    settlement.attempt.number = u32::try_from(attempts + 1).unwrap();
                    settlements.push(settlement);
                }
                let expected: Vec<_> =
                    settlements.iter().map(|settlement| self.model.is_held_by(settlement.delivery, node)).collect();
                let settled = store.settle(node, settlements.clone().into()).await.unwrap();
                prop_assert_eq!(&settled.counted, &expected);
                for settlement in settlements.iter().zip(expected).filter_map(|(one, counts)| counts.then_some(one)) {
                    let id = settlement.delivery;
                    match settlement.next {
                        NextStep::End(state, ended_at) => {
                            self.model.queue.remove(&id);
                            self.model.end(id, state, Some(ended_at.millis()));
                            if state == DeliveryState::DeadLetter {
                                self.model.dead.insert(id);
                            }
                        }
                        NextStep::RetryAt(due_at) => {
                            self.model.queue.entry(id).and_modify(|place| {
                                (place.0, place.2) = (due_at.millis(), None);
                            });
                            self.model.end(id, DeliveryState::Retrying, None);
                        }
                    }
                    self.model.deliveries.entry(id).and_modify(|delivery| delivery.2 += 1);
                }
            }
            Step::Release { node, picks } => {
                let node = self.nodes[node];
                let picked = picks.map(|picks| self.model.picked(&picks));
                let given = picked.as_ref().map(|picked| picked.iter().copied().collect());
                store.release(node, given).await.unwrap();
                for (id, place) in &mut self.model.queue {
                    if place.2 == Some(node.uuid()) && picked.as_ref().is_none_or(|picked| picked.contains(id)) {
                        place.2 = None;
                    }
                }
            }
            Step::Discard { node, picks, at: ms } => {
                let (node, picked) = (self.nodes[node], self.model.picked(&picks));
                store.discard(node, picked.iter().copied().collect(), at(ms)).await.unwrap();
                for id in picked {
                    if self.model.is_held_by(id, node) {
                        self.model.queue.remove(&id);
                        self.model.end(id, DeliveryState::Discarded, Some(at(ms).millis()));
                    }
                }
            }
            Step::Lose { node } => {
                let lost = self.nodes[node];
                if store.is_shared() {
                    // A sign of life that ran out before it was given stands for silence.
                    store.heartbeat(lost, -1, true).await.unwrap();
                }
                self.become_another(node).await;
                // On SQLite another process begins: nobody else can own a lease.
                let everything = !self.fresh.store.is_shared();
                for place in self.model.queue.values_mut().filter(|place| everything || place.2 == Some(lost.uuid())) {
                    place.2 = None;
                }
            }
            Step::Switch { webhook, active } => {
                let state = if active { WebhookState::Active } else { WebhookState::Paused };
                let entry = audit("webhook.switched", 1);
                let set = store.set_webhook_state(self.organization, self.webhooks[webhook], state, None, T0, entry);
                prop_assert!(set.await.unwrap());
                self.active[webhook] = active;
            }
            Step::Retry { picks, at: ms } => {
                let picked = self.model.picked(&picks);
                let ids = picked.iter().copied().collect();
                let moved =
                    store.retry_dead_letters(self.organization, ids, at(ms), audit("retried", 1)).await.unwrap();
                let paused =
                    |webhook| self.webhooks.iter().zip(self.active).any(|(id, active)| *id == webhook && !active);
                let (mut done, mut refused) = (BTreeSet::new(), BTreeMap::new());
                for id in picked {
                    let (webhook, _, attempts, _) = self.model.deliveries[&id];
                    if !self.model.dead.contains(&id) {
                        refused.insert(id, Refusal::NotDeadLetter);
                    } else if paused(webhook) {
                        refused.insert(id, Refusal::WebhookPaused);
                    } else {
                        done.insert((id, webhook));
                        self.model.dead.remove(&id);
                        self.model.queue.insert(id, (at(ms).millis(), attempts, None));
                        self.model.end(id, DeliveryState::Pending, None);
                    }
                }
                prop_assert_eq!(moved.done.into_iter().collect::<BTreeSet<_>>(), done);
                prop_assert_eq!(moved.refused.into_iter().collect::<BTreeMap<_, _>>(), refused);
            }
            Step::Clear { picks } => {
                let picked = self.model.picked(&picks);
                let ids = picked.iter().copied().collect();
                let moved = store.clear_dead_letters(self.organization, ids, None).await.unwrap();
                let dead: BTreeSet<_> = picked.intersection(&self.model.dead).copied().collect();
                prop_assert_eq!(moved.done.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), dead.clone());
                for id in dead {
                    self.model.dead.remove(&id);
                    let ended_at = self.model.deliveries[&id].3;
                    self.model.end(id, DeliveryState::Discarded, ended_at);
                }
            }
            Step::Restore { picks } => {
                let picked = self.model.picked(&picks);
                let ids = picked.iter().copied().collect();
                let moved = store.restore_dead_letters(self.organization, ids, audit("restored", 1)).await.unwrap();
                let is_discarded = |id: &DeliveryId| self.model.deliveries[id].1 == DeliveryState::Discarded;
                let discarded: BTreeSet<_> = picked.into_iter().filter(is_discarded).collect();
                prop_assert_eq!(moved.done.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), discarded.clone());
                for id in discarded {
                    self.model.dead.insert(id);
                    let ended_at = self.model.deliveries[&id].3;
                    self.model.end(id, DeliveryState::DeadLetter, ended_at);
                }
            }
        }
        Ok(())
    }

    fn check_claim(&mut self, claimed: &[storage::Claimed], expected: &[DeliveryId], node: NodeId) -> Checked {
        prop_assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), expected);
        for claimed in claimed {
            let tries = (i64::from(claimed.attempts), i64::from(claimed.earlier_attempts));
            prop_assert_eq!(tries, (self.model.deliveries[&claimed.id].2, self.model.queue[&claimed.id].1));
        }
        self.model.lease(expected, node);
        Ok(())
    }

    async fn check(&self) -> Checked {
        prop_assert_eq!(&World::stored(self.fresh).await, &self.model);
        let mut counts = BTreeMap::<Uuid, i64>::new();
        for id in &self.model.dead {
            *counts.entry(self.model.deliveries[id].0.uuid()).or_default() += 1;
        }
        prop_assert_eq!(counted(self.fresh).await, counts);
        Ok(())
    }
}

async fn empty(fresh: &Fresh) {
    raw!(fresh, conn => {
        for sql in [
            "delete from events", "delete from deliveries", "delete from queue", "delete from dead_letters",
            "delete from dead_letter_counts", "delete from attempts", "delete from rollups",
            "delete from webhook_health", "delete from nodes", "update webhooks set state = 'active'",
        ] {
            sqlx::query(sql).execute(&mut *conn).await.unwrap();
        }
    });
}

async fn run(fresh: &Fresh, organization: OrganizationId, webhooks: [WebhookId; TWO], steps: Vec<Step>) -> Checked {
    empty(fresh).await;
    let nobody = NodeId::from_uuid(Uuid::nil());
    let mut run = Run {
        fresh,
        organization,
        webhooks,
        active: [true; TWO],
        nodes: [nobody; TWO],
        former: [nobody; TWO],
        model: World::default(),
        next: 0,
    };
    for node in 0..TWO {
        run.become_another(node).await;
    }
    for step in steps {
        run.take(step).await?;
        run.check().await?;
    }
    Ok(())
}

/// As many sequences in one database.
fn sequences(cases: u32, fresh: impl Future<Output = Fresh>) {
    let runtime = Runtime::new().unwrap();
    let (fresh, organization, webhooks) = runtime.block_on(async {
        let fresh = fresh.await;
        let (organization, first) = hooked(&fresh, 1).await;
        let second = Webhook { state: WebhookState::Active, ..webhook(2) };
        let second = store_webhook(&fresh, organization, second).await;
        (fresh, organization, [first, second])
    });
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let held = runner.run(&steps(), |steps| runtime.block_on(run(&fresh, organization, webhooks, steps)));
    runtime.block_on(fresh.end());
    if let Err(error) = held {
        panic!("{error}");
    }
}

#[test]
fn on_sqlite() {
    sequences(64, Fresh::sqlite());
}

#[test]
fn on_postgres() {
    sequences(16, Fresh::postgres());
}
