//! Emergency accounts in the terms of a request ([`crate::emergency`]): Curfew never touches them.
//!
//! They get no access by Curfew, since it ends what it gives, and they request none for others. That binds the beginning: until the Grant is
//! active the present lists are asked, so waiting evades nothing; what was active before an account was listed goes on to its deadline.
//!
//! They do not approve either: a login that several people may use does not tell whether it is another person who approves.
use super::{Refusal, refuse};
use crate::{
    approval::ApprovalStage,
    emergency,
    policy_inputs::{Assignment, PolicyInputs, RequestFacts, System, Template},
    principal::Subject,
    quorum,
    reason::Reason,
    target::Principal,
    text::brief,
};

/// Whether the login that requests is an emergency account, of whichever system. What the operator requests for an ActiveAssignment is
/// judged by its holder alone.
pub(super) fn check_requester(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    if a.approved.is_some() || a.active_assignment.is_some() {
        return Ok(());
    }
    let is_account = |system: &&System| emergency::account_of(&system.emergency_accounts, &a.requester, h.alias_keys).is_some();
    match h.systems.iter().find(is_account) {
        None => Ok(()),
        Some(system) => refuse(
            Reason::EmergencyAccount,
            format!(
                "{} is an emergency account of system {} (spec.emergencyAccounts): it has access of its own, and Curfew gives it none; request with your own login",
                brief(&a.requester.username),
                system.name
            ),
        ),
    }
}

/// Whether the holder is an emergency account of this system, by the name that the request uses.
pub(super) fn check_holder(a: &RequestFacts, holder: &Subject, system: &System) -> Result<(), Refusal> {
    match emergency::named(&system.emergency_accounts, holder) {
        Some(account) if a.approved.is_none() => refuse_holder(account, system),
        Some(_) | None => Ok(()),
    }
}

/// The same by the name that the target knows.
pub(super) fn check_principal(a: &RequestFacts, principal: &Principal, system: &System) -> Result<(), Refusal> {
    match emergency::at_target(&system.emergency_accounts, &principal.name()) {
        Some(account) if a.approved.is_none() && system.principals.is_some() => refuse_holder(account, system),
        Some(_) | None => Ok(()),
    }
}

fn refuse_holder(account: &Subject, system: &System) -> Result<(), Refusal> {
    refuse(
        Reason::EmergencyAccount,
        format!(
            "{} is an emergency account of system {} (spec.emergencyAccounts), which Curfew never touches: it gives it nothing that it would take away again",
            brief(&account.to_string()),
            system.name
        ),
    )
}

/// Whether an assignment would make an emergency account of one of the role's systems eligible. It ends nothing that is active.
pub(super) fn check_assignment(e: &Assignment, t: &Template, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let reached = |system: &&System| t.systems.include(&system.name, &system.labels);
    let found = h.systems.iter().filter(reached).find_map(|s| emergency::named(&s.emergency_accounts, &e.subject).map(|a| (s, a)));
    found.map_or(Ok(()), |(system, account)| refuse_holder(account, system))
}

/// Whether the stages can pass without the emergency accounts that they list.
pub(super) fn check_approvers(stages: &[ApprovalStage], h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let account = |subject: &Subject| h.systems.iter().find_map(|s| emergency::named(&s.emergency_accounts, subject));
    let Some(listed) = stages.iter().flat_map(ApprovalStage::all_approvers).find(|subject| account(subject).is_some()) else {
        return Ok(());
    };
    let people = |all: &[Subject]| all.iter().filter(|subject| account(subject).is_none()).cloned().collect();
    let left: Vec<ApprovalStage> = stages
        .iter()
        .map(|stage| ApprovalStage {
            approvers: people(&stage.approvers),
            escalation: stage.escalation.clone().map(|mut escalation| {
                escalation.approvers = people(&escalation.approvers);
                escalation
            }),
            ..stage.clone()
        })
        .collect();
    match quorum::unreachable(&left) {
        None => Ok(()),
        Some(why) => refuse(
            Reason::NobodyCanApprove,
            format!("{why}; {} is an emergency account, whose approvals do not count", brief(&listed.to_string())),
        ),
    }
}
