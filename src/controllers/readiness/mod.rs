//! Readiness of systems, policies, templates and assignments: judged by the rules that resolve a request, shown in status.
mod policy;
mod system;
mod template;

use super::{Context, convert};
use crate::timing::timing;
use crate::{
    api::{
        AccessPolicy, AuthorizationSystem, CurfewConfig, EligibleAssignment, RoleTemplate,
        conditions::{self, Is, set},
    },
    identity::NAMESPACE,
    kube_writes::{self, WriteOutcome},
    runtime::engine::{NextRun, Place, Placement, Reconciler},
};
use async_trait::async_trait;
use curfew_core::{
    admission::AdmissionHistory,
    policy_inputs::{Assignment, Policy, PolicyInputs, System},
    principal::Recognition,
    readiness::Readiness,
    reason::Reason,
    requeue::Requeue,
    target::Inventory,
    terms::Refusal,
    time::Time,
};
use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How many systems or templates are judged at a time.
const CONCURRENCY: usize = 16;
/// The reason of `Ready=Unknown`.
const UNKNOWN: &str = "Unknown";
/// How long an answer of a target is kept at most, in seconds.
const ANSWER_SECS: i64 = 600;
/// How long it is cached what is missing or refused. Short, since the user who changes it waits for the result.
const OBJECTION_SECS: i64 = 3;

/// The controller that judges everything that a request is resolved from, as a whole and at most once per second.
pub struct ReadinessController {
    ctx: Arc<Context>,
    last_run: Mutex<Option<Time>>,
    answers: TargetAnswers,
    counts: Counts,
}

/// Systems, policies, templates and assignments as the stores show them at one moment.
pub(super) struct Snapshot {
    systems: Vec<Arc<AuthorizationSystem>>,
    policies: Vec<Arc<AccessPolicy>>,
    templates: Vec<Arc<RoleTemplate>>,
    assignments: Vec<Arc<EligibleAssignment>>,
    system_facts: Vec<System>,
    policy_facts: Vec<Policy>,
    admission: Arc<AdmissionHistory>,
    config: Option<Arc<CurfewConfig>>,
    /// How people are recognised, and extra keys that say how a login was authenticated, as CurfewConfig says.
    people: Recognition,
}

/// What one run remembers of those before, and what it has found itself.
pub(super) struct Asks<'a> {
    answers: &'a TargetAnswers,
    counts: &'a Counts,
    /// Why each system whose target does not say who it is was not reached in this run, by name. Nothing else is asked there.
    unreached: Mutex<HashMap<String, String>>,
}

/// What a target holds of what a template names, or why it is unknown.
#[derive(Default)]
pub(super) struct Content {
    inventory: Option<Inventory>,
    unreachable: Option<String>,
}

/// Recent answers of targets: their identity, and whether the operator may bind. The key is the question.
#[derive(Default)]
struct TargetAnswers(Mutex<HashMap<String, (Time, Option<String>)>>);

impl TargetAnswers {
    /// The answer to a question, if it is not older than `secs`.
    fn get(&self, question: &str, now: Time, secs: i64) -> Option<Option<String>> {
        let answers = self.0.lock();
        answers.get(question).filter(|(at, _)| now < at.plus_secs(secs)).map(|(_, answer)| answer.clone())
    }
    /// The answer to a question for what is missing or refused. That there is nothing is known for `secs`.
    fn objection(&self, question: &str, now: Time, secs: i64) -> Option<Option<String>> {
        let none = self.get(question, now, secs).filter(Option::is_none);
        none.or_else(|| self.get(question, now, OBJECTION_SECS))
    }
    fn insert(&self, question: String, now: Time, answer: Option<String>) {
        let mut answers = self.0.lock();
        answers.retain(|_, (at, _)| now < at.plus_secs(ANSWER_SECS));
        answers.insert(question, (now, answer));
    }
}

/// When the counts of each object were written last. They change with each request, so they are written at most every few seconds.
#[derive(Default)]
struct Counts {
    written: Mutex<HashMap<String, Time>>,
    /// When the first of those is to be written that were put off.
    put_off: Mutex<Option<Time>>,
}

impl Counts {
    /// Whether the counts of this object may be written now. Otherwise the next run is made when they may.
    fn may_write(&self, uid: &str, now: Time) -> bool {
        let mut written = self.written.lock();
        written.retain(|_, at| now < at.plus_secs(timing().counts_every_secs));
        let Some(at) = written.get(uid) else {
            written.insert(uid.to_owned(), now);
            return true;
        };
        let then = at.plus_secs(timing().counts_every_secs);
        let mut put_off = self.put_off.lock();
        *put_off = Some(put_off.map_or(then, |other| other.min(then)));
        false
    }
}

impl ReadinessController {
    /// A controller that has judged nothing yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        ReadinessController { ctx, last_run: Mutex::default(), answers: TargetAnswers::default(), counts: Counts::default() }
    }

    /// Whether a template or a system waits for a change at its target, which is not watched.
    fn waits_for_targets(&self) -> bool {
        let reasons = [Reason::NotBindable.as_str(), Reason::TargetRefused.as_str(), UNKNOWN];
        let waits = |template: &RoleTemplate| {
            let ready = template.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Ready"));
            ready.is_some_and(|ready| reasons.contains(&ready.reason.as_str()))
        };
        let not_authorized = |system: &AuthorizationSystem| {
            let authorized = system.status.as_ref().and_then(|status| conditions::find(&status.conditions, conditions::AUTHORIZED));
            authorized.is_some_and(|authorized| authorized.status != "True")
        };
        self.ctx.stores.templates.find(waits).is_some() || self.ctx.stores.systems.find(|system| not_authorized(system)).is_some()
    }

    /// Judges every object on its own: an error or a panic over one of them keeps no other from its verdict. Returns how many have
    /// no verdict.
    async fn reconcile_all(&self) -> usize {
        let (ctx, asks, snapshot) =
            (&self.ctx, &Asks { answers: &self.answers, counts: &self.counts, unreached: Mutex::default() }, &Snapshot::of(&self.ctx));
        let failed = AtomicUsize::new(0);
        let count = |failures| failed.fetch_add(failures, Ordering::Relaxed);
        // Concurrently: a target that does not answer delays only what concerns it.
        let systems = stream::iter(snapshot.systems.clone()).for_each_concurrent(CONCURRENCY, async |system| {
            count(self.judge(&*system, system::reconcile(ctx, asks, snapshot, &system)).await);
        });
        systems.await;
        let templates = stream::iter(snapshot.templates.clone()).for_each_concurrent(CONCURRENCY, async |template| {
            count(self.judge(&*template, template::reconcile(ctx, asks, snapshot, &template)).await);
        });
        templates.await;
        for assignment in &snapshot.assignments {
            count(self.judge(&**assignment, template::reconcile_assignment(ctx, snapshot, assignment)).await);
        }
        for policy in &snapshot.policies {
            count(self.judge(&**policy, policy::reconcile(ctx, snapshot, policy)).await);
        }
        failed.into_inner()
    }

    /// Judges one object; 1 if that failed, or its verdict is not shown yet.
    async fn judge<K: Resource<DynamicType = ()>>(&self, object: &K, verdict: impl Future<Output = kube::Result<Shown>>) -> usize {
        let id = (K::kind(&()), object.meta().namespace.as_deref(), object.meta().name.as_deref());
        match self.ctx.metrics.panics.catch("readiness", &id, verdict).await {
            Some(Ok(Shown::Yes)) => 0,
            Some(Ok(Shown::NotYet)) => 1,
            Some(Err(error)) => {
                tracing::warn!(object = ?id, %error, "cannot judge whether an object is ready");
                1
            }
            None => 1,
        }
    }
}

impl Snapshot {
    fn of(ctx: &Context) -> Self {
        let stores = &ctx.stores;
        let (systems, policies, config) = (stores.systems.state(), stores.policies.state(), stores.config());
        Snapshot {
            system_facts: systems.iter().map(|system| convert::system(system, &systems)).collect(),
            policy_facts: policies.iter().filter(|policy| convert::is_present(&***policy)).map(|policy| convert::policy(policy)).collect(),
            admission: ctx.admission(),
            people: config.as_ref().map_or_else(|| Recognition::STRICT.clone(), |config| config.spec.identity.recognition()),
            config,
            systems,
            policies,
            templates: stores.templates.state(),
            assignments: stores.assignments.state(),
        }
    }

    /// The inputs of the rules for one template, without a requester.
    fn policy_inputs<'a>(&'a self, ctx: &Context, content: &'a Content, assignments: &'a [Assignment]) -> PolicyInputs<'a> {
        PolicyInputs {
            now: ctx.now(),
            admission: &self.admission,
            ceiling: None,
            alias_keys: &self.people.alias_keys,
            aliases_are_names: self.config.as_ref().is_some_and(|config| config.spec.identity.aliases.are_names()),
            uids: self.people.uids,
            login_keys: &self.people.login_keys,
            template: None,
            assignments,
            active_assignment: None,
            policies: &self.policy_facts,
            systems: &self.system_facts,
            inventory: content.inventory.as_ref(),
            unreachable: content.unreachable.as_deref(),
            operator_namespace: NAMESPACE,
        }
    }
}

#[async_trait]
impl Reconciler<()> for ReadinessController {
    async fn reconcile(&self, (): &(), _: &Place<()>) -> NextRun {
        let now = self.ctx.now();
        let period = if self.waits_for_targets() { timing().readiness_soon_secs } else { timing().readiness_every_secs };
        let deadline = Some(now.plus_secs(period));
        if !self.ctx.authority.leads() {
            return NextRun { deadline, ..NextRun::of(Requeue::OnChange) };
        }
        let soonest = self.last_run.lock().map(|last| last.plus_secs(1));
        if let Some(soonest) = soonest.filter(|soonest| now < *soonest) {
            return NextRun { deadline, ..NextRun::of(Requeue::At(soonest)) };
        }
        *self.last_run.lock() = Some(now);
        let requeue = if self.reconcile_all().await == 0 { Requeue::OnChange } else { Requeue::Backoff };
        let put_off = self.counts.put_off.lock().take();
        NextRun { deadline: deadline.into_iter().chain(put_off).min(), ..NextRun::of(requeue) }
    }
    fn lane(&self, (): &()) -> Placement {
        Placement::anywhere()
    }
    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}

/// Sets the condition `Ready` by a verdict.
fn set_ready(list: &mut Vec<Condition>, verdict: &Readiness, generation: Option<i64>, now: Time) {
    match verdict {
        Ok(message) => set(list, "Ready", Is::True, Reason::AsExpected.as_str(), message.as_str(), generation, now),
        Err(refusal) => set(list, "Ready", Is::False, refusal.reason.as_str(), refusal.message.as_str(), generation, now),
    }
}

/// Whether the status shows the verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    /// It does, or a later run is due that will show it.
    Yes,
    /// What the verdict rests on is unknown, or the object has changed since it was read. The change may be our own, which triggers nothing:
    /// the object is judged again after a pause.
    NotYet,
}

/// The result of writing a status.
enum Written<K> {
    /// It stood there already.
    Unchanged,
    /// It was written.
    Stored(Box<K>),
    /// The object has changed since it was read.
    Stale,
}

impl<K> Written<K> {
    fn shown(&self) -> Shown {
        match self {
            Written::Unchanged | Written::Stored(_) => Shown::Yes,
            Written::Stale => Shown::NotYet,
        }
    }
}

/// The verdict on an object that is being deleted: it gives nothing any more, also while a finalizer keeps it.
fn if_present<K: ResourceExt, T>(object: &K, verdict: Result<T, Refusal>) -> Result<T, Refusal> {
    if convert::is_present(object) {
        return verdict;
    }
    Err(Refusal::new(Reason::NotReady, format!("{} is being deleted, so it gives nothing any more", object.name_any())))
}

/// Writes a status if it differs from the stored one.
async fn write<K, S>(api: &Api<K>, object: &K, old: Option<&S>, next: &S) -> kube::Result<Written<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if old == Some(next) {
        return Ok(Written::Unchanged);
    }
    match kube_writes::commit(api, &object.name_any(), &object.resource_version().unwrap_or_default(), old, next).await {
        WriteOutcome::Failed(error) => Err(error),
        WriteOutcome::Stored(stored) => Ok(Written::Stored(Box::new(stored))),
        WriteOutcome::Conflict => Ok(Written::Stale),
    }
}
