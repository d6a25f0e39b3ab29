//! What a transition of an ActivationRequest tells. Pure.
use super::notice::{About, Kind, Notice};
use crate::api::{
    ActivationRequest, conditions,
    request::{ActivationRequestStatus, RequestState, StageStatus},
};
use curfew_core::{
    approval::{ApprovalStage, CommentRule},
    notice::{
        NoticeEvent,
        matrix::Concerned,
        transition::{self, OpenStage, Phase, RequestEvent, Snapshot},
    },
    principal::Subject,
    text::{brief, printable},
};
use kube::ResourceExt;

/// The events of break-glass, of which the channels are told that the role names.
pub const fn is_of_break_glass(event: NoticeEvent) -> bool {
    matches!(event, NoticeEvent::BreakGlass | NoticeEvent::ReviewOutstanding)
}

fn is_break_glass(status: &ActivationRequestStatus) -> bool {
    status.resolved.as_ref().is_some_and(|resolved| resolved.break_glass)
}

/// What notifications need to know of a status.
pub fn snapshot(status: &ActivationRequestStatus) -> Snapshot {
    let phase = match status.state {
        None | Some(RequestState::Pending | RequestState::Unknown) => Phase::Before,
        Some(RequestState::AwaitingApproval) => Phase::Waiting,
        Some(RequestState::Scheduled) => Phase::Scheduled,
        Some(RequestState::Activating) => Phase::Activating,
        Some(RequestState::Active) => Phase::Active,
        Some(RequestState::Revoking) => Phase::Revoking,
        Some(ended) => ended.outcome().map_or(Phase::Before, Phase::Over),
    };
    let stages = status.approval.as_ref().map_or(&[][..], |approval| &approval.stages);
    Snapshot {
        phase,
        had_access: status.activated_at.is_some(),
        passed: passed(stages),
        open: open(stages),
        stuck: conditions::is_true(&status.conditions, "Stalled"),
        break_glass: is_break_glass(status),
    }
}

/// The stages that have all of their approvals, by name.
pub fn passed(stages: &[StageStatus]) -> Vec<String> {
    stages.iter().filter(|stage| stage.approved >= stage.quorum).map(|stage| stage.name.clone()).collect()
}

/// The stages that wait for approvals.
pub fn open(stages: &[StageStatus]) -> Vec<OpenStage> {
    let waits = |stage: &&StageStatus| stage.deadline.is_some();
    stages.iter().filter(waits).map(|stage| OpenStage { name: stage.name.clone(), escalated: stage.escalated }).collect()
}

/// What is told when a request goes over from one status to that of `stored`. Of the requests by which the operator gives standing access, one
/// after the other, only that a removal does not succeed: everything else of it is told of its ActiveAssignment.
pub fn notices(before: Option<&ActivationRequestStatus>, stored: &ActivationRequest) -> Vec<Notice> {
    let Some(status) = &stored.status else { return Vec::new() };
    let events = transition::events(before.map(snapshot).as_ref(), &snapshot(status));
    let standing = stored.spec.active_assignment.is_some();
    let told = events.into_iter().filter(|event| !standing || event.event == NoticeEvent::RevocationStuck);
    told.map(|event| of_request(stored, status, event)).collect()
}

/// That the access of a request has begun by break-glass.
pub fn break_glass(stored: &ActivationRequest) -> Option<Notice> {
    let event = RequestEvent { event: NoticeEvent::BreakGlass, stage: None };
    stored.status.as_ref().map(|status| of_request(stored, status, event))
}

/// That the review of a request is outstanding. `round` counts the reminders.
pub fn review_outstanding(stored: &ActivationRequest, round: i64) -> Option<Notice> {
    let status = stored.status.as_ref()?;
    let event = RequestEvent { event: NoticeEvent::ReviewOutstanding, stage: None };
    let notice = of_request(stored, status, event);
    Some(Notice { id: format!("{}/{round}", notice.id), ..notice })
}

/// Those who may approve the stage that the event names, or any stage. An escalation tells those whom it adds.
pub fn approvers(stages: &[ApprovalStage], event: &RequestEvent, escalated: bool) -> Vec<Subject> {
    let of = |stage: &ApprovalStage| -> Vec<Subject> {
        let added = || stage.escalation.iter().flat_map(|escalation| escalation.approvers.clone());
        match event.event {
            NoticeEvent::Escalated => added().collect(),
            NoticeEvent::ApprovalNeeded if !escalated => stage.approvers.clone(),
            NoticeEvent::ApprovalNeeded => stage.approvers.iter().cloned().chain(added()).collect(),
            // All of them may review.
            event if is_of_break_glass(event) => stage.approvers.iter().cloned().chain(added()).collect(),
            _ => stage.approvers.clone(),
        }
    };
    stages.iter().filter(|stage| event.stage.as_ref().is_none_or(|name| *name == stage.name)).flat_map(of).collect()
}

fn of_request(request: &ActivationRequest, status: &ActivationRequestStatus, event: RequestEvent) -> Notice {
    let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
    let requester = request.spec.requester.as_ref().map(|requester| requester.username.clone()).unwrap_or_default();
    let resolved = status.resolved.as_ref();
    let holder = resolved.map(|resolved| resolved.beneficiary.clone());
    let stages = resolved.map_or(&[][..], |resolved| &resolved.approval);
    let shown = status.approval.iter().flat_map(|approval| &approval.stages).find(|stage| Some(&stage.name) == event.stage.as_ref());
    let mut people: Vec<Subject> = std::iter::once(Subject::User(requester.clone())).filter(|_| !requester.is_empty()).collect();
    people.extend(holder.clone().filter(|holder| !people.contains(holder)));
    let escalated = shown.is_some_and(|stage| stage.escalated);
    let concerned = Concerned { requester: people, approvers: approvers(stages, &event, escalated), channels: Vec::new() };
    let whom = holder.as_ref().map_or_else(|| requester.clone(), Subject::principal);
    let some = |fact: &'static str, value: Option<String>| value.map(|value| (fact, value));
    let facts = [
        some("kind", Some("ActivationRequest".into())),
        some("namespace", Some(namespace.clone())),
        some("name", Some(name.clone())),
        some("role", Some(request.spec.role_ref.name.clone())),
        some("system", resolved.map(|resolved| resolved.system.name.clone())),
        some("requester", Some(requester.clone())),
        some("beneficiary", Some(whom.clone())),
        some("justification", request.spec.justification.clone()),
        some("extends", request.spec.extends.as_ref().map(|extended| extended.name.clone())),
        some("ticket", request.spec.ticket.as_ref().map(|ticket| ticket.number.clone())),
        some("stage", event.stage.clone()),
        some("approveBefore", shown.and_then(|stage| stage.deadline).map(|time| time.to_string())),
        some("start", resolved.and_then(|resolved| resolved.start).map(|time| time.to_string())),
        some("duration", resolved.map(|resolved| resolved.duration.to_string())),
        some("until", status.expires_at.map(|end| end.to_string())),
        some("state", status.state.map(|state| format!("{state:?}"))),
        some("reason", status.reason.clone()),
    ];
    let names = Names { whom: &whom, requester: &requester, role: &request.spec.role_ref.name, namespace: &namespace };
    let asked = stages.iter().find(|stage| Some(&stage.name) == event.stage.as_ref());
    Notice {
        id: Notice::id_of(&[&request.uid().unwrap_or_default(), &format!("{:?}", event.event), event.stage.as_deref().unwrap_or_default()]),
        subject: subject(event.event, &names, status),
        commands: commands(event.event, (&namespace, &name), status, asked),
        about: Some(About { kind: Kind::Request, key: (namespace.clone(), name.clone()) }),
        facts: facts.into_iter().flatten().filter(|(_, value)| !value.is_empty()).collect(),
        message: status.message.clone().unwrap_or_default(),
        concerned,
        event,
    }
}

/// What a subject line names.
struct Names<'a> {
    whom: &'a str,
    requester: &'a str,
    role: &'a str,
    namespace: &'a str,
}

fn subject(event: NoticeEvent, names: &Names<'_>, status: &ActivationRequestStatus) -> String {
    let (whom, role, namespace) = (brief(names.whom), brief(names.role), names.namespace);
    let state = status.state.map_or_else(String::new, |state| format!("{state:?}"));
    let reason = status.reason.clone().unwrap_or(state);
    let line = match event {
        NoticeEvent::ApprovalNeeded if names.whom == names.requester => format!("{whom} requests {role} in {namespace}"),
        NoticeEvent::ApprovalNeeded => format!("{} requests {role} in {namespace} for {whom}", brief(names.requester)),
        NoticeEvent::Escalated => format!("escalated to you: the request of {} for {role} in {namespace}", brief(names.requester)),
        NoticeEvent::Refused => format!("the request of {} for {role} in {namespace} has ended: {reason}", brief(names.requester)),
        NoticeEvent::Scheduled => format!("the request of {} for {role} in {namespace} is approved", brief(names.requester)),
        NoticeEvent::Activated => format!("{whom} has {role} in {namespace}"),
        NoticeEvent::Ended => format!("{whom} no longer has {role} in {namespace}: {reason}"),
        NoticeEvent::RevocationStuck => format!("{role} in {namespace} cannot be removed from {whom}"),
        NoticeEvent::BreakGlass => format!("break-glass: {whom} activates {role} in {namespace} without approval"),
        NoticeEvent::ReviewOutstanding => format!("the review of a break-glass access to {role} in {namespace} is outstanding"),
        NoticeEvent::EmergencyAccountUsed
        | NoticeEvent::Assigned
        | NoticeEvent::ActiveAssigned
        | NoticeEvent::AssignmentChanged
        | NoticeEvent::AssignmentEnds
        | NoticeEvent::AssignmentEnded
        | NoticeEvent::Digest => String::new(),
    };
    printable(&line)
}

/// The commands that approve a request, exactly as it was asked, and that deny it.
pub fn approve((name, namespace): (&str, &str), digest: Option<String>, stage: Option<&ApprovalStage>) -> [String; 2] {
    let comment = stage.is_some_and(|stage| stage.comment == CommentRule::Required);
    let comment = if comment { " --comment '...'" } else { "" };
    let digest = digest.map_or_else(String::new, |digest| format!(" --digest {digest}"));
    [format!("kubectl curfew approve {name} -n {namespace}{digest}{comment}"), format!("kubectl curfew deny {name} -n {namespace}")]
}

/// The commands for those who are told. Names of objects need no quotes.
fn commands(
    event: NoticeEvent,
    (namespace, name): (&str, &str),
    status: &ActivationRequestStatus,
    stage: Option<&ApprovalStage>,
) -> Vec<String> {
    let describe = || format!("kubectl describe areq {name} -n {namespace}");
    match event {
        NoticeEvent::ApprovalNeeded | NoticeEvent::Escalated => {
            let asks = approve((name, namespace), status.digest.map(|digest| digest.to_string()), stage);
            asks.into_iter().chain([describe()]).collect()
        }
        NoticeEvent::Scheduled | NoticeEvent::Activated => {
            vec![format!("kubectl curfew revoke {name} -n {namespace}"), describe()]
        }
        NoticeEvent::RevocationStuck => {
            let grant = status.grant_ref.as_ref().map(|grant| format!("kubectl describe grt {}", grant.name));
            std::iter::once(describe()).chain(grant).collect()
        }
        NoticeEvent::BreakGlass | NoticeEvent::ReviewOutstanding => {
            let review = format!("kubectl curfew review {name} -n {namespace} --comment '...'");
            let over = status.state.and_then(RequestState::outcome).is_some();
            let revoke = (!over).then(|| format!("kubectl curfew revoke {name} -n {namespace}"));
            std::iter::once(review).chain(revoke).chain([describe()]).collect()
        }
        NoticeEvent::Refused | NoticeEvent::Ended => vec![describe()],
        NoticeEvent::EmergencyAccountUsed
        | NoticeEvent::Assigned
        | NoticeEvent::ActiveAssigned
        | NoticeEvent::AssignmentChanged
        | NoticeEvent::AssignmentEnds
        | NoticeEvent::AssignmentEnded
        | NoticeEvent::Digest => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(status: Value) -> ActivationRequest {
        let stage = |name: &str, who: Value| json!({"name": name, "approvers": [who], "quorum": 1});
        let mut owners = stage("owners", json!({"group": "leads"}));
        owners["escalation"] = json!({"after": "1h", "approvers": [{"group": "sre"}]});
        let mut security = stage("security", json!({"user": "sam@example.com"}));
        security["comment"] = json!("Required");
        let resolved = json!({
            "schema": 4, "request": "u", "requester": "alice@example.com", "beneficiary": {"user": "alice@example.com"},
            "principal": {"kubernetes": {"user": "alice@example.com"}}, "system": {"name": "prod", "uid": "s", "target": "t"},
            "role": {"name": "edit", "uid": "r"}, "assignment": {"name": "devs", "uid": "a"}, "policy": {"name": "p", "uid": "p"},
            "permissions": {"kubernetes": {"roles": []}}, "scope": {"kubernetes": {"namespaces": []}}, "duration": "1h",
            "approval": [owners, security],
        });
        let mut status = status;
        status["conditions"] = status.get("conditions").cloned().unwrap_or_else(|| json!([]));
        status["resolved"] = resolved;
        status["digest"] = json!("ab".repeat(32));
        let request = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments", "uid": "u"},
            "spec": {"roleRef": {"name": "edit"}, "requester": {"username": "alice@example.com"}}, "status": status,
        });
        serde_json::from_value(request).unwrap()
    }

    fn waiting(stage: &str, escalated: bool) -> ActivationRequest {
        let stage =
            json!({"name": stage, "quorum": 1, "approved": 0, "decisions": [], "deadline": "2026-11-27T08:00:00Z", "escalated": escalated});
        at(json!({"state": "AwaitingApproval", "approval": {"stages": [stage]}}))
    }

    fn told(before: Option<&ActivationRequest>, now: &ActivationRequest) -> Vec<Notice> {
        notices(before.and_then(|before| before.status.as_ref()), now)
    }

    #[test]
    fn those_of_the_open_stage_are_told_with_the_command_that_approves_it() {
        let notice = told(None, &waiting("security", false)).remove(0);
        assert_eq!((notice.event.event, notice.id.as_str()), (NoticeEvent::ApprovalNeeded, "u/ApprovalNeeded/security"));
        assert_eq!(notice.concerned.approvers, [Subject::User("sam@example.com".into())]);
        let digest = "ab".repeat(32);
        assert_eq!(notice.commands[0], format!("kubectl curfew approve r -n payments --digest {digest} --comment '...'"));
        assert_eq!(notice.subject, "alice@example.com requests edit in payments");
    }

    #[test]
    fn a_request_without_a_status_is_before_all() {
        let asks = told(None, &waiting("owners", false)).remove(0).event;
        assert!(transition::is_current(&asks, Some(&snapshot(&ActivationRequestStatus::default()))), "its acceptance is not seen yet");
    }

    #[test]
    fn an_escalation_tells_those_whom_it_adds() {
        let notice = told(Some(&waiting("owners", false)), &waiting("owners", true)).remove(0);
        assert_eq!(notice.event.event, NoticeEvent::Escalated);
        assert_eq!(notice.concerned.approvers, [Subject::Group("sre".into())]);
        let both = told(None, &waiting("owners", true)).remove(0);
        assert_eq!(both.concerned.approvers, [Subject::Group("leads".into()), Subject::Group("sre".into())]);
    }

    #[test]
    fn a_break_glass_access_is_told_when_it_is_being_written_to_all_who_may_review_it() {
        let glass = |state: &str, conditions: Value| {
            let mut request = at(json!({"state": state, "conditions": conditions}));
            request.status.as_mut().unwrap().resolved.as_mut().unwrap().break_glass = true;
            request
        };
        let begins = glass("Activating", json!([]));
        let all = told(None, &begins);
        assert_eq!((all.len(), all[0].event.event), (1, NoticeEvent::BreakGlass));
        assert_eq!(all[0].concerned.approvers.len(), 3, "the approvers of all stages, with those of an escalation");
        assert_eq!(all[0].commands[..2], ["kubectl curfew review r -n payments --comment '...'", "kubectl curfew revoke r -n payments"]);
        assert_eq!(break_glass(&begins).unwrap().id, all[0].id, "told again, it has the same id");
        let review = || json!([{"type": "ReviewRequired", "status": "True", "reason": "BreakGlass", "message": "", "lastTransitionTime": "2026-11-26T08:00:00Z"}]);
        let ended = glass("Expired", review());
        assert_eq!(review_outstanding(&ended, 3).unwrap().id, "u/ReviewOutstanding//3");
        assert!(!review_outstanding(&ended, 3).unwrap().commands.iter().any(|command| command.contains("revoke")), "it has ended");
    }

    #[test]
    fn of_the_requests_by_which_standing_access_is_given_only_a_removal_that_is_stuck_is_told() {
        for state in ["Activating", "Active", "Expired", "Denied"] {
            let mut request = at(json!({"state": state, "activatedAt": "2026-11-26T08:00:00Z"}));
            assert_eq!(told(None, &request).is_empty(), state == "Activating", "{state}");
            request.spec.active_assignment = Some(serde_json::from_value(json!({"name": "on-call", "uid": "a"})).unwrap());
            assert_eq!(told(None, &request), [], "{state}");
        }
        let stuck = json!([{"type": "Stalled", "status": "True", "reason": "Stalled", "message": "", "lastTransitionTime": "2026-11-26T08:00:00Z"}]);
        let mut request = at(json!({"state": "Revoking", "conditions": stuck}));
        request.spec.active_assignment = Some(serde_json::from_value(json!({"name": "on-call", "uid": "a"})).unwrap());
        let all = told(None, &request);
        assert_eq!((all.len(), all[0].event.event), (1, NoticeEvent::RevocationStuck));
        assert_eq!(all[0].subject, "edit in payments cannot be removed from alice@example.com");
        assert_eq!(told(Some(&request), &request), [], "it is told once");
    }

    #[test]
    fn what_people_write_does_not_break_a_subject_line() {
        let mut request = waiting("owners", false);
        request.spec.role_ref.name = "x\r\nBcc: all@example.com".into();
        assert!(!told(None, &request).remove(0).subject.contains(['\r', '\n']));
    }
}
