//! The Job fuse: what ends a binding of a namespace when nobody else does.
//!
//! The binding is owned by a Job that runs no pod. At its `activeDeadlineSeconds` the Job fails, is deleted at once
//! (`ttlSecondsAfterFinished: 0`), and the garbage collector deletes what it owned, with the operator dead. A grantee with
//! `edit` could raise the deadline, suspend or orphan the Job, one with `admin` could add a finalizer or a second owner:
//! the marks policy refuses all of that, and the fuse is claimed only while it is seen alive, unchanged and in time.
//!
//! Its selector is our own label, which the policy keeps off every Pod: the selector that Kubernetes would make is known to the
//! grantee, and a Pod that answers to it and cannot be adopted, or be deleted, keeps the Job from ever ending.
//!
//! A ClusterRoleBinding cannot be owned by anything in a namespace, so it has no fuse.
use super::provider_error;
use crate::providers::port::ProviderError;
use curfew_core::{
    ids::GRANT_LABEL,
    target::kubernetes::{fuse::FuseJob, names::BindingName},
    text::clip,
    time::Time,
};
use either::Either;
use k8s_openapi::{
    api::batch::v1::{Job, JobSpec},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

/// The Job fails so long after the deadline: the operator comes first, and clocks differ a little.
pub const AFTER_SECS: i64 = 10;
/// It is claimed only if it ends the access by so long after the deadline.
const IN_TIME_SECS: i64 = 30;

/// The image where none is configured. It is never pulled; some policies refuse images without a tag.
const IMAGE: &str = "curfew.dev/never-runs:1";
/// The longest text of a refusal that is passed on, in bytes.
const REFUSAL_BYTES: usize = 500;

/// The Job for a binding. Its Pod template satisfies the restricted Pod Security Standard and sets requests and limits, as many
/// clusters demand of every Job.
fn job(name: &BindingName, configured: &FuseJob, now: Time) -> Result<Job, ProviderError> {
    let seconds = (name.deadline.millis_since(now) / 1000 + 1).max(0) + AFTER_SECS;
    let label = json!({GRANT_LABEL: name.grant});
    let mut labels = configured.labels.clone();
    labels.insert(GRANT_LABEL.into(), name.grant.clone());
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name.fuse(), "labels": labels, "annotations": configured.annotations},
        "spec": {
            "parallelism": 0, "completions": 1, "backoffLimit": 0, "suspend": false,
            "activeDeadlineSeconds": seconds, "ttlSecondsAfterFinished": 0,
            "manualSelector": true, "selector": {"matchLabels": label},
            // It never runs: parallelism is zero.
            "template": {"metadata": {"labels": labels, "annotations": configured.annotations}, "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65_532, "runAsGroup": 65_532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "fuse", "image": configured.image.as_deref().unwrap_or(IMAGE),
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            }},
        },
    });
    serde_json::from_value(job).map_err(|e| ProviderError::Invalid(e.to_string()))
}

/// What the API server would refuse of such a Job, found by a dry run; nothing where it would accept it, or cannot say. A quota or an
/// admission policy refuses the dry run, too.
///
/// # Errors
/// If the API server does not answer: then it is unknown.
pub async fn refusal(api: &Api<Job>, configured: &FuseJob, now: Time) -> Result<Option<String>, ProviderError> {
    let name = BindingName { install: String::new(), grant: "0".repeat(16), deadline: now.plus_secs(3_600), n: 0 };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&dry_run, &job(&name, configured, now)?).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(s)) => match s.code {
            403 | 422 => Ok(Some(clip(s.message, REFUSAL_BYTES))),
            // The namespace does not exist, which is said elsewhere; or a webhook cannot be asked without an effect.
            400 | 404 => Ok(None),
            _ => Err(provider_error(kube::Error::Api(s))),
        },
        Err(e) => Err(provider_error(e)),
    }
}

/// Makes the fuse, or finds it.
pub async fn ensure(api: &Api<Job>, name: &BindingName, configured: &FuseJob, now: Time) -> Result<Result<Job, String>, ProviderError> {
    match api.create(&PostParams::default(), &job(name, configured, now)?).await {
        Ok(j) => Ok(Ok(j)),
        Err(kube::Error::Api(s)) if s.code == 409 => match api.get_opt(&name.fuse()).await.map_err(provider_error)? {
            Some(found) if is_ours(&found, name) && found.metadata.deletion_timestamp.is_none() => Ok(Ok(found)),
            Some(_) => Ok(Err(format!("Job {} exists already and is not ours", name.fuse()))),
            None => Err(ProviderError::Transient { message: format!("Job {} came and went", name.fuse()), retry_after: None }),
        },
        Err(e) => Err(provider_error(e)),
    }
}

fn is_ours(j: &Job, name: &BindingName) -> bool {
    j.labels().get(GRANT_LABEL) == Some(&name.grant)
}

/// How a binding names the Job that owns it.
pub fn owner(j: &Job) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: j.name_any(),
        uid: j.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

/// Whether this Job ends its binding in time, if nobody touches either: running, as built, held by nobody.
pub fn is_effective(j: &Job, name: &BindingName) -> bool {
    let Some(spec) = &j.spec else { return false };
    let started = j.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| Time::from_millis(t.0.as_millisecond()));
    let ends = started.zip(spec.active_deadline_seconds).map(|(t, s)| t.plus_secs(s));
    is_ours(j, name)
        && j.metadata.deletion_timestamp.is_none()
        && j.finalizers().is_empty()
        && j.owner_references().is_empty()
        && spec.parallelism == Some(0)
        && spec.suspend != Some(true)
        && spec.ttl_seconds_after_finished == Some(0)
        && spec.managed_by.is_none()
        && selects_by_mark(spec, name)
        && ends.is_some_and(|t| t <= name.deadline.plus_secs(IN_TIME_SECS))
}

/// Whether only Pods with our label can stand in its way, of which there are none.
fn selects_by_mark(spec: &JobSpec, name: &BindingName) -> bool {
    let labels = spec.selector.as_ref().and_then(|s| s.match_labels.as_ref());
    labels.and_then(|l| l.get(GRANT_LABEL)) == Some(&name.grant)
}

/// Removes the fuse of a binding that is gone. A fuse gives no access, so an error here does not delay an end: the Job ends
/// by itself.
pub async fn delete(api: &Api<Job>, name: &BindingName, uid: Option<&str>) {
    if let Err(e) = try_delete(api, name, uid).await {
        tracing::info!(job = name.fuse(), error = %e, "cannot delete a fuse whose binding is gone; it ends by itself");
    }
}

/// Deletes the fuse. The garbage collector deletes the binding that it owns, as it does at the deadline.
///
/// # Errors
/// If the API server cannot be reached or refuses.
pub async fn try_delete(api: &Api<Job>, name: &BindingName, uid: Option<&str>) -> Result<(), ProviderError> {
    let uid = match uid {
        Some(uid) => uid.to_owned(),
        None => match api.get_opt(&name.fuse()).await.map_err(provider_error)? {
            Some(j) if is_ours(&j, name) => j.uid().unwrap_or_default(),
            Some(_) | None => return Ok(()),
        },
    };
    let only_this = Preconditions { uid: Some(uid.clone()), ..Preconditions::default() };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::background() };
    match api.delete(&name.fuse(), &params).await {
        Ok(Either::Right(_)) => Ok(()),
        // A foreign finalizer holds it.
        Ok(Either::Left(j)) if j.finalizers().is_empty() => Ok(()),
        Ok(Either::Left(_)) => {
            let free = json!({"metadata": {"uid": uid, "finalizers": null}});
            api.patch(&name.fuse(), &PatchParams::default(), &Patch::Merge(free)).await.map(drop).map_err(provider_error)
        }
        Err(kube::Error::Api(s)) if matches!(s.code, 404 | 409) => Ok(()),
        Err(e) => Err(provider_error(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the dry run of a Job says, if the API server answers it with this code.
    async fn dry_run(code: u16) -> Result<Option<String>, ProviderError> {
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| async move {
            assert!(request.uri().query().is_some_and(|query| query.contains("dryRun=All")), "{}", request.uri());
            let status = json!({"kind": "Status", "status": "Failure", "message": "exceeded quota: no-jobs", "reason": "", "code": code});
            let answer = http::Response::builder().status(code).body(kube::client::Body::from(status.to_string().into_bytes()));
            Ok::<_, std::convert::Infallible>(answer.expect("an answer"))
        });
        let jobs = Api::namespaced(kube::Client::new(service, "default"), "payments");
        refusal(&jobs, &FuseJob::default(), Time::from_secs(1_000)).await
    }

    #[tokio::test]
    async fn a_refusal_of_the_dry_run_is_told_and_no_answer_is_unknown() {
        for code in [403, 422] {
            assert_eq!(dry_run(code).await, Ok(Some("exceeded quota: no-jobs".into())), "{code}");
        }
        for code in [400, 404] {
            assert_eq!(dry_run(code).await, Ok(None), "{code}: said elsewhere, or cannot be asked");
        }
        for code in [401, 429, 500, 503, 504] {
            assert!(dry_run(code).await.is_err(), "{code}");
        }
    }

    #[test]
    fn what_is_configured_is_in_job_and_template_and_our_mark_stays_ours() {
        let name = BindingName::parse(NAME).unwrap();
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let configured = FuseJob {
            image: Some("registry.example.com/pause:3".into()),
            labels: pairs(&[("team", "security"), (GRANT_LABEL, "another")]),
            annotations: pairs(&[("why", "fuse")]),
        };
        let job = serde_json::to_value(job(&name, &configured, name.deadline.plus_secs(-60)).unwrap()).unwrap();
        for metadata in [&job["metadata"], &job["spec"]["template"]["metadata"]] {
            assert_eq!(metadata["labels"], json!({"team": "security", GRANT_LABEL: "00000000000000a1"}));
            assert_eq!(metadata["annotations"], json!({"why": "fuse"}));
        }
        assert_eq!(job["spec"]["selector"]["matchLabels"], json!({GRANT_LABEL: "00000000000000a1"}));
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["image"], "registry.example.com/pause:3");
    }

    const NAME: &str = "curfew:0123abcd:00000000000000a1:20261123T081500Z:0";

    fn alive(change: impl FnOnce(&mut serde_json::Value)) -> bool {
        let name = BindingName::parse(NAME).unwrap();
        let mut j = serde_json::to_value(job(&name, &FuseJob::default(), name.deadline.plus_secs(-600)).unwrap()).unwrap();
        j["status"] = json!({"startTime": "2026-11-23T08:05:01Z"});
        change(&mut j);
        is_effective(&serde_json::from_value(j).unwrap(), &name)
    }

    #[test]
    fn a_fuse_is_claimed_only_while_nothing_keeps_it_from_burning() {
        assert!(alive(|_| ()));
        let broken: [fn(&mut serde_json::Value); 10] = [
            |j| j["status"] = json!({}),
            |j| j["status"]["startTime"] = json!("2026-11-23T08:06:00Z"),
            |j| j["spec"]["activeDeadlineSeconds"] = json!(31_536_000),
            |j| j["spec"]["suspend"] = json!(true),
            |j| j["spec"]["ttlSecondsAfterFinished"] = json!(86_400),
            |j| j["spec"]["managedBy"] = json!("example.com/nobody"),
            |j| j["metadata"]["finalizers"] = json!(["example.com/mine"]),
            |j| j["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"}]),
            |j| j["metadata"]["labels"] = json!({}),
            |j| j["spec"]["selector"]["matchLabels"] = json!({"batch.kubernetes.io/controller-uid": "1"}),
        ];
        for (i, change) in broken.into_iter().enumerate() {
            assert!(!alive(change), "case {i}");
        }
    }
}
