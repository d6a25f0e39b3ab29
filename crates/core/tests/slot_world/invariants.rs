//! I1 to I5 in terms of the world: none of this asks the rules under test.
use super::{GRANTS, Gr, MUCH_LATER, Running, SLOTS, Slot, World, model::Act, model::Model, model::Start};
use curfew_core::grant::State;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// I1, I3: Curfew has filled a slot, and no live Grant with a stored intent stands for it. Since this holds in every state,
    /// it also covers I2 and I4: after `Ended`, nothing that was sent can fill the slot.
    AccessWithoutGrant,
    /// I5: access that a person had given before was removed.
    StandingRemoved,
    /// A removal for one Grant took the access of another.
    TakenFromAnother,
    /// An active Grant has no access, though no person and no expiry took it.
    ActiveWithoutAccess,
    /// A Grant ended as drifted though no person changed anything.
    FalseDrift,
    /// A terminal state was left.
    TerminalStateLeft,
    /// I8: a write without the permit.
    WrittenWithoutPermit,
    /// I3: with one replica and no permit, a Grant or its access does not end.
    NeverEnds,
}

/// A reconcile asks for an effect.
pub fn requested(w: &mut World, act: Act, permit: bool) {
    if matches!(act, Act::Apply { .. }) && !permit {
        w.broken = w.broken.or(Some(Broken::WrittenWithoutPermit));
    }
}

/// A Grant was stored.
pub fn grant_stored(w: &mut World, before: Gr, after: Gr, expiry: bool) {
    if before.state.is_terminal() && after.state != before.state {
        w.broken = w.broken.or(Some(Broken::TerminalStateLeft));
    }
    if after.drifted && !before.drifted && !w.disturbed && !expiry {
        w.broken = w.broken.or(Some(Broken::FalseDrift));
    }
}

/// Whether this Grant has written the slot or may do so.
fn stands_for(m: &Model, w: &World, grant: usize, slot: usize) -> bool {
    let index = m.setting.plans[grant].iter().position(|s| usize::from(*s) == slot);
    let intent = w.grants[grant].filter(|g| !g.state.is_terminal()).and_then(|g| g.intent);
    matches!((index, intent), (Some(i), Some((standing, _))) if standing & 1 << i == 0)
}

/// A filled slot is emptied for this Grant.
pub fn removed(m: &Model, w: &mut World, grant: u8, slot: usize) {
    let loses = |g: &usize| {
        let other = w.grants[*g];
        let has_access = other.is_some_and(|o| o.state == State::Active || o.state == State::Granting && w.wrote & 1 << g != 0);
        *g != usize::from(grant) && has_access && stands_for(m, w, *g, slot)
    };
    let broken = match () {
        () if w.slots[slot].standing => Some(Broken::StandingRemoved),
        () if (0..GRANTS).any(|g| loses(&g)) => Some(Broken::TakenFromAnother),
        () => None,
    };
    w.broken = w.broken.or(broken);
}

/// What a state of rest depends on: no reconcile runs, and nobody does anything any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    grants: [Option<Gr>; GRANTS],
    slots: [Slot; SLOTS],
    operations: [Option<Running>; 2],
}

impl Model {
    /// What must hold in every state.
    pub fn violated(&self, w: &World) -> Option<Broken> {
        let unowned = |s: &usize| w.slots[*s].filled && w.slots[*s].by_curfew && !(0..GRANTS).any(|g| stands_for(self, w, g, *s));
        let lost = |g: &usize| {
            let expired = |e| self.setting.expiry && w.now >= e;
            let active = w.grants[*g].is_some_and(|g| g.state == State::Active && !expired(g.expires));
            active && !w.disturbed && self.setting.plans[*g].iter().any(|s| !w.slots[usize::from(*s)].filled)
        };
        match () {
            () if w.broken.is_some() => w.broken,
            () if (0..SLOTS).any(|s| unowned(&s)) => Some(Broken::AccessWithoutGrant),
            () if (0..GRANTS).any(|g| lost(&g)) => Some(Broken::ActiveWithoutAccess),
            () => None,
        }
    }

    /// Whether everything ends from here if every process dies now and one returns without lease or admission proof.
    pub fn settles(&mut self, w: &World) -> Option<Broken> {
        let rest = Rest { grants: w.grants, slots: w.slots.map(|s| Slot { changed: false, ..s }), operations: w.operations };
        if let Some(known) = self.settled.get(&rest) {
            return *known;
        }
        let found = self.alone(w);
        self.settled.insert(rest, found);
        found
    }

    fn alone(&mut self, w: &World) -> Option<Broken> {
        let budget = super::Budget::default();
        let mut n = World { now: MUCH_LATER, tasks: [0; 2], leader: 2, budget, broken: None, disturbed: true, operations: [None; 2], ..*w };
        for o in w.operations.iter().flatten() {
            self.take_effect(&mut n, o.kind, o.grant, o.slots);
        }
        for _ in 0..24 {
            n.slots.iter_mut().for_each(|s| s.changed = false);
            for id in 0..3u8 {
                let Some(stored) = n.grants[usize::from(id)] else { continue };
                let now = self.clock(&n, 0);
                let owners = self.setting.mutant.remembers().then(|| self.owners(&n, id, now));
                let mut task = self.begin(Start { grant: id, stored, verify_owner: false, owners }, now, false);
                while task != 0 {
                    let (after, reply) = self.perform(&n, 0, task).swap_remove(0);
                    n = World { slots: after.slots.map(|s| Slot { changed: false, ..s }), ..after };
                    task = self.next(task, reply, now, false);
                }
            }
            if n.grants.iter().flatten().all(|g| g.state.is_terminal()) {
                return n.broken.or((0..SLOTS).any(|s| n.slots[s].by_curfew).then_some(Broken::NeverEnds));
            }
            n.now += 1;
        }
        Some(Broken::NeverEnds)
    }
}
