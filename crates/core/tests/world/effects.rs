//! What the API server and the target do for each effect: the driver's I/O, one atomic act per effect.
//!
//! Pauses need no event of their own: between an effect and its execution anything may happen, for any time.
use super::{
    Binding, Content, Gr, Kind, Req, Role, World, invariants,
    model::{Act, Cached, Change, Model, Reply},
    mutants::Mutant,
    parent::Extends,
};
use curfew_core::{
    grant::{Observation, State},
    target::{self, SlotSet},
};

/// The only part of each plan.
const THE_ROLE: SlotSet = SlotSet::NONE.with(0);

/// How many reservations one world can have.
const PLACES: u8 = 4;

impl Model {
    /// What the caches show of this request, or of that which has its name now, if they are up to date.
    pub fn live(&self, w: &World, generation: u8) -> Cached {
        let request = if self.setting.kind == Kind::Lives { w.request() } else { w.requests[usize::from(generation)] };
        let generation = request.map_or(0, |r| r.generation);
        let is_child = self.setting.kind == Kind::ParentAndChild && generation == 0;
        Cached {
            request,
            decisions: w.decisions,
            policies: w.policies,
            grant: w.grants[usize::from(generation)],
            parent: is_child.then(|| Extends { request: w.requests[1], grant: w.grants[1] }),
        }
    }

    /// Performs the effect that this replica's reconcile waits for.
    pub fn perform(&mut self, w: &mut World, replica: usize, task: u32) -> Reply {
        let generation = self.generation(task);
        let l = usize::from(generation);
        match self.act(task) {
            Act::ReadLive => Reply::ReadLive(self.live(w, generation)),
            Act::CommitRequest { was, next } => self.commit_request(w, was, next),
            Act::CreateGrant { expires } => {
                // The name follows from the request's uid, so a second create finds the first object.
                if w.grants[l].is_none() {
                    invariants::grant_created(w, &self.setting, expires);
                    self.store_grant(w, generation, Some(Gr::new(expires)));
                }
                if self.setting.mutant != Mutant::ChildEndsItsParent {
                    self.touch_parent(w, expires);
                }
                Reply::Done
            }
            Act::BringForward(t) => match w.grants[l] {
                None => Reply::Conflict,
                Some(g) => {
                    // The CRD's rule lets the end move only earlier.
                    let g = Gr { expires: g.expires.min(t), ..g };
                    self.store_grant(w, generation, Some(g));
                    if self.setting.mutant == Mutant::ChildEndsItsParent {
                        self.touch_parent(w, t);
                    }
                    if self.is_grant_reconcile(task) { Reply::BroughtForward(g) } else { Reply::Stored }
                }
            },
            Act::ReadOwner => Reply::Owner(w.owner(generation)),
            Act::Recheck => Reply::Live(w.grants[l], w.owner(generation)),
            Act::Observe => Reply::Observed(match w.bindings[l].content {
                Content::Nothing => Observation::Absent,
                Content::Reserved | Content::Withheld => Observation::Disarmed { any: THE_ROLE, all: THE_ROLE },
                Content::Widened => Observation::Drifted,
                Content::Armed => Observation::Present,
            }),
            Act::ReadContent | Act::ReadContentLive => Reply::Content(match w.role {
                Role::Frozen => target::Content::Within { missing: SlotSet::NONE },
                Role::Missing => target::Content::Within { missing: THE_ROLE },
                Role::Grown => target::Content::Grown,
            }),
            Act::Withhold => {
                if w.bindings[l] != Binding::NONE {
                    w.bindings[l].put(Content::Withheld);
                    w.histories[l].role_was_frozen = w.role == Role::Frozen;
                }
                Reply::Done
            }
            Act::ReadWithheld => match w.bindings[l] {
                Binding { content: Content::Nothing | Content::Widened, .. } => Reply::Conflict,
                Binding { uid, version, .. } => Reply::Reserved { uid, version },
            },
            Act::Reserve => {
                if w.bindings[l] == Binding::NONE {
                    // Replicas that start from stale caches could reserve without end; this bounds the states.
                    if w.next_uid == PLACES {
                        return Reply::Failed;
                    }
                    w.next_uid += 1;
                    w.bindings[l] = Binding { uid: w.next_uid, ..Binding::RESERVED };
                }
                match w.bindings[l] {
                    Binding { content: Content::Widened, .. } => Reply::Conflict,
                    Binding { uid, version, .. } => Reply::Reserved { uid, version },
                }
            }
            Act::Arm { uid, version } => self.arm(w, l, uid, version),
            Act::CommitGrant { was, next } => self.commit_grant(w, generation, was, next),
            Act::Revoke if self.setting.mutant == Mutant::RevokeNeedsThePermit && !w.has_permit(replica) => Reply::Failed,
            Act::Revoke => {
                w.bindings[l] = Binding::NONE;
                Reply::Gone
            }
            Act::ListSlots => Reply::Slots(w.slot),
            Act::CreateSlot => self.create_slot(w, generation),
            Act::VerifySlot(slot) => Reply::Holds(self.holds(w, slot)),
            Act::DeleteSlot(slot) => self.delete_slot(w, slot),
            Act::ReleaseSlots => self.release_slot(w, generation),
            Act::RemoveFinalizer => {
                if w.grants[l].is_some_and(|g| g.deleting && g.is_terminal()) {
                    self.store_grant(w, generation, None);
                }
                Reply::Done
            }
        }
    }

    /// What a mutant makes of the Grant of the parent when that of its child is created, or ends.
    fn touch_parent(&mut self, w: &mut World, expires: super::Tick) {
        let Some(parent) = w.grants[1].filter(|_| self.setting.kind == Kind::ParentAndChild) else { return };
        let expires = match self.setting.mutant {
            Mutant::ExtensionMovesDeadline => expires,
            Mutant::ChildEndsItsParent => parent.expires.min(expires),
            Mutant::ParentEndsWithExtension => w.now,
            _ => return,
        };
        self.store_grant(w, 1, Some(Gr { expires, ..parent }));
    }

    /// A merge patch that names uid and resourceVersion of the reservation.
    fn arm(&self, w: &mut World, l: usize, uid: u8, version: u8) -> Reply {
        let role_was_frozen = w.histories[l].role_was_frozen || w.role == Role::Frozen;
        let b = &mut w.bindings[l];
        let same = b.uid == uid && b.version == version && *b != Binding::NONE;
        let (fits, creates) = match self.setting.mutant {
            Mutant::CommitThenPerform | Mutant::NoFence | Mutant::RecheckOnly => (true, true),
            Mutant::ArmNamesNoUid => (*b != Binding::NONE, false),
            Mutant::ArmCreates => (same, *b == Binding::NONE),
            _ => (same, false),
        };
        if *b == Binding::NONE && creates {
            w.next_uid = w.next_uid.saturating_add(1);
            *b = Binding { uid: w.next_uid, ..Binding::ARMED };
            Reply::Done
        } else if fits {
            if b.content == Content::Withheld && !role_was_frozen {
                w.broken = w.broken.or(Some(invariants::Broken::RestoredWithoutRole));
            }
            b.put(b.content.max(Content::Armed));
            w.histories[l].had_access |= self.setting.is_break_glass();
            Reply::Done
        } else {
            Reply::Failed
        }
    }

    fn commit_request(&mut self, w: &mut World, was: Req, next: Req) -> Reply {
        let l = usize::from(was.generation);
        let Some(now) = w.requests[l] else { return Reply::Conflict };
        if now != was && self.setting.mutant != Mutant::RequestsWithoutSwap {
            return Reply::Conflict;
        }
        invariants::request_moves(w, &self.setting, now, next);
        w.requests[l] = Some(next);
        w.past = self.remember(w.past, Change::Request(next));
        Reply::StoredRequest(next)
    }

    fn commit_grant(&mut self, w: &mut World, generation: u8, was: Gr, next: Gr) -> Reply {
        let l = usize::from(generation);
        let (Some(now), mutant) = (w.grants[l], self.setting.mutant) else { return Reply::Conflict };
        if now != was && mutant != Mutant::GrantsWithoutSwap {
            return Reply::Conflict;
        }
        // The status alone is written; spec and deletion stay as they are.
        let was_active = now.was_active || next.was_active;
        let mut next = Gr { state: next.state, drifted: next.drifted, was_active, withheld: next.withheld, outgrown: next.outgrown, ..now };
        if mutant == Mutant::CommitThenPerform && next.state == State::Revoking && w.bindings[l] == Binding::NONE {
            next.state = State::Ended;
        }
        invariants::grant_moves(w, generation, now, next);
        self.store_grant(w, generation, Some(next));
        Reply::StoredGrant(next)
    }

    pub fn store_grant(&mut self, w: &mut World, generation: u8, g: Option<Gr>) {
        w.grants[usize::from(generation)] = g;
        w.past = self.remember(w.past, Change::Grant(generation, g));
    }

    pub fn is_grant_reconcile(&self, task: u32) -> bool {
        matches!(self.tasks.get(task).reconcile, curfew_core::reconcile::Reconcile::Grant(_))
    }
}
