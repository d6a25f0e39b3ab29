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
    /// The closed spans before, the oldest first.
    pub past: Vec<Span>,
}

/// One proof, or its failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// When.
    pub at: Time,
    /// Whether everything was in force.
    pub closed: bool,
    /// Over uid, generation and content of everything live.
    pub digest: Digest,
}

impl Gate {
    /// Whether an object of this creation time was created while the gate was proven closed. Kubernetes stamps whole
    /// seconds, so the second of the last proof is not covered by it.
    pub fn saw(&self, created: Time) -> bool {
        self.since.is_some_and(|t| created >= t) || self.past.iter().any(|s| created >= s.since && created.plus_secs(1) <= s.until)
    }

    /// What is known after a proof. `last` is this process's own last good proof, which may be younger than what is stored.
    #[must_use]
    pub fn after(&self, p: Proof, last: Option<Proof>) -> Gate {
        let unbroken = p.closed && self.digest == Some(p.digest);
        if let (true, Some(_)) = (unbroken, self.since) {
            let fresh = self.proven.is_some_and(|t| p.at < t.plus_secs(STORED_EVERY_SECS));
            return if fresh { self.clone() } else { Gate { proven: Some(p.at.floor_secs()), ..self.clone() } };
        }
        let mut past = self.past.clone();
        if let (Some(since), Some(stored)) = (self.since, self.proven) {
            let own = last.filter(|l| l.closed && self.digest == Some(l.digest)).map(|l| l.at.floor_secs());
            past.push(Span { since, until: own.map_or(stored, |t| t.max(stored)) });
            let surplus = past.len().saturating_sub(REMEMBERED);
            past.drain(..surplus);
        }
        // What was created within this very second may have been created a moment before the proof.
        let since = p.closed.then(|| p.at.floor_secs().plus_secs(1));
        Gate { since, proven: since, digest: Some(p.digest), past }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(at: i64, closed: bool, digest: u64) -> Proof {
        Proof { at: Time::from_secs(at), closed, digest: Digest::from_bits(digest) }
    }
    fn at(s: i64) -> Time {
        Time::from_secs(s)
    }

    #[test]
    fn a_gap_is_never_trusted_and_what_was_before_it_stays_trusted() {
        let closed = Gate::default().after(proof(10, true, 1), None);
        assert_eq!(closed.since, Some(at(11)));
        assert!(!closed.saw(at(10)) && closed.saw(at(11)));
        let last = proof(20, true, 1);
        let open = closed.after(proof(21, false, 2), Some(last));
        assert!(open.saw(at(19)), "proven a second later");
        assert!(!open.saw(at(20)), "perhaps after the last proof");
        let again = open.after(proof(30, true, 3), Some(last));
        assert!(again.saw(at(15)) && !again.saw(at(25)) && again.saw(at(31)));
    }

    #[test]
    fn an_upgrade_is_a_gap_and_a_restart_is_none() {
        let closed = Gate::default().after(proof(10, true, 1), None);
        assert_eq!(closed.after(proof(40, true, 1), None), closed, "nothing was touched, and nothing is news");
        let later = closed.after(proof(100, true, 1), None);
        assert_eq!((later.since, later.proven), (Some(at(11)), Some(at(100))));
        // A new process finds other policies in force: how far the old one had proven stands in status.
        let upgraded = later.after(proof(200, true, 2), None);
        assert!(upgraded.saw(at(99)) && !upgraded.saw(at(150)) && upgraded.saw(at(201)));
    }

    #[test]
    fn policies_that_are_there_and_not_in_force_open_it() {
        let closed = Gate::default().after(proof(10, true, 1), None);
        let open = closed.after(proof(20, false, 1), None);
        assert_eq!(open.since, None);
        assert_eq!(open.after(proof(30, true, 1), None).since, Some(at(31)), "the same objects, and a gap all the same");
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
