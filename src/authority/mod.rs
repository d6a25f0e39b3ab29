//! Decides whether this replica may grant: lease held ∧ admission enforced ∧ clock sane ∧ caches synced.
//!
//! Only this module can build a [`Permit`], and every effect that grants requires one. Revoking does not require one: if any
//! condition is not met, granting stops and revocation continues (I8).
mod clock;
mod lease;

pub use clock::Clock;
pub use lease::Lease;

use crate::timing::timing;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Proof that granting was allowed when the permit was issued. It cannot be copied, and each effect requests a new one.
#[derive(Debug)]
pub struct Permit(());

/// The conditions for a permit.
#[derive(Debug)]
pub struct Authority {
    /// The clock that deadlines are compared with.
    pub clock: Arc<Clock>,
    /// Whether this process may ever grant; `curfew run --revoke-only` may not.
    grants: bool,
    /// The instant until which this replica holds the lease; `None` while it does not hold it.
    lease_until: watch::Sender<Option<Instant>>,
    /// How often it was acquired.
    terms: AtomicU64,
    /// The instant until which the last admission proof is valid; `None` while admission is not enforced.
    admission_until: Mutex<Option<Instant>>,
    /// When another replica was last seen to renew the lease.
    renewed_elsewhere: Mutex<Option<Instant>>,
    synced: AtomicBool,
    begun: AtomicBool,
    /// Whether the clock was sane at the last check, to detect changes.
    sane: AtomicBool,
    changed: watch::Sender<u64>,
}

impl Authority {
    /// Creates an authority that permits nothing yet.
    pub fn new(clock: Arc<Clock>) -> Arc<Self> {
        Self::with(clock, true)
    }

    /// Creates an authority that never permits anything and never leads: of a process that only revokes.
    pub fn revoke_only(clock: Arc<Clock>) -> Arc<Self> {
        Self::with(clock, false)
    }

    fn with(clock: Arc<Clock>, grants: bool) -> Arc<Self> {
        Arc::new(Authority {
            clock,
            grants,
            lease_until: watch::Sender::new(None),
            terms: AtomicU64::new(0),
            admission_until: Mutex::new(None),
            renewed_elsewhere: Mutex::new(None),
            synced: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            sane: AtomicBool::new(true),
            changed: watch::Sender::new(0),
        })
    }

    /// Returns a permit if every condition is met now.
    pub fn permit(&self) -> Option<Permit> {
        self.why_not().is_none().then_some(Permit(()))
    }

    /// Returns the first condition that is not met, as text; `None` if granting is allowed.
    pub fn why_not(&self) -> Option<&'static str> {
        match () {
            () if !self.grants => Some("this process only revokes"),
            () if !self.leads() => Some("another replica holds the lease"),
            () if !self.admission_enforced() => Some("the admission policies are not proven to be in force"),
            () if !self.synced.load(Ordering::Acquire) => Some("the caches are not synced yet"),
            () if !self.clock.sane() => Some("the local clock and the clock of the API server differ by more than 5 s"),
            () => None,
        }
    }

    /// Whether this replica holds the lease now.
    pub fn leads(&self) -> bool {
        self.grants && self.lease_until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Whether this process revokes and never grants.
    pub fn only_revokes(&self) -> bool {
        !self.grants
    }

    /// Sets the instant until which this replica holds the lease; `None` if it does not hold it.
    pub fn set_lease(&self, until: Option<Instant>) {
        let held = self.leads();
        let previous = self.lease_until.send_replace(until);
        if !held && until.is_some() {
            self.terms.fetch_add(1, Ordering::AcqRel);
        }
        if changes(previous, until) {
            self.notify();
        }
    }

    /// Tells the time in which this replica holds the lease now from those before: in between another one may have led.
    pub fn term(&self) -> u64 {
        self.terms.load(Ordering::Acquire)
    }

    /// Records that another replica has renewed the lease.
    pub fn saw_renewal(&self) {
        *self.renewed_elsewhere.lock() = Some(Instant::now());
    }

    /// Whether another replica holds the lease and was seen to renew it a moment ago.
    pub fn leader_is_alive(&self) -> bool {
        let next_is_seen = timing().lease_renewed + timing().lease_every * RENEWALS;
        !self.leads() && self.renewed_elsewhere.lock().is_some_and(|at| at.elapsed() < next_is_seen)
    }

    /// Sets the result of an admission check, or of a look that has shown nothing new since. Like a lease, a proof expires, since the task
    /// that renews it can hang.
    pub fn set_admission_enforced(&self, closed: bool) {
        let until = closed.then(|| Instant::now() + PROOF_VALIDITY);
        let previous = std::mem::replace(&mut *self.admission_until.lock(), until);
        if changes(previous, until) {
            self.notify();
        }
    }

    /// Whether the last admission check succeeded and its proof has not expired.
    pub fn admission_enforced(&self) -> bool {
        self.admission_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Compares the clocks, and notifies the subscribers of [`changes`](Self::changes) if the result differs from the last one.
    pub fn check_clock(&self) {
        let sane = self.clock.sane();
        if self.sane.swap(sane, Ordering::AcqRel) != sane {
            self.notify();
        }
    }

    /// Records that every cache has received its initial list.
    pub fn set_synced(&self) {
        let known = self.synced.swap(true, Ordering::AcqRel);
        if !self.begun.swap(true, Ordering::AcqRel) || !known {
            self.notify();
        }
    }

    /// Lets the controllers that rest on the initial lists begin, although these are not complete.
    pub fn set_begun(&self) {
        if !self.begun.swap(true, Ordering::AcqRel) {
            self.notify();
        }
    }

    /// Whether the controllers that rest on the initial lists may begin: these are complete, or have taken too long.
    pub fn begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether every cache has received its initial list.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Waits until every cache has received its initial list. Use this instead of the store's own wait, which wakes only one task.
    pub async fn until_synced(&self) {
        self.until(Self::synced).await;
    }

    /// Waits until the controllers that rest on the initial lists may begin.
    pub async fn until_begun(&self) {
        self.until(Self::begun).await;
    }

    async fn until(&self, condition: fn(&Self) -> bool) {
        let mut changes = self.changes();
        while !condition(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns a receiver that is notified whenever a condition for a permit changes. Expiry of the lease or the proof does not notify.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn notify(&self) {
        self.changed.send_modify(|n| *n += 1);
    }
}

/// Whether subscribers have to know: a condition is met that was not, or the reverse. One that had run out was not met, and what came
/// meanwhile has been put aside: a process that was paused renews its lease too late.
fn changes(previous: Option<Instant>, next: Option<Instant>) -> bool {
    let ran_out = previous.is_some_and(|until| until <= Instant::now());
    previous.is_some() != next.is_some() || (ran_out && next.is_some())
}

/// After so many reads that do not show the renewal that was due the leader does not count as alive any more.
const RENEWALS: u32 = 2;

/// How long granting may rest on an admission proof until the next look.
pub const PROOF_VALIDITY: Duration = Duration::from_secs(40);

/// Maximum difference between the local clock and the API server's clock; beyond it granting stops.
pub const MAX_SKEW: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_requires_every_condition() {
        let authority = Authority::new(Arc::new(Clock::default()));
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(authority.why_not(), Some("another replica holds the lease"));
        authority.set_lease(Some(later));
        assert_eq!(authority.why_not(), Some("the admission policies are not proven to be in force"));
        authority.set_admission_enforced(true);
        assert_eq!(authority.why_not(), Some("the caches are not synced yet"));
        authority.set_synced();
        assert!(authority.permit().is_some());
        authority.set_lease(Some(Instant::now()));
        assert!(authority.permit().is_none(), "an expired lease permits nothing, even before its holder is notified");
        authority.set_lease(Some(later));
        authority.set_admission_enforced(false);
        assert!(authority.permit().is_none());
    }

    #[test]
    fn each_acquisition_of_the_lease_is_a_term_of_its_own() {
        let authority = Authority::new(Arc::new(Clock::default()));
        let later = Instant::now() + Duration::from_secs(60);
        let after = |until| {
            authority.set_lease(until);
            authority.term()
        };
        let first = after(Some(later));
        assert_eq!(after(Some(later + Duration::from_secs(4))), first, "a renewal");
        assert_eq!(after(None), first);
        let second = after(Some(later));
        assert!(second > first, "another replica may have led");
        assert_eq!(after(Some(Instant::now())), second);
        assert!(after(Some(later)) > second, "it had run out, and another replica may have led");
    }

    #[test]
    fn a_lease_that_had_run_out_is_announced_when_it_is_renewed() {
        let authority = Authority::new(Arc::new(Clock::default()));
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let mut changes = authority.changes();
        let mut announced = |until| {
            authority.set_lease(until);
            let has_changed = changes.has_changed().unwrap();
            changes.mark_unchanged();
            has_changed
        };
        assert!(announced(Some(later)) && !announced(Some(later)), "a renewal in time changes nothing");
        assert!(!announced(Some(now)));
        assert!(announced(Some(later)), "it had run out");
        assert!(announced(None) && !announced(None));
    }

    #[test]
    fn the_controllers_begin_with_the_first_lists_or_without_them_and_each_is_announced_once() {
        for late in [false, true] {
            let authority = Authority::new(Arc::new(Clock::default()));
            let mut changes = authority.changes();
            let mut announced = |set: fn(&Authority)| {
                set(&authority);
                let has_changed = changes.has_changed().unwrap();
                changes.mark_unchanged();
                has_changed
            };
            if late {
                assert!(announced(Authority::set_begun) && !announced(Authority::set_begun));
                assert!(authority.begun() && !authority.synced());
            }
            assert!(announced(Authority::set_synced) && !announced(Authority::set_synced) && !announced(Authority::set_begun));
            assert!(authority.begun() && authority.synced());
        }
    }

    #[test]
    fn a_process_that_only_revokes_never_has_a_permit() {
        let authority = Authority::revoke_only(Arc::new(Clock::default()));
        authority.set_lease(Some(Instant::now() + Duration::from_secs(60)));
        authority.set_admission_enforced(true);
        authority.set_synced();
        assert!(authority.permit().is_none() && !authority.leads());
        assert_eq!(authority.why_not(), Some("this process only revokes"));
    }
}
