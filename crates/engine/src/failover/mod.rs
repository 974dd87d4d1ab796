//! Failover: groups of integrations that stand in for each other, and moves that people want.
//!
//! What moves work by itself is decided in `domain::failover`, and carried out in [`group`]. Here is what people see and say
//! of it. A move is refused with the reason when where it leads cannot do the work; whether it can is tried, not assumed.

mod group;
mod rehearsal;
mod view;
mod way;
mod work;
mod worker;

use domain::{
    AlertRule, FailoverMoveId, IntegrationId, OrganizationId, Permission, Problems,
    api::{ApiError, ErrorCode, Failover, FailoverMove, FailoverMoveQuery, Integration, LogKind, Page},
    failover::{Board, FailoverDraft, MoveDraft, MoveKind, PROBE_DEADLINE_MS, Pin},
};
use storage::{FailoverChange, FailoverRow, IntegrationRow, NewFailover, NewMove};

pub(crate) use way::Way;
pub(crate) use work::{Carried, Handed, Verdict, Work, unavailable};
pub(crate) use worker::run;

use crate::{Actor, Engine, LiveEvent, Result, error::refused, paging};

fn conflict(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Conflict, detail)
}

impl Engine {
    /// Who does the work of an integration, and when that changes.
    pub async fn failover(&self, actor: &Actor, id: IntegrationId) -> Result<Failover> {
        actor.require(Permission::ReadIntegrations)?;
        self.failover_view(actor.organization, id).await
    }

    /// Changes a primary's backups and when they take over. Without backups the group is given up.
    pub async fn put_failover(&self, actor: &Actor, id: IntegrationId, draft: FailoverDraft) -> Result<Failover> {
        actor.require(Permission::WriteIntegrations)?;
        let organization = actor.organization;
        let primary = self.find_integration(organization, id).await?.integration;
        let stored = self.inner.store.failover_of(organization, id).await.map_err(refused)?;
        if let Some(row) = stored.as_ref().filter(|row| row.board.primary() != id) {
            let of = row.name(row.board.primary());
            return Err(conflict(format!("{} is a backup of {of}. Change the settings there.", primary.name)));
        }
        let version = stored.as_ref().map_or(0, |row| row.version);
        if draft.version.is_some_and(|read| read != version) {
            return Err(refused(storage::StoreError::Stale));
        }
        self.check_failover(organization, &primary, stored.as_ref(), &draft).await?;
        let (backups, now) = (draft.backups(), self.now());
        if let Some(row) = &stored
            && row.board.active != id
            && !backups.contains(&row.board.active)
        {
            let name = row.name(row.board.active);
            return Err(conflict(format!("Work runs on {name} now. Restore the primary before you remove it.")));
        }
        let audit = |action| self.audit_entry(actor, action, &id, &["backups", "rules"]);
        if backups.is_empty() {
            if let Some(row) = stored {
                let gone = audit("failover.removed");
                let deleted = self.inner.store.delete_failover(organization, row.id, row.version, id.to_string(), gone);
                deleted.await.map_err(refused)?;
            }
        } else {
            let mut board = stored.as_ref().map_or_else(|| Board::new(id, &backups, now), |row| row.board.clone());
            board.arrange(id, &backups, now);
            let new = NewFailover {
                id: stored.as_ref().map_or_else(|| self.new_id(), |row| row.id),
                version: stored.as_ref().map(|row| row.version),
                members: std::iter::once(id).chain(backups).collect(),
                rules: draft.rules(),
                change: FailoverChange {
                    is_turn: true,
                    audit: vec![audit("failover.updated")],
                    resolve: vec![(AlertRule::FailoverFlapping, id.to_string())],
                    ..FailoverChange::of(board)
                },
            };
            self.inner.store.put_failover(organization, new, now).await.map_err(refused)?;
            self.inner.look_at_failover(organization, id).await;
        }
        self.inner.live.send(organization, LiveEvent::Integrations);
        self.failover_view(organization, id).await
    }

    async fn check_failover(
        &self,
        organization: OrganizationId,
        primary: &Integration,
        stored: Option<&FailoverRow>,
        draft: &FailoverDraft,
    ) -> Result<()> {
        let mut problems = draft.check(primary.id);
        let channel = self.provider(&primary.provider)?.channel.clone();
        let first = draft.backup_integration_id.map(|id| ("backup_integration_id", id));
        let further = draft.further_backup_ids.iter().map(|id| ("further_backup_ids", *id));
        for (field, backup) in first.into_iter().chain(further).filter(|(_, backup)| *backup != primary.id) {
            let found = self.inner.store.integration(organization, backup, self.now()).await.map_err(refused)?;
            let Some(found) = found.map(|row| row.integration) else {
                problems.add(field, format!("Unknown integration: {backup}"));
                continue;
            };
            let of = self.inner.providers.provider(&found.provider).and_then(|provider| provider.channel.clone());
            if channel.is_none() || of != channel {
                problems.add(field, format!("{} cannot do the work of {}", found.name, primary.name));
            }
            let other = self.inner.store.failover_of(organization, backup).await.map_err(refused)?;
            if let Some(other) = other.filter(|other| stored.is_none_or(|stored| stored.id != other.id)) {
                let of = other.name(other.board.primary());
                problems.add(field, format!("{} stands in for {of} already, or has backups itself", found.name));
            }
        }
        Ok(problems.or(())?)
    }

    /// Moves work by a person's decision. It stays there until the decision is ended or its time is over.
    pub async fn trigger_failover(&self, actor: &Actor, id: IntegrationId, draft: MoveDraft) -> Result<Failover> {
        actor.require(Permission::OperateIntegrations)?;
        draft.check()?;
        let row = self.find_failover(actor.organization, id).await?;
        let able = row.able();
        let others = || row.board.members.iter().filter(|member| member.id != row.board.active);
        let to = match draft.to_integration_id {
            Some(to) if row.board.member(to).is_some() => to,
            Some(_) => return Err(Problems::one("to_integration_id", "This is no member of the group").into()),
            None => {
                let works = others().find(|member| able.contains(&member.id) && !member.is_open);
                let any = works.or_else(|| others().next());
                any.map(|member| member.id).ok_or_else(|| conflict("There is no other member to switch to."))?
            }
        };
        if to == row.board.active {
            let (name, since) = (row.name(to), row.board.since);
            return Err(conflict(format!("{name} does the work already, since {since}. Nothing was changed.")));
        }
        let until = draft.pin_minutes.map(|minutes| self.now().plus_ms(i64::from(minutes) * 60_000));
        self.move_work(actor, id, row, to, Some(Pin { until }), draft).await
    }

    /// Moves work back to the primary, and lets results decide again.
    pub async fn restore_failover(&self, actor: &Actor, id: IntegrationId, draft: MoveDraft) -> Result<Failover> {
        actor.require(Permission::OperateIntegrations)?;
        draft.check()?;
        let row = self.find_failover(actor.organization, id).await?;
        let primary = row.board.primary();
        if row.board.active == primary && row.board.pin.is_none() {
            return Err(conflict(format!("{} does the work already. Nothing was changed.", row.name(primary))));
        }
        self.move_work(actor, id, row, primary, None, draft).await
    }

    /// Makes a backup the primary; the old one becomes the first backup. Work moves with it.
    pub async fn make_primary(&self, actor: &Actor, id: IntegrationId, draft: MoveDraft) -> Result<Failover> {
        actor.require(Permission::WriteIntegrations)?;
        draft.check()?;
        let mut row = self.find_failover(actor.organization, id).await?;
        let Some(to) = draft.to_integration_id.filter(|to| row.board.member(*to).is_some()) else {
            return Err(Problems::one("to_integration_id", "Please name a backup of the group").into());
        };
        if to == row.board.primary() {
            return Err(conflict(format!("{} is the primary already. Nothing was changed.", row.name(to))));
        }
        self.check_move(&row, to, &draft).await?;
        let (now, old) = (self.now(), row.board.primary());
        let backups: Vec<_> = row.board.members.iter().map(|member| member.id).filter(|member| *member != to).collect();
        let from = row.board.active;
        row.board.arrange(to, &backups, now);
        row.board.decide(to, None, now);
        let mut change = self.decided(actor, &row, from, &draft);
        change.audit.push(self.audit_entry(actor, "failover.primary_changed", &to, &["primary"]));
        change.resolve = group::RULES.map(|rule| (rule, old.to_string())).to_vec();
        change.raise.clear();
        if from == to {
            change.moved = None;
        }
        let new = NewFailover {
            id: row.id,
            version: Some(row.version),
            members: row.board.members.iter().map(|member| member.id).collect(),
            rules: row.rules,
            change,
        };
        self.inner.store.put_failover(actor.organization, new, now).await.map_err(refused)?;
        self.inner.moved_on(&row).await;
        self.failover_view(actor.organization, id).await
    }

    /// What moved, newest first.
    pub async fn failover_moves(
        &self,
        actor: &Actor,
        id: IntegrationId,
        query: FailoverMoveQuery,
    ) -> Result<Page<FailoverMove>> {
        actor.require(Permission::ReadIntegrations)?;
        let after: Option<FailoverMoveId> = paging::after(query.cursor.as_deref())?;
        self.find_integration(actor.organization, id).await?;
        let store = &self.inner.store;
        let Some(row) = store.failover_of(actor.organization, id).await.map_err(refused)? else {
            return Ok(Page { data: Vec::new(), next_cursor: None });
        };
        store.failover_moves(actor.organization, row.id, after, paging::limit(query.limit)).await.map_err(refused)
    }

    async fn find_failover(&self, organization: OrganizationId, id: IntegrationId) -> Result<FailoverRow> {
        let integration = self.find_integration(organization, id).await?.integration;
        let found = self.inner.store.failover_of(organization, id).await.map_err(refused)?;
        found.ok_or_else(|| conflict(format!("{} has no backup. Choose one first.", integration.name)))
    }

    async fn move_work(
        &self,
        actor: &Actor,
        id: IntegrationId,
        row: FailoverRow,
        to: IntegrationId,
        pin: Option<Pin>,
        draft: MoveDraft,
    ) -> Result<Failover> {
        self.check_move(&row, to, &draft).await?;
        let (organization, now, from) = (actor.organization, self.now(), row.board.active);
        // The test took its time, and its result is known now. What turned meanwhile is somebody else's.
        let mut after = self.find_failover(organization, id).await?;
        if after.board.active != from || after.board.pin != row.board.pin {
            return Err(refused(storage::StoreError::Stale));
        }
        after.board.decide(to, pin, now);
        let change = self.decided(actor, &after, from, &draft);
        // Between reading and writing, single results may be lost; moves are not, because the version is compared.
        let version = Some(after.version);
        let moved = self.inner.store.change_failover(organization, after.id, version, now, |_| Some(change));
        if moved.await.map_err(refused)?.is_none() {
            return Err(refused(storage::StoreError::Stale));
        }
        self.inner.moved_on(&after).await;
        self.failover_view(organization, id).await
    }

    /// Whether work may move to a member: nobody was faster, it is there, switched on and complete, and it works.
    async fn check_move(&self, row: &FailoverRow, to: IntegrationId, draft: &MoveDraft) -> Result<()> {
        if draft.version.is_some_and(|version| version != row.version) {
            return Err(refused(storage::StoreError::Stale));
        }
        let found = self.inner.store.integration(row.organization, to, self.now()).await.map_err(refused)?;
        let fit = self.inner.fit(row, to, found).await;
        let member = fit.map_err(|reason| conflict(format!("{reason}. Nothing was changed.")))?;
        if draft.force {
            return Ok(());
        }
        let name = member.integration.name.clone();
        match self.try_member(member).await {
            None => Ok(()),
            Some(reason) => {
                Err(conflict(format!("{name} does not work: {reason}. Nothing was changed; it can be forced.")))
            }
        }
    }

    /// What is wrong with a member right now, within the deadline of a probe.
    async fn try_member(&self, member: IntegrationRow) -> Option<String> {
        let deadline = std::time::Duration::from_millis(PROBE_DEADLINE_MS.unsigned_abs());
        match tokio::time::timeout(deadline, self.inner.check_health(member, None, LogKind::Test)).await {
            Ok(Some(found)) => (!found.ok).then_some(found.message),
            Ok(None) => Some("this version does not know its provider".to_owned()),
            Err(_) => Some("it did not answer in 10 seconds".to_owned()),
        }
    }

    /// What is stored with a move that a person decided; `row` is the group after it.
    fn decided(&self, actor: &Actor, row: &FailoverRow, from: IntegrationId, draft: &MoveDraft) -> FailoverChange {
        let (to, primary) = (row.board.active, row.board.primary());
        let is_back = to == primary;
        let reason = draft.reason.trim().to_owned();
        let failures = row.board.member(from).map_or(0, |member| member.failures);
        let kind = if is_back { MoveKind::Restored } else { MoveKind::Switched };
        let subject = primary.to_string();
        let action = if is_back { "failover.restored" } else { "failover.switched" };
        let mut change = FailoverChange {
            is_turn: true,
            moved: Some(NewMove {
                id: self.new_id(),
                kind,
                from: (from, row.name(from)),
                to: (to, row.name(to)),
                is_automatic: false,
                reason: reason.clone(),
                failures,
                actor: actor.label(),
            }),
            audit: vec![self.audit_entry(actor, action, &primary, &["active"])],
            resolve: vec![(AlertRule::FailoverFlapping, subject.clone()), (AlertRule::AllDown, subject.clone())],
            ..FailoverChange::of(row.board.clone())
        };
        let scribe = self.inner.scribe();
        change.log = scribe.log(row, from, to, &reason);
        if is_back {
            change.resolve.push((AlertRule::FailedOver, subject));
        } else {
            change.raise.push(scribe.failed_over(row, from, to, reason));
        }
        change
    }
}
