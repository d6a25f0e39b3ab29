//! What the stores keep of requests and decisions. People can create them in any number, and the texts and identities in them would
//! fill the memory of every replica: of those that nothing has to be decided about any more a few fields are kept. A reconcile that
//! needs more of such an object reads it live. Labels, which may be a megabyte, are not kept of any.
use super::changes::{assignment_request_has_ended, final_verdict, has_ended};
use crate::api::{
    AccessDecision, ActivationRequest, AssignmentRequest, EligibleAssignment,
    assignment_request::{AssignmentRequestState, AssignmentRequestStatus},
    convert,
    request::ActivationRequestStatus,
};
use curfew_core::{approval::Verb, retention, text::is_blank};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::ResourceExt;

/// What is kept of the labels and annotations of a request: whether a GitOps tool applies it. People cannot set this label on a request.
const TRACKED: &str = "curfew.dev/tracked";

/// Whether a GitOps tool applies a request or an assignment, as the stores show it.
pub fn is_tracked(object: &impl ResourceExt) -> bool {
    object.labels().contains_key(TRACKED)
}

/// Stands for the comment of a decision that counts.
const COMMENTED: &str = "...";

/// Takes off an ended request everything but what names it, how it ended, until when it is kept, and whether it must be reviewed.
pub fn request(request: &mut ActivationRequest) {
    let keys = request.labels().keys().chain(request.annotations().keys());
    let tracked = retention::is_tracked(keys.map(String::as_str));
    request.metadata.labels = tracked.then(|| [(TRACKED.to_owned(), "true".to_owned())].into());
    if !has_ended(request) {
        return;
    }
    request.metadata = ObjectMeta { labels: request.metadata.labels.take(), ..identity(std::mem::take(&mut request.metadata)) };
    let spec = &mut request.spec;
    (spec.duration, spec.justification, spec.ticket, spec.system, spec.start_time) = (None, None, None, None, None);
    (spec.scope, spec.permissions, spec.beneficiary, spec.extends, spec.break_glass) = (None, None, None, None, None);
    (spec.not_after, spec.requester, spec.active_assignment) = (None, None, None);
    let status = request.status.take().unwrap_or_default();
    let (state, reason, ended_at) = (status.state, status.reason, status.ended_at);
    // Whether a review is outstanding: it keeps the request and the lock of its requester.
    let mut conditions = status.conditions;
    conditions.retain(|condition| condition.type_ == convert::REVIEW_REQUIRED);
    conditions.iter_mut().for_each(|condition| condition.message = String::new());
    request.status = Some(ActivationRequestStatus { state, reason, ended_at, conditions, ..ActivationRequestStatus::default() });
}

/// Notes on an assignment whether a GitOps tool applies it. People may set the label on this kind, so one that they have set is taken off.
pub fn assignment(assignment: &mut EligibleAssignment) {
    let keys = assignment.labels().keys().chain(assignment.annotations().keys());
    let tracked = retention::is_tracked(keys.map(String::as_str));
    assignment.labels_mut().remove(TRACKED);
    if tracked {
        assignment.labels_mut().insert(TRACKED.into(), "true".into());
    }
}

/// Takes off an AssignmentRequest that has ended without an effect everything but what names it, how it ended, and until when it is kept.
/// One that was applied is the proof of the window that it has given.
pub fn assignment_request(request: &mut AssignmentRequest) {
    let keys = request.labels().keys().chain(request.annotations().keys());
    let tracked = retention::is_tracked(keys.map(String::as_str));
    request.metadata.annotations = None;
    request.metadata.labels = tracked.then(|| [(TRACKED.to_owned(), "true".to_owned())].into());
    let applied = request.status.as_ref().and_then(|status| status.state) == Some(AssignmentRequestState::Applied);
    if applied || !assignment_request_has_ended(request) {
        return;
    }
    request.metadata = ObjectMeta { labels: request.metadata.labels.take(), ..identity(std::mem::take(&mut request.metadata)) };
    request.spec.justification = String::new();
    request.spec.requester = None;
    let status = request.status.take().unwrap_or_default();
    let (state, reason, ended_at) = (status.state, status.reason, status.ended_at);
    request.status = Some(AssignmentRequestStatus { state, reason, ended_at, ..AssignmentRequestStatus::default() });
}

/// Takes off a decision with a final verdict everything but what the rules may still read: of an Approve or Abandon that does not
/// count nothing, of all others the decider, the digest, the duration, and whether it has a comment.
pub fn decision(decision: &mut AccessDecision) {
    decision.metadata.labels = None;
    let Some(counts) = final_verdict(decision) else { return };
    decision.metadata = identity(std::mem::take(&mut decision.metadata));
    // Whether an approval has one is asked again; its words are not.
    let commented = decision.spec.comment.as_deref().is_some_and(|comment| !is_blank(comment));
    decision.spec.comment = (commented && counts).then(|| COMMENTED.to_owned());
    if let Some(status) = &mut decision.status {
        status.display = None;
        status.conditions.iter_mut().for_each(|condition| condition.message = String::new());
    }
    if is_dropped(counts, decision.spec.decision) {
        (decision.spec.digest, decision.spec.decider, decision.spec.duration) = (None, None, None);
    }
}

/// Takes off a Job that runs no Pod the template of its Pods.
pub fn fuse(job: &mut Job) {
    if let Some(spec) = &mut job.spec {
        spec.template = PodTemplateSpec::default();
    }
}

/// Whether no rule reads this decision again. A Deny or Revoke that does not count stays in the tally: it only takes away, so its
/// status is not what decides about it.
pub fn is_dropped(counts: bool, verb: Verb) -> bool {
    !counts && matches!(verb, Verb::Approve | Verb::Abandon | Verb::Review)
}

/// The metadata that tell one object from another, and its age.
fn identity(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        generation: metadata.generation,
        creation_timestamp: metadata.creation_timestamp,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stored_request(state: &str) -> ActivationRequest {
        let mut stored: ActivationRequest = serde_json::from_value(json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "r", "namespace": "payments", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}, "finalizers": ["f"]},
            "spec": {"roleRef": {"name": "edit"}, "justification": "x".repeat(1024), "ttlAfterFinished": "30d",
                "requester": {"username": "alice", "groups": ["devs"]}},
            "status": {"state": state, "reason": "Withdrawn", "message": "y".repeat(1024), "endedAt": "2026-11-25T12:00:00Z", "conditions": []},
        }))
        .unwrap();
        request(&mut stored);
        stored
    }

    #[test]
    fn an_assignment_that_a_gitops_tool_applies_is_known_as_such_and_no_label_of_people_is_taken_for_that() {
        let stored = |metadata: Value| {
            let mut stored: EligibleAssignment = serde_json::from_value(json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": metadata,
                "spec": {"roleRef": {"name": "edit"}, "subject": {"user": "alice"}, "scope": {"all": {}}, "window": {"permanent": {}}},
            }))
            .unwrap();
            assignment(&mut stored);
            stored
        };
        for tracked in [
            json!({"name": "a", "annotations": {"argocd.argoproj.io/tracking-id": "x"}}),
            json!({"name": "a", "labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}),
        ] {
            assert!(is_tracked(&stored(tracked.clone())), "{tracked}");
        }
        let own = stored(json!({"name": "a", "labels": {TRACKED: "true", "team": "a"}}));
        assert!(!is_tracked(&own) && own.labels().contains_key("team"));
    }

    #[test]
    fn of_an_ended_request_a_few_fields_are_kept() {
        let live = stored_request("Active");
        assert!(live.spec.justification.is_some() && live.spec.requester.is_some() && live.metadata.finalizers.is_some());
        assert!(live.metadata.labels.is_none());
        let ended = serde_json::to_value(stored_request("Cancelled")).unwrap();
        let kept = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "r", "namespace": "payments", "uid": "u", "resourceVersion": "7"},
            "spec": {"roleRef": {"name": "edit"}, "ttlAfterFinished": "30d"},
            "status": {"state": "Cancelled", "reason": "Withdrawn", "endedAt": "2026-11-25T12:00:00Z", "conditions": []},
        });
        assert_eq!(ended, kept);
    }

    #[test]
    fn whether_a_gitops_tool_applies_a_request_is_kept_of_its_labels_and_annotations() {
        let stored = |metadata: Value, state: &str| -> ActivationRequest {
            let mut stored = serde_json::from_value(json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": metadata, "spec": {"roleRef": {"name": "edit"}},
                "status": {"state": state, "conditions": []},
            }))
            .unwrap();
            request(&mut stored);
            stored
        };
        for state in ["Active", "Expired"] {
            let flux = stored(json!({"name": "r", "labels": {"kustomize.toolkit.fluxcd.io/name": "access", "team": "x"}}), state);
            assert!(is_tracked(&flux) && flux.labels().len() == 1, "{state}");
            assert!(is_tracked(&stored(json!({"name": "r", "annotations": {"argocd.argoproj.io/tracking-id": "a"}}), state)), "{state}");
            assert!(!is_tracked(&stored(json!({"name": "r", "labels": {"team": "x"}}), state)), "{state}");
        }
    }

    #[test]
    fn of_a_judged_decision_is_kept_what_a_rule_may_still_read() {
        let stored = |verb: &str, counted: &str| -> Value {
            let condition = json!({"type": "Counted", "status": counted, "reason": "Counted", "message": "z".repeat(500), "lastTransitionTime": "2026-11-25T12:00:00Z"});
            let mut stored: AccessDecision = serde_json::from_value(json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d", "namespace": "payments", "uid": "u"},
                "spec": {"about": {"activationRequest": {"name": "r"}}, "digest": "0".repeat(64), "decision": verb, "comment": "c",
                    "decider": {"username": "carol", "groups": []}},
                "status": {"conditions": [condition]},
            }))
            .unwrap();
            decision(&mut stored);
            serde_json::to_value(stored).unwrap()
        };
        let open = stored("Approve", "Unknown");
        assert!(open["spec"]["comment"] == "c" && open["status"]["conditions"][0]["message"] != "");
        for (verb, counted, decider) in [
            ("Approve", "True", true),
            ("Approve", "False", false),
            ("Abandon", "False", false),
            ("Deny", "False", true),
            ("Revoke", "True", true),
        ] {
            let kept = stored(verb, counted);
            assert_eq!((kept["spec"]["decider"].is_object(), kept["spec"]["digest"].is_string()), (decider, decider), "{verb} {counted}");
            let comment = kept["spec"]["comment"].as_str();
            assert_eq!(
                (comment, &kept["status"]["conditions"][0]["message"]),
                ((counted == "True").then_some("..."), &json!("")),
                "{kept}"
            );
        }
    }
}
