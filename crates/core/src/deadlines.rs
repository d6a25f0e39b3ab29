//! An index of absolute deadlines, earliest first.
//!
//! It replaces a timer for each object: a deadline costs 16 bytes, and a step of the wall clock takes effect at the next call
//! because no entry counts down.
use crate::time::Time;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Deadlines by id. Each id has at most one.
#[derive(Clone, Debug)]
pub struct Deadlines<Id> {
    by_time: BTreeSet<(Time, Id)>,
    by_id: HashMap<Id, Time>,
}

impl<Id: Clone + Ord + Hash> Default for Deadlines<Id> {
    fn default() -> Self {
        Deadlines { by_time: BTreeSet::new(), by_id: HashMap::new() }
    }
}

impl<Id: Clone + Ord + Hash> Deadlines<Id> {
    /// Sets or moves the deadline of `id`.
    pub fn set(&mut self, id: Id, at: Time) {
        if let Some(old) = self.by_id.insert(id.clone(), at) {
            self.by_time.remove(&(old, id.clone()));
        }
        self.by_time.insert((at, id));
    }
    /// Removes the deadline of `id`, if it has one.
    pub fn remove(&mut self, id: &Id) {
        if let Some(old) = self.by_id.remove(id) {
            self.by_time.remove(&(old, id.clone()));
        }
    }
    /// The earliest deadline.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(t, _)| *t)
    }
    /// Removes and returns the ids whose deadline is not after `now`, earliest first.
    pub fn take_due(&mut self, now: Time) -> Vec<Id> {
        let mut due = Vec::new();
        while let Some((t, _)) = self.by_time.first() {
            if *t > now {
                break;
            }
            if let Some((_, id)) = self.by_time.pop_first() {
                self.by_id.remove(&id);
                due.push(id);
            }
        }
        due
    }
    /// Number of deadlines.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }
    /// Whether there are no deadlines.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_ids_are_taken_once_and_earliest_first() {
        let mut d = Deadlines::default();
        for (id, t) in [("c", 30), ("a", 10), ("b", 20)] {
            d.set(id, Time::from_secs(t));
        }
        assert_eq!(d.next(), Some(Time::from_secs(10)));
        assert_eq!(d.take_due(Time::from_secs(20)), ["a", "b"]);
        assert_eq!(d.take_due(Time::from_secs(20)), [""; 0]);
        assert_eq!(d.len(), 1);
    }

    #[test]
    fn deadline_can_be_moved_and_removed() {
        let mut d = Deadlines::default();
        d.set("a", Time::from_secs(30));
        d.set("a", Time::from_secs(5));
        assert_eq!(d.take_due(Time::from_secs(29)), ["a"]);
        d.set("a", Time::from_secs(40));
        d.remove(&"a");
        assert!(d.is_empty() && d.next().is_none());
    }
}
