//! What would have happened: a group with other settings, on what was recorded.
//!
//! Pure. Recorded work is done again by whoever would have had it then. How that would have gone is known exactly when it is
//! who had it; of anybody else it is taken to go as the newest result of theirs before, and well where there is none. Probes go
//! the same way. So it says what follows from what is known, and not what nobody tried.

use super::{Board, FailoverRules, Turn};
use crate::{IntegrationId, Timestamp};

/// A result that was recorded, without those that say nothing of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When.
    pub at: Timestamp,
    /// Of which member.
    pub of: IntegrationId,
    /// How it went.
    pub is_good: bool,
    /// Whether it was real work, not a check.
    pub is_work: bool,
}

/// A move that would have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldMove {
    /// When.
    pub at: Timestamp,
    /// From here.
    pub from: IntegrationId,
    /// To here.
    pub to: IntegrationId,
    /// Whether because the primary works again.
    pub is_restore: bool,
    /// Failures in a row of what it would have moved away from.
    pub failures: u32,
}

/// What would have happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Moves, the oldest first.
    pub moves: Vec<WouldMove>,
    /// How long the work would have been elsewhere than at the primary, in milliseconds.
    pub away_ms: i64,
    /// How long nobody would have been known to work, in milliseconds.
    pub all_down_ms: i64,
    /// Pieces of work that would have failed at whoever had them.
    pub failed: u32,
    /// Pieces of work that would have waited because nobody was known to work.
    pub waited: u32,
    /// Whether work would have moved so often that a person has to decide.
    pub is_flapping: bool,
}

/// Jitter of probes that is none: the middle.
const NO_JITTER: f64 = 0.5;

/// The group while it is imagined.
struct Imagined<'p> {
    board: Board,
    rules: FailoverRules,
    members: &'p [IntegrationId],
    /// The newest result of each member.
    newest: Vec<bool>,
    now: Timestamp,
    outcome: Outcome,
}

impl Imagined<'_> {
    fn works(&self, id: IntegrationId) -> bool {
        self.members.iter().position(|member| *member == id).is_none_or(|index| self.newest[index])
    }

    fn take(&mut self, turns: &[Turn]) {
        for turn in turns {
            match *turn {
                Turn::Moved { from, to, is_restore, failures } => {
                    self.outcome.moves.push(WouldMove { at: self.now, from, to, is_restore, failures });
                }
                Turn::Flapping => self.outcome.is_flapping = true,
                Turn::AllDown | Turn::Recovered | Turn::Unpinned => {}
            }
        }
    }

    fn hear(&mut self, of: IntegrationId, is_good: bool) {
        let turns = self.board.hear(self.rules, self.members, of, is_good, self.now, NO_JITTER);
        self.take(&turns);
    }

    /// Nothing happens until then.
    fn pass(&mut self, until: Timestamp) {
        let ms = until.since_ms(self.now).max(0);
        if self.board.active != self.board.primary() {
            self.outcome.away_ms += ms;
        }
        if self.board.is_all_down {
            self.outcome.all_down_ms += ms;
        }
        self.now = self.now.max(until);
    }

    /// Probes and restores that come due until then.
    fn pass_with_probes(&mut self, until: Timestamp) {
        while let Some(due) = self.board.look_at(self.rules).filter(|due| *due <= until) {
            self.pass(due);
            let turns = self.board.look(self.rules, self.members, self.now, NO_JITTER);
            self.take(&turns);
            for member in self.board.take_probes(self.now) {
                self.hear(member, self.works(member));
            }
        }
        self.pass(until);
    }

    fn happen(&mut self, past: Past) {
        if let Some(index) = self.members.iter().position(|member| *member == past.of) {
            self.newest[index] = past.is_good;
        }
        if !past.is_work {
            return self.hear(past.of, past.is_good);
        }
        if self.board.wait_until(self.rules).is_some() {
            self.outcome.waited = self.outcome.waited.saturating_add(1);
            return;
        }
        let active = self.board.active;
        let is_good = self.works(active);
        self.outcome.failed = self.outcome.failed.saturating_add(u32::from(!is_good));
        self.hear(active, is_good);
    }
}

/// Lets a group of `members`, the primary first, live through `past`, which is in the order of time, from `from` to `to`. It
/// begins with everybody at work and the primary in charge.
pub fn rehearse(
    members: &[IntegrationId],
    rules: FailoverRules,
    past: &[Past],
    from: Timestamp,
    to: Timestamp,
) -> Outcome {
    let Some((primary, backups)) = members.split_first() else { return Outcome::default() };
    let mut imagined = Imagined {
        board: Board::new(*primary, backups, from),
        rules,
        members,
        newest: vec![true; members.len()],
        now: from,
        outcome: Outcome::default(),
    };
    for past in past.iter().filter(|past| (from..=to).contains(&past.at)) {
        imagined.pass_with_probes(past.at);
        imagined.happen(*past);
    }
    imagined.pass_with_probes(to);
    imagined.outcome
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::failover::tests::{MINUTE, SECOND, at, id};

    fn rules(threshold: u32) -> FailoverRules {
        FailoverRules { failover_threshold: threshold, ..FailoverRules::default() }
    }

    /// A piece of work every ten seconds for an hour: by the primary, except for this long from minute ten on, when it went to
    /// the backup after three failures.
    fn hour_with_outage(minutes: i64) -> Vec<Past> {
        let (begin, end) = (10 * MINUTE, (10 + minutes) * MINUTE);
        let work = |ms: i64| {
            let is_out = (begin..end).contains(&ms);
            let is_moved = is_out && ms >= begin + 30 * SECOND;
            Past { at: at(ms), of: id(u8::from(is_moved)), is_good: !is_out || is_moved, is_work: true }
        };
        (0..360).map(|number| work(number * 10 * SECOND)).collect()
    }

    fn outcome(past: &[Past], rules: FailoverRules) -> Outcome {
        rehearse(&[id(0), id(1)], rules, past, at(0), at(60 * MINUTE))
    }

    #[test]
    fn a_lower_threshold_moves_sooner_and_a_higher_one_later_or_never() {
        let past = hour_with_outage(8);
        let switched = |threshold: u32| {
            let outcome = outcome(&past, rules(threshold));
            (outcome.moves.first().map(|moved| moved.at.since_ms(at(10 * MINUTE)) / SECOND), outcome.failed)
        };
        assert_eq!(switched(1), (Some(0), 1));
        assert_eq!(switched(3), (Some(20), 3));
        // After the third, only what the primary said last is known: it goes on failing.
        assert_eq!(switched(10), (Some(90), 10));
        assert_eq!(switched(100), (None, 48));
    }

    #[test]
    fn it_goes_back_when_that_is_wanted_and_proved() {
        let mut past = hour_with_outage(8);
        // Nobody tells of the primary again until somebody checks it.
        let check = |ms: i64, is_good: bool| Past { at: at(ms), of: id(0), is_good, is_work: false };
        past.retain(|past| past.of == id(1) || past.at < at(11 * MINUTE));
        past.push(check(40 * MINUTE, true));
        past.sort_by_key(|past| past.at);
        let back = outcome(&past, rules(3));
        let [switched, restored] = back.moves[..] else { panic!("{back:?}") };
        assert!(!switched.is_restore && restored.is_restore && restored.to == id(0));
        assert!(restored.at >= at(40 * MINUTE) && restored.at <= at(45 * MINUTE), "{back:?}");
        assert_eq!(back.away_ms, restored.at.since_ms(switched.at));
        let stays = outcome(&past, FailoverRules { auto_restore: false, ..rules(3) });
        assert_eq!((stays.moves.len(), stays.away_ms), (1, at(60 * MINUTE).since_ms(switched.at)));
        let by_hand = outcome(&past, FailoverRules { enable_auto_failover: false, ..rules(3) });
        assert!(by_hand.moves.is_empty() && by_hand.away_ms == 0 && by_hand.failed > 3, "{by_hand:?}");
    }

    #[test]
    fn when_all_fail_work_waits_and_is_not_counted_as_failed() {
        let past: Vec<_> = (0..60)
            .flat_map(|number| {
                let past = |of: u8| Past { at: at(number * MINUTE), of: id(of), is_good: false, is_work: of == 0 };
                [past(0), past(1)]
            })
            .collect();
        let outcome = outcome(&past, rules(3));
        assert!(outcome.moves.len() <= 1 && outcome.waited > 40 && outcome.failed < 20, "{outcome:?}");
        assert!(outcome.all_down_ms > 50 * MINUTE, "{outcome:?}");
    }

    #[test]
    fn nothing_recorded_moves_nothing() {
        assert_eq!(outcome(&[], rules(1)), Outcome::default());
        assert_eq!(rehearse(&[], rules(1), &hour_with_outage(1), at(0), at(MINUTE)), Outcome::default());
    }

    proptest! {
        /// Whatever was recorded: moves follow each other, times fit into the span, and nothing is counted twice.
        #[test]
        fn it_stays_within_what_was_recorded(
            recorded in prop::collection::vec((0_i64..7_200, 0_u8..3, any::<bool>(), any::<bool>()), 0..300),
            threshold in 1_u32..=100,
            auto_restore: bool,
        ) {
            let mut past: Vec<_> = recorded
                .into_iter()
                .map(|(second, of, is_good, is_work)| Past { at: at(second * SECOND), of: id(of), is_good, is_work })
                .collect();
            past.sort_by_key(|past| past.at);
            let rules = FailoverRules { auto_restore, ..rules(threshold) };
            let members = [id(0), id(1), id(2)];
            let found = rehearse(&members, rules, &past, at(0), at(7_200 * SECOND));
            prop_assert_eq!(&found, &rehearse(&members, rules, &past, at(0), at(7_200 * SECOND)));
            let span = 7_200 * SECOND;
            prop_assert!((0..=span).contains(&found.away_ms) && (0..=span).contains(&found.all_down_ms));
            let work = past.iter().filter(|past| past.is_work).count();
            prop_assert!(usize::try_from(found.failed + found.waited).unwrap() <= work);
            let mut active = id(0);
            for moved in &found.moves {
                prop_assert_eq!(moved.from, active);
                prop_assert!(moved.at >= at(0) && moved.at <= at(span) && (auto_restore || !moved.is_restore));
                active = moved.to;
            }
            prop_assert!(found.moves.windows(2).all(|pair| pair[0].at <= pair[1].at));
        }
    }
}
