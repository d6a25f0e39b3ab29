//! Who did what: CloudTrail records rolled up to identity, action and resource.
use super::{
    catalogue::Actions,
    cloudtrail::{
        Map, Use,
        operations::{Used, used},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// The index of an action in the catalogue of AWS.
pub type ActionId = u32;

/// The uses of one action by one identity.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ActionUse {
    /// The last one whose record names no resource, in Unix seconds. It counts as a use of every resource that is granted.
    pub unnamed: Option<i64>,
    /// The last one of each resource, by ARN.
    pub resources: BTreeMap<String, i64>,
}

/// What one identity did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Activity {
    /// The last successful call.
    pub last: Option<i64>,
    /// The last call that maps to no action of the catalogue.
    pub unmapped: Option<i64>,
    /// Uses by action.
    pub actions: BTreeMap<ActionId, ActionUse>,
    /// The last use of each access key, by its id.
    pub keys: BTreeMap<String, i64>,
}

/// The roll-up. It keeps the last time of each use and nothing of single records, so files may come in any order and twice.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// By ARN: users, roles (all sessions of a role are the role), the account's root. What AWS services do on their own is left out.
    pub identities: BTreeMap<String, Activity>,
    /// The hours with records, in hours since the Unix epoch.
    pub hours: BTreeSet<i64>,
    /// The newest record.
    pub newest: Option<i64>,
    /// By role: who assumed it, and when last. Callers can also be AWS services, other accounts and providers of SAML or OpenID Connect, such as
    /// `AWSService lambda.amazonaws.com`. A role that a service assumes is in use, even if it calls nothing.
    pub assumed: BTreeMap<String, BTreeMap<String, i64>>,
}

/// The most resources that are kept of one operation of one identity. Uses of further ones count for every resource.
pub const MAX_RESOURCES: usize = 1_000;

/// Rolls uses up, quickly: identities, operations and resources are numbers. Its size is that of the roll-up, not of what was read.
#[derive(Clone, Default, Debug)]
pub struct Fold {
    identities: Numbers,
    operations: Numbers,
    resources: Numbers,
    pairs: Map<u64, Pair>,
    keys: Map<u32, BTreeMap<String, i64>>,
}

/// What one identity did with one operation.
#[derive(Clone, Debug)]
struct Pair {
    count: u64,
    last: i64,
    unnamed: Option<i64>,
    resources: Map<u32, i64>,
}

impl Pair {
    fn note(&mut self, resource: Option<u32>, at: i64) {
        self.last = self.last.max(at);
        match resource {
            Some(resource) if self.resources.len() < MAX_RESOURCES || self.resources.contains_key(&resource) => {
                let last = self.resources.entry(resource).or_insert(at);
                *last = at.max(*last);
            }
            Some(_) | None => self.unnamed = self.unnamed.max(Some(at)),
        }
    }
}

impl Fold {
    /// Counts a use.
    pub fn record(&mut self, used: &Use<'_>) {
        let identity = self.identities.of(used.identity);
        let pair = entry(&mut self.pairs, identity, self.operations.of(used.operation), used.at);
        pair.count += 1;
        if used.resources.is_empty() {
            pair.note(None, used.at);
        }
        for resource in used.resources {
            pair.note(Some(self.resources.of(resource)), used.at);
        }
        for implied in used.implied {
            let resource = implied.resource.as_ref().map(|resource| self.resources.of(resource));
            entry(&mut self.pairs, identity, self.operations.of(&implied.operation), used.at).note(resource, used.at);
        }
        if let Some(key) = used.key {
            self.key_of(identity, key, used.at);
        }
    }

    /// Counts so many uses of an operation, and of a resource if it is named. This is how a row of a store is read again; what the calls implied are rows
    /// of their own, with the count 0.
    pub fn add(&mut self, identity: &str, operation: &str, resource: Option<&str>, at: i64, count: u64) {
        let (identity, operation) = (self.identities.of(identity), self.operations.of(operation));
        let pair = entry(&mut self.pairs, identity, operation, at);
        pair.count += count;
        pair.note(resource.map(|resource| self.resources.of(resource)), at);
    }

    /// Notes the use of an access key.
    pub fn key(&mut self, identity: &str, key: &str, at: i64) {
        let identity = self.identities.of(identity);
        self.key_of(identity, key, at);
    }

    fn key_of(&mut self, identity: u32, key: &str, at: i64) {
        let keys = self.keys.entry(identity).or_default();
        match keys.get_mut(key) {
            Some(last) => *last = at.max(*last),
            None => {
                keys.insert(key.to_owned(), at);
            }
        }
    }

    /// How often each identity called each operation.
    pub fn table(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let calls = self.pairs.iter().filter(|(_, pair)| pair.count > 0);
        calls.map(|(key, pair)| (self.identities.name((*key >> 32) as u32), self.operations.name(*key as u32), pair.count))
    }

    /// What was used, in the actions of a catalogue. The hours with records and the newest one are the reader's.
    pub fn usage(&self, actions: &Actions, hours: BTreeSet<i64>, newest: Option<i64>) -> Usage {
        let mut usage = Usage { hours, newest, ..Usage::default() };
        let used: Vec<Used> = self.operations.names.iter().map(|operation| used(actions, operation)).collect();
        for (key, pair) in &self.pairs {
            let (identity, operation) = ((key >> 32) as u32, *key as u32);
            let name = self.identities.name(identity);
            if self.operations.name(operation).starts_with("sts:AssumeRole") {
                for (role, at) in &pair.resources {
                    latest(usage.assumed.entry(self.resources.name(*role).to_owned()).or_default(), name, *at);
                }
            }
            if name.starts_with("arn:") {
                self.act(usage.identities.entry(name.to_owned()).or_default(), pair, &used[operation as usize]);
            }
        }
        for (identity, keys) in &self.keys {
            let activity = usage.identities.entry(self.identities.name(*identity).to_owned()).or_default();
            keys.iter().for_each(|(key, at)| latest(&mut activity.keys, key, *at));
        }
        usage
    }

    fn act(&self, activity: &mut Activity, pair: &Pair, used: &Used) {
        activity.last = activity.last.max(Some(pair.last));
        let ids = match used {
            Used::Actions(ids) => ids.as_slice(),
            Used::NoPermission => return,
            Used::Unknown => {
                activity.unmapped = activity.unmapped.max(Some(pair.last));
                return;
            }
        };
        for id in ids {
            let action = activity.actions.entry(*id).or_default();
            action.unnamed = action.unnamed.max(pair.unnamed);
            for (resource, at) in &pair.resources {
                latest(&mut action.resources, self.resources.name(*resource), *at);
            }
        }
    }
}

/// The uses of an operation by an identity.
fn entry(pairs: &mut Map<u64, Pair>, identity: u32, operation: u32, at: i64) -> &mut Pair {
    let new = || Pair { count: 0, last: at, unnamed: None, resources: Map::default() };
    pairs.entry(u64::from(identity) << 32 | u64::from(operation)).or_insert_with(new)
}

fn latest(times: &mut BTreeMap<String, i64>, name: &str, at: i64) {
    match times.get_mut(name) {
        Some(last) => *last = at.max(*last),
        None => {
            times.insert(name.to_owned(), at);
        }
    }
}

/// Names as numbers.
#[derive(Clone, Default, Debug)]
struct Numbers {
    numbers: Map<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Numbers {
    fn of(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        number
    }
    fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}
