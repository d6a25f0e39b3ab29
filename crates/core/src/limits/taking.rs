//! The steps by which a request takes its slots, or looks whether it could. Pure: each step is performed by the shell, and its result
//! decides about the next one.
use super::{Holder, Limit, Slot, SlotName, Slots};
use std::{collections::BTreeSet, sync::Arc};

/// How many holders are read live, at most, before it is said that a limit is reached. Those come first that the caches do not show.
pub const MAX_VERIFIED: usize = 32;
/// How often the slots are listed again, at most, after others have taken what was free.
const MAX_LISTS: u8 = 3;

/// A step to perform.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// List the slots of all limits.
    List,
    /// Create the slot of this name; it can exist only once.
    Create(Arc<str>),
    /// Take over a slot, if it is still this very version of it.
    TakeOver {
        /// The slot.
        slot: Slot,
        /// The request that is extended.
        from: Holder,
    },
    /// Read live whether the holder of this slot holds it still.
    Verify(Slot),
    /// Delete this slot, if it is still this very object.
    Delete(Slot),
    /// There is no more to do.
    Done(Answer),
}

/// What a step has brought.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    /// Of `List`.
    Listed(Slots),
    /// Of `Create` and `TakeOver`: it is ours.
    Created,
    /// Of `Create`: another request was first. Of `TakeOver`: it has changed, or is gone.
    Exists,
    /// Of `Verify`.
    Holds(bool),
    /// Of `Delete`: it is gone, or was deleted by another replica and perhaps taken again.
    Deleted,
}

/// The result.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// Every limit has a slot that is free, or that this request holds.
    Free,
    /// These are this request's slots, one of each limit.
    Taken(Vec<Arc<str>>),
    /// The person is locked out of further break-glass, until an earlier one is reviewed.
    Locked,
    /// One of the limits is reached. What was taken of the others is released with the end of the request.
    Full,
}

/// The taking of slots, under way.
///
/// The rules, for each limit in order:
///
/// 1. A slot that this request holds already is its slot, also where the limit is lower by now. Of two, it is the one that is stored:
///    the other one counts as free ([`crate::request::holds_slot`]).
/// 2. An extension takes over the slot of what it extends, or of an earlier extension of that. The slots of an extension's limits are taken
///    in order, and that of the one extension comes first.
/// 3. A slot is free to be taken if all slots up to it, those that are taken behind it, and the requests without a slot are no more than the
///    limit: a limit that was lowered or set later counts what was granted before. So what is granted never adds up to more than the limit, however many replicas take.
/// 4. Where none is free, holders are read live: those first that the caches do not show. A slot whose holder does not hold it is deleted.
/// 5. A slot that another request takes meanwhile is not free; then the slots are listed again, a few times.
/// 6. Then the limit is reached.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Taking {
    limits: Arc<[Limit]>,
    uid: Arc<str>,
    /// The slots that the request has stored.
    stored: Vec<Arc<str>>,
    /// Where the search for a free slot begins, so that requests that arrive together do not try the same one.
    begin: u64,
    takes: bool,
    slots: Slots,
    /// Slots that were created by others since the list.
    occupied: BTreeSet<Arc<str>>,
    /// The uids of slots whose holders were found to hold them.
    verified: BTreeSet<Arc<str>>,
    lists: u8,
    waits_for: Option<Step>,
}

impl Taking {
    /// Begins to take a slot of each limit for the request with this uid and these stored slots; `takes` is false if it only looks.
    pub fn begin(limits: Arc<[Limit]>, uid: Arc<str>, stored: &[Arc<str>], takes: bool) -> (Self, Step) {
        let begin = uid.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let taking = Taking {
            limits,
            uid,
            stored: stored.to_vec(),
            begin,
            takes,
            slots: Slots::default(),
            occupied: BTreeSet::new(),
            verified: BTreeSet::new(),
            lists: 1,
            waits_for: Some(Step::List),
        };
        (taking, Step::List)
    }

    /// The limits of which slots are taken.
    pub fn limits(&self) -> Arc<[Limit]> {
        self.limits.clone()
    }

    /// Whether it waits for a slot to be created or taken over.
    pub const fn creates(&self) -> bool {
        matches!(self.waits_for, Some(Step::Create(_) | Step::TakeOver { .. }))
    }

    /// Goes on with the result of the step that was performed; `None` if it is not one of that step.
    #[must_use]
    pub fn next(mut self, reply: Reply) -> Option<(Self, Step)> {
        match (self.waits_for.take()?, reply) {
            (Step::List, Reply::Listed(slots)) => {
                self.slots = slots;
                self.occupied.clear();
            }
            (Step::Create(name), Reply::Created) => self.slots.taken.push(self.own(name)),
            (Step::TakeOver { slot, .. }, Reply::Created) => self.hold(&slot),
            (Step::TakeOver { slot, .. }, Reply::Exists) => {
                self.slots.taken.retain(|taken| taken.uid != slot.uid);
                if self.lists < MAX_LISTS {
                    self.lists += 1;
                    return Some(self.then(Step::List));
                }
            }
            (Step::Create(name), Reply::Exists) => drop(self.occupied.insert(name)),
            (Step::Verify(slot), Reply::Holds(true)) => drop(self.verified.insert(slot.uid)),
            (Step::Verify(slot), Reply::Holds(false)) => return Some(self.then(Step::Delete(slot))),
            (Step::Delete(slot), Reply::Deleted) => self.slots.taken.retain(|taken| taken.uid != slot.uid),
            (_, _) => return None,
        }
        let step = self.decide();
        Some(self.then(step))
    }

    fn then(mut self, step: Step) -> (Self, Step) {
        self.waits_for = Some(step.clone());
        (self, step)
    }

    /// A slot that this request has just created.
    fn own(&self, name: Arc<str>) -> Slot {
        let holder = Holder { namespace: "".into(), name: "".into(), uid: self.uid.clone() };
        Slot { uid: name.clone(), version: "".into(), name, holder, taken_over_from: None, suspect: false }
    }

    /// A slot that this request has just taken over.
    fn hold(&mut self, slot: &Slot) {
        let taken = self.slots.taken.iter_mut().filter(|taken| taken.uid == slot.uid);
        taken.for_each(|taken| taken.holder.uid = self.uid.clone());
    }

    fn decide(&mut self) -> Step {
        let mut own = Vec::new();
        for (n, limit) in self.limits.clone().iter().enumerate() {
            let mine = self.slots.taken.iter().filter(|slot| slot.index_in(limit).is_some() && slot.holder.uid == self.uid);
            let mine = mine.min_by_key(|slot| !self.stored.contains(&slot.name));
            if let Some(mine) = mine {
                own.push(mine.name.clone());
                continue;
            }
            let inherited = self.slots.taken.iter().find_map(|slot| Some((slot, slot.can_be_taken_over(limit)?)));
            match inherited {
                Some((slot, from)) if self.takes => return Step::TakeOver { slot: slot.clone(), from: from.clone() },
                Some(_) => continue,
                None => {}
            }
            match self.free_slot(n, limit) {
                Some(_) if !self.takes => {}
                Some(name) => return Step::Create(name),
                None => return self.when_full(limit),
            }
        }
        Step::Done(if self.takes { Answer::Taken(own) } else { Answer::Free })
    }

    /// The name of a slot that can be taken.
    fn free_slot(&self, n: usize, limit: &Limit) -> Option<Arc<str>> {
        let taken: BTreeSet<u16> = self.slots.taken.iter().filter_map(|slot| slot.index_in(limit)).collect();
        let uncounted = self.slots.uncounted.get(n).copied().map_or(0, usize::from);
        // The slots below it could all be taken: with those from it on, which are, these are no more than the limit.
        let fits = |room: &u16| {
            let beyond = taken.iter().filter(|index| *index >= room).count();
            usize::from(*room) + beyond + uncounted <= usize::from(limit.at_most)
        };
        let room = (0..=limit.at_most).rev().find(fits).unwrap_or(0);
        let occupied: BTreeSet<u16> = self
            .occupied
            .iter()
            .filter_map(|name| SlotName::parse(name))
            .filter(|name| name.family == &*limit.family)
            .map(|name| name.index)
            .collect();
        let is_free = |index: &u16| !taken.contains(index) && !occupied.contains(index);
        let free = || (0..room).filter(is_free);
        let at = self.begin % u64::try_from(free().count().max(1)).unwrap_or(1);
        free().nth(usize::try_from(at).unwrap_or(0)).map(|index| limit.slot(index))
    }

    /// No slot of this limit can be taken as far as is known.
    fn when_full(&mut self, limit: &Limit) -> Step {
        let unverified = |slot: &&Slot| slot.index_in(limit).is_some() && !self.verified.contains(&slot.uid);
        let next = self.slots.taken.iter().filter(unverified).max_by_key(|slot| slot.suspect).cloned();
        match next.filter(|_| self.verified.len() < MAX_VERIFIED) {
            Some(slot) => Step::Verify(slot),
            None if !self.occupied.is_empty() && self.lists < MAX_LISTS => {
                self.lists += 1;
                Step::List
            }
            None => Step::Done(if limit.is_lock() { Answer::Locked } else { Answer::Full }),
        }
    }
}
