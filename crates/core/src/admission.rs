//! When the admission policies were proven to be in force: what was created then is what its stamp says. Pure.
//!
//! The admission check proves it once a minute, by versions alone twice a minute and on demand; this module says what follows from a proof. A gap lasts from the
//! last good proof before it to the first good one after it. Objects created in a gap are never trusted: the request is Invalid, the
//! approval is ignored. Nor are they when they have become old: age proves nothing, and an identity that can edit a policy can bring about
//! that spans are forgotten.
//!
//! A proof covers an object in one of two ways. By time: the object was created before the second in which the proof began, which any
//! process can tell from the object. By order: this process had read the object before the proof began, so it was created before;
//! Kubernetes stamps whole seconds, and without this an object would wait for the next one.
use crate::{digest::Digest, time::Time};
use std::{collections::BTreeMap, sync::Arc};

/// How many closed spans are remembered: an upgrade of the policies ends one and begins another. About 20 KB in the status of CurfewConfig.
pub const MAX_PAST_SPANS: usize = 256;
/// How many of them are the latest: these are remembered however short they are, for what waits or was approved a moment ago.
const LATEST_SPANS: usize = 16;
/// How often a standing proof is stored again, so that a new process knows how far the old one had proven.
/// Less than the pause between two proofs, or every other one would be stored.
pub const STORED_EVERY_SECS: i64 = 50;
/// How many objects are remembered that a proof covers by order alone. Those of a running span are forgotten within two seconds.
const MAX_SEEN: usize = 10_000;

/// A time in which the policies were in force without a gap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// From here on.
    pub since: Time,
    /// Proven last.
    pub until: Time,
}

/// The spans in which the admission policies were proven to be in force.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AdmissionHistory {
    /// Since when they are in force without a gap; `None` while they are not.
    pub since: Option<Time>,
    /// When that was proven last, as far as it is stored.
    pub proven: Option<Time>,
    /// Over everything that was live at that proof.
    pub digest: Option<Digest>,
    /// When this process proved it last itself: not stored, and never earlier than `proven`.
    pub confirmed: Option<Time>,
    /// The earlier spans, the oldest first.
    pub past: Vec<Span>,
    /// The uids of objects that this process had read before a good proof began, with their creation times: not stored, and only
    /// as long as they are not covered by their creation time.
    pub seen: Arc<BTreeMap<Arc<str>, Time>>,
}

/// An object that this process has read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seen {
    /// Its uid.
    pub uid: Arc<str>,
    /// When the API server created it, in whole seconds.
    pub created: Time,
}

/// Whether the stamp of an object can be trusted, by the time of its creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Provenance {
    /// Created within a proven span: its stamp is true.
    Verified,
    /// Created after the last proof: the next one decides.
    Pending,
    /// Created outside every proven span that is known.
    Unverified,
}

/// One proof, or its failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Not later than its beginning, by the API server's clock: up to here everything was as it found it.
    pub started_at: Time,
    /// Not earlier than its end.
    pub finished_at: Time,
    /// Whether everything was in force.
    pub enforced: bool,
    /// Over uid, generation and content of everything live.
    pub digest: Digest,
}

impl AdmissionHistory {
    /// The history of a process that has not read it yet: each object may have been created within a proven span.
    pub fn unknown() -> Self {
        let before_everything = Some(Time::from_millis(0));
        AdmissionHistory { since: before_everything, proven: before_everything, ..AdmissionHistory::default() }
    }

    /// Whether this object was created while the admission policies were proven to be in force. An object from after the last proof
    /// may have been created in a gap that is not detected yet.
    pub fn provenance_of(&self, uid: &str, created: Time) -> Provenance {
        if self.seen.get(uid) == Some(&created) {
            return Provenance::Verified;
        }
        self.by_time(created)
    }

    /// The same, by the time of creation alone. Kubernetes stamps whole seconds, so a proof does not cover its own second.
    fn by_time(&self, created: Time) -> Provenance {
        let within = |s: &Span| created >= s.since && created.plus_secs(1) <= s.until;
        let now = self.since.zip(self.proven.max(self.confirmed)).map(|(since, until)| Span { since, until });
        match now {
            Some(s) if within(&s) => Provenance::Verified,
            _ if self.past.iter().any(within) => Provenance::Verified,
            Some(s) if created >= s.since => Provenance::Pending,
            Some(_) | None => Provenance::Unverified,
        }
    }

    /// Whether an object is older than everything that is remembered, and spans have been forgotten. This makes nothing trusted: it only says
    /// that what was recorded about the object while its span was remembered can no longer be checked. An object that was created in a gap
    /// between remembered spans is never meant.
    pub fn has_forgotten(&self, created: Time) -> bool {
        self.past.len() >= MAX_PAST_SPANS && self.past.first().is_some_and(|oldest| created < oldest.since)
    }

    /// What is known after a proof that began once this process had read these objects, and that found nothing changed since the
    /// running span was proven last: those that were created within that span are covered, also in the second of the proof.
    #[must_use]
    pub fn with_seen(mut self, objects: impl IntoIterator<Item = Seen>) -> AdmissionHistory {
        let covered: Vec<_> = objects.into_iter().filter(|o| self.since.is_some_and(|since| o.created >= since)).collect();
        let mut all = (*self.seen).clone();
        all.extend(covered.into_iter().map(|o| (o.uid, o.created)));
        all.retain(|_, created| self.by_time(*created) != Provenance::Verified);
        let surplus = all.len().saturating_sub(MAX_SEEN);
        if surplus > 0 {
            let mut by_age: Vec<_> = all.iter().map(|(uid, created)| (*created, uid.clone())).collect();
            by_age.sort_unstable();
            for (_, uid) in by_age.iter().take(surplus) {
                all.remove(uid);
            }
        }
        self.seen = Arc::new(all);
        self
    }

    /// What is known after a proof on demand, which compares versions and nothing else; `None` if something has changed, so that
    /// everything must be looked at. It neither begins nor ends a span.
    #[must_use]
    pub fn confirm(&self, started_at: Time, digest: Digest, seen: impl IntoIterator<Item = Seen>) -> Option<AdmissionHistory> {
        let since = self.since.filter(|_| self.digest == Some(digest))?;
        let confirmed = Some(started_at.max(since).max(self.confirmed.unwrap_or(since)));
        Some(AdmissionHistory { confirmed, ..self.clone() }.with_seen(seen))
    }

    /// What is known after a proof. `last` is this process's own last good proof, which may be younger than what is stored.
    #[must_use]
    pub fn record(&self, p: Proof, last: Option<Proof>) -> AdmissionHistory {
        let unbroken = p.enforced && self.digest == Some(p.digest);
        if let (true, Some(since)) = (unbroken, self.since) {
            let seen = Some(p.started_at.max(since).max(self.confirmed.unwrap_or(since)));
            let fresh = self.proven.is_some_and(|t| p.started_at < t.plus_secs(STORED_EVERY_SECS));
            let proven = if fresh { self.proven } else { Some(p.started_at.floor_secs()) };
            return AdmissionHistory { proven, confirmed: seen, ..self.clone() };
        }
        let mut past = self.past.clone();
        if let (Some(since), Some(stored)) = (self.since, self.proven) {
            let own = last.filter(|l| l.enforced && self.digest == Some(l.digest)).map(|l| l.started_at.floor_secs());
            past.push(Span { since, until: own.map_or(stored, |t| t.max(stored)) });
            forget(&mut past);
        }
        // What was created within this very second may have been created a moment before the proof, and the API server's own
        // clock is known to the second only.
        let since = p.enforced.then(|| p.finished_at.floor_secs().plus_secs(2));
        AdmissionHistory { since, proven: since, confirmed: None, digest: Some(p.digest), past, seen: self.seen.clone() }
    }
}

/// Forgets spans that are too many: of those that are not the latest the shortest, and of equally short ones the oldest. So a series of edits
/// pushes out itself, and not a span of weeks. What was created in a forgotten span is not trusted any more: what lies between two spans is a
/// gap, and spans are never merged.
fn forget(past: &mut Vec<Span>) {
    while past.len() > MAX_PAST_SPANS {
        let older = past.len() - LATEST_SPANS;
        let shortest = (0..older).min_by_key(|&i| (past[i].until.millis_since(past[i].since), i));
        past.remove(shortest.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(at: i64, closed: bool, digest: u64) -> Proof {
        Proof { started_at: Time::from_secs(at), finished_at: Time::from_secs(at), enforced: closed, digest: Digest::from_bits(digest) }
    }
    fn at(s: i64) -> Time {
        Time::from_secs(s)
    }

    #[test]
    fn nothing_is_judged_before_the_history_was_read() {
        for created in [0, 1, 1_795_677_471] {
            assert_eq!(AdmissionHistory::unknown().by_time(Time::from_secs(created)), Provenance::Pending);
            assert_eq!(AdmissionHistory::default().by_time(Time::from_secs(created)), Provenance::Unverified);
        }
    }

    #[test]
    fn what_came_after_the_last_proof_waits_for_the_next() {
        let closed = AdmissionHistory::default().record(proof(10, true, 1), None);
        assert_eq!(closed.since, Some(at(12)));
        assert_eq!((closed.by_time(at(11)), closed.by_time(at(15))), (Provenance::Unverified, Provenance::Pending));
        let later = closed.record(proof(20, true, 1), None);
        assert_eq!(
            (later.by_time(at(19)), later.by_time(at(20))),
            (Provenance::Verified, Provenance::Pending),
            "an object of the same second as the proof may be older or newer than it"
        );
        // Taken out of force and put back between two proofs: what came in between is not trusted.
        let back = later.record(proof(30, true, 2), Some(proof(20, true, 1)));
        assert_eq!(
            (back.by_time(at(19)), back.by_time(at(25)), back.by_time(at(33))),
            (Provenance::Verified, Provenance::Unverified, Provenance::Pending)
        );
    }

    #[test]
    fn a_gap_is_never_trusted_and_what_was_before_it_stays_trusted() {
        let last = proof(20, true, 1);
        let closed = AdmissionHistory::default().record(proof(10, true, 1), None).record(last, None);
        let open = closed.record(proof(21, false, 2), Some(last));
        assert_eq!(
            (open.by_time(at(19)), open.by_time(at(20)), open.by_time(at(25))),
            (Provenance::Verified, Provenance::Unverified, Provenance::Unverified)
        );
        let again = open.record(proof(30, true, 3), Some(last)).record(proof(40, true, 3), None);
        assert_eq!(
            (again.by_time(at(15)), again.by_time(at(25)), again.by_time(at(32))),
            (Provenance::Verified, Provenance::Unverified, Provenance::Verified)
        );
    }

    #[test]
    fn what_was_read_before_a_proof_began_is_covered_in_any_second() {
        let seen = |uid: &str, created| Seen { uid: uid.into(), created: at(created) };
        let closed = AdmissionHistory::default().record(proof(10, true, 1), None);
        let confirmed = closed.confirm(at(15), Digest::from_bits(1), [seen("early", 11), seen("read", 15)]).unwrap();
        assert_eq!(confirmed.provenance_of("read", at(15)), Provenance::Verified);
        assert_eq!(confirmed.provenance_of("not read", at(15)), Provenance::Pending);
        assert_eq!(confirmed.provenance_of("read", at(16)), Provenance::Pending, "another object");
        assert_eq!(confirmed.provenance_of("early", at(11)), Provenance::Unverified, "created before the span");
        assert_eq!(closed.confirm(at(15), Digest::from_bits(2), [seen("read", 15)]), None, "something has changed");
        // A gap does not take back what was proven, and a later proof needs no list of what it covers by time.
        let gap = confirmed.record(proof(15, false, 2), Some(proof(15, true, 1)));
        assert_eq!(gap.provenance_of("read", at(15)), Provenance::Verified);
        assert_eq!(gap.confirm(at(16), Digest::from_bits(2), [seen("later", 16)]), None, "nothing is proven in a gap");
        let later = confirmed.confirm(at(16), Digest::from_bits(1), []).unwrap();
        assert_eq!((later.provenance_of("read", at(15)), later.seen.len()), (Provenance::Verified, 0));
    }

    #[test]
    fn what_is_remembered_of_objects_is_bounded() {
        let closed = AdmissionHistory::default().record(proof(10, true, 1), None);
        let many = (0..MAX_SEEN + 7).map(|i| Seen { uid: format!("{i:06}").into(), created: at(20 + i64::from(i >= 7)) });
        let all = closed.confirm(at(20), Digest::from_bits(1), many).unwrap();
        assert_eq!(all.seen.len(), MAX_SEEN);
        assert_eq!(all.provenance_of("000006", at(20)), Provenance::Pending, "the oldest are forgotten, and wait for the next proof");
        assert_eq!(all.provenance_of("000007", at(21)), Provenance::Verified);
    }

    #[test]
    fn an_upgrade_is_a_gap_and_a_restart_is_none() {
        let closed = AdmissionHistory::default().record(proof(10, true, 1), None);
        let later = closed.record(proof(40, true, 1), None);
        assert_eq!((later.since, later.proven, later.confirmed), (closed.since, closed.proven, Some(at(40))), "nothing is stored again");
        let later = later.record(proof(100, true, 1), None);
        assert_eq!((later.since, later.proven), (Some(at(12)), Some(at(100))));
        // A new process finds other policies in force: how far the old one had proven stands in status.
        let stored = AdmissionHistory { confirmed: None, ..later };
        let upgraded = stored.record(proof(200, true, 2), None).record(proof(210, true, 2), None);
        assert_eq!(
            (upgraded.by_time(at(99)), upgraded.by_time(at(150)), upgraded.by_time(at(202))),
            (Provenance::Verified, Provenance::Unverified, Provenance::Verified)
        );
    }

    #[test]
    fn policies_that_are_there_and_not_in_force_open_it() {
        let closed = AdmissionHistory::default().record(proof(10, true, 1), None);
        let open = closed.record(proof(20, false, 1), None);
        assert_eq!(open.since, None);
        assert_eq!(open.record(proof(30, true, 1), None).since, Some(at(32)), "the same objects, and a gap all the same");
    }

    /// A history in which the policies were edited at these times, and proven for so many seconds after each.
    fn edited(from: AdmissionHistory, edits: &[(i64, i64)]) -> AdmissionHistory {
        let mut g = from;
        for (digest, (at, secs)) in (1_000..).zip(edits) {
            let proofs = [proof(*at, true, digest), proof(at + secs, true, digest)];
            g = g.record(proofs[0], None).record(proofs[1], None);
            // Put out of force, as it was seen by the process that has proven it last.
            g = g.record(proof(at + secs + 1, false, 0), Some(proofs[1]));
        }
        g
    }

    #[test]
    fn memory_is_bounded() {
        let edits: Vec<_> = (0..400).map(|i| (i * 10, 5)).collect();
        let g = edited(AdmissionHistory::default(), &edits);
        assert_eq!(g.past.len(), MAX_PAST_SPANS);
        assert!(g.past.is_sorted_by_key(|span| span.since), "in order");
    }

    const WEEK: i64 = 7 * 86_400;

    /// What an attacker with the right to edit policies does: no number of edits in a row makes weeks forgotten, or a gap trusted.
    #[test]
    fn a_span_of_weeks_outlives_a_series_of_edits() {
        for edits in [20, 1_000] {
            let before = edited(AdmissionHistory::default(), &[(1_000, 3 * WEEK)]);
            let edits: Vec<_> = (0..edits).map(|i| (4 * WEEK + i * 10, 5)).collect();
            let g = edited(before, &edits);
            let in_it = [at(1_002), at(WEEK), at(3 * WEEK)].map(|created| g.by_time(created));
            assert_eq!(in_it, [Provenance::Verified; 3]);
            for gap in [0, 999, 3 * WEEK + 2_000, 4 * WEEK - 1] {
                assert_eq!(g.by_time(at(gap)), Provenance::Unverified, "{gap}: before the installation, or in a gap");
            }
        }
    }

    /// Years of upgrades: what was created in a span that is forgotten is not trusted, and it takes more than 256 longer ones. The latest are
    /// remembered, however short.
    #[test]
    fn what_was_created_in_a_forgotten_span_is_not_trusted_and_the_latest_are_remembered() {
        let upgrade = |week: i64| (week * WEEK, WEEK - 3_600);
        let years: Vec<_> = [(10, 3_600)].into_iter().chain((1..256).map(upgrade)).collect();
        let full = edited(AdmissionHistory::default(), &years);
        assert_eq!((full.past.len(), full.by_time(at(1_000))), (MAX_PAST_SPANS, Provenance::Verified));
        let later = edited(full, &[upgrade(256)]);
        assert_eq!(later.by_time(at(1_000)), Provenance::Unverified, "the shortest is forgotten, and nothing tells it from a gap");
        assert_eq!(later.by_time(at(WEEK + 60)), Provenance::Verified, "the oldest of those that are left");
        // Two upgrades within an hour.
        let twice = edited(later, &[(257 * WEEK, 60), (257 * WEEK + 600, 60)]);
        let moments = [257 * WEEK + 30, 257 * WEEK + 630].map(|created| twice.by_time(at(created)));
        assert_eq!(moments, [Provenance::Verified; 2]);
    }
}
