//! The store of a kind of which there are many, and most are seldom read: requests, decisions and Grants, which are kept for a while after their
//! end, and what carries the mark of a Grant. They are kept as compressed text (`packed.rs`), with a summary that is read without them; reading one
//! makes it an object again. How much that saves: `docs/adr/0012-memory-of-the-operator.md`.
use super::{
    changes,
    packed::{Packed, Patterns},
    projection,
    stores::Key,
};
use crate::api::{
    AccessDecision, ActivationRequest, AssignmentRequest, Grant, convert,
    grant::GrantState,
    request::RequestState,
    system::{KubernetesConnection, Provider as Connection},
};
use curfew_core::{approval::review::ReviewState, digest::Digest, duration::Period, retention, time::Time};
use k8s_openapi::api::batch::v1::Job;
use kube::{Resource, ResourceExt, api::DynamicObject, runtime::watcher::Event};
use parking_lot::RwLock;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;

/// A kind that is kept so.
pub trait Kept: Resource + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What is read of each, also of what is kept as text.
    type Summary: Copy + Send + Sync + 'static;
    /// Its summary.
    fn summary(&self) -> Self::Summary;
    /// Whether it is seldom read: nothing has to be decided about it any more, or it is one of many that are as they should be.
    fn is_seldom_read(&self) -> bool;
}

/// One object.
enum Entry<K> {
    Text(Packed),
    Whole(Arc<K>),
}

/// Name, summary and content, by namespace.
type Content<K, S> = HashMap<Box<str>, HashMap<Box<str>, (S, Entry<K>)>>;

type Shared<K, S> = Arc<RwLock<Content<K, S>>>;

/// Reads the store. Clones share it.
pub struct KeptStore<K: Kept> {
    content: Shared<K, K::Summary>,
    patterns: Arc<Patterns>,
    /// Whether the first list is complete.
    listed: watch::Receiver<bool>,
}

/// Fills the store, by the events of one watch.
pub struct KeptWriter<K: Kept> {
    content: Shared<K, K::Summary>,
    patterns: Arc<Patterns>,
    /// Filled by a relist, and in force when that is complete.
    relist: Content<K, K::Summary>,
    listed: watch::Sender<bool>,
}

impl<K: Kept> Clone for KeptStore<K> {
    fn clone(&self) -> Self {
        KeptStore { content: self.content.clone(), patterns: self.patterns.clone(), listed: self.listed.clone() }
    }
}

impl<K: Kept> Default for KeptWriter<K> {
    fn default() -> Self {
        KeptWriter { content: Arc::default(), patterns: Arc::default(), relist: HashMap::new(), listed: watch::Sender::new(false) }
    }
}

impl<K: Kept> Entry<K> {
    fn of(object: &K, patterns: &Patterns) -> Self {
        // What would not be read as it is stays whole.
        let is_same = |entry: &Self| entry.read(patterns).is_some_and(|read| *read == *object);
        let text = || Some(Entry::Text(patterns.pack(&serde_json::to_vec(object).ok()?))).filter(is_same);
        let text = if object.is_seldom_read() { text() } else { None };
        text.unwrap_or_else(|| Entry::Whole(Arc::new(object.clone())))
    }

    fn read(&self, patterns: &Patterns) -> Option<Arc<K>> {
        match self {
            Entry::Whole(object) => Some(object.clone()),
            Entry::Text(text) => serde_json::from_slice(&patterns.unpack(text)?).ok().map(Arc::new),
        }
    }
}

fn insert<K: Kept>(content: &mut Content<K, K::Summary>, object: &K, entry: Entry<K>) {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    content.entry(namespace.into()).or_default().insert(name.into(), (object.summary(), entry));
}

impl<K: Kept> KeptWriter<K> {
    /// Reads what this fills.
    pub fn as_reader(&self) -> KeptStore<K> {
        KeptStore { content: self.content.clone(), patterns: self.patterns.clone(), listed: self.listed.subscribe() }
    }

    /// Applies one event of the watch.
    pub fn apply(&mut self, event: &Event<K>) {
        match event {
            Event::Apply(object) => {
                let entry = Entry::of(object, &self.patterns);
                insert(&mut self.content.write(), object, entry);
            }
            Event::Delete(object) => {
                let (namespace, mut content) = (object.namespace().unwrap_or_default(), self.content.write());
                let Some(of) = content.get_mut(namespace.as_str()) else { return };
                of.remove(object.name_any().as_str());
                if of.is_empty() {
                    content.remove(namespace.as_str());
                }
            }
            Event::Init => self.relist = HashMap::new(),
            Event::InitApply(object) => insert(&mut self.relist, object, Entry::of(object, &self.patterns)),
            Event::InitDone => {
                let mut listed = std::mem::take(&mut self.relist);
                listed.values_mut().for_each(HashMap::shrink_to_fit);
                *self.content.write() = listed;
                self.listed.send_replace(true);
            }
        }
    }
}

impl<K: Kept> KeptStore<K> {
    /// An object.
    pub fn get(&self, (namespace, name): &Key) -> Option<Arc<K>> {
        self.content.read().get(namespace.as_str())?.get(name.as_str())?.1.read(&self.patterns)
    }

    /// The summary of an object.
    pub fn summary(&self, (namespace, name): &Key) -> Option<K::Summary> {
        Some(self.content.read().get(namespace.as_str())?.get(name.as_str())?.0)
    }

    /// What `f` makes of the summaries.
    pub fn summarise<T>(&self, f: impl Fn(K::Summary) -> Option<T>) -> Vec<(Key, T)> {
        let content = self.content.read();
        let all = content.iter().flat_map(|(namespace, of)| of.iter().map(move |(name, (summary, _))| (namespace, name, summary)));
        all.filter_map(|(namespace, name, summary)| Some(((namespace.to_string(), name.to_string()), f(*summary)?))).collect()
    }

    /// The summaries alone.
    pub fn each(&self, f: impl FnMut(K::Summary)) {
        self.content.read().values().flat_map(HashMap::values).map(|(summary, _)| *summary).for_each(f);
    }

    /// The objects that this is true of. It may read this store, too: each object is read by itself.
    pub fn filter(&self, is: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let keys = self.summarise(|_| Some(()));
        keys.into_iter().filter_map(|(key, ())| self.get(&key)).filter(|object| is(object)).collect()
    }

    /// Waits until the first list is complete. A kind that is not watched, or not any more, is not waited for.
    pub async fn wait_until_ready(&self) {
        drop(self.listed.clone().wait_for(|listed| *listed).await);
    }
}

/// State and end of a request, as its status shows them. `None`: it shows none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestSummary {
    /// Its state.
    pub state: Option<RequestState>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// How long it is to be kept after that.
    ttl_after_finished: Option<Period>,
    /// What keeps it longer.
    keeps: retention::Kept,
}

impl RequestSummary {
    /// Until when the request is kept; `None` while it has not ended, and where a GitOps tool or an outstanding review keeps it.
    pub fn kept_until(self, retention: Option<Period>) -> Option<Time> {
        self.state.and_then(RequestState::outcome)?;
        retention::request(self.ended_at?, self.ttl_after_finished, retention, self.keeps)
    }
}

impl Kept for ActivationRequest {
    type Summary = RequestSummary;
    fn summary(&self) -> RequestSummary {
        let status = self.status.as_ref();
        let keeps = match status.map(convert::review) {
            Some(ReviewState::Required) => retention::Kept::UntilReviewed,
            _ if projection::is_tracked(self) => retention::Kept::ByGitOps,
            Some(ReviewState::NotRequired | ReviewState::Reviewed) | None => retention::Kept::ForAWhile,
        };
        let (state, ended_at) = (status.and_then(|status| status.state), status.and_then(|status| status.ended_at));
        RequestSummary { state, ended_at, ttl_after_finished: self.spec.ttl_after_finished, keeps }
    }
    fn is_seldom_read(&self) -> bool {
        changes::has_ended(self) || self.status.as_ref().and_then(|status| status.state) == Some(RequestState::Active)
    }
}

/// What is asked of all Grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantSummary {
    /// Whether its access may still be there.
    pub live: bool,
    /// Its end.
    pub expires_at: Time,
    /// Tells the connections to targets apart.
    pub connection: Digest,
    /// Whether the target is the cluster of the operator, which is watched.
    pub here: bool,
}

impl Kept for Grant {
    type Summary = GrantSummary;
    fn summary(&self) -> GrantSummary {
        let to = &self.spec.system.connection;
        GrantSummary {
            live: changes::is_live(self),
            expires_at: self.spec.expires_at,
            connection: Digest::of_bytes(format!("{to:?}").as_bytes()),
            here: matches!(to, Connection::Kubernetes(KubernetesConnection::InCluster(_))),
        }
    }
    fn is_seldom_read(&self) -> bool {
        let state = self.status.as_ref().and_then(|status| status.state);
        matches!(state, Some(GrantState::Active | GrantState::Ended | GrantState::Abandoned))
    }
}

impl Kept for AssignmentRequest {
    /// When it ended.
    type Summary = Option<Time>;
    fn summary(&self) -> Option<Time> {
        self.status.as_ref().and_then(|status| status.ended_at)
    }
    fn is_seldom_read(&self) -> bool {
        changes::assignment_request_has_ended(self)
    }
}

impl Kept for AccessDecision {
    type Summary = ();
    fn summary(&self) {}
    fn is_seldom_read(&self) -> bool {
        changes::final_verdict(self).is_some()
    }
}

impl Kept for Job {
    type Summary = ();
    fn summary(&self) {}
    fn is_seldom_read(&self) -> bool {
        true
    }
}

/// A binding.
impl Kept for DynamicObject {
    type Summary = ();
    fn summary(&self) {}
    fn is_seldom_read(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(name: &str, status: &Value) -> ActivationRequest {
        let mut request: ActivationRequest = serde_json::from_value(json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": name, "namespace": "payments", "uid": "u1", "resourceVersion": "7", "generation": 1,
                "creationTimestamp": "2026-11-25T11:00:00Z", "labels": {"app.kubernetes.io/instance": "payments"}},
            "spec": {"roleRef": {"name": "edit"}, "duration": "1h", "ttlAfterFinished": "30d"},
            "status": status,
        }))
        .unwrap();
        projection::request(&mut request);
        request
    }

    fn ended(name: &str) -> ActivationRequest {
        request(name, &json!({"state": "Expired", "reason": "DeadlinePassed", "endedAt": "2026-11-25T12:00:00Z", "conditions": []}))
    }

    fn key(name: &str) -> Key {
        ("payments".into(), name.into())
    }

    #[test]
    fn what_has_ended_is_kept_as_text_and_read_as_it_was() {
        let mut writer = KeptWriter::default();
        let store = writer.as_reader();
        let live = request("live", &json!({"state": "AwaitingApproval", "conditions": []}));
        for object in [&live, &ended("ended")] {
            writer.apply(&Event::Apply(object.clone()));
        }
        assert_eq!(store.get(&key("live")).as_deref(), Some(&live));
        assert_eq!(store.get(&key("ended")).as_deref(), Some(&ended("ended")));
        let texts = |store: &KeptStore<ActivationRequest>| {
            let content = store.content.read();
            let all = content.values().flat_map(HashMap::values);
            all.filter_map(|(_, entry)| if let Entry::Text(text) = entry { Some(text.len()) } else { None }).collect::<Vec<_>>()
        };
        let [bytes] = texts(&store)[..] else { panic!("one of two has ended") };
        assert!(bytes < 500, "{bytes} bytes");
        let at = Time::parse("2026-11-25T12:00:00Z");
        assert_eq!(store.summarise(|summary| summary.ended_at), [(key("ended"), at.unwrap())]);
        assert_eq!(store.filter(|object| object.name_any() == "ended").len(), 1);
        let mut states = Vec::new();
        store.each(|summary| states.push(summary.state == Some(RequestState::AwaitingApproval)));
        states.sort_unstable();
        assert_eq!(states, [false, true]);
    }

    #[test]
    fn a_deleted_object_is_gone_and_leaves_nothing_behind() {
        let mut writer = KeptWriter::default();
        let store = writer.as_reader();
        writer.apply(&Event::Apply(ended("a")));
        writer.apply(&Event::Delete(ended("b")));
        writer.apply(&Event::Delete(ended("a")));
        assert!(store.get(&key("a")).is_none() && store.content.read().is_empty());
    }

    #[tokio::test]
    async fn a_relist_counts_when_it_is_complete() {
        let mut writer = KeptWriter::default();
        let store = writer.as_reader();
        writer.apply(&Event::Apply(ended("before")));
        for event in [Event::Init, Event::InitApply(ended("after"))] {
            writer.apply(&event);
        }
        assert!(store.get(&key("before")).is_some() && store.get(&key("after")).is_none() && !*store.listed.borrow());
        writer.apply(&Event::InitDone);
        store.wait_until_ready().await;
        assert!(store.get(&key("before")).is_none() && store.get(&key("after")).is_some());
        let unwatched = KeptWriter::<ActivationRequest>::default().as_reader();
        unwatched.wait_until_ready().await;
    }
}
