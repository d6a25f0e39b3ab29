//! Converts the kinds to the facts that rules read, and names the settings that this build does not support. Pure. Operator and plugin judge by
//! the same facts.
mod assignment_request;
mod login;
mod standing;

pub use assignment_request::{
    Assigned, ClaimKind, asked_assignment, assignment_request, assignment_request_facts, assignment_request_names,
    assignment_request_schema, claim, claims, shown_window, widening, window, without_proof,
};
pub use login::login;
pub use standing::active_assignment;

use crate::{
    AccessDecision, AccessPolicy, ActivationRequest, AuthorizationSystem, EligibleAssignment, Grant, RoleTemplate,
    assignment::Delegation,
    conditions,
    decision::About,
    grant::{GrantState, OperationKind},
    policy::{ApprovalFloor as ApiFloor, Limits, MfaRule, RequestorAdmin as ApiRequestorAdmin, SystemsRef, TicketFloor},
    request::{ActivationRequestStatus, ApprovalStatus, CountedDecision, RequestState},
    system::{Mode, Principals, Provider},
    template::{Approval, AssignmentApproval, Justification, TicketRule},
};
use curfew_core::{
    admission::{AdmissionHistory, Provenance, Seen},
    approval::{ApprovalStage, DecisionFacts, StageOrder, Verb, review::ReviewState},
    conditions::ticket,
    duration::Duration,
    emergency,
    fingerprint::Meant,
    grant::{self as core_grant, Intent},
    limits::Maxima,
    policy_inputs::{
        AcceptedBy, ApprovalFloor, ApprovedTerms, Assignment, Policy, Progress, RequestFacts, RequestorAdmin, StandingRule, System,
        Systems, TargetClaim, Template, duplicate_of,
    },
    principal::{Subject, UserInfo},
    reason::Reason,
    request::{Frozen, GrantView, Request, State, Status},
    resolved::{Ref, Resolved, Schema, Terms, computes},
    text::is_blank,
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use std::sync::Arc;

pub mod extension;

fn reference<K: ResourceExt>(o: &K) -> Ref {
    Ref { name: o.name_any(), uid: o.uid().unwrap_or_default() }
}

/// When the API server created an object.
pub fn created<K: ResourceExt>(o: &K) -> Time {
    o.creation_timestamp().map_or(Time::from_millis(0), |t| Time::from_millis(t.0.as_millisecond()))
}

/// Whether an object still gives what it says. One that is being deleted does not, also while a finalizer keeps it: to whom deletes a role,
/// an assignment or a policy it is gone.
pub fn is_present<K: ResourceExt>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_none()
}

/// An object that this process has read, for the next admission proof.
pub fn seen<K: ResourceExt>(o: &K) -> Seen {
    Seen { uid: o.uid().unwrap_or_default().into(), created: created(o) }
}

fn provenance<K: ResourceExt>(o: &K, admission: &AdmissionHistory) -> Provenance {
    admission.provenance_of(&o.uid().unwrap_or_default(), created(o))
}

/// The settings in use that this build does not support, by their names in the API.
fn unsupported(list: &[(bool, &str)]) -> Vec<String> {
    list.iter().filter(|(used, _)| *used).map(|(_, what)| (*what).to_owned()).collect()
}

/// The systems that a template or a policy selects.
pub fn systems(selected: &SystemsRef) -> Systems {
    match selected {
        SystemsRef::Names(names) => Systems::Names(names.clone()),
        SystemsRef::Selector(selector) => Systems::Labels(selector.match_labels.clone()),
    }
}

/// An AuthorizationSystem; `all` tells whether another one stands for the same target.
pub fn system(system: &AuthorizationSystem, all: &[Arc<AuthorizationSystem>]) -> System {
    System {
        name: system.name_any(),
        uid: system.uid().unwrap_or_default(),
        provider: system.spec.provider.kind(),
        labels: system.labels().clone(),
        target: target(system).map(str::to_owned),
        grants_allowed: system.spec.mode == Mode::ReadWrite,
        deleting: system.metadata.deletion_timestamp.is_some(),
        suspended: system.spec.suspend,
        duplicate_of: duplicate_of(&target_claim(system), all.iter().map(|other| target_claim(other))).map(str::to_owned),
        missing_rights: system.status.as_ref().and_then(|status| missing_rights(&status.conditions)).map(str::to_owned),
        principals: system.spec.principals.as_ref().map(Principals::mapping),
        emergency_accounts: system.spec.emergency_accounts.clone(),
        // Where people keep their names, another one must not be accepted and ignored.
        unsupported: unsupported(&[(system.spec.principals.is_some() && !system.spec.provider.kind().maps_principals(), "principals")]),
    }
}

/// The emergency accounts of all systems.
pub fn emergency_accounts<'a>(systems: impl IntoIterator<Item = &'a Arc<AuthorizationSystem>>) -> Vec<Subject> {
    systems.into_iter().flat_map(|system| &system.spec.emergency_accounts).cloned().collect()
}

/// What the operator lacks at a system, as the readiness controller has found it last.
pub fn missing_rights(list: &[Condition]) -> Option<&str> {
    conditions::find(list, conditions::AUTHORIZED).filter(|found| found.status == "False").map(|found| found.message.as_str())
}

fn target(system: &AuthorizationSystem) -> Option<&str> {
    Some(&system.status.as_ref()?.target.as_ref()?.id)
}

/// The target of a system as it was recorded; nothing while it was never reached.
pub fn recorded_target(system: &AuthorizationSystem) -> Option<Meant> {
    let target = system.status.as_ref()?.target.as_ref()?;
    let recorded = target.fingerprint.clone().into_iter().collect();
    Some(Meant { identity: target.id.clone(), recorded, accepted: system.spec.accepted_targets.clone() })
}

/// The target of a Grant: as the Grant holds it, and as its system has recorded or accepted it since. A Grant without its system
/// can be revoked all the same, but only where nothing has changed.
pub fn granted_target(grant: &Grant, system: Option<&AuthorizationSystem>) -> Meant {
    let of = &grant.spec.system;
    let same = system.filter(|system| system.uid().as_deref() == Some(of.reference.uid.as_str()));
    let known = same.and_then(recorded_target).filter(|known| known.identity == of.reference.target);
    let recorded = of.fingerprint.clone().into_iter().chain(known.into_iter().flat_map(|known| known.recorded)).collect();
    let accepted = same.map(|system| system.spec.accepted_targets.clone()).unwrap_or_default();
    Meant { identity: of.reference.target.clone(), recorded, accepted }
}

fn target_claim(system: &AuthorizationSystem) -> TargetClaim<'_, Provider> {
    TargetClaim {
        name: system.metadata.name.as_deref().unwrap_or_default(),
        uid: system.metadata.uid.as_deref().unwrap_or_default(),
        created: created(system),
        connection: &system.spec.provider,
        target: target(system),
    }
}

/// An AccessPolicy.
pub fn policy(policy: &AccessPolicy) -> Policy {
    let spec = &policy.spec;
    Policy {
        reference: reference(policy),
        namespaces: spec.namespaces.names.clone(),
        systems: systems(&spec.systems),
        permissions: spec.permissions.clone(),
        scope: spec.scope.clone(),
        eligible: spec.eligible.clone(),
        max_duration: spec.max.duration.clone(),
        max_eligibility: spec.max.eligibility,
        approval: match &spec.min.approval {
            ApiFloor::None(_) => None,
            ApiFloor::AtLeast(f) => Some(ApprovalFloor { quorum: f.quorum, from: f.from.clone() }),
        },
        justification: spec.min.justification,
        ticket: matches!(spec.min.ticket, TicketFloor::Required(_)),
        mfa: max_age(&spec.min.mfa),
        limits: spec.limits.as_ref().and_then(maxima),
        permanent_eligibility: spec.allow.permanent_eligibility,
        standing: spec.allow.active_assignments,
        delegated: spec.allow.delegated,
        persistence: spec.allow.persistence,
        break_glass: spec.allow.break_glass,
        requestor_admins: spec.requestor_admins.iter().map(requestor_admin).collect(),
        suspended: spec.suspend,
        unsupported: Vec::new(),
    }
}

fn maxima(limits: &Limits) -> Option<Maxima> {
    match limits {
        Limits::None(_) => None,
        Limits::AtMost(most) => Some(Maxima { active: most.active, per_subject: most.per_subject }),
    }
}

fn max_age(rule: &MfaRule) -> Option<Duration> {
    match rule {
        MfaRule::None(_) => None,
        MfaRule::MaxAge(max_age) => Some(max_age.clone()),
    }
}

fn ticket_rule(rule: &TicketRule) -> Option<ticket::Rule> {
    match rule {
        TicketRule::None(_) => None,
        TicketRule::Pattern(pattern) => Some(ticket::Rule { pattern: pattern.clone(), systems: None }),
        TicketRule::Required(required) => Some(ticket::Rule { pattern: required.pattern.clone(), systems: Some(required.systems.clone()) }),
    }
}

fn requestor_admin(admin: &ApiRequestorAdmin) -> RequestorAdmin {
    RequestorAdmin { subject: admin.subject.clone(), beneficiaries: admin.for_.iter().cloned().map(Into::into).collect() }
}

/// A RoleTemplate.
pub fn template(template: &RoleTemplate) -> Template {
    let (s, a) = (&template.spec, &template.spec.activation);
    let (order, stages): (StageOrder, &[ApprovalStage]) = match &a.approval {
        Approval::None(_) => (StageOrder::Sequential, &[]),
        Approval::Stages(stages) => (StageOrder::Sequential, stages),
        Approval::Parallel(stages) => (parallel(stages), stages),
    };
    Template {
        reference: reference(template),
        namespace: template.namespace().unwrap_or_default(),
        systems: systems(&s.systems),
        permissions: s.permissions.clone(),
        scope: s.scope.clone(),
        default_duration: a.duration.default.clone(),
        max_duration: a.duration.max.clone(),
        justification: a.justification == Justification::Required,
        ticket: ticket_rule(&a.ticket),
        mfa: max_age(&a.mfa),
        authentication_context: a.authentication_context.clone(),
        permanent_eligibility: s.assignment.eligible.permanent,
        max_eligibility: s.assignment.eligible.max,
        standing: s.assignment.active.as_ref().map(|rule| StandingRule { permanent: rule.permanent, max: rule.max }),
        assignment_approval: s.assignment.approval.as_ref().map(|approval| match approval {
            AssignmentApproval::Stages(stages) => (stages.clone(), StageOrder::Sequential),
            AssignmentApproval::Parallel(stages) => (stages.clone(), parallel(stages)),
        }),
        protects_last_holder: s.assignment.protect_last_holder,
        suspended: s.suspend,
        not_bindable: found(template, Reason::NotBindable),
        refused_by_target: found(template, Reason::TargetRefused),
        break_glass: a.break_glass.is_some(),
        extension: a.extension.as_ref().and_then(extension::limits),
        unsupported: Vec::new(),
        limits: maxima(&a.limits),
        approval: stages.to_vec(),
        order,
    }
}

/// A single stage has no order: it is frozen in one form.
fn parallel(stages: &[ApprovalStage]) -> StageOrder {
    if stages.len() < 2 { StageOrder::Sequential } else { StageOrder::Parallel }
}

/// What the readiness controller found at the target for this generation, if this is the reason why the template is not ready.
fn found(template: &RoleTemplate, reason: Reason) -> Option<String> {
    let ready = conditions::find(&template.status.as_ref()?.conditions, "Ready")?;
    let now = ready.observed_generation == template.metadata.generation && ready.reason == reason.as_str();
    now.then(|| ready.message.clone())
}

/// An EligibleAssignment.
pub fn assignment(assignment: &EligibleAssignment) -> Assignment {
    let spec = &assignment.spec;
    Assignment {
        reference: reference(assignment),
        role: spec.role_ref.name.clone(),
        subject: spec.subject.clone(),
        scope: spec.scope.narrowed(),
        permissions: spec.permissions.clone(),
        window: window(assignment),
        suspended: spec.suspend,
        delegated: spec.delegation == Delegation::Allowed,
        unproven: None,
        unsupported: Vec::new(),
    }
}

/// The system that a request names, or on which it was accepted: another one that matches the template later changes nothing.
pub fn named_system(request: &ActivationRequest) -> Option<&str> {
    let accepted = || Some(request.status.as_ref()?.resolved.as_ref()?.system.name.as_str());
    request.spec.system.as_deref().or_else(accepted)
}

/// A request as a user wrote it, as the rules of `terms` read it. `granted` if its Grant has been active. Of what it extends no more is known
/// than that: [`extension::facts`] reads the rest.
pub fn request_facts(request: &ActivationRequest, granted: bool) -> RequestFacts {
    let s = &request.spec;
    let status = request.status.as_ref();
    let requester = s.requester.clone().unwrap_or_default();
    let phase = match status.and_then(|s| s.state) {
        None | Some(RequestState::Pending) => Progress::New,
        Some(RequestState::Activating | RequestState::Active | RequestState::Revoking) => {
            status.and_then(|s| s.expires_at).map_or(Progress::Accepted, Progress::Granted)
        }
        Some(_) => Progress::Accepted,
    };
    RequestFacts {
        namespace: request.namespace().unwrap_or_default(),
        uid: request.uid().unwrap_or_default(),
        created: created(request),
        requester,
        beneficiary: s.beneficiary.clone().map(Into::into),
        scope: s.scope.clone(),
        permissions: s.permissions.clone(),
        not_after: s.not_after,
        active_assignment: s.active_assignment.as_ref().map(|of| Ref { name: of.name.clone(), uid: of.uid.clone() }),
        role: s.role_ref.name.clone(),
        duration: s.duration.clone(),
        start: s.start_time,
        justification: s.justification.clone(),
        ticket: s.ticket.as_ref().map(|t| ticket::Ticket { system: t.system.clone(), number: t.number.clone() }),
        system: named_system(request).map(str::to_owned),
        is_name_used: false,
        extends: s.extends.as_ref().map(|extends| extension::unread(extends, status)),
        held: None,
        unsupported: Vec::new(),
        break_glass: s.break_glass == Some(true),
        progress: phase,
        accepted_by: status
            .and_then(|s| s.resolved.as_ref())
            .map(|resolved| AcceptedBy { assignment: resolved.assignment.name.clone(), policy: resolved.policy.name.clone() }),
        approved: approved_terms(status, granted),
    }
}

/// What was approved of a request that is active, or was: its rules are compared with that, and not with the present template.
fn approved_terms(status: Option<&ActivationRequestStatus>, granted: bool) -> Option<ApprovedTerms> {
    let begun = |s: &RequestState| matches!(s, RequestState::Activating | RequestState::Revoking);
    let s = status.filter(|s| s.state == Some(RequestState::Active) || (granted && s.state.as_ref().is_some_and(begun)))?;
    let r = s.resolved.as_ref()?;
    let (permissions, scope) = (r.permissions.clone(), r.scope.clone());
    Some(ApprovedTerms { duration: r.duration.clone(), approval: r.approval.clone(), permissions, scope })
}

/// A request as the rules read it.
pub fn request(request: &ActivationRequest, admission: &AdmissionHistory) -> Request {
    Request {
        version: request.resource_version().unwrap_or_default().into(),
        schema: request_schema(request),
        uid: request.uid().unwrap_or_default().into(),
        created: created(request),
        provenance: provenance(request, admission),
        requester: Arc::new(request.spec.requester.clone().unwrap_or_default()),
        beneficiary: request.spec.beneficiary.clone().map(Into::into),
        break_glass: request.spec.break_glass == Some(true),
        status: status(request),
    }
}

/// Which build can judge a request: a higher number, a state that this build does not know, or a reason that it does not know for an end
/// that it would have to finish, are those of a newer one.
pub fn request_schema(request: &ActivationRequest) -> Schema {
    let Some(s) = &request.status else { return Schema::Known };
    let known_reason = s.reason.as_deref().is_some_and(|reason| reason.parse::<Reason>().is_ok());
    match s.state {
        Some(RequestState::Unknown) => Schema::Newer,
        Some(RequestState::Revoking) if !known_reason => Schema::Newer,
        _ => Schema::of(s.schema.max(s.resolved.as_ref().map(|resolved| resolved.schema))),
    }
}

/// Which build can judge a Grant.
pub fn grant_schema(grant: &Grant) -> Schema {
    let status = grant.status.as_ref();
    let unknown_operation = status.and_then(|s| s.operation.as_ref()).is_some_and(|o| o.kind == OperationKind::Unknown);
    match status.and_then(|s| s.state) {
        Some(GrantState::Unknown) => Schema::Newer,
        _ if unknown_operation => Schema::Newer,
        _ => Schema::of(grant.spec.schema),
    }
}

/// The slots that a request says it holds.
pub fn slots(request: &ActivationRequest) -> Vec<Arc<str>> {
    request.status.iter().flat_map(|status| &status.slots).map(|slot| slot.as_str().into()).collect()
}

/// The condition of a request for break-glass.
pub const REVIEW_REQUIRED: &str = "ReviewRequired";

/// How far the review of a request has come, as its status says.
pub fn review(status: &ActivationRequestStatus) -> ReviewState {
    match conditions::find(&status.conditions, REVIEW_REQUIRED).map(|condition| condition.status.as_str()) {
        None => ReviewState::NotRequired,
        Some("False") => ReviewState::Reviewed,
        Some(_) => ReviewState::Required,
    }
}

fn status(r: &ActivationRequest) -> Status {
    let Some(s) = &r.status else { return Status::NEW };
    let reason = || s.reason.as_deref().and_then(|r| r.parse().ok()).unwrap_or(Reason::Drifted);
    let state = match s.state {
        None | Some(RequestState::Pending) => State::Pending,
        Some(RequestState::AwaitingApproval) => State::AwaitingApproval,
        Some(RequestState::Scheduled) => State::Scheduled,
        Some(RequestState::Activating) => State::Activating,
        // An unknown state makes its schema a newer one, so no rule reads it.
        Some(RequestState::Active | RequestState::Unknown) => State::Active,
        Some(RequestState::Revoking) => State::Revoking(reason()),
        Some(over) => over.outcome().map_or(State::Pending, |o| State::Ended(o, reason())),
    };
    let accepted_at = |r: &Resolved| s.approval.as_ref().and_then(|approval| accepted_at(approval, r));
    // The digest of a form that this build knows is computed, so a status that was changed on its own does not match. That of
    // another form can only be taken as it is stored.
    let terms = |resolved: Resolved| match s.digest {
        Some(stored) if !computes(resolved.schema) => Terms::as_stored(resolved, stored),
        Some(_) | None => Terms::new(resolved),
    };
    let frozen = s.resolved.as_ref().and_then(|r| Some(Frozen { accepted_at: accepted_at(r)?, terms: terms(r.clone()) }));
    Status { state, frozen, expires_at: s.expires_at, activated_at: s.activated_at, slots: slots(r), review: review(s) }
}

/// Whether a login carries the proof. A Deny or Revoke counts unless the record shows that there is none: a login that was recorded
/// without the key, before CurfewConfig named it or while the API server could not read that, may still take away (I8).
fn is_proven(verb: Verb, decider: &UserInfo, proof: Option<&[String]>) -> bool {
    match (verb, proof) {
        (Verb::Approve | Verb::Review, None) => false,
        (Verb::Approve | Verb::Abandon | Verb::Review, Some(keys)) => decider.has_extra_keys(keys),
        (Verb::Deny | Verb::Revoke, Some(keys)) => !decider.lacks_a_recorded_key(keys),
        (Verb::Deny | Verb::Revoke | Verb::Abandon, None) => true,
    }
}

/// When a request was accepted. The first builds stored only one deadline for all stages: the sum of their timeouts, a minute at least,
/// after acceptance.
fn accepted_at(approval: &ApprovalStatus, resolved: &Resolved) -> Option<Time> {
    let wait = || resolved.approval.iter().map(ApprovalStage::timeout_secs).sum::<i64>().max(60);
    approval.accepted_at.or_else(|| Some(approval.deadline?.plus_secs(-wait())))
}

/// What a login is compared with, when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Logins<'a> {
    /// The keys that a login must carry to count, if CurfewConfig says so.
    pub proof: Option<&'a [String]>,
    /// The emergency accounts of all systems.
    pub emergency: &'a [Subject],
    /// The extra keys under which a person has the same value with every login.
    pub alias_keys: &'a [String],
}

/// A decision; `manager` is what RBAC says of the decider.
pub fn decision(decision: &AccessDecision, manager: Option<bool>, logins: Logins<'_>, admission: &AdmissionHistory) -> DecisionFacts {
    let decider: UserInfo = decision.spec.decider.clone().unwrap_or_default();
    let counted = decision.status.as_ref().and_then(|s| conditions::find(&s.conditions, "Counted"));
    let about_uid = match &decision.spec.about {
        // What was about nothing once is about nothing for good: a request that took the name later is another one, however
        // close in time (the API server's clock has whole seconds).
        _ if counted.is_some_and(|c| c.reason == Reason::NotFound.as_str()) => Some("".into()),
        About::ActivationRequest(r) | About::AssignmentRequest(r) => r.uid.as_deref().map(Into::into),
        About::Grant(_) => None,
    };
    DecisionFacts {
        uid: decision.uid().unwrap_or_default().into(),
        proven: !decider.is_system_identity() && is_proven(decision.spec.decision, &decider, logins.proof),
        emergency: emergency::account_of(logins.emergency, &decider, logins.alias_keys).is_some(),
        decider: Arc::new(decider),
        verb: decision.spec.decision,
        digest: decision.spec.digest,
        duration: decision.spec.duration.clone(),
        commented: decision.spec.comment.as_deref().is_some_and(|comment| !is_blank(comment)),
        request_uid: about_uid,
        created: created(decision),
        manager,
        provenance: provenance(decision, admission),
        counted_before: counted.is_some_and(|c| c.status == "True"),
    }
}

/// Whether the request's status names this decision: as an approval that filled a stage, or as what ended it. The first builds stored no
/// uid.
pub fn names(status: &ActivationRequestStatus, decision: &DecisionFacts) -> bool {
    names_among(status.approval.as_ref(), status.ended_by.as_ref(), decision)
}

fn names_among(approval: Option<&ApprovalStatus>, ended_by: Option<&CountedDecision>, decision: &DecisionFacts) -> bool {
    let stages = approval.iter().flat_map(|approval| &approval.stages);
    let mut named = stages.flat_map(|stage| &stage.decisions).chain(ended_by);
    named.any(|counted| match &counted.uid {
        Some(uid) => **uid == *decision.uid,
        None => counted.decider == decision.decider.username && counted.at == decision.created,
    })
}

/// A Grant as the rules read it. `created_here` if this process has created it itself.
pub fn grant(grant: &Grant, admission: &AdmissionHistory, created_here: bool) -> core_grant::Grant {
    let status = grant.status.clone().unwrap_or_default();
    let until = status.in_flight.as_ref().map(|f| f.until);
    core_grant::Grant {
        version: grant.resource_version().unwrap_or_default().into(),
        schema: grant_schema(grant),
        expires_at: grant.spec.expires_at,
        state: grant_state(grant),
        drifted: drifted(grant),
        refused: refused(grant),
        outgrown: outgrown(grant),
        withheld: status.withheld.into_iter().collect(),
        deleting: grant.metadata.deletion_timestamp.is_some(),
        provenance: if created_here { Provenance::Verified } else { provenance(grant, admission) },
        guarantees: grant.spec.plan.guarantees(),
        active_since: status.granted_at,
        intent: status.before.map(|b| Intent { standing: b.standing.into_iter().collect(), until }),
        operation: status.operation.map(|o| core_grant::Operation {
            id: o.id.into(),
            kind: match o.kind {
                // It may still create the access.
                OperationKind::Apply | OperationKind::Unknown => core_grant::OperationKind::Apply,
                OperationKind::Revoke => core_grant::OperationKind::Revoke,
            },
            poll_at: o.poll_at,
        }),
        removed_at: status.removed_at,
    }
}

/// Where a Grant stands; no status yet means that the intent is stored and nothing more.
pub fn grant_state(grant: &Grant) -> core_grant::State {
    match grant.status.as_ref().and_then(|s| s.state) {
        // Unknown counts as present, and a late write may follow.
        None | Some(GrantState::Granting | GrantState::Unknown) => core_grant::State::Granting,
        Some(GrantState::Active) => core_grant::State::Active,
        Some(GrantState::Revoking) => core_grant::State::Revoking,
        Some(GrantState::Ended) => core_grant::State::Ended,
        Some(GrantState::Abandoned) => core_grant::State::Abandoned,
    }
}

fn refused(grant: &Grant) -> bool {
    grant.status.as_ref().is_some_and(|s| conditions::is_true(&s.conditions, "Refused"))
}

fn outgrown(grant: &Grant) -> bool {
    grant.status.as_ref().is_some_and(|s| conditions::is_true(&s.conditions, "Outgrown"))
}

fn drifted(grant: &Grant) -> bool {
    grant.status.as_ref().is_some_and(|s| conditions::is_true(&s.conditions, "Drifted"))
}

/// What a Grant means for its request.
pub fn grant_view(g: Option<&Grant>) -> GrantView {
    let Some(g) = g else { return GrantView::None };
    let active_since = g.status.as_ref().and_then(|s| s.granted_at);
    let (drifted, refused, outgrown) = (drifted(g), refused(g), outgrown(g));
    match grant_state(g) {
        core_grant::State::Ended => GrantView::Ended { active_since, drifted, refused, outgrown, abandoned: false },
        core_grant::State::Abandoned => GrantView::Ended { active_since, drifted, refused, outgrown, abandoned: true },
        core_grant::State::Revoking => GrantView::Live { active_since, revoking: true, drifted, refused, outgrown },
        core_grant::State::Granting | core_grant::State::Active => {
            GrantView::Live { active_since, revoking: false, drifted, refused, outgrown }
        }
    }
}
