//! The scores of many identities.
use crate::{catalogue, peers::Peers, random::Random, seconds, timed};
use curfew_analytics::{
    aws::catalogue::Actions,
    catalogue::Catalogue,
    compact::{Brief, Compact, Grant, PlacesId, PolicyId, Scope, Use},
    places::Places,
    score::{Holding, Holdings, score},
};
use roaring::RoaringBitmap;
use std::{collections::BTreeMap, time::Duration};

const POLICIES: usize = 2_000;
const USES: usize = 20;
const ROUNDS: usize = 3;

/// Policies and attachments of a large account. What an identity used is made when it is asked for, so that the input takes no memory.
struct System {
    identities: usize,
    policies: Vec<Vec<Grant>>,
    lists: Vec<Vec<u32>>,
}

/// What an identity used: permissions, and where if the records name places.
type Used = Vec<(u32, Option<Places>)>;

/// Permissions of one to four services: all, what reads, or some.
fn permissions(actions: &Actions, random: &mut Random) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    for _ in 0..=random.below(3) {
        let service = random.of(actions.services());
        let prefix = &service.prefix;
        match random.below(6) {
            0 => all |= actions.expand(&format!("{prefix}:*")),
            1 => all |= actions.expand("*:Describe*"),
            2 => ["Get*", "List*", "Describe*"].iter().for_each(|read| all |= actions.expand(&format!("{prefix}:{read}"))),
            _ => all.extend(
                (0..1 + random.below(20)).map(|_| service.actions.start + random.below(service.actions.end - service.actions.start)),
            ),
        }
    }
    all
}

fn places(random: &mut Random, total: u32) -> Places {
    (0..1 + random.below(5)).map(|_| random.below(total)).collect()
}

fn policy(actions: &Actions, catalogue: &Catalogue, random: &mut Random) -> Vec<Grant> {
    let permissions = permissions(actions, random);
    // A third names resources.
    if random.below(3) > 0 || permissions.len() > 500 {
        return vec![Grant { permissions, scope: Scope::All }];
    }
    let types: BTreeMap<u32, u32> =
        permissions.iter().map(|id| &catalogue.permissions()[id as usize]).map(|of| (of.resource_type, of.resources)).collect();
    let scope = Scope::Some(types.into_iter().map(|(of, total)| (of, places(random, total))).collect());
    vec![Grant { permissions, scope }]
}

impl System {
    /// `lists` distinct lists of one to eight policies; each identity has one of them, and used some of what it has.
    fn new(actions: &Actions, catalogue: &Catalogue, identities: usize, lists: usize, whole: bool) -> Self {
        let mut random = Random(13);
        let mut policies: Vec<Vec<Grant>> = (0..POLICIES).map(|_| policy(actions, catalogue, &mut random)).collect();
        if whole {
            policies.iter_mut().flatten().for_each(|grant| grant.scope = Scope::All);
        }
        let list = |random: &mut Random| (0..1 + random.below(8)).map(|_| random.below(POLICIES as u32)).collect();
        let lists = (0..lists).map(|_| list(&mut random)).collect();
        Self { identities, policies, lists }
    }
    fn list(&self, identity: usize) -> &[u32] {
        &self.lists[identity % self.lists.len()]
    }
    fn uses(&self, catalogue: &Catalogue, identity: usize) -> Used {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (identity as u64 + 1));
        let mut used = || {
            let grant = &self.policies[*random.of(self.list(identity)) as usize][0];
            let id = grant.permissions.select(random.below(grant.permissions.len().max(1) as u32))?;
            let total = catalogue.permissions()[id as usize].resources;
            Some((id, (random.below(2) == 0).then(|| places(&mut random, total.min(8)))))
        };
        (0..USES).filter_map(|_| used()).collect()
    }
    fn load<'a>(&self, catalogue: &'a Catalogue, used: bool) -> Compact<'a> {
        let mut compact = Compact::new(catalogue);
        let ids: Vec<PolicyId> = self.policies.iter().map(|grants| compact.policy(grants)).collect();
        for identity in 0..self.identities {
            let list: Vec<PolicyId> = self.list(identity).iter().map(|policy| ids[*policy as usize]).collect();
            let uses = if used { uses(&mut compact, &self.uses(catalogue, identity)) } else { Vec::new() };
            compact.add(&list, uses);
        }
        compact
    }
    /// What the reference needs of an identity.
    fn holdings(&self, catalogue: &Catalogue, identity: usize) -> Holdings {
        let mut held: BTreeMap<usize, Holding> = BTreeMap::new();
        for grant in self.list(identity).iter().flat_map(|policy| &self.policies[*policy as usize]) {
            for id in &grant.permissions {
                let permission = &catalogue.permissions()[id as usize];
                let granted = &mut held.entry(id as usize).or_default().granted;
                match &grant.scope {
                    Scope::All => granted.extend(&Places::first(permission.resources)),
                    Scope::Some(types) => types.get(&permission.resource_type).into_iter().for_each(|places| granted.extend(places)),
                }
            }
        }
        for (id, places) in &self.uses(catalogue, identity) {
            let holding = held.entry(*id as usize).or_default();
            let places = places.clone().unwrap_or_else(|| holding.granted.clone());
            holding.used.extend(&places);
        }
        held.into_iter().collect()
    }
}

fn uses(compact: &mut Compact, used: &[(u32, Option<Places>)]) -> Vec<Use> {
    let mut one = |(permission, places): &(u32, Option<Places>)| {
        let id = places.clone().map_or(PlacesId::NONE, |places| compact.places(places));
        Use { permission: *permission, unnamed: places.is_none(), places: id }
    };
    used.iter().map(&mut one).collect()
}

/// The most memory that was resident so far, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    peak.unwrap_or(f64::NAN) / 1024.0
}

/// Fails unless some identities have the reference's score. Returns the time that the reference takes for each.
fn compare(catalogue: &Catalogue, system: &System, scores: &[Brief]) -> Duration {
    let sample: Vec<usize> = (0..200).map(|i| i * scores.len() / 200).collect();
    let held: Vec<Holdings> = sample.iter().map(|id| system.holdings(catalogue, *id)).collect();
    let (time, reference) = timed(|| held.iter().map(|held| score(catalogue, held)).collect::<Vec<_>>());
    for (id, reference) in sample.iter().zip(&reference) {
        let got = &scores[*id];
        assert!((reference.x - got.x).abs() < 1e-9 && reference.pci() == got.pci(), "identity {id}: {} and {}", reference.x, got.x);
    }
    time / 200
}

pub fn run(identities: usize) {
    let actions = Actions::builtin();
    let catalogue = catalogue(actions);
    for (name, lists) in [("5,000 distinct lists of policies", identities.min(5_000)), ("every identity its own list", identities)] {
        let system = System::new(actions, &catalogue, identities, lists, false);
        let (mut best, mut loaded) = (Duration::MAX, Duration::MAX);
        let (mut scores, mut stored) = (Vec::new(), (0, 0));
        for _ in 0..ROUNDS {
            let (load, mut compact) = timed(|| system.load(&catalogue, true));
            let (time, found) = timed(|| compact.scores());
            (best, loaded) = (best.min(time), loaded.min(load));
            (scores, stored) = (found, compact.stored());
        }
        let peak = resident();
        let reference = compare(&catalogue, &system, &scores);
        let granted = scores.iter().map(|score| score.granted).sum::<f64>() / scores.len() as f64;
        println!(
            "PCI of {identities} identities over {} permissions, {name} ({} policies, {} lists)",
            catalogue.permissions().len(),
            stored.0,
            stored.1
        );
        println!(
            "  scores {:.3} s, loading {:.3} s, {:.2} us an identity; on average {:.2} % of everything is granted",
            seconds(best),
            seconds(loaded),
            seconds(best) * 1e6 / identities as f64,
            granted * 100.0
        );
        println!(
            "  the reference takes {:.0} us an identity: {:.0} times longer; 200 scores are the same",
            seconds(reference) * 1e6,
            seconds(reference) * identities as f64 / seconds(best)
        );
        println!("  the process had at most {peak:.0} MB, with two catalogues, policies, identities, uses and scores");
        again(&catalogue, &system);
    }
}

/// One identity gets other policies and uses and is scored again.
fn again(catalogue: &Catalogue, system: &System) {
    let mut compact = Compact::new(catalogue);
    let ids: Vec<PolicyId> = system.policies.iter().map(|grants| compact.policy(grants)).collect();
    for _ in 0..1_000 {
        compact.add(&[], Vec::new());
    }
    let mut times: Vec<Duration> = (0..system.identities.min(10_000))
        .map(|i| {
            let list: Vec<PolicyId> = system.list(i).iter().map(|policy| ids[*policy as usize]).collect();
            let uses = uses(&mut compact, &system.uses(catalogue, i));
            let identity = i as u32 % 1_000;
            timed(|| {
                compact.set_policies(identity, &list);
                compact.set_uses(identity, uses);
                compact.score(identity)
            })
            .0
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| seconds(times[(times.len() - 1) * share / 100]) * 1e6;
    println!("  one identity again, with other policies and uses: {:.2} us at the median, {:.2} us at the 99th percentile", at(50), at(99));
}

/// The weights of what idle identities are granted, beside a Python script with sets and SQL in DuckDB on one thread.
pub fn beside(peers: &Peers) {
    const IDENTITIES: usize = 2_000;
    let actions = Actions::builtin();
    let catalogue = catalogue(actions);
    let system = System::new(actions, &catalogue, IDENTITIES, IDENTITIES, true);
    let pairs = |rows: Vec<(usize, u32)>| rows.iter().map(|(a, b)| format!("{a},{b}\n")).collect::<String>();
    let weights = catalogue.permissions().iter().enumerate().map(|(id, permission)| (id, permission.weight as u32)).collect();
    let grants =
        system.policies.iter().enumerate().flat_map(|(policy, grants)| grants[0].permissions.iter().map(move |id| (policy, id))).collect();
    let attachments = (0..IDENTITIES).flat_map(|identity| system.list(identity).iter().map(move |policy| (identity, *policy))).collect();
    peers.input("weights.csv", &pairs(weights));
    peers.input("grants.csv", &pairs(grants));
    peers.input("attachments.csv", &pairs(attachments));
    let mut best = [f64::MAX; 3];
    for _ in 0..ROUNDS {
        let mut compact = system.load(&catalogue, false);
        let (time, scores) = timed(|| compact.scores());
        let mass = |score: &Brief| (score.granted * catalogue.mass()).round() as u64;
        let expected: String = scores.iter().enumerate().map(|(id, score)| format!("{id} {}\n", mass(score))).collect();
        best[0] = best[0].min(seconds(time));
        for (i, part) in ["python", "duckdb"].into_iter().enumerate() {
            let (time, result) = peers.run(part);
            assert_eq!(result, expected, "{part} has other weights");
            best[i + 1] = best[i + 1].min(time);
        }
    }
    println!("weights of what {IDENTITIES} idle identities are granted, the same results (ours with escalations and scores)");
    println!(
        "  ours {:.4} s; Python with sets {:.2} s: {:.0} times longer; DuckDB, one thread {:.2} s: {:.0} times longer",
        best[0],
        best[1],
        best[1] / best[0],
        best[2],
        best[2] / best[0]
    );
}
