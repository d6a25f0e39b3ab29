//! Whether a break-glass access must be reviewed, and whether it is.
use super::{GrantView, Inputs, Request, State, Status, tally_decisions};
use crate::{
    approval::{DecisionFacts, Verb, review::ReviewState},
    requeue::Requeue,
    resolved::Schema,
    time::Time,
};

/// Since when there is an access to review, as the status says.
pub(super) fn reviewable_since(request: &Request) -> Option<Time> {
    match request.status.review {
        ReviewState::Required | ReviewState::Reviewed if request.break_glass => {
            Some(request.status.activated_at.unwrap_or(request.created))
        }
        ReviewState::NotRequired | ReviewState::Required | ReviewState::Reviewed => None,
    }
}

/// What is required once the access is active.
pub(super) fn when_active(request: &Request) -> ReviewState {
    match request.status.review {
        ReviewState::NotRequired if request.break_glass => ReviewState::Required,
        review => review,
    }
}

/// What is required at the end. A Grant that was not refused by its target may have given access, also where nothing shows that.
pub(super) fn at_end(f: &Inputs<'_>, was_active: bool) -> ReviewState {
    if was_active || may_have_given_access(f.grant) { when_active(f.request) } else { f.request.status.review }
}

/// Whether people must be told of a break-glass access: it has begun, or is about to, or may have given access, and is not reviewed.
pub fn must_be_told(request: &Request) -> bool {
    let begun = matches!(request.status.state, State::Activating | State::Active | State::Revoking(_));
    request.break_glass
        && match request.status.review {
            ReviewState::NotRequired => begun,
            ReviewState::Required => true,
            ReviewState::Reviewed => false,
        }
}

/// Whether a Grant may have given access, as long as it was there.
pub fn may_have_given_access(grant: GrantView) -> bool {
    match grant {
        GrantView::None => false,
        GrantView::Live { .. } => true,
        GrantView::Ended { active_since, refused, .. } => active_since.is_some() || !refused,
    }
}

/// When a request that has ended runs again: soon while a review is not settled.
pub(super) fn when_over(f: &Inputs<'_>) -> Requeue {
    let unsettled = |word: &DecisionFacts| word.verb == Verb::Review && word.is_pending();
    if f.decisions.iter().any(unsettled) { Requeue::Backoff } else { Requeue::OnChange }
}

/// The status of a request that is reviewed, if that is not stored yet.
pub(super) fn reviewed(f: &Inputs<'_>) -> Option<Status> {
    let status = &f.request.status;
    let outstanding = f.request.break_glass && status.review == ReviewState::Required && f.request.schema == Schema::Known;
    let counted = outstanding && tally_decisions(f.request, f.decisions, f.people).review.is_some();
    counted.then(|| Status { review: ReviewState::Reviewed, ..status.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admission::Provenance,
        principal::UserInfo,
        reason::{Reason, TerminalState},
    };

    #[test]
    fn a_break_glass_access_is_told_from_its_beginning_until_it_is_reviewed() {
        let told = |break_glass, state, review| {
            must_be_told(&Request {
                version: "1".into(),
                schema: Schema::Known,
                uid: "u1".into(),
                created: Time::from_secs(10),
                provenance: Provenance::Verified,
                requester: UserInfo::default().into(),
                beneficiary: None,
                break_glass,
                status: Status { state, review, ..Status::NEW },
            })
        };
        use ReviewState::{NotRequired, Required, Reviewed};
        let expired = State::Ended(TerminalState::Expired, Reason::DeadlinePassed);
        let denied = State::Ended(TerminalState::Denied, Reason::ReviewOutstanding);
        let revoking = State::Revoking(Reason::RevokedByApprover);
        let cases = [
            (State::Pending, NotRequired, false),
            (State::AwaitingApproval, NotRequired, false),
            (State::Activating, NotRequired, true),
            (State::Active, Required, true),
            (State::Active, Reviewed, false),
            (revoking, NotRequired, true),
            (expired, Required, true),
            (expired, Reviewed, false),
            (denied, NotRequired, false),
        ];
        for (state, review, expected) in cases {
            assert_eq!(told(true, state, review), expected, "{state:?} {review:?}");
            assert!(!told(false, state, review), "not a break-glass access: {state:?} {review:?}");
        }
    }
}
