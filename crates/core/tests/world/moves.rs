//! Everything that can happen next.
use super::{
    Binding, Gr, Held, House, Req, Tick, World, invariants,
    model::{Act, Model, News, Past, Reply, Sight, Start},
    mutants::Mutant,
    say,
};
use curfew_core::request::State;
use std::sync::Arc;

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Tick,
    Said(u8),
    Edited(House),
    LeaseMoved,
    RequestDeleted,
    RequestCreated,
    GrantDeleted(u8),
    BindingRemoved(u8),
    BindingWidened(u8),
    Crashed(usize),
    Began { replica: usize, mind: u32 },
    Did { replica: usize, mind: u32, how: How },
}
/// How an ask went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Well,
    /// It was not done.
    Failed,
    /// It was done, and nobody was told.
    Unheard,
}

const REQUEST: usize = 0;
const GRANT: usize = 1;

impl Model {
    pub fn clock(&self, w: &World, replica: usize) -> Tick {
        w.now.saturating_sub(self.setting.slow[replica])
    }

    pub fn successors(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        out.clear();
        self.around(w, out);
        for replica in 0..2 {
            let idle = w.minds[replica] == [0, 0];
            if w.budget.crashes > 0 && !idle {
                let mut n = *w;
                n.minds[replica] = [0, 0];
                n.budget.crashes -= 1;
                out.push((Event::Crashed(replica), n));
            }
            for slot in [REQUEST, GRANT] {
                match w.minds[replica][slot] {
                    0 => self.begins(w, replica, slot, out),
                    mind => self.goes_on(w, replica, slot, mind, out),
                }
            }
        }
    }

    /// What others do: time, people, the lease.
    fn around(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        let b = w.budget;
        let mut push = |e: Event, change: &mut dyn FnMut(&mut World)| {
            let mut n = *w;
            change(&mut n);
            out.push((e, n));
        };
        if w.now < self.setting.horizon {
            push(Event::Tick, &mut |n| n.now += 1);
        }
        if b.lease_moves > 0 {
            push(Event::LeaseMoved, &mut |n| {
                n.leader = 1 - n.leader;
                n.budget.lease_moves -= 1;
            });
        }
        let late = if w.request.is_some_and(|r| r.life == 1) { say::LATE } else { 0 };
        for word in [say::CAROL_APPROVES, say::DAVE_DENIES, say::CAROL_REVOKES, say::ALICE_REVOKES] {
            if b.words & word != 0 {
                push(Event::Said(word), &mut |n| {
                    n.words |= word << late;
                    n.budget.words &= !word;
                    n.past = self.remember(n.past, News::Words(n.words));
                });
            }
        }
        if b.edits > 0 && w.house == House::Plain {
            for house in [House::OtherApprovers, House::Wider, House::Suspended, House::Unreachable] {
                push(Event::Edited(house), &mut |n| {
                    n.house = house;
                    n.budget.edits -= 1;
                    n.past = self.remember(n.past, News::House(house));
                });
            }
        }
        match w.request {
            Some(_) if b.deletes > 0 => push(Event::RequestDeleted, &mut |n| {
                n.request = None;
                n.budget.deletes -= 1;
            }),
            None if b.creates > 0 => push(Event::RequestCreated, &mut |n| {
                n.request = Some(Req::new(1));
                n.budget.creates -= 1;
                n.past = self.remember(n.past, News::Request(Req::new(1)));
            }),
            _ => {}
        }
        for (life, l) in [(0, 0), (1, 1)] {
            if let Some(g) = w.grants[l].filter(|g| !g.deleting && b.grant_deletes > 0) {
                push(Event::GrantDeleted(life), &mut |n| {
                    n.budget.grant_deletes -= 1;
                    self.store_grant(n, life, Some(Gr { deleting: true, ..g }));
                });
            }
            if b.hands > 0 && w.bindings[l] != Binding::NONE {
                push(Event::BindingRemoved(life), &mut |n| {
                    n.bindings[l] = Binding::NONE;
                    n.budget.hands -= 1;
                });
                if w.bindings[l].held == Held::Armed {
                    push(Event::BindingWidened(life), &mut |n| {
                        n.bindings[l].held = Held::Widened;
                        n.budget.hands -= 1;
                    });
                }
            }
        }
    }

    /// A replica begins a pass from what its stores may show.
    fn begins(&mut self, w: &World, replica: usize, slot: usize, out: &mut Vec<(Event, World)>) {
        let (now, permit) = (self.clock(w, replica), usize::from(w.leader) == replica);
        let key = (w.past, u8::try_from(slot).expect("two slots"), now, permit);
        let minds = match self.starts.get(&key) {
            Some(minds) => minds.clone(),
            None => {
                let starts = starts(self.pasts.get(w.past), slot);
                let mut minds: Vec<u32> = starts.into_iter().map(|s| self.begin(s, now, permit)).filter(|m| *m != 0).collect();
                minds.sort_unstable();
                minds.dedup();
                let minds = Arc::new(minds);
                self.starts.insert(key, minds.clone());
                minds
            }
        };
        for &mind in minds.iter().filter(|m| !self.doomed(w, **m, now, permit)) {
            let mut n = *w;
            n.minds[replica][slot] = mind;
            invariants::asked(&mut n, self.act(mind), self.life(mind), now, permit);
            out.push((Event::Began { replica, mind }, n));
        }
    }

    /// Whether this pass can do nothing any more but hear `Conflict` and end, whatever happens. To begin it is to begin nothing.
    fn doomed(&self, w: &World, mind: u32, now: Tick, permit: bool) -> bool {
        if matches!(self.setting.mutant, Mutant::RequestsWithoutSwap | Mutant::GrantsWithoutSwap) {
            return false;
        }
        let stale = match self.act(mind) {
            Act::CommitRequest { was, .. } => w.request != Some(was),
            Act::CommitGrant { was, .. } => w.grants[usize::from(self.life(mind))] != Some(was),
            _ => false,
        };
        let minds = self.minds.get(mind);
        stale && {
            let (_, ask) = minds.pass.clone().next(curfew_core::reconcile::Outcome::Conflict, super::time(now), permit);
            matches!(ask, curfew_core::reconcile::Effect::Done(_))
        }
    }

    /// A running pass gets its answer and goes on; or something fails.
    fn goes_on(&mut self, w: &World, replica: usize, slot: usize, mind: u32, out: &mut Vec<(Event, World)>) {
        let act = self.act(mind);
        for how in [How::Well, How::Failed, How::Unheard] {
            if how != How::Well && w.budget.faults == 0 {
                continue;
            }
            let mut n = *w;
            let reply = match how {
                How::Well => self.perform(&mut n, replica, mind),
                How::Failed if act == Act::Observe => Reply::Seen(curfew_core::grant::Observation::Unknown),
                How::Failed => Reply::Failed,
                How::Unheard => {
                    self.perform(&mut n, replica, mind);
                    if n == *w {
                        continue;
                    }
                    Reply::Failed
                }
            };
            if how != How::Well {
                n.budget.faults -= 1;
            }
            let (now, permit) = (self.clock(w, replica), usize::from(w.leader) == replica);
            let next = self.next(mind, reply, now, permit);
            n.minds[replica][slot] = next;
            if next != 0 {
                invariants::asked(&mut n, self.act(next), self.life(next), now, permit);
            }
            out.push((Event::Did { replica, mind, how }, n));
        }
    }
}

/// Every combination of what the stores may show.
fn starts(past: &Past, slot: usize) -> Vec<Start> {
    let mut all = Vec::new();
    if slot == GRANT {
        for (life, grants) in [(0, &past.grants[0]), (1, &past.grants[1])] {
            for grant in grants.iter().flatten() {
                all.extend([false, true].map(|doubt| Start::Grant { life, grant: *grant, doubt }));
            }
        }
        return all;
    }
    for &request in past.requests.iter().filter(|r| !matches!(r.state, State::Ended(..))) {
        for &grant in &past.grants[usize::from(request.life)] {
            for &words in &past.words {
                all.extend(past.houses.iter().map(|&house| Start::Request(Sight { request: Some(request), words, house, grant })));
            }
        }
    }
    all
}
