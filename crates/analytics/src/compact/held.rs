//! What a list of policies grants together, and its score if nothing is used.
use super::{
    intern::Interner,
    layout::Layout,
    policy::{Partial, PlacesId, Policy},
};
use crate::{
    catalogue::Catalogue,
    places::Places,
    reach::reach,
    score::{Holding, Holdings, method_reach},
};

/// The places of a permission that is granted in some: those of one policy, or of several together.
enum Part {
    /// And their reach.
    One(PlacesId, f64),
    Several(Places),
}

/// Where a permission is granted.
#[derive(Clone, Copy)]
pub(super) enum Granted<'a> {
    Nowhere,
    Everywhere,
    In(&'a Places),
}

impl Granted<'_> {
    pub(super) fn reach(self, total: u32) -> f64 {
        match self {
            Self::Nowhere => 0.0,
            Self::Everywhere => 1.0,
            Self::In(places) => reach(places.len(), total),
        }
    }
    /// How many places are granted or in another set.
    pub(super) fn union_len(self, other: &Places, total: u32) -> u32 {
        match self {
            Self::Nowhere => other.len(),
            Self::Everywhere => total.max(other.len()),
            Self::In(places) => places.union_len(other),
        }
    }
    /// Whether every granted place is in another set.
    pub(super) fn within(self, other: &Places, total: u32) -> bool {
        match self {
            Self::Nowhere => true,
            Self::Everywhere => other.len() >= total,
            Self::In(places) => places.within(other),
        }
    }
}

/// One list of policies. The memory is used again for the next one.
pub(super) struct Held {
    /// Which list it is.
    list: Option<u32>,
    /// A bit for each permission that is granted everywhere.
    words: Vec<u64>,
    /// The permissions that are granted in some places, ascending.
    partial: Vec<(u32, Part)>,
    entries: Vec<Partial>,
    /// The weights of what is granted everywhere.
    full: f64,
    /// The reach and weight of each of [`Self::partial`].
    reaches: Vec<(f64, f64)>,
    /// The weights of them all.
    some: f64,
    /// The last λ that was asked for, and the mass with it.
    last: (f64, f64),
    /// The methods that are granted and how far each reaches; the farthest first, then by index.
    pub(super) methods: Vec<(u32, f64)>,
}

impl Held {
    pub(super) fn new(layout: &Layout) -> Self {
        let words = vec![0; layout.words()];
        Self {
            list: None,
            words,
            partial: Vec::new(),
            entries: Vec::new(),
            full: 0.0,
            reaches: Vec::new(),
            some: 0.0,
            last: (f64::NAN, 0.0),
            methods: Vec::new(),
        }
    }
    /// Makes this the list, unless it is already.
    pub(super) fn load<'a>(
        &mut self,
        catalogue: &Catalogue,
        layout: &Layout,
        places: &Interner<Places>,
        list: u32,
        policies: impl Iterator<Item = &'a Policy>,
    ) {
        if self.list == Some(list) {
            return;
        }
        self.list = Some(list);
        self.union(layout, places, policies);
        self.full = layout.mass(&self.words);
        self.add_up(catalogue, layout);
        let mut methods = std::mem::take(&mut self.methods);
        methods.clear();
        for method in 0..layout.methods().len() {
            let reach = self.method(catalogue, layout, places, method);
            if reach > 0.0 {
                methods.push((method as u32, reach));
            }
        }
        methods.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.methods = methods;
    }
    /// The mass if nothing is used: each permission counts with its reach, or with what escalation adds if that is more.
    pub(super) fn mass(&mut self, lambda: f64, all: f64) -> f64 {
        if self.last.0 != lambda {
            let partial: f64 = self.reaches.iter().map(|(reach, weight)| reach.max(lambda) * weight).sum();
            self.last = (lambda, self.full + partial + lambda * (all - self.full - self.some).max(0.0));
        }
        self.last.1
    }
    /// The mass of what is granted.
    pub(super) fn granted_mass(&self) -> f64 {
        self.full + self.reaches.iter().map(|(reach, weight)| reach * weight).sum::<f64>()
    }
    /// Where a permission is granted.
    pub(super) fn granted<'a>(&'a self, layout: &Layout, places: &'a Interner<Places>, permission: u32) -> Granted<'a> {
        if self.everywhere(layout, permission) {
            return Granted::Everywhere;
        }
        match self.partial.binary_search_by_key(&permission, |(id, _)| *id).map(|at| &self.partial[at].1) {
            Err(_) => Granted::Nowhere,
            Ok(Part::One(id, _)) => Granted::In(places.get(id.0)),
            Ok(Part::Several(places)) => Granted::In(places),
        }
    }

    fn everywhere(&self, layout: &Layout, permission: u32) -> bool {
        let bit = layout.bit(permission);
        self.words[bit as usize / 64] >> (bit % 64) & 1 == 1
    }
    /// Everything that the policies grant together.
    fn union<'a>(&mut self, layout: &Layout, places: &Interner<Places>, policies: impl Iterator<Item = &'a Policy>) {
        self.words.fill(0);
        self.entries.clear();
        self.partial.clear();
        for policy in policies {
            policy.full.iter().for_each(|(word, bits)| self.words[*word as usize] |= bits);
            self.entries.extend_from_slice(&policy.partial);
        }
        // Each policy is in order, which this sort makes use of.
        self.entries.sort();
        self.entries.dedup();
        for at in 0..self.entries.len() {
            let Partial { permission, places: id, .. } = self.entries[at];
            if self.everywhere(layout, permission) {
                continue;
            }
            match self.partial.last_mut() {
                Some((last, Part::Several(all))) if *last == permission => all.extend(places.get(id.0)),
                Some((last, one)) if *last == permission => {
                    let Part::One(first, _) = *one else { continue };
                    let mut all = places.get(first.0).clone();
                    all.extend(places.get(id.0));
                    *one = Part::Several(all);
                }
                _ => self.partial.push((permission, Part::One(id, self.entries[at].reach()))),
            }
        }
    }
    /// The reaches and weights of the permissions that are granted in some places, in the order of the permissions.
    fn add_up(&mut self, catalogue: &Catalogue, layout: &Layout) {
        let reaches = self.partial.iter().map(|(permission, part)| {
            let reach = match part {
                Part::One(_, reach) => *reach,
                Part::Several(places) => reach(places.len(), catalogue.permissions()[*permission as usize].resources),
            };
            (reach, layout.weight(*permission))
        });
        self.reaches.clear();
        self.reaches.extend(reaches);
        self.some = self.reaches.iter().map(|(_, weight)| weight).sum();
        self.last.0 = f64::NAN;
    }
    /// How far a method reaches.
    fn method(&self, catalogue: &Catalogue, layout: &Layout, places: &Interner<Places>, method: usize) -> f64 {
        if layout.methods()[method].iter().all(|(word, mask)| self.words[*word as usize] & mask == *mask) {
            return 1.0;
        }
        if self.partial.is_empty() {
            return 0.0;
        }
        let mut holdings = Holdings::new();
        for id in &catalogue.methods()[method].permissions {
            let granted = match self.granted(layout, places, *id as u32) {
                Granted::Nowhere => return 0.0,
                Granted::Everywhere => Places::first(catalogue.permissions()[*id].resources),
                Granted::In(places) => places.clone(),
            };
            holdings.push((*id, Holding { granted, used: Places::default() }));
        }
        method_reach(catalogue, &holdings, method)
    }
}
