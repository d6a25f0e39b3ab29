//! Prefix wildcards for a need of actions, beside policy_sentry's minimiser: patterns, characters, time, and whether each is exact.
//!
//!     cargo bench -p curfew-analytics --no-default-features --bench rightsize
//!
//! Both get the same sets of actions of the same catalogue, in lower case (with mixed case policy_sentry gives prefixes that are too wide).
use curfew_analytics::{aws::catalogue::Actions, rightsize::aws::patterns::prefixes};
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use std::{
    error::Error,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

const SETS: usize = 200;

/// The peer: reads the catalogue and the sets, and prints its patterns and how long it took for them.
const PEER: &str = "
import json, sys, time
from policy_sentry.writing.minimize import minimize_statement_actions
given = json.load(sys.stdin)
every = set(given['all'])
begun = time.perf_counter()
found = [minimize_statement_actions(one, every) for one in given['sets']]
print(json.dumps({'patterns': found, 'seconds': time.perf_counter() - begun}))
";

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// What an identity may have used: of a few services a share of the actions, neighbours together.
fn sets(actions: &Actions) -> Vec<RoaringBitmap> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let set = |random: &mut Random| {
        let mut set = RoaringBitmap::new();
        for _ in 0..1 + random.below(5) {
            let service = &actions.services()[random.below(actions.services().len())];
            let mut keep = false;
            for action in service.actions.clone() {
                if random.below(4) == 0 {
                    keep = random.below(2) == 0;
                }
                if keep {
                    set.insert(action);
                }
            }
        }
        set
    };
    std::iter::repeat_with(|| set(&mut random)).filter(|set| !set.is_empty()).take(SETS).collect()
}

fn peer(input: &Value) -> Result<Value, Box<dyn Error>> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/peers/build");
    let folder = String::from_utf8(Command::new(build).stderr(Stdio::inherit()).output()?.stdout)?;
    let python = Path::new(folder.trim()).join("bin/python");
    let mut child = Command::new(python).args(["-c", PEER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no pipe")?.write_all(input.to_string().as_bytes())?;
    Ok(serde_json::from_slice(&child.wait_with_output()?.stdout)?)
}

/// Sets that are matched exactly, patterns, and characters.
fn measure(actions: &Actions, sets: &[RoaringBitmap], patterns: &[Vec<String>]) -> (usize, usize, usize) {
    let exact = |(set, patterns): &(&RoaringBitmap, &Vec<String>)| {
        patterns.iter().map(|pattern| actions.expand(pattern)).fold(RoaringBitmap::new(), |all, one| all | one) == **set
    };
    let exact = sets.iter().zip(patterns).filter(exact).count();
    (exact, patterns.iter().map(Vec::len).sum(), patterns.iter().flatten().map(String::len).sum())
}

fn main() -> Result<(), Box<dyn Error>> {
    let actions = Actions::builtin();
    let sets = sets(actions);
    let begun = Instant::now();
    let ours: Vec<Vec<String>> = sets.iter().map(|set| prefixes(actions, set)).collect();
    let seconds = begun.elapsed().as_secs_f64();
    let all: Vec<&str> = (0..actions.len()).map(|action| actions.lower_name(action)).collect();
    let lower = |set: &RoaringBitmap| set.iter().map(|action| actions.lower_name(action)).collect::<Vec<_>>();
    let answer = peer(&json!({"all": all, "sets": sets.iter().map(lower).collect::<Vec<_>>()}))?;
    let theirs: Vec<Vec<String>> = serde_json::from_value(answer["patterns"].clone())?;
    let (own, other) = (measure(actions, &sets, &ours), measure(actions, &sets, &theirs));
    let slower = answer["seconds"].as_f64().ok_or("no time")? / seconds;
    let needed: u64 = sets.iter().map(RoaringBitmap::len).sum();
    println!("{SETS} sets of {needed} actions in all");
    for (name, (exact, patterns, characters)) in [("curfew-analytics", own), ("policy_sentry", other)] {
        println!("{name:<17} exact {exact:>3} of {SETS}  patterns {patterns:>6}  characters {characters:>7}");
    }
    println!(
        "policy_sentry / curfew-analytics: patterns {:.2}, characters {:.2}, time {slower:.0}",
        other.1 as f64 / own.1 as f64,
        other.2 as f64 / own.2 as f64
    );
    if own.0 != SETS {
        return Err("a list of patterns is not exact".into());
    }
    Ok(())
}
