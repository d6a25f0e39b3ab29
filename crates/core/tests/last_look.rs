//! The last decisions before a Grant is created: a forged status is not believed, unproven decisions do not block the Grant, and an
//! approval times out on live facts alone.
use curfew_core::{
    admission::Provenance,
    approval::{ApprovalStage, CommentRule, DecisionFacts, Escalation, StageOrder, Verb},
    digest::Digest,
    duration::Duration,
    principal::{Recognition, Subject, UserInfo},
    reason::{Reason, TerminalState},
    request::{Decision, Frozen, GrantView, Inputs, Request, State, Status, decide},
    requeue::Requeue,
    resolved::{Ref, Resolved, SCHEMA, Schema, SystemRef, Terms},
    target::{
        Empty, GrantedPermissions, GrantedScope, Principal,
        kubernetes::{GrantedRoles, GrantedScope as KubernetesScope},
    },
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

const NOW: Time = Time::from_secs(10_000);
const HOUR: i64 = 3_600;

fn reference(name: &str) -> Ref {
    Ref { name: name.into(), uid: name.into() }
}

fn terms(approvers: &[&str]) -> Terms {
    let user = |n: &&str| Subject::User((*n).into());
    let stage = ApprovalStage {
        name: "owners".into(),
        approvers: approvers.iter().map(user).collect(),
        quorum: 1,
        timeout: None,
        escalation: None,
        mfa: None,
        comment: CommentRule::Optional,
    };
    Terms::new(Resolved {
        break_glass: false,
        schema: SCHEMA,
        request: "r1".into(),
        requester: "alice".into(),
        beneficiary: Subject::User("alice".into()),
        principal: Principal::Kubernetes(Subject::User("alice".into())),
        system: SystemRef { name: "here".into(), uid: "s1".into(), target: "t1".into() },
        role: reference("role"),
        assignment: reference("assignment"),
        policy: reference("policy"),
        permissions: GrantedPermissions::Kubernetes(GrantedRoles { roles: Vec::new() }),
        scope: GrantedScope::Kubernetes(KubernetesScope::ClusterWide(Empty {})),
        duration: "1h".parse().unwrap(),
        start: None,
        extends: None,
        approval: if approvers.is_empty() { Vec::new() } else { vec![stage] },
        order: StageOrder::Sequential,
        author: None,
    })
}

fn says(who: &str, verb: Verb, digest: Digest, at: i64) -> DecisionFacts {
    DecisionFacts {
        uid: format!("{who}-{at}").into(),
        decider: Arc::new(UserInfo { username: who.into(), ..UserInfo::default() }),
        proven: true,
        verb,
        digest: Some(digest),
        duration: None,
        commented: false,
        request_uid: None,
        created: Time::from_secs(at),
        manager: Some(false),
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    }
}

/// Approved by Carol a moment ago, and read live after that was stored; changed by `change`.
fn decided(change: impl FnOnce(&mut Request, &mut Vec<DecisionFacts>)) -> Decision {
    decided_on(true, change)
}

/// The same on live facts, or on those of the stores.
fn decided_on(fresh: bool, change: impl FnOnce(&mut Request, &mut Vec<DecisionFacts>)) -> Decision {
    let live = terms(&["carol"]);
    let mut words = vec![says("carol", Verb::Approve, live.digest, 9_990)];
    let frozen = Frozen { terms: live.clone(), accepted_at: Time::from_secs(9_900) };
    let status = Status { state: State::Activating, frozen: Some(frozen), expires_at: Some(NOW.plus_secs(HOUR)), ..Status::NEW };
    let mut request = Request {
        break_glass: false,
        version: "1".into(),
        schema: Schema::Known,
        uid: "r1".into(),
        created: Time::from_secs(9_900),
        provenance: Provenance::Verified,
        requester: Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() }),
        beneficiary: None,
        status,
    };
    change(&mut request, &mut words);
    let facts = Inputs {
        now: NOW,
        request: &request,
        terms: &Ok(live),
        decisions: &words,
        people: Recognition::STRICT,
        grant: GrantView::None,
        permit: true,
        fresh,
        absent_since: None,
        slots: None,
    };
    decide(&facts)
}

/// The state of an active request whose Grant has ended at its deadline, or seems to have, this many seconds after that.
fn when_its_grant_has_ended(after: i64, drifted: bool, words: &[DecisionFacts]) -> State {
    let live = terms(&["carol"]);
    let frozen = Frozen { terms: live.clone(), accepted_at: Time::from_secs(9_900) };
    let (state, expires_at) = (State::Active, Some(NOW.plus_secs(-after)));
    let status = Status { state, frozen: Some(frozen), expires_at, activated_at: Some(Time::from_secs(9_950)), ..Status::NEW };
    let request = Request {
        break_glass: false,
        version: "1".into(),
        schema: Schema::Known,
        uid: "r1".into(),
        created: Time::from_secs(9_900),
        provenance: Provenance::Verified,
        requester: Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() }),
        beneficiary: None,
        status,
    };
    let since = Some(Time::from_secs(9_950));
    let grant = GrantView::Ended { active_since: since, drifted, refused: false, outgrown: false, abandoned: false };
    let facts = Inputs {
        now: NOW,
        request: &request,
        terms: &Ok(live),
        decisions: words,
        people: Recognition::STRICT,
        grant,
        permit: false,
        fresh: false,
        absent_since: None,
        slots: None,
    };
    match decide(&facts) {
        Decision::Commit(status) => status.state,
        other => panic!("{other:?}"),
    }
}

/// Replicas whose clocks differ must agree on it: what extends this request ends with it if it has ended early.
#[test]
fn a_grant_that_ended_at_its_deadline_by_another_clock_has_not_drifted() {
    let expired = State::Ended(TerminalState::Expired, Reason::DeadlinePassed);
    for after in [-9, -1, 0, 5] {
        assert_eq!(when_its_grant_has_ended(after, false, &[]), expired, "{after}");
    }
    assert_eq!(when_its_grant_has_ended(-60, false, &[]), State::Ended(TerminalState::Revoked, Reason::Drifted));
    assert_eq!(when_its_grant_has_ended(1, true, &[]), State::Ended(TerminalState::Revoked, Reason::Drifted));
}

#[test]
fn a_revocation_before_the_deadline_counts_also_if_the_grant_ended_before_it_was_seen() {
    let digest = terms(&["carol"]).digest;
    let ended_by = |at| when_its_grant_has_ended(1, false, &[says("carol", Verb::Revoke, digest, at)]);
    let end = NOW.as_millis() / 1000 - 1;
    assert_eq!(ended_by(end - 5), State::Ended(TerminalState::Revoked, Reason::RevokedByApprover));
    assert_eq!(ended_by(end), State::Ended(TerminalState::Expired, Reason::DeadlinePassed), "it was made when it was over");
}

fn stopped(d: &Decision) -> Option<Reason> {
    match d {
        Decision::Commit(Status { state: State::Revoking(reason), .. }) => Some(*reason),
        _ => None,
    }
}

#[test]
fn what_was_approved_is_granted() {
    assert_eq!(decided(|_, _| ()), Decision::CreateGrant { expires_at: NOW.plus_secs(HOUR) });
}

#[test]
fn a_forged_status_is_not_believed() {
    assert_eq!(stopped(&decided(|_, words| words.clear())), Some(Reason::NotApproved));
    // The status claims that no approval is needed, and that the request is active already, which would skip the comparison.
    let forged = |r: &mut Request, words: &mut Vec<DecisionFacts>| {
        words.clear();
        r.status.activated_at = Some(NOW);
        r.status.frozen.as_mut().unwrap().terms = terms(&[]);
    };
    assert_eq!(stopped(&decided(forged)), Some(Reason::TemplateChanged));
    // Approved for an hour; the status claims a day.
    assert_eq!(stopped(&decided(|r, _| r.status.expires_at = Some(NOW.plus_secs(24 * HOUR)))), Some(Reason::NotApproved));
    // Created while admission was not enforced; the status claims that it was accepted.
    assert_eq!(stopped(&decided(|r, _| r.provenance = Provenance::Unverified)), Some(Reason::AdmissionNotEnforced));
    assert_eq!(decided(|r, _| r.provenance = Provenance::Pending), Decision::Wait(Requeue::Backoff));
}

#[test]
fn unproven_decisions_do_not_block_an_approved_grant() {
    let granted = Decision::CreateGrant { expires_at: NOW.plus_secs(HOUR) };
    let unproven =
        |verb, at| DecisionFacts { provenance: Provenance::Pending, manager: None, ..says("mallory", verb, Digest::from_bits(7), at) };
    assert_eq!(decided(|_, words| words.push(unproven(Verb::Approve, 10_000))), granted);
    assert_eq!(decided(|_, words| words.push(unproven(Verb::Deny, 10_002))), granted, "it ends the grant if it counts");
    assert_eq!(decided(|_, words| words.push(unproven(Verb::Deny, 9_995))), Decision::Wait(Requeue::Backoff), "made before it began");
    // A decision that may be the missing approval is waited for.
    let early = |_: &mut Request, words: &mut Vec<DecisionFacts>| words[0].provenance = Provenance::Pending;
    assert_eq!(decided(early), Decision::Wait(Requeue::Backoff));
}

fn for_at_most(secs: u32, words: &mut [DecisionFacts]) {
    words.iter_mut().for_each(|w| w.duration = Some(Duration::from_secs(secs)));
}

#[test]
fn what_was_approved_for_a_shorter_time_is_granted_for_that_time() {
    let until = |secs: i64| NOW.plus_secs(secs);
    let shortened = |ends: i64, late: bool| {
        decided(|r, words| {
            for_at_most(600, words);
            r.status.expires_at = Some(until(ends));
            if late {
                // Carol's is shown as counted; another one of the same second names less.
                let dave = DecisionFacts { uid: "a".into(), duration: Some(Duration::from_secs(60)), ..words[0].clone() };
                words[0].counted_before = true;
                words.push(DecisionFacts { decider: Arc::new(UserInfo { username: "dave".into(), ..UserInfo::default() }), ..dave });
                r.status.frozen.as_mut().unwrap().terms = with_dave(&r.status.frozen.as_ref().unwrap().terms);
            }
        })
    };
    assert_eq!(shortened(600, false), Decision::CreateGrant { expires_at: until(600) });
    assert_eq!(stopped(&shortened(HOUR, false)), Some(Reason::NotApproved), "the status claims an hour");
    assert_eq!(shortened(600, true), Decision::CreateGrant { expires_at: until(600) }, "what comes later changes nothing");
    // The end is stored when the last stage passes.
    let begins = decided(|r, words| {
        for_at_most(600, words);
        r.status = Status { state: State::AwaitingApproval, expires_at: None, ..r.status.clone() };
    });
    assert!(matches!(begins, Decision::Commit(Status { state: State::Activating, expires_at: Some(end), .. }) if end == until(600)));
}

/// The same digest, with dave as an approver, too.
fn with_dave(terms: &Terms) -> Terms {
    let mut resolved = (*terms.resolved).clone();
    resolved.approval[0].approvers.push(Subject::User("dave".into()));
    Terms::as_stored(resolved, terms.digest)
}

#[test]
fn a_request_is_looked_at_again_when_its_stage_escalates() {
    let looked_at = |since: i64| {
        decided(|r, words| {
            words.clear();
            let frozen = r.status.frozen.as_mut().unwrap();
            let mut resolved = (*frozen.terms.resolved).clone();
            resolved.approval[0].escalation =
                Some(Escalation { after: Duration::from_secs(50), approvers: vec![Subject::User("dave".into())] });
            (frozen.terms, frozen.accepted_at) = (Terms::as_stored(resolved, frozen.terms.digest), NOW.plus_secs(-since));
            r.status = Status { state: State::AwaitingApproval, expires_at: None, ..r.status.clone() };
        })
    };
    assert_eq!(looked_at(40), Decision::Wait(Requeue::At(NOW.plus_secs(10))));
    assert_eq!(looked_at(50), Decision::Wait(Requeue::At(NOW.plus_secs(24 * HOUR - 50))));
}

/// Awaits approval since so many seconds before now, with these decisions. A stage waits for a day.
fn awaiting(fresh: bool, secs: i64, decisions: &[(Verb, i64, Provenance)]) -> Decision {
    decided_on(fresh, |r, words| {
        let digest = words[0].digest.unwrap();
        let decision = |(verb, at, provenance): &(Verb, i64, Provenance)| DecisionFacts {
            provenance: *provenance,
            counted_before: false,
            emergency: false,
            ..says("carol", *verb, digest, 10_000 + at)
        };
        *words = decisions.iter().map(decision).collect();
        r.created = NOW.plus_secs(-secs - 10);
        r.status.frozen.as_mut().unwrap().accepted_at = NOW.plus_secs(-secs);
        r.status = Status { state: State::AwaitingApproval, expires_at: None, ..r.status.clone() };
    })
}

#[test]
fn an_approval_times_out_on_live_facts_and_one_that_was_made_in_time_counts() {
    const DAY: i64 = 24 * HOUR;
    let timed_out =
        |d: &Decision| matches!(d, Decision::Commit(Status { state: State::Ended(TerminalState::TimedOut, Reason::ApprovalTimedOut), .. }));
    let (approve, verified) = (Verb::Approve, Provenance::Verified);
    assert_eq!(awaiting(true, DAY - 5, &[]), Decision::Wait(Requeue::At(NOW.plus_secs(5))));
    assert_eq!(awaiting(false, DAY, &[]), Decision::ReadLive, "a watch that lags hides an approval");
    assert!(timed_out(&awaiting(true, DAY, &[])));
    // No operator was running for an hour: the approval counts, or does not, as if one had been.
    let begins = |d: Decision| matches!(d, Decision::Commit(Status { state: State::Activating, .. }));
    assert!(begins(awaiting(false, DAY + HOUR, &[(approve, -HOUR - 1, verified)])));
    assert!(timed_out(&awaiting(true, DAY + HOUR, &[(approve, -HOUR, verified)])));
    // One that waits for its admission proof may be in time; one that was made late is not waited for.
    let unproven = |at| [(approve, at, Provenance::Pending)];
    assert_eq!(awaiting(true, DAY + 1, &unproven(-2)), Decision::Wait(Requeue::Backoff));
    assert!(timed_out(&awaiting(true, DAY + 1, &unproven(-1))));
}

#[test]
fn what_is_absent_for_a_moment_ends_nothing() {
    let frozen = Frozen { terms: terms(&["carol"]), accepted_at: Time::from_secs(9_900) };
    let active = GrantView::Live { active_since: Some(NOW), revoking: false, drifted: false, refused: false, outgrown: false };
    for (state, grant) in [(State::AwaitingApproval, GrantView::None), (State::Activating, GrantView::None), (State::Active, active)] {
        let request = Request {
            break_glass: false,
            version: "1".into(),
            schema: Schema::Known,
            uid: "r1".into(),
            created: Time::from_secs(9_900),
            provenance: Provenance::Verified,
            requester: Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() }),
            beneficiary: None,
            status: Status { state, frozen: Some(frozen.clone()), expires_at: Some(NOW.plus_secs(HOUR)), ..Status::NEW },
        };
        let decided = |absent, fresh, since: Option<i64>| {
            let terms = Err(Refusal { absent, ..Refusal::new(Reason::NoSuchRole, "") });
            let absent_since = since.map(|secs| NOW.plus_secs(-secs));
            decide(&Inputs {
                now: NOW,
                request: &request,
                terms: &terms,
                decisions: &[],
                people: Recognition::STRICT,
                grant,
                permit: true,
                fresh,
                absent_since,
                slots: None,
            })
        };
        assert_eq!(decided(true, false, Some(9)), Decision::ReadLive, "{state:?}");
        assert_eq!(decided(true, true, None), Decision::Wait(Requeue::At(NOW.plus_secs(3))), "{state:?}: seen for the first time");
        assert_eq!(decided(true, true, Some(2)), Decision::Wait(Requeue::At(NOW.plus_secs(1))), "{state:?}");
        for (absent, since) in [(true, Some(3)), (false, None)] {
            let ends = |s: &Status| matches!(s.state, State::Revoking(Reason::NoSuchRole) | State::Ended(_, Reason::NoSuchRole));
            assert!(matches!(decided(absent, true, since), Decision::Commit(s) if ends(&s)), "{state:?}, absent: {absent}");
        }
    }
}

#[test]
fn what_was_approved_in_an_older_form_is_compared_in_that_form() {
    let older = |change: fn(&mut Resolved)| {
        let mut resolved = Resolved { schema: 2, ..(*terms(&["carol"]).resolved).clone() };
        change(&mut resolved);
        let frozen = Terms::new(resolved);
        decided(|r, words| {
            words[0].digest = Some(frozen.digest);
            r.status.frozen.as_mut().unwrap().terms = frozen;
        })
    };
    assert_eq!(older(|_| ()), Decision::CreateGrant { expires_at: NOW.plus_secs(HOUR) });
    assert_eq!(stopped(&older(|r| r.policy = reference("other"))), Some(Reason::TemplateChanged));
    assert_eq!(stopped(&older(|r| r.schema = 1)), Some(Reason::TemplateChanged), "a form that this build does not compute");
}
