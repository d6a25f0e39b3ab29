//! What the API server and the target do when a pass asks: the driver's I/O, one atomic act for each ask.
//!
//! A pause is nothing special here: between an ask and its act anything may happen, for any time.
use super::{
    Binding, Gr, Held, Req, World, invariants,
    model::{Act, Model, News, Reply, Sight},
    mutants::Mutant,
};
use curfew_core::grant::{Observation, State};

/// How many places are ever reserved in one world.
const PLACES: u8 = 4;

impl Model {
    /// What the stores would show if they were up to date.
    pub fn live(w: &World) -> Sight {
        let life = w.request.map_or(0, |r| r.life);
        Sight { request: w.request, words: w.words, house: w.house, grant: w.grants[usize::from(life)] }
    }

    /// Does what the pass of this replica asked for.
    pub fn perform(&mut self, w: &mut World, replica: usize, mind: u32) -> Reply {
        let life = self.life(mind);
        let l = usize::from(life);
        match self.act(mind) {
            Act::Refresh => Reply::Fresh(Self::live(w)),
            Act::CommitRequest { was, next } => self.commit_request(w, was, next),
            Act::CreateGrant { expires } => {
                // The name follows from the request's uid: who comes second finds it there.
                if w.grants[l].is_none() {
                    self.store_grant(w, life, Some(Gr::new(expires)));
                }
                Reply::Done
            }
            Act::BringForward(t) => match w.grants[l] {
                None => Reply::Conflict,
                Some(g) => {
                    // The CRD's rule lets the end move only earlier.
                    let g = Gr { expires: g.expires.min(t), ..g };
                    self.store_grant(w, life, Some(g));
                    if self.is_grant_pass(mind) { Reply::Forwarded(g) } else { Reply::Stored }
                }
            },
            Act::ReadBehind => Reply::Behind(w.behind(life)),
            Act::Recheck => Reply::Live(w.grants[l], w.behind(life)),
            Act::Observe => Reply::Seen(match w.bindings[l].held {
                Held::Nothing => Observation::Absent,
                Held::Reserved | Held::Widened => Observation::Drifted,
                Held::Armed => Observation::Present,
            }),
            Act::Reserve => {
                if w.bindings[l] == Binding::NONE {
                    // Replicas that begin anew on old stores could go on reserving for ever; a handful of places is enough.
                    if w.next_uid == PLACES {
                        return Reply::Failed;
                    }
                    w.next_uid += 1;
                    w.bindings[l] = Binding { uid: w.next_uid, held: Held::Reserved };
                }
                match w.bindings[l] {
                    Binding { held: Held::Widened, .. } => Reply::Conflict,
                    Binding { uid, held } => Reply::Reserved { uid, version: held as u8 },
                }
            }
            Act::Arm { uid, version } => self.arm(w, l, uid, version),
            Act::CommitGrant { was, next } => self.commit_grant(w, life, was, next),
            Act::Revoke if self.setting.mutant == Mutant::RevokeNeedsThePermit && usize::from(w.leader) != replica => Reply::Failed,
            Act::Revoke => {
                w.bindings[l] = Binding::NONE;
                Reply::Gone
            }
            Act::Release => {
                if w.grants[l].is_some_and(|g| g.deleting && g.over()) {
                    self.store_grant(w, life, None);
                }
                Reply::Done
            }
        }
    }

    /// A merge patch that names uid and resourceVersion of the reservation.
    fn arm(&self, w: &mut World, l: usize, uid: u8, version: u8) -> Reply {
        let b = &mut w.bindings[l];
        let same = b.uid == uid && b.held as u8 == version && *b != Binding::NONE;
        let (fits, creates) = match self.setting.mutant {
            Mutant::CommitThenPerform | Mutant::NoFence | Mutant::RecheckOnly => (true, true),
            Mutant::ArmNamesNoUid => (*b != Binding::NONE, false),
            Mutant::ArmCreates => (same, *b == Binding::NONE),
            _ => (same, false),
        };
        if *b == Binding::NONE && creates {
            w.next_uid = w.next_uid.saturating_add(1);
            *b = Binding { uid: w.next_uid, held: Held::Armed };
            Reply::Done
        } else if fits {
            b.held = b.held.max(Held::Armed);
            Reply::Done
        } else {
            Reply::Failed
        }
    }

    fn commit_request(&mut self, w: &mut World, was: Req, next: Req) -> Reply {
        let Some(now) = w.request.filter(|r| r.life == was.life) else { return Reply::Conflict };
        if now != was && self.setting.mutant != Mutant::RequestsWithoutSwap {
            return Reply::Conflict;
        }
        invariants::request_moves(w, now, next);
        w.request = Some(next);
        w.past = self.remember(w.past, News::Request(next));
        Reply::StoredRequest(next)
    }

    fn commit_grant(&mut self, w: &mut World, life: u8, was: Gr, next: Gr) -> Reply {
        let l = usize::from(life);
        let (Some(now), mutant) = (w.grants[l], self.setting.mutant) else { return Reply::Conflict };
        if now != was && mutant != Mutant::GrantsWithoutSwap {
            return Reply::Conflict;
        }
        // The status alone is written; spec and deletion stay as they are.
        let mut next = Gr { stage: next.stage, drifted: next.drifted, lived: now.lived || next.lived, ..now };
        if mutant == Mutant::CommitThenPerform && next.stage == State::Revoking && w.bindings[l] == Binding::NONE {
            next.stage = State::Ended;
        }
        invariants::grant_moves(w, life, now, next);
        self.store_grant(w, life, Some(next));
        Reply::StoredGrant(next)
    }

    pub fn store_grant(&mut self, w: &mut World, life: u8, g: Option<Gr>) {
        w.grants[usize::from(life)] = g;
        w.past = self.remember(w.past, News::Grant(life, g));
    }

    pub fn is_grant_pass(&self, mind: u32) -> bool {
        matches!(self.minds.get(mind).pass, curfew_core::reconcile::Reconcile::Grant(_))
    }
}
