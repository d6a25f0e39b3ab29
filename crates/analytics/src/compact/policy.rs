//! Policies: which permissions they grant, and where.
use super::{
    intern::Interner,
    layout::{Layout, words_of},
};
use crate::{catalogue::Catalogue, places::Places, reach::reach};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

/// The index of a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyId(pub(super) u32);

/// The index of a set of places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PlacesId(pub(super) u32);

impl PlacesId {
    /// No places.
    pub const NONE: Self = Self(0);
}

/// Where permissions are granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// In every place.
    All,
    /// In some places, by resource type. Permissions of a type that is not in the map are not granted.
    Some(BTreeMap<u32, Places>),
}

/// Permissions that are granted in the same places.
#[derive(Clone, PartialEq, Debug)]
pub struct Grant {
    /// The permissions, by their index in the catalogue.
    pub permissions: RoaringBitmap,
    /// Where.
    pub scope: Scope,
}

/// A policy as it is stored: bits for what is granted everywhere, and a list for the rest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Policy {
    pub(super) full: Box<[(u32, u64)]>,
    /// By permission, without those that are granted everywhere; each once.
    pub(super) partial: Box<[Partial]>,
}

/// A permission that is granted in some places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Partial {
    pub(super) permission: u32,
    pub(super) places: PlacesId,
    /// The bits of the reach of these places, which is between 0 and 1.
    reach: u64,
}

impl Partial {
    pub(super) fn reach(&self) -> f64 {
        f64::from_bits(self.reach)
    }
}

impl Policy {
    pub(super) fn new(catalogue: &Catalogue, layout: &Layout, interned: &mut Interner<Places>, grants: &[Grant]) -> Self {
        let mut full = RoaringBitmap::new();
        let mut partial: BTreeMap<u32, Places> = BTreeMap::new();
        for grant in grants {
            match &grant.scope {
                Scope::All => full |= &grant.permissions,
                Scope::Some(types) => {
                    for id in &grant.permissions {
                        if let Some(places) = types.get(&catalogue.permissions()[id as usize].resource_type) {
                            partial.entry(id).or_default().extend(places);
                        }
                    }
                }
            }
        }
        for (id, places) in &partial {
            if places.len() >= catalogue.permissions()[*id as usize].resources {
                full.insert(*id);
            }
        }
        partial.retain(|id, places| !full.contains(*id) && !places.is_empty());
        let partial = partial.into_iter().map(|(permission, places)| {
            let reach = reach(places.len(), catalogue.permissions()[permission as usize].resources).to_bits();
            Partial { permission, places: PlacesId(interned.add(places)), reach }
        });
        let partial = partial.collect();
        Self { full: words_of(full.iter().map(|id| layout.bit(id))), partial }
    }
}
