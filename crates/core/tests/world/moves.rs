//! Every event that can happen next.
use super::{
    Binding, Content, Gr, Kind, Policies, Req, Role, Tick, UNTIL, World, decision_bits,
    invariants::{self, Broken},
    model::{Act, Cached, Change, Model, Past, Reply, Start},
    mutants::Mutant,
    parent::Extends,
};
use crate::checker::StateSpace;
use curfew_core::{reconcile::Verify, request::State};
use std::sync::Arc;

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Tick,
    Altered(u16),
    Edited(Policies),
    LeaseMoved,
    RequestDeleted,
    RequestCreated,
    ParentRevoked,
    ParentDeleted,
    GrantReviewed(u16),
    GrantDeleted(u8),
    BindingRemoved(u8),
    BindingWidened(u8),
    RoleChanged(Role),
    Crashed(usize),
    Started { replica: usize, task: u32 },
    Performed { replica: usize, task: u32, how: How },
}
/// How an effect ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Succeeds,
    /// It was not done.
    Failed,
    /// It was performed, and its answer was lost.
    AnswerLost,
}

const REQUEST: usize = 0;
const GRANT: usize = 1;

impl Model {
    pub fn clock(&self, w: &World, replica: usize) -> Tick {
        w.now.saturating_sub(self.setting.slow[replica])
    }

    fn all_moves(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        self.around(w, out);
        for replica in 0..self.setting.replicas {
            let idle = w.tasks[replica] == [0, 0];
            if w.budget.crashes > 0 && !idle {
                let mut n = *w;
                n.tasks[replica] = [0, 0];
                n.budget.crashes -= 1;
                out.push((Event::Crashed(replica), n));
            }
            for slot in [REQUEST, GRANT] {
                match w.tasks[replica][slot] {
                    0 => self.alter_grant(w, replica, slot, out),
                    task => self.goes_on(w, replica, slot, task, out),
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
        let lives = self.setting.kind == Kind::Lives;
        let late = if lives && w.requests[1].is_some() { decision_bits::LATE } else { 0 };
        for decision in [
            decision_bits::CAROL_APPROVES,
            decision_bits::ERIN_APPROVES,
            decision_bits::DAVE_DENIES,
            decision_bits::CAROL_REVOKES,
            decision_bits::ALICE_REVOKES,
        ] {
            if b.decisions & decision != 0 {
                push(Event::Altered(decision), &mut |n| {
                    n.decisions |= if late == 0 { decision_bits::made_at(decision, n.now) } else { decision << late };
                    n.budget.decisions &= !decision;
                    n.past = self.remember(n.past, Change::Decisions(n.decisions));
                });
            }
        }
        if let Some(parent) = w.requests[1].filter(|_| self.setting.kind == Kind::ParentAndChild) {
            // A person ends the parent, in time.
            let revoked = decision_bits::CAROL_REVOKES << decision_bits::LATE;
            if b.edits > 0 && w.now < UNTIL && w.decisions & revoked == 0 && !matches!(parent.state, State::Ended(..)) {
                push(Event::ParentRevoked, &mut |n| {
                    n.decisions |= revoked;
                    n.budget.edits -= 1;
                    n.past = self.remember(n.past, Change::Decisions(n.decisions));
                });
            }
            if b.creates > 0 {
                push(Event::ParentDeleted, &mut |n| {
                    n.requests[1] = None;
                    n.budget.creates -= 1;
                    n.past = self.remember(n.past, Change::ParentDeleted);
                });
            }
        }
        if self.setting.is_break_glass() {
            self.reviews(w, out);
        }
        let mut push = |e: Event, change: &mut dyn FnMut(&mut World)| {
            let mut n = *w;
            change(&mut n);
            out.push((e, n));
        };
        if self.setting.is_break_glass() && b.edits > 0 && w.policies == Policies::Plain {
            push(Event::Edited(Policies::NoBreakGlass), &mut |n| {
                n.policies = Policies::NoBreakGlass;
                n.budget.edits -= 1;
                n.past = self.remember(n.past, Change::Policies(Policies::NoBreakGlass));
            });
        } else if b.edits > 0 && lives && self.setting.extends && w.policies == Policies::Plain {
            // What it extends ends early, and not at its deadline.
            if w.now < UNTIL {
                push(Event::Edited(Policies::ParentEnded), &mut |n| {
                    n.policies = Policies::ParentEnded;
                    n.budget.edits -= 1;
                    n.past = self.remember(n.past, Change::Policies(Policies::ParentEnded));
                });
            }
        } else if b.edits > 0 && lives && !self.setting.is_break_glass() && w.policies == Policies::Plain {
            for policies in [Policies::OtherApprovers, Policies::Wider, Policies::Suspended, Policies::Unreachable] {
                push(Event::Edited(policies), &mut |n| {
                    n.policies = policies;
                    n.budget.edits -= 1;
                    n.past = self.remember(n.past, Change::Policies(policies));
                });
            }
        }
        if b.role_changes > 0 {
            let next: &[Role] = if w.role == Role::Missing { &[Role::Frozen, Role::Grown] } else { &[Role::Missing] };
            for &role in next {
                push(Event::RoleChanged(role), &mut |n| {
                    n.role = role;
                    n.budget.role_changes -= 1;
                    n.histories.iter_mut().for_each(|history| history.role_was_frozen |= role == Role::Frozen);
                });
            }
        }
        let named = if lives { w.request() } else { w.requests[0] };
        match named {
            Some(_) if b.deletes > 0 => push(Event::RequestDeleted, &mut |n| {
                n.requests = if lives { [None; 2] } else { [None, n.requests[1]] };
                n.budget.deletes -= 1;
            }),
            None if b.creates > 0 && lives => push(Event::RequestCreated, &mut |n| {
                n.requests[1] = Some(Req::new(1));
                n.budget.creates -= 1;
                n.past = self.remember(n.past, Change::Request(Req::new(1)));
            }),
            _ => {}
        }
        for (generation, l) in [(0, 0), (1, 1)] {
            if let Some(g) = w.grants[l].filter(|g| !g.deleting && b.grant_deletes > 0) {
                push(Event::GrantDeleted(generation), &mut |n| {
                    n.budget.grant_deletes -= 1;
                    self.store_grant(n, generation, Some(Gr { deleting: true, ..g }));
                });
            }
            if b.target_changes > 0 && w.bindings[l] != Binding::NONE {
                push(Event::BindingRemoved(generation), &mut |n| {
                    n.bindings[l] = Binding::NONE;
                    n.histories[l].removed |= n.grants[l].is_some_and(|g| g.was_active);
                    n.budget.target_changes -= 1;
                });
                if w.bindings[l].content == Content::Armed {
                    push(Event::BindingWidened(generation), &mut |n| {
                        n.bindings[l].put(Content::Widened);
                        n.budget.target_changes -= 1;
                    });
                }
            }
        }
    }

    /// Reviews of the first access: early, or once there was access; about its Grant, once its request is deleted.
    fn reviews(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        use decision_bits::{ALICE_REVIEWS, CAROL_REVIEWS, CAROL_REVIEWS_EARLY};
        for review in [CAROL_REVIEWS_EARLY, CAROL_REVIEWS, ALICE_REVIEWS] {
            let early = review == CAROL_REVIEWS_EARLY;
            let in_time = if early { w.grants[0].is_none() } else { w.histories[0].had_access };
            if w.budget.decisions & review != 0 && in_time && w.requests[0].is_some() {
                let mut n = World { decisions: w.decisions | review, ..*w };
                n.budget.decisions &= !review;
                n.past = self.remember(n.past, Change::Decisions(n.decisions));
                out.push((Event::Altered(review), n));
            }
            let about_grant = w.budget.grant_reviews > 0 && w.requests[0].is_none() && w.grants[0].is_some();
            if about_grant && !early {
                let mut n = *w;
                n.budget.grant_reviews -= 1;
                self.review_grant(&mut n, review);
                out.push((Event::GrantReviewed(review), n));
            }
        }
    }

    /// A replica starts a reconcile from what its caches may show.
    fn alter_grant(&mut self, w: &World, replica: usize, slot: usize, out: &mut Vec<(Event, World)>) {
        let (now, permit) = (self.clock(w, replica), w.has_permit(replica));
        let key = (w.past, u8::try_from(slot).expect("two slots"), now, permit);
        let tasks = match self.starts.get(&key) {
            Some(tasks) => tasks.clone(),
            None => {
                let starts = starts(self.pasts.get(w.past), slot, self.setting.kind);
                let mut tasks: Vec<u32> = starts.into_iter().map(|s| self.begin(s, now, permit)).filter(|m| *m != 0).collect();
                tasks.sort_unstable();
                tasks.dedup();
                let tasks = Arc::new(tasks);
                self.starts.insert(key, tasks.clone());
                tasks
            }
        };
        for &task in tasks.iter().filter(|m| !self.doomed(w, **m, now, permit)) {
            let mut n = *w;
            n.tasks[replica][slot] = task;
            invariants::requested(&mut n, self.act(task), &self.setting, now, permit);
            out.push((Event::Started { replica, task }, n));
        }
    }

    /// Whether this reconcile can only receive `Conflict` and end. Starting it has no effect.
    fn doomed(&self, w: &World, task: u32, now: Tick, permit: bool) -> bool {
        if matches!(self.setting.mutant, Mutant::RequestsWithoutSwap | Mutant::GrantsWithoutSwap) {
            return false;
        }
        let stale = match self.act(task) {
            Act::CommitRequest { was, .. } => w.requests[usize::from(was.generation)] != Some(was),
            Act::CommitGrant { was, .. } => w.grants[usize::from(self.generation(task))] != Some(was),
            _ => false,
        };
        let tasks = self.tasks.get(task);
        stale && {
            let (_, effect) = tasks.reconcile.clone().next(curfew_core::reconcile::Outcome::Conflict, super::time(now), permit);
            matches!(effect, curfew_core::reconcile::Effect::Done(_))
        }
    }

    /// A running reconcile receives the outcome and continues, or its effect fails.
    fn goes_on(&mut self, w: &World, replica: usize, slot: usize, task: u32, out: &mut Vec<(Event, World)>) {
        let act = self.act(task);
        for how in [How::Succeeds, How::Failed, How::AnswerLost] {
            if how != How::Succeeds && w.budget.faults == 0 {
                continue;
            }
            let mut n = *w;
            let reply = match how {
                How::Succeeds => self.perform(&mut n, replica, task),
                How::Failed if matches!(act, Act::ReadContent | Act::ReadContentLive) => {
                    Reply::Content(curfew_core::target::Content::Unknown)
                }
                How::Failed if act == Act::Observe => Reply::Observed(curfew_core::grant::Observation::Unknown),
                How::Failed => Reply::Failed,
                How::AnswerLost => {
                    self.perform(&mut n, replica, task);
                    if n == *w {
                        continue;
                    }
                    Reply::Failed
                }
            };
            if how != How::Succeeds {
                n.budget.faults -= 1;
            }
            let (now, permit) = (self.clock(w, replica), w.has_permit(replica));
            let next = self.next(task, reply, now, permit);
            n.tasks[replica][slot] = next;
            if next != 0 {
                invariants::requested(&mut n, self.act(next), &self.setting, now, permit);
            }
            out.push((Event::Performed { replica, task, how }, n));
        }
    }
}

/// Every combination of what the caches may show.
fn starts(past: &Past, slot: usize, kind: Kind) -> Vec<Start> {
    let mut all = Vec::new();
    if slot == GRANT {
        for (generation, grants) in [(0, &past.grants[0]), (1, &past.grants[1])] {
            for grant in grants.iter().flatten() {
                let verifies = [(false, false), (true, false), (false, true)];
                all.extend(verifies.map(|(owner, content)| Start::Grant { generation, grant: *grant, verify: Verify { owner, content } }));
            }
        }
        return all;
    }
    for &request in &past.requests {
        let is_over = matches!(request.state, State::Ended(..));
        let parents = parents(past, kind, request);
        for &grant in &past.grants[usize::from(request.generation)] {
            // What has ended is only looked at for a review.
            for &decisions in past.decisions.iter().filter(|decisions| !is_over || *decisions & decision_bits::REVIEWS != 0) {
                for &parent in &parents {
                    let cached = |policies| Start::Request(Cached { request: Some(request), decisions, policies, grant, parent });
                    all.extend(past.all_policies.iter().map(|&policies| cached(policies)));
                }
            }
        }
    }
    all
}

/// What the caches may show of what a request extends: its request and its Grant, each by itself.
fn parents(past: &Past, kind: Kind, request: Req) -> Vec<Option<Extends>> {
    if kind != Kind::ParentAndChild || request.generation == 1 {
        return vec![None];
    }
    let requests = past.requests.iter().filter(|r| r.generation == 1).map(|r| Some(*r)).chain(past.parent_deleted.then_some(None));
    requests.flat_map(|request| past.grants[1].iter().map(move |&grant| Some(Extends { request, grant }))).collect()
}

impl StateSpace for Model {
    type State = World;
    type Event = Event;
    type Broken = Broken;

    fn violation(&mut self, w: &World) -> Option<Broken> {
        let schedule = if self.setting.scheduled { invariants::violated_schedule(w) } else { None };
        let extension = if self.setting.extends { invariants::violated_extension(w, &self.setting) } else { None };
        schedule
            .or(extension)
            .or_else(|| invariants::violated(w))
            .or_else(|| self.slot_violation(w))
            .or_else(|| self.neglected(w))
            .or_else(|| self.settles(w))
    }
    fn successors(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        out.clear();
        self.all_moves(w, out);
    }
}
