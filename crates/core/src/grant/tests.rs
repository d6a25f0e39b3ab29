use super::*;
use crate::target::Guarantees;

const NOW: Time = Time::from_secs(1_000);

fn grant(state: State, provenance: Provenance) -> Grant {
    Grant {
        version: "1".into(),
        schema: Schema::Known,
        expires_at: NOW.plus_secs(60),
        state,
        drifted: false,
        refused: false,
        outgrown: false,
        withheld: SlotSet::NONE,
        deleting: false,
        provenance,
        guarantees: Guarantees::OWN_OBJECTS,
        active_since: None,
        intent: None,
        operation: None,
        removed_at: None,
    }
}

fn inputs(grant: &Grant) -> Inputs<'_> {
    Inputs {
        now: NOW,
        grant,
        observation: Some(Observation::Present),
        filled: None,
        slot_owners: None,
        write_until: None,
        owner: OwnerState::Wanted,
        verify_owner: false,
        content: None,
        verify_content: false,
        permit: true,
        abandoned: false,
    }
}

#[test]
fn a_grant_created_while_admission_was_not_enforced_is_only_revoked() {
    let decided = |state, provenance| decide(&inputs(&grant(state, provenance)));
    assert_eq!(decided(State::Granting, Provenance::Verified), Decision::Reserve);
    assert_eq!(decided(State::Granting, Provenance::Pending), Decision::Wait(Requeue::Backoff));
    assert_eq!(decided(State::Granting, Provenance::Unverified), Decision::BringForward);
    // What it claims to be at the target is read, and nothing is written there for it.
    assert_eq!(decided(State::Active, Provenance::Unverified), Decision::Wait(Requeue::At(NOW.plus_secs(60))));
    assert_eq!(decided(State::Revoking, Provenance::Unverified), Decision::Revoke { keep: SlotSet::NONE, until: None });
}

#[test]
fn a_grant_of_a_newer_schema_is_only_revoked_when_due() {
    for state in [State::Granting, State::Active] {
        let newer = Grant { schema: Schema::Newer, ..grant(state, Provenance::Verified) };
        let gone = Inputs { owner: OwnerState::Gone, observation: Some(Observation::Drifted), verify_owner: true, ..inputs(&newer) };
        assert_eq!(decide(&gone), Decision::Wait(Requeue::At(newer.expires_at)), "{state:?}");
        let due = Inputs { now: newer.expires_at, ..gone };
        assert!(matches!(decide(&due), Decision::Revoke { .. } | Decision::Commit(Grant { state: State::Revoking, .. })), "{state:?}");
    }
}

#[test]
fn absence_is_not_believed_before_reads_have_settled() {
    let guarantees = Guarantees { settle_secs: 30, ..Guarantees::OWN_OBJECTS };
    let active = Grant { guarantees, active_since: Some(NOW.plus_secs(-29)), ..grant(State::Active, Provenance::Verified) };
    let absent = Inputs { observation: Some(Observation::Absent), ..inputs(&active) };
    assert_eq!(decide(&absent), Decision::Wait(Requeue::Backoff));
    let later = Inputs { now: NOW.plus_secs(1), ..absent };
    assert!(matches!(decide(&later), Decision::Commit(Grant { drifted: true, state: State::Revoking, .. })));
    let removed = Grant { removed_at: Some(NOW), ..grant(State::Revoking, Provenance::Verified) };
    let removed = Grant { guarantees, ..removed };
    let early = Inputs { observation: Some(Observation::Absent), ..inputs(&removed) };
    assert_eq!(decide(&early), Decision::Wait(Requeue::At(NOW.plus_secs(30))));
    assert!(matches!(decide(&Inputs { now: NOW.plus_secs(30), ..early }), Decision::Commit(Grant { state: State::Ended, .. })));
}

fn disarmed(parts: SlotSet) -> Observation {
    Observation::Disarmed { any: parts, all: parts }
}

#[test]
fn what_is_missing_is_withheld_and_what_is_back_is_restored() {
    let (one, two) = (SlotSet::NONE.with(0), SlotSet::NONE.with(1));
    let both = one.union(two);
    let decided = |withheld, missing, observation, permit| {
        let active = Grant { withheld, ..grant(State::Active, Provenance::Verified) };
        let content = Some(Content::Within { missing });
        decide(&Inputs { verify_content: true, content, observation: Some(observation), permit, ..inputs(&active) })
    };
    let (idle, none) = (Decision::Wait(Requeue::At(NOW.plus_secs(60))), SlotSet::NONE);
    assert_eq!(decided(none, none, Observation::Present, true), idle);
    assert!(matches!(decided(none, one, Observation::Present, true), Decision::Commit(g) if g.withheld == one && g.state == State::Active));
    assert!(matches!(decided(one, two, disarmed(one), true), Decision::Commit(g) if g.withheld == both), "stored before it is done");
    assert_eq!(decided(one, one, Observation::Present, false), Decision::Withhold(one), "without the permit, too");
    assert_eq!(decided(both, both, disarmed(one), true), Decision::Withhold(two));
    assert_eq!(decided(one, one, disarmed(one), true), idle);
    let half = Observation::Disarmed { any: one, all: none };
    assert_eq!(decided(one, one, half, true), Decision::Withhold(one), "some of its objects still give access");
    assert!(matches!(decided(none, none, half, true), Decision::Commit(Grant { drifted: true, .. })));
    assert_eq!(decided(both, two, disarmed(both), true), Decision::Restore(one));
    assert_eq!(decided(one, none, Observation::Present, true), Decision::Restore(one), "what a watch shows may be old");
    assert_eq!(decided(one, none, disarmed(one), false), idle, "nothing is given without the permit");
    for removed in [disarmed(both), Observation::Absent, Observation::Drifted] {
        let ended = decided(one, one, removed, true);
        assert!(matches!(ended, Decision::Commit(Grant { drifted: true, state: State::Revoking, .. })), "{removed:?}: {ended:?}");
    }
}

#[test]
fn content_that_has_grown_ends_the_grant_and_unknown_content_changes_nothing() {
    let active = grant(State::Active, Provenance::Verified);
    let verified = Inputs { verify_content: true, ..inputs(&active) };
    assert_eq!(decide(&verified), Decision::ReadContent);
    let grown = decide(&Inputs { content: Some(Content::Grown), ..verified });
    assert!(matches!(grown, Decision::Commit(Grant { outgrown: true, state: State::Revoking, .. })));
    let unknown = Inputs { content: Some(Content::Unknown), ..verified };
    assert_eq!(decide(&unknown), Decision::Wait(Requeue::Backoff));
    let withheld = Grant { withheld: SlotSet::NONE.with(0), ..active.clone() };
    assert_eq!(decide(&inputs(&withheld)), Decision::ReadContent, "while something is withheld it is always read");
    let unknown = Inputs { grant: &withheld, observation: Some(disarmed(withheld.withheld)), ..unknown };
    assert_eq!(decide(&unknown), Decision::Wait(Requeue::Backoff));
    let unverified = Grant { provenance: Provenance::Unverified, ..withheld.clone() };
    let back = Inputs { grant: &unverified, content: Some(Content::Within { missing: SlotSet::NONE }), ..unknown };
    assert_eq!(decide(&back), Decision::Wait(Requeue::At(NOW.plus_secs(60))), "nothing is given to a Grant that anyone may have written");
}
