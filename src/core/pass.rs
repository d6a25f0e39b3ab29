//! The four steps around both machines (gather, decide, commit, perform), once, as a value that asks.
//!
//! A [`Pass`] is the shell without its I/O. It says what it needs next ([`Ask`]), and takes the [`Answer`] to go on. The
//! operator's driver answers with real reads and writes; the explorer in `tests/` answers with a world of stale stores,
//! crashes, pauses and clocks that differ. So what is checked is what runs.
use crate::{
    approval::Word,
    gate::Saw,
    grant::{self, Behind, Grant, Seen},
    request::{self, Ledger, Request, Status, Terms, Version, Wake},
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

/// What one replica knows about a request. From its stores, any part may be older than the others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// The request, if there is one.
    pub request: Option<Request>,
    /// The decisions about it.
    pub words: Arc<Vec<Word>>,
    /// What it would be if it were resolved now.
    pub terms: Arc<Result<Terms, Refusal>>,
    /// Its Grant.
    pub ledger: Ledger,
    /// Extra keys that name one person behind several logins.
    pub alias_keys: Arc<Vec<String>>,
}

/// A place held at the target: the uid and version of each object that was reserved, in the order of the plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reservation(pub Arc<Vec<(Arc<str>, Version)>>);

/// What a [`Pass`] needs next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// Request: read everything about it live.
    Refresh,
    /// Request: store this status if the request still has this version.
    CommitRequest(Request),
    /// Request: write the Grant. Needs the permit.
    CreateGrant {
        /// The request as it was committed.
        request: Request,
        /// When the Grant ends.
        expires_at: Time,
    },
    /// Either: let the Grant end at this time, if that is earlier.
    BringForward(Time),
    /// Grant: is the request there, live?
    ReadBehind,
    /// Grant: what does the target show?
    Observe,
    /// Grant: hold a place at the target without giving any access. Needs the permit.
    Reserve,
    /// Grant: read the Grant and its request live.
    Recheck,
    /// Grant: turn the reservation into the access, if it is still the very same. Needs the permit.
    Arm(Reservation),
    /// Grant: store this, if it still has this version.
    CommitGrant(Grant),
    /// Grant: take the access away, reservations included.
    Revoke,
    /// Grant: remove the finalizer of the deleted object.
    Release,
    /// Done; look again then.
    Done(Wake),
}

/// What came of an [`Ask`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// Begin.
    Start,
    /// To `Refresh`.
    Fresh(View),
    /// To a commit, with the new version; to `BringForward`, with the end that stands now.
    Stored(Version),
    /// To `BringForward` by a Grant's own pass: how it is stored now.
    Forwarded(Grant),
    /// To `ReadBehind`.
    Behind(Behind),
    /// To `Observe`.
    Seen(Seen),
    /// To `Reserve`.
    Reserved(Reservation),
    /// To `Reserve`: a stranger's object stands in the place.
    Occupied,
    /// To `Recheck`.
    Live(Option<Grant>, Behind),
    /// To `CreateGrant`, `Arm`, `Release`: it was done.
    Done,
    /// To `Revoke`: the target has shown that nothing is left.
    Gone,
    /// The object has changed since it was read; nothing was written.
    Conflict,
    /// It failed, or there is no telling.
    Failed,
}

/// A request or a Grant on its way through the four steps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Pass {
    /// Of a request.
    Request(RequestPass),
    /// Of a Grant.
    Grant(GrantPass),
}

/// A request on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestPass {
    view: View,
    fresh: bool,
    doing: Doing,
}

/// A Grant on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrantPass {
    grant: Grant,
    seen: Option<Seen>,
    behind: Behind,
    doubt: bool,
    abandoned: bool,
    doing: Doing,
}

/// What was asked last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Doing {
    Nothing,
    Reading,
    CommittingRequest(Status),
    CommittingGrant(Grant),
    Reserving,
    Rechecking(Reservation),
    Arming,
    Revoking,
    Tidying,
    Last,
}

impl Pass {
    /// Of a request, as this replica's stores show it.
    pub fn request(view: View) -> Self {
        Pass::Request(RequestPass { view, fresh: false, doing: Doing::Nothing })
    }
    /// Of a Grant. With `doubt`, its request is asked about first.
    pub fn grant(grant: Grant, doubt: bool) -> Self {
        Pass::Grant(GrantPass { grant, seen: None, behind: Behind::NotAsked, doubt, abandoned: false, doing: Doing::Nothing })
    }
    /// Of a Grant that a person has released without proof.
    pub fn abandoned(grant: Grant) -> Self {
        Pass::Grant(GrantPass { grant, seen: None, behind: Behind::NotAsked, doubt: false, abandoned: true, doing: Doing::Nothing })
    }
    /// One step. `now` and `permit` are read for each step, never remembered.
    #[must_use]
    pub fn next(self, answer: Answer, now: Time, permit: bool) -> (Pass, Ask) {
        match self {
            Pass::Request(p) => p.next(answer, now, permit),
            Pass::Grant(p) => p.next(answer, now, permit),
        }
    }
}

// === impl RequestPass ===

impl RequestPass {
    fn next(mut self, answer: Answer, now: Time, permit: bool) -> (Pass, Ask) {
        match (std::mem::replace(&mut self.doing, Doing::Nothing), answer) {
            (Doing::Nothing, Answer::Start) => self.think(now, permit),
            (Doing::Reading, Answer::Fresh(live)) => {
                // What we are about to rest on must be what we committed: another version is another decision's work.
                let version = |v: &View| v.request.as_ref().map(|r| (r.uid.clone(), r.version.clone()));
                if version(&live) != version(&self.view) {
                    return self.end(Wake::Now);
                }
                self.view = live;
                self.fresh = true;
                self.think(now, permit)
            }
            (Doing::CommittingRequest(status), Answer::Stored(version)) => {
                if let Some(r) = &mut self.view.request {
                    r.status = status;
                    r.version = version;
                }
                self.fresh = false;
                self.think(now, permit)
            }
            (Doing::Last, _) => self.end(Wake::Backoff),
            (_, Answer::Failed) => self.end(Wake::Backoff),
            (_, _) => self.end(Wake::Now),
        }
    }

    fn think(mut self, now: Time, permit: bool) -> (Pass, Ask) {
        use request::Decision;
        let Some(request) = self.view.request.clone() else { return self.end(Wake::OnChange) };
        let v = &self.view;
        let facts = request::Facts {
            now,
            request: &request,
            terms: &v.terms,
            words: &v.words,
            alias_keys: &v.alias_keys,
            ledger: v.ledger,
            permit,
            fresh: self.fresh,
        };
        let (doing, ask) = match request::decide(&facts) {
            Decision::Stay(wake) => return self.end(wake),
            Decision::Look => (Doing::Reading, Ask::Refresh),
            Decision::Commit(status) => (Doing::CommittingRequest(status.clone()), Ask::CommitRequest(Request { status, ..request })),
            Decision::CreateGrant { expires_at } => (Doing::Last, Ask::CreateGrant { request, expires_at }),
            Decision::BringForward => (Doing::Last, Ask::BringForward(now)),
        };
        self.doing = doing;
        (Pass::Request(self), ask)
    }

    fn end(self, wake: Wake) -> (Pass, Ask) {
        (Pass::Request(self), Ask::Done(wake))
    }
}

// === impl GrantPass ===

impl GrantPass {
    fn next(mut self, answer: Answer, now: Time, permit: bool) -> (Pass, Ask) {
        match (std::mem::replace(&mut self.doing, Doing::Nothing), answer) {
            (Doing::Nothing, Answer::Start) => self.think(now, permit),
            (Doing::Reading, Answer::Behind(behind)) => {
                self.behind = behind;
                self.think(now, permit)
            }
            (Doing::Reading, Answer::Seen(seen)) => {
                self.seen = Some(seen);
                self.think(now, permit)
            }
            (Doing::Reading, Answer::Forwarded(grant)) => {
                self.grant = grant;
                self.think(now, permit)
            }
            (Doing::CommittingGrant(next), Answer::Stored(version)) => {
                self.grant = Grant { version, ..next };
                self.think(now, permit)
            }
            (Doing::Reserving, Answer::Reserved(r)) => self.ask(Doing::Rechecking(r), Ask::Recheck),
            (Doing::Reserving, Answer::Occupied) => self.commit(grant::Stage::Revoking, false),
            (Doing::Rechecking(r), Answer::Live(live, behind)) => self.recheck(r, live, behind, now, permit),
            (Doing::Arming, Answer::Done) => {
                // The answer to our own write is the proof.
                self.seen = Some(Seen::Present);
                self.commit(grant::Stage::Active, false)
            }
            (Doing::Revoking, Answer::Gone) => {
                let drifted = self.grant.drifted;
                self.commit(grant::Stage::Ended, drifted)
            }
            // What could not be proven gone is stored as such, so that its age shows.
            (Doing::Revoking, _) if self.grant.stage == grant::Stage::Active => self.commit_and_rest(grant::Stage::Revoking),
            (Doing::Revoking, _) => self.end(Wake::Backoff),
            (Doing::Last, _) => self.end(Wake::Backoff),
            (_, Answer::Failed) => self.end(Wake::Backoff),
            (_, _) => self.end(Wake::Now),
        }
    }

    fn think(self, now: Time, permit: bool) -> (Pass, Ask) {
        use grant::Decision;
        let facts = grant::Facts {
            now,
            grant: &self.grant,
            seen: self.seen,
            behind: self.behind,
            doubt: self.doubt,
            permit,
            abandoned: self.abandoned,
        };
        match grant::decide(&facts) {
            Decision::Stay(wake) => self.end(wake),
            Decision::AskBehind => self.ask(Doing::Reading, Ask::ReadBehind),
            Decision::Observe => self.ask(Doing::Reading, Ask::Observe),
            Decision::BringForward => self.ask(Doing::Reading, Ask::BringForward(now)),
            Decision::Commit(stage) => {
                let drifted = self.grant.drifted;
                self.commit(stage, drifted)
            }
            Decision::CommitDrift => self.commit(grant::Stage::Revoking, true),
            Decision::Grant => self.ask(Doing::Reserving, Ask::Reserve),
            Decision::Revoke => self.ask(Doing::Revoking, Ask::Revoke),
            Decision::Release => self.ask(Doing::Last, Ask::Release),
        }
    }

    /// Between reserving and arming everything that may have changed is read live. A revoker deletes the reservation, so
    /// what changes after this look makes the arm fail at the target.
    fn recheck(mut self, r: Reservation, live: Option<Grant>, behind: Behind, now: Time, permit: bool) -> (Pass, Ask) {
        let Some(live) = live else { return self.ask(Doing::Tidying, Ask::Revoke) };
        self.grant = live;
        let granting = self.grant.stage == grant::Stage::Granting
            && !self.grant.deleting
            && now < self.grant.expires_at
            && self.grant.gated == Saw::Closed;
        match (self.grant.stage, behind) {
            (grant::Stage::Granting, Behind::Wanted) if granting && permit => self.ask(Doing::Arming, Ask::Arm(r)),
            (grant::Stage::Granting, Behind::Gone) => {
                self.behind = Behind::Gone;
                self.think(now, permit)
            }
            (grant::Stage::Ended | grant::Stage::Abandoned, _) => self.ask(Doing::Tidying, Ask::Revoke),
            (grant::Stage::Granting | grant::Stage::Active | grant::Stage::Revoking, _) => self.end(Wake::Now),
        }
    }

    fn commit(self, stage: grant::Stage, drifted: bool) -> (Pass, Ask) {
        let next = Grant { stage, drifted, ..self.grant.clone() };
        self.ask(Doing::CommittingGrant(next.clone()), Ask::CommitGrant(next))
    }

    fn commit_and_rest(self, stage: grant::Stage) -> (Pass, Ask) {
        let next = Grant { stage, ..self.grant.clone() };
        self.ask(Doing::Last, Ask::CommitGrant(next))
    }

    fn ask(mut self, doing: Doing, ask: Ask) -> (Pass, Ask) {
        self.doing = doing;
        (Pass::Grant(self), ask)
    }

    fn end(self, wake: Wake) -> (Pass, Ask) {
        (Pass::Grant(self), Ask::Done(wake))
    }
}
