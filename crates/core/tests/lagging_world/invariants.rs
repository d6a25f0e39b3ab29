//! I1 to I4 and I8 in terms of the world: none of this asks the rules under test.
use super::{
    Budget, Content, Gr, MUCH_LATER, Object, Running, Work, World,
    model::{Act, Model, Start},
};
use curfew_core::grant::State;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// I2, I4: the access is there, or on its way, and the Grant has ended.
    AccessAfterEnd,
    /// I4: the access was given after a removal had deleted what was reserved.
    ArmedAfterRevocation,
    /// I4: the end was stored because of a read that was older than the access.
    AbsenceFromOldRead,
    /// An active Grant has no access before its end.
    ActiveWithoutAccess,
    /// A Grant ended as drifted, and nothing was changed by others.
    FalseDrift,
    /// A terminal state was left.
    TerminalStateLeft,
    /// I8: a write without the permit.
    WrittenWithoutPermit,
    /// I3: with one replica and no permit, the Grant or its access does not end.
    NeverEnds,
}

/// The access is there, or the target is giving it.
pub fn has_access(w: &World) -> bool {
    w.object.content == Content::Given || w.is_being_given()
}

/// A reconcile asks for an effect.
pub fn requested(w: &mut World, act: Act, permit: bool) {
    if matches!(act, Act::Reserve | Act::Arm { .. }) && !permit {
        w.broken = w.broken.or(Some(Broken::WrittenWithoutPermit));
    }
}

/// The Grant was stored by this replica.
pub fn grant_stored(w: &mut World, replica: usize, before: Gr, after: Gr) {
    let ended = after.state == State::Ended;
    let broken = match () {
        () if before.state.is_terminal() && after.state != before.state => Some(Broken::TerminalStateLeft),
        () if after.drifted && !before.drifted => Some(Broken::FalseDrift),
        () if ended && w.replicas[replica].misled => Some(Broken::AbsenceFromOldRead),
        () => None,
    };
    w.broken = w.broken.or(broken);
}

/// The target has given the access.
pub fn given(w: &mut World) {
    if w.revoked {
        w.broken = w.broken.or(Some(Broken::ArmedAfterRevocation));
    }
}

/// What a state of rest depends on: no reconcile runs, and nobody does anything any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    grant: Gr,
    object: Object,
    operations: [Option<Running>; 2],
    failed: u8,
}

impl Model {
    /// What must hold in every state.
    pub fn violated(&self, w: &World) -> Option<Broken> {
        let without = w.grant.state == State::Active && w.now < w.grant.expires && w.object.content != Content::Given;
        match () {
            () if w.broken.is_some() => w.broken,
            () if w.grant.state.is_terminal() && has_access(w) => Some(Broken::AccessAfterEnd),
            () if without => Some(Broken::ActiveWithoutAccess),
            () => None,
        }
    }

    /// Whether everything ends from here if every process dies now and one returns without lease or admission proof.
    pub fn settles(&mut self, w: &World) -> Option<Broken> {
        let mut object = w.object;
        object.settle();
        let rest = Rest { grant: w.grant, object, operations: w.operations, failed: w.failed };
        if let Some(known) = self.settled.get(&rest) {
            return *known;
        }
        let found = self.alone(&World { object, ..*w });
        self.settled.insert(rest, found);
        found
    }

    /// Operations that were accepted go on, and end some time after the replica has begun.
    fn alone(&mut self, w: &World) -> Option<Broken> {
        const OPERATIONS_END: u8 = 3;
        let idle = [Work::default(); 2];
        let mut n = World { now: MUCH_LATER, replicas: idle, leader: 2, budget: Budget::default(), revoked: false, broken: None, ..*w };
        for round in 0..24 {
            for i in (0..n.operations.len()).filter(|_| round == OPERATIONS_END) {
                n = self.complete(&n, i).unwrap_or(n);
            }
            n.object.settle();
            n = self.one_run(n);
            if let Some(broken) = self.violated(&n) {
                return Some(broken);
            }
            if n.grant.state.is_terminal() && n.operations == [None; 2] {
                return None;
            }
            n.now += 1;
        }
        Some(Broken::NeverEnds)
    }

    /// One reconcile of replica 0, to its end. Its reads show what is there.
    fn one_run(&mut self, mut n: World) -> World {
        if n.grant.state.is_terminal() {
            return n;
        }
        let now = self.clock(&n, 0);
        n.replicas[0] = Work { task: self.begin(Start { stored: n.grant, verify_owner: false }, now, false), ..Work::default() };
        while n.replicas[0].task != 0 {
            let task = n.replicas[0].task;
            let (after, reply) = self.perform(&n, 0).swap_remove(0);
            n = after;
            n.object.settle();
            match reply {
                None => n.replicas[0].second_call = true,
                Some(reply) => n.replicas[0] = Work { task: self.next(task, reply, now, false), second_call: false, ..n.replicas[0] },
            }
        }
        n
    }
}
