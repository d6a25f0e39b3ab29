//! Systems, policies, roles and assignments: judged by the same rules that resolve a request, and shown in their status.
mod policy;
mod system;
mod template;

use crate::timing::timing;
use super::{Context, convert};
use crate::{
    api::{AccessPolicy, AuthorizationSystem, EligibleAssignment, RoleTemplate, conditions},
    kube_writes::{self, WriteOutcome},
    runtime::engine::{NextRun, Placement, Reconciler},
};
use async_trait::async_trait;
use curfew_core::{
    admission::AdmissionHistory,
    policy_inputs::{Assignment, Policy, PolicyInputs, System, Template},
    reason::Reason,
    requeue::Requeue,
    target::Inventory,
    terms::Refusal,
    time::Time,
};
use futures::{TryStreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource, ResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};


/// How many systems or roles are asked about at a time.
const AT_ONCE: usize = 16;

/// The work on the house, which is looked at as a whole.
pub struct ReadinessController {
    ctx: Arc<Context>,
    /// When everything was judged last.
    last: Mutex<Option<Time>>,
    answers: Answers,
}

/// The house as the stores show it.
pub(super) struct Snapshot {
    systems: Vec<AuthorizationSystem>,
    policies: Vec<AccessPolicy>,
    templates: Vec<RoleTemplate>,
    assignments: Vec<EligibleAssignment>,
    core_systems: Vec<System>,
    core_policies: Vec<Policy>,
    gate: Arc<AdmissionHistory>,
}

/// What a target holds of what a template names, or why nobody can tell.
#[derive(Default)]
pub(super) struct AtTarget {
    inventory: Option<Inventory>,
    unreachable: Option<String>,
}

/// What targets have answered lately: who they are, and whether we may bind. Asked again after a while, or when the question changes.
#[derive(Default)]
struct Answers(Mutex<HashMap<String, (Time, Option<String>)>>);

impl Answers {
    /// The answer to a question, if it is not older than `secs`.
    fn get(&self, question: &str, now: Time, secs: i64) -> Option<Option<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(question).filter(|(at, _)| now < at.plus_secs(secs)).map(|(_, answer)| answer.clone())
    }
    fn insert(&self, question: String, now: Time, answer: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| now < at.plus_secs(600));
        known.insert(question, (now, answer));
    }
}

impl ReadinessController {
    /// With everything a controller is given.
    pub fn new(ctx: Arc<Context>) -> Self {
        ReadinessController { ctx, last: Mutex::default(), answers: Answers::default() }
    }

    /// A right that was missing is given by an object that no watch of ours brings; whoever gives it waits for us to notice.
    fn has_unbindable_templates(&self) -> bool {
        let not_bindable = |t: &RoleTemplate| {
            let ready = t.status.as_ref().and_then(|s| conditions::find(&s.conditions, "Ready"));
            ready.is_some_and(|c| c.reason == Reason::NotBindable.as_str())
        };
        self.ctx.stores.templates.find(not_bindable).is_some()
    }

    async fn reconcile_all(&self) -> kube::Result<()> {
        let (s, ctx, answers) = (Snapshot::of(&self.ctx), &self.ctx, &self.answers);
        let (systems, templates) = (stream::iter(s.systems.iter().map(Ok)), stream::iter(s.templates.iter().map(Ok)));
        // Side by side: a target that never answers holds up nothing but what is about itself.
        systems.try_for_each_concurrent(AT_ONCE, |o| system::reconcile(ctx, answers, &s, o)).await?;
        templates.try_for_each_concurrent(AT_ONCE, |o| template::reconcile(ctx, answers, &s, o)).await?;
        for o in &s.assignments {
            template::reconcile_assignment(&self.ctx, &s, o).await?;
        }
        for o in &s.policies {
            policy::reconcile(&self.ctx, &s, o).await?;
        }
        Ok(())
    }
}

impl Snapshot {
    fn of(ctx: &Context) -> Self {
        let st = &ctx.stores;
        let systems: Vec<_> = st.systems.state().iter().map(|o| (**o).clone()).collect();
        let policies: Vec<_> = st.policies.state().iter().map(|o| (**o).clone()).collect();
        Snapshot {
            core_systems: systems.iter().map(|s| convert::system(s, &systems)).collect(),
            core_policies: policies.iter().map(convert::policy).collect(),
            gate: ctx.admission(),
            systems,
            policies,
            templates: st.templates.state().iter().map(|o| (**o).clone()).collect(),
            assignments: st.assignments.state().iter().map(|o| (**o).clone()).collect(),
        }
    }

    /// The house around one template, without any person in it.
    fn policy_inputs<'a>(&'a self, ctx: &Context, at: &'a AtTarget, assignments: &'a [Assignment]) -> PolicyInputs<'a> {
        PolicyInputs {
            now: ctx.now(),
            admission: &self.gate,
            ceiling: None,
            alias_keys: &[],
            template: None,
            assignments,
            policies: &self.core_policies,
            systems: &self.core_systems,
            inventory: at.inventory.as_ref(),
            unreachable: at.unreachable.as_deref(),
            operator_namespace: crate::identity::NAMESPACE,
        }
    }

    fn assignments_of(&self, t: &Template) -> impl Iterator<Item = Assignment> {
        let here = self.assignments.iter().filter(|a| a.namespace().as_deref() == Some(&t.namespace));
        here.map(convert::assignment).filter(|a| a.role == t.reference.name).collect::<Vec<_>>().into_iter()
    }
}

#[async_trait]
impl Reconciler<()> for ReadinessController {
    async fn reconcile(&self, (): &()) -> NextRun {
        let again = Some(self.ctx.now().plus_secs(if self.has_unbindable_templates() { timing().readiness_soon_secs } else { timing().readiness_every_secs }));
        if !self.ctx.authority.leads() {
            return NextRun { deadline: again, ..NextRun::of(Requeue::OnChange) };
        }
        let now = self.ctx.now();
        let soonest = self.last.lock().unwrap_or_else(PoisonError::into_inner).map(|t| t.plus_secs(1));
        if let Some(t) = soonest.filter(|t| now < *t) {
            return NextRun { deadline: again, ..NextRun::of(Requeue::At(t)) };
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        let requeue = match self.reconcile_all().await {
            Ok(()) => Requeue::OnChange,
            Err(e) => {
                tracing::warn!(error = %e, "cannot judge systems, policies, roles and assignments");
                Requeue::Backoff
            }
        };
        NextRun { deadline: again, ..NextRun::of(requeue) }
    }
    fn lane(&self, (): &()) -> Placement {
        Placement::anywhere()
    }
    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}

/// Sets `Ready` by a verdict.
fn ready(list: &mut Vec<Condition>, verdict: &Result<String, Refusal>, generation: Option<i64>, now: Time) {
    use crate::api::conditions::{Is, set};
    match verdict {
        Ok(message) => set(list, "Ready", Is::True, Reason::AsExpected.as_str(), message.as_str(), generation, now),
        Err(e) => set(list, "Ready", Is::False, e.reason.as_str(), e.message.as_str(), generation, now),
    }
}

/// Writes a status if it is news.
async fn write<K, S>(api: &Api<K>, object: &K, old: Option<&S>, next: &S) -> kube::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if old == Some(next) {
        return Ok(());
    }
    match kube_writes::commit(api, &object.name_any(), &object.resource_version().unwrap_or_default(), old, next).await {
        WriteOutcome::Failed(e) => Err(e),
        // Whoever was faster comes by the watch.
        WriteOutcome::Stored(_) | WriteOutcome::Conflict => Ok(()),
    }
}
