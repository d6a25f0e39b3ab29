//! Statements that are parts of the standing ones: the actions that are needed, on the resources that were used, under the same conditions.
//!
//! Every proposed statement is within a standing statement, so the proposal never gives what the standing access does not give.
use super::{
    needs::{Need, wanted},
    standing::Applicable,
};
use crate::aws::{
    catalogue::Actions,
    policy::{
        Condition, Effect, Listed, Statement,
        decide::names_action,
        glob::{covers, overlaps},
    },
    usage::ActionId,
};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};

/// The conditions of a statement, in a form that has an order.
type Conditions = Vec<(String, String, Vec<String>)>;

/// What a statement reaches.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// These resources.
    These(BTreeSet<String>),
    /// All but these, as the standing statement says.
    AllBut(BTreeSet<String>),
}

/// A proposed statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposed {
    /// Allow or Deny.
    pub effect: Effect,
    /// The actions of an Allow.
    pub actions: RoaringBitmap,
    /// The actions of a Deny, as it says.
    pub denied: Option<Listed>,
    /// The resources.
    pub reach: Reach,
    /// The conditions.
    pub conditions: Conditions,
}

/// What was found for the needs.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Narrowed {
    /// The statements.
    pub statements: Vec<Proposed>,
    /// Actions, or resources of them, that no standing statement allows.
    pub not_held: BTreeMap<ActionId, BTreeSet<String>>,
    /// Actions that are allowed under conditions only.
    pub conditional: RoaringBitmap,
}

/// One piece of an action: its conditions and its resources.
type Pieces = BTreeMap<Conditions, BTreeSet<Reach>>;

/// The statements for these needs, from the standing Allow statements.
pub fn narrowed(actions: &Actions, needs: &BTreeMap<ActionId, Need>, standing: &[Applicable], partition: &str) -> Narrowed {
    let mut found = Narrowed::default();
    let mut groups: BTreeMap<(Conditions, BTreeSet<Reach>), RoaringBitmap> = BTreeMap::new();
    for (action, need) in needs {
        let allowing: Vec<&Applicable> =
            standing.iter().filter(|one| names_action(&one.statement.actions, actions.name(*action))).collect();
        let pieces = of_action(actions, *action, need, &allowing, partition, &mut found.not_held);
        if !pieces.is_empty() && !pieces.keys().any(Vec::is_empty) {
            found.conditional.insert(*action);
        }
        for (conditions, reaches) in pieces {
            groups.entry((conditions, reaches)).or_default().insert(*action);
        }
    }
    found.statements = groups.into_iter().flat_map(|((conditions, reaches), actions)| joined(&conditions, reaches, &actions)).collect();
    found
}

/// One statement for all resources that are named, and one for each list of exceptions.
fn joined(conditions: &Conditions, reaches: BTreeSet<Reach>, actions: &RoaringBitmap) -> Vec<Proposed> {
    let mut these = BTreeSet::new();
    let mut all = Vec::new();
    for reach in reaches {
        match reach {
            Reach::These(list) => these.extend(list),
            but @ Reach::AllBut(_) => all.push(but),
        }
    }
    if !these.is_empty() {
        all.insert(0, Reach::These(without_covered(these)));
    }
    let one = |reach| Proposed { effect: Effect::Allow, actions: actions.clone(), denied: None, reach, conditions: conditions.clone() };
    all.into_iter().map(one).collect()
}

/// The patterns without those that another one covers.
fn without_covered(patterns: BTreeSet<String>) -> BTreeSet<String> {
    let covered = |one: &String| patterns.iter().any(|other| other != one && !other.contains("${") && covers(other, one));
    patterns.iter().filter(|one| !covered(one)).cloned().collect()
}

fn of_action(
    actions: &Actions,
    action: ActionId,
    need: &Need,
    allowing: &[&Applicable],
    partition: &str,
    not_held: &mut BTreeMap<ActionId, BTreeSet<String>>,
) -> Pieces {
    let mut pieces = Pieces::new();
    let mut add = |one: &Applicable, reach: Reach| {
        pieces.entry(conditions(one)).or_default().insert(reach);
    };
    let has_types = !actions.resource_types(action).is_empty();
    let Some(wanted) = wanted(actions, action, need, partition) else {
        // Every resource that a statement names. Actions without resources are allowed by `*` alone.
        let usable = |one: &&&Applicable| {
            has_types || matches!(&one.statement.resources, Listed::AllBut(_)) || is_everything(&one.statement.resources)
        };
        let usable: Vec<&&Applicable> = allowing.iter().filter(usable).collect();
        let whole = usable.iter().find(|one| one.statement.conditions.is_empty() && is_everything(&one.statement.resources));
        let chosen = whole.map_or(usable.as_slice(), std::slice::from_ref);
        chosen.iter().for_each(|one| add(one, as_it_is(one)));
        if chosen.is_empty() {
            not_held.insert(action, BTreeSet::new());
        }
        return pieces;
    };
    for resource in &wanted {
        let unconditional = |one: &&&Applicable| one.statement.conditions.is_empty() && contains(one, resource);
        if let Some(one) = allowing.iter().find(unconditional) {
            add(one, Reach::These([resource.clone()].into()));
            continue;
        }
        let parts: Vec<(&&Applicable, Reach)> = allowing.iter().filter_map(|one| Some((one, part(one, resource)?))).collect();
        // A type of which no resource was used is not missed.
        if parts.is_empty() && !resource.contains('*') {
            not_held.entry(action).or_default().insert(resource.clone());
        }
        parts.into_iter().for_each(|(one, reach)| add(one, reach));
    }
    pieces
}

fn conditions(one: &Applicable) -> Conditions {
    let sorted = |condition: &Condition| (condition.operator.clone(), condition.key.clone(), condition.values.clone());
    let mut all: Conditions = one.statement.conditions.iter().map(sorted).collect();
    all.sort();
    all
}

fn is_everything(resources: &Listed) -> bool {
    matches!(resources, Listed::These(list) if list.iter().any(|pattern| pattern.bytes().all(|byte| byte == b'*')))
}

/// A pattern as it is written in a document with policy variables.
fn written(one: &Applicable, pattern: &str) -> String {
    if one.variables { pattern.to_owned() } else { pattern.replace("${", "${$}{") }
}

fn as_it_is(one: &Applicable) -> Reach {
    let list = |list: &[String]| list.iter().map(|pattern| written(one, pattern)).collect();
    match &one.statement.resources {
        Listed::These(these) => Reach::These(without_covered(list(these))),
        Listed::AllBut(except) => Reach::AllBut(list(except)),
    }
}

/// Whether a pattern has policy variables.
fn varies(one: &Applicable, pattern: &str) -> bool {
    one.variables && pattern.contains("${")
}

/// Whether a statement reaches all of a resource pattern for certain.
fn contains(one: &Applicable, resource: &str) -> bool {
    match &one.statement.resources {
        Listed::These(list) => list.iter().any(|pattern| !varies(one, pattern) && covers(pattern, resource)),
        Listed::AllBut(except) => !except.iter().any(|pattern| varies(one, pattern) || overlaps(pattern, resource)),
    }
}

/// The part of a statement that may reach a resource pattern: the pattern itself if it is within, else what the statement names.
fn part(one: &Applicable, resource: &str) -> Option<Reach> {
    if contains(one, resource) {
        return Some(Reach::These([resource.to_owned()].into()));
    }
    match &one.statement.resources {
        Listed::These(list) => {
            let touches = |pattern: &&String| varies(one, pattern) || overlaps(pattern, resource);
            let parts: BTreeSet<String> = list.iter().filter(touches).map(|pattern| written(one, pattern)).collect();
            (!parts.is_empty()).then_some(Reach::These(parts))
        }
        // The exceptions touch it: the statement as it is, unless they contain all of it.
        Listed::AllBut(except) => {
            let excepted = except.iter().any(|pattern| !varies(one, pattern) && covers(pattern, resource));
            (!excepted).then(|| as_it_is(one))
        }
    }
}

/// The standing Deny statements that may concern these actions, as they are.
pub fn denies(actions: &Actions, needed: &RoaringBitmap, standing: &[Applicable]) -> Vec<Proposed> {
    let concerns = |one: &&Applicable| needed.iter().any(|action| names_action(&one.statement.actions, actions.name(action)));
    let deny = |one: &Applicable| Proposed {
        effect: Effect::Deny,
        actions: RoaringBitmap::new(),
        denied: Some(one.statement.actions.clone()),
        reach: as_it_is(one),
        conditions: conditions(one),
    };
    standing.iter().filter(concerns).map(deny).collect()
}

/// What the standing statements name and the logs cannot show, such as data events: as it is. A wildcard over a whole service names nothing.
pub fn not_shown(actions: &Actions, unseen: &RoaringBitmap, standing: &[Applicable]) -> Vec<Proposed> {
    let kept = |one: &Applicable| {
        let named = named(actions, one.statement) & unseen;
        (!named.is_empty()).then(|| Proposed {
            effect: Effect::Allow,
            actions: named,
            denied: None,
            reach: as_it_is(one),
            conditions: conditions(one),
        })
    };
    standing.iter().filter_map(kept).collect()
}

/// The actions that a statement names by more than their service.
fn named(actions: &Actions, statement: &Statement) -> RoaringBitmap {
    let names = |pattern: &&String| pattern.split_once(':').is_some_and(|(_, action)| action.bytes().any(|byte| byte != b'*'));
    match &statement.actions {
        Listed::These(list) => list.iter().filter(names).fold(RoaringBitmap::new(), |all, pattern| all | actions.expand(pattern)),
        Listed::AllBut(_) => RoaringBitmap::new(),
    }
}
