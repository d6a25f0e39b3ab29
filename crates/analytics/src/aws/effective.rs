//! What policies grant, as sets: wildcards, `NotAction`, `NotResource`, Deny, limits and conditions, for every action and place at once.
//!
//! The result has two bounds. Everything that may be allowed is granted: an Allow whose condition is not known counts, and a Deny whose
//! condition is not known does not. What is allowed in any case is the lower bound; the difference is reported as undecided.
use super::{
    catalogue::Actions,
    policy::{
        Context, Document, Effect, Listed, Statement, Truth,
        condition::holds,
        variables::{Replaced, has_variables, replaced, widened},
    },
    resources::{Matched, Resources},
    spaces::{ShapeId, SpaceId, Spaces},
    usage::ActionId,
};
use crate::places::Places;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, HashMap};

/// The actions of a statement in one space, with the places that it names there.
#[derive(Clone, Debug)]
struct Group {
    space: SpaceId,
    /// Ascending.
    actions: Vec<ActionId>,
    reached: Reached,
}

/// The places of a statement in a space. Empty in a [`Group`] whose resources have policy variables: they differ between identities.
#[derive(Clone, Default, Debug)]
struct Reached {
    places: Places,
    /// Places of which a limit allows a part ([`Matched::crossing`]).
    crossing: Places,
}

/// A statement with its actions and places.
#[derive(Clone, Debug)]
struct Compiled {
    statement: Statement,
    variables: bool,
    /// Whether the resources have policy variables.
    personal: bool,
    groups: Vec<Group>,
}

/// A policy, ready to be evaluated.
#[derive(Clone, Default, Debug)]
pub struct Policy {
    statements: Vec<Compiled>,
    /// Patterns of actions that match nothing in the catalogue.
    pub unknown: Vec<String>,
    /// Whether an Allow names every action on every resource without a condition.
    pub everything: bool,
    /// Whether an Allow has wildcards or exceptions in its actions, so that it may grant actions that the catalogue does not have.
    pub open: bool,
}

/// What is granted.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The places of each action; an action without places is left out.
    pub places: BTreeMap<ActionId, Places>,
    /// Actions that are granted somewhere only if a condition holds that is not known.
    pub undecided: RoaringBitmap,
}

/// The patterns that a document names as resources, for [`Resources::build`]. Policy variables are replaced if their values are known, and
/// otherwise stand for any text.
pub fn named_resources(document: &Document, context: Option<&dyn Context>) -> Vec<String> {
    let text =
        |pattern: &String| match context.filter(|_| document.variables && has_variables(pattern)).map(|context| replaced(pattern, context))
        {
            Some(Replaced::Text(text)) => text,
            Some(Replaced::Unknown | Replaced::Nothing) => widened(pattern),
            None if document.variables => widened(pattern),
            None => pattern.clone(),
        };
    document.statements.iter().flat_map(|statement| statement.resources.patterns()).map(text).collect()
}

/// Compiles policies. Keeps what it found of each pattern: policies repeat them.
pub struct Compiler<'a> {
    actions: &'a Actions,
    spaces: &'a Spaces,
    resources: &'a Resources<'a>,
    shapes: HashMap<String, Vec<ShapeId>>,
    matched: HashMap<(String, SpaceId), Matched>,
}

impl<'a> Compiler<'a> {
    /// Of a catalogue and an account.
    pub fn new(actions: &'a Actions, spaces: &'a Spaces, resources: &'a Resources<'a>) -> Self {
        Self { actions, spaces, resources, shapes: HashMap::new(), matched: HashMap::new() }
    }

    /// Compiles a document.
    pub fn compile(&mut self, document: &Document) -> Policy {
        let mut policy = Policy::default();
        for statement in &document.statements {
            let named = self.named_actions(&statement.actions, &mut policy.unknown);
            let personal = document.variables && statement.resources.patterns().iter().any(|pattern| has_variables(pattern));
            let groups = self.groups(statement, &named, personal);
            if statement.effect == Effect::Allow {
                let all = named.len() == u64::from(self.actions.len()) && is_everything(&statement.resources);
                policy.everything |= all && statement.conditions.is_empty() && statement.undecided.is_none();
                policy.open |= match &statement.actions {
                    Listed::These(list) => list.iter().any(|pattern| pattern.contains(['*', '?'])),
                    Listed::AllBut(_) => true,
                };
            }
            policy.statements.push(Compiled { statement: statement.clone(), variables: document.variables, personal, groups });
        }
        policy
    }

    fn named_actions(&self, actions: &Listed, unknown: &mut Vec<String>) -> RoaringBitmap {
        let mut named = RoaringBitmap::new();
        for pattern in actions.patterns() {
            // `*:*` has no colon in the catalogue's sense only if a service is missing; it is everything like `*`.
            let found = self.actions.expand(pattern);
            if found.is_empty() && !unknown.contains(pattern) {
                unknown.push(pattern.clone());
            }
            named |= found;
        }
        match actions {
            Listed::These(_) => named,
            Listed::AllBut(_) => (0..self.actions.len()).collect::<RoaringBitmap>() - named,
        }
    }

    fn groups(&mut self, statement: &Statement, named: &RoaringBitmap, personal: bool) -> Vec<Group> {
        let mut by_space: BTreeMap<SpaceId, Vec<ActionId>> = BTreeMap::new();
        for action in named {
            by_space.entry(self.spaces.of_action(action)).or_default().push(action);
        }
        let near = self.spaces_near(statement);
        let groups = by_space.into_iter().map(|(space, actions)| {
            let reached = match (personal, &statement.resources) {
                (true, _) => Reached::default(),
                // No pattern is about resources of this space.
                (false, Listed::These(_)) if !near.contains(space) => Reached::default(),
                (false, Listed::AllBut(_)) if !near.contains(space) => Reached { places: self.resources.all(space), ..Reached::default() },
                (false, _) => self.reached(statement, space),
            };
            Group { space, actions, reached }
        });
        groups.filter(|group| personal || !group.reached.places.is_empty() || !group.reached.crossing.is_empty()).collect()
    }

    /// The spaces that have a shape of a pattern of the statement; all, if one is `*`.
    fn spaces_near(&mut self, statement: &Statement) -> RoaringBitmap {
        let spaces = self.spaces;
        let patterns = statement.resources.patterns();
        if patterns.iter().any(|pattern| pattern.bytes().all(|byte| byte == b'*')) {
            return (0..spaces.len() as SpaceId).collect();
        }
        let mut near = RoaringBitmap::new();
        for pattern in patterns {
            let shapes = self.shapes.entry(pattern.clone()).or_insert_with(|| spaces.shapes_of(pattern));
            shapes.iter().for_each(|shape| near.extend(spaces.with_shape(*shape).iter().copied()));
        }
        near
    }

    fn reached(&mut self, statement: &Statement, space: SpaceId) -> Reached {
        let (spaces, resources) = (self.spaces, self.resources);
        let all: Vec<Matched> = statement
            .resources
            .patterns()
            .iter()
            .map(|pattern| {
                let shapes = self.shapes.entry(pattern.clone()).or_insert_with(|| spaces.shapes_of(pattern));
                let found = self.matched.entry((pattern.clone(), space));
                found.or_insert_with(|| resources.matched(pattern, shapes, space)).clone()
            })
            .collect();
        combined(resources, statement, space, &all)
    }
}

/// The places of a statement in a space from those of its patterns.
fn combined(resources: &Resources, statement: &Statement, space: SpaceId, matched: &[Matched]) -> Reached {
    let union = |of: fn(&Matched) -> &Places| {
        let mut all = Places::default();
        matched.iter().for_each(|matched| all.extend(of(matched)));
        all
    };
    let without = |except: &[Places]| {
        let mut all = resources.all(space);
        except.iter().for_each(|except| all.subtract(except));
        all
    };
    let crossing = union(|matched| &matched.crossing);
    let only = |places| Reached { places, crossing: Places::default() };
    match (statement.effect, &statement.resources) {
        (Effect::Allow, Listed::These(_)) => Reached { places: union(|matched| &matched.wide), crossing },
        (Effect::Deny, Listed::These(_)) => only(union(|matched| &matched.narrow)),
        (Effect::Allow, Listed::AllBut(_)) => only(without(&[union(|matched| &matched.narrow)])),
        (Effect::Deny, Listed::AllBut(_)) => only(without(&[union(|matched| &matched.wide), crossing])),
    }
}

fn is_everything(resources: &Listed) -> bool {
    matches!(resources, Listed::These(list) if list.iter().any(|pattern| pattern.bytes().all(|byte| byte == b'*')))
}

/// Whether policies grant, or limit what others grant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Granting,
    Limiting,
}

/// Which statements count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// What may be allowed.
    Upper,
    /// What is allowed in any case.
    Lower,
}

/// An account in which policies are evaluated.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    /// The spaces of the catalogue.
    pub spaces: &'a Spaces,
    /// The places of the account.
    pub resources: &'a Resources<'a>,
}

impl Evaluator<'_> {
    /// What these policies grant within each of the limits (a permissions boundary, each level of service control policies).
    pub fn granted(&self, policies: &[&Policy], limits: &[Vec<&Policy>], context: &dyn Context) -> Granted {
        let (places, certain) = self.bound(policies, limits, context, Bound::Upper);
        if certain {
            return Granted { places, undecided: RoaringBitmap::new() };
        }
        let (sure, _) = self.bound(policies, limits, context, Bound::Lower);
        let undecided = places.iter().filter(|(action, places)| sure.get(action).is_none_or(|sure| !places.within(sure)));
        let undecided = undecided.map(|(action, _)| *action).collect();
        Granted { places, undecided }
    }

    /// One of the bounds, and whether both are equal because everything is known.
    fn bound(
        &self,
        policies: &[&Policy],
        limits: &[Vec<&Policy>],
        context: &dyn Context,
        bound: Bound,
    ) -> (BTreeMap<ActionId, Places>, bool) {
        let mut certain = true;
        let mut granted = self.applied(policies, Effect::Allow, Layer::Granting, context, bound, &mut certain);
        for limit in limits {
            let within = self.applied(limit, Effect::Allow, Layer::Limiting, context, bound, &mut certain);
            granted.retain(|action, places| {
                within.get(action).is_some_and(|within| {
                    places.retain(within);
                    !places.is_empty()
                })
            });
        }
        for layer in std::iter::once(policies).chain(limits.iter().map(Vec::as_slice)) {
            for (action, denied) in self.applied(layer, Effect::Deny, Layer::Granting, context, bound, &mut certain) {
                if let Some(places) = granted.get_mut(&action) {
                    places.subtract(&denied);
                    if places.is_empty() {
                        granted.remove(&action);
                    }
                }
            }
        }
        (granted, certain)
    }

    /// The places to which statements of one effect apply.
    fn applied(
        &self,
        policies: &[&Policy],
        effect: Effect,
        layer: Layer,
        context: &dyn Context,
        bound: Bound,
        certain: &mut bool,
    ) -> BTreeMap<ActionId, Places> {
        let mut found: BTreeMap<ActionId, Places> = BTreeMap::new();
        for compiled in policies.iter().flat_map(|policy| &policy.statements).filter(|compiled| compiled.statement.effect == effect) {
            let truth = compiled.truth(context);
            *certain &= truth != Truth::Maybe && !compiled.personal;
            let counts = match (effect, bound) {
                (Effect::Allow, Bound::Upper) | (Effect::Deny, Bound::Lower) => truth != Truth::No,
                (Effect::Allow, Bound::Lower) | (Effect::Deny, Bound::Upper) => truth == Truth::Yes,
            };
            if !counts {
                continue;
            }
            for group in &compiled.groups {
                let personal = compiled.personal.then(|| self.personal(compiled, group.space, context, bound));
                let reached = personal.as_ref().unwrap_or(&group.reached);
                let crossing = (layer == Layer::Limiting).then_some(&reached.crossing);
                for places in [Some(&reached.places), crossing].into_iter().flatten().filter(|places| !places.is_empty()) {
                    group.actions.iter().for_each(|action| found.entry(*action).or_default().extend(places));
                }
            }
        }
        found
    }

    /// The places of a statement whose resources have policy variables, for one identity.
    fn personal(&self, compiled: &Compiled, space: SpaceId, context: &dyn Context, bound: Bound) -> Reached {
        let statement = &compiled.statement;
        // Whether a value that is not known makes the statement reach more: of an Allow for the upper bound, of a Deny for the lower one.
        let more = (statement.effect == Effect::Allow) == (bound == Bound::Upper);
        let these = matches!(statement.resources, Listed::These(_));
        let matched = statement.resources.patterns().iter().filter_map(|pattern| {
            let text = match replaced(pattern, context) {
                Replaced::Text(text) => text,
                Replaced::Nothing => return None,
                Replaced::Unknown if more == these => widened(pattern),
                Replaced::Unknown => return None,
            };
            Some(self.resources.matched(&text, &self.spaces.shapes_of(&text), space))
        });
        combined(self.resources, statement, space, &matched.collect::<Vec<_>>())
    }
}

impl Compiled {
    fn truth(&self, context: &dyn Context) -> Truth {
        let known = if self.statement.undecided.is_some() { Truth::Maybe } else { Truth::Yes };
        known.and(holds(&self.statement.conditions, context, self.variables))
    }
}

impl Policy {
    /// Whether an Allow of it may grant an action to an identity.
    pub fn may_allow(&self, action: ActionId, context: &dyn Context) -> bool {
        let allows = |compiled: &&Compiled| {
            compiled.statement.effect == Effect::Allow
                && compiled.groups.iter().any(|group| group.actions.binary_search(&action).is_ok())
                && compiled.truth(context) != Truth::No
        };
        self.statements.iter().any(|compiled| allows(&compiled))
    }
    /// Every action that an Allow of it names.
    pub fn allowed(&self) -> RoaringBitmap {
        let allows = self.statements.iter().filter(|compiled| compiled.statement.effect == Effect::Allow);
        allows.flat_map(|compiled| compiled.groups.iter().flat_map(|group| group.actions.iter().copied())).collect()
    }
}
