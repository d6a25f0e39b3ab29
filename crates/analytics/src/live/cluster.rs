//! Who may do what in a cluster: its RBAC objects, service accounts and namespaces, kept up to date by watches, and its discovery.
use crate::kubernetes::{
    dump::{Dump, NotADump},
    kinds::{Discovery, NotDiscovery},
};
use futures::StreamExt;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ObjectMeta},
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::watch, task::JoinSet};

/// Group, kind and plural of what is watched, and whether more than the metadata is.
const KINDS: [(&str, &str, &str, bool); 6] = [
    (crate::kubernetes::RBAC, "ClusterRole", "clusterroles", true),
    (crate::kubernetes::RBAC, "Role", "roles", true),
    (crate::kubernetes::RBAC, "ClusterRoleBinding", "clusterrolebindings", true),
    (crate::kubernetes::RBAC, "RoleBinding", "rolebindings", true),
    ("", "ServiceAccount", "serviceaccounts", false),
    ("", "Namespace", "namespaces", false),
];
/// What roles and bindings have besides their metadata.
const FIELDS: [&str; 4] = ["rules", "aggregationRule", "roleRef", "subjects"];
/// What kubectl keeps of a manifest: a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Discovery of all groups in one answer, in the versions that API servers have.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Namespace and name.
type Name = (String, String);

#[derive(Default)]
struct Watched {
    objects: BTreeMap<Name, Value>,
    /// A list that is being read.
    fresh: BTreeMap<Name, Value>,
    listed: bool,
    /// Why the watch does not answer, if it does not.
    trouble: Option<String>,
}

/// A cluster. It is watched until this is dropped.
pub struct Cluster {
    client: Client,
    watched: Arc<Mutex<[Watched; KINDS.len()]>>,
    changed: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

/// Why the inventory of a cluster is not known.
#[derive(thiserror::Error, Debug)]
pub enum NoInventory {
    /// A list has not come yet, or a watch is refused.
    #[error("{0}")]
    NotListed(String),
    /// The API server does not show its kinds.
    #[error("the discovery of the API server cannot be read: {0}")]
    NoAnswer(#[from] kube::Error),
    /// It shows something else.
    #[error(transparent)]
    NotDiscovery(#[from] NotDiscovery),
    /// There is no RBAC in the cluster.
    #[error("the API server lists no RBAC: {0}")]
    NotADump(#[from] NotADump),
}

impl Cluster {
    /// Begins to watch.
    pub fn watch(client: Client) -> Self {
        let watched: Arc<Mutex<[Watched; KINDS.len()]>> = Arc::default();
        let (send, changed) = watch::channel(0);
        let send = Arc::new(send);
        let mut tasks = JoinSet::new();
        for index in 0..KINDS.len() {
            tasks.spawn(keep(client.clone(), index, watched.clone(), send.clone()));
        }
        Self { client, watched, changed, _tasks: tasks }
    }

    /// Changes with each change of an object, as far as the analysis reads it.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// The objects as they are, and the kinds that the API server has.
    ///
    /// # Errors
    /// If one of the lists has not come yet, and why; or the API server does not answer.
    pub async fn read(&self) -> Result<(Dump, Discovery), NoInventory> {
        let mut text = String::new();
        for path in ["/api", "/apis"] {
            let ask = http::Request::get(path).header(http::header::ACCEPT, ACCEPT).body(Vec::new());
            let ask = ask.map_err(|error| NoInventory::NotListed(error.to_string()))?;
            text += &self.client.request_text(ask).await?;
        }
        let discovery = Discovery::parse(&text)?;
        let mut items = Vec::new();
        for ((_, _, plural, _), watched) in KINDS.iter().zip(&*self.watched.lock()) {
            match &watched.trouble {
                Some(why) if !watched.listed => return Err(NoInventory::NotListed(format!("{plural} cannot be listed: {why}"))),
                None if !watched.listed => return Err(NoInventory::NotListed(format!("{plural} are not listed yet"))),
                _ => items.extend(watched.objects.values().cloned()),
            }
        }
        Ok((Dump::of(items)?, discovery))
    }

    /// Why what was listed may be out of date: a watch that does not answer.
    pub fn trouble(&self) -> Option<String> {
        let watched = self.watched.lock();
        KINDS
            .iter()
            .zip(&*watched)
            .find_map(|((_, _, plural, _), one)| Some(format!("{plural} cannot be watched: {}", one.trouble.as_ref()?)))
    }
}

/// Watches one kind.
async fn keep(client: Client, index: usize, watched: Arc<Mutex<[Watched; KINDS.len()]>>, changed: Arc<watch::Sender<u64>>) {
    let (group, kind, plural, whole) = KINDS[index];
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let resource =
        ApiResource { group: group.into(), version: "v1".into(), api_version: version, kind: kind.into(), plural: plural.into() };
    let config = watcher::Config::default();
    let of_meta = |meta: ObjectMeta| (meta, Value::Null);
    let mut events = if whole {
        let events = watcher(Api::<DynamicObject>::all_with(client, &resource), config).default_backoff();
        events.map(|event| event.map(|event| mapped(event, |object| (object.metadata, object.data)))).boxed()
    } else {
        let events = watcher(Api::<PartialObjectMeta<DynamicObject>>::all_with(client, &resource), config).default_backoff();
        events.map(move |event| event.map(|event| mapped(event, |object| of_meta(object.metadata)))).boxed()
    };
    while let Some(event) = events.next().await {
        let mut all = watched.lock();
        let one = &mut all[index];
        let is_change = match event {
            Ok(event) => {
                one.trouble = None;
                apply(one, kind, event)
            }
            Err(error) => {
                tracing::warn!(kind, %error, "a watch does not answer");
                one.trouble = Some(error.to_string());
                false
            }
        };
        drop(all);
        if is_change {
            changed.send_modify(|revision| *revision += 1);
        }
    }
}

/// Metadata, and the other fields.
type Parts = (ObjectMeta, Value);

fn mapped<K>(event: watcher::Event<K>, parts: impl Fn(K) -> Parts) -> watcher::Event<Parts> {
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(parts(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(parts(object)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(parts(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}

/// Applies an event; whether it changes what the analysis reads.
fn apply(watched: &mut Watched, kind: &str, event: watcher::Event<Parts>) -> bool {
    match event {
        watcher::Event::Init => {
            watched.fresh.clear();
            false
        }
        watcher::Event::InitApply(parts) => {
            let (name, object) = kept(kind, parts);
            watched.fresh.insert(name, object);
            false
        }
        watcher::Event::InitDone => {
            let fresh = std::mem::take(&mut watched.fresh);
            let is_change = !watched.listed || fresh != watched.objects;
            (watched.objects, watched.listed) = (fresh, true);
            is_change
        }
        watcher::Event::Apply(parts) => {
            let (name, object) = kept(kind, parts);
            watched.objects.get(&name) != Some(&object) && {
                watched.objects.insert(name, object);
                true
            }
        }
        watcher::Event::Delete(parts) => watched.objects.remove(&kept(kind, parts).0).is_some(),
    }
}

/// An object as the analysis reads it, without what changes with every write.
fn kept(kind: &str, (meta, data): Parts) -> (Name, Value) {
    let key = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    let mut object = Map::new();
    object.insert("kind".into(), kind.into());
    object.insert(
        "metadata".into(),
        json!({"name": key.1, "namespace": key.0, "labels": meta.labels, "annotations": annotations, "creationTimestamp": meta.creation_timestamp}),
    );
    if let Value::Object(mut data) = data {
        object.extend(FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), data.remove(*field)?))));
    }
    (key, object.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, version: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.into()), resource_version: Some(version.into()), ..ObjectMeta::default() }
    }

    #[test]
    fn only_what_the_analysis_reads_is_a_change() {
        let mut watched = Watched::default();
        let role = |version: &str, rules: Value| (named("r", version), json!({"rules": rules, "status": version}));
        assert!(!apply(&mut watched, "ClusterRole", watcher::Event::InitApply(role("1", json!([])))));
        assert!(apply(&mut watched, "ClusterRole", watcher::Event::InitDone) && watched.listed);
        assert!(!apply(&mut watched, "ClusterRole", watcher::Event::Apply(role("2", json!([])))), "another version alone");
        assert!(apply(&mut watched, "ClusterRole", watcher::Event::Apply(role("3", json!([{"verbs": ["get"]}])))));
        assert!(apply(&mut watched, "ClusterRole", watcher::Event::Delete(role("4", json!([])))));
        assert!(!apply(&mut watched, "ClusterRole", watcher::Event::Delete(role("4", json!([])))));
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one() {
        let mut watched = Watched::default();
        for (round, name) in [("1", "a"), ("2", "b")] {
            apply(&mut watched, "Namespace", watcher::Event::Init);
            apply(&mut watched, "Namespace", watcher::Event::InitApply((named(name, round), Value::Null)));
            assert!(apply(&mut watched, "Namespace", watcher::Event::InitDone));
        }
        assert_eq!(watched.objects.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
