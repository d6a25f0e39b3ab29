//! Whether what assignments claim counts, by the rules of the operator, as far as a user may read what it rests on: the wider windows that
//! AssignmentRequests have given them, and that they were asked for.
use super::facts::{Facts, proven};
use crate::{
    context::CliContext,
    read::{self, Gap, Known},
};
use curfew_api::{
    AccessDecision, AssignmentRequest, CurfewConfig, EligibleAssignment, conditions,
    config::AdmissionStatus,
    convert::{self, Assigned, ClaimKind},
};
use curfew_core::{
    admission::AdmissionHistory,
    assignment_request::{
        AssignmentKind,
        proof::{Claim, Evidence, Lack, Proof, prove},
    },
    policy_inputs::PolicyInputs,
    principal::{Subject, UserInfo},
    reason::Reason,
    time::Time,
};
use kube::{ResourceExt, api::ListParams};
use std::collections::BTreeMap;

/// An AssignmentRequest, if it exists, with the decisions about it.
pub(crate) struct Found {
    pub(crate) request: Option<AssignmentRequest>,
    pub(crate) decisions: Vec<AccessDecision>,
}

/// What should prove what each assignment claims, by the name of the assignment.
pub(crate) type Claims = BTreeMap<String, Vec<(ClaimKind, Known<Found>)>>;

/// Whether a claim counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    /// It does.
    Yes,
    /// It does not: the spec holds, or nothing. In words that continue the name of the AssignmentRequest, and as a whole.
    No(ClaimKind, String, String),
    /// What decides may not be read.
    Unknown(String),
}

/// Reads what should prove what those assignments of this role claim that name the login or the beneficiary.
///
/// # Errors
/// If the API server does not answer.
pub(crate) async fn read(
    me: &CliContext,
    role: &str,
    (login, beneficiary): (&UserInfo, Option<&Subject>),
    assignments: &[EligibleAssignment],
) -> anyhow::Result<Claims> {
    let mut all = Claims::new();
    for assignment in assignments.iter().filter(|assignment| assignment.spec.role_ref.name == role) {
        let subject = &assignment.spec.subject;
        if !subject.includes(login) && beneficiary != Some(subject) {
            continue;
        }
        for kind in convert::claims(assignment) {
            let Some(claim) = convert::claim(assignment, kind) else { continue };
            let name = &claim.by().name;
            let about = ListParams::default().fields(&format!("spec.about.assignmentRequest.name={name}"));
            let (request, decisions) = futures::try_join!(
                read::one::<AssignmentRequest>(me, &me.namespace, name),
                read::within::<AccessDecision>(me, &me.namespace, &about)
            )?;
            let found = request.and_then(|request| Ok(Found { request, decisions: decisions? }));
            all.entry(assignment.name_any()).or_default().push((kind, found));
        }
    }
    Ok(all)
}

/// Whether each thing counts that an assignment claims. `inputs` have stand-ins for policies and systems that may not be read: what these say
/// about the approvers is taken from what the operator shows.
pub(super) fn counts(facts: &Facts, assignment: &EligibleAssignment, inputs: &PolicyInputs<'_>) -> Vec<Counts> {
    let found = facts.windows.get(&assignment.name_any()).map(Vec::as_slice).unwrap_or_default();
    found.iter().map(|(kind, found)| count(facts, assignment, (*kind, found), inputs)).collect()
}

fn count(facts: &Facts, assignment: &EligibleAssignment, (kind, found): (ClaimKind, &Known<Found>), inputs: &PolicyInputs<'_>) -> Counts {
    let Some(claim) = convert::claim(assignment, kind) else { return Counts::Yes };
    let what = match claim {
        Claim::Window(change) => format!("the window until {}", change.window.end),
        Claim::Origin(..) => format!("assignment {}, which AssignmentRequest {} asked for,", assignment.name_any(), claim.by().name),
    };
    let unknown = |gap: &Gap| Counts::Unknown(format!("whether {what} was approved is not known: {gap}"));
    let (found, config) = match (found, &facts.config) {
        (Err(gap), _) | (Ok(_), Err(gap)) => return unknown(gap),
        // It is told that nothing is granted without it.
        (Ok(_), Ok(None)) => return Counts::Yes,
        (Ok(found), Ok(Some(config))) => (found, config),
    };
    let admission = history(config, facts.now);
    let inputs = PolicyInputs { admission: &admission, ..*inputs };
    match (judge(found, claim, assignment, config, &inputs), facts.policies.as_ref().err().or(facts.systems.as_ref().err())) {
        (Proof::Approved | Proof::Pending, None) => Counts::Yes,
        (Proof::Approved | Proof::Pending | Proof::Lacking(Lack::Approvers), Some(gap)) => match shown(assignment, kind) {
            Some(true) => Counts::Yes,
            Some(false) => Counts::No(
                kind,
                "does not prove it, as the operator has found".into(),
                format!("the operator has found that {what} does not count"),
            ),
            None => unknown(gap),
        },
        (Proof::Lacking(lack), _) => {
            Counts::No(kind, lack.to_string(), format!("{what} does not count, because AssignmentRequest {} {lack}", claim.by().name))
        }
    }
}

/// Whether the operator shows that a claim counts; `None` if it has shown nothing yet.
fn shown(assignment: &EligibleAssignment, kind: ClaimKind) -> Option<bool> {
    let status = assignment.status.as_ref()?;
    status.display.as_ref()?;
    match kind {
        ClaimKind::Window => Some(convert::shown_window(assignment) != assignment.spec_window()),
        ClaimKind::Origin => {
            let ready = conditions::find(&status.conditions, "Ready")?;
            Some(ready.status == "True" || ready.reason != Reason::NotApproved.as_str())
        }
    }
}

fn judge(found: &Found, claim: Claim<'_>, assignment: &EligibleAssignment, config: &CurfewConfig, inputs: &PolicyInputs<'_>) -> Proof {
    let (people, keys) = (config.spec.identity.recognition(), config.spec.identity.decider_proof.list());
    let accounts: Vec<_> = inputs.systems.iter().flat_map(|system| &system.emergency_accounts).cloned().collect();
    let logins = convert::Logins { proof: Some(&keys), emergency: &accounts, alias_keys: inputs.alias_keys };
    let facts: Vec<_> = found.decisions.iter().map(|d| convert::decision(d, Some(false), logins, inputs.admission)).collect();
    let request = found.request.as_ref().map(convert::assignment_request);
    let evidence = request.as_ref().map(|request| Evidence { request, decisions: &facts, people: &people });
    prove(claim, (AssignmentKind::Eligible, &convert::assignment(assignment)), evidence, inputs)
}

/// The spans of proven admission, as the operator has stored them; the last one lasts until now.
fn history(config: &CurfewConfig, now: Time) -> AdmissionHistory {
    match config.status.as_ref().and_then(|status| status.admission.as_ref()) {
        Some(stored) => AdmissionHistory { confirmed: Some(now.plus_secs(60)), ..AdmissionStatus::to_core(stored) },
        None => proven(now),
    }
}

/// The same assignment with what counts.
pub(super) fn as_it_counts(assignment: &EligibleAssignment, counts: &[Counts]) -> curfew_core::policy_inputs::Assignment {
    counts.iter().fold(convert::assignment(assignment), |facts, counts| match counts {
        Counts::Yes | Counts::Unknown(_) => facts,
        Counts::No(kind, why, _) => convert::without_proof(assignment, facts, *kind, why.clone()),
    })
}
