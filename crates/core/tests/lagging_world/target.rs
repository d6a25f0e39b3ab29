//! What the API server and the target do for each effect. One effect can have several outcomes: reads show any recent content, and
//! writes are carried out at once or asynchronously.
use super::{
    Content, Gr, Running, StoredOperation, Target, Tick, World, invariants,
    model::{Act, Model, Reply},
};
use curfew_core::grant::{Observation, OperationKind, OwnerState, State};

/// What an effect, or one call of it, may lead to. Without a reply the effect goes on with its next call. The first outcome is the
/// one of a target whose reads show what is there.
pub type Outcomes = Vec<(World, Option<Reply>)>;

/// How many objects one world can have. Replicas that start from a stale cache could reserve without end; this bounds the states.
const OBJECTS: u8 = 4;

impl Model {
    pub fn clock(&self, w: &World, replica: usize) -> Tick {
        w.now.saturating_sub(self.setting.slow[replica])
    }

    /// Every outcome of the call that this replica's task makes next. None of them is a fault.
    pub fn perform(&self, w: &World, replica: usize) -> Outcomes {
        let now = self.clock(w, replica);
        let owner = if w.gone { OwnerState::Gone } else { OwnerState::Wanted };
        let only = |reply| vec![(*w, Some(reply))];
        let second = w.replicas[replica].second_call;
        match (self.act(w.replicas[replica].task), self.setting.target) {
            (Act::ReadOwner, _) => only(Reply::Owner(owner)),
            (Act::Recheck, _) => only(Reply::Rechecked(w.grant, owner)),
            (Act::BringForward(t), _) => {
                let g = Gr { expires: w.grant.expires.min(t), ..w.grant };
                vec![(World { grant: g, ..*w }, Some(Reply::BroughtForward(g)))]
            }
            (Act::Observe, _) => self.observe(w, replica),
            (Act::CommitGrant { was, next }, _) => vec![self.commit(w, replica, was, next)],
            (Act::Poll { id }, _) => self.poll(w, id, now),
            (Act::Reserve, Target::Iam) => self.create_policy(w),
            (Act::Arm { uid }, Target::Iam) => {
                if second {
                    self.attach(w)
                } else {
                    self.read_policy(w, uid)
                }
            }
            (Act::Revoke, Target::Iam) => {
                if second {
                    self.delete_policy(w)
                } else {
                    self.detach(w)
                }
            }
            (Act::Reserve, Target::Center) => self.create_set(w),
            (Act::Arm { uid }, Target::Center) => {
                if second {
                    self.assign(w, uid, now)
                } else {
                    self.read_set(w, uid)
                }
            }
            (Act::Revoke, Target::Center) => {
                if second {
                    self.delete_set(w)
                } else {
                    self.unassign(w, now)
                }
            }
        }
    }

    /// A compare-and-swap of the status.
    fn commit(&self, w: &World, replica: usize, was: Gr, next: Gr) -> (World, Option<Reply>) {
        if w.grant != was {
            return (*w, Some(Reply::Conflict));
        }
        let active = next.state == State::Active && was.state == State::Granting;
        let over = was.operation.is_some() && next.operation.is_none();
        let next = Gr {
            active_since: if active { Some(self.clock(w, replica)) } else { was.active_since },
            revision: was.revision + u8::from(over),
            ..next
        };
        let mut n = World { grant: next, ..*w };
        invariants::grant_stored(&mut n, replica, was, next);
        (n, Some(Reply::Stored(next)))
    }

    /// Each content that a read may show, that which is there first.
    fn shown(&self, w: &World) -> Vec<Content> {
        let mut all = vec![w.object.content];
        let others = [Content::Nothing, Content::Reserved, Content::Given].into_iter();
        all.extend(others.filter(|c| *c != w.object.content && w.object.may_show(*c)));
        all
    }

    /// An object that gives nothing is less than what was granted.
    fn observe(&self, w: &World, replica: usize) -> Outcomes {
        let judged = self.shown(w).into_iter().map(|content| match content {
            Content::Nothing => Observation::Absent,
            Content::Reserved => Observation::Drifted,
            Content::Given => Observation::Present,
        });
        let seen = |observation| {
            let mut n = *w;
            n.replicas[replica].misled = observation == Observation::Absent && invariants::has_access(w);
            (n, Some(Reply::Observed(observation)))
        };
        judged.map(seen).collect()
    }

    /// A new object, if there is none.
    pub fn create(&self, w: &World) -> (World, Option<Reply>) {
        if w.next_uid == OBJECTS {
            return (*w, Some(Reply::Failed));
        }
        let mut n = World { next_uid: w.next_uid + 1, ..*w };
        n.object.put(n.next_uid, Content::Reserved);
        (n, Some(Reply::Reserved { uid: n.next_uid }))
    }

    /// The access is given, at once or by an operation that ends.
    pub fn give(&self, w: &mut World, uid: u8) {
        w.object.put(uid, Content::Given);
        invariants::given(w);
    }

    pub fn delete(&self, w: &World) -> World {
        let mut n = World { revoked: true, ..*w };
        n.object.put(0, Content::Nothing);
        n
    }

    /// The target has accepted a write and works on it.
    pub fn start(&self, w: &World, now: Tick, kind: OperationKind, uid: u8) -> Option<(World, Option<Reply>)> {
        let free = w.operations.iter().position(Option::is_none).filter(|_| w.budget.operations > 0)?;
        let mut n = *w;
        n.budget.operations -= 1;
        n.next_operation += 1;
        let id = n.next_operation;
        n.operations[free] = Some(Running { id, kind, uid, due: w.now + self.setting.operation });
        Some((n, Some(Reply::Started(StoredOperation { id, kind, poll_at: now }))))
    }

    /// With a fault, the target does not know the operation any more.
    fn poll(&self, w: &World, id: u8, now: Tick) -> Outcomes {
        let running = w.operations.iter().flatten().any(|o| o.id == id);
        let answer = match () {
            () if running => Reply::Running(now + 1),
            () if w.failed & 1 << id != 0 => Reply::OperationFailed,
            () => Reply::Succeeded,
        };
        let mut all = vec![(*w, Some(answer))];
        if w.budget.faults > 0 {
            let mut n = *w;
            n.budget.faults -= 1;
            all.push((n, Some(Reply::OperationFailed)));
        }
        all
    }

    /// An operation ends: it takes effect on its object, if that is still there.
    pub fn complete(&self, w: &World, index: usize) -> Option<World> {
        let o = w.operations[index]?;
        let mut n = *w;
        n.operations[index] = None;
        let orphaned = self.setting.mutant.lets_orphans_finish() && w.object.content == Content::Nothing;
        match o.kind {
            OperationKind::Apply if w.object.uid == o.uid || orphaned => self.give(&mut n, o.uid),
            OperationKind::Revoke if w.object.uid == o.uid && w.object.content == Content::Given => {
                n.object.put(o.uid, Content::Reserved);
            }
            OperationKind::Apply | OperationKind::Revoke => n.failed |= 1 << o.id,
        }
        Some(n)
    }
}
