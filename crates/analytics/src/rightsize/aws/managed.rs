//! The managed policies of AWS that fit best, in place of a new policy.
use crate::{
    aws::{catalogue::Actions, managed::granted},
    rightsize::select::{Candidate, best},
    roles::aws::ManagedPolicies,
};
use roaring::RoaringBitmap;
use serde::Serialize;
use std::sync::OnceLock;

/// How many policies a choice has at most.
const MAX_POLICIES: usize = 3;
/// From this share of the whole catalogue on, a policy limits nothing, such as AdministratorAccess.
const NEARLY_ALL: f64 = 0.9;
/// How many names are listed.
const MAX_NAMED: usize = 10;

/// Managed policies that together allow what is needed.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Existing {
    /// Their ARNs; empty if no choice of three allows everything.
    pub policies: Vec<String>,
    /// The weight of what they grant beyond the need, as a share of the catalogue's.
    pub excess: f64,
    /// Whether no other choice has less excess.
    pub exact: bool,
    /// What no managed policy allows; at most ten.
    pub not_covered: Vec<String>,
}

/// What each attachable policy grants: its ARN, what it allows on every resource, and what it allows at all.
fn builtin() -> &'static [(String, RoaringBitmap, RoaringBitmap)] {
    static BUILTIN: OnceLock<Vec<(String, RoaringBitmap, RoaringBitmap)>> = OnceLock::new();
    BUILTIN.get_or_init(|| {
        let attachable = ManagedPolicies::builtin().all().iter().filter(|policy| policy.attachable());
        let one = |policy: &crate::roles::aws::ManagedPolicy| {
            let found = granted(Actions::builtin(), &policy.document).ok()?;
            Some((policy.arn.clone(), found.everywhere, found.actions))
        };
        attachable.filter_map(one).collect()
    })
}

/// The best choice for these actions. Resources are not compared: the policies that count allow an action on all of them.
pub fn existing(actions: &Actions, needed: &RoaringBitmap) -> Existing {
    let weigh = |set: &RoaringBitmap| set.iter().map(|action| actions.weight(action)).sum::<f64>();
    let limits = |grants: &RoaringBitmap| weigh(grants) < NEARLY_ALL * actions.mass();
    let useful = |(_, everywhere, grants): &&(String, RoaringBitmap, RoaringBitmap)| !everywhere.is_disjoint(needed) && limits(grants);
    let offered: Vec<&(String, RoaringBitmap, RoaringBitmap)> = builtin().iter().filter(useful).collect();
    let candidates: Vec<Candidate> =
        offered.iter().map(|(_, everywhere, grants)| Candidate { covers: everywhere & needed, grants: grants.clone() }).collect();
    let covered = candidates.iter().fold(RoaringBitmap::new(), |all, candidate| all | &candidate.covers);
    let missing = needed - covered;
    let found = missing.is_empty().then(|| best(needed, &candidates, needed, |action| actions.weight(action), MAX_POLICIES)).flatten();
    Existing {
        policies: found.iter().flat_map(|found| &found.chosen).map(|at| offered[*at].0.clone()).collect(),
        excess: found.as_ref().map_or(0.0, |found| found.excess / actions.mass()),
        exact: found.as_ref().is_none_or(|found| found.exact),
        not_covered: missing.iter().take(MAX_NAMED).map(|action| actions.name(action).to_owned()).collect(),
    }
}
