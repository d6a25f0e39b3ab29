//! Whether what assignments claim was really approved: the windows that AssignmentRequests have given them, and that they were asked for. Read
//! before access begins by them, and shown.
use super::object::Object;
use crate::{
    api::{AccessDecision, ActiveAssignment, AssignmentRequest, CurfewConfig, EligibleAssignment},
    controllers::{
        Context,
        convert::{self, ClaimKind},
        dereference::Source,
        live_reads,
    },
    kube_writes,
    runtime::{changes::DecisionSubject, stores::Key},
};
use curfew_core::{
    admission::{Provenance, Seen},
    assignment_request::proof::{Evidence, Proof, prove},
    policy_inputs::{PolicyInputs, RequestFacts},
    principal::Subject,
};
use futures::future::try_join_all;
use std::sync::Arc;

/// How many claims are read about at a time.
const CONCURRENT_READS: usize = 8;

/// What an assignment claims, with what should prove it.
pub struct Claimed {
    /// The assignment.
    pub assignment: Object,
    /// What of it.
    pub kind: ClaimKind,
    request: Option<Arc<AssignmentRequest>>,
    decisions: Vec<Arc<AccessDecision>>,
}

/// Those of these assignments of which something must be proven before this request is granted: of its role, and such as make requester or
/// beneficiary eligible; or the assignment of standing access. What is active rests on what was proven when it began.
pub fn concerning(asked: &RequestFacts, assignments: &[Arc<EligibleAssignment>], standing: Option<&Arc<ActiveAssignment>>) -> Vec<Object> {
    if asked.approved.is_some() {
        return Vec::new();
    }
    if asked.active_assignment.is_some() {
        return standing.into_iter().cloned().map(Object::Active).filter(claims_something).collect();
    }
    let names = |subject: &Subject| subject.includes(&asked.requester) || asked.beneficiary.as_ref() == Some(subject);
    let concerns = |a: &&Arc<EligibleAssignment>| a.spec.role_ref.name == asked.role && names(&a.spec.subject);
    assignments.iter().filter(concerns).cloned().map(Object::Eligible).filter(claims_something).collect()
}

fn claims_something(assignment: &Object) -> bool {
    !assignment.claims().is_empty()
}

/// What should prove what these assignments claim; of one that is as it was written by hand there is nothing to prove.
///
/// # Errors
/// If the API server does not answer.
pub async fn read(ctx: &Context, source: Source, assignments: &[Object]) -> kube::Result<Vec<Claimed>> {
    if source == Source::Stores {
        return Ok(assignments.iter().flat_map(|assignment| stored(ctx, assignment)).collect());
    }
    let claims: Vec<(&Object, ClaimKind)> = assignments.iter().flat_map(|of| of.claims().into_iter().map(move |kind| (of, kind))).collect();
    let mut all = Vec::new();
    for chunk in claims.chunks(CONCURRENT_READS) {
        let found = try_join_all(chunk.iter().map(|(assignment, kind)| read_live(ctx, assignment, *kind)));
        all.extend(found.await?.into_iter().flatten());
    }
    Ok(all)
}

fn request_of(assignment: &Object, kind: ClaimKind) -> Option<Key> {
    Some((assignment.key().0, assignment.claim(kind)?.by().name.clone()))
}

/// The same from the stores, without a call.
pub fn stored(ctx: &Context, assignment: &Object) -> Vec<Claimed> {
    let of = |kind: ClaimKind| {
        let key = request_of(assignment, kind)?;
        let request = ctx.stores.assignment_request(&key);
        let decisions = ctx.stores.decisions_about(&DecisionSubject::AssignmentRequest(key));
        Some(Claimed { assignment: assignment.clone(), kind, request, decisions })
    };
    assignment.claims().into_iter().filter_map(of).collect()
}

async fn read_live(ctx: &Context, assignment: &Object, kind: ClaimKind) -> kube::Result<Option<Claimed>> {
    let Some(key) = request_of(assignment, kind) else { return Ok(None) };
    let requests = kube_writes::assignment_requests(&ctx.client, &key.0);
    let (request, decisions) =
        futures::try_join!(requests.get_opt(&key.1), live_reads::decisions_about_assignment_request(&ctx.client, &key))?;
    Ok(Some(Claimed { assignment: assignment.clone(), kind, request: request.map(Arc::new), decisions }))
}

impl Claimed {
    /// Whether it was approved, by these inputs, whose template is the role of the assignment. Without a configuration nobody knows.
    pub fn judge(&self, config: Option<&CurfewConfig>, inputs: &PolicyInputs<'_>) -> Proof {
        let (Some(claim), Some(config)) = (self.assignment.claim(self.kind), config) else { return Proof::Pending };
        let people = config.spec.identity.recognition();
        let keys = config.spec.identity.decider_proof.list();
        let accounts: Vec<_> = inputs.systems.iter().flat_map(|system| &system.emergency_accounts).cloned().collect();
        let logins = convert::Logins { proof: Some(&keys), emergency: &accounts, alias_keys: inputs.alias_keys };
        let facts: Vec<_> = self.decisions.iter().map(|d| convert::decision(d, Some(false), logins, inputs.admission)).collect();
        let request = self.request.as_ref().map(|request| convert::assignment_request(request));
        let evidence = request.as_ref().map(|request| Evidence { request, decisions: &facts, people: &people });
        prove(claim, (self.assignment.kind(), &self.assignment.facts()), evidence, inputs)
    }

    /// What the next admission proof must cover before that is known.
    pub fn not_covered(&self, inputs: &PolicyInputs<'_>) -> Vec<Seen> {
        let all = self.request.iter().map(|r| convert::seen(&**r)).chain(self.decisions.iter().map(|d| convert::seen(&**d)));
        all.filter(|seen| inputs.admission.provenance_of(&seen.uid, seen.created) == Provenance::Pending).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_core::{principal::UserInfo, time::Time};
    use serde_json::json;

    /// An assignment for this role and user, whose spec ends at 10:00, with this end in its status.
    fn assignment(name: &str, role: &str, user: &str, end: &str) -> Arc<EligibleAssignment> {
        let window = json!({"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T10:00:00Z"});
        let change = json!({"window": {"start": "2026-11-23T08:00:00Z", "end": end}, "replaces": window, "action": "Extend",
            "by": {"name": "longer", "uid": "r1"}, "digest": "0".repeat(64)});
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": name, "namespace": "payments", "uid": name},
            "spec": {"roleRef": {"name": role}, "subject": {"user": user}, "scope": {"all": {}}, "window": {"between": window}},
            "status": {"conditions": [], "change": change},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn asks(state: &str, spec: serde_json::Value) -> RequestFacts {
        let mut request = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "r", "namespace": "payments", "uid": "u", "creationTimestamp": "2026-11-23T08:30:00Z"},
            "spec": {"roleRef": {"name": "edit"}, "requester": {"username": "alice", "groups": []}}, "status": {"state": state, "conditions": []},
        });
        request["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let facts = convert::request_facts(&serde_json::from_value(request).unwrap(), false);
        assert_eq!(facts.created, Time::parse("2026-11-23T08:30:00Z").unwrap());
        facts
    }

    /// Each of them is two calls, in the middle of an activation.
    #[test]
    fn only_what_may_allow_the_request_is_read() {
        let (longer, shorter) = ("2026-11-23T12:00:00Z", "2026-11-23T09:00:00Z");
        let all = [
            assignment("hers", "edit", "alice", longer),
            assignment("of-another-role", "admin", "alice", longer),
            assignment("of-bob", "edit", "bob", longer),
            assignment("given-up", "edit", "alice", shorter),
        ];
        let read = |asked: &RequestFacts| concerning(asked, &all, None).iter().map(|a| a.key().1).collect::<Vec<_>>();
        let asked = asks("AwaitingApproval", json!({}));
        assert_eq!(read(&asked), ["hers"]);
        assert_eq!(read(&asks("AwaitingApproval", json!({"beneficiary": {"user": "bob"}}))), ["hers", "of-bob"]);
        let active = RequestFacts { approved: Some(approved()), ..asked.clone() };
        assert!(read(&active).is_empty(), "what is active rests on what was proven when it began");
        let standing = asks("AwaitingApproval", json!({"activeAssignment": {"name": "s", "uid": "s1"}}));
        assert!(read(&standing).is_empty());
        let stranger = RequestFacts { requester: UserInfo { username: "mallory".into(), ..UserInfo::default() }, ..asked };
        assert!(read(&stranger).is_empty());
    }

    fn approved() -> curfew_core::policy_inputs::ApprovedTerms {
        use curfew_core::target::{Empty, GrantedPermissions, GrantedScope, kubernetes};
        curfew_core::policy_inputs::ApprovedTerms {
            duration: "1h".parse().unwrap(),
            approval: Vec::new(),
            permissions: GrantedPermissions::Kubernetes(kubernetes::GrantedPermissions { roles: Vec::new() }),
            scope: GrantedScope::Kubernetes(kubernetes::GrantedScope::ClusterWide(Empty {})),
        }
    }
}
