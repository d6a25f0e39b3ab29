//! Work in lanes: a system that does not answer fills only its own lane, and within a lane revocations go before grants, earliest
//! first. Each lane has a width, may have a rate, begins work in batches where its provider combines calls, and can be paused where
//! the target asks for it. A rate is our own guess of what a target takes, so no revocation waits for it: those use it up, and what can
//! wait does. Revocations that have failed wait behind the others, and have a share of the lane: they can neither
//! fill it nor be kept out of it. Work that has removed an access gives its place to the next removal, and the records of what has ended
//! share the lane in the same way.
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry};
use std::hash::Hash;

/// A kind of work. The order is the order of service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Urgency {
    /// Access has to be removed.
    Revoke,
    /// Access was removed, and that is still to be recorded: work that runs and has given way. Nothing else is requested with it.
    Record,
    /// Access has to be removed, and the last try has failed.
    RevokeAgain,
    /// Anything else.
    Other,
}

/// Where work for one person's object stands in its lane: behind work that is as old, by a second for each object for which that
/// person has work waiting. One who makes thousands of objects mostly waits for their own.
pub fn fair(created: Time, waiting: usize) -> Time {
    created.plus_secs(i64::try_from(waiting).unwrap_or(i64::MAX / 10_000))
}

/// How fast and how wide the target of a lane may be used. A zero counts as one: no limit stops a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How many batches run at a time.
    pub width: usize,
    /// How many batches may begin per minute, in bursts of as many; `None` where only `width` limits. Revocations do not wait for it.
    pub per_minute: Option<u32>,
    /// How many pieces of work begin together at most, because the provider combines their calls into one; 1 where it does not.
    pub batch: usize,
}

#[derive(Debug)]
struct Lane<Id> {
    limits: Limits,
    waiting: BTreeMap<Urgency, BTreeSet<(Time, Id)>>,
    places: HashMap<Id, (Urgency, Time)>,
    running: HashMap<Id, Running>,
    /// How many members of each batch still run, and how urgent they are, by the number of the batch.
    batches: BTreeMap<u64, (usize, Urgency)>,
    next_batch: u64,
    /// Nothing begins before this.
    paused_until: Time,
    /// Batches that may begin at once, in thousandths of a batch times minutes, as of `refilled`.
    tokens: i64,
    refilled: Time,
}

/// A piece of work that runs.
#[derive(Debug)]
struct Running {
    /// The number of the batch with which it began; `None` while it has given way.
    batch: Option<u64>,
    /// How urgently it was requested again meanwhile.
    again: Option<(Urgency, Time)>,
}

/// Of this many places of a lane one is for revocations that have failed before.
const AGAIN: usize = 4;
/// Of this many places, at least of one lane, one is for records of what has ended: other replicas see by them that the work goes on.
const RECORDS: usize = 16;
/// How many pieces of work of a lane may have given way at a time. Each is kept in memory as far as it has come; further ones record at once,
/// in the places that they have.
const GIVE_WAY: usize = 1024;

/// One token, in the unit of [`Lane::tokens`]: a rate of `n` per minute adds `n` of these units per millisecond.
const TOKEN: i64 = 60_000;

impl<Id: Clone + Ord + Hash> Lane<Id> {
    fn new(limits: Limits, now: Time) -> Self {
        let mut lane = Lane {
            limits,
            waiting: BTreeMap::new(),
            places: HashMap::new(),
            running: HashMap::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            paused_until: Time::from_millis(0),
            tokens: 0,
            refilled: now,
        };
        lane.tokens = lane.rate().map_or(0, |n| n * TOKEN);
        lane
    }
    /// Batches per minute.
    fn rate(&self) -> Option<i64> {
        self.limits.per_minute.map(|n| i64::from(n.max(1)))
    }
    /// When the next waiting work may begin; `None` if none waits or the lane is full.
    fn ready_at(&self, now: Time) -> Option<Time> {
        let (urgency, _) = self.next(now)?;
        // What goes on makes no further call that a pause or a rate could be for.
        if urgency == Urgency::Record {
            return Some(now);
        }
        let rate = self.rate().filter(|_| urgency == Urgency::Other && self.tokens < TOKEN);
        let refill = rate.map(|n| Time::from_millis(self.refilled.as_millis() + (TOKEN - self.tokens + n - 1) / n));
        Some(refill.map_or(self.paused_until, |t| t.max(self.paused_until)))
    }
    /// The most urgent work for which there is room, with its due time. In a pause, records go first: they do not wait for it.
    fn next(&self, now: Time) -> Option<(Urgency, Time)> {
        let width = self.limits.width.max(1);
        let waits = |kind: Urgency| self.waiting.contains_key(&kind);
        let running = |kind: Urgency| self.batches.values().filter(|(_, urgency)| *urgency == kind).count();
        let left = |kind: Urgency, of: usize| (width / of).max(1).saturating_sub(running(kind));
        let (again, records) = (left(Urgency::RevokeAgain, AGAIN), left(Urgency::Record, RECORDS));
        // What has a share keeps it free while it waits, except in a lane for one.
        let kept = |kind: Urgency, left: usize| if waits(kind) { left } else { 0 };
        let kept = (kept(Urgency::RevokeAgain, again) + kept(Urgency::Record, records)).min(width - 1);
        let (used, paused) = (self.batches.len(), self.paused_until > now);
        let has_room = |urgency: Urgency| match urgency {
            Urgency::RevokeAgain => again > 0 && used < width,
            Urgency::Record => used < width && (records > 0 || paused || !waits(Urgency::Revoke)),
            Urgency::Revoke | Urgency::Other => used + kept < width,
        };
        let first = |urgency: Urgency| Some((urgency, self.waiting.get(&urgency)?.first()?.0)).filter(|_| has_room(urgency));
        let record = if paused { first(Urgency::Record) } else { None };
        record.or_else(|| self.waiting.keys().find_map(|urgency| first(*urgency)))
    }
    /// Begins the most urgent work for which there is room, and what is as urgent up to a full batch, the earliest first. Uses up
    /// one token, if there is one.
    fn begin(&mut self, now: Time) -> Vec<Id> {
        let Some((urgency, _)) = self.next(now) else { return Vec::new() };
        let mut batch = Vec::new();
        if let Entry::Occupied(mut waiting) = self.waiting.entry(urgency) {
            while batch.len() < self.limits.batch.max(1)
                && let Some((_, id)) = waiting.get_mut().pop_first()
            {
                batch.push(id);
            }
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
        let number = self.next_batch;
        self.next_batch += 1;
        self.batches.insert(number, (batch.len(), urgency));
        for id in &batch {
            self.places.remove(id);
            self.running.entry(id.clone()).or_insert(Running { batch: None, again: None }).batch = Some(number);
        }
        if self.limits.per_minute.is_some() && urgency != Urgency::Record {
            self.tokens = (self.tokens - TOKEN).max(0);
        }
        batch
    }
    /// Ends a piece of work. Its batch is over when all members have ended. Answers how urgently it was requested again.
    fn end(&mut self, id: &Id) -> Option<(Urgency, Time)> {
        let Running { batch, again } = self.running.remove(id)?;
        match batch {
            Some(batch) => self.leave(batch),
            None => self.forget(id),
        }
        again
    }
    /// One member of a batch needs its place no longer.
    fn leave(&mut self, batch: u64) {
        if let Some((left, _)) = self.batches.get_mut(&batch) {
            *left -= 1;
            if *left == 0 {
                self.batches.remove(&batch);
            }
        }
    }
    /// Takes waiting work out of its place.
    fn forget(&mut self, id: &Id) {
        if let Some((urgency, due)) = self.places.remove(id)
            && let Entry::Occupied(mut waiting) = self.waiting.entry(urgency)
        {
            waiting.get_mut().remove(&(due, id.clone()));
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
    }
    /// Puts work in its place, and takes it out of the one that it had.
    fn wait(&mut self, id: Id, (urgency, due): (Urgency, Time)) {
        self.forget(&id);
        self.places.insert(id.clone(), (urgency, due));
        self.waiting.entry(urgency).or_default().insert((due, id));
    }
    fn refill(&mut self, now: Time) {
        let Some(rate) = self.rate() else { return };
        let passed = now.millis_since(self.refilled).clamp(0, 60_000);
        self.tokens = (self.tokens + passed * rate).min(rate * TOKEN);
        self.refilled = now;
    }
}

/// Work by lane. Each id is in one place at most and never runs twice at a time; what is requested while it runs, runs again.
#[derive(Debug)]
pub struct Lanes<Key, Id> {
    lanes: BTreeMap<Key, Lane<Id>>,
}

impl<Key, Id> Default for Lanes<Key, Id> {
    fn default() -> Self {
        Lanes { lanes: BTreeMap::new() }
    }
}

impl<Key: Clone + Ord, Id: Clone + Ord + Hash> Lanes<Key, Id> {
    /// Requests work in a lane with these limits. Of two requests for the same id the more urgent one counts.
    pub fn push(&mut self, key: Key, limits: Limits, id: Id, urgency: Urgency, due: Time, now: Time) {
        let lane = self.lanes.entry(key).or_insert_with(|| Lane::new(limits, now));
        lane.limits = limits;
        let place = (urgency, due);
        if let Some(running) = lane.running.get_mut(&id) {
            running.again = Some(running.again.map_or(place, |old| old.min(place)));
            return;
        }
        let best = lane.places.get(&id).map_or(place, |old| (*old).min(place));
        lane.wait(id, best);
    }

    /// The next work that may run: the most urgent over all lanes that have room, and what begins together with it. A batch is of
    /// one lane and of one urgency, so a revocation never shares a call with a grant. It holds its place until all of it has ended.
    pub fn start(&mut self, now: Time) -> Option<(Key, Vec<Id>)> {
        self.lanes.values_mut().for_each(|l| l.refill(now));
        let free = self.lanes.iter().filter(|(_, l)| l.ready_at(now).is_some_and(|t| t <= now));
        let (_, key) = free.filter_map(|(k, l)| l.next(now).map(|place| (place, k.clone()))).min()?;
        let batch = self.lanes.get_mut(&key)?.begin(now);
        Some((key, batch))
    }

    /// When work that a pause or a rate holds back may begin.
    pub fn next_start(&self, now: Time) -> Option<Time> {
        self.lanes.values().filter_map(|lane| lane.ready_at(now)).min()
    }

    /// Nothing begins in this lane before `until`: its target asked to be left alone.
    pub fn pause(&mut self, key: &Key, until: Time) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.paused_until = lane.paused_until.max(until);
        }
    }

    /// Running work that has removed an access lets other removals go first: its place is free, and [`Lanes::start`] answers its id once
    /// more when it may go on, in the order in which this was called. It still runs, so that no second run of it begins meanwhile. Answers
    /// whether it waits now: what does not run, or has given way before, does not, nor does more than a lane keeps in memory.
    pub fn give_way(&mut self, key: &Key, id: &Id, now: Time) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        if lane.waiting.get(&Urgency::Record).is_some_and(|waiting| waiting.len() >= GIVE_WAY) {
            return false;
        }
        let Some(batch) = lane.running.get_mut(id).and_then(|running| running.batch.take()) else { return false };
        lane.leave(batch);
        lane.wait(id.clone(), (Urgency::Record, now));
        true
    }

    /// Work has ended. If it was requested again while it ran, it waits again.
    pub fn finish(&mut self, key: &Key, id: &Id, now: Time) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(place) = lane.end(id) {
            lane.wait(id.clone(), place);
        }
        // A lane that is paused, or that has used up some of its rate, is kept until that is over.
        let spent = lane.rate().is_some_and(|n| lane.tokens < n * TOKEN);
        if lane.running.is_empty() && lane.waiting.is_empty() && lane.paused_until <= now && !spent {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
