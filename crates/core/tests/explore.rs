//! Model checks the protocol: the `Reconcile` that the operator runs, through every interleaving of two replicas with stale
//! caches and clocks that differ, crashes, a lease that moves, people who change their minds, and effects that fail.
//!
//!     cargo test --package curfew-core --test explore -- --nocapture
//!     LIMIT=5000000 cargo test --package curfew-core --test explore -- --nocapture
mod checker;
mod world;

use checker::{Outcome, search};
use std::time::Instant;
use world::{
    mutants::Mutant,
    scenarios::{self, Scenario},
};

/// How many states are visited where not all are: two million by default.
fn limit() -> usize {
    std::env::var("LIMIT").ok().and_then(|s| s.parse().ok()).unwrap_or(2_000_000)
}

fn run(s: &Scenario, mutant: Mutant, limit: usize) -> Outcome<world::invariants::Broken, world::moves::Event> {
    #[allow(clippy::disallowed_methods)] // the core has no clock; this test reports how long each search took
    let begun = Instant::now();
    let (mut model, first) = s.set_up(mutant);
    let o = search(&mut model, first, limit);
    let found = o.broken.as_ref().map_or("holds".to_owned(), |(b, t)| format!("{b:?} after {} steps", t.len()));
    let reach = if o.complete { "all" } else { "of more" };
    println!(
        "{:>9} states, {reach:7} {:6.1} s, {:>6} tasks  {:24} {}: {found}",
        o.states,
        begun.elapsed().as_secs_f32(),
        model.tasks.len(),
        format!("{mutant:?}"),
        s.name
    );
    o
}

#[test]
fn the_protocol_holds() {
    for s in scenarios::ALL {
        // A complete search must end by itself, far below this limit.
        let o = run(s, Mutant::None, if s.complete { 15_000_000 } else { limit() });
        if let Some((broken, trace)) = o.broken {
            panic!("{}: {broken:?}\n{}", s.name, trace.iter().map(|e| format!("  {e:?}\n")).collect::<String>());
        }
        assert!(o.complete || !s.complete, "{}: not searched completely in {} states", s.name, o.states);
        assert!(o.complete || o.states >= 1_000_000.min(limit()), "{}: only {} states", s.name, o.states);
    }
}

/// A check that cannot fail shows nothing: without each protection the search finds a violation.
#[test]
fn without_each_protection_the_search_finds_a_violation() {
    let mut missed = Vec::new();
    for (mutant, from) in scenarios::MUTANTS {
        let o = run(from, *mutant, 4_000_000);
        if o.broken.is_none() {
            missed.push(format!("{mutant:?} from {}", from.name));
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
