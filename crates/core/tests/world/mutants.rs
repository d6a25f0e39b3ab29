//! Protections taken away, one at a time. A check that cannot fail shows nothing; each of these must be found.
//!
//! A mutant stands between the real `Reconcile` and the world, or makes the world worse: it alters outcomes, effects, or
//! sees another view. The library has no switch for any of it.
use super::{DURATION, ESCALATION, SCHEDULED_DURATION, START, TICK_SECS, UNTIL, model::Memory, time};
use curfew_core::{
    approval::{DecisionFacts, StageOrder, Verb, review::ReviewState},
    grant::{Grant, OwnerState, SlotOwners, State as GrantState},
    principal::UserInfo,
    reason::Reason,
    reconcile::{Effect, Outcome, Reservation, View},
    request::{GrantView, Request, State, Status},
    resolved::{Resolved, Terms},
    target::{Content, SlotSet},
    time::Time,
};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// The rules as they are.
    None,
    /// Absence seen means ended, and an arm that needs no reservation.
    CommitThenPerform,
    /// Neither reservation nor recheck: the access is written as soon as it is decided.
    NoFence,
    /// A recheck, and no reservation.
    RecheckOnly,
    /// A reservation, and no recheck.
    ReserveOnly,
    /// An arm that creates what is missing, as PUT and server-side apply do with RBAC's kinds.
    ArmCreates,
    /// An arm that does not check which object has the name.
    ArmNamesNoUid,
    /// Our own delete proves the end even of a Grant that is still `Granting`.
    OwnDeleteProvesGranting,
    /// Nothing is read live between approval and Grant.
    NoLiveReread,
    /// A request that is stopped before its Grant is seen ends at once.
    EndedWithoutRevoking,
    /// The recheck ignores the state of the request.
    RecheckIgnoresRequest,
    /// A Grant never verifies its request.
    OwnerNeverVerified,
    /// A Grant never reads the content of its roles.
    ContentNeverVerified,
    /// What is missing is stored as withheld, and nothing is taken.
    NothingWithheld,
    /// What was withheld is given back without a last look at its role.
    RestoredUnseen,
    /// Granting continues without lease or admission proof.
    PermitIgnored,
    /// Revoking waits for the lease.
    RevokeNeedsThePermit,
    /// The requester may approve.
    SelfApproval,
    /// An approval counts for any request of that name.
    AnyDigest,
    /// An approval counts, however late it is made.
    TimeoutsIgnored,
    /// Of several stages the first one is enough.
    OneStageIsEnough,
    /// A person fills a place of every stage.
    PersonCountsTwice,
    /// Who is listed for an escalation may approve from the beginning.
    EscalationIgnored,
    /// The access lasts as long as was asked for, regardless of what an approval names.
    ShorteningIgnored,
    /// What was frozen is not compared with what would be granted.
    TermsNotCompared,
    /// Terms that cannot be resolved are taken for unchanged.
    UnknownIsUnchanged,
    /// The end is computed again when the Grant is created, a tick after the deadline was stored.
    DeadlineComputedAgain,
    /// A scheduled request is activated as soon as it is approved.
    BeginsWhenApproved,
    /// The deadline of a scheduled request is counted from its activation.
    RunsFromActivation,
    /// An extension begins also when what it extends has ended.
    BeginsAfterItsParent,
    /// The deadline of an extension is counted from its activation, as if it were as long as both.
    CountsFromActivation,
    /// The early end of what an extension extends is taken for unchanged terms.
    ParentIgnored,
    /// A scheduled request is not ended by what people decide before its start.
    ScheduledIgnoresDecisions,
    /// Of ordered stages each is open from acceptance on.
    StagesInAnyOrder,
    /// One person is enough for a quorum of two.
    QuorumOfOne,
    /// An extension begins at the deadline of what it extends, and not as soon as it is approved.
    BeginsAtTheDeadline,
    /// An extension moves the deadline of what it extends.
    ExtensionMovesDeadline,
    /// What is extended ends when its extension begins.
    ParentEndsWithExtension,
    /// What is extended ends when its extension ends.
    ChildEndsItsParent,
    /// There is no limit: neither a lock on further break-glass, nor one extension at a time.
    NoLimit,
    /// A request for break-glass waits for approvals.
    BreakGlassWaits,
    /// A request is for break-glass if its status says so.
    StatusSaysBreakGlass,
    /// No review is required of a break-glass access.
    NoReviewRequired,
    /// A review is required only of what was shown to be active.
    OnlyWhatWasShownIsReviewed,
    /// A review by the person who had the access counts.
    OwnReviewCounts,
    /// A review counts that was made before there was access.
    ReviewedInAdvance,
    /// The end of a break-glass access frees its lock.
    LockFreeAtEnd,
    /// The deletion of its request does.
    LockFreeWhenDeleted,
    /// A Deny or Revoke does not end what has begun.
    DenialIgnored,
    /// A Grant does not end at its deadline.
    DeadlineIgnored,
    /// A request's status is written without a compare-and-swap.
    RequestsWithoutSwap,
    /// A Grant's status is written without a compare-and-swap.
    GrantsWithoutSwap,
}

/// What a mutant makes of an effect.
pub enum Altered {
    AsIs,
    Instead(Effect),
    /// The effect is left out, and this is taken for its outcome.
    Skipped(Outcome),
}

impl Mutant {
    /// Whether it uses what was known when the reconcile started.
    pub fn remembers(self) -> bool {
        matches!(self, Mutant::NoFence | Mutant::ReserveOnly | Mutant::NoLiveReread | Mutant::EndedWithoutRevoking)
    }

    /// The Grant from which a reconcile starts.
    pub fn alter_grant(self, grant: Grant, now: Time) -> Grant {
        if self == Mutant::DeadlineIgnored {
            return Grant { expires_at: time(super::MUCH_LATER + 1), ..grant };
        }
        let due = now >= grant.expires_at && grant.state == GrantState::Granting;
        if self == Mutant::OwnDeleteProvesGranting && due { Grant { state: GrantState::Active, ..grant } } else { grant }
    }

    /// The view from which a request's reconcile starts.
    pub fn alter_view(self, view: &mut View) {
        let Some(request) = &mut view.request else { return };
        match self {
            Mutant::SelfApproval => request.requester = Arc::default(),
            Mutant::AnyDigest => {
                let (digest, created) = (request.status.frozen.as_ref().map(|f| f.terms.digest), request.created);
                let mut decisions = (*view.decisions).clone();
                for w in decisions.iter_mut().filter(|w| w.verb == Verb::Approve) {
                    w.digest = digest;
                    w.created = w.created.max(created);
                }
                view.decisions = Arc::new(decisions);
            }
            Mutant::TimeoutsIgnored => {
                let mut decisions = (*view.decisions).clone();
                decisions.iter_mut().for_each(|w| w.created = w.created.min(time(0)));
                view.decisions = Arc::new(decisions);
            }
            Mutant::OneStageIsEnough => {
                if let Some(frozen) = &mut request.status.frozen {
                    let mut first = (*frozen.terms.resolved).clone();
                    first.approval.truncate(1);
                    frozen.terms = Terms::as_stored(first, frozen.terms.digest);
                }
            }
            Mutant::PersonCountsTwice => {
                let mut decisions = (*view.decisions).clone();
                let carols = decisions.iter().find(|w| w.verb == Verb::Approve && w.decider.username == "carol").cloned();
                decisions.extend(carols.map(|w| DecisionFacts {
                    uid: "twice".into(),
                    decider: Arc::new(UserInfo { username: "erin".into(), ..UserInfo::default() }),
                    ..w
                }));
                view.decisions = Arc::new(decisions);
            }
            Mutant::EscalationIgnored => {
                let mut decisions = (*view.decisions).clone();
                decisions.iter_mut().for_each(|w| w.created = w.created.max(time(ESCALATION)));
                view.decisions = Arc::new(decisions);
            }
            Mutant::ShorteningIgnored => {
                let mut decisions = (*view.decisions).clone();
                decisions.iter_mut().for_each(|w| w.duration = None);
                view.decisions = Arc::new(decisions);
            }
            Mutant::TermsNotCompared | Mutant::UnknownIsUnchanged => {
                let unknown = matches!(&*view.terms, Err(r) if r.reason == Reason::TargetUnreachable);
                if let Some(frozen) = &request.status.frozen
                    && (self == Mutant::TermsNotCompared || unknown)
                {
                    view.terms = Arc::new(Ok(frozen.terms.clone()));
                }
            }
            Mutant::BeginsWhenApproved => {
                // It ends when it was promised to end.
                let without_start = |terms: &Terms| {
                    let duration = curfew_core::duration::Duration::from_secs(60 * u32::from(START + SCHEDULED_DURATION));
                    let resolved = Resolved { start: Some(time(0)), duration, ..(*terms.resolved).clone() };
                    Terms { resolved: Arc::new(resolved), ..terms.clone() }
                };
                if let Some(frozen) = &mut request.status.frozen {
                    frozen.terms = without_start(&frozen.terms);
                }
                if let Ok(terms) = &*view.terms {
                    view.terms = Arc::new(Ok(without_start(terms)));
                }
            }
            Mutant::BeginsAfterItsParent => {
                // It ends when it was promised to end.
                let windowed = |terms: &Terms| {
                    let duration = curfew_core::duration::Duration::from_secs(60 * u32::from(UNTIL + DURATION));
                    let resolved = Resolved { start: Some(time(0)), extends: None, duration, ..(*terms.resolved).clone() };
                    Terms { resolved: Arc::new(resolved), ..terms.clone() }
                };
                if let Some(frozen) = &mut request.status.frozen {
                    frozen.terms = windowed(&frozen.terms);
                }
                if let Ok(terms) = &*view.terms {
                    view.terms = Arc::new(Ok(windowed(terms)));
                }
            }
            Mutant::StagesInAnyOrder | Mutant::QuorumOfOne | Mutant::BeginsAtTheDeadline => {
                let altered = |terms: &Terms| {
                    let mut resolved = (*terms.resolved).clone();
                    match self {
                        Mutant::StagesInAnyOrder => resolved.order = StageOrder::Parallel,
                        Mutant::QuorumOfOne => resolved.approval.iter_mut().for_each(|stage| stage.quorum = 1),
                        _ => (resolved.start, resolved.extends) = (resolved.extends.as_ref().map(|extended| extended.until), None),
                    }
                    Terms { resolved: Arc::new(resolved), ..terms.clone() }
                };
                if let Some(frozen) = &mut request.status.frozen {
                    frozen.terms = altered(&frozen.terms);
                }
                if let Ok(terms) = &*view.terms {
                    view.terms = Arc::new(Ok(altered(terms)));
                }
            }
            Mutant::BreakGlassWaits => request.break_glass = false,
            Mutant::StatusSaysBreakGlass => {
                if let Some(frozen) = request.status.frozen.as_ref().filter(|frozen| frozen.terms.resolved.break_glass) {
                    request.break_glass = true;
                    view.terms = Arc::new(Ok(frozen.terms.clone()));
                }
            }
            Mutant::OwnReviewCounts | Mutant::ReviewedInAdvance => {
                let mut decisions = (*view.decisions).clone();
                for w in decisions.iter_mut().filter(|w| w.verb == Verb::Review) {
                    match self {
                        Mutant::OwnReviewCounts => w.decider = Arc::new(UserInfo { username: "carol".into(), ..UserInfo::default() }),
                        _ => w.created = w.created.max(time(0)),
                    }
                }
                view.decisions = Arc::new(decisions);
            }
            Mutant::DenialIgnored if matches!(request.status.state, State::Activating | State::Active) => {
                view.decisions =
                    Arc::new(view.decisions.iter().filter(|w| !matches!(w.verb, Verb::Deny | Verb::Revoke)).cloned().collect());
            }
            Mutant::ParentIgnored => {
                let ended = matches!(&*view.terms, Err(refusal) if refusal.reason == Reason::ParentEnded);
                if let Some(frozen) = request.status.frozen.as_ref().filter(|_| ended) {
                    view.terms = Arc::new(Ok(frozen.terms.clone()));
                }
            }
            Mutant::ScheduledIgnoresDecisions if request.status.state == State::Scheduled => {
                view.decisions = Arc::new(view.decisions.iter().filter(|w| w.verb == Verb::Approve).cloned().collect());
            }
            _ => {}
        }
    }

    /// The outcome that a reconcile receives.
    pub fn alter_outcome(self, effect: &Effect, outcome: Outcome, memory: Option<&Memory>) -> Outcome {
        match (self, effect, outcome, memory) {
            (Mutant::NoLiveReread, Effect::ReadLive, Outcome::Refreshed(live), Some(Memory::View(then))) => {
                Outcome::Refreshed(View { request: live.request, ..then.clone() })
            }
            (Mutant::RecheckIgnoresRequest, Effect::Recheck, Outcome::Rechecked(grant, _, others), _) => {
                Outcome::Rechecked(grant, OwnerState::Wanted, others)
            }
            (_, _, outcome, _) => outcome,
        }
    }

    /// The effect that is performed.
    pub fn alter_effect(self, effect: &Effect, memory: Option<&Memory>, now: Time) -> Altered {
        let nothing = || Outcome::Reserved(Reservation(Arc::default()));
        let as_then = || match memory {
            Some(Memory::Grant(g)) => Outcome::Rechecked(Some(g.clone()), OwnerState::Wanted, SlotOwners::FREE),
            Some(Memory::View(_)) | None => Outcome::Failed,
        };
        match (self, effect) {
            (Mutant::NoFence | Mutant::RecheckOnly | Mutant::CommitThenPerform, Effect::Reserve) => Altered::Skipped(nothing()),
            (Mutant::NothingWithheld, Effect::Withhold(_)) => Altered::Skipped(Outcome::Done),
            (Mutant::RestoredUnseen, Effect::ReadContentLive) => {
                Altered::Skipped(Outcome::Content(Content::Within { missing: SlotSet::NONE }))
            }
            (Mutant::NoFence | Mutant::ReserveOnly, Effect::Recheck) => Altered::Skipped(as_then()),
            (Mutant::DeadlineComputedAgain, Effect::CreateGrant { request, .. }) => {
                let expires_at = now.plus_secs(TICK_SECS * i64::from(DURATION + 1));
                Altered::Instead(Effect::CreateGrant { request: request.clone(), expires_at })
            }
            (Mutant::RunsFromActivation, Effect::CommitRequest(r)) if r.status.state == State::Activating => {
                let expires_at = Some(now.plus_secs(TICK_SECS * i64::from(SCHEDULED_DURATION)));
                Altered::Instead(Effect::CommitRequest(Request { status: Status { expires_at, ..r.status.clone() }, ..r.clone() }))
            }
            (Mutant::CountsFromActivation, Effect::CommitRequest(r)) if r.status.state == State::Activating => {
                let expires_at = Some(now.plus_secs(TICK_SECS * i64::from(UNTIL + DURATION)));
                Altered::Instead(Effect::CommitRequest(Request { status: Status { expires_at, ..r.status.clone() }, ..r.clone() }))
            }
            (Mutant::EndedWithoutRevoking, Effect::CommitRequest(r)) => over_at_once(r, memory),
            (Mutant::NoReviewRequired, Effect::CommitRequest(r)) => not_to_review(r),
            (Mutant::OnlyWhatWasShownIsReviewed, Effect::CommitRequest(r)) if r.status.activated_at.is_none() => not_to_review(r),
            _ => Altered::AsIs,
        }
    }
}

/// The same status, of which no review is required.
fn not_to_review(r: &Request) -> Altered {
    match r.status.review {
        ReviewState::Required => {
            let status = Status { review: ReviewState::NotRequired, ..r.status.clone() };
            Altered::Instead(Effect::CommitRequest(Request { status, ..r.clone() }))
        }
        ReviewState::NotRequired | ReviewState::Reviewed => Altered::AsIs,
    }
}

fn over_at_once(r: &Request, memory: Option<&Memory>) -> Altered {
    let unseen = matches!(memory, Some(Memory::View(v)) if v.grant == GrantView::None);
    match r.status.state {
        State::Revoking(reason) if unseen => {
            let state = State::Ended(reason.terminal_state(false), reason);
            Altered::Instead(Effect::CommitRequest(Request { status: Status { state, ..r.status.clone() }, ..r.clone() }))
        }
        _ => Altered::AsIs,
    }
}
