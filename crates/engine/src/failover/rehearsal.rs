//! What would happen if: other settings, tried on what was recorded.
//!
//! The order of failures is that of the log, which has every piece of work and every check that failed. Checks that went well
//! are known by the minute, from the health figures; they are taken to have come at its end. Work that somebody did who was not
//! in charge went on there after it had failed: it says how that member was, and is no piece of work of its own.

use domain::{
    IntegrationId, Permission, Timestamp,
    api::{FailoverMoveQuery, Rehearsal, RehearsedMove},
    failover::{MoveKind, Past, RehearsalDraft, WouldMove, evidence, rehearse},
};
use storage::RecordedResult;

use crate::{Actor, Engine, Result, error::refused};

/// Most results that are looked at, the newest.
const MOST: u32 = 20_000;
/// Most moves of those that happened that are counted.
const MOST_MOVES: u32 = 200;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

impl Engine {
    /// Tries other settings of a group on what was recorded of its members. Nothing is changed.
    pub async fn rehearse_failover(
        &self,
        actor: &Actor,
        id: IntegrationId,
        draft: RehearsalDraft,
    ) -> Result<Rehearsal> {
        actor.require(Permission::ReadIntegrations)?;
        draft.check()?;
        let organization = actor.organization;
        let row = self.find_failover(organization, id).await?;
        let (store, to) = (&self.inner.store, self.now());
        let asked = to.plus_ms(-i64::from(draft.hours) * HOUR_MS);
        let members: Vec<IntegrationId> = row.board.members.iter().map(|member| member.id).collect();
        let recorded = store.recorded_results(organization, &members, asked, MOST).await.map_err(refused)?;
        // What is older than the oldest that was read is not known in full.
        let is_cut = recorded.len() >= MOST as usize;
        let from = recorded.first().filter(|_| is_cut).map_or(asked, |oldest| oldest.at);
        let query = FailoverMoveQuery { limit: Some(MOST_MOVES), cursor: None };
        let mut happened = self.failover_moves(actor, id, query).await?.data;
        happened.retain(|moved| moved.at >= from);
        // They come with the newest first.
        let in_charge = |at: Timestamp| {
            let before = happened.iter().find(|moved| moved.at < at).map(|moved| moved.to_integration_id);
            before.or_else(|| happened.last().map(|first| first.from_integration_id)).unwrap_or(row.board.active)
        };
        let (mut past, mut work) = (Vec::with_capacity(recorded.len()), 0);
        for RecordedResult { at, integration, fault, is_work } in recorded {
            if let Some(is_good) = evidence(fault, is_work) {
                let is_work = is_work && in_charge(at) == integration;
                work += u32::from(is_work);
                past.push(Past { at, of: integration, is_good, is_work });
            }
        }
        for member in &members {
            // One minute of a span lies half before it.
            let minutes = draft.hours * 60 + 1;
            let series = store.health_series(organization, *member, 1, from, minutes).await.map_err(refused)?;
            for minute in series.iter().filter(|minute| minute.figures.checks_ok > 0) {
                let at = minute.at.plus_ms(MINUTE_MS - 1).min(to);
                past.push(Past { at, of: *member, is_good: true, is_work: false });
            }
        }
        past.sort_by_key(|past| past.at);
        let rules = draft.rules(row.rules);
        let outcome = rehearse(&members, rules, &past, from, to);
        let is_past = |past: &&Past| past.at >= from && !past.is_work;
        let moved = |moved: &WouldMove| RehearsedMove {
            at: moved.at,
            kind: if moved.to == row.board.primary() { MoveKind::Restored } else { MoveKind::Switched },
            from_integration_id: moved.from,
            from_name: row.name(moved.from),
            to_integration_id: moved.to,
            to_name: row.name(moved.to),
            failures: moved.failures,
        };
        Ok(Rehearsal {
            from,
            to,
            rules,
            work,
            checks: counted(past.iter().filter(is_past).count()),
            moves: outcome.moves.iter().map(moved).collect(),
            actual_moves: counted(happened.len()),
            away_s: outcome.away_ms / 1_000,
            all_down_s: outcome.all_down_ms / 1_000,
            failed: outcome.failed,
            waited: outcome.waited,
            is_flapping: outcome.is_flapping,
        })
    }
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
