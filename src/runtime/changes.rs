//! What a watch event changes for the controllers, and the groups under which objects are indexed. Pure.
use super::stores::Key;
use crate::api::{
    AccessDecision, AccessPolicy, ActivationRequest, ActiveAssignment, AssignmentRequest, AuthorizationSystem, CurfewConfig,
    EligibleAssignment, Grant, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, RoleTemplate, active_assignment::AUTHOR_PROVEN, conditions, convert,
    decision::About, grant::GrantState, request::RequestState,
};
use curfew_core::{
    approval::review::ReviewState,
    folding::fold,
    ids::GRANT_LABEL,
    principal::{ServiceAccount, Subject},
    target::sources::{ContentSource, content_sources},
};
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

/// Namespace, name and uid of an assignment that a request names.
pub type AssignmentKey = (String, String, String);

/// Groups of AssignmentRequests. Ended ones are in none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AssignmentRequestGroup {
    /// Every live one.
    Live,
    /// The live ones of a namespace.
    Namespace(String),
    /// The live ones about an assignment.
    Assignment(AssignmentKey),
}

/// What a decision is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DecisionSubject {
    /// A request.
    Request(Key),
    /// An AssignmentRequest.
    AssignmentRequest(Key),
    /// A Grant.
    Grant(String),
}

/// Groups of decisions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DecisionGroup {
    /// Those about a request or a Grant.
    About(DecisionSubject),
    /// Those without a final verdict.
    Open,
    /// The same, of one person in a namespace.
    OpenBy(String, String),
}

/// Groups of requests. Ended requests are in none but [`RequestGroup::Unreviewed`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RequestGroup {
    /// Every live request.
    Live,
    /// The live requests of a namespace.
    Namespace(String),
    /// The live requests for a template.
    Template(Key),
    /// The live requests of one person in a namespace.
    Requester(String, String),
    /// The live requests that were accepted by a policy.
    Policy(String),
    /// Those by which the operator gives the access of an ActiveAssignment, by its uid.
    Standing(String),
    /// The live requests that extend the request of this name.
    Extending(Key),
    /// Those of which nobody has reviewed the break-glass access, live and ended.
    Unreviewed,
}

/// Groups of ActiveAssignments.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StandingGroup {
    /// Every one.
    All,
    /// Those of a namespace.
    Namespace(String),
    /// Those for a template.
    Template(Key),
}

/// Groups of Grants. Ended Grants are in none but [`GrantGroup::Name`] and [`GrantGroup::Held`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum GrantGroup {
    /// Every live Grant.
    Live,
    /// The live Grants of a request.
    Request(Key),
    /// The Grants of requests of this name, live and ended, as long as they are kept.
    Name(Key),
    /// The Grants of a role by which one person holds it, live and ended, as long as they are kept: see [`GrantGroup::held`].
    Held(Key, HeldBy),
    /// The live Grants on an AuthorizationSystem, by its uid.
    System(String),
    /// The live Grants that give what this object holds.
    Content(ContentSource),
}

impl GrantGroup {
    /// The Grants by which a person with this name holds a role, or has held it. Grants of older builds are in the group of the role without
    /// a name.
    pub fn held(namespace: &str, role: &str, by: HeldBy) -> Self {
        GrantGroup::Held((namespace.to_owned(), role.to_owned()), by)
    }
}

/// A name by which the person who holds a role is known. Two logins with one of these in common are one person, as for the lock on
/// break-glass.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HeldBy {
    /// A user name, or what a login carries under an alias key. Two spellings of one name are one person.
    Name(String),
    /// A uid that is one person's.
    Uid(String),
}

impl HeldBy {
    /// Every name of a person: the user name, the aliases and the uid of a login.
    pub fn names<'a>(name: &'a str, aliases: impl Iterator<Item = &'a str>, uid: Option<&str>) -> Vec<HeldBy> {
        let names: BTreeSet<String> = std::iter::once(name).chain(aliases).map(fold).collect();
        names.into_iter().map(HeldBy::Name).chain(uid.map(|uid| HeldBy::Uid(uid.to_owned()))).collect()
    }

    /// The names of the person who holds the access of a Grant: the login is the holder's only if it has asked for itself.
    fn of(grant: &Grant) -> Vec<HeldBy> {
        let request = &grant.spec.request;
        let holder = request.beneficiary.principal();
        let own = holder == request.requester;
        let aliases = request.aliases.iter().map(String::as_str).filter(|_| own);
        HeldBy::names(&holder, aliases, request.requester_uid.as_deref().filter(|_| own))
    }
}

/// Whether the operator has requested the access, for an ActiveAssignment.
pub fn is_standing(grant: &Grant) -> bool {
    let operator = ServiceAccount { namespace: OPERATOR_NAMESPACE.into(), name: OPERATOR_ACCOUNT.into() };
    grant.spec.request.requester == Subject::ServiceAccount(operator).principal()
}

/// Namespace and name.
pub fn key<K: ResourceExt>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The name of the request that a decision is about.
pub fn about(decision: &AccessDecision) -> Option<&str> {
    match &decision.spec.about {
        About::ActivationRequest(request) => Some(&request.name),
        About::Grant(_) | About::AssignmentRequest(_) => None,
    }
}

/// The name of the Grant that a decision is about.
pub fn about_grant(decision: &AccessDecision) -> Option<&str> {
    match &decision.spec.about {
        About::Grant(grant) => Some(&grant.name),
        About::ActivationRequest(_) | About::AssignmentRequest(_) => None,
    }
}

/// What a decision is about.
pub fn subject(decision: &AccessDecision) -> DecisionSubject {
    let here = || decision.namespace().unwrap_or_default();
    match &decision.spec.about {
        About::ActivationRequest(request) => DecisionSubject::Request((here(), request.name.clone())),
        About::AssignmentRequest(request) => DecisionSubject::AssignmentRequest((here(), request.name.clone())),
        About::Grant(grant) => DecisionSubject::Grant(grant.name.clone()),
    }
}

/// Whether a request has reached a terminal state.
pub fn has_ended(request: &ActivationRequest) -> bool {
    request.status.as_ref().and_then(|status| status.state).and_then(RequestState::outcome).is_some()
}

/// Whether a Grant's access may still be there: it is neither `Ended` nor `Abandoned`.
pub fn is_live(grant: &Grant) -> bool {
    !matches!(grant.status.as_ref().and_then(|status| status.state), Some(GrantState::Ended | GrantState::Abandoned))
}

/// The template that a request is for.
pub fn template_of(request: &ActivationRequest) -> Key {
    (request.namespace().unwrap_or_default(), request.spec.role_ref.name.clone())
}

/// The groups of a request.
pub fn request_groups(request: &ActivationRequest) -> Vec<RequestGroup> {
    let unreviewed = request.status.as_ref().is_some_and(|status| convert::review(status) == ReviewState::Required);
    let unreviewed = unreviewed.then_some(RequestGroup::Unreviewed);
    if has_ended(request) {
        return unreviewed.into_iter().collect();
    }
    let namespace = request.namespace().unwrap_or_default();
    let requester = request.spec.requester.as_ref().map(|requester| RequestGroup::Requester(namespace.clone(), requester.username.clone()));
    let live = [RequestGroup::Live, RequestGroup::Namespace(namespace), RequestGroup::Template(template_of(request))];
    let resolved = request.status.as_ref().and_then(|status| status.resolved.as_ref());
    let policy = resolved.map(|resolved| RequestGroup::Policy(resolved.policy.name.clone()));
    let standing = request.spec.active_assignment.as_ref().map(|of| RequestGroup::Standing(of.uid.clone()));
    let extends = extended(request).map(RequestGroup::Extending);
    live.into_iter().chain(requester).chain(policy).chain(standing).chain(extends).chain(unreviewed).collect()
}

/// The request that a request extends, by name.
pub fn extended(request: &ActivationRequest) -> Option<Key> {
    let extends = request.spec.extends.as_ref()?;
    Some((request.namespace().unwrap_or_default(), extends.name.clone()))
}

/// Whether an AssignmentRequest has reached a final state.
pub fn assignment_request_has_ended(request: &AssignmentRequest) -> bool {
    request.status.as_ref().and_then(|status| status.state).is_some_and(|state| state.has_ended())
}

/// The assignment that a request is about. One that does not exist yet has no uid.
pub fn assignment_of(request: &AssignmentRequest) -> AssignmentKey {
    let action = &request.spec.action;
    let uid = action.assignment().map(|assignment| assignment.uid.clone()).unwrap_or_default();
    (request.namespace().unwrap_or_default(), action.assignment_name().to_owned(), uid)
}

/// The groups of an AssignmentRequest.
pub fn assignment_request_groups(request: &AssignmentRequest) -> Vec<AssignmentRequestGroup> {
    if assignment_request_has_ended(request) {
        return Vec::new();
    }
    let about = assignment_of(request);
    vec![AssignmentRequestGroup::Live, AssignmentRequestGroup::Namespace(about.0.clone()), AssignmentRequestGroup::Assignment(about)]
}

/// The groups of a decision.
pub fn decision_groups(decision: &AccessDecision) -> Vec<DecisionGroup> {
    let about = DecisionGroup::About(subject(decision));
    if final_verdict(decision).is_some() {
        return vec![about];
    }
    let namespace = decision.namespace().unwrap_or_default();
    let by = decision.spec.decider.as_ref().map(|decider| DecisionGroup::OpenBy(namespace, decider.username.clone()));
    [about, DecisionGroup::Open].into_iter().chain(by).collect()
}

/// The final verdict of a decision, whether it counts; `None` while there is none.
pub fn final_verdict(decision: &AccessDecision) -> Option<bool> {
    match conditions::find(&decision.status.as_ref()?.conditions, "Counted")?.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// The groups of a Grant.
pub fn grant_groups(grant: &Grant) -> Vec<GrantGroup> {
    let request = &grant.spec.request;
    let name = GrantGroup::Name(request_of(grant));
    let role = request.role.as_deref().unwrap_or_default();
    let held = HeldBy::of(grant).into_iter().map(|by| GrantGroup::held(&request.namespace, role, by));
    if !is_live(grant) {
        return held.chain([name]).collect();
    }
    let contents = grant.spec.plan.content_sources().into_iter().map(GrantGroup::Content);
    let others =
        [name, GrantGroup::Live, GrantGroup::Request(request_of(grant)), GrantGroup::System(grant.spec.system.reference.uid.clone())];
    held.chain(others).chain(contents).collect()
}

/// The objects that a template's content is read from.
pub fn template_sources(template: &RoleTemplate) -> Vec<ContentSource> {
    content_sources(&template.spec.permissions, &template.spec.scope)
}

/// The template that an assignment is for.
pub fn assigned_template(assignment: &EligibleAssignment) -> Key {
    (assignment.namespace().unwrap_or_default(), assignment.spec.role_ref.name.clone())
}

fn request_of(grant: &Grant) -> Key {
    (grant.spec.request.namespace.clone(), grant.spec.request.name.clone())
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

/// The template that an ActiveAssignment is for.
pub fn standing_template(assignment: &ActiveAssignment) -> Key {
    (assignment.namespace().unwrap_or_default(), assignment.spec.role_ref.name.clone())
}

/// The groups of an ActiveAssignment.
pub fn standing_groups(assignment: &ActiveAssignment) -> Vec<StandingGroup> {
    let namespace = StandingGroup::Namespace(assignment.namespace().unwrap_or_default());
    vec![StandingGroup::All, namespace, StandingGroup::Template(standing_template(assignment))]
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn template(generation: i64, status: Value) -> RoleTemplate {
        let spec = json!({
            "systems": {"names": ["staging"]}, "permissions": {"kubernetes": {"clusterRoles": ["edit"]}},
            "scope": {"kubernetes": {"namespaces": ["payments"]}},
            "activation": {"duration": {"max": "8h"}, "approval": {"none": {}}, "mfa": {"none": {}}, "ticket": {"none": {}},
                "limits": {"none": {}}, "justification": "Required"},
            "assignment": {"eligible": {"permanent": false}},
        });
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "spec": spec, "status": status,
            "metadata": {"name": "edit", "namespace": "payments", "uid": "t1", "generation": generation},
        });
        serde_json::from_value(object).unwrap()
    }

    fn ready(message: &str, reason: &str) -> Value {
        let ready =
            json!({"type": "Ready", "status": "True", "reason": reason, "message": message, "lastTransitionTime": "2026-11-25T12:00:00Z"});
        json!({"conditions": [ready]})
    }

    #[test]
    fn a_status_that_no_rule_reads_changes_nothing() {
        let old = template(1, ready("allowed by policy a", "AsExpected"));
        let change = |new: &RoleTemplate| template_change((Some(&old), Some(new)));
        let concerned = Some(Change::Resolution(Concerned::Templates([("payments".to_owned(), "edit".to_owned())].into())));
        assert_eq!(change(&old), None);
        assert_eq!(change(&template(1, ready("allowed by policy b", "AsExpected"))), None);
        assert_eq!(change(&template(2, ready("allowed by policy a", "AsExpected"))), concerned);
        assert_eq!(change(&template(1, ready("allowed by policy a", "NotBindable"))), concerned);
        assert_eq!(template_change((Some(&old), None)), concerned, "deleted");
        assert_eq!(template_change((None, Some(&old))), concerned, "created");
    }

    #[test]
    fn a_policy_concerns_the_namespaces_that_it_no_longer_covers() {
        let policy = |generation: i64, namespaces: &[&str]| -> AccessPolicy {
            let spec = json!({
                "namespaces": {"names": namespaces}, "systems": {"names": ["staging"]}, "permissions": {}, "scope": {}, "eligible": [],
                "max": {"duration": "8h", "eligibility": "365d"},
                "min": {"approval": {"none": {}}, "justification": false, "mfa": {"none": {}}, "ticket": {"none": {}}},
                "allow": {"permanentEligibility": false, "delegated": false, "persistence": false},
            });
            let object = json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessPolicy", "spec": spec,
                "metadata": {"name": "p", "uid": "p1", "generation": generation},
            });
            serde_json::from_value(object).unwrap()
        };
        let (old, new) = (policy(1, &["payments", "billing"]), policy(2, &["payments"]));
        let both = Change::Resolution(Concerned::Namespaces(["billing".to_owned(), "payments".to_owned()].into()));
        assert_eq!(policy_change((Some(&old), Some(&new))), Some(both));
        assert_eq!(policy_change((Some(&new), Some(&new))), None);
    }

    #[test]
    fn rbac_objects_without_a_generation_are_compared_by_their_rules() {
        let role = |verbs: &[&str], note: &str| -> ClusterRole {
            let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]);
            serde_json::from_value(json!({"metadata": {"name": "view", "resourceVersion": note}, "rules": rules})).unwrap()
        };
        let (old, same, wider) = (role(&["get"], "1"), role(&["get"], "2"), role(&["get", "list"], "3"));
        assert_eq!(cluster_role_change((Some(&old), Some(&same))), None);
        let concerned = Change::Resolution(Concerned::Source(ContentSource::ClusterRole("view".into())));
        assert_eq!(cluster_role_change((Some(&old), Some(&wider))), Some(concerned.clone()));
        assert_eq!(cluster_role_change((Some(&old), None)), Some(concerned));
    }

    #[test]
    fn a_live_grant_is_listed_under_the_roles_that_it_binds() {
        let grant = |state: &str| -> Grant {
            let who = json!({"user": "alice"});
            let binding = |n: u8, role: &str, kind: &str| {
                let name = format!("curfew:0123abcd:00000000000000a1:20261123T081500Z:{n}");
                json!({"name": name, "namespace": "payments", "roleKind": kind, "role": role})
            };
            let object = json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "Grant", "metadata": {"name": "00000000000000a1"}, "status": {"state": state},
                "spec": {
                    "system": {"name": "s", "uid": "u", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
                    "request": {"namespace": "payments", "name": "first", "uid": "u1", "requester": "alice", "beneficiary": who},
                    "principal": {"kubernetes": {"user": "alice"}}, "digest": "0".repeat(64), "expiresAt": "2026-11-23T08:15:00Z",
                    "plan": {"kubernetes": {"subject": who, "bindings": [binding(0, "view", "ClusterRole"), binding(1, "deployer", "Role")]}},
                },
            });
            serde_json::from_value(object).unwrap()
        };
        let roles = [ContentSource::ClusterRole("view".into()), ContentSource::Role("payments".into(), "deployer".into())];
        let groups = grant_groups(&grant("Active"));
        assert!(roles.into_iter().all(|role| groups.contains(&GrantGroup::Content(role))), "{groups:?}");
        let name = GrantGroup::Name(("payments".to_owned(), "first".to_owned()));
        let held = |by| GrantGroup::held("payments", "", by);
        let by_name = |name: &str| held(HeldBy::Name(name.into()));
        assert_eq!(grant_groups(&grant("Ended")), [by_name("alice"), name.clone()]);
        // Every name of the login counts, unless it has asked for another person.
        let mut other = grant("Ended");
        (other.spec.request.aliases, other.spec.request.requester_uid) = (vec!["E-7".into()], Some("u-7".into()));
        assert_eq!(grant_groups(&other), [by_name("alice"), by_name("e-7"), held(HeldBy::Uid("u-7".into())), name.clone()]);
        other.spec.request.requester = "desk".into();
        assert_eq!(grant_groups(&other), [by_name("alice"), name]);
    }

    #[test]
    fn an_active_assignment_concerns_its_own_requests_and_those_of_the_one_before() {
        let assignment = |uid: &str, generation: i64| -> ActiveAssignment {
            let spec = json!({
                "roleRef": {"name": "edit"}, "subject": {"user": "stan"}, "scope": {"all": {}}, "window": {"permanent": {}}, "justification": "j",
            });
            let metadata = json!({"name": "on-call", "namespace": "payments", "uid": uid, "generation": generation});
            serde_json::from_value(
                json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActiveAssignment", "metadata": metadata, "spec": spec}),
            )
            .unwrap()
        };
        let concerned = |uids: &[&str]| {
            let uids = uids.iter().map(|uid| (*uid).to_owned()).collect();
            Some(Change::Standing(("payments".into(), "on-call".into()), uids))
        };
        let (old, edited, again) = (assignment("a1", 1), assignment("a1", 2), assignment("a2", 1));
        assert_eq!(active_assignment_change((Some(&old), Some(&old))), None);
        assert_eq!(active_assignment_change((None, Some(&old))), concerned(&["a1"]), "created");
        assert_eq!(active_assignment_change((Some(&old), Some(&edited))), concerned(&["a1"]));
        assert_eq!(active_assignment_change((Some(&old), None)), concerned(&["a1"]), "deleted");
        assert_eq!(active_assignment_change((Some(&old), Some(&again))), concerned(&["a1", "a2"]));
        // The requests of people for the same role are in another group.
        let request = |standing: Value| -> ActivationRequest {
            let mut object = json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments"},
                "spec": {"roleRef": {"name": "edit"}},
            });
            object["spec"]["activeAssignment"] = standing;
            serde_json::from_value(object).unwrap()
        };
        let own = RequestGroup::Standing("a1".into());
        assert!(request_groups(&request(json!({"name": "on-call", "uid": "a1"}))).contains(&own));
        assert!(!request_groups(&request(json!({"name": "on-call", "uid": "a2"}))).contains(&own));
        assert!(!request_groups(&request(Value::Null)).contains(&own));
    }

    #[test]
    fn an_ended_request_is_in_no_group_unless_it_must_be_reviewed() {
        let request = |state: Value| -> ActivationRequest {
            let object = json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments"},
                "spec": {"roleRef": {"name": "edit"}}, "status": {"state": state, "conditions": []},
            });
            serde_json::from_value(object).unwrap()
        };
        assert_eq!(request_groups(&request(json!("Active"))).len(), 3);
        let mut extension = request(json!("AwaitingApproval"));
        extension.spec.extends = Some(serde_json::from_value(json!({"name": "first", "uid": "u1"})).unwrap());
        assert!(request_groups(&extension).contains(&RequestGroup::Extending(("payments".into(), "first".into()))));
        assert!(request_groups(&request(json!("Expired"))).is_empty());
        let reviewed = |state: &str, status: &str| {
            let mut request = request(json!(state));
            let condition = json!({"type": "ReviewRequired", "status": status, "reason": "BreakGlass", "message": "",
                "lastTransitionTime": "2026-11-23T08:00:00Z"});
            request.status.as_mut().unwrap().conditions = vec![serde_json::from_value(condition).unwrap()];
            request_groups(&request)
        };
        assert_eq!(reviewed("Expired", "True"), [RequestGroup::Unreviewed]);
        assert!(reviewed("Active", "True").contains(&RequestGroup::Unreviewed));
        assert!(reviewed("Expired", "False").is_empty() && reviewed("Active", "False").len() == 3);
    }
}
