//! Failover over time, with two real mail servers and a clock that is moved: what waits, what comes back, and what a restart
//! leaves as it was.

use std::{collections::BTreeMap, process::Stdio};

use domain::{
    AlertRule, EmailId, IntegrationDraft, IntegrationId,
    api::{AlertQuery, Email, EmailDraft, EmailState, Failover, FailoverMoveQuery},
    failover::{FailoverDraft, FailoverMode, MemberStatus, MoveDraft},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Instant, timeout},
};

use super::harness::{PATIENCE, World};

/// The server that nodemailer publishes, in a process of its own.
struct Mail {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl Mail {
    async fn start() -> Self {
        let modules = std::env::var("SIGNALBOX_TEST_NODE_MODULES")
            .expect("SIGNALBOX_TEST_NODE_MODULES is not set: run `make test`");
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../end2end/support/smtp-server.mjs"))
            .env("SIGNALBOX_TEST_NODE_MODULES", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut mail = Self { child, said, port: 0 };
        mail.port = mail.says("listening").await["port"].as_u64().expect("a port");
        mail
    }

    /// The next thing of this kind that it says; others are passed over.
    async fn says(&mut self, event: &str) -> Value {
        loop {
            let line = timeout(PATIENCE, self.said.next_line()).await.expect("it says something").unwrap();
            let said: Value = serde_json::from_str(&line.expect("it runs")).unwrap();
            if said["event"] == event {
                return said;
            }
        }
    }

    /// Refuses every connection, or takes them again.
    async fn refuse(&mut self, refuses: bool) {
        let line = format!("{}\n", json!({"greeting": if refuses { 421 } else { 0 }}));
        self.child.stdin.as_mut().expect("it is piped").write_all(line.as_bytes()).await.unwrap();
        self.says("changed").await;
    }

    fn draft(&self, name: &str) -> IntegrationDraft {
        let config = [
            ("smtp_host", json!("127.0.0.1")),
            ("smtp_port", json!(self.port)),
            ("smtp_security", json!("none")),
            ("smtp_username", json!("apikey")),
            ("from_email", json!("noreply@example.com")),
            ("from_name", json!("Signalbox")),
        ];
        IntegrationDraft {
            provider: "smtp".into(),
            name: name.into(),
            config: config.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            secrets: BTreeMap::from([("smtp_password".to_owned(), Some("right".to_owned()))]),
            check_interval_s: 86_400,
            ..IntegrationDraft::default()
        }
    }
}

/// A primary with its backup.
struct Group {
    primary: Mail,
    backup: Mail,
    ids: [IntegrationId; 2],
}

impl Group {
    async fn new(world: &World) -> Self {
        let (primary, backup) = tokio::join!(Mail::start(), Mail::start());
        let add = async |draft| world.engine.create_integration(&world.actor, draft).await.unwrap().id;
        let ids = [add(primary.draft("Primary")).await, add(backup.draft("Backup")).await];
        let draft = FailoverDraft {
            backup_integration_id: Some(ids[1]),
            further_backup_ids: Vec::new(),
            enable_auto_failover: true,
            failover_threshold: 3,
            alert_on_failover: true,
            auto_restore: true,
            version: None,
        };
        world.engine.put_failover(&world.actor, ids[0], draft).await.unwrap();
        Self { primary, backup, ids }
    }

    /// The group, once this is true of it.
    async fn until(&self, world: &World, is_so: impl Fn(&Failover) -> bool) -> Failover {
        let deadline = Instant::now() + PATIENCE;
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tick.tick().await;
            let found = world.engine.failover(&world.actor, self.ids[0]).await.unwrap();
            if is_so(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{found:#?}");
        }
    }

    /// Moves the clock to the next probe of a member, and waits until it was made.
    async fn probe(&self, world: &World, member: usize) -> Failover {
        let before = world.engine.failover(&world.actor, self.ids[0]).await.unwrap();
        let due = before.members[member].next_probe_at.expect("it is probed");
        world.clock.advance_ms(due.since_ms(world.engine.now()).max(0));
        self.until(world, |found| found.members[member].next_probe_at != Some(due)).await
    }
}

async fn send(world: &World, to: &str) -> EmailId {
    let draft = EmailDraft { to: to.into(), subject: "s".into(), text: "t".into(), ..EmailDraft::default() };
    world.engine.send_email(&world.actor, draft).await.unwrap().id
}

async fn email_when(world: &World, id: EmailId, is_so: impl Fn(&Email) -> bool) -> Email {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        tick.tick().await;
        let found = world.engine.email(&world.actor, id).await.unwrap().email;
        if is_so(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:#?}");
    }
}

async fn rules(world: &World) -> Vec<AlertRule> {
    let open = world.engine.alerts(&world.actor, AlertQuery::default()).await.unwrap().data;
    open.iter().map(|alert| alert.rule).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_back_when_the_primary_has_proved_itself_and_not_before() {
    let world = World::new().await;
    let mut group = Group::new(&world).await;
    group.primary.refuse(true).await;
    for number in 0..3 {
        let id = send(&world, &format!("n{number}@example.com")).await;
        email_when(&world, id, |email| email.state != EmailState::Queued).await;
    }
    let found = group.until(&world, |found| found.active_integration_id == group.ids[1]).await;
    assert_eq!(found.members[0].status, MemberStatus::Down);
    assert!(rules(&world).await.contains(&AlertRule::FailedOver));

    // A probe that fails makes the rest longer.
    let rest = found.members[0].next_probe_at.unwrap().since_ms(world.engine.now());
    assert!((24_000..=36_000).contains(&rest), "{rest}");
    let found = group.probe(&world, 0).await;
    let rest = found.members[0].next_probe_at.unwrap().since_ms(world.engine.now());
    assert!((48_000..=72_000).contains(&rest), "{rest}");

    group.primary.refuse(false).await;
    for good in 1..=3 {
        let found = group.probe(&world, 0).await;
        assert_eq!(
            (found.members[0].good, found.active_integration_id),
            (good, group.ids[1]),
            "not before five minutes"
        );
    }
    // Another process in between: nothing is forgotten.
    let before = world.engine.failover(&world.actor, group.ids[0]).await.unwrap();
    let (folder, clock) = world.stop().await;
    let world = World::in_folder(folder, clock).await;
    assert_eq!(world.engine.failover(&world.actor, group.ids[0]).await.unwrap().active_since, before.active_since);
    world.clock.advance_ms(300_000 - world.engine.now().since_ms(before.active_since));
    let found = group.until(&world, |found| found.active_integration_id == group.ids[0]).await;
    assert_eq!((found.mode, found.members[0].status), (FailoverMode::Auto, MemberStatus::Active));
    let moves =
        world.engine.failover_moves(&world.actor, group.ids[0], FailoverMoveQuery::default()).await.unwrap().data;
    assert_eq!(moves.len(), 2);
    assert_eq!(moves[0].reason, "Primary works again: 3 good results in a row");
    assert!(!rules(&world).await.contains(&AlertRule::FailedOver));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_both_are_down_mail_waits_one_alert_is_raised_and_nothing_is_lost() {
    let world = World::new().await;
    let mut group = Group::new(&world).await;
    group.primary.refuse(true).await;
    group.backup.refuse(true).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(send(&world, &format!("n{number}@example.com")).await);
    }
    let found = group.until(&world, |found| found.is_all_down).await;
    assert_eq!(found.active_integration_id, group.ids[1], "work moved once, and stays");
    for id in &ids {
        email_when(&world, *id, |email| email.state == EmailState::Deferred).await;
    }
    // Later ones are not even tried.
    let late = send(&world, "late@example.com").await;
    let waiting = email_when(&world, late, |email| email.state == EmailState::Deferred).await;
    assert_eq!(waiting.tries, 0);
    assert_eq!(waiting.detail, "Neither Primary nor a backup works; it goes out when one of them does");
    assert_eq!(rules(&world).await.iter().filter(|rule| **rule == AlertRule::AllDown).count(), 1);

    group.backup.refuse(false).await;
    let found = group.probe(&world, 1).await;
    assert!(!found.is_all_down && found.active_integration_id == group.ids[1]);
    for id in ids.into_iter().chain([late]) {
        let sent = email_when(&world, id, |email| email.state == EmailState::Sent).await;
        assert_eq!((sent.integration_id, sent.possibly_duplicated), (Some(group.ids[1]), false));
    }
    assert!(!rules(&world).await.contains(&AlertRule::AllDown));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_arrived_goes_out_again_and_is_marked() {
    let world = World::new().await;
    let group = Group::new(&world).await;
    // The primary takes the whole message and breaks the connection; its fate is unknown.
    let mut ids = Vec::new();
    for number in 0..3 {
        let id = send(&world, &format!("drop+{number}@example.com")).await;
        email_when(&world, id, |email| email.state != EmailState::Queued).await;
        ids.push(id);
    }
    group.until(&world, |found| found.active_integration_id == group.ids[1]).await;
    for id in ids {
        let email = email_when(&world, id, |email| email.possibly_duplicated).await;
        assert!(email.possibly_sent, "{email:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_for_a_time_ends_by_itself_also_after_a_restart() {
    let world = World::new().await;
    let group = Group::new(&world).await;
    let draft = MoveDraft { reason: "Trying".into(), pin_minutes: Some(10), ..MoveDraft::default() };
    let found = world.engine.trigger_failover(&world.actor, group.ids[0], draft).await.unwrap();
    assert_eq!((found.mode, found.active_integration_id), (FailoverMode::Pinned, group.ids[1]));
    let (folder, clock) = world.stop().await;
    let world = World::in_folder(folder, clock).await;
    let found = world.engine.failover(&world.actor, group.ids[0]).await.unwrap();
    assert_eq!((found.mode, found.active_integration_id), (FailoverMode::Pinned, group.ids[1]));
    world.clock.advance_ms(600_000);
    group.until(&world, |found| found.mode == FailoverMode::Auto).await;
    for _ in 0..2 {
        group.probe(&world, 0).await;
    }
    group.until(&world, |found| found.active_integration_id == group.ids[0]).await;
    world.stop().await;
}
