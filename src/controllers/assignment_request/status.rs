//! The status of an AssignmentRequest, and its audit records. Pure.
use super::{known::Known, object::Object};
use crate::{
    api::{
        AssignmentRequest,
        assignment_request::{Action, AssignmentRequestDisplay, AssignmentRequestState, AssignmentRequestStatus},
        conditions::{self, Is},
        request::ApprovalStatus,
    },
    audit::{CountedDecision, EventData},
    controllers::{
        convert,
        request::{
            status::{counted, stage_statuses},
            waiting::Approval,
        },
    },
};
use curfew_core::{
    assignment_request::{Action as CoreAction, AssignmentKind, Frozen, Outcome, State, tally_decisions},
    conditions::evidence::evidence,
    reason::Reason,
    text::{MAX_MESSAGE, brief, clip},
    time::Time,
};
use kube::ResourceExt;

/// What is stored next.
pub(super) struct Next {
    /// The state.
    pub state: State,
    /// What is frozen.
    pub frozen: Option<Frozen>,
    /// Why it ends, with a message.
    pub end: Option<(Reason, String)>,
}

impl Next {
    /// The stored state.
    pub fn unchanged(known: &Known) -> Self {
        Next { state: known.request.state, frozen: known.request.frozen.clone(), end: None }
    }
}

/// Why the API server refuses a write, in words: a quota, or a policy of another product. It is tried again, so that who is responsible can
/// change that; the end of the window that is asked for bounds it.
pub(super) fn refusal(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(refused) if matches!(refused.code, 403 | 422) => {
            Some(format!("the API server refuses to store the assignment, which is tried again: {}", refused.message))
        }
        _ => None,
    }
}

/// Whether an outcome is not what was asked for.
pub(super) fn is_refusal(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Applied | Outcome::Cancelled)
}

const fn shown(state: State) -> AssignmentRequestState {
    match state {
        State::Pending => AssignmentRequestState::Pending,
        State::AwaitingApproval => AssignmentRequestState::AwaitingApproval,
        State::Ended(Outcome::Applied) => AssignmentRequestState::Applied,
        State::Ended(Outcome::Denied) => AssignmentRequestState::Denied,
        State::Ended(Outcome::TimedOut) => AssignmentRequestState::TimedOut,
        State::Ended(Outcome::Cancelled) => AssignmentRequestState::Cancelled,
        State::Ended(Outcome::Invalid) => AssignmentRequestState::Invalid,
    }
}

/// The status for this state, on top of the stored one: times are stamped once.
pub(super) fn status(known: &Known, next: &Next, now: Time) -> AssignmentRequestStatus {
    let object = &known.object;
    let old = object.status.clone().unwrap_or_default();
    let request = curfew_core::assignment_request::Request { frozen: next.frozen.clone(), state: next.state, ..known.request.clone() };
    let tally = tally_decisions(&request, &known.facts, &known.people);
    let over = matches!(next.state, State::Ended(_));
    let stop = tally.stopped_by.filter(|_| over && next.end.as_ref().is_some_and(|(reason, _)| is_by_decision(*reason)));
    let mut status = AssignmentRequestStatus {
        observed_generation: object.metadata.generation,
        state: Some(shown(next.state)),
        reason: next.end.as_ref().map(|(reason, _)| reason.as_str().to_owned()),
        digest: next.frozen.as_ref().map(|frozen| frozen.terms.digest()),
        resolved: next.frozen.as_ref().map(|frozen| frozen.terms.clone()),
        approval: next.frozen.as_ref().map(|frozen| ApprovalStatus {
            accepted_at: Some(frozen.accepted_at),
            deadline: tally.deadline(),
            stages: stage_statuses(&frozen.terms.approval, &tally, &known.facts, now),
        }),
        ended_at: over.then(|| old.ended_at.unwrap_or_else(|| now.floor_secs())),
        assignment_uid: made(known, next),
        ended_by: stop.map(|stop| counted(&known.facts[stop.decision])),
        conditions: old.conditions,
        display: Some(display(object, next.frozen.as_ref())),
        ..AssignmentRequestStatus::default()
    };
    let stages = next.frozen.as_ref().map_or(&[][..], |frozen| &frozen.terms.approval);
    let approval = Approval { stages, tally: &tally, now };
    if next.state == State::AwaitingApproval {
        status.waiting_for = approval.waiting_for();
    }
    let digest = status.digest.map(|digest| digest.to_string()).unwrap_or_default();
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let message = match (&next.end, next.state) {
        (Some((Reason::ApprovalTimedOut, told)), _) => approval.timed_out().unwrap_or_else(|| told.clone()),
        (Some((_, told)), _) => told.clone(),
        (None, State::AwaitingApproval) => {
            let command = format!("kubectl curfew approve asreq/{name} -n {namespace} --digest {digest}");
            approval.ask(&command).unwrap_or_else(|| match &known.obstacle {
                Some(why) => format!("approved; {why}"),
                None => "approved; waiting for the operator".into(),
            })
        }
        (None, State::Pending | State::Ended(_)) => match &known.terms {
            Err(refusal) => refusal.message.clone(),
            Ok(_) => "waiting for the operator".into(),
        },
    };
    status.message = Some(clip(message, MAX_MESSAGE));
    set_conditions(&mut status, next, tally.approved(), object.metadata.generation, now);
    status
}

/// The uid of the new assignment, with the end that it causes.
fn made(known: &Known, next: &Next) -> Option<String> {
    let is_new = matches!(known.object.spec.action, Action::New(_)) && next.state == State::Ended(Outcome::Applied);
    let old = known.request.made.clone();
    old.or_else(|| known.assignment.as_ref().map(Object::uid)).filter(|uid| is_new && !uid.is_empty())
}

const fn is_by_decision(reason: Reason) -> bool {
    matches!(reason, Reason::DeniedByApprover | Reason::RevokedByApprover | Reason::Withdrawn)
}

fn display(object: &AssignmentRequest, frozen: Option<&Frozen>) -> AssignmentRequestDisplay {
    let until = match &object.spec.action {
        Action::New(new) => Some(new.until),
        Action::Extend(extend) => Some(extend.until),
        Action::Renew(renew) => Some(renew.until),
        Action::Remove(_) => None,
    };
    let name = object.spec.action.assignment_name();
    AssignmentRequestDisplay {
        action: convert::assignment_request_facts(object, None).action.kind().as_str().into(),
        assignment: match object.spec.action.of() {
            AssignmentKind::Eligible => name.to_owned(),
            AssignmentKind::Active => format!("{}/{name}", AssignmentKind::Active.short()),
        },
        subject: frozen.map(|frozen| clip(frozen.terms.subject.to_string(), MAX_MESSAGE)),
        until: until.map(|until| until.to_string()),
    }
}

fn set_conditions(status: &mut AssignmentRequestStatus, next: &Next, approved: bool, generation: Option<i64>, now: Time) {
    let message = status.message.clone().unwrap_or_default();
    let reason = status.reason.clone().unwrap_or_else(|| Reason::AsExpected.as_str().into());
    let applied = next.state == State::Ended(Outcome::Applied);
    let over = matches!(next.state, State::Ended(_));
    let mut set = |type_: &str, is: Is, reason: &str, message: &str| {
        conditions::set(&mut status.conditions, type_, is, reason, message, generation, now);
    };
    match (next.state, next.frozen.is_some()) {
        (State::Pending, _) => set("Accepted", Is::Unknown, "Pending", &message),
        (_, true) => set("Accepted", Is::True, "Accepted", "resolved and frozen"),
        (_, false) => set("Accepted", Is::False, &reason, &message),
    }
    if next.frozen.is_some() {
        match (applied || approved && !over, over) {
            (true, _) => set("Approved", Is::True, "Approved", "every stage has passed"),
            (false, true) => set("Approved", Is::False, &reason, &message),
            (false, false) => set("Approved", Is::False, "AwaitingApproval", &message),
        }
    }
    set("Applied", Is::from(applied), &reason, &message);
    set("Complete", Is::from(over), &reason, &message);
}

/// What the Event about a changed assignment says.
pub(super) fn applied_note(object: &AssignmentRequest) -> String {
    let by = object.spec.requester.as_ref().map(|requester| brief(&requester.username)).unwrap_or_default();
    let display = display(object, None);
    let until = display.until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("{}{until} by AssignmentRequest {} of {by}", display.action, object.name_any())
}

/// The audit record of a transition; of the change of the assignment without a status.
pub(super) fn event(known: &Known, next: Option<&AssignmentRequestStatus>) -> EventData {
    let object = &known.object;
    let status = next.or(object.status.as_ref());
    let terms = status.and_then(|status| status.resolved.as_ref());
    let tally = known.tally();
    let approvals = tally.stages.iter().flat_map(|stage| &stage.approved).map(|i| &known.facts[*i]);
    let keys = known.people.login_keys.mfa.as_ref();
    let counted = |decision: &curfew_core::approval::DecisionFacts| CountedDecision {
        name: decision.decider.username.clone(),
        decision: format!("{:?}", decision.verb),
        at: decision.created,
        duration: None,
        authentication: evidence(keys, &decision.decider),
    };
    let asked: CoreAction = convert::assignment_request_facts(object, None).action;
    let (assignment, verb) = (&asked.assignment().name, asked.kind().verb());
    let holds = match object.spec.action.of() {
        AssignmentKind::Eligible => "eligible",
        AssignmentKind::Active => "standing access",
    };
    let window = terms.map(|terms| format!(": {holds} from {} until {}", terms.window.start, terms.window.end)).unwrap_or_default();
    EventData {
        namespace: object.namespace(),
        name: Some(object.name_any()),
        request: object.uid(),
        actor: object.spec.requester.as_ref().map(|requester| requester.username.clone()),
        // What was accepted was proven.
        authentication: object.spec.requester.as_ref().filter(|_| terms.is_some()).and_then(|requester| evidence(keys, requester)),
        user: terms.map(|terms| terms.subject.principal()),
        role: terms.map(|terms| terms.role.name.clone()),
        assignment: Some(assignment.clone()),
        policy: terms.and_then(|terms| Some(terms.policy.as_ref()?.name.clone())),
        justification: Some(object.spec.justification.clone()),
        digest: status.and_then(|status| status.digest).map(|digest| digest.to_string()),
        expires_at: terms.map(|terms| terms.window.end),
        gives: terms.and_then(|terms| terms.gives.clone()),
        state: next.and_then(|status| status.state).map(|state| format!("{state:?}")),
        reason: next.and_then(|status| status.reason.clone()),
        message: Some(next.and_then(|status| status.message.clone()).unwrap_or_else(|| format!("{verb} assignment {assignment}{window}"))),
        decisions: approvals.map(counted).collect(),
        ..EventData::default()
    }
}
