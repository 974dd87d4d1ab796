//! Whose turn is it? One lane per webhook, fair turns across organizations and then across the webhooks of each.
//!
//! A pure data structure: it holds what is in hand (waiting or in flight) and says what may start. A webhook that hangs
//! fills its own lane and nobody else's. What does not fit in a lane stays in the database.

use std::collections::{HashMap, VecDeque};

use domain::{OrganizationId, WebhookId};

/// Limits of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests in flight to all webhooks.
    pub in_flight: usize,
    /// Requests in flight to one webhook.
    pub lane_in_flight: usize,
    /// Deliveries in hand of one webhook.
    pub lane: usize,
    /// Deliveries in hand altogether.
    pub total: usize,
    /// Bodies in hand altogether, in bytes.
    pub bytes: usize,
}

struct Lane<J> {
    organization: OrganizationId,
    jobs: VecDeque<(J, usize)>,
    in_flight: usize,
    /// Places given away for jobs that are still on their way.
    reserved: usize,
    /// Whether it stands in its organization's line.
    in_line: bool,
    /// Whether more of it waits in the database than fitted.
    refill: bool,
}

/// The lanes of a node.
pub(crate) struct Lanes<J> {
    limits: Limits,
    by_webhook: HashMap<WebhookId, Lane<J>>,
    /// Organizations that have a webhook which may start, in order of turn.
    turns: VecDeque<OrganizationId>,
    lines: HashMap<OrganizationId, VecDeque<WebhookId>>,
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
            in_flight: 0,
            in_hand: 0,
            bytes: 0,
            crowded: false,
        }
    }

    fn lane(&mut self, organization: OrganizationId, webhook: WebhookId) -> &mut Lane<J> {
        self.by_webhook.entry(webhook).or_insert_with(|| Lane {
            organization,
            jobs: VecDeque::new(),
            in_flight: 0,
            reserved: 0,
            in_line: false,
            refill: false,
        })
    }

    /// How many more deliveries of this webhook fit.
    pub(crate) fn room(&self, webhook: WebhookId) -> usize {
        let lane = self.by_webhook.get(&webhook).map_or(0, |lane| lane.jobs.len() + lane.in_flight + lane.reserved);
        if self.bytes >= self.limits.bytes {
            return 0;
        }
        self.limits.lane.saturating_sub(lane).min(self.limits.total.saturating_sub(self.in_hand))
    }

    /// Takes a place for a job that will be pushed or given back.
    pub(crate) fn reserve(&mut self, organization: OrganizationId, webhook: WebhookId, bytes: usize) -> bool {
        if self.room(webhook) == 0 {
            return false;
        }
        self.lane(organization, webhook).reserved += 1;
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
    pub(crate) fn admit(&mut self, organization: OrganizationId, webhook: WebhookId, job: J, bytes: usize) {
        self.lane(organization, webhook).jobs.push_back((job, bytes));
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
    pub(crate) fn pop(&mut self) -> Option<(J, usize)> {
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
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
        let job = lane.jobs.pop_front()?;
        lane.in_flight += 1;
        self.in_flight += 1;
        self.line_up(webhook);
        Some(job)
    }

    /// A job that was popped is done. Answers whether it is time to fetch more.
    pub(crate) fn finish(&mut self, webhook: WebhookId, bytes: usize) -> bool {
        let Some(lane) = self.by_webhook.get_mut(&webhook) else { return false };
        lane.in_flight -= 1;
        self.in_flight -= 1;
        self.in_hand -= 1;
        self.bytes -= bytes;
        let refill = lane.refill && lane.jobs.len() + lane.in_flight + lane.reserved <= self.limits.lane / 2;
        lane.refill &= !refill;
        let uncrowded = self.crowded && self.in_hand <= self.limits.total / 2 && self.bytes <= self.limits.bytes / 2;
        self.crowded &= !uncrowded;
        self.line_up(webhook);
        self.tidy(webhook);
        refill || uncrowded
    }

    /// Drops all jobs that have not started; answers how many.
    pub(crate) fn clear(&mut self) -> usize {
        let mut dropped = 0;
        for lane in self.by_webhook.values_mut() {
            for (_, bytes) in lane.jobs.drain(..) {
                dropped += 1;
                self.in_hand -= 1;
                self.bytes -= bytes;
            }
            lane.in_line = false;
        }
        self.turns.clear();
        self.lines.clear();
        self.by_webhook.retain(|_, lane| lane.in_flight + lane.reserved > 0);
        dropped
    }

    /// Requests in flight, and deliveries in hand.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.in_flight, self.in_hand)
    }

    fn line_up(&mut self, webhook: WebhookId) {
        let Some(lane) = self.by_webhook.get_mut(&webhook) else { return };
        if lane.in_line || lane.jobs.is_empty() || lane.in_flight >= self.limits.lane_in_flight {
            return;
        }
        lane.in_line = true;
        let waiting = self.lines.entry(lane.organization).or_default();
        if waiting.is_empty() {
            self.turns.push_back(lane.organization);
        }
        waiting.push_back(webhook);
    }

    /// Forgets a lane with nothing in it, so that deleted webhooks leave nothing behind.
    fn tidy(&mut self, webhook: WebhookId) {
        if self.by_webhook.get(&webhook).is_some_and(|lane| lane.jobs.is_empty() && lane.in_flight + lane.reserved == 0)
        {
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

    const LIMITS: Limits = Limits { in_flight: 4, lane_in_flight: 2, lane: 5, total: 12, bytes: 1000 };

    fn org(n: u128) -> OrganizationId {
        OrganizationId::from_uuid(Uuid::from_u128(n))
    }

    fn hook(n: u128) -> WebhookId {
        WebhookId::from_uuid(Uuid::from_u128(n))
    }

    fn put(lanes: &mut Lanes<u128>, organization: u128, webhook: u128) -> bool {
        let fits = lanes.reserve(org(organization), hook(webhook), 1);
        if fits {
            lanes.push(hook(webhook), webhook, 1);
        }
        fits
    }

    #[test]
    fn turns_alternate_between_organizations_then_webhooks() {
        let mut lanes = Lanes::new(Limits { in_flight: 100, lane_in_flight: 100, lane: 100, total: 100, bytes: 1000 });
        for _ in 0..3 {
            put(&mut lanes, 1, 10);
            put(&mut lanes, 1, 11);
            put(&mut lanes, 2, 20);
        }
        let order: Vec<u128> = std::iter::from_fn(|| lanes.pop().map(|(job, _)| job)).collect();
        assert_eq!(order, [10, 20, 11, 20, 10, 20, 11, 10, 11]);
    }

    #[test]
    fn a_hanging_webhook_holds_only_its_own_slots() {
        let mut lanes = Lanes::new(LIMITS);
        while put(&mut lanes, 1, 10) {}
        assert_eq!(lanes.load().1, LIMITS.lane);
        assert!(lanes.pop().is_some() && lanes.pop().is_some() && lanes.pop().is_none());
        assert!(put(&mut lanes, 1, 11));
        assert_eq!(lanes.pop(), Some((11, 1)));
    }

    proptest! {
        /// Whatever happens, limits hold, nothing is lost, and an empty structure is really empty.
        #[test]
        fn limits_hold(steps in proptest::collection::vec((0_u8..4, 0_u128..6), 0..300)) {
            let mut lanes = Lanes::new(LIMITS);
            let mut flying: Vec<u128> = Vec::new();
            let (mut put_in, mut done) = (0, 0);
            for (step, n) in steps {
                match step {
                    0 | 1 => put_in += usize::from(put(&mut lanes, n % 2, n)),
                    2 => flying.extend(lanes.pop().map(|(job, _)| job)),
                    _ => if let Some(job) = flying.pop() { lanes.finish(hook(job), 1); done += 1; },
                }
                let (in_flight, in_hand) = lanes.load();
                prop_assert_eq!(in_flight, flying.len());
                prop_assert_eq!(in_hand, put_in - done);
                prop_assert!(in_flight <= LIMITS.in_flight && in_hand <= LIMITS.total);
            }
            while lanes.load().1 > 0 {
                flying.extend(lanes.pop().map(|(job, _)| job));
                if let Some(job) = flying.pop() { lanes.finish(hook(job), 1); }
            }
            prop_assert!(lanes.by_webhook.is_empty() && lanes.turns.is_empty() && lanes.lines.is_empty() && lanes.bytes == 0);
        }
    }
}
