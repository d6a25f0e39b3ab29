use super::*;
use crate::{
    admission::Provenance,
    assignment_request::{
        ActionKind,
        sample::{ACCEPTED, decision, people, request, terms},
    },
    time::Time,
};

struct Case {
    now: i64,
    request: Request,
    terms: Result<Terms, Refusal>,
    decisions: Vec<DecisionFacts>,
    change: Option<Change>,
    origin: Option<Origin>,
    earlier: Option<&'static str>,
    permit: bool,
    fresh: bool,
}

impl Case {
    fn decide(&self) -> Decision {
        decide(&Inputs {
            now: Time::from_secs(self.now),
            request: &self.request,
            terms: &self.terms,
            decisions: &self.decisions,
            people: &people(),
            change: self.change.as_ref(),
            origin: self.origin.as_ref(),
            earlier: self.earlier,
            permit: self.permit,
            fresh: self.fresh,
        })
    }
    fn ends(&self) -> Option<(Outcome, Reason)> {
        match self.decide() {
            Decision::End(outcome, reason, _) => Some((outcome, reason)),
            _ => None,
        }
    }
}

/// Accepted, with these decisions, all read live.
fn waiting(decisions: Vec<DecisionFacts>) -> Case {
    Case {
        now: ACCEPTED + 20,
        request: request(State::AwaitingApproval, Some(terms())),
        terms: Ok(terms()),
        decisions,
        change: None,
        origin: None,
        earlier: None,
        permit: true,
        fresh: true,
    }
}

fn refusal(reason: Reason) -> Result<Terms, Refusal> {
    Err(Refusal::new(reason, "why"))
}

fn approval() -> DecisionFacts {
    decision("carol", Verb::Approve, &terms())
}

#[test]
fn a_new_request_is_accepted_or_refused_on_live_facts() {
    let new = |fresh, terms| Case { request: request(State::Pending, None), fresh, terms, ..waiting(Vec::new()) };
    assert_eq!(new(false, Ok(terms())).decide(), Decision::ReadLive);
    assert_eq!(
        new(true, Ok(terms())).decide(),
        Decision::Accept(Box::new(Frozen { terms: terms(), accepted_at: Time::from_secs(ACCEPTED + 20) }))
    );
    assert_eq!(new(false, refusal(Reason::OutsideWindow)).decide(), Decision::ReadLive);
    assert_eq!(new(true, refusal(Reason::OutsideWindow)).ends(), Some((Outcome::Denied, Reason::OutsideWindow)));
    assert_eq!(new(true, refusal(Reason::NobodyCanApprove)).ends(), Some((Outcome::Invalid, Reason::NobodyCanApprove)));
    // What is unknown ends nothing.
    assert_eq!(new(true, refusal(Reason::NotProvenYet)).decide(), Decision::Wait(Requeue::Backoff));
    assert_eq!(Case { permit: false, ..new(true, refusal(Reason::OutsideWindow)) }.decide(), Decision::Wait(Requeue::OnChange));
}

#[test]
fn of_two_requests_the_earlier_one_is_decided_about() {
    for request in [request(State::Pending, None), request(State::AwaitingApproval, Some(terms()))] {
        let second = Case { request, earlier: Some("first"), ..waiting(vec![approval()]) };
        assert_eq!(second.ends(), Some((Outcome::Denied, Reason::LimitReached)));
        assert_eq!(Case { fresh: false, ..second }.decide(), Decision::ReadLive);
    }
    // Of any two exactly one is earlier, whichever replica asks.
    let place = |accepted, created, uid| Place { accepted, created: Time::from_secs(created), uid };
    // Accepted: a later one does not take its place, also one of the same second with a smaller uid.
    let accepted = [place(true, 1, "b"), place(true, 1, "c"), place(true, 2, "a")];
    let all = [&accepted[..], &[place(false, 1, "a"), place(false, 1, "d"), place(false, 2, "b")]].concat();
    for (i, one) in all.iter().enumerate() {
        for (j, other) in all.iter().enumerate() {
            assert_eq!(is_earlier(one, other), i < j, "{one:?} {other:?}");
        }
    }
}

#[test]
fn nothing_is_changed_before_every_stage_has_passed() {
    let deadline = Time::from_secs(ACCEPTED + 86_400);
    assert_eq!(waiting(Vec::new()).decide(), Decision::Wait(Requeue::At(deadline)));
    for (by, verb) in [("alice", Verb::Approve), ("mallory", Verb::Approve)] {
        assert_eq!(waiting(vec![decision(by, verb, &terms())]).decide(), Decision::Wait(Requeue::At(deadline)), "{by}");
    }
    let other = DecisionFacts { digest: Some(crate::digest::Digest::from_bits(1)), ..approval() };
    assert_eq!(waiting(vec![other]).decide(), Decision::Wait(Requeue::At(deadline)), "another digest");
    let unproven = DecisionFacts { provenance: Provenance::Pending, ..approval() };
    assert_eq!(waiting(vec![unproven]).decide(), Decision::Wait(Requeue::Backoff));
    assert_eq!(waiting(vec![approval()]).decide(), Decision::Apply(terms().change("longer")));
    assert_eq!(Case { fresh: false, ..waiting(vec![approval()]) }.decide(), Decision::ReadLive);
    assert_eq!(Case { permit: false, ..waiting(vec![approval()]) }.decide(), Decision::Wait(Requeue::OnChange));
}

#[test]
fn what_only_takes_away_needs_no_stage() {
    let removal = Terms { action: ActionKind::Remove, approval: Vec::new(), policy: None, ..terms() };
    let case = Case { request: request(State::AwaitingApproval, Some(removal.clone())), terms: Ok(removal.clone()), ..waiting(Vec::new()) };
    assert_eq!(case.decide(), Decision::Apply(removal.change("longer")));
}

/// The extension of another requester may wait for a day; giving up does not wait for it.
#[test]
fn what_takes_away_does_not_wait_behind_another_request() {
    let removal = Terms { action: ActionKind::Remove, approval: Vec::new(), policy: None, ..terms() };
    let behind = |request, fresh| Case { request, terms: Ok(removal.clone()), earlier: Some("first"), fresh, ..waiting(Vec::new()) };
    let pending = behind(request(State::Pending, None), true).decide();
    assert!(matches!(pending, Decision::Accept(_)), "{pending:?}");
    let accepted = || request(State::AwaitingApproval, Some(removal.clone()));
    assert_eq!(behind(accepted(), true).decide(), Decision::Apply(removal.change("longer")));
    assert_eq!(behind(accepted(), false).decide(), Decision::ReadLive);
    // The extension that waited was to replace another window.
    let ended = crate::assignment_request::Span { start: Time::from_secs(0), end: Time::from_secs(ACCEPTED + 15) };
    let left = Case { terms: Ok(Terms { before: Some(ended), ..terms() }), ..waiting(vec![approval()]) };
    assert_eq!(left.ends(), Some((Outcome::Invalid, Reason::TemplateChanged)));
}

#[test]
fn it_ends_by_what_stops_it() {
    let denied = |verb, by| waiting(vec![approval(), decision(by, verb, &terms())]).ends();
    assert_eq!(denied(Verb::Deny, "carol"), Some((Outcome::Denied, Reason::DeniedByApprover)));
    assert_eq!(denied(Verb::Revoke, "alice"), Some((Outcome::Cancelled, Reason::Withdrawn)));
    let unreviewed = DecisionFacts { manager: None, ..decision("max", Verb::Deny, &terms()) };
    assert_eq!(waiting(vec![approval(), unreviewed]).decide(), Decision::Wait(Requeue::Backoff), "a denial that may count is waited for");
    let late = Case { now: ACCEPTED + 86_400, ..waiting(Vec::new()) };
    assert_eq!(late.ends(), Some((Outcome::TimedOut, Reason::ApprovalTimedOut)));
    assert_eq!(Case { fresh: false, ..late }.decide(), Decision::ReadLive);
    // An approval that was stored in time counts, also where it is seen late; but not for a window that has passed.
    let seen_late = Case { now: 5_599, ..waiting(vec![approval()]) };
    assert_eq!(seen_late.decide(), Decision::Apply(terms().change("longer")));
    assert_eq!(Case { now: 5_600, ..seen_late }.ends(), Some((Outcome::TimedOut, Reason::WindowPassed)));
}

#[test]
fn a_stricter_rule_is_not_evaded_by_waiting() {
    for reason in [Reason::OutsidePolicy, Reason::Suspended, Reason::BelowFloor, Reason::NotFound] {
        let case = Case { terms: refusal(reason), ..waiting(vec![approval()]) };
        assert_eq!(case.ends(), Some((Outcome::of(reason), reason)));
        assert_eq!(Case { fresh: false, ..case }.decide(), Decision::ReadLive);
    }
    let mut other = terms();
    other.before = Some(crate::assignment_request::Span { end: Time::from_secs(2_500), ..other.window });
    let case = Case { terms: Ok(other), ..waiting(vec![approval()]) };
    assert_eq!(case.ends(), Some((Outcome::Invalid, Reason::TemplateChanged)), "what was approved is another change");
}

#[test]
fn what_was_written_is_finished_regardless_of_what_came_later() {
    let written = |change| Case { change, ..waiting(vec![approval(), decision("carol", Verb::Deny, &terms())]) };
    let applied = Some((Outcome::Applied, Reason::AsExpected));
    assert_eq!(written(Some(terms().change("longer"))).ends(), applied);
    assert_eq!(Case { permit: false, terms: refusal(Reason::Suspended), ..written(Some(terms().change("longer"))) }.ends(), applied);
    let other = Change { digest: crate::digest::Digest::from_bits(1), ..terms().change("longer") };
    assert_eq!(written(Some(other)).ends(), Some((Outcome::Denied, Reason::DeniedByApprover)));
    let over = Case { request: request(State::Ended(Outcome::Denied), Some(terms())), ..written(Some(terms().change("longer"))) };
    assert_eq!(over.decide(), Decision::Wait(Requeue::OnChange), "what has ended stays ended");
}

/// A new assignment is created as what was approved, once: what stands under the name decides, and not what was meant.
#[test]
fn a_new_assignment_is_created_after_approval_and_once() {
    let new = crate::assignment_request::sample::new_terms();
    let approved = decision("carol", Verb::Approve, &new);
    let case = |decisions: Vec<DecisionFacts>| Case {
        request: request(State::AwaitingApproval, Some(new.clone())),
        terms: Ok(new.clone()),
        ..waiting(decisions)
    };
    assert!(matches!(case(Vec::new()).decide(), Decision::Wait(_)), "nothing is created before the approval");
    assert!(matches!(case(vec![decision("alice", Verb::Approve, &new)]).decide(), Decision::Wait(_)), "her own approval");
    assert_eq!(case(vec![approved.clone()]).decide(), Decision::Create(new.origin("longer")));
    assert_eq!(Case { fresh: false, ..case(vec![approved.clone()]) }.decide(), Decision::ReadLive);
    assert_eq!(Case { permit: false, ..case(vec![approved.clone()]) }.decide(), Decision::Wait(Requeue::OnChange));
    // The operator died after the creation: what was read then is refused, since the name is taken, by this very request.
    let created = Case { origin: Some(new.origin("longer")), terms: refusal(Reason::AlreadyExists), ..case(vec![approved.clone()]) };
    assert_eq!(created.ends(), Some((Outcome::Applied, Reason::AsExpected)));
    let of_another = Origin { uid: "r2".into(), ..new.origin("longer") };
    let taken = Case { origin: Some(of_another), terms: refusal(Reason::AlreadyExists), ..case(vec![approved.clone()]) };
    assert_eq!(taken.ends(), Some((Outcome::Invalid, Reason::AlreadyExists)));
    let by_hand = Case { origin: None, terms: refusal(Reason::AlreadyExists), ..case(vec![approved]) };
    assert_eq!(by_hand.ends(), Some((Outcome::Invalid, Reason::AlreadyExists)));
}
