//! Wildcards of policies: ours beside policy_sentry.
use crate::{peers::Peers, random::Random, seconds, timed};
use curfew_analytics::aws::catalogue::Actions;

const PATTERNS: usize = 10_000;
const ROUNDS: usize = 3;

/// Patterns as policies have them: a service and the beginning of names, and now and then a middle or an end.
fn patterns(actions: &Actions, random: &mut Random) -> Vec<String> {
    let known: Vec<u32> = (0..actions.len()).filter(|id| actions.in_policy_sentry(*id)).collect();
    let one = |random: &mut Random| {
        let (service, name) = actions.name(*random.of(&known)).split_once(':').expect("service:action");
        let part = |random: &mut Random| 1 + random.below(name.len() as u32) as usize;
        match random.below(10) {
            0 => format!("{service}:*"),
            1 => format!("{service}:*{}", &name[name.len() - part(random)..]),
            2 => format!("{service}:*{}*", &name[part(random) / 2..]),
            _ => format!("{service}:{}*", &name[..part(random)]),
        }
    };
    (0..PATTERNS).map(|_| one(random)).collect()
}

pub fn run(peers: &Peers) {
    let actions = Actions::builtin();
    let patterns = patterns(actions, &mut Random(2026));
    peers.input("patterns.txt", &patterns.join("\n"));
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let (time, expanded) = timed(|| patterns.iter().map(|pattern| actions.expand(pattern)).collect::<Vec<_>>());
        ours = ours.min(seconds(time));
        let (time, result) = peers.run("expand");
        theirs = theirs.min(time);
        let mut wrong = 0;
        for ((pattern, ids), other) in patterns.iter().zip(&expanded).zip(result.lines()) {
            // Over the actions that both know.
            let names: Vec<&str> = ids.iter().filter(|id| actions.in_policy_sentry(*id)).map(|id| actions.lower_name(id)).collect();
            if names.join(" ") != other {
                wrong += 1;
                eprintln!("{pattern}: {} here, {} there", names.len(), other.split(' ').count());
            }
        }
        assert_eq!(wrong, 0, "the expansions are not the same");
    }
    println!("wildcards: {PATTERNS} patterns over {} actions, the same results", actions.len());
    let each = |seconds: f64| seconds * 1e6 / PATTERNS as f64;
    println!("  ours {:.2} us, policy_sentry {:.1} us a pattern: {:.0} times faster", each(ours), each(theirs), theirs / ours);
}
