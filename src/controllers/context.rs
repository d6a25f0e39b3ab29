//! The state that every controller shares.
use super::{convert, emergency::ToldUses, live_reads::LiveReads};
use crate::{
    api::{ActivationRequest, AssignmentRequest, Grant, assignment_request::AssignmentRequestStatus, request::ActivationRequestStatus},
    audit::AuditLog,
    authority::Authority,
    identity::NAMESPACE,
    notify::{Notice, Notifier},
    observe::{Events, Metrics},
    providers::Registry,
    runtime::{
        expectations::Expectations,
        stores::{Key, Stores},
    },
    traces::Traces,
};
use curfew_core::{
    admission::{AdmissionHistory, Provenance, Seen},
    follow::Overdue,
    grant as core_grant,
    notice::NoticeEvent,
    time::Time,
};
use kube::{Client, Resource, ResourceExt};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// A request waits a few seconds for what is absent, and then it ends.
const ABSENT_REMEMBERED_SECS: i64 = 3600;

/// The state that every controller shares. Clones share it, too.
#[derive(Clone)]
pub struct Context {
    /// The client of the operator's own API server.
    pub client: Client,
    /// What the watches have brought.
    pub stores: Stores,
    /// Live reads that requests share.
    pub live: LiveReads,
    /// Whether this replica may grant, and the time.
    pub authority: Arc<Authority>,
    /// The connections to targets.
    pub registry: Registry,
    /// The install id.
    pub install: String,
    /// The name of this replica.
    pub replica: String,
    /// Publishes Kubernetes Events.
    pub events: Events,
    /// Sends notifications by chat, e-mail and webhook.
    pub notifier: Notifier,
    /// The audit log, which outlives the objects.
    pub audit: AuditLog,
    /// The traces of requests, if there are any.
    pub traces: Traces,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Notified when a reconcile waits for the next admission proof.
    pub proof_wanted: Arc<Notify>,
    /// Notified when an admission proof has been recorded.
    pub proof_recorded: Arc<Notify>,
    /// What is due and has not ended, and when that became less.
    pub overdue: Arc<Mutex<Overdue<String>>>,
    /// How many break-glass accesses nobody has reviewed whose request was deleted, as the last sweep of slots has found; 0 where this
    /// replica does not lead.
    pub unreviewed_deleted: Arc<AtomicUsize>,
    /// The uses of emergency accounts of which this process has told.
    pub told_uses: ToldUses,
    /// Notified when CurfewConfig may have changed.
    pub config_changed: Arc<Notify>,
    /// Why the API server cannot be told which extra keys to record, while it cannot.
    identity_keys_problem: Arc<Mutex<Option<String>>>,
    /// Whether this process has seen the admission policies in force at least once.
    policies_seen: Arc<AtomicBool>,
    admission: Arc<Mutex<Arc<AdmissionHistory>>>,
    unproven: Arc<Mutex<Unproven>>,
    /// The uids of Grants that this process has created and that no admission proof covers yet.
    created_here: Arc<Mutex<HashSet<String>>>,
    /// What has waited for an admission proof that was recorded since.
    proven: Arc<Mutex<BTreeSet<WaitingForProof>>>,
    /// The decisions whose verdict was written a moment ago, and is not in the stores yet.
    pub judged: Arc<Expectations<Key>>,
    /// Requests for which something does not exist by which they were accepted, and since when that was seen.
    absent: Arc<Mutex<HashMap<Key, Time>>>,
}

/// What is reconciled again as soon as an admission proof has been recorded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WaitingForProof {
    /// A request, or a decision about it.
    Request(Key),
    /// An AssignmentRequest, or a decision about it.
    AssignmentRequest(Key),
    /// A Grant.
    Grant(String),
    /// A decision about a Grant.
    Decision(Key),
    /// An ActiveAssignment.
    Standing(Key),
}

/// What waits for an admission proof: the next one that begins covers all of it.
#[derive(Default)]
pub struct Unproven {
    /// Reconciled again when that proof has been recorded.
    pub waiting: BTreeSet<WaitingForProof>,
    /// Read by this process, and not covered by a proof yet.
    pub objects: BTreeSet<Seen>,
}

impl Context {
    /// A context in which admission is not proven.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        client: Client,
        stores: Stores,
        authority: Arc<Authority>,
        registry: Registry,
        install: String,
        replica: &str,
        metrics: Arc<Metrics>,
        audit: AuditLog,
        events: Events,
    ) -> Self {
        let notifier = Notifier::new(client.clone(), metrics.clone(), stores.clone(), authority.clone(), install.clone());
        Context {
            client,
            notifier,
            stores,
            live: LiveReads::default(),
            authority,
            registry,
            install,
            replica: replica.to_owned(),
            events,
            metrics,
            traces: Traces::default(),
            audit,
            proof_wanted: Arc::default(),
            proof_recorded: Arc::default(),
            overdue: Arc::default(),
            unreviewed_deleted: Arc::default(),
            told_uses: ToldUses::default(),
            config_changed: Arc::default(),
            identity_keys_problem: Arc::default(),
            policies_seen: Arc::default(),
            admission: Arc::new(Mutex::new(Arc::new(AdmissionHistory::unknown()))),
            unproven: Arc::default(),
            created_here: Arc::default(),
            proven: Arc::default(),
            judged: Arc::default(),
            absent: Arc::default(),
        }
    }

    /// The same state with traces.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Context { traces, ..self }
    }

    /// The same state with other connections: of a client that belongs to another runtime.
    #[must_use]
    pub fn over(&self, client: Client, registry: Registry) -> Self {
        Context { client, registry, ..self.clone() }
    }

    /// Tells people what the status that was stored says, beyond the one before. Nothing waits for it.
    pub fn notify(&self, before: Option<&ActivationRequestStatus>, stored: &ActivationRequest) {
        self.tell(stored, &self.notifier.of_request(before, stored));
    }

    /// The same of an AssignmentRequest.
    pub fn notify_of_change(&self, before: Option<&AssignmentRequestStatus>, stored: &AssignmentRequest) {
        self.tell(stored, &self.notifier.of_assignment_request(before, stored));
    }

    /// Sends notifications about an object, and publishes Events.
    pub fn tell<K: Resource<DynamicType = ()>>(&self, about: &K, notices: &[Notice]) {
        for notice in notices {
            self.publish_notice(about, notice);
        }
        if !notices.is_empty() {
            self.notifier.send(notices);
        }
    }

    /// Publishes an Event for what people are told, unless there is one for the transition itself.
    fn publish_notice<K: Resource<DynamicType = ()>>(&self, about: &K, notice: &Notice) {
        use NoticeEvent::{Activated, AssignmentChanged, BreakGlass, Ended, Refused, Scheduled};
        let event = notice.event.event;
        if !matches!(event, Refused | Scheduled | Activated | Ended | BreakGlass | AssignmentChanged) {
            let warning = event.is_urgent();
            self.events.publish(about, warning, &format!("{event:?}"), "Notify", &format!("{}; {}", notice.subject, notice.message));
        }
    }

    /// The time that rules go by.
    pub fn now(&self) -> Time {
        self.authority.clock.now()
    }

    /// The spans in which the admission policies were proven to be in force.
    pub fn admission(&self) -> Arc<AdmissionHistory> {
        self.admission.lock().clone()
    }

    /// Since when this process has seen, without a break, that something does not exist by which a request was accepted.
    pub fn absent_since(&self, request: &Key, absent: bool) -> Option<Time> {
        let (mut all, now) = (self.absent.lock(), self.now());
        if !absent {
            all.remove(request);
            return None;
        }
        all.retain(|_, since| now < since.plus_secs(ABSENT_REMEMBERED_SECS));
        Some(*all.entry(request.clone()).or_insert(now))
    }

    /// Records that this process has created a Grant.
    pub fn record_created(&self, grant: &Grant) {
        self.created_here.lock().extend(grant.uid());
    }

    /// A Grant as the rules read it. One that was created after the last admission proof waits for the next proof, unless this
    /// process has created it.
    pub fn grant_facts(&self, grant: &Grant) -> core_grant::Grant {
        let created_here = {
            let mut all = self.created_here.lock();
            let created_here = grant.uid().is_some_and(|uid| all.contains(&uid));
            if created_here && convert::grant_state(grant) != core_grant::State::Granting {
                all.remove(&grant.uid().unwrap_or_default());
            }
            created_here
        };
        let facts = convert::grant(grant, &self.admission(), created_here);
        if facts.provenance == Provenance::Pending && facts.state == core_grant::State::Granting {
            self.wait_for_proof(WaitingForProof::Grant(grant.name_any()), [convert::seen(grant)]);
        }
        facts
    }

    /// Remembers why the API server cannot be told which extra keys to record.
    pub fn set_identity_keys_problem(&self, problem: Option<String>) {
        *self.identity_keys_problem.lock() = problem;
    }

    /// Why the API server cannot be told which extra keys to record; `None` if it was.
    pub fn identity_keys_problem(&self) -> Option<String> {
        self.identity_keys_problem.lock().clone()
    }

    /// Asks for an admission proof that covers these objects, which this process has read; `waiting` is reconciled again when it has
    /// been recorded. A replica that does not lead grants nothing, and makes no proofs on demand.
    pub fn wait_for_proof(&self, waiting: WaitingForProof, objects: impl IntoIterator<Item = Seen>) {
        if !self.authority.leads() {
            return;
        }
        {
            let mut unproven = self.unproven.lock();
            unproven.waiting.insert(waiting);
            unproven.objects.extend(objects);
        }
        self.proof_wanted.notify_one();
    }

    /// What the proof covers that begins now. What is added later was perhaps created after it began.
    pub fn take_unproven(&self) -> Unproven {
        std::mem::take(&mut *self.unproven.lock())
    }

    /// Lets what has waited for this proof run again: it was recorded, also where it says that admission is not enforced.
    pub fn proof_recorded(&self, waiting: BTreeSet<WaitingForProof>) {
        self.proven.lock().extend(waiting);
        self.proof_recorded.notify_one();
    }

    /// What has waited for a proof that was recorded.
    pub fn take_proven(&self) -> BTreeSet<WaitingForProof> {
        std::mem::take(&mut *self.proven.lock())
    }

    /// Gives back what a proof was to cover that has failed.
    pub fn put_back_unproven(&self, covered: Unproven) {
        let mut unproven = self.unproven.lock();
        unproven.waiting.extend(covered.waiting);
        unproven.objects.extend(covered.objects);
    }

    /// Records the admission history, and whether granting may rest on it.
    pub fn set_admission(&self, history: AdmissionHistory, enforced: bool) {
        let enforced = enforced && history.since.is_some();
        *self.admission.lock() = Arc::new(history);
        self.authority.set_admission_enforced(enforced);
    }

    /// Records that this process has seen the admission policies in force, as it was built with them.
    pub fn set_policies_seen(&self) {
        self.policies_seen.store(true, Ordering::Release);
    }

    /// Whether this process has seen the admission policies in force since it started.
    pub fn policies_seen(&self) -> bool {
        self.policies_seen.load(Ordering::Acquire)
    }

    /// Records what a proof on demand has confirmed. How long granting may rest on the last whole proof does not change.
    pub fn set_confirmed(&self, history: AdmissionHistory) {
        *self.admission.lock() = Arc::new(history);
    }

    /// Records that admission cannot be proven now. What was proven before stays proven; objects created since wait.
    pub fn set_admission_unproven(&self) {
        self.authority.set_admission_enforced(false);
    }

    /// The namespace of the operator.
    pub fn operator_namespace(&self) -> &'static str {
        NAMESPACE
    }
}
