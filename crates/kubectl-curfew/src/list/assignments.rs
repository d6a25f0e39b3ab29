//! The AssignmentRequests in the queue of an approver, by the rules by which the operator counts decisions.
use super::queue::Decider;
use crate::{
    explain::facts::{kube_time, proven},
    output::{Cell, Colour, is_colourful, span, table},
};
use curfew_api::{
    AccessDecision, AssignmentRequest,
    assignment_request::AssignmentRequestState,
    convert,
    decision::{About, AccessDecisionSpec, RequestRef},
};
use curfew_core::{approval::Verb, assignment_request::tally_decisions, time::Time};
use kube::ResourceExt;

/// One request that waits for the decider.
pub(super) struct Waiting {
    pub(super) request: AssignmentRequest,
    /// The stage that the approval would count for.
    pub(super) stage: String,
    /// Since when it waits.
    pub(super) since: Time,
}

/// Whether it waits for approval.
pub(super) fn is_open(request: &AssignmentRequest) -> bool {
    request.status.as_ref().and_then(|status| status.state) == Some(AssignmentRequestState::AwaitingApproval)
}

/// The requests that an approval of the decider would bring on now, the oldest first. Where decisions may not be read,
/// those are listed whose status names no decision of this login.
pub(super) fn waiting(open: Vec<AssignmentRequest>, decisions: Option<&[AccessDecision]>, decider: &Decider) -> Vec<Waiting> {
    let entry = |request: AssignmentRequest| {
        let stage = stage_for(&request, decisions, decider)?;
        let accepted = request.status.as_ref().and_then(|status| status.approval.as_ref()?.accepted_at);
        let since = accepted.unwrap_or_else(|| convert::created(&request));
        Some(Waiting { request, stage, since })
    };
    let mut all: Vec<Waiting> = open.into_iter().filter_map(entry).collect();
    all.sort_by_key(|entry| (entry.since, entry.request.namespace(), entry.request.name_any()));
    all
}

/// The stage for which an approval of the decider would count now.
fn stage_for(object: &AssignmentRequest, decisions: Option<&[AccessDecision]>, decider: &Decider) -> Option<String> {
    let admission = proven(decider.now);
    let facts = |decision: &AccessDecision| convert::decision(decision, Some(false), decider.logins(), &admission);
    let about = |decision: &&AccessDecision| {
        let named = matches!(&decision.spec.about, About::AssignmentRequest(r) if r.name == object.name_any());
        named && decision.namespace() == object.namespace()
    };
    let mut all: Vec<_> = decisions.unwrap_or_default().iter().filter(about).map(facts).collect();
    all.push(facts(&approval(object, decider)));
    let request = convert::assignment_request(object);
    let tally = tally_decisions(&request, &all, &decider.people);
    let mine = all.len() - 1;
    let counts_for = tally.stages.iter().position(|stage| stage.approved.contains(&mine)).filter(|_| tally.stopped_by.is_none())?;
    let stages = &object.status.as_ref()?.approval.as_ref()?.stages;
    let decided = || stages.iter().flat_map(|s| s.decisions.iter().chain(&s.waiting)).any(|d| d.decider == decider.login.username);
    (decisions.is_some() || !decided()).then(|| request.frozen.as_ref()?.terms.approval.get(counts_for).map(|stage| stage.name.clone()))?
}

/// The approval that the decider would create now.
fn approval(request: &AssignmentRequest, decider: &Decider) -> AccessDecision {
    let spec = AccessDecisionSpec {
        about: About::AssignmentRequest(RequestRef { name: request.name_any(), uid: request.uid() }),
        digest: request.status.as_ref().and_then(|status| status.digest),
        decision: Verb::Approve,
        duration: None,
        // The plugin asks for it where a stage does.
        comment: Some("...".into()),
        decider: Some(decider.login.clone()),
    };
    let mut decision = AccessDecision::new("not-created", spec);
    decision.metadata.uid = Some("not-created".into());
    decision.metadata.creation_timestamp = Some(kube_time(decider.now));
    decision
}

/// One row for each request, and the command that approves it.
pub(super) fn table_of(waiting: &[Waiting], now: Time, wide: bool) -> String {
    let mut header = vec!["NAMESPACE", "NAME", "REQUESTER", "ACTION", "ASSIGNMENT", "UNTIL", "STAGE", "WAITS", "LEFT"];
    if wide {
        header.extend(["SUBJECT", "ROLE", "JUSTIFICATION"]);
    }
    header.push("COMMAND");
    let mut rows: Vec<Vec<Cell>> = vec![header.into_iter().map(Cell::from).collect()];
    for Waiting { request, stage, since } in waiting {
        let status = request.status.as_ref();
        let terms = status.and_then(|status| status.resolved.as_ref());
        let deadline = status.and_then(|status| status.approval.as_ref()?.deadline);
        let (name, namespace) = (request.name_any(), request.namespace().unwrap_or_default());
        let mut row: Vec<Cell> = vec![
            namespace.clone().into(),
            format!("asreq/{name}").into(),
            request.spec.requester.as_ref().map(|user| user.username.clone()).unwrap_or_default().into(),
            terms.map(|terms| terms.action.as_str()).unwrap_or_default().into(),
            status.and_then(|status| status.display.as_ref()).map(|shown| shown.assignment.clone()).unwrap_or_default().into(),
            terms.map(|terms| terms.window.end.to_string()).unwrap_or_default().into(),
            stage.clone().into(),
            span(now.millis_since(*since)).into(),
            Cell::coloured(deadline.map(|end| span(end.millis_since(now))).unwrap_or_default(), Colour::Yellow),
        ];
        if wide {
            row.extend([
                terms.map(|terms| terms.subject.to_string()).unwrap_or_default().into(),
                terms.map(|terms| terms.role.name.clone()).unwrap_or_default().into(),
                request.spec.justification.clone().into(),
            ]);
        }
        let digest = status.and_then(|status| status.digest).map(|digest| digest.to_string()).unwrap_or_default();
        row.push(format!("kubectl curfew approve asreq/{name} -n {namespace} --digest {digest}").into());
        rows.push(row);
    }
    table(&rows, is_colourful())
}
