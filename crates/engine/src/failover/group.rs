//! Moves that results bring about: what a turn means in words, alerts and entries, stored with it.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    AlertRule, FailoverId, IntegrationId, OrganizationId, PublicId, Timestamp,
    api::{LogKind, LogLevel},
    failover::{Board, GOOD_TO_RESTORE, MoveKind, Turn, evidence},
};
use storage::{FailoverChange, FailoverRow, NewAlert, NewAudit, NewLogEntry, NewMove};

use crate::{Entropy, Inner, LiveEvent, integrations::Probed};

/// Alerts about a group. Their subject is its primary.
pub(super) const RULES: [AlertRule; 3] = [AlertRule::FailedOver, AlertRule::FailoverFlapping, AlertRule::AllDown];

/// Writes what is said of a change, at one time, wherever the change is decided.
pub(super) struct Scribe {
    entropy: Arc<dyn Entropy>,
    now: Timestamp,
}

impl Inner {
    pub(super) fn scribe(&self) -> Scribe {
        Scribe { entropy: Arc::clone(&self.entropy), now: self.clock.now() }
    }

    /// Takes in a result of an integration, from a check or from real work, for the group that it is in.
    pub(crate) async fn hear_of_member(
        &self,
        organization: OrganizationId,
        member: IntegrationId,
        probed: &Probed,
        is_work: bool,
    ) {
        let Some(is_good) = evidence(probed.fault, is_work) else { return };
        let heard = async {
            let Some(row) = self.store.failover_of(organization, member).await? else { return Ok(()) };
            let why = probed.message.clone();
            self.change_board(organization, row.id, why, move |row, board, now, share| {
                board.hear(row.rules, &row.able(), member, is_good, now, share)
            })
            .await
            .map(drop)
        };
        if let Err(error) = heard.await {
            tracing::error!(%error, integration.id = %member, "a result is not counted for failover");
        }
    }

    /// Looks at the group of an integration of which something changed: it was switched off, or deleted.
    pub(crate) async fn look_at_failover(&self, organization: OrganizationId, member: IntegrationId) {
        let looked = async {
            let Some(row) = self.store.failover_of(organization, member).await? else { return Ok(()) };
            self.look_at_board(organization, row.id).await.map(drop)
        };
        if let Err(error) = looked.await {
            tracing::error!(%error, integration.id = %member, "a failover group is looked at later");
        }
    }

    async fn look_at_board(
        &self,
        organization: OrganizationId,
        id: FailoverId,
    ) -> storage::Result<Option<(FailoverRow, FailoverChange)>> {
        self.change_board(organization, id, String::new(), |row, board, now, share| {
            board.look(row.rules, &row.able(), now, share)
        })
        .await
    }

    /// Looks at a group that is due, and answers which of its members this node is to probe.
    pub(super) async fn take_probes(
        &self,
        organization: OrganizationId,
        id: FailoverId,
    ) -> storage::Result<Vec<IntegrationId>> {
        let changed = self
            .change_board(organization, id, String::new(), |row, board, now, share| {
                let turns = board.look(row.rules, &row.able(), now, share);
                board.take_probes(now);
                turns
            })
            .await?;
        let Some((before, change)) = changed else { return Ok(Vec::new()) };
        let is_new = |member: &IntegrationId| {
            let until = |board: &Board| board.member(*member).and_then(|member| member.probing_until);
            until(&change.board).is_some() && until(&change.board) != until(&before.board)
        };
        Ok(change.board.members.iter().map(|member| member.id).filter(is_new).collect())
    }

    /// Changes what is known of a group, with all that follows from what turned. `why` is the newest result in words.
    async fn change_board(
        &self,
        organization: OrganizationId,
        id: FailoverId,
        why: String,
        act: impl FnOnce(&FailoverRow, &mut Board, Timestamp, f64) -> Vec<Turn> + Send + 'static,
    ) -> storage::Result<Option<(FailoverRow, FailoverChange)>> {
        let (scribe, share, now) = (self.scribe(), self.entropy.fraction(), self.clock.now());
        let changed = self
            .store
            .change_failover(organization, id, None, now, move |row| {
                let mut board = row.board.clone();
                let turns = act(row, &mut board, now, share);
                (board != row.board).then(|| scribe.change(row, board, &turns, &why))
            })
            .await?;
        if let Some((row, change)) = changed.as_ref().filter(|(_, change)| change.is_turn) {
            tracing::warn!(failover.id = %row.id, active = %change.board.active, "work moved, or waits");
            self.moved_on(row).await;
        }
        Ok(changed)
    }

    /// Lets everybody know who waits for a group: mail that waits is due, screens look again.
    pub(super) async fn moved_on(&self, row: &FailoverRow) {
        let members = row.seats.iter().map(|seat| seat.id).collect();
        if let Err(error) = self.store.hasten_emails(row.organization, members, self.clock.now()).await {
            tracing::error!(%error, "e-mails that wait are sent when their time comes");
        }
        self.mailer.notify_one();
        self.notifier.notify_one();
        self.live.send(row.organization, LiveEvent::Integrations);
        self.live.send(row.organization, LiveEvent::Alerts);
    }
}

impl Scribe {
    fn id<I: PublicId>(&self) -> I {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        I::new(self.now, random)
    }

    fn change(&self, row: &FailoverRow, board: Board, turns: &[Turn], why: &str) -> FailoverChange {
        let primary = row.board.primary();
        let subject = primary.to_string();
        let mut change = FailoverChange { is_turn: !turns.is_empty(), ..FailoverChange::of(board) };
        for turn in turns {
            match *turn {
                Turn::Moved { from, to, is_restore, failures } => {
                    let reason = match (is_restore, row.ability(from)) {
                        (true, _) => {
                            format!("{} works again: {GOOD_TO_RESTORE} good results in a row", row.name(to))
                        }
                        (false, Err(matter)) => format!("{} is {matter}", row.name(from)),
                        (false, Ok(())) if failures >= row.rules.failover_threshold => {
                            format!("{failures} failures in a row. {why}").trim_end().to_owned()
                        }
                        (false, Ok(())) => format!("More than half of the work failed. {why}").trim_end().to_owned(),
                    };
                    let is_back = to == primary;
                    let kind = if is_back { MoveKind::Restored } else { MoveKind::Switched };
                    change.log.extend(self.log(row, from, to, &reason));
                    let action = if is_back { "failover.restored" } else { "failover.switched" };
                    change.audit.push(self.audit(action, primary));
                    if is_back {
                        change.resolve.push((AlertRule::FailedOver, subject.clone()));
                    } else {
                        change.raise.push(self.failed_over(row, from, to, reason.clone()));
                    }
                    change.moved = Some(NewMove {
                        id: self.id(),
                        kind,
                        from: (from, row.name(from)),
                        to: (to, row.name(to)),
                        is_automatic: true,
                        reason,
                        failures,
                        actor: "Signalbox".to_owned(),
                    });
                }
                Turn::Flapping => {
                    let active = row.name(change.board.active);
                    let title =
                        format!("{}: work moved {} times in an hour", row.name(primary), change.board.moves.len());
                    let detail = format!("It stays on {active} until somebody switches or restores.");
                    change.raise.push(self.alert(AlertRule::FailoverFlapping, primary, title, detail, true));
                }
                Turn::AllDown => {
                    let title = format!("{}: neither it nor a backup works", row.name(primary));
                    let detail = format!("Work waits until one of them does. {why}").trim_end().to_owned();
                    change.raise.push(self.alert(AlertRule::AllDown, primary, title, detail, true));
                }
                Turn::Recovered => change.resolve.push((AlertRule::AllDown, subject.clone())),
                Turn::Unpinned => change.audit.push(self.audit("failover.unpinned", primary)),
            }
        }
        change
    }

    fn audit(&self, action: &'static str, primary: IntegrationId) -> NewAudit {
        NewAudit {
            id: self.id(),
            at: self.now,
            actor: "Signalbox".to_owned(),
            action,
            subject: primary.to_string(),
            fields: vec!["active".to_owned()],
        }
    }

    /// The alert that work runs on a backup.
    pub(super) fn failed_over(
        &self,
        row: &FailoverRow,
        from: IntegrationId,
        to: IntegrationId,
        reason: String,
    ) -> NewAlert {
        let title = format!("{}: work runs on {}", row.name(from), row.name(to));
        self.alert(AlertRule::FailedOver, row.board.primary(), title, reason, row.rules.alert_on_failover)
    }

    fn alert(&self, rule: AlertRule, primary: IntegrationId, title: String, detail: String, is_told: bool) -> NewAlert {
        NewAlert {
            id: self.id(),
            rule,
            subject: primary.to_string(),
            title,
            detail,
            impact: String::new(),
            at: self.now,
            is_told,
        }
    }

    /// Entries about a move in the logs of both.
    pub(super) fn log(
        &self,
        row: &FailoverRow,
        from: IntegrationId,
        to: IntegrationId,
        reason: &str,
    ) -> Vec<NewLogEntry> {
        let entry = |integration, message| NewLogEntry {
            id: self.id(),
            integration,
            level: LogLevel::Warn,
            kind: LogKind::Failover,
            message,
            details: BTreeMap::from([("Reason".to_owned(), reason.to_owned())]),
            fault: None,
        };
        vec![
            entry(from, format!("Work moved to {}", row.name(to))),
            entry(to, format!("Work moved here from {}", row.name(from))),
        ]
    }
}
