//! Every time constant of the operator that a user or a test can wait for, in one table.
//!
//! A release build has the shipped values and no other. A build with the feature `crash-points` (tests only) may take a second
//! table, where `CURFEW_TIMING=fast` says so: the same rules, with shorter pauses. No value that is promised to users is
//! changed there: how long after a deadline the Job fuse ends a binding is in `providers/kubernetes/fuse.rs`, for every build.
use std::time::Duration;

/// The time constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// How often every target is swept.
    pub sweep_every: Duration,
    /// Seconds before a binding can be an orphan: a cache may show a binding before its Grant.
    pub orphan_settles_secs: i64,
    /// Seconds after a deadline in which the sweep leaves a binding to the Grant controller; where a live Grant stands for it, seconds
    /// without progress.
    pub sweep_grace_secs: i64,
    /// Seconds after which the sweep removes it in any case.
    pub sweep_bound_secs: i64,
    /// Seconds for which a target's answer about its identity is cached.
    pub answer_cache_secs: i64,
    /// Seconds for which it is cached that the operator lacks no right in its own cluster: some sixteen questions, and one or more for each
    /// template. A lack is asked for again with every run.
    pub rights_cache_secs: i64,
    /// Seconds for which the check of another cluster's admission policies is cached.
    pub guard_cache_secs: i64,
    /// How long a kubeconfig is used before its secret is read again, in seconds.
    pub kubeconfig_secs: i64,
    /// Seconds between two runs of the readiness controller without a change.
    pub readiness_every_secs: i64,
    /// The same while a template is NotBindable: RBAC edits are not watched.
    pub readiness_soon_secs: i64,
    /// Seconds between two writes of the counts of a template or a system, where nothing else about it has changed.
    pub counts_every_secs: i64,
    /// Seconds after its deadline from which a Grant that is not revoked counts as stalled.
    pub stalled_secs: i64,
    /// How long a lease lasts after its last renewal.
    pub lease_lasts: Duration,
    /// How long before its end the holder stops relying on it.
    pub lease_margin: Duration,
    /// How often the holder renews the lease.
    pub lease_renewed: Duration,
    /// How often it is read by a replica that waits for it, how long one call about it may take, and when the holder tries again after a
    /// renewal that has failed.
    pub lease_every: Duration,
    /// Milliseconds without progress of the leader after which a follower begins a due revocation.
    pub follower_delay_millis: i64,
    /// How often ended requests and decisions past their retention are deleted.
    pub retention_every: Duration,
    /// Seconds for which a decision is kept that never was about anything.
    pub about_nothing_secs: i64,
    /// Milliseconds after which it begins in any case.
    pub follower_bound_millis: i64,
    /// How long the controllers that rest on the first lists wait for them. Revocation waits for none but that of the Grants.
    pub first_lists: Duration,
    /// How often every live request and Grant is reconciled without a change.
    pub heartbeat: Duration,
    /// How often the admission policies are proven as a whole while they are in force: content, canaries and the keys of the cluster.
    pub admission_check_every: Duration,
    /// How often it is looked in between whether they are still the same, by their versions. A policy that is changed or removed is
    /// noticed after so long where nothing needs a proof.
    pub admission_look_every: Duration,
    /// The same while they are not.
    pub admission_check_retry: Duration,
    /// The longest pause between retries of a reconcile.
    pub max_backoff: Duration,
    /// How often the heads of the audit chains are stored in CurfewConfig.
    pub anchor: Duration,
    /// The unit of the pauses between retries of an audit sink: 1, 2, 5, 10 and then 30 of it.
    pub sink_pause: Duration,
    /// How long one delivery to an audit sink may take.
    pub sink_timeout: Duration,
    /// How long a notification waits for its channel until it is given up.
    pub notification_age: Duration,
    /// How often it is looked whether a digest or a reminder is due, and what was counted is stored.
    pub notifications_every: Duration,
    /// Seconds between two digests.
    pub digest_secs: i64,
    /// Seconds between two reminders of a review that is outstanding.
    pub review_reminder_secs: i64,
    /// Seconds after which the API server ends a watch, so that the next one shows that it still answers. A watch whose end does not
    /// come is given up five seconds after that.
    pub watch_secs: u32,
    /// The same over HTTP/1.1, where no PING shows that the connection has gone silent. Less than the client's read timeout.
    pub watch_secs_without_ping: u32,
    /// How long the connection of the watches may bring nothing until it is asked by a PING (HTTP/2).
    pub ping_after: Duration,
    /// How long the answer to a PING may take until the connection is closed.
    pub ping_limit: Duration,
    /// How long a watch may be without an answer until the replica says that it is not ready.
    pub watch_stale: Duration,
}

/// The values of release builds.
pub const SHIPPED: Timing = Timing {
    sweep_every: Duration::from_secs(30),
    orphan_settles_secs: 30,
    sweep_grace_secs: 5,
    sweep_bound_secs: 60,
    answer_cache_secs: 50,
    rights_cache_secs: 290,
    guard_cache_secs: 50,
    kubeconfig_secs: 10,
    readiness_every_secs: 60,
    readiness_soon_secs: 5,
    counts_every_secs: 15,
    stalled_secs: 60,
    lease_lasts: Duration::from_secs(15),
    lease_margin: Duration::from_secs(3),
    lease_renewed: Duration::from_secs(4),
    lease_every: Duration::from_secs(2),
    follower_delay_millis: 2_000,
    retention_every: Duration::from_secs(600),
    about_nothing_secs: 3600,
    follower_bound_millis: 8_000,
    first_lists: Duration::from_secs(60),
    heartbeat: Duration::from_secs(60),
    admission_check_every: Duration::from_secs(58),
    admission_look_every: Duration::from_secs(29),
    admission_check_retry: Duration::from_secs(1),
    max_backoff: Duration::from_secs(10),
    anchor: Duration::from_secs(15),
    sink_pause: Duration::from_secs(1),
    sink_timeout: Duration::from_secs(10),
    notification_age: Duration::from_secs(3600),
    notifications_every: Duration::from_secs(15),
    digest_secs: 7 * 86_400,
    review_reminder_secs: 4 * 3600,
    watch_secs: 60,
    watch_secs_without_ping: 8,
    ping_after: Duration::from_secs(4),
    ping_limit: Duration::from_secs(6),
    watch_stale: Duration::from_secs(30),
};

/// Shorter values, for tests that are not about the length of a pause.
#[cfg(feature = "crash-points")]
const FAST: Timing = Timing {
    sweep_every: Duration::from_secs(3),
    orphan_settles_secs: 5,
    sweep_grace_secs: 3,
    sweep_bound_secs: 20,
    answer_cache_secs: 20,
    rights_cache_secs: 20,
    guard_cache_secs: 4,
    kubeconfig_secs: 1,
    readiness_every_secs: 10,
    readiness_soon_secs: 1,
    counts_every_secs: 1,
    stalled_secs: 5,
    lease_lasts: Duration::from_secs(8),
    lease_margin: Duration::from_secs(2),
    lease_renewed: Duration::from_secs(1),
    lease_every: Duration::from_secs(1),
    follower_delay_millis: 1_000,
    retention_every: Duration::from_secs(3),
    about_nothing_secs: 20,
    follower_bound_millis: 4_000,
    first_lists: Duration::from_secs(5),
    heartbeat: Duration::from_secs(10),
    admission_check_every: Duration::from_secs(10),
    admission_look_every: Duration::from_secs(5),
    admission_check_retry: Duration::from_millis(250),
    max_backoff: Duration::from_secs(2),
    anchor: Duration::from_secs(3),
    sink_pause: Duration::from_millis(200),
    sink_timeout: Duration::from_secs(3),
    notification_age: Duration::from_secs(60),
    notifications_every: Duration::from_secs(1),
    digest_secs: 20,
    review_reminder_secs: 5,
    watch_secs: 20,
    watch_secs_without_ping: 5,
    ping_after: Duration::from_secs(2),
    ping_limit: Duration::from_secs(6),
    watch_stale: Duration::from_secs(12),
};

/// The table of this process.
#[cfg(not(feature = "crash-points"))]
pub fn timing() -> &'static Timing {
    &SHIPPED
}

/// The table of this process, chosen once.
#[cfg(feature = "crash-points")]
pub fn timing() -> &'static Timing {
    static CHOSEN: std::sync::OnceLock<Timing> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| if std::env::var("CURFEW_TIMING").is_ok_and(|t| t == "fast") { FAST } else { SHIPPED })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::client::READ_TIMEOUT;

    /// A release build has no other table; a test build takes another one only if the environment names it.
    #[test]
    fn the_table_has_the_shipped_values() {
        if cfg!(not(feature = "crash-points")) || std::env::var_os("CURFEW_TIMING").is_none() {
            assert_eq!(timing(), &SHIPPED);
        }
    }

    #[test]
    fn a_watch_in_which_nothing_happens_is_not_taken_for_a_dead_one() {
        for t in [timing(), &SHIPPED] {
            let ends = Duration::from_secs(t.watch_secs_without_ping.into());
            assert!(ends < READ_TIMEOUT && t.watch_stale > ends * 2);
            assert!(t.ping_after < READ_TIMEOUT, "the answer to a PING comes before the connection counts as silent");
        }
    }

    #[test]
    fn a_connection_that_has_gone_silent_is_noticed_within_thirteen_seconds() {
        for t in [timing(), &SHIPPED] {
            assert!(t.ping_after + t.ping_limit < READ_TIMEOUT && READ_TIMEOUT < Duration::from_secs(13));
            assert!(t.ping_after + t.ping_limit < t.watch_stale);
            assert!(t.watch_secs_without_ping < t.watch_secs);
        }
        const { assert!(SHIPPED.watch_secs <= 60, "what answers PINGs in place of the API server hides its silence for so long") };
    }

    #[test]
    fn a_policy_that_was_removed_is_noticed_within_half_a_minute_and_a_proof_outlives_the_pause_until_the_next_look() {
        for t in [timing(), &SHIPPED] {
            let stored_every = u64::try_from(curfew_core::admission::STORED_EVERY_SECS).unwrap();
            assert!(SHIPPED.admission_check_every > Duration::from_secs(stored_every), "each whole proof is stored");
            assert!(t.admission_look_every < Duration::from_secs(30) && t.admission_look_every <= t.admission_check_every);
            assert!(crate::authority::PROOF_VALIDITY > t.admission_look_every + Duration::from_secs(10));
        }
    }

    #[test]
    fn a_follower_begins_before_the_fuses_burn_and_the_sweep_after_it() {
        let fuse = crate::providers::kubernetes::FUSE_AFTER_SECS * 1_000;
        for t in [timing(), &SHIPPED] {
            assert!(t.follower_delay_millis < t.follower_bound_millis && t.follower_bound_millis < fuse);
            assert!(t.follower_bound_millis < t.sweep_bound_secs * 1_000 && t.sweep_grace_secs < t.sweep_bound_secs);
        }
    }

    #[test]
    fn a_holder_stops_relying_on_its_lease_before_another_replica_may_take_it() {
        for t in [timing(), &SHIPPED] {
            let relied = t.lease_lasts - t.lease_margin;
            // A renewal that gets no answer is tried again twice before the lease has run out.
            assert!(t.lease_margin > t.lease_every && t.lease_renewed + t.lease_every * 4 <= relied);
            assert!(t.lease_renewed >= t.lease_every);
        }
    }
}
