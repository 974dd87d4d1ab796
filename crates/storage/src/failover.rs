//! Failover groups: one row each, changed under its lock.
//!
//! What follows from a result or from a person's wish is decided by the caller, between reading the row and writing it; the
//! move, its entry in the audit log, its alerts and the group's own log are the same transaction. So all nodes see one group,
//! and of two who move it at once one is told.

use domain::{
    AlertRule, FailoverId, FailoverMoveId, IntegrationId, IntegrationState, OrganizationId, PublicId, Timestamp,
    api::{FailoverMove, Page},
    failover::{Board, FailoverRules, MemberStatus, MoveKind},
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::{
    NewAlert, NewAudit, NewLogEntry, Result, Store, StoreError,
    alerts::{raise_alert, resolve_alert},
    audit,
    columns::{json, to_json, word},
    db::{reading, writing},
    hot::push_ids,
    keyset,
    logs::write_log,
    retention::PRUNED,
};

/// Most groups that are looked at, and most moves that are told, in one go.
const MOST: i64 = 100;

/// A member's place in a group, with what the group must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub id: IntegrationId,
    /// Its name and whether it is used; `None`: it was deleted.
    pub integration: Option<(String, IntegrationState)>,
}

/// A group.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverRow {
    /// Its id.
    pub id: FailoverId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// When work moves.
    pub rules: FailoverRules,
    /// What is known.
    pub board: Board,
    /// The primary, then the backups.
    pub seats: Vec<Seat>,
    /// Rises with what turns.
    pub version: i64,
}

impl FailoverRow {
    /// Members that can be used at all.
    pub fn able(&self) -> Vec<IntegrationId> {
        self.seats.iter().filter(|seat| self.ability(seat.id).is_ok()).map(|seat| seat.id).collect()
    }

    /// Whether a member can be used at all, or what is the matter.
    pub fn ability(&self, id: IntegrationId) -> std::result::Result<(), MemberStatus> {
        match self.seats.iter().find(|seat| seat.id == id).and_then(|seat| seat.integration.as_ref()) {
            None => Err(MemberStatus::Missing),
            Some((_, IntegrationState::Disabled)) => Err(MemberStatus::Disabled),
            Some((_, IntegrationState::Active)) => Ok(()),
        }
    }

    /// What a member is called.
    pub fn name(&self, id: IntegrationId) -> String {
        let seat = self.seats.iter().find(|seat| seat.id == id);
        seat.and_then(|seat| seat.integration.as_ref()).map_or_else(|| id.to_string(), |(name, _)| name.clone())
    }
}

/// A move to be stored. Its id says when.
#[derive(Debug, Clone)]
pub struct NewMove {
    /// Its id.
    pub id: FailoverMoveId,
    /// Away, or back.
    pub kind: MoveKind,
    /// From here, as it is called.
    pub from: (IntegrationId, String),
    /// To here, as it is called.
    pub to: (IntegrationId, String),
    /// Whether nobody asked for it.
    pub is_automatic: bool,
    /// Why.
    pub reason: String,
    /// Failures in a row at that time.
    pub failures: u32,
    /// Who moved it.
    pub actor: String,
}

/// What a group is after something, with all that is said of it.
#[derive(Debug, Clone)]
pub struct FailoverChange {
    /// What is known now.
    pub board: Board,
    /// Whether that is more than a count: whoever read the group before has old news.
    pub is_turn: bool,
    /// What moved.
    pub moved: Option<NewMove>,
    /// Entries of the audit log.
    pub audit: Vec<NewAudit>,
    /// Alerts that open.
    pub raise: Vec<NewAlert>,
    /// Alerts that are over, by rule and subject.
    pub resolve: Vec<(AlertRule, String)>,
    /// Entries of the members' logs.
    pub log: Vec<NewLogEntry>,
}

impl FailoverChange {
    /// Only what is known changed.
    pub const fn of(board: Board) -> Self {
        Self {
            board,
            is_turn: false,
            moved: None,
            audit: Vec::new(),
            raise: Vec::new(),
            resolve: Vec::new(),
            log: Vec::new(),
        }
    }
}

/// A group as it is to be.
#[derive(Debug, Clone)]
pub struct NewFailover {
    /// Its id.
    pub id: FailoverId,
    /// Its version when it was read; `None` for a new one.
    pub version: Option<i64>,
    /// The primary, then the backups: as the board has them.
    pub members: Vec<IntegrationId>,
    /// When work moves.
    pub rules: FailoverRules,
    /// What is known, and said of it.
    pub change: FailoverChange,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    organization_id: Uuid,
    rules: String,
    board: String,
    version: i64,
}

#[derive(sqlx::FromRow)]
struct SeatRow {
    integration_id: Uuid,
    name: Option<String>,
    state: Option<String>,
}

#[derive(sqlx::FromRow)]
struct MoveRow {
    id: Uuid,
    kind: String,
    from_id: Uuid,
    from_name: String,
    to_id: Uuid,
    to_name: String,
    is_automatic: bool,
    reason: String,
    failures: i64,
    actor: String,
}

#[derive(sqlx::FromRow)]
struct UntoldRow {
    organization_id: Uuid,
    #[sqlx(flatten)]
    moved: MoveRow,
}

impl Row {
    fn typed(self, seats: Vec<SeatRow>) -> Result<FailoverRow> {
        const TABLE: &str = "failover_groups";
        let seat = |row: SeatRow| {
            let state: Option<IntegrationState> =
                row.state.map(|text| word("integrations", "state", &text)).transpose()?;
            Ok(Seat { id: IntegrationId::from_uuid(row.integration_id), integration: row.name.zip(state) })
        };
        Ok(FailoverRow {
            id: FailoverId::from_uuid(self.id),
            organization: OrganizationId::from_uuid(self.organization_id),
            rules: json(TABLE, "rules", &self.rules)?,
            board: json(TABLE, "board", &self.board)?,
            seats: seats.into_iter().map(seat).collect::<Result<_>>()?,
            version: self.version,
        })
    }
}

impl TryFrom<MoveRow> for FailoverMove {
    type Error = StoreError;
    fn try_from(row: MoveRow) -> Result<Self> {
        let id = FailoverMoveId::from_uuid(row.id);
        Ok(Self {
            id,
            at: id.created_at(),
            kind: word("failover_moves", "kind", &row.kind)?,
            from_integration_id: IntegrationId::from_uuid(row.from_id),
            from_name: row.from_name,
            to_integration_id: IntegrationId::from_uuid(row.to_id),
            to_name: row.to_name,
            is_automatic: row.is_automatic,
            reason: row.reason,
            failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
            actor: row.actor,
        })
    }
}

const SEATS: &str = "select m.integration_id, i.name, i.state from failover_members m \
                     left join integrations i on i.id = m.integration_id where m.failover_id = $1 order by m.position";

/// Writes what a group is now with all that is said of it, inside a `writing!` body. Its row is locked already.
macro_rules! write_change {
    ($conn:expr, $organization:expr, $id:expr, $rules:expr, $change:expr, $now:expr) => {{
        let FailoverChange { board, is_turn, moved, audit: entries, raise, resolve, log } = $change;
        sqlx::query(
            "update failover_groups set rules = $2, board = $3, version = version + $4, look_at = $5 where id = $1",
        )
        .bind($id)
        .bind(to_json(&$rules))
        .bind(to_json(&board))
        .bind(i64::from(is_turn))
        .bind(board.look_at($rules).map(Timestamp::millis))
        .execute(&mut *$conn)
        .await?;
        if let Some(moved) = moved {
            sqlx::query(
                "insert into failover_moves (id, organization_id, failover_id, kind, from_id, from_name, to_id, \
                 to_name, is_automatic, reason, failures, actor, is_untold) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            )
            .bind(moved.id.uuid())
            .bind($organization.uuid())
            .bind($id)
            .bind(moved.kind.as_str())
            .bind(moved.from.0.uuid())
            .bind(moved.from.1)
            .bind(moved.to.0.uuid())
            .bind(moved.to.1)
            .bind(moved.is_automatic)
            .bind(moved.reason)
            .bind(i64::from(moved.failures))
            .bind(moved.actor)
            .bind(true)
            .execute(&mut *$conn)
            .await?;
        }
        for entry in &log {
            write_log!($conn, $organization, entry);
        }
        for (rule, subject) in resolve {
            let _was_open = resolve_alert!($conn, $organization, rule, subject, $now);
        }
        for alert in &raise {
            let _is_new = raise_alert!($conn, $organization, alert);
        }
        for entry in &entries {
            audit::append($conn, $organization, entry).await?;
        }
    }};
}

impl Store {
    /// The group that an integration is in, as its primary or as a backup.
    pub async fn failover_of(
        &self,
        organization: OrganizationId,
        member: IntegrationId,
    ) -> Result<Option<FailoverRow>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, organization_id, rules, board, version from failover_groups where organization_id = $1 \
             and id = (select failover_id from failover_members where integration_id = $2)",
        )
        .bind(organization.uuid())
        .bind(member.uuid())
        .fetch_optional(db)
        .await)?;
        let Some(row) = row else { return Ok(None) };
        let seats: Vec<SeatRow> = reading!(self, db => sqlx::query_as(SEATS).bind(row.id).fetch_all(db).await)?;
        row.typed(seats).map(Some)
    }

    /// Members of an organization's groups, and whether each is the primary of its group.
    pub async fn failover_members(&self, organization: OrganizationId) -> Result<Vec<(IntegrationId, bool)>> {
        let rows: Vec<(Uuid, i64)> = reading!(self, db => sqlx::query_as(
            "select m.integration_id, m.position from failover_members m join failover_groups g \
             on g.id = m.failover_id where g.organization_id = $1 order by m.integration_id",
        )
        .bind(organization.uuid())
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(|(id, position)| (IntegrationId::from_uuid(id), position == 0)).collect())
    }

    /// Stores a group, new or changed. `Stale` when somebody was faster; an integration that is in another group is
    /// `Conflict("failover_members_integration")`.
    pub async fn put_failover(&self, organization: OrganizationId, new: NewFailover, now: Timestamp) -> Result<()> {
        writing!(self, conn => {
            let NewFailover { id, version, members, rules, change } = new;
            let primary = change.board.primary().uuid();
            match version {
                None => {
                    sqlx::query(
                        "insert into failover_groups (id, organization_id, primary_id, rules, board, version) \
                         values ($1, $2, $3, '', '', 0)",
                    )
                    .bind(id.uuid())
                    .bind(organization.uuid())
                    .bind(primary)
                    .execute(&mut *conn)
                    .await?;
                }
                Some(version) => {
                    let locked = sqlx::query(
                        "update failover_groups set primary_id = $4 where organization_id = $1 and id = $2 \
                         and version = $3",
                    )
                    .bind(organization.uuid())
                    .bind(id.uuid())
                    .bind(version)
                    .bind(primary)
                    .execute(&mut *conn)
                    .await?;
                    if locked.rows_affected() == 0 {
                        return Err(StoreError::Stale);
                    }
                    sqlx::query("delete from failover_members where failover_id = $1")
                        .bind(id.uuid())
                        .execute(&mut *conn)
                        .await?;
                }
            }
            for (position, member) in (0_i64..).zip(members) {
                sqlx::query(
                    "insert into failover_members (failover_id, position, integration_id) values ($1, $2, $3)",
                )
                .bind(id.uuid())
                .bind(position)
                .bind(member.uuid())
                .execute(&mut *conn)
                .await?;
            }
            write_change!(conn, organization, id.uuid(), rules, change, now);
            Ok(())
        })
    }

    /// Gives a group up. What moved is kept as long as other history. `Stale` when somebody was faster.
    pub async fn delete_failover(
        &self,
        organization: OrganizationId,
        id: FailoverId,
        version: i64,
        subject: String,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            let gone = sqlx::query("delete from failover_groups where organization_id = $1 and id = $2 and version = $3")
                .bind(organization.uuid())
                .bind(id.uuid())
                .bind(version)
                .execute(&mut *conn)
                .await?;
            if gone.rows_affected() == 0 {
                return Err(StoreError::Stale);
            }
            for rule in [AlertRule::FailedOver, AlertRule::FailoverFlapping, AlertRule::AllDown] {
                let _was_open = resolve_alert!(conn, organization, rule, subject, audit.at);
            }
            audit::append(conn, organization, &audit).await
        })
    }

    /// Changes a group into what `decide` makes of it, while nobody else does; `None` of it leaves the group as it is. With
    /// `version`, `Stale` when that is not the one that is stored. Answers the group as it was and the change; `None`: the
    /// group is gone, or nothing changed.
    pub async fn change_failover(
        &self,
        organization: OrganizationId,
        id: FailoverId,
        version: Option<i64>,
        now: Timestamp,
        decide: impl FnOnce(&FailoverRow) -> Option<FailoverChange> + Send + 'static,
    ) -> Result<Option<(FailoverRow, FailoverChange)>> {
        writing!(self, conn => {
            let row: Option<Row> = sqlx::query_as(
                "update failover_groups set version = version where organization_id = $1 and id = $2 \
                 returning id, organization_id, rules, board, version",
            )
            .bind(organization.uuid())
            .bind(id.uuid())
            .fetch_optional(&mut *conn)
            .await?;
            let Some(row) = row else { return Ok(None) };
            if version.is_some_and(|version| version != row.version) {
                return Err(StoreError::Stale);
            }
            let seats: Vec<SeatRow> = sqlx::query_as(SEATS).bind(row.id).fetch_all(&mut *conn).await?;
            let before = row.typed(seats)?;
            let Some(change) = decide(&before) else { return Ok(None) };
            write_change!(conn, organization, id.uuid(), before.rules, change.clone(), now);
            Ok(Some((before, change)))
        })
    }

    /// Groups that have to be looked at, at most a hundred. Not scoped to one organization: it is the worker that asks.
    pub async fn due_failovers(&self, now: Timestamp) -> Result<Vec<(OrganizationId, FailoverId)>> {
        let rows: Vec<(Uuid, Uuid)> = reading!(self, db => sqlx::query_as(
            "select organization_id, id from failover_groups where look_at <= $1 order by look_at limit $2",
        )
        .bind(now.millis())
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        let typed = |(organization, id)| (OrganizationId::from_uuid(organization), FailoverId::from_uuid(id));
        Ok(rows.into_iter().map(typed).collect())
    }

    /// Moves of a group, newest first.
    pub async fn failover_moves(
        &self,
        organization: OrganizationId,
        id: FailoverId,
        before: Option<FailoverMoveId>,
        limit: u32,
    ) -> Result<Page<FailoverMove>> {
        let rows: Vec<MoveRow> = reading!(self, db => sqlx::query_as(
            "select id, kind, from_id, from_name, to_id, to_name, is_automatic, reason, failures, actor \
             from failover_moves where organization_id = $1 and failover_id = $2 and id < $3 order by id desc limit $4",
        )
        .bind(organization.uuid())
        .bind(id.uuid())
        .bind(keyset::before(before))
        .bind(keyset::one_more(limit))
        .fetch_all(db)
        .await)?;
        keyset::page(rows, limit, |moved: &FailoverMove| moved.id.to_string())
    }

    /// Moves that webhooks have not heard of, the oldest first. Not scoped: it is the worker that asks.
    pub async fn untold_failover_moves(&self) -> Result<Vec<(OrganizationId, FailoverMove)>> {
        let rows: Vec<UntoldRow> = reading!(self, db => sqlx::query_as(
            "select organization_id, id, kind, from_id, from_name, to_id, to_name, is_automatic, reason, failures, actor \
             from failover_moves where is_untold order by id limit $1",
        )
        .bind(MOST)
        .fetch_all(db)
        .await)?;
        let typed = |row: UntoldRow| Ok((OrganizationId::from_uuid(row.organization_id), row.moved.try_into()?));
        rows.into_iter().map(typed).collect()
    }

    /// Webhooks have heard of a move.
    pub async fn tell_failover_move(&self, organization: OrganizationId, id: FailoverMoveId) -> Result<()> {
        writing!(self, conn => {
            sqlx::query("update failover_moves set is_untold = $3 where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .bind(false)
                .execute(&mut *conn)
                .await?;
            Ok(())
        })
    }

    /// Makes e-mails due that wait because one of `members` failed. Answers how many.
    pub async fn hasten_emails(
        &self,
        organization: OrganizationId,
        members: Vec<IntegrationId>,
        now: Timestamp,
    ) -> Result<u64> {
        writing!(self, conn => {
            let mut sql = QueryBuilder::new("update emails set next_try_at = ");
            sql.push_bind(now.millis()).push(" where organization_id = ").push_bind(organization.uuid());
            sql.push(" and node_id is null and state = 'deferred' and next_try_at > ").push_bind(now.millis());
            let ids: Vec<Uuid> = members.into_iter().map(PublicId::uuid).collect();
            sql.push(" and fault is not null and fault <> 'rejected' and (integration_id is null or integration_id in (");
            push_ids!(sql, "", &ids);
            Ok(sql.push(")").build().execute(&mut *conn).await?.rows_affected())
        })
    }

    /// Deletes moves from before `before`, at most [`PRUNED`]. Answers how many.
    pub async fn prune_failover_moves(&self, organization: OrganizationId, before: Timestamp) -> Result<u64> {
        writing!(self, conn => {
            let done = sqlx::query(
                "delete from failover_moves where id in (select id from failover_moves where organization_id = $1 \
                 and id < $2 order by id limit $3)",
            )
            .bind(organization.uuid())
            .bind(keyset::first_id(before))
            .bind(i64::from(PRUNED))
            .execute(&mut *conn)
            .await?;
            Ok(done.rows_affected())
        })
    }
}
