use super::*;
use crate::{
    admission::{MAX_PAST_SPANS, Span as Proven},
    approval::Verb,
    assignment_request::{
        Terms,
        sample::{CREATED, assignment, decision, people, request, terms},
    },
    digest::Digest,
    time::Time,
};

/// Admission was in force all the time.
fn always() -> AdmissionHistory {
    AdmissionHistory { since: Some(Time::from_secs(1)), confirmed: Some(Time::from_secs(9_000)), ..AdmissionHistory::default() }
}

fn approved(change: &Change, of: &Ref, stored: &Request, decisions: &[DecisionFacts], admission: &AdmissionHistory) -> bool {
    let people = people();
    is_approved(change, of, Some(Evidence { request: stored, decisions, people: &people, admission }))
}

const APPLIED: State = State::Ended(Outcome::Applied);

#[test]
fn what_was_approved_and_applied_is_proven() {
    let terms = terms();
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    assert!(approved(&terms.change("longer"), &assignment(), &request(APPLIED, Some(terms.clone())), &by_carol, &always()));
    let about_to_end = request(State::AwaitingApproval, Some(terms.clone()));
    assert!(approved(&terms.change("longer"), &assignment(), &about_to_end, &by_carol, &always()), "the window is written before the end");
    assert!(!is_approved(&terms.change("longer"), &assignment(), None), "without the request nothing is proven");
}

/// Something is forged in the status of the assignment or of the request, or is missing: nothing is proven.
#[test]
fn a_status_alone_proves_nothing() {
    let terms = terms();
    let (change, stored) = (terms.change("longer"), request(APPLIED, Some(terms.clone())));
    let by_carol = vec![decision("carol", Verb::Approve, &terms)];
    let check = |what: &str, change: &Change, stored: &Request, decisions: &[DecisionFacts], of: &Ref| {
        assert!(!approved(change, of, stored, decisions, &always()), "{what}");
    };
    let forged = |f: fn(&mut Change)| {
        let mut change = change.clone();
        f(&mut change);
        change
    };
    let of = assignment();
    check("no decision", &change, &stored, &[], &of);
    check("a denial", &change, &stored, &[decision("carol", Verb::Deny, &terms)], &of);
    check("her own approval", &change, &stored, &[decision("alice", Verb::Approve, &terms)], &of);
    check("another's approval", &change, &stored, &[decision("mallory", Verb::Approve, &terms)], &of);
    check("a later end", &forged(|c| c.window.end = Time::from_secs(9_999)), &stored, &by_carol, &of);
    check("for another window", &forged(|c| c.replaces = None), &stored, &by_carol, &of);
    check("another digest", &forged(|c| c.digest = Digest::from_bits(3)), &stored, &by_carol, &of);
    check("another request", &forged(|c| c.by.uid = "r2".into()), &stored, &by_carol, &of);
    check("another assignment", &change, &stored, &by_carol, &Ref { uid: "a2".into(), ..of.clone() });
    for state in [State::Pending, State::Ended(Outcome::Denied), State::Ended(Outcome::Cancelled)] {
        check("ended without an effect", &change, &request(state, Some(terms.clone())), &by_carol, &of);
    }
    check("nothing frozen", &change, &request(APPLIED, None), &by_carol, &of);
    // Stages that were forged, with the digest that they have: Carol has approved other terms.
    let unapproved = Terms { approval: Vec::new(), ..terms.clone() };
    check("no stage", &unapproved.change("longer"), &request(APPLIED, Some(unapproved.clone())), &by_carol, &of);
    let longer = Terms { window: crate::assignment_request::Span { end: Time::from_secs(9_999), ..terms.window }, ..terms.clone() };
    check("the frozen terms were changed, too", &longer.change("longer"), &request(APPLIED, Some(longer.clone())), &by_carol, &of);
    let elsewhere = Terms { request: "r0".into(), ..terms };
    check("terms of another request", &elsewhere.change("longer"), &request(APPLIED, Some(elsewhere.clone())), &by_carol, &of);
}

#[test]
fn what_was_made_in_a_gap_proves_nothing_unless_nobody_remembers() {
    let terms = terms();
    let (change, stored) = (terms.change("longer"), request(APPLIED, Some(terms.clone())));
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    let later = |past: Vec<Proven>| AdmissionHistory {
        since: Some(Time::from_secs(8_000)),
        confirmed: Some(Time::from_secs(9_000)),
        past,
        ..AdmissionHistory::default()
    };
    let span = |since: i64| Proven { since: Time::from_secs(since), until: Time::from_secs(since + 1) };
    let proven = |admission: &AdmissionHistory| approved(&change, &assignment(), &stored, &by_carol, admission);
    assert!(!proven(&later(Vec::new())), "from before the installation");
    assert!(!proven(&later(vec![span(CREATED - 100), span(CREATED + 100)])), "in a gap");
    assert!(proven(&later(vec![Proven { since: Time::from_secs(CREATED), until: Time::from_secs(CREATED + 100) }])), "in an earlier span");
    let long_ago: Vec<_> = (0..MAX_PAST_SPANS).map(|i| span(CREATED + 100 + 10 * i64::try_from(i).unwrap())).collect();
    assert!(proven(&later(long_ago)), "older than all that is remembered");
    let in_a_gap = [DecisionFacts { provenance: Provenance::Unverified, ..decision("carol", Verb::Approve, &terms) }];
    assert!(!approved(&change, &assignment(), &stored, &in_a_gap, &always()), "an approval that was made in a gap");
}
