//! One watch: reads objects, keeps a store and an index, and sends what has changed.
use super::{
    changes::{Change, Versions},
    kept::{Kept, KeptStore, KeptWriter},
    listing::Listing,
    panics::Panics,
    tasks::Tasks,
    watch_age::WatchAges,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, sync::Arc};
use tokio::sync::mpsc;

/// What happens to the stored version of an object whose update cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnUnreadable {
    /// It is deleted: it may be wider than what the object says now.
    Delete,
    /// It stays. Only for Grants: without it this replica would not revoke at the deadline (I3). Granting reads live again.
    Keep,
}

/// Starts watches in one set of tasks; all send into one channel.
pub struct Watches<'a> {
    /// The client for every watch.
    pub client: &'a Client,
    /// Where the watches run.
    pub tasks: &'a mut Tasks,
    /// Where panics are counted.
    pub panics: Panics,
    /// Where interruptions are counted.
    pub ages: Arc<WatchAges>,
    /// Where changes are sent.
    pub changes: mpsc::UnboundedSender<Change>,
}

impl Watches<'_> {
    /// Watches objects in every namespace, and keeps them whole. `index` sees each event before the store does; `change` says what the two versions
    /// of an object mean to the controllers, and `project` takes off what none of them reads.
    pub fn start<K>(
        &mut self,
        kind: K::DynamicType,
        config: watcher::Config,
        on_unreadable: OnUnreadable,
        index: impl Fn(&Event<K>) + Send + 'static,
        change: impl Fn(Versions<'_, K>) -> Option<Change> + Send + 'static,
        project: fn(&mut K),
    ) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    {
        let writer = Writer::new(kind.clone());
        let store = writer.as_reader();
        let objects = Objects { writer, kind, on_unreadable, index, change, panics: self.panics.clone() };
        self.watch(objects, config, project);
        store
    }

    /// The same of a kind of which what is seldom read is kept as text.
    pub fn start_kept<K: Kept + Debug>(
        &mut self,
        kind: K::DynamicType,
        config: watcher::Config,
        on_unreadable: OnUnreadable,
        index: impl Fn(&Event<K>) + Send + 'static,
        change: impl Fn(Versions<'_, K>) -> Option<Change> + Send + 'static,
        project: fn(&mut K),
    ) -> KeptStore<K>
    where
        K::DynamicType: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    {
        let writer = KeptWriter::default();
        let store = writer.as_reader();
        let objects = Objects { writer, kind, on_unreadable, index, change, panics: self.panics.clone() };
        self.watch(objects, config, project);
        store
    }

    fn watch<K, W, I, C>(&mut self, mut objects: Objects<K, W, I, C>, config: watcher::Config, project: fn(&mut K))
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Debug + Send + Sync + 'static,
        W: Keeper<K>,
        I: Fn(&Event<K>) + Send + 'static,
        C: Fn(Versions<'_, K>) -> Option<Change> + Send + 'static,
    {
        let name = K::plural(&objects.kind).into_owned();
        let api: Api<DeserializeGuard<K>> = Api::all_with(self.client.clone(), &objects.kind);
        let (changes, ages) = (self.changes.clone(), self.ages.clone());
        let mut events = Listing::new(api, config);
        self.tasks.spawn(format!("watch of {name}"), async move {
            loop {
                if !events.is_complete() {
                    ages.lists(&name);
                }
                let change = match events.next().await {
                    Ok(event) => objects.apply(event.modify(|object| kept(object, project))),
                    Err(error) => {
                        ages.interrupted();
                        tracing::warn!(kind = name, %error, "a watch was interrupted; it starts again");
                        continue;
                    }
                };
                if events.is_complete() {
                    ages.listed(&name);
                }
                if let Some(change) = change
                    && changes.send(change).is_err()
                {
                    return;
                }
            }
        });
    }
}

/// managedFields and annotations are most of an object, and no rule reads them.
fn kept<K: Resource>(object: &mut DeserializeGuard<K>, project: fn(&mut K)) {
    object.managed_fields_mut().clear();
    if let Ok(object) = &mut object.0 {
        project(object);
    }
    object.annotations_mut().clear();
}

/// Keeps what one watch brings.
trait Keeper<K: Resource>: Send + 'static {
    /// What is kept of the object of this kind, namespace and name.
    fn stored(&self, kind: &K::DynamicType, namespace: Option<String>, name: &str) -> Option<Arc<K>>;
    /// Applies an event.
    fn apply(&mut self, event: &Event<K>);
}

/// Keeps objects whole.
impl<K> Keeper<K> for Writer<K>
where
    K: Resource + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync + 'static,
{
    fn stored(&self, kind: &K::DynamicType, namespace: Option<String>, name: &str) -> Option<Arc<K>> {
        let mut reference = ObjectRef::<K>::new_with(name, kind.clone());
        reference.namespace = namespace;
        self.as_reader().get(&reference)
    }
    fn apply(&mut self, event: &Event<K>) {
        self.apply_watcher_event(event);
    }
}

impl<K: Kept> Keeper<K> for KeptWriter<K> {
    fn stored(&self, _: &K::DynamicType, namespace: Option<String>, name: &str) -> Option<Arc<K>> {
        self.as_reader().get(&(namespace.unwrap_or_default(), name.to_owned()))
    }
    fn apply(&mut self, event: &Event<K>) {
        KeptWriter::apply(self, event);
    }
}

/// The objects of one watch.
struct Objects<K: Resource, W, I, C> {
    writer: W,
    kind: K::DynamicType,
    on_unreadable: OnUnreadable,
    index: I,
    change: C,
    panics: Panics,
}

impl<K, W, I, C> Objects<K, W, I, C>
where
    K: Resource + Clone + 'static,
    W: Keeper<K>,
    I: Fn(&Event<K>),
    C: Fn(Versions<'_, K>) -> Option<Change>,
{
    /// Applies an event to the index, then to the store, and returns what it changes for the controllers.
    fn apply(&mut self, event: Event<DeserializeGuard<K>>) -> Option<Change> {
        let event = self.read(event)?;
        let old = match &event {
            Event::Apply(object) | Event::Delete(object) => self.stored(object),
            Event::Init | Event::InitApply(_) | Event::InitDone => None,
        };
        // The store must see the event in any case, or this replica would act on an older version.
        let indexed = self.guarded(&event, |objects| (objects.index)(&event));
        self.writer.apply(&event);
        let change = self.guarded(&event, |objects| match &event {
            Event::Apply(object) => (objects.change)((old.as_deref(), Some(object))),
            Event::Delete(object) => (objects.change)((Some(old.as_deref().unwrap_or(object)), None)),
            Event::InitDone => Some(Change::Resync),
            Event::Init | Event::InitApply(_) => None,
        });
        // What the event means is unknown, so it may concern everything.
        indexed.and(change).unwrap_or(Some(Change::Resync))
    }

    /// Runs what reads the content of an object; `None` if it has panicked.
    fn guarded<T>(&self, event: &Event<K>, f: impl FnOnce(&Self) -> T) -> Option<T> {
        let id = match event {
            Event::Apply(object) | Event::Delete(object) | Event::InitApply(object) => (object.namespace(), object.name_any()),
            Event::Init | Event::InitDone => (None, String::new()),
        };
        self.panics.catch_now(&format!("watch of {}", K::plural(&self.kind)), &id, || f(self))
    }

    /// The event with the object as its kind; `None` if nothing is to be done. One object that cannot be read does not keep the
    /// others from being seen, and a delete works by key.
    fn read(&self, event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
        match event {
            Event::Apply(DeserializeGuard(Ok(object))) => Some(Event::Apply(object)),
            Event::Delete(DeserializeGuard(Ok(object))) => Some(Event::Delete(object)),
            Event::InitApply(DeserializeGuard(Ok(object))) => Some(Event::InitApply(object)),
            Event::Init => Some(Event::Init),
            Event::InitDone => Some(Event::InitDone),
            Event::Delete(unreadable) => self.stored(&unreadable).map(|last| Event::Delete(last.as_ref().clone())),
            Event::Apply(unreadable) => {
                self.report(&unreadable);
                let last = self.stored(&unreadable).filter(|_| self.on_unreadable == OnUnreadable::Delete);
                last.map(|last| Event::Delete(last.as_ref().clone()))
            }
            Event::InitApply(unreadable) => {
                self.report(&unreadable);
                let last = self.stored(&unreadable).filter(|_| self.on_unreadable == OnUnreadable::Keep);
                last.map(|last| Event::InitApply(last.as_ref().clone()))
            }
        }
    }

    fn stored(&self, object: &impl ResourceExt) -> Option<Arc<K>> {
        self.writer.stored(&self.kind, object.namespace(), &object.name_any())
    }

    fn report(&self, unreadable: &DeserializeGuard<K>) {
        let (name, namespace) = (unreadable.name_any(), unreadable.namespace().unwrap_or_default());
        if let Err(error) = &unreadable.0 {
            tracing::error!(name, namespace, %error, "an object cannot be read and is ignored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::ActivationRequest,
        runtime::{changes, index::Index},
    };
    use serde_json::{Value, json};

    fn object(spec: Value) -> DeserializeGuard<ActivationRequest> {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "spec": spec,
            "metadata": {"name": "a", "namespace": "b", "uid": "u1"},
        });
        serde_json::from_value(object).unwrap()
    }
    fn readable() -> DeserializeGuard<ActivationRequest> {
        object(json!({"roleRef": {"name": "r"}, "duration": "1h", "beneficiary": {"user": "alice"}}))
    }
    fn unreadable() -> DeserializeGuard<ActivationRequest> {
        object(json!({"roleRef": {"name": "r"}, "notAfter": "2026-01-01T00:00:00+99:99"}))
    }

    type RequestIndex = Index<changes::RequestGroup, (String, String)>;

    type RequestObjects = Objects<
        ActivationRequest,
        Writer<ActivationRequest>,
        Box<dyn Fn(&Event<ActivationRequest>)>,
        fn(Versions<'_, ActivationRequest>) -> Option<Change>,
    >;

    fn objects(index: &RequestIndex, on_unreadable: OnUnreadable) -> RequestObjects {
        let index = index.clone();
        Objects {
            writer: Writer::new(()),
            kind: (),
            on_unreadable,
            index: Box::new(move |event: &Event<ActivationRequest>| {
                index.apply(event, |request| (changes::key(request), changes::request_groups(request)))
            }),
            change: changes::request_change,
            panics: Panics::default(),
        }
    }

    #[test]
    fn a_panic_over_one_object_ends_no_watch() {
        let index = RequestIndex::default();
        let mut objects = objects(&index, OnUnreadable::Delete);
        let store = objects.writer.as_reader();
        objects.change = |_| panic!("a value that nobody has foreseen");
        assert_eq!(objects.apply(Event::Apply(readable())), Some(Change::Resync), "everything is looked at again");
        assert_eq!((store.len(), index.ids(&changes::RequestGroup::Live).len()), (1, 1));
        objects.change = changes::request_change;
        objects.index = Box::new(|_| panic!("a value that nobody has foreseen"));
        assert_eq!(objects.apply(Event::Delete(readable())), Some(Change::Resync));
        assert_eq!((store.len(), objects.panics.count("watch of activationrequests")), (0, 2), "the store follows in any case");
    }

    #[test]
    fn an_unreadable_update_removes_the_object() {
        let index = RequestIndex::default();
        let mut objects = objects(&index, OnUnreadable::Delete);
        let store = objects.writer.as_reader();
        let live = || index.ids(&changes::RequestGroup::Live).len();
        let key = ("b".to_owned(), "a".to_owned());
        assert_eq!(objects.apply(Event::Apply(readable())), Some(Change::Request(key.clone())));
        assert_eq!((store.len(), live()), (1, 1));
        assert_eq!(objects.apply(Event::Apply(unreadable())), Some(Change::RequestGone(key.clone())));
        assert_eq!((store.len(), live()), (0, 0), "the older, perhaps wider version is gone");
        assert_eq!(objects.apply(Event::Apply(unreadable())), None, "an object that was never readable changes nothing");
        assert_eq!(objects.apply(Event::Apply(readable())), Some(Change::Request(key.clone())));
        assert_eq!(objects.apply(Event::Delete(unreadable())), Some(Change::RequestGone(key)), "a delete works by key");
        assert_eq!((store.len(), live()), (0, 0));
    }

    #[test]
    fn an_unreadable_object_does_not_keep_a_list_from_being_read() {
        let index = RequestIndex::default();
        let mut objects = objects(&index, OnUnreadable::Delete);
        let store = objects.writer.as_reader();
        assert_eq!(objects.apply(Event::Apply(readable())), Some(Change::Request(("b".to_owned(), "a".to_owned()))));
        let relist = [Event::Init, Event::InitApply(unreadable()), Event::InitDone];
        let changes: Vec<_> = relist.into_iter().filter_map(|event| objects.apply(event)).collect();
        assert_eq!(changes, [Change::Resync]);
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn a_kept_object_stays_until_it_is_deleted() {
        let index = RequestIndex::default();
        let mut objects = objects(&index, OnUnreadable::Keep);
        let store = objects.writer.as_reader();
        objects.apply(Event::Apply(readable()));
        assert_eq!(objects.apply(Event::Apply(unreadable())), None);
        for event in [Event::Init, Event::InitApply(unreadable()), Event::InitDone] {
            objects.apply(event);
        }
        assert_eq!((store.len(), index.ids(&changes::RequestGroup::Live).len()), (1, 1));
        objects.apply(Event::Delete(unreadable()));
        assert_eq!((store.len(), index.ids(&changes::RequestGroup::Live).len()), (0, 0));
    }
}
