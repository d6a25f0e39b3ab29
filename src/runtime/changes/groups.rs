//! The groups under which objects are indexed, and what they are derived from. Pure.
use super::Key;
use crate::api::{
    AccessDecision, ActivationRequest, ActiveAssignment, AssignmentRequest, EligibleAssignment, Grant, OPERATOR_ACCOUNT,
    OPERATOR_NAMESPACE, RoleTemplate, conditions, convert, decision::About, grant::GrantState, request::RequestState,
};
use curfew_core::{
    approval::review::ReviewState,
    folding::fold,
    principal::{ServiceAccount, Subject},
    target::sources::{ContentSource, content_sources},
};
use kube::ResourceExt;
use std::collections::BTreeSet;

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

/// The request that a Grant is for.
pub fn request_of(grant: &Grant) -> Key {
    (grant.spec.request.namespace.clone(), grant.spec.request.name.clone())
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
