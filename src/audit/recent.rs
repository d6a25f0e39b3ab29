//! The last record of each object, so that a transition that is tried again after a conflict is recorded once.
use super::record::{EventData, EventKind};
use curfew_core::digest::Digest;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// How many objects are remembered. A record of an object that is forgotten is written twice rather than never.
const OBJECTS: usize = 4096;

/// The last record of each of the most recent objects.
#[derive(Default)]
pub struct RecentRecords(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// The digest of the last record, by the uid of the object.
    last: HashMap<String, Digest>,
    order: VecDeque<String>,
}

impl RecentRecords {
    /// Whether the last record of the object with this uid was another one.
    pub fn is_new(&self, uid: &str, what: EventKind, facts: &EventData) -> bool {
        let digest = Digest::of(&(format!("{what:?}"), facts));
        let mut recent = self.0.lock();
        match recent.last.entry(uid.to_owned()) {
            Entry::Occupied(last) if *last.get() == digest => return false,
            Entry::Occupied(mut last) => drop(last.insert(digest)),
            Entry::Vacant(free) => {
                free.insert(digest);
                recent.order.push_back(uid.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(message: &str) -> EventData {
        EventData { name: Some("first".into()), message: Some(message.into()), ..EventData::default() }
    }

    #[test]
    fn a_record_that_repeats_the_last_one_of_its_object_is_not_new() {
        let recent = RecentRecords::default();
        let is_new = |uid, what, message| recent.is_new(uid, what, &facts(message));
        assert!(is_new("a", EventKind::DecisionJudged, "x"));
        assert!(!is_new("a", EventKind::DecisionJudged, "x"), "tried again after a conflict");
        assert!(is_new("b", EventKind::DecisionJudged, "x"), "another object, of the same name and content");
        assert!(!is_new("a", EventKind::DecisionJudged, "x"), "records of others do not matter");
        assert!(
            is_new("a", EventKind::DecisionJudged, "y") && is_new("a", EventKind::RequestApproved, "y"),
            "other content, another event"
        );
        assert!(is_new("a", EventKind::DecisionJudged, "x"), "and again what has been before");
    }

    #[test]
    fn the_memory_is_bounded() {
        let recent = RecentRecords::default();
        for n in 0..OBJECTS * 2 {
            assert!(recent.is_new(&n.to_string(), EventKind::RequestAccepted, &facts("")));
        }
        let kept = recent.0.lock();
        assert!(kept.last.len() <= OBJECTS && kept.order.len() <= OBJECTS);
    }
}
