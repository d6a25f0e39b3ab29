//! The first machine: may this request become a grant? Pure.
//!
//! A request ends by creating a Grant, and follows that Grant to its end. It never touches a target itself.
use crate::{
    approval::{Matter, Stage, Tally, Verb, Word, tally},
    digest::Digest,
    gate::Saw,
    principal::{Person, Subject},
    reason::{Outcome, Reason},
    resolved::Resolved,
    terms::Refusal,
    time::Time,
};
use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The clocks of two replicas are within this of each other, or neither grants.
const CLOCKS_DIFFER_SECS: i64 = 10;

/// The version of a stored object: only ever compared for equality, by the API server.
pub type Version = Arc<str>;

/// Where a request stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Not looked at yet.
    Pending,
    /// Accepted and frozen; people decide.
    AwaitingApproval,
    /// Approved; the deadline is stored and the Grant is on its way.
    Activating,
    /// The access is there.
    Active,
    /// It is being taken away, for this reason.
    Revoking(Reason),
    /// It is over. Final, whatever is edited.
    Over(Outcome, Reason),
}

/// What would be granted if the request were resolved now.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The whole of it.
    pub resolved: Arc<Resolved>,
    /// Its digest.
    pub digest: Digest,
    /// The digest of its effects alone.
    pub effects: Digest,
}

impl Terms {
    /// With the digests of `resolved`.
    pub fn new(resolved: Resolved) -> Self {
        Terms { digest: resolved.digest(), effects: resolved.effects(), resolved: Arc::new(resolved) }
    }
}
// Two terms are the same if what is approved and what is granted are.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}
impl Eq for Terms {}
impl Hash for Terms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// What was frozen when the request was accepted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frozen {
    /// The terms of that moment.
    pub terms: Terms,
    /// When the approvers must have answered.
    pub approval_deadline: Time,
}

/// The part of a request's status that the rules read and write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Status {
    /// Where it stands.
    pub state: State,
    /// What was frozen.
    pub frozen: Option<Frozen>,
    /// When the access ends: stored with `Activating`, before anything is written to a target.
    pub expires_at: Option<Time>,
    /// Since when the access is there.
    pub activated_at: Option<Time>,
}

impl Status {
    /// Of a request that nobody has looked at.
    pub const NEW: Status = Status { state: State::Pending, frozen: None, expires_at: None, activated_at: None };
}

/// One stored request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Its version, for the compare-and-swap.
    pub version: Version,
    /// Its uid: a re-created request of the same name is another one.
    pub uid: Arc<str>,
    /// When the API server created it.
    pub created: Time,
    /// Whether the gate was closed then: if not, anybody may have written it.
    pub gated: Saw,
    /// Who asked.
    pub requester: Arc<Person>,
    /// Whom it is for, if not the requester.
    pub beneficiary: Option<Subject>,
    /// Where it stands.
    pub status: Status,
}

/// What the ledger says about this request's Grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ledger {
    /// There is none.
    None,
    /// There is one.
    Live {
        /// Since when its access is there, if it ever was.
        active_since: Option<Time>,
        /// It is on its way out.
        revoking: bool,
        /// It left because of a change at the target.
        drifted: bool,
    },
    /// It ended, and nothing is left at the target.
    Over {
        /// Since when its access was there, if it ever was.
        active_since: Option<Time>,
        /// It ended because of a change at the target.
        drifted: bool,
        /// A person has released it: nothing was proven.
        abandoned: bool,
    },
}

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time.
    pub now: Time,
    /// The request as it is stored.
    pub request: &'a Request,
    /// What it would be if it were resolved now, or why it cannot be.
    pub terms: &'a Result<Terms, Refusal>,
    /// The decisions about it.
    pub words: &'a [Word],
    /// Extra keys that name one person behind several logins.
    pub alias_keys: &'a [String],
    /// Its Grant.
    pub ledger: Ledger,
    /// Lease held, gate closed, clock sane, stores synced.
    pub permit: bool,
    /// All of this was read live after our last commit.
    pub fresh: bool,
}

/// When to look again if nothing changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wake {
    /// At once.
    Now,
    /// At this time.
    At(Time),
    /// Only if something changes.
    OnChange,
    /// After a pause that grows.
    Backoff,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Nothing now.
    Stay(Wake),
    /// Read everything live, and decide again.
    Look,
    /// Store this, and decide again.
    Commit(Status),
    /// Write the Grant.
    CreateGrant {
        /// When it ends.
        expires_at: Time,
    },
    /// Let the Grant end now.
    BringForward,
}

/// Counts the words about a request against what it froze.
pub fn count(request: &Request, words: &[Word], alias_keys: &[String]) -> Tally {
    let none: &[Stage] = &[];
    let frozen = request.status.frozen.as_ref();
    let matter = Matter {
        uid: &request.uid,
        created: request.created,
        requester: &request.requester,
        beneficiary: request.beneficiary.as_ref(),
        digest: frozen.map(|f| f.terms.digest),
        stages: frozen.map_or(none, |f| &f.terms.resolved.approval),
        alias_keys,
    };
    tally(&matter, words)
}

/// Decides. The order of the rules:
///
/// 1. What is over is over.
/// 2. `Revoking` ends when the ledger says that nothing is left; that there is no Grant counts only if it was read live
///    after `Revoking` was stored, since a paused leader may still write one (and its recheck then finds `Revoking`).
/// 3. `Activating` and `Active` follow their Grant to its end.
/// 4. They are stopped by a Deny or Revoke, by terms that no longer hold, or, without a Grant, by the deadline:
///    always through a stored `Revoking`. Terms are believed to have changed only when read live.
/// 5. `Activating` creates its Grant only on facts read live after it was stored: whatever was said before the commit is seen,
///    and the approvals are counted again.
/// 6. `AwaitingApproval` ends by changed terms, by a refusal, by the timeout, or by the last approval, in this order.
/// 7. `Pending` is accepted and frozen, or refused on live facts.
///
/// Without the permit nothing begins, nor while the target cannot be asked what would be granted: rules 5 to 7 wait. What is
/// unknown ends nothing either; words, ledger and deadline go on being heard.
pub fn decide(f: &Facts<'_>) -> Decision {
    match f.request.status.state {
        State::Over(..) => Decision::Stay(Wake::OnChange),
        State::Revoking(reason) => revoking(f, reason),
        State::Activating | State::Active => running(f),
        State::AwaitingApproval | State::Pending if !f.permit => Decision::Stay(Wake::OnChange),
        State::AwaitingApproval => awaiting(f),
        State::Pending => pending(f),
    }
}

fn revoking(f: &Facts<'_>, reason: Reason) -> Decision {
    match f.ledger {
        Ledger::Live { .. } => Decision::BringForward,
        Ledger::Over { .. } => over(f, reason),
        Ledger::None if f.fresh => over(f, reason),
        Ledger::None => Decision::Look,
    }
}

fn running(f: &Facts<'_>) -> Decision {
    let status = &f.request.status;
    if let Ledger::Over { drifted, .. } = f.ledger {
        return over(f, end_of_grant(f, drifted));
    }
    if let Some(reason) = count(f.request, f.words, f.alias_keys).stop {
        return to(f, State::Revoking(reason));
    }
    if let Some(reason) = terms_gone(f) {
        return if f.fresh { to(f, State::Revoking(reason)) } else { Decision::Look };
    }
    let due = status.expires_at.is_none_or(|t| f.now >= t);
    match (status.state, f.ledger) {
        (_, Ledger::Live { revoking: true, drifted, .. }) => to(f, State::Revoking(end_of_grant(f, drifted))),
        (State::Activating, Ledger::Live { active_since: Some(since), .. }) => {
            Decision::Commit(Status { state: State::Active, activated_at: Some(since), ..status.clone() })
        }
        (_, Ledger::Live { .. }) => rest(f, Wake::OnChange),
        (_, Ledger::None) if due => to(f, State::Revoking(Reason::DeadlinePassed)),
        // The ledger of an active request is gone: only a live look is believed.
        (State::Active, Ledger::None) if f.fresh => to(f, State::Revoking(Reason::Drifted)),
        (State::Active, Ledger::None) => Decision::Look,
        (_, Ledger::None) if !f.permit => Decision::Stay(status.expires_at.map_or(Wake::Now, Wake::At)),
        (_, Ledger::None) if !f.fresh => Decision::Look,
        (_, Ledger::None) if unknown(f) || f.words.iter().any(|w| may_stop(f, w)) => Decision::Stay(Wake::Backoff),
        (_, Ledger::None | Ledger::Over { .. }) => create(f),
    }
}

/// The last look before the Grant. That something stands in status is not enough: whoever got past the guard over status has
/// neither an approval to show nor a request that was made while the gate was closed, and no longer end than what was approved.
fn create(f: &Facts<'_>) -> Decision {
    let status = &f.request.status;
    let (Some(frozen), Some(expires_at)) = (&status.frozen, status.expires_at) else { return to(f, State::Revoking(Reason::NotApproved)) };
    let longest = f.now.plus_secs(frozen.terms.resolved.duration.secs() + CLOCKS_DIFFER_SECS);
    match f.request.gated {
        Saw::Open => return to(f, State::Revoking(Reason::GateOpen)),
        Saw::NotYet => return Decision::Stay(Wake::Backoff),
        Saw::Closed => {}
    }
    if count(f.request, f.words, f.alias_keys).approved() && expires_at <= longest {
        return Decision::CreateGrant { expires_at };
    }
    // An approval that nobody has proven yet may be the one that is missing.
    if f.words.iter().any(Word::is_unsettled) { Decision::Stay(Wake::Backoff) } else { to(f, State::Revoking(Reason::NotApproved)) }
}

/// Whether this word may still turn out to stop what is approved: said before it was, and not settled. What is said later ends
/// the grant when it is settled, and must not keep it from beginning: anybody can go on talking.
fn may_stop(f: &Facts<'_>, w: &Word) -> bool {
    let status = &f.request.status;
    let begun = status.expires_at.zip(status.frozen.as_ref()).map(|(end, frozen)| end.plus_secs(-frozen.terms.resolved.duration.secs()));
    w.verb != Verb::Approve && w.is_unsettled() && begun.is_none_or(|t| w.at <= t.plus_secs(1))
}

/// Whether what was approved still stands. An active grant is ended by other effects or a refusal; before it is active, by any other digest.
fn terms_gone(f: &Facts<'_>) -> Option<Reason> {
    let frozen = &f.request.status.frozen.as_ref()?.terms;
    // The Grant says whether it is active: its target has shown it. What stands in the request's status is only copied from there.
    let granted = matches!(f.ledger, Ledger::Live { active_since: Some(_), .. });
    match f.terms {
        Err(_) if unknown(f) => None,
        Err(refusal) => Some(refusal.reason),
        Ok(now) if !granted && now.digest != frozen.digest => Some(Reason::TemplateChanged),
        Ok(now) if now.effects != frozen.effects => Some(Reason::TemplateChanged),
        Ok(_) => None,
    }
}

/// Whether nobody can tell what would be granted.
fn unknown(f: &Facts<'_>) -> bool {
    matches!(f.terms, Err(r) if matches!(r.reason, Reason::TargetUnreachable | Reason::NotProvenYet))
}

/// When to look again: soon while it is not settled what a word counts.
fn rest(f: &Facts<'_>, otherwise: Wake) -> Decision {
    Decision::Stay(if f.words.iter().any(Word::is_unsettled) { Wake::Backoff } else { otherwise })
}

fn awaiting(f: &Facts<'_>) -> Decision {
    let status = &f.request.status;
    let Some(frozen) = &status.frozen else { return to(f, State::Over(Outcome::Invalid, Reason::TemplateChanged)) };
    if let Some(reason) = terms_gone(f) {
        return if f.fresh { over(f, reason) } else { Decision::Look };
    }
    let sum = count(f.request, f.words, f.alias_keys);
    if let Some(reason) = sum.stop {
        return over(f, reason);
    }
    if f.now >= frozen.approval_deadline {
        return over(f, Reason::ApprovalTimedOut);
    }
    if !sum.approved() {
        return rest(f, Wake::At(frozen.approval_deadline));
    }
    if unknown(f) {
        return Decision::Stay(Wake::Backoff);
    }
    let expires_at = f.now.plus_secs(frozen.terms.resolved.duration.secs()).floor_secs();
    Decision::Commit(Status { state: State::Activating, expires_at: Some(expires_at), ..status.clone() })
}

fn pending(f: &Facts<'_>) -> Decision {
    match f.terms {
        Err(_) if unknown(f) => Decision::Stay(Wake::Backoff),
        Err(refusal) if f.fresh => over(f, refusal.reason),
        Err(_) => Decision::Look,
        Ok(terms) => {
            let wait = terms.resolved.approval.iter().map(Stage::timeout_secs).sum::<i64>().max(60);
            let frozen = Frozen { terms: terms.clone(), approval_deadline: f.now.plus_secs(wait).floor_secs() };
            Decision::Commit(Status { state: State::AwaitingApproval, frozen: Some(frozen), ..Status::NEW })
        }
    }
}

/// Why a Grant ended that nobody here asked to end.
fn end_of_grant(f: &Facts<'_>, drifted: bool) -> Reason {
    let due = f.request.status.expires_at.is_none_or(|t| f.now >= t);
    if drifted || !due { Reason::Drifted } else { Reason::DeadlinePassed }
}

fn over(f: &Facts<'_>, reason: Reason) -> Decision {
    let status = &f.request.status;
    // Whatever it was to end by: nobody has proven that it ended.
    let reason = if matches!(f.ledger, Ledger::Over { abandoned: true, .. }) { Reason::Abandoned } else { reason };
    let since = match f.ledger {
        Ledger::Over { active_since, .. } | Ledger::Live { active_since, .. } => status.activated_at.or(active_since),
        Ledger::None => status.activated_at,
    };
    Decision::Commit(Status { state: State::Over(reason.outcome(since.is_some()), reason), activated_at: since, ..status.clone() })
}

fn to(f: &Facts<'_>, state: State) -> Decision {
    Decision::Commit(Status { state, ..f.request.status.clone() })
}
