//! What must never happen, provoked: processes killed, databases stopped, disks filled, nodes frozen, all under load.
//!
//! Every test here promises the same: what was answered with 202 arrives at every webhook, an event is stored once however
//! often it is sent, and no more is repeated than was in flight when something broke. A few rounds of each run with all
//! other tests; `make torture` runs many. Chance is seeded; the seed is printed and `TORTURE_SEED` sets it, but the timing
//! of processes stays their own.

mod disk;
mod failover;
mod frozen;
mod kill;
mod ledger;
mod load;
mod refresh;
mod restart;

use engine::{Entropy as _, SeededEntropy, SystemEntropy};
use serde_json::json;

use crate::harness::{ADMIN, client};

/// Webhooks under torture: one that answers at once, one that takes a moment, so that there is always something in flight.
const WEBHOOKS: [&str; 2] = ["/prompt", "/after/15"];
/// Requests from one node that are not answered, at most.
const REQUESTS: usize = WEBHOOKS.len() * 64;
/// Tries from one node that were answered and are not stored, at most.
const UNSTORED: usize = WEBHOOKS.len() * 256;
/// Deliveries in flight from one node, at most: what its crash may repeat.
const REPEATED: usize = REQUESTS + UNSTORED;

/// How often to do it: `TORTURE_ROUNDS`, of which a slow test takes only its share; `few` without it.
fn rounds(share: f64, few: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let scaled = |all: usize| (f64::from(u32::try_from(all).unwrap()) * share).ceil() as usize;
    std::env::var("TORTURE_ROUNDS").map_or(few, |all| scaled(all.parse().expect("TORTURE_ROUNDS is a number")))
}

/// Chance that can be repeated.
struct Chance(SeededEntropy);

impl Chance {
    fn new(test: &str) -> Self {
        let seed = std::env::var("TORTURE_SEED").map_or_else(
            |_| {
                let mut bytes = [0; 4];
                SystemEntropy.fill(&mut bytes);
                u64::from(u32::from_le_bytes(bytes))
            },
            |seed| seed.parse().expect("TORTURE_SEED is a number"),
        );
        eprintln!("{test}: TORTURE_SEED={seed}");
        Self(SeededEntropy::new(seed))
    }

    /// A number below `limit`.
    fn below(&self, limit: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the limit")]
        let number = (self.0.fraction() * f64::from(limit)) as u32;
        number
    }
}

/// Makes the webhooks that lead to `receiver`.
async fn subscribe(server: &str, receiver: &str) {
    for path in WEBHOOKS {
        let webhook = json!({"name": path, "url": format!("{receiver}{path}"), "events": ["*"]});
        let created = client().post(format!("{server}/api/v1/webhooks")).bearer_auth(ADMIN).json(&webhook);
        assert_eq!(created.send().await.unwrap().status(), 201);
    }
}
