//! Protections taken away, one at a time. A check that cannot fail shows nothing; each of these must be found.
//!
//! A mutant is a liar between the real `Pass` and the world, or a worse world: it hears other answers, says other asks, or
//! sees another view. The library has no switch for any of it.
use super::{DURATION, TICK_SECS, model::Memory};
use curfew_core::{
    approval::Verb,
    grant::{Behind, Grant, Stage},
    pass::{Answer, Ask, Reservation, View},
    reason::Reason,
    request::{Ledger, Request, State, Status},
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
    /// An arm that takes whatever stands in the place.
    ArmNamesNoUid,
    /// Our own delete proves the end even of a Grant that is still `Granting`.
    OwnDeleteProvesTooMuch,
    /// What the stores say is believed between approval and Grant.
    NoLiveReread,
    /// A request that is stopped before its Grant is seen is over at once.
    OverWithoutRevoking,
    /// The recheck does not care what has become of the request.
    RecheckIgnoresTheRequest,
    /// A Grant never asks for its request.
    NeverInDoubt,
    /// Granting goes on without lease or gate.
    PermitIgnored,
    /// Revoking waits for the lease.
    RevokeNeedsThePermit,
    /// The requester may approve.
    SelfApproval,
    /// An approval counts for whatever stands under that name now.
    AnyDigest,
    /// What was frozen is not compared with what would be granted.
    TermsNotCompared,
    /// What cannot be asked is taken to be as it was.
    UnknownIsUnchanged,
    /// The end is reckoned anew when the Grant is made, a tick after the deadline was stored.
    DeadlineReckonedAnew,
    /// A request's status is written whatever is stored by now.
    RequestsWithoutSwap,
    /// A Grant's status is written whatever is stored by now.
    GrantsWithoutSwap,
}

/// What a mutant makes of an ask.
pub enum Said {
    AsIs,
    Instead(Ask),
    /// It is not asked at all; this is taken for the answer.
    Skipped(Answer),
}

impl Mutant {
    /// Whether it uses what it knew when the pass began.
    pub fn remembers(self) -> bool {
        matches!(self, Mutant::NoFence | Mutant::ReserveOnly | Mutant::NoLiveReread | Mutant::OverWithoutRevoking)
    }

    /// How a Grant's pass begins.
    pub fn begins(self, grant: Grant, now: Time) -> Grant {
        let due = now >= grant.expires_at && grant.stage == Stage::Granting;
        if self == Mutant::OwnDeleteProvesTooMuch && due { Grant { stage: Stage::Active, ..grant } } else { grant }
    }

    /// What a request's pass sees.
    pub fn sees(self, view: &mut View) {
        let Some(request) = &mut view.request else { return };
        match self {
            Mutant::SelfApproval => request.requester = Arc::default(),
            Mutant::AnyDigest => {
                let (digest, created) = (request.status.frozen.as_ref().map(|f| f.terms.digest), request.created);
                let mut words = (*view.words).clone();
                for w in words.iter_mut().filter(|w| w.verb == Verb::Approve) {
                    w.digest = digest;
                    w.at = w.at.max(created);
                }
                view.words = Arc::new(words);
            }
            Mutant::TermsNotCompared | Mutant::UnknownIsUnchanged => {
                let unknown = matches!(&*view.terms, Err(r) if r.reason == Reason::TargetUnreachable);
                if let Some(frozen) = &request.status.frozen
                    && (self == Mutant::TermsNotCompared || unknown)
                {
                    view.terms = Arc::new(Ok(frozen.terms.clone()));
                }
            }
            _ => {}
        }
    }

    /// What a pass hears.
    pub fn hears(self, ask: &Ask, answer: Answer, memory: Option<&Memory>) -> Answer {
        match (self, ask, answer, memory) {
            (Mutant::NoLiveReread, Ask::Refresh, Answer::Fresh(live), Some(Memory::View(then))) => {
                Answer::Fresh(View { request: live.request, ..then.clone() })
            }
            (Mutant::RecheckIgnoresTheRequest, Ask::Recheck, Answer::Live(grant, _), _) => Answer::Live(grant, Behind::Wanted),
            (_, _, answer, _) => answer,
        }
    }

    /// What a pass says.
    pub fn says(self, ask: &Ask, memory: Option<&Memory>, now: Time) -> Said {
        let nothing = || Answer::Reserved(Reservation(Arc::default()));
        let as_then = || match memory {
            Some(Memory::Grant(g)) => Answer::Live(Some(g.clone()), Behind::Wanted),
            Some(Memory::View(_)) | None => Answer::Failed,
        };
        match (self, ask) {
            (Mutant::NoFence | Mutant::RecheckOnly | Mutant::CommitThenPerform, Ask::Reserve) => Said::Skipped(nothing()),
            (Mutant::NoFence | Mutant::ReserveOnly, Ask::Recheck) => Said::Skipped(as_then()),
            (Mutant::DeadlineReckonedAnew, Ask::CreateGrant { request, .. }) => {
                let expires_at = now.plus_secs(TICK_SECS * i64::from(DURATION + 1));
                Said::Instead(Ask::CreateGrant { request: request.clone(), expires_at })
            }
            (Mutant::OverWithoutRevoking, Ask::CommitRequest(r)) => over_at_once(r, memory),
            _ => Said::AsIs,
        }
    }
}

fn over_at_once(r: &Request, memory: Option<&Memory>) -> Said {
    let unseen = matches!(memory, Some(Memory::View(v)) if v.ledger == Ledger::None);
    match r.status.state {
        State::Revoking(reason) if unseen => {
            let state = State::Over(reason.outcome(false), reason);
            Said::Instead(Ask::CommitRequest(Request { status: Status { state, ..r.status.clone() }, ..r.clone() }))
        }
        _ => Said::AsIs,
    }
}
