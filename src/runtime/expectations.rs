//! What we have just written and the watch has not brought yet.
//!
//! Without this, any event in between would start a pass on the state before our own write. That is safe, because the
//! pass would fail its compare-and-swap, and wasteful.
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a watch may lag before its word is taken again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The version of each object before our last write to it.
#[derive(Debug)]
pub struct Expectations<Id>(Mutex<HashMap<Id, (String, Instant)>>);

impl<Id: Hash + Eq + Clone> Default for Expectations<Id> {
    fn default() -> Self {
        Expectations(Mutex::default())
    }
}

impl<Id: Hash + Eq + Clone> Expectations<Id> {
    /// We have written to `id`, which had this version before.
    pub fn expect_after(&self, id: &Id, before: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| at.elapsed() < PATIENCE);
        known.insert(id.clone(), (before.to_owned(), Instant::now()));
    }

    /// Whether this version is the one before our own write.
    pub fn is_stale(&self, id: &Id, version: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).is_some_and(|(before, at)| before == version && at.elapsed() < PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_before_our_write_is_stale() {
        let r = Expectations::default();
        r.expect_after(&"a", "1");
        assert!(r.is_stale(&"a", "1") && !r.is_stale(&"a", "2") && !r.is_stale(&"b", "1"));
    }
}
