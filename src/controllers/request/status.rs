//! The status of a request, as users and tools read it. Pure.
use super::{known::Known, waiting::Waiting};
use crate::api::{
    ActivationRequest,
    assignment::NameRef,
    conditions::{self, Is},
    convert,
    request::{ActivationRequestStatus, ApprovalStatus, CountedDecision, ExtendedBy, RequestDisplay, RequestState, StageStatus},
};
use crate::timing::timing;
use curfew_core::{
    approval::{ApprovalStage, DecisionFacts, Stop, Tally, is_stalled, review::ReviewState},
    ids, messages,
    principal::Subject,
    reason::{Reason, TerminalState},
    reconcile::View,
    request::{Request, State, Status},
    resolved::{Resolved, SCHEMA},
    text::{MAX_MESSAGE, brief, clip},
    time::Time,
};
use kube::ResourceExt;

/// What the status shows beside the state of the request.
#[derive(Clone, Copy)]
pub struct StatusInputs<'a> {
    /// What the rules have read.
    pub view: &'a View,
    /// The tally against the terms that the status freezes.
    pub tally: &'a Tally,
    /// The install id.
    pub install: &'a str,
    /// The last error of the target, from the Grant's status.
    pub error: Option<&'a str>,
    /// What ends the access if the operator does not, from the Grant's status.
    pub enforced_by: Option<&'a str>,
    /// Which limit is reached, and who holds its slots, as this run has found.
    pub limit: Option<&'a str>,
    /// The request that extends it.
    pub extended_by: Option<&'a ExtendedBy>,
}

impl<'a> StatusInputs<'a> {
    /// From what a reconcile knows.
    pub fn of(known: &'a Known, install: &'a str) -> Self {
        let grant = known.grant.as_ref().and_then(|grant| grant.status.as_ref());
        StatusInputs {
            view: &known.view,
            tally: &known.tally,
            install,
            error: grant.and_then(|status| status.last_error.as_deref()),
            enforced_by: grant.and_then(|status| status.enforced_by.as_deref()),
            limit: known.limit.as_deref(),
            extended_by: known.extended_by.as_ref(),
        }
    }
}

/// The status for this state, on top of the one that `object` has: times are stamped once.
pub fn status(object: &ActivationRequest, core: &Status, inputs: &StatusInputs<'_>, now: Time) -> ActivationRequestStatus {
    let StatusInputs { view, tally, install, error, enforced_by, limit, extended_by } = *inputs;
    let old = object.status.clone().unwrap_or_default();
    let (state, reason) = shown(core.state);
    let over = matches!(core.state, State::Ended(..));
    let mut status = ActivationRequestStatus {
        schema: Some(SCHEMA),
        observed_generation: object.metadata.generation,
        state: Some(state),
        slots: core.slots.iter().map(ToString::to_string).collect(),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        message: None,
        digest: core.frozen.as_ref().map(|frozen| frozen.terms.digest),
        resolved: core.frozen.as_ref().map(|frozen| (*frozen.terms.resolved).clone()),
        activated_at: core.activated_at.map(Time::floor_secs),
        expires_at: core.expires_at,
        // Once it has ended, it says by what it was extended last.
        extended_by: extended_by.cloned().or_else(|| old.extended_by.clone().filter(|_| over)),
        ended_at: if over { old.ended_at.or(Some(now.floor_secs())) } else { None },
        ended_by: ended_by(&old, core.state, tally.stopped_by, &view.decisions),
        // The name follows from the request's uid, so it is known before the Grant exists.
        grant_ref: core.expires_at.map(|_| NameRef { name: ids::grant_id(install, &object.uid().unwrap_or_default()) }),
        enforced_by: core.expires_at.map(|_| enforced_by.unwrap_or("Curfew").into()),
        session_tail: core
            .expires_at
            .and(core.frozen.as_ref())
            .map(|frozen| frozen.terms.resolved.permissions.provider().session_tail().into()),
        conditions: old.conditions.clone(),
        ..ActivationRequestStatus::default()
    };
    status.approval = core.frozen.as_ref().map(|frozen| match old.approval {
        // What is decided after the end opens and completes no stage.
        Some(last) if over => last,
        Some(_) | None => ApprovalStatus {
            accepted_at: Some(frozen.accepted_at),
            deadline: tally.deadline().or(tally.stages.last().map_or(Some(frozen.accepted_at), |last| last.deadline)),
            stages: stages(core, view, tally, now),
        },
    });
    let approval = Waiting { object, core, tally, now };
    status.waiting_for = match core.state {
        State::AwaitingApproval => approval.waiting_for(),
        State::Scheduled => window(core, view).and_then(|resolved| resolved.start).map(|start| format!("start {start}")),
        State::Pending | State::Activating | State::Active | State::Revoking(_) | State::Ended(..) => None,
    };
    let told = message(&approval, view, (error, limit)) + &extension_in_words(core, status.extended_by.as_ref());
    status.message = Some(clip(told, MAX_MESSAGE));
    status.display = Some(RequestDisplay {
        expires: expires(&approval, view).filter(|_| !over).map(|time| time.to_string()),
        beneficiary: core.frozen.as_ref().map(|frozen| clip(frozen.terms.resolved.beneficiary.to_string(), MAX_MESSAGE)),
    });
    set_conditions(&mut status, core, object.metadata.generation, now, inputs);
    status
}

fn shown(state: State) -> (RequestState, Option<Reason>) {
    match state {
        State::Pending => (RequestState::Pending, None),
        State::AwaitingApproval => (RequestState::AwaitingApproval, None),
        State::Scheduled => (RequestState::Scheduled, None),
        State::Activating => (RequestState::Activating, None),
        State::Active => (RequestState::Active, None),
        State::Revoking(r) => (RequestState::Revoking, Some(r)),
        State::Ended(o, r) => (o.into(), Some(r)),
    }
}

fn stages(core: &Status, view: &View, tally: &Tally, now: Time) -> Vec<StageStatus> {
    let Some(frozen) = &core.frozen else { return Vec::new() };
    stage_statuses(&frozen.terms.resolved.approval, tally, &view.decisions, now)
}

/// The state of each of these stages.
pub fn stage_statuses(stages: &[ApprovalStage], tally: &Tally, decisions: &[DecisionFacts], now: Time) -> Vec<StageStatus> {
    let all = stages.iter().zip(&tally.stages);
    all.map(|(stage, tallied)| StageStatus {
        name: stage.name.clone(),
        quorum: stage.quorum,
        approved: u8::try_from(tallied.approved.len()).unwrap_or(u8::MAX),
        decisions: tallied.approved.iter().map(|i| counted(&decisions[*i])).collect(),
        deadline: tallied.deadline.filter(|_| !tallied.passed()),
        escalates_at: tallied.escalates_at.filter(|_| !tallied.passed()),
        escalated: !tallied.passed() && tallied.escalates_at.is_some_and(|at| now >= at),
        waiting: tallied.waiting.iter().map(|i| counted(&decisions[*i])).collect(),
    })
    .collect()
}

/// A decision as the status names it.
pub fn counted(decision: &DecisionFacts) -> CountedDecision {
    CountedDecision {
        decider: decision.decider.username.clone(),
        decision: decision.verb,
        at: decision.created,
        duration: decision.duration.clone(),
        uid: Some(decision.uid.to_string()),
    }
}

/// The decision that ends the request. Only the transition itself is certain to be made because of it: a later tally may begin with a
/// decision of the same second that was seen later.
fn ended_by(old: &ActivationRequestStatus, state: State, stop: Option<Stop>, decisions: &[DecisionFacts]) -> Option<CountedDecision> {
    let is_ending = |state: Option<RequestState>| state.is_some_and(|s| s == RequestState::Revoking || s.outcome().is_some());
    match state {
        _ if is_ending(old.state) => old.ended_by.clone(),
        State::Revoking(reason) | State::Ended(_, reason) => {
            stop.filter(|stop| stop.reason == reason).map(|stop| counted(&decisions[stop.decision]))
        }
        State::Pending | State::AwaitingApproval | State::Scheduled | State::Activating | State::Active => None,
    }
}

/// What was resolved of a request with a start, or of an extension: when its access ends is known before it begins.
fn window<'a>(core: &'a Status, view: &'a View) -> Option<&'a Resolved> {
    let live = || view.terms.as_ref().as_ref().ok().map(|terms| &*terms.resolved);
    core.frozen.as_ref().map(|frozen| &*frozen.terms.resolved).or_else(live).filter(|resolved| resolved.counts_from().is_some())
}

/// When the access ends, as soon as that is certain.
fn expires(approval: &Waiting<'_>, view: &View) -> Option<Time> {
    let scheduled = || promised_end(approval, view).filter(|_| approval.core.state == State::Scheduled);
    approval.core.expires_at.or_else(scheduled)
}

/// When the access of a request with a start will end, which the approvals may have made sooner than was asked for.
fn promised_end(approval: &Waiting<'_>, view: &View) -> Option<Time> {
    let resolved = window(approval.core, view)?;
    resolved.fixed_end(approval.tally.duration(&resolved.duration))
}

/// Why it is unknown what would be granted, if it is.
fn unreachable(view: &View) -> Option<&str> {
    match &*view.terms {
        Err(r) if matches!(r.reason, Reason::TargetUnreachable | Reason::NotProvenYet) => Some(&r.message),
        Ok(_) | Err(_) => None,
    }
}

/// What happens now, and what the user can do next.
fn message(approval: &Waiting<'_>, view: &View, (error, limit): (Option<&str>, Option<&str>)) -> String {
    let Waiting { object, core, .. } = *approval;
    let (_, reason) = shown(core.state);
    let ended_before = object.status.as_ref().and_then(|s| s.state).and_then(RequestState::outcome).is_some();
    match (core.state, reason) {
        (State::Ended(..), Some(_)) if ended_before => object.status.as_ref().and_then(|s| s.message.clone()).unwrap_or_default(),
        (State::Revoking(r), _) if error.is_some() => {
            format!("{}; being taken away, and not proven gone yet: {}", messages::hint(r), error.unwrap_or_default())
        }
        // The access never came: what the target answered last is why.
        (State::Ended(TerminalState::Failed, r), _) if error.is_some() => {
            format!("{}; the last answer of the target: {}", messages::hint(r), error.unwrap_or_default())
        }
        (State::Ended(_, Reason::WindowPassed), _) => passed(approval, view).unwrap_or_else(|| messages::hint(Reason::WindowPassed).into()),
        (
            State::Ended(_, r @ (Reason::LimitReached | Reason::ReviewOutstanding))
            | State::Revoking(r @ (Reason::LimitReached | Reason::ReviewOutstanding)),
            _,
        ) => limit.map_or_else(|| messages::hint(r).into(), str::to_owned),
        (State::Ended(TerminalState::TimedOut, r), _) => approval.timed_out().unwrap_or_else(|| messages::hint(r).into()),
        (State::Ended(..) | State::Revoking(_), Some(r)) => match &*view.terms {
            Err(refusal) if refusal.reason == r => refusal.message.clone(),
            Ok(terms) if r == Reason::TemplateChanged => changed(core, &terms.resolved),
            Err(_) | Ok(_) => messages::hint(r).into(),
        },
        (State::AwaitingApproval, _) => {
            let approved = || match unreachable(view) {
                Some(why) => format!("approved, and not begun: {why}"),
                None => "approved; waiting for the operator to grant".into(),
            };
            approval.ask().unwrap_or_else(approved)
        }
        (State::Scheduled, _) => scheduled(approval, view).unwrap_or_else(|| "waiting for the operator".into()),
        (State::Activating, _) => match error.or(unreachable(view)) {
            Some(t) => format!("approved, and not granted yet: {t}; it is tried again until the deadline"),
            None => format!("approved{}; the access is on its way", approval.shortened(view)),
        },
        (State::Active, _) => core.expires_at.map_or_else(String::new, |t| {
            let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
            let gone = view.terms.as_ref().as_ref().ok().and_then(|terms| terms.gone.as_ref());
            let gone = gone.map(|gone| format!("; no longer there, and without effect: {gone}")).unwrap_or_default();
            let who =
                requested_for(core, object).map_or_else(|| "you have".to_owned(), |holder| format!("{} has", brief(&holder.to_string())));
            let shortened = approval.shortened(view);
            format!("{who} the access until {t}{shortened}; to give it back sooner: kubectl delete areq {name} -n {namespace}{gone}")
        }),
        (State::Pending | State::Revoking(_) | State::Ended(..), _) => unreachable(view).unwrap_or("waiting for the operator").into(),
    }
}

/// What an active access extends, and by what it is extended.
fn extension_in_words(core: &Status, by: Option<&ExtendedBy>) -> String {
    let extends = core.frozen.as_ref().and_then(|frozen| frozen.terms.resolved.extends.as_ref());
    let extends = extends.map(|extended| format!("; it extends request {}, which lasts until {}", extended.name, extended.until));
    let by = by.map(|by| format!("; request {} extends it until {}", by.name, by.expires_at));
    match core.state {
        State::Active => format!("{}{}", extends.unwrap_or_default(), by.unwrap_or_default()),
        State::Pending | State::AwaitingApproval | State::Scheduled | State::Activating | State::Revoking(_) | State::Ended(..) => {
            String::new()
        }
    }
}

/// The holder, if that is not the requester.
fn requested_for<'a>(core: &'a Status, object: &ActivationRequest) -> Option<&'a Subject> {
    let holder = &core.frozen.as_ref()?.terms.resolved.beneficiary;
    let requester = object.spec.requester.as_ref().map(|requester| requester.username.as_str()).unwrap_or_default();
    (holder.principal() != requester).then_some(holder)
}

/// Who has asked for whom, for an Event about the request of another person; nothing if the holder has asked.
pub fn requested_for_another(request: &Request) -> Option<String> {
    let holder = &request.status.frozen.as_ref()?.terms.resolved.beneficiary;
    let requester = &request.requester.username;
    (holder.principal() != *requester).then(|| {
        let holder = brief(&holder.to_string());
        format!("{} has requested this access for {holder}; neither of the two may approve it, and both may end it", brief(requester))
    })
}

/// When it begins and ends, and how to give it up.
fn scheduled(approval: &Waiting<'_>, view: &View) -> Option<String> {
    let Waiting { object, core, .. } = *approval;
    let resolved = window(core, view)?;
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let unknown = unreachable(view).map(|why| format!("; now it could not begin: {why}")).unwrap_or_default();
    Some(format!(
        "approved{}; the access begins {} and lasts until {}; to give it up: kubectl delete areq {name} -n {namespace}{unknown}",
        approval.shortened(view),
        resolved.start?,
        promised_end(approval, view)?
    ))
}

/// Which window has passed.
fn passed(approval: &Waiting<'_>, view: &View) -> Option<String> {
    let resolved = window(approval.core, view)?;
    if let Some(extended) = &resolved.extends {
        return Some(format!(
            "request {} ended {} before this extension of it was activated; create a new request if you still need the access",
            extended.name, extended.until
        ));
    }
    Some(format!(
        "the window from {} to {} has passed before the access was activated; create a new request if you still need it",
        resolved.start?,
        promised_end(approval, view)?
    ))
}

/// What has changed since the request was accepted.
fn changed(core: &Status, now: &Resolved) -> String {
    let what = core.frozen.as_ref().map(|frozen| now.changed_since(&frozen.terms.resolved));
    let hint = messages::hint(Reason::TemplateChanged);
    what.map_or_else(|| hint.to_owned(), |what| format!("{what}; {hint}"))
}

fn set_conditions(
    status: &mut ActivationRequestStatus,
    core: &Status,
    generation: Option<i64>,
    now: Time,
    StatusInputs { tally, error, view, .. }: &StatusInputs<'_>,
) {
    let message = status.message.clone().unwrap_or_default();
    let reason = status.reason.clone().unwrap_or_else(|| Reason::AsExpected.as_str().into());
    let mut set = |type_: &str, is: Is, reason: &str, message: &str| {
        conditions::set(&mut status.conditions, type_, is, reason, message, generation, now)
    };
    match (core.state, core.frozen.is_some()) {
        (State::Pending, _) => set("Accepted", Is::Unknown, "Pending", &message),
        (_, true) => set("Accepted", Is::True, "Accepted", "resolved and frozen"),
        (_, false) => set("Accepted", Is::False, &reason, &message),
    }
    let is_break_glass = core.frozen.as_ref().is_some_and(|frozen| frozen.terms.resolved.break_glass);
    let approved = if is_break_glass { "break-glass waits for no approval" } else { "every stage has passed" };
    if core.frozen.is_some() {
        match core.state {
            State::AwaitingApproval if !tally.approved() => set("Approved", Is::False, "AwaitingApproval", &message),
            State::AwaitingApproval | State::Scheduled | State::Activating | State::Active => {
                set("Approved", Is::True, "Approved", approved)
            }
            State::Ended(..) if core.expires_at.is_none() => set("Approved", Is::False, &reason, &message),
            State::Pending | State::Revoking(_) | State::Ended(..) => {}
        }
    }
    match core.state {
        State::Active => set("Active", Is::True, "Active", &message),
        State::Revoking(_) => set("Active", Is::Unknown, &reason, "being taken away; unknown counts as present"),
        State::Pending | State::AwaitingApproval | State::Scheduled | State::Activating | State::Ended(..) => {
            set("Active", Is::False, &reason, &message)
        }
    }
    set("Complete", Is::from(matches!(core.state, State::Ended(..))), &reason, &message);
    match core.review {
        ReviewState::NotRequired => {}
        ReviewState::Required => set(convert::REVIEW_REQUIRED, Is::True, "BreakGlass", MUST_BE_REVIEWED),
        ReviewState::Reviewed => {
            let told = reviewed(&view.decisions, tally.review);
            // Once it is stored, it stays: the decision may be deleted later.
            if conditions::find(&status.conditions, convert::REVIEW_REQUIRED).is_none_or(|old| old.status != "False") {
                conditions::set(&mut status.conditions, convert::REVIEW_REQUIRED, Is::False, "Reviewed", told, generation, now);
            }
        }
    }
    let stalled = matches!((core.state, core.expires_at), (State::Revoking(_), Some(end)) if is_stalled(end, now, timing().stalled_secs));
    if stalled || conditions::find(&status.conditions, "Stalled").is_some() {
        let why = match (stalled, error) {
            (true, Some(error)) => format!("the access is past its end and not proven gone: {error}"),
            (true, None) => "the access is past its end and not proven gone".to_owned(),
            (false, _) => String::new(),
        };
        conditions::set(
            &mut status.conditions,
            "Stalled",
            Is::from(stalled),
            if stalled { "RevocationStuck" } else { "AsExpected" },
            why,
            generation,
            now,
        );
    }
}

/// What the condition says while nobody has reviewed.
const MUST_BE_REVIEWED: &str =
    "another person must review this use of break-glass with kubectl curfew review; until then its requester cannot use break-glass again";

/// Who has reviewed, in words.
fn reviewed(decisions: &[DecisionFacts], review: Option<usize>) -> String {
    let by = review.and_then(|i| decisions.get(i));
    by.map_or_else(|| "reviewed".to_owned(), |by| format!("reviewed by {} at {}", brief(&by.decider.username), by.created))
}

/// Whether an outcome is a refusal or a failure, and not the normal end of access.
pub fn is_refusal(outcome: TerminalState) -> bool {
    matches!(outcome, TerminalState::Denied | TerminalState::Invalid | TerminalState::TimedOut | TerminalState::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::convert::names;
    use curfew_core::{admission::Provenance, approval::Verb, principal::UserInfo};
    use std::sync::Arc;

    fn decision(uid: &str, by: &str) -> DecisionFacts {
        DecisionFacts {
            uid: uid.into(),
            decider: Arc::new(UserInfo { username: by.into(), ..UserInfo::default() }),
            verb: Verb::Deny,
            digest: None,
            duration: None,
            commented: false,
            request_uid: None,
            created: Time::from_secs(20),
            manager: Some(false),
            proven: true,
            provenance: Provenance::Verified,
            counted_before: false,
            emergency: false,
        }
    }

    #[test]
    fn of_several_decisions_of_one_second_the_status_names_the_one_that_ended_the_request() {
        let (first, second) = (decision("b", "carol"), decision("a", "carol"));
        let denied = State::Ended(TerminalState::Denied, Reason::DeniedByApprover);
        let stop = |reason| Some(Stop { decision: 0, reason });
        let named = ended_by(&ActivationRequestStatus::default(), denied, stop(Reason::DeniedByApprover), std::slice::from_ref(&first));
        let ended = ActivationRequestStatus { state: Some(RequestState::Denied), ended_by: named, ..ActivationRequestStatus::default() };
        assert!(names(&ended, &first) && !names(&ended, &second));
        // The second one was seen later, and comes first in a later tally.
        let later = ended_by(&ended, denied, stop(Reason::DeniedByApprover), &[second.clone(), first.clone()]);
        assert_eq!(later, ended.ended_by);
        // A request that ends for another reason is ended by no decision.
        let open = ActivationRequestStatus { state: Some(RequestState::Active), ..ActivationRequestStatus::default() };
        assert_eq!(
            ended_by(&open, State::Revoking(Reason::DeadlinePassed), stop(Reason::DeniedByApprover), std::slice::from_ref(&first)),
            None
        );
        let revoking = ended_by(&open, State::Revoking(Reason::DeniedByApprover), stop(Reason::DeniedByApprover), &[first]);
        assert_eq!(revoking, ended.ended_by);
    }
}
