//! Work in lanes: a sick system fills only its own, and within a lane revocations go before grants, earliest first.
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// What kind of work it is. The order is the order of service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Urgency {
    /// Access is to be taken away.
    Revoke,
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Lane<Id> {
    waiting: BTreeSet<(Urgency, Time, Id)>,
    places: HashMap<Id, (Urgency, Time)>,
    /// Running work, and how urgently it was asked for again meanwhile.
    running: HashMap<Id, Option<(Urgency, Time)>>,
}

/// Work by lane. Each id is in one place at most, never twice at a time; what is asked for while it runs, runs again.
#[derive(Debug)]
pub struct Lanes<Key, Id> {
    lanes: BTreeMap<Key, Lane<Id>>,
    width: usize,
}

impl<Key: Clone + Ord, Id: Clone + Ord + Hash> Lanes<Key, Id> {
    /// Lanes in which at most `width` pieces of work run at a time.
    pub fn new(width: usize) -> Self {
        Lanes { lanes: BTreeMap::new(), width }
    }

    /// Asks for work. Of two wishes for the same id the more urgent one holds.
    pub fn push(&mut self, key: Key, id: Id, urgency: Urgency, due: Time) {
        let lane =
            self.lanes.entry(key).or_insert_with(|| Lane { waiting: BTreeSet::new(), places: HashMap::new(), running: HashMap::new() });
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
    pub fn start(&mut self) -> Option<(Key, Id)> {
        let width = self.width;
        let free = self.lanes.iter().filter(|(_, l)| l.running.len() < width);
        let (_, key) = free.filter_map(|(k, l)| l.waiting.first().map(|(u, t, _)| ((*u, *t), k.clone()))).min()?;
        let lane = self.lanes.get_mut(&key)?;
        let (_, _, id) = lane.waiting.pop_first()?;
        lane.places.remove(&id);
        lane.running.insert(id.clone(), None);
        Some((key, id))
    }

    /// Work has ended. If it was asked for again while it ran, it waits again.
    pub fn finish(&mut self, key: &Key, id: &Id) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(Some((urgency, due))) = lane.running.remove(id) {
            lane.places.insert(id.clone(), (urgency, due));
            lane.waiting.insert((urgency, due, id.clone()));
        }
        if lane.running.is_empty() && lane.waiting.is_empty() {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: fn(i64) -> Time = Time::from_secs;

    #[test]
    fn revocations_go_first_and_earliest_first() {
        let mut l = Lanes::new(10);
        l.push("k", "grant", Urgency::Other, T(1));
        l.push("k", "late", Urgency::Revoke, T(9));
        l.push("k", "early", Urgency::Revoke, T(5));
        let order: Vec<_> = std::iter::from_fn(|| l.start()).map(|(_, id)| id).collect();
        assert_eq!(order, ["early", "late", "grant"]);
    }

    #[test]
    fn a_sick_system_fills_only_its_own_lane() {
        let mut l = Lanes::new(1);
        for id in ["a1", "a2", "a3"] {
            l.push("sick", id, Urgency::Revoke, T(1));
        }
        l.push("well", "b1", Urgency::Other, T(9));
        assert_eq!(l.start(), Some(("sick", "a1")));
        assert_eq!(l.start(), Some(("well", "b1")));
        assert_eq!(l.start(), None);
        l.finish(&"sick", &"a1");
        assert_eq!(l.start(), Some(("sick", "a2")));
    }

    #[test]
    fn nothing_runs_twice_at_a_time_and_nothing_is_forgotten() {
        let mut l = Lanes::new(2);
        l.push("k", "a", Urgency::Other, T(5));
        assert_eq!(l.start(), Some(("k", "a")));
        l.push("k", "a", Urgency::Other, T(5));
        l.push("k", "a", Urgency::Revoke, T(7));
        assert_eq!(l.start(), None);
        l.finish(&"k", &"a");
        assert_eq!(l.start(), Some(("k", "a")));
        l.finish(&"k", &"a");
        assert_eq!(l.start(), None);
    }

    #[test]
    fn the_more_urgent_wish_holds() {
        let mut l = Lanes::new(2);
        l.push("k", "a", Urgency::Other, T(1));
        l.push("k", "b", Urgency::Revoke, T(9));
        l.push("k", "a", Urgency::Revoke, T(3));
        assert_eq!(l.start().map(|x| x.1), Some("a"));
        assert_eq!(l.start().map(|x| x.1), Some("b"));
        assert_eq!(l.start(), None);
    }
}
