//! Model checks the limits of a role: requests that take slots, hold access and end, with two replicas, crashes, deletions and denials, in
//! every interleaving. The steps are those of the operator's own `Reconcile`; what a list, a create and a delete do is what the API server
//! does. Each search also runs without a rule, and must then find a violation.
//!
//!     cargo test --package curfew-core --test limits -- --nocapture
#[allow(dead_code)] // the other models use more of it
mod checker;
mod limit_world;

use checker::{Outcome, all_that_is_wrong, search_and_report};
use limit_world::{Broken, Event, Mutant, scenarios};

fn run(scenario: &scenarios::Scenario, mutant: Mutant, limit: usize) -> Outcome<Broken, Event> {
    let (mut model, first) = scenario.set_up(mutant);
    search_and_report(&mut model, first, limit, mutant, scenario.name)
}

#[test]
fn limits_hold_and_every_end_releases_its_slots() {
    let wrong = all_that_is_wrong(scenarios::ALL, |scenario| {
        let o = run(scenario, Mutant::None, if scenario.complete { 6_000_000 } else { 1_500_000 });
        let trace = |trace: &[Event]| trace.iter().map(|event| format!("  {event:?}\n")).collect::<String>();
        match o.broken {
            Some((broken, events)) => Some(format!("{}: {broken:?}\n{}", scenario.name, trace(&events))),
            None => {
                (scenario.complete && !o.complete).then(|| format!("{}: not searched completely in {} states", scenario.name, o.states))
            }
        }
    });
    assert!(wrong.is_empty(), "violated, or not searched completely:\n{}", wrong.join("\n"));
}

#[test]
fn without_each_rule_a_limit_does_not_hold() {
    let found = |(mutant, from): &&(Mutant, scenarios::Scenario)| run(from, *mutant, 3_000_000).broken.is_some();
    let missed = scenarios::MUTANTS.iter().filter(|m| !found(m)).map(|(mutant, from)| format!("{mutant:?} from {}", from.name));
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
