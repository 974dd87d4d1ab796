//! Whose turn is it? One lane per webhook, fair turns across organizations and then across the webhooks of each.
//!
//! A pure data structure: it holds what is in hand (waiting or in flight) and says what may start. A webhook that hangs
//! fills its own lane and nobody else's; one whose rate is spent, or whose receiver asked for a pause, is parked until it
//! may go on. What does not fit in a lane stays in the database. Long because of its tests.

use std::collections::{BTreeSet, HashMap, VecDeque};

use domain::{OrganizationId, Timestamp, WebhookId};

/// Longest time that a lane is parked, in milliseconds. What is parked for longer was parked before the clock was set
/// back.
const LONGEST_PARK_MS: i64 = 60_000;

/// Limits of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Tries to all webhooks that are in flight: begun, and their outcome not stored.
    pub in_flight: usize,
    /// Requests to one webhook that are not answered yet.
    pub lane_requests: usize,
    /// Tries to one webhook that were answered, and their outcome is not stored: what a crash repeats for nothing.
    pub lane_unstored: usize,
    /// Deliveries in hand of one webhook.
    pub lane: usize,
    /// Deliveries in hand altogether.
    pub total: usize,
    /// Bodies in hand altogether, in bytes.
    pub bytes: usize,
}

/// What a webhook asks of its lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// The tenant.
    pub organization: OrganizationId,
    /// Requests that are not answered yet, if fewer than every lane may have.
    pub requests: Option<usize>,
    /// The next try begins when the outcome of the one before it is stored.
    pub in_order: bool,
    /// Tries begun per second on this node.
    pub per_second: Option<f64>,
}

struct Lane<J> {
    rules: Rules,
    /// Tries that may begin now, up to one second's worth, and when that was reckoned.
    tokens: f64,
    reckoned_at: Timestamp,
    /// Nothing begins before.
    not_before: Timestamp,
    parked: bool,
    jobs: VecDeque<(J, usize)>,
    requests: usize,
    unstored: usize,
    /// Places given away for jobs that are still on their way.
    reserved: usize,
    /// Whether it stands in its organization's line.
    in_line: bool,
    /// Whether more of it waits in the database than fitted.
    refill: bool,
}

impl<J> Lane<J> {
    fn in_hand(&self) -> usize {
        self.jobs.len() + self.requests + self.unstored + self.reserved
    }

    /// Whether its own limits let it begin another try.
    fn has_room(&self, limits: &Limits) -> bool {
        if self.rules.in_order {
            return self.requests + self.unstored == 0;
        }
        let requests = self.rules.requests.unwrap_or(usize::MAX).min(limits.lane_requests);
        self.requests < requests && self.unstored < limits.lane_unstored
    }

    /// Takes the right to begin a try, or says when there will be one.
    fn begin(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if self.not_before > now && self.not_before.since_ms(now) <= LONGEST_PARK_MS {
            return Err(self.not_before);
        }
        let Some(per_second) = self.rules.per_second else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds between two tries")]
        let passed_s = now.since_ms(self.reckoned_at).max(0) as f64 / 1000.0;
        self.tokens = (self.tokens + passed_s * per_second).min(per_second.max(1.0));
        self.reckoned_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most a few seconds")]
        let wait_ms = ((1.0 - self.tokens) / per_second * 1000.0).ceil() as i64;
        Err(now.plus_ms(wait_ms.clamp(1, LONGEST_PARK_MS)))
    }
}

/// The lanes of a node.
pub(crate) struct Lanes<J> {
    limits: Limits,
    by_webhook: HashMap<WebhookId, Lane<J>>,
    /// Organizations that have a webhook which may start, in order of turn.
    turns: VecDeque<OrganizationId>,
    lines: HashMap<OrganizationId, VecDeque<WebhookId>>,
    /// Webhooks that may not begin a try before a moment.
    parked: BTreeSet<(Timestamp, WebhookId)>,
    in_flight: usize,
    in_hand: usize,
    bytes: usize,
    /// Whether a webhook found no place although its own lane was not full.
    crowded: bool,
}

impl<J> Lanes<J> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_webhook: HashMap::new(),
            turns: VecDeque::new(),
            lines: HashMap::new(),
            parked: BTreeSet::new(),
            in_flight: 0,
            in_hand: 0,
            bytes: 0,
            crowded: false,
        }
    }

    fn lane(&mut self, rules: Rules, webhook: WebhookId) -> &mut Lane<J> {
        let lane = self.by_webhook.entry(webhook).or_insert_with(|| Lane {
            rules,
            tokens: rules.per_second.unwrap_or_default().max(1.0),
            reckoned_at: Timestamp::from_millis(0),
            not_before: Timestamp::from_millis(0),
            parked: false,
            jobs: VecDeque::new(),
            requests: 0,
            unstored: 0,
            reserved: 0,
            in_line: false,
            refill: false,
        });
        lane.rules = rules;
        lane
    }

    /// How many more deliveries of this webhook fit.
    pub(crate) fn room(&self, webhook: WebhookId) -> usize {
        let lane = self.in_hand(webhook);
        if self.bytes >= self.limits.bytes {
            return 0;
        }
        self.limits.lane.saturating_sub(lane).min(self.limits.total.saturating_sub(self.in_hand))
    }

    /// How many deliveries of this webhook are in hand.
    pub(crate) fn in_hand(&self, webhook: WebhookId) -> usize {
        self.by_webhook.get(&webhook).map_or(0, Lane::in_hand)
    }

    /// Takes a place for a job that will be pushed or given back.
    pub(crate) fn reserve(&mut self, rules: Rules, webhook: WebhookId, bytes: usize) -> bool {
        if self.room(webhook) == 0 {
            return false;
        }
        self.lane(rules, webhook).reserved += 1;
        self.in_hand += 1;
        self.bytes += bytes;
        true
    }

    /// Gives a place back unused.
    pub(crate) fn cancel(&mut self, webhook: WebhookId, bytes: usize) {
        if let Some(lane) = self.by_webhook.get_mut(&webhook) {
            lane.reserved -= 1;
            self.in_hand -= 1;
            self.bytes -= bytes;
            self.tidy(webhook);
        }
    }

    /// Puts a job in its reserved place.
    pub(crate) fn push(&mut self, webhook: WebhookId, job: J, bytes: usize) {
        if let Some(lane) = self.by_webhook.get_mut(&webhook) {
            lane.reserved -= 1;
            lane.jobs.push_back((job, bytes));
            self.line_up(webhook);
        }
    }

    /// Takes in a job that was claimed. The caller asked for room before it claimed; what was handed over meanwhile may
    /// push the lane past its limit, by no more than one claim.
    pub(crate) fn admit(&mut self, rules: Rules, webhook: WebhookId, job: J, bytes: usize) {
        self.lane(rules, webhook).jobs.push_back((job, bytes));
        self.in_hand += 1;
        self.bytes += bytes;
        self.line_up(webhook);
    }

    /// Notes that more of this webhook waits in the database: [`Self::finish`] says when half of its lane, or of all
    /// places, is free.
    pub(crate) fn refill_later(&mut self, webhook: WebhookId) {
        match self.by_webhook.get_mut(&webhook) {
            Some(lane) => lane.refill = true,
            None => self.crowded = true,
        }
    }

    /// The next job that may start, if any. It counts as in flight until [`Self::finish`].
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<(J, usize)> {
        self.wake(now);
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
        loop {
            let organization = self.turns.pop_front()?;
            let waiting = self.lines.get_mut(&organization)?;
            let webhook = waiting.pop_front()?;
            if waiting.is_empty() {
                self.lines.remove(&organization);
            } else {
                self.turns.push_back(organization);
            }
            let lane = self.by_webhook.get_mut(&webhook)?;
            lane.in_line = false;
            if lane.jobs.is_empty() {
                self.tidy(webhook);
                continue;
            }
            if let Err(until) = lane.begin(now) {
                self.park(webhook, until);
                continue;
            }
            let job = lane.jobs.pop_front()?;
            lane.requests += 1;
            self.in_flight += 1;
            self.line_up(webhook);
            return Some(job);
        }
    }

    /// When the first parked webhook may go on.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.parked.first().map(|(until, _)| *until)
    }

    fn wake(&mut self, now: Timestamp) {
        while let Some((until, webhook)) = self.parked.first().copied() {
            if until > now && until.since_ms(now) <= LONGEST_PARK_MS {
                return;
            }
            self.parked.pop_first();
            if let Some(lane) = self.by_webhook.get_mut(&webhook) {
                lane.parked = false;
            }
            self.line_up(webhook);
            self.tidy(webhook);
        }
    }

    fn park(&mut self, webhook: WebhookId, until: Timestamp) {
        if let Some(lane) = self.by_webhook.get_mut(&webhook)
            && !lane.parked
        {
            lane.parked = true;
            self.parked.insert((until, webhook));
        }
    }

    /// Begins no try to a webhook before `until`, because its receiver asked for that; at most for a minute.
    pub(crate) fn hold(&mut self, webhook: WebhookId, now: Timestamp, until: Timestamp) {
        if let Some(lane) = self.by_webhook.get_mut(&webhook) {
            lane.not_before = until.min(now.plus_ms(LONGEST_PARK_MS));
            let until = lane.not_before;
            self.park(webhook, until);
        }
    }

    /// Gives lanes new rules; `None` takes out what has not started, which is answered.
    pub(crate) fn rule(&mut self, rules: impl Fn(WebhookId) -> Option<Rules>) -> Vec<J> {
        let mut drained = Vec::new();
        let webhooks: Vec<WebhookId> = self.by_webhook.keys().copied().collect();
        for webhook in webhooks {
            match (rules(webhook), self.by_webhook.get_mut(&webhook)) {
                (Some(rules), Some(lane)) => {
                    lane.rules = rules;
                    self.line_up(webhook);
                }
                (None, Some(lane)) => {
                    lane.rules.per_second = None;
                    drained.append(&mut self.drain(webhook));
                }
                (_, None) => {}
            }
        }
        drained
    }

    /// Takes out what has not started of one webhook.
    pub(crate) fn drain(&mut self, webhook: WebhookId) -> Vec<J> {
        let Some(lane) = self.by_webhook.get_mut(&webhook) else { return Vec::new() };
        let jobs = std::mem::take(&mut lane.jobs);
        self.in_hand -= jobs.len();
        self.bytes -= jobs.iter().map(|(_, bytes)| bytes).sum::<usize>();
        self.tidy(webhook);
        jobs.into_iter().map(|(job, _)| job).collect()
    }

    /// The request of a job that was popped is over: its receiver may have another before the outcome is stored.
    pub(crate) fn answered(&mut self, webhook: WebhookId) {
        let Some(lane) = self.by_webhook.get_mut(&webhook) else { return };
        lane.requests -= 1;
        lane.unstored += 1;
        self.line_up(webhook);
    }

    /// A job that was answered is done. Answers whether it is time to fetch more.
    pub(crate) fn finish(&mut self, webhook: WebhookId, bytes: usize) -> bool {
        let Some(lane) = self.by_webhook.get_mut(&webhook) else { return false };
        lane.unstored -= 1;
        self.in_flight -= 1;
        self.in_hand -= 1;
        self.bytes -= bytes;
        let refill = lane.refill && lane.in_hand() <= self.limits.lane / 2;
        lane.refill &= !refill;
        let uncrowded = self.crowded && self.in_hand <= self.limits.total / 2 && self.bytes <= self.limits.bytes / 2;
        self.crowded &= !uncrowded;
        self.line_up(webhook);
        self.tidy(webhook);
        refill || uncrowded
    }

    /// Drops all jobs that have not started; answers how many.
    pub(crate) fn clear(&mut self) -> usize {
        self.rule(|_| None).len()
    }

    /// What has not started.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &J> {
        self.by_webhook.values().flat_map(|lane| lane.jobs.iter().map(|(job, _)| job))
    }

    /// Requests in flight, and deliveries in hand.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.in_flight, self.in_hand)
    }

    fn line_up(&mut self, webhook: WebhookId) {
        let Some(lane) = self.by_webhook.get_mut(&webhook) else { return };
        if lane.in_line || lane.parked || lane.jobs.is_empty() || !lane.has_room(&self.limits) {
            return;
        }
        lane.in_line = true;
        let waiting = self.lines.entry(lane.rules.organization).or_default();
        if waiting.is_empty() {
            self.turns.push_back(lane.rules.organization);
        }
        waiting.push_back(webhook);
    }

    /// Forgets a lane with nothing in it, so that deleted webhooks leave nothing behind. One that has a pace to remember
    /// stays.
    fn tidy(&mut self, webhook: WebhookId) {
        let idle =
            |lane: &Lane<J>| lane.in_hand() == 0 && !lane.in_line && !lane.parked && lane.rules.per_second.is_none();
        if self.by_webhook.get(&webhook).is_some_and(idle) {
            self.by_webhook.remove(&webhook);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::PublicId;
    use proptest::prelude::*;
    use uuid::Uuid;

    const LIMITS: Limits = Limits { in_flight: 4, lane_requests: 2, lane_unstored: 2, lane: 5, total: 12, bytes: 1000 };
    const WIDE: Limits =
        Limits { in_flight: 100, lane_requests: 100, lane_unstored: 100, lane: 100, total: 100, bytes: 1000 };

    fn org(n: u128) -> OrganizationId {
        OrganizationId::from_uuid(Uuid::from_u128(n))
    }

    fn hook(n: u128) -> WebhookId {
        WebhookId::from_uuid(Uuid::from_u128(n))
    }

    fn rules(organization: u128) -> Rules {
        Rules { organization: org(organization), requests: None, in_order: false, per_second: None }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    fn put(lanes: &mut Lanes<u128>, organization: u128, webhook: u128) -> bool {
        put_with(lanes, rules(organization), webhook)
    }

    fn put_with(lanes: &mut Lanes<u128>, rules: Rules, webhook: u128) -> bool {
        let fits = lanes.reserve(rules, hook(webhook), 1);
        if fits {
            lanes.push(hook(webhook), webhook, 1);
        }
        fits
    }

    fn end(lanes: &mut Lanes<u128>, webhook: u128) {
        lanes.answered(hook(webhook));
        lanes.finish(hook(webhook), 1);
    }

    #[test]
    fn turns_alternate_between_organizations_then_webhooks() {
        let mut lanes = Lanes::new(WIDE);
        for _ in 0..3 {
            put(&mut lanes, 1, 10);
            put(&mut lanes, 1, 11);
            put(&mut lanes, 2, 20);
        }
        let order: Vec<u128> = std::iter::from_fn(|| lanes.pop(at(0)).map(|(job, _)| job)).collect();
        assert_eq!(order, [10, 20, 11, 20, 10, 20, 11, 10, 11]);
    }

    #[test]
    fn a_hanging_webhook_holds_only_its_own_slots() {
        let mut lanes = Lanes::new(LIMITS);
        while put(&mut lanes, 1, 10) {}
        assert_eq!(lanes.load().1, LIMITS.lane);
        assert!(lanes.pop(at(0)).is_some() && lanes.pop(at(0)).is_some() && lanes.pop(at(0)).is_none());
        assert!(put(&mut lanes, 1, 11));
        assert_eq!(lanes.pop(at(0)), Some((11, 1)));
    }

    #[test]
    fn a_rate_is_kept_and_its_lane_remembers_it() {
        let mut lanes = Lanes::new(WIDE);
        let slow = Rules { per_second: Some(2.0), ..rules(1) };
        let mut begun = Vec::new();
        for ms in (0..3_000).step_by(50) {
            put_with(&mut lanes, slow, 10);
            while let Some((job, _)) = lanes.pop(at(ms)) {
                end(&mut lanes, job);
                begun.push(ms);
            }
        }
        assert_eq!(begun, [0, 50, 500, 1_000, 1_500, 2_000, 2_500]);
        // Others are not kept waiting by it.
        put(&mut lanes, 1, 11);
        assert_eq!(lanes.pop(at(2_950)), Some((11, 1)));
        assert_eq!(lanes.next_wake(), Some(at(3_000)));
        assert_eq!(lanes.pop(at(3_000)), Some((10, 1)));
    }

    #[test]
    fn a_pause_that_a_receiver_asked_for_is_kept_even_by_an_empty_lane() {
        let mut lanes = Lanes::new(LIMITS);
        put(&mut lanes, 1, 10);
        assert_eq!(lanes.pop(at(0)), Some((10, 1)));
        lanes.hold(hook(10), at(0), at(7_000));
        end(&mut lanes, 10);
        put(&mut lanes, 1, 10);
        assert_eq!(lanes.pop(at(6_999)), None);
        assert_eq!(lanes.pop(at(7_000)), Some((10, 1)));
        // Not for longer than a minute, and not because the clock was set back.
        lanes.hold(hook(10), at(7_000), at(900_000));
        put(&mut lanes, 1, 10);
        assert_eq!(lanes.pop(at(66_999)), None);
        assert_eq!(lanes.pop(at(-900_000)), Some((10, 1)));
    }

    #[test]
    fn one_request_at_a_time_is_not_one_outcome_at_a_time() {
        let mut lanes = Lanes::new(LIMITS);
        let single = Rules { requests: Some(1), ..rules(1) };
        for _ in 0..4 {
            put_with(&mut lanes, single, 10);
        }
        for _ in 0..LIMITS.lane_unstored {
            assert_eq!(lanes.pop(at(0)), Some((10, 1)));
            assert_eq!(lanes.pop(at(0)), None);
            lanes.answered(hook(10));
        }
        assert_eq!(lanes.pop(at(0)), None, "what a crash would repeat is limited");
        lanes.finish(hook(10), 1);
        assert_eq!(lanes.pop(at(0)), Some((10, 1)));
    }

    #[test]
    fn in_order_means_one_after_the_other_and_what_waits_can_be_taken_out() {
        let mut lanes = Lanes::new(LIMITS);
        let ordered = Rules { in_order: true, ..rules(1) };
        for _ in 0..3 {
            put_with(&mut lanes, ordered, 10);
        }
        assert_eq!(lanes.pop(at(0)), Some((10, 1)));
        assert_eq!(lanes.pop(at(0)), None);
        lanes.answered(hook(10));
        assert_eq!(lanes.pop(at(0)), None);
        assert_eq!(lanes.drain(hook(10)).len(), 2);
        lanes.finish(hook(10), 1);
        assert_eq!(lanes.pop(at(0)), None);
        assert!(lanes.by_webhook.is_empty());
    }

    proptest! {
        /// Whatever happens, limits hold, nothing is lost, and an empty structure is really empty.
        #[test]
        fn limits_hold(steps in proptest::collection::vec((0_u8..5, 0_u128..6), 0..300)) {
            let mut lanes = Lanes::new(LIMITS);
            let (mut flying, mut unstored): (Vec<u128>, Vec<u128>) = (Vec::new(), Vec::new());
            let (mut put_in, mut done) = (0, 0);
            for (step, n) in steps {
                match step {
                    0 | 1 => put_in += usize::from(put(&mut lanes, n % 2, n)),
                    2 => flying.extend(lanes.pop(at(0)).map(|(job, _)| job)),
                    3 => if let Some(job) = flying.pop() { lanes.answered(hook(job)); unstored.push(job); },
                    _ => if let Some(job) = unstored.pop() { lanes.finish(hook(job), 1); done += 1; },
                }
                let (in_flight, in_hand) = lanes.load();
                prop_assert_eq!(in_flight, flying.len() + unstored.len());
                prop_assert_eq!(in_hand, put_in - done);
                prop_assert!(in_flight <= LIMITS.in_flight && in_hand <= LIMITS.total);
            }
            while lanes.load().1 > 0 {
                flying.extend(lanes.pop(at(0)).map(|(job, _)| job));
                if let Some(job) = flying.pop() { lanes.answered(hook(job)); unstored.push(job); }
                if let Some(job) = unstored.pop() { lanes.finish(hook(job), 1); }
            }
            prop_assert!(lanes.by_webhook.is_empty() && lanes.turns.is_empty() && lanes.lines.is_empty() && lanes.bytes == 0);
        }
    }
}
