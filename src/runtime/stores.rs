//! Every watch of the operator, once, and one stream of what has changed.
use crate::{
    api::{
        AccessDecision, AccessPolicy, ActivationRequest, AuthorizationSystem, CurfewConfig, EligibleAssignment, Grant, RoleTemplate,
        decision::About,
    },
};
use curfew_core::ids::GRANT_LABEL;
use futures::StreamExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::Namespace,
    rbac::v1::{ClusterRole, Role},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        utils::Backoff,
        watcher,
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, time::Duration};
use tokio::{sync::mpsc, task::JoinSet};

/// An object of a namespace.
pub type Key = (String, String);

/// What has changed, as far as somebody must look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A request.
    Request(Key),
    /// A request is gone: its Grant must know at once.
    RequestGone(Key),
    /// A decision, and the request or the Grant that it is about.
    Decision(Key, Option<String>, Option<String>),
    /// A Grant, and the request behind it.
    Grant(String, Key),
    /// Something that carries a Grant's label.
    Marked(String),
    /// A policy, a role, a namespace …: whatever rests on it must be looked at again.
    PolicyInputs,
    /// A whole list was read anew.
    Resync,
}

/// What the operator knows without asking.
#[derive(Clone)]
pub struct Stores {
    /// CurfewConfig.
    pub configs: Store<CurfewConfig>,
    /// AuthorizationSystems.
    pub systems: Store<AuthorizationSystem>,
    /// AccessPolicies.
    pub policies: Store<AccessPolicy>,
    /// RoleTemplates.
    pub templates: Store<RoleTemplate>,
    /// EligibleAssignments.
    pub assignments: Store<EligibleAssignment>,
    /// ActivationRequests.
    pub requests: Store<ActivationRequest>,
    /// AccessDecisions.
    pub decisions: Store<AccessDecision>,
    /// Grants.
    pub grants: Store<Grant>,
    /// ClusterRoles.
    pub cluster_roles: Store<ClusterRole>,
    /// Roles.
    pub roles: Store<Role>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// RoleBindings with our label.
    pub bindings: Store<DynamicObject>,
    /// ClusterRoleBindings with our label.
    pub cluster_bindings: Store<DynamicObject>,
    /// Job fuses.
    pub jobs: Store<Job>,
}

/// The API resource of RoleBindings, or of ClusterRoleBindings.
pub fn binding_resource(namespaced: bool) -> ApiResource {
    let kind = if namespaced { "RoleBinding" } else { "ClusterRoleBinding" };
    ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind))
}

type Changes = mpsc::UnboundedSender<Change>;

impl Stores {
    /// Starts every watch in `tasks`. Changes arrive in the receiver.
    pub fn start(client: &Client, tasks: &mut JoinSet<()>) -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (send, receive) = mpsc::unbounded_channel();
        let mut w = Watches { client, tasks, send };
        let marked = watcher::Config::default().labels(GRANT_LABEL);
        let stores = Stores {
            configs: w.all(|_, _| Change::PolicyInputs),
            systems: w.all(|_, _| Change::PolicyInputs),
            policies: w.all(|_, _| Change::PolicyInputs),
            templates: w.all(|_, _| Change::PolicyInputs),
            assignments: w.all(|_, _| Change::PolicyInputs),
            requests: w.all(|r: &ActivationRequest, gone| if gone { Change::RequestGone(key(r)) } else { Change::Request(key(r)) }),
            decisions: w
                .all(|d: &AccessDecision, _| Change::Decision(key(d), about(d).map(str::to_owned), about_grant(d).map(str::to_owned))),
            grants: w.all(|g: &Grant, _| Change::Grant(g.name_any(), (g.spec.request.namespace.clone(), g.spec.request.name.clone()))),
            cluster_roles: w.all(|_, _| Change::PolicyInputs),
            roles: w.all(|_, _| Change::PolicyInputs),
            namespaces: w.all(|_, _| Change::PolicyInputs),
            bindings: w.watch(Api::all_with(client.clone(), &binding_resource(true)), binding_resource(true), marked.clone(), mark),
            cluster_bindings: w.watch(Api::all_with(client.clone(), &binding_resource(false)), binding_resource(false), marked.clone(), mark),
            jobs: w.watch(Api::all_with(client.clone(), &ApiResource::erase::<Job>(&())), (), marked, mark),
        };
        (stores, receive)
    }

    /// Waits until every store has had its first full list.
    pub async fn ready(&self) {
        // A store whose watch has ended is never ready; then the process is ending, too.
        let _ready = futures::join!(
            self.configs.wait_until_ready(),
            self.systems.wait_until_ready(),
            self.policies.wait_until_ready(),
            self.templates.wait_until_ready(),
            self.assignments.wait_until_ready(),
            self.requests.wait_until_ready(),
            self.decisions.wait_until_ready(),
            self.grants.wait_until_ready(),
            self.cluster_roles.wait_until_ready(),
            self.roles.wait_until_ready(),
            self.namespaces.wait_until_ready(),
            self.bindings.wait_until_ready(),
            self.cluster_bindings.wait_until_ready(),
            self.jobs.wait_until_ready(),
        );
    }

    /// The one CurfewConfig.
    pub fn config(&self) -> Option<CurfewConfig> {
        self.configs.state().iter().find(|c| c.name_any() == crate::api::CONFIG_NAME).map(|c| (**c).clone())
    }
}

fn key<K: ResourceExt>(o: &K) -> Key {
    (o.namespace().unwrap_or_default(), o.name_any())
}

/// The request that a decision is about.
pub fn about(d: &AccessDecision) -> Option<&str> {
    match &d.spec.about {
        About::ActivationRequest(r) => Some(&r.name),
        About::Grant(_) => None,
    }
}

/// The Grant that a decision is about.
pub fn about_grant(d: &AccessDecision) -> Option<&str> {
    match &d.spec.about {
        About::Grant(g) => Some(&g.name),
        About::ActivationRequest(_) => None,
    }
}

fn mark<K: ResourceExt>(o: &K, _: bool) -> Change {
    o.labels().get(GRANT_LABEL).map_or(Change::PolicyInputs, |g| Change::Marked(g.clone()))
}

/// The event of a kind; nothing for an object that cannot be read as one, which is said and then passed over.
fn typed<K: Resource + DeserializeOwned>(
    event: Result<watcher::Event<DynamicObject>, watcher::Error>,
) -> Result<Option<watcher::Event<K>>, watcher::Error> {
    let read = |o: DynamicObject| {
        let (name, namespace) = (o.name_any(), o.namespace().unwrap_or_default());
        o.try_parse::<K>().map_err(|e| tracing::error!(name, namespace, error = %e, "an object cannot be read; it is passed over")).ok()
    };
    Ok(match event? {
        watcher::Event::Apply(o) => read(o).map(watcher::Event::Apply),
        watcher::Event::Delete(o) => read(o).map(watcher::Event::Delete),
        watcher::Event::InitApply(o) => read(o).map(watcher::Event::InitApply),
        watcher::Event::Init => Some(watcher::Event::Init),
        watcher::Event::InitDone => Some(watcher::Event::InitDone),
    })
}

/// Pauses between tries of a watch: kube's own grow to half a minute, and so long after an API server is back somebody's Deny
/// would not be heard.
#[derive(Default)]
struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250 << self.0.min(4));
        self.0 += 1;
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

struct Watches<'a> {
    client: &'a Client,
    tasks: &'a mut JoinSet<()>,
    send: Changes,
}

impl Watches<'_> {
    fn all<K>(&mut self, change: impl Fn(&K, bool) -> Change + Send + 'static) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let api = Api::all_with(self.client.clone(), &ApiResource::erase::<K>(&()));
        self.watch(api, (), watcher::Config::default(), change)
    }

    fn watch<K>(
        &mut self,
        api: Api<DynamicObject>,
        kind: K::DynamicType,
        config: watcher::Config,
        change: impl Fn(&K, bool) -> Change + Send + 'static,
    ) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Debug + Send + Sync + 'static,
    {
        let name = K::plural(&kind).into_owned();
        let writer = reflector::store::Writer::<K>::new(kind);
        let (store, send) = (writer.as_reader(), self.send.clone());
        // Read as what it is only here: one object that cannot be read must not keep all others from being seen. managedFields
        // and annotations are most of an object, and no rule reads them.
        let events = watcher(api, config).backoff(Pauses::default()).modify(|o| {
            o.managed_fields_mut().clear();
            o.annotations_mut().clear();
        });
        let events = events.filter_map(move |e| std::future::ready(typed(e).transpose()));
        let mut events = Box::pin(reflector::reflector(writer, events));
        self.tasks.spawn(async move {
            while let Some(event) = events.next().await {
                let change = match event {
                    Ok(watcher::Event::Apply(o)) => change(&o, false),
                    Ok(watcher::Event::Delete(o)) => change(&o, true),
                    Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => continue,
                    Ok(watcher::Event::InitDone) => Change::Resync,
                    Err(e) => {
                        tracing::warn!(kind = name, error = %e, "a watch was interrupted; it starts again");
                        continue;
                    }
                };
                if send.send(change).is_err() {
                    return;
                }
            }
        });
        store
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_taken_up_again_within_seconds_however_long_it_was_away() {
        let mut pauses = Pauses::default();
        let mut millis = |n: usize| pauses.by_ref().take(n).map(|p| p.as_millis()).collect::<Vec<_>>();
        assert_eq!(millis(6), [250, 500, 1000, 2000, 4000, 4000]);
        assert_eq!(millis(1000).last(), Some(&4000));
        pauses.reset();
        assert_eq!(pauses.next(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_passed_over_and_the_rest_is_seen() {
        let object = |spec: serde_json::Value| {
            let v = serde_json::json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "a", "namespace": "b"}, "spec": spec});
            watcher::Event::InitApply(serde_json::from_value::<DynamicObject>(v).unwrap())
        };
        let good = typed::<ActivationRequest>(Ok(object(serde_json::json!({"roleRef": {"name": "r"}})))).unwrap();
        assert!(matches!(good, Some(watcher::Event::InitApply(r)) if r.spec.role_ref.name == "r"));
        let bad = serde_json::json!({"roleRef": {"name": "r"}, "notAfter": "2026-01-01T00:00:00+99:99"});
        assert!(typed::<ActivationRequest>(Ok(object(bad))).unwrap().is_none());
        assert!(matches!(typed::<ActivationRequest>(Ok(watcher::Event::InitDone)).unwrap(), Some(watcher::Event::InitDone)));
    }
}
