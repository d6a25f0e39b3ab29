//! The last record of each object, so that a transition that is tried again after a conflict is recorded once.
use super::record::{EventData, EventKind};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
};

/// How many objects are remembered. A record of an object that is forgotten is written twice rather than never.
const OBJECTS: usize = 4096;

/// Namespace, name and Grant of what a record is about.
type Subject = (Option<String>, Option<String>, Option<String>);

/// The last record of each of the most recent objects.
#[derive(Default)]
pub struct RecentRecords(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    last: HashMap<Subject, u64>,
    order: VecDeque<Subject>,
}

impl RecentRecords {
    /// Whether the last record of this object was another one.
    pub fn is_new(&self, what: EventKind, facts: &EventData) -> bool {
        let subject = (facts.namespace.clone(), facts.name.clone(), facts.grant.clone());
        let digest = digest(what, facts);
        let mut recent = self.0.lock();
        match recent.last.entry(subject.clone()) {
            Entry::Occupied(last) if *last.get() == digest => return false,
            Entry::Occupied(mut last) => drop(last.insert(digest)),
            Entry::Vacant(free) => {
                free.insert(digest);
                recent.order.push_back(subject);
            }
        }
        if recent.order.len() > OBJECTS
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.last.remove(&oldest);
        }
        true
    }
}

/// A digest of a record's content, without its time and its place in the chain.
fn digest(what: EventKind, facts: &EventData) -> u64 {
    let mut hasher = DefaultHasher::new();
    (format!("{what:?}"), serde_json::to_string(facts).unwrap_or_default()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str, message: &str) -> EventData {
        EventData { name: Some(name.into()), message: Some(message.into()), ..EventData::default() }
    }

    #[test]
    fn a_record_that_repeats_the_last_one_of_its_object_is_not_new() {
        let recent = RecentRecords::default();
        let is_new = |what, name, message| recent.is_new(what, &about(name, message));
        assert!(is_new(EventKind::RequestAccepted, "a", "x"));
        assert!(!is_new(EventKind::RequestAccepted, "a", "x"), "tried again after a conflict");
        assert!(is_new(EventKind::RequestAccepted, "b", "x"), "another object");
        assert!(!is_new(EventKind::RequestAccepted, "a", "x"), "records of others do not matter");
        assert!(
            is_new(EventKind::RequestAccepted, "a", "y") && is_new(EventKind::RequestApproved, "a", "y"),
            "other content, another event"
        );
        assert!(is_new(EventKind::RequestAccepted, "a", "x"), "and again what has been before");
    }

    #[test]
    fn the_memory_is_bounded() {
        let recent = RecentRecords::default();
        for n in 0..OBJECTS * 2 {
            assert!(recent.is_new(EventKind::RequestAccepted, &about(&n.to_string(), "")));
        }
        let kept = recent.0.lock();
        assert!(kept.last.len() <= OBJECTS && kept.order.len() <= OBJECTS);
    }
}
