//! Which decisions count: stages of approvers, decisions of people, and the tally over both.
use crate::{
    admission::Provenance,
    conditions::mfa,
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
    /// MFA that the login of an approver must show when the decision is created. Without it an Approve does not count (`MfaRequired`), also for another stage that lists the approver; a Deny counts regardless. Needs `identity.mfa` in CurfewConfig. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<mfa::Requirement>,
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
    /// What the login of an approval lacks of the MFA that the stage asks for, at the time when the approval was created.
    fn mfa_lack(&self, w: &DecisionFacts, people: &Recognition) -> Option<mfa::Lack> {
        let required = self.mfa.as_ref()?;
        mfa::check(people.login_keys.mfa.as_ref(), &w.decider, &required.max_age, w.created).err()
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
    /// Its status says already that it counts. Of two decisions of the same second that one was first.
    pub counted_before: bool,
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
/// 5. `Approve` counts from an approver who saw this digest, with a login that shows the MFA of every stage that lists them, once per
///    person, for the first unfilled stage that lists them, if the API
///    server stored it before that stage timed out. When the operator sees it makes no difference: an approval is neither late because
///    no operator was running, nor in time because none has ended the request yet.
///
/// Approvals are taken in the order in which the API server stored them, those of one second by which was counted before, and one for a later stage waits its turn. A stage is open from
/// acceptance, or from the approval that completed the stage before it. Times are whole seconds, rounded down, so an approval of the
/// second in which the stage times out is late.
pub fn tally(m: &ApprovalSubject<'_>, words: &[DecisionFacts]) -> Tally {
    let mut t = Tally {
        stages: m.stages.iter().map(|s| StageTally { approved: Vec::new(), quorum: s.quorum, deadline: None }).collect(),
        counted: words.iter().map(|w| evaluate_alone(m, w)).collect(),
        stopped_by: None,
    };
    let mut order: Vec<usize> = (0..words.len()).filter(|&i| t.counted[i] == Counted::Yes).collect();
    let place = |i: usize| (words[i].created, !words[i].counted_before, &words[i].uid);
    order.sort_by(|&a, &b| place(a).cmp(&place(b)));
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
        Verb::Approve => match lacks_mfa(m, w) {
            None => Counted::Yes,
            // What the login has is unknown, and not absent.
            Some((_, mfa::Lack::NotRecorded(_))) => Counted::No(Reason::UnprovenLogin),
            Some(_) => Counted::No(Reason::MfaRequired),
        },
        Verb::Deny | Verb::Revoke | Verb::Abandon => Counted::No(Reason::NotEntitled),
    }
}

/// The first stage that lists this approver and asks for MFA that their login lacks, with what it lacks. One approval stands for its person
/// in whichever stage needs it, so it must be good for each of them: otherwise an approval without MFA would keep a later one of the same
/// person with MFA from being counted.
fn lacks_mfa<'a>(m: &ApprovalSubject<'a>, w: &DecisionFacts) -> Option<(&'a ApprovalStage, mfa::Lack)> {
    let mut listed = m.stages.iter().filter(|stage| stage.includes(&w.decider));
    listed.find_map(|stage| stage.mfa_lack(w, m.people).map(|lack| (stage, lack)))
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

fn explain_mfa((stage, lack): (&ApprovalStage, mfa::Lack)) -> String {
    match (&lack, &stage.mfa) {
        (mfa::Lack::NotRecorded(_), _) | (_, None) => lack.to_string(),
        (_, Some(required)) => format!("stage {} asks its approvers for MFA not older than {}, and {lack}", stage.name, required.max_age),
    }
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
        Reason::MfaRequired | Reason::UnprovenLogin if w.verb == Verb::Approve => lacks_mfa(m, w).map(explain_mfa),
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
mod tests;
