//! What a watch event changes for the controllers. Pure.
mod groups;
#[cfg(test)]
mod tests;

pub use groups::*;

use super::stores::Key;
use crate::api::{
    AccessDecision, AccessPolicy, ActivationRequest, ActiveAssignment, AssignmentRequest, AuthorizationSystem, CurfewConfig,
    EligibleAssignment, Grant, RoleTemplate, active_assignment::AUTHOR_PROVEN, conditions,
};
use curfew_core::{ids::GRANT_LABEL, target::sources::ContentSource};
use k8s_openapi::api::{
    core::v1::Namespace,
    rbac::v1::{ClusterRole, Role},
};
use kube::ResourceExt;
use std::collections::BTreeSet;

/// A change that a controller must react to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A request was created or updated.
    Request(Key),
    /// A request was deleted: its Grant must end at once.
    RequestGone(Key),
    /// A decision was created, updated or deleted.
    Decision(Key, DecisionSubject),
    /// A request about this assignment was created, updated or deleted.
    AssignmentRequest(Key, AssignmentKey),
    /// A Grant was created, updated or deleted; the key names its request.
    Grant(String, Key),
    /// An object that carries this Grant's label was created, updated or deleted.
    Marked(String),
    /// The result of resolving these requests may have changed.
    Resolution(Concerned),
    /// An ActiveAssignment was created, updated or deleted; its uids before and after, for the requests by which its access is given.
    Standing(Key, BTreeSet<String>),
    /// A whole list was read again.
    Resync,
}

/// The live requests that a changed object concerns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Concerned {
    /// Every live request.
    All,
    /// Those in these namespaces.
    Namespaces(BTreeSet<String>),
    /// Those for these templates.
    Templates(BTreeSet<Key>),
    /// Those for templates whose content is read from this object.
    Source(ContentSource),
}

/// The versions of an object before and after an event; one of them is missing for a new or a deleted object.
pub type Versions<'a, K> = (Option<&'a K>, Option<&'a K>);

/// Whether two versions differ in what rules read: identity, spec, labels, deletion, and what `read` takes from the rest.
fn differs<'a, K: ResourceExt, S: PartialEq>((old, new): Versions<'a, K>, read: impl Fn(&'a K) -> S) -> bool {
    let content = |object: &'a K| {
        let meta = object.meta();
        (object.uid(), meta.generation, object.labels(), meta.deletion_timestamp.is_some(), read(object))
    };
    old.map(content) != new.map(content)
}

fn either<'a, K>((old, new): Versions<'a, K>) -> impl Iterator<Item = &'a K> {
    old.into_iter().chain(new)
}

fn concerned(differs: bool, concerned: impl FnOnce() -> Concerned) -> Option<Change> {
    differs.then(|| Change::Resolution(concerned()))
}

/// The change of a request.
pub fn request_change(versions: Versions<'_, ActivationRequest>) -> Option<Change> {
    match versions {
        (_, Some(request)) => Some(Change::Request(key(request))),
        (old, None) => old.map(|request| Change::RequestGone(key(request))),
    }
}

/// The change of a decision.
pub fn decision_change(versions: Versions<'_, AccessDecision>) -> Option<Change> {
    either(versions).last().map(|decision| Change::Decision(key(decision), subject(decision)))
}

/// The change of an AssignmentRequest.
pub fn assignment_request_change(versions: Versions<'_, AssignmentRequest>) -> Option<Change> {
    either(versions).last().map(|request| Change::AssignmentRequest(key(request), assignment_of(request)))
}

/// The change of a Grant.
pub fn grant_change(versions: Versions<'_, Grant>) -> Option<Change> {
    either(versions).last().map(|grant| Change::Grant(grant.name_any(), request_of(grant)))
}

/// The change of an object that carries a Grant's label.
pub fn marked_change<K: ResourceExt>(versions: Versions<'_, K>) -> Option<Change> {
    either(versions).last()?.labels().get(GRANT_LABEL).cloned().map(Change::Marked)
}

/// The change of CurfewConfig.
pub fn config_change(versions: Versions<'_, CurfewConfig>) -> Option<Change> {
    concerned(differs(versions, |_| ()), || Concerned::All)
}

/// The change of an AuthorizationSystem. Of its status rules read the identity of the target and whether the operator is authorized there.
pub fn system_change(versions: Versions<'_, AuthorizationSystem>) -> Option<Change> {
    let read = |system: &AuthorizationSystem| {
        let status = system.status.as_ref()?;
        let authorized = conditions::find(&status.conditions, conditions::AUTHORIZED).map(|found| found.status.clone());
        Some((status.target.as_ref().map(|target| target.id.clone()), authorized))
    };
    concerned(differs(versions, read), || Concerned::All)
}

/// The change of an AccessPolicy. It concerns the namespaces that it covered before and those that it covers now.
pub fn policy_change(versions: Versions<'_, AccessPolicy>) -> Option<Change> {
    let namespaces = || either(versions).flat_map(|policy| policy.spec.namespaces.names.iter().cloned()).collect();
    concerned(differs(versions, |_| ()), || Concerned::Namespaces(namespaces()))
}

/// The change of a RoleTemplate. Of its status rules read whether the operator may bind its roles, which `Ready` says.
pub fn template_change(versions: Versions<'_, RoleTemplate>) -> Option<Change> {
    let ready = |template: &RoleTemplate| {
        let ready = template.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Ready"));
        ready.map(|ready| (ready.status.clone(), ready.reason.clone(), ready.observed_generation))
    };
    concerned(differs(versions, ready), || Concerned::Templates(either(versions).map(key).collect()))
}

/// The change of an EligibleAssignment. It concerns the template that it named before and the one that it names now. Of its status rules
/// read what an AssignmentRequest has changed.
pub fn assignment_change(versions: Versions<'_, EligibleAssignment>) -> Option<Change> {
    concerned(differs(versions, |assignment| assignment.status.as_ref().and_then(|status| status.change.as_ref())), || {
        Concerned::Templates(either(versions).map(assigned_template).collect())
    })
}

/// The change of an ActiveAssignment. Of its status rules read whether its author is proven, and what an AssignmentRequest has changed. One that was deleted and created again under its
/// name is another one, and the requests of both are concerned.
pub fn active_assignment_change(versions: Versions<'_, ActiveAssignment>) -> Option<Change> {
    let proven = |assignment: &ActiveAssignment| {
        let status = assignment.status.as_ref();
        let change = status.and_then(|status| status.change.as_ref().map(|change| change.digest));
        (status.is_some_and(|status| conditions::is_true(&status.conditions, AUTHOR_PROVEN)), change)
    };
    let of = either(versions).last()?;
    differs(versions, proven).then(|| Change::Standing(key(of), either(versions).filter_map(ResourceExt::uid).collect()))
}

/// The change of a ClusterRole.
pub fn cluster_role_change(versions: Versions<'_, ClusterRole>) -> Option<Change> {
    let source = |role: &ClusterRole| ContentSource::ClusterRole(role.name_any());
    let change = either(versions).last().map(source)?;
    concerned(differs(versions, |role| &role.rules), || Concerned::Source(change))
}

/// The change of a Role.
pub fn role_change(versions: Versions<'_, Role>) -> Option<Change> {
    let (namespace, name) = either(versions).last().map(key)?;
    concerned(differs(versions, |role| &role.rules), || Concerned::Source(ContentSource::Role(namespace, name)))
}

/// The change of a namespace.
pub fn namespace_change(versions: Versions<'_, Namespace>) -> Option<Change> {
    let name = either(versions).last().map(ResourceExt::name_any)?;
    concerned(differs(versions, |_| ()), || Concerned::Source(ContentSource::Namespace(name)))
}
