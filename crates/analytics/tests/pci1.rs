//! PCI-1: the vectors of its definition, and its properties over random cases.
use curfew_analytics::{
    aggregate,
    catalogue::{Catalogue, Level, Method, Permission},
    places::Places,
    score::{CLOSURE, Holding, Holdings, Score, index, score},
};

/// The toy catalogue of the definition: name, weight, resources.
const TOY: [(&str, f64, u32); 13] = [
    ("ListBuckets", 1.0, 1),
    ("ListInstances", 1.0, 1),
    ("DescribeInstance", 2.0, 50),
    ("GetObject", 20.0, 100),
    ("GetSecret", 40.0, 10),
    ("TagInstance", 3.0, 50),
    ("PutObject", 10.0, 100),
    ("StartInstance", 10.0, 50),
    ("DeleteBucket", 20.0, 100),
    ("PutBucketPolicy", 40.0, 100),
    ("AttachRolePolicy", 100.0, 20),
    ("PassRole", 40.0, 20),
    ("RunInstance", 10.0, 1),
];
const METHODS: [&[&str]; 2] = [&["AttachRolePolicy"], &["PassRole", "RunInstance"]];

/// A permission whose type is that of all permissions with so many resources.
fn permission(name: &str, weight: f64, resources: u32) -> Permission {
    Permission { name: name.into(), weight, resource_type: resources, resources, level: Level::Write, assumed: false }
}

fn catalogue(permissions: &[(&str, f64, u32)], methods: &[&[&str]]) -> Catalogue {
    let index = |name: &&str| permissions.iter().position(|(n, ..)| n == name).unwrap();
    let method = |(i, names): (usize, &&[&str])| Method {
        name: format!("method-{i}"),
        title: String::new(),
        permissions: names.iter().map(index).collect(),
    };
    Catalogue::new(
        "toy".into(),
        permissions.iter().map(|(name, weight, n)| permission(name, *weight, *n)).collect(),
        methods.iter().enumerate().map(method).collect(),
    )
}

fn toy() -> Catalogue {
    catalogue(&TOY, &METHODS)
}

/// Holdings by name: granted on the first n resources, used on the first m.
fn holdings(catalogue: &Catalogue, grants: &[(&str, u32, u32)]) -> Holdings {
    let one = |(name, granted, used): &(&str, u32, u32)| {
        (catalogue.find(name).unwrap(), Holding { granted: Places::first(*granted), used: Places::first(*used) })
    };
    let mut holdings: Holdings = grants.iter().map(one).collect();
    holdings.sort_by_key(|(id, _)| *id);
    holdings
}

fn scored(grants: &[(&str, u32, u32)]) -> Score {
    score(&toy(), &holdings(&toy(), grants))
}

fn everything(used: bool) -> Vec<(&'static str, u32, u32)> {
    TOY.iter().map(|(name, _, n)| (*name, *n, if used { *n } else { 0 })).collect()
}

/// A vector: its number, its grants, C, x, the unrounded index, and the score.
type Vector<'a> = (&'a str, Vec<(&'a str, u32, u32)>, f64, f64, f64, u8);

/// The published vectors. The definition numbers V1 to V6, V8 to V12 and V18; it has no V7 and no V13 to V17.
#[test]
fn vectors_of_identities() {
    let lists = vec![("ListBuckets", 1, 0), ("ListInstances", 1, 0)];
    let vectors: [Vector; 11] = [
        ("V1", vec![], 0.0, 0.0, 0.0, 0),
        ("V2", everything(true), 0.0, 0.0, 0.0, 0),
        ("V3", everything(false), 297.0, 1.0, 100.0, 100),
        ("V4", lists.clone(), 2.0, 0.006_734, 29.609, 30),
        ("V5", [lists, vec![("DescribeInstance", 50, 0)]].concat(), 4.0, 0.013_468, 38.675, 39),
        ("V6", vec![("GetSecret", 10, 0)], 40.0, 0.134_680, 71.074, 71),
        ("V8", vec![("GetObject", 100, 1)], 16.9962, 0.057_226, 58.829, 59),
        ("V9", vec![("GetObject", 100, 100)], 0.0, 0.0, 0.0, 0),
        ("V10", vec![("AttachRolePolicy", 20, 0)], 198.5, 0.668_350, 94.175, 94),
        ("V11", vec![("AttachRolePolicy", 20, 20)], 0.0, 0.0, 0.0, 0),
        ("V12", vec![("PassRole", 20, 20), ("RunInstance", 1, 0)], 133.5, 0.449_495, 88.444, 88),
    ];
    assert_eq!(toy().mass(), 297.0);
    for (name, grants, c, x, unrounded, pci) in vectors {
        let got = scored(&grants);
        assert!((got.mass - c).abs() < 5e-5, "{name}: C is {}", got.mass);
        assert!((got.x - x).abs() < 5e-7, "{name}: x is {}", got.x);
        assert!((index(got.x) - unrounded).abs() < 5e-4, "{name}: unrounded {}", index(got.x));
        assert_eq!(got.pci(), pci, "{name}");
        assert!((got.parts.iter().map(|part| part.mass).sum::<f64>() - got.mass).abs() < 1e-9, "{name}: the parts add up");
    }
}

/// What the published vectors leave open, computed by hand from the rules: the numbers are exact fractions of the mass 297.
#[test]
fn further_vectors() {
    // Half of a type is nearly all of it: ln 51 / ln 101 of GetObject's 20.
    let half = scored(&[("GetObject", 50, 0)]);
    assert!((half.mass - 20.0 * 51f64.ln() / 101f64.ln()).abs() < 1e-9 && half.pci() == 59, "{half:?}");
    // A method needs every permission: PassRole alone is its own 40.
    assert!((scored(&[("PassRole", 20, 0)]).mass - 40.0).abs() < 1e-9);
    // Both, unused, and one role of twenty: λ = ½ ln 2 / ln 21 over the whole catalogue.
    let narrow = scored(&[("PassRole", 1, 0), ("RunInstance", 1, 0)]);
    let rho = 2f64.ln() / 21f64.ln();
    let expected = 40.0 * rho + 10.0 + (297.0 - 50.0) * CLOSURE * rho;
    assert!((narrow.mass - expected).abs() < 1e-9, "{} and {expected}", narrow.mass);
    // A use elsewhere in the catalogue lowers what escalation adds for that permission only.
    let with_use = scored(&[("AttachRolePolicy", 20, 0), ("GetSecret", 10, 10)]);
    assert!((with_use.mass - (198.5 - 20.0)).abs() < 1e-9, "{}", with_use.mass);
    // Both permissions used everywhere: the method is no longer live.
    assert_eq!(scored(&[("PassRole", 20, 20), ("RunInstance", 1, 1)]).mass, 0.0);
}

/// The published vectors A1 to A3 and A8. The definition has no A4 to A7; what they leave open is below.
#[test]
fn vectors_of_systems() {
    let admin = scored(&everything(false)).x;
    for (name, shares, unrounded, pci) in [
        ("A1", vec![admin], 44.068, 44),
        ("A2", vec![admin; 5], 66.228, 66),
        ("A3", vec![admin; 6], 68.700, 69),
        ("A8", vec![], 0.0, 0),
        ("five idle administrators among a thousand clean identities", [vec![admin; 5], vec![0.0; 1000]].concat(), 66.228, 66),
    ] {
        let x = aggregate::share(shares.iter().copied());
        assert!((index(x) - unrounded).abs() < 5e-4, "{name}: {}", index(x));
        assert_eq!(aggregate::pci(shares), pci, "{name}");
    }
}

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 16) % u64::from(n)).unwrap()
    }
    fn places(&mut self, total: u32) -> Places {
        match self.below(4) {
            0 => Places::default(),
            1 => Places::first(total),
            _ => (0..total).filter(|_| self.below(2) == 0).collect(),
        }
    }
    fn subset(&mut self, of: &Places) -> Places {
        match self.below(3) {
            0 => of.clone(),
            1 => Places::default(),
            _ => of.iter().filter(|_| self.below(2) == 0).collect(),
        }
    }
    fn catalogue(&mut self) -> Catalogue {
        let n = 1 + self.below(12);
        let permissions = (0..n).map(|i| {
            let weight = [0.0, 1.0, 2.0, 3.0, 10.0, 20.0, 40.0, 100.0][self.below(8) as usize];
            // Types 0 to 8 have 1 to 5 places each, so that some have the same number.
            let of = self.below(9);
            Permission { resource_type: of, ..permission(&format!("p{i:02}"), weight, 1 + of % 5) }
        });
        let permissions: Vec<Permission> = permissions.collect();
        let methods = (0..self.below(4)).map(|i| {
            let ids = (0..=self.below(3)).map(|_| self.below(n) as usize).collect();
            Method { name: format!("m{i}"), title: String::new(), permissions: ids }
        });
        let methods = methods.collect();
        Catalogue::new("random".into(), permissions, methods)
    }
    fn holdings(&mut self, catalogue: &Catalogue) -> Holdings {
        let mut held = Holdings::new();
        for (id, permission) in catalogue.permissions().iter().enumerate() {
            if self.below(3) > 0 {
                let granted = self.places(permission.resources);
                let used = self.subset(&granted);
                held.push((id, Holding { granted, used }));
            }
        }
        held
    }
}

const CASES: usize = 10_000;

/// Runs a property on random catalogues and identities. A failure names the case, and the seed makes it the same in every run.
fn property(seed: u64, check: impl Fn(&mut Random, &Catalogue, &Holdings) -> Result<(), String>) {
    let mut random = Random(seed);
    for case in 0..CASES {
        let catalogue = random.catalogue();
        let holdings = random.holdings(&catalogue);
        if let Err(why) = check(&mut random, &catalogue, &holdings) {
            panic!("case {case}: {why}\n{:?}\n{holdings:?}", catalogue.permissions());
        }
    }
}

fn no_higher(before: &Score, after: &Score) -> Result<(), String> {
    (after.mass <= before.mass + 1e-9 && after.pci() <= before.pci()).then_some(()).ok_or(format!("{} rose to {}", before.mass, after.mass))
}

#[test]
fn p1_zero_exactly_if_every_weighted_grant_is_used() {
    property(1, |_, catalogue, held| {
        let unused = |(id, h): &(usize, Holding)| catalogue.permissions()[*id].weight > 0.0 && !h.granted.within(&h.used);
        let (mass, expected) = (score(catalogue, held).mass, held.iter().any(unused));
        // A live method of permissions without weight leads to the rest of the catalogue: the weights of methods are above zero.
        let weightless = catalogue.methods().iter().flat_map(|m| &m.permissions).any(|id| catalogue.permissions()[*id].weight == 0.0);
        (weightless || (mass > 0.0) == expected).then_some(()).ok_or(format!("{mass}, {expected}"))
    });
}

#[test]
fn p2_another_grant_or_resource_never_lowers() {
    property(2, |random, catalogue, held| {
        let (mut more, id) = (held.clone(), random.below(catalogue.permissions().len() as u32) as usize);
        let added = random.places(catalogue.permissions()[id].resources);
        match more.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => more[at].1.granted.extend(&added),
            Err(at) => more.insert(at, (id, Holding { granted: added, used: Places::default() })),
        }
        no_higher(&score(catalogue, &more), &score(catalogue, held))
    });
}

#[test]
fn p3_a_use_never_raises() {
    property(3, |random, catalogue, held| {
        let mut used = held.clone();
        for (_, holding) in &mut used {
            let more = random.subset(&holding.granted);
            holding.used.extend(&more);
        }
        no_higher(&score(catalogue, held), &score(catalogue, &used))
    });
}

#[test]
fn p4_revoking_never_raises_also_what_was_used() {
    property(4, |random, catalogue, held| {
        let mut fewer = held.clone();
        for (_, holding) in &mut fewer {
            holding.granted = random.subset(&holding.granted);
        }
        no_higher(&score(catalogue, held), &score(catalogue, &fewer))
    });
}

#[test]
fn p5_from_zero_to_exactly_a_hundred() {
    property(5, |_, catalogue, held| {
        let (got, all) = (score(catalogue, held), catalogue.permissions().iter().enumerate());
        let idle = all.map(|(id, p)| (id, Holding { granted: Places::first(p.resources), used: Places::default() })).collect();
        let admin = score(catalogue, &idle);
        let full = if catalogue.mass() > 0.0 { (1.0, 100) } else { (0.0, 0) };
        // The mass is not clamped, so it shows what the share hides.
        let within = got.mass >= 0.0 && got.mass <= catalogue.mass() + 1e-9 && got.pci() <= 100;
        let exact = admin.mass == catalogue.mass() && (admin.x, admin.pci()) == full;
        (within && exact).then_some(()).ok_or(format!("{} and {} of {}", got.mass, admin.mass, catalogue.mass()))
    });
}

#[test]
fn p6_names_and_order_do_not_matter() {
    property(6, |random, catalogue, held| {
        let n = catalogue.permissions().len();
        let order = shuffled(random, &(0..n).collect::<Vec<usize>>());
        // Permission `order[i]` becomes the i-th, with a new name. The places of every second type are numbered from the other end.
        let to = |id: &usize| order.iter().position(|from| from == id).unwrap();
        let renamed =
            order.iter().enumerate().map(|(i, from)| Permission { name: format!("q{i:02}"), ..catalogue.permissions()[*from].clone() });
        let methods = catalogue.methods().iter().map(|m| Method { permissions: m.permissions.iter().map(to).collect(), ..m.clone() });
        let other = Catalogue::new("renamed".into(), renamed.collect(), methods.collect());
        let renumbered = |id: usize, places: &Places| {
            let of = &catalogue.permissions()[id];
            places.iter().map(|place| if of.resource_type % 2 == 0 { of.resources - 1 - place } else { place }).collect()
        };
        let moved = |(id, h): &(usize, Holding)| (to(id), Holding { granted: renumbered(*id, &h.granted), used: renumbered(*id, &h.used) });
        let mut moved: Holdings = held.iter().map(moved).collect();
        moved.sort_by_key(|(id, _)| *id);
        let (a, b) = (score(catalogue, held), score(&other, &moved));
        ((a.mass - b.mass).abs() < 1e-9 && a.pci() == b.pci()).then_some(()).ok_or(format!("{} and {}", a.mass, b.mass))
    });
}

#[test]
fn p8_identities_without_unused_power_change_no_system() {
    let mut random = Random(8);
    for _ in 0..CASES {
        let shares: Vec<f64> = (0..random.below(30)).map(|_| f64::from(random.below(1001)) / 1000.0).collect();
        let clean = vec![0.0; random.below(50) as usize];
        assert_eq!(aggregate::share(shares.iter().copied()).to_bits(), aggregate::share(shares.iter().copied().chain(clean)).to_bits());
        // One more idle identity never lowers it, and the order does not matter to the last bit.
        assert!(aggregate::share(shares.iter().copied().chain([0.5])) >= aggregate::share(shares.iter().copied()));
        assert_eq!(aggregate::share(shares.iter().copied()).to_bits(), aggregate::share(shares.iter().rev().copied()).to_bits());
    }
}

/// A shuffled copy.
fn shuffled<T: Clone>(random: &mut Random, list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    (1..list.len()).rev().for_each(|i| list.swap(i, random.below(i as u32 + 1) as usize));
    list
}

/// Sums of numbers such as 0.1 depend on their order in the last bits.
#[test]
fn p10_equal_inputs_give_equal_bits_in_every_order() {
    property(10, |random, catalogue, held| {
        let fraction = |permission: &Permission| Permission { weight: permission.weight * 0.1 + 0.1, ..permission.clone() };
        let permissions: Vec<Permission> = catalogue.permissions().iter().map(fraction).collect();
        let build = |permissions: &[Permission], methods: &[Method]| Catalogue::new("p10".into(), permissions.to_vec(), methods.to_vec());
        let straight = build(&permissions, catalogue.methods());
        let mixed = shuffled(random, &permissions);
        let to = |id: &usize| mixed.iter().position(|permission| permission.name == permissions[*id].name).unwrap();
        let methods: Vec<Method> = catalogue
            .methods()
            .iter()
            .map(|method| Method { permissions: method.permissions.iter().map(to).collect(), ..method.clone() })
            .collect();
        let other = build(&mixed, &shuffled(random, &methods));
        let (a, b) = (score(&straight, held), score(&other, held));
        let bits = |score: &Score| (score.mass.to_bits(), score.x.to_bits(), score.granted.to_bits(), score.pci());
        (bits(&a) == bits(&b) && straight.mass().to_bits() == other.mass().to_bits() && a.escalation == b.escalation)
            .then_some(())
            .ok_or(format!("{} and {}", a.mass, b.mass))
    });
}

/// A reference with counts alone, written from the formulas: it agrees wherever the used places are the first of the granted ones.
#[test]
fn the_formulas_with_counts_give_the_same() {
    let rho = |n: u32, total: u32| f64::from(1 + n).log2() / f64::from(1 + total).log2();
    let mut random = Random(11);
    for _ in 0..CASES {
        let catalogue = random.catalogue();
        let total = |id: usize| catalogue.permissions()[id].resources;
        let counts: Vec<(u32, u32)> = (0..catalogue.permissions().len())
            .map(|id| {
                let n = random.below(total(id) + 1);
                (n, random.below(n + 1))
            })
            .collect();
        let live =
            |m: &&Method| m.permissions.iter().all(|id| counts[*id].0 > 0) && m.permissions.iter().any(|id| counts[*id].1 < counts[*id].0);
        let strength = |m: &Method| m.permissions.iter().map(|id| rho(counts[*id].0, total(*id))).fold(1.0, f64::min);
        let lambda = 0.5 * catalogue.methods().iter().filter(live).map(strength).fold(0.0, f64::max);
        let part = |(id, (n, m)): (usize, &(u32, u32))| {
            catalogue.permissions()[id].weight * (rho(*n, total(id)) - rho(*m, total(id))).max(lambda * (1.0 - rho(*m, total(id))))
        };
        let expected: f64 = counts.iter().enumerate().map(part).sum();
        let held: Holdings =
            counts.iter().enumerate().map(|(id, (n, m))| (id, Holding { granted: Places::first(*n), used: Places::first(*m) })).collect();
        let got = score(&catalogue, &held).mass;
        assert!((got - expected).abs() < 1e-9, "{got} and {expected}: {counts:?}");
    }
}
