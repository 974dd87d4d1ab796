//! Failover groups: one row that many change, and what is stored with its changes.

use domain::{
    AlertRule, FailoverId, FailoverMoveId, IntegrationId, IntegrationState, OrganizationId,
    api::{AlertQuery, EmailState, Integration, LogKind, LogLevel, LogQuery},
    catalogue::Fault,
    failover::{Board, FailoverRules, MemberStatus, MoveKind, Pin},
};
use storage::{
    FailoverChange, FailoverRow, NewAlert, NewEmail, NewFailover, NewLogEntry, NewMove, SettledEmail, Store, StoreError,
};

use crate::{
    Fresh,
    cold::{at, audit, id, organization},
    conformance,
    emails::email,
    integrations::{created, integration},
};

/// A group of integration 10 with backups 11 and 12.
async fn grouped(fresh: &Fresh) -> (OrganizationId, FailoverRow) {
    let organization = organization(fresh, 1).await;
    for number in 10..=12 {
        created(fresh, organization, &integration(number)).await;
    }
    let board = Board::new(id(10), &[id(11), id(12)], at(0));
    fresh.store.put_failover(organization, new(None, &board), at(0)).await.unwrap();
    let row = fresh.store.failover_of(organization, id(10)).await.unwrap().unwrap();
    (organization, row)
}

fn new(version: Option<i64>, board: &Board) -> NewFailover {
    NewFailover {
        id: id::<FailoverId>(1),
        version,
        members: board.members.iter().map(|member| member.id).collect(),
        rules: FailoverRules::default(),
        change: FailoverChange {
            is_turn: true,
            audit: vec![audit("failover.updated", 5)],
            ..FailoverChange::of(board.clone())
        },
    }
}

/// A move to integration `to`, with all that is said of it.
fn moved(row: &FailoverRow, to: i64) -> FailoverChange {
    let mut board = row.board.clone();
    let from = board.active;
    board.decide(id(to), Some(Pin { until: None }), at(to));
    FailoverChange {
        is_turn: true,
        moved: Some(NewMove {
            id: id::<FailoverMoveId>(to),
            kind: MoveKind::Switched,
            from: (from, row.name(from)),
            to: (id(to), row.name(id(to))),
            is_automatic: false,
            reason: "Trying".into(),
            failures: 2,
            actor: "Ada".into(),
        }),
        audit: vec![audit("failover.switched", to)],
        raise: vec![NewAlert {
            id: id(to),
            rule: AlertRule::FailedOver,
            subject: id::<IntegrationId>(10).to_string(),
            title: "Email runs on a backup".into(),
            detail: "Trying".into(),
            impact: String::new(),
            at: at(to),
            is_told: true,
        }],
        log: vec![NewLogEntry {
            id: id(to),
            integration: id(10),
            level: LogLevel::Warn,
            kind: LogKind::Failover,
            message: "Switched".into(),
            details: std::collections::BTreeMap::new(),
            fault: None,
        }],
        ..FailoverChange::of(board)
    }
}

async fn change(
    store: &Store,
    row: &FailoverRow,
    version: Option<i64>,
    to: i64,
) -> storage::Result<Option<(FailoverRow, FailoverChange)>> {
    store.change_failover(row.organization, row.id, version, at(to), move |row| Some(moved(row, to))).await
}

conformance! {
    async fn a_group_is_read_as_it_was_written(fresh) {
        let (organization, row) = grouped(fresh).await;
        let store = &fresh.store;
        assert_eq!((row.board.clone(), row.rules), (Board::new(id(10), &[id(11), id(12)], at(0)), FailoverRules::default()));
        assert_eq!((row.id, row.version, row.able()), (id(1), 1, vec![id(10), id(11), id(12)]));
        assert_eq!(row.name(id(12)), "integration 12");
        for member in [11, 12] {
            assert_eq!(store.failover_of(organization, id(member)).await.unwrap().unwrap(), row, "found by any member");
        }
        assert!(store.failover_of(organization, id(13)).await.unwrap().is_none());
        assert!(store.failover_of(id(99), id(10)).await.unwrap().is_none(), "another organization");
        let members = store.failover_members(organization).await.unwrap();
        assert_eq!(members, [(id(10), true), (id(11), false), (id(12), false)]);
    }

    async fn an_integration_is_in_one_group(fresh) {
        let (organization, _) = grouped(fresh).await;
        created(fresh, organization, &integration(13)).await;
        let second = NewFailover { id: id(2), ..new(None, &Board::new(id(13), &[id(12)], at(0))) };
        let refused = fresh.store.put_failover(organization, second, at(0)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict("failover_members_integration")), "{refused:?}");
        assert!(fresh.store.failover_of(organization, id(13)).await.unwrap().is_none(), "nothing of it was stored");
    }

    async fn the_order_and_the_primary_can_be_changed(fresh) {
        let (organization, row) = grouped(fresh).await;
        let mut board = row.board.clone();
        board.arrange(id(12), &[id(10)], at(5));
        fresh.store.put_failover(organization, new(Some(1), &board), at(5)).await.unwrap();
        let after = fresh.store.failover_of(organization, id(10)).await.unwrap().unwrap();
        assert_eq!((after.board.primary(), after.seats.len(), after.version), (id(12), 2, 2));
        let stale = fresh.store.put_failover(organization, new(Some(1), &board), at(6)).await.unwrap_err();
        assert!(matches!(stale, StoreError::Stale), "{stale:?}");
    }

    async fn of_two_who_move_it_at_once_one_is_told(fresh) {
        let (organization, row) = grouped(fresh).await;
        let store = &fresh.store;
        let (first, second) = tokio::join!(
            change(store, &row, Some(row.version), 11),
            change(store, &row, Some(row.version), 12),
        );
        let won = [first.is_ok(), second.is_ok()];
        assert!(won[0] != won[1], "{first:?} {second:?}");
        assert!(matches!(first.err().or(second.err()), Some(StoreError::Stale)));
        let to = if won[0] { 11 } else { 12 };
        let after = store.failover_of(organization, id(10)).await.unwrap().unwrap();
        assert_eq!((after.board.active, after.version), (id(to), 2));
        let moves = store.failover_moves(organization, id(1), None, 10).await.unwrap();
        assert_eq!(moves.data.len(), 1);
        let only = &moves.data[0];
        assert_eq!((only.at, only.kind, only.is_automatic, only.failures), (at(to), MoveKind::Switched, false, 2));
        assert_eq!((&*only.from_name, &*only.to_name, &*only.actor), ("integration 10", &*format!("integration {to}"), "Ada"));
        let alerts = store.alerts(organization, &AlertQuery::default(), None, 10).await.unwrap().data;
        assert_eq!(alerts.iter().map(|alert| alert.rule).collect::<Vec<_>>(), [AlertRule::FailedOver]);
        let query = LogQuery { integration_id: Some(id(10)), ..LogQuery::default() };
        assert_eq!(store.logs(organization, &query, None, 10).await.unwrap().data[0].kind, LogKind::Failover);
    }

    async fn counts_leave_the_version_and_changes_do_not_get_lost(fresh) {
        let (organization, row) = grouped(fresh).await;
        let hear = |store: Store, row: FailoverRow| async move {
            let count = |row: &FailoverRow| {
                let mut board = row.board.clone();
                let rules = FailoverRules { failover_threshold: 100, ..row.rules };
                board.hear(rules, &row.able(), id(10), false, at(1), 0.5);
                Some(FailoverChange::of(board))
            };
            store.change_failover(organization, row.id, None, at(1), count).await.unwrap();
        };
        let all: Vec<_> = (0..20).map(|_| tokio::spawn(hear(fresh.store.clone(), row.clone()))).collect();
        for one in all {
            one.await.unwrap();
        }
        let after = fresh.store.failover_of(organization, id(10)).await.unwrap().unwrap();
        // Nineteen of nineteen say nothing yet; the twentieth opens the circuit.
        assert_eq!((after.version, after.board.member(id(10)).unwrap().failures), (1, 20));
        assert!(after.board.member(id(10)).unwrap().is_open);
        let due = after.board.look_at(after.rules).unwrap();
        assert!(fresh.store.due_failovers(due.plus_ms(-1)).await.unwrap().is_empty());
        assert_eq!(fresh.store.due_failovers(due).await.unwrap(), [(organization, row.id)]);
        assert!(fresh.store.change_failover(organization, row.id, None, at(2), |_| None).await.unwrap().is_none());
    }

    async fn moves_are_told_once_and_kept_for_a_while(fresh) {
        let (organization, row) = grouped(fresh).await;
        let store = &fresh.store;
        change(store, &row, None, 11).await.unwrap();
        change(store, &row, None, 12).await.unwrap();
        let untold = store.untold_failover_moves().await.unwrap();
        let ids: Vec<_> = untold.iter().map(|(of, moved)| (*of, moved.id)).collect();
        assert_eq!(ids, [(organization, id(11)), (organization, id(12))]);
        store.tell_failover_move(organization, id(11)).await.unwrap();
        store.tell_failover_move(id(99), id(12)).await.unwrap();
        assert_eq!(store.untold_failover_moves().await.unwrap().len(), 1);
        let page = store.failover_moves(organization, id(1), None, 1).await.unwrap();
        assert_eq!((page.data[0].id, page.next_cursor.as_deref()), (id(12), Some(&*id::<FailoverMoveId>(12).to_string())));
        assert_eq!(store.failover_moves(organization, id(1), Some(id(12)), 1).await.unwrap().data[0].id, id(11));
        assert_eq!(store.prune_failover_moves(organization, at(12)).await.unwrap(), 1);
    }

    async fn it_survives_a_restart_and_what_is_deleted_is_missing(fresh) {
        let (organization, row) = grouped(fresh).await;
        change(&fresh.store, &row, None, 11).await.unwrap();
        let before = fresh.store.failover_of(organization, id(10)).await.unwrap().unwrap();
        fresh.store.close().await;
        let store = Store::open(&fresh.url).await.unwrap();
        assert_eq!(store.failover_of(organization, id(10)).await.unwrap().unwrap(), before);
        let off = Integration { state: IntegrationState::Disabled, next_check_at: None, ..integration(12) };
        store.update_integration(organization, off, None, audit("x", 30)).await.unwrap();
        store.delete_integration(organization, id(11), at(31), audit("x", 31)).await.unwrap();
        let after = store.failover_of(organization, id(10)).await.unwrap().unwrap();
        assert_eq!(after.able(), [id(10)]);
        assert_eq!((after.ability(id(11)), after.ability(id(12))), (Err(MemberStatus::Missing), Err(MemberStatus::Disabled)));
        store.delete_integration(organization, id(10), at(32), audit("x", 32)).await.unwrap();
        assert!(store.failover_of(organization, id(12)).await.unwrap().is_none(), "the group goes with its primary");
        store.close().await;
    }

    async fn a_group_can_be_given_up(fresh) {
        let (organization, row) = grouped(fresh).await;
        let store = &fresh.store;
        change(store, &row, None, 11).await.unwrap();
        let subject = id::<IntegrationId>(10).to_string();
        let delete = |version| store.delete_failover(organization, row.id, version, subject.clone(), audit("x", 40));
        assert!(matches!(delete(1).await.unwrap_err(), StoreError::Stale));
        delete(2).await.unwrap();
        assert!(store.failover_of(organization, id(10)).await.unwrap().is_none());
        assert!(store.alerts(organization, &AlertQuery::default(), None, 10).await.unwrap().data.is_empty());
        assert_eq!(store.failover_moves(organization, row.id, None, 10).await.unwrap().data.len(), 1);
    }

    async fn what_waits_for_a_member_is_hastened(fresh) {
        let (organization, _) = grouped(fresh).await;
        let store = &fresh.store;
        let node = id(90);
        for (number, fault) in [(50, Some(Fault::Refused)), (51, Some(Fault::Rejected)), (52, None)] {
            let email = NewEmail { integration: Some(id(10)), ..email(number, "a@example.com", None) };
            store.queue_email(organization, email).await.unwrap();
            assert_eq!(store.take_emails(node, at(number), 1).await.unwrap().len(), 1);
            let settled = SettledEmail {
                id: id(number),
                state: EmailState::Deferred,
                counts: true,
                next_try_at: Some(at(30_000)),
                integration: None,
                detail: String::new(),
                fault,
                possibly_sent: false,
                sent_at: None,
                suppress: None,
            };
            assert!(store.settle_email(node, organization, settled, at(number)).await.unwrap());
        }
        assert_eq!(store.hasten_emails(organization, vec![id(10), id(11)], at(100)).await.unwrap(), 1);
        assert_eq!(store.next_email_at().await.unwrap(), Some(at(100)));
    }
}
