//! Integrations, their health, logs and alerts.

use std::collections::BTreeMap;

use domain::{
    AlertRule, AlertSettings, AlertState, Channel, IntegrationId, IntegrationState, IntegrationStatus, LogEntryId,
    NodeId, NotificationPreferences, OrganizationId, Transition,
    api::{
        AlertQuery, CheckRound, Integration, IntegrationLine, IntegrationSummary, JobState, LogKind, LogLevel,
        LogQuery, RunbookDraft, RunbookStep, SecretMark,
    },
    catalogue::{Fault, IntegrationType},
    health::{Finding, Health, Pulse},
};
use serde_json::json;
use storage::{AlertAct, NewAlert, NewFinding, NewLogEntry, Store, StoreError};

use crate::{
    Fresh,
    cold::{at, audit, id, organization, signed_up},
    conformance,
};

pub(crate) fn integration(number: i64) -> Integration {
    Integration {
        id: id(number),
        kind: IntegrationType::Email,
        provider: "smtp".into(),
        name: format!("integration {number}"),
        config: BTreeMap::from([("smtp_port".to_owned(), json!(587))]),
        secrets: BTreeMap::from([(
            "smtp_password".to_owned(),
            SecretMark { reference: Some("env:X".into()), set_at: at(number + 1) },
        )]),
        state: IntegrationState::Active,
        status: IntegrationStatus::Active,
        health: Health::Unknown,
        health_since: at(number),
        pulse: Pulse::unknown(at(number)),
        last_checked_at: None,
        last_good_at: None,
        last_latency_ms: None,
        last_error: None,
        last_fault: None,
        next_check_at: Some(at(number + 2)),
        check_interval_s: 60,
        depends_on: None,
        maintenance_until: None,
        runbook: vec![RunbookStep { text: "Look".into(), done: false }],
        status_note: String::new(),
        version: 1,
        created_at: at(number),
        updated_at: at(number + 3),
    }
}

/// Stores one, with a secret.
pub(crate) async fn stored(fresh: &Fresh, organization: OrganizationId, number: i64) -> IntegrationId {
    let new = integration(number);
    created(fresh, organization, &new).await;
    new.id
}

pub(crate) async fn created(fresh: &Fresh, organization: OrganizationId, integration: &Integration) {
    let sealed = Some(vec![1, 2, 3]);
    let new =
        fresh.store.create_integration(organization, integration.clone(), sealed, audit("integration.created", 1));
    new.await.unwrap();
}

fn entry(integration: IntegrationId, number: i64, level: LogLevel, message: &str) -> NewLogEntry {
    NewLogEntry {
        id: id::<LogEntryId>(number),
        integration,
        level,
        kind: LogKind::Check,
        message: message.into(),
        details: BTreeMap::from([("Target".to_owned(), format!("host{number}:25"))]),
        fault: (level == LogLevel::Error).then_some(Fault::Timeout),
    }
}

/// A result at `number`, with ids of its own.
fn finding(of: IntegrationId, number: i64, fault: Option<Fault>, node: Option<NodeId>) -> NewFinding {
    let alert = |rule, number| NewAlert {
        id: id(number),
        rule,
        subject: of.to_string(),
        title: format!("alert {number}"),
        detail: format!("detail {number}"),
        impact: "Emails not sending".into(),
        at: at(number),
        is_told: true,
    };
    NewFinding {
        integration: of,
        finding: Finding {
            at: at(number),
            latency_ms: 10,
            fault,
            message: format!("message {number}"),
            detail: String::new(),
            is_work: false,
        },
        next_check_at: Some((at(number + 60_000), at(number + 12_000))),
        node,
        entry: fault.map(|_| entry(of, number, LogLevel::Error, "failed")),
        change: entry(of, number + 1, LogLevel::Warn, ""),
        alerts: (alert(AlertRule::IntegrationDown, number), alert(AlertRule::IntegrationSlow, number + 1)),
    }
}

fn line(of: &Integration) -> IntegrationLine {
    let Integration { id, kind, status, health, last_checked_at, .. } = *of;
    let (provider, name, last_error) = (of.provider.clone(), of.name.clone(), of.last_error.clone());
    IntegrationLine { id, kind, provider, name, status, health, last_checked_at, last_error }
}

async fn open_alerts(store: &Store, organization: OrganizationId) -> i64 {
    store.open_alerts(organization).await.unwrap().values().sum()
}

conformance! {
    async fn an_integration_is_read_as_it_was_written(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let wanted = integration(10);
        created(fresh, organization, &wanted).await;
        let found = store.integration(organization, wanted.id, at(11)).await.unwrap().unwrap();
        assert_eq!(found.integration, wanted);
        assert_eq!((found.organization, found.secrets), (organization, Some(vec![1, 2, 3])));
        assert_eq!(store.integrations(organization, at(11)).await.unwrap(), std::slice::from_ref(&wanted));
        assert_eq!(store.integration_lines(organization, at(11)).await.unwrap(), [line(&wanted)]);
        assert!(store.integration_lines(id(99), at(11)).await.unwrap().is_empty(), "another organization");
        assert!(store.integration(id(99), wanted.id, at(11)).await.unwrap().is_none(), "another organization");
        let twice = Integration { id: id(20), ..wanted.clone() };
        let refused = store.create_integration(organization, twice, None, audit("x", 2)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("integrations_name")), "{refused:?}");
    }

    async fn a_change_needs_the_version_that_is_stored(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let first = integration(10);
        created(fresh, organization, &first).await;
        let changed = Integration {
            name: "changed".into(),
            state: IntegrationState::Disabled,
            next_check_at: None,
            check_interval_s: 77,
            maintenance_until: Some(at(5_000)),
            updated_at: at(50),
            ..first.clone()
        };
        let update = |integration: Integration| store.update_integration(organization, integration, None, audit("x", 3));
        assert!(update(changed.clone()).await.unwrap());
        assert!(matches!(update(changed.clone()).await.unwrap_err(), StoreError::Stale));
        assert!(!update(Integration { id: id(99), ..changed.clone() }).await.unwrap());
        let found = store.integration(organization, first.id, at(100)).await.unwrap().unwrap();
        assert_eq!(found.secrets, Some(vec![1, 2, 3]), "secrets stay");
        let expected = Integration { version: 2, status: IntegrationStatus::Disabled, ..changed };
        assert_eq!(found.integration, expected);
        assert_eq!(store.integration_lines(organization, at(100)).await.unwrap(), [line(&expected)]);
        let steps = RunbookDraft { steps: vec![RunbookStep { text: "Call".into(), done: true }], status_note: "n".into() };
        assert!(store.set_runbook(organization, first.id, steps.clone(), audit("x", 4)).await.unwrap());
        let found = store.integration(organization, first.id, at(100)).await.unwrap().unwrap().integration;
        assert_eq!((found.runbook, found.status_note), (steps.steps, "n".to_owned()));
        assert!(store.delete_integration(organization, first.id, at(1), audit("x", 5)).await.unwrap());
        assert!(!store.delete_integration(organization, first.id, at(1), audit("x", 6)).await.unwrap());
        assert!(store.integration(organization, first.id, at(1)).await.unwrap().is_none());
    }

    /// Three bad results: down, one alert, one message to each target. Two good ones: up, and a message more.
    async fn health_follows_results_and_tells_once(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let settings = AlertSettings { emails: vec!["a@example.com".into()], ..AlertSettings::default() };
        store.set_alert_settings(organization, settings.clone(), audit("x", 1)).await.unwrap();
        assert_eq!(store.alert_settings(organization).await.unwrap(), settings);
        let one = integration(10);
        created(fresh, organization, &one).await;
        let record = |number, fault| store.record_finding(organization, finding(one.id, number, fault, None));
        for (number, down) in [(1_000, false), (2_000, false), (3_000, true), (4_000, true)] {
            let recorded = record(number, Some(Fault::Timeout)).await.unwrap().unwrap();
            assert_eq!(recorded.after.health == Health::Down, down, "{number}");
            assert_eq!(recorded.alerts_changed, number == 3_000, "{number}");
            assert_eq!(store.next_check_at().await.unwrap(), Some(at(12)), "out of turn: the turns stay as they are");
        }
        let found = store.integration(organization, one.id, at(4_001)).await.unwrap().unwrap().integration;
        assert_eq!((found.status, found.health_since), (IntegrationStatus::Error, at(3_000)));
        assert_eq!((found.last_error.as_deref(), found.last_fault), (Some("message 4000"), Some(Fault::Timeout)));
        let summary = store.integration_summary(organization, at(4_001)).await.unwrap();
        assert_eq!((summary.total, summary.active, summary.errors), (1, 0, 1));
        let lines = store.integration_lines(organization, at(4_001)).await.unwrap();
        assert_eq!((&lines[..], IntegrationSummary::of_lines(&lines)), (&[line(&found)][..], summary));
        let open = store.alerts(organization, &AlertQuery::default(), None, 10).await.unwrap().data;
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].occurrences, open[0].first_at, open[0].last_at), (2, at(3_000), at(4_000)));
        assert_eq!(open_alerts(store, organization).await, 1);

        let node = id::<NodeId>(7);
        let due = store.take_notices(node, at(4_001), 10).await.unwrap();
        let mut told: Vec<_> = due.iter().map(|due| (due.notice.channel, due.notice.transition)).collect();
        told.sort();
        assert_eq!(told, [(Channel::Email, Transition::Opened), (Channel::Slack, Transition::Opened)]);
        assert!(store.take_notices(id(8), at(4_001), 10).await.unwrap().is_empty(), "taken once");
        for due in due {
            let is_mail = due.notice.channel == Channel::Email;
            let (error, again) = if is_mail { (None, None) } else { (Some("no".to_owned()), Some(at(9_000))) };
            store.settle_notice(node, due.notice, error, again, at(4_002)).await.unwrap();
        }
        assert!(store.take_notices(node, at(8_999), 10).await.unwrap().is_empty());
        assert_eq!(store.take_notices(node, at(9_000), 10).await.unwrap().len(), 1, "tried again");

        assert_eq!(record(5_000, None).await.unwrap().unwrap().after.health, Health::Down);
        let up = record(6_000, None).await.unwrap().unwrap();
        assert_eq!((up.after.health, up.alerts_changed), (Health::Healthy, true));
        assert!(store.alerts(organization, &AlertQuery::default(), None, 10).await.unwrap().data.is_empty());
        let over = AlertQuery { state: Some(AlertState::Resolved), ..AlertQuery::default() };
        assert_eq!(store.alerts(organization, &over, None, 10).await.unwrap().data.len(), 1);
        let due = store.take_notices(node, at(6_000), 10).await.unwrap();
        assert!(due.iter().all(|due| due.notice.transition == Transition::Resolved) && due.len() == 2);

        let figures = store.health_figures(organization, one.id, at(-3_600_000), at(3_600_000)).await.unwrap();
        assert_eq!((figures.checks_ok, figures.checks_failed, figures.average_ms), (2, 4, Some(10)));
        for grain in [1, 60, 1440] {
            let from = at(-2 * 86_400_000);
            let series = store.health_series(organization, one.id, grain, from, 100).await.unwrap();
            let sums: (i64, i64) = series.iter().fold((0, 0), |sum, hour| {
                (sum.0 + hour.figures.checks_ok, sum.1 + hour.figures.checks_failed)
            });
            assert_eq!(sums, (2, 4), "{grain}");
        }
    }

    /// What depends on something that is down raises an alert that nobody is told of.
    async fn a_child_of_what_is_down_is_quiet(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let parent = integration(10);
        let child = Integration { depends_on: Some(parent.id), ..integration(20) };
        created(fresh, organization, &parent).await;
        created(fresh, organization, &child).await;
        for (of, start) in [(parent.id, 1_000), (child.id, 5_000)] {
            for number in 0..3 {
                let new = finding(of, start + number * 10, Some(Fault::Outage), None);
                store.record_finding(organization, new).await.unwrap();
            }
        }
        assert_eq!(open_alerts(store, organization).await, 2);
        let due = store.take_notices(id(7), at(9_000), 10).await.unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].alert.subject, parent.id.to_string());
        for number in 0..2 {
            store.record_finding(organization, finding(child.id, 7_000 + number * 10, None, None)).await.unwrap();
        }
        assert_eq!(open_alerts(store, organization).await, 1);
        assert!(store.take_notices(id(7), at(9_000), 10).await.unwrap().is_empty(), "its end is not told either");
    }

    async fn maintenance_is_not_counted(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let one = integration(10);
        created(fresh, organization, &one).await;
        let working = Integration { maintenance_until: Some(at(100_000)), ..one.clone() };
        store.update_integration(organization, working, None, audit("x", 2)).await.unwrap();
        for number in 1..5 {
            let new = finding(one.id, number * 1_000, Some(Fault::Refused), None);
            assert!(!store.record_finding(organization, new).await.unwrap().unwrap().alerts_changed);
        }
        assert_eq!(open_alerts(store, organization).await, 0);
        let found = store.integration(organization, one.id, at(5_000)).await.unwrap().unwrap().integration;
        assert_eq!((found.health, found.status), (Health::Maintenance, IntegrationStatus::Active));
        let figures = store.health_figures(organization, one.id, at(-3_600_000), at(3_600_000)).await.unwrap();
        assert_eq!(figures.checks_failed, 0);
        // It is over: the next bad result tells.
        let new = finding(one.id, 100_001, Some(Fault::Refused), None);
        assert!(store.record_finding(organization, new).await.unwrap().unwrap().alerts_changed);
    }

    /// A check belongs to one node from when it is taken until its result is stored.
    async fn a_check_is_taken_once(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        for number in [10, 20, 30] {
            created(fresh, organization, &integration(number)).await;
        }
        let (a, b) = (id::<NodeId>(1), id::<NodeId>(2));
        let far = at(86_400_000);
        assert!(store.take_checks(a, at(0), far, 10).await.unwrap().is_empty(), "not due yet");
        assert_eq!(store.next_check_at().await.unwrap(), Some(at(12)));
        let first = store.take_checks(a, at(1_000), far, 2).await.unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(first[0].secrets, Some(vec![1, 2, 3]));
        let second = store.take_checks(b, at(1_000), far, 10).await.unwrap();
        assert_eq!(second.len(), 1);
        let of = first[0].integration.id;
        assert!(store.record_finding(organization, finding(of, 1_001, None, Some(b))).await.unwrap().is_none());
        assert!(store.record_finding(organization, finding(of, 1_001, None, Some(a))).await.unwrap().is_some());
        assert_eq!(store.next_check_at().await.unwrap(), Some(at(61_001)));
        let other = first[1].integration.id;
        store.record_finding(organization, finding(other, 1_010, Some(Fault::Dns), Some(a))).await.unwrap().unwrap();
        assert_eq!(store.next_check_at().await.unwrap(), Some(at(13_010)), "sooner while it is suspect");
        store.record_finding(organization, finding(other, 1_020, Some(Fault::Dns), None)).await.unwrap().unwrap();
        assert_eq!(store.next_check_at().await.unwrap(), Some(at(13_010)), "the sooner of both");
        assert!(store.take_checks(b, at(2_000), far, 10).await.unwrap().is_empty());
        assert_eq!(store.take_checks(a, at(61_001), far, 10).await.unwrap().len(), 2, "due again");
        store.release_checks(a).await.unwrap();
        assert_eq!(store.take_checks(b, at(61_001), far, 10).await.unwrap().len(), 2, "given back");
        store.release_checks(b).await.unwrap();
        // A clock that was set back must not silence checks for as long as it was ahead.
        assert_eq!(store.take_checks(b, at(-500_000), at(-400_000), 10).await.unwrap().len(), 3);
    }

    /// A round asks everything that is used, once, and leaves the turns as they are.
    async fn a_round_asks_all_once(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        assert_eq!(store.check_round(organization).await.unwrap(), None);
        let due = Some(at(50_000));
        for number in [10, 20, 30, 40] {
            created(fresh, organization, &Integration { next_check_at: due, ..integration(number) }).await;
        }
        let off = Integration { state: IntegrationState::Disabled, next_check_at: None, ..integration(50) };
        created(fresh, organization, &off).await;
        let begin = async |number| store.begin_check_round(organization, "Ada".into(), audit("x", number)).await.unwrap();
        let (first, is_new) = begin(1_000).await;
        assert!(is_new);
        assert_eq!((first.state, first.total, first.checked, first.started_at), (JobState::Running, 4, 0, at(1_000)));
        assert_eq!(begin(1_001).await, (first.clone(), false), "there is one at a time");

        let node = id::<NodeId>(7);
        let far = at(86_400_000);
        let taken = store.take_checks(node, at(1_002), far, 10).await.unwrap();
        assert_eq!(taken.len(), 4, "before their turns");
        let work = NewFinding { finding: Finding { is_work: true, ..finding(id(10), 1_003, None, None).finding },
            next_check_at: None, ..finding(id(10), 1_003, None, None) };
        store.record_finding(organization, work).await.unwrap().unwrap();
        let round = async || store.check_round(organization).await.unwrap().unwrap();
        assert_eq!(round().await.checked, 0, "real work is no check");
        for (number, fault) in [(10, None), (20, Some(Fault::Timeout))] {
            let new = finding(id(number), 1_010 + number, fault, Some(node));
            store.record_finding(organization, new).await.unwrap().unwrap();
        }
        let found = store.integration(organization, id(10), at(1_100)).await.unwrap().unwrap().integration;
        assert_eq!(found.next_check_at, due, "its turn stays");
        let off = Integration { state: IntegrationState::Disabled, next_check_at: None, ..integration(30) };
        store.update_integration(organization, off, None, audit("x", 1_040)).await.unwrap();
        let CheckRound { state, total, checked, healthy, suspect, .. } = round().await;
        assert_eq!((state, total, checked, healthy, suspect), (JobState::Running, 3, 2, 1, 1), "30 is not waited for");
        store.put_off_check(organization, id(40), node, at(90_000)).await.unwrap();
        let ended = round().await;
        assert_eq!((ended.state, ended.total, ended.finished_at), (JobState::Done, 2, Some(at(1_030))), "nor is 40");
        assert!(!store.cancel_check_round(organization, audit("x", 1_050)).await.unwrap());

        store.release_checks(node).await.unwrap();
        let (again, is_new) = begin(2_000).await;
        assert!(is_new && again.total == 3 && again.checked == 0, "{again:?}");
        store.record_finding(organization, finding(id(10), 2_001, None, None)).await.unwrap().unwrap();
        assert!(store.cancel_check_round(organization, audit("x", 2_002)).await.unwrap());
        let cancelled = round().await;
        assert_eq!((cancelled.state, cancelled.total, cancelled.healthy), (JobState::Cancelled, 1, 1));
        assert!(store.take_checks(node, at(2_003), far, 10).await.unwrap().is_empty(), "nothing is asked any more");
        assert_eq!(store.check_round(id(99)).await.unwrap(), None, "another organization");
    }

    /// What a member wants decides what is sent to their address, and only in their organization.
    async fn members_are_told_what_they_want(fresh) {
        let (store, ours) = (&fresh.store, organization(fresh, 1).await);
        let ada = signed_up(fresh, ours, 5, "ada@example.com").await;
        let settings = AlertSettings { emails: vec!["ops@example.com".into(), "Ada@example.com".into()], slack: false, ..AlertSettings::default() };
        store.set_alert_settings(ours, settings, audit("x", 1)).await.unwrap();
        assert_eq!(store.notification_preferences(ours, ada).await.unwrap(), None);
        let told = async |number: i64, rule| {
            let alert = NewAlert {
                id: id(number), rule, subject: "org".into(), title: "t".into(), detail: String::new(),
                impact: String::new(), at: at(number), is_told: true,
            };
            assert!(store.raise_alert(ours, alert).await.unwrap());
            let due = store.take_notices(id(7), at(number), 10).await.unwrap();
            let mut targets: Vec<_> = due.into_iter().map(|due| due.notice.target).collect();
            targets.sort();
            targets
        };
        assert_eq!(told(1, AlertRule::DeadLetters).await, ["Ada@example.com", "ops@example.com"]);
        let wants = NotificationPreferences { email: vec![AlertRule::SecretAge], browser: vec![AlertRule::AllDown] };
        store.set_notification_preferences(ours, ada, wants.clone(), audit("x", 2)).await.unwrap();
        assert_eq!(store.notification_preferences(ours, ada).await.unwrap(), Some(wants));
        assert_eq!(store.notification_preferences(id(99), ada).await.unwrap(), None, "another organization");
        assert_eq!(told(2, AlertRule::WebhookDisabled).await, ["ops@example.com"]);
        assert_eq!(told(3, AlertRule::SecretAge).await, ["ada@example.com", "ops@example.com"]);
        let nothing = NotificationPreferences::default();
        store.set_notification_preferences(ours, ada, nothing, audit("x", 3)).await.unwrap();
        assert_eq!(told(4, AlertRule::ErrorRate).await, ["ops@example.com"]);
    }

    async fn logs_are_found_and_cleared(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let (one, other) = (integration(10), integration(20));
        for (number, of, level, message) in [
            (1_000, one.id, LogLevel::Info, "Email sent successfully"),
            (2_000, one.id, LogLevel::Error, "Connection timeout"),
            (3_000, other.id, LogLevel::Warn, "50%_off"),
        ] {
            store.log(organization, entry(of, number, level, message)).await.unwrap();
        }
        let messages = |query: LogQuery| async move {
            let page = store.logs(organization, &query, None, 10).await.unwrap();
            page.data.into_iter().map(|entry| entry.message).collect::<Vec<_>>()
        };
        assert_eq!(messages(LogQuery::default()).await, ["50%_off", "Connection timeout", "Email sent successfully"]);
        let of = |id| LogQuery { integration_id: Some(id), ..LogQuery::default() };
        assert_eq!(messages(of(other.id)).await, ["50%_off"]);
        assert_eq!(messages(LogQuery { level: Some(LogLevel::Error), ..of(one.id) }).await, ["Connection timeout"]);
        assert_eq!(messages(LogQuery { q: Some("EMAIL".into()), ..of(one.id) }).await, ["Email sent successfully"]);
        assert_eq!(messages(LogQuery { q: Some("host2000".into()), ..LogQuery::default() }).await, ["Connection timeout"]);
        assert_eq!(messages(LogQuery { q: Some("0%_o".into()), ..LogQuery::default() }).await, ["50%_off"]);
        assert_eq!(messages(LogQuery { q: Some("%".into()), ..of(one.id) }).await, Vec::<String>::new());
        let range = LogQuery { from: Some(at(1_500)), to: Some(at(2_500)), ..LogQuery::default() };
        assert_eq!(messages(range).await, ["Connection timeout"]);
        let first = store.logs(organization, &LogQuery::default(), None, 2).await.unwrap();
        let cursor = first.next_cursor.unwrap().parse().unwrap();
        assert_eq!(store.logs(organization, &LogQuery::default(), Some(cursor), 2).await.unwrap().data.len(), 1);
        let whole = &first.data[1];
        assert_eq!((whole.at, whole.fault, whole.kind), (at(2_000), Some(Fault::Timeout), LogKind::Check));
        assert_eq!(whole.details, BTreeMap::from([("Target".to_owned(), "host2000:25".to_owned())]));
        // Results: of work all, of checks those that failed, of the members that are asked for, the newest.
        let kept = |id: IntegrationId, at_ms: i64, kind: LogKind, fault: Option<Fault>| NewLogEntry {
            kind,
            fault,
            ..entry(id, at_ms, LogLevel::Info, "Result")
        };
        let third = integration(30).id;
        for (number, kind, fault) in [
            (4_000, LogKind::Send, None),
            (4_100, LogKind::Send, Some(Fault::Rejected)),
            (4_200, LogKind::Test, None),
            (4_300, LogKind::Test, Some(Fault::Dns)),
            (4_400, LogKind::Failover, None),
        ] {
            store.log(organization, kept(third, number, kind, fault)).await.unwrap();
        }
        let results = async |from: i64, limit: u32| {
            let found = store.recorded_results(organization, &[third, one.id], at(from), limit).await.unwrap();
            found.into_iter().map(|it| (it.at, it.fault, it.is_work)).collect::<Vec<_>>()
        };
        let all = [
            (at(2_000), Some(Fault::Timeout), false),
            (at(4_000), None, true),
            (at(4_100), Some(Fault::Rejected), true),
            (at(4_300), Some(Fault::Dns), false),
        ];
        assert_eq!(results(0, 10).await, all);
        assert_eq!(results(4_050, 10).await, all[2..]);
        assert_eq!(results(0, 1).await, all[3..]);
        assert_eq!(store.clear_log(organization, third, audit("y", 2)).await.unwrap(), 5);
        assert_eq!(store.prune_logs(organization, at(1_500)).await.unwrap(), 1);
        assert_eq!(store.clear_log(organization, one.id, audit("x", 1)).await.unwrap(), 1);
        assert_eq!(messages(LogQuery::default()).await, ["50%_off"]);
    }

    async fn people_act_on_alerts_and_are_reminded(fresh) {
        let (store, organization) = (&fresh.store, organization(fresh, 1).await);
        let alert = |number: i64| NewAlert {
            id: id(number),
            rule: AlertRule::DeadLetters,
            subject: "org".into(),
            title: "3 dead letters".into(),
            detail: String::new(),
            impact: String::new(),
            at: at(number),
            is_told: true,
        };
        assert!(store.raise_alert(organization, alert(1)).await.unwrap());
        assert!(!store.raise_alert(organization, alert(2)).await.unwrap());
        assert_eq!(store.take_notices(id(7), at(10), 10).await.unwrap().len(), 1);
        let reworded = store.reword_alert(organization, AlertRule::DeadLetters, "org".into(), "4 now".into(), "x".into());
        reworded.await.unwrap();
        let key = (organization, AlertRule::DeadLetters, "org".to_owned());
        assert_eq!(store.open_facts().await.unwrap(), [(key, "4 now".to_owned())].into());
        let shown = store.alert(organization, id(1)).await.unwrap().unwrap();
        assert_eq!((shown.title.as_str(), shown.detail.as_str(), shown.occurrences), ("4 now", "x", 2));
        assert!(store.take_notices(id(7), at(10), 10).await.unwrap().is_empty(), "nobody is told");
        let hour = 3_600_000;
        assert_eq!(store.remind_of_alerts(at(hour), 10).await.unwrap(), 0);
        assert_eq!(store.remind_of_alerts(at(hour + 1), 10).await.unwrap(), 1);
        assert_eq!(store.remind_of_alerts(at(hour + 1), 10).await.unwrap(), 0);
        assert_eq!(store.take_notices(id(7), at(hour + 1), 10).await.unwrap().len(), 1);
        let act = |act| store.act_on_alert(organization, id(1), act, audit("x", 3));
        let until = at(5 * hour);
        assert!(act(AlertAct::Snooze { until }).await.unwrap());
        assert_eq!(store.remind_of_alerts(at(3 * hour), 10).await.unwrap(), 0);
        assert_eq!(store.alert(organization, id(1)).await.unwrap().unwrap().snoozed_until, Some(until));
        assert_eq!(store.remind_of_alerts(until, 10).await.unwrap(), 1, "the snooze is over");
        assert_eq!(store.alert(organization, id(1)).await.unwrap().unwrap().state, AlertState::Open);
        assert!(act(AlertAct::Acknowledge { by: "Ada".into() }).await.unwrap());
        assert_eq!(store.remind_of_alerts(at(100 * hour), 10).await.unwrap(), 0);
        assert_eq!(open_alerts(store, organization).await, 0);
        assert!(act(AlertAct::Resolve).await.unwrap());
        assert!(!act(AlertAct::Resolve).await.unwrap(), "it is over already");
        assert!(store.raise_alert(organization, alert(9)).await.unwrap(), "a new one may open");
        assert!(store.resolve_alert(organization, AlertRule::DeadLetters, "org".into(), at(10)).await.unwrap());
        assert!(!store.resolve_alert(organization, AlertRule::DeadLetters, "org".into(), at(10)).await.unwrap());
        assert_eq!(store.prune_alerts(organization, at(5)).await.unwrap(), 0, "its messages wait");
        for due in store.take_notices(id(7), at(100 * hour), 10).await.unwrap() {
            store.settle_notice(id(7), due.notice, None, None, at(100 * hour)).await.unwrap();
        }
        store.release_notices(id(7)).await.unwrap();
        for due in store.take_notices(id(7), at(100 * hour), 10).await.unwrap() {
            store.settle_notice(id(7), due.notice, None, None, at(100 * hour)).await.unwrap();
        }
        assert_eq!(store.prune_alerts(organization, at(5)).await.unwrap(), 1);
        assert_eq!(store.prune_alerts(organization, at(20)).await.unwrap(), 1);
    }
}
