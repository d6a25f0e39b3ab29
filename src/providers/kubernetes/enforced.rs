//! What ends the bindings of a plan without the operator, as the cluster shows it now.
use super::{BindingState, Guard, Kubernetes, fuse, in_parts, provider_error};
use crate::identity::admission_check;
use crate::providers::port::{EnforcedBy, ProviderError};
use crate::timing::timing;
use curfew_core::target::kubernetes::{Plan, PlannedBinding, names::BindingName};
use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use std::pin::pin;

impl Kubernetes {
    /// `Target` only if every binding has a fuse that will end it in time, and the policy `curfew-marks` protects both.
    ///
    /// # Errors
    /// If the cluster cannot be read.
    pub(super) async fn ended_by(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError> {
        if plan.bindings.is_empty() || plan.fuse.job().is_none() || !self.policy_in_force().await {
            return Ok(EnforcedBy::Curfew);
        }
        let mut all = pin!(in_parts(plan.bindings.iter().map(|b| self.fuse_is_effective(b))));
        while let Some(effective) = all.try_next().await? {
            if !effective {
                return Ok(EnforcedBy::Curfew);
            }
        }
        Ok(EnforcedBy::Target)
    }

    async fn policy_in_force(&self) -> bool {
        let cache = match &self.guard {
            Guard::AdmissionCheck(authority) => return authority.admission_enforced(),
            Guard::Probe(cache) => cache,
        };
        let now = self.clock.now();
        let known = *cache.lock();
        if let Some((at, answer)) = known
            && now < at.plus_secs(timing().guard_cache_secs)
        {
            return answer;
        }
        let answer = admission_check::probe_marks(&self.client).await.is_ok_and(|v| v.enforced());
        *cache.lock() = Some((now, answer));
        answer
    }

    /// Whether the fuse of this binding burns, unchanged, and will end it in time.
    async fn fuse_is_effective(&self, b: &PlannedBinding) -> Result<bool, ProviderError> {
        let (Some(ns), Some(name)) = (&b.namespace, BindingName::parse(&b.name)) else { return Ok(false) };
        let seen = self.watched.as_ref().and_then(|w| w.jobs.get(&(ns.clone(), name.fuse())));
        let job = match (&self.watched, seen) {
            (Some(_), job) => job.map(|j| (*j).clone()),
            (None, _) => self.jobs(ns).get_opt(&name.fuse()).await.map_err(provider_error)?,
        };
        let bound = match (&self.watched, self.watched(b)) {
            (Some(_), o) => o.map(|o| BindingState::of(&o)),
            (None, _) => self.live(b).await?,
        };
        let owned = |j: &Job| bound.as_ref().is_some_and(|b| !b.deleting && b.fuse.is_some() && b.fuse == j.metadata.uid);
        Ok(job.is_some_and(|j| fuse::is_effective(&j, &name) && owned(&j)))
    }
}
