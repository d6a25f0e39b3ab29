//! The compact engine gives what the reference gives, over random catalogues, policies and uses.
use curfew_analytics::{
    catalogue::{Catalogue, Level, Method, Permission},
    compact::{Brief, Compact, Grant, PlacesId, PolicyId, Scope, Use},
    places::Places,
    score::{Holding, Holdings, score},
};
use std::collections::{BTreeMap, HashMap};

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
        match self.below(5) {
            0 => Places::default(),
            1 => Places::first(total),
            _ => (0..total).filter(|_| self.below(2) == 0).collect(),
        }
    }
    /// Types 0 to 8 have 1 to 5 places; now and then there are more permissions than bits in a word.
    fn catalogue(&mut self) -> Catalogue {
        let n = if self.below(20) == 0 { 200 } else { 1 + self.below(14) };
        let permission = |i, random: &mut Self| {
            let weight = [0.0, 0.3, 1.0, 2.0, 3.0, 10.0, 20.0, 40.0, 100.0][random.below(9) as usize];
            let of = random.below(9);
            Permission { name: format!("p{i:03}"), weight, resource_type: of, resources: 1 + of % 5, level: Level::Write, assumed: false }
        };
        let permissions = (0..n).map(|i| permission(i, self)).collect();
        let method = |i, random: &mut Self| {
            let permissions = (0..=random.below(3)).map(|_| random.below(n) as usize).collect();
            Method { name: format!("m{i}"), title: String::new(), permissions }
        };
        let methods = (0..self.below(5)).map(|i| method(i, self)).collect();
        Catalogue::new("random".into(), permissions, methods)
    }
    fn grant(&mut self, catalogue: &Catalogue) -> Grant {
        let permissions = (0..catalogue.permissions().len() as u32).filter(|_| self.below(3) == 0).collect();
        let scope = if self.below(3) == 0 {
            Scope::All
        } else {
            Scope::Some(
                (0..9).filter(|_| self.below(3) > 0).collect::<Vec<u32>>().into_iter().map(|of| (of, self.places(1 + of % 5))).collect(),
            )
        };
        Grant { permissions, scope }
    }
}

/// An identity as the test knows it: the numbers of its policies, and its uses.
#[derive(Clone, Default, Debug)]
struct Plain {
    policies: Vec<usize>,
    uses: Vec<(u32, Option<Places>)>,
}

/// What the policies and uses mean, written from their definition.
fn holdings(catalogue: &Catalogue, policies: &[Vec<Grant>], plain: &Plain) -> Holdings {
    let mut held: BTreeMap<usize, Holding> = BTreeMap::new();
    for grant in plain.policies.iter().flat_map(|policy| &policies[*policy]) {
        for id in &grant.permissions {
            let permission = &catalogue.permissions()[id as usize];
            let places = match &grant.scope {
                Scope::All => Places::first(permission.resources),
                Scope::Some(types) => types.get(&permission.resource_type).cloned().unwrap_or_default(),
            };
            held.entry(id as usize).or_default().granted.extend(&places);
        }
    }
    for (id, places) in &plain.uses {
        let holding = held.entry(*id as usize).or_default();
        let places = places.clone().unwrap_or_else(|| holding.granted.clone());
        holding.used.extend(&places);
    }
    held.into_iter().collect()
}

fn uses(compact: &mut Compact, plain: &Plain) -> Vec<Use> {
    let mut one = |(permission, places): &(u32, Option<Places>)| match places {
        None => Use { permission: *permission, unnamed: true, places: PlacesId::NONE },
        Some(places) => Use { permission: *permission, unnamed: false, places: compact.places(places.clone()) },
    };
    plain.uses.iter().map(&mut one).collect()
}

fn random_identity(random: &mut Random, catalogue: &Catalogue, policies: usize) -> Plain {
    let n = catalogue.permissions().len() as u32;
    let of = (0..random.below(4)).map(|_| random.below(policies as u32) as usize).collect();
    let used = |random: &mut Random| {
        let id = random.below(n);
        let places = (random.below(3) > 0).then(|| random.places(catalogue.permissions()[id as usize].resources));
        (id, places)
    };
    Plain { policies: of, uses: (0..random.below(6)).map(|_| used(random)).collect() }
}

fn same(reference: &curfew_analytics::score::Score, got: &Brief) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let lambda = |escalation: Option<(usize, f64)>| escalation.map_or((None, 0.0), |(method, lambda)| (Some(method), lambda));
    let (a, b) = (lambda(reference.escalation), lambda(got.escalation));
    near(reference.mass, got.mass)
        && near(reference.x, got.x)
        && near(reference.granted, got.granted)
        && reference.pci() == got.pci()
        && a.0 == b.0
        && near(a.1, b.1)
}

#[test]
fn equal_to_the_reference() {
    let mut random = Random(13);
    let (mut live, mut partial) = (0, 0);
    for case in 0..4_000 {
        let catalogue = random.catalogue();
        let policies: Vec<Vec<Grant>> = (0..4).map(|_| (0..=random.below(2)).map(|_| random.grant(&catalogue)).collect()).collect();
        let mut compact = Compact::new(&catalogue);
        let ids: Vec<PolicyId> = policies.iter().map(|grants| compact.policy(grants)).collect();
        let of = |plain: &Plain| plain.policies.iter().map(|policy| ids[*policy]).collect::<Vec<_>>();
        let mut identities: Vec<Plain> = (0..4).map(|_| random_identity(&mut random, &catalogue, policies.len())).collect();
        for plain in &identities {
            let uses = uses(&mut compact, plain);
            compact.add(&of(plain), uses);
        }
        let check = |compact: &mut Compact, identities: &[Plain]| {
            for (id, plain) in identities.iter().enumerate() {
                let held = holdings(&catalogue, &policies, plain);
                let (reference, got) = (score(&catalogue, &held), compact.score(id as u32));
                assert!(same(&reference, &got), "case {case}: {reference:?}\n{got:?}\n{plain:?}\n{policies:?}\n{catalogue:?}");
                assert_eq!(compact.scores()[id], got);
            }
            identities.iter().filter(|plain| score(&catalogue, &holdings(&catalogue, &policies, plain)).escalation.is_some()).count()
        };
        live += check(&mut compact, &identities);
        partial += policies.iter().flatten().filter(|grant| grant.scope != Scope::All).count();
        // One gets other policies, another other uses.
        let other = random_identity(&mut random, &catalogue, policies.len());
        identities[0].policies = other.policies;
        compact.set_policies(0, &of(&identities[0]));
        identities[1].uses = other.uses;
        let changed = uses(&mut compact, &identities[1]);
        compact.set_uses(1, changed);
        check(&mut compact, &identities);
    }
    assert!(live > 1_000 && partial > 1_000, "the cases reach escalations ({live}) and scopes ({partial})");
}

#[test]
fn equal_policies_and_lists_are_stored_once() {
    let mut random = Random(5);
    let catalogue = random.catalogue();
    let mut compact = Compact::new(&catalogue);
    let all = Grant { permissions: (0..catalogue.permissions().len() as u32).collect(), scope: Scope::All };
    // The same by another way: every place of every type.
    let types: HashMap<u32, u32> =
        catalogue.permissions().iter().map(|permission| (permission.resource_type, permission.resources)).collect();
    let places = types.into_iter().map(|(of, n)| (of, Places::first(n))).collect();
    let (a, b) = (compact.policy(std::slice::from_ref(&all)), compact.policy(&[Grant { scope: Scope::Some(places), ..all }]));
    let none = compact.policy(&[]);
    assert_eq!(a, b);
    let (first, second) = (compact.add(&[a, none], Vec::new()), compact.add(&[none, b, a], Vec::new()));
    assert_eq!(compact.stored(), (2, 1));
    assert_eq!((compact.score(first).pci(), compact.score(second).mass), (100, catalogue.mass()));
}
