//! Kubernetes: the least Roles and ClusterRoles for what an identity did.
//!
//! [`observed`] folds the audit log, [`propose`] compares it with the standing access. A proposal allows every observed request, names no
//! wildcard, and gives nothing that the standing access does not give, except what was used and is not held (flagged in the evidence).

pub mod existing;
pub mod manifests;
pub mod names;
pub mod needs;
pub mod observed;
pub mod rules;
pub mod standing;

use super::{LOOK_BACKS, days::Days};
use crate::{
    history::{DAY, Window, confidence, covered},
    kubernetes::{
        inventory::{Inventory, Key},
        usage::Usage,
    },
    report::{IdentityKind, WindowSummary},
    score::{Holding, Holdings, score},
};
use existing::{Existing, existing};
use jiff::Timestamp;
use names::ObjectNames;
use needs::{Need, Needs, Part, Why, weight};
use observed::{Access, Observed};
use rules::{ProposedRole, roles};
use serde::Serialize;
use standing::{Removal, removals};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the proposal's JSON.
const FORMAT: &str = "curfew.dev/rightsize/1";
/// How many names a note has.
const MAX_NOTED: usize = 8;

/// What a proposal may leave out or limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// When rules name objects.
    pub object_names: ObjectNames,
    /// Leaves out what was used and the standing access does not give now.
    pub held_only: bool,
    /// Leaves out what was done in namespaces that do not exist now. Otherwise it is granted in the whole cluster.
    pub leave_out_gone: bool,
    /// Keeps what the standing access names and no request would show.
    pub keep_not_shown: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { object_names: ObjectNames::Stable, held_only: false, leave_out_gone: false, keep_not_shown: true }
    }
}

/// Why one permission is in the proposal.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The permission.
    pub permission: String,
    /// The namespace; `None`: the whole cluster.
    pub namespace: Option<String>,
    /// The objects, if the rule names them.
    pub names: Vec<String>,
    /// Why it is needed.
    pub why: Why,
    /// On how many days of the window it was used.
    pub days: u32,
    /// RFC 3339; the last use.
    pub last_used: Option<String>,
    /// Whether a use succeeded. A request that was allowed may fail, such as for an object that does not exist.
    pub succeeded: bool,
    /// Its weight in the score; 0 if the catalogue does not have it.
    pub weight: f64,
    /// Whether the standing access gives it.
    pub held: bool,
}

/// Permissions in numbers.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    /// How many permissions are granted anywhere.
    pub permissions: usize,
    /// What they weigh, as a share of the catalogue's.
    pub share: f64,
    /// The score that the identity has with them.
    pub score: u8,
}

/// What a look-back would need.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookBack {
    /// Its length in days.
    pub days: u32,
    /// How many permissions were used in it.
    pub permissions: usize,
}

/// A proposal for one identity. Nothing applies it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The version of this format.
    pub format: String,
    /// The identity.
    pub identity: String,
    /// What it is.
    pub kind: IdentityKind,
    /// The window and what the logs cover of it.
    pub window: WindowSummary,
    /// The catalogue, whose weights are in it.
    pub catalogue: String,
    /// The roles that replace the standing access. Empty if nothing was used.
    pub roles: Vec<ProposedRole>,
    /// Why each permission is in them.
    pub evidence: Vec<Evidence>,
    /// The standing access.
    pub before: Size,
    /// The proposal, as standing access.
    pub after: Size,
    /// How many permissions each look-back needs. Those longer than the window are left out.
    pub look_backs: Vec<LookBack>,
    /// Existing roles in place of new ones, for each scope.
    pub existing: Vec<Existing>,
    /// The standing bindings that the proposal replaces.
    pub removals: Vec<Removal>,
    /// Whether the logs show enough to remove them: they cover the whole window, and the identity is as old.
    pub removable: bool,
    /// What to know before it is applied.
    pub notes: Vec<String>,
}

/// There is no proposal.
#[derive(thiserror::Error, PartialEq, Eq, Debug)]
pub enum NoProposal {
    /// No binding, account or event names it.
    #[error("no identity is called {0}; service accounts are called system:serviceaccount:NAMESPACE:NAME")]
    Unknown(String),
    /// The account has no such identity.
    #[error("no identity of the account is called {0}; give its ARN")]
    NotInAccount(String),
    /// Several identities of the account have this name.
    #[error("several identities of the account are called {0}; give the ARN")]
    Several(String),
    /// A user and a group have this name.
    #[error("{0} is a user and a group; say which one: group:{0} or user:{0}")]
    Ambiguous(String),
}

/// The identity with this name: a user, a service account or a group. `group:NAME` and `user:NAME` say which.
///
/// # Errors
/// If there is none, or there are two.
pub fn find(inventory: &Inventory, name: &str) -> Result<Key, NoProposal> {
    let known = |key: Key| inventory.identities.contains_key(&key).then_some(key);
    let (user, group) = match (name.strip_prefix("user:"), name.strip_prefix("group:")) {
        (Some(user), _) => (known(Key::user(user)), None),
        (_, Some(group)) => (None, known(Key::group(group))),
        _ => (known(Key::user(name)), known(Key::group(name))),
    };
    match (user, group) {
        (Some(_), Some(_)) => Err(NoProposal::Ambiguous(name.to_owned())),
        (Some(key), None) | (None, Some(key)) => Ok(key),
        (None, None) => Err(NoProposal::Unknown(name.to_owned())),
    }
}

/// Proposes the least roles for an identity.
///
/// # Errors
/// If the inventory does not have the identity.
pub fn propose(
    inventory: &Inventory,
    usage: &Usage,
    observed: &Observed,
    key: &Key,
    window: Window,
    options: &Options,
) -> Result<Proposal, NoProposal> {
    let identity = inventory.identities.get(key).ok_or_else(|| NoProposal::Unknown(key.name.clone()))?;
    let needs = Needs::of(inventory, observed, key, window, options);
    let (covered, catalogue) = (covered(window, &usage.hours), &inventory.permissions.catalogue);
    let confidence = confidence(window, covered);
    let held = inventory.scored_holdings(key, usage, window);
    let removals = removals(inventory, key);
    Ok(Proposal {
        format: FORMAT.into(),
        identity: key.name.clone(),
        kind: identity.kind,
        window: WindowSummary {
            since: written(window.since),
            until: written(window.until),
            days: window.days(),
            covered_days: covered,
            confidence,
        },
        catalogue: catalogue.version().into(),
        roles: roles(&manifests::object_name(&key.name), &needs.parts),
        evidence: evidence(inventory, &needs, window),
        before: size(inventory, &held),
        after: size(inventory, &after(inventory, &needs, &held)),
        look_backs: look_backs(&needs, window),
        existing: existing(inventory, &needs),
        removable: confidence >= 1.0 && !window.exempts(identity.created) && !removals.is_empty(),
        notes: notes(&needs, confidence, window.exempts(identity.created)),
        removals,
    })
}

/// A moment in RFC 3339.
pub fn written(at: i64) -> String {
    Timestamp::from_second(at).map_or_else(|_| at.to_string(), |time| time.to_string())
}

fn each(needs: &Needs) -> impl Iterator<Item = (&Part, &Access, &Need)> {
    needs.parts.iter().flat_map(|(part, list)| list.iter().map(move |(access, need)| (part, access, need)))
}

fn evidence(inventory: &Inventory, needs: &Needs, window: Window) -> Vec<Evidence> {
    let one = |(part, access, need): (&Part, &Access, &Need)| Evidence {
        permission: access.name(),
        namespace: if let Part::Namespace(name) = part { Some(name.clone()) } else { None },
        names: need.names.iter().flatten().cloned().collect(),
        why: need.why,
        days: need.days.map_or(0, |days| days.count(window)),
        last_used: need.days.map(|days| written(days.last())),
        succeeded: need.days.is_some_and(|days| days.succeeded(window)),
        weight: weight(inventory, access).unwrap_or_default(),
        held: need.held,
    };
    each(needs).map(one).collect()
}

fn look_backs(needs: &Needs, window: Window) -> Vec<LookBack> {
    let of = |days: u32| {
        let short = Window::ending(window.until, i64::from(days) * DAY);
        let used = each(needs).filter(|(_, _, need)| need.days.is_none_or(|used: Days| used.within(short)));
        LookBack { days, permissions: used.map(|(_, access, _)| access).collect::<BTreeSet<_>>().len() }
    };
    LOOK_BACKS.into_iter().filter(|days| *days <= window.days()).map(of).collect()
}

/// The holdings with the proposal in place of the standing access.
fn after(inventory: &Inventory, needs: &Needs, held: &Holdings) -> Holdings {
    let permissions = inventory.permissions;
    let mut after: BTreeMap<usize, Holding> =
        held.iter().map(|(id, holding)| (*id, Holding { used: holding.used.clone(), ..Holding::default() })).collect();
    for (part, access, _) in each(needs) {
        let ids: Vec<usize> = match access {
            Access::Resource { group, resource, verb } => permissions.of_request(verb, group, resource).into_iter().collect(),
            Access::Url { path, verb } => permissions.of_url(verb, path).collect(),
        };
        for id in ids {
            let places = existing::places(inventory, part, permissions.catalogue.permissions()[id].resources);
            after.entry(id).or_default().granted.extend(&places);
        }
    }
    after.into_iter().collect()
}

fn size(inventory: &Inventory, holdings: &Holdings) -> Size {
    let score = score(&inventory.permissions.catalogue, holdings);
    let permissions = holdings.iter().filter(|(_, holding)| !holding.granted.is_empty()).count();
    Size { permissions, share: score.granted, score: score.pci() }
}

fn notes(needs: &Needs, confidence: f64, new: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if needs.parts.is_empty() {
        notes.push("nothing was used in the window, so no role is proposed".into());
    }
    if confidence < 1.0 {
        notes.push(format!(
            "the logs cover {:.0} % of the window: remove no binding before they cover all of it, because what was used on the other days is not in the proposal",
            confidence * 100.0
        ));
    }
    if new {
        notes.push("the identity is younger than the window: what it has not done yet proves nothing".into());
    }
    let mut list = |set: &BTreeSet<Access>, what: &str| {
        if !set.is_empty() {
            notes.push(format!("{what}: {}", named(set)));
        }
    };
    let not_held: BTreeSet<Access> = each(needs).filter(|(_, _, need)| !need.held).map(|(_, access, _)| access.clone()).collect();
    list(
        &not_held,
        "used, and the standing bindings do not give it (a grant that has ended, or another authorizer); check it before you apply the roles",
    );
    list(&needs.not_held, "left out, because the standing bindings do not give it");
    list(&needs.gone, "used in namespaces that do not exist now; such requests are allowed in the whole cluster alone");
    list(&needs.unknown, "left out, because the cluster does not serve it and no request succeeded");
    list(
        &needs.compared,
        "not held, and so the API server compared the rules that it wrote with its own; after the change it can write roles and bindings only with what the proposal gives",
    );
    list(&needs.by_default, "in no role, because every identity has it by the default bindings");
    let not_shown: BTreeSet<Access> =
        each(needs).filter(|(_, _, need)| need.why == Why::NotShown).map(|(_, access, _)| access.clone()).collect();
    list(&not_shown, "kept, although no request would show whether it is in use; ask before you take it out");
    if needs.dropped > 0 {
        notes.push(format!("{} uses are not in the proposal, because there were too many different ones", needs.dropped));
    }
    notes
}

fn named(set: &BTreeSet<Access>) -> String {
    let mut names: Vec<String> = set.iter().take(MAX_NOTED).map(Access::name).collect();
    if set.len() > MAX_NOTED {
        names.push(format!("and {} more", set.len() - MAX_NOTED));
    }
    names.join(", ")
}
