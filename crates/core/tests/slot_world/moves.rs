//! Every event that can happen next.
use super::{
    GRANTS, Gr, SLOTS, Slot, World,
    invariants::{self, Broken},
    model::{Act, Model, Reply, Start},
};
use crate::checker::StateSpace;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Tick,
    OperationCompleted(u8),
    LeaseMoved,
    RequestDeleted(u8),
    GrantCreated(u8),
    AccessAdded(u8),
    AccessRemoved(u8),
    Crashed(usize),
    Started { replica: usize, task: u32 },
    Performed { replica: usize, task: u32, reply: Reply },
}

impl StateSpace for Model {
    type State = World;
    type Event = Event;
    type Broken = Broken;

    fn violation(&mut self, w: &World) -> Option<Broken> {
        self.violated(w).or_else(|| self.settles(w))
    }

    fn successors(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        out.clear();
        self.surroundings(w, out);
        self.people(w, out);
        for replica in 0..self.setting.replicas {
            match w.tasks[replica] {
                0 => self.starts(w, replica, out),
                task => {
                    if w.budget.crashes > 0 {
                        let mut n = *w;
                        n.tasks[replica] = 0;
                        n.budget.crashes -= 1;
                        out.push((Event::Crashed(replica), n));
                    }
                    self.continues(w, replica, task, out);
                }
            }
        }
        for (_, n) in out {
            self.drop_hopeless(n);
        }
    }
}

impl Model {
    /// Time, operations of the target, the lease.
    fn surroundings(&self, w: &World, out: &mut Vec<(Event, World)>) {
        if w.now < self.setting.horizon && w.operations.iter().flatten().all(|o| o.due > w.now) {
            let mut n = World { now: w.now + 1, ..*w };
            for slot in &mut n.slots {
                slot.changed = false;
                if self.setting.expiry && slot.by_curfew && n.now >= slot.expires {
                    *slot = Slot { changed: true, ..Slot::EMPTY };
                }
            }
            out.push((Event::Tick, n));
        }
        for (i, o) in w.operations.iter().enumerate().filter_map(|(i, o)| o.map(|o| (i, o))) {
            let mut n = *w;
            n.operations[i] = None;
            self.take_effect(&mut n, o.kind, o.grant, o.slots);
            out.push((Event::OperationCompleted(o.id), n));
        }
        if w.budget.lease_moves > 0 {
            let mut n = World { leader: 1 - w.leader, ..*w };
            n.budget.lease_moves -= 1;
            out.push((Event::LeaseMoved, n));
        }
    }

    /// Requests that are deleted, Grants that are created, and access that a person adds or removes.
    fn people(&self, w: &World, out: &mut Vec<(Event, World)>) {
        for (id, g) in (0u8..).zip(w.grants) {
            let bit = 1 << id;
            let mut n = *w;
            if g.is_some() && w.budget.deletes & bit != 0 {
                n.budget.deletes &= !bit;
                n.gone |= bit;
                out.push((Event::RequestDeleted(id), n));
            } else if g.is_none() && w.budget.creates & bit != 0 && w.now < self.setting.deadlines[usize::from(id)] {
                n.budget.creates &= !bit;
                n.grants[usize::from(id)] = Some(Gr::new(self.setting.deadlines[usize::from(id)]));
                out.push((Event::GrantCreated(id), n));
            }
        }
        for (s, slot) in (0u8..).zip(w.slots) {
            let at = usize::from(s);
            let mut n = *w;
            if !slot.filled && w.budget.adds > 0 && !self.may_be_written(w, s) {
                n.budget.adds -= 1;
                n.slots[at] = Slot { changed: true, ..Slot::STANDING };
                out.push((Event::AccessAdded(s), n));
            } else if slot.filled && w.budget.removes > 0 {
                n.budget.removes -= 1;
                n.disturbed = true;
                n.slots[at] = Slot { changed: true, ..Slot::EMPTY };
                out.push((Event::AccessRemoved(s), n));
            }
        }
    }

    /// Whether a Grant has stored the intent to write the slot, or has read it to do so: what a person adds from then on cannot
    /// be told from the Grant's own write.
    fn may_be_written(&self, w: &World, slot: u8) -> bool {
        let fills = |g: usize| self.setting.plans[g].contains(&slot);
        let stored = (0..GRANTS).any(|g| fills(g) && w.grants[g].is_some_and(|g| !g.state.is_terminal() && g.intent.is_some()));
        let running = |task: u32| task != 0 && fills(usize::from(self.grant_of(task))) && !matches!(self.act(task), Act::Survey);
        stored || w.tasks.iter().any(|t| running(*t)) || w.operations.iter().flatten().any(|o| o.slots & 1 << slot != 0)
    }

    /// A compare-and-swap of a version that is not stored any more can only conflict, and then the run ends without an effect.
    fn drop_hopeless(&mut self, w: &mut World) {
        for replica in 0..self.setting.replicas {
            let task = w.tasks[replica];
            if task == 0 {
                continue;
            }
            if let Act::CommitGrant { was, .. } = self.act(task)
                && w.grants[usize::from(self.grant_of(task))] != Some(was)
            {
                let now = self.clock(w, replica);
                if self.next(task, Reply::Conflict, now, false) == 0 && self.next(task, Reply::Failed, now, false) == 0 {
                    w.tasks[replica] = 0;
                }
            }
        }
    }

    fn starts(&mut self, w: &World, replica: usize, out: &mut Vec<(Event, World)>) {
        let (now, permit) = (self.clock(w, replica), usize::from(w.leader) == replica);
        for id in 0..u8::try_from(GRANTS).expect("a few") {
            let Some(stored) = w.grants[usize::from(id)].filter(|g| !g.state.is_terminal()) else { continue };
            let owners = self.setting.mutant.remembers().then(|| self.owners(w, id, now));
            // While the request exists, reading it changes nothing.
            let verify_owner = w.gone & 1 << id != 0;
            for verify_owner in if verify_owner { &[true, false][..] } else { &[false] } {
                let start = Start { grant: id, stored, verify_owner: *verify_owner, owners };
                let task = self.begin(start, now, permit);
                if task != 0 {
                    let mut n = *w;
                    n.tasks[replica] = task;
                    invariants::requested(&mut n, self.act(task), permit);
                    out.push((Event::Started { replica, task }, n));
                }
            }
        }
    }

    fn continues(&mut self, w: &World, replica: usize, task: u32, out: &mut Vec<(Event, World)>) {
        let (now, permit) = (self.clock(w, replica), usize::from(w.leader) == replica);
        let mut outcomes = self.perform(w, replica, task);
        if w.budget.faults > 0 {
            // Every effect may fail before it is sent, and the answer to one that was carried out may be lost.
            let changed = outcomes.iter().filter(|(n, _)| n != w).map(|(n, _)| *n);
            let mut failed: Vec<World> = std::iter::once(*w).chain(changed).collect();
            failed.iter_mut().for_each(|n| n.budget.faults = n.budget.faults.saturating_sub(1));
            outcomes.extend(failed.into_iter().map(|n| (n, Reply::Failed)));
        }
        for (mut n, reply) in outcomes {
            let next = self.next(task, reply, now, permit);
            n.tasks[replica] = next;
            if next != 0 {
                invariants::requested(&mut n, self.act(next), permit);
            }
            out.push((Event::Performed { replica, task, reply }, n));
        }
    }
}

const _: () = assert!(SLOTS <= 8 && GRANTS <= 8, "sets of them are bits of a byte");
