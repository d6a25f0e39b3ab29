//! The requests by which the operator gives standing access, one for each activation.
use crate::{
    api::{
        ActivationRequest, ActiveAssignment, GROUP, OPERATOR_ACCOUNT, VERSION,
        policy::Beneficiary,
        request::{ActivationRequestSpec, RequestState, UidRef},
    },
    controllers::{Context, convert::Assigned},
    identity::NAMESPACE,
    runtime::changes::RequestGroup,
};
use curfew_core::{
    digest::Digest,
    duration::Duration,
    occurrences::{Occurrence, attempts::Ended},
    principal::{Subject, UserInfo},
    resolved::{Resolved, Terms},
    time::Time,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time as KubeTime},
    jiff::Timestamp,
};
use kube::ResourceExt;
use std::sync::Arc;

/// How long an activation is kept after its end.
const KEPT: &str = "1d";
/// The characters of a name that tell what it rests on.
const HASH: usize = 10;

/// An activation that has not ended.
pub struct Held {
    /// Its request.
    pub request: Arc<ActivationRequest>,
    /// From its start to its end.
    pub when: Occurrence,
}

/// The activations of an assignment that give access, or will: not those that end.
pub fn held(ctx: &Context, uid: &str) -> Vec<Held> {
    let all = ctx.stores.live_requests(&RequestGroup::Standing(uid.to_owned()));
    all.into_iter().filter_map(|request| Some(Held { when: when(&request)?, request })).collect()
}

fn when(request: &ActivationRequest) -> Option<Occurrence> {
    let status = request.status.as_ref();
    if request.metadata.deletion_timestamp.is_some() || status.and_then(|s| s.state) == Some(RequestState::Revoking) {
        return None;
    }
    let (start, duration) = (request.spec.start_time?, request.spec.duration.as_ref()?);
    let end = start.plus_secs(duration.secs());
    Some(Occurrence { start, end: status.and_then(|s| s.expires_at).map_or(end, |stored| stored.min(end)) })
}

/// The request for an activation, without a name.
pub fn request(assignment: &ActiveAssignment, when: &Occurrence) -> ActivationRequest {
    let spec = &assignment.spec;
    let (name, uid) = (assignment.name_any(), assignment.uid().unwrap_or_default());
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "ActiveAssignment".into(),
        name: name.clone(),
        uid: uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    ActivationRequest {
        metadata: ObjectMeta { namespace: assignment.namespace(), owner_references: Some(vec![owner]), ..ObjectMeta::default() },
        spec: ActivationRequestSpec {
            role_ref: spec.role_ref.clone(),
            duration: Some(Duration::from_secs(u32::try_from(when.secs()).unwrap_or(u32::MAX).max(1))),
            justification: Some(spec.justification.clone()),
            ticket: None,
            system: spec.system.clone(),
            start_time: Some(when.start),
            // The assignment narrows it.
            scope: None,
            permissions: None,
            beneficiary: match &spec.subject {
                Subject::User(name) => Some(Beneficiary::User(name.clone())),
                Subject::ServiceAccount(account) => Some(Beneficiary::ServiceAccount(account.clone())),
                // A request cannot name a group; the assignment does.
                Subject::Group(_) => None,
            },
            active_assignment: Some(UidRef { name, uid }),
            extends: None,
            break_glass: None,
            not_after: None,
            ttl_after_finished: KEPT.parse().ok(),
            requester: None,
        },
        status: None,
    }
}

/// The same request as the rules would read it, had the operator created it now.
pub fn as_created(request: ActivationRequest, now: Time) -> ActivationRequest {
    let requester = UserInfo { username: format!("system:serviceaccount:{NAMESPACE}:{OPERATOR_ACCOUNT}"), ..UserInfo::default() };
    let created = Timestamp::from_millisecond(now.floor_secs().as_millis()).ok().map(KubeTime);
    ActivationRequest {
        metadata: ObjectMeta { creation_timestamp: created, ..request.metadata },
        spec: ActivationRequestSpec { requester: Some(requester), ..request.spec },
        status: None,
    }
}

/// The name under which an activation is requested first.
pub fn name(ctx: &Context, assignment: &ActiveAssignment, when: &Occurrence, terms: &Terms) -> String {
    let resolved = &terms.resolved;
    let namespace = assignment.namespace().unwrap_or_default();
    let template = ctx.stores.template(&(namespace, resolved.role.name.clone()));
    let policy = ctx.stores.policies.find(|policy| policy.uid().as_deref() == Some(&resolved.policy.uid));
    let generations = [
        template.and_then(|template| template.metadata.generation),
        policy.and_then(|policy| policy.metadata.generation),
        ctx.stores.system(&resolved.system.name).and_then(|system| system.metadata.generation),
    ];
    first_name(assignment, when, resolved, generations)
}

/// The same for every replica and after every restart, as long as what it rests on is the same. A name is used once, so an activation that a
/// person has ended is not repeated; an edit of the assignment, its role, the policy or the system (`generations`) is another attempt. Other
/// content of the role at the target is none: a role that has grown ends what is active, and is not granted again because nobody looked.
fn first_name(assignment: &ActiveAssignment, when: &Occurrence, resolved: &Resolved, generations: [Option<i64>; 3]) -> String {
    let own = (assignment.uid(), assignment.metadata.generation);
    let rests_on = (own, &resolved.role, &resolved.policy, &resolved.system, &resolved.principal, generations);
    // A window that an AssignmentRequest has given does not change the spec, and is another attempt all the same.
    match assignment.change() {
        None => named(assignment, &Digest::of(&rests_on), when),
        Some(change) => named(assignment, &Digest::of(&(rests_on, change.digest)), when),
    }
}

/// The name under which an activation is requested again whose request of this uid has ended without a person. It follows from that request,
/// so that two replicas make one attempt.
pub fn name_after(assignment: &ActiveAssignment, when: &Occurrence, ended: &str) -> String {
    named(assignment, &Digest::of(&(assignment.uid(), ended)), when)
}

fn named(assignment: &ActiveAssignment, of: &Digest, when: &Occurrence) -> String {
    let of = of.to_string();
    let hash = of.get(..HASH).unwrap_or(&of);
    format!("{}-{hash}-{}", assignment.name_any(), when.start.compact().to_lowercase())
}

/// How a request has ended; `None` if it has not, or for a reason that this build does not know.
pub fn ended(request: &ActivationRequest) -> Option<Ended> {
    let status = request.status.as_ref()?;
    let (outcome, reason) = (status.state?.outcome()?, status.reason.as_deref()?.parse().ok()?);
    Some(Ended { outcome, reason, at: status.ended_at? })
}

/// The name of the assignment to which a request of this name may belong.
pub fn assignment_in(name: &str) -> Option<&str> {
    let mut parts = name.rsplitn(3, '-');
    let (start, hash) = (parts.next()?, parts.next()?);
    parts.next().filter(|_| hash.len() == HASH && start.len() == 16 && start.ends_with('z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::projection;
    use curfew_core::{
        reason::{Reason, TerminalState},
        resolved::Ref,
    };
    use serde_json::{Value, json};

    const WHEN: Occurrence = Occurrence { start: Time::from_secs(1_795_680_000), end: Time::from_secs(1_795_766_400) };

    fn assignment(generation: i64) -> ActiveAssignment {
        let spec = json!({
            "roleRef": {"name": "edit"}, "subject": {"user": "stan"}, "scope": {"all": {}}, "window": {"permanent": {}}, "justification": "j",
        });
        let metadata = json!({"name": "on-call", "namespace": "payments", "uid": "a1", "generation": generation});
        let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActiveAssignment", "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn resolved(verbs: &[&str]) -> Resolved {
        let content = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]);
        let role = json!({"kind": "ClusterRole", "name": "edit", "uid": "c1", "rules": Digest::of(&verbs).to_string(), "content": content});
        let reference = |name: &str| json!({"name": name, "uid": format!("{name}-uid")});
        let object = json!({
            "schema": 5, "request": "r1", "requester": "operator", "beneficiary": {"user": "stan"},
            "principal": {"kubernetes": {"user": "stan"}}, "system": {"name": "here", "uid": "s1", "target": "t1"},
            "role": reference("edit"), "assignment": reference("on-call"), "policy": reference("payments"),
            "permissions": {"kubernetes": {"roles": [role]}},
            "scope": {"kubernetes": {"namespaces": [{"name": "payments", "uid": "n1"}]}},
            "duration": "24h", "approval": [],
        });
        serde_json::from_value(object).unwrap()
    }

    /// An edit of what an activation rests on is another attempt; a role that holds more at the target is none.
    #[test]
    fn the_name_of_an_activation_follows_from_specs_and_not_from_what_a_role_holds() {
        let first = first_name(&assignment(1), &WHEN, &resolved(&["get"]), [Some(1); 3]);
        assert_eq!(assignment_in(&first), Some("on-call"));
        let (small, grown) = (resolved(&["get"]), resolved(&["get", "delete"]));
        assert_ne!(small.effects(), grown.effects());
        assert_eq!(first_name(&assignment(1), &WHEN, &grown, [Some(1); 3]), first);
        let later = Occurrence { start: WHEN.start.plus_secs(82_800), ..WHEN };
        let others = [
            first_name(&assignment(2), &WHEN, &small, [Some(1); 3]),
            first_name(&assignment(1), &later, &small, [Some(1); 3]),
            first_name(&assignment(1), &WHEN, &small, [Some(2), Some(1), Some(1)]),
            first_name(&assignment(1), &WHEN, &small, [Some(1), Some(2), Some(1)]),
            first_name(&assignment(1), &WHEN, &small, [Some(1), Some(1), Some(2)]),
            first_name(
                &assignment(1),
                &WHEN,
                &Resolved { policy: Ref { name: "other".into(), uid: "o".into() }, ..small.clone() },
                [Some(1); 3],
            ),
        ];
        let all: std::collections::BTreeSet<_> = others.iter().chain([&first]).collect();
        assert_eq!(all.len(), others.len() + 1, "{all:?}");
    }

    #[test]
    fn what_is_requested_again_has_a_name_that_follows_from_what_has_ended() {
        let (assignment, first) = (assignment(1), first_name(&assignment(1), &WHEN, &resolved(&["get"]), [Some(1); 3]));
        let (second, third) = (name_after(&assignment, &WHEN, "u1"), name_after(&assignment, &WHEN, "u2"));
        assert_eq!(second, name_after(&assignment, &WHEN, "u1"), "the same for every replica");
        assert!(first != second && second != third, "{first} {second} {third}");
        assert_eq!(assignment_in(&second), Some("on-call"));
    }

    #[test]
    fn how_an_activation_has_ended_is_read_from_what_the_stores_keep_of_it() {
        let request = |status: Value| -> ActivationRequest {
            let mut request = serde_json::from_value(json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments", "uid": "u"},
                "spec": {"roleRef": {"name": "edit"}}, "status": status,
            }))
            .unwrap();
            projection::request(&mut request);
            request
        };
        let status =
            |state: &str, reason: &str| json!({"state": state, "reason": reason, "endedAt": "2026-11-25T12:00:00Z", "conditions": []});
        let at = Time::parse("2026-11-25T12:00:00Z").unwrap();
        let expected = Ended { outcome: TerminalState::Invalid, reason: Reason::AdmissionNotEnforced, at };
        assert_eq!(ended(&request(status("Invalid", "AdmissionNotEnforced"))), Some(expected));
        assert_eq!(ended(&request(status("Active", "AsExpected"))), None);
        assert_eq!(ended(&request(status("Invalid", "OfANewerBuild"))), None, "what is not known is not repeated");
    }

    #[test]
    fn the_name_of_an_activation_says_to_which_assignment_it_may_belong() {
        for (name, assignment) in [
            ("on-call-0123456789-20261123t081500z", Some("on-call")),
            ("a-0123456789-20261123t081500z", Some("a")),
            ("0123456789-20261123t081500z", None),
            ("payments-admin-x7k2p", None),
            ("on-call-0123456789-20261123t081500", None),
        ] {
            assert_eq!(assignment_in(name), assignment, "{name}");
        }
    }
}
