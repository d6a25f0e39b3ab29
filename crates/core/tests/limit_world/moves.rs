//! Every event that can happen next, what the API server does for each effect, and what must hold.
use super::{
    BOTH, Extends, Gr, Mutant, NAMES, OF_HOLDER, REQUESTS, Req, SlotObject, World,
    model::{Act, Model, Reply, grant_view},
};
use crate::checker::StateSpace;
use curfew_core::{
    approval::review::ReviewState,
    request::{State, holds_for_extension, holds_slot},
};

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// More requests than the limit have access.
    MoreThanTheLimit,
    /// A person has used break-glass again before another one has reviewed it.
    NotReviewed,
    /// Two extensions of one request have access.
    TwoExtensions,
    /// Nobody has access or waits for it, and a new request would be told that the limit is reached.
    NeverFree,
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    LeaseMoved,
    Denied(usize),
    Reviewed(usize),
    OwnReview(usize),
    RequestDeleted(usize),
    SlotDeleted(usize),
    Granted(usize),
    RevocationBegun(usize),
    GrantEnded(usize),
    Crashed(usize),
    Started { replica: usize, request: usize, act: Act },
    Performed { replica: usize, request: usize, act: Act, reply: Reply },
}

impl Model {
    /// Performs an effect of a request's reconcile.
    fn perform(&mut self, w: &mut World, i: usize, act: Act) -> Reply {
        let by_name = self.setting.mutant == Mutant::DeletedByName;
        let number = u8::try_from(i).expect("a few requests");
        match act {
            Act::ReadLive => Reply::Refreshed(Model::cached(w, i)),
            Act::Commit { was, next } if w.requests[i] == Some(was) => {
                w.requests[i] = Some(next);
                Reply::Stored(next)
            }
            Act::Commit { .. } => Reply::Conflict,
            Act::CreateGrant => {
                if w.grants[i] == Gr::None {
                    w.grants[i] = Gr::Granting;
                }
                Reply::Done
            }
            Act::BringForward => {
                w.grants[i] = match w.grants[i] {
                    Gr::Granting => Gr::Ended,
                    Gr::Active => Gr::Revoking,
                    other => other,
                };
                Reply::Done
            }
            Act::ListSlots if self.setting.mutant == Mutant::NotRechecked && has_begun(w, i) => Reply::Slots(self.as_stored(w, i)),
            Act::ListSlots => Reply::Slots(w.slots),
            Act::CreateSlot(name) => {
                let slot = &mut w.slots[usize::from(name)];
                if slot.is_some() && self.setting.mutant != Mutant::SlotsOverwritten {
                    return Reply::Occupied;
                }
                *slot = Some(SlotObject { holder: number, uid: w.next_uid, from: None });
                w.next_uid = w.next_uid.saturating_add(1);
                Reply::Done
            }
            Act::TakeOver { name, object } => {
                let slot = &mut w.slots[usize::from(name)];
                let blindly = self.setting.mutant == Mutant::TakenOverBlindly;
                if slot.is_none() || (*slot != Some(object) && !blindly) {
                    return Reply::Occupied;
                }
                *slot = Some(SlotObject { holder: number, from: Some(0), ..object });
                Reply::Done
            }
            Act::VerifySlot { name, object } => Reply::Holds(self.holds(w, name, object)),
            Act::DeleteSlot { name, object } => {
                let slot = &mut w.slots[usize::from(name)];
                let by_uid = self.setting.mutant == Mutant::DeletedThoughTakenOver && slot.is_some_and(|slot| slot.uid == object.uid);
                if by_name || by_uid || *slot == Some(object) {
                    *slot = None;
                }
                Reply::Done
            }
            Act::ReleaseSlots => {
                let keeps = self.setting.mutant == Mutant::NeverReleased;
                for name in 0..NAMES {
                    let own = w.slots[name].filter(|object| object.holder == number && !keeps);
                    let at = u8::try_from(name).expect("a few slots");
                    if own.is_some_and(|object| !self.holds(w, at, object)) {
                        w.slots[name] = None;
                    }
                }
                Reply::Done
            }
        }
    }

    /// The slots that the status of a request names, as if they were there.
    fn as_stored(&self, w: &World, i: usize) -> [Option<SlotObject>; NAMES] {
        let stored = w.requests[i].map_or(0, |r| r.slots);
        let own = SlotObject { holder: u8::try_from(i).expect("a few requests"), uid: 0, from: None };
        std::array::from_fn(|n| if stored & 1 << n != 0 { Some(own) } else { w.slots[n] })
    }

    fn holds(&mut self, w: &World, name: u8, object: SlotObject) -> bool {
        let i = usize::from(object.holder);
        let request = w.requests[i].map(|r| self.request(object.holder, r));
        let is_lock = self.is_lock(usize::from(name));
        match (self.setting.mutant, w.requests[i].map(|r| r.state)) {
            (Mutant::LockFreeAtEnd, Some(State::Ended(..))) if is_lock => false,
            (Mutant::LockFreeWhenDeleted, None) if is_lock => matches!(w.grants[i], Gr::Granting | Gr::Active | Gr::Revoking),
            (Mutant::LockKeptWhenReviewed, Some(State::Ended(..))) if is_lock => true,
            (Mutant::FreeWhileRevoking, Some(State::Revoking(_))) => false,
            (Mutant::FreeWhenDeleted, None) => false,
            (Mutant::NeverReleased, Some(State::Ended(..))) => true,
            _ if holds_slot(&self.slot(name, object), request.as_ref(), grant_view(w.grants[i])) => true,
            (Mutant::FreeWhileExtended, _) => false,
            _ => object.from.is_some_and(|from| {
                let extended = w.requests[usize::from(from)].map(|r| self.request(from, r));
                holds_for_extension(&from.to_string(), extended.as_ref(), grant_view(w.grants[usize::from(from)]))
            }),
        }
    }

    fn around(&self, w: &World, out: &mut Vec<(Event, World)>) {
        let mut push = |event: Event, change: &mut dyn FnMut(&mut World)| {
            let mut n = *w;
            change(&mut n);
            out.push((event, n));
        };
        if w.budget.lease_moves > 0 {
            push(Event::LeaseMoved, &mut |n| {
                n.leader = (n.leader + 1) % (BOTH + 1);
                n.budget.lease_moves -= 1;
            });
        }
        for i in 0..REQUESTS {
            let bit = 1 << i;
            if w.budget.denials & bit != 0 && w.requests[i].is_some() {
                push(Event::Denied(i), &mut |n| {
                    n.denied |= bit;
                    n.budget.denials &= !bit;
                });
            }
            if w.budget.reviews & bit != 0 && (w.had_access & bit != 0 || w.grants[i] == Gr::Ended) {
                push(Event::Reviewed(i), &mut |n| {
                    n.reviewed |= bit;
                    n.budget.reviews &= !bit;
                    // A review about the Grant frees the lock at once; the others are stored in the request first.
                    if n.requests[i].is_none() {
                        let own = |slot: &Option<SlotObject>| slot.is_some_and(|object| usize::from(object.holder) == i);
                        n.slots.iter_mut().skip(OF_HOLDER).filter(|slot| own(slot)).for_each(|slot| *slot = None);
                    }
                });
            }
            if w.budget.own_reviews & w.had_access & bit != 0 && w.requests[i].is_some() {
                push(Event::OwnReview(i), &mut |n| {
                    n.own_reviewed |= bit;
                    n.budget.own_reviews &= !bit;
                });
            }
            if w.budget.deletes & bit != 0 && w.requests[i].is_some() {
                push(Event::RequestDeleted(i), &mut |n| {
                    // A review that is not stored by then does not count: another one must name the Grant.
                    if n.reviewed & bit != 0 && n.requests[i].is_some_and(|r| r.review != ReviewState::Reviewed) {
                        n.reviewed &= !bit;
                        n.budget.reviews |= bit;
                    }
                    n.requests[i] = None;
                    n.budget.deletes &= !bit;
                });
            }
            let wanted = w.requests[i].is_some_and(|r| matches!(r.state, State::Activating | State::Active));
            match w.grants[i] {
                // Its recheck finds the request as it is.
                Gr::Granting if wanted => push(Event::Granted(i), &mut |n| {
                    n.grants[i] = Gr::Active;
                    n.had_access |= bit;
                }),
                Gr::Granting => push(Event::GrantEnded(i), &mut |n| n.grants[i] = Gr::Ended),
                // By its deadline, by drift, or because its request is gone.
                Gr::Active => push(Event::RevocationBegun(i), &mut |n| n.grants[i] = Gr::Revoking),
                Gr::Revoking => push(Event::GrantEnded(i), &mut |n| n.grants[i] = Gr::Ended),
                Gr::None | Gr::Ended => {}
            }
        }
        for name in 0..NAMES {
            // Between the last look at its slots and its Grant there is a moment that no look can cover.
            let at_rest = |i: usize| w.grants[i] == Gr::None && w.tasks.iter().all(|task| *task == 0 || self.request_of(*task) != i);
            if w.budget.slot_deletes > 0 && w.slots[name].is_some_and(|object| at_rest(usize::from(object.holder))) {
                push(Event::SlotDeleted(name), &mut |n| {
                    n.slots[name] = None;
                    n.budget.slot_deletes -= 1;
                });
            }
        }
    }

    fn starts(&mut self, w: &World, replica: usize, out: &mut Vec<(Event, World)>) {
        for request in 0..REQUESTS {
            let cached = Model::cached(w, request);
            // What has ended is only visited for a review.
            let is_over = |r: Req| matches!(r.state, State::Ended(..)) && !(cached.reviewed || cached.own_reviewed);
            if cached.request.is_none_or(is_over) {
                continue;
            }
            let task = self.begin(u8::try_from(request).expect("a few requests"), cached, w.has_permit(replica));
            if task != 0 {
                let mut n = *w;
                n.tasks[replica] = task;
                out.push((Event::Started { replica, request, act: self.act(task) }, n));
            }
        }
    }

    fn goes_on(&mut self, w: &World, replica: usize, task: u32, out: &mut Vec<(Event, World)>) {
        let (act, request, permit) = (self.act(task), self.request_of(task), w.has_permit(replica));
        let mut n = *w;
        let reply = self.perform(&mut n, request, act);
        let mut all = vec![(n, reply)];
        if w.budget.faults > 0 {
            // It was not done, or its answer was lost.
            for mut lost in [*w, n] {
                lost.budget.faults -= 1;
                all.push((lost, Reply::Failed));
            }
        }
        for (mut n, reply) in all {
            n.tasks[replica] = self.next(task, reply, permit);
            out.push((Event::Performed { replica, request, act, reply }, n));
        }
    }

    /// Whether a new request for another holder would be told that the limit is reached although nobody has or may get access.
    fn never_free(&mut self, w: &World) -> bool {
        let over = |i: usize| {
            let ended = w.requests[i].is_none_or(|r| matches!(r.state, State::Ended(..)));
            ended && matches!(w.grants[i], Gr::None | Gr::Ended)
        };
        // A Grant that has ended may have given access, and is reviewed, too.
        let outstanding = |i: usize| w.grants[i] == Gr::Ended && w.reviewed & 1 << i == 0;
        let untold = |i: usize| w.requests[i].is_some_and(|r| r.review == ReviewState::Required);
        if w.tasks != [0, 0] || !(0..REQUESTS).all(over) {
            return false;
        }
        // An access that is not reviewed, or whose review the operator has not read yet, keeps its lock.
        if self.setting.break_glass && (0..REQUESTS).any(|i| outstanding(i) || untold(i)) {
            return false;
        }
        let held: Vec<_> = (0u8..).zip(w.slots).filter_map(|(name, object)| Some((name, object?))).collect();
        // A lock whose request is deleted is freed by a review about its Grant at any time, also where a worker that was slow has taken it
        // again after an earlier one.
        let waits_for_review = |name: u8, object: SlotObject| w.requests[usize::from(object.holder)].is_none() && self.is_lock(name.into());
        let held: Vec<_> = held.into_iter().filter(|(name, object)| !waits_for_review(*name, *object)).collect();
        held.into_iter().any(|(name, object)| self.holds(w, name, object))
    }
}

fn has_begun(w: &World, i: usize) -> bool {
    w.requests[i].is_some_and(|r| r.state == State::Activating)
}

impl StateSpace for Model {
    type State = World;
    type Event = Event;
    type Broken = Broken;

    fn violation(&mut self, w: &World) -> Option<Broken> {
        // An extension and what it extends are one access of one person.
        let extends = self.setting.extends;
        let extensions = (0..REQUESTS).filter(|i| extends.includes(*i) && w.has_access(*i)).count();
        let others = (1..REQUESTS).filter(|i| !extends.includes(*i) && w.has_access(*i)).count();
        let with_access = others + usize::from(extensions > 0 || w.has_access(0));
        // Two uses of break-glass may overlap, if the first is reviewed meanwhile.
        let limit = if self.setting.one_holder && !self.setting.break_glass { 1 } else { usize::from(self.setting.active) };
        match () {
            () if with_access > limit => Some(Broken::MoreThanTheLimit),
            () if extends != Extends::Nothing && extensions > 1 => Some(Broken::TwoExtensions),
            () if self.setting.break_glass && (w.had_access & !w.reviewed).count_ones() > 1 => Some(Broken::NotReviewed),
            () if self.never_free(w) => Some(Broken::NeverFree),
            () => None,
        }
    }

    fn successors(&mut self, w: &World, out: &mut Vec<(Event, World)>) {
        out.clear();
        self.around(w, out);
        for replica in 0..2 {
            match w.tasks[replica] {
                0 => self.starts(w, replica, out),
                task => {
                    if w.budget.crashes > 0 {
                        let mut n = *w;
                        n.tasks[replica] = 0;
                        n.budget.crashes -= 1;
                        out.push((Event::Crashed(replica), n));
                    }
                    self.goes_on(w, replica, task, out);
                }
            }
        }
        // Objects are numbered so that each has a uid of its own; more than these would only repeat what has happened.
        out.retain(|(_, n)| n.next_uid < 12);
    }
}

const _: () = assert!(OF_HOLDER == 2, "the slots of the role come first");
