use super::*;
use crate::{
    principal::{MAX_ALIAS, Uids},
    text::clip,
};

pub(super) const D: Digest = Digest::from_bits(7);

pub(super) fn person(name: &str, groups: &[&str]) -> Arc<UserInfo> {
    let extra = [("person".to_owned(), vec![name.to_owned()])].into();
    Arc::new(UserInfo {
        username: name.into(),
        groups: Arc::new(groups.iter().map(|g| g.to_string()).collect()),
        extra,
        ..UserInfo::default()
    })
}
pub(super) fn word(n: i64, by: &Arc<UserInfo>, verb: Verb) -> DecisionFacts {
    DecisionFacts {
        uid: format!("d{n}").into(),
        decider: by.clone(),
        verb,
        digest: Some(D),
        duration: None,
        commented: false,
        request_uid: None,
        created: Time::from_secs(10 + n),
        manager: Some(false),
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    }
}
pub(super) fn stage(name: &str, quorum: u8, approvers: &[Subject]) -> ApprovalStage {
    ApprovalStage {
        name: name.into(),
        approvers: approvers.to_vec(),
        quorum,
        timeout: None,
        escalation: None,
        comment: CommentRule::Optional,
        mfa: None,
    }
}
pub(super) fn group(g: &str) -> Subject {
    Subject::Group(g.into())
}
pub(super) fn people() -> Recognition {
    Recognition { alias_keys: vec!["person".into()], ..Recognition::STRICT.clone() }
}
fn count(stages: &[ApprovalStage], words: &[DecisionFacts]) -> Tally {
    let alice = person("alice", &["devs", "leads"]);
    let people = people();
    tally(
        &ApprovalSubject {
            break_glass: false,
            reviewable_since: None,
            uid: "r1",
            created: Time::from_secs(10),
            requester: &alice,
            beneficiary: None,
            digest: Some(D),
            accepted_at: Time::from_secs(10),
            stages,
            order: StageOrder::Sequential,
            duration: None,
            people: &people,
        },
        words,
    )
}

#[test]
fn a_quorum_is_of_distinct_people_in_the_order_of_stages() {
    let (carol, dave, erin) = (person("carol", &["leads"]), person("dave", &["leads", "sec"]), person("erin", &["sec"]));
    let stages = [stage("owners", 2, &[group("leads")]), stage("security", 1, &[group("sec")])];
    // erin speaks early: she waits until the owners are done.
    let t = count(&stages, &[word(1, &erin, Verb::Approve), word(2, &carol, Verb::Approve), word(3, &carol, Verb::Approve)]);
    assert_eq!(t.counted, [Counted::Waiting, Counted::Yes, Counted::No(Reason::AlreadyCounted)]);
    assert_eq!((t.open_stage(), t.approved()), (Some(0), false));
    let t = count(&stages, &[word(1, &erin, Verb::Approve), word(2, &carol, Verb::Approve), word(4, &dave, Verb::Approve)]);
    assert_eq!(t.counted, [Counted::Yes; 3]);
    assert!(t.approved());
}

/// The request is accepted at 10, and the n-th decision is made at 10 + n.
#[test]
fn a_stage_times_out_as_long_after_its_opening_as_it_says() {
    let (carol, dave, erin) = (person("carol", &["leads"]), person("dave", &["leads"]), person("erin", &["sec"]));
    let within = |secs, s: ApprovalStage| ApprovalStage { timeout: Some(Duration::from_secs(secs)), ..s };
    let stages = [within(5, stage("owners", 2, &[group("leads")])), within(3, stage("security", 1, &[group("sec")]))];
    let approve = |n, who: &Arc<UserInfo>| word(n, who, Verb::Approve);
    let at = |n: i64| Some(Time::from_secs(10 + n));
    assert_eq!(count(&stages, &[]).deadline(), at(5));
    // The second stage is open from the approval that completed the first one.
    let t = count(&stages, &[approve(1, &carol), approve(4, &dave)]);
    assert_eq!((t.open_stage(), t.deadline()), (Some(1), at(7)));
    assert!(count(&stages, &[approve(1, &carol), approve(4, &dave), approve(6, &erin)]).approved());
    let t = count(&stages, &[approve(1, &carol), approve(4, &dave), approve(7, &erin)]);
    assert_eq!((t.approved(), t.counted[2]), (false, Counted::No(Reason::ApprovalTimedOut)), "the second of the deadline is late");
    // An approval for it from before it opened counts when it opens, and opens nothing earlier.
    assert!(count(&stages, &[approve(1, &erin), approve(2, &carol), approve(4, &dave)]).approved());
    let t = count(&stages, &[approve(1, &erin), approve(2, &carol), approve(5, &dave)]);
    assert_eq!(t.counted, [Counted::Waiting, Counted::Yes, Counted::No(Reason::ApprovalTimedOut)]);
    assert_eq!((t.open_stage(), t.deadline()), (Some(0), at(5)));
    // Where no timeout is set it is a day.
    assert_eq!(count(&[stage("owners", 1, &[group("leads")])], &[]).deadline(), at(86_400));
}

/// Kubernetes stamps whole seconds: of two approvals of one second by one person, the one that was counted first goes on counting.
#[test]
fn a_verdict_does_not_change_because_of_a_later_decision_of_the_same_second() {
    let carol = person("carol", &["leads"]);
    let stages = [stage("owners", 2, &[group("leads")])];
    let same_second = |n, counted_before| DecisionFacts { created: Time::from_secs(11), counted_before, ..word(n, &carol, Verb::Approve) };
    for (first, second) in [(1, 2), (2, 1)] {
        let t = count(&stages, &[same_second(first, true), same_second(second, false)]);
        assert_eq!(t.counted, [Counted::Yes, Counted::No(Reason::AlreadyCounted)], "d{first} was first");
    }
}

#[test]
fn one_person_never_fills_two_stages() {
    let dave = person("dave", &["leads", "sec"]);
    let stages = [stage("owners", 1, &[group("leads")]), stage("security", 1, &[group("sec")])];
    let t = count(&stages, &[word(1, &dave, Verb::Approve), word(2, &dave, Verb::Approve)]);
    assert_eq!((t.open_stage(), t.counted[1]), (Some(1), Counted::No(Reason::AlreadyCounted)));
}

#[test]
fn requester_and_beneficiary_cannot_decide_under_any_name() {
    let alias = |name: &str| {
        Arc::new(UserInfo { extra: [("person".to_string(), vec!["7".to_string()])].into(), ..(*person(name, &["leads"])).clone() })
    };
    let (me, other_me) = (alias("alice"), alias("alice@vpn"));
    let stages = [stage("owners", 1, &[group("leads")])];
    let people = people();
    let m = ApprovalSubject {
        break_glass: false,
        reviewable_since: None,
        uid: "r1",
        created: Time::from_secs(10),
        requester: &me,
        beneficiary: Some(&Subject::User("bob".into())),
        digest: Some(D),
        accepted_at: Time::from_secs(10),
        stages: &stages,
        order: StageOrder::Sequential,
        duration: None,
        people: &people,
    };
    let words = [
        word(1, &me, Verb::Approve),
        word(2, &other_me, Verb::Approve),
        word(3, &person("bob", &["leads"]), Verb::Approve),
        word(4, &other_me, Verb::Deny),
    ];
    let t = tally(&m, &words);
    assert_eq!(t.counted, [Counted::No(Reason::SelfDecision); 4]);
    assert!(!t.approved() && t.stopped_by.is_none());
}

#[test]
fn a_login_recorded_without_a_key_that_is_asked_for_now_only_takes_away() {
    let carol = person("carol", &["leads"]);
    let stages = [stage("owners", 1, &[group("leads")])];
    let two = Recognition { alias_keys: vec!["person".into(), "badge".into()], uids: Uids::Shared, ..people() };
    let alice = person("alice", &["devs"]);
    let judge = |verb, decider: &Arc<UserInfo>| {
        let subject = ApprovalSubject {
            break_glass: false,
            reviewable_since: None,
            uid: "r1",
            created: Time::from_secs(10),
            requester: &alice,
            beneficiary: None,
            digest: Some(D),
            accepted_at: Time::from_secs(10),
            stages: &stages,
            order: StageOrder::Sequential,
            duration: None,
            people: &two,
        };
        let words = [word(1, decider, verb)];
        let tally = tally(&subject, &words);
        (tally.counted[0], explain(&subject, &words, &tally, 0))
    };
    let (counted, why) = judge(Verb::Approve, &carol);
    assert_eq!(counted, Counted::No(Reason::UnprovenLogin), "a second alias that nobody has looked at could be the requester's");
    assert!(why.is_some_and(|why| why.contains("person, badge") && why.contains("create it again")));
    assert_eq!(judge(Verb::Deny, &carol).0, Counted::Yes);
    let recorded = |badge: &[&str]| {
        let badge = ("badge".to_owned(), badge.iter().map(ToString::to_string).collect());
        Arc::new(UserInfo { extra: carol.extra.clone().into_iter().chain([badge]).collect(), ..(*carol).clone() })
    };
    assert_eq!(judge(Verb::Approve, &recorded(&[])).0, Counted::Yes, "one alias of the two is enough");
    let nobody = Arc::new(UserInfo {
        extra: [("person".to_owned(), vec![]), ("badge".to_owned(), vec![" ".to_owned()])].into(),
        ..(*carol).clone()
    });
    assert_eq!(judge(Verb::Deny, &nobody).0, Counted::No(Reason::UnprovenLogin), "it was looked at, and there is none");
}

#[test]
fn a_decision_about_the_own_request_is_told_which_value_is_equal_and_what_to_change() {
    let login = |name: &str, uid: &str, alias: &str| {
        let extra = [("person".to_owned(), vec![alias.to_owned()])].into();
        Arc::new(UserInfo { uid: uid.into(), extra, ..(*person(name, &["leads"])).clone() })
    };
    let (stages, bob) = ([stage("owners", 2, &[group("leads")])], Subject::User("bob".into()));
    let told = |requester: &UserInfo, words: &[DecisionFacts]| {
        let people = people();
        let subject = ApprovalSubject {
            break_glass: false,
            reviewable_since: None,
            uid: "r1",
            created: Time::from_secs(10),
            requester,
            beneficiary: Some(&bob),
            digest: Some(D),
            accepted_at: Time::from_secs(10),
            stages: &stages,
            order: StageOrder::Sequential,
            duration: None,
            people: &people,
        };
        let last = words.len() - 1;
        explain(&subject, words, &tally(&subject, words), last).unwrap_or_default()
    };
    let alice = login("alice", "AROA", "7");
    for (decider, parts) in [
        (login("Alice", "1", "1"), ["counts as the requester", "user name is the same"]),
        (login("carol", "AROA", "1"), ["uid AROA is the same", "set spec.identity.uids of CurfewConfig to shared"]),
        (login("carol", "1", "7"), ["extra key person, an alias", "has the same value"]),
        (login("bob", "1", "1"), ["counts as the beneficiary", "is the principal that gets the access"]),
        (login("carol", "1", "bob"), ["counts as the beneficiary", "extra key person is the name of the principal"]),
    ] {
        let told = told(&alice, &[word(1, &decider, Verb::Approve)]);
        assert!(parts.iter().all(|part| told.contains(part)), "{}: {told}", decider.username);
    }
    let two = [word(1, &login("carol", "AROB", "1"), Verb::Approve), word(2, &login("dave", "AROB", "2"), Verb::Approve)];
    let told = told(&alice, &two);
    assert!(told.contains("counts already, as carol: uid AROB is the same"), "{told}");
}

#[test]
fn an_approval_counts_only_for_what_was_seen() {
    let carol = person("carol", &["leads"]);
    let stages = [stage("owners", 1, &[group("leads")])];
    let bad = |f: fn(&mut DecisionFacts)| {
        let mut w = word(1, &carol, Verb::Approve);
        f(&mut w);
        count(&stages, &[w]).counted[0]
    };
    assert_eq!(bad(|w| w.digest = Some(Digest::from_bits(8))), Counted::No(Reason::DigestMismatch));
    assert_eq!(bad(|w| w.digest = None), Counted::No(Reason::DigestMismatch));
    assert_eq!(bad(|w| w.created = Time::from_secs(9)), Counted::No(Reason::NotFound));
    assert_eq!(bad(|w| w.request_uid = Some("r0".into())), Counted::No(Reason::NotFound));
    assert_eq!(bad(|w| w.proven = false), Counted::No(Reason::UnprovenLogin));
    assert_eq!(bad(|w| w.decider = person("mallory", &[])), Counted::No(Reason::NotEntitled));
    assert_eq!(bad(|w| w.verb = Verb::Abandon), Counted::No(Reason::NotEntitled));
}

#[test]
fn a_denial_counts_without_a_digest_and_after_an_approval() {
    let carol = person("carol", &["leads"]);
    let stages = [stage("owners", 1, &[group("leads")])];
    let denial = DecisionFacts { digest: None, ..word(2, &carol, Verb::Deny) };
    let t = count(&stages, &[word(1, &carol, Verb::Approve), denial]);
    let denied = Stop { decision: 1, reason: Reason::DeniedByApprover };
    assert_eq!((t.stopped_by, t.counted), (Some(denied), vec![Counted::Yes; 2]));
    let manager = DecisionFacts { manager: Some(true), ..word(3, &person("mona", &[]), Verb::Revoke) };
    let stopped = |words: &[DecisionFacts]| count(&stages, words).stopped_by.map(|stop| stop.reason);
    assert_eq!(stopped(&[manager]), Some(Reason::RevokedByApprover));
    assert_eq!(stopped(&[word(3, &person("alice", &[]), Verb::Revoke)]), Some(Reason::RevokedByHolder));
    assert_eq!(stopped(&[word(3, &person("mallory", &[]), Verb::Deny)]), None);
}

#[test]
fn a_word_from_an_open_gate_only_takes_away_and_a_login_without_alias_is_nobody() {
    let carol = person("carol", &["leads"]);
    let stages = [stage("owners", 1, &[group("leads")])];
    let ungated = |verb| DecisionFacts { provenance: Provenance::Unverified, ..word(1, &carol, verb) };
    assert_eq!(count(&stages, &[ungated(Verb::Approve)]).counted, [Counted::No(Reason::AdmissionNotEnforced)]);
    assert_eq!(count(&stages, &[ungated(Verb::Deny)]).counted, [Counted::Yes]);
    let early = DecisionFacts { provenance: Provenance::Pending, ..word(1, &carol, Verb::Approve) };
    assert_eq!(count(&stages, std::slice::from_ref(&early)).counted, [Counted::Waiting], "there is no admission proof since");
    assert!(early.is_pending());
    // An access review that failed does not decide anything.
    let asked = DecisionFacts { manager: None, ..word(1, &person("mona", &[]), Verb::Revoke) };
    let t = count(&stages, std::slice::from_ref(&asked));
    assert_eq!((t.stopped_by, t.counted), (None, vec![Counted::Waiting]));
    let bare = Arc::new(UserInfo { extra: Default::default(), ..(*carol).clone() });
    assert_eq!(count(&stages, &[word(1, &bare, Verb::Approve)]).counted, [Counted::No(Reason::UnprovenLogin)]);
}

#[test]
fn a_grant_is_abandoned_only_when_stalled_and_by_a_person_with_the_right() {
    let beneficiary = Subject::User("alice".into());
    let stuck = StalledGrant {
        namespace: "payments",
        created: Time::from_secs(5),
        requester: "alice",
        beneficiary: &beneficiary,
        aliases: &[],
        digest: D,
        stalled: true,
        alias_keys: &[],
    };
    let by = |who: &Arc<UserInfo>| DecisionFacts { manager: Some(true), ..word(1, who, Verb::Abandon) };
    let mona = person("mona", &[]);
    let judge = |w: &DecisionFacts, ns, g: &StalledGrant<'_>| evaluate_abandon(&AbandonDecision { decision: w, namespace: ns }, g);
    assert_eq!(judge(&by(&mona), "payments", &stuck), Counted::Yes);
    assert_eq!(judge(&by(&mona), "payments", &StalledGrant { stalled: false, ..stuck }), Counted::Waiting);
    assert_eq!(judge(&by(&mona), "other", &stuck), Counted::No(Reason::NotFound));
    assert_eq!(judge(&by(&person("alice", &[])), "payments", &stuck), Counted::No(Reason::SelfDecision));
    let may_not = DecisionFacts { manager: Some(false), ..by(&mona) };
    assert_eq!(judge(&may_not, "payments", &stuck), Counted::No(Reason::NotEntitled));
    let blind = DecisionFacts { digest: None, ..by(&mona) };
    assert_eq!(judge(&blind, "payments", &stuck), Counted::No(Reason::DigestMismatch));
    let second = DecisionFacts {
        manager: Some(true),
        ..word(1, &Arc::new(UserInfo { username: "a2".into(), ..(*person("alice", &[])).clone() }), Verb::Abandon)
    };
    let keys = vec!["person".to_owned()];
    assert_eq!(judge(&second, "payments", &StalledGrant { alias_keys: &keys, ..stuck }), Counted::No(Reason::SelfDecision));
    let long = "7".repeat(2_000);
    let long_alias = UserInfo { extra: [("person".to_owned(), vec![long.clone()])].into(), ..(*person("a3", &[])).clone() };
    let held = [clip(long, MAX_ALIAS)];
    let known = StalledGrant { alias_keys: &keys, aliases: &held, ..stuck };
    assert_eq!(judge(&by(&Arc::new(long_alias)), "payments", &known), Counted::No(Reason::SelfDecision), "as far as the Grant holds it");
    let shared = DecisionFacts { emergency: true, ..by(&mona) };
    assert_eq!(judge(&shared, "payments", &stuck), Counted::No(Reason::EmergencyAccount), "it may be the beneficiary");
    let numbered = DecisionFacts { manager: Some(true), ..word(1, &person("7", &[]), Verb::Abandon) };
    let seven = ["7".to_owned()];
    let known = StalledGrant { alias_keys: &keys, aliases: &seven, ..stuck };
    assert_eq!(judge(&numbered, "payments", &known), Counted::No(Reason::SelfDecision), "a second login, known by number");
}

/// The login keys under which [`proven`] records MFA.
fn with_login_keys() -> Recognition {
    let keys = mfa::Keys { methods_key: "amr".into(), methods: vec!["mfa".into()], time_key: "time".into() };
    let login_keys = crate::conditions::LoginKeys { mfa: Some(keys), authentication_context: None };
    Recognition { login_keys, ..people() }
}

/// A person whose login used these methods at that second.
fn proven(name: &str, groups: &[&str], methods: &[&str], at: i64) -> Arc<UserInfo> {
    let mut login = (*person(name, groups)).clone();
    login.extra.insert("amr".into(), methods.iter().map(ToString::to_string).collect());
    login.extra.insert("time".into(), vec![at.to_string()]);
    Arc::new(login)
}

/// Counts, and explains what is not counted.
fn count_mfa(people: &Recognition, stages: &[ApprovalStage], words: &[DecisionFacts]) -> (Tally, Vec<Option<String>>) {
    let alice = proven("alice", &["devs"], &["mfa"], 10);
    let subject = ApprovalSubject {
        break_glass: false,
        reviewable_since: None,
        uid: "r1",
        created: Time::from_secs(10),
        requester: &alice,
        beneficiary: None,
        digest: Some(D),
        accepted_at: Time::from_secs(10),
        stages,
        order: StageOrder::Sequential,
        duration: None,
        people,
    };
    let sum = tally(&subject, words);
    let why = sum.counted.iter().enumerate().map(|(i, counted)| match counted {
        Counted::No(_) => explain(&subject, words, &sum, i),
        Counted::Yes | Counted::Waiting => None,
    });
    let why = why.collect();
    (sum, why)
}

fn asks_mfa(max_age: u32, stage: ApprovalStage) -> ApprovalStage {
    ApprovalStage { mfa: Some(mfa::Requirement { max_age: Duration::from_secs(max_age) }), ..stage }
}

/// The decision is made at 1,010; the stage asks for 60 s.
#[test]
fn an_approval_counts_only_with_the_mfa_that_its_stage_asks_for() {
    let (keys, stages) = (with_login_keys(), [asks_mfa(60, stage("owners", 1, &[group("leads")]))]);
    let approve = |login: &Arc<UserInfo>| {
        let (sum, why) = count_mfa(&keys, &stages, &[word(1_000, login, Verb::Approve)]);
        (sum.counted[0], sum.approved(), why[0].clone().unwrap_or_default())
    };
    for age in [0, 60, -10] {
        assert_eq!(approve(&proven("carol", &["leads"], &["mfa"], 1_010 - age)), (Counted::Yes, true, String::new()), "{age}");
    }
    let required = Counted::No(Reason::MfaRequired);
    for (login, words) in [
        (proven("carol", &["leads"], &["mfa"], 949), "stage owners asks its approvers for MFA not older than 1m, and the login of"),
        (proven("carol", &["leads"], &["mfa"], 1_021), "in the future"),
        (proven("carol", &["leads"], &["pwd"], 1_000), "the login has pwd under extra key amr, and none of mfa"),
    ] {
        let (counted, approved, why) = approve(&login);
        assert!(counted == required && !approved && why.contains(words), "{counted:?} {why}");
    }
    // A person who is not an approver is told so, and a login that was recorded without the keys is unknown.
    assert_eq!(approve(&proven("mallory", &[], &["pwd"], 1_000)).0, Counted::No(Reason::NotEntitled));
    let (counted, _, why) = approve(&person("carol", &["leads"]));
    assert!(counted == Counted::No(Reason::UnprovenLogin) && why.contains("extra key amr, time"), "{counted:?} {why}");
    // A Deny only takes away.
    let deny = word(1_000, &person("carol", &["leads"]), Verb::Deny);
    assert!(count_mfa(&keys, &stages, &[deny]).0.stopped_by.is_some());
    // Where CurfewConfig has no keys any more, nothing is proven.
    let (sum, _) = count_mfa(&people(), &stages, &[word(1_000, &proven("carol", &["leads"], &["mfa"], 1_010), Verb::Approve)]);
    assert_eq!((sum.counted[0], sum.approved()), (required, false));
}

#[test]
fn an_approval_shows_the_mfa_of_every_stage_that_lists_its_person() {
    let keys = with_login_keys();
    let stages = [stage("owners", 1, &[group("leads")]), asks_mfa(60, stage("security", 1, &[group("sec")]))];
    let approve = |n, login: &Arc<UserInfo>| word(n, login, Verb::Approve);
    let (carol, dave) = (proven("carol", &["leads"], &["pwd"], 1_000), proven("dave", &["sec"], &["mfa"], 1_000));
    let (sum, _) = count_mfa(&keys, &stages, &[approve(1_000, &carol), approve(1_001, &dave)]);
    assert!(sum.approved() && sum.counted == [Counted::Yes; 2], "the first stage asks for none");
    // Who is in both: an approval without MFA fills neither, and keeps none with MFA from counting.
    let erin = |methods: &[&str]| proven("erin", &["leads", "sec"], methods, 1_000);
    let (sum, _) = count_mfa(&keys, &stages, &[approve(1_000, &carol), approve(1_001, &erin(&["pwd"])), approve(1_002, &erin(&["mfa"]))]);
    assert_eq!(sum.counted, [Counted::Yes, Counted::No(Reason::MfaRequired), Counted::Yes]);
    assert!(sum.approved());
    // Before its stage is open it is judged in the same way.
    let (sum, _) = count_mfa(&keys, &stages, &[approve(1_000, &proven("dave", &["sec"], &["pwd"], 1_000)), approve(1_001, &dave)]);
    assert_eq!(sum.counted, [Counted::No(Reason::MfaRequired), Counted::Waiting]);
}

/// Several people may use it, so it may be the requester.
#[test]
fn what_an_emergency_account_approves_does_not_count_and_what_it_ends_does() {
    let carol = person("carol", &["leads"]);
    let stages = [stage("owners", 1, &[group("leads")])];
    let by = |verb| [DecisionFacts { emergency: true, commented: true, manager: Some(true), ..word(1, &carol, verb) }];
    for verb in [Verb::Approve, Verb::Review] {
        let sum = count(&stages, &by(verb));
        assert_eq!((sum.counted[0], sum.approved()), (Counted::No(Reason::EmergencyAccount), false), "{verb:?}");
    }
    for verb in [Verb::Deny, Verb::Revoke] {
        let sum = count(&stages, &by(verb));
        assert!(sum.counted[0] == Counted::Yes && sum.stopped_by.is_some(), "{verb:?}");
    }
    // It takes no place of the person whose name it has.
    let both = [by(Verb::Approve)[0].clone(), word(2, &carol, Verb::Approve)];
    assert!(count(&stages, &both).approved());
}
