//! Every API write of our own kinds, and nothing else writes them.
//!
//! A status is written by a merge patch that carries the version that was read: a compare-and-swap. Never by PUT or apply
//! of the object itself, which would bring a deleted one back.
pub mod notifications;
pub mod slots;

use crate::{
    api::{
        AccessDecision, ActivationRequest, ActiveAssignment, AssignmentRequest, AuthorizationSystem, EligibleAssignment, Grant,
        active_assignment::ActiveAssignmentStatus, assignment::EligibleAssignmentStatus, grant::GrantSpec, request::ActivationRequestSpec,
        schema::says_missing, system::EmergencyUse,
    },
    authority::Permit,
};
use curfew_core::{
    assignment_request::{Change, Origin},
    ids::{GRANTS_FINALIZER, REVOKE_FINALIZER, TARGET_LABEL, target_label},
    principal::UserInfo,
    time::Time,
};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

/// What came of a write.
#[derive(Debug)]
pub enum WriteOutcome<T> {
    /// It is stored.
    Stored(T),
    /// The object has changed since it was read, or is gone. Nothing was written.
    Conflict,
    /// It failed, or nobody knows.
    Failed(kube::Error),
}

impl<T> From<kube::Result<T>> for WriteOutcome<T> {
    fn from(r: kube::Result<T>) -> Self {
        match r {
            Ok(t) => WriteOutcome::Stored(t),
            Err(kube::Error::Api(s)) if matches!(s.code, 404 | 409) => WriteOutcome::Conflict,
            Err(e) => WriteOutcome::Failed(e),
        }
    }
}

/// Stores a status if the object still has this version. What `old` had and `next` has not is removed.
pub async fn commit<K, S>(api: &Api<K>, name: &str, version: &str, old: Option<&S>, next: &S) -> WriteOutcome<K>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let (old, next) = match (serde_json::to_value(old), serde_json::to_value(next)) {
        (Ok(o), Ok(n)) => (o, n),
        (Err(e), _) | (_, Err(e)) => return WriteOutcome::Failed(kube::Error::SerdeError(e)),
    };
    let patch = json!({"metadata": {"resourceVersion": version}, "status": merge(&old, &next)});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.into()
}

/// The merge patch from `old` to `next`: a member that is gone must be said to be null.
fn merge(old: &Value, next: &Value) -> Value {
    let (Value::Object(o), Value::Object(n)) = (old, next) else { return next.clone() };
    let mut patch: serde_json::Map<String, Value> =
        n.iter().map(|(k, v)| (k.clone(), o.get(k).map_or_else(|| v.clone(), |was| merge(was, v)))).collect();
    for gone in o.keys().filter(|k| !n.contains_key(*k)) {
        patch.insert(gone.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Writes a Grant: the intent, before anything is written to a target. It is there already if another replica was faster.
pub async fn create_grant(client: &Client, id: &str, spec: GrantSpec, _: &Permit) -> WriteOutcome<Option<Grant>> {
    let mut grant = Grant::new(id, spec);
    grant.metadata.labels = Some([(TARGET_LABEL.to_owned(), target_label(grant.spec.slot_domain()))].into());
    grant.metadata.finalizers = Some(vec![REVOKE_FINALIZER.into()]);
    match Api::<Grant>::all(client.clone()).create(&PostParams::default(), &grant).await {
        Ok(made) => WriteOutcome::Stored(Some(made)),
        Err(kube::Error::Api(s)) if s.is_already_exists() => WriteOutcome::Stored(None),
        Err(e) => WriteOutcome::Failed(e),
    }
}

/// Requests an activation of standing access; `None` if there is a request of this name already. Where the API server does not fill in the
/// requester, it is sent, with these extra keys of the operator's login.
pub async fn request_activation(
    client: &Client,
    request: &ActivationRequest,
    keys: &[String],
    _: &Permit,
) -> WriteOutcome<Option<ActivationRequest>> {
    let api = requests(client, &request.namespace().unwrap_or_default());
    let made = match api.create(&PostParams::default(), request).await {
        Err(kube::Error::Api(status)) if says_missing(&status.message, "requester") => match login(client).await {
            Ok(login) => {
                let spec = ActivationRequestSpec { requester: login.map(|login| login.recorded(keys)), ..request.spec.clone() };
                api.create(&PostParams::default(), &ActivationRequest { spec, ..request.clone() }).await
            }
            Err(error) => Err(error),
        },
        outcome => outcome,
    };
    match made {
        Ok(made) => WriteOutcome::Stored(Some(made)),
        Err(kube::Error::Api(s)) if s.is_already_exists() => WriteOutcome::Stored(None),
        Err(e) => WriteOutcome::Failed(e),
    }
}

/// The login of this process, as the API server sees it.
async fn login(client: &Client) -> kube::Result<Option<UserInfo>> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    Ok(crate::api::convert::login(reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?))
}

/// Lets a Grant end at `to`, if that is earlier than now stored; its own CEL rule refuses a later end. Gives back what stands.
pub async fn bring_forward(client: &Client, id: &str, to: Time) -> WriteOutcome<Grant> {
    let grants: Api<Grant> = Api::all(client.clone());
    let patch = json!({"spec": {"expiresAt": to.floor_secs()}});
    match grants.patch(id, &PatchParams::default(), &Patch::Merge(patch)).await {
        // It ends even earlier already.
        Err(kube::Error::Api(s)) if s.code == 422 => grants.get(id).await.into(),
        other => other.into(),
    }
}

/// Lets a deleted Grant go: removes our finalizer, if the object still has this version.
pub async fn remove_revoke_finalizer(client: &Client, grant: &Grant) -> WriteOutcome<()> {
    let rest: Vec<&String> = grant.finalizers().iter().filter(|f| *f != REVOKE_FINALIZER).collect();
    let patch = json!({"metadata": {"resourceVersion": grant.resource_version(), "finalizers": rest}});
    Api::<Grant>::all(client.clone()).patch(&grant.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await.map(drop).into()
}

/// Holds a system by our finalizer while Grants need its name, or lets it go, if it still has this version.
pub async fn set_grants_finalizer(client: &Client, system: &AuthorizationSystem, held: bool) -> WriteOutcome<AuthorizationSystem> {
    let mut list: Vec<&str> = system.finalizers().iter().map(String::as_str).filter(|f| *f != GRANTS_FINALIZER).collect();
    if held {
        list.push(GRANTS_FINALIZER);
    }
    let patch = json!({"metadata": {"resourceVersion": system.resource_version(), "finalizers": list}});
    Api::<AuthorizationSystem>::all(client.clone()).patch(&system.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await.into()
}

/// Writes what an AssignmentRequest has made of an assignment into its status, if it is still the version that was read.
pub async fn change_assignment(
    client: &Client,
    assignment: &EligibleAssignment,
    change: Change,
    _: &Permit,
) -> WriteOutcome<EligibleAssignment> {
    let old = assignment.status.as_ref();
    let next = EligibleAssignmentStatus { change: Some(change), ..old.cloned().unwrap_or_default() };
    let api: Api<EligibleAssignment> = Api::namespaced(client.clone(), &assignment.namespace().unwrap_or_default());
    commit(&api, &assignment.name_any(), &assignment.resource_version().unwrap_or_default(), old, &next).await
}

/// The same of an ActiveAssignment.
pub async fn change_standing(client: &Client, assignment: &ActiveAssignment, change: Change, _: &Permit) -> WriteOutcome<ActiveAssignment> {
    let old = assignment.status.as_ref();
    let next = ActiveAssignmentStatus { change: Some(change), ..old.cloned().unwrap_or_default() };
    let api: Api<ActiveAssignment> = Api::namespaced(client.clone(), &assignment.namespace().unwrap_or_default());
    commit(&api, &assignment.name_any(), &assignment.resource_version().unwrap_or_default(), old, &next).await
}

/// Creates the assignment that an AssignmentRequest has asked for, with the mark of that request. If there is one of that name, nothing is
/// written.
pub async fn create_assignment(
    client: &Client,
    mut asked: EligibleAssignment,
    origin: Origin,
    _: &Permit,
) -> WriteOutcome<EligibleAssignment> {
    asked.spec.requested_by = Some(origin);
    let api: Api<EligibleAssignment> = Api::namespaced(client.clone(), &asked.namespace().unwrap_or_default());
    api.create(&PostParams::default(), &asked).await.into()
}

/// Notes that the removal of another assignment rests on this one, which is the holder of the role that is left; if it is still the version
/// that was read. Each time something is written, so that of two removals that rest on each other's assignment one fails.
pub async fn rely_on(client: &Client, left: &EligibleAssignment, _: &Permit) -> WriteOutcome<EligibleAssignment> {
    let old = left.status.as_ref();
    let times = old.and_then(|status| status.relied_on).unwrap_or_default();
    let next = EligibleAssignmentStatus { relied_on: Some(times.saturating_add(1)), ..old.cloned().unwrap_or_default() };
    let api: Api<EligibleAssignment> = Api::namespaced(client.clone(), &left.namespace().unwrap_or_default());
    commit(&api, &left.name_any(), &left.resource_version().unwrap_or_default(), old, &next).await
}

/// Writes the use of an emergency account that was told last into the status of its system. Where a later use stands there by now, that one
/// stays, and is told again by its time: the alert goes by that. `system` was read live under the lock under which this is called, and
/// nothing else writes the field, so the version does not matter. Of a system that was deleted or replaced there is nothing to note.
pub async fn record_emergency_use(client: &Client, system: &AuthorizationSystem, last: EmergencyUse) -> kube::Result<()> {
    let stands = system.status.as_ref().and_then(|status| status.emergency_use.clone()).filter(|stands| stands.at > last.at);
    let last = stands.map_or_else(|| last.clone(), |later| EmergencyUse { told_at: last.told_at, ..later });
    let patch = json!({"metadata": {"uid": system.uid()}, "status": {"emergencyUse": last}});
    let api: Api<AuthorizationSystem> = Api::all(client.clone());
    match api.patch_status(&system.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(s)) if matches!(s.code, 404 | 409) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Deletes what has ended and was kept long enough, if it is still this very object.
pub async fn delete_expired<K>(api: &Api<K>, object: &K) -> kube::Result<()>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let only_this = Preconditions { uid: object.uid(), ..Preconditions::default() };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    match api.delete(&object.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(s)) if matches!(s.code, 404 | 409) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Deletes an assignment that the operator has created, if it is still the version that was read: one that is renewed meanwhile is kept.
pub async fn delete_requested_assignment(client: &Client, assignment: &EligibleAssignment) -> kube::Result<()> {
    let only_this = Preconditions { uid: assignment.uid(), resource_version: assignment.resource_version() };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    let api: Api<EligibleAssignment> = Api::namespaced(client.clone(), &assignment.namespace().unwrap_or_default());
    match api.delete(&assignment.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(s)) if matches!(s.code, 404 | 409) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The requests of a namespace.
pub fn requests(client: &Client, namespace: &str) -> Api<ActivationRequest> {
    Api::namespaced(client.clone(), namespace)
}

/// The AssignmentRequests of a namespace.
pub fn assignment_requests(client: &Client, namespace: &str) -> Api<AssignmentRequest> {
    Api::namespaced(client.clone(), namespace)
}

/// The decisions of a namespace.
pub fn decisions(client: &Client, namespace: &str) -> Api<AccessDecision> {
    Api::namespaced(client.clone(), namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_said_to_be_gone() {
        let patch = merge(&json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}), &json!({"a": 1, "b": {"d": 3}, "e": [2]}));
        assert_eq!(patch, json!({"a": 1, "b": {"c": null, "d": 3}, "e": [2]}));
        assert_eq!(merge(&Value::Null, &json!({"a": 1})), json!({"a": 1}));
    }
}
