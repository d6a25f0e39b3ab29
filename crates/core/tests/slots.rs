//! Model checks shared slots: the `Reconcile` that the operator runs, for two or three overlapping Grants of one principal at a
//! target with a time-limit fence, one copy per access, asynchronous writes and reads that lag behind writes. Every interleaving
//! of two replicas is searched, with clocks that differ, pauses, crashes, lost answers and changes by people.
//!
//!     cargo test --package curfew-core --test slots -- --nocapture
mod checker;
mod slot_world;

use checker::{Outcome, all_that_is_wrong, search_and_report};
use slot_world::{
    invariants::Broken,
    moves::Event,
    mutants::Mutant,
    scenarios::{self, Scenario},
};

fn run(s: &Scenario, mutant: Mutant, limit: usize) -> Outcome<Broken, Event> {
    let (mut model, first) = s.set_up(mutant);
    let o = search_and_report(&mut model, first, limit, mutant, s.name);
    if std::env::var("TRACE").is_ok()
        && let Some((_, trace)) = &o.broken
    {
        println!("{}", model.describe(trace));
    }
    o
}

#[test]
fn grants_that_share_a_slot_end_independently_and_completely() {
    let wrong = all_that_is_wrong(scenarios::ALL, |s| {
        let o = run(s, Mutant::None, if s.complete { 3_000_000 } else { scenarios::LIMIT });
        let wrong = o.broken.is_some() || !o.complete && (s.complete || o.states < scenarios::LIMIT);
        wrong.then(|| format!("{}: {:?} in {} states", s.name, o.broken, o.states))
    });
    assert!(wrong.is_empty(), "violated, or not searched far enough:\n{}", wrong.join("\n"));
}

/// A check that cannot fail shows nothing: without each protection the search finds a violation.
#[test]
fn without_each_protection_the_search_finds_a_violation() {
    let missed: Vec<String> = scenarios::MUTANTS
        .iter()
        .filter(|(mutant, from)| run(from, *mutant, 1_500_000).broken.is_none())
        .map(|(mutant, from)| format!("{mutant:?} from {}", from.name))
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
