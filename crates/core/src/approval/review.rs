//! The review of a break-glass access, which another person decides afterwards. Pure.
//!
//! It ends the lock on further break-glass of the person who used it ([`crate::limits::Limit::of_break_glass`]), so it is judged like an
//! approval: by login, admission, and the rule about own requests.
use super::{ApprovalStage, ApprovalSubject, Counted, DecisionFacts, StageOrder, Verb, evaluate_alone, is_party};
use crate::{
    admission::Provenance,
    folding::Spelling,
    principal::{Recognition, Subject, UserInfo},
    reason::Reason,
    time::Time,
};
use serde::{Deserialize, Serialize};

/// How far the review of a request has come. A request for break-glass needs one from the moment at which it may have given access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum ReviewState {
    /// Nothing is to be reviewed, or not yet.
    #[default]
    NotRequired,
    /// There was access, and no review has counted.
    Required,
    /// A review has counted.
    Reviewed,
}

/// Whether a `Review` counts, for which the login is proven and the request is the one that it means. The order of the rules:
///
/// 1. It was created while admission was proven to be in force; while that is outstanding, it waits.
/// 2. The request is for break-glass, and there was access in the second of the decision or before.
/// 3. It is not from the requester or the beneficiary, under any name.
/// 4. It is from whom a stage lists, also for its escalation, or from a manager. MFA and durations of stages are about approvals.
/// 5. It has a comment.
pub(super) fn evaluate(m: &ApprovalSubject<'_>, w: &DecisionFacts, approver: bool) -> Counted {
    match m.reviewable_since {
        _ if w.provenance == Provenance::Unverified => Counted::No(Reason::AdmissionNotEnforced),
        _ if w.provenance == Provenance::Pending => Counted::Waiting,
        None => Counted::No(Reason::NothingToReview),
        Some(since) if w.created < since.floor_secs() => Counted::No(Reason::NothingToReview),
        Some(_) if is_party(m, &w.decider, Spelling::Folded) => Counted::No(Reason::SelfDecision),
        Some(_) if !approver && w.manager.is_none() => Counted::Waiting,
        Some(_) if !approver && w.manager != Some(true) => Counted::No(Reason::NotEntitled),
        Some(_) if !w.commented => Counted::No(Reason::CommentRequired),
        Some(_) => Counted::Yes,
    }
}

/// The first review that counts: what counted before, then the oldest. Later ones change nothing.
pub(super) fn first(words: &[DecisionFacts], counted: &mut [Counted]) -> Option<usize> {
    let counts = |i: &usize| words[*i].verb == Verb::Review && counted[*i] == Counted::Yes;
    let all: Vec<usize> = (0..words.len()).filter(counts).collect();
    let first = all.iter().copied().min_by_key(|&i| (!words[i].counted_before, words[i].created, &words[i].uid))?;
    all.into_iter().filter(|i| *i != first).for_each(|i| counted[i] = Counted::No(Reason::AlreadyReviewed));
    Some(first)
}

/// The access of a Grant for break-glass, whose request may be deleted.
#[derive(Clone, Copy, Debug)]
pub struct ReviewedGrant<'a> {
    /// The namespace of its request.
    pub namespace: &'a str,
    /// The uid of its request.
    pub request: &'a str,
    /// Whether that request exists.
    pub request_exists: bool,
    /// When the Grant was written, before it gave access.
    pub created: Time,
    /// Who asked, as it was recorded.
    pub requester: &'a UserInfo,
    /// Who holds the access.
    pub beneficiary: &'a Subject,
    /// Who could review, beside managers of the request.
    pub reviewers: &'a [Subject],
    /// Whether it may have given access.
    pub gave_access: bool,
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
}

/// Whether a `Review` about a Grant counts. While its request exists, a review names that. Otherwise it is judged as one about the request.
pub fn evaluate_about_grant(w: &DecisionFacts, namespace: &str, g: &ReviewedGrant<'_>) -> Counted {
    if namespace != g.namespace {
        return Counted::No(Reason::NotFound);
    }
    if g.request_exists {
        return Counted::No(Reason::RequestExists);
    }
    let reviewers = ApprovalStage {
        name: String::new(),
        approvers: g.reviewers.to_vec(),
        quorum: 1,
        timeout: None,
        escalation: None,
        mfa: None,
        comment: super::CommentRule::Optional,
    };
    let subject = ApprovalSubject {
        uid: g.request,
        created: g.created,
        requester: g.requester,
        beneficiary: Some(g.beneficiary),
        digest: None,
        accepted_at: g.created,
        stages: std::slice::from_ref(&reviewers),
        order: StageOrder::Sequential,
        duration: None,
        break_glass: true,
        reviewable_since: g.gave_access.then_some(g.created),
        people: g.people,
    };
    evaluate_alone(&subject, w)
}
