//! When the admission policies were proven to be in force: what was created then is what its stamp says. Pure.
//!
//! The shell proves, each few seconds; here stands what follows from it. A gap is bounded by the last good proof before it
//! and the first good one after it, and what was created in a gap is trusted for ever less: never accepted, never counted.
use crate::{digest::Digest, time::Time};

/// How many closed spans are remembered: an upgrade of the policies ends one and begins another.
pub const REMEMBERED: usize = 16;
/// How often a standing proof is stored again, so that a new process knows how far the old one had proven.
const STORED_EVERY_SECS: i64 = 60;

/// A time in which the policies were in force without a gap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// From here on.
    pub since: Time,
    /// Proven last.
    pub until: Time,
}

/// Everything that is known of the gate.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Gate {
    /// Since when it is closed without a gap; nothing while it is open.
    pub since: Option<Time>,
    /// When that was proven last, as far as it is stored.
    pub proven: Option<Time>,
    /// Over everything that was live at that proof.
    pub digest: Option<Digest>,
    /// When this process proved it last itself: not stored, and never earlier than `proven`.
    pub seen: Option<Time>,
    /// The closed spans before, the oldest first.
    pub past: Vec<Span>,
}

/// What the gate says of an object by the time of its creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Saw {
    /// Created within a closed span: what its stamp says is so.
    Closed,
    /// Created after the last proof: the next one tells.
    NotYet,
    /// Created outside of every closed span that is known.
    Open,
}

/// One proof, or its failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Not later than its beginning, by the API server's clock: up to here everything was as it found it.
    pub begun: Time,
    /// Not earlier than its end.
    pub at: Time,
    /// Whether everything was in force.
    pub closed: bool,
    /// Over uid, generation and content of everything live.
    pub digest: Digest,
}

impl Gate {
    /// Whether an object of this creation time was created while the gate was proven closed. Kubernetes stamps whole
    /// seconds, so the second of the last proof is not covered by it. What came after the last proof may have come through a
    /// gap that nobody has noticed yet.
    pub fn saw(&self, created: Time) -> Saw {
        let within = |s: &Span| created >= s.since && created.plus_secs(1) <= s.until;
        let now = self.since.zip(self.proven.max(self.seen)).map(|(since, until)| Span { since, until });
        match now {
            Some(s) if within(&s) => Saw::Closed,
            _ if self.past.iter().any(within) => Saw::Closed,
            Some(s) if created >= s.since => Saw::NotYet,
            Some(_) | None => Saw::Open,
        }
    }

    /// What is known after a proof. `last` is this process's own last good proof, which may be younger than what is stored.
    #[must_use]
    pub fn after(&self, p: Proof, last: Option<Proof>) -> Gate {
        let unbroken = p.closed && self.digest == Some(p.digest);
        if let (true, Some(since)) = (unbroken, self.since) {
            let seen = Some(p.begun.max(since).max(self.seen.unwrap_or(since)));
            let fresh = self.proven.is_some_and(|t| p.begun < t.plus_secs(STORED_EVERY_SECS));
            let proven = if fresh { self.proven } else { Some(p.begun.floor_secs()) };
            return Gate { proven, seen, ..self.clone() };
        }
        let mut past = self.past.clone();
        if let (Some(since), Some(stored)) = (self.since, self.proven) {
            let own = last.filter(|l| l.closed && self.digest == Some(l.digest)).map(|l| l.begun.floor_secs());
            past.push(Span { since, until: own.map_or(stored, |t| t.max(stored)) });
            let surplus = past.len().saturating_sub(REMEMBERED);
            past.drain(..surplus);
        }
        // What was created within this very second may have been created a moment before the proof, and the API server's own
        // clock is known to the second only.
        let since = p.closed.then(|| p.at.floor_secs().plus_secs(2));
        Gate { since, proven: since, seen: None, digest: Some(p.digest), past }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(at: i64, closed: bool, digest: u64) -> Proof {
        Proof { begun: Time::from_secs(at), at: Time::from_secs(at), closed, digest: Digest::from_bits(digest) }
    }
    fn at(s: i64) -> Time {
        Time::from_secs(s)
    }

    #[test]
    fn what_came_after_the_last_proof_waits_for_the_next() {
        let closed = Gate::default().after(proof(10, true, 1), None);
        assert_eq!(closed.since, Some(at(12)));
        assert_eq!((closed.saw(at(11)), closed.saw(at(15))), (Saw::Open, Saw::NotYet));
        let later = closed.after(proof(20, true, 1), None);
        assert_eq!((later.saw(at(19)), later.saw(at(20))), (Saw::Closed, Saw::NotYet), "of the second of the proof nobody can tell");
        // Taken out of force and put back between two proofs: what came in between is not trusted.
        let back = later.after(proof(30, true, 2), Some(proof(20, true, 1)));
        assert_eq!((back.saw(at(19)), back.saw(at(25)), back.saw(at(33))), (Saw::Closed, Saw::Open, Saw::NotYet));
    }

    #[test]
    fn a_gap_is_never_trusted_and_what_was_before_it_stays_trusted() {
        let last = proof(20, true, 1);
        let closed = Gate::default().after(proof(10, true, 1), None).after(last, None);
        let open = closed.after(proof(21, false, 2), Some(last));
        assert_eq!((open.saw(at(19)), open.saw(at(20)), open.saw(at(25))), (Saw::Closed, Saw::Open, Saw::Open));
        let again = open.after(proof(30, true, 3), Some(last)).after(proof(40, true, 3), None);
        assert_eq!((again.saw(at(15)), again.saw(at(25)), again.saw(at(32))), (Saw::Closed, Saw::Open, Saw::Closed));
    }

    #[test]
    fn an_upgrade_is_a_gap_and_a_restart_is_none() {
        let closed = Gate::default().after(proof(10, true, 1), None);
        let later = closed.after(proof(40, true, 1), None);
        assert_eq!((later.since, later.proven, later.seen), (closed.since, closed.proven, Some(at(40))), "nothing is stored anew");
        let later = later.after(proof(100, true, 1), None);
        assert_eq!((later.since, later.proven), (Some(at(12)), Some(at(100))));
        // A new process finds other policies in force: how far the old one had proven stands in status.
        let stored = Gate { seen: None, ..later };
        let upgraded = stored.after(proof(200, true, 2), None).after(proof(210, true, 2), None);
        assert_eq!((upgraded.saw(at(99)), upgraded.saw(at(150)), upgraded.saw(at(202))), (Saw::Closed, Saw::Open, Saw::Closed));
    }

    #[test]
    fn policies_that_are_there_and_not_in_force_open_it() {
        let closed = Gate::default().after(proof(10, true, 1), None);
        let open = closed.after(proof(20, false, 1), None);
        assert_eq!(open.since, None);
        assert_eq!(open.after(proof(30, true, 1), None).since, Some(at(32)), "the same objects, and a gap all the same");
    }

    #[test]
    fn memory_is_bounded() {
        let mut g = Gate::default();
        for i in 0..100u32 {
            g = g.after(proof(i64::from(i) * 10, true, u64::from(i)), None);
        }
        assert_eq!(g.past.len(), REMEMBERED);
    }
}
