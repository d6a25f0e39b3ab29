//! A lock for each key. What holds one key delays no other (I5).
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// How many locks may be known beyond those that are held, before those that nothing holds are forgotten.
const SLACK: usize = 64;

/// The locks. A key that nothing holds takes no memory for long.
#[derive(Debug)]
pub struct KeyedLocks<K>(Mutex<HashMap<K, Weak<AsyncMutex<()>>>>);

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        KeyedLocks(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> KeyedLocks<K> {
    /// Waits until nothing else holds this key.
    pub async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        self.of(key).lock_owned().await
    }

    fn of(&self, key: &K) -> Arc<AsyncMutex<()>> {
        let mut known = self.0.lock();
        if let Some(lock) = known.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        // Each lookup that forgets has at least as many insertions before it as it looks at keys that nothing holds.
        let held = known.len();
        if held >= SLACK && held.is_power_of_two() {
            known.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(AsyncMutex::default());
        known.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_key_that_is_held_delays_no_other() {
        let locks = KeyedLocks::default();
        let first = locks.lock(&"payments").await;
        assert!(locks.lock(&"payments").now_or_never().is_none(), "held");
        assert!(locks.lock(&"orders").now_or_never().is_some(), "another key");
        drop(first);
        assert!(locks.lock(&"payments").now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_nothing_holds_is_forgotten_and_what_is_held_is_not() {
        let locks = KeyedLocks::default();
        let held = locks.lock(&0).await;
        for key in 1..10_000 {
            drop(locks.lock(&key).await);
        }
        assert!(locks.0.lock().len() <= SLACK * 2, "{}", locks.0.lock().len());
        assert!(locks.lock(&0).now_or_never().is_none());
        drop(held);
    }
}
