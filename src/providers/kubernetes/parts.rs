//! The parts of a plan, each the bindings of one role: what they show, and taking and giving back their subjects.
use super::{BindingState, Kubernetes, binding, in_parts, provider_error, revoke};
use crate::{
    api::grant::Artifact,
    providers::port::{Observed, ProviderError},
};
use curfew_core::{
    grant::Observation,
    ids::Version,
    reconcile::Reservation,
    target::{
        SlotSet,
        kubernetes::{self, Plan, PlannedBinding},
    },
    time::Time,
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use std::{collections::BTreeSet, sync::Arc};

/// What one binding shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    /// It gives exactly what was planned.
    Armed,
    /// It is there without subjects.
    Disarmed,
    /// It is not there, and its namespace neither.
    NamespaceGone,
    /// It is not there.
    Absent,
    /// It gives something else.
    Drifted,
}

/// How a binding is that is to be armed again.
enum Withheld {
    /// It is this grant's, with no other subject than the planned one.
    Untouched(Arc<str>, Version),
    /// Its namespace no longer exists, and nothing is to be armed there.
    NamespaceGone,
    /// Others have changed or removed it.
    Changed,
}

impl Kubernetes {
    async fn observe_one(&self, plan: &Plan, b: &PlannedBinding, since: Option<Time>) -> Result<Shown, ProviderError> {
        let sound = |found: &BindingState| found.binds(b) && !found.deleting;
        let right = |found: &BindingState| sound(found) && found.is_armed(plan);
        // A watch may lag behind our own write, so it is believed only where it shows what should be.
        if self.watched(b).is_some_and(|o| right(&BindingState::of(&o))) {
            return Ok(Shown::Armed);
        }
        Ok(match self.live(b).await? {
            None if self.is_namespace_gone(b, since).await? => Shown::NamespaceGone,
            None => Shown::Absent,
            Some(found) if right(&found) => Shown::Armed,
            Some(found) if sound(&found) && found.subjects.is_empty() => Shown::Disarmed,
            Some(_) => Shown::Drifted,
        })
    }

    /// Whether the namespace of a binding no longer exists, is on its way out, or is another one of the same name.
    async fn is_namespace_gone(&self, b: &PlannedBinding, since: Option<Time>) -> Result<bool, ProviderError> {
        let Some(name) = &b.namespace else { return Ok(false) };
        let found = Api::<Namespace>::all(self.client.clone()).get_opt(name).await.map_err(provider_error)?;
        Ok(found.is_none_or(|namespace| {
            let created = namespace.metadata.creation_timestamp.as_ref().map(|t| Time::from_millis(t.0.as_millisecond()));
            namespace.metadata.deletion_timestamp.is_some() || created.zip(since).is_some_and(|(created, since)| created > since)
        }))
    }

    /// The bindings of these parts of a plan, by their place in it.
    fn of_parts(plan: &Plan, parts: SlotSet) -> impl Iterator<Item = Option<&PlannedBinding>> {
        plan.bindings.iter().zip(kubernetes::part_of_each(plan)).map(move |(b, part)| parts.contains(part).then_some(b))
    }

    /// The binding as it must be to arm it again.
    async fn withheld_one(&self, grant: &str, plan: &Plan, b: &PlannedBinding, since: Option<Time>) -> Result<Withheld, ProviderError> {
        Ok(match self.live(b).await? {
            None if self.is_namespace_gone(b, since).await? => Withheld::NamespaceGone,
            Some(found) if found.is_ours(grant, b) && (found.subjects.is_empty() || found.is_armed(plan)) => {
                Withheld::Untouched(found.uid.as_str().into(), found.version.as_str().into())
            }
            None | Some(_) => Withheld::Changed,
        })
    }

    /// What the bindings of a plan show, and which of their namespaces no longer exist.
    pub(super) async fn observe_bindings(&self, plan: &Plan, since: Option<Time>) -> Result<Observed, ProviderError> {
        let all: Vec<Shown> = in_parts(plan.bindings.iter().map(|b| self.observe_one(plan, b, since))).try_collect().await?;
        let any = |shown: Shown| all.contains(&shown);
        let showing = |shown: Shown| -> SlotSet {
            all.iter().zip(kubernetes::part_of_each(plan)).filter(|(s, _)| **s == shown).map(|(_, part)| part).collect()
        };
        let disarmed = || showing(Shown::Disarmed);
        let observation = match () {
            () if !any(Shown::Armed) && !any(Shown::Disarmed) && !any(Shown::Drifted) => Observation::Absent,
            () if any(Shown::Drifted) || any(Shown::Absent) => Observation::Drifted,
            () if any(Shown::Disarmed) => Observation::Disarmed { any: disarmed(), all: disarmed().without(showing(Shown::Armed)) },
            () => Observation::Present,
        };
        let gone = plan.bindings.iter().zip(&all).filter(|(_, shown)| **shown == Shown::NamespaceGone);
        let gone: BTreeSet<String> = gone.filter_map(|(b, _)| b.namespace.clone()).collect();
        Ok(Observed { observation, gone: gone.into_iter().collect() })
    }

    /// Takes the subjects of the bindings of these parts.
    pub(super) async fn disarm_bindings(&self, grant: &str, plan: &Plan, known: &[Artifact], parts: SlotSet) -> Result<(), ProviderError> {
        let uid = |id: &str| known.iter().find(|a| a.id == id).map(|a| a.uid.clone());
        // All are tried, even if one fails.
        let all = Self::of_parts(plan, parts)
            .flatten()
            .map(|b| async move { revoke::disarm(&self.api(b), grant, b, uid(&binding::id(b))).await });
        in_parts(all).collect::<Vec<_>>().await.into_iter().collect()
    }

    /// The bindings of these parts as they must be to arm them again.
    pub(super) async fn read_disarmed(
        &self,
        grant: &str,
        plan: &Plan,
        parts: SlotSet,
        since: Option<Time>,
    ) -> Result<Option<Reservation>, ProviderError> {
        let all = Self::of_parts(plan, parts).map(|b| async move {
            match b {
                Some(b) => self.withheld_one(grant, plan, b, since).await.map(Some),
                None => Ok(None),
            }
        });
        let mut places = Vec::new();
        for found in in_parts(all).try_collect::<Vec<_>>().await? {
            match found {
                Some(Withheld::Untouched(uid, version)) => places.push(Some((uid, version))),
                Some(Withheld::NamespaceGone) | None => places.push(None),
                Some(Withheld::Changed) => return Ok(None),
            }
        }
        Ok(Some(Reservation(Arc::new(places))))
    }
}
