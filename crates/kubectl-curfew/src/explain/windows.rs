//! Whether the wider windows that AssignmentRequests have given to assignments count, by the rules of the operator, as far as a user may read
//! what they rest on.
use super::facts::{Facts, proven};
use crate::{
    context::CliContext,
    read::{self, Gap, Known},
};
use curfew_api::{AccessDecision, AssignmentRequest, CurfewConfig, EligibleAssignment, config::AdmissionStatus, convert};
use curfew_core::{
    admission::AdmissionHistory,
    assignment_request::{
        Change,
        proof::{Evidence, Lack, Proof, prove},
    },
    policy_inputs::PolicyInputs,
    principal::{Subject, UserInfo},
    time::Time,
};
use kube::{ResourceExt, api::ListParams};
use std::collections::BTreeMap;

/// An AssignmentRequest, if it exists, with the decisions about it.
pub(crate) struct Found {
    pub(crate) request: Option<AssignmentRequest>,
    pub(crate) decisions: Vec<AccessDecision>,
}

/// What should prove the wider window of each assignment, by the name of the assignment.
pub(crate) type Windows = BTreeMap<String, Known<Found>>;

/// Whether a window counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    /// It does.
    Yes,
    /// It does not, for this reason: the spec holds.
    No(String),
    /// What decides may not be read.
    Unknown(String),
}

/// Reads what should prove the wider windows of those assignments of this role that name the login or the beneficiary.
///
/// # Errors
/// If the API server does not answer.
pub(crate) async fn read(
    me: &CliContext,
    role: &str,
    (login, beneficiary): (&UserInfo, Option<&Subject>),
    assignments: &[EligibleAssignment],
) -> anyhow::Result<Windows> {
    let mut all = Windows::new();
    for assignment in assignments.iter().filter(|assignment| assignment.spec.role_ref.name == role) {
        let subject = &assignment.spec.subject;
        let (Some(change), true) = (convert::widening(assignment), subject.includes(login) || beneficiary == Some(subject)) else {
            continue;
        };
        let name = &change.by.name;
        let about = ListParams::default().fields(&format!("spec.about.assignmentRequest.name={name}"));
        let (request, decisions) = futures::try_join!(
            read::one::<AssignmentRequest>(me, &me.namespace, name),
            read::within::<AccessDecision>(me, &me.namespace, &about)
        )?;
        let found = request.and_then(|request| Ok(Found { request, decisions: decisions? }));
        all.insert(assignment.name_any(), found);
    }
    Ok(all)
}

/// Whether the window of an assignment counts that is wider than its spec says. `inputs` have stand-ins for policies and systems that may not
/// be read: what these say about the approvers is taken from what the operator shows.
pub(super) fn counts(facts: &Facts, assignment: &EligibleAssignment, inputs: &PolicyInputs<'_>) -> Counts {
    let Some((change, found)) = convert::widening(assignment).zip(facts.windows.get(&assignment.name_any())) else { return Counts::Yes };
    let unknown = |gap: &Gap| Counts::Unknown(format!("whether the window until {} was approved is not known: {gap}", change.window.end));
    let (found, config) = match (found, &facts.config) {
        (Err(gap), _) | (Ok(_), Err(gap)) => return unknown(gap),
        // It is told that nothing is granted without it.
        (Ok(_), Ok(None)) => return Counts::Yes,
        (Ok(found), Ok(Some(config))) => (found, config),
    };
    let admission = history(config, facts.now);
    let inputs = PolicyInputs { admission: &admission, ..*inputs };
    match (judge(found, change, assignment, config, &inputs), facts.policies.as_ref().err().or(facts.systems.as_ref().err())) {
        (Proof::Approved | Proof::Pending, None) => Counts::Yes,
        (Proof::Approved | Proof::Pending | Proof::Lacking(Lack::Approvers), Some(gap)) => match shown(assignment) {
            Some(true) => Counts::Yes,
            Some(false) => Counts::No(format!("the operator has found that the window until {} does not count", change.window.end)),
            None => unknown(gap),
        },
        (Proof::Lacking(lack), _) => Counts::No(format!(
            "the window until {} does not count, because AssignmentRequest {} {lack}",
            change.window.end, change.by.name
        )),
    }
}

/// Whether the operator shows the wider window; `None` if it has shown nothing yet.
fn shown(assignment: &EligibleAssignment) -> Option<bool> {
    assignment.status.as_ref()?.display.as_ref()?;
    Some(convert::shown_window(assignment) != convert::spec_window(assignment))
}

fn judge(found: &Found, change: &Change, assignment: &EligibleAssignment, config: &CurfewConfig, inputs: &PolicyInputs<'_>) -> Proof {
    let (people, keys) = (config.spec.identity.recognition(), config.spec.identity.decider_proof.list());
    let accounts: Vec<_> = inputs.systems.iter().flat_map(|system| &system.emergency_accounts).cloned().collect();
    let logins = convert::Logins { proof: Some(&keys), emergency: &accounts, alias_keys: inputs.alias_keys };
    let facts: Vec<_> = found.decisions.iter().map(|d| convert::decision(d, Some(false), logins, inputs.admission)).collect();
    let request = found.request.as_ref().map(convert::assignment_request);
    let evidence = request.as_ref().map(|request| Evidence { request, decisions: &facts, people: &people });
    prove(change, &convert::assignment(assignment), evidence, inputs)
}

/// The spans of proven admission, as the operator has stored them; the last one lasts until now.
fn history(config: &CurfewConfig, now: Time) -> AdmissionHistory {
    match config.status.as_ref().and_then(|status| status.admission.as_ref()) {
        Some(stored) => AdmissionHistory { confirmed: Some(now.plus_secs(60)), ..AdmissionStatus::to_core(stored) },
        None => proven(now),
    }
}

/// The same assignment with the window that counts.
pub(super) fn as_it_counts(assignment: &EligibleAssignment, counts: &Counts) -> curfew_core::policy_inputs::Assignment {
    let facts = convert::assignment(assignment);
    match counts {
        Counts::Yes | Counts::Unknown(_) => facts,
        Counts::No(_) => convert::without_unproven_change(assignment, facts),
    }
}
