//! Killed in the middle: nothing that was accepted is lost, and no more is repeated than was in flight.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{ADMIN, client, rows, text},
    process::Process,
    receiver::Receiver,
};

const WEBHOOKS: usize = 4;
const BATCHES: usize = 50;
const BATCH: usize = 10;
/// Requests in flight to one webhook, at most; it is what a crash may repeat.
const IN_FLIGHT: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    kill(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    if let Some(database) = Database::postgres() {
        kill(database).await;
    }
}

async fn kill(database: Database) {
    let mut receiver = Receiver::start().await;
    let mut process = Process::serve(&database).await;
    let client = client();
    for n in 0..WEBHOOKS {
        let webhook = json!({"name": format!("W{n}"), "url": format!("{}/{n}", receiver.url), "events": ["*"]});
        let created = client.post(format!("{}/api/v1/webhooks", process.url)).bearer_auth(ADMIN).json(&webhook);
        assert_eq!(created.send().await.unwrap().status(), 201);
    }
    let publishing: Vec<_> = (0..BATCHES)
        .map(|batch| {
            let events: Vec<_> =
                (0..BATCH).map(|n| json!({"event": "job.created", "data": {"n": batch * BATCH + n}})).collect();
            let request = client.post(format!("{}/api/v1/events/batch", process.url)).bearer_auth(ADMIN);
            tokio::spawn(request.json(&json!({"events": events})).send())
        })
        .collect();

    // (event, webhook) → how often it arrived.
    let mut arrived: HashMap<(String, String), usize> = HashMap::new();
    for _ in 0..WEBHOOKS * BATCHES * BATCH / 3 {
        count(&mut arrived, receiver.hit().await);
    }
    process.child.kill().await.unwrap();
    let mut accepted = Vec::new();
    for request in publishing {
        // What was not answered was not promised.
        if let Ok(response) = request.await.unwrap()
            && let Ok(answer) = response.json::<Value>().await
        {
            accepted.extend(rows(&answer).iter().map(|one| text(&one["id"])));
        }
    }
    assert!(!accepted.is_empty());

    let process = Process::serve(&database).await;
    let missing = |arrived: &HashMap<(String, String), usize>| {
        accepted
            .iter()
            .flat_map(|id| (0..WEBHOOKS).map(move |n| (id.clone(), format!("/{n}"))))
            .filter(|delivery| !arrived.contains_key(delivery))
            .count()
    };
    let mut left = missing(&arrived);
    while left > 0 {
        for _ in 0..left {
            count(&mut arrived, receiver.hit().await);
        }
        left = missing(&arrived);
    }
    // All is settled before repetitions are counted.
    process.signal("TERM").await;
    let mut process = process;
    process.child.wait().await.unwrap();
    while receiver.unread() > 0 {
        count(&mut arrived, receiver.hit().await);
    }
    let repeated: usize = arrived.values().map(|times| times - 1).sum();
    assert!(repeated <= WEBHOOKS * IN_FLIGHT, "{repeated} deliveries were repeated");
}

fn count(arrived: &mut HashMap<(String, String), usize>, hit: crate::receiver::Hit) {
    *arrived.entry((hit.header("webhook-id").to_owned(), hit.path)).or_default() += 1;
}
