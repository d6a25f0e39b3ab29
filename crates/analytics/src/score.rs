//! PCI-1 of one identity: how much it may do and has not done, as 0 to 100.
use crate::{
    catalogue::{Catalogue, PermissionId},
    places::Places,
    reach::reach,
};
use std::{cmp::Ordering, collections::BTreeSet};

/// How much of an escalation's reach is added to each permission of the catalogue (PCI-1, rule 4: 0.5).
pub const CLOSURE: f64 = 0.5;

/// One permission of an identity: where it may be used after all rules were evaluated, and where it was used in the window.
///
/// A use keeps counting after the grant of its place was removed, for as long as it is in the window. So revoking never raises a score.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Holding {
    /// The places in which it may be used.
    pub granted: Places,
    /// The places in which it was used.
    pub used: Places,
}

/// The permissions of an identity, ascending and each once. A permission that is not in the list is neither granted nor used.
pub type Holdings = Vec<(PermissionId, Holding)>;

/// What an identity's unused power is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct Score {
    /// The unused mass, C.
    pub mass: f64,
    /// The unused mass as a share of the catalogue's mass, x.
    pub x: f64,
    /// The share of everything that is granted, used or not.
    pub granted: f64,
    /// The strongest live escalation, if there is one: its index in the catalogue, and λ.
    pub escalation: Option<(usize, f64)>,
    /// What each permission adds to the mass, by permission; what adds nothing is left out.
    pub parts: Vec<Part>,
}

/// What one permission adds to the mass.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Part {
    /// The permission.
    pub permission: PermissionId,
    /// Its weight multiplied by the larger of the residual and what escalation adds.
    pub mass: f64,
    /// Whether it counts because of an escalation and not because it was granted.
    pub by_escalation: bool,
}

impl Part {
    /// The larger mass first; of equal ones what is held, and then the order of the catalogue.
    pub fn by_size(&self, other: &Self) -> Ordering {
        other.mass.total_cmp(&self.mass).then(self.by_escalation.cmp(&other.by_escalation)).then(self.permission.cmp(&other.permission))
    }
}

impl Score {
    /// The score, rounded.
    pub fn pci(&self) -> u8 {
        rounded(index(self.x))
    }
}

/// The score of a share of unused mass, unrounded: `100 · ln(1 + 1000 x) / ln 1001`.
pub fn index(x: f64) -> f64 {
    100.0 * (1000.0 * x.clamp(0.0, 1.0)).ln_1p() / 1000f64.ln_1p()
}

/// Half up, on a grid of 1e-9, so that a difference in the last bits does not decide.
pub fn rounded(index: f64) -> u8 {
    let on_grid = (index * 1e9).round() / 1e9;
    (on_grid + 0.5).floor().clamp(0.0, 100.0) as u8
}

/// Reach that is granted and unused: what granted places add to the reach of the used ones.
fn residual(holding: &Holding, total: u32) -> f64 {
    let used = holding.used.len();
    reach(used + (holding.granted.union_len(&holding.used) - used), total) - reach(used, total)
}

/// The holding of a permission, if the identity has one.
pub fn holding(holdings: &Holdings, permission: PermissionId) -> Option<&Holding> {
    holdings.binary_search_by_key(&permission, |(id, _)| *id).ok().map(|at| &holdings[at].1)
}

/// How far a method reaches for an identity: 0 if a permission of it is missing, or if those of one type have no place in common.
///
/// Permissions of one type must meet in a place: permission to read in one namespace and to write in another is not a way. Places of different
/// types cannot be compared. Where the sets of a type contain one another this is the least reach among the permissions, as PCI-1 defines it.
pub fn method_reach(catalogue: &Catalogue, holdings: &Holdings, method: usize) -> f64 {
    let ids = &catalogue.methods()[method].permissions;
    let of = |id: &PermissionId| catalogue.permissions()[*id].resource_type;
    let types: BTreeSet<u32> = ids.iter().map(of).collect();
    let reaches = types.into_iter().map(|one| {
        let ids: Vec<PermissionId> = ids.iter().copied().filter(|id| of(id) == one).collect();
        common_reach(catalogue, holdings, &ids)
    });
    reaches.fold(1.0, f64::min)
}

/// The reach that permissions of one type have together.
fn common_reach(catalogue: &Catalogue, holdings: &Holdings, ids: &[PermissionId]) -> f64 {
    let total = |id: PermissionId| catalogue.permissions()[id].resources;
    let (mut common, mut least): (Option<Places>, f64) = (None, 1.0);
    for id in ids {
        let Some(holding) = holding(holdings, *id) else { return 0.0 };
        least = least.min(reach(holding.granted.len(), total(*id)));
        match &mut common {
            Some(places) => places.retain(&holding.granted),
            None => common = Some(holding.granted.clone()),
        }
    }
    match common {
        Some(places) if places.is_empty() => 0.0,
        // Some of them exist in fewer places, such as the cluster alone: what they have in common is not a share of each.
        Some(places) if ids.iter().all(|id| total(*id) == total(ids[0])) => reach(places.len(), total(ids[0])),
        _ => least,
    }
}

/// Whether a method has a permission that is not used wherever it is granted.
pub fn has_unused(catalogue: &Catalogue, holdings: &Holdings, method: usize) -> bool {
    let unused = |id: &PermissionId| holding(holdings, *id).is_some_and(|holding| !holding.granted.within(&holding.used));
    catalogue.methods()[method].permissions.iter().any(unused)
}

/// The strongest live method and its λ.
fn escalation(catalogue: &Catalogue, holdings: &Holdings) -> Option<(usize, f64)> {
    let live = (0..catalogue.methods().len()).filter(|method| has_unused(catalogue, holdings, *method));
    let strength = live.map(|method| (method, CLOSURE * method_reach(catalogue, holdings, method)));
    strength.filter(|(_, lambda)| *lambda > 0.0).fold(None, |best: Option<(usize, f64)>, next| match best {
        Some(best) if best.1 >= next.1 => Some(best),
        _ => Some(next),
    })
}

/// Scores an identity. Sums run in the order of the catalogue.
pub fn score(catalogue: &Catalogue, holdings: &Holdings) -> Score {
    let escalation = escalation(catalogue, holdings);
    let lambda = escalation.map_or(0.0, |(_, lambda)| lambda);
    let (mut mass, mut granted, mut parts) = (0.0, 0.0, Vec::new());
    let mut held = holdings.iter().peekable();
    for (id, permission) in catalogue.permissions().iter().enumerate() {
        let holding = held.next_if(|(held, _)| *held == id).map(|(_, holding)| holding);
        let total = permission.resources;
        let residual = holding.map_or(0.0, |holding| residual(holding, total));
        let reachable = lambda * (1.0 - holding.map_or(0.0, |holding| reach(holding.used.len(), total)));
        let part = permission.weight * residual.max(reachable);
        granted += permission.weight * holding.map_or(0.0, |holding| reach(holding.granted.len(), total));
        mass += part;
        if part > 0.0 {
            parts.push(Part { permission: id, mass: part, by_escalation: reachable > residual });
        }
    }
    let share = |mass: f64| if catalogue.mass() > 0.0 { mass / catalogue.mass() } else { 0.0 };
    Score { mass, x: share(mass).clamp(0.0, 1.0), granted: share(granted).clamp(0.0, 1.0), escalation, parts }
}

#[cfg(test)]
mod tests {
    use super::{index, rounded};

    #[test]
    fn rounding_is_half_up_and_does_not_depend_on_the_last_bits() {
        assert_eq!([rounded(28.5), rounded(28.499_999_999_999), rounded(28.499_999), rounded(28.500_000_000_001)], [29, 29, 28, 29]);
        assert_eq!((rounded(index(0.0)), rounded(index(1.0)), rounded(index(1.5))), (0, 100, 100));
    }

    #[test]
    fn the_band_edges_are_near_one_and_ten_per_cent() {
        let lowest = |score: u8| (0..1_000_000).map(|i| f64::from(i) * 1e-6).find(|x| rounded(index(*x)) >= score).unwrap();
        assert!((lowest(34) - 0.0091).abs() < 0.0001, "{}", lowest(34));
        assert!((lowest(68) - 0.105).abs() < 0.001, "{}", lowest(68));
    }
}
