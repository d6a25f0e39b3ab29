//! What is told of assignments, eligible and active, and of requests to change one. Pure.
use super::{
    notice::{About, Fact, Kind, Notice},
    requests::{approve, approvers, open, passed},
};
use crate::api::{
    ActiveAssignment, AssignmentRequest, EligibleAssignment,
    assignment_request::{AssignmentRequestState, AssignmentRequestStatus},
    conditions, convert,
};
use curfew_core::{
    notice::{
        NoticeEvent,
        assignment::Milestone,
        matrix::Concerned,
        transition::{self, Phase, RequestEvent, Snapshot},
    },
    principal::Subject,
    reason::TerminalState,
    text::{brief, printable},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

/// What both kinds of assignments have.
struct Life<'a> {
    kind: Kind,
    name: &'a str,
    key: (String, String),
    uid: String,
    subject: &'a Subject,
    role: &'a str,
    justification: Option<&'a str>,
    conditions: &'a [Condition],
    /// When it ends, if it does.
    end: Option<Time>,
}

/// What is told of an EligibleAssignment whose status was just stored, and for the first time says that it was told. `end`: when it holds
/// no longer, as it was judged.
pub fn of_assignment(stored: &EligibleAssignment, milestone: Milestone, end: Option<Time>, approvers: Vec<Subject>) -> Notice {
    let life = Life {
        kind: Kind::Assignment,
        name: "EligibleAssignment",
        key: (stored.namespace().unwrap_or_default(), stored.name_any()),
        uid: stored.uid().unwrap_or_default(),
        subject: &stored.spec.subject,
        role: &stored.spec.role_ref.name,
        justification: stored.spec.justification.as_deref(),
        conditions: stored.status.as_ref().map_or(&[], |status| &status.conditions),
        end,
    };
    let ((namespace, name), role) = (&life.key, life.role);
    let until = "--until TIME -j '...'";
    let next = match milestone {
        Milestone::Assigned => format!("kubectl curfew request {role} -n {namespace}"),
        Milestone::EndsIn14Days | Milestone::EndsInADay => format!("kubectl curfew assignment extend {name} -n {namespace} {until}"),
        Milestone::Ended => format!("kubectl curfew assignment renew {name} -n {namespace} {until}"),
    };
    let commands = vec![next, format!("kubectl describe eas {name} -n {namespace}")];
    told(&life, milestone, "is eligible for", commands, approvers)
}

/// The same of an ActiveAssignment.
pub fn of_standing(stored: &ActiveAssignment, milestone: Milestone, end: Option<Time>, approvers: Vec<Subject>) -> Notice {
    let life = Life {
        kind: Kind::Standing,
        name: "ActiveAssignment",
        key: (stored.namespace().unwrap_or_default(), stored.name_any()),
        uid: stored.uid().unwrap_or_default(),
        subject: &stored.spec.subject,
        role: &stored.spec.role_ref.name,
        justification: Some(&stored.spec.justification),
        conditions: stored.status.as_ref().map_or(&[], |status| &status.conditions),
        end,
    };
    let (namespace, name) = &life.key;
    let until = "--until TIME -j '...'";
    let next = match milestone {
        Milestone::Assigned => None,
        Milestone::EndsIn14Days | Milestone::EndsInADay => {
            Some(format!("kubectl curfew assignment extend {name} -n {namespace} --active {until}"))
        }
        Milestone::Ended => Some(format!("kubectl curfew assignment renew {name} -n {namespace} --active {until}")),
    };
    let commands = next.into_iter().chain([format!("kubectl describe aas {name} -n {namespace}")]).collect();
    let mut notice = told(&life, milestone, "has standing access to", commands, approvers);
    notice.event.event = milestone.event_of_standing();
    notice.facts.extend(stored.spec.author.as_ref().map(|author| ("author", author.username.clone())));
    notice
}

fn told(life: &Life<'_>, milestone: Milestone, verb: &str, commands: Vec<String>, approvers: Vec<Subject>) -> Notice {
    let ready = conditions::find(life.conditions, "Ready");
    let (namespace, name) = &life.key;
    let (who, what) = (brief(&life.subject.to_string()), brief(life.role));
    let end = life.end.map(|end| end.to_string());
    let line = match milestone {
        Milestone::Assigned => format!("{who} {verb} {what} in {namespace}"),
        Milestone::EndsIn14Days | Milestone::EndsInADay => {
            format!("{who} {verb} {what} in {namespace} only until {}", end.as_deref().unwrap_or_default())
        }
        Milestone::Ended => format!("{who} no longer {verb} {what} in {namespace}").replace(" no longer is ", " is no longer "),
    };
    let facts: [Option<Fact>; 8] = [
        Some(("kind", life.name.to_owned())),
        Some(("namespace", namespace.clone())),
        Some(("name", name.clone())),
        Some(("role", life.role.to_owned())),
        Some(("beneficiary", life.subject.to_string())),
        life.justification.map(|justification| ("justification", justification.to_owned())),
        end.clone().map(|end| ("until", end)),
        ready.map(|ready| ("state", ready.reason.clone())),
    ];
    Notice {
        event: RequestEvent { event: milestone.event(), stage: None },
        id: Notice::id_of(&[&life.uid, &format!("{milestone:?}"), end.as_deref().unwrap_or_default()]),
        about: Some(About { kind: life.kind, key: life.key.clone() }),
        subject: printable(&line),
        facts: facts.into_iter().flatten().collect(),
        message: ready.map_or_else(String::new, |ready| ready.message.clone()),
        commands,
        concerned: Concerned { requester: vec![life.subject.clone()], approvers, channels: Vec::new() },
    }
}

/// What notifications need to know of the status of an AssignmentRequest.
pub fn snapshot(status: &AssignmentRequestStatus) -> Snapshot {
    let phase = match status.state {
        None | Some(AssignmentRequestState::Pending | AssignmentRequestState::Unknown) => Phase::Before,
        Some(AssignmentRequestState::AwaitingApproval) => Phase::Waiting,
        Some(AssignmentRequestState::Applied) => Phase::Changed,
        Some(AssignmentRequestState::Denied) => Phase::Over(TerminalState::Denied),
        Some(AssignmentRequestState::TimedOut) => Phase::Over(TerminalState::TimedOut),
        Some(AssignmentRequestState::Cancelled) => Phase::Over(TerminalState::Cancelled),
        Some(AssignmentRequestState::Invalid) => Phase::Over(TerminalState::Invalid),
    };
    let stages = status.approval.as_ref().map_or(&[][..], |approval| &approval.stages);
    Snapshot { phase, had_access: false, open: open(stages), passed: passed(stages), stuck: false, break_glass: false }
}

/// What is told when an AssignmentRequest goes over from one status to that of `stored`.
pub fn notices(before: Option<&AssignmentRequestStatus>, stored: &AssignmentRequest) -> Vec<Notice> {
    let Some(status) = &stored.status else { return Vec::new() };
    let events = transition::events(before.map(snapshot).as_ref(), &snapshot(status));
    events.into_iter().map(|event| of_request(stored, status, event)).collect()
}

fn of_request(request: &AssignmentRequest, status: &AssignmentRequestStatus, event: RequestEvent) -> Notice {
    let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
    let requester = request.spec.requester.as_ref().map(|requester| requester.username.clone()).unwrap_or_default();
    let terms = status.resolved.as_ref();
    let stages = terms.map_or(&[][..], |terms| &terms.approval);
    let shown = status.approval.iter().flat_map(|approval| &approval.stages).find(|stage| Some(&stage.name) == event.stage.as_ref());
    let mut people: Vec<Subject> = std::iter::once(Subject::User(requester.clone())).filter(|_| !requester.is_empty()).collect();
    people.extend(terms.map(|terms| terms.subject.clone()).filter(|subject| !people.contains(subject)));
    let escalated = shown.is_some_and(|stage| stage.escalated);
    let concerned = Concerned { requester: people, approvers: approvers(stages, &event, escalated), channels: Vec::new() };
    let action = convert::assignment_request_facts(request, None).action.kind();
    let (verb, assignment) = (action.verb(), request.spec.action.assignment_name());
    let kind = request.spec.action.of().short();
    let (who, what) = (brief(&requester), brief(assignment));
    let reason = status.reason.clone().unwrap_or_default();
    let line = match event.event {
        NoticeEvent::ApprovalNeeded => format!("{who} asks to {verb} assignment {what} in {namespace}"),
        NoticeEvent::Escalated => format!("escalated to you: {who} asks to {verb} assignment {what} in {namespace}"),
        NoticeEvent::AssignmentChanged => format!("{verb} assignment {what} in {namespace}: done, as {who} has asked"),
        _ => format!("the request of {who} to {verb} assignment {what} in {namespace} has ended: {reason}"),
    };
    let describe = format!("kubectl describe asreq {name} -n {namespace}");
    let asked = stages.iter().find(|stage| Some(&stage.name) == event.stage.as_ref());
    let commands = match event.event {
        NoticeEvent::ApprovalNeeded | NoticeEvent::Escalated => {
            let digest = status.digest.map(|digest| digest.to_string());
            approve((&format!("asreq/{name}"), &namespace), digest, asked).into_iter().chain([describe]).collect()
        }
        _ => vec![describe, format!("kubectl describe {kind} {assignment} -n {namespace}")],
    };
    let some = |fact: &'static str, value: Option<String>| value.map(|value| (fact, value));
    let facts = [
        some("kind", Some("AssignmentRequest".into())),
        some("namespace", Some(namespace.clone())),
        some("name", Some(name.clone())),
        some("assignment", Some(assignment.to_owned())),
        some("action", Some(action.as_str().into())),
        some("role", terms.map(|terms| terms.role.name.clone())),
        some("requester", Some(requester)),
        some("beneficiary", terms.map(|terms| terms.subject.to_string())),
        some("justification", Some(request.spec.justification.clone())),
        some("stage", event.stage.clone()),
        some("approveBefore", shown.and_then(|stage| stage.deadline).map(|time| time.to_string())),
        some("start", terms.map(|terms| terms.window.start.to_string())),
        some("until", terms.map(|terms| terms.window.end.to_string())),
        some("state", status.state.map(|state| format!("{state:?}"))),
        some("reason", status.reason.clone()),
    ];
    Notice {
        id: Notice::id_of(&[&request.uid().unwrap_or_default(), &format!("{:?}", event.event), event.stage.as_deref().unwrap_or_default()]),
        about: Some(About { kind: Kind::AssignmentRequest, key: (namespace, name) }),
        subject: printable(&line),
        facts: facts.into_iter().flatten().filter(|(_, value)| !value.is_empty()).collect(),
        message: status.message.clone().unwrap_or_default(),
        commands,
        concerned,
        event,
    }
}
