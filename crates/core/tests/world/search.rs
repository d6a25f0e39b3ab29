//! Breadth first over every interleaving, so that what is found is found in the fewest steps.
use super::{
    World,
    invariants::{self, Broken},
    model::{Map, Model},
    moves::Event,
};
use std::hash::Hasher;

/// A fast hash for small keys that nobody attacks (the multiply-rotate of rustc's own tables).
#[derive(Clone, Copy, Default)]
pub struct Fast(u64);

impl Fast {
    fn add(&mut self, x: u64) {
        self.0 = (self.0.rotate_left(5) ^ x).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut decision = [0; 8];
            decision[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(decision));
        }
    }
    fn write_u8(&mut self, x: u8) {
        self.add(u64::from(x));
    }
    fn write_u32(&mut self, x: u32) {
        self.add(u64::from(x));
    }
    fn write_u64(&mut self, x: u64) {
        self.add(x);
    }
    fn write_usize(&mut self, x: usize) {
        self.add(x as u64);
    }
}

/// What a search found.
pub struct Outcome {
    pub states: usize,
    /// Every reachable state was seen.
    pub complete: bool,
    pub broken: Option<(Broken, Vec<Event>)>,
}

/// Searches from `first` until something is broken, everything was seen, or `limit` states were.
pub fn search(model: &mut Model, first: World, limit: usize) -> Outcome {
    let mut states: Vec<World> = vec![first];
    let mut from: Vec<(u32, Event)> = vec![(0, Event::Tick)];
    let mut numbers: Map<World, ()> = Map::default();
    numbers.insert(first, ());
    let (mut at, mut next) = (0, Vec::new());
    while at < states.len() {
        let w = states[at];
        if let Some(broken) = invariants::violated(&w).or_else(|| model.settles(&w)) {
            return Outcome { states: states.len(), complete: false, broken: Some((broken, trace(&from, at))) };
        }
        if states.len() < limit {
            model.successors(&w, &mut next);
            for (event, n) in next.drain(..) {
                if let std::collections::hash_map::Entry::Vacant(free) = numbers.entry(n) {
                    free.insert(());
                    states.push(n);
                    from.push((u32::try_from(at).expect("fewer than 2^32 states"), event));
                }
            }
        }
        at += 1;
    }
    Outcome { states: states.len(), complete: states.len() < limit, broken: None }
}

fn trace(from: &[(u32, Event)], mut at: usize) -> Vec<Event> {
    let mut path = Vec::new();
    while at != 0 {
        path.push(from[at].1);
        at = from[at].0 as usize;
    }
    path.reverse();
    path
}
