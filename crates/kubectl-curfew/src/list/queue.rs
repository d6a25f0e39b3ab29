//! The queue of an approver: the requests that their approval would bring on now, by the rules by which the operator counts decisions.
use crate::{
    explain::facts::{kube_time, proven},
    output::{Cell, Colour, is_colourful, span, table},
};
use curfew_api::{
    AccessDecision, ActivationRequest, convert,
    decision::{About, AccessDecisionSpec, RequestRef},
    request::StageStatus,
};
use curfew_core::{
    approval::{DecisionFacts, Verb},
    emergency,
    principal::{Recognition, Subject, UserInfo},
    request::tally_decisions,
    time::Time,
};
use kube::ResourceExt;

/// Who decides.
pub(super) struct Decider {
    /// The login as the API server would record it.
    pub(super) login: UserInfo,
    /// How two logins of one person are recognised.
    pub(super) people: Recognition,
    /// The keys that a login must have for its decisions to count.
    pub(super) proof: Vec<String>,
    /// The emergency accounts of all systems, as far as the decider may read them.
    pub(super) emergency: Vec<Subject>,
    /// The time.
    pub(super) now: Time,
}

impl Decider {
    /// What a decision's login is compared with.
    pub(super) fn logins(&self) -> convert::Logins<'_> {
        convert::Logins { proof: Some(&self.proof), emergency: &self.emergency, alias_keys: &self.people.alias_keys }
    }
}

/// Stands in the place of a stage where a break-glass access is to be reviewed.
pub(super) const REVIEW: &str = "(review)";

/// One request that waits for the decider.
pub(super) struct Waiting {
    pub(super) request: ActivationRequest,
    /// The stage that the approval would count for.
    pub(super) stage: String,
    /// Since when it waits.
    pub(super) since: Time,
}

/// Why no decision of this login counts.
pub(super) fn unproven(decider: &Decider) -> Option<String> {
    if decider.login.is_system_identity() {
        return Some("decisions are made by people, and not by system: identities".into());
    }
    if let Some(account) = emergency::account_of(&decider.emergency, &decider.login, &decider.people.alias_keys) {
        return Some(format!("{account} is an emergency account, which several people may use"));
    }
    let lacks: Vec<&str> =
        decider.proof.iter().filter(|key| !decider.login.has_extra_keys(std::slice::from_ref(*key))).map(String::as_str).collect();
    (!lacks.is_empty()).then(|| format!("the login has no value for {}", lacks.join(", ")))
}

/// The requests that an approval of the decider would bring on now, the oldest first. Without the decisions of others, what the status of a
/// request says of its stages is taken.
pub(super) fn waiting(open: Vec<ActivationRequest>, decisions: Option<&[AccessDecision]>, decider: &Decider) -> Vec<Waiting> {
    let mut all: Vec<Waiting> = open
        .into_iter()
        .filter_map(|request| {
            let stage = stage_for(&request, decisions, decider)?;
            let accepted = request.status.as_ref().and_then(|status| status.approval.as_ref()?.accepted_at);
            let since = accepted.unwrap_or_else(|| convert::created(&request));
            Some(Waiting { request, stage, since })
        })
        .collect();
    all.sort_by_key(|entry| (entry.since, entry.request.namespace(), entry.request.name_any()));
    all
}

/// The stage for which an approval of the decider would count now.
fn stage_for(object: &ActivationRequest, decisions: Option<&[AccessDecision]>, decider: &Decider) -> Option<String> {
    let admission = proven(decider.now);
    let facts = |decision: &AccessDecision| convert::decision(decision, Some(false), decider.logins(), &admission);
    let about = |decision: &&AccessDecision| {
        let named = matches!(&decision.spec.about, About::ActivationRequest(r) if r.name == object.name_any());
        named && decision.namespace() == object.namespace()
    };
    let mut all: Vec<DecisionFacts> = decisions.unwrap_or_default().iter().filter(about).map(facts).collect();
    all.push(facts(&approval(object, decider)));
    let request = convert::request(object, &admission);
    let tally = tally_decisions(&request, &all, &decider.people);
    // A decision that ends the request is there, and the operator has not acted on it yet.
    if tally.stopped_by.is_some() {
        return None;
    }
    let resolved = object.status.as_ref()?.resolved.as_ref()?;
    let mine = all.len() - 1;
    let counts_for = tally.stages.iter().position(|stage| stage.approved.contains(&mine))?;
    let stage = resolved.approval.get(counts_for)?;
    match decisions {
        Some(_) => Some(stage.name.clone()),
        None => as_the_status_says(object, decider),
    }
}

/// Without the decisions: the first open stage by the status that the decider may approve now, if none of its decisions is theirs.
fn as_the_status_says(object: &ActivationRequest, decider: &Decider) -> Option<String> {
    let status = object.status.as_ref()?;
    let stages = &status.approval.as_ref()?.stages;
    let rules = &status.resolved.as_ref()?.approval;
    let mut given = stages.iter().flat_map(|stage| stage.decisions.iter().chain(&stage.waiting));
    let decided = given.any(|counted| counted.decider == decider.login.username);
    let first = stages.iter().position(|stage| stage.approved < stage.quorum)?;
    // The first builds wrote no deadline of a stage, and had one open stage.
    let is_open = |(i, stage): &(usize, &StageStatus)| stage.approved < stage.quorum && (stage.deadline.is_some() || *i == first);
    let may_approve = |(i, stage): &(usize, &StageStatus)| {
        let escalated = stage.escalates_at.is_some_and(|at| decider.now >= at);
        rules.get(*i).is_some_and(|rule| {
            let own = rule.approvers.iter().any(|subject| subject.includes(&decider.login));
            own || escalated && rule.concerns(&decider.login)
        })
    };
    let mut open = stages.iter().enumerate().filter(is_open).filter(may_approve);
    open.next().filter(|_| !decided).map(|(_, stage)| stage.name.clone())
}

/// The approval that the decider would create now.
fn approval(request: &ActivationRequest, decider: &Decider) -> AccessDecision {
    let spec = AccessDecisionSpec {
        about: About::ActivationRequest(RequestRef { name: request.name_any(), uid: request.uid() }),
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

/// The command that approves what is seen.
fn command(request: &ActivationRequest) -> String {
    let digest = request.status.as_ref().and_then(|status| status.digest).map(|digest| digest.to_string()).unwrap_or_default();
    format!("kubectl curfew approve {} -n {} --digest {digest}", request.name_any(), request.namespace().unwrap_or_default())
}

/// One row for each request, and the command that approves it.
pub(super) fn table_of(waiting: &[Waiting], now: Time, wide: bool) -> String {
    let mut header = vec!["NAMESPACE", "NAME", "REQUESTER", "ROLE", "DURATION", "STAGE", "WAITS", "LEFT"];
    if wide {
        header.extend(["FOR", "SYSTEM", "JUSTIFICATION", "TICKET"]);
    }
    header.push("COMMAND");
    let mut rows: Vec<Vec<Cell>> = vec![header.into_iter().map(Cell::from).collect()];
    for Waiting { request, stage, since } in waiting {
        let status = request.status.as_ref();
        let resolved = status.and_then(|status| status.resolved.as_ref());
        let deadline = status.and_then(|status| status.approval.as_ref()?.deadline).filter(|_| stage != REVIEW);
        let left = deadline.map(|end| span(end.millis_since(now))).unwrap_or_default();
        let mut row: Vec<Cell> = vec![
            request.namespace().unwrap_or_default().into(),
            request.name_any().into(),
            request.spec.requester.as_ref().map(|user| user.username.clone()).unwrap_or_default().into(),
            request.spec.role_ref.name.clone().into(),
            resolved.map(|resolved| resolved.duration.to_string()).unwrap_or_default().into(),
            stage.clone().into(),
            span(now.millis_since(*since)).into(),
            Cell::coloured(left, Colour::Yellow),
        ];
        if wide {
            let ticket = request.spec.ticket.as_ref().map(|ticket| format!("{}/{}", ticket.system, ticket.number));
            row.extend([
                resolved.map(|resolved| resolved.beneficiary.to_string()).unwrap_or_default().into(),
                resolved.map(|resolved| resolved.system.name.clone()).unwrap_or_default().into(),
                request.spec.justification.clone().unwrap_or_default().into(),
                ticket.unwrap_or_default().into(),
            ]);
        }
        row.push(if stage == REVIEW { super::review::command(request) } else { command(request) }.into());
        rows.push(row);
    }
    table(&rows, is_colourful())
}

#[cfg(test)]
mod tests;
