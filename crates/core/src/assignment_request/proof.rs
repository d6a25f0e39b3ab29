//! Whether a change in the status of an assignment was really approved. A status is a copy and not a reason (I1): before access begins by a
//! wider window, the AssignmentRequest and the decisions about it are read and counted again.
use super::{ActionKind, Change, Outcome, Request, State, tally_decisions};
use crate::{
    admission::{AdmissionHistory, Provenance},
    approval::DecisionFacts,
    ids::Ref,
    principal::Recognition,
};

/// What the proof of a change rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The AssignmentRequest that the change names.
    pub request: &'a Request,
    /// The decisions about it.
    pub decisions: &'a [DecisionFacts],
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
    /// When admission was proven to be enforced.
    pub admission: &'a AdmissionHistory,
}

/// Whether a change of this assignment was approved. The order of the rules:
///
/// 1. the AssignmentRequest exists with the uid that the change names, and has been applied, or is about to: its state is stored after the
///    window; 2. it was created while the admission policies
///    were in force, or before everything that is remembered of that: a year later nobody knows; 3. what it froze is about this very
///    assignment, asks for this window, and has the digest of the change; 4. some stage had to approve; 5. the decisions about it, which
///    name that digest, fill every stage.
///
/// It concerns the beginning of access: what is active rests on what was found then.
pub fn is_approved(change: &Change, assignment: &Ref, evidence: Option<Evidence<'_>>) -> bool {
    let Some(Evidence { request, decisions, people, admission }) = evidence else { return false };
    let Some(frozen) = &request.frozen else { return false };
    let terms = &frozen.terms;
    let stands = matches!(request.state, State::AwaitingApproval | State::Ended(Outcome::Applied));
    let named = *request.uid == *change.by.uid && request.name == change.by.name && stands;
    let trusted =
        admission.provenance_of(&request.uid, request.created) == Provenance::Verified || admission.has_forgotten(request.created);
    let same = terms.assignment == *assignment
        && *terms.request == *request.uid
        && (terms.window, terms.replaces, terms.action) == (change.window, change.replaces, change.action)
        && terms.digest() == change.digest;
    let asked = terms.action != ActionKind::Remove && !terms.approval.is_empty();
    let remembered = |d: &DecisionFacts| match admission.has_forgotten(d.created) {
        true => DecisionFacts { provenance: Provenance::Verified, ..d.clone() },
        false => d.clone(),
    };
    let decisions: Vec<DecisionFacts> = decisions.iter().map(remembered).collect();
    named && trusted && same && asked && tally_decisions(request, &decisions, people).approved()
}

#[cfg(test)]
mod tests;
