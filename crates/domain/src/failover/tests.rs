//! What must hold whatever comes.

use proptest::prelude::*;

use super::*;
use crate::PublicId;

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;

pub(super) fn id(number: u8) -> IntegrationId {
    IntegrationId::new(Timestamp::from_millis(i64::from(number)), [number; 10])
}

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + ms)
}

/// A group in simulated time: members that work or fail by a rule, work that goes through the active one, and probes.
struct World<F: Fn(IntegrationId, i64) -> bool> {
    board: Board,
    rules: FailoverRules,
    able: Vec<IntegrationId>,
    works: F,
    now: i64,
    turns: Vec<(i64, Turn)>,
}

impl<F: Fn(IntegrationId, i64) -> bool> World<F> {
    fn new(backups: u8, works: F) -> Self {
        let able: Vec<_> = (0..=backups).map(id).collect();
        let board = Board::new(able[0], &able[1..], at(0));
        Self { board, rules: FailoverRules::default(), able, works, now: 0, turns: Vec::new() }
    }

    fn note(&mut self, turns: Vec<Turn>) {
        self.turns.extend(turns.into_iter().map(|turn| (self.now, turn)));
    }

    /// Lets time pass: work every `every` milliseconds, probes when they are due.
    fn run(&mut self, ms: i64, every: i64) {
        let end = self.now + ms;
        while self.now < end {
            if self.now % every == 0 && self.board.wait_until(self.rules).is_none() {
                let active = self.board.active;
                let is_good = (self.works)(active, self.now);
                let turns = self.board.hear(self.rules, &self.able, active, is_good, at(self.now), 0.5);
                self.note(turns);
            }
            if self.board.look_at(self.rules).is_some_and(|due| due <= at(self.now)) {
                let turns = self.board.look(self.rules, &self.able, at(self.now), 0.5);
                self.note(turns);
                for member in self.board.take_probes(at(self.now)) {
                    let is_good = (self.works)(member, self.now);
                    let turns = self.board.hear(self.rules, &self.able, member, is_good, at(self.now), 0.5);
                    self.note(turns);
                }
            }
            self.now += SECOND;
        }
    }

    fn moves(&self) -> Vec<(i64, bool)> {
        let moved = |(at, turn): &(i64, Turn)| match turn {
            Turn::Moved { is_restore, .. } => Some((at / SECOND, *is_restore)),
            _ => None,
        };
        self.turns.iter().filter_map(moved).collect()
    }

    fn turned(&self, wanted: Turn) -> usize {
        self.turns.iter().filter(|(_, turn)| *turn == wanted).count()
    }
}

#[test]
fn three_failures_in_a_row_move_work_and_a_proved_primary_gets_it_back() {
    let mut world = World::new(1, |who, now| who != id(0) || !(10 * SECOND..2 * MINUTE).contains(&now));
    world.run(30 * MINUTE, SECOND);
    let [(switched, false), (restored, true)] = world.moves()[..] else { panic!("{:?}", world.moves()) };
    assert_eq!(switched, 12, "the third failure");
    assert!(restored >= 12 + 300, "not before five minutes: {restored}");
    assert!(restored <= 12 + 330, "but soon after: {restored}");
    assert_eq!(world.board.active, id(0));
    assert!(world.turned(Turn::AllDown) == 0 && !world.board.is_flapping);
}

#[test]
fn one_success_resets_the_count() {
    let mut world = World::new(1, |_, now| now % (3 * SECOND) == 0);
    // Two of three fail: never three in a row, but too many of twenty.
    world.run(18 * SECOND, SECOND);
    assert!(world.moves().is_empty());
    world.run(10 * SECOND, SECOND);
    assert_eq!(world.moves().len(), 1);
}

#[test]
fn half_of_the_work_is_not_more_than_half() {
    let mut world = World::new(1, |_, now| (now / SECOND) % 2 == 0);
    world.run(30 * MINUTE, SECOND);
    assert!(world.moves().is_empty());
}

#[test]
fn a_provider_that_alternates_for_thirty_minutes_moves_work_three_times_at_most() {
    for phase in [MINUTE, 2 * MINUTE, 4 * MINUTE, 6 * MINUTE] {
        let mut world = World::new(1, move |who, now| who != id(0) || (now / phase) % 2 == 0);
        world.run(30 * MINUTE, SECOND);
        assert!(world.moves().len() <= 3, "{phase}: {:?}", world.moves());
    }
}

#[test]
fn refused_recipients_say_nothing() {
    assert!((0..1_000).all(|_| evidence(Some(Fault::Rejected), true).is_none()));
    assert_eq!(evidence(Some(Fault::Rejected), false), Some(false), "a refused probe means that we cannot work");
    for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Rejected) {
        assert_eq!(evidence(Some(fault), true), Some(false));
    }
    assert_eq!(evidence(None, true), Some(true));
}

#[test]
fn when_all_fail_work_waits_where_it_is_and_goes_on_with_the_first_that_works() {
    let mut world = World::new(1, |who, now| now > 20 * MINUTE && who == id(1));
    world.run(20 * MINUTE, SECOND);
    assert_eq!(world.moves().len(), 1, "{:?}", world.moves());
    assert_eq!(world.turned(Turn::AllDown), 1);
    assert!(world.board.wait_until(world.rules).is_some());
    world.run(10 * MINUTE, SECOND);
    assert_eq!((world.board.active, world.turned(Turn::Recovered), world.moves().len()), (id(1), 1, 1));
    assert!(world.board.wait_until(world.rules).is_none());
}

#[test]
fn a_pin_holds_against_results_until_it_ends() {
    let mut world = World::new(1, |who, _| who == id(0));
    world.board.decide(id(1), Some(Pin { until: Some(at(10 * MINUTE)) }), at(0));
    world.run(10 * MINUTE, SECOND);
    assert!(world.moves().is_empty(), "neither away from what fails nor back");
    assert_eq!(world.board.mode(), FailoverMode::Pinned);
    world.run(MINUTE, SECOND);
    assert_eq!((world.turned(Turn::Unpinned), world.board.active), (1, id(0)));
    let mut world = World::new(1, |_, _| true);
    world.board.decide(id(1), Some(Pin { until: None }), at(0));
    world.run(60 * MINUTE, SECOND);
    assert_eq!((world.board.active, world.moves().len()), (id(1), 0));
}

#[test]
fn after_too_many_moves_a_person_decides() {
    let phase = 6 * MINUTE;
    let mut world = World::new(1, move |who, now| who != id(0) || (now / phase) % 2 == 0);
    world.run(60 * MINUTE, SECOND);
    assert_eq!((world.moves().len(), world.turned(Turn::Flapping), world.board.active), (3, 1, id(1)));
    // An hour later it still stays.
    world.run(120 * MINUTE, SECOND);
    assert_eq!((world.moves().len(), world.board.active), (3, id(1)));
    let now = at(world.now);
    world.board.decide(id(0), None, now);
    assert!(!world.board.is_flapping);
}

#[test]
fn a_probe_has_one_node_and_its_own_deadline() {
    let mut board = Board::new(id(0), &[id(1)], at(0));
    let (rules, able) = (FailoverRules { failover_threshold: 1, ..FailoverRules::default() }, [id(0), id(1)]);
    board.hear(rules, &able, id(0), false, at(0), 0.5);
    assert_eq!(board.active, id(1));
    assert!(board.take_probes(at(29_999)).is_empty(), "it rests for thirty seconds");
    assert_eq!(board.take_probes(at(30_000)), [id(0)]);
    assert!(board.take_probes(at(39_999)).is_empty(), "somebody probes it");
    assert_eq!(board.take_probes(at(40_000)), [id(0)], "whoever did is gone");
    board.hear(rules, &able, id(0), false, at(41_000), 0.5);
    assert_eq!(board.member(id(0)).unwrap().next_probe_at, Some(at(101_000)), "twice as long");
}

#[test]
fn rests_grow_to_five_minutes_and_vary_by_a_fifth() {
    let rests = |share: f64| {
        let mut board = Board::new(id(0), &[], at(0));
        let rules = FailoverRules { failover_threshold: 1, ..FailoverRules::default() };
        let mut now = at(0);
        let mut rests = Vec::new();
        for _ in 0..13 {
            board.hear(rules, &[id(0)], id(0), false, now, share);
            let next = board.member(id(0)).unwrap().next_probe_at.unwrap();
            rests.push(next.since_ms(now) / SECOND);
            now = next;
        }
        rests
    };
    assert_eq!(rests(0.5), [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300, 300]);
    assert_eq!((rests(0.0)[0], rests(1.0)[0]), (24, 36));
}

#[test]
fn who_cannot_be_used_is_left_and_never_chosen() {
    let mut world = World::new(2, |who, _| who != id(0));
    world.able = vec![id(0), id(2)];
    world.run(MINUTE, SECOND);
    assert_eq!(world.board.active, id(2));
    world.able = vec![id(1)];
    let turns = world.board.look(world.rules, &world.able, at(world.now), 0.5);
    assert!(matches!(turns[..], [Turn::Moved { to, .. }] if to == id(1)), "{turns:?}");
}

#[test]
fn settings_are_refused_in_words() {
    let draft = |backup: Option<u8>, threshold: u32| FailoverDraft {
        backup_integration_id: backup.map(id),
        further_backup_ids: Vec::new(),
        enable_auto_failover: true,
        failover_threshold: threshold,
        alert_on_failover: true,
        auto_restore: true,
        version: None,
    };
    let words =
        |draft: FailoverDraft| draft.check(id(0)).into_vec().into_iter().map(|it| it.message).collect::<Vec<_>>();
    assert!(words(draft(Some(1), 1)).is_empty() && words(draft(Some(1), 100)).is_empty());
    for threshold in [0, 101] {
        let expected = ["Trigger after must be between 1 and 100 consecutive failures"];
        assert_eq!(words(draft(Some(1), threshold)), expected);
    }
    assert_eq!(words(draft(None, 3)), ["Please select a backup provider"]);
    assert_eq!(words(draft(Some(0), 3)), ["The backup must be another integration than the primary"]);
    let twice = FailoverDraft { further_backup_ids: vec![id(1)], ..draft(Some(1), 3) };
    assert_eq!(words(twice), ["Each backup can be named once"]);
    let given_up = FailoverDraft { enable_auto_failover: false, ..draft(None, 3) };
    assert!(words(given_up).is_empty());
    assert!(MoveDraft::default().check().is_err());
}

proptest! {
    /// Whatever providers do: work moves by itself three times an hour at most, and back only after the dwell.
    #[test]
    fn moves_are_rare(pattern in prop::collection::vec(any::<[bool; 2]>(), 1..60), step in 1_i64..300) {
        let mut world = World::new(1, |who, now| {
            let which = usize::try_from(now / (step * SECOND)).unwrap_or_default() % pattern.len();
            pattern[which][usize::from(who != id(0))]
        });
        world.run(90 * MINUTE, SECOND);
        let moves = world.moves();
        for (index, (time, is_restore)) in moves.iter().enumerate() {
            let in_hour = moves[..=index].iter().filter(|(before, _)| time - before < 3_600).count();
            prop_assert!(in_hour <= 3, "{moves:?}");
            if *is_restore {
                prop_assert!(index > 0 && time - moves[index - 1].0 >= 300, "{moves:?}");
            }
        }
    }

    /// Two that fail for good never take turns.
    #[test]
    fn no_ping_pong(share in 0.0..=1.0, threshold in 1_u32..=100) {
        let mut world = World::new(1, |_, _| false);
        world.rules.failover_threshold = threshold;
        world.run(60 * MINUTE, SECOND);
        prop_assert!(world.moves().len() <= 1);
        let turns = world.board.look(world.rules, &world.able, at(world.now), share);
        prop_assert!(turns.is_empty());
    }

    /// A pinned group does not move, whatever comes.
    #[test]
    fn pins_hold(results in prop::collection::vec((any::<bool>(), any::<bool>()), 0..300)) {
        let mut board = Board::new(id(0), &[id(1)], at(0));
        board.decide(id(1), Some(Pin { until: None }), at(0));
        let (rules, able) = (FailoverRules::default(), [id(0), id(1)]);
        for (index, (first, is_good)) in results.into_iter().enumerate() {
            let now = at(i64::try_from(index).unwrap() * 20 * SECOND);
            board.hear(rules, &able, id(u8::from(!first)), is_good, now, 0.5);
            prop_assert_eq!(board.active, id(1));
        }
    }
}
