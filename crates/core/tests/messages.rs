//! Every message of the core that users see, as one table: `golden/messages.txt`. A reviewer of a changed rule sees there how its
//! message changes. The other tests find what a reviewer misses: a text that was not filled in, a refusal without a next step, and
//! a message that is not in the table.
//!
//!     UPDATE=1 cargo test --package curfew-core --test messages
mod aws_forms;
mod fixture;
mod message_cases;
mod snapshot;

use curfew_core::{
    admission::Provenance,
    approval::{ApprovalSubject, DecisionFacts, StageOrder, Verb, explain, tally},
    conditions::mfa,
    digest::Digest,
    duration::{Duration, Period},
    fingerprint::{Fingerprint, Meant, may_record},
    limits::{Holder, Limit, Maxima, Slot, SlotName, Slots, explain as explain_limit},
    messages::{
        Judged, comment_required, hint, longer_than_requested, not_counted, not_escalated_yet, same_approver, self_decision,
        unproven_login, waits_for_stage,
    },
    principal::{Party, Recognition, SameBy, Subject, Uids, UserInfo},
    readiness,
    reason::Reason,
    resolved::{Extended, Resolved},
    target::{
        ProviderKind,
        kubernetes::{
            lasting::{Verbs, persistence, rights},
            persistence::Rule,
        },
    },
    terms::{Refusal, resolve},
    time::Time,
};
use fixture::{Fixture, NOW, active, delegated, fixture, logged_in, with, with_mfa, with_ticket};
use message_cases as cases;
use std::{
    fmt::{Display, Write as _},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One line of the table.
struct Message {
    /// What is wrong, so that the rule writes the message; empty where the reason says it.
    case: String,
    /// The reason beside the message in a status, or what the message is about.
    reason: String,
    text: String,
}

fn message(case: impl Display, reason: impl Display, text: impl Display) -> Message {
    Message { case: case.to_string(), reason: reason.to_string(), text: text.to_string() }
}

/// Messages of one function, under one heading.
type Section = (&'static str, Vec<Message>);

fn hints() -> Vec<Message> {
    Reason::ALL.iter().map(|reason| message("", reason, hint(*reason))).collect()
}

/// Only what differs from the hint.
fn verdicts() -> Vec<Message> {
    let about = |name: &'static str, judged| {
        let differs = move |reason: &&Reason| not_counted(**reason, judged) != hint(**reason);
        Reason::ALL.iter().filter(differs).map(move |reason| message(name, reason, not_counted(*reason, judged)))
    };
    let all = about("about a request", Judged::Request).chain(about("about a Grant", Judged::Grant));
    all.chain(about("a review about a Grant", Judged::GrantForReview)).collect()
}

/// What `judge` says in each case. An empty text stands for a request that is not refused.
fn judged(cases: &[cases::Case], set_up: fn(&mut Fixture), judge: fn(&Fixture) -> Result<String, Refusal>) -> Vec<Message> {
    let one = |(case, change): &cases::Case| {
        let mut f = fixture();
        set_up(&mut f);
        change(&mut f);
        match judge(&f) {
            Ok(text) => message(case, "Ready", text),
            Err(refusal) => message(case, refusal.reason, refusal.message),
        }
    };
    cases.iter().map(one).collect()
}

fn for_erin(f: &mut Fixture) {
    fixture::on_behalf(f, Subject::User("erin".into()));
}

fn requests() -> Vec<Section> {
    let nothing = |_: &mut Fixture| ();
    let request = |f: &Fixture| resolve(&f.asked, &f.inputs()).map(|_| String::new());
    vec![
        ("A request is refused (terms::resolve): login, role and system", judged(cases::REQUEST, nothing, request)),
        ("A request is refused (terms::resolve): what the role holds", judged(cases::REQUEST_CONTENT, nothing, request)),
        ("A request is refused (terms::resolve): eligibility", judged(cases::REQUEST_ELIGIBILITY, nothing, request)),
        ("A request is refused (terms::narrowing): more than the role or the assignment gives", judged(cases::NARROWING, nothing, request)),
        ("A request for break-glass is refused (terms::break_glass)", judged(cases::BREAK_GLASS, cases::break_glass, request)),
        ("A request for another person is refused (terms::requestors)", judged(cases::ON_BEHALF, for_erin, request)),
        ("A request is refused (terms::resolve): ticket, MFA, authentication context", judged(cases::REQUEST_CONDITIONS, nothing, request)),
        ("An extension is refused, or ends (terms::extension)", judged(cases::extension::EXTENSION, fixture::extension::extend, request)),
        ("A request of a service account is refused (terms::resolve)", judged(cases::SERVICE_ACCOUNT, delegated, request)),
        ("Standing access is refused (terms::standing)", judged(cases::standing::STANDING, fixture::standing::prepare, request)),
        ("What is active ends (terms::resolve)", judged(cases::HELD, |f| active(f, NOW.plus_secs(600)), request)),
    ]
}

fn conditions() -> Vec<Section> {
    let nothing = |_: &mut Fixture| ();
    let template = |f: &Fixture| readiness::template(f.template.as_ref().expect("a template"), &f.inputs()).map(|(_, text)| text);
    let assignment = |f: &Fixture| readiness::assignment(&f.assignments[0], f.template.as_ref(), &f.inputs());
    let standing = |f: &Fixture| {
        let active = f.active.as_ref().expect("an assignment");
        let next = active.schedule().first_ending_after(NOW).map(|_| Ok(()));
        readiness::active_assignment(active, next, NOW)
    };
    let policy = |f: &Fixture| readiness::policy(&f.policies[0]);
    let system = |f: &Fixture| readiness::system(&f.systems[0], f.unreachable.map_or(Ok(()), Err));
    vec![
        ("Ready of a RoleTemplate (readiness::template)", judged(cases::TEMPLATE, nothing, template)),
        ("Ready of an EligibleAssignment (readiness::assignment)", judged(cases::ASSIGNMENT, nothing, assignment)),
        (
            "Ready of an ActiveAssignment (readiness::active_assignment)",
            judged(cases::standing::READY, fixture::standing::prepare, standing),
        ),
        ("Ready of an AccessPolicy (readiness::policy)", judged(cases::POLICY, nothing, policy)),
        ("Ready of an AuthorizationSystem (readiness::system)", judged(cases::SYSTEM, nothing, system)),
    ]
}

fn limits_reached() -> Vec<Message> {
    let limits = |active, per_subject| Limit::of_role("payments", "admin", &Subject::User("alice".into()), Maxima { active, per_subject });
    let of = |case: &str, [subject, role]: [Limit; 2], (held_of_subject, held): (u16, u16), uncounted: u16| {
        let slot = |limit: &Limit, index: u16| Slot {
            name: SlotName { family: &limit.family, index }.to_string().into(),
            uid: "u".into(),
            version: "1".into(),
            taken_over_from: None,
            holder: Holder { namespace: "payments".into(), name: format!("request-{index}").into(), uid: format!("r{index}").into() },
            suspect: false,
        };
        let taken = (0..held_of_subject).map(|n| slot(&subject, n)).chain((0..held).map(|n| slot(&role, n))).collect();
        let slots = Slots { taken, uncounted: vec![0, uncounted] };
        message(case, Reason::LimitReached, explain_limit(&[subject, role], &slots, "mine", "0123abcd").unwrap_or_default())
    };
    let alice = curfew_core::principal::UserInfo { username: "alice".into(), ..curfew_core::principal::UserInfo::default() };
    let lock = Limit::of_break_glass(&alice, &[], Uids::Shared).expect("one name").remove(0);
    let holder = Holder { namespace: "payments".into(), name: "request-0".into(), uid: "r0".into() };
    let name = SlotName { family: &lock.family, index: 0 }.to_string().into();
    let locked = Slots {
        taken: vec![Slot { name, uid: "u".into(), version: "1".into(), holder, taken_over_from: None, suspect: false }],
        uncounted: vec![0],
    };
    let locked = explain_limit(&[lock], &locked, "mine", "0123abcd").unwrap_or_default();
    let [_, role] = limits(5, 1);
    vec![
        message("break-glass is not reviewed", Reason::ReviewOutstanding, locked),
        of("the holder has it", limits(5, 1), (1, 1), 0),
        of("others have it", limits(2, 2), (0, 2), 0),
        of("many others have it", limits(5, 2), (0, 5), 0),
        of("one is from before the limit", limits(1, 1), (0, 0), 1),
        of("several are from before the limit", limits(2, 1), (0, 0), 2),
        of(
            "that of a policy",
            Limit::of_policy("payments", &Subject::User("alice".into()), Maxima { active: 2, per_subject: 1 }),
            (1, 1),
            0,
        ),
        of("the request is extended already", [Limit::of_extension("first", "u1"), role], (1, 0), 0),
    ]
}

fn changed() -> Vec<Message> {
    let frozen = with(|_| ()).expect("allowed").resolved;
    let one = |(case, change): &cases::Case| {
        let now = with(change).unwrap_or_else(|refusal| panic!("{case}: {refusal:?}")).resolved;
        message(case, Reason::TemplateChanged, now.changed_since(&frozen))
    };
    let mut all: Vec<_> = cases::CHANGED.iter().map(one).collect();
    let extended = Some(Extended { name: "first".into(), uid: "u1".into(), until: NOW, since: NOW });
    let extending = Resolved { extends: extended, ..(*frozen).clone() };
    all.push(message("what it extends", Reason::TemplateChanged, extending.changed_since(&frozen)));
    let other = Resolved { schema: 1, ..(*frozen).clone() };
    all.push(message("another form", Reason::TemplateChanged, frozen.changed_since(&other)));
    all.push(message("anything else", Reason::TemplateChanged, frozen.changed_since(&frozen)));
    all
}

/// The parts of an access, for approvers and for the audit log.
fn access() -> Vec<Message> {
    let mut all = Vec::new();
    for (case, change) in cases::ACCESS {
        let resolved = with(change).unwrap_or_else(|refusal| panic!("{case}: {refusal:?}")).resolved;
        let plan = resolved.plan("install1", "g0123456789", NOW).expect("one provider");
        all.push(message(case, "beneficiary", &resolved.beneficiary));
        all.push(message(case, "permissions", resolved.permissions.privileges().join(", ").replace(&"0".repeat(63), "…")));
        all.push(message(case, "scope", resolved.scope.in_words(&resolved.permissions)));
        all.push(message(case, "plan", plan.privileges().join(", ")));
    }
    all.push(message("", "session tail", ProviderKind::Kubernetes.session_tail()));
    all
}

/// Every right of the lists, and a role that has all of them.
fn lasting() -> Vec<Message> {
    let row = |right: &curfew_core::target::kubernetes::lasting::Right| {
        let verbs = match right.verbs {
            Verbs::AnyOf(list) => list.join(", "),
            Verbs::AllBut([]) => "any verb".into(),
            Verbs::AllBut(list) => format!("any verb but {}", list.join(", ")),
            Verbs::Named(list) => format!("by name {}", list.join(", ")),
        };
        let what = format!("{} of {:?}", right.resources.join(", "), right.group);
        message(format!("{what}: {verbs}"), "can", right.allows)
    };
    let all = |text: &str| vec![text.to_owned()];
    let everything = Rule { api_groups: all("*"), resources: all("*"), verbs: all("*"), ..Rule::default() };
    let several = message("all of them", "can", persistence(&[everything]).unwrap_or_default());
    rights().map(row).chain([several]).collect()
}

fn unreadable() -> Vec<Message> {
    vec![
        message("", "duration", "4 hours".parse::<Duration>().expect_err("no duration")),
        message("", "duration", "1h0m0s".parse::<Duration>().expect_err("no duration")),
        message("", "duration", "60".parse::<Duration>().expect_err("no duration")),
        message("", "period", "90".parse::<Period>().expect_err("no period")),
        message("", "period", "48h".parse::<Period>().expect_err("no period")),
        message("", "time of day", cases::standing::no_time_of_day()),
        message("", "digest", "7f3a9c21d0b4e6f1".parse::<Digest>().expect_err("no digest")),
        message("", "time", serde_json::from_value::<Time>("tomorrow".into()).expect_err("no time")),
    ]
}

/// What users are told of AWS.
fn aws() -> Vec<Section> {
    let rows = |rows: Vec<cases::aws::Row>| rows.into_iter().map(|(case, about, text)| message(case, about, text)).collect();
    vec![
        ("A policy document that cannot be read (target::aws::document)", rows(cases::aws::documents())),
        ("A template that cannot be granted in AWS (target::aws::resolve)", rows(cases::aws::templates())),
        ("What a policy does not allow in AWS (target::aws::permissions)", rows(cases::aws::policies())),
        ("What is active or waits in AWS, and has changed (target::aws::held)", rows(cases::aws::held())),
        ("Who a beneficiary is in AWS (principal::mapping, target::aws::principal)", rows(cases::aws::principals())),
        ("An access in AWS in words (target::aws)", rows(cases::aws::access())),
        ("What outlives a grant in AWS (target::aws::persistence)", rows(cases::aws::lasting())),
    ]
}

fn table() -> Vec<Section> {
    let mut all = vec![
        ("What a reason means (messages::hint)", hints()),
        ("Why a decision does not count, where it is not the hint (messages::not_counted)", verdicts()),
    ];
    all.push(("Who counts as one person (messages::self_decision, messages::same_approver)", people()));
    all.push(("An approval does not count, or not yet (messages)", approvals()));
    all.push(("The login of a decider is not proven (messages)", unproven()));
    all.extend(requests());
    all.extend(conditions());
    all.push(("What a role requires, and what an approval lacks (conditions)", required()));
    all.push(("What waits has changed (Resolved::changed_since)", changed()));
    all.push(("A limit is reached (limits::explain)", limits_reached()));
    let rows = |rows: Vec<cases::aws::Row>| rows.into_iter().map(|(case, about, text)| message(case, about, text)).collect();
    all.push(("An AssignmentRequest is refused (assignment_request::resolve)", rows(cases::assignment_requests::refused())));
    all.push(("An AssignmentRequest ends (assignment_request::decide)", rows(cases::assignment_requests::ends())));
    let title = "Ready of an EligibleAssignment without a proof of its window (readiness::assignment_without_proof)";
    all.push((title, rows(cases::assignment_requests::without_proof())));
    all.push(("The holders of a role that protects its last one (readiness::has_holder)", rows(cases::assignment_requests::holders())));
    all.push(("An access in words (target)", access()));
    all.push(("What outlives a grant (target::kubernetes::lasting)", lasting()));
    all.extend(aws());
    let recurring = cases::standing::words().into_iter().map(|text| message("", "recurring", text)).collect();
    all.push(("A recurring window in words (occurrences)", recurring));
    all.push(("A text that cannot be read", unreadable()));
    all.push(("A connection that leads elsewhere (fingerprint)", elsewhere()));
    all
}

/// What is equal between a decider and another person.
fn people() -> Vec<Message> {
    let login = |name: &str| UserInfo { username: name.into(), uid: "aws-iam-authenticator:4711:AROA".into(), ..UserInfo::default() };
    let (carol, alias) = (login("carol@example.com"), SameBy::Alias("curfew.dev/person"));
    let own = |role, by| message(role, "SelfDecision", self_decision(&carol, Party { role, by }));
    vec![
        own("requester", SameBy::Username),
        own("requester", SameBy::Uid),
        own("requester", alias),
        own("beneficiary", SameBy::Username),
        own("beneficiary", alias),
        message("approver", "AlreadyCounted", same_approver(&carol, &login("dave@example.com"), SameBy::Uid)),
    ]
}

/// What a role requires, and an approval without the MFA of its stage.
fn required() -> Vec<Message> {
    let mut f = fixture();
    with_mfa(&mut f);
    with_ticket(&mut f, "^INC-[0-9]+$", None);
    f.template().authentication_context = Some("c1".into());
    let requires = readiness::requires(f.template());
    logged_in(&mut f, &["pwd"], 60);
    let carol = DecisionFacts {
        uid: "d1".into(),
        decider: Arc::new(UserInfo { username: "carol".into(), groups: Arc::new(vec!["leads".into()]), ..f.asked.requester.clone() }),
        verb: Verb::Approve,
        digest: Some(Digest::from_bits(1)),
        duration: None,
        commented: false,
        request_uid: None,
        created: NOW,
        manager: None,
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    };
    f.template().approval[0].mfa = Some(mfa::Requirement { max_age: "5m".parse().expect("a duration") });
    let subject = ApprovalSubject {
        break_glass: false,
        reviewable_since: None,
        uid: "r1",
        created: NOW,
        requester: &f.asked.requester,
        beneficiary: None,
        digest: Some(Digest::from_bits(1)),
        accepted_at: NOW,
        stages: &f.template.as_ref().expect("a template").approval,
        order: StageOrder::Sequential,
        duration: None,
        people: &Recognition { login_keys: f.login_keys.clone(), ..Recognition::STRICT.clone() },
    };
    let without = ApprovalSubject { people: Recognition::STRICT, ..subject };
    let words = std::slice::from_ref(&carol);
    let why = |subject: &ApprovalSubject<'_>| explain(subject, words, &tally(subject, words), 0).expect("a reason");
    vec![
        message("", "requires", requires),
        message("approver", Reason::MfaRequired, why(&subject)),
        message("approver, without configured keys", Reason::MfaRequired, why(&without)),
    ]
}

/// What is told of an approval that came too early, or that is longer or shorter than it should be.
fn approvals() -> Vec<Message> {
    let long = |text: &str| text.parse::<Duration>().expect("a duration");
    vec![
        message("", "OverMaximum", longer_than_requested(&long("2h"), &long("45m"))),
        message("", "CommentRequired", comment_required("owners")),
        message("the stage is open", "NotEscalatedYet", not_escalated_yet("owners", Some(NOW), &long("2h"))),
        message("the stage is not open", "NotEscalatedYet", not_escalated_yet("owners", None, &long("2h"))),
        message("", "Waiting", waits_for_stage("security")),
    ]
}

/// Which proof the login of a decider lacks.
fn unproven() -> Vec<Message> {
    let login = |username: &str, extra: &[(&str, &[&str])]| UserInfo {
        username: username.into(),
        extra: extra.iter().map(|(key, values)| ((*key).to_owned(), values.iter().map(ToString::to_string).collect())).collect(),
        ..UserInfo::default()
    };
    let (proof, aliases) = (["credential-id".to_owned(), "issuer".to_owned()], ["person".to_owned(), "badge".to_owned()]);
    let why = |decider: &UserInfo| unproven_login(decider, &proof, &aliases).expect("a reason");
    let proven: [(&str, &[&str]); 2] = [("credential-id", &["c1"]), ("issuer", &["i1"])];
    let with = |more: &[(&'static str, &'static [&'static str])]| login("carol", &[&proven[..], more].concat());
    assert_eq!(unproven_login(&with(&[("person", &["p1"]), ("badge", &[])]), &proof, &aliases), None);
    vec![
        message("a service account", Reason::UnprovenLogin, why(&login("system:serviceaccount:flux:agent", &[]))),
        message("recorded before the proof was configured", Reason::UnprovenLogin, why(&login("carol", &[("credential-id", &["c1"])]))),
        message("impersonated", Reason::UnprovenLogin, why(&login("carol", &[("credential-id", &[]), ("issuer", &["i1"])]))),
        message("recorded before aliases were configured", Reason::UnprovenLogin, why(&with(&[]))),
        message("without an alias", Reason::UnprovenLogin, why(&with(&[("person", &[]), ("badge", &[])]))),
    ]
}

/// What differs between the target that is meant and the one that is reached.
fn elsewhere() -> Vec<Message> {
    let seen = |server: &str, ca: &str, key: &str| Fingerprint {
        server: server.into(),
        ca: Digest::of_bytes(ca.as_bytes()),
        keys: vec![key.into()],
    };
    let meant = Meant { identity: "prod".into(), recorded: vec![seen("https://a", "1", "k1")], accepted: Vec::new() };
    let other = seen("https://b", "1", "k1");
    let of =
        |case: &str, verdict: Result<(), String>| Message { case: case.into(), reason: "NotReady".into(), text: verdict.expect_err(case) };
    vec![
        of("another identity", meant.check("canary", Some(&other))),
        of("another identity, in a system", may_record(Some(&meant), "canary", Some(&other))),
        of("no fingerprint", meant.check("prod", None)),
        of("another address", meant.check("prod", Some(&other))),
        of("another CA", meant.check("prod", Some(&seen("https://a", "2", "k1")))),
        of("other keys", meant.check("prod", Some(&seen("https://a", "1", "k2")))),
    ]
}

#[test]
fn the_messages_are_as_reviewed() {
    let mut text = String::from("Every message of the core that users see: case, reason, message.\n");
    for (heading, messages) in table() {
        let _ = writeln!(text, "\n## {heading}\n");
        for Message { case, reason, text: message } in messages {
            let line = if case.is_empty() { format!("{reason}: {message}") } else { format!("{case:<44}  {reason}: {message}") };
            text.push_str(&line);
            text.push('\n');
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/messages.txt");
    snapshot::assert_stored(&path, &text, "cargo test --package curfew-core --test messages");
}

/// Texts that only a value in Rust's own notation has.
const NOTATION: &[&str] = &["Some(", "None", "Ok(", "Err(", "\\\"", "[\"", "::", " { "];

/// What is wrong with a text, regardless of what it says.
fn fault(text: &str) -> Option<&'static str> {
    let first = text.split(' ').next().unwrap_or_default();
    // `RBAC` and `RoleTemplate` are names; `The` is not.
    let capitalized = first.starts_with(char::is_uppercase) && first.chars().skip(1).all(char::is_lowercase) && first != "Role";
    // The path of a kubectl command begins `{.`.
    let placeholder = text.split('{').skip(1).any(|rest| !rest.starts_with('.'));
    // An ARN may leave out region and account.
    let without_arns = text.replace("arn:aws:iam::", "").replace("arn:aws:sts::", "").replace(":::", "");
    let faults = [
        (text.is_empty(), "is empty, or nothing is refused"),
        (text.chars().count() > 300, "is longer than 300 characters"),
        (text.trim() != text || text.contains("  "), "has a space too many"),
        (text.ends_with('.'), "ends with a full stop"),
        (capitalized, "begins with a capital letter"),
        (placeholder, "holds a placeholder"),
        (NOTATION.iter().any(|notation| without_arns.contains(notation)), "shows a value in Rust's notation"),
    ];
    faults.into_iter().find(|(wrong, _)| *wrong).map(|(_, why)| why)
}

#[test]
fn every_message_is_a_text_for_people() {
    let all = table();
    let messages = all.iter().flat_map(|(_, messages)| messages);
    let wrong = messages.filter_map(|m| fault(&m.text).map(|why| format!("{} {}: {:?} {why}", m.case, m.reason, m.text)));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn every_refusal_names_an_object_or_the_next_step() {
    let has_step = |text: &str| text.contains("; ") || text.contains("spec.");
    let without_step: Vec<Reason> = Reason::ALL.iter().copied().filter(|reason| !has_step(hint(*reason))).collect();
    use Reason::*;
    // The user has done it, waits for it, or can do nothing about it.
    let nothing_to_do = [NotProvenYet, Withdrawn, RevokedByHolder, RequestDeleted, AlreadyCounted, AlreadyEnded, AsExpected];
    assert_eq!(without_step, nothing_to_do);

    let objects = ["admin", "payments", "devs", "prod", "canary", "deployer", "alice", "owners", "system:", "CurfewConfig", "notAfter"];
    let names_object = |text: &str| objects.iter().any(|object| text.contains(object));
    for (_, messages) in requests() {
        for m in messages.iter().filter(|m| m.reason != NotProvenYet.as_str()) {
            assert!(has_step(&m.text) || names_object(&m.text), "{}: {}", m.case, m.text);
        }
    }
}

/// Texts in the source that are not in the table, and why.
/// Why a line of `kubectl curfew explain` that says what holds is not in the table.
const EXPLAINED: &str = "said by kubectl curfew explain of a rule that holds: terms_explain and the plugin's tests";

const NOT_IN_TABLE: &[(&str, &str)] = &[
    ("uses what this build supports", EXPLAINED),
    ("{} is recognised", EXPLAINED),
    ("role {name} exists and is not suspended", EXPLAINED),
    ("within what role {name} gives", EXPLAINED),
    ("{asked}, of at most {}", EXPLAINED),
    ("the operator has found nothing in the way", EXPLAINED),
    ("there is one", EXPLAINED),
    ("the role requires none", EXPLAINED),
    ("allowed by policy {}, for at most {}", EXPLAINED),
    ("allowed by role {name} and policy {by}", EXPLAINED),
    ("without an end", EXPLAINED),
    ("request {} lasts until {until}, and the extension until {}", EXPLAINED),
    (
        "the extension leaves out {lost}, and so would give more than request {name}; name that policy, too",
        "narrowing::resolve refuses it before, unless what is extended had no denial that the role has",
    ),
    ("a Job that owns each binding expires soon after the deadline", "said by kubectl curfew explain of what ends the access"),
    ("every statement that is written ends at the deadline", "said by kubectl curfew explain of what ends the access"),
    ("self.all(key, !key.startsWith('curfew.dev/'))", "a rule of a CRD"),
    ("keys of curfew.dev are reserved for Curfew", "the message of that rule, which the API server gives: story::fuse"),
    ("policy {policy} does not allow role {role}", "the proof of a window says Lack::Approvers instead"),
    ("other approvers than the role asks for", "the proof of a window says Lack::Approvers instead"),
    ("the core's own values are JSON", "the text of a panic"),
    ("{} ms after the epoch", "a time beyond the year 9999, which the CRDs refuse"),
    ("more than {MAX_EXPANDED} single permissions, which cannot be compared", "content that is frozen is smaller"),
    ("permissions of another provider", "an object has a part for each provider, and only that of the system's is used"),
    ("permissions and scope are of different providers", "an object has a part for each provider, and only that of the system's is used"),
    ("has(self.account) != (has(self.regions) || has(self.resources))", "a rule of a CRD"),
    ("write account: {} alone, or regions, resources, or both of these", "the message of that rule, which the API server gives"),
    ("the whole account", "no scope is wider"),
    ("a policy document", "what the JSON parser would say of a value that JSON does not have"),
    ("what it held", "a Grant holds one way of access"),
    ("the statement that ends what is attached", "it is small and has its end, so no message names it"),
];

/// The text literals of a source file that contain a space, so that they may be a message. Comments and unit tests are left out.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("'\"'", "");
    let texts: Vec<String> = code.split('"').skip(1).step_by(2).filter(|text| text.contains(' ')).map(str::to_owned).collect();
    assert!(texts.iter().all(|text| !text.contains(['\n', '\\'])), "a literal that this scan does not understand: {texts:#?}");
    texts
}

/// Whether a message is what this format string makes: its constant parts are in it, in order.
fn made_by(format: &str, message: &str) -> bool {
    let parts =
        format.split('{').enumerate().map(|(i, part)| if i == 0 { part } else { part.split_once('}').map_or(part, |(_, rest)| rest) });
    let mut rest = Some(message);
    for part in parts {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, after)| after);
    }
    rest.is_some()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    // The simulated provider and the unit tests are not in release builds.
    let files = files.into_iter().filter(|path| !path.ends_with("target/simulated.rs") && !path.ends_with("tests.rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// It cannot tell two rules with the same text apart, and leaves out texts of one word.
#[test]
fn every_text_in_the_source_is_in_the_table() {
    let (table, source) = (table(), Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let messages: Vec<&str> = table.iter().flat_map(|(_, messages)| messages).map(|m| m.text.as_str()).collect();
    let mut missing = Vec::new();
    for path in sources(&source) {
        for text in literals(&fs::read_to_string(&path).expect("a source file")) {
            if !messages.iter().any(|message| made_by(&text, message)) {
                missing.push((text, path.clone()));
            }
        }
    }
    let excused = |text: &str| NOT_IN_TABLE.iter().any(|(excused, _)| *excused == text);
    let forgotten: Vec<_> = missing.iter().filter(|(text, _)| !excused(text)).collect();
    assert!(forgotten.is_empty(), "add a case to message_cases, or the text to NOT_IN_TABLE with the reason: {forgotten:#?}");
    for (excused, _) in NOT_IN_TABLE {
        assert!(missing.iter().any(|(text, _)| text == excused), "no longer needed in NOT_IN_TABLE: {excused}");
    }
}
