//! Work in lanes: a system that does not answer fills only its own lane, and within a lane revocations go before grants, earliest
//! first. Each lane has a width, may have a rate, and can be paused where the target asks for it.
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// A kind of work. The order is the order of service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Urgency {
    /// Access has to be removed.
    Revoke,
    /// Anything else.
    Other,
}

/// How fast and how wide the target of a lane may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How many pieces of work run at a time.
    pub width: usize,
    /// How many pieces of work may begin per minute, in bursts of as many; `None` where only `width` limits.
    pub per_minute: Option<u32>,
}

#[derive(Debug)]
struct Lane<Id> {
    limits: Limits,
    waiting: BTreeSet<(Urgency, Time, Id)>,
    places: HashMap<Id, (Urgency, Time)>,
    /// Running work, and how urgently it was requested again meanwhile.
    running: HashMap<Id, Option<(Urgency, Time)>>,
    /// Nothing begins before this.
    paused_until: Time,
    /// Work that may begin at once, in thousandths of a piece times minutes, as of `refilled`.
    tokens: i64,
    refilled: Time,
}

/// One token, in the unit of [`Lane::tokens`]: a rate of `n` per minute adds `n` of these units per millisecond.
const TOKEN: i64 = 60_000;

impl<Id: Clone + Ord + Hash> Lane<Id> {
    fn new(limits: Limits, now: Time) -> Self {
        let tokens = limits.per_minute.map_or(0, |n| i64::from(n) * TOKEN);
        Lane { limits, waiting: BTreeSet::new(), places: HashMap::new(), running: HashMap::new(), paused_until: now, tokens, refilled: now }
    }
    /// When the next piece of waiting work may begin; `None` if none waits or the lane is full.
    fn ready_at(&self) -> Option<Time> {
        if self.waiting.is_empty() || self.running.len() >= self.limits.width {
            return None;
        }
        let rate = self.limits.per_minute.map(i64::from).filter(|_| self.tokens < TOKEN);
        let refill = rate.map(|n| Time::from_millis(self.refilled.as_millis() + (TOKEN - self.tokens + n.max(1) - 1) / n.max(1)));
        Some(refill.map_or(self.paused_until, |t| t.max(self.paused_until)))
    }
    fn refill(&mut self, now: Time) {
        let Some(rate) = self.limits.per_minute.map(i64::from) else { return };
        let passed = now.millis_since(self.refilled).clamp(0, 60_000);
        self.tokens = (self.tokens + passed * rate).min(rate * TOKEN);
        self.refilled = now;
    }
}

/// Work by lane. Each id is in one place at most and never runs twice at a time; what is requested while it runs, runs again.
#[derive(Debug)]
pub struct Lanes<Key, Id> {
    lanes: BTreeMap<Key, Lane<Id>>,
}

impl<Key, Id> Default for Lanes<Key, Id> {
    fn default() -> Self {
        Lanes { lanes: BTreeMap::new() }
    }
}

impl<Key: Clone + Ord, Id: Clone + Ord + Hash> Lanes<Key, Id> {
    /// Requests work in a lane with these limits. Of two requests for the same id the more urgent one counts.
    pub fn push(&mut self, key: Key, limits: Limits, id: Id, urgency: Urgency, due: Time, now: Time) {
        let lane = self.lanes.entry(key).or_insert_with(|| Lane::new(limits, now));
        lane.limits = limits;
        let place = (urgency, due);
        if let Some(again) = lane.running.get_mut(&id) {
            *again = Some(again.map_or(place, |old| old.min(place)));
            return;
        }
        let best = lane.places.get(&id).map_or(place, |old| (*old).min(place));
        if let Some(old) = lane.places.insert(id.clone(), best) {
            lane.waiting.remove(&(old.0, old.1, id.clone()));
        }
        lane.waiting.insert((best.0, best.1, id));
    }

    /// The next piece of work that may run, the most urgent over all lanes that have room.
    pub fn start(&mut self, now: Time) -> Option<(Key, Id)> {
        self.lanes.values_mut().for_each(|l| l.refill(now));
        let free = self.lanes.iter().filter(|(_, l)| l.ready_at().is_some_and(|t| t <= now));
        let (_, key) = free.filter_map(|(k, l)| l.waiting.first().map(|(u, t, _)| ((*u, *t), k.clone()))).min()?;
        let lane = self.lanes.get_mut(&key)?;
        let (_, _, id) = lane.waiting.pop_first()?;
        lane.places.remove(&id);
        lane.running.insert(id.clone(), None);
        if lane.limits.per_minute.is_some() {
            lane.tokens -= TOKEN;
        }
        Some((key, id))
    }

    /// When work that a pause or a rate holds back may begin.
    pub fn next_start(&self) -> Option<Time> {
        self.lanes.values().filter_map(Lane::ready_at).min()
    }

    /// Nothing begins in this lane before `until`: its target asked to be left alone.
    pub fn pause(&mut self, key: &Key, until: Time) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.paused_until = lane.paused_until.max(until);
        }
    }

    /// Work has ended. If it was requested again while it ran, it waits again.
    pub fn finish(&mut self, key: &Key, id: &Id, now: Time) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(Some((urgency, due))) = lane.running.remove(id) {
            lane.places.insert(id.clone(), (urgency, due));
            lane.waiting.insert((urgency, due, id.clone()));
        }
        // A lane that is paused, or that has used up some of its rate, is kept until that is over.
        let spent = lane.limits.per_minute.is_some_and(|n| lane.tokens < i64::from(n) * TOKEN);
        if lane.running.is_empty() && lane.waiting.is_empty() && lane.paused_until <= now && !spent {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: fn(i64) -> Time = Time::from_secs;
    const NOW: Time = Time::from_secs(100);

    fn wide(width: usize) -> Limits {
        Limits { width, per_minute: None }
    }

    #[test]
    fn revocations_go_first_and_earliest_first() {
        let mut l = Lanes::default();
        l.push("k", wide(10), "grant", Urgency::Other, T(1), NOW);
        l.push("k", wide(10), "late", Urgency::Revoke, T(9), NOW);
        l.push("k", wide(10), "early", Urgency::Revoke, T(5), NOW);
        let order: Vec<_> = std::iter::from_fn(|| l.start(NOW)).map(|(_, id)| id).collect();
        assert_eq!(order, ["early", "late", "grant"]);
    }

    #[test]
    fn a_system_that_does_not_answer_fills_only_its_own_lane() {
        let mut l = Lanes::default();
        for id in ["a1", "a2", "a3"] {
            l.push("silent", wide(1), id, Urgency::Revoke, T(1), NOW);
        }
        l.push("well", wide(1), "b1", Urgency::Other, T(9), NOW);
        assert_eq!(l.start(NOW), Some(("silent", "a1")));
        assert_eq!(l.start(NOW), Some(("well", "b1")));
        assert_eq!(l.start(NOW), None);
        l.finish(&"silent", &"a1", NOW);
        assert_eq!(l.start(NOW), Some(("silent", "a2")));
    }

    #[test]
    fn an_id_never_runs_twice_at_a_time_and_no_request_is_lost() {
        let mut l = Lanes::default();
        l.push("k", wide(2), "a", Urgency::Other, T(5), NOW);
        assert_eq!(l.start(NOW), Some(("k", "a")));
        l.push("k", wide(2), "a", Urgency::Other, T(5), NOW);
        l.push("k", wide(2), "a", Urgency::Revoke, T(7), NOW);
        assert_eq!(l.start(NOW), None);
        l.finish(&"k", &"a", NOW);
        assert_eq!(l.start(NOW), Some(("k", "a")));
        l.finish(&"k", &"a", NOW);
        assert_eq!(l.start(NOW), None);
    }

    #[test]
    fn the_more_urgent_of_two_requests_counts() {
        let mut l = Lanes::default();
        l.push("k", wide(2), "a", Urgency::Other, T(1), NOW);
        l.push("k", wide(2), "b", Urgency::Revoke, T(9), NOW);
        l.push("k", wide(2), "a", Urgency::Revoke, T(3), NOW);
        assert_eq!(l.start(NOW).map(|x| x.1), Some("a"));
        assert_eq!(l.start(NOW).map(|x| x.1), Some("b"));
        assert_eq!(l.start(NOW), None);
    }

    #[test]
    fn a_paused_lane_begins_nothing_and_others_go_on() {
        let mut l = Lanes::default();
        l.push("throttled", wide(2), "a", Urgency::Revoke, T(1), NOW);
        l.pause(&"throttled", NOW.plus_secs(7));
        l.push("well", wide(2), "b", Urgency::Other, T(1), NOW);
        assert_eq!(l.start(NOW), Some(("well", "b")));
        assert_eq!((l.start(NOW), l.next_start()), (None, Some(NOW.plus_secs(7))));
        assert_eq!(l.start(NOW.plus_secs(7)), Some(("throttled", "a")));
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_then_one_after_the_other() {
        let mut l = Lanes::default();
        let slow = Limits { width: 10, per_minute: Some(2) };
        for id in ["a", "b", "c", "d"] {
            l.push("k", slow, id, Urgency::Other, T(1), NOW);
        }
        assert_eq!([l.start(NOW), l.start(NOW), l.start(NOW)], [Some(("k", "a")), Some(("k", "b")), None]);
        assert_eq!(l.next_start(), Some(NOW.plus_secs(30)));
        assert_eq!((l.start(NOW.plus_secs(29)), l.start(NOW.plus_secs(30))), (None, Some(("k", "c"))));
        for id in ["a", "b", "c"] {
            l.finish(&"k", &id, NOW.plus_secs(30));
        }
        assert_eq!((l.start(NOW.plus_secs(59)), l.start(NOW.plus_secs(60))), (None, Some(("k", "d"))));
    }
}
