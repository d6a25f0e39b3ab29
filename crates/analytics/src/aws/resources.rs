//! The places of each space in one account: what is known of its resources.
//!
//! Place 0 stands for the resources that come and go: only a grant on every resource of a type has it. The other places are resources that are
//! known by name (from the account details, a list, the logs, or policies), and, for each pattern that a policy names, one that stands for
//! the resources that match it. So N is one more than what is known, and a grant on something unknown is never nothing.
use super::{
    policy::glob::{covers, is_pattern, overlaps},
    spaces::{ShapeId, SpaceId, Spaces},
};
use crate::places::Places;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The place of resources that come and go.
pub const OTHERS: u32 = 0;
/// The most places of a space. What is beyond them, in the order of names, counts as [`OTHERS`].
const MAX_PLACES: usize = 1_000;

/// A statement's pattern in a space.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Matched {
    /// The places with a resource that may match: for an Allow, and for what a Deny excepts.
    pub wide: Places,
    /// Places that stand for many resources of which some may match, while neither pattern contains the other: `app-*` and `*-prod`. What both
    /// allow has no place of its own, so these places count in limits, and in what a Deny excepts.
    pub crossing: Places,
    /// The places of which every resource matches: for a Deny, and for what an Allow excepts.
    pub narrow: Places,
}

/// The places of one space.
#[derive(Clone, Default, Debug)]
struct Space {
    /// Places by name; the first has the number 1.
    names: BTreeMap<String, u32>,
}

/// The places of every space.
pub struct Resources<'a> {
    spaces: &'a Spaces,
    of: Vec<Space>,
    /// What stands for any resource of each shape.
    generic: Vec<String>,
    /// Names that found no place of their own.
    pub folded: usize,
}

impl<'a> Resources<'a> {
    /// The places of an account, from the ARNs that are known and the patterns that its policies name.
    pub fn build<'b>(spaces: &'a Spaces, partition: &str, account: &str, texts: impl IntoIterator<Item = &'b str>) -> Self {
        let mut names: Vec<BTreeSet<String>> = vec![BTreeSet::new(); spaces.len()];
        let generic: Vec<String> = spaces.all_shapes().iter().map(|shape| shape.generic(partition, account)).collect();
        let mut seen: HashSet<&str> = HashSet::from(["*"]);
        for text in texts.into_iter().filter(|text| seen.insert(text)) {
            for shape in spaces.shapes_of(text) {
                let key = spaces.shape(shape).key(text);
                // What matches any resource of the type is what place 0 stands for.
                if !covers(&key, &generic[shape as usize]) {
                    spaces.with_shape(shape).iter().for_each(|space| {
                        names[*space as usize].insert(key.clone());
                    });
                }
            }
        }
        let folded = names.iter().map(|names| names.len().saturating_sub(MAX_PLACES)).sum();
        let of = names.into_iter().map(|names| Space { names: names.into_iter().take(MAX_PLACES).zip(1..).collect() });
        Self { spaces, of: of.collect(), generic, folded }
    }
    /// How many places a space has, N.
    pub fn count(&self, space: SpaceId) -> u32 {
        self.of[space as usize].names.len() as u32 + 1
    }
    /// Every place of a space.
    pub fn all(&self, space: SpaceId) -> Places {
        Places::first(self.count(space))
    }
    /// The places of a space that a pattern of a statement reaches. `shapes` are those of the pattern ([`Spaces::shapes_of`]).
    pub fn matched(&self, pattern: &str, shapes: &[ShapeId], space: SpaceId) -> Matched {
        if !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*') {
            return Matched { wide: self.all(space), narrow: self.all(space), ..Matched::default() };
        }
        let (of, mut matched) = (&self.of[space as usize], Matched::default());
        let generic = || self.spaces.shapes(space).iter().map(|shape| &self.generic[*shape as usize]);
        let mut own = shapes.iter().filter(|shape| self.spaces.shapes(space).contains(shape)).peekable();
        if own.peek().is_none() {
            return matched;
        }
        for shape in own {
            let key = self.spaces.shape(*shape).key(pattern);
            of.reached(&key, &mut matched.wide);
            of.crossed(&key, &mut matched.crossing);
            let folded = of.names.len() >= MAX_PLACES && !of.names.contains_key(&key);
            if folded || generic().any(|generic| covers(&key, generic)) {
                matched.wide.insert(OTHERS);
            }
        }
        // Nothing that is known, and not a place of its own: a resource that may come.
        if matched.wide.is_empty() {
            matched.wide.insert(OTHERS);
        }
        of.reached(pattern, &mut matched.narrow);
        if generic().all(|generic| covers(pattern, generic)) {
            matched.narrow.insert(OTHERS);
        }
        matched
    }
    /// The places that a use of a resource is at; none if the resource is not of the space.
    pub fn places_of(&self, arn: &str, space: SpaceId) -> Places {
        if !arn.starts_with("arn:") {
            return Places::default();
        }
        let of = &self.of[space as usize];
        let shapes = self.spaces.shapes_of(arn);
        let own = shapes.iter().filter(|shape| self.spaces.shapes(space).contains(shape));
        own.map(|shape| of.names.get(&self.spaces.shape(*shape).key(arn)).copied().unwrap_or(OTHERS)).collect()
    }
    /// Adds the places that stand for many resources and of which everything that is known was used: it cannot be used more.
    pub fn complete(&self, used: &mut Places, space: SpaceId) {
        let of = &self.of[space as usize];
        let named = |used: &Places| of.names.iter().filter(|(_, place)| used.contains(**place)).count();
        if used.is_empty() {
            return;
        }
        let standing: Vec<(&String, u32)> = of
            .names
            .iter()
            .filter(|(name, place)| is_pattern(name) && !used.contains(**place))
            .map(|(name, place)| (name, *place))
            .collect();
        for (pattern, place) in standing {
            let mut matching = of.names.iter().filter(|(name, other)| **other != place && covers(pattern, name)).peekable();
            if matching.peek().is_some() && matching.all(|(_, other)| used.contains(*other)) {
                used.insert(place);
            }
        }
        if named(used) == of.names.len() {
            used.insert(OTHERS);
        }
    }
    /// The name of a place for people.
    pub fn name(&self, space: SpaceId, place: u32) -> Option<&str> {
        self.of[space as usize].names.iter().find(|(_, number)| **number == place).map(|(name, _)| name.as_str())
    }
    /// What a space contains, for people: `buckets` and the like.
    pub fn kind(&self, space: SpaceId) -> String {
        let names: BTreeSet<&str> = self.spaces.shapes(space).iter().map(|shape| self.spaces.shape(*shape).name.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join("/")
    }
}

impl Space {
    /// Adds the places that a pattern covers, without place 0.
    fn reached(&self, pattern: &str, places: &mut Places) {
        if is_pattern(pattern) {
            self.names.iter().filter(|(name, _)| covers(pattern, name)).for_each(|(_, place)| places.insert(*place));
        } else if let Some(place) = self.names.get(pattern) {
            places.insert(*place);
        }
    }
    /// Adds the places that cross a pattern.
    fn crossed(&self, pattern: &str, places: &mut Places) {
        if is_pattern(pattern) {
            let crosses = |name: &str| is_pattern(name) && !covers(pattern, name) && !covers(name, pattern) && overlaps(pattern, name);
            self.names.iter().filter(|(name, _)| crosses(name)).for_each(|(_, place)| places.insert(*place));
        }
    }
}
