//! Model checks the protocol: the `Reconcile` that the operator runs, through every interleaving of two replicas with stale
//! caches and clocks that differ, crashes, a lease that moves, people who change their minds, and effects that fail.
//!
//!     cargo test --package curfew-core --test explore -- --nocapture
//!     LIMIT=5000000 cargo test --package curfew-core --test explore -- --nocapture
mod checker;
mod world;

use checker::{Outcome, all_that_is_wrong, search_and_report};
use world::{
    mutants::Mutant,
    scenarios::{self, Scenario},
};

/// How many states are visited where not all are: a million by default, and two in `make attacks`.
fn limit() -> usize {
    std::env::var("LIMIT").ok().and_then(|s| s.parse().ok()).unwrap_or(1_000_000)
}

fn run(s: &Scenario, mutant: Mutant, limit: usize) -> Outcome<world::invariants::Broken, world::moves::Event> {
    let (mut model, first) = s.set_up(mutant);
    search_and_report(&mut model, first, limit, mutant, s.name)
}

#[test]
fn the_protocol_holds() {
    let wrong = all_that_is_wrong(scenarios::ALL, |s| {
        // A complete search must end by itself, far below this limit.
        let o = run(s, Mutant::None, if s.complete { 15_000_000 } else { limit() });
        match o.broken {
            Some((broken, trace)) => {
                Some(format!("{}: {broken:?}\n{}", s.name, trace.iter().map(|e| format!("  {e:?}\n")).collect::<String>()))
            }
            None if s.complete && !o.complete => Some(format!("{}: not searched completely in {} states", s.name, o.states)),
            None if !o.complete && o.states < 1_000_000.min(limit()) => Some(format!("{}: only {} states", s.name, o.states)),
            None => None,
        }
    });
    assert!(wrong.is_empty(), "violated, or not searched far enough:\n{}", wrong.join("\n"));
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
