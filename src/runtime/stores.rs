//! Every watch of the operator, once, with the stores and indexes that they keep.
use super::{
    changes::{self, Change, DecisionSubject, GrantGroup, RequestGroup},
    index::Index,
    panics::Panics,
    tasks::Tasks,
    watch_age::WatchAges,
    watches::{OnUnreadable, Watches},
};
use crate::api::{
    AccessDecision, AccessPolicy, ActivationRequest, AuthorizationSystem, CurfewConfig, EligibleAssignment, Grant, RoleTemplate,
};
use curfew_core::{ids::GRANT_LABEL, target::sources::ContentSource};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::Namespace,
    rbac::v1::{ClusterRole, Role},
};
use kube::{
    Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::{self, Event},
    },
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Namespace and name of an object.
pub type Key = (String, String);

/// What the watches have brought. It may be older than what the API server holds.
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
    /// When the watches were last answered.
    pub ages: Arc<WatchAges>,
    indexes: Indexes,
}

/// Lookups that would otherwise scan a store.
#[derive(Clone, Default)]
struct Indexes {
    requests: Index<RequestGroup, Key>,
    decisions: Index<DecisionSubject, Key>,
    grants: Index<GrantGroup, String>,
    templates: Index<ContentSource, Key>,
    assignments: Index<Key, Key>,
}

/// The API resource of RoleBindings, or of ClusterRoleBindings.
pub fn binding_resource(namespaced: bool) -> ApiResource {
    let kind = if namespaced { "RoleBinding" } else { "ClusterRoleBinding" };
    ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind))
}

impl Stores {
    /// Starts every watch in `tasks`. Changes arrive in the receiver. `ages` is filled by the client.
    pub fn start(client: &Client, ages: Arc<WatchAges>, tasks: &mut Tasks, panics: Panics) -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let mut watches = Watches { client, tasks, panics, changes };
        use OnUnreadable::{Delete, Keep};
        let all = watcher::Config::default;
        let marked = || watcher::Config::default().labels(GRANT_LABEL);
        let indexes = Indexes::default();
        let Indexes { requests, decisions, grants, templates, assignments } = indexes.clone();
        let stores = Stores {
            configs: watches.start((), all(), Delete, not_indexed, changes::config_change),
            systems: watches.start((), all(), Delete, not_indexed, changes::system_change),
            policies: watches.start((), all(), Delete, not_indexed, changes::policy_change),
            templates: watches.start(
                (),
                all(),
                Delete,
                move |event: &Event<RoleTemplate>| {
                    templates.apply(event, |template| (changes::key(template), changes::template_sources(template)))
                },
                changes::template_change,
            ),
            assignments: watches.start(
                (),
                all(),
                Delete,
                move |event: &Event<EligibleAssignment>| {
                    assignments.apply(event, |assignment| (changes::key(assignment), vec![changes::assigned_template(assignment)]));
                },
                changes::assignment_change,
            ),
            requests: watches.start(
                (),
                all(),
                Delete,
                move |event: &Event<ActivationRequest>| {
                    requests.apply(event, |request| (changes::key(request), changes::request_groups(request)));
                },
                changes::request_change,
            ),
            decisions: watches.start(
                (),
                all(),
                Delete,
                move |event: &Event<AccessDecision>| {
                    decisions.apply(event, |decision| (changes::key(decision), vec![changes::subject(decision)]));
                },
                changes::decision_change,
            ),
            grants: watches.start(
                (),
                all(),
                Keep,
                move |event: &Event<Grant>| grants.apply(event, |grant| (grant.name_any(), changes::grant_groups(grant))),
                changes::grant_change,
            ),
            cluster_roles: watches.start((), all(), Delete, not_indexed, changes::cluster_role_change),
            roles: watches.start((), all(), Delete, not_indexed, changes::role_change),
            namespaces: watches.start((), all(), Delete, not_indexed, changes::namespace_change),
            bindings: watches.start(binding_resource(true), marked(), Delete, not_indexed, changes::marked_change),
            cluster_bindings: watches.start(binding_resource(false), marked(), Delete, not_indexed, changes::marked_change),
            jobs: watches.start((), marked(), Delete, not_indexed, changes::marked_change),
            ages,
            indexes,
        };
        (stores, receiver)
    }

    /// Waits until every store has had its first full list. Indexes are complete before their stores.
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
        self.configs.get(&ObjectRef::new(crate::api::CONFIG_NAME)).map(|config| config.as_ref().clone())
    }

    /// A request.
    pub fn request(&self, key: &Key) -> Option<Arc<ActivationRequest>> {
        get(&self.requests, key)
    }

    /// A decision.
    pub fn decision(&self, key: &Key) -> Option<Arc<AccessDecision>> {
        get(&self.decisions, key)
    }

    /// A template.
    pub fn template(&self, key: &Key) -> Option<Arc<RoleTemplate>> {
        get(&self.templates, key)
    }

    /// A Grant.
    pub fn grant(&self, id: &str) -> Option<Arc<Grant>> {
        self.grants.get(&ObjectRef::new(id))
    }

    /// An AuthorizationSystem.
    pub fn system(&self, name: &str) -> Option<Arc<AuthorizationSystem>> {
        self.systems.get(&ObjectRef::new(name))
    }

    /// The requests of a group.
    pub fn live_requests(&self, group: &RequestGroup) -> Vec<Arc<ActivationRequest>> {
        self.indexes.requests.ids(group).iter().filter_map(|key| self.request(key)).collect()
    }

    /// The keys of the requests of a group.
    pub fn live_request_keys(&self, group: &RequestGroup) -> Vec<Key> {
        self.indexes.requests.ids(group)
    }

    /// The decisions about a request or a Grant.
    pub fn decisions_about(&self, subject: &DecisionSubject) -> Vec<Arc<AccessDecision>> {
        self.indexes.decisions.ids(subject).iter().filter_map(|key| self.decision(key)).collect()
    }

    /// The Grants of a group.
    pub fn live_grants(&self, group: &GrantGroup) -> Vec<Arc<Grant>> {
        self.indexes.grants.ids(group).iter().filter_map(|id| self.grant(id)).collect()
    }

    /// The templates whose content is read from an object.
    pub fn templates_from(&self, source: &ContentSource) -> Vec<Key> {
        self.indexes.templates.ids(source)
    }

    /// The assignments for a template.
    pub fn assignments_for(&self, template: &Key) -> Vec<Arc<EligibleAssignment>> {
        self.indexes.assignments.ids(template).iter().filter_map(|key| get(&self.assignments, key)).collect()
    }
}

fn get<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>, (namespace, name): &Key) -> Option<Arc<K>> {
    store.get(&ObjectRef::new(name).within(namespace))
}

fn not_indexed<K>(_: &Event<K>) {}
