//! Objects that this process has just written and the watch has not brought yet.
//!
//! Without them, any event in between would start a reconcile on the state before our own write. That is safe, because the
//! compare-and-swap of its commit would fail, and wasteful. Where it did fail, because another client has written, the next
//! reconcile reads the object live: the cache may show the old version for as long as the watch lags.
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::{Duration, Instant},
};

/// How long the watch may lag behind a write. After that its version is taken as current again.
const MAX_LAG: Duration = Duration::from_secs(2);

/// What is known to be newer than the cache shows it.
#[derive(Debug)]
pub struct Expectations<Id> {
    /// The version of each object before our last write to it.
    written: Mutex<HashMap<Id, (String, Instant)>>,
    /// The objects of which the last reconcile has found that another client has changed them.
    outdated: Mutex<HashSet<Id>>,
}

impl<Id: Hash + Eq + Clone> Default for Expectations<Id> {
    fn default() -> Self {
        Expectations { written: Mutex::default(), outdated: Mutex::default() }
    }
}

impl<Id: Hash + Eq + Clone> Expectations<Id> {
    /// Records a write to `id`, which had this version before.
    pub fn expect_after(&self, id: &Id, before: &str) {
        let mut known = self.written.lock();
        known.retain(|_, (_, at)| at.elapsed() < MAX_LAG);
        known.insert(id.clone(), (before.to_owned(), Instant::now()));
    }

    /// Whether this version of `id` is the one before our own write.
    pub fn is_stale(&self, id: &Id, version: &str) -> bool {
        let known = self.written.lock();
        known.get(id).is_some_and(|(before, at)| before == version && at.elapsed() < MAX_LAG)
    }

    /// Records that another client has changed `id` since it was read: the next reconcile has to read it live.
    pub fn outdated(&self, id: &Id) {
        self.outdated.lock().insert(id.clone());
    }

    /// Whether this reconcile of `id` has to read it live. The next one need not, unless it meets a conflict, too.
    pub fn take_outdated(&self, id: &Id) -> bool {
        self.outdated.lock().remove(id)
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

    #[test]
    fn after_a_conflict_the_next_reconcile_alone_reads_live() {
        let expectations = Expectations::default();
        expectations.outdated(&"a");
        assert!(!expectations.take_outdated(&"b"));
        assert!(expectations.take_outdated(&"a") && !expectations.take_outdated(&"a"));
    }
}
