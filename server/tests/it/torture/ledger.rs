//! What was promised, and what arrived.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use super::{WEBHOOKS, load::Accepted};
use crate::receiver::{Hit, Receiver};

/// The receiver of all webhooks, and its books.
pub(super) struct Ledger {
    receiver: Receiver,
    /// The id that each event, by its number, was given.
    ids: HashMap<u64, String>,
    /// How often each event arrived at each webhook, by id and path.
    arrived: HashMap<(String, String), usize>,
    /// What was promised and has not arrived.
    missing: HashSet<(String, String)>,
    repeated: usize,
}

impl Ledger {
    pub(super) async fn open() -> Self {
        let receiver = Receiver::start().await;
        let (ids, arrived, missing) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { receiver, ids, arrived, missing, repeated: 0 }
    }

    pub(super) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// These were answered with 202: each has to arrive at every webhook.
    pub(super) fn promise(&mut self, accepted: Vec<Accepted>) {
        for (number, id) in accepted {
            self.is_one_event(number, &id);
            for path in WEBHOOKS {
                let delivery = (id.clone(), path.to_owned());
                if !self.arrived.contains_key(&delivery) {
                    self.missing.insert(delivery);
                }
            }
        }
    }

    /// Waits until everything that was promised has arrived.
    pub(super) async fn is_kept(&mut self) {
        while !self.missing.is_empty() {
            let hit = self.receiver.hit().await;
            self.enter(&hit);
        }
    }

    /// Waits for `count` requests.
    pub(super) async fn gets(&mut self, count: usize) {
        for _ in 0..count {
            let hit = self.receiver.hit().await;
            self.enter(&hit);
        }
    }

    /// How many requests since the last call brought what had arrived before.
    pub(super) async fn repeated(&mut self) -> usize {
        self.gets(self.receiver.unread()).await;
        std::mem::take(&mut self.repeated)
    }

    fn enter(&mut self, hit: &Hit) {
        let id = hit.header("webhook-id").to_owned();
        let number = hit.json()["data"]["n"].as_u64().expect("all events are numbered");
        self.is_one_event(number, &id);
        let delivery = (id, hit.path.clone());
        self.missing.remove(&delivery);
        let times = self.arrived.entry(delivery).or_default();
        *times += 1;
        self.repeated += usize::from(*times > 1);
    }

    /// However often it was sent, it was stored once.
    fn is_one_event(&mut self, number: u64, id: &str) {
        match self.ids.entry(number) {
            Entry::Vacant(vacant) => drop(vacant.insert(id.to_owned())),
            Entry::Occupied(known) => assert_eq!(known.get(), id, "event {number} was stored twice"),
        }
    }
}
