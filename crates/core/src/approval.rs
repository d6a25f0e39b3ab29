//! Which decisions count: stages of approvers, decisions of people, and the tally over both.
//!
//! | Module | What it decides |
//! |---|---|
//! | this file | whether one decision may count at all, and the tally over all |
//! | [`stages`] | which approvals fill which stage, and when a stage opens, passes and times out |
//! | [`places`] | the matching of people to stages |
//! | [`abandon`] | whether an `Abandon` counts for a Grant |
//! | [`review`] | whether a `Review` of a break-glass access counts |
pub mod abandon;
mod places;
pub mod review;
mod stages;

pub use abandon::{AbandonDecision, StalledGrant, evaluate_abandon, is_stalled, stalls_at};
pub use stages::StageTally;

use crate::{
    admission::Provenance,
    conditions::mfa,
    digest::Digest,
    duration::Duration,
    folding::Spelling,
    messages,
    principal::{Party, Recognition, SameBy, Subject, UserInfo},
    reason::Reason,
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
    /// How long the stage may wait for its approvals before the request ends `TimedOut`, such as `4h`: from the acceptance of the request, or, of `stages`, from the approval that completed the stage before it. Default: `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Who else may approve once the stage has been open for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// MFA that the login of an approver must show when the decision is created. Without it an Approve does not count (`MfaRequired`), also for another stage that lists the approver; a Deny counts regardless. Needs `identity.mfa` in CurfewConfig. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<mfa::Requirement>,
    /// `Required`: an approval by a person whom this stage lists needs a comment. Default: `Optional`. A Deny or Revoke never needs one.
    #[serde(default, skip_serializing_if = "CommentRule::is_optional")]
    pub comment: CommentRule,
}

/// Whether approvals need a comment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CommentRule {
    /// An approval may omit the comment.
    #[default]
    Optional,
    /// An approval without a comment does not count.
    Required,
}

impl CommentRule {
    /// Whether it is the default, which is not stored.
    pub fn is_optional(&self) -> bool {
        *self == CommentRule::Optional
    }
}

/// In which order the stages of an approval must pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum StageOrder {
    /// One after the other: a stage opens when the one before it has passed.
    #[default]
    Sequential,
    /// In any order: all stages are open from acceptance.
    Parallel,
}

impl StageOrder {
    /// Whether it is the default, which is not stored.
    pub fn is_sequential(&self) -> bool {
        *self == StageOrder::Sequential
    }
}

/// More approvers, after a while.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Escalation {
    /// How long the stage is open before these people may approve, such as `2h`. Shorter than the timeout of the stage.
    pub after: Duration,
    /// Who may approve from then on, beside the approvers of the stage. An approval that they created before does not count.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic")))]
    pub approvers: Vec<Subject>,
}

impl ApprovalStage {
    /// How long this stage may wait, in seconds; a day where nothing is said.
    pub fn timeout_secs(&self) -> i64 {
        self.timeout.as_ref().map_or(86_400, Duration::secs)
    }
    /// Everyone who may approve here, now or later.
    pub fn all_approvers(&self) -> impl Iterator<Item = &Subject> + Clone {
        self.approvers.iter().chain(self.escalation.iter().flat_map(|escalation| &escalation.approvers))
    }
    /// Whether it lists this person, as an approver or for the escalation.
    pub fn concerns(&self, p: &UserInfo) -> bool {
        self.all_approvers().any(|s| s.includes(p))
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
    /// A break-glass access is reviewed. From an approver of any stage or a manager, and never from requester or beneficiary.
    Review,
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
    /// For how long the access may last at most, if an approval says so.
    pub duration: Option<Duration>,
    /// Whether it has a comment that is not blank.
    pub commented: bool,
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
    /// Its status says already that it counts, or the request's status names it. It is taken before what was not shown as counted.
    pub counted_before: bool,
    /// Whether the login is an emergency account of a system, which several people may use.
    pub emergency: bool,
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
    /// The stages that must pass.
    pub stages: &'a [ApprovalStage],
    /// In which order.
    pub order: StageOrder,
    /// The duration that was frozen: no approval may name a longer one.
    pub duration: Option<&'a Duration>,
    /// Whether the request is for break-glass: then no approval is asked for, and the stages say who may deny, revoke and review.
    pub break_glass: bool,
    /// Since when there is a break-glass access to review.
    pub reviewable_since: Option<Time>,
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
}

impl<'a> ApprovalSubject<'a> {
    /// The stages that must approve: none of a request for break-glass. A tally over them is the only place where no stages mean approved.
    pub const fn required_stages(&self) -> &'a [ApprovalStage] {
        if self.break_glass { &[] } else { self.stages }
    }
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

impl DecisionFacts {
    /// True while the admission proof or the access review is outstanding.
    pub fn is_pending(&self) -> bool {
        match self.verb {
            Verb::Approve => self.provenance == Provenance::Pending,
            Verb::Deny | Verb::Revoke | Verb::Abandon => self.manager.is_none(),
            Verb::Review => self.provenance == Provenance::Pending || self.manager.is_none(),
        }
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

/// An approval that shortens the access.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Shortened {
    /// Its index in the decisions.
    pub decision: usize,
    /// How long the access lasts.
    pub duration: Duration,
}

/// The sum of all decisions about one request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tally {
    /// Stage by stage, in the order of the template.
    pub stages: Vec<StageTally>,
    /// Whether each decision counts, in the order in which they were given.
    pub counted: Vec<Counted>,
    /// The first refusal or withdrawal that counts, and why it ends the request.
    pub stopped_by: Option<Stop>,
    /// Of the approvals that count, the one that allows the access for the shortest time, if that is shorter than what was asked for.
    pub shortened: Option<Shortened>,
    /// The decision that reviews the break-glass access: the first that counts.
    pub review: Option<usize>,
}

impl Tally {
    /// Whether every stage has passed.
    pub fn approved(&self) -> bool {
        self.stages.iter().all(StageTally::passed)
    }
    /// The stages that are open and have not passed.
    pub fn open_stages(&self) -> impl Iterator<Item = usize> {
        self.stages.iter().enumerate().filter(|(_, s)| s.deadline.is_some() && !s.passed()).map(|(i, _)| i)
    }
    /// Of the stages that are open and have not passed, the one that times out first.
    pub fn open_stage(&self) -> Option<usize> {
        self.open_stages().min_by_key(|&i| (self.stages[i].deadline, i))
    }
    /// By when that stage must be complete.
    pub fn deadline(&self) -> Option<Time> {
        self.stages[self.open_stage()?].deadline
    }
    /// When more people may approve one of the open stages, if that is still to come.
    pub fn next_escalation(&self, now: Time) -> Option<Time> {
        self.open_stages().filter_map(|i| self.stages[i].escalates_at).filter(|at| *at > now).min()
    }
    /// How long the access lasts: as long as was asked for, or as the approvals allow.
    pub fn duration<'a>(&'a self, requested: &'a Duration) -> &'a Duration {
        self.shortened.as_ref().map_or(requested, |shortened| &shortened.duration)
    }
}

/// Counts the decisions about a request. The order of the rules, for each decision:
///
/// 1. A decision about another request of the same name (another uid, or made before this one existed) does not concern this one.
/// 2. A login without the configured proof, or without an alias where aliases are configured, is not counted; an approval
///    that was made while admission was not enforced never is, nor one whose login was recorded without a key that is configured now.
///    A Deny or Revoke from such a time counts: it only takes away (I8). An approval or review of an emergency account is not counted:
///    who has used it is not known, so it may be anybody, also requester or beneficiary.
/// 3. `Revoke` counts from requester and beneficiary; no other decision of these two does, under any spelling of their names.
/// 4. `Deny` and `Revoke` count from a manager and from whom any stage lists, also for its escalation, regardless of the digest that they
///    name, and without a comment.
/// 5. `Approve` counts from whom a stage lists, who saw this digest, names no longer duration than was asked for, has a login that
///    shows the MFA of every stage that lists them, and says why if one of
///    the stages that list them asks for a comment. Which of the stages it fills may change, so the comment cannot wait for that.
/// 6. `Approve` does not count about a request for break-glass, for which nobody is asked; a `Review` is judged by [`review`].
/// 7. Once per person, for one stage, if the API server stored it before that stage timed out, and for the escalation of a stage not
///    before that. When the operator sees it makes no difference: an approval is neither late because no operator was running, nor in
///    time because none has ended the request yet. [`stages`] has the details.
///
/// The access lasts for the shortest duration that one of the counted approvals names.
pub fn tally(m: &ApprovalSubject<'_>, words: &[DecisionFacts]) -> Tally {
    let mut counted: Vec<Counted> = words.iter().map(|w| evaluate_alone(m, w)).collect();
    let mut order: Vec<usize> = (0..words.len()).filter(|&i| counted[i] == Counted::Yes).collect();
    let place = |i: usize| (words[i].created, !words[i].counted_before, &words[i].uid);
    order.sort_by(|&a, &b| place(a).cmp(&place(b)));
    let stop = order.iter().find(|&&i| matches!(words[i].verb, Verb::Deny | Verb::Revoke));
    let stopped_by = stop.map(|&i| Stop { decision: i, reason: stop_reason(m, &words[i]) });
    let approvals: Vec<usize> = order.into_iter().filter(|&i| words[i].verb == Verb::Approve).collect();
    let asked = ApprovalSubject { stages: m.required_stages(), ..*m };
    let stages = stages::fill(&asked, words, &approvals, &mut counted);
    let shortened = shortened(m, words, &stages);
    let review = review::first(words, &mut counted);
    Tally { stages, counted, stopped_by, shortened, review }
}

/// The shortest duration among the approvals that fill stages; of equal ones the first stored.
fn shortened(m: &ApprovalSubject<'_>, words: &[DecisionFacts], stages: &[StageTally]) -> Option<Shortened> {
    let named = stages.iter().flat_map(|s| &s.approved).filter_map(|&i| Some((words[i].duration.as_ref()?, words[i].created, i)));
    let (duration, _, decision) = named.min_by_key(|(duration, created, i)| (duration.secs(), *created, &words[*i].uid))?;
    m.duration.is_none_or(|requested| duration < requested).then(|| Shortened { decision, duration: duration.clone() })
}

/// Rules 1 to 5: what one decision can be judged by alone.
fn evaluate_alone(m: &ApprovalSubject<'_>, w: &DecisionFacts) -> Counted {
    let approver = m.stages.iter().any(|s| s.concerns(&w.decider));
    match w.verb {
        _ if w.request_uid.as_deref().is_some_and(|u| u != m.uid) || w.created < m.created => Counted::No(Reason::NotFound),
        _ if !is_proven(w, &m.people.alias_keys) => Counted::No(Reason::UnprovenLogin),
        Verb::Approve | Verb::Review if w.emergency => Counted::No(Reason::EmergencyAccount),
        Verb::Approve if w.provenance == Provenance::Unverified => Counted::No(Reason::AdmissionNotEnforced),
        Verb::Approve if w.provenance == Provenance::Pending => Counted::Waiting,
        Verb::Review => review::evaluate(m, w, approver),
        Verb::Revoke if is_party(m, &w.decider, Spelling::Exact) => Counted::Yes,
        Verb::Approve | Verb::Deny if is_party(m, &w.decider, Spelling::Folded) => Counted::No(Reason::SelfDecision),
        Verb::Deny | Verb::Revoke if approver || w.manager == Some(true) => Counted::Yes,
        Verb::Deny | Verb::Revoke if w.manager.is_none() => Counted::Waiting,
        Verb::Approve if m.break_glass => Counted::No(Reason::NothingToApprove),
        Verb::Approve if !approver => Counted::No(Reason::NotEntitled),
        Verb::Approve if w.digest.is_none() || w.digest != m.digest => Counted::No(Reason::DigestMismatch),
        Verb::Approve if is_too_long(m, w) => Counted::No(Reason::OverMaximum),
        Verb::Approve if !w.commented && asks_for_comment(m, w).is_some() => Counted::No(Reason::CommentRequired),
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
    let mut listed = m.stages.iter().filter(|stage| stage.concerns(&w.decider));
    listed.find_map(|stage| stage.mfa_lack(w, m.people).map(|lack| (stage, lack)))
}

/// Whether an approval names a longer duration than was asked for. It is not shortened in silence.
fn is_too_long(m: &ApprovalSubject<'_>, w: &DecisionFacts) -> bool {
    w.duration.as_ref().zip(m.duration).is_some_and(|(named, requested)| named > requested)
}

/// The first stage that lists this person and asks for a comment.
fn asks_for_comment<'a>(m: &ApprovalSubject<'a>, w: &DecisionFacts) -> Option<&'a ApprovalStage> {
    m.stages.iter().find(|s| s.comment == CommentRule::Required && s.concerns(&w.decider))
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

/// Why a decision does not count, or what it waits for, in words, where the reason alone does not say it: which values are equal, missing,
/// too long or too early.
pub fn explain(m: &ApprovalSubject<'_>, words: &[DecisionFacts], tally: &Tally, i: usize) -> Option<String> {
    let w = words.get(i)?;
    let reason = match tally.counted.get(i)? {
        Counted::Yes => return None,
        Counted::No(reason) => *reason,
        Counted::Waiting => Reason::Waiting,
    };
    match reason {
        Reason::OverMaximum => Some(messages::longer_than_requested(w.duration.as_ref()?, m.duration?)),
        Reason::CommentRequired if w.verb == Verb::Approve => asks_for_comment(m, w).map(|s| messages::comment_required(&s.name)),
        Reason::NotEscalatedYet => {
            let listed = m.stages.iter().zip(&tally.stages).filter(|(s, _)| s.concerns(&w.decider) && !s.includes(&w.decider));
            let mut escalated = listed.filter_map(|(s, sum)| Some((s, sum.escalates_at, s.escalation.as_ref()?)));
            escalated.next().map(|(s, at, escalation)| messages::not_escalated_yet(&s.name, at, &escalation.after))
        }
        Reason::Waiting => {
            let waits_here = |sum: &&StageTally| sum.waiting.contains(&i);
            let stage = tally.stages.iter().position(|sum| waits_here(&sum))?;
            m.stages.get(stage).map(|s| messages::waits_for_stage(&s.name))
        }
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

fn stop_reason(m: &ApprovalSubject<'_>, w: &DecisionFacts) -> Reason {
    match (w.verb, is_party(m, &w.decider, Spelling::Exact)) {
        (_, true) => Reason::RevokedByHolder,
        (Verb::Deny, false) => Reason::DeniedByApprover,
        (_, false) => Reason::RevokedByApprover,
    }
}

#[cfg(test)]
mod tests;
