//! Every watch of the operator, once, with the stores and indexes that they keep.
use super::{
    changes::{self, AssignmentRequestGroup, DecisionGroup, DecisionSubject, GrantGroup, RequestGroup, StandingGroup},
    index::Index,
    kept::{GrantSummary, KeptStore, KeptWriter, RequestSummary},
    projection, rounds,
    watch_age::WatchAges,
    watches::{OnUnreadable, Watches},
};
use crate::api::{
    AccessDecision, AccessPolicy, ActivationRequest, ActiveAssignment, AssignmentRequest, AuthorizationSystem, CurfewConfig,
    EligibleAssignment, Grant, RoleTemplate, request::RequestState, system::Provider as Connection,
};
use crate::timing::timing;
use curfew_core::{digest::Digest, ids::GRANT_LABEL, target::sources::ContentSource};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::Namespace,
    rbac::v1::{ClusterRole, Role},
};
use kube::{
    Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How many requests or decisions are listed at a time where a list cannot be streamed. Each may be as large as etcd takes it, with annotations
/// that are not kept.
const PAGE: u32 = 50;

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
    /// ActiveAssignments.
    pub standing: Store<ActiveAssignment>,
    /// ActivationRequests.
    pub requests: KeptStore<ActivationRequest>,
    /// AssignmentRequests.
    pub assignment_requests: KeptStore<AssignmentRequest>,
    /// AccessDecisions.
    pub decisions: KeptStore<AccessDecision>,
    /// Grants.
    pub grants: KeptStore<Grant>,
    /// ClusterRoles.
    pub cluster_roles: Store<ClusterRole>,
    /// Roles.
    pub roles: Store<Role>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// RoleBindings with our label.
    pub bindings: KeptStore<DynamicObject>,
    /// ClusterRoleBindings with our label.
    pub cluster_bindings: KeptStore<DynamicObject>,
    /// Job fuses.
    pub jobs: KeptStore<Job>,
    /// When the watches were last answered.
    pub ages: Arc<WatchAges>,
    /// Notified after each event of a decision, when the stores show it.
    decision_seen: Arc<Notify>,
    indexes: Indexes,
}

/// Lookups that would otherwise scan a store.
#[derive(Clone, Default)]
struct Indexes {
    requests: Index<RequestGroup, Key>,
    decisions: Index<DecisionGroup, Key>,
    grants: Index<GrantGroup, String>,
    templates: Index<ContentSource, Key>,
    assignments: Index<Key, Key>,
    standing: Index<StandingGroup, Key>,
    assignment_requests: Index<AssignmentRequestGroup, Key>,
}

/// The API resource of RoleBindings, or of ClusterRoleBindings.
pub fn binding_resource(namespaced: bool) -> ApiResource {
    let kind = if namespaced { "RoleBinding" } else { "ClusterRoleBinding" };
    ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind))
}

impl Stores {
    /// Starts every watch: what revocation needs by `revoking`, all others by `other`, which may be busy with a flood of objects.
    /// `ages` is filled by the clients.
    pub fn start(revoking: &mut Watches<'_>, other: &mut Watches<'_>, ages: Arc<WatchAges>) -> Self {
        use OnUnreadable::Delete;
        let all = watcher::Config::default;
        let known = Stores::revoking(revoking, ages);
        let seen = known.decision_seen.clone();
        let Indexes { requests, decisions, templates, assignments, assignment_requests, standing, .. } = known.indexes.clone();
        Stores {
            configs: other.start((), all(), Delete, not_indexed, changes::config_change, whole),
            systems: other.start((), all(), Delete, not_indexed, changes::system_change, whole),
            policies: other.start((), all(), Delete, not_indexed, changes::policy_change, whole),
            templates: other.start(
                (),
                all(),
                Delete,
                move |event: &Event<RoleTemplate>| {
                    templates.apply(event, |template| (changes::key(template), changes::template_sources(template)))
                },
                changes::template_change,
                whole,
            ),
            assignments: other.start(
                (),
                all(),
                Delete,
                move |event: &Event<EligibleAssignment>| {
                    assignments.apply(event, |assignment| (changes::key(assignment), vec![changes::assigned_template(assignment)]));
                },
                changes::assignment_change,
                projection::assignment,
            ),
            standing: other.start(
                (),
                all(),
                Delete,
                move |event: &Event<ActiveAssignment>| {
                    standing.apply(event, |assignment| (changes::key(assignment), changes::standing_groups(assignment)));
                },
                changes::active_assignment_change,
                whole,
            ),
            requests: other.start_kept(
                (),
                all().page_size(PAGE),
                Delete,
                move |event: &Event<ActivationRequest>| {
                    requests.apply(event, |request| (changes::key(request), changes::request_groups(request)));
                },
                changes::request_change,
                projection::request,
            ),
            assignment_requests: other.start_kept(
                (),
                all().page_size(PAGE),
                Delete,
                move |event: &Event<AssignmentRequest>| {
                    assignment_requests.apply(event, |request| (changes::key(request), changes::assignment_request_groups(request)));
                },
                changes::assignment_request_change,
                projection::assignment_request,
            ),
            decisions: other.start_kept(
                (),
                all().page_size(PAGE),
                Delete,
                move |event: &Event<AccessDecision>| {
                    decisions.apply(event, |decision| (changes::key(decision), changes::decision_groups(decision)));
                },
                move |versions| {
                    seen.notify_waiters();
                    changes::decision_change(versions)
                },
                projection::decision,
            ),
            cluster_roles: other.start((), all(), Delete, not_indexed, changes::cluster_role_change, whole),
            roles: other.start((), all(), Delete, not_indexed, changes::role_change, whole),
            namespaces: other.start((), all(), Delete, not_indexed, changes::namespace_change, whole),
            ..known
        }
    }

    /// Starts the watches of a process that only revokes: Grants, what carries their mark, CurfewConfig, which names the audit sinks,
    /// and AuthorizationSystems, which say what targets are known by. People create none of them. All other stores stay empty.
    pub fn revoke_only(watches: &mut Watches<'_>, ages: Arc<WatchAges>) -> Self {
        let all = watcher::Config::default;
        let configs = watches.start((), all(), OnUnreadable::Delete, not_indexed, |_| None, whole);
        let systems = watches.start((), all(), OnUnreadable::Delete, not_indexed, |_| None, whole);
        Stores { configs, systems, ..Stores::revoking(watches, ages) }
    }

    /// Starts the watches that revocation needs: Grants and what carries their mark.
    fn revoking(watches: &mut Watches<'_>, ages: Arc<WatchAges>) -> Self {
        let marked = || watcher::Config::default().labels(GRANT_LABEL);
        let indexes = Indexes::default();
        let grants = indexes.grants.clone();
        Stores {
            grants: watches.start_kept(
                (),
                watcher::Config::default(),
                OnUnreadable::Keep,
                move |event: &Event<Grant>| grants.apply(event, |grant| (grant.name_any(), changes::grant_groups(grant))),
                changes::grant_change,
                whole,
            ),
            bindings: watches.start_kept(
                binding_resource(true),
                marked(),
                OnUnreadable::Delete,
                not_indexed,
                changes::marked_change,
                whole,
            ),
            cluster_bindings: watches.start_kept(
                binding_resource(false),
                marked(),
                OnUnreadable::Delete,
                not_indexed,
                changes::marked_change,
                whole,
            ),
            jobs: watches.start_kept((), marked(), OnUnreadable::Delete, not_indexed, changes::marked_change, projection::fuse),
            configs: unwatched(),
            systems: unwatched(),
            policies: unwatched(),
            templates: unwatched(),
            assignments: unwatched(),
            standing: unwatched(),
            requests: KeptWriter::default().as_reader(),
            assignment_requests: KeptWriter::default().as_reader(),
            decisions: KeptWriter::default().as_reader(),
            cluster_roles: unwatched(),
            roles: unwatched(),
            namespaces: unwatched(),
            ages,
            decision_seen: Arc::default(),
            indexes,
        }
    }

    /// Waits until every store has had its first full list. Indexes are complete before their stores.
    pub async fn ready(&self) {
        // A store without a watch is not waited for. One whose watch has ended is not either; then the process is ending.
        let _ready = futures::join!(
            self.configs.wait_until_ready(),
            self.systems.wait_until_ready(),
            self.policies.wait_until_ready(),
            self.templates.wait_until_ready(),
            self.assignments.wait_until_ready(),
            self.standing.wait_until_ready(),
            self.requests.wait_until_ready(),
            self.assignment_requests.wait_until_ready(),
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
    pub fn config(&self) -> Option<Arc<CurfewConfig>> {
        self.configs.get(&ObjectRef::new(crate::api::CONFIG_NAME))
    }

    /// A request.
    pub fn request(&self, key: &Key) -> Option<Arc<ActivationRequest>> {
        self.requests.get(key)
    }

    /// An AssignmentRequest.
    pub fn assignment_request(&self, key: &Key) -> Option<Arc<AssignmentRequest>> {
        self.assignment_requests.get(key)
    }

    /// The keys of the AssignmentRequests of a group.
    pub fn live_assignment_requests(&self, group: &AssignmentRequestGroup) -> Vec<Key> {
        self.indexes.assignment_requests.ids(group)
    }

    /// An assignment.
    pub fn assignment(&self, key: &Key) -> Option<Arc<EligibleAssignment>> {
        get(&self.assignments, key)
    }

    /// A decision.
    pub fn decision(&self, key: &Key) -> Option<Arc<AccessDecision>> {
        self.decisions.get(key)
    }

    /// A template.
    pub fn template(&self, key: &Key) -> Option<Arc<RoleTemplate>> {
        get(&self.templates, key)
    }

    /// A Grant.
    pub fn grant(&self, id: &str) -> Option<Arc<Grant>> {
        self.grants.get(&(String::new(), id.to_owned()))
    }

    /// What is asked of all Grants, of one.
    pub fn grant_summary(&self, id: &str) -> Option<GrantSummary> {
        self.grants.summary(&(String::new(), id.to_owned()))
    }

    /// Every connection to a target that a Grant names, live or ended, once.
    pub fn granted_connections(&self) -> Vec<Connection> {
        let all = self.grants.summarise(|grant| Some(grant.connection));
        let distinct: BTreeMap<Digest, Key> = all.into_iter().map(|(key, connection)| (connection, key)).collect();
        distinct.values().filter_map(|key| self.grants.get(key)).map(|grant| grant.spec.system.connection.clone()).collect()
    }

    /// An AuthorizationSystem.
    pub fn system(&self, name: &str) -> Option<Arc<AuthorizationSystem>> {
        self.systems.get(&ObjectRef::new(name))
    }

    /// The requests of a group.
    pub fn live_requests(&self, group: &RequestGroup) -> Vec<Arc<ActivationRequest>> {
        self.indexes.requests.ids(group).iter().filter_map(|key| self.request(key)).collect()
    }

    /// The summaries of the requests of a group.
    pub fn live_request_summaries(&self, group: &RequestGroup) -> Vec<RequestSummary> {
        self.indexes.requests.ids(group).iter().filter_map(|key| self.requests.summary(key)).collect()
    }

    /// The keys of the requests of a group.
    pub fn live_request_keys(&self, group: &RequestGroup) -> Vec<Key> {
        self.indexes.requests.ids(group)
    }

    /// The decisions about a request or a Grant.
    pub fn decisions_about(&self, subject: &DecisionSubject) -> Vec<Arc<AccessDecision>> {
        self.indexes.decisions.ids(&DecisionGroup::About(subject.clone())).iter().filter_map(|key| self.decision(key)).collect()
    }

    /// Waits until the stores show a decision in this version or a later one, and with it every decision that was created before;
    /// `false` if that takes too long. The events of one watch arrive in the order of their versions.
    pub async fn shows_decision(&self, key: &Key, version: &str, limit: Duration) -> bool {
        let Ok(wanted) = version.parse::<u64>() else { return false };
        let until = tokio::time::Instant::now() + limit;
        loop {
            let mut seen = std::pin::pin!(self.decision_seen.notified());
            // Before the look: an event in between must not be missed.
            seen.as_mut().enable();
            let shown = self.decision(key).and_then(|decision| decision.resource_version()?.parse::<u64>().ok());
            if shown.is_some_and(|shown| shown >= wanted) {
                return true;
            }
            if tokio::time::timeout_at(until, seen).await.is_err() {
                return false;
            }
        }
    }

    /// The decisions without a final verdict.
    pub fn open_decisions(&self) -> Vec<Arc<AccessDecision>> {
        self.indexes.decisions.ids(&DecisionGroup::Open).iter().filter_map(|key| self.decision(key)).collect()
    }

    /// How many decisions of this person in this namespace have no final verdict.
    pub fn open_decisions_by(&self, namespace: &str, decider: &str) -> usize {
        self.indexes.decisions.count(&DecisionGroup::OpenBy(namespace.to_owned(), decider.to_owned()))
    }

    /// How many live requests this person has in this namespace.
    pub fn live_requests_by(&self, namespace: &str, requester: &str) -> usize {
        self.indexes.requests.count(&RequestGroup::Requester(namespace.to_owned(), requester.to_owned()))
    }

    /// How many requests have a break-glass access that nobody has reviewed.
    pub fn unreviewed_requests(&self) -> usize {
        self.indexes.requests.count(&RequestGroup::Unreviewed)
    }

    /// The Grants of a group, of which some have ended ones, too.
    pub fn live_grants(&self, group: &GrantGroup) -> Vec<Arc<Grant>> {
        self.indexes.grants.ids(group).iter().filter_map(|id| self.grant(id)).collect()
    }

    /// The summaries of the Grants of a group.
    pub fn live_grant_summaries(&self, group: &GrantGroup) -> Vec<GrantSummary> {
        self.indexes.grants.ids(group).iter().filter_map(|id| self.grant_summary(id)).collect()
    }

    /// The names of the live Grants on the cluster of the operator, which is watched, or of those elsewhere.
    pub fn live_grants_here(&self, here: bool) -> Vec<String> {
        let mut ids = self.live_grant_ids(&GrantGroup::Live);
        ids.retain(|id| self.grant_summary(id).is_some_and(|grant| grant.here == here));
        ids
    }

    /// The keys of the live requests whose access is there, or of the others.
    pub fn requests_with_access(&self, active: bool) -> Vec<Key> {
        let mut keys = self.live_request_keys(&RequestGroup::Live);
        keys.retain(|key| self.requests.summary(key).is_some_and(|request| active == (request.state == Some(RequestState::Active))));
        keys
    }

    /// How many of what the watches show a round of a heartbeat may take: everything when they are silent.
    pub fn most_watched(&self) -> usize {
        if self.ages.are_answered(timing().watch_stale, Instant::now()) { rounds::WATCHED } else { usize::MAX }
    }

    /// The names of the Grants of a group.
    pub fn live_grant_ids(&self, group: &GrantGroup) -> Vec<String> {
        self.indexes.grants.ids(group)
    }

    /// Whether a request of this name, but with another uid, has had a Grant that is still kept.
    pub fn is_name_used(&self, key: &Key, uid: &str) -> bool {
        let ids = self.indexes.grants.ids(&GrantGroup::Name(key.clone()));
        ids.iter().filter_map(|id| self.grant(id)).any(|grant| grant.spec.request.uid != uid)
    }

    /// The templates whose content is read from an object.
    pub fn templates_from(&self, source: &ContentSource) -> Vec<Key> {
        self.indexes.templates.ids(source)
    }

    /// An ActiveAssignment.
    pub fn active_assignment(&self, key: &Key) -> Option<Arc<ActiveAssignment>> {
        get(&self.standing, key)
    }

    /// The ActiveAssignments of a group.
    pub fn standing_in(&self, group: &StandingGroup) -> Vec<Key> {
        self.indexes.standing.ids(group)
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

/// Keeps an object as it is.
fn whole<K>(_: &mut K) {}

/// The store of a kind that this process does not watch. It stays empty.
fn unwatched<K: Resource<DynamicType = ()> + Clone + 'static>() -> Store<K> {
    Writer::default().as_reader()
}
