//! Objects that this process has just written and the watch has not brought yet.
//!
//! Without them, any event in between would start a reconcile on the state before our own write. That is safe, because the
//! compare-and-swap of its commit would fail, and wasteful.
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// How long the watch may lag behind a write. After that its version is taken as current again.
const MAX_LAG: Duration = Duration::from_secs(2);

/// The version of each object before our last write to it.
#[derive(Debug)]
pub struct Expectations<Id>(Mutex<HashMap<Id, (String, Instant)>>);

impl<Id: Hash + Eq + Clone> Default for Expectations<Id> {
    fn default() -> Self {
        Expectations(Mutex::default())
    }
}

impl<Id: Hash + Eq + Clone> Expectations<Id> {
    /// Records a write to `id`, which had this version before.
    pub fn expect_after(&self, id: &Id, before: &str) {
        let mut known = self.0.lock();
        known.retain(|_, (_, at)| at.elapsed() < MAX_LAG);
        known.insert(id.clone(), (before.to_owned(), Instant::now()));
    }

    /// Whether this version of `id` is the one before our own write.
    pub fn is_stale(&self, id: &Id, version: &str) -> bool {
        let known = self.0.lock();
        known.get(id).is_some_and(|(before, at)| before == version && at.elapsed() < MAX_LAG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_before_our_own_write_is_stale() {
        let expectations = Expectations::default();
        expectations.expect_after(&"a", "1");
        assert!(expectations.is_stale(&"a", "1"));
        assert!(!expectations.is_stale(&"a", "2") && !expectations.is_stale(&"b", "1"));
    }
}
