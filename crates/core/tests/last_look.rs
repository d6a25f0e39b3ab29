//! The last decision before a Grant is created: a forged status is not believed, and unproven decisions do not block the Grant.
use curfew_core::{
    admission::Provenance,
    approval::{ApprovalStage, DecisionFacts, Verb},
    digest::Digest,
    principal::{Subject, UserInfo},
    reason::Reason,
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
    };
    Terms::new(Resolved {
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
        approval: if approvers.is_empty() { Vec::new() } else { vec![stage] },
    })
}

fn says(who: &str, verb: Verb, digest: Digest, at: i64) -> DecisionFacts {
    DecisionFacts {
        uid: format!("{who}-{at}").into(),
        decider: Arc::new(UserInfo { username: who.into(), ..UserInfo::default() }),
        proven: true,
        verb,
        digest: Some(digest),
        request_uid: None,
        created: Time::from_secs(at),
        manager: Some(false),
        provenance: Provenance::Verified,
    }
}

/// Approved by Carol a moment ago, and read live after that was stored; changed by `change`.
fn decided(change: impl FnOnce(&mut Request, &mut Vec<DecisionFacts>)) -> Decision {
    let live = terms(&["carol"]);
    let mut words = vec![says("carol", Verb::Approve, live.digest, 9_990)];
    let frozen = Frozen { terms: live.clone(), approval_deadline: NOW.plus_secs(HOUR) };
    let status = Status { state: State::Activating, frozen: Some(frozen), expires_at: Some(NOW.plus_secs(HOUR)), activated_at: None };
    let mut request = Request {
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
        alias_keys: &[],
        grant: GrantView::None,
        permit: true,
        fresh: true,
        absent_since: None,
    };
    decide(&facts)
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

#[test]
fn what_is_absent_for_a_moment_ends_nothing() {
    let frozen = Frozen { terms: terms(&["carol"]), approval_deadline: NOW.plus_secs(HOUR) };
    let active = GrantView::Live { active_since: Some(NOW), revoking: false, drifted: false, refused: false, outgrown: false };
    for (state, grant) in [(State::AwaitingApproval, GrantView::None), (State::Activating, GrantView::None), (State::Active, active)] {
        let request = Request {
            version: "1".into(),
            schema: Schema::Known,
            uid: "r1".into(),
            created: Time::from_secs(9_900),
            provenance: Provenance::Verified,
            requester: Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() }),
            beneficiary: None,
            status: Status { state, frozen: Some(frozen.clone()), expires_at: Some(NOW.plus_secs(HOUR)), activated_at: None },
        };
        let decided = |absent, fresh, since: Option<i64>| {
            let terms = Err(Refusal { absent, ..Refusal::new(Reason::NoSuchRole, "") });
            let absent_since = since.map(|secs| NOW.plus_secs(-secs));
            decide(&Inputs {
                now: NOW,
                request: &request,
                terms: &terms,
                decisions: &[],
                alias_keys: &[],
                grant,
                permit: true,
                fresh,
                absent_since,
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
