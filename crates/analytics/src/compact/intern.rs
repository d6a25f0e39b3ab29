//! Stores equal values once.
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Values by id, each once. The index holds hashes only, so that no value is stored twice.
pub(super) struct Interner<T> {
    items: Vec<T>,
    index: HashMap<u64, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { items: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The id of a value. Of different values with one hash the later has the next free hash.
    pub(super) fn add(&mut self, item: T) -> u32 {
        let mut hasher = DefaultHasher::new();
        item.hash(&mut hasher);
        let mut hash = hasher.finish();
        loop {
            match self.index.get(&hash) {
                Some(id) if self.items[*id as usize] == item => return *id,
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        let id = self.items.len() as u32;
        self.index.insert(hash, id);
        self.items.push(item);
        id
    }
    pub(super) fn get(&self, id: u32) -> &T {
        &self.items[id as usize]
    }
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}
