//! Failover: which integration of a group does the work.
//!
//! Pure: [`Board`] takes one result after the other and answers what turned. The numbers are those of
//! `research/connections.md` §2.6. What decides is how often a provider failed in a row, or how much of its work in a minute;
//! what holds back is that a move has to be proved, lasts, and cannot happen often. It refuses to know integrations by more
//! than their ids: who can be used at all is told by the caller.

mod member;
mod rehearsal;
mod settings;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use member::{Member, PROBE_DEADLINE_MS};
pub use rehearsal::{Outcome, Past, WouldMove, rehearse};
pub use settings::{
    DEFAULT_THRESHOLD, FailoverDraft, FailoverRules, MAX_BACKUPS, MAX_REHEARSED_HOURS, MoveDraft, RehearsalDraft,
    Repeat, THRESHOLD,
};

use crate::{IntegrationId, Timestamp, catalogue::Fault, words::words};
use member::OPEN_MS;

/// How long work stays where it was moved to, at least, before it goes back by itself, in milliseconds.
pub const DWELL_MS: i64 = 300_000;
/// Good results in a row that prove that the primary is back.
pub const GOOD_TO_RESTORE: u32 = 3;
/// Moves within [`FLAP_WINDOW_MS`] after which a person has to decide. A group with more backups has as many as backups.
pub const MOST_MOVES: usize = 3;
/// The span in which moves are counted, in milliseconds.
pub const FLAP_WINDOW_MS: i64 = 3_600_000;

words! {
    /// Who decides where work goes.
    pub enum FailoverMode {
        /// Results do.
        Auto = "auto",
        /// A person did.
        Pinned = "pinned",
    }

    /// How a member of a group is.
    pub enum MemberStatus {
        /// It does the work.
        Active = "active",
        /// It could take over.
        Standby = "standby",
        /// It failed, and is tried now and then.
        Down = "down",
        /// It failed, and its tries succeed again.
        Recovering = "recovering",
        /// It is switched off.
        Disabled = "disabled",
        /// It was deleted.
        Missing = "missing",
    }

    /// What a move was.
    pub enum MoveKind {
        /// Away from what did the work.
        Switched = "switched",
        /// Back to the primary.
        Restored = "restored",
    }
}

/// A person's decision where work goes. It holds against every result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Until when; `None`: until a person ends it.
    pub until: Option<Timestamp>,
}

/// What is known of a group: stored as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// Who does the work.
    pub active: IntegrationId,
    /// Since when.
    pub since: Timestamp,
    /// Set while a person has decided.
    pub pin: Option<Pin>,
    /// The primary, then the backups in their order.
    pub members: Vec<Member>,
    /// When work moved by itself, within [`FLAP_WINDOW_MS`].
    pub moves: Vec<Timestamp>,
    /// Work moved too often to go back by itself: a person has to decide.
    pub is_flapping: bool,
    /// Nobody works: work waits.
    pub is_all_down: bool,
}

/// What turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Work moved by itself.
    Moved {
        /// From here.
        from: IntegrationId,
        /// To here.
        to: IntegrationId,
        /// Whether it went back to the primary because that works again, and not away from what failed.
        is_restore: bool,
        /// Failures in a row of what it moved away from.
        failures: u32,
    },
    /// It moves too often.
    Flapping,
    /// Nobody works any more.
    AllDown,
    /// Somebody works again.
    Recovered,
    /// A person's decision ended by its time.
    Unpinned,
}

/// What a result says of a provider: `Some(true)` that it works. `None`: nothing, because it refused a recipient or a content.
/// A probe carries neither, so what is refused there is the provider's doing.
pub fn evidence(fault: Option<Fault>, is_work: bool) -> Option<bool> {
    match fault {
        None => Some(true),
        Some(fault) if is_work && !fault.is_providers() => None,
        Some(_) => Some(false),
    }
}

impl Board {
    /// Of a new group, whose primary does the work.
    pub fn new(primary: IntegrationId, backups: &[IntegrationId], now: Timestamp) -> Self {
        let members = std::iter::once(primary).chain(backups.iter().copied()).map(Member::new).collect();
        Self {
            active: primary,
            since: now,
            pin: None,
            members,
            moves: Vec::new(),
            is_flapping: false,
            is_all_down: false,
        }
    }

    /// The primary.
    pub fn primary(&self) -> IntegrationId {
        // A group is made with its primary, and `arrange` keeps one.
        self.members.first().map_or(self.active, |member| member.id)
    }

    /// Whether results decide, or a person did.
    pub const fn mode(&self) -> FailoverMode {
        if self.pin.is_some() { FailoverMode::Pinned } else { FailoverMode::Auto }
    }

    /// What is known of a member.
    pub fn member(&self, id: IntegrationId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Gives the group these members in this order; what is known of those that stay is kept. Who does the work goes on if it
    /// is among them. A person did this: what held back automatic moves is forgotten.
    pub fn arrange(&mut self, primary: IntegrationId, backups: &[IntegrationId], now: Timestamp) {
        let mut next = Self::new(primary, backups, now);
        for member in &mut next.members {
            if let Some(known) = self.member(member.id) {
                *member = known.clone();
            }
        }
        self.members = next.members;
        if self.member(self.active).is_none() {
            self.place(primary, now);
            self.pin = None;
        }
        self.moves.clear();
        self.is_flapping = false;
    }

    /// Moves work by a person's decision, which holds until `pin` ends.
    pub fn decide(&mut self, to: IntegrationId, pin: Option<Pin>, now: Timestamp) {
        self.place(to, now);
        self.pin = pin;
        self.moves.clear();
        self.is_flapping = false;
        self.is_all_down = false;
    }

    /// Takes in a result of a member, and looks. `able` are those that can be used at all; `share` (0–1) moves the times of
    /// probes.
    pub fn hear(
        &mut self,
        rules: FailoverRules,
        able: &[IntegrationId],
        of: IntegrationId,
        is_good: bool,
        at: Timestamp,
        share: f64,
    ) -> Vec<Turn> {
        let is_active = of == self.active;
        if let Some(member) = self.members.iter_mut().find(|member| member.id == of) {
            member.hear(rules.failover_threshold, is_good, is_active, at, share);
        }
        self.look(rules, able, at, share)
    }

    /// Decides what follows from what is known and from the time.
    pub fn look(&mut self, rules: FailoverRules, able: &[IntegrationId], now: Timestamp, share: f64) -> Vec<Turn> {
        let mut turns = Vec::new();
        if self.pin.is_some_and(|pin| pin.until.is_some_and(|until| until <= now)) {
            self.pin = None;
            turns.push(Turn::Unpinned);
        }
        self.moves.retain(|at| now.since_ms(*at) < FLAP_WINDOW_MS);
        let is_usable = |member: &Member| !member.is_open && able.contains(&member.id);
        let usable: Vec<IntegrationId> =
            self.members.iter().filter(|member| is_usable(member)).map(|member| member.id).collect();
        if self.pin.is_none() && rules.enable_auto_failover {
            if !usable.contains(&self.active) {
                if let Some(to) = usable.first() {
                    self.move_by_itself(*to, false, now, &mut turns);
                }
            } else if self.is_to_be_restored(rules, &usable, now) {
                self.move_by_itself(self.primary(), true, now, &mut turns);
            }
        }
        let is_all_down = usable.is_empty();
        if is_all_down != self.is_all_down {
            self.is_all_down = is_all_down;
            turns.push(if is_all_down { Turn::AllDown } else { Turn::Recovered });
        }
        self.plan_probes(rules, able, now, share);
        turns
    }

    fn is_to_be_restored(&self, rules: FailoverRules, usable: &[IntegrationId], now: Timestamp) -> bool {
        let primary = self.primary();
        self.waits_for_primary(rules)
            && usable.contains(&primary)
            && self.member(primary).is_some_and(|member| member.good >= GOOD_TO_RESTORE)
            && now.since_ms(self.since) >= DWELL_MS
    }

    /// Whether work is to go back to the primary when that is proved.
    fn waits_for_primary(&self, rules: FailoverRules) -> bool {
        let is_automatic = rules.enable_auto_failover && rules.auto_restore && self.pin.is_none();
        is_automatic && !self.is_flapping && self.active != self.primary()
    }

    fn move_by_itself(&mut self, to: IntegrationId, is_restore: bool, now: Timestamp, turns: &mut Vec<Turn>) {
        if self.moves.len() >= MOST_MOVES.max(self.members.len() - 1) {
            if !self.is_flapping {
                self.is_flapping = true;
                turns.push(Turn::Flapping);
            }
            return;
        }
        let from = self.active;
        let failures = self.member(from).map_or(0, |member| member.failures);
        self.moves.push(now);
        self.place(to, now);
        turns.push(Turn::Moved { from, to, is_restore, failures });
    }

    fn place(&mut self, to: IntegrationId, now: Timestamp) {
        self.active = to;
        self.since = now;
        for member in self.members.iter_mut().filter(|member| member.id == to) {
            member.close();
        }
    }

    /// Who failed is probed, and so is the primary while work waits to go back to it.
    fn plan_probes(&mut self, rules: FailoverRules, able: &[IntegrationId], now: Timestamp, share: f64) {
        let (primary, waits) = (self.primary(), self.waits_for_primary(rules));
        for member in &mut self.members {
            let is_wanted = able.contains(&member.id) && (member.is_open || (waits && member.id == primary));
            member.next_probe_at = match member.next_probe_at {
                _ if !is_wanted => None,
                None => Some(now.plus_ms(member::jittered(OPEN_MS, share))),
                planned => planned,
            };
            if !is_wanted {
                member.probing_until = None;
            }
        }
    }

    /// Members whose probe is due and that nobody probes now; they are being probed from now on, until
    /// [`PROBE_DEADLINE_MS`] later.
    pub fn take_probes(&mut self, now: Timestamp) -> Vec<IntegrationId> {
        let mut taken = Vec::new();
        for member in &mut self.members {
            let is_due = member.next_probe_at.is_some_and(|due| due <= now);
            let is_taken = member.probing_until.is_some_and(|until| until > now);
            if is_due && !is_taken {
                member.probing_until = Some(now.plus_ms(PROBE_DEADLINE_MS));
                taken.push(member.id);
            }
        }
        taken
    }

    /// When there is something to look at or to probe next, whatever comes in.
    pub fn look_at(&self, rules: FailoverRules) -> Option<Timestamp> {
        let probes = self.members.iter().filter_map(|member| {
            let due = member.next_probe_at?;
            Some(member.probing_until.map_or(due, |until| until.max(due)))
        });
        let pin = self.pin.and_then(|pin| pin.until);
        let is_proved = self.member(self.primary()).is_some_and(|member| member.good >= GOOD_TO_RESTORE);
        let dwell = (self.waits_for_primary(rules) && is_proved).then(|| self.since.plus_ms(DWELL_MS));
        probes.chain(pin).chain(dwell).min()
    }

    /// Until when work has to wait, because nobody is known to work and results decide.
    pub fn wait_until(&self, rules: FailoverRules) -> Option<Timestamp> {
        let is_gated = rules.enable_auto_failover && self.pin.is_none();
        let active = self.member(self.active).filter(|member| is_gated && member.is_open)?;
        active.probing_until.or(active.next_probe_at)
    }

    /// How a member is. `is_able`: it is there and switched on, or what is the matter.
    pub fn status(&self, id: IntegrationId, able: Result<(), MemberStatus>) -> MemberStatus {
        if let Err(matter) = able {
            return matter;
        }
        match self.member(id) {
            Some(member) if member.is_open && member.good > 0 => MemberStatus::Recovering,
            Some(member) if member.is_open => MemberStatus::Down,
            _ if id == self.active => MemberStatus::Active,
            _ => MemberStatus::Standby,
        }
    }
}
