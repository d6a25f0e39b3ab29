//! Stages and the people who fill them: examples, and properties over random templates and approvals.
use super::{
    super::{
        CommentRule, Escalation, Tally, explain, tally,
        tests::{D, group, people, person, stage, word},
    },
    *,
};
use crate::{
    duration::Duration,
    principal::{Recognition, UserInfo},
};
use std::sync::Arc;

const ACCEPTED: i64 = 10;

/// The decisions about a request that was accepted at 10, with these stages.
fn sum(order: StageOrder, stages: &[ApprovalStage], words: &[DecisionFacts]) -> Tally {
    let (alice, people, hour) = (person("alice", &["devs", "leads"]), people(), Duration::from_secs(3_600));
    tally(&subject(order, stages, &alice, &people, &hour), words)
}

fn subject<'a>(
    order: StageOrder,
    stages: &'a [ApprovalStage],
    requester: &'a UserInfo,
    people: &'a Recognition,
    duration: &'a Duration,
) -> ApprovalSubject<'a> {
    ApprovalSubject {
        break_glass: false,
        reviewable_since: None,
        uid: "r1",
        created: Time::from_secs(ACCEPTED),
        requester,
        beneficiary: None,
        digest: Some(D),
        accepted_at: Time::from_secs(ACCEPTED),
        stages,
        order,
        duration: Some(duration),
        people,
    }
}

fn user(name: &str) -> Subject {
    Subject::User(name.into())
}
fn at(n: i64) -> Time {
    Time::from_secs(ACCEPTED + n)
}
fn within(secs: u32, s: ApprovalStage) -> ApprovalStage {
    ApprovalStage { timeout: Some(Duration::from_secs(secs)), ..s }
}
fn escalated(secs: u32, approvers: &[Subject], s: ApprovalStage) -> ApprovalStage {
    ApprovalStage { escalation: Some(Escalation { after: Duration::from_secs(secs), approvers: approvers.to_vec() }), ..s }
}
/// By whom each stage is filled, and how many wait for it.
fn filled(t: &Tally, words: &[DecisionFacts]) -> Vec<(Vec<String>, usize)> {
    let names = |s: &StageTally| s.approved.iter().map(|i| words[*i].decider.username.clone()).collect();
    t.stages.iter().map(|s| (names(s), s.waiting.len())).collect()
}
fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn parallel_stages_pass_in_any_order_by_different_people() {
    let (carol, dave) = (person("carol", &["leads"]), person("dave", &["leads", "sec"]));
    let stages = [stage("owners", 1, &[group("leads")]), stage("security", 1, &[group("sec")])];
    for (first, second) in [(&carol, &dave), (&dave, &carol)] {
        let words = [word(1, first, Verb::Approve), word(2, second, Verb::Approve)];
        let one = sum(StageOrder::Parallel, &stages, &words[..1]);
        assert_eq!((one.approved(), one.counted[0], one.open_stages().count()), (false, Counted::Yes, 1), "{}", first.username);
        let both = sum(StageOrder::Parallel, &stages, &words);
        assert!(both.approved() && both.counted == [Counted::Yes; 2]);
        assert_eq!(filled(&both, &words), [(names(&["carol"]), 0), (names(&["dave"]), 0)], "dave moves to where carol cannot help");
    }
    // One person does not fill two stages, and each stage has its own time.
    let words = [word(1, &dave, Verb::Approve), word(2, &dave, Verb::Approve)];
    let t = sum(StageOrder::Parallel, &[within(9, stages[0].clone()), within(4, stages[1].clone())], &words);
    assert_eq!(t.counted, [Counted::Yes, Counted::No(Reason::AlreadyCounted)]);
    assert_eq!(filled(&t, &words), [(names(&[]), 0), (names(&["dave"]), 0)], "what times out first is filled first");
    assert_eq!((t.open_stage(), t.deadline()), (Some(0), Some(at(9))));
    let late = [word(4, &dave, Verb::Approve)];
    let t = sum(StageOrder::Parallel, &[within(9, stages[0].clone()), within(4, stages[1].clone())], &late);
    assert_eq!((t.counted[0], t.deadline()), (Counted::No(Reason::ApprovalTimedOut), Some(at(4))), "one stage that times out ends all");
}

#[test]
fn who_alone_can_fill_a_later_stage_is_kept_for_it() {
    let (carol, dave, erin) = (person("carol", &["leads"]), person("dave", &["leads"]), person("erin", &["leads"]));
    let stages = [stage("owners", 1, &[group("leads")]), stage("security", 1, &[user("dave"), user("alice")])];
    for order in [StageOrder::Sequential, StageOrder::Parallel] {
        // Dave is early. The owners wait for another of the leads, and alice asks for herself.
        let words = [word(1, &dave, Verb::Approve), word(2, &carol, Verb::Approve), word(3, &erin, Verb::Approve)];
        let early = sum(order, &stages, &words[..1]);
        assert_eq!((early.open_stage(), early.approved()), (Some(0), false), "{order:?}");
        let security = if order == StageOrder::Parallel { (names(&["dave"]), 0) } else { (names(&[]), 1) };
        assert_eq!(filled(&early, &words), [(names(&[]), 0), security]);
        let both = sum(order, &stages, &words[..2]);
        assert!(both.approved() && both.counted == [Counted::Yes; 2], "{order:?}");
        assert_eq!(sum(order, &stages, &words).counted[2], Counted::No(Reason::AlreadyCounted));
    }
    // Erin can fill the later stage, too.
    let either = [stages[0].clone(), stage("security", 1, &[user("dave"), user("erin")])];
    let early = sum(StageOrder::Sequential, &either, &[word(1, &dave, Verb::Approve)]);
    assert_eq!((early.open_stage(), early.counted[0]), (Some(1), Counted::Yes));
    // Where others can fill the later stage, the first one takes him; he moves when a lead comes who cannot.
    let open = [stages[0].clone(), stage("security", 1, &[user("dave"), group("sec")])];
    let words = [word(1, &dave, Verb::Approve), word(2, &carol, Verb::Approve)];
    let t = sum(StageOrder::Sequential, &open, &words[..1]);
    assert_eq!((t.open_stage(), t.counted[0], t.stages[1].deadline), (Some(1), Counted::Yes, Some(at(1).plus_secs(86_400))));
    assert!(sum(StageOrder::Sequential, &open, &words).approved());
}

#[test]
fn an_approval_for_a_stage_that_is_not_open_says_what_it_waits_for() {
    let (alice, people, hour) = (person("alice", &[]), people(), Duration::from_secs(3_600));
    let erin = person("erin", &["sec"]);
    let stages = [stage("owners", 1, &[group("leads")]), stage("security", 1, &[group("sec")])];
    let (m, words) = (subject(StageOrder::Sequential, &stages, &alice, &people, &hour), [word(1, &erin, Verb::Approve)]);
    let t = tally(&m, &words);
    assert_eq!((t.counted[0], t.stages[1].waiting.as_slice()), (Counted::Waiting, &[0][..]));
    assert!(explain(&m, &words, &t, 0).is_some_and(|why| why.contains("stage security")));
}

#[test]
fn an_escalation_adds_approvers_from_its_time_on() {
    let (carol, dave) = (person("carol", &["leads"]), person("dave", &["oncall"]));
    let owners = within(10, escalated(4, &[group("oncall")], stage("owners", 1, &[group("leads")])));
    let judge = |n| sum(StageOrder::Sequential, std::slice::from_ref(&owners), &[word(n, &dave, Verb::Approve)]);
    assert_eq!(judge(3).counted, [Counted::No(Reason::NotEscalatedYet)]);
    assert_eq!((judge(4).counted[0], judge(4).approved()), (Counted::Yes, true));
    assert_eq!(judge(10).counted, [Counted::No(Reason::ApprovalTimedOut)]);
    let none = sum(StageOrder::Sequential, std::slice::from_ref(&owners), &[]);
    assert_eq!((none.next_escalation(at(0)), none.next_escalation(at(4))), (Some(at(4)), None));
    // What came too early does not count later, and a second approval does.
    let twice = [word(1, &dave, Verb::Approve), word(5, &dave, Verb::Approve)];
    let t = sum(StageOrder::Sequential, std::slice::from_ref(&owners), &twice);
    assert_eq!(t.counted, [Counted::No(Reason::NotEscalatedYet), Counted::Yes]);
    // It runs from the opening of its own stage, and takes away at any time.
    let two = [stage("first", 1, &[group("leads")]), owners];
    let words = [word(2, &carol, Verb::Approve), word(5, &dave, Verb::Approve), word(6, &dave, Verb::Approve)];
    assert_eq!(sum(StageOrder::Sequential, &two, &words).counted[1..], [Counted::No(Reason::NotEscalatedYet), Counted::Yes]);
    assert!(sum(StageOrder::Sequential, &two, &[word(1, &dave, Verb::Deny)]).stopped_by.is_some());
    let (alice, people, hour) = (person("alice", &[]), people(), Duration::from_secs(3_600));
    let m = subject(StageOrder::Sequential, &two, &alice, &people, &hour);
    let told = |words: &[DecisionFacts]| explain(&m, words, &tally(&m, words), words.len() - 1).unwrap_or_default();
    assert!(told(&words[1..2]).contains("stage owners once it has been open for 4s"), "{}", told(&words[1..2]));
    assert!(told(&words[..2]).contains(&format!("stage owners from {} on", at(6))), "{}", told(&words[..2]));
}

/// Nothing is found to be late or early for good while an approval waits for its proof that may have opened the stage before.
#[test]
fn what_rests_on_an_unproven_approval_is_not_settled() {
    let (carol, dave) = (person("carol", &["leads"]), person("dave", &["oncall"]));
    let stages =
        [within(5, stage("owners", 1, &[group("leads")])), escalated(2, &[group("oncall")], stage("security", 1, &[user("erin")]))];
    let unproven = DecisionFacts { provenance: Provenance::Pending, ..word(1, &carol, Verb::Approve) };
    let judge = |first: &DecisionFacts, n| sum(StageOrder::Sequential, &stages, &[first.clone(), word(n, &dave, Verb::Approve)]).counted[1];
    assert_eq!((judge(&unproven, 4), judge(&unproven, 7)), (Counted::Waiting, Counted::Waiting));
    let proven = DecisionFacts { provenance: Provenance::Verified, ..unproven };
    assert_eq!((judge(&proven, 2), judge(&proven, 7)), (Counted::No(Reason::NotEscalatedYet), Counted::Yes));
}

#[test]
fn a_stage_may_ask_its_approvers_for_a_comment() {
    let (carol, dave) = (person("carol", &["leads"]), person("dave", &["sec"]));
    let asks = |s: ApprovalStage| ApprovalStage { comment: CommentRule::Required, ..s };
    let stages = [asks(stage("owners", 1, &[group("leads")])), stage("security", 1, &[group("sec")])];
    let with = |w: DecisionFacts| DecisionFacts { commented: true, ..w };
    let words =
        [word(1, &carol, Verb::Approve), with(word(2, &carol, Verb::Approve)), word(3, &dave, Verb::Approve), word(4, &carol, Verb::Deny)];
    let t = sum(StageOrder::Parallel, &stages, &words);
    assert_eq!(t.counted, [Counted::No(Reason::CommentRequired), Counted::Yes, Counted::Yes, Counted::Yes]);
    let (alice, people, hour) = (person("alice", &[]), people(), Duration::from_secs(3_600));
    let m = subject(StageOrder::Parallel, &stages, &alice, &people, &hour);
    assert!(explain(&m, &words, &t, 0).is_some_and(|why| why.contains("stage owners") && why.contains("spec.comment")));
}

#[test]
fn an_approval_shortens_and_never_lengthens() {
    let (carol, dave, erin) = (person("carol", &["leads"]), person("dave", &["leads"]), person("erin", &["leads"]));
    let stages = [stage("owners", 2, &[group("leads")])];
    let lasting = |secs, w: DecisionFacts| DecisionFacts { duration: Some(Duration::from_secs(secs)), ..w };
    let words = [
        lasting(3_601, word(1, &carol, Verb::Approve)),
        lasting(1_800, word(2, &carol, Verb::Approve)),
        lasting(3_600, word(3, &dave, Verb::Approve)),
        lasting(60, word(4, &erin, Verb::Approve)),
    ];
    let t = sum(StageOrder::Sequential, &stages, &words);
    assert_eq!(t.counted, [Counted::No(Reason::OverMaximum), Counted::Yes, Counted::Yes, Counted::No(Reason::AlreadyCounted)]);
    let (requested, half) = (Duration::from_secs(3_600), Duration::from_secs(1_800));
    assert_eq!((t.duration(&requested), t.shortened.as_ref().map(|s| s.decision)), (&half, Some(1)), "what is not needed changes nothing");
    let as_asked = sum(StageOrder::Sequential, &stages, &[words[2].clone()]);
    assert_eq!((as_asked.shortened.as_ref(), as_asked.duration(&requested)), (None, &requested));
    let (alice, people) = (person("alice", &[]), people());
    let m = subject(StageOrder::Sequential, &stages, &alice, &people, &requested);
    assert!(explain(&m, &words, &t, 0).is_some_and(|why| why.contains("names 1h1s") && why.contains("1h was asked for")));
}

#[test]
fn what_was_shown_as_counted_is_not_replaced_by_an_earlier_one_that_is_proven_later() {
    let (carol, dave) = (person("carol", &["leads"]), person("dave", &["leads"]));
    let stages = [stage("owners", 1, &[group("leads")])];
    let shown = DecisionFacts { counted_before: true, ..word(2, &dave, Verb::Approve) };
    let t = sum(StageOrder::Sequential, &stages, &[word(1, &carol, Verb::Approve), shown]);
    assert_eq!(t.counted, [Counted::No(Reason::AlreadyCounted), Counted::Yes]);
}

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

const USERS: [&str; 5] = ["u0", "u1", "u2", "u3", "u4"];

struct Case {
    order: StageOrder,
    stages: Vec<ApprovalStage>,
    words: Vec<DecisionFacts>,
}

/// A template of up to four stages, and approvals of up to five people, some of them in the group. `timed`: with time limits and
/// escalations that matter.
fn case(r: &mut Random, timed: bool) -> Case {
    let subjects = |r: &mut Random| -> Vec<Subject> {
        let mut all: Vec<Subject> = USERS.iter().filter(|_| r.flip()).map(|u| user(u)).collect();
        if all.is_empty() || r.below(3) == 0 {
            all.push(group("leads"));
        }
        all
    };
    let stages = (0..1 + r.below(4))
        .map(|s| {
            let mut one = stage(&format!("s{s}"), 1 + u8::try_from(r.below(2)).unwrap(), &subjects(r));
            if timed {
                one = within(3 + u32::try_from(r.below(12)).unwrap(), one);
                if r.below(3) == 0 {
                    one = escalated(1 + u32::try_from(r.below(4)).unwrap(), &subjects(r), one);
                }
            }
            one
        })
        .collect();
    let people: Vec<_> = USERS.iter().map(|u| person(u, if r.below(3) == 0 { &["leads"] } else { &[] })).collect();
    let mut now = 0;
    let words = (0..r.below(8))
        .map(|n| {
            now += i64::try_from(r.below(4)).unwrap();
            let lasts = [None, Some(600), Some(1_200)][r.below(3)];
            let by = &people[r.below(5)];
            DecisionFacts {
                uid: format!("d{}-{n}", r.below(4)).into(),
                duration: lasts.map(Duration::from_secs),
                ..word(now, by, Verb::Approve)
            }
        })
        .collect();
    Case { order: if r.flip() { StageOrder::Sequential } else { StageOrder::Parallel }, stages, words }
}

/// Whether people can be given to all places from this stage on, each at most once: tries every way.
fn can_fill(stages: &[ApprovalStage], left: u8, people: &mut Vec<Arc<UserInfo>>) -> bool {
    let Some((first, rest)) = stages.split_first() else { return true };
    if left == 0 {
        return can_fill(rest, rest.first().map_or(0, |s| s.quorum), people);
    }
    (0..people.len()).any(|i| {
        first.includes(&people[i]) && {
            let taken = people.remove(i);
            let found = can_fill(stages, left - 1, people);
            people.insert(i, taken);
            found
        }
    })
}

fn distinct(words: &[DecisionFacts]) -> Vec<Arc<UserInfo>> {
    let mut people: Vec<Arc<UserInfo>> = Vec::new();
    for w in words.iter().filter(|w| w.verb == Verb::Approve) {
        if !people.iter().any(|p| Arc::ptr_eq(p, &w.decider)) {
            people.push(w.decider.clone());
        }
    }
    people
}

#[test]
fn a_request_is_approved_if_there_is_any_way_to_give_its_places_to_people() {
    let mut r = Random(1);
    let mut approved = 0;
    for n in 0..4_000 {
        let Case { order, stages, words } = case(&mut r, false);
        let possible = can_fill(&stages, stages[0].quorum, &mut distinct(&words));
        let t = sum(order, &stages, &words);
        assert_eq!(t.approved(), possible, "case {n}: {order:?} {stages:?} {:?}", filled(&t, &words));
        approved += usize::from(possible);
    }
    assert!(approved > 300, "only {approved} of them are approved");
}

/// What is shown of a tally, without the order of the list.
fn shown(t: &Tally, words: &[DecisionFacts]) -> String {
    let uid = |i: &usize| words[*i].uid.to_string();
    let sorted = |list: &[usize]| {
        let mut all: Vec<String> = list.iter().map(uid).collect();
        all.sort();
        all
    };
    let stages: Vec<_> = t.stages.iter().map(|s| (sorted(&s.approved), sorted(&s.waiting), s.deadline, s.escalates_at)).collect();
    let mut counted: Vec<_> = t.counted.iter().enumerate().map(|(i, c)| (uid(&i), *c)).collect();
    counted.sort_by(|a, b| a.0.cmp(&b.0));
    format!("{stages:?} {counted:?} {:?}", t.shortened.as_ref().map(|s| (uid(&s.decision), &s.duration)))
}

#[test]
fn the_tally_does_not_depend_on_the_order_of_the_list() {
    let mut r = Random(2);
    for n in 0..2_000 {
        let Case { order, stages, words } = case(&mut r, true);
        let mut other = words.clone();
        for i in (1..other.len()).rev() {
            other.swap(i, r.below(i + 1));
        }
        let (a, b) = (sum(order, &stages, &words), sum(order, &stages, &other));
        assert_eq!(shown(&a, &words), shown(&b, &other), "case {n}: {order:?} {stages:?}");
    }
}

/// The decisions come one after the other, and what was shown after each is known when the next one comes.
#[test]
fn one_more_approval_takes_nothing_back_and_nothing_counts_twice() {
    let mut r = Random(3);
    let (mut moved, mut ended) = (0, 0);
    for n in 0..4_000 {
        let Case { order, stages, mut words } = case(&mut r, true);
        // In one second the API server gives no order, so there is none to keep.
        words.dedup_by_key(|w| w.created);
        let mut seen: Vec<DecisionFacts> = Vec::new();
        let mut before = sum(order, &stages, &[]);
        for w in &words {
            seen.push(w.clone());
            let t = sum(order, &stages, &seen);
            let told = format!("case {n}: {order:?} {stages:?}\n{:?}\n{:?}", filled(&before, &seen), filled(&t, &seen));
            for (i, counted) in before.counted.iter().enumerate() {
                let stands = t.counted[i] == *counted || *counted == Counted::Waiting && t.counted[i] == Counted::Yes;
                assert!(stands, "decision {i} was {counted:?} and is {:?}: {told}", t.counted[i]);
            }
            for (was, is) in before.stages.iter().zip(&t.stages) {
                assert!(!was.passed() || is.passed(), "a stage has passed no more: {told}");
                assert!(was.deadline.is_none() || was.deadline == is.deadline, "a deadline has moved: {told}");
                moved += usize::from(was.passed() && was.approved != is.approved);
            }
            if before.approved() {
                assert_eq!(before.shortened, t.shortened, "a late approval changes the duration: {told}");
            }
            let all: Vec<usize> = t.stages.iter().flat_map(|s| s.approved.iter().chain(&s.waiting)).copied().collect();
            let mut people: Vec<&str> = all.iter().map(|i| seen[*i].decider.username.as_str()).collect();
            people.sort_unstable();
            people.dedup();
            assert_eq!(people.len(), all.len(), "a person fills two places: {told}");
            sound(&t, &stages, &seen, &told);
            for (i, w) in seen.iter_mut().enumerate() {
                w.counted_before = t.counted[i] == Counted::Yes;
            }
            ended += usize::from(t.approved());
            before = t;
        }
    }
    assert!(moved > 50 && ended > 300, "{moved} were moved, {ended} were approved");
}

/// Every place is filled by a person whom its stage lists, in time, and for an escalation not before it.
fn sound(t: &Tally, stages: &[ApprovalStage], words: &[DecisionFacts], told: &str) {
    for (stage, is) in stages.iter().zip(&t.stages) {
        for w in is.approved.iter().map(|i| &words[*i]) {
            assert!(is.deadline.is_some_and(|end| w.created < end), "late: {told}");
            let escalated = is.escalates_at.is_some_and(|at| w.created >= at) && stage.concerns(&w.decider);
            assert!(stage.includes(&w.decider) || escalated, "not listed: {told}");
        }
        assert!(is.approved.len() <= usize::from(is.quorum), "more than the quorum: {told}");
    }
    let yes = t.counted.iter().filter(|c| **c == Counted::Yes).count();
    assert_eq!(yes, t.stages.iter().map(|s| s.approved.len()).sum::<usize>(), "{told}");
}
