//! The node that moves work is killed while it does.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use super::rounds;
use crate::{
    database::Database,
    harness::{ADMIN, PATIENCE, client, rows, text},
    mail::MailServer,
    process::Process,
    receiver::Receiver,
};

/// Nodes on one database.
const NODES: usize = 3;
/// E-mails of a round: more than the failures that it takes, so that every node has some.
const EMAILS: usize = 6;

/// Three nodes, and the one that moves work dies between its first and its last statement: another one moves it, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_moves_work_when_one_is_killed_in_the_middle() {
    let database = Database::postgres();
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Process::serve(&database).await);
    }
    let (mut primary, backup) = tokio::join!(MailServer::start(), MailServer::start());
    let mut receiver = Receiver::start().await;
    let url = nodes[0].url.clone();
    let primary_id = text(&post(&url, "integrations", primary.integration("sendgrid", &json!({}))).await["id"]);
    let backup_id = text(&post(&url, "integrations", backup.integration("ses", &json!({}))).await["id"]);
    let group = format!("integrations/{primary_id}/failover");
    let linked = client().put(format!("{url}/api/v1/{group}")).bearer_auth(ADMIN);
    let linked = linked.json(&json!({"backup_integration_id": backup_id})).send().await.unwrap();
    assert_eq!(linked.status(), 200);
    let webhook = json!({"name": "Moves", "url": receiver.url, "events": ["failover.switched"]});
    post(&url, "webhooks", webhook).await;

    let all = rounds(0.1, 2);
    for round in 1..=all {
        let lock = Lock::take(&database).await;
        primary.change(json!({"greeting": 421})).await;
        let mut emails = Vec::new();
        for number in 0..EMAILS {
            let email = json!({"to": format!("r{round}n{number}@example.com"), "subject": "s", "text": "t",
                               "integration_id": primary_id});
            emails.push(text(&post(&nodes[number % NODES].url, "emails", email).await["id"]));
        }
        let victim = until_one_moves_work(&database, &nodes).await;
        nodes[victim].child.kill().await.unwrap();
        lock.release().await;

        let alive = &nodes[(victim + 1) % NODES].url;
        until(alive, &group, |shown| shown["active_integration_id"] == json!(backup_id)).await;
        for id in &emails {
            until(alive, &format!("emails/{id}"), |shown| shown["state"] == "sent").await;
        }
        let history = get(alive, &format!("{group}/history")).await;
        let switches = rows(&history).iter().filter(|moved| moved["kind"] == "switched").count();
        assert_eq!(switches, round, "one for each round: {history}");
        let alerts = get(alive, "alerts").await;
        let told = rows(&alerts).iter().filter(|alert| alert["rule"] == "failed_over").count();
        assert_eq!(told, 1, "{alerts}");
        assert_eq!(receiver.hit().await.json()["data"]["move_id"], rows(&history)[0]["id"]);

        // All nodes again, and the work where it was.
        nodes[victim] = Process::serve(&database).await;
        primary.change(json!({"greeting": 0})).await;
        let restored = post(&nodes[victim].url, &format!("{group}/restore"), json!({"reason": "Next round"})).await;
        assert_eq!(restored["active_integration_id"], json!(primary_id));
        let alerts = get(&nodes[0].url, "alerts").await;
        assert!(rows(&alerts).iter().all(|alert| alert["rule"] != "failed_over"), "{alerts}");
    }
    assert_eq!(receiver.unread(), 0, "webhooks heard of each move once");
    for node in nodes {
        node.signal("TERM").await;
        node.ends_well().await;
    }
}

async fn post(url: &str, path: &str, body: Value) -> Value {
    let answer = client().post(format!("{url}/api/v1/{path}")).bearer_auth(ADMIN).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

async fn get(url: &str, path: &str) -> Value {
    let answer = client().get(format!("{url}/api/v1/{path}")).bearer_auth(ADMIN).send().await.unwrap();
    answer.json().await.unwrap()
}

async fn until(url: &str, path: &str, is_so: impl Fn(&Value) -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let shown = get(url, path).await;
        if is_so(&shown) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
    }
}

/// Which node has begun to store a move and cannot go on.
async fn until_one_moves_work(database: &Database, nodes: &[Process]) -> usize {
    const WAITING: &str = "select client_port from pg_stat_activity where datname = current_database() \
                           and wait_event_type = 'Lock' and query like 'insert into failover_moves%'";
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        let output = psql(database).args(["--tuples-only", "--no-align", "--command", WAITING]).output().await.unwrap();
        if let Ok(port) = std::str::from_utf8(&output.stdout).unwrap().trim().parse() {
            let is_its = |node: &Process| has_socket(node.child.id().expect("it runs"), port);
            return nodes.iter().position(is_its).expect("it is one of them");
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody moves work: {output:?}");
    }
}

/// Whether a process has a socket with this local port (proc(5): `net/tcp`, `fd`).
fn has_socket(process: u32, port: u16) -> bool {
    let sockets = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let of_port = sockets.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':')?.1;
        (u16::from_str_radix(local, 16) == Ok(port)).then(|| format!("socket:[{}]", fields[9]))
    });
    let names: Vec<String> = of_port.collect();
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|link| names.iter().any(|name| link.as_os_str() == name.as_str()))
}

/// No move can be stored while this is held.
struct Lock(Child);

impl Lock {
    async fn take(database: &Database) -> Self {
        let mut child = psql(database).stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let stdin = child.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"begin; lock table failover_moves in share mode;\n").await.unwrap();
        let held = "select count(*) from pg_locks where mode = 'ShareLock' and granted \
                    and relation = 'failover_moves'::regclass";
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let output =
                psql(database).args(["--tuples-only", "--no-align", "--command", held]).output().await.unwrap();
            if output.stdout.trim_ascii() == b"1" {
                return Self(child);
            }
            assert!(tokio::time::Instant::now() < deadline, "{output:?}");
        }
    }

    async fn release(mut self) {
        // It ends with its input, and its transaction with it.
        drop(self.0.stdin.take());
        let status = tokio::time::timeout(PATIENCE, self.0.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{status}");
    }
}

fn psql(database: &Database) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--dbname", &database.url]);
    command
}
