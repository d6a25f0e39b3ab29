//! Whether a Grant is what its request says. Pure.
use crate::api::{
    ActivationRequest,
    grant::GrantSpec,
    request::{ActivationRequestStatus, RequestState},
};
use curfew_core::{ids, resolved::SCHEMA};
use kube::ResourceExt;

/// Whether a request wants this Grant: it is the one that the Grant names, it is not being deleted, its access has begun and has not
/// ended, and the Grant is what it says.
pub fn wants(id: &str, grant: &GrantSpec, request: &ActivationRequest, install: &str) -> bool {
    let same = request.uid().as_deref() == Some(grant.request.uid.as_str()) && request.metadata.deletion_timestamp.is_none();
    let begun = |status: &&ActivationRequestStatus| matches!(status.state, Some(RequestState::Activating | RequestState::Active));
    same && request.status.as_ref().filter(begun).is_some_and(|status| matches_request(id, grant, status, install))
}

/// Whether a Grant is exactly what its request's status says: an attacker who got past the admission policy could have written a
/// different one under its name. The plan is computed again only where both have this build's schema; otherwise digests are
/// compared as stored.
pub fn matches_request(id: &str, grant: &GrantSpec, status: &ActivationRequestStatus, install: &str) -> bool {
    let (Some(resolved), Some(end)) = (&status.resolved, status.expires_at) else { return false };
    let comparable = grant.schema == Some(SCHEMA) && status.schema == Some(SCHEMA) && resolved.schema == SCHEMA;
    let same_people = ids::grant_id(install, &grant.request.uid) == id
        && grant.request.requester == resolved.requester
        && grant.request.beneficiary == resolved.beneficiary;
    let same_access = if comparable {
        grant.digest == resolved.digest() && resolved.plan(install, id, end).is_some_and(|plan| plan.gives_the_same(&grant.plan))
    } else {
        Some(grant.digest) == status.digest
    };
    same_people
        && same_access
        && grant.principal == resolved.principal
        && grant.system.reference == resolved.system
        && grant.expires_at <= end
        && grant.review.as_ref().map(|review| &review.reviewers) == resolved.break_glass.then(|| resolved.reviewers()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_core::resolved::Resolved;
    use serde_json::{Value, json};

    const INSTALL: &str = "0123abcd";
    const END: &str = "2026-11-25T12:00:00Z";

    fn status() -> ActivationRequestStatus {
        let reference = |name: &str| json!({"name": name, "uid": name, "generation": 1});
        let resolved = json!({
            "schema": SCHEMA, "request": "r1", "requester": "alice", "beneficiary": {"user": "alice"}, "principal": {"kubernetes": {"user": "alice"}},
            "system": {"name": "staging", "uid": "s1", "target": "t1"},
            "role": reference("role"), "assignment": reference("assignment"), "policy": reference("policy"),
            "permissions": {"kubernetes": {"roles": [{"kind": "ClusterRole", "name": "payments-admin", "uid": "c1", "rules": "0".repeat(64)}]}},
            "scope": {"kubernetes": {"namespaces": [reference("payments")]}}, "duration": "1h", "approval": [],
        });
        serde_json::from_value(json!({"schema": SCHEMA, "resolved": resolved, "expiresAt": END})).unwrap()
    }

    fn grant(id: &str, change: impl FnOnce(&mut Value)) -> GrantSpec {
        let status = status();
        let r: &Resolved = status.resolved.as_ref().unwrap();
        let plan = r.plan(INSTALL, id, status.expires_at.unwrap());
        let mut grant = json!({
            "schema": SCHEMA, "system": {"name": "staging", "uid": "s1", "target": "t1", "connection": {"kubernetes": {"inCluster": {}}}},
            "request": {"namespace": "payments", "name": "r", "uid": "r1", "requester": "alice", "beneficiary": {"user": "alice"}},
            "principal": {"kubernetes": {"user": "alice"}}, "plan": plan, "digest": r.digest(), "expiresAt": END,
        });
        change(&mut grant);
        serde_json::from_value(grant).unwrap()
    }

    fn matches(id: &str, change: impl FnOnce(&mut Value)) -> bool {
        matches_request(id, &grant(id, change), &status(), INSTALL)
    }

    #[test]
    fn a_request_wants_its_own_grant_while_its_access_lasts() {
        let id = ids::grant_id(INSTALL, "r1");
        let wanted = |grant: &GrantSpec, change: fn(&mut ActivationRequest)| {
            let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
                "metadata": {"name": "r", "namespace": "payments", "uid": "r1"}, "spec": {"roleRef": {"name": "role"}}});
            let mut request: ActivationRequest = serde_json::from_value(object).unwrap();
            request.status = Some(ActivationRequestStatus { state: Some(RequestState::Active), ..status() });
            change(&mut request);
            wants(&id, grant, &request, INSTALL)
        };
        let own = grant(&id, |_| ());
        assert!(wanted(&own, |_| ()));
        assert!(wanted(&own, |r| r.status.as_mut().unwrap().state = Some(RequestState::Activating)));
        // What the heartbeat must not take from the stores as well: a Grant that names a request, and is not what the request says.
        assert!(!wanted(&grant(&id, |g| g["plan"]["kubernetes"]["bindings"][0]["role"] = "cluster-admin".into()), |_| ()));
        assert!(!wanted(&own, |r| r.metadata.uid = Some("r2".into())));
        assert!(!wanted(&own, |r| r.status.as_mut().unwrap().state = Some(RequestState::Expired)));
        assert!(!wanted(&own, |r| r.status = None));
    }

    #[test]
    fn a_grant_is_exactly_what_its_request_says() {
        let id = ids::grant_id(INSTALL, "r1");
        assert!(matches(&id, |_| ()));
        assert!(matches(&id, |g| g["expiresAt"] = "2026-11-25T11:00:00Z".into()), "its end may move earlier");
        assert!(!matches("00000000000000a1", |_| ()), "under another name");
        type Forgery = (&'static str, fn(&mut Value));
        let forged: [Forgery; 10] = [
            ("a review that nobody asked for", |g| g["review"] = json!({"requester": {"username": "mallory"}, "reviewers": []})),
            ("a later end", |g| g["expiresAt"] = "2026-11-25T13:00:00Z".into()),
            ("another cluster", |g| g["system"]["name"] = "prod".into()),
            ("another target", |g| g["system"]["target"] = "t2".into()),
            ("another request", |g| g["request"]["uid"] = "r2".into()),
            ("another requester", |g| g["request"]["requester"] = "mallory".into()),
            ("another beneficiary", |g| g["request"]["beneficiary"]["user"] = "mallory".into()),
            ("another principal", |g| g["principal"]["kubernetes"]["user"] = "mallory".into()),
            ("another role", |g| g["plan"]["kubernetes"]["bindings"][0]["role"] = "cluster-admin".into()),
            ("another digest", |g| g["digest"] = "0".repeat(64).into()),
        ];
        for (what, change) in forged {
            assert!(!matches(&id, change), "{what}");
        }
    }
}
