//! Taking one binding away, and knowing that it is gone.
//!
//! A delete answered by a Status or by 404 is gone. A delete answered by the object left it terminating, which *still
//! authorises*: a foreign finalizer holds it. Then the finalizers are patched away, which needs no `bind` and completes
//! the delete; only if that fails the subjects are emptied. They are emptied as well where a webhook or an admission policy
//! refuses the delete: a binding without subjects gives nothing, and no write that names its older version arms it again.
//! Anything else is unknown, and unknown is present.
use super::{BindingState, binding, provider_error};
use crate::providers::port::{ProviderError, RevokeOutcome};
use curfew_core::target::kubernetes::PlannedBinding;
use either::Either;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
    core::Status,
};
use serde_json::json;

/// Marks a binding that was emptied, and why. Each reason changes the version of a binding that was emptied for the other, so that an
/// arm that names the older version is refused.
const DISARMED: &str = "curfew.dev/disarmed";
/// It may not be deleted.
const UNDELETABLE: &str = "true";
/// Its role does not exist.
const WITHHELD: &str = "withheld";

/// Deletes a binding of this grant. `uid` is what we armed, if we know it.
pub async fn revoke_binding(
    api: &Api<DynamicObject>,
    grant: &str,
    b: &PlannedBinding,
    uid: Option<String>,
) -> Result<RevokeOutcome, ProviderError> {
    if let Some(uid) = uid
        && let Some(answer) = delete(api, &b.name, &uid).await?
    {
        return Ok(answer);
    }
    // We do not know the uid, or it is another one: only what is there now can tell.
    let Some(found) = api.get_opt(&b.name).await.map_err(provider_error)? else { return Ok(RevokeOutcome::Gone) };
    let found = BindingState::of(&found);
    if found.grant.as_deref() != Some(grant) && !found.binds(b) {
        // Neither our mark nor our role: a stranger's object under our name is not this grant, and not ours to delete.
        return Ok(RevokeOutcome::Gone);
    }
    let answer = delete(api, &b.name, &found.uid).await?;
    Ok(answer.unwrap_or_else(|| RevokeOutcome::Remains(format!("{} was deleted and recreated concurrently", binding::id(b)))))
}

/// `None` if another object has the name by now.
pub(super) async fn delete(api: &Api<DynamicObject>, name: &str, uid: &str) -> Result<Option<RevokeOutcome>, ProviderError> {
    let only_this = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    match api.delete(name, &params).await {
        Ok(Either::Right(_)) => Ok(Some(RevokeOutcome::Gone)),
        Ok(Either::Left(_)) => release(api, name, uid).await.map(Some),
        Err(kube::Error::Api(s)) if s.code == 404 => Ok(Some(RevokeOutcome::Gone)),
        Err(kube::Error::Api(s)) if s.code == 409 => Ok(None),
        // Not signed in, or too many calls: the next try may be answered. Everything else is a refusal.
        Err(kube::Error::Api(s)) if !matches!(s.code, 401 | 429) => empty(api, name, uid, *s).await,
        Err(e) => Err(provider_error(e)),
    }
}

/// Takes the subjects of a binding that may not be deleted. `None` if another object has the name by now.
async fn empty(api: &Api<DynamicObject>, name: &str, uid: &str, refusal: Status) -> Result<Option<RevokeOutcome>, ProviderError> {
    // A reservation has no subjects yet, and a patch that changes nothing leaves its version: the annotation changes that, so that
    // an arm that is still on its way is refused.
    let empty = json!({"metadata": {"uid": uid, "annotations": {DISARMED: UNDELETABLE}}, "subjects": []});
    match api.patch(name, &PatchParams::default(), &Patch::Merge(empty)).await {
        Ok(o) if BindingState::of(&o).subjects.is_empty() => {
            let what = format!("{name} has no subjects and gives no access; its deletion is refused: {}", refusal.message);
            tracing::warn!(name, refusal = refusal.message, "the deletion of a binding is refused; it was emptied");
            Ok(Some(RevokeOutcome::Disarmed(what)))
        }
        Ok(_) => Ok(Some(RevokeOutcome::Remains(format!("{name} keeps its subjects; its deletion is refused: {}", refusal.message)))),
        Err(kube::Error::Api(s)) if s.code == 404 => Ok(Some(RevokeOutcome::Gone)),
        Err(kube::Error::Api(s)) if s.code == 409 => Ok(None),
        Err(kube::Error::Api(s)) => Ok(Some(RevokeOutcome::Remains(format!(
            "{name}: its deletion is refused: {}; and so is the removal of its subjects: {}",
            refusal.message, s.message
        )))),
        Err(e) => Err(provider_error(e)),
    }
}

/// Takes the subjects of a binding of this grant, and keeps the binding. What is not there, or is not this grant's, is left alone.
pub async fn disarm(api: &Api<DynamicObject>, grant: &str, b: &PlannedBinding, uid: Option<String>) -> Result<(), ProviderError> {
    let mut uid = uid;
    for _ in 0..2 {
        if uid.is_none() {
            let found = api.get_opt(&b.name).await.map_err(provider_error)?.map(|o| BindingState::of(&o));
            uid = found.filter(|found| found.is_ours(grant, b)).map(|found| found.uid);
        }
        let Some(known) = uid.take() else { return Ok(()) };
        let empty = json!({"metadata": {"uid": known, "annotations": {DISARMED: WITHHELD}}, "subjects": []});
        match api.patch(&b.name, &PatchParams::default(), &Patch::Merge(empty)).await {
            Ok(o) if BindingState::of(&o).subjects.is_empty() => return Ok(()),
            Ok(_) => return Err(ProviderError::Denied(format!("{} keeps its subjects", binding::id(b)))),
            Err(e) if is_404(&e) => return Ok(()),
            // Another object has the name.
            Err(kube::Error::Api(s)) if s.code == 409 => {}
            Err(e) => return Err(provider_error(e)),
        }
    }
    Err(ProviderError::Transient { message: format!("{} was deleted and recreated concurrently", binding::id(b)), retry_after: None })
}

/// A terminating object still authorises: take its finalizers away, or at least its subjects.
async fn release(api: &Api<DynamicObject>, name: &str, uid: &str) -> Result<RevokeOutcome, ProviderError> {
    let free = json!({"metadata": {"uid": uid, "finalizers": null}});
    if let Err(e) = api.patch(name, &PatchParams::default(), &Patch::Merge(free)).await
        && !is_404(&e)
    {
        tracing::warn!(name, error = %e, "cannot take the finalizers off a terminating binding; emptying it");
        let empty = json!({"metadata": {"uid": uid}, "subjects": []});
        match api.patch(name, &PatchParams::default(), &Patch::Merge(empty)).await {
            Ok(o) if BindingState::of(&o).subjects.is_empty() => return Ok(RevokeOutcome::Gone),
            Ok(_) => {}
            Err(e) if is_404(&e) => return Ok(RevokeOutcome::Gone),
            Err(e) => return Err(provider_error(e)),
        }
    }
    match api.get_opt(name).await.map_err(provider_error)? {
        Some(o) if BindingState::of(&o).uid == uid => Ok(RevokeOutcome::Remains(format!(
            "{name} is terminating and held by finalizers {:?}",
            o.metadata.finalizers.unwrap_or_default()
        ))),
        Some(_) | None => Ok(RevokeOutcome::Gone),
    }
}

fn is_404(e: &kube::Error) -> bool {
    matches!(e, kube::Error::Api(s) if s.code == 404)
}
