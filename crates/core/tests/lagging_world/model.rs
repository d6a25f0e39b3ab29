//! Conversion between the world's plain data and the library's types. Only this file runs `Reconcile::next`; results are
//! remembered.
use super::{
    Gr, StoredOperation, Target, Tick,
    invariants::{Broken, Rest},
    mutants::{Altered, Memory, Mutant},
    tick, time,
};
use crate::checker::{Map, Pool};
use curfew_core::{
    admission::Provenance,
    grant::{Grant, Observation, Operation, OwnerState, SlotOwners, State},
    reconcile::{Effect, Outcome, Reconcile, Reservation, Verify},
    resolved::Schema,
    target::{Content, Guarantees, SlotSet},
    time::Time,
};
use std::sync::Arc;

/// A running reconcile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Task {
    /// The state of the Grant as this run has last read or stored it.
    state: State,
    reconcile: Reconcile,
    effect: Effect,
    /// Only for mutants that use it.
    memory: Option<Memory>,
}

/// An [`Effect`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    BringForward(Tick),
    ReadOwner,
    Observe,
    Reserve,
    Recheck,
    Arm { uid: u8 },
    Poll { id: u8 },
    CommitGrant { was: Gr, next: Gr },
    Revoke,
}

/// An [`Outcome`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    BroughtForward(Gr),
    Owner(OwnerState),
    Observed(Observation),
    Reserved { uid: u8 },
    Rechecked(Gr, OwnerState),
    Stored(Gr),
    Done,
    Started(StoredOperation),
    Running(Tick),
    Succeeded,
    OperationFailed,
    Gone,
    Conflict,
    Failed,
}

/// What a reconcile starts from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Start {
    pub stored: Gr,
    pub verify_owner: bool,
}

/// What holds for a whole search.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub target: Target,
    /// By how many ticks each replica's clock is behind.
    pub slow: [Tick; 2],
    pub settle: Tick,
    /// When the Grant ends, if nothing ends it before.
    pub deadline: Tick,
    /// Ticks after which an accepted operation has taken effect at the latest.
    pub operation: Tick,
    /// Whether a run may also start from the Grant as it was created.
    pub stale_caches: bool,
    pub horizon: Tick,
    pub mutant: Mutant,
}

pub struct Model {
    pub setting: Setting,
    tasks: Pool<Task>,
    acts: Vec<Act>,
    steps: Map<(u32, Reply, Tick, bool), u32>,
    firsts: Map<(Start, Tick, bool), u32>,
    pub settled: Map<Rest, Option<Broken>>,
    grants: Pool<Gr>,
}

impl Model {
    pub fn new(setting: Setting) -> Self {
        Model {
            setting,
            tasks: Pool::new(),
            acts: Vec::new(),
            steps: Map::default(),
            firsts: Map::default(),
            settled: Map::default(),
            grants: Pool::new(),
        }
    }

    pub fn act(&self, task: u32) -> Act {
        self.acts[task as usize - 1]
    }

    /// Starts a reconcile. 0 if it has nothing to do.
    pub fn begin(&mut self, start: Start, now: Tick, permit: bool) -> u32 {
        if let Some(&task) = self.firsts.get(&(start, now, permit)) {
            return task;
        }
        let grant = self.setting.mutant.alter_grant(self.grant(start.stored));
        let memory = self.setting.mutant.remembers().then(|| Memory { grant: grant.clone(), failed: false });
        let (state, reconcile) = (grant.state, Reconcile::grant(grant, Verify { owner: start.verify_owner, content: false }));
        let task = self.run(state, reconcile, Outcome::Start, memory, time(now), permit);
        self.firsts.insert((start, now, permit), task);
        task
    }

    /// Continues a reconcile. 0 if it is done.
    pub fn next(&mut self, task: u32, reply: Reply, now: Tick, permit: bool) -> u32 {
        if let Some(&next) = self.steps.get(&(task, reply, now, permit)) {
            return next;
        }
        let Task { state, reconcile, effect, mut memory } = self.tasks.get(task).clone();
        if let Some(memory) = &mut memory {
            memory.failed |= reply == Reply::OperationFailed;
        }
        let outcome = self.outcome(reply);
        let outcome = self.setting.mutant.alter_outcome(&effect, outcome);
        let state = match reply {
            Reply::Stored(g) | Reply::BroughtForward(g) | Reply::Rechecked(g, _) => g.state,
            _ => state,
        };
        let next = self.run(state, reconcile, outcome, memory, time(now), permit);
        self.steps.insert((task, reply, now, permit), next);
        next
    }

    /// What the Grant gives is always what was frozen, so that its content is read changes nothing.
    fn run(&mut self, state: State, reconcile: Reconcile, outcome: Outcome, memory: Option<Memory>, now: Time, permit: bool) -> u32 {
        let mutant = self.setting.mutant;
        let permit = permit || mutant == Mutant::PermitIgnored;
        let (mut reconcile, mut effect) = reconcile.next(outcome, now, permit);
        loop {
            let skipped = match mutant.alter_effect(&effect, state, memory.as_ref()) {
                _ if effect == Effect::ReadContent => Outcome::Content(Content::Within { missing: SlotSet::NONE }),
                Altered::Unchanged => break,
                Altered::Replaced(other) => {
                    effect = other;
                    break;
                }
                Altered::Skipped(outcome) => outcome,
            };
            (reconcile, effect) = reconcile.next(skipped, now, permit);
        }
        if matches!(effect, Effect::Done(_)) {
            return 0;
        }
        let act = self.plain(&effect);
        let task = self.tasks.number(Task { state, reconcile, effect, memory });
        if task as usize > self.acts.len() {
            self.acts.push(act);
        }
        task
    }
}

// === plain data to the library's types ===

fn operation(o: StoredOperation) -> Operation {
    Operation { id: o.id.to_string().into(), kind: o.kind, poll_at: time(o.poll_at) }
}
fn stored_operation(o: &Operation) -> StoredOperation {
    StoredOperation { id: o.id.parse().expect("a number"), kind: o.kind, poll_at: tick(o.poll_at) }
}

impl Model {
    fn grant(&mut self, g: Gr) -> Grant {
        Grant {
            version: self.grants.number(g).to_string().into(),
            schema: Schema::Known,
            expires_at: time(g.expires),
            state: g.state,
            drifted: g.drifted,
            refused: false,
            outgrown: false,
            withheld: SlotSet::NONE,
            deleting: false,
            provenance: Provenance::Verified,
            guarantees: Guarantees { settle_secs: u32::from(self.setting.settle), ..Guarantees::OWN_OBJECTS },
            active_since: g.active_since.map(time),
            intent: None,
            operation: g.operation.map(operation),
            removed_at: g.removed_at.map(time),
        }
    }

    fn outcome(&mut self, reply: Reply) -> Outcome {
        match reply {
            Reply::BroughtForward(g) => Outcome::BroughtForward(self.grant(g)),
            Reply::Owner(owner) => Outcome::Owner(owner),
            Reply::Observed(observation) => Outcome::Observed(observation),
            Reply::Reserved { uid } => Outcome::Reserved(Reservation(Arc::new(vec![Some((uid.to_string().into(), "".into()))]))),
            Reply::Rechecked(g, owner) => Outcome::Rechecked(Some(self.grant(g)), owner, SlotOwners::FREE),
            Reply::Stored(g) => Outcome::Stored(self.grant(g).version),
            Reply::Done => Outcome::Done,
            Reply::Started(o) => Outcome::Started(operation(o)),
            Reply::Running(at) => Outcome::Running(time(at)),
            Reply::Succeeded => Outcome::Succeeded,
            Reply::OperationFailed => Outcome::OperationFailed,
            Reply::Gone => Outcome::Gone,
            Reply::Conflict => Outcome::Conflict,
            Reply::Failed => Outcome::Failed,
        }
    }

    fn plain(&self, effect: &Effect) -> Act {
        match effect {
            Effect::BringForward(t) => Act::BringForward(tick(*t)),
            Effect::ReadOwner => Act::ReadOwner,
            Effect::Observe { .. } => Act::Observe,
            Effect::Reserve => Act::Reserve,
            Effect::Recheck => Act::Recheck,
            Effect::Arm(Reservation(places)) => {
                let uid = places.iter().flatten().next().map_or(0, |(uid, _)| uid.parse().expect("a number"));
                Act::Arm { uid }
            }
            Effect::Poll(o) => Act::Poll { id: stored_operation(o).id },
            Effect::CommitGrant(g) => {
                let was = *self.grants.get(g.version.parse().expect("a number"));
                let next = Gr {
                    state: g.state,
                    drifted: g.drifted,
                    operation: g.operation.as_ref().map(stored_operation),
                    removed_at: g.removed_at.map(tick),
                    ..was
                };
                Act::CommitGrant { was, next }
            }
            Effect::Revoke { .. } => Act::Revoke,
            other => unreachable!("not an effect of a Grant behind a reservation: {other:?}"),
        }
    }
}
