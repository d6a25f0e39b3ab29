//! Breadth-first search over every interleaving, shared by both models, so that a violation is found in the fewest steps.
use std::{
    collections::HashMap,
    fmt::Debug,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
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

/// The states that were found, in the order in which they were: a table of their numbers beside them, so that each is stored once, and a
/// search touches little memory. Equal hashes are compared, so nothing rests on their quality but the time.
struct Known<S> {
    states: Vec<S>,
    /// Numbers of states from 1, each with half of its hash above it; 0 is a free place. Its length is a power of two.
    places: Vec<u64>,
}

impl<S: Copy + Eq + Hash> Known<S> {
    fn of(first: S) -> Self {
        let mut known = Known { states: Vec::new(), places: vec![0; 1 << 10] };
        known.insert(first, Self::hash(&first));
        known
    }

    fn hash(state: &S) -> u64 {
        BuildHasherDefault::<Fast>::default().hash_one(state)
    }

    /// The hashes of these states. Their places are read here, one independently of the other, so that the processor waits for all of them at
    /// once and not for each.
    fn hashes(&self, states: impl Iterator<Item = S>, hashes: &mut Vec<u64>) {
        let mask = self.places.len() - 1;
        hashes.clear();
        hashes.extend(states.map(|state| Self::hash(&state)));
        std::hint::black_box(hashes.iter().fold(0, |read, hash| read ^ self.places[*hash as usize & mask]));
    }

    /// Whether the state with this hash was not known.
    fn insert(&mut self, state: S, hash: u64) -> bool {
        if self.states.len() * 2 > self.places.len() {
            self.grow();
        }
        let mask = self.places.len() - 1;
        let (mut at, tag) = (hash as usize & mask, hash >> 32);
        while self.places[at] != 0 {
            let place = self.places[at];
            if place >> 32 == tag && self.states[place as u32 as usize - 1] == state {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.states.push(state);
        self.places[at] = tag << 32 | u64::from(u32::try_from(self.states.len()).expect("fewer than 2^32 states"));
        true
    }

    fn grow(&mut self) {
        let mask = self.places.len() * 4 - 1;
        let mut places = vec![0; mask + 1];
        for (state, number) in self.states.iter().zip(1u64..) {
            let hash = Self::hash(state);
            let mut at = hash as usize & mask;
            while places[at] != 0 {
                at = (at + 1) & mask;
            }
            places[at] = (hash >> 32) << 32 | number;
        }
        self.places = places;
    }
}

/// Searches from `first` until an invariant is violated, or every state was visited, or `limit` states were.
pub fn search<M: StateSpace>(model: &mut M, first: M::State, limit: usize) -> Outcome<M::Broken, M::Event> {
    let mut known = Known::of(first);
    // From which state each was found first.
    let mut from: Vec<u32> = vec![0];
    let (mut at, mut next, mut hashes) = (0, Vec::new(), Vec::new());
    while at < known.states.len() {
        let state = known.states[at];
        if let Some(broken) = model.violation(&state) {
            let trace = trace(model, &known.states, &from, at);
            return Outcome { states: known.states.len(), complete: false, broken: Some((broken, trace)) };
        }
        if known.states.len() < limit {
            model.successors(&state, &mut next);
            known.hashes(next.iter().map(|(_, state)| *state), &mut hashes);
            for ((_, n), hash) in next.drain(..).zip(hashes.drain(..)) {
                if known.insert(n, hash) {
                    from.push(u32::try_from(at).expect("fewer than 2^32 states"));
                }
            }
        }
        at += 1;
    }
    Outcome { states: known.states.len(), complete: known.states.len() < limit, broken: None }
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

/// The events that lead to a state: those by which each state on the way was found.
fn trace<M: StateSpace>(model: &mut M, states: &[M::State], from: &[u32], mut at: usize) -> Vec<M::Event> {
    let (mut path, mut next) = (Vec::new(), Vec::new());
    while at != 0 {
        let before = from[at] as usize;
        model.successors(&states[before], &mut next);
        path.extend(next.iter().find(|(_, state)| *state == states[at]).map(|(event, _)| *event));
        at = before;
    }
    path.reverse();
    path
}
