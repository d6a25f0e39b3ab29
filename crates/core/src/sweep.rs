//! The sweep: what carries our mark in a cluster and is justified by nothing. Pure.
//!
//! It looks from the target's side, so it finds what lost Grants, a restored backup or a bug has left behind. It reads
//! install and deadline off the immutable name: a label can be added to any binding and proves nothing.
use crate::{ids::Mark, time::Time};

/// So many orphans are believed at once; more look like lost Grants rather than leftovers.
const MAX_PLAUSIBLE_ORPHANS: usize = 5;

/// One binding whose name begins like ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SweepCandidate {
    /// What its name says.
    pub mark: Mark,
    /// When it was created.
    pub created: Time,
}

/// What is known of the Grant behind a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantLookup {
    /// It is there and not over.
    Live,
    /// It is not there, or over.
    Missing,
    /// Unknown: there are no Grants to read, the stores are not synced, or this is a clone of the cluster that made it.
    Unknown,
}

/// What to do about one binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Past the deadline in its name: it is removed, regardless of what else is known.
    Overdue,
    /// Nothing justifies it, and the view is good enough to say so.
    Orphan,
    /// Nothing seems to justify it, but there are implausibly many of these: a person must look.
    HeldBack,
    /// It may stay.
    Keep,
}

/// Judges everything of `install` that was found. Bindings of other installs are none of our business.
pub fn evaluate(
    install: &str,
    found: &[SweepCandidate],
    now: Time,
    settles_secs: i64,
    behind: impl Fn(&str) -> GrantLookup,
) -> Vec<Verdict> {
    let ours = found.iter().filter(|m| m.mark.install == install).count();
    let orphan = |m: &SweepCandidate| {
        m.mark.install == install && now >= m.created.plus_secs(settles_secs) && behind(&m.mark.grant) == GrantLookup::Missing
    };
    let orphans = found.iter().filter(|m| now < m.mark.deadline && orphan(m)).count();
    let plausible = orphans <= MAX_PLAUSIBLE_ORPHANS || orphans * 10 <= ours;
    let verdict = |m: &SweepCandidate| match () {
        () if m.mark.install != install => Verdict::Keep,
        () if now >= m.mark.deadline => Verdict::Overdue,
        () if !orphan(m) => Verdict::Keep,
        () if plausible => Verdict::Orphan,
        () => Verdict::HeldBack,
    };
    found.iter().map(verdict).collect()
}

/// Whether this is the cluster that it was, by thumbprints of the keys that sign its service accounts' tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClusterIdentity {
    /// Never seen before, or at least one key in common.
    Same,
    /// None in common: a clone, such as a restored backup beside the original. Nothing is granted and nothing unexpired is
    /// swept until a person has confirmed.
    Clone,
}

/// Compares the keys that were recorded with those of now; `accepted` are those that a person has confirmed.
pub fn compare_cluster_keys(recorded: &[String], live: &[String], accepted: &[String]) -> ClusterIdentity {
    let common = |keys: &[String]| live.iter().any(|k| keys.contains(k));
    if recorded.is_empty() || common(recorded) || common(accepted) { ClusterIdentity::Same } else { ClusterIdentity::Clone }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000_000);

    fn mark(install: &str, grant: usize, ends_in: i64) -> SweepCandidate {
        let mark = Mark { install: install.into(), grant: format!("{grant:016x}"), deadline: NOW.plus_secs(ends_in) };
        SweepCandidate { mark, created: Time::from_secs(900_000) }
    }

    #[test]
    fn past_the_deadline_every_object_of_this_install_is_removed_and_no_other() {
        let found = [mark("ours", 1, 0), mark("ours", 2, -9_999), mark("theirs", 3, -9_999), mark("ours", 4, 1)];
        let unknown = evaluate("ours", &found, NOW, 30, |_| GrantLookup::Unknown);
        assert_eq!(unknown, [Verdict::Overdue, Verdict::Overdue, Verdict::Keep, Verdict::Keep]);
    }

    #[test]
    fn before_it_only_what_nothing_justifies_on_a_view_that_is_good_enough() {
        let live = |g: &str| if g.ends_with('1') { GrantLookup::Live } else { GrantLookup::Missing };
        let found = [mark("ours", 1, 60), mark("ours", 2, 60), mark("theirs", 3, 60)];
        assert_eq!(evaluate("ours", &found, NOW, 30, live), [Verdict::Keep, Verdict::Orphan, Verdict::Keep]);
        assert_eq!(evaluate("ours", &found, NOW, 30, |_| GrantLookup::Unknown), [Verdict::Keep; 3]);
        let young = [SweepCandidate { created: NOW.plus_secs(-20), ..mark("ours", 2, 60) }];
        assert_eq!(evaluate("ours", &young, NOW, 30, live), [Verdict::Keep]);
    }

    #[test]
    fn an_implausible_number_is_held_back_and_the_overdue_die_all_the_same() {
        let mut found: Vec<SweepCandidate> = (0..1000).map(|i| mark("ours", i, 60)).collect();
        found.push(mark("ours", 5000, -1));
        let verdicts = evaluate("ours", &found, NOW, 30, |_| GrantLookup::Missing);
        assert!(verdicts[..1000].iter().all(|v| *v == Verdict::HeldBack));
        assert_eq!(verdicts[1000], Verdict::Overdue);
        // Five leftovers are believed, and among very many a tenth.
        assert!(evaluate("ours", &found[..5], NOW, 30, |_| GrantLookup::Missing).iter().all(|v| *v == Verdict::Orphan));
    }

    #[test]
    fn a_restored_copy_is_known_by_its_keys() {
        let keys = |k: &[&str]| k.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(compare_cluster_keys(&[], &keys(&["a"]), &[]), ClusterIdentity::Same);
        assert_eq!(compare_cluster_keys(&keys(&["a"]), &keys(&["a", "b"]), &[]), ClusterIdentity::Same, "a rotation");
        assert_eq!(compare_cluster_keys(&keys(&["a"]), &keys(&["c"]), &[]), ClusterIdentity::Clone);
        assert_eq!(compare_cluster_keys(&keys(&["a"]), &keys(&["c"]), &keys(&["c"])), ClusterIdentity::Same, "a person has confirmed");
    }
}
