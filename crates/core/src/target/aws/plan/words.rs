//! What the protocol and people know of a plan.
use super::{Access, Plan};
use crate::{
    target::{Fence, Guarantees},
    time::Time,
};

/// Seconds until a change of IAM is known everywhere. AWS gives no number ("Troubleshoot IAM": changes are not always immediately visible);
/// its own tools wait for about ten seconds.
const IAM_SETTLE_SECS: u32 = 15;
/// The same for IAM Identity Center, whose changes are made in each account by IAM in turn.
const CENTER_SETTLE_SECS: u32 = 30;
/// Seconds within which a write to IAM Identity Center is sent after its intent is stored.
const CENTER_WRITE_SECS: u32 = 10;

/// Policies that are attached to nothing, a role that lets nobody in, and a permission set without assignment are reservations. What stands
/// already has none: it has a time limit, and is one slot, since there is only one copy of an assignment or a membership.
pub fn guarantees(plan: &Plan) -> Guarantees {
    match &plan.access {
        Access::User(_) | Access::Role(_) => Guarantees { settle_secs: IAM_SETTLE_SECS, ..Guarantees::OWN_OBJECTS },
        Access::PermissionSet(_) => Guarantees { settle_secs: CENTER_SETTLE_SECS, ..Guarantees::OWN_OBJECTS },
        Access::Assignment(_) | Access::Membership(_) => {
            Guarantees { fence: Fence::TimeLimit { write_secs: CENTER_WRITE_SECS }, settle_secs: CENTER_SETTLE_SECS, slots: 1 }
        }
    }
}

/// What can be there only once: an assignment, or a membership. The names of users differ by more than case, so two spellings of one name are
/// one slot (RFC 7643, section 8.7.1: `userName` is not case-exact and is unique).
pub fn slots(plan: &Plan) -> Vec<String> {
    match &plan.access {
        Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => Vec::new(),
        Access::Assignment(a) => vec![format!("{}/{}/{}", a.permission_set, plan.account, a.user.to_lowercase())],
        Access::Membership(m) => vec![format!("{}/{}/{}", m.instance, m.group, m.user.to_lowercase())],
    }
}

/// The instance of IAM Identity Center for a membership: a group and its members are those of every account, so grants through any of them
/// share the membership. An assignment is of one account.
pub fn slot_domain(plan: &Plan) -> Option<&str> {
    match &plan.access {
        Access::Membership(m) => Some(&m.instance),
        Access::User(_) | Access::Role(_) | Access::PermissionSet(_) | Access::Assignment(_) => None,
    }
}

/// The deadline of the plan.
pub fn planned_deadline(plan: &Plan) -> Option<Time> {
    Some(plan.deadline)
}

/// What ends the access while no operator runs: the dates in what is written. What stands already has none.
pub fn ended_without_operator(plan: &Plan) -> Option<&'static str> {
    match &plan.access {
        Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => Some("every statement that is written ends at the deadline"),
        Access::Assignment(_) | Access::Membership(_) => None,
    }
}

/// Each object in words.
pub fn privileges(plan: &Plan) -> Vec<String> {
    let account = &plan.account;
    let attached = |list: &[String]| list.iter().map(|arn| format!("policy {arn}, attached to it")).collect::<Vec<_>>();
    match &plan.access {
        Access::User(user) => {
            let policy = |name: &String| format!("policy {name} of account {account}, attached to user {}", user.user);
            user.policies.iter().map(|p| policy(&p.name)).collect()
        }
        Access::Role(role) => {
            let mut all = vec![format!("role {} of account {account}, assumed by {}", role.name, role.principal)];
            all.extend(role.policies.iter().map(|p| format!("policy {}, attached to it", p.name)));
            all.extend(attached(&role.attached));
            all
        }
        Access::PermissionSet(set) => {
            let mut all = vec![format!("permission set {}, assigned to user {} in account {account}", set.name, set.user)];
            all.extend(attached(&set.attached));
            all
        }
        Access::Assignment(a) => vec![format!("permission set {}, assigned to user {} in account {account}", a.permission_set, a.user)],
        Access::Membership(m) => vec![format!("membership of user {} in group {}, with what it has in every account", m.user, m.group)],
    }
}
