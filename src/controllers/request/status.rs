//! From the rules' few words to the status that people and tools read. Pure.
use crate::api::{
    ActivationRequest,
    assignment::NameRef,
    conditions::{self, Is},
    request::{ActivationRequestStatus, ApprovalStatus, CountedDecision, RequestDisplay, RequestState, StageStatus},
};
use crate::controllers::convert;
use curfew_core::{
    admission::AdmissionHistory,
    approval::Tally,
    duration::Period,
    ids, messages,
    principal::Subject,
    reason::{Reason, TerminalState},
    reconcile::View,
    request::{State, Status, tally_decisions},
    resolved::SCHEMA,
    time::Time,
};
use kube::ResourceExt;

/// How long an ended request is kept, where it does not say.
const KEPT: &str = "7d";

/// What the status tells beside the rules' own words.
#[derive(Clone, Copy, Debug)]
pub struct StatusContext<'a> {
    /// The install id.
    pub install: &'a str,
    /// What the target answered last, if something went wrong there.
    pub trouble: Option<&'a str>,
    /// Who ends the access, as its Grant shows it.
    pub enforced_by: Option<&'a str>,
}

/// The status for this state, resting on what `object` has already: times are stamped once.
pub fn status(object: &ActivationRequest, core: &Status, view: &View, around: StatusContext<'_>, now: Time) -> ActivationRequestStatus {
    let old = object.status.clone().unwrap_or_default();
    // Words are counted here, whatever the gate says of the request.
    let request = curfew_core::request::Request { status: core.clone(), ..convert::request(object, &AdmissionHistory::default()) };
    let tally = tally_decisions(&request, &view.decisions, &view.alias_keys);
    let (state, reason) = shown(core.state);
    let over = matches!(core.state, State::Ended(..));
    let mut s = ActivationRequestStatus {
        schema: Some(SCHEMA),
        observed_generation: object.metadata.generation,
        state: Some(state),
        reason: reason.map(|r| r.as_str().to_owned()),
        message: None,
        digest: core.frozen.as_ref().map(|f| f.terms.digest),
        resolved: core.frozen.as_ref().map(|f| (*f.terms.resolved).clone()),
        activated_at: core.activated_at.map(Time::floor_secs),
        expires_at: core.expires_at,
        ended_at: if over { old.ended_at.or(Some(now.floor_secs())) } else { None },
        // The name follows from the request, so it can be told before the Grant is there.
        grant_ref: core.expires_at.map(|_| NameRef { name: ids::grant_id(around.install, &request.uid) }),
        enforced_by: core.expires_at.map(|_| around.enforced_by.unwrap_or("Curfew").into()),
        session_tail: core.expires_at.and(core.frozen.as_ref()).map(|f| f.terms.resolved.permissions.provider().session_tail().into()),
        conditions: old.conditions.clone(),
        ..ActivationRequestStatus::default()
    };
    s.approval = core.frozen.as_ref().map(|f| ApprovalStatus {
        deadline: Some(f.approval_deadline),
        stages: if over { old.approval.map(|a| a.stages).unwrap_or_default() } else { stages(core, view, &tally) },
    });
    s.waiting_for = (core.state == State::AwaitingApproval).then(|| waiting_for(core, &tally)).flatten();
    s.message = Some(conditions::clip(message(object, core, view, &tally, around.trouble)));
    s.display = Some(RequestDisplay {
        expires: core.expires_at.filter(|_| !over).map(|t| t.to_string()),
        beneficiary: core.frozen.as_ref().map(|f| f.terms.resolved.beneficiary.to_string()),
    });
    set_conditions(&mut s, core, object.metadata.generation, now, &tally);
    s
}

fn shown(state: State) -> (RequestState, Option<Reason>) {
    match state {
        State::Pending => (RequestState::Pending, None),
        State::AwaitingApproval => (RequestState::AwaitingApproval, None),
        State::Activating => (RequestState::Activating, None),
        State::Active => (RequestState::Active, None),
        State::Revoking(r) => (RequestState::Revoking, Some(r)),
        State::Ended(o, r) => (o.into(), Some(r)),
    }
}

fn stages(core: &Status, view: &View, tally: &Tally) -> Vec<StageStatus> {
    let Some(frozen) = &core.frozen else { return Vec::new() };
    let word = |i: &usize| {
        let w = &view.decisions[*i];
        CountedDecision { decider: w.decider.username.clone(), decision: w.verb, at: w.created }
    };
    let all = frozen.terms.resolved.approval.iter().zip(&tally.stages);
    all.map(|(stage, sum)| StageStatus {
        name: stage.name.clone(),
        quorum: stage.quorum,
        approved: u8::try_from(sum.approved.len()).unwrap_or(u8::MAX),
        decisions: sum.approved.iter().map(word).collect(),
    })
    .collect()
}

fn waiting_for(core: &Status, tally: &Tally) -> Option<String> {
    let (stage, sum) = open(core, tally)?;
    Some(format!("{} {}/{}", stage.name, sum.approved.len(), stage.quorum))
}

fn open<'a>(
    core: &'a Status,
    tally: &'a Tally,
) -> Option<(&'a curfew_core::approval::ApprovalStage, &'a curfew_core::approval::StageTally)> {
    let i = tally.open_stage()?;
    Some((core.frozen.as_ref()?.terms.resolved.approval.get(i)?, tally.stages.get(i)?))
}

/// Why nobody can tell what would be granted, if nobody can.
fn unreachable(view: &View) -> Option<&str> {
    match &*view.terms {
        Err(r) if r.reason == Reason::TargetUnreachable => Some(&r.message),
        Ok(_) | Err(_) => None,
    }
}

/// What to do next, in words.
fn message(object: &ActivationRequest, core: &Status, view: &View, tally: &Tally, trouble: Option<&str>) -> String {
    let (_, reason) = shown(core.state);
    let ended_before = object.status.as_ref().and_then(|s| s.state).and_then(RequestState::outcome).is_some();
    match (core.state, reason) {
        (State::Ended(..), Some(_)) if ended_before => object.status.as_ref().and_then(|s| s.message.clone()).unwrap_or_default(),
        (State::Revoking(r), _) if trouble.is_some() => {
            format!("{}; being taken away, and not proven gone yet: {}", messages::hint(r), trouble.unwrap_or_default())
        }
        (State::Ended(..) | State::Revoking(_), Some(r)) => match &*view.terms {
            Err(refusal) if refusal.reason == r => refusal.message.clone(),
            Err(_) | Ok(_) => messages::hint(r).into(),
        },
        (State::AwaitingApproval, _) => {
            let approved = || match unreachable(view) {
                Some(why) => format!("approved, and not begun: {why}"),
                None => "approved; waiting for the operator to grant".into(),
            };
            ask_for_approval(object, core, tally).unwrap_or_else(approved)
        }
        (State::Activating, _) => match trouble.or(unreachable(view)) {
            Some(t) => format!("approved, and not granted yet: {t}; it is tried again until the deadline"),
            None => "approved; the access is on its way".into(),
        },
        (State::Active, _) => core.expires_at.map_or_else(String::new, |t| {
            format!(
                "you have the access until {t}; to give it back sooner: kubectl delete areq {} -n {}",
                object.name_any(),
                object.namespace().unwrap_or_default()
            )
        }),
        (State::Pending | State::Revoking(_) | State::Ended(..), _) => unreachable(view).unwrap_or("waiting for the operator").into(),
    }
}

/// The ready command, with what was seen.
fn ask_for_approval(object: &ActivationRequest, core: &Status, tally: &Tally) -> Option<String> {
    let (stage, sum) = open(core, tally)?;
    let missing = usize::from(stage.quorum).saturating_sub(sum.approved.len());
    let who: Vec<String> = stage.approvers.iter().map(Subject::principal).collect();
    let digest = core.frozen.as_ref()?.terms.digest;
    Some(format!(
        "waiting for {missing} of {}: kubectl curfew approve {} -n {} --digest {digest}",
        who.join(", "),
        object.name_any(),
        object.namespace().unwrap_or_default()
    ))
}

fn set_conditions(s: &mut ActivationRequestStatus, core: &Status, generation: Option<i64>, now: Time, tally: &Tally) {
    let message = s.message.clone().unwrap_or_default();
    let reason = s.reason.clone().unwrap_or_else(|| Reason::AsExpected.as_str().into());
    let mut set =
        |type_: &str, is: Is, reason: &str, message: &str| conditions::set(&mut s.conditions, type_, is, reason, message, generation, now);
    match (core.state, core.frozen.is_some()) {
        (State::Pending, _) => set("Accepted", Is::Unknown, "Pending", &message),
        (_, true) => set("Accepted", Is::True, "Accepted", "resolved and frozen"),
        (_, false) => set("Accepted", Is::False, &reason, &message),
    }
    if core.frozen.is_some() {
        match core.state {
            State::AwaitingApproval if !tally.approved() => set("Approved", Is::False, "AwaitingApproval", &message),
            State::AwaitingApproval | State::Activating | State::Active => set("Approved", Is::True, "Approved", "every stage has passed"),
            State::Ended(..) if core.expires_at.is_none() => set("Approved", Is::False, &reason, &message),
            State::Pending | State::Revoking(_) | State::Ended(..) => {}
        }
    }
    match core.state {
        State::Active => set("Active", Is::True, "Active", &message),
        State::Revoking(_) => set("Active", Is::Unknown, &reason, "being taken away; unknown counts as present"),
        State::Pending | State::AwaitingApproval | State::Activating | State::Ended(..) => set("Active", Is::False, &reason, &message),
    }
    set("Complete", Is::from(matches!(core.state, State::Ended(..))), &reason, &message);
    let stalled = matches!((core.state, core.expires_at), (State::Revoking(_), Some(t)) if now.millis_since(t) > 60_000);
    if stalled || conditions::find(&s.conditions, "Stalled").is_some() {
        let why =
            if stalled { "the access is past its end and not proven gone; the Grant's status says what the target answers" } else { "" };
        conditions::set(
            &mut s.conditions,
            "Stalled",
            Is::from(stalled),
            if stalled { "RevocationStuck" } else { "AsExpected" },
            why,
            generation,
            now,
        );
    }
}

/// When an ended request is deleted.
pub fn kept_until(r: &ActivationRequest) -> Option<Time> {
    let status = r.status.as_ref()?;
    status.state.and_then(RequestState::outcome)?;
    let kept: Period = r.spec.ttl_after_finished.or_else(|| KEPT.parse().ok())?;
    Some(status.ended_at?.plus_secs(kept.secs()))
}

/// Whether an outcome is one that somebody decided, rather than the end of a good thing.
pub fn is_refusal(o: TerminalState) -> bool {
    matches!(o, TerminalState::Denied | TerminalState::Invalid | TerminalState::TimedOut | TerminalState::Failed)
}
