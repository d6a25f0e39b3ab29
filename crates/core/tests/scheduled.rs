//! A request with a start, and a role with limits: what is decided before and at each moment.
use curfew_core::{
    admission::Provenance,
    approval::{DecisionFacts, Verb},
    digest::Digest,
    limits::{Answer, Limit, Maxima},
    principal::{Recognition, Subject, UserInfo},
    reason::{Reason, TerminalState},
    request::{Decision, Frozen, GrantView, Inputs, Request, State, Status, decide},
    requeue::Requeue,
    resolved::{Resolved, Schema, Terms},
    terms::{Refusal, resolve},
    time::Time,
};
use std::sync::Arc;

#[allow(dead_code)] // the other tests use more of it
mod fixture;
use fixture::{NOW, fixture, with};

/// The request starts an hour from now and lasts 45 minutes.
const START: i64 = 3_600;
const END: i64 = START + 45 * 60;

/// The facts of one decision. Carol's approval counts.
struct Case {
    at: i64,
    state: State,
    terms: Result<Terms, Refusal>,
    frozen: Terms,
    decisions: Vec<DecisionFacts>,
    fresh: bool,
    permit: bool,
    expires_at: Option<Time>,
    slots: Option<Answer>,
    held: Vec<Arc<str>>,
}

fn terms(change: impl FnOnce(&mut Resolved)) -> Terms {
    let mut f = fixture();
    f.asked.start = Some(NOW.plus_secs(START));
    let mut resolved = (*resolve(&f.asked, &f.inputs()).unwrap().resolved).clone();
    change(&mut resolved);
    Terms::new(resolved)
}

fn says(verb: Verb, digest: Digest, at: i64) -> DecisionFacts {
    DecisionFacts {
        uid: format!("{verb:?}-{at}").into(),
        decider: Arc::new(UserInfo { username: "carol".into(), groups: Arc::new(vec!["leads".into()]), ..UserInfo::default() }),
        verb,
        digest: Some(digest),
        duration: None,
        commented: false,
        request_uid: None,
        created: NOW.plus_secs(at),
        manager: Some(false),
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    }
}

fn case(at: i64, state: State) -> Case {
    let frozen = terms(|_| ());
    let decisions = vec![says(Verb::Approve, frozen.digest, 5)];
    let terms = Ok(frozen.clone());
    Case { at, state, terms, frozen, decisions, fresh: false, permit: true, expires_at: None, slots: None, held: Vec::new() }
}

impl Case {
    fn decide(&self) -> Decision {
        let frozen = Frozen { terms: self.frozen.clone(), accepted_at: NOW };
        let status = Status {
            state: self.state,
            frozen: (self.state != State::Pending).then_some(frozen),
            expires_at: self.expires_at,
            slots: self.held.clone(),
            ..Status::NEW
        };
        let request = Request {
            break_glass: false,
            version: "1".into(),
            schema: Schema::Known,
            uid: "r1".into(),
            created: NOW,
            provenance: Provenance::Verified,
            requester: Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() }),
            beneficiary: None,
            status,
        };
        decide(&Inputs {
            now: NOW.plus_secs(self.at),
            request: &request,
            terms: &self.terms,
            decisions: &self.decisions,
            people: Recognition::STRICT,
            grant: GrantView::None,
            permit: self.permit,
            fresh: self.fresh,
            absent_since: None,
            slots: self.slots.as_ref(),
        })
    }
    fn with(mut self, change: impl FnOnce(&mut Case)) -> Self {
        change(&mut self);
        self
    }
}

fn becomes(d: &Decision) -> Option<State> {
    match d {
        Decision::Commit(status) => Some(status.state),
        _ => None,
    }
}
fn ends(d: &Decision) -> Option<(TerminalState, Reason)> {
    match becomes(d) {
        Some(State::Ended(state, reason)) => Some((state, reason)),
        _ => None,
    }
}
const PASSED: Option<(TerminalState, Reason)> = Some((TerminalState::Expired, Reason::WindowPassed));

#[test]
fn what_is_approved_waits_for_its_start_and_ends_when_it_was_promised_to_end() {
    use State::{Activating, AwaitingApproval, Scheduled};
    let start = NOW.plus_secs(START);
    // Every second around the start and the end, and some before.
    let moments = (0..START).step_by(97).chain(START - 3..START + 3).chain(START..END).chain(END - 3..END + 3);
    for at in moments {
        let waiting = case(at, AwaitingApproval).decide();
        let scheduled = case(at, Scheduled).decide();
        let expires = |d: &Decision| matches!(d, Decision::Commit(s) if s.expires_at == Some(NOW.plus_secs(END)));
        match () {
            () if at < START => {
                assert!(becomes(&waiting) == Some(Scheduled) && !expires(&waiting), "{at}");
                assert_eq!(scheduled, Decision::Wait(Requeue::At(start)), "{at}");
            }
            () if at < END => {
                assert!(becomes(&waiting) == Some(Activating) && expires(&waiting), "{at}");
                assert!(becomes(&scheduled) == Some(Activating) && expires(&scheduled), "{at}");
            }
            () => assert_eq!((ends(&waiting), ends(&scheduled)), (PASSED, PASSED), "{at}"),
        }
    }
    let unpermitted = case(START, State::Scheduled).with(|c| c.permit = false).decide();
    assert_eq!(unpermitted, Decision::Wait(Requeue::OnChange), "nothing begins without the permit");
}

#[test]
fn the_grant_is_not_created_before_the_start_nor_for_longer() {
    let create =
        |at: i64, end: i64| case(at, State::Activating).with(|c| (c.fresh, c.expires_at) = (true, Some(NOW.plus_secs(end)))).decide();
    assert_eq!(create(START, END), Decision::CreateGrant { expires_at: NOW.plus_secs(END) });
    // Another replica, whose clock is ahead, has stored it.
    assert_eq!(create(START - 2, END), Decision::Wait(Requeue::At(NOW.plus_secs(START))));
    assert_eq!(becomes(&create(START + 60, END + 1)), Some(State::Revoking(Reason::NotApproved)), "a status that was forged");
}

#[test]
fn a_decision_that_is_not_settled_is_waited_for_after_the_start_too() {
    let decide = |verb: Verb, manager: Option<bool>| {
        let mona = Arc::new(UserInfo { username: "mona".into(), ..UserInfo::default() });
        let pending = |c: &mut Case| {
            c.decisions.push(DecisionFacts { manager, decider: mona.clone(), ..says(verb, c.frozen.digest, START + 60) });
        };
        let late = case(START + 120, State::Activating).with(|c| (c.fresh, c.expires_at) = (true, Some(NOW.plus_secs(END))));
        late.with(pending).decide()
    };
    for verb in [Verb::Deny, Verb::Revoke] {
        assert_eq!(decide(verb, None), Decision::Wait(Requeue::Backoff), "{verb:?}");
    }
    assert!(matches!(becomes(&decide(Verb::Deny, Some(true))), Some(State::Revoking(_) | State::Ended(..))), "settled");
    assert_eq!(decide(Verb::Approve, None), Decision::CreateGrant { expires_at: NOW.plus_secs(END) }, "it is not missing");
}

#[test]
fn a_scheduled_request_is_judged_again_with_each_change() {
    let scheduled = |fresh: bool, change: fn(&mut Case)| case(1_000, State::Scheduled).with(|c| c.fresh = fresh).with(change).decide();
    let waits = Decision::Wait(Requeue::At(NOW.plus_secs(START)));
    assert_eq!(scheduled(true, |_| ()), waits);
    let deny = |c: &mut Case| c.decisions.push(says(Verb::Deny, c.frozen.digest, 900));
    assert_eq!(ends(&scheduled(false, deny)), Some((TerminalState::Denied, Reason::DeniedByApprover)));
    let withdraw = |c: &mut Case| {
        let decision = says(Verb::Revoke, c.frozen.digest, 900);
        let decider = Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() });
        c.decisions.push(DecisionFacts { decider, ..decision });
    };
    assert_eq!(ends(&scheduled(false, withdraw)), Some((TerminalState::Cancelled, Reason::RevokedByHolder)));
    let changed = |c: &mut Case| c.terms = Ok(terms(|r| r.policy.uid = "another".into()));
    assert_eq!(scheduled(false, changed), Decision::ReadLive, "a watch that lags ends nothing");
    assert_eq!(ends(&scheduled(true, changed)), Some((TerminalState::Invalid, Reason::TemplateChanged)));
    let suspended = |c: &mut Case| c.terms = Err(Refusal::new(Reason::Suspended, ""));
    assert_eq!(ends(&scheduled(true, suspended)), Some((TerminalState::Denied, Reason::Suspended)));
    // The configuration may have changed since: the login of the approver no longer suffices.
    let unproven = |c: &mut Case| c.decisions[0].proven = false;
    assert_eq!(scheduled(false, unproven), Decision::ReadLive);
    assert_eq!(ends(&scheduled(true, unproven)), Some((TerminalState::Invalid, Reason::NotApproved)));
    let unknown = |c: &mut Case| c.terms = Err(Refusal::new(Reason::TargetUnreachable, ""));
    assert_eq!(scheduled(true, unknown), waits, "what is unknown ends nothing");
    let unproven_and_unknown = |c: &mut Case| {
        c.decisions[0].proven = false;
        c.terms = Err(Refusal::new(Reason::NotProvenYet, ""));
    };
    assert_eq!(scheduled(true, unproven_and_unknown), waits, "a configuration that is lost for a moment ends nothing");
    let at_start = case(START, State::Scheduled).with(unknown).decide();
    assert_eq!(at_start, Decision::Wait(Requeue::Backoff), "nor does anything begin on it");
    assert_eq!(ends(&case(END, State::Scheduled).with(unknown).decide()), PASSED, "a window that has passed has passed");
}

#[test]
fn an_approval_is_waited_for_no_longer_than_the_window() {
    let waiting = |at: i64| case(at, State::AwaitingApproval).with(|c| c.decisions.clear()).decide();
    assert_eq!(waiting(10), Decision::Wait(Requeue::At(NOW.plus_secs(END))), "the stage would wait for a day");
    assert_eq!(ends(&waiting(END)), PASSED);
    let pending = |at: i64, fresh: bool| case(at, State::Pending).with(|c| c.fresh = fresh).decide();
    assert_eq!(becomes(&pending(10, false)), Some(State::AwaitingApproval));
    assert_eq!(pending(END, false), Decision::ReadLive, "the duration may be the template's");
    assert_eq!(ends(&pending(END, true)), PASSED);
}

#[test]
fn a_start_is_part_of_what_is_approved() {
    let terms = |start: Option<i64>| with(|f| f.asked.start = start.map(|secs| NOW.plus_secs(secs))).unwrap();
    assert_ne!(terms(Some(START)).digest, terms(None).digest);
    assert_ne!(terms(Some(START)).digest, terms(Some(START + 1)).digest);
}

#[test]
fn the_whole_window_must_fit() {
    let refused = |start: i64, change: fn(&mut fixture::Fixture)| {
        with(|f| {
            f.asked.start = Some(NOW.plus_secs(start));
            change(f);
        })
        .err()
        .map(|e| (e.reason, e.message))
    };
    assert_eq!(refused(START, |f| f.assignments[0].window = fixture::window(-10, END)), None);
    let (reason, message) = refused(START, |f| f.assignments[0].window = fixture::window(-10, END - 1)).unwrap();
    assert!(reason == Reason::OutsideWindow && message.contains("the whole duration must fit"), "{message}");
    let later = refused(START, |f| f.assignments[0].window = fixture::window(60, 2 * END)).unwrap();
    assert_eq!(later.0, Reason::OutsideWindow, "who becomes eligible later asks later");
    assert_eq!(refused(START, |f| f.asked.not_after = Some(NOW.plus_secs(END))), None);
    assert_eq!(refused(START, |f| f.asked.not_after = Some(NOW.plus_secs(END - 1))).unwrap().0, Reason::OutsideWindow);
    assert_eq!(refused(30 * 86_400, |_| ()), None);
    assert_eq!(refused(30 * 86_400 + 1, |_| ()).unwrap().0, Reason::OutsideWindow);
}

fn limits() -> Arc<[Limit]> {
    Limit::of_role("payments", "admin", &Subject::User("alice".into()), Maxima { active: 1, per_subject: 1 }).into()
}

/// A role with limits, and a request that can begin.
fn limited(state: State, fresh: bool, slots: Option<Answer>) -> Case {
    let terms = Terms { limits: limits(), ..terms(|_| ()) };
    case(START, state).with(|c| (c.terms, c.fresh, c.slots) = (Ok(terms), fresh, slots))
}

#[test]
fn an_approved_request_takes_its_slots_before_it_is_activated() {
    use State::{Activating, AwaitingApproval};
    let names: Vec<Arc<str>> =
        limits().iter().map(|limit| curfew_core::limits::SlotName { family: &limit.family, index: 0 }.to_string().into()).collect();
    let taken = || Some(Answer::Taken(names.clone()));
    assert_eq!(limited(AwaitingApproval, false, None).decide(), Decision::ReadLive, "limits are judged on live facts");
    assert_eq!(limited(AwaitingApproval, true, None).decide(), Decision::TakeSlots(limits()));
    let stored = |d: &Decision| matches!(d, Decision::Commit(status) if status.state == Activating && status.slots == names);
    assert!(stored(&limited(AwaitingApproval, true, taken()).decide()));
    let full = Some((TerminalState::Denied, Reason::LimitReached));
    assert_eq!(ends(&limited(AwaitingApproval, true, Some(Answer::Full)).decide()), full);
    // It is scheduled with its slots, too.
    let early = limited(AwaitingApproval, true, taken()).with(|c| c.at = 10).decide();
    assert!(matches!(&early, Decision::Commit(status) if status.state == State::Scheduled && status.slots == names));
    // Before approvers are asked it is only looked.
    let pending = |slots| limited(State::Pending, true, slots).with(|c| c.at = 10).decide();
    assert_eq!(limited(State::Pending, false, None).with(|c| c.at = 10).decide(), Decision::ReadLive);
    assert_eq!(pending(None), Decision::CheckLimits(limits()));
    assert_eq!(becomes(&pending(Some(Answer::Free))), Some(AwaitingApproval));
    assert_eq!(ends(&pending(Some(Answer::Full))), full);
}

#[test]
fn the_grant_needs_slots_that_are_seen() {
    let names: Vec<Arc<str>> =
        limits().iter().map(|limit| curfew_core::limits::SlotName { family: &limit.family, index: 0 }.to_string().into()).collect();
    let create = |held: &[Arc<str>], slots: Option<Answer>| {
        let held = held.to_vec();
        limited(State::Activating, true, slots).with(|c| (c.held, c.expires_at) = (held, Some(NOW.plus_secs(END)))).decide()
    };
    assert_eq!(create(&names, None), Decision::TakeSlots(limits()), "a status that says so is not believed");
    let taken = || Some(Answer::Taken(names.clone()));
    assert_eq!(create(&names, taken()), Decision::CreateGrant { expires_at: NOW.plus_secs(END) });
    // The caches did not show the limit when it was approved.
    assert!(matches!(create(&[], taken()), Decision::Commit(status) if status.state == State::Activating && status.slots == names));
    assert_eq!(becomes(&create(&names, Some(Answer::Full))), Some(State::Revoking(Reason::LimitReached)));
}
