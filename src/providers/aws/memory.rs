//! What was read of an account and may be remembered, each with a bound.
use curfew_core::time::Time;
use parking_lot::Mutex;
use std::{collections::HashMap, hash::Hash};

/// Values that never change, by key. When it is full it begins again.
#[derive(Debug)]
pub struct Constants<K, V> {
    most: usize,
    known: Mutex<HashMap<K, V>>,
}

impl<K: Eq + Hash, V: Clone> Constants<K, V> {
    /// Remembers at most so many; 0 counts as 1.
    pub fn new(most: usize) -> Self {
        Constants { most: most.max(1), known: Mutex::default() }
    }
    /// The value of a key, if it is remembered.
    pub fn get(&self, key: &K) -> Option<V> {
        self.known.lock().get(key).cloned()
    }
    /// The value of a key; where none is remembered, a new one for all that ask.
    pub fn get_or_insert_with(&self, key: K, new: impl FnOnce() -> V) -> V {
        let mut known = self.known.lock();
        if let Some(value) = known.get(&key) {
            return value.clone();
        }
        if known.len() >= self.most {
            known.clear();
        }
        known.entry(key).or_insert_with(new).clone()
    }
    /// Remembers a value.
    pub fn insert(&self, key: K, value: V) {
        let mut known = self.known.lock();
        if known.len() >= self.most && !known.contains_key(&key) {
            known.clear();
        }
        known.insert(key, value);
    }
    /// Forgets a key; whether it was remembered.
    pub fn remove(&self, key: &K) -> bool {
        self.known.lock().remove(key).is_some()
    }
}

/// A value that may be older than the call that asks for it, by a bounded time.
#[derive(Debug)]
pub struct Recent<T> {
    secs: i64,
    known: Mutex<Option<(Time, T)>>,
    /// Nothing that was asked before is believed.
    floor: Mutex<Option<Time>>,
}

impl<T: Clone> Recent<T> {
    /// Remembers for so many seconds.
    pub fn new(secs: i64) -> Self {
        Recent { secs, known: Mutex::default(), floor: Mutex::default() }
    }
    /// The value, if it is young enough. One from the future is not: the clock has stepped.
    pub fn get(&self, now: Time) -> Option<T> {
        let known = self.known.lock();
        let (at, value) = known.as_ref()?;
        let old = self.floor.lock().is_some_and(|floor| *at <= floor);
        (!old && *at <= now && now < at.plus_secs(self.secs)).then(|| value.clone())
    }
    /// Believes nothing more that was asked until now, also where its answer is still to come.
    pub fn forget(&self, now: Time) {
        *self.floor.lock() = Some(now);
    }
    /// Remembers a value that was asked for at this time.
    pub fn insert(&self, at: Time, value: T) {
        *self.known.lock() = Some((at, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound() {
        let known = Constants::new(2);
        for (key, value) in [(1, "a"), (2, "b"), (2, "c"), (3, "d")] {
            known.insert(key, value);
        }
        assert_eq!((known.get(&2), known.get(&3), known.known.lock().len()), (None, Some("d"), 1));
        assert!(known.remove(&3) && !known.remove(&3));
    }

    #[test]
    fn a_recent_value_is_forgotten_in_time_and_after_a_step_of_the_clock() {
        let (recent, at) = (Recent::new(30), Time::from_secs(1_000));
        recent.insert(at, "here");
        assert_eq!((recent.get(at), recent.get(at.plus_secs(29))), (Some("here"), Some("here")));
        assert_eq!((recent.get(at.plus_secs(30)), recent.get(at.plus_secs(-1))), (None, None));
        recent.forget(at.plus_secs(1));
        recent.insert(at.plus_secs(1), "asked before");
        assert_eq!(recent.get(at.plus_secs(2)), None);
        recent.insert(at.plus_secs(2), "asked after");
        assert_eq!(recent.get(at.plus_secs(2)), Some("asked after"));
    }
}
