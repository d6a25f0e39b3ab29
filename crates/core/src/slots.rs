//! Slots: accesses of which a target can hold only one copy, such as a group membership or an Azure role assignment. Pure.
//!
//! Overlapping grants share a slot, in any order. A Grant that ends stores its own `Revoking` first and reads the others
//! live afterwards, so of two owners that end at once at least one sees the other.
use crate::{
    grant::{Intent, SlotOwners, State},
    target::SlotSet,
    time::Time,
};

/// Another Grant of the same slot domain, as far as slots are concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherGrant<'a> {
    /// The keys of the slots that its plan fills, in order.
    pub slots: &'a [String],
    /// Its state.
    pub state: State,
    /// Its stored intent to write.
    pub intent: Option<Intent>,
    /// When the target accepted its last removal.
    pub removed_at: Option<Time>,
}

/// What the other Grants mean for a Grant with these slots.
///
/// 1. A Grant that is `Revoking` may be removing the slot at this moment: unsettled.
/// 2. A Grant that has ended within the settle time has removed it, and reads may still show it: unsettled.
/// 3. A Grant that is `Active`, or `Granting` with a stored intent, holds its slots, whether or not others are unsettled: two
///    Grants that end at once must both see the third.
/// 4. A slot is standing if every Grant that holds it recorded it as filled before. One that recorded it as empty has written
///    it since, even if an older record says otherwise.
/// 5. A Grant without an intent has written nothing.
pub fn owners<'a>(slots: &[String], others: impl Iterator<Item = OtherGrant<'a>>, settle_secs: u32, now: Time) -> SlotOwners {
    let (mut held, mut written, mut unsettled) = (SlotSet::NONE, SlotSet::NONE, false);
    for other in others {
        let shared = |i: &u8| slots.get(usize::from(*i)).is_some_and(|key| other.slots.contains(key));
        let mine: SlotSet = (0..SlotSet::MAX).filter(shared).collect();
        if mine.is_empty() {
            continue;
        }
        let just_removed = other.removed_at.is_some_and(|t| now < t.plus_secs(i64::from(settle_secs)));
        match (other.state, other.intent) {
            (State::Revoking, Some(_)) => unsettled = true,
            (State::Ended | State::Abandoned, _) if just_removed => unsettled = true,
            (State::Active | State::Granting, Some(intent)) => {
                held = held.union(mine);
                let theirs = |i: &u8| {
                    let index = slots.get(usize::from(*i)).and_then(|key| other.slots.iter().position(|k| k == key));
                    index.and_then(|j| u8::try_from(j).ok()).is_some_and(|j| intent.standing.contains(j))
                };
                written = written.union(mine.without(mine.iter().filter(theirs).collect()));
            }
            (State::Granting | State::Active | State::Revoking | State::Ended | State::Abandoned, _) => {}
        }
    }
    let standing = held.without(written);
    if unsettled { SlotOwners::Unsettled { held, standing } } else { SlotOwners::Settled { held, standing } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    fn other<'a>(slots: &'a [String], state: State, standing: Option<&[u8]>, removed_ago: Option<i64>) -> OtherGrant<'a> {
        let intent = standing.map(|s| Intent { standing: s.iter().copied().collect(), until: None });
        OtherGrant { slots, state, intent, removed_at: removed_ago.map(|s| NOW.plus_secs(-s)) }
    }

    #[test]
    fn slots_are_matched_by_key_and_held_by_grants_that_have_stored_an_intent() {
        let (mine, theirs) = (["a".to_owned(), "b".to_owned()], ["b".to_owned(), "c".to_owned()]);
        let of = |o: OtherGrant<'_>| owners(&mine, [o].into_iter(), 60, NOW);
        let held = |slots: &[u8], standing: &[u8]| SlotOwners::Settled {
            held: slots.iter().copied().collect(),
            standing: standing.iter().copied().collect(),
        };
        assert_eq!(of(other(&theirs, State::Active, Some(&[]), None)), held(&[1], &[]));
        assert_eq!(of(other(&theirs, State::Granting, Some(&[0]), None)), held(&[1], &[1]), "their first slot is my second");
        assert_eq!(of(other(&theirs, State::Granting, None, None)), SlotOwners::FREE, "it has written nothing yet");
        assert_eq!(of(other(&["c".to_owned()], State::Active, Some(&[]), None)), SlotOwners::FREE);
    }

    #[test]
    fn a_slot_is_unsettled_while_it_is_removed_and_until_reads_have_settled() {
        let mine = ["a".to_owned()];
        let of = |o: OtherGrant<'_>| owners(&mine, [o].into_iter(), 60, NOW);
        let unsettled = SlotOwners::Unsettled { held: SlotSet::NONE, standing: SlotSet::NONE };
        assert_eq!(of(other(&mine, State::Revoking, Some(&[]), None)), unsettled);
        assert_eq!(of(other(&mine, State::Ended, Some(&[]), Some(59))), unsettled);
        assert_eq!(of(other(&mine, State::Ended, Some(&[]), Some(60))), SlotOwners::FREE);
        assert_eq!(of(other(&mine, State::Ended, Some(&[]), None)), SlotOwners::FREE, "it ended without a removal");
        assert_eq!(of(other(&mine, State::Revoking, None, None)), SlotOwners::FREE, "it never wrote");
    }

    #[test]
    fn a_third_grant_holds_its_slot_while_another_leaves_and_a_written_slot_is_not_standing() {
        let mine = ["a".to_owned()];
        let slot = SlotSet::NONE.with(0);
        let of = |others: Vec<OtherGrant<'_>>| owners(&mine, others.into_iter(), 60, NOW);
        let leaving = other(&mine, State::Revoking, Some(&[]), None);
        let active = other(&mine, State::Active, Some(&[]), None);
        let on_standing = other(&mine, State::Active, Some(&[0]), None);
        assert_eq!(of(vec![leaving, active.clone()]), SlotOwners::Unsettled { held: slot, standing: SlotSet::NONE });
        assert_eq!(of(vec![on_standing.clone(), active]), SlotOwners::Settled { held: slot, standing: SlotSet::NONE });
        assert_eq!(of(vec![on_standing]), SlotOwners::Settled { held: slot, standing: slot });
    }
}
