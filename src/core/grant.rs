//! The second machine: how long, and is it true? Pure.
//!
//! A Grant is ledger and outbox in one. It needs nothing but itself and its target to end (I3).
use crate::{gate::Saw, request::Version, request::Wake, time::Time};

/// Where a Grant stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
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
pub enum Seen {
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
pub enum Behind {
    /// Nobody asked.
    NotAsked,
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
    pub stage: Stage,
    /// It was ended by a change at the target.
    pub drifted: bool,
    /// Somebody deleted the object; its finalizer holds it until nothing is left.
    pub deleting: bool,
    /// Whether the gate was closed when it was created, or this process has made it itself. If not, anybody may have written it.
    pub gated: Saw,
}

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The time.
    pub now: Time,
    /// The Grant as it is stored.
    pub grant: &'a Grant,
    /// What the target shows, if it was asked.
    pub seen: Option<Seen>,
    /// The request behind it.
    pub behind: Behind,
    /// Whether the request must be asked about: after a delete, on start, in the heartbeat.
    pub doubt: bool,
    /// Lease held, gate closed, clock sane, stores synced.
    pub permit: bool,
    /// Somebody who may has released it, because its target is gone for good.
    pub abandoned: bool,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Nothing now.
    Stay(Wake),
    /// Read live whether the request is there.
    AskBehind,
    /// Look at the target.
    Observe,
    /// Store an earlier end: now.
    BringForward,
    /// Store this stage.
    Commit(Stage),
    /// Store `Revoking`, and that a change at the target was the reason.
    CommitDrift,
    /// Write to the target: reserve, recheck, arm.
    Grant,
    /// Take it away.
    Revoke,
    /// Let the deleted object go.
    Release,
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
pub fn decide(f: &Facts<'_>) -> Decision {
    let due = f.now >= f.grant.expires_at;
    match f.grant.stage {
        Stage::Ended | Stage::Abandoned if f.grant.deleting => Decision::Release,
        Stage::Ended | Stage::Abandoned => Decision::Stay(Wake::OnChange),
        Stage::Revoking if due && f.abandoned => Decision::Commit(Stage::Abandoned),
        Stage::Revoking => Decision::Revoke,
        Stage::Active if due => Decision::Revoke,
        Stage::Granting if due => Decision::Commit(Stage::Revoking),
        Stage::Active | Stage::Granting if f.grant.deleting || f.behind == Behind::Gone => Decision::BringForward,
        Stage::Active | Stage::Granting if f.doubt && f.behind == Behind::NotAsked => Decision::AskBehind,
        Stage::Granting if f.permit => match f.grant.gated {
            Saw::Closed => Decision::Grant,
            Saw::NotYet => Decision::Stay(Wake::Backoff),
            Saw::Open => Decision::BringForward,
        },
        Stage::Granting => Decision::Stay(Wake::At(f.grant.expires_at)),
        Stage::Active => match f.seen {
            None => Decision::Observe,
            Some(Seen::Present) => Decision::Stay(Wake::At(f.grant.expires_at)),
            Some(Seen::Unknown) => Decision::Stay(Wake::Backoff),
            Some(Seen::Absent | Seen::Drifted) => Decision::CommitDrift,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    fn grant(stage: Stage, gated: Saw) -> Grant {
        Grant { version: "1".into(), expires_at: NOW.plus_secs(60), stage, drifted: false, deleting: false, gated }
    }

    fn decided(g: &Grant) -> Decision {
        decide(&Facts {
            now: NOW,
            grant: g,
            seen: Some(Seen::Present),
            behind: Behind::Wanted,
            doubt: false,
            permit: true,
            abandoned: false,
        })
    }

    #[test]
    fn a_grant_from_a_gap_is_only_revoked() {
        assert_eq!(decided(&grant(Stage::Granting, Saw::Closed)), Decision::Grant);
        assert_eq!(decided(&grant(Stage::Granting, Saw::NotYet)), Decision::Stay(Wake::Backoff));
        assert_eq!(decided(&grant(Stage::Granting, Saw::Open)), Decision::BringForward);
        // What it says to be at the target is looked at, and nothing is written there for it.
        assert_eq!(decided(&grant(Stage::Active, Saw::Open)), Decision::Stay(Wake::At(NOW.plus_secs(60))));
        assert_eq!(decided(&grant(Stage::Revoking, Saw::Open)), Decision::Revoke);
    }
}
