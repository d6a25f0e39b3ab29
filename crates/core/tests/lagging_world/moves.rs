//! Every event that can happen next.
use super::{
    Gr, Work, World,
    invariants::{self, Broken},
    model::{Act, Model, Reply, Start},
    target::Outcomes,
};
use crate::checker::StateSpace;
use curfew_core::grant::Observation;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Tick,
    OperationCompleted(u8),
    OperationFailed(u8),
    LeaseMoved,
    RequestDeleted,
    Crashed(usize),
    Started {
        replica: usize,
        task: u32,
    },
    /// One call of an effect. Without a reply it goes on with the next call.
    Performed {
        replica: usize,
        task: u32,
        reply: Option<Reply>,
    },
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
        for replica in 0..w.replicas.len() {
            if w.replicas[replica].task == 0 {
                self.starts(w, replica, out);
                continue;
            }
            if w.budget.crashes > 0 {
                let mut n = *w;
                n.replicas[replica] = Work::default();
                n.budget.crashes -= 1;
                out.push((Event::Crashed(replica), n));
            }
            self.continues(w, replica, out);
        }
        for (_, n) in out {
            self.drop_hopeless(n);
        }
    }
}

impl Model {
    /// Time, operations of the target, the lease, and a request that is deleted.
    fn surroundings(&self, w: &World, out: &mut Vec<(Event, World)>) {
        if w.now < self.setting.horizon && w.operations.iter().flatten().all(|o| o.due > w.now) {
            let mut n = World { now: w.now + 1, ..*w };
            n.object.settle();
            out.push((Event::Tick, n));
        }
        for (i, o) in w.operations.iter().enumerate().filter_map(|(i, o)| o.map(|o| (i, o))) {
            out.extend(self.complete(w, i).map(|n| (Event::OperationCompleted(o.id), n)));
            if w.budget.faults > 0 {
                let mut n = World { failed: w.failed | 1 << o.id, ..*w };
                n.operations[i] = None;
                n.budget.faults -= 1;
                out.push((Event::OperationFailed(o.id), n));
            }
        }
        if w.budget.lease_moves > 0 {
            let mut n = World { leader: 1 - w.leader, ..*w };
            n.budget.lease_moves -= 1;
            out.push((Event::LeaseMoved, n));
        }
        if w.budget.deletes > 0 {
            let mut n = World { gone: true, ..*w };
            n.budget.deletes -= 1;
            out.push((Event::RequestDeleted, n));
        }
    }

    /// A compare-and-swap of a version that is not stored any more can only conflict, and then the run ends without an effect.
    fn drop_hopeless(&mut self, w: &mut World) {
        for replica in 0..w.replicas.len() {
            let task = w.replicas[replica].task;
            if task != 0
                && let Act::CommitGrant { was, .. } = self.act(task)
                && w.grant != was
            {
                let now = self.clock(w, replica);
                if self.next(task, Reply::Conflict, now, false) == 0 && self.next(task, Reply::Failed, now, false) == 0 {
                    w.replicas[replica] = Work::default();
                }
            }
        }
    }

    /// A run starts from the Grant as it is stored, or from a cache that shows it as it was created.
    fn starts(&mut self, w: &World, replica: usize, out: &mut Vec<(Event, World)>) {
        let (now, permit) = (self.clock(w, replica), usize::from(w.leader) == replica);
        let stale = self.setting.stale_caches || self.setting.mutant.starts_from_stale_caches();
        let created = Gr::new(self.setting.deadline);
        let versions = [w.grant, created];
        let versions = if stale && w.grant != created { &versions[..] } else { &versions[..1] };
        for &stored in versions.iter().filter(|g| !g.state.is_terminal()) {
            // While the request exists, reading it changes nothing.
            for &verify_owner in if w.gone { &[true, false][..] } else { &[false] } {
                let task = self.begin(Start { stored, verify_owner }, now, permit);
                if task != 0 {
                    let mut n = *w;
                    n.replicas[replica] = Work { task, ..Work::default() };
                    invariants::requested(&mut n, self.act(task), permit);
                    out.push((Event::Started { replica, task }, n));
                }
            }
        }
    }

    fn continues(&mut self, w: &World, replica: usize, out: &mut Vec<(Event, World)>) {
        let (now, permit, work) = (self.clock(w, replica), usize::from(w.leader) == replica, w.replicas[replica]);
        for (mut n, reply) in self.with_faults(w, replica) {
            n.replicas[replica].second_call = reply.is_none();
            if let Some(reply) = reply {
                let task = self.next(work.task, reply, now, permit);
                n.replicas[replica] = if task == 0 { Work::default() } else { Work { task, ..n.replicas[replica] } };
                if task != 0 {
                    invariants::requested(&mut n, self.act(task), permit);
                }
            }
            out.push((Event::Performed { replica, task: work.task, reply }, n));
        }
    }

    /// Every call may fail before it is sent, and the answer to one that was carried out may be lost.
    fn with_faults(&self, w: &World, replica: usize) -> Outcomes {
        let mut all = self.perform(w, replica);
        if w.budget.faults == 0 {
            return all;
        }
        let reads = matches!(self.act(w.replicas[replica].task), Act::Observe);
        let fault = if reads { Reply::Observed(Observation::Unknown) } else { Reply::Failed };
        let changed = all.iter().filter(|(n, reply)| n != w && reply.is_some() && !reads).map(|(n, _)| *n);
        let mut failed: Vec<World> = std::iter::once(*w).chain(changed).collect();
        failed.iter_mut().for_each(|n| n.budget.faults = n.budget.faults.saturating_sub(1));
        all.extend(failed.into_iter().map(|n| (n, Some(fault))));
        all
    }

    /// A trace in readable lines.
    pub fn describe(&self, trace: &[Event]) -> String {
        let line = |e: &Event| match e {
            Event::Started { replica, task } => format!("  {replica} starts: {:?}", self.act(*task)),
            Event::Performed { replica, task, reply: Some(reply) } => format!("  {replica} performs: {:?} -> {reply:?}", self.act(*task)),
            Event::Performed { replica, task, reply: None } => format!("  {replica} makes the first call of {:?}", self.act(*task)),
            other => format!("  {other:?}"),
        };
        trace.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
