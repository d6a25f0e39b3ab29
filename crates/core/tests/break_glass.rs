//! Break-glass: who may use it, that status alone gives nobody any access, when a review counts, and what frees the lock.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    admission::Provenance,
    approval::{DecisionFacts, Verb, review::ReviewState},
    ids,
    limits::{Answer, Holder, Limit, MAX_LOCKS, MAX_SLOTS, Maxima, Slot, SlotName},
    policy_inputs::Progress,
    principal::{Recognition, Subject, Uids, UserInfo},
    reason::{Reason, TerminalState},
    request::{Decision, Frozen, GrantView, Inputs, Request, State, Status, decide, holds_slot, tally_decisions},
    requeue::Requeue,
    resolved::{Schema, Terms},
    terms::{assignment_ready, ready, resolve},
};
use fixture::{Fixture, NOW, active, fixture, with};
use std::sync::Arc;

fn broken(f: &mut Fixture) {
    f.template.as_mut().unwrap().break_glass = true;
    f.policies[0].break_glass = true;
    f.asked.break_glass = true;
    f.asked.justification = Some("the site is down".into());
}

fn refused(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = with(|f| {
        broken(f);
        change(f);
    })
    .expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

#[test]
fn role_and_policy_must_allow_it_and_it_says_why() {
    let terms = with(broken).unwrap();
    assert!(terms.resolved.break_glass && !terms.resolved.approval.is_empty() && terms.resolved.required_stages().is_empty());
    let ordinary = with(|f| {
        broken(f);
        f.asked.break_glass = false;
    });
    assert_ne!(ordinary.unwrap().digest, terms.digest, "an approval of one is not one of the other");
    refused(Reason::OutsidePolicy, "role admin does not allow break-glass", |f| f.template.as_mut().unwrap().break_glass = false);
    refused(Reason::NotEligible, "policy payments does not allow break-glass", |f| f.policies[0].break_glass = false);
    refused(Reason::JustificationRequired, "break-glass asks for a justification", |f| {
        f.template.as_mut().unwrap().justification = false;
        f.asked.justification = Some(" ".into());
    });
    refused(Reason::OutsideWindow, "leave out startTime", |f| f.asked.start = Some(NOW.plus_secs(60)));
    refused(Reason::NotExtendable, "an extension needs its own approval", fixture::extension::extend);
    refused(Reason::UnprovenLogin, "curfew.dev/amr", |f| f.template.as_mut().unwrap().mfa = Some(fixture::long("15m")));
    // The next policy that allows it decides.
    let second = with(|f| {
        broken(f);
        let mut other = f.policies[0].clone();
        other.reference = fixture::reference("second");
        f.policies[0].break_glass = false;
        f.policies.push(other);
    });
    assert_eq!(second.unwrap().resolved.policy.name, "second");
}

#[test]
fn it_is_for_a_person_herself() {
    refused(Reason::NotEligible, "herself", |f| {
        f.asked.beneficiary = Some(Subject::User("bob".into()));
        f.assignments[0].subject = Subject::User("bob".into());
        let admin = Subject::User(f.asked.requester.username.clone());
        f.policies[0].requestor_admins =
            vec![curfew_core::policy_inputs::RequestorAdmin { subject: admin, beneficiaries: vec![Subject::User("bob".into())] }];
    });
}

#[test]
fn a_role_with_break_glass_lists_who_can_review() {
    let mut f = fixture();
    broken(&mut f);
    f.template.as_mut().unwrap().approval.clear();
    f.policies[0].approval = None;
    let refusal = ready(f.template.as_ref().unwrap(), &f.inputs()).unwrap_err();
    assert_eq!(refusal.reason, Reason::NobodyCanApprove);
    assert!(assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()).is_ok());
}

#[test]
fn what_no_longer_allows_it_ends_nothing_that_is_active_and_lets_nothing_begin() {
    let after = |change: fn(&mut Fixture), approved: bool| {
        let mut f = fixture();
        broken(&mut f);
        active(&mut f, NOW.plus_secs(600));
        if !approved {
            f.asked.approved = None;
        }
        change(&mut f);
        curfew_core::terms::resolve(&f.asked, &f.inputs())
    };
    let changes: [fn(&mut Fixture); 2] = [|f| f.template.as_mut().unwrap().break_glass = false, |f| f.policies[0].break_glass = false];
    for change in changes {
        assert!(after(change, true).is_ok(), "active access goes on");
        assert!(after(change, false).is_err(), "what is not active yet does not become active");
    }
    let waiting = |f: &mut Fixture| (f.asked.progress, f.template.as_mut().unwrap().break_glass) = (Progress::Accepted, false);
    refused(Reason::OutsidePolicy, "does not allow break-glass", waiting);
}

fn person(name: &str, alias: &str) -> UserInfo {
    let extra = [("curfew.dev/person".to_owned(), vec![alias.to_owned()])].into();
    UserInfo { username: name.into(), extra, ..UserInfo::default() }
}

#[test]
fn a_lock_is_of_a_person_under_every_name() {
    let keys = ["curfew.dev/person".to_owned()];
    let families = |user: &UserInfo| {
        let locks = Limit::of_break_glass(user, &keys, Uids::Shared).unwrap();
        assert!(locks.iter().all(|lock| lock.is_lock() && lock.at_most == 1));
        locks.into_iter().map(|lock| lock.family).collect::<Vec<_>>()
    };
    let share = |a: &UserInfo, b: &UserInfo| families(a).iter().any(|family| families(b).contains(family));
    assert!(share(&person("alice", "a1"), &person("Alice", "other")), "spellings of one name");
    assert!(share(&person("alice", "p1"), &person("alice-admin", "P1")), "two logins of one person");
    assert!(share(&person("alice", "p1"), &person("p1", "p2")), "the alias is the name of the other login");
    assert!(!share(&person("alice", "p1"), &person("bob", "p2")));
    // As for reviews and approvals, one uid is one person where it is configured so.
    let of = |name: &str, uids| {
        let login = UserInfo { username: name.into(), uid: "u1".into(), ..UserInfo::default() };
        Limit::of_break_glass(&login, &[], uids).unwrap().into_iter().map(|lock| lock.family).collect::<Vec<_>>()
    };
    let share = |uids| of("alice", uids).iter().any(|family| of("alice-cert", uids).contains(family));
    assert!(share(Uids::Personal) && !share(Uids::Shared));
    let mut many = person("alice", "p0");
    many.extra.get_mut("curfew.dev/person").unwrap().extend((1..=MAX_LOCKS).map(|i| format!("p{i}")));
    assert!(Limit::of_break_glass(&many, &keys, Uids::Shared).is_none());
    for name in families(&person("alice", "a1")).iter().map(|family| SlotName { family, index: 0 }.to_string()) {
        assert!(SlotName::parse(&name).is_some_and(|slot| slot.is_lock() && slot.index == 0), "{name}");
        assert!(name.len() <= 63, "a label value, too");
    }
}

/// A request for break-glass that is approved by nobody, and its terms.
fn request(break_glass: bool, state: State, terms: &Terms) -> Request {
    let frozen = Frozen { terms: terms.clone(), accepted_at: NOW };
    let locks: Vec<Arc<str>> = terms.limits.iter().map(|limit| SlotName { family: &limit.family, index: 0 }.to_string().into()).collect();
    Request {
        version: "1".into(),
        schema: Schema::Known,
        uid: terms.resolved.request.as_str().into(),
        created: NOW,
        provenance: Provenance::Verified,
        requester: Arc::new(UserInfo { username: terms.resolved.requester.clone(), ..UserInfo::default() }),
        beneficiary: None,
        break_glass,
        status: Status { state, frozen: Some(frozen), expires_at: Some(NOW.plus_secs(2_700)), slots: locks, ..Status::NEW },
    }
}

fn decided(request: &Request, terms: &Terms, grant: GrantView, decisions: &[DecisionFacts]) -> Decision {
    let slots = Answer::Taken(request.status.slots.clone());
    decide(&Inputs {
        now: NOW,
        request,
        terms: &Ok(terms.clone()),
        decisions,
        people: Recognition::STRICT,
        grant,
        permit: true,
        fresh: true,
        absent_since: None,
        slots: Some(&slots),
    })
}

#[test]
fn it_begins_without_an_approval_and_status_alone_makes_no_request_one() {
    let (glass, normal) = (with(broken).unwrap(), with(|_| ()).unwrap());
    let begins = |request: &Request, terms: &Terms| decided(request, terms, GrantView::None, &[]);
    let end = NOW.plus_secs(2_700);
    assert_eq!(begins(&request(true, State::Activating, &glass), &glass), Decision::CreateGrant { expires_at: end });
    let Decision::Commit(next) = begins(&request(true, State::AwaitingApproval, &glass), &glass) else { panic!("it begins") };
    assert_eq!(next.state, State::Activating);
    // A status that was written past the admission policy: its terms are not those of the request, and its approvals are missing.
    let stopped = |d: Decision| match d {
        Decision::Commit(Status { state: State::Revoking(reason) | State::Ended(_, reason), .. }) => Some(reason),
        _ => None,
    };
    assert_eq!(stopped(begins(&request(false, State::Activating, &glass), &normal)), Some(Reason::TemplateChanged));
    assert_eq!(stopped(begins(&request(false, State::Activating, &glass), &glass)), Some(Reason::NotApproved));
    assert_eq!(stopped(begins(&request(false, State::Activating, &normal), &normal)), Some(Reason::NotApproved));
    assert_eq!(stopped(begins(&request(true, State::Activating, &normal), &glass)), Some(Reason::TemplateChanged));
}

fn review(by: &str, at: i64) -> DecisionFacts {
    DecisionFacts {
        uid: format!("{by}-{at}").into(),
        decider: Arc::new(UserInfo { username: by.into(), groups: Arc::default(), ..UserInfo::default() }),
        verb: Verb::Review,
        digest: None,
        duration: None,
        commented: true,
        request_uid: None,
        created: NOW.plus_secs(at),
        manager: Some(false),
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    }
}

/// An ended break-glass access of the fixture's requester, whose review is outstanding.
fn outstanding() -> (Request, Terms) {
    let terms = with(broken).unwrap();
    let ended = State::Ended(TerminalState::Expired, Reason::DeadlinePassed);
    let mut request = request(true, ended, &terms);
    (request.status.review, request.status.activated_at) = (ReviewState::Required, Some(NOW));
    (request, terms)
}

#[test]
fn a_review_counts_from_another_person_who_may() {
    let (request, terms) = outstanding();
    let approver = terms.resolved.approval[0].approvers.iter().find_map(|subject| match subject {
        Subject::Group(name) => {
            Some(Arc::new(UserInfo { username: "lead".into(), groups: Arc::new(vec![name.clone()]), ..UserInfo::default() }))
        }
        Subject::User(name) => Some(Arc::new(UserInfo { username: name.clone(), ..UserInfo::default() })),
        Subject::ServiceAccount(_) => None,
    });
    let good = DecisionFacts { decider: approver.unwrap(), ..review("lead", 9) };
    let judged = |request: &Request, decision: &DecisionFacts| {
        let tally = tally_decisions(request, std::slice::from_ref(decision), Recognition::STRICT);
        (tally.counted[0], tally.review.is_some())
    };
    use curfew_core::approval::Counted::{No, Waiting, Yes};
    assert_eq!(judged(&request, &good), (Yes, true));
    assert_eq!(judged(&request, &DecisionFacts { manager: Some(true), ..review("mona", 9) }), (Yes, true));
    let cases = [
        (DecisionFacts { manager: Some(true), ..review(&terms.resolved.requester, 9) }, No(Reason::SelfDecision)),
        (DecisionFacts { manager: Some(true), ..review(&terms.resolved.requester.to_uppercase(), 9) }, No(Reason::SelfDecision)),
        (review("mallory", 9), No(Reason::NotEntitled)),
        (DecisionFacts { manager: None, ..review("mallory", 9) }, Waiting),
        (DecisionFacts { commented: false, ..good.clone() }, No(Reason::CommentRequired)),
        (DecisionFacts { proven: false, ..good.clone() }, No(Reason::UnprovenLogin)),
        (DecisionFacts { provenance: Provenance::Unverified, ..good.clone() }, No(Reason::AdmissionNotEnforced)),
        (DecisionFacts { provenance: Provenance::Pending, ..good.clone() }, Waiting),
        (DecisionFacts { request_uid: Some("another".into()), ..good.clone() }, No(Reason::NotFound)),
    ];
    for (decision, expect) in cases {
        assert_eq!(judged(&request, &decision), (expect, false), "{decision:?}");
        let requeue = if decision.is_pending() { Requeue::Backoff } else { Requeue::OnChange };
        assert_eq!(decided(&request, &terms, GrantView::None, &[decision]), Decision::Wait(requeue));
    }
    let before = Request { status: Status { activated_at: Some(NOW.plus_secs(60)), ..request.status.clone() }, ..request.clone() };
    assert_eq!(judged(&before, &good), (No(Reason::NothingToReview), false), "made before there was access");
    let never = Request { status: Status { review: ReviewState::NotRequired, ..request.status.clone() }, ..request.clone() };
    assert_eq!(judged(&never, &good), (No(Reason::NothingToReview), false));
    let ordinary = Request { break_glass: false, ..request.clone() };
    assert_eq!(judged(&ordinary, &good), (No(Reason::NothingToReview), false));
    // It is stored, once, and a second review changes nothing.
    let Decision::Commit(stored) = decided(&request, &terms, GrantView::None, std::slice::from_ref(&good)) else { panic!("it is stored") };
    assert_eq!((stored.review, stored.state), (ReviewState::Reviewed, request.status.state));
    let second = DecisionFacts { uid: "z".into(), ..good.clone() };
    let tally = tally_decisions(&request, &[second, good], Recognition::STRICT);
    assert_eq!((tally.counted[0], tally.counted[1], tally.review), (No(Reason::AlreadyReviewed), Yes, Some(1)));
    // An approval of what asks nobody does not count, and says so.
    let approve = DecisionFacts { verb: Verb::Approve, digest: Some(terms.digest), ..review("mona", 9) };
    let tally = tally_decisions(&request, &[DecisionFacts { decider: tally_approver(&terms), ..approve }], Recognition::STRICT);
    assert_eq!(tally.counted, [No(Reason::NothingToApprove)]);
}

fn tally_approver(terms: &Terms) -> Arc<UserInfo> {
    match &terms.resolved.approval[0].approvers[0] {
        Subject::Group(name) => Arc::new(UserInfo { username: "lead".into(), groups: Arc::new(vec![name.clone()]), ..UserInfo::default() }),
        other => Arc::new(UserInfo { username: other.principal(), ..UserInfo::default() }),
    }
}

/// The status of a request has room for every slot that the rules let it hold.
#[test]
fn no_request_holds_more_slots_than_its_status_has_room_for() {
    let limited = |f: &mut Fixture| {
        let most = Some(Maxima { active: 9, per_subject: 9 });
        (f.template.as_mut().unwrap().limits, f.policies[0].limits) = (most, most);
    };
    let mut f = fixture();
    broken(&mut f);
    limited(&mut f);
    f.aliases = vec!["curfew.dev/person".into()];
    let login = &mut f.asked.requester;
    login.extra.insert("curfew.dev/person".into(), (1..MAX_LOCKS).map(|i| format!("p{i}")).collect());
    let terms = resolve(&f.asked, &f.inputs()).unwrap();
    assert_eq!(terms.limits.len(), MAX_SLOTS, "every lock, and those of role and policy");
    let extended = with(|f| {
        fixture::extension::extend(f);
        limited(f);
    });
    assert_eq!(extended.unwrap().limits.len(), 5, "that of the extension, and those of role and policy");
}

#[test]
fn a_lock_is_free_when_it_is_reviewed_or_there_was_no_access_and_not_before() {
    let (request, _) = outstanding();
    let slot = |name: &str| Slot {
        name: name.into(),
        uid: "1".into(),
        version: "1".into(),
        holder: Holder { namespace: "payments".into(), name: "r".into(), uid: request.uid.clone() },
        taken_over_from: None,
        suspect: false,
    };
    let lock = slot(&request.status.slots[0]);
    let ended = |refused, active| GrantView::Ended { active_since: active, drifted: false, refused, outgrown: false, abandoned: false };
    let (was_there, unclear, never) = (ended(false, Some(NOW)), ended(false, None), ended(true, None));
    assert!(holds_slot(&lock, Some(&request), was_there), "the end does not free it");
    assert!(holds_slot(&lock, None, was_there) && holds_slot(&lock, None, unclear), "nor does the deletion");
    assert!(!holds_slot(&lock, None, never) && !holds_slot(&lock, None, GrantView::None), "there was no access");
    let with_review = |review| Request { status: Status { review, ..request.status.clone() }, ..request.clone() };
    assert!(!holds_slot(&lock, Some(&with_review(ReviewState::Reviewed)), was_there));
    assert!(!holds_slot(&lock, Some(&with_review(ReviewState::NotRequired)), GrantView::None), "it ended before any access");
    // While it is active, too, a review frees the lock, and nothing else.
    let reviewed = Request { status: Status { state: State::Active, ..with_review(ReviewState::Reviewed).status }, ..request.clone() };
    let other = slot(&SlotName { family: &ids::slot_family("role/payments/admin"), index: 0 }.to_string());
    let holding = Request { status: Status { slots: vec![lock.name.clone(), other.name.clone()], ..reviewed.status.clone() }, ..reviewed };
    assert!(!holds_slot(&lock, Some(&holding), was_there) && holds_slot(&other, Some(&holding), was_there));
    assert!(!holds_slot(&other, Some(&request), was_there), "an ordinary slot is free at the end");
}

#[test]
fn what_is_locked_is_denied_and_what_gave_access_must_be_reviewed() {
    let terms = with(broken).unwrap();
    let begins = request(true, State::AwaitingApproval, &terms);
    let begins = Request { status: Status { slots: Vec::new(), expires_at: None, ..begins.status.clone() }, ..begins };
    let locked = decide(&Inputs {
        now: NOW,
        request: &begins,
        terms: &Ok(terms.clone()),
        decisions: &[],
        people: Recognition::STRICT,
        grant: GrantView::None,
        permit: true,
        fresh: true,
        absent_since: None,
        slots: Some(&Answer::Locked),
    });
    let Decision::Commit(status) = locked else { panic!("{locked:?}") };
    assert_eq!((status.state, status.review), (State::Ended(TerminalState::Denied, Reason::ReviewOutstanding), ReviewState::NotRequired));
    let after = |state, grant| match decided(&request(true, state, &terms), &terms, grant, &[]) {
        Decision::Commit(status) => status.review,
        other => panic!("{other:?}"),
    };
    let live = GrantView::Live { active_since: Some(NOW), revoking: false, drifted: false, refused: false, outgrown: false };
    assert_eq!(after(State::Activating, live), ReviewState::Required, "from activation");
    let ended = |refused| GrantView::Ended { active_since: None, drifted: false, refused, outgrown: false, abandoned: false };
    let revoking = State::Revoking(Reason::RevokedByApprover);
    assert_eq!(after(revoking, ended(false)), ReviewState::Required, "it may have given access");
    assert_eq!(after(revoking, ended(true)), ReviewState::NotRequired);
    assert_eq!(after(revoking, GrantView::None), ReviewState::NotRequired);
}

#[test]
fn uids_recognise_a_reviewer_too() {
    let (mut request, terms) = outstanding();
    request.requester = Arc::new(UserInfo { uid: "u1".into(), ..(*request.requester).clone() });
    let other = UserInfo { username: "alice-admin".into(), uid: "u1".into(), ..UserInfo::default() };
    let decision = DecisionFacts { decider: Arc::new(other), manager: Some(true), ..review("x", 9) };
    let personal = Recognition { uids: Uids::Personal, ..Recognition::STRICT.clone() };
    assert!(tally_decisions(&request, std::slice::from_ref(&decision), &personal).review.is_none(), "{:?}", terms.resolved.requester);
}
