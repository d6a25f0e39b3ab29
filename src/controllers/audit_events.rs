//! Audit records of requests, Grants and decisions. Pure.
use crate::{
    api::{
        AccessDecision, ActivationRequest, Grant, conditions,
        decision::About,
        grant::{GrantSpec, GrantStatus},
        request::{ActivationRequestStatus, RequestState},
    },
    audit::{CountedDecision, EventData, EventKind},
};
use curfew_core::{approval::Verb, conditions::evidence::Evidence, grant::State, reason::Reason, request, resolved::Resolved, time::Time};
use kube::ResourceExt;

/// How the people behind a request were authenticated, as far as their logins prove it.
#[derive(Clone, Default)]
pub struct Authentications {
    /// The requester.
    pub requester: Option<Evidence>,
    /// The author of the ActiveAssignment, of standing access.
    pub author: Option<Evidence>,
}

/// A request's transition, told before it is committed. Activation and its end are the Grant's to tell.
pub fn request_event(
    r: &ActivationRequest,
    next: &ActivationRequestStatus,
    state: request::State,
    words: &[CountedDecision],
    people: Authentications,
) -> Option<(EventKind, EventData)> {
    let what = match state {
        request::State::AwaitingApproval => EventKind::RequestAccepted,
        request::State::Scheduled => EventKind::RequestScheduled,
        request::State::Activating => EventKind::RequestApproved,
        request::State::Ended(..) => EventKind::RequestEnded,
        request::State::Pending | request::State::Active | request::State::Revoking(_) => return None,
    };
    let mut facts = about(r, next.resolved.as_ref(), people);
    facts.grant = next.grant_ref.as_ref().map(|g| g.name.clone());
    facts.digest = next.digest.map(|d| d.to_string());
    facts.expires_at = next.expires_at;
    facts.state = next.state.map(|s| format!("{s:?}"));
    facts.reason.clone_from(&next.reason);
    facts.message.clone_from(&next.message);
    facts.decisions = words.to_vec();
    Some((what, facts))
}

fn about(r: &ActivationRequest, resolved: Option<&Resolved>, people: Authentications) -> EventData {
    let mut facts = EventData {
        namespace: r.namespace(),
        name: Some(r.name_any()),
        request: r.uid(),
        actor: r.spec.requester.as_ref().map(|p| p.username.clone()),
        authentication: people.requester,
        author_authentication: people.author,
        role: Some(r.spec.role_ref.name.clone()),
        break_glass: r.spec.break_glass == Some(true),
        extends: r.spec.extends.as_ref().map(|extends| extends_in_words(&extends.name, &extends.uid)),
        justification: r.spec.justification.clone(),
        ticket: r.spec.ticket.as_ref().map(|t| format!("{} {}", t.system, t.number)),
        ..EventData::default()
    };
    if let Some(v) = resolved {
        facts.user = Some(v.principal.name());
        facts.system = Some(v.system.name.clone());
        facts.target = Some(v.system.target.clone());
        facts.policy = Some(v.policy.name.clone());
        facts.assignment = Some(v.assignment.name.clone());
        facts.author = v.author.clone();
        facts.privileges = v.permissions.privileges();
    }
    facts
}

fn extends_in_words(name: &str, uid: &str) -> String {
    format!("{name} ({uid})")
}

/// What is about to be granted, told before the Grant is written.
pub fn intent(r: &ActivationRequest, spec: &GrantSpec, id: &str, words: &[CountedDecision], people: Authentications) -> EventData {
    let resolved = r.status.as_ref().and_then(|s| s.resolved.as_ref());
    EventData {
        grant: Some(id.to_owned()),
        digest: Some(spec.digest.to_string()),
        expires_at: Some(spec.expires_at),
        privileges: spec.plan.privileges(),
        decisions: words.to_vec(),
        ..about(r, resolved, people)
    }
}

/// Why a Grant ends, as far as it is known. `request` is the one behind it, if it is still there: with a request that was
/// deleted goes the only status that could say why.
pub fn why(g: &Grant, drifted: bool, request: Option<&ActivationRequest>, now: Time) -> Option<Reason> {
    let said = request.and_then(|r| r.status.as_ref()).filter(|s| s.state.is_some_and(ends)).and_then(|s| s.reason.as_deref());
    // The end in a binding's name stays where it was when the Grant's own is brought forward.
    let planned = g.spec.plan.planned_deadline();
    match (said, request) {
        _ if drifted => Some(Reason::Drifted),
        (Some(said), _) => said.parse().ok(),
        _ if planned.is_some_and(|end| now >= end && g.spec.expires_at == end) => Some(Reason::DeadlinePassed),
        (None, None) => Some(Reason::RequestDeleted),
        // The request ends the Grant, and the store does not show that yet. What it says in its own end is told then.
        (None, Some(_)) => None,
    }
}

fn ends(s: RequestState) -> bool {
    s == RequestState::Revoking || s.outcome().is_some()
}

/// A Grant's transition, told before it is committed, with what the target showed, and why it ends.
pub fn grant_event(g: &Grant, next: &GrantStatus, stage: State, why: Option<Reason>) -> Option<(EventKind, EventData)> {
    let names = || next.artifacts.iter().map(|a| format!("{} {} ({})", a.kind, a.id, a.uid)).collect::<Vec<_>>().join(", ");
    let (what, confirmed) = match stage {
        State::Granting => return None,
        // Part of it was taken, or given back.
        State::Active if g.status.as_ref().is_some_and(|s| s.state == next.state) => {
            let partial = conditions::find(&next.conditions, "Partial").filter(|_| !next.withheld.is_empty());
            match partial {
                Some(partial) => (EventKind::AccessWithheld, Some(partial.message.clone())),
                None => (EventKind::AccessRestored, Some(format!("the target shows {}", names()))),
            }
        }
        State::Active => (EventKind::GrantConfirmed, Some(format!("the target shows {}", names()))),
        State::Revoking => (EventKind::RevocationBegun, None),
        State::Ended => {
            let left = conditions::find(&next.conditions, "Revoked").map(|revoked| revoked.message.clone()).filter(|left| !left.is_empty());
            let nothing = || format!("the target shows that nothing is left of {}", names());
            (EventKind::RevocationConfirmed, Some(left.unwrap_or_else(nothing)))
        }
        State::Abandoned => (EventKind::GrantAbandoned, Some("nothing: the target no longer exists".into())),
    };
    let s = &g.spec;
    let facts = EventData {
        namespace: Some(s.request.namespace.clone()),
        name: Some(s.request.name.clone()),
        request: Some(s.request.uid.clone()),
        grant: Some(g.name_any()),
        user: Some(s.principal.name()),
        role: s.request.role.clone(),
        extends: s.request.extends.as_ref().map(|extended| extends_in_words(&extended.name, &extended.uid)),
        system: Some(s.system.reference.name.clone()),
        break_glass: s.review.is_some(),
        target: Some(s.system.reference.target.clone()),
        privileges: s.plan.privileges(),
        digest: Some(s.digest.to_string()),
        expires_at: Some(s.expires_at),
        state: next.state.map(|s| format!("{s:?}")),
        reason: match stage {
            State::Granting | State::Active => None,
            State::Revoking | State::Ended => why,
            State::Abandoned => Some(Reason::Abandoned),
        }
        .map(|r| r.to_string()),
        confirmed,
        ..EventData::default()
    };
    Some((what, facts))
}

/// The verdict on a person's decision. `of` is the request that it concerns, by name and uid, where it is known: a name alone
/// may be used again, so only the uid joins a decision to a grant.
pub fn decision(d: &AccessDecision, verdict: &str, of: Option<(&str, &str)>, decider: Option<Evidence>) -> EventData {
    let (name, uid, grant) = match &d.spec.about {
        About::ActivationRequest(r) | About::AssignmentRequest(r) => (Some(r.name.as_str()), r.uid.as_deref(), None),
        About::Grant(g) => (None, None, Some(g.name.clone())),
    };
    EventData {
        namespace: d.namespace(),
        name: Some(d.name_any()),
        request: uid.or(of.map(|(_, uid)| uid)).map(str::to_owned),
        request_name: name.or(of.map(|(name, _)| name)).map(str::to_owned),
        grant,
        actor: d.spec.decider.as_ref().map(|p| p.username.clone()),
        authentication: decider,
        digest: d.spec.digest.map(|d| d.to_string()),
        duration: d.spec.duration.clone(),
        break_glass: d.spec.decision == Verb::Review,
        state: Some(format!("{:?}", d.spec.decision)),
        reason: Some(verdict.to_owned()),
        message: Some(format!("about {}: {}", name.unwrap_or("a grant"), d.spec.comment.as_deref().unwrap_or_default())),
        ..EventData::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BEFORE: &str = "2026-11-23T08:00:00Z";
    const END: &str = "2026-11-23T08:15:00Z";

    fn ending(expires_at: &str) -> Grant {
        let who = json!({"user": "alice"});
        let spec = json!({
            "system": {"name": "s", "uid": "u", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
            "request": {"namespace": "payments", "name": "first", "uid": "u1", "requester": "alice", "beneficiary": who},
            "principal": {"kubernetes": {"user": "alice"}}, "digest": "0".repeat(64), "expiresAt": expires_at,
            "plan": {"kubernetes": {"subject": who, "bindings": [
                {"name": "curfew:0123abcd:00000000000000a1:20261123T081500Z:0", "namespace": "payments", "roleKind": "ClusterRole", "role": "view"},
            ]}},
        });
        Grant::new("00000000000000a1", serde_json::from_value(spec).unwrap())
    }

    fn behind(state: &str, reason: &str) -> ActivationRequest {
        let request = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "first", "namespace": "payments"},
            "spec": {"roleRef": {"name": "view"}}, "status": {"state": state, "reason": reason, "conditions": []},
        });
        serde_json::from_value(request).unwrap()
    }

    #[test]
    fn a_grant_tells_why_it_ends_though_nothing_else_is_left_to_say_so() {
        let (active, revoking) = (behind("Active", "AsExpected"), behind("Revoking", "RevokedByApprover"));
        let cases = [
            // Brought forward by the replica that found that the request is gone.
            (BEFORE, BEFORE, false, None, Some(Reason::RequestDeleted)),
            (BEFORE, BEFORE, false, Some(&revoking), Some(Reason::RevokedByApprover)),
            (BEFORE, BEFORE, false, Some(&active), None),
            (BEFORE, BEFORE, true, Some(&active), Some(Reason::Drifted)),
            (END, END, false, Some(&active), Some(Reason::DeadlinePassed)),
            (END, END, false, None, Some(Reason::DeadlinePassed)),
            // Not armed, since its place was taken: no end has come.
            (END, BEFORE, false, Some(&active), None),
        ];
        for (i, (expires_at, now, drifted, request, is)) in cases.into_iter().enumerate() {
            assert_eq!(why(&ending(expires_at), drifted, request, Time::parse(now).unwrap()), is, "case {i}");
        }
        let reason = |stage, why| grant_event(&ending(BEFORE), &GrantStatus::default(), stage, why).and_then(|(_, f)| f.reason);
        for stage in [State::Revoking, State::Ended] {
            assert_eq!(reason(stage, Some(Reason::RequestDeleted)).as_deref(), Some("RequestDeleted"));
        }
        assert_eq!(reason(State::Active, Some(Reason::RequestDeleted)), None);
        assert_eq!(reason(State::Abandoned, None).as_deref(), Some("Abandoned"));
    }

    #[test]
    fn a_record_names_who_has_requested_and_who_gets_the_access() {
        let resolved = json!({
            "schema": 3, "request": "r1", "requester": "dana", "beneficiary": {"user": "erin"}, "principal": {"kubernetes": {"user": "erin"}},
            "system": {"name": "s", "uid": "u", "target": "t"}, "role": {"name": "view", "uid": "u"}, "assignment": {"name": "a", "uid": "u"},
            "policy": {"name": "p", "uid": "u"}, "permissions": {"kubernetes": {"roles": []}}, "scope": {"kubernetes": {"clusterWide": {}}},
            "duration": "1h", "approval": [],
        });
        let request = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "first", "namespace": "payments"},
            "spec": {"roleRef": {"name": "view"}, "beneficiary": {"user": "erin"}, "requester": {"username": "dana", "groups": []}},
            "status": {"state": "AwaitingApproval", "resolved": resolved, "conditions": []},
        });
        let request: ActivationRequest = serde_json::from_value(request).unwrap();
        let status = request.status.clone().unwrap();
        let (_, told) = request_event(&request, &status, request::State::AwaitingApproval, &[], Authentications::default()).unwrap();
        assert_eq!((told.actor.as_deref(), told.user.as_deref()), (Some("dana"), Some("erin")));
    }

    #[test]
    fn a_decision_names_the_request_behind_what_it_is_about() {
        let about = |about: serde_json::Value, of| {
            let d = json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d-1", "namespace": "payments"},
                "spec": {"about": about, "digest": "0".repeat(64), "decision": "Revoke"},
            });
            let f = decision(&serde_json::from_value(d).unwrap(), "Counted", of, None);
            (f.request_name.unwrap_or_default(), f.request.unwrap_or_default(), f.grant.unwrap_or_default())
        };
        let is = |name: &str, uid: &str, grant: &str| (name.to_owned(), uid.to_owned(), grant.to_owned());
        let known = Some(("first", "u1"));
        assert_eq!(about(json!({"activationRequest": {"name": "first"}}), known), is("first", "u1", ""));
        assert_eq!(about(json!({"activationRequest": {"name": "first"}}), None), is("first", "", ""));
        assert_eq!(about(json!({"activationRequest": {"name": "first", "uid": "u0"}}), None), is("first", "u0", ""));
        assert_eq!(about(json!({"grant": {"name": "00000000000000a1"}}), known), is("first", "u1", "00000000000000a1"));
    }

    #[test]
    fn the_verdict_on_an_approval_says_for_how_long_it_allows_the_access() {
        let approval = |more: serde_json::Value| {
            let mut spec = json!({"about": {"activationRequest": {"name": "first"}}, "digest": "0".repeat(64), "decision": "Approve"});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let d = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d-1"}, "spec": spec});
            serde_json::to_value(decision(&serde_json::from_value(d).unwrap(), "Counted", None, None)).unwrap()
        };
        assert_eq!(approval(json!({"duration": "15m"}))["duration"], "15m");
        assert!(approval(json!({})).get("duration").is_none());
    }

    #[test]
    fn the_record_of_an_end_says_what_is_left_and_by_whom_it_is_kept() {
        let confirmed = |message: &str| {
            let condition = json!({"type": "Revoked", "status": "True", "reason": "Proven", "message": message,
                "lastTransitionTime": "2030-01-01T00:00:00Z"});
            let status: GrantStatus = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
            grant_event(&ending(END), &status, State::Ended, None).unwrap().1.confirmed.unwrap()
        };
        assert!(confirmed("").starts_with("the target shows that nothing is left"));
        assert_eq!(confirmed("b has no subjects; its deletion is refused: freeze"), "b has no subjects; its deletion is refused: freeze");
    }
}
