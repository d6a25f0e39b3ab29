//! One ordered index over absolute time: what is due, earliest first.
//!
//! Sixteen bytes and a search tree instead of a timer per object: a far deadline costs nothing, and a step of the wall
//! clock is seen at the next look because nothing here counts down.
use crate::time::Time;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Deadlines by id; each id has at most one.
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
    /// Forgets `id`.
    pub fn remove(&mut self, id: &Id) {
        if let Some(old) = self.by_id.remove(id) {
            self.by_time.remove(&(old, id.clone()));
        }
    }
    /// When the next one is due.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(t, _)| *t)
    }
    /// Takes out what is due at `now`, earliest first.
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
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_out_once_and_earliest_first() {
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
    fn a_deadline_moves_and_is_forgotten() {
        let mut d = Deadlines::default();
        d.set("a", Time::from_secs(30));
        d.set("a", Time::from_secs(5));
        assert_eq!(d.take_due(Time::from_secs(29)), ["a"]);
        d.set("a", Time::from_secs(40));
        d.remove(&"a");
        assert!(d.is_empty() && d.next().is_none());
    }
}
