//! The request's state machine: may this request become a grant? Pure.
//!
//! A request ends by creating a Grant, and follows that Grant to its end. It never touches a target itself.
//!
//! | Module | States |
//! |---|---|
//! | [`waiting`] | `Pending`, `AwaitingApproval`, `Scheduled`: nothing is granted yet |
//! | [`granted`] | `Activating`, `Active`, `Revoking`: access may be there |
//! | [`review`] | any: whether a break-glass access must be reviewed, and is |
mod granted;
mod holding;
mod review;
mod waiting;

pub use holding::{has_access, holds_for_extension, holds_slot};
pub use review::{may_have_given_access, must_be_told};

use crate::{
    admission::Provenance,
    approval::{self, ApprovalStage, ApprovalSubject, DecisionFacts, StageOrder, Tally, review::ReviewState, tally},
    ids::Version,
    limits::{Answer, Limit, are_covered},
    principal::{Recognition, Subject, UserInfo},
    reason::{Reason, TerminalState},
    requeue::Requeue,
    resolved::{Schema, Terms},
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

/// For so long something that a request was accepted by may not exist, between its deletion and its re-creation, before that ends
/// what waits or is active. `kubectl replace --force` takes less than a second.
const MAY_BE_ABSENT_SECS: i64 = 3;

/// A state of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Not evaluated yet.
    Pending,
    /// Accepted and frozen; approvers decide.
    AwaitingApproval,
    /// Approved; its start is still to come.
    Scheduled,
    /// Approved; the deadline is stored and the Grant is being created and written.
    Activating,
    /// The target has shown the access.
    Active,
    /// The access is being removed, for this reason.
    Revoking(Reason),
    /// It has ended. This is final, regardless of later edits.
    Ended(TerminalState, Reason),
}

/// What was frozen when the request was accepted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frozen {
    /// The terms of that moment.
    pub terms: Terms,
    /// That moment, which opened the first stage of the approval.
    pub accepted_at: Time,
}

/// The part of a request's status that the rules read and write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Status {
    /// The state.
    pub state: State,
    /// What was frozen.
    pub frozen: Option<Frozen>,
    /// When the access ends: stored with `Activating`, before anything is written to a target.
    pub expires_at: Option<Time>,
    /// When the target first showed the access.
    pub activated_at: Option<Time>,
    /// The names of the slots that it holds, of the role's limits. They are stored with `Scheduled` or `Activating`.
    pub slots: Vec<Arc<str>>,
    /// How far the review of a break-glass access has come.
    pub review: ReviewState,
}

impl Status {
    /// Of a request that was not evaluated yet.
    pub const NEW: Status = Status {
        state: State::Pending,
        frozen: None,
        expires_at: None,
        activated_at: None,
        slots: Vec::new(),
        review: ReviewState::NotRequired,
    };
}

/// One stored request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Its version, for the compare-and-swap.
    pub version: Version,
    /// Which build can judge its status.
    pub schema: Schema,
    /// Its uid: a re-created request of the same name is another one.
    pub uid: Arc<str>,
    /// When the API server created it.
    pub created: Time,
    /// Whether admission was proven to be enforced then: if not, any client may have written it.
    pub provenance: Provenance,
    /// The authenticated identity that created it.
    pub requester: Arc<UserInfo>,
    /// The beneficiary, if it is not the requester.
    pub beneficiary: Option<Subject>,
    /// Whether it is for break-glass: what its spec says, which is immutable and written by people, and never what status says.
    pub break_glass: bool,
    /// The stored status.
    pub status: Status,
}

/// What is known about this request's Grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GrantView {
    /// There is none.
    None,
    /// There is one.
    Live {
        /// Since when its access is there, if it ever was.
        active_since: Option<Time>,
        /// The access is being removed.
        revoking: bool,
        /// It ends because of a change at the target.
        drifted: bool,
        /// The target said that the write can never work.
        refused: bool,
        /// It ends because a role allows more than what was frozen.
        outgrown: bool,
    },
    /// It ended, and nothing is left at the target.
    Ended {
        /// Since when its access was there, if it ever was.
        active_since: Option<Time>,
        /// It ended because of a change at the target.
        drifted: bool,
        /// The target said that the write can never work.
        refused: bool,
        /// It ended because a role allows more than what was frozen.
        outgrown: bool,
        /// A person has released it without proof.
        abandoned: bool,
    },
}

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The time.
    pub now: Time,
    /// The request as it is stored.
    pub request: &'a Request,
    /// What it would be if it were resolved now, or why it cannot be.
    pub terms: &'a Result<Terms, Refusal>,
    /// The decisions about it.
    pub decisions: &'a [DecisionFacts],
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
    /// Its Grant.
    pub grant: GrantView,
    /// Lease held, admission proven, clock sane, stores synced.
    pub permit: bool,
    /// All of this was read live after our last commit.
    pub fresh: bool,
    /// Since when this process has seen, without a break, that something does not exist by which the request was accepted.
    pub absent_since: Option<Time>,
    /// What was found about the role's limits since the last commit, if it was asked.
    pub slots: Option<&'a Answer>,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Nothing now.
    Wait(Requeue),
    /// Read everything live, and decide again.
    ReadLive,
    /// Store this, and decide again.
    Commit(Status),
    /// Look whether these limits have a free slot, and decide again.
    CheckLimits(Arc<[Limit]>),
    /// Take a slot of each of these limits, and decide again.
    TakeSlots(Arc<[Limit]>),
    /// Write the Grant.
    CreateGrant {
        /// When it ends.
        expires_at: Time,
    },
    /// Let the Grant end now.
    BringForward,
}

/// Counts the decisions about a request against what it froze.
pub fn tally_decisions(request: &Request, words: &[DecisionFacts], people: &Recognition) -> Tally {
    tally(&approval_subject(request, people), words)
}

/// Why a decision does not count, or what it waits for, in words, where the reason alone does not say it.
pub fn explain_decision(request: &Request, words: &[DecisionFacts], tally: &Tally, i: usize, people: &Recognition) -> Option<String> {
    approval::explain(&approval_subject(request, people), words, tally, i)
}

fn approval_subject<'a>(request: &'a Request, people: &'a Recognition) -> ApprovalSubject<'a> {
    let none: &[ApprovalStage] = &[];
    let frozen = request.status.frozen.as_ref();
    ApprovalSubject {
        uid: &request.uid,
        created: request.created,
        requester: &request.requester,
        beneficiary: request.beneficiary.as_ref(),
        digest: frozen.map(|f| f.terms.digest),
        accepted_at: frozen.map_or(request.created, |f| f.accepted_at),
        stages: frozen.map_or(none, |f| &f.terms.resolved.approval),
        order: frozen.map_or(StageOrder::Sequential, |f| f.terms.resolved.order),
        duration: frozen.map(|f| &f.terms.resolved.duration),
        break_glass: request.break_glass,
        reviewable_since: review::reviewable_since(request),
        people,
    }
}

/// Decides. The order of the rules:
///
/// 1. A request that has ended stays ended. At any time a review that counts is stored as such (`review`).
/// 2. `Revoking` ends when the Grant has ended; that there is no Grant counts only if it was read live
///    after `Revoking` was stored, since a paused leader may still write one (and its recheck then finds `Revoking`).
/// 3. `Activating` and `Active` follow their Grant to its end.
/// 4. They are stopped by a Deny or Revoke, by terms that no longer hold, or, without a Grant, by the deadline:
///    always through a stored `Revoking`. Terms are believed to have changed only when read live, and what does not exist is
///    believed to be gone only after some seconds.
/// 5. `Activating` creates its Grant only on facts read live after it was stored: decisions made before the commit are seen,
///    the approvals are counted again, and the request is seen to hold a slot of each limit that the role has then. The end that was
///    stored is no later than the approvals allow that count then.
/// 6. `Scheduled` ends by changed terms, by a refusal, or when its window has passed; at its start it becomes `Activating`.
/// 7. `AwaitingApproval` ends by changed terms, by a refusal, by the last approval, or by the timeout of the open stage, in this order, or
///    when its window has passed, or what it extends has ended. It times out on live facts: an approval made in time counts, also where it
///    is seen late or waits for an admission proof. Approved, it takes its slots, and becomes `Scheduled` or `Activating`; without a free slot it ends.
///    The access lasts as long as was asked for, or as the shortest of the counted approvals says. It runs again when a stage escalates.
/// 8. `Pending` is accepted and frozen, or refused on live facts. A limit that is reached refuses it before approvers are asked.
///
/// Without the permit nothing begins, nor while the target cannot be asked what would be granted: rules 5 to 8 wait. What is
/// unknown ends nothing either; decisions, Grant and deadline still count.
pub fn decide(f: &Inputs<'_>) -> Decision {
    match f.request.status.state {
        _ if let Some(status) = review::reviewed(f) => Decision::Commit(status),
        State::Ended(..) => Decision::Wait(review::when_over(f)),
        // Its Grant ends at its own deadline; everything else is left to the build that wrote it.
        _ if f.request.schema == Schema::Newer => Decision::Wait(Requeue::OnChange),
        State::Revoking(reason) => granted::decide_revoking(f, reason),
        State::Activating | State::Active => granted::decide_granted(f),
        State::Scheduled | State::AwaitingApproval | State::Pending if !f.permit => Decision::Wait(Requeue::OnChange),
        State::Scheduled => waiting::decide_scheduled(f),
        State::AwaitingApproval => waiting::decide_awaiting(f),
        State::Pending => waiting::decide_pending(f),
    }
}

/// The slots of the role's limits that an approved request has, or what must be done first. Limits are judged on facts read live.
/// `stored_count` is whether the slots that its status names are believed; `reached` is what follows where a limit has no free slot.
fn with_slots(f: &Inputs<'_>, stored_count: bool, reached: impl FnOnce(Reason) -> Decision) -> Result<Vec<Arc<str>>, Box<Decision>> {
    let stored = &f.request.status.slots;
    let limits = f.terms.as_ref().map_or_else(|_| Arc::default(), |terms| terms.limits.clone());
    match f.slots {
        _ if limits.is_empty() || (stored_count && are_covered(&limits, stored)) => Ok(stored.clone()),
        Some(Answer::Taken(slots)) => Ok(slots.clone()),
        Some(Answer::Full) => Err(Box::new(reached(Reason::LimitReached))),
        Some(Answer::Locked) => Err(Box::new(reached(Reason::ReviewOutstanding))),
        Some(Answer::Free) | None if f.fresh => Err(Box::new(Decision::TakeSlots(limits))),
        Some(Answer::Free) | None => Err(Box::new(Decision::ReadLive)),
    }
}

/// Whether what was approved still stands. An active grant is ended by other effects or a refusal; before it is active, by any other digest.
fn terms_invalidated_by(f: &Inputs<'_>) -> Option<Reason> {
    let frozen = &f.request.status.frozen.as_ref()?.terms;
    // The Grant says whether it is active: its target has shown it. What stands in the request's status is only copied from there.
    let granted = matches!(f.grant, GrantView::Live { active_since: Some(_), .. });
    match f.terms {
        Err(_) if terms_unknown(f) => None,
        Err(refusal) => Some(refusal.reason),
        // What another build has frozen cannot be compared: it ends nothing that is active, and nothing begins on it.
        Ok(_) if granted && !frozen.is_comparable() => None,
        Ok(now) if !granted && now.digest_in(frozen.resolved.schema) != Some(frozen.digest) => Some(Reason::TemplateChanged),
        Ok(now) if now.effects != frozen.effects => Some(Reason::TemplateChanged),
        Ok(_) => None,
    }
}

/// Until when it is not concluded that what does not exist is gone; `None` if it may be concluded now.
fn absent_until(f: &Inputs<'_>) -> Option<Time> {
    let absent = matches!(f.terms, Err(refusal) if refusal.absent);
    let until = f.absent_since.unwrap_or(f.now).plus_secs(MAY_BE_ABSENT_SECS);
    (absent && f.now < until).then_some(until)
}

/// Whether it is unknown what would be granted.
fn terms_unknown(f: &Inputs<'_>) -> bool {
    matches!(f.terms, Err(r) if matches!(r.reason, Reason::TargetUnreachable | Reason::NotProvenYet))
}

/// When to run again: soon while a decision is not settled.
fn wait(f: &Inputs<'_>, otherwise: Requeue) -> Decision {
    Decision::Wait(if f.decisions.iter().any(DecisionFacts::is_pending) { Requeue::Backoff } else { otherwise })
}

fn finish(f: &Inputs<'_>, reason: Reason) -> Decision {
    let status = &f.request.status;
    // An abandoned Grant has not been proven to have ended, so this reason replaces any other.
    let reason = if matches!(f.grant, GrantView::Ended { abandoned: true, .. }) { Reason::Abandoned } else { reason };
    let since = match f.grant {
        GrantView::Ended { active_since, .. } | GrantView::Live { active_since, .. } => status.activated_at.or(active_since),
        GrantView::None => status.activated_at,
    };
    let review = review::at_end(f, since.is_some());
    let state = State::Ended(reason.terminal_state(since.is_some()), reason);
    Decision::Commit(Status { state, activated_at: since, review, ..status.clone() })
}

fn transition_to(f: &Inputs<'_>, state: State) -> Decision {
    Decision::Commit(Status { state, ..f.request.status.clone() })
}
