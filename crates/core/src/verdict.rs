//! The verdict on an AccessDecision: what its status says about whether it counts. Pure.
//!
//! [`crate::approval`] tallies the decisions about one request. A verdict adds when the tally may be published: not before
//! it is settled, and never against what was published before the request ended.
use crate::{
    approval::{Counted, DecisionFacts, Verb},
    grant,
    reason::Reason,
    time::Time,
};

/// How far the request has come that a decision is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestProgress {
    /// Not accepted yet, so its approvers are not known.
    NotAccepted,
    /// Accepted and not ended.
    Open,
    /// Ended at this time, in whole seconds.
    Ended(Time),
}

/// Everything that the verdict on a decision about a request rests on.
#[derive(Clone, Copy, Debug)]
pub struct VerdictFacts<'a> {
    /// The decision.
    pub decision: &'a DecisionFacts,
    /// Its place in the tally.
    pub counted: Counted,
    /// How far the request has come.
    pub request: RequestProgress,
    /// The request's status names it: as an approval that filled a stage, or as the decision that ended the request.
    pub recorded: bool,
    /// Its own status already has a final verdict.
    pub settled: bool,
}

/// The verdict on a decision about a request; `None` leaves its status as it is. The order of the rules:
///
/// 1. Before the request is accepted there is no verdict.
/// 2. A review is judged before and after the end: it has a verdict once it is settled, and keeps it.
/// 3. While the request is open, a decision whose admission proof or access review is outstanding has none either.
/// 4. After the request has ended, a final verdict stays.
/// 5. What the request's status names has counted.
/// 6. A decision made in the second of the end or later has not, and neither has one that was still waiting at the end.
/// 7. Otherwise the tally decides.
pub fn about_request(facts: &VerdictFacts<'_>) -> Option<Counted> {
    match (facts.request, facts.counted) {
        (RequestProgress::NotAccepted, _) => None,
        (RequestProgress::Open | RequestProgress::Ended(_), _) if facts.decision.verb == Verb::Review => {
            (!facts.settled && !facts.decision.is_pending()).then_some(facts.counted)
        }
        (RequestProgress::Open, _) if facts.decision.is_pending() => None,
        (RequestProgress::Ended(_), _) if facts.settled => None,
        (RequestProgress::Ended(_), _) if facts.recorded => Some(Counted::Yes),
        (RequestProgress::Ended(_), Counted::Waiting) => Some(Counted::No(Reason::AlreadyEnded)),
        // Kubernetes stamps whole seconds: what was made in the second of the end may be older or younger than the end.
        (RequestProgress::Ended(end), Counted::Yes) if facts.decision.created >= end => Some(Counted::No(Reason::AlreadyEnded)),
        // What these advise to do is of no use any more.
        (
            RequestProgress::Ended(end),
            Counted::No(Reason::ApprovalTimedOut | Reason::CommentRequired | Reason::OverMaximum | Reason::NotEscalatedYet),
        ) if facts.decision.created >= end => Some(Counted::No(Reason::AlreadyEnded)),
        (RequestProgress::Open | RequestProgress::Ended(_), counted) => Some(counted),
    }
}

/// The verdict on a decision about a Grant that needs no access review: an ended Grant cannot be abandoned any more.
pub fn about_grant(state: grant::State) -> Option<Counted> {
    match state {
        grant::State::Ended | grant::State::Abandoned => Some(Counted::No(Reason::AlreadyEnded)),
        grant::State::Granting | grant::State::Active | grant::State::Revoking => None,
    }
}

/// The verdict on a decision whose request or Grant was read live and does not exist. It is final: a later request of the
/// same name is a different one.
pub const ABOUT_NOTHING: Counted = Counted::No(Reason::NotFound);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admission::Provenance, principal::UserInfo};
    use std::sync::Arc;

    const END: Time = Time::from_millis(20_000);

    fn decision(verb: Verb, created: i64) -> DecisionFacts {
        DecisionFacts {
            uid: "d1".into(),
            decider: Arc::new(UserInfo::default()),
            verb,
            digest: None,
            duration: None,
            commented: false,
            request_uid: None,
            created: Time::from_secs(created),
            manager: Some(false),
            proven: true,
            provenance: Provenance::Verified,
            counted_before: false,
            emergency: false,
        }
    }

    fn verdict(decision: &DecisionFacts, counted: Counted, request: RequestProgress) -> Option<Counted> {
        about_request(&VerdictFacts { decision, counted, request, recorded: false, settled: false })
    }

    #[test]
    fn nothing_is_published_before_it_is_settled() {
        let approval = decision(Verb::Approve, 10);
        assert_eq!(verdict(&approval, Counted::Yes, RequestProgress::NotAccepted), None);
        assert_eq!(verdict(&approval, Counted::Yes, RequestProgress::Open), Some(Counted::Yes));
        let unproven = DecisionFacts { provenance: Provenance::Pending, ..approval };
        assert_eq!(verdict(&unproven, Counted::Waiting, RequestProgress::Open), None);
        let unreviewed = DecisionFacts { manager: None, ..decision(Verb::Deny, 10) };
        assert_eq!(verdict(&unreviewed, Counted::Waiting, RequestProgress::Open), None);
        let waits = verdict(&unreviewed, Counted::Waiting, RequestProgress::Ended(END));
        assert_eq!(waits, Some(Counted::No(Reason::AlreadyEnded)), "what waited at the end did not end it");
    }

    #[test]
    fn a_decision_after_the_end_does_not_count() {
        let ended = RequestProgress::Ended(END);
        let late = Some(Counted::No(Reason::AlreadyEnded));
        assert_eq!(verdict(&decision(Verb::Approve, 19), Counted::Yes, ended), Some(Counted::Yes));
        assert_eq!(verdict(&decision(Verb::Approve, 21), Counted::Yes, ended), late);
        assert_eq!(verdict(&decision(Verb::Approve, 21), Counted::Waiting, ended), late);
        let refused = Counted::No(Reason::SelfDecision);
        assert_eq!(verdict(&decision(Verb::Approve, 21), refused, ended), Some(refused), "its own reason says more");
        let timed_out = Counted::No(Reason::ApprovalTimedOut);
        assert_eq!(verdict(&decision(Verb::Approve, 19), timed_out, ended), Some(timed_out));
        assert_eq!(verdict(&decision(Verb::Approve, 21), timed_out, ended), late);
    }

    #[test]
    fn in_the_second_of_the_end_only_what_the_request_names_has_counted() {
        for verb in [Verb::Approve, Verb::Deny, Verb::Revoke] {
            let decision = decision(verb, 20);
            let facts = |recorded| VerdictFacts {
                decision: &decision,
                counted: Counted::Yes,
                request: RequestProgress::Ended(END),
                recorded,
                settled: false,
            };
            assert_eq!(about_request(&facts(true)), Some(Counted::Yes));
            assert_eq!(about_request(&facts(false)), Some(Counted::No(Reason::AlreadyEnded)), "{verb:?}");
            assert_eq!(about_request(&VerdictFacts { settled: true, ..facts(false) }), None, "a final verdict stays");
            // It has ended the request, also where no access review can be made now.
            let unreviewed = VerdictFacts { counted: Counted::Waiting, ..facts(true) };
            assert_eq!(about_request(&unreviewed), Some(Counted::Yes));
        }
    }

    #[test]
    fn an_ended_grant_cannot_be_abandoned() {
        use grant::State::{Abandoned, Active, Ended, Granting, Revoking};
        assert!([Granting, Active, Revoking].iter().all(|state| about_grant(*state).is_none()));
        assert!([Ended, Abandoned].iter().all(|state| about_grant(*state) == Some(Counted::No(Reason::AlreadyEnded))));
    }
}
