//! Model checks the protocol: the `Reconcile` that the operator runs, through every interleaving of two replicas with stale
//! caches and clocks that differ, crashes, a lease that moves, people who change their minds, and effects that fail.
//!
//! The second world is that of one Grant behind a reservation at a target whose reads lag behind its writes and whose writes take
//! time, as AWS has them. With `TRACE` set, what violates it there is printed step by step.
//!
//!     cargo test --package curfew-core --test explore -- --nocapture
//!     LIMIT=5000000 cargo test --package curfew-core --test explore -- --nocapture
mod checker;
#[allow(dead_code)] // the tests of the rules use more of it
mod fixture;
mod lagging_world;
mod world;

use checker::{Outcome, all_that_is_wrong, search_and_report};
use lagging_world::{invariants::Broken, moves::Event, mutants::Mutant as LaggingMutant, scenarios as lagging};
use world::{
    mutants::Mutant,
    scenarios::{self, Scenario},
};

/// How many states are visited where not all are, if that is said: two millions in `make attacks`.
fn limit() -> Option<usize> {
    std::env::var("LIMIT").ok().and_then(|s| s.parse().ok())
}

fn run(s: &Scenario, mutant: Mutant, limit: usize) -> Outcome<world::invariants::Broken, world::moves::Event> {
    let (mut model, first) = s.set_up(mutant);
    search_and_report(&mut model, first, limit, mutant, s.name)
}

#[test]
fn the_protocol_holds() {
    let wrong_in = |s: &Scenario| {
        // A complete search must end by itself, far below this limit.
        let at_least = limit().unwrap_or(s.at_least);
        let o = run(s, Mutant::None, if s.complete { 15_000_000 } else { at_least });
        match o.broken {
            Some((broken, trace)) => {
                Some(format!("{}: {broken:?}\n{}", s.name, trace.iter().map(|e| format!("  {e:?}\n")).collect::<String>()))
            }
            None if s.complete && !o.complete => Some(format!("{}: not searched completely in {} states", s.name, o.states)),
            None if !o.complete && o.states < at_least => Some(format!("{}: only {} states", s.name, o.states)),
            None => None,
        }
    };
    let mut wrong = all_that_is_wrong(scenarios::ALL, wrong_in);
    if limit().is_some() {
        wrong.extend(all_that_is_wrong(scenarios::LARGER, wrong_in));
    }
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

fn run_lagging(s: &lagging::Scenario, mutant: LaggingMutant, limit: usize) -> Outcome<Broken, Event> {
    let (mut model, first) = s.set_up(mutant);
    let o = search_and_report(&mut model, first, limit, mutant, s.name);
    if std::env::var("TRACE").is_ok()
        && let Some((_, trace)) = &o.broken
    {
        println!("{}", model.describe(trace));
    }
    o
}

/// What is wrong with a search that must end by itself, far below this limit.
fn is_wrong(s: &lagging::Scenario, mutant: LaggingMutant) -> Option<String> {
    let o = run_lagging(s, mutant, 3_000_000);
    (!o.complete).then(|| format!("{mutant:?} from {}: {:?} in {} states", s.name, o.broken, o.states))
}

#[test]
fn a_reservation_holds_where_reads_lag_and_writes_take_time() {
    let mut wrong = all_that_is_wrong(lagging::ALL, |s| is_wrong(s, LaggingMutant::None));
    if let Some(limit) = limit() {
        wrong.extend(all_that_is_wrong(lagging::LARGER, |s| {
            let o = run_lagging(s, LaggingMutant::None, limit);
            o.broken.map(|(broken, _)| format!("{}: {broken:?} in {} states", s.name, o.states))
        }));
    }
    assert!(wrong.is_empty(), "violated, or not searched completely:\n{}", wrong.join("\n"));
}

#[test]
fn without_each_protection_a_reservation_does_not_hold() {
    let found = |(mutant, from): &&(LaggingMutant, _)| run_lagging(from, *mutant, 1_000_000).broken.is_some();
    let missed = lagging::MUTANTS.iter().filter(|m| !found(m)).map(|(mutant, from)| format!("{mutant:?} from {}", from.name));
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn a_reservation_holds_where_operations_are_not_stored() {
    let wrong = all_that_is_wrong(lagging::NOT_NEEDED, |(mutant, from)| is_wrong(from, *mutant));
    assert!(wrong.is_empty(), "violated, or not searched completely:\n{}", wrong.join("\n"));
}
