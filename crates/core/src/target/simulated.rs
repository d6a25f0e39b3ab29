//! The rules of the simulated directory: group memberships, for tests only.
//!
//! It is everything that Kubernetes is not, so that the port and the protocol are shown to fit targets such as Entra groups and
//! Azure role assignments: no reservation (a time limit is the fence), one copy per access (each membership is a slot), writes
//! that finish asynchronously, and reads that lag behind writes.
use super::{Content, Empty, Fence, Guarantees, Held, PlanNames, SlotSet, Unresolvable};
use crate::{principal::Subject, time::Time};
use serde::{Deserialize, Serialize};

/// What may outlive the end of a membership.
pub const SESSION_TAIL: &str = "tokens that were issued while the membership lasted, until they expire";

/// Seconds within which a write is sent after its intent is stored.
const WRITE_SECS: u32 = 4;
/// Seconds after which an accepted write has taken effect and reads show it. Includes the difference between two clocks.
const SETTLE_SECS: u32 = 8;

/// Groups by name.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Permissions {
    /// The groups of which the principal becomes a member; in a policy, the groups that may be granted.
    pub groups: Vec<String>,
}

/// The only scope: `directory: {}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Scope {
    /// The whole directory.
    pub directory: Empty,
}

/// The groups that exist.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// With their ids.
    pub groups: Vec<Group>,
}

/// A group with the id that only this one ever had.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// The groups of an approval.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct GrantedPermissions {
    /// Sorted by name.
    pub groups: Vec<Group>,
}

/// A member of the directory.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Principal {
    /// The member's name.
    pub member: String,
}

/// Memberships, one for each group.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Who becomes a member.
    pub member: String,
    /// Of which groups, in the order of the slots.
    pub groups: Vec<Group>,
    /// The end date of each membership, where the directory obeys end dates.
    pub deadline: Time,
}

/// Nothing: there is only one scope.
pub fn beyond(_: &Scope, _: &Scope) -> Option<String> {
    None
}

/// The only scope.
pub fn intersection(a: &Scope, _: &Scope) -> Option<Scope> {
    Some(a.clone())
}

/// The only scope.
pub fn reach_in_words(scope: &Scope) -> String {
    scope_in_words(scope)
}

/// Each group, in words.
pub fn permissions_in_words(permissions: &Permissions) -> Vec<String> {
    permissions.groups.iter().map(|g| format!("group {g}")).collect()
}

/// The first group that is not offered.
pub fn exceeds(asked: &Permissions, offered: &Permissions) -> Option<String> {
    not_allowed(asked, offered)
}

/// None: groups have no place.
pub fn outside(_: &Permissions, _: &Scope) -> Option<String> {
    None
}

/// The first group that a policy does not list.
pub fn not_allowed(permissions: &Permissions, patterns: &Permissions) -> Option<String> {
    permissions.groups.iter().find(|g| !patterns.groups.contains(g)).map(|g| format!("group {g}"))
}

/// Whether every group exists.
///
/// # Errors
/// The first that does not, in words.
pub fn check_permissions(permissions: &Permissions, _: &Scope, inventory: &Inventory) -> Result<(), String> {
    let missing = permissions.groups.iter().find(|name| !inventory.groups.iter().any(|g| g.name == **name));
    missing.map_or(Ok(()), |name| Err(format!("group {name} does not exist in the target")))
}

/// Whether every group exists.
///
/// # Errors
/// The first that does not, in words.
pub fn check(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
    check_permissions(permissions, scope, inventory)
}

/// More groups than a grant has slots.
pub fn obstacle(permissions: &Permissions, _: &Scope, _: &Inventory) -> Option<String> {
    let (count, most) = (permissions.groups.len(), usize::from(SlotSet::MAX));
    (count > most).then(|| format!("these are {count} groups, and a grant has at most {most}"))
}

/// Nothing: every membership gives something.
pub fn ineffective(_: &Permissions, _: &Scope, _: &Inventory) -> Option<String> {
    None
}

/// The groups with their ids.
///
/// # Errors
/// What is missing, or that nothing is named.
pub fn resolve(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(GrantedPermissions, Scope), Unresolvable> {
    check(permissions, scope, inventory).map_err(Unresolvable::NotReady)?;
    let mut groups: Vec<Group> = inventory.groups.iter().filter(|g| permissions.groups.contains(&g.name)).cloned().collect();
    groups.sort();
    groups.dedup();
    if groups.is_empty() { Err(Unresolvable::NothingReached) } else { Ok((GrantedPermissions { groups }, scope.clone())) }
}

/// The names of the groups that are held.
pub fn named_permissions(held: &GrantedPermissions) -> Permissions {
    Permissions { groups: held.groups.iter().map(|g| g.name.clone()).collect() }
}

/// The first group of `held` that these do not name.
pub fn lacks(permissions: &Permissions, held: &Permissions) -> Option<String> {
    not_allowed(held, permissions)
}

/// Whether every group that is held is the same one. What membership of a group gives is not known here.
///
/// # Errors
/// The group that is missing, or another one.
pub fn held(permissions: &GrantedPermissions, _: &Scope, inventory: &Inventory) -> Result<Held, Unresolvable> {
    let Some(Group { name, .. }) = permissions.groups.iter().find(|g| !inventory.groups.contains(g)) else { return Ok(Held::default()) };
    Err(match inventory.groups.iter().any(|g| g.name == *name) {
        true => Unresolvable::Changed(format!("group {name} is another one")),
        false => Unresolvable::NotReady(format!("group {name} does not exist in the target")),
    })
}

/// The first group that differs, in words.
pub fn changed_since(now: &GrantedPermissions, frozen: &GrantedPermissions) -> Option<String> {
    let changed = now.groups.iter().zip(&frozen.groups).find(|(now, then)| now != then);
    changed.map(|(now, _)| format!("group {} is another one", now.name))
}

/// Groups have no content that is compared.
pub fn content(_: &GrantedPermissions, _: &Plan, _: &Inventory) -> Content {
    Content::Within { missing: SlotSet::NONE }
}

/// None: groups have no content that is compared.
pub fn parts_in_words(_: &Plan) -> Vec<String> {
    Vec::new()
}

/// Members of the group `owners` can add members.
pub fn persistence(permissions: &Permissions, _: &Scope, _: &Inventory, _: &str) -> Option<String> {
    permissions.groups.iter().any(|g| g == "owners").then(|| "members of group owners can add members".to_owned())
}

/// Members have the names of users.
pub fn principal(subject: &Subject) -> Principal {
    Principal { member: subject.principal() }
}

/// One membership for each group.
pub fn plan(permissions: &GrantedPermissions, principal: &Principal, names: PlanNames<'_>) -> Plan {
    Plan { member: principal.member.clone(), groups: permissions.groups.clone(), deadline: names.deadline }
}

/// Memberships of nobody, to ask about rights.
pub fn probe(permissions: &Permissions) -> Plan {
    let groups = permissions.groups.iter().map(|name| Group { name: name.clone(), id: String::new() }).collect();
    Plan { member: String::new(), groups, deadline: Time::from_secs(0) }
}

/// A time limit, reads that settle, and a slot for each membership.
pub fn guarantees(plan: &Plan) -> Guarantees {
    let slots = u8::try_from(plan.groups.len()).unwrap_or(u8::MAX);
    Guarantees { fence: Fence::TimeLimit { write_secs: WRITE_SECS }, settle_secs: SETTLE_SECS, slots }
}

/// Group and member.
pub fn slots(plan: &Plan) -> Vec<String> {
    plan.groups.iter().map(|g| format!("{}/{}", g.id, plan.member)).collect()
}

/// The end date of the memberships.
pub fn planned_deadline(plan: &Plan) -> Option<Time> {
    Some(plan.deadline)
}

/// The end date of each membership, where the directory obeys end dates.
pub fn ended_without_operator(_: &Plan) -> Option<&'static str> {
    Some("the directory ends memberships at their end date")
}

/// Each membership in words.
pub fn privileges(plan: &Plan) -> Vec<String> {
    plan.groups.iter().map(|g| format!("member of {}", g.name)).collect()
}

/// The whole directory.
pub fn scope_in_words(_: &Scope) -> String {
    "the whole directory".to_owned()
}

/// Each group with its id, in words.
pub fn granted_privileges(permissions: &GrantedPermissions) -> Vec<String> {
    permissions.groups.iter().map(|g| format!("group {} ({})", g.name, g.id)).collect()
}
