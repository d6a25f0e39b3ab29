//! Names that protect are compared folded, at every place that refuses; names that grant are compared exactly.
// Shared with tests that use more of it.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    admission::Provenance,
    approval::{
        AbandonDecision, ApprovalStage, ApprovalSubject, CommentRule, Counted, DecisionFacts, StageOrder, StalledGrant, Tally, Verb,
        evaluate_abandon, tally,
    },
    digest::Digest,
    folding::{Spelling, fold},
    principal::{Recognition, Subject, UserInfo},
    reason::Reason,
    terms::ready,
    time::Time,
};
use fixture::{fixture, group};
use std::{fs, path::Path, sync::Arc};

const D: Digest = Digest::from_bits(7);
const KEY: &str = "curfew.dev/person";

/// Pairs of names that are one person's.
const SPELLINGS: [(&str, &str); 6] = [
    ("alice@example.com", "Alice@example.com"),
    ("alice@example.com", "alice@example.com "),
    ("alice@example.com", "ａｌｉｃｅ@example.com"),
    ("jürgen", "ju\u{308}rgen"),
    ("weiß", "WEISS"),
    ("alice", "ali\u{200b}ce"),
];

fn login(name: &str, alias: &str) -> UserInfo {
    let extra = [(KEY.to_owned(), vec![alias.to_owned()])].into();
    UserInfo { username: name.into(), groups: Arc::new(vec!["leads".into()]), extra, ..UserInfo::default() }
}

fn decision(n: i64, by: UserInfo, verb: Verb) -> DecisionFacts {
    DecisionFacts {
        uid: format!("d{n}").into(),
        decider: Arc::new(by),
        verb,
        digest: Some(D),
        duration: None,
        commented: false,
        request_uid: None,
        created: Time::from_secs(10 + n),
        manager: Some(verb == Verb::Abandon),
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    }
}

fn stage(quorum: u8, approvers: &[Subject]) -> ApprovalStage {
    ApprovalStage {
        name: "owners".into(),
        approvers: approvers.to_vec(),
        quorum,
        timeout: None,
        escalation: None,
        comment: CommentRule::Optional,
        mfa: None,
    }
}

fn count(requester: &UserInfo, beneficiary: Option<&str>, stages: &[ApprovalStage], decisions: &[DecisionFacts]) -> Tally {
    let beneficiary = beneficiary.map(|name| Subject::User(name.into()));
    let subject = ApprovalSubject {
        break_glass: false,
        reviewable_since: None,
        uid: "r1",
        created: Time::from_secs(10),
        requester,
        beneficiary: beneficiary.as_ref(),
        digest: Some(D),
        accepted_at: Time::from_secs(10),
        stages,
        order: StageOrder::Sequential,
        duration: None,
        people: &Recognition { alias_keys: vec![KEY.to_owned()], ..Recognition::STRICT.clone() },
    };
    tally(&subject, decisions)
}

fn approval_by(decider: UserInfo, requester: &UserInfo, beneficiary: Option<&str>) -> Counted {
    count(requester, beneficiary, &[stage(1, &[group("leads")])], &[decision(1, decider, Verb::Approve)]).counted[0]
}

fn abandon_by(decider: UserInfo, requester: &str, beneficiary: &str, alias: &str) -> Counted {
    let (beneficiary, decision, keys) = (Subject::User(beneficiary.into()), decision(1, decider, Verb::Abandon), [KEY.to_owned()]);
    let grant = StalledGrant {
        namespace: "payments",
        created: Time::from_secs(5),
        requester,
        beneficiary: &beneficiary,
        aliases: &[alias.to_owned()],
        digest: D,
        stalled: true,
        alias_keys: &keys,
    };
    evaluate_abandon(&AbandonDecision { decision: &decision, namespace: "payments" }, &grant)
}

const SELF: Counted = Counted::No(Reason::SelfDecision);

/// What it is, and whether it takes two names for one.
type Place = (&'static str, fn(&str, &str) -> bool);

/// Every place that refuses by name.
const REFUSING: &[Place] = &[
    ("the requester approves, by name", |a, b| approval_by(login(b, "2"), &login(a, "1"), None) == SELF),
    ("the requester approves, by alias", |a, b| approval_by(login("x", b), &login("y", a), None) == SELF),
    ("the beneficiary approves, by name", |a, b| approval_by(login(b, "2"), &login("bot", "1"), Some(a)) == SELF),
    ("the beneficiary approves, by alias", |a, b| approval_by(login("x", b), &login("bot", "1"), Some(a)) == SELF),
    ("one person fills a quorum of two", |a, b| {
        let decisions = [decision(1, login(a, "1"), Verb::Approve), decision(2, login(b, "2"), Verb::Approve)];
        let tally = count(&login("erin", "3"), None, &[stage(2, &[group("leads")])], &decisions);
        !tally.approved() && tally.counted[1] == Counted::No(Reason::AlreadyCounted)
    }),
    ("one person fills a quorum of two, by alias", |a, b| {
        let decisions = [decision(1, login("x", a), Verb::Approve), decision(2, login("y", b), Verb::Approve)];
        !count(&login("erin", "3"), None, &[stage(2, &[group("leads")])], &decisions).approved()
    }),
    ("one person fills two stages", |a, b| {
        let decisions = [decision(1, login(a, "1"), Verb::Approve), decision(2, login(b, "2"), Verb::Approve)];
        let stages = [stage(1, &[Subject::User(a.into())]), stage(1, &[Subject::User(b.into())])];
        !count(&login("erin", "3"), None, &stages, &decisions).approved()
    }),
    ("a listed quorum that one person would have to fill", |a, b| {
        let mut f = fixture();
        f.template().approval = vec![stage(2, &[Subject::User(a.into()), Subject::User(b.into())])];
        f.policies[0].approval = None;
        ready(f.template.as_ref().unwrap(), &f.inputs()).is_err_and(|refusal| refusal.reason == Reason::NobodyCanApprove)
    }),
    ("the requester abandons a Grant, by name", |a, b| abandon_by(login(b, "2"), a, "carol", "1") == SELF),
    ("the requester abandons a Grant, by alias", |a, b| abandon_by(login("x", b), "y", "carol", a) == SELF),
    ("the requester's name is an alias of who abandons", |a, b| abandon_by(login("x", b), a, "carol", "1") == SELF),
    ("the beneficiary abandons a Grant, by name", |a, b| abandon_by(login(b, "2"), "bot", a, "1") == SELF),
    ("the beneficiary abandons a Grant, by alias", |a, b| abandon_by(login("x", b), "bot", a, "1") == SELF),
];

/// Every place that grants by name.
const GRANTING: &[Place] = &[
    ("a subject", |a, b| Subject::User(a.into()).includes(&login(b, "1"))),
    ("a group", |a, b| Subject::Group(a.into()).includes(&UserInfo { groups: Arc::new(vec![b.into()]), ..login("x", "1") })),
    ("an approver", |a, b| {
        count(&login("erin", "3"), None, &[stage(1, &[Subject::User(a.into())])], &[decision(1, login(b, "1"), Verb::Approve)]).approved()
    }),
    ("eligibility", |a, b| {
        fixture::with(|f| {
            (f.assignments[0].subject, f.policies[0].eligible) = (Subject::User(a.into()), vec![Subject::User(a.into())]);
            f.asked.requester = login(b, "1");
        })
        .is_ok()
    }),
    ("the policy's list of who may be made eligible", |a, b| {
        fixture::with(|f| {
            (f.assignments[0].subject, f.policies[0].eligible) = (Subject::User(b.into()), vec![Subject::User(a.into())]);
            f.asked.requester = login(b, "1");
        })
        .is_ok()
    }),
    ("the policy's list of whom a requestor admin asks for", |a, b| {
        fixture::with(|f| {
            fixture::on_behalf(f, Subject::User(b.into()));
            f.policies[0].requestor_admins[0].beneficiaries = vec![Subject::User(a.into())];
        })
        .is_ok()
    }),
    ("the policy's list of requestor admins", |a, b| {
        fixture::with(|f| {
            fixture::on_behalf(f, Subject::User("erin".into()));
            f.policies[0].requestor_admins[0].subject = Subject::User(a.into());
            f.asked.requester = login(b, "1");
        })
        .is_ok()
    }),
    ("the requester's right to give the access back", |a, b| {
        count(&login(a, "1"), None, &[], &[decision(1, login(b, "2"), Verb::Revoke)]).stopped_by.is_some()
    }),
    ("the beneficiary's right to give the access back", |a, b| {
        count(&login("bot", "1"), Some(a), &[], &[decision(1, login(b, "2"), Verb::Revoke)]).stopped_by.is_some()
    }),
];

#[test]
fn every_place_that_refuses_compares_folded() {
    for (a, b) in SPELLINGS {
        assert_eq!(fold(a), fold(b));
        for (place, takes_for_one) in REFUSING {
            assert!(takes_for_one(a, b) && takes_for_one(b, a) && takes_for_one(a, a), "{place}: {a:?} and {b:?} pass for two people");
            assert!(!takes_for_one(a, "mallory"), "{place}: {a:?} is not mallory");
        }
    }
}

#[test]
fn every_place_that_grants_compares_exactly() {
    for (a, b) in SPELLINGS {
        assert!(!Spelling::Exact.is_same(a, b));
        for (place, grants) in GRANTING {
            assert!(grants(a, a), "{place}: {a:?} itself");
            assert!(!grants(a, b) && !grants(b, a), "{place}: {b:?} has the rights of {a:?}");
        }
    }
}

#[test]
fn blank_values_of_a_login_are_absent() {
    for blank in ["", " ", "\t", "\u{200b}", "\u{a0}"] {
        // Neither proof that the login is known ...
        let unproven = Counted::No(Reason::UnprovenLogin);
        assert_eq!(approval_by(login("carol", blank), &login("alice", "1"), None), unproven, "{blank:?} counts as an alias");
        assert_eq!(abandon_by(login("carol", blank), "alice", "alice", "1"), unproven, "{blank:?} counts as an alias");
        assert!(!login("carol", blank).has_extra_keys(&[KEY.to_owned()]), "{blank:?} counts as proof");
        let refusal = fixture::with(|f| {
            f.aliases = vec![KEY.into()];
            f.asked.requester = UserInfo { groups: Arc::new(vec!["devs".into()]), ..login("alice", blank) };
        });
        assert_eq!(refusal.err().map(|refusal| refusal.reason), Some(Reason::UnprovenLogin), "{blank:?} counts as an alias");
        // ... nor what two people have in common.
        let known = |name: &str| UserInfo { extra: [(KEY.to_owned(), vec![blank.to_owned(), name.to_owned()])].into(), ..login(name, "") };
        assert_eq!(approval_by(known("carol"), &known("alice"), None), Counted::Yes, "{blank:?} is common to all");
        assert_eq!(abandon_by(known("carol"), "alice", "alice", blank), Counted::Yes, "{blank:?} is common to all");
        let uid = |name: &str| UserInfo { uid: blank.into(), ..login(name, name) };
        assert_eq!(approval_by(uid("carol"), &uid("alice"), None), Counted::Yes, "a blank uid identifies");
    }
    assert!(
        UserInfo { extra: [(KEY.to_owned(), vec![" ".into(), "7".into()])].into(), ..login("carol", "") }.has_extra_keys(&[KEY.into()])
    );
}

/// Rules that compare names without saying how are found in the source: each of these lines is about the same name from the same
/// source, or grants.
#[test]
fn names_are_compared_nowhere_else() {
    let allowed = [
        ("crates/core/src/principal.rs", "Subject::User(u) => p.username == *u,", "a subject grants"),
        ("crates/core/src/principal.rs", "self.extra.get(key).into_iter()", "the one place that reads extra keys: blank values are absent"),
        ("crates/core/src/principal.rs", "self.extra.get(key).cloned()", "copies what is recorded, as the mutating policies do"),
        (
            "src/controllers/grant/matches_request.rs",
            "grant.request.requester == resolved.requester",
            "what is stored in two places is equal",
        ),
        (
            "src/runtime/changes/groups.rs",
            "grant.spec.request.requester == Subject::ServiceAccount(operator).principal()",
            "spares what the operator itself has requested from a ceiling",
        ),
        ("src/controllers/dereference.rs", "requester.username == decider.username", "spares a review for a right that the requester has"),
        (
            "crates/core/src/terms/extension.rs",
            "a.requester.username == parent.requester",
            "a service account may extend only what it has requested",
        ),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["crates/core/src", "src"] {
        visit(&root.join(folder), &mut |path, text| {
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let compares =
                    ["username ==", "username !=", "== g.requester", "requester ==", "extra.get("].iter().any(|c| line.contains(c));
                // Admission proves that a name is the login's own: it is the same source, and exact.
                if compares && !path.contains("src/identity/") {
                    found.push((path.to_owned(), line.trim().to_owned()));
                }
            }
        });
    }
    let name = |path: &str| Path::new(path).strip_prefix(&root).unwrap_or(Path::new(path)).display().to_string();
    let stray: Vec<_> = found
        .iter()
        .map(|(path, line)| (name(path), line))
        .filter(|(path, line)| !allowed.iter().any(|(file, code, _)| path == file && line.contains(code)))
        .collect();
    assert!(stray.is_empty(), "compare names with Spelling, or say here why not: {stray:#?}");
    assert_eq!(found.len(), allowed.len(), "a line of the list is gone: {found:#?}");
}

fn visit(folder: &Path, f: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            visit(&entry, f);
        } else if entry.extension().is_some_and(|x| x == "rs") {
            f(&entry.display().to_string(), &fs::read_to_string(&entry).unwrap());
        }
    }
}
