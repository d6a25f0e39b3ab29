//! Ids of objects by a property, kept up to date from the events of a watch: a lookup instead of a scan over a store.
use kube::runtime::watcher::Event;
use parking_lot::RwLock;
use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

/// Ids by group. Clones share one content.
///
/// A watch applies each event here before it changes its store. So an id may be listed whose object the store does not have
/// yet, or has no longer; a reader looks each id up in the store and leaves out what is missing.
#[derive(Debug)]
pub struct Index<Group, Id>(Arc<RwLock<Content<Group, Id>>>);

#[derive(Debug)]
struct Content<Group, Id> {
    current: Groups<Group, Id>,
    /// Filled by a relist, and in force when that is complete.
    relist: Groups<Group, Id>,
}

#[derive(Debug)]
struct Groups<Group, Id> {
    ids: HashMap<Group, BTreeSet<Id>>,
    groups: HashMap<Id, Vec<Group>>,
}

impl<Group, Id> Default for Groups<Group, Id> {
    fn default() -> Self {
        Groups { ids: HashMap::new(), groups: HashMap::new() }
    }
}

impl<Group: Clone + Eq + Hash, Id: Clone + Ord + Hash> Groups<Group, Id> {
    fn insert(&mut self, id: Id, groups: Vec<Group>) {
        self.remove(&id);
        for group in &groups {
            self.ids.entry(group.clone()).or_default().insert(id.clone());
        }
        if !groups.is_empty() {
            self.groups.insert(id, groups);
        }
    }

    fn remove(&mut self, id: &Id) {
        for group in self.groups.remove(id).into_iter().flatten() {
            if let Some(ids) = self.ids.get_mut(&group) {
                ids.remove(id);
                if ids.is_empty() {
                    self.ids.remove(&group);
                }
            }
        }
    }
}

impl<Group, Id> Clone for Index<Group, Id> {
    fn clone(&self) -> Self {
        Index(self.0.clone())
    }
}

impl<Group, Id> Default for Index<Group, Id> {
    fn default() -> Self {
        Index(Arc::new(RwLock::new(Content { current: Groups::default(), relist: Groups::default() })))
    }
}

impl<Group: Clone + Eq + Hash, Id: Clone + Ord + Hash> Index<Group, Id> {
    /// Applies one event of the watch. `classify` names the object and the groups it belongs to; an object without a group is
    /// not kept.
    pub fn apply<K>(&self, event: &Event<K>, classify: impl Fn(&K) -> (Id, Vec<Group>)) {
        let mut content = self.0.write();
        match event {
            Event::Apply(object) => {
                let (id, groups) = classify(object);
                content.current.insert(id, groups);
            }
            Event::Delete(object) => content.current.remove(&classify(object).0),
            Event::Init => content.relist = Groups::default(),
            Event::InitApply(object) => {
                let (id, groups) = classify(object);
                content.relist.insert(id, groups);
            }
            Event::InitDone => content.current = std::mem::take(&mut content.relist),
        }
    }

    /// The ids of a group, in order.
    pub fn ids(&self, group: &Group) -> Vec<Id> {
        self.0.read().current.ids.get(group).map(|ids| ids.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many ids a group has.
    pub fn count(&self, group: &Group) -> usize {
        self.0.read().current.ids.get(group).map_or(0, BTreeSet::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Object = (&'static str, Vec<&'static str>);

    fn apply(index: &Index<&'static str, &'static str>, events: impl IntoIterator<Item = Event<Object>>) {
        for event in events {
            index.apply(&event, |(id, groups)| (*id, groups.clone()));
        }
    }

    #[test]
    fn an_object_is_listed_under_the_groups_of_its_last_event() {
        let index = Index::default();
        apply(&index, [Event::Apply(("a", vec!["live", "x"])), Event::Apply(("b", vec!["live"]))]);
        assert_eq!((index.ids(&"live"), index.count(&"live"), index.count(&"y")), (vec!["a", "b"], 2, 0));
        apply(&index, [Event::Apply(("a", vec!["y"])), Event::Delete(("b", vec![]))]);
        assert!(index.ids(&"live").is_empty() && index.ids(&"x").is_empty());
        assert_eq!(index.ids(&"y"), ["a"]);
        apply(&index, [Event::Apply(("a", vec![]))]);
        assert!(index.0.read().current.ids.is_empty() && index.0.read().current.groups.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_relist_replaces_the_content_when_it_is_complete() {
        let index = Index::default();
        apply(&index, [Event::Apply(("a", vec!["live"])), Event::Init, Event::InitApply(("b", vec!["live"]))]);
        assert_eq!(index.ids(&"live"), ["a"]);
        apply(&index, [Event::InitDone]);
        assert_eq!(index.ids(&"live"), ["b"]);
    }
}
