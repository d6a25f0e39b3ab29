//! Whose word counts: stages of approvers, decisions of people, and the tally over both.
use crate::{
    digest::Digest,
    duration::Duration,
    gate::Saw,
    principal::{Person, Subject},
    reason::Reason,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One step of an approval: so many distinct people out of these.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stage {
    /// The stage's name, shown to whoever waits for it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub name: String,
    /// Who may approve here. A group stands for each of its members; `system:` names are refused.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic")))]
    pub approvers: Vec<Subject>,
    /// How many distinct people must approve.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16)))]
    pub quorum: u8,
    /// How long the stage may wait before the request ends `TimedOut`, such as `4h`. Default: `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Who else may approve once the stage has waited for a while. Not built yet: a template with it is `Unsupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
}

/// More approvers, after a while.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Escalation {
    /// How long the stage waits for its own approvers first, such as `2h`.
    pub after: Duration,
    /// Who may approve from then on.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic")))]
    pub approvers: Vec<Subject>,
}

impl Stage {
    /// How long this stage may wait, in seconds; a day where nothing is said.
    pub fn timeout_secs(&self) -> i64 {
        self.timeout.as_ref().map_or(86_400, Duration::secs)
    }
    fn lists(&self, p: &Person) -> bool {
        self.approvers.iter().any(|s| s.includes(p))
    }
}

/// What a decision does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Verb {
    /// Yes to exactly what the digest names.
    Approve,
    /// No. From an approver of any stage or a manager; it ends the request, also while it is active.
    Deny,
    /// Take it back. From an approver, a manager, the requester or the beneficiary.
    Revoke,
    /// The target of a Grant is gone for good: release it without proof. Only about a Grant that is stuck past its deadline.
    Abandon,
}

/// One AccessDecision, as far as the tally needs it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Word {
    /// The decision's uid.
    pub uid: Arc<str>,
    /// Who spoke: stamped by the API server.
    pub by: Arc<Person>,
    /// What they said.
    pub verb: Verb,
    /// The digest of what they saw.
    pub digest: Option<Digest>,
    /// The uid of the request that they meant, if they named one.
    pub about_uid: Option<Arc<str>>,
    /// When the API server stored it.
    pub at: Time,
    /// Whether RBAC gives them `manage` on the request; nothing while nobody could be asked.
    pub manager: Option<bool>,
    /// The login carries what `identity.deciderProof` asks for.
    pub proven: bool,
    /// Whether the admission policies were in force when it was created, so that `by` is who it says.
    pub gated: Saw,
}

/// Who is asking, for whom, and what exactly was frozen: everything a word is held against.
#[derive(Clone, Copy, Debug)]
pub struct Matter<'a> {
    /// The request's uid.
    pub uid: &'a str,
    /// When the request was created.
    pub created: Time,
    /// Who asked.
    pub requester: &'a Person,
    /// Whom it is for, if it is somebody else.
    pub beneficiary: Option<&'a Subject>,
    /// The digest of what was frozen at acceptance.
    pub digest: Option<Digest>,
    /// The stages that must pass, in order.
    pub stages: &'a [Stage],
    /// Extra keys under which one person is known across logins.
    pub alias_keys: &'a [String],
}

/// What became of one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counted {
    /// It counts.
    Yes,
    /// It does not, for this reason.
    No(Reason),
    /// It waits for its stage to open.
    Waiting,
}

/// The state of one stage.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StageTally {
    /// Indices (into the words) of the approvals that fill it.
    pub approved: Vec<usize>,
    /// How many it needs.
    pub quorum: u8,
}

impl Word {
    /// Whether it will be known soon what it counts: nobody but time, or an API server that answers, is waited for.
    pub fn is_unsettled(&self) -> bool {
        match self.verb {
            Verb::Approve => self.gated == Saw::NotYet,
            Verb::Deny | Verb::Revoke | Verb::Abandon => self.manager.is_none(),
        }
    }
}

impl StageTally {
    fn passed(&self) -> bool {
        self.approved.len() >= usize::from(self.quorum)
    }
}

/// The sum of all words about one request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tally {
    /// Stage by stage, in order.
    pub stages: Vec<StageTally>,
    /// What became of each word, in the order they were given.
    pub counted: Vec<Counted>,
    /// The first refusal or withdrawal that counts, and why it ends the request.
    pub stop: Option<Reason>,
}

impl Tally {
    /// Whether every stage has passed.
    pub fn approved(&self) -> bool {
        self.stages.iter().all(StageTally::passed)
    }
    /// The first stage that has not passed.
    pub fn open_stage(&self) -> Option<usize> {
        self.stages.iter().position(|s| !s.passed())
    }
}

/// Counts the words about a request. The order of the rules, for each word:
///
/// 1. A word about another request of the same name (another uid, or spoken before this one existed) is about nothing here.
/// 2. A login without the configured proof, or without an alias where aliases are configured, is not counted; an approval
///    that was made while the gate was open never is. A Deny or Revoke from such a time counts: it only takes away (I8).
/// 3. `Revoke` counts from requester and beneficiary; nothing else of theirs does.
/// 4. `Deny` and `Revoke` count from a manager and from an approver of any stage, whatever digest they saw.
/// 5. `Approve` counts from an approver who saw this digest, once per person, for the first unfilled stage that lists them.
///
/// Approvals are taken in the order in which the API server stored them, and one for a later stage waits its turn.
pub fn tally(m: &Matter<'_>, words: &[Word]) -> Tally {
    let mut t = Tally {
        stages: m.stages.iter().map(|s| StageTally { approved: Vec::new(), quorum: s.quorum }).collect(),
        counted: words.iter().map(|w| first_look(m, w)).collect(),
        stop: None,
    };
    let mut order: Vec<usize> = (0..words.len()).filter(|&i| t.counted[i] == Counted::Yes).collect();
    order.sort_by(|&a, &b| (words[a].at, &words[a].uid).cmp(&(words[b].at, &words[b].uid)));
    t.stop = order.iter().find(|&&i| words[i].verb != Verb::Approve).map(|&i| stop_reason(m, &words[i]));
    let mut left: Vec<usize> = Vec::new();
    for i in order.into_iter().filter(|&i| words[i].verb == Verb::Approve) {
        if left.iter().any(|&j| words[j].by.same_as(&words[i].by, m.alias_keys)) {
            t.counted[i] = Counted::No(Reason::AlreadyCounted);
        } else {
            left.push(i);
        }
    }
    for (stage, sum) in m.stages.iter().zip(&mut t.stages) {
        left.retain(|&i| {
            let counts_here = !sum.passed() && stage.lists(&words[i].by);
            if counts_here {
                sum.approved.push(i);
            }
            !counts_here
        });
        if !sum.passed() {
            break;
        }
    }
    let open = t.open_stage().unwrap_or(m.stages.len());
    for i in left {
        let later = m.stages.iter().skip(open + 1).any(|s| s.lists(&words[i].by));
        t.counted[i] = if later { Counted::Waiting } else { Counted::No(Reason::AlreadyCounted) };
    }
    t
}

/// Rules 1 to 5, as far as one word can be judged by itself.
fn first_look(m: &Matter<'_>, w: &Word) -> Counted {
    let party = is_party(m, &w.by);
    let approver = m.stages.iter().any(|s| s.lists(&w.by));
    match w.verb {
        _ if w.about_uid.as_deref().is_some_and(|u| u != m.uid) || w.at < m.created => Counted::No(Reason::NotFound),
        _ if !w.proven || !has_alias(m, &w.by) => Counted::No(Reason::UnprovenLogin),
        Verb::Approve if w.gated == Saw::Open => Counted::No(Reason::GateOpen),
        Verb::Approve if w.gated == Saw::NotYet => Counted::Waiting,
        Verb::Revoke if party => Counted::Yes,
        Verb::Approve | Verb::Deny if party => Counted::No(Reason::SelfDecision),
        Verb::Deny | Verb::Revoke if approver || w.manager == Some(true) => Counted::Yes,
        Verb::Deny | Verb::Revoke if w.manager.is_none() => Counted::Waiting,
        Verb::Approve if !approver => Counted::No(Reason::NotEntitled),
        Verb::Approve if w.digest.is_none() || w.digest != m.digest => Counted::No(Reason::DigestMismatch),
        Verb::Approve => Counted::Yes,
        Verb::Deny | Verb::Revoke | Verb::Abandon => Counted::No(Reason::NotEntitled),
    }
}

/// Where logins are told apart by aliases, one without any could be anybody's second.
fn has_alias(m: &Matter<'_>, p: &Person) -> bool {
    m.alias_keys.is_empty() || m.alias_keys.iter().any(|k| p.carries(std::slice::from_ref(k)))
}

/// The requester or the beneficiary, under any name: nobody decides in their own matter. Of a beneficiary only the name is
/// known, so an alias that equals it is theirs.
fn is_party(m: &Matter<'_>, p: &Person) -> bool {
    let theirs = |b: &Subject| {
        let alias = |k: &String| matches!(b, Subject::User(n) if p.extra.get(k).is_some_and(|v| v.contains(n)));
        b.includes(p) || m.alias_keys.iter().any(alias)
    };
    m.requester.same_as(p, m.alias_keys) || m.beneficiary.is_some_and(theirs)
}

/// Who wants to release a Grant without proof, and what they saw.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// What they said, and who they are. `manager` is whether RBAC gives them `abandon` on the Grant.
    pub word: &'a Word,
    /// The namespace of the decision.
    pub namespace: &'a str,
}

/// A Grant that somebody wants to release.
#[derive(Clone, Copy, Debug)]
pub struct Stuck<'a> {
    /// The namespace of its request.
    pub namespace: &'a str,
    /// When it was written.
    pub created: Time,
    /// Who asked.
    pub requester: &'a str,
    /// Who holds the access.
    pub beneficiary: &'a Subject,
    /// What the requester's login carried under the alias keys.
    pub aliases: &'a [String],
    /// What was approved.
    pub digest: Digest,
    /// In `Revoking`, past its deadline, and for so long that it counts as stalled.
    pub stalled: bool,
    /// Extra keys under which one person is known across logins.
    pub alias_keys: &'a [String],
}

/// Whether an `Abandon` counts: only for a Grant that is stuck past its deadline, with its digest, from the namespace of its
/// request, by somebody who may, and never by requester or beneficiary.
pub fn release(r: &Release<'_>, g: &Stuck<'_>) -> Counted {
    let w = r.word;
    let alias = |n: &str| g.alias_keys.iter().any(|k| w.by.extra.get(k).is_some_and(|v| v.iter().any(|x| x == n)));
    let theirs = matches!(g.beneficiary, Subject::User(n) if alias(n)) || alias(g.requester) || g.aliases.iter().any(|a| alias(a));
    match () {
        () if w.verb != Verb::Abandon => Counted::No(Reason::Unsupported),
        () if r.namespace != g.namespace || w.at < g.created => Counted::No(Reason::NotFound),
        () if !w.proven || (!g.alias_keys.is_empty() && !g.alias_keys.iter().any(|k| w.by.carries(std::slice::from_ref(k)))) => {
            Counted::No(Reason::UnprovenLogin)
        }
        () if w.gated == Saw::Open => Counted::No(Reason::GateOpen),
        () if w.gated == Saw::NotYet || w.manager.is_none() => Counted::Waiting,
        () if w.by.username == g.requester || g.beneficiary.includes(&w.by) || theirs => Counted::No(Reason::SelfDecision),
        () if w.manager != Some(true) => Counted::No(Reason::NotEntitled),
        () if w.digest != Some(g.digest) => Counted::No(Reason::DigestMismatch),
        // It may become stuck: the word stands and waits.
        () if !g.stalled => Counted::Waiting,
        () => Counted::Yes,
    }
}

fn stop_reason(m: &Matter<'_>, w: &Word) -> Reason {
    match (w.verb, is_party(m, &w.by)) {
        (_, true) => Reason::RevokedByHolder,
        (Verb::Deny, false) => Reason::DeniedByApprover,
        (_, false) => Reason::RevokedByApprover,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: Digest = Digest::from_bits(7);

    fn person(name: &str, groups: &[&str]) -> Arc<Person> {
        let extra = [("person".to_owned(), vec![name.to_owned()])].into();
        Arc::new(Person {
            username: name.into(),
            groups: Arc::new(groups.iter().map(|g| g.to_string()).collect()),
            extra,
            ..Person::default()
        })
    }
    fn word(n: i64, by: &Arc<Person>, verb: Verb) -> Word {
        Word {
            uid: format!("d{n}").into(),
            by: by.clone(),
            verb,
            digest: Some(D),
            about_uid: None,
            at: Time::from_secs(10 + n),
            manager: Some(false),
            proven: true,
            gated: Saw::Closed,
        }
    }
    fn stage(name: &str, quorum: u8, approvers: &[Subject]) -> Stage {
        Stage { name: name.into(), approvers: approvers.to_vec(), quorum, timeout: None, escalation: None }
    }
    fn group(g: &str) -> Subject {
        Subject::Group(g.into())
    }
    fn count(stages: &[Stage], words: &[Word]) -> Tally {
        let alice = person("alice", &["devs", "leads"]);
        let keys = vec!["person".to_string()];
        tally(
            &Matter {
                uid: "r1",
                created: Time::from_secs(10),
                requester: &alice,
                beneficiary: None,
                digest: Some(D),
                stages,
                alias_keys: &keys,
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

    #[test]
    fn one_person_never_fills_two_stages() {
        let dave = person("dave", &["leads", "sec"]);
        let stages = [stage("owners", 1, &[group("leads")]), stage("security", 1, &[group("sec")])];
        let t = count(&stages, &[word(1, &dave, Verb::Approve), word(2, &dave, Verb::Approve)]);
        assert_eq!((t.open_stage(), t.counted[1]), (Some(1), Counted::No(Reason::AlreadyCounted)));
    }

    #[test]
    fn nobody_decides_in_their_own_matter_under_any_name() {
        let alias = |name: &str| {
            Arc::new(Person { extra: [("person".to_string(), vec!["7".to_string()])].into(), ..(*person(name, &["leads"])).clone() })
        };
        let (me, other_me) = (alias("alice"), alias("alice@vpn"));
        let stages = [stage("owners", 1, &[group("leads")])];
        let keys = vec!["person".to_string()];
        let m = Matter {
            uid: "r1",
            created: Time::from_secs(10),
            requester: &me,
            beneficiary: Some(&Subject::User("bob".into())),
            digest: Some(D),
            stages: &stages,
            alias_keys: &keys,
        };
        let words = [
            word(1, &me, Verb::Approve),
            word(2, &other_me, Verb::Approve),
            word(3, &person("bob", &["leads"]), Verb::Approve),
            word(4, &other_me, Verb::Deny),
        ];
        let t = tally(&m, &words);
        assert_eq!(t.counted, [Counted::No(Reason::SelfDecision); 4]);
        assert!(!t.approved() && t.stop.is_none());
    }

    #[test]
    fn an_approval_counts_only_for_what_was_seen() {
        let carol = person("carol", &["leads"]);
        let stages = [stage("owners", 1, &[group("leads")])];
        let bad = |f: fn(&mut Word)| {
            let mut w = word(1, &carol, Verb::Approve);
            f(&mut w);
            count(&stages, &[w]).counted[0]
        };
        assert_eq!(bad(|w| w.digest = Some(Digest::from_bits(8))), Counted::No(Reason::DigestMismatch));
        assert_eq!(bad(|w| w.digest = None), Counted::No(Reason::DigestMismatch));
        assert_eq!(bad(|w| w.at = Time::from_secs(9)), Counted::No(Reason::NotFound));
        assert_eq!(bad(|w| w.about_uid = Some("r0".into())), Counted::No(Reason::NotFound));
        assert_eq!(bad(|w| w.proven = false), Counted::No(Reason::UnprovenLogin));
        assert_eq!(bad(|w| w.by = person("mallory", &[])), Counted::No(Reason::NotEntitled));
        assert_eq!(bad(|w| w.verb = Verb::Abandon), Counted::No(Reason::NotEntitled));
    }

    #[test]
    fn a_denial_counts_without_a_digest_and_after_an_approval() {
        let carol = person("carol", &["leads"]);
        let stages = [stage("owners", 1, &[group("leads")])];
        let denial = Word { digest: None, ..word(2, &carol, Verb::Deny) };
        let t = count(&stages, &[word(1, &carol, Verb::Approve), denial]);
        assert_eq!((t.stop, t.counted), (Some(Reason::DeniedByApprover), vec![Counted::Yes; 2]));
        let manager = Word { manager: Some(true), ..word(3, &person("mona", &[]), Verb::Revoke) };
        assert_eq!(count(&stages, &[manager]).stop, Some(Reason::RevokedByApprover));
        assert_eq!(count(&stages, &[word(3, &person("alice", &[]), Verb::Revoke)]).stop, Some(Reason::RevokedByHolder));
        assert_eq!(count(&stages, &[word(3, &person("mallory", &[]), Verb::Deny)]).stop, None);
    }

    #[test]
    fn a_word_from_an_open_gate_only_takes_away_and_a_login_without_alias_is_nobody() {
        let carol = person("carol", &["leads"]);
        let stages = [stage("owners", 1, &[group("leads")])];
        let ungated = |verb| Word { gated: Saw::Open, ..word(1, &carol, verb) };
        assert_eq!(count(&stages, &[ungated(Verb::Approve)]).counted, [Counted::No(Reason::GateOpen)]);
        assert_eq!(count(&stages, &[ungated(Verb::Deny)]).counted, [Counted::Yes]);
        let early = Word { gated: Saw::NotYet, ..word(1, &carol, Verb::Approve) };
        assert_eq!(count(&stages, std::slice::from_ref(&early)).counted, [Counted::Waiting], "nobody has proven the gate since");
        assert!(early.is_unsettled());
        // An access review that failed is no verdict.
        let asked = Word { manager: None, ..word(1, &person("mona", &[]), Verb::Revoke) };
        let t = count(&stages, std::slice::from_ref(&asked));
        assert_eq!((t.stop, t.counted), (None, vec![Counted::Waiting]));
        let bare = Arc::new(Person { extra: Default::default(), ..(*carol).clone() });
        assert_eq!(count(&stages, &[word(1, &bare, Verb::Approve)]).counted, [Counted::No(Reason::UnprovenLogin)]);
    }

    #[test]
    fn a_grant_is_released_only_when_it_is_stuck_and_by_somebody_who_may() {
        let beneficiary = Subject::User("alice".into());
        let stuck = Stuck {
            namespace: "payments",
            created: Time::from_secs(5),
            requester: "alice",
            beneficiary: &beneficiary,
            aliases: &[],
            digest: D,
            stalled: true,
            alias_keys: &[],
        };
        let by = |who: &Arc<Person>| Word { manager: Some(true), ..word(1, who, Verb::Abandon) };
        let mona = person("mona", &[]);
        let judge = |w: &Word, ns, g: &Stuck<'_>| release(&Release { word: w, namespace: ns }, g);
        assert_eq!(judge(&by(&mona), "payments", &stuck), Counted::Yes);
        assert_eq!(judge(&by(&mona), "payments", &Stuck { stalled: false, ..stuck }), Counted::Waiting);
        assert_eq!(judge(&by(&mona), "other", &stuck), Counted::No(Reason::NotFound));
        assert_eq!(judge(&by(&person("alice", &[])), "payments", &stuck), Counted::No(Reason::SelfDecision));
        let may_not = Word { manager: Some(false), ..by(&mona) };
        assert_eq!(judge(&may_not, "payments", &stuck), Counted::No(Reason::NotEntitled));
        let blind = Word { digest: None, ..by(&mona) };
        assert_eq!(judge(&blind, "payments", &stuck), Counted::No(Reason::DigestMismatch));
        let second = Word {
            manager: Some(true),
            ..word(1, &Arc::new(Person { username: "a2".into(), ..(*person("alice", &[])).clone() }), Verb::Abandon)
        };
        let keys = vec!["person".to_owned()];
        assert_eq!(judge(&second, "payments", &Stuck { alias_keys: &keys, ..stuck }), Counted::No(Reason::SelfDecision));
        let numbered = Word { manager: Some(true), ..word(1, &person("7", &[]), Verb::Abandon) };
        let seven = ["7".to_owned()];
        let known = Stuck { alias_keys: &keys, aliases: &seven, ..stuck };
        assert_eq!(judge(&numbered, "payments", &known), Counted::No(Reason::SelfDecision), "a second login, known by number");
    }
}
