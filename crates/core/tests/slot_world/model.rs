//! Conversion between the world's plain data and the library's types. Only this file runs `Reconcile::next`; results are
//! remembered.
use super::{
    GRANTS, Gr, StoredOperation, Tick, World,
    invariants::{Broken, Rest},
    moves::Event,
    mutants::{Altered, Memory, Mutant},
    tick, time,
};
use crate::checker::{Map, Pool};
use curfew_core::{
    admission::Provenance,
    grant::{Grant, Intent, Observation, Operation, OwnerState, SlotOwners, State},
    reconcile::{Effect, Outcome, Reconcile, Verify},
    resolved::Schema,
    slots::{self, OtherGrant},
    target::{Fence, Guarantees, SlotSet},
    time::Time,
};

/// A running reconcile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Task {
    pub grant: u8,
    /// The state of the Grant as this run has last read or stored it.
    pub state: State,
    pub reconcile: Reconcile,
    pub effect: Effect,
    /// Only for mutants that use it.
    pub memory: Option<Memory>,
}

/// An [`Effect`] as plain data. Slots are bits, by the plan's index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    BringForward(Tick),
    ReadOwner,
    Observe { except: u8 },
    Survey,
    ReadSlotOwners,
    Recheck,
    Apply { until: Tick, except: u8 },
    Poll { id: u8 },
    CommitGrant { was: Gr, next: Gr },
    Revoke { keep: u8, until: Option<Tick> },
}

/// An [`Outcome`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    BroughtForward(Gr),
    Owner(OwnerState),
    Observed(Observation),
    Filled(u8),
    SlotOwners(SlotOwners),
    Rechecked(Gr, OwnerState, SlotOwners),
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
    pub grant: u8,
    pub stored: Gr,
    pub verify_owner: bool,
    /// The other owners at this moment; only for mutants that use it.
    pub owners: Option<SlotOwners>,
}

/// What holds for a whole search.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// By how many ticks each replica's clock is behind.
    pub slow: [Tick; 2],
    pub write: Tick,
    pub settle: Tick,
    /// Ticks after which an accepted operation has taken effect at the latest.
    pub operation: Tick,
    /// Whether the target ends an access at the deadline that was written with it.
    pub expiry: bool,
    /// The world's slots that each Grant's plan fills.
    pub plans: [&'static [u8]; GRANTS],
    /// The deadlines of Grants that are created later.
    pub deadlines: [Tick; GRANTS],
    pub replicas: usize,
    pub horizon: Tick,
    pub mutant: Mutant,
}

pub struct Model {
    pub setting: Setting,
    pub tasks: Pool<Task>,
    acts: Vec<Act>,
    steps: Map<(u32, Reply, Tick, bool), u32>,
    firsts: Map<(Start, Tick, bool), u32>,
    pub settled: Map<Rest, Option<Broken>>,
    grants: Pool<Gr>,
    keys: [Vec<String>; GRANTS],
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
            keys: setting.plans.map(|plan| plan.iter().map(|s| format!("slot-{s}")).collect()),
        }
    }

    pub fn act(&self, task: u32) -> Act {
        self.acts[task as usize - 1]
    }
    pub fn grant_of(&self, task: u32) -> u8 {
        self.tasks.get(task).grant
    }
    pub fn plan(&self, grant: u8) -> &'static [u8] {
        self.setting.plans[usize::from(grant)]
    }

    /// What `slots::owners` says about the other Grants, as they are stored now.
    pub fn owners(&self, w: &World, grant: u8, now: Tick) -> SlotOwners {
        let others = (0..GRANTS).filter(|i| *i != usize::from(grant)).filter_map(|i| w.grants[i].map(|g| (i, g)));
        let others = others.map(|(i, g)| OtherGrant {
            slots: &self.keys[i],
            state: g.state,
            intent: intent(&g),
            removed_at: g.removed_at.map(time),
        });
        slots::owners(&self.keys[usize::from(grant)], others, u32::from(self.setting.settle), time(now))
    }

    /// Starts a reconcile. 0 if it has nothing to do.
    pub fn begin(&mut self, start: Start, now: Tick, permit: bool) -> u32 {
        if let Some(&task) = self.firsts.get(&(start, now, permit)) {
            return task;
        }
        let grant = self.setting.mutant.alter_grant(self.grant(start.grant, start.stored));
        let memory = start.owners.map(|owners| Memory { owners, skipped: None, owners_read: false });
        let (state, reconcile) = (grant.state, Reconcile::grant(grant, Verify { owner: start.verify_owner, content: false }));
        let task = self.run((start.grant, state, reconcile), Outcome::Start, memory, time(now), permit);
        self.firsts.insert((start, now, permit), task);
        task
    }

    /// Continues a reconcile. 0 if it is done.
    pub fn next(&mut self, task: u32, reply: Reply, now: Tick, permit: bool) -> u32 {
        if let Some(&next) = self.steps.get(&(task, reply, now, permit)) {
            return next;
        }
        let Task { grant, state, reconcile, effect, memory } = self.tasks.get(task).clone();
        let outcome = self.outcome(grant, reply);
        let outcome = self.setting.mutant.alter_outcome(&effect, outcome, state, memory.as_ref());
        let state = match reply {
            Reply::Stored(g) | Reply::BroughtForward(g) | Reply::Rechecked(g, ..) => g.state,
            _ => state,
        };
        let next = self.run((grant, state, reconcile), outcome, memory, time(now), permit);
        self.steps.insert((task, reply, now, permit), next);
        next
    }

    fn run(
        &mut self,
        (grant, state, reconcile): (u8, State, Reconcile),
        outcome: Outcome,
        mut memory: Option<Memory>,
        now: Time,
        permit: bool,
    ) -> u32 {
        let mutant = self.setting.mutant;
        let permit = permit || mutant == Mutant::PermitIgnored;
        let (mut reconcile, mut effect) = reconcile.next(outcome, now, permit);
        loop {
            match mutant.alter_effect(&effect, state, memory.as_mut(), now, permit, self.setting.settle) {
                Altered::Unchanged => break,
                Altered::Replaced(other) => {
                    effect = other;
                    break;
                }
                Altered::Skipped(outcome) => (reconcile, effect) = reconcile.next(outcome, now, permit),
            }
        }
        if matches!(effect, Effect::Done(_)) {
            return 0;
        }
        let act = self.plain(&effect);
        let task = self.tasks.number(Task { grant, state, reconcile, effect, memory });
        if task as usize > self.acts.len() {
            self.acts.push(act);
        }
        task
    }

    /// A trace in readable lines.
    pub fn describe(&self, trace: &[Event]) -> String {
        let line = |e: &Event| match e {
            Event::Started { replica, task } => format!("  {replica} starts Grant {}: {:?}", self.grant_of(*task), self.act(*task)),
            Event::Performed { replica, task, reply } => {
                format!("  {replica} performs for Grant {}: {:?} -> {reply:?}", self.grant_of(*task), self.act(*task))
            }
            other => format!("  {other:?}"),
        };
        trace.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

// === plain data to the library's types ===

fn set(bits: u8) -> SlotSet {
    (0..8).filter(|i| bits & 1 << i != 0).collect()
}
fn bits(set: SlotSet) -> u8 {
    set.iter().filter(|i| *i < 8).fold(0, |bits, i| bits | 1 << i)
}
fn intent(g: &Gr) -> Option<Intent> {
    g.intent.map(|(standing, until)| Intent { standing: set(standing), until: until.map(time) })
}
fn operation(o: StoredOperation) -> Operation {
    Operation { id: o.id.to_string().into(), kind: o.kind, poll_at: time(o.poll_at) }
}
fn stored_operation(o: &Operation) -> StoredOperation {
    StoredOperation { id: o.id.parse().expect("a number"), kind: o.kind, poll_at: tick(o.poll_at) }
}

impl Model {
    fn grant(&mut self, grant: u8, g: Gr) -> Grant {
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
            guarantees: Guarantees {
                fence: Fence::TimeLimit { write_secs: u32::from(self.setting.write) },
                settle_secs: u32::from(self.setting.settle),
                slots: u8::try_from(self.plan(grant).len()).expect("a few slots"),
            },
            active_since: g.active_since.map(time),
            intent: intent(&g),
            operation: g.operation.map(operation),
            removed_at: g.removed_at.map(time),
        }
    }

    fn outcome(&mut self, grant: u8, reply: Reply) -> Outcome {
        match reply {
            Reply::BroughtForward(g) => Outcome::BroughtForward(self.grant(grant, g)),
            Reply::Owner(owner) => Outcome::Owner(owner),
            Reply::Observed(observation) => Outcome::Observed(observation),
            Reply::Filled(bits) => Outcome::Filled(set(bits)),
            Reply::SlotOwners(owners) => Outcome::SlotOwners(owners),
            Reply::Rechecked(g, owner, owners) => Outcome::Rechecked(Some(self.grant(grant, g)), owner, owners),
            Reply::Stored(g) => Outcome::Stored(self.grant(grant, g).version),
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
            Effect::Observe { except } => Act::Observe { except: bits(*except) },
            Effect::Survey => Act::Survey,
            Effect::ReadSlotOwners => Act::ReadSlotOwners,
            Effect::Recheck => Act::Recheck,
            Effect::Apply { until, except } => Act::Apply { until: tick(*until), except: bits(*except) },
            Effect::Poll(o) => Act::Poll { id: stored_operation(o).id },
            Effect::CommitGrant(g) => {
                let was = *self.grants.get(g.version.parse().expect("a number"));
                let next = Gr {
                    state: g.state,
                    drifted: g.drifted,
                    intent: g.intent.map(|i| (bits(i.standing), i.until.map(tick))),
                    operation: g.operation.as_ref().map(stored_operation),
                    removed_at: g.removed_at.map(tick),
                    ..was
                };
                Act::CommitGrant { was, next }
            }
            Effect::Revoke { keep, until } => Act::Revoke { keep: bits(*keep), until: until.map(tick) },
            other => unreachable!("not an effect of a Grant with a time limit: {other:?}"),
        }
    }
}
