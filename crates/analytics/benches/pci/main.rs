//! What PCI costs: the scores of 100,000 identities, one identity again, and the expansion of wildcards, beside other tools on the same input.
//!
//! Results are compared before any time counts. Times are the best of some rounds, and rounds of the tools alternate, because the machine may be
//! shared. `--identities N` and `--no-peers` make it shorter.
mod identities;
mod peers;
mod random;
mod wildcards;

use curfew_analytics::{
    aws::catalogue::Actions,
    catalogue::{Catalogue, Method, Permission},
};
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = args.iter().position(|arg| arg == "--identities").and_then(|at| args.get(at + 1)?.parse().ok());
    let with_peers = !args.iter().any(|arg| arg == "--no-peers");
    identities::run(value.unwrap_or(100_000));
    if with_peers {
        let peers = peers::Peers::find();
        identities::beside(&peers);
        wildcards::run(&peers);
    }
}

/// The time that something takes, and its result.
fn timed<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = what();
    (start.elapsed(), result)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// The actions of AWS as a catalogue whose ids are action ids. Types have 1 to 1,000 resources.
fn catalogue(actions: &Actions) -> Catalogue {
    let permission = |id| {
        let of = actions.resource_types(id).first().map_or(0, |of| of + 1);
        let resources = if of == 0 { 1 } else { 1 + of.wrapping_mul(7919) % 1000 };
        // In lower case, so that the catalogue's order of names is that of the ids.
        let name = actions.lower_name(id).to_owned();
        Permission { name, weight: actions.weight(id), resource_type: of, resources, level: actions.level(id), assumed: false }
    };
    let method = |of: &curfew_analytics::aws::catalogue::Method| Method {
        name: of.name.clone(),
        title: of.category.title().into(),
        permissions: of.actions.iter().map(|id| *id as usize).collect(),
    };
    let permissions = (0..actions.len()).map(permission).collect();
    Catalogue::new(actions.version().into(), permissions, actions.methods().iter().map(method).collect())
}
