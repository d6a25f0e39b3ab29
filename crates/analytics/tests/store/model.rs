//! Random events, and the plainest way to count them.
use curfew_analytics::{
    history::{DAY, Day},
    store::{Batch, Store, UsageEvent},
};
use std::collections::{BTreeMap, BTreeSet};

pub const SYSTEM: &str = "prod";
pub const SOURCE: &str = "audit.log";
/// 2026-11-26.
pub const TODAY: Day = Day(20_783);
pub const ALL: (Day, Day) = (Day(0), Day(u32::MAX));

pub fn now() -> i64 {
    TODAY.start() + DAY / 2
}

/// A generator with a fixed seed (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % n as u64) as usize
    }
    pub fn shuffled<T>(&mut self, mut list: Vec<T>) -> Vec<T> {
        (1..list.len()).rev().for_each(|i| list.swap(i, self.below(i + 1)));
        list
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
    /// An event of the last days, with few names, so that rows have several events.
    pub fn event(&mut self, number: usize) -> UsageEvent<'static> {
        let resources = ["a", "b", "c", "arn:aws:s3:::x,\"y\""];
        let many = (0..self.below(3)).map(|_| self.one(&resources).into()).collect();
        UsageEvent {
            id: format!("event-{number}").into(),
            identity: self.one(&["alice", "bob", "=2+3", "arn:aws:iam::1:role/é"]).into(),
            operation: self.one(&["get core/pods", "create core/pods/exec", "s3:GetObject", "!failed 403"]).into(),
            resources: many,
            context: self.one(&["", "{\"groups\":[\"devs\"]}", "AKIA\n1"]).into(),
            at: now() - self.below(5 * 86_400) as i64,
        }
    }
    pub fn events(&mut self, first: usize, count: usize) -> Vec<UsageEvent<'static>> {
        (first..first + count).map(|number| self.event(number)).collect()
    }
}

/// System day, identity, operation, resource, context.
type Key = (Day, String, String, String, String);
/// Count and last time of each row.
pub type Rows = BTreeMap<Key, (u64, i64)>;

/// Counts events with sets and maps alone.
#[derive(Clone, Default)]
pub struct Model {
    seen: BTreeSet<String>,
    pub rows: Rows,
    pub hours: BTreeSet<i64>,
}

impl Model {
    pub fn of<'a>(events: impl IntoIterator<Item = &'a UsageEvent<'static>>) -> Self {
        let mut model = Self::default();
        events.into_iter().for_each(|event| model.add(event));
        model
    }
    pub fn add(&mut self, event: &UsageEvent) {
        let new = self.seen.insert(format!("{event:?}"));
        let mut resources: Vec<&str> = Vec::new();
        for resource in event.resources.iter().map(|resource| &**resource) {
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        if resources.is_empty() {
            resources.push("");
        }
        for (number, resource) in resources.into_iter().enumerate() {
            let [identity, operation, resource, context] = [&event.identity, &event.operation, resource, &event.context].map(str::to_owned);
            let row = self.rows.entry((Day::of(event.at), identity, operation, resource, context)).or_insert((0, event.at));
            row.0 += u64::from(new && number == 0);
            row.1 = row.1.max(event.at);
        }
        self.hours.insert(event.at.div_euclid(3600));
    }
}

/// All rows of a store.
pub fn rows(store: &Store) -> Rows {
    let mut rows = Rows::new();
    store
        .fold(SYSTEM, ALL.0, ALL.1, |row| {
            let [identity, operation, resource, context] = [row.identity, row.operation, row.resource, row.context].map(str::to_owned);
            let before = rows.insert((row.day, identity, operation, resource, context), (row.count, row.last));
            assert_eq!(before, None, "a row is there twice");
        })
        .unwrap();
    rows
}

pub fn batch(watermark: Option<&str>) -> Batch<'_> {
    Batch { system: SYSTEM, source: SOURCE, watermark, now: now() }
}

pub fn memory() -> Store {
    Store::with_backend(redb::backends::InMemoryBackend::new(), Default::default()).unwrap()
}
