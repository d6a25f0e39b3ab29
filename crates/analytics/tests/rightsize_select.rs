//! The choice of existing roles, compared with every possible choice.
use curfew_analytics::rightsize::select::{Candidate, Selection, best};
use roaring::RoaringBitmap;

struct Random(u64);

impl Random {
    fn below(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(below)) as u32
    }
    fn set(&mut self, universe: u32, one_in: u32) -> RoaringBitmap {
        (0..universe).filter(|_| self.below(one_in) == 0).collect()
    }
}

const WEIGHTS: [f64; 7] = [1.0, 2.0, 3.0, 10.0, 20.0, 40.0, 100.0];

fn weight(permission: u32) -> f64 {
    WEIGHTS[permission as usize % WEIGHTS.len()]
}

/// Every subset of at most `max` candidates.
fn brute_force(need: &RoaringBitmap, candidates: &[Candidate], needed: &RoaringBitmap, max: u32) -> Option<f64> {
    let mut least: Option<f64> = None;
    for subset in (0u32..1 << candidates.len()).filter(|subset| subset.count_ones() <= max) {
        let chosen = || (0..candidates.len()).filter(|i| subset >> i & 1 == 1).map(|i| &candidates[i]);
        let covered = chosen().fold(RoaringBitmap::new(), |all, candidate| all | &candidate.covers);
        if !need.is_subset(&covered) {
            continue;
        }
        let granted = chosen().fold(RoaringBitmap::new(), |all, candidate| all | &candidate.grants);
        let excess = (granted - needed).iter().map(weight).sum::<f64>();
        least = Some(least.map_or(excess, |least: f64| least.min(excess)));
    }
    least
}

#[test]
fn branch_and_bound_finds_what_brute_force_finds() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut possible, mut several) = (0, 0);
    for case in 0..400 {
        let universe = 4 + random.below(30);
        let need = random.set(universe, 3);
        let count = 1 + random.below(11);
        let density = 1 + random.below(4);
        let candidates: Vec<Candidate> = (0..count)
            .map(|_| {
                let grants = random.set(universe, density);
                Candidate { covers: &grants & &need, grants }
            })
            .collect();
        let max = 1 + case % 3;
        let found = best(&need, &candidates, &need, weight, max as usize);
        let expected = brute_force(&need, &candidates, &need, max);
        assert_eq!(found.as_ref().map(|selection| selection.excess), expected, "case {case}");
        let Some(Selection { chosen, exact, .. }) = found else { continue };
        assert!(exact && chosen.len() <= max as usize && chosen.is_sorted());
        possible += 1;
        several += usize::from(chosen.len() > 1);
    }
    assert!(possible > 200 && several > 40, "{possible} {several}");
}

#[test]
fn of_equal_choices_the_fewest_and_the_first_roles_are_taken() {
    let set = |list: &[u32]| list.iter().copied().collect::<RoaringBitmap>();
    let role = |covers: &[u32], beyond: &[u32]| Candidate { covers: set(covers), grants: set(&[covers, beyond].concat()) };
    let need = set(&[1, 2]);
    let roles = [role(&[1], &[]), role(&[2], &[]), role(&[1, 2], &[]), role(&[1, 2], &[])];
    assert_eq!(best(&need, &roles, &need, weight, 3).unwrap().chosen, [2]);
    assert_eq!(best(&need, &roles[..2], &need, weight, 1), None);
    assert_eq!(best(&set(&[]), &roles, &need, weight, 3).unwrap().chosen, [0usize; 0]);
    // Two roles that share what they grant beyond the need count it once.
    let shared = [role(&[1], &[6]), role(&[2], &[6]), role(&[1, 2], &[5, 6, 13])];
    assert_eq!(best(&need, &shared, &need, weight, 2).unwrap().chosen, [0, 1]);
}
