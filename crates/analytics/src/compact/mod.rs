//! PCI-1 of many identities at once, equal to [`crate::score`] and much smaller and faster.
//!
//! Three observations make it so. Grants are stored by policy and not by identity, each policy and each list of policies once. A catalogue has
//! few distinct weights, so permissions are laid out by weight, and the mass of those that are granted everywhere is a count of bits per
//! weight. And an identity uses few of the permissions that it has, so the score of its list of policies is computed as if nothing were used,
//! and its uses correct it.
//!
//! Denies, boundaries and conditions are resolved before: an identity that has some gets policies of its own. Policies and lists are kept
//! until the value is dropped: build it again for each evaluation of a whole system, and change single identities in between.
mod held;
mod intern;
mod layout;
mod policy;

pub use policy::{Grant, PlacesId, PolicyId, Scope};

use crate::{
    catalogue::Catalogue,
    places::Places,
    reach::reach,
    score::{CLOSURE, index, rounded},
};
use held::Held;
use intern::Interner;
use layout::Layout;
use policy::Policy;

/// The index of an identity, in the order in which they were added.
pub type IdentityId = u32;

/// A permission that an identity used in the window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Use {
    /// The permission.
    pub permission: u32,
    /// Whether there is a record that names no resource: it counts as a use of every place in which the permission is granted.
    pub unnamed: bool,
    /// The places that records name, [`PlacesId::NONE`] if none does.
    pub places: PlacesId,
}

/// The score of an identity without its parts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Brief {
    /// The unused mass, C.
    pub mass: f64,
    /// The unused mass as a share of the catalogue's mass, x.
    pub x: f64,
    /// The share of everything that is granted, used or not.
    pub granted: f64,
    /// The strongest live escalation, if there is one: its index in the catalogue, and λ.
    pub escalation: Option<(usize, f64)>,
}

impl Brief {
    /// The score, rounded.
    pub fn pci(&self) -> u8 {
        rounded(index(self.x))
    }
}

/// The policies that an identity has, and what it used, by permission.
#[derive(Clone, Debug)]
struct Identity {
    list: u32,
    uses: Box<[Use]>,
}

/// The identities of a system.
pub struct Compact<'a> {
    stored: Stored<'a>,
    identities: Vec<Identity>,
    held: Held,
}

/// What identities refer to.
struct Stored<'a> {
    catalogue: &'a Catalogue,
    layout: Layout,
    places: Interner<Places>,
    policies: Interner<Policy>,
    lists: Interner<Box<[PolicyId]>>,
}

impl<'a> Compact<'a> {
    /// Without any identity.
    pub fn new(catalogue: &'a Catalogue) -> Self {
        let layout = Layout::new(catalogue);
        let held = Held::new(&layout);
        let mut places = Interner::default();
        places.add(Places::default()); // PlacesId::NONE
        let stored = Stored { catalogue, layout, places, policies: Interner::default(), lists: Interner::default() };
        Self { stored, identities: Vec::new(), held }
    }
    /// A set of places.
    pub fn places(&mut self, places: Places) -> PlacesId {
        PlacesId(self.stored.places.add(places))
    }
    /// A policy: permissions and where they are granted. Equal policies are stored once.
    pub fn policy(&mut self, grants: &[Grant]) -> PolicyId {
        let stored = &mut self.stored;
        PolicyId(stored.policies.add(Policy::new(stored.catalogue, &stored.layout, &mut stored.places, grants)))
    }
    /// An identity with its policies, in any order, and its uses: of several of one permission the places are added up.
    pub fn add(&mut self, policies: &[PolicyId], uses: Vec<Use>) -> IdentityId {
        let identity = Identity { list: self.list(policies), uses: self.uses(uses) };
        self.identities.push(identity);
        self.identities.len() as u32 - 1
    }
    /// Gives an identity other policies.
    pub fn set_policies(&mut self, identity: IdentityId, policies: &[PolicyId]) {
        self.identities[identity as usize].list = self.list(policies);
    }
    /// Gives an identity other uses.
    pub fn set_uses(&mut self, identity: IdentityId, uses: Vec<Use>) {
        self.identities[identity as usize].uses = self.uses(uses);
    }
    /// How many identities there are.
    pub fn len(&self) -> u32 {
        self.identities.len() as u32
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }
    /// How many distinct policies, and distinct lists of them, are stored.
    pub fn stored(&self) -> (usize, usize) {
        (self.stored.policies.len(), self.stored.lists.len())
    }
    /// The score of one identity.
    pub fn score(&mut self, identity: IdentityId) -> Brief {
        let (identity, stored) = (&self.identities[identity as usize], &self.stored);
        let policies = stored.lists.get(identity.list).iter().map(|id| stored.policies.get(id.0));
        self.held.load(stored.catalogue, &stored.layout, &stored.places, identity.list, policies);
        stored.corrected(&mut self.held, &identity.uses)
    }
    /// The scores of all identities, in the order of their ids.
    pub fn scores(&mut self) -> Vec<Brief> {
        let mut order: Vec<IdentityId> = (0..self.len()).collect();
        order.sort_unstable_by_key(|identity| (self.identities[*identity as usize].list, *identity));
        let mut scores = vec![Brief { mass: 0.0, x: 0.0, granted: 0.0, escalation: None }; order.len()];
        for identity in order {
            scores[identity as usize] = self.score(identity);
        }
        scores
    }

    fn list(&mut self, policies: &[PolicyId]) -> u32 {
        let mut policies = policies.to_vec();
        policies.sort_unstable();
        policies.dedup();
        self.stored.lists.add(policies.into())
    }
    fn uses(&mut self, mut uses: Vec<Use>) -> Box<[Use]> {
        uses.sort_unstable();
        let mut kept: Vec<Use> = Vec::with_capacity(uses.len());
        for next in uses {
            match kept.last_mut() {
                Some(last) if last.permission == next.permission => {
                    let mut both = self.stored.places.get(last.places.0).clone();
                    both.extend(self.stored.places.get(next.places.0));
                    last.places = self.places(both);
                    last.unnamed |= next.unnamed;
                }
                _ => kept.push(next),
            }
        }
        kept.into()
    }
}

impl Stored<'_> {
    /// The score of a list of policies, changed by what was used.
    fn corrected(&self, held: &mut Held, uses: &[Use]) -> Brief {
        let escalation = held.methods.iter().find(|(method, _)| self.has_unused(held, *method as usize, uses));
        let escalation = escalation.map(|(method, reach)| (*method as usize, CLOSURE * reach));
        let lambda = escalation.map_or(0.0, |(_, lambda)| lambda);
        let mut mass = held.mass(lambda, self.catalogue.mass());
        for used in uses {
            let (granted, residual, reached) = self.reaches(held, used);
            mass += self.layout.weight(used.permission) * (residual.max(lambda * (1.0 - reached)) - granted.max(lambda));
        }
        let mass = mass.max(0.0);
        let share = |mass: f64| if self.catalogue.mass() > 0.0 { (mass / self.catalogue.mass()).clamp(0.0, 1.0) } else { 0.0 };
        Brief { mass, x: share(mass), granted: share(held.granted_mass()), escalation }
    }
    fn total(&self, permission: u32) -> u32 {
        self.catalogue.permissions()[permission as usize].resources
    }
    /// The reach of what is granted, of what is granted beyond the use, and of the use.
    fn reaches(&self, held: &Held, used: &Use) -> (f64, f64, f64) {
        let total = self.total(used.permission);
        let granted = held.granted(&self.layout, &self.places, used.permission);
        let all = granted.reach(total);
        if used.unnamed && used.places == PlacesId::NONE {
            return (all, 0.0, all);
        }
        let places = self.places.get(used.places.0);
        let either = reach(granted.union_len(places, total), total);
        let reached = if used.unnamed { either } else { reach(places.len(), total) };
        (all, either - reached, reached)
    }
    /// Whether a method has a permission that is not used wherever it is granted.
    fn has_unused(&self, held: &Held, method: usize, uses: &[Use]) -> bool {
        self.catalogue.methods()[method].permissions.iter().any(|permission| {
            let permission = *permission as u32;
            let Ok(at) = uses.binary_search_by_key(&permission, |used| used.permission) else { return true };
            let granted = held.granted(&self.layout, &self.places, permission);
            !uses[at].unnamed && !granted.within(self.places.get(uses[at].places.0), self.total(permission))
        })
    }
}
