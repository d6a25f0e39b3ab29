//! Breadth-first search over every interleaving, shared by both models, so that a violation is found in the fewest steps.
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Debug,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A hash map with the fast hash below.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;

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

/// Distinct values, numbered from 1.
pub struct Pool<T> {
    numbers: Map<T, u32>,
    values: Vec<T>,
}
impl<T: Clone + Eq + Hash> Pool<T> {
    pub fn new() -> Self {
        Pool { numbers: Map::default(), values: Vec::new() }
    }
    pub fn number(&mut self, value: T) -> u32 {
        let values = &mut self.values;
        *self.numbers.entry(value).or_insert_with_key(|v| {
            values.push(v.clone());
            u32::try_from(values.len()).expect("fewer than 2^32")
        })
    }
    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize - 1]
    }
}

/// What is searched.
pub trait StateSpace {
    type State: Copy + Eq + Hash;
    type Event: Copy + Debug;
    type Broken: Debug;
    /// The invariant that this state violates.
    fn violation(&mut self, state: &Self::State) -> Option<Self::Broken>;
    /// Every event that can follow, with its state.
    fn successors(&mut self, state: &Self::State, out: &mut Vec<(Self::Event, Self::State)>);
}

/// The result of a search.
pub struct Outcome<B, E> {
    pub states: usize,
    /// Every reachable state was visited.
    pub complete: bool,
    /// The violation, and the events that lead to it.
    pub broken: Option<(B, Vec<E>)>,
}

/// Searches from `first` until an invariant is violated, or every state was visited, or `limit` states were.
pub fn search<M: StateSpace>(model: &mut M, first: M::State, limit: usize) -> Outcome<M::Broken, M::Event> {
    let mut states: Vec<M::State> = vec![first];
    let mut from: Vec<(u32, Option<M::Event>)> = vec![(0, None)];
    let mut known: Map<M::State, ()> = Map::default();
    known.insert(first, ());
    let (mut at, mut next) = (0, Vec::new());
    while at < states.len() {
        let state = states[at];
        if let Some(broken) = model.violation(&state) {
            return Outcome { states: states.len(), complete: false, broken: Some((broken, trace(&from, at))) };
        }
        if states.len() < limit {
            model.successors(&state, &mut next);
            for (event, n) in next.drain(..) {
                if let Entry::Vacant(free) = known.entry(n) {
                    free.insert(());
                    states.push(n);
                    from.push((u32::try_from(at).expect("fewer than 2^32 states"), Some(event)));
                }
            }
        }
        at += 1;
    }
    Outcome { states: states.len(), complete: states.len() < limit, broken: None }
}

/// Searches like [`search`], and prints a line: states, seconds, which protection is taken away, the scenario, and what was found.
pub fn search_and_report<M: StateSpace>(
    model: &mut M,
    first: M::State,
    limit: usize,
    mutant: impl Debug,
    name: &str,
) -> Outcome<M::Broken, M::Event> {
    #[allow(clippy::disallowed_methods)] // the core has no clock; the tests report how long each search took
    let begun = std::time::Instant::now();
    let o = search(model, first, limit);
    let found = o.broken.as_ref().map_or("holds".to_owned(), |(b, t)| format!("{b:?} after {} steps", t.len()));
    let (reach, seconds) = (if o.complete { "all" } else { "of more" }, begun.elapsed().as_secs_f32());
    println!("{:>9} states, {reach:7} {seconds:6.1} s, {:26} {name}: {found}", o.states, format!("{mutant:?}"));
    o
}

/// What is wrong with each of the scenarios, two of which are checked at a time: a search needs a gigabyte or two.
pub fn all_that_is_wrong<S: Sync>(scenarios: &[S], check: impl Fn(&S) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || std::iter::from_fn(|| scenarios.get(next.fetch_add(1, Ordering::Relaxed))).filter_map(&check).collect::<Vec<_>>();
    std::thread::scope(|s| {
        let other = s.spawn(work);
        let mut found = work();
        found.extend(other.join().expect("a check does not panic"));
        found
    })
}

fn trace<E: Copy>(from: &[(u32, Option<E>)], mut at: usize) -> Vec<E> {
    let mut path = Vec::new();
    while let (before, Some(event)) = from[at] {
        path.push(event);
        at = before as usize;
    }
    path.reverse();
    path
}
