//! What happened to a request, in order of time. Pure.
use curfew_api::{
    AccessDecision, ActivationRequest, Grant, conditions, convert,
    request::{ActivationRequestStatus, CountedDecision},
};
use curfew_core::time::Time;
use k8s_openapi::api::core::v1::Event;
use serde::Serialize;

/// Everything that a user could read about a request.
pub(super) struct Sources<'a> {
    pub(super) request: &'a ActivationRequest,
    pub(super) decisions: &'a [AccessDecision],
    pub(super) grant: Option<&'a Grant>,
    pub(super) events: &'a [Event],
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Entry {
    /// When, in whole seconds for what the API server has stamped.
    pub(super) at: Option<Time>,
    /// Where it stands: request, decision, grant or event.
    pub(super) source: &'static str,
    /// What.
    pub(super) what: String,
    /// By whom.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) by: String,
    /// More.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
}

fn entry(at: Option<Time>, source: &'static str, what: impl Into<String>, detail: impl Into<String>) -> Entry {
    Entry { at, source, what: what.into(), by: String::new(), detail: detail.into() }
}

/// Everything in order of time; of one second, the request before decisions, Grant and Events. What has no time comes last.
pub(super) fn history(sources: &Sources<'_>) -> Vec<Entry> {
    let mut all = of_request(sources.request);
    all.extend(sources.decisions.iter().map(of_decision));
    all.extend(sources.grant.into_iter().flat_map(of_grant));
    all.extend(sources.events.iter().map(of_event));
    all.sort_by_key(|entry| (entry.at.is_none(), entry.at.map(Time::floor_secs)));
    all
}

fn of_request(request: &ActivationRequest) -> Vec<Entry> {
    let spec = &request.spec;
    let asked = [
        Some(format!("role {}", spec.role_ref.name)),
        spec.duration.as_ref().map(|duration| format!("for {duration}")),
        spec.justification.as_ref().map(|why| format!("\"{why}\"")),
        spec.ticket.as_ref().map(|ticket| format!("ticket {}/{}", ticket.system, ticket.number)),
    ];
    let by = spec.requester.as_ref().map(|user| user.username.clone()).unwrap_or_default();
    let asked = asked.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut all = vec![Entry { by, ..entry(Some(convert::created(request)), "request", "requested", asked) }];
    if let Some(status) = &request.status {
        all.extend(of_status(status));
    }
    all
}

fn of_status(status: &ActivationRequestStatus) -> Vec<Entry> {
    let mut all = Vec::new();
    if let Some(at) = status.approval.as_ref().and_then(|approval| approval.accepted_at) {
        let digest = status.digest.map(|digest| format!("digest {digest}")).unwrap_or_default();
        all.push(entry(Some(at), "request", "accepted", digest));
    }
    if let Some(at) = status.activated_at {
        let end = status.expires_at.map(|end| format!("until {end}")).unwrap_or_default();
        all.push(entry(Some(at), "request", "active", end));
    }
    let message = status.message.clone().unwrap_or_default();
    let reason = status.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    if let (Some(state), Some(at)) = (status.state, status.ended_at) {
        let by = status.ended_by.as_ref().map(|counted: &CountedDecision| counted.decider.clone()).unwrap_or_default();
        all.push(Entry { by, ..entry(Some(at), "request", format!("{state:?}{reason}"), message) });
    } else if let Some(state) = status.state {
        all.push(entry(None, "request", format!("now {state:?}{reason}"), message));
    }
    all
}

fn of_decision(decision: &AccessDecision) -> Entry {
    let counted = decision.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Counted"));
    let verdict = match counted {
        Some(found) if found.status == "True" => "counts".to_owned(),
        Some(found) if found.status == "False" => format!("does not count ({}): {}", found.reason, found.message),
        Some(found) => format!("waits ({}): {}", found.reason, found.message),
        None => "not judged yet".to_owned(),
    };
    let detail = match &decision.spec.comment {
        Some(comment) => format!("{verdict}; \"{comment}\""),
        None => verdict,
    };
    let by = decision.spec.decider.as_ref().map(|user| user.username.clone()).unwrap_or_default();
    Entry { by, ..entry(Some(convert::created(decision)), "decision", format!("{:?}", decision.spec.decision), detail) }
}

fn of_grant(grant: &Grant) -> Vec<Entry> {
    let mut all = vec![entry(Some(convert::created(grant)), "grant", "stored", grant.spec.plan.privileges().join(", "))];
    let Some(status) = &grant.status else { return all };
    if let Some(at) = status.granted_at {
        let fence = status.enforced_by.as_ref().map(|by| format!("enforced by {by}")).unwrap_or_default();
        all.push(entry(Some(at), "grant", "seen at the target", fence));
    }
    if let Some(at) = status.revoked_at {
        all.push(entry(Some(at), "grant", "seen to be gone from the target", ""));
    }
    if let Some(error) = &status.last_error {
        let attempts = status.attempts.map(|attempts| format!(" after {attempts} failed attempts")).unwrap_or_default();
        all.push(entry(None, "grant", format!("last error{attempts}"), error.clone()));
    }
    all
}

fn of_event(event: &Event) -> Entry {
    let stamps = [
        event.event_time.as_ref().map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.first_timestamp.as_ref().map(|time| time.0),
        event.metadata.creation_timestamp.as_ref().map(|time| time.0),
    ];
    let at = stamps.into_iter().flatten().next().map(|time| Time::from_millis(time.as_millisecond()));
    entry(at, "event", event.reason.clone().unwrap_or_default(), event.message.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn everything_is_told_in_order_of_time() {
        let request: ActivationRequest = object(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "one", "namespace": "payments", "uid": "u", "creationTimestamp": "2026-11-23T08:00:00Z"},
            "spec": {"roleRef": {"name": "admin"}, "duration": "1h", "justification": "roll back", "requester": {"username": "alice", "groups": []}},
            "status": {"state": "Revoked", "reason": "RevokedByApprover", "message": "ended", "approval": {"acceptedAt": "2026-11-23T08:00:01Z", "stages": []},
                "activatedAt": "2026-11-23T08:05:00Z", "expiresAt": "2026-11-23T09:05:00Z", "endedAt": "2026-11-23T08:30:00Z",
                "endedBy": {"decider": "carol", "decision": "Revoke", "at": "2026-11-23T08:29:59Z"}}}));
        let decision = |verb: &str, at: &str, counted: &str| -> AccessDecision {
            object(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision",
                "metadata": {"name": verb.to_lowercase(), "namespace": "payments", "creationTimestamp": at},
                "spec": {"about": {"activationRequest": {"name": "one"}}, "decision": verb, "comment": "go", "decider": {"username": "carol", "groups": []}},
                "status": {"conditions": [{"type": "Counted", "status": counted, "reason": "NotEntitled", "message": "no", "lastTransitionTime": at}]}}))
        };
        let decisions = [decision("Revoke", "2026-11-23T08:29:59Z", "True"), decision("Approve", "2026-11-23T08:04:00Z", "False")];
        let event: Event = object(
            json!({"metadata": {"name": "e"}, "involvedObject": {}, "reason": "Activated", "message": "active", "eventTime": "2026-11-23T08:05:01.500000Z"}),
        );
        let told = history(&Sources { request: &request, decisions: &decisions, grant: None, events: &[event] });
        let words: Vec<_> = told.iter().map(|entry| (entry.source, entry.what.as_str(), entry.by.as_str())).collect();
        let expected = [
            ("request", "requested", "alice"),
            ("request", "accepted", ""),
            ("decision", "Approve", "carol"),
            ("request", "active", ""),
            ("event", "Activated", ""),
            ("decision", "Revoke", "carol"),
            ("request", "Revoked (RevokedByApprover)", "carol"),
        ];
        assert_eq!(words, expected);
        assert_eq!(told[2].detail, "does not count (NotEntitled): no; \"go\"");
        assert!(told[0].detail.contains("for 1h, \"roll back\""));
    }

    #[test]
    fn what_goes_on_comes_last() {
        let request: ActivationRequest = object(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "one", "creationTimestamp": "2026-11-23T08:00:00Z"}, "spec": {"roleRef": {"name": "admin"}},
            "status": {"state": "AwaitingApproval", "message": "waiting for 1 of leads"}}));
        let told = history(&Sources { request: &request, decisions: &[], grant: None, events: &[] });
        assert_eq!(told.last().map(|entry| (entry.at, entry.what.as_str())), Some((None, "now AwaitingApproval")));
    }
}
