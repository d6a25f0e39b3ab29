//! The requests by which the operator gives standing access, one for each activation.
use crate::{
    api::{
        ActivationRequest, ActiveAssignment, GROUP, OPERATOR_ACCOUNT, VERSION,
        policy::Beneficiary,
        request::{ActivationRequestSpec, RequestState, UidRef},
    },
    controllers::Context,
    identity::NAMESPACE,
    runtime::changes::RequestGroup,
};
use curfew_core::{
    digest::Digest,
    duration::Duration,
    occurrences::Occurrence,
    principal::{Subject, UserInfo},
    resolved::Terms,
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

/// The name of an activation: the same for every replica and after every restart, as long as what it rests on is the same. A name is used
/// once, so an activation that a person has ended is not repeated; an edit of the assignment, its role, the policy or the system, and other
/// content of the role, is another attempt.
pub fn name(ctx: &Context, assignment: &ActiveAssignment, when: &Occurrence, terms: &Terms) -> String {
    let resolved = &terms.resolved;
    let namespace = assignment.namespace().unwrap_or_default();
    let template = ctx.stores.template(&(namespace, resolved.role.name.clone()));
    let policy = ctx.stores.policies.find(|policy| policy.uid().as_deref() == Some(&resolved.policy.uid));
    let generations = (
        assignment.metadata.generation,
        template.and_then(|template| template.metadata.generation),
        policy.and_then(|policy| policy.metadata.generation),
        ctx.stores.system(&resolved.system.name).and_then(|system| system.metadata.generation),
    );
    let of = Digest::of(&(assignment.uid(), &resolved.role, &resolved.policy, generations, terms.effects)).to_string();
    let hash = of.get(..HASH).unwrap_or(&of);
    format!("{}-{hash}-{}", assignment.name_any(), when.start.compact().to_lowercase())
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
