//! How long ended requests and judged decisions are kept. Pure. The audit log outlives them all (I7).
use crate::{duration::Period, time::Time};

/// Seconds for which an ended request is kept, where it does not say: 7 days.
const REQUEST_SECS: i64 = 7 * 86_400;

/// Labels and annotations by which GitOps tools mark what they apply: Argo CD, Flux and Helm.
const TRACKED_BY: [&str; 5] = [
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "meta.helm.sh/release-name",
];

/// Whether one of these labels or annotations says that a GitOps tool applies the object: it would create it again after a deletion.
pub fn is_tracked<'a>(mut keys: impl Iterator<Item = &'a str>) -> bool {
    keys.any(|key| TRACKED_BY.contains(&key))
}

/// What keeps an ended request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Nothing beyond its retention.
    ForAWhile,
    /// A GitOps tool applies it.
    ByGitOps,
    /// A break-glass access that is not reviewed.
    UntilReviewed,
}

/// Until when an ended request is kept: what it says itself, at most `retention`. Without a configuration nothing caps it. One that a
/// GitOps tool applies is kept until that tool deletes it (`None`): otherwise the tool would create it again, and again. One of which a
/// break-glass access is not reviewed is kept until it is.
pub fn request(ended_at: Time, ttl_after_finished: Option<Period>, retention: Option<Period>, kept: Kept) -> Option<Time> {
    let asked = ttl_after_finished.map_or(REQUEST_SECS, |ttl| ttl.secs());
    (kept == Kept::ForAWhile).then(|| ended_at.plus_secs(retention.map_or(asked, |retention| asked.min(retention.secs()))))
}

/// Until when a decision is kept whose request or Grant does not exist. When that was deleted is not recorded, so the time counts
/// from the decision's creation. One that never was about anything (`Counted=False (NotFound)`) is kept for `about_nothing_secs`:
/// anyone who may decide can create any number of them.
pub fn decision(created: Time, never_about_anything: bool, retention: Period, about_nothing_secs: i64) -> Time {
    created.plus_secs(if never_about_anything { about_nothing_secs.min(retention.secs()) } else { retention.secs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Time = Time::from_secs(1000);

    fn days(text: &str) -> Option<Period> {
        text.parse().ok()
    }

    #[test]
    fn a_request_is_kept_as_long_as_it_says_and_not_longer_than_the_retention() {
        let kept = |ttl, retention| request(END, ttl, retention, Kept::ForAWhile).expect("an end").millis_since(END) / 86_400_000;
        assert_eq!(kept(None, days("30d")), 7);
        assert_eq!(kept(days("14d"), days("30d")), 14);
        assert_eq!(kept(days("3650d"), days("30d")), 30);
        assert_eq!(kept(None, days("2d")), 2);
        assert_eq!(kept(days("90d"), None), 90);
    }

    #[test]
    fn what_a_gitops_tool_applies_or_nobody_has_reviewed_is_kept() {
        assert_eq!(request(END, days("1d"), days("30d"), Kept::ByGitOps), None);
        assert_eq!(request(END, days("1d"), days("30d"), Kept::UntilReviewed), None);
        assert!(is_tracked(["team", "kustomize.toolkit.fluxcd.io/name"].into_iter()));
        assert!(is_tracked(["argocd.argoproj.io/tracking-id"].into_iter()));
        assert!(!is_tracked(["team", "app.kubernetes.io/managed-by"].into_iter()));
    }

    #[test]
    fn a_decision_that_never_was_about_anything_is_kept_for_a_shorter_time() {
        let kept = |nothing| decision(END, nothing, "30d".parse().unwrap(), 3600).millis_since(END) / 1000;
        assert_eq!((kept(true), kept(false)), (3600, 30 * 86_400));
    }
}
