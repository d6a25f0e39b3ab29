//! The second machine: how long, and is it true? Pure.
//!
//! A Grant is ledger and outbox in one. It needs nothing but itself and its target to end (I3).
use crate::{admission::Provenance, request::Requeue, request::Version, time::Time};

/// Where a Grant stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// The intent is stored; the target may or may not have been written.
    Granting,
    /// The target has shown the access.
    Active,
    /// The access is being taken away; unknown counts as present.
    Revoking,
    /// The target has shown that nothing is left.
    Ended,
    /// A person has released a Grant whose target is gone for good. It justifies nothing.
    Abandoned,
}

/// What the target shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Observation {
    /// Exactly what was granted.
    Present,
    /// Nothing.
    Absent,
    /// Less or more than was granted, a reservation that lost its subjects included.
    Drifted,
    /// No telling.
    Unknown,
}

/// What is known of the request behind a Grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OwnerState {
    /// Nobody asked.
    NotRead,
    /// It is there, the same one, and wants its grant.
    Wanted,
    /// It is gone, another one, or has ended.
    Gone,
}

/// One stored Grant, as far as the rules need it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Grant {
    /// Its version, for the compare-and-swap.
    pub version: Version,
    /// When it ends. May only move earlier.
    pub expires_at: Time,
    /// Where it stands.
    pub state: State,
    /// It was ended by a change at the target.
    pub drifted: bool,
    /// Somebody deleted the object; its finalizer holds it until nothing is left.
    pub deleting: bool,
    /// Whether the gate was closed when it was created, or this process has made it itself. If not, anybody may have written it.
    pub provenance: Provenance,
}

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The time.
    pub now: Time,
    /// The Grant as it is stored.
    pub grant: &'a Grant,
    /// What the target shows, if it was asked.
    pub observation: Option<Observation>,
    /// The request behind it.
    pub owner: OwnerState,
    /// Whether the request must be asked about: after a delete, on start, in the heartbeat.
    pub verify_owner: bool,
    /// Lease held, gate closed, clock sane, stores synced.
    pub permit: bool,
    /// Somebody who may has released it, because its target is gone for good.
    pub abandoned: bool,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Nothing now.
    Wait(Requeue),
    /// Read live whether the request is there.
    ReadOwner,
    /// Look at the target.
    Observe,
    /// Store an earlier end: now.
    BringForward,
    /// Store this stage.
    Commit(State),
    /// Store `Revoking`, and that a change at the target was the reason.
    CommitDrift,
    /// Write to the target: reserve, recheck, arm.
    Grant,
    /// Take it away.
    Revoke,
    /// Let the deleted object go.
    RemoveFinalizer,
}

/// Decides. The order of the rules:
///
/// 1. What has ended has ended; a deleted object is let go only then.
/// 2. `Revoking` revokes, until the target shows that nothing is left. It asks nobody else (I3). Past the deadline a person
///    may release it without proof: it ends `Abandoned`, never `Ended`.
/// 3. At the deadline `Active` revokes first and commits after: the stored deadline is the intent. `Granting` stores
///    `Revoking` first, for another replica with a slower clock may still pass its recheck.
/// 4. A Grant in doubt asks for its request. One that is gone, like a deleted Grant, brings the deadline forward to now.
/// 5. `Granting` writes to the target, with the permit only; one that was created while the gate was open is only revoked, and one
///    that came since the last proof waits for the next.
/// 6. `Active` looks at the target. Drift ends it: what was removed stays removed, what was widened is revoked. Unknown is present.
pub fn decide(f: &Inputs<'_>) -> Decision {
    let due = f.now >= f.grant.expires_at;
    match f.grant.state {
        State::Ended | State::Abandoned if f.grant.deleting => Decision::RemoveFinalizer,
        State::Ended | State::Abandoned => Decision::Wait(Requeue::OnChange),
        State::Revoking if due && f.abandoned => Decision::Commit(State::Abandoned),
        State::Revoking => Decision::Revoke,
        State::Active if due => Decision::Revoke,
        State::Granting if due => Decision::Commit(State::Revoking),
        State::Active | State::Granting if f.grant.deleting || f.owner == OwnerState::Gone => Decision::BringForward,
        State::Active | State::Granting if f.verify_owner && f.owner == OwnerState::NotRead => Decision::ReadOwner,
        State::Granting if f.permit => match f.grant.provenance {
            Provenance::Verified => Decision::Grant,
            Provenance::Pending => Decision::Wait(Requeue::Backoff),
            Provenance::Unverified => Decision::BringForward,
        },
        State::Granting => Decision::Wait(Requeue::At(f.grant.expires_at)),
        State::Active => match f.observation {
            None => Decision::Observe,
            Some(Observation::Present) => Decision::Wait(Requeue::At(f.grant.expires_at)),
            Some(Observation::Unknown) => Decision::Wait(Requeue::Backoff),
            Some(Observation::Absent | Observation::Drifted) => Decision::CommitDrift,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    fn grant(stage: State, gated: Provenance) -> Grant {
        Grant { version: "1".into(), expires_at: NOW.plus_secs(60), state: stage, drifted: false, deleting: false, provenance: gated }
    }

    fn decided(g: &Grant) -> Decision {
        decide(&Inputs {
            now: NOW,
            grant: g,
            observation: Some(Observation::Present),
            owner: OwnerState::Wanted,
            verify_owner: false,
            permit: true,
            abandoned: false,
        })
    }

    #[test]
    fn a_grant_from_a_gap_is_only_revoked() {
        assert_eq!(decided(&grant(State::Granting, Provenance::Verified)), Decision::Grant);
        assert_eq!(decided(&grant(State::Granting, Provenance::Pending)), Decision::Wait(Requeue::Backoff));
        assert_eq!(decided(&grant(State::Granting, Provenance::Unverified)), Decision::BringForward);
        // What it says to be at the target is looked at, and nothing is written there for it.
        assert_eq!(decided(&grant(State::Active, Provenance::Unverified)), Decision::Wait(Requeue::At(NOW.plus_secs(60))));
        assert_eq!(decided(&grant(State::Revoking, Provenance::Unverified)), Decision::Revoke);
    }
}
