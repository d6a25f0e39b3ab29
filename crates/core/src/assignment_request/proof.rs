//! Whether a change in the status of an assignment, or an assignment that a request has asked for, was really approved. A status is a copy and
//! not a reason (I1), and so is a mark: before access begins by it, the AssignmentRequest and the decisions about it are read and counted again.
use super::{
    ActionKind, AssignmentKind, Change, Origin, Outcome, Request, State, Terms, origin::is_as_asked, resolve::check_policy_allows,
    tally_decisions,
};
use crate::{
    admission::Provenance,
    approval::DecisionFacts,
    ids::Ref,
    policy_inputs::{Assignment, Policy, PolicyInputs, Window},
    principal::Recognition,
    reason::Reason,
    terms::{check_floor, check_names_role, check_recognised, first_allowing, refuse},
};
use std::{borrow::Cow, fmt};

/// What an assignment claims, and an AssignmentRequest must prove.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// That its window was changed.
    Window(&'a Change),
    /// That it was asked for, with the window that its spec has.
    Origin(&'a Origin, Window),
}

impl Claim<'_> {
    /// The AssignmentRequest that must prove it.
    pub fn by(&self) -> Cow<'_, Ref> {
        match self {
            Claim::Window(change) => Cow::Borrowed(&change.by),
            Claim::Origin(origin, _) => Cow::Owned(origin.by()),
        }
    }
}

/// What the proof of a change rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The AssignmentRequest that the change names.
    pub request: &'a Request,
    /// The decisions about it.
    pub decisions: &'a [DecisionFacts],
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
}

/// Whether a change was approved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Proof {
    /// It was.
    Approved,
    /// The next admission proof decides. What is unknown ends nothing.
    Pending,
    /// It was not, as far as can be shown: the window of the spec holds.
    Lacking(Lack),
}

impl Proof {
    /// What it lacks.
    pub const fn lack(self) -> Option<Lack> {
        match self {
            Proof::Lacking(lack) => Some(lack),
            Proof::Approved | Proof::Pending => None,
        }
    }
}

/// What a proof lacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lack {
    /// The AssignmentRequest.
    Request,
    /// One that asked for this change and was applied.
    Terms,
    /// One that asked for an assignment of this content and was applied.
    Content,
    /// An assignment that has not been deleted since: this one was created again, by a write that came late.
    Made,
    /// One that was made while the admission policies were in force.
    Admission,
    /// A requester who is the beneficiary, or a beneficiary whose other logins would be recognised.
    Recognition,
    /// Stages that a policy or the role asks for now.
    Approvers,
    /// Decisions that fill these stages.
    Approvals,
}

impl fmt::Display for Lack {
    /// Continues the name of the AssignmentRequest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lack::Request => "does not exist any more",
            Lack::Terms => "was not applied with that window, subject and role",
            Lack::Content => "was not applied with that subject, role, window, scope and permissions",
            Lack::Made => "was applied by another assignment of that name, which was deleted since",
            Lack::Admission => "was made while admission was not proven to be enforced",
            Lack::Recognition => "was made by another person, and the other logins of its subject are not known",
            Lack::Approvers => "had other approvers than the policy, or else the role, asks for now",
            Lack::Approvals => "has too few approvals that count now",
        })
    }
}

/// Whether what this assignment of this kind claims was approved. The order of the rules:
///
/// 1. the AssignmentRequest exists with the uid that the claim names, and has been applied, or is about to: its state is stored after the
///    window, or after the new assignment, with the uid of that, and then it proves no other of its name; 2. it was created while the
///    admission policies were in force; 3. what it froze is about this very assignment, its subject and its role, asks for this window, or
///    for a new assignment of exactly this content, and has the digest of the claim; 4. a manager may have asked for this subject; 5. the
///    frozen stages, which are read from a status, too, are those that must approve: they meet the floor of a policy that allows this role
///    and assignment now, or, where that policy has none, equal what the role says now; 6. the decisions about it, which name that digest,
///    fill every stage.
///
/// By 5 a changed list of approvers makes no earlier approval worthless where a policy has a floor, and a forged list needs approvers that
/// the policy accepts. All of it is judged by the present role, policies and identity settings: those of its time are recorded nowhere that
/// could be believed. It concerns the beginning of access: what is active rests on what was found then.
pub fn prove(
    claim: Claim<'_>,
    (kind, assignment): (AssignmentKind, &Assignment),
    evidence: Option<Evidence<'_>>,
    h: &PolicyInputs<'_>,
) -> Proof {
    let by = claim.by();
    let other = match claim {
        Claim::Window(_) => Lack::Terms,
        Claim::Origin(..) => Lack::Content,
    };
    let Some(Evidence { request, decisions, people }) = evidence.filter(|evidence| *evidence.request.uid == *by.uid) else {
        return Proof::Lacking(Lack::Request);
    };
    let stands = matches!(request.state, State::AwaitingApproval | State::Ended(Outcome::Applied)) && request.name == by.name;
    let Some(terms) = request.frozen.as_ref().filter(|_| stands).map(|frozen| &frozen.terms) else { return Proof::Lacking(other) };
    match h.admission.provenance_of(&request.uid, request.created) {
        Provenance::Verified => {}
        Provenance::Pending => return Proof::Pending,
        Provenance::Unverified => return Proof::Lacking(Lack::Admission),
    }
    // An approval that the next admission proof decides about leaves the answer open only if it would complete the stages.
    let proven = |d: &DecisionFacts| match d.provenance {
        Provenance::Pending => DecisionFacts { provenance: Provenance::Verified, ..d.clone() },
        Provenance::Verified | Provenance::Unverified => d.clone(),
    };
    let would_suffice = || tally_decisions(request, &decisions.iter().map(proven).collect::<Vec<_>>(), people).approved();
    match () {
        () if terms.kind != kind || *terms.request != *request.uid || !is_about(terms, claim, assignment) => Proof::Lacking(other),
        () if is_another(claim, request, assignment) => Proof::Lacking(Lack::Made),
        () if !assignment.subject.includes(&request.requester) && check_recognised(&assignment.subject, h).is_err() => {
            Proof::Lacking(Lack::Recognition)
        }
        () if !are_asked_for(terms, assignment, h) => Proof::Lacking(Lack::Approvers),
        () if tally_decisions(request, decisions, people).approved() => Proof::Approved,
        () if would_suffice() => Proof::Pending,
        () => Proof::Lacking(Lack::Approvals),
    }
}

/// Whether what was frozen is what this assignment claims.
fn is_about(terms: &Terms, claim: Claim<'_>, assignment: &Assignment) -> bool {
    match claim {
        Claim::Origin(origin, spec) => is_as_asked(terms, assignment, spec) && terms.digest() == origin.digest,
        Claim::Window(change) => {
            terms.assignment == assignment.reference
                && (&terms.subject, &terms.role.name) == (&assignment.subject, &assignment.role)
                && matches!(terms.action, ActionKind::Extend | ActionKind::Renew)
                && (terms.window, terms.replaces, terms.action) == (change.window, change.replaces, change.action)
                && terms.digest() == change.digest
        }
    }
}

/// Whether another assignment was created for the request. A replica that stalls in the creation for longer than its lease may create the
/// assignment once more, after the next leader has created it and a person has deleted it.
fn is_another(claim: Claim<'_>, request: &Request, assignment: &Assignment) -> bool {
    match claim {
        Claim::Origin(..) => request.made.as_ref().is_some_and(|made| *made != assignment.reference.uid),
        Claim::Window(_) => false,
    }
}

/// Whether the frozen stages are those that must approve, by a policy that allows the role and the assignment with its new window.
fn are_asked_for(terms: &Terms, assignment: &Assignment, h: &PolicyInputs<'_>) -> bool {
    let Some(t) = h.template.filter(|_| !terms.approval.is_empty()) else { return false };
    let longer = Assignment { window: Window::Between(terms.window.start, terms.window.end), ..assignment.clone() };
    let present = t.assignment_approval.as_ref().is_some_and(|(stages, order)| (stages, order) == (&terms.approval, &terms.order));
    let accepts = |p: &Policy| {
        check_policy_allows(terms.kind, p, &longer)?;
        check_names_role(p, t, h)?;
        match p.approval {
            Some(_) => check_floor(p, t, &terms.approval),
            None if present => Ok(()),
            None => refuse(Reason::BelowFloor, "other approvers than the role asks for"),
        }
    };
    first_allowing(t, h, accepts).is_ok()
}

#[cfg(test)]
mod tests;
