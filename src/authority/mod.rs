//! Whether we may grant: lease held ∧ gate closed ∧ clock sane ∧ stores synced.
//!
//! Only this module can build a [`Permit`], and every effect that grants demands one. Revoking demands none: on any doubt
//! granting stops and revocation goes on (I8).
mod clock;
mod lease;

pub use clock::{Clock, ObserveDate};
pub use lease::Lease;

use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Proof that granting was allowed a moment ago. It cannot be stored or copied, so it is asked for anew for each effect.
#[derive(Debug)]
pub struct Permit(());

/// Everything that a permit rests on.
#[derive(Debug)]
pub struct Authority {
    /// The time that rules go by.
    pub clock: Arc<Clock>,
    /// Until when the lease is ours; `None` while it is not.
    lease_until: watch::Sender<Option<Instant>>,
    /// Until when the last proof of the gate is good; nothing while it is open.
    admission_until: Mutex<Option<Instant>>,
    synced: AtomicBool,
    /// Whether the clock was sane when somebody looked last.
    sane: AtomicBool,
    changed: watch::Sender<u64>,
}

impl Authority {
    /// An authority that permits nothing yet.
    pub fn new(clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Authority {
            clock,
            lease_until: watch::Sender::new(None),
            admission_until: Mutex::new(None),
            synced: AtomicBool::new(false),
            sane: AtomicBool::new(true),
            changed: watch::Sender::new(0),
        })
    }

    /// A permit, if there is one at this moment.
    pub fn permit(&self) -> Option<Permit> {
        self.why_not().is_none().then_some(Permit(()))
    }

    /// What keeps us from granting, in words; `None` if nothing does.
    pub fn why_not(&self) -> Option<&'static str> {
        match () {
            () if !self.leads() => Some("another replica holds the lease"),
            () if !self.admission_enforced() => Some("the admission policies are not proven to be in force"),
            () if !self.synced.load(Ordering::Acquire) => Some("the stores are not synced yet"),
            () if !self.clock.sane() => Some("the local clock and the API server's differ too much"),
            () => None,
        }
    }

    /// Whether the lease is ours at this instant.
    pub fn leads(&self) -> bool {
        self.lease_until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// The lease is ours until then, or not ours.
    pub fn set_lease(&self, until: Option<Instant>) {
        let was = self.lease_until.send_replace(until).is_some();
        if was != until.is_some() {
            self.bump();
        }
    }

    /// The gate was proven closed, or not. Like a lease a proof ends by itself: whoever should prove it anew may hang.
    pub fn set_admission_enforced(&self, closed: bool) {
        let until = closed.then(|| Instant::now() + PROOF_LASTS);
        let was = std::mem::replace(&mut *self.admission_until.lock(), until);
        if was.is_some() != closed {
            self.bump();
        }
    }

    /// Whether the gate was proven closed a short while ago.
    pub fn admission_enforced(&self) -> bool {
        self.admission_until.lock().is_some_and(|t| Instant::now() < t)
    }

    /// Looks at the clocks, so that who waits for them to agree is woken.
    pub fn check_clock(&self) {
        let sane = self.clock.sane();
        if self.sane.swap(sane, Ordering::AcqRel) != sane {
            self.bump();
        }
    }

    /// Every store has had its first full list.
    pub fn set_synced(&self) {
        if !self.synced.swap(true, Ordering::AcqRel) {
            self.bump();
        }
    }

    /// Whether every store has had its first full list.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Waits until every store has had its first full list. (Of a store itself only one task may wait: kube wakes one.)
    pub async fn until_synced(&self) {
        let mut changes = self.changes();
        while !self.synced() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ticks whenever something that a permit rests on has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn bump(&self) {
        self.changed.send_modify(|n| *n += 1);
    }
}

/// How long a proof of the gate is good.
const PROOF_LASTS: Duration = Duration::from_secs(40);

/// How far local clock and API server may be apart before granting stops.
pub const MAX_SKEW: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_needs_everything_at_once() {
        let a = Authority::new(Arc::new(Clock::default()));
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(a.why_not(), Some("another replica holds the lease"));
        a.set_lease(Some(later));
        assert_eq!(a.why_not(), Some("the admission policies are not proven to be in force"));
        a.set_admission_enforced(true);
        assert_eq!(a.why_not(), Some("the stores are not synced yet"));
        a.set_synced();
        assert!(a.permit().is_some());
        a.set_lease(Some(Instant::now()));
        assert!(a.permit().is_none(), "a lease that has run out permits nothing, whether or not anybody noticed");
        a.set_lease(Some(later));
        a.set_admission_enforced(false);
        assert!(a.permit().is_none());
    }
}
