//! Which decisions count: stages of approvers, decisions of people, and the tally over both.
use crate::{
    admission::Provenance,
    digest::Digest,
    duration::Duration,
    folding::Spelling,
    messages,
    principal::{MAX_ALIAS, Party, Recognition, SameBy, Subject, UserInfo},
    reason::Reason,
    text::clip,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One step of an approval: so many distinct people out of these.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApprovalStage {
    /// The stage's name, shown to the people who wait for it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub name: String,
    /// Who may approve here. A group stands for each of its members; `system:` names are refused.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic")))]
    pub approvers: Vec<Subject>,
    /// How many distinct people must approve.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16)))]
    pub quorum: u8,
    /// How long the stage may wait for its approvals before the request ends `TimedOut`, such as `4h`: from the acceptance of the request, or from the approval that completed the stage before it. Default: `24h`.
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

impl ApprovalStage {
    /// How long this stage may wait, in seconds; a day where nothing is said.
    pub fn timeout_secs(&self) -> i64 {
        self.timeout.as_ref().map_or(86_400, Duration::secs)
    }
    fn includes(&self, p: &UserInfo) -> bool {
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
    /// The target of a Grant no longer exists: release it without proof. Only about a Grant that is stuck past its deadline.
    Abandon,
}

/// One AccessDecision, as far as the tally needs it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DecisionFacts {
    /// The decision's uid.
    pub uid: Arc<str>,
    /// Who spoke: stamped by the API server.
    pub decider: Arc<UserInfo>,
    /// What they said.
    pub verb: Verb,
    /// The digest of what they saw.
    pub digest: Option<Digest>,
    /// The uid of the request that they meant, if they named one.
    pub request_uid: Option<Arc<str>>,
    /// When the API server stored it.
    pub created: Time,
    /// Whether RBAC gives them `manage` on the request; `None` while the access review fails.
    pub manager: Option<bool>,
    /// The login carries what `identity.deciderProof` asks for.
    pub proven: bool,
    /// Whether the admission policies were in force when it was created, so that `by` is who it says.
    pub provenance: Provenance,
}

/// Requester, beneficiary and what was frozen: everything that a decision is compared with.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalSubject<'a> {
    /// The request's uid.
    pub uid: &'a str,
    /// When the request was created.
    pub created: Time,
    /// Who asked.
    pub requester: &'a UserInfo,
    /// The beneficiary, if it is not the requester.
    pub beneficiary: Option<&'a Subject>,
    /// The digest of what was frozen at acceptance.
    pub digest: Option<Digest>,
    /// When it was accepted, which opened the first stage.
    pub accepted_at: Time,
    /// The stages that must pass, in order.
    pub stages: &'a [ApprovalStage],
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
}

/// Whether one decision counts.
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
    /// Indices (into the decisions) of the approvals that fill it.
    pub approved: Vec<usize>,
    /// How many it needs.
    pub quorum: u8,
    /// By when it must be complete; `None` while it is not open.
    pub deadline: Option<Time>,
}

impl DecisionFacts {
    /// True while the admission proof or the access review is outstanding.
    pub fn is_pending(&self) -> bool {
        match self.verb {
            Verb::Approve => self.provenance == Provenance::Pending,
            Verb::Deny | Verb::Revoke | Verb::Abandon => self.manager.is_none(),
        }
    }
}

impl StageTally {
    fn passed(&self) -> bool {
        self.approved.len() >= usize::from(self.quorum)
    }
}

/// A decision that ends its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stop {
    /// Its index in the decisions.
    pub decision: usize,
    /// Why the request ends.
    pub reason: Reason,
}

/// The sum of all decisions about one request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tally {
    /// Stage by stage, in order.
    pub stages: Vec<StageTally>,
    /// Whether each decision counts, in the order in which they were given.
    pub counted: Vec<Counted>,
    /// The first refusal or withdrawal that counts, and why it ends the request.
    pub stopped_by: Option<Stop>,
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
    /// By when the first stage that has not passed must be complete.
    pub fn deadline(&self) -> Option<Time> {
        self.stages[self.open_stage()?].deadline
    }
}

/// Counts the decisions about a request. The order of the rules, for each decision:
///
/// 1. A decision about another request of the same name (another uid, or made before this one existed) does not concern this one.
/// 2. A login without the configured proof, or without an alias where aliases are configured, is not counted; an approval
///    that was made while admission was not enforced never is, nor one whose login was recorded without a key that is configured now.
///    A Deny or Revoke from such a time counts: it only takes away (I8).
/// 3. `Revoke` counts from requester and beneficiary; no other decision of these two does, under any spelling of their names.
/// 4. `Deny` and `Revoke` count from a manager and from an approver of any stage, regardless of the digest that they name.
/// 5. `Approve` counts from an approver who saw this digest, once per person, for the first unfilled stage that lists them, if the API
///    server stored it before that stage timed out. When the operator sees it makes no difference: an approval is neither late because
///    no operator was running, nor in time because none has ended the request yet.
///
/// Approvals are taken in the order in which the API server stored them, and one for a later stage waits its turn. A stage is open from
/// acceptance, or from the approval that completed the stage before it. Times are whole seconds, rounded down, so an approval of the
/// second in which the stage times out is late.
pub fn tally(m: &ApprovalSubject<'_>, words: &[DecisionFacts]) -> Tally {
    let mut t = Tally {
        stages: m.stages.iter().map(|s| StageTally { approved: Vec::new(), quorum: s.quorum, deadline: None }).collect(),
        counted: words.iter().map(|w| evaluate_alone(m, w)).collect(),
        stopped_by: None,
    };
    let mut order: Vec<usize> = (0..words.len()).filter(|&i| t.counted[i] == Counted::Yes).collect();
    order.sort_by(|&a, &b| (words[a].created, &words[a].uid).cmp(&(words[b].created, &words[b].uid)));
    let stop = order.iter().find(|&&i| words[i].verb != Verb::Approve);
    t.stopped_by = stop.map(|&i| Stop { decision: i, reason: stop_reason(m, &words[i]) });
    let mut left: Vec<usize> = Vec::new();
    for i in order.into_iter().filter(|&i| words[i].verb == Verb::Approve) {
        if left.iter().any(|&j| words[j].decider.is_same_person(&words[i].decider, m.people, Spelling::Folded)) {
            t.counted[i] = Counted::No(Reason::AlreadyCounted);
        } else {
            left.push(i);
        }
    }
    let mut opened_at = m.accepted_at;
    for (stage, sum) in m.stages.iter().zip(&mut t.stages) {
        let deadline = opened_at.plus_secs(stage.timeout_secs());
        sum.deadline = Some(deadline);
        left.retain(|&i| {
            let counts_here = !sum.passed() && stage.includes(&words[i].decider) && words[i].created < deadline;
            if counts_here {
                sum.approved.push(i);
            }
            !counts_here
        });
        match sum.approved.last() {
            Some(&last) if sum.passed() => opened_at = opened_at.max(words[last].created),
            Some(_) | None => break,
        }
    }
    let open = t.open_stage().unwrap_or(m.stages.len());
    for i in left {
        let is_late = m.stages.get(open).is_some_and(|s| s.includes(&words[i].decider));
        let later = m.stages.iter().skip(open + 1).any(|s| s.includes(&words[i].decider));
        t.counted[i] = match (later, is_late) {
            (true, _) => Counted::Waiting,
            (false, true) => Counted::No(Reason::ApprovalTimedOut),
            (false, false) => Counted::No(Reason::AlreadyCounted),
        };
    }
    t
}

/// Rules 1 to 5, as far as one decision can be judged by itself.
fn evaluate_alone(m: &ApprovalSubject<'_>, w: &DecisionFacts) -> Counted {
    let approver = m.stages.iter().any(|s| s.includes(&w.decider));
    match w.verb {
        _ if w.request_uid.as_deref().is_some_and(|u| u != m.uid) || w.created < m.created => Counted::No(Reason::NotFound),
        _ if !is_proven(w, &m.people.alias_keys) => Counted::No(Reason::UnprovenLogin),
        Verb::Approve if w.provenance == Provenance::Unverified => Counted::No(Reason::AdmissionNotEnforced),
        Verb::Approve if w.provenance == Provenance::Pending => Counted::Waiting,
        Verb::Revoke if is_party(m, &w.decider, Spelling::Exact) => Counted::Yes,
        Verb::Approve | Verb::Deny if is_party(m, &w.decider, Spelling::Folded) => Counted::No(Reason::SelfDecision),
        Verb::Deny | Verb::Revoke if approver || w.manager == Some(true) => Counted::Yes,
        Verb::Deny | Verb::Revoke if w.manager.is_none() => Counted::Waiting,
        Verb::Approve if !approver => Counted::No(Reason::NotEntitled),
        Verb::Approve if w.digest.is_none() || w.digest != m.digest => Counted::No(Reason::DigestMismatch),
        Verb::Approve => Counted::Yes,
        Verb::Deny | Verb::Revoke | Verb::Abandon => Counted::No(Reason::NotEntitled),
    }
}

/// Whether the login of a decision is proven, as far as the configuration asks for it. Of a login that was recorded without a key that is
/// configured now, nothing is known: it grants nothing, and it may still take away.
fn is_proven(w: &DecisionFacts, alias_keys: &[String]) -> bool {
    let known = if w.decider.is_recorded_with(alias_keys) {
        w.decider.has_required_alias(alias_keys)
    } else {
        matches!(w.verb, Verb::Deny | Verb::Revoke)
    };
    w.proven && known
}

/// Whether this is the requester or the beneficiary: people cannot decide about their own request. Of a beneficiary only the name is
/// known, so an alias that equals it is the beneficiary's.
fn party<'a>(m: &ApprovalSubject<'a>, p: &UserInfo, spelling: Spelling) -> Option<Party<'a>> {
    let requester = m.requester.is_same_person_by(p, m.people, spelling).map(|by| Party { role: "requester", by });
    requester.or_else(|| holder_by(m.beneficiary?, p, &m.people.alias_keys, spelling).map(|by| Party { role: "beneficiary", by }))
}

fn is_party(m: &ApprovalSubject<'_>, p: &UserInfo, spelling: Spelling) -> bool {
    party(m, p, spelling).is_some()
}

/// What shows that a login is that of a user or service account that holds access, or is in the group that does.
fn holder_by<'a>(holder: &Subject, p: &UserInfo, alias_keys: &'a [String], spelling: Spelling) -> Option<SameBy<'a>> {
    let named = || (!matches!(holder, Subject::Group(_))).then(|| p.is_named_by(&holder.principal(), alias_keys, spelling)).flatten();
    if holder.includes(p) { Some(SameBy::Username) } else { named() }
}

/// Why a decision does not count, in words, where the reason alone does not say it: which values are equal or missing.
pub fn explain(m: &ApprovalSubject<'_>, words: &[DecisionFacts], i: usize, reason: Reason) -> Option<String> {
    let w = words.get(i)?;
    match reason {
        Reason::SelfDecision => party(m, &w.decider, Spelling::Folded).map(|party| messages::self_decision(&w.decider, party)),
        Reason::AlreadyCounted => {
            let approvals = words.iter().enumerate().filter(|(j, other)| *j != i && other.verb == Verb::Approve);
            let same = |other: &DecisionFacts| other.decider.is_same_person_by(&w.decider, m.people, Spelling::Folded);
            // With equal user names the reason says it all.
            let mut others = approvals.filter_map(|(_, other)| Some((other, same(other)?))).filter(|(_, by)| *by != SameBy::Username);
            others.next().map(|(other, by)| messages::same_approver(&w.decider, &other.decider, by))
        }
        Reason::UnprovenLogin if !w.decider.is_recorded_with(&m.people.alias_keys) => {
            Some(messages::recorded_without(&m.people.alias_keys))
        }
        _ => None,
    }
}

/// Who wants to release a Grant without proof, and what they saw.
#[derive(Clone, Copy, Debug)]
pub struct AbandonDecision<'a> {
    /// What they said, and who they are. `manager` is whether RBAC gives them `abandon` on the Grant.
    pub decision: &'a DecisionFacts,
    /// The namespace of the decision.
    pub namespace: &'a str,
}

/// When access that is not proven gone counts as stalled: this long after its end.
pub fn stalls_at(expires_at: Time, stalled_secs: i64) -> Time {
    expires_at.plus_secs(stalled_secs)
}

/// Whether access with this end that is being revoked counts as stalled.
pub fn is_stalled(expires_at: Time, now: Time, stalled_secs: i64) -> bool {
    now >= stalls_at(expires_at, stalled_secs)
}

/// A Grant that an `Abandon` decision is about.
#[derive(Clone, Copy, Debug)]
pub struct StalledGrant<'a> {
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
/// request, by a person with the right to it, and never by requester or beneficiary.
pub fn evaluate_abandon(r: &AbandonDecision<'_>, g: &StalledGrant<'_>) -> Counted {
    let w = r.decision;
    let named = |name: &str| w.decider.is_named(name, g.alias_keys, Spelling::Folded);
    let common_alias = |alias: &String| w.decider.aliases(g.alias_keys).any(|own| Spelling::Folded.is_same(&clip(own, MAX_ALIAS), alias));
    let theirs = named(g.requester)
        || holder_by(g.beneficiary, &w.decider, g.alias_keys, Spelling::Folded).is_some()
        || g.aliases.iter().any(common_alias);
    match () {
        () if w.verb != Verb::Abandon => Counted::No(Reason::Unsupported),
        () if r.namespace != g.namespace || w.created < g.created => Counted::No(Reason::NotFound),
        () if !is_proven(w, g.alias_keys) => Counted::No(Reason::UnprovenLogin),
        () if w.provenance == Provenance::Unverified => Counted::No(Reason::AdmissionNotEnforced),
        () if w.provenance == Provenance::Pending || w.manager.is_none() => Counted::Waiting,
        () if theirs => Counted::No(Reason::SelfDecision),
        () if w.manager != Some(true) => Counted::No(Reason::NotEntitled),
        () if w.digest != Some(g.digest) => Counted::No(Reason::DigestMismatch),
        // It may become stuck later, so the decision waits.
        () if !g.stalled => Counted::Waiting,
        () => Counted::Yes,
    }
}

fn stop_reason(m: &ApprovalSubject<'_>, w: &DecisionFacts) -> Reason {
    match (w.verb, is_party(m, &w.decider, Spelling::Exact)) {
        (_, true) => Reason::RevokedByHolder,
        (Verb::Deny, false) => Reason::DeniedByApprover,
        (_, false) => Reason::RevokedByApprover,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::Uids;

    const D: Digest = Digest::from_bits(7);

    fn person(name: &str, groups: &[&str]) -> Arc<UserInfo> {
        let extra = [("person".to_owned(), vec![name.to_owned()])].into();
        Arc::new(UserInfo {
            username: name.into(),
            groups: Arc::new(groups.iter().map(|g| g.to_string()).collect()),
            extra,
            ..UserInfo::default()
        })
    }
    fn word(n: i64, by: &Arc<UserInfo>, verb: Verb) -> DecisionFacts {
        DecisionFacts {
            uid: format!("d{n}").into(),
            decider: by.clone(),
            verb,
            digest: Some(D),
            request_uid: None,
            created: Time::from_secs(10 + n),
            manager: Some(false),
            proven: true,
            provenance: Provenance::Verified,
        }
    }
    fn stage(name: &str, quorum: u8, approvers: &[Subject]) -> ApprovalStage {
        ApprovalStage { name: name.into(), approvers: approvers.to_vec(), quorum, timeout: None, escalation: None }
    }
    fn group(g: &str) -> Subject {
        Subject::Group(g.into())
    }
    fn people() -> Recognition {
        Recognition { alias_keys: vec!["person".into()], ..Recognition::STRICT.clone() }
    }
    fn count(stages: &[ApprovalStage], words: &[DecisionFacts]) -> Tally {
        let alice = person("alice", &["devs", "leads"]);
        let people = people();
        tally(
            &ApprovalSubject {
                uid: "r1",
                created: Time::from_secs(10),
                requester: &alice,
                beneficiary: None,
                digest: Some(D),
                accepted_at: Time::from_secs(10),
                stages,
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
            uid: "r1",
            created: Time::from_secs(10),
            requester: &me,
            beneficiary: Some(&Subject::User("bob".into())),
            digest: Some(D),
            accepted_at: Time::from_secs(10),
            stages: &stages,
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
        let two = Recognition { alias_keys: vec!["person".into(), "badge".into()], uids: Uids::Shared };
        let alice = person("alice", &["devs"]);
        let judge = |verb, decider: &Arc<UserInfo>| {
            let subject = ApprovalSubject {
                uid: "r1",
                created: Time::from_secs(10),
                requester: &alice,
                beneficiary: None,
                digest: Some(D),
                accepted_at: Time::from_secs(10),
                stages: &stages,
                people: &two,
            };
            let words = [word(1, decider, verb)];
            let counted = tally(&subject, &words).counted[0];
            let reason = if let Counted::No(reason) = counted { reason } else { Reason::AsExpected };
            (counted, explain(&subject, &words, 0, reason))
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
                uid: "r1",
                created: Time::from_secs(10),
                requester,
                beneficiary: Some(&bob),
                digest: Some(D),
                accepted_at: Time::from_secs(10),
                stages: &stages,
                people: &people,
            };
            let last = words.len() - 1;
            let Counted::No(reason) = tally(&subject, words).counted[last] else { return String::new() };
            explain(&subject, words, last, reason).unwrap_or_default()
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
        assert_eq!(
            judge(&by(&Arc::new(long_alias)), "payments", &known),
            Counted::No(Reason::SelfDecision),
            "as far as the Grant holds it"
        );
        let numbered = DecisionFacts { manager: Some(true), ..word(1, &person("7", &[]), Verb::Abandon) };
        let seven = ["7".to_owned()];
        let known = StalledGrant { alias_keys: &keys, aliases: &seven, ..stuck };
        assert_eq!(judge(&numbered, "payments", &known), Counted::No(Reason::SelfDecision), "a second login, known by number");
    }
}
