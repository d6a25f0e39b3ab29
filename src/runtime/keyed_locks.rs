//! A lock for each key. What holds one key delays no other (I5).
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// With how many known locks those that nothing holds are looked for the first time.
const FIRST_LOOK: usize = 64;

/// The locks. A key that nothing holds takes no memory for long.
#[derive(Debug)]
pub struct KeyedLocks<K>(Mutex<Known<K>>);

#[derive(Debug)]
struct Known<K> {
    locks: HashMap<K, Weak<AsyncMutex<()>>>,
    /// With how many locks those that nothing holds are forgotten: twice as many as were held at the last time, so that each look has as
    /// many new keys before it as it looks at.
    next_look: usize,
}

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        KeyedLocks(Mutex::new(Known { locks: HashMap::new(), next_look: FIRST_LOOK }))
    }
}

impl<K: Eq + Hash + Clone> KeyedLocks<K> {
    /// Waits until nothing else holds this key.
    pub async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        self.of(key).lock_owned().await
    }

    fn of(&self, key: &K) -> Arc<AsyncMutex<()>> {
        let mut known = self.0.lock();
        if let Some(lock) = known.locks.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        if known.locks.len() >= known.next_look {
            known.locks.retain(|_, lock| lock.strong_count() > 0);
            known.next_look = FIRST_LOOK.max(known.locks.len() * 2);
        }
        let lock = Arc::new(AsyncMutex::default());
        known.locks.insert(key.clone(), Arc::downgrade(&lock));
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
        let known = locks.0.lock().locks.len();
        assert!(known <= FIRST_LOOK * 2, "{known}");
        assert!(locks.lock(&0).now_or_never().is_none());
        drop(held);
    }
}
