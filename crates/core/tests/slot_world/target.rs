//! What the API server and the target do for each effect. One effect can have several outcomes: reads of a slot that has just
//! changed show either value, and a write is carried out at once or asynchronously.
use super::{
    Gr, NEVER, Running, StoredOperation, Tick, World, invariants,
    model::{Act, Model, Reply},
    mutants::Mutant,
};
use curfew_core::grant::{Observation, OperationKind, OwnerState, State};

type Outcomes = Vec<(World, Reply)>;

impl Model {
    pub fn clock(&self, w: &World, replica: usize) -> Tick {
        w.now.saturating_sub(self.setting.slow[replica])
    }

    /// Every outcome of the effect that this task waits for. None of them is a fault.
    pub fn perform(&self, w: &World, replica: usize, task: u32) -> Outcomes {
        let id = self.grant_of(task);
        let now = self.clock(w, replica);
        let Some(stored) = w.grants[usize::from(id)] else { return Vec::new() };
        let read = |reply| vec![(*w, reply)];
        let owner = if w.gone & 1 << id == 0 { OwnerState::Wanted } else { OwnerState::Gone };
        match self.act(task) {
            Act::ReadOwner => read(Reply::Owner(owner)),
            Act::ReadSlotOwners => read(Reply::SlotOwners(self.owners(w, id, now))),
            Act::Recheck => read(Reply::Rechecked(stored, owner, self.owners(w, id, now))),
            Act::BringForward(t) => {
                let g = Gr { expires: stored.expires.min(t), ..stored };
                vec![(self.with_grant(w, id, g), Reply::BroughtForward(g))]
            }
            Act::Observe { except } => {
                self.shown(w, id).into_iter().map(|filled| (*w, Reply::Observed(self.judge(id, filled, except)))).collect()
            }
            Act::Survey => self.shown(w, id).into_iter().map(|filled| (self.surveyed(w, id, filled), Reply::Filled(filled))).collect(),
            Act::CommitGrant { was, next } => vec![self.commit(w, id, now, stored, was, next)],
            Act::Poll { id } => self.poll(w, id, now),
            Act::Apply { until, except } => self.apply(w, id, now, until, except),
            Act::Revoke { keep, until } => self.revoke(w, id, now, keep, until),
        }
    }

    fn with_grant(&self, w: &World, id: u8, g: Gr) -> World {
        let mut n = *w;
        n.grants[usize::from(id)] = Some(g);
        n
    }

    /// A compare-and-swap of the status.
    fn commit(&self, w: &World, id: u8, now: Tick, stored: Gr, was: Gr, next: Gr) -> (World, Reply) {
        if stored != was {
            return (*w, Reply::Conflict);
        }
        let active = next.state == State::Active && stored.state == State::Granting;
        let over = stored.operation.is_some() && next.operation.is_none();
        let next =
            Gr { active_since: if active { Some(now) } else { stored.active_since }, revision: stored.revision + u8::from(over), ..next };
        let mut n = self.with_grant(w, id, next);
        invariants::grant_stored(&mut n, stored, next, self.setting.expiry);
        (n, Reply::Stored(next))
    }

    /// Every combination of values that a read may show, as bits of the plan.
    fn shown(&self, w: &World, id: u8) -> Vec<u8> {
        let mut all = vec![0];
        for (i, s) in self.plan(id).iter().enumerate() {
            let slot = w.slots[usize::from(*s)];
            let values: &[bool] =
                if slot.changed { &[true, false] } else { std::slice::from_ref(if slot.filled { &true } else { &false }) };
            all = all.iter().flat_map(|bits| values.iter().map(move |v| bits | u8::from(*v) << i)).collect();
        }
        all
    }

    fn judge(&self, id: u8, filled: u8, except: u8) -> Observation {
        let judged = ((1 << self.plan(id).len()) - 1) & !except;
        match filled & judged {
            f if f == judged => Observation::Present,
            0 => Observation::Absent,
            _ => Observation::Drifted,
        }
    }

    /// A person's access that a lagging read does not show cannot be told from one that is added later.
    fn surveyed(&self, w: &World, id: u8, filled: u8) -> World {
        let mut n = *w;
        for (i, s) in self.plan(id).iter().enumerate() {
            n.slots[usize::from(*s)].standing &= filled & 1 << i != 0;
        }
        n
    }

    /// The world's slots of a plan without these, as bits.
    fn targets(&self, id: u8, except: u8) -> u8 {
        let chosen = self.plan(id).iter().enumerate().filter(|(i, _)| except & 1 << i == 0);
        chosen.fold(0, |bits, (_, s)| bits | 1 << s)
    }

    fn apply(&self, w: &World, id: u8, now: Tick, until: Tick, except: u8) -> Outcomes {
        // The shell sends nothing after the time limit, by its own clock.
        if now >= until && self.setting.mutant != Mutant::WriteSentLate {
            return vec![(*w, Reply::Failed)];
        }
        let slots = self.targets(id, except);
        let mut accepted = *w;
        accepted.wrote |= 1 << id;
        let mut done = accepted;
        self.take_effect(&mut done, OperationKind::Apply, id, slots);
        let mut all = vec![(done, Reply::Done)];
        all.extend(self.start(&accepted, now, OperationKind::Apply, id, slots));
        all
    }

    /// A removal that finds nothing says so, even if an accepted write is still about to take effect.
    fn revoke(&self, w: &World, id: u8, now: Tick, keep: u8, until: Option<Tick>) -> Outcomes {
        if until.is_some_and(|until| now >= until) && self.setting.mutant != Mutant::RemovalSentLate {
            return vec![(*w, Reply::Failed)];
        }
        let slots = self.targets(id, keep);
        let of = |s: &usize| slots & 1 << s != 0;
        let filled = (0..w.slots.len()).filter(of).any(|s| w.slots[s].filled);
        let young = (0..w.slots.len()).filter(of).any(|s| w.slots[s].filled && w.slots[s].changed);
        let mut done = *w;
        self.take_effect(&mut done, OperationKind::Revoke, id, slots);
        let mut all = vec![(done, Reply::Gone)];
        if young {
            all.push((*w, Reply::Failed));
        }
        if filled {
            all.extend(self.start(w, now, OperationKind::Revoke, id, slots));
        }
        all
    }

    fn start(&self, w: &World, now: Tick, kind: OperationKind, grant: u8, slots: u8) -> Option<(World, Reply)> {
        let free = w.operations.iter().position(Option::is_none).filter(|_| w.budget.operations > 0)?;
        let mut n = *w;
        n.budget.operations -= 1;
        n.next_operation += 1;
        let id = n.next_operation;
        n.operations[free] = Some(Running { id, kind, grant, slots, due: w.now + self.setting.operation });
        Some((n, Reply::Started(StoredOperation { id, kind, poll_at: now })))
    }

    fn poll(&self, w: &World, id: u8, now: Tick) -> Outcomes {
        let running = w.operations.iter().flatten().any(|o| o.id == id);
        let mut all = vec![(*w, if running { Reply::Running(now + 1) } else { Reply::Succeeded })];
        if w.budget.faults > 0 {
            let mut n = *w;
            n.budget.faults -= 1;
            all.push((n, Reply::OperationFailed));
        }
        all
    }

    /// A write or a removal takes effect.
    pub fn take_effect(&self, w: &mut World, kind: OperationKind, grant: u8, slots: u8) {
        for s in (0..w.slots.len()).filter(|s| slots & 1 << s != 0) {
            match kind {
                OperationKind::Apply => {
                    let deadline = w.grants[usize::from(grant)].map_or(NEVER, |g| g.expires);
                    let slot = &mut w.slots[s];
                    if slot.filled {
                        slot.expires = slot.expires.max(deadline);
                    } else {
                        *slot = super::Slot { filled: true, changed: true, expires: deadline, by_curfew: true, standing: false };
                    }
                }
                OperationKind::Revoke if w.slots[s].filled => {
                    invariants::removed(self, w, grant, s);
                    w.slots[s] = super::Slot { changed: true, ..super::Slot::EMPTY };
                }
                OperationKind::Revoke => {}
            }
        }
    }
}
