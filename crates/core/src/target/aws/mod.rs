//! The rules of AWS: policies that are attached to an IAM user, a role of its own per grant, or an assignment of IAM Identity Center.
//!
//! | What a template names | What a grant writes | What ends it without Curfew |
//! |---|---|---|
//! | `user` | customer-managed policies of its own, attached to the IAM user | the date in every statement |
//! | `role` | an IAM role of its own with dated trust and dated policies | the dates in trust and statements |
//! | `identityCenter` with policies | a permission set of its own, and its assignment | the date in every statement |
//! | `identityCenter` with `permissionSet` or `group` | an assignment, or a membership, of what stands there already | nothing: Curfew alone |
//!
//! Policies that a template names are copied ([`document`]), narrowed to the scope ([`narrowing`]), dated ([`dating`]) and divided over as
//! many policies as they need ([`split`]). A copy cannot grow. Only what is attached by its ARN is compared while the grant is active.
pub mod coverage;
pub mod dating;
pub mod document;
pub mod granted;
pub mod held;
pub mod names;
pub mod narrowing;
pub mod permissions;
pub mod persistence;
pub mod plan;
pub mod principal;
pub mod resolve;
pub mod sample;
pub mod scope;
pub mod split;
pub mod subset;
pub mod wildcard;

pub use granted::{
    GrantedBy, GrantedGroup, GrantedPermissionSet, GrantedPermissions, GrantedPolicies, GrantedPolicy, GrantedRole, GrantedStandingSet,
};
pub use held::{as_granted, changed_since, content, held, lacks, named_permissions, parts_in_words};
pub use permissions::{
    Group, IdentityCenter, Inventory, PermissionSetContent, Permissions, Policies, PolicyContent, PolicyObject, Quotas, RolePolicies,
    not_a_pattern, not_allowed,
};
pub use persistence::persistence;
pub use plan::{
    Access, Plan, PlannedPolicy, ended_without_operator, guarantees, plan, planned_deadline, privileges, probe, slot_domain, slots,
};
pub use principal::{Principal, principal};
pub use resolve::{check, check_permissions, granted_privileges, ineffective, obstacle, resolve};
pub use scope::{GrantedScope, Scope, beyond, intersection, named_scope, reach_in_words, scope_in_words};
pub use subset::{exceeds, loses_denial, outside, permissions_in_words};

/// What may outlive the end of an access.
pub const SESSION_TAIL: &str = "requests that AWS answers before a change of IAM is known everywhere, by its documentation usually within seconds; with a standing permission set or a group, sessions that are open, until the session duration of the permission set, at most 12 hours, is over";

/// How many of several things are named in a message.
const MAX_NAMED: usize = 3;

/// The first of several things, and how many more there are; nothing of none.
fn in_short(all: &[String], between: &str, what: &str) -> Option<String> {
    match all.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        _ if all.is_empty() => None,
        None => Some(all.join(between)),
        Some(more) => Some(format!("{}{between}{more} more {what}", all[..MAX_NAMED].join(between))),
    }
}
