//! Leader election: one replica at a time may grant, and it knows until which instant.
//!
//! The existing crates return a bool. The permit needs an instant that is before any other replica can take the lease. It is
//! counted from *before* the renewal was sent, so that a slow response or a paused process does not extend it. A holder that is
//! paused after its check is fenced by the protocol (reserve, recheck, arm), not by the lease.
use super::Authority;
use crate::timing::timing;
use k8s_openapi::{
    api::coordination::v1::{Lease as KubeLease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

const NAME: &str = "curfew-operator";
/// How often a release is tried. Renewal has stopped, so a second conflict is another user's write.
const RELEASES: u32 = 3;

/// The leader election of one replica.
#[derive(Clone, Debug)]
pub struct Lease {
    api: Api<KubeLease>,
    holder: String,
    authority: Arc<Authority>,
    /// The process ends: the lease is not acquired again.
    closed: Arc<AtomicBool>,
    /// The lease as this replica has stored it last. While nobody else writes it, a renewal needs no read.
    stored: Arc<Mutex<Option<KubeLease>>>,
}

/// The last observed version of a lease of another holder. The lease is free when it has not changed for its whole duration *on
/// the local monotonic clock*, so that clock skew between replicas does not matter.
#[derive(Debug, Default)]
struct ObservedLease {
    version: Option<String>,
    unchanged_since: Option<Instant>,
}

impl Lease {
    /// Prepares the election in a namespace under the name of this holder. Does not call the API server.
    pub fn new(client: Client, namespace: &str, holder: String, authority: Arc<Authority>) -> Self {
        Lease { api: Api::namespaced(client, namespace), holder, authority, closed: Arc::default(), stored: Arc::default() }
    }

    /// Acquires and renews the lease until it is closed, and sees who else does. A failed call does not change the instant until which the lease is held.
    pub async fn run(self) {
        let mut other = ObservedLease::default();
        loop {
            let sane = self.authority.clock.sane();
            let turn = async { if sane { self.acquire_or_renew(&mut other).await } else { self.give_up().await } };
            let begun = tokio::time::Instant::now();
            match tokio::time::timeout(timing().lease_every, turn).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tracing::warn!(error = %e, "cannot renew the lease {NAME}"),
                Err(_) => tracing::warn!("renewing the lease {NAME} timed out"),
            }
            if !self.authority.leads() {
                self.authority.set_lease(None);
            }
            // Only a renewal leaves the lease here as stored: after anything else it is looked at again soon.
            let renewed = self.authority.leads() && self.stored.lock().is_some();
            let pause = if renewed { timing().lease_renewed } else { timing().lease_every };
            tokio::time::sleep_until(begun + pause).await;
        }
    }

    /// Leaves the lease to another replica, since nothing is granted here while the clock is not sane. The answers bring new
    /// readings of the API server's clock.
    async fn give_up(&self) -> kube::Result<()> {
        tracing::warn!(skew_millis = self.authority.clock.skew_millis(), "the clock is not sane: this replica does not hold the lease");
        self.release().await;
        Ok(())
    }

    /// Ends the election for this process: no permit from here on, and no renewal that has begun acquires the lease again. What
    /// [`run`](Self::run) still does is to see how another replica renews it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.authority.set_lease(None);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Releases the lease, so that another replica can acquire it before it expires. A renewal that was sent before may still
    /// arrive, and is then met as a conflict and tried again.
    pub async fn release(&self) {
        // Again, since the answer to the last renewal may have come after the caller gave up the lease.
        self.authority.set_lease(None);
        for _ in 0..RELEASES {
            let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else { return };
            let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.holder)) else { return };
            spec.holder_identity = Some(String::new());
            match self.api.replace(NAME, &PostParams::default(), &lease).await {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(e) => return tracing::info!(error = %e, "cannot release the lease {NAME}; it expires by itself"),
                Ok(_) => return,
            }
        }
        tracing::info!("the lease {NAME} was changed {RELEASES} times while it was released; it expires by itself");
    }

    async fn acquire_or_renew(&self, other: &mut ObservedLease) -> kube::Result<()> {
        let started = Instant::now();
        // Taken, so that after any other answer than a success the next turn reads.
        let stored = self.stored.lock().take();
        let found = match stored {
            Some(stored) => Some(stored),
            None => self.api.get_opt(NAME).await?,
        };
        let Some(mut lease) = found else {
            if self.is_closed() {
                return Ok(());
            }
            let fresh = KubeLease { metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() }, spec: Some(self.spec(0)) };
            return self.handle_response(started, self.api.create(&PostParams::default(), &fresh).await);
        };
        let (current_holder, transitions) =
            lease.spec.as_ref().map_or((None, 0), |spec| (spec.holder_identity.clone(), spec.lease_transitions.unwrap_or(0)));
        let held_here = current_holder.as_deref() == Some(self.holder.as_str());
        let held_elsewhere = !held_here && current_holder.is_some_and(|holder| !holder.is_empty());
        let version = lease.metadata.resource_version.as_deref();
        if held_elsewhere && other.is_renewed(version) {
            self.authority.saw_renewal();
        }
        if held_elsewhere && !other.has_expired(version, started) {
            return Ok(());
        }
        if self.is_closed() {
            return Ok(());
        }
        lease.spec = Some(self.spec(if held_here { transitions } else { transitions + 1 }));
        // The replace carries the resourceVersion that was read or stored last: of two concurrent claims one fails with a conflict.
        self.handle_response(started, self.api.replace(NAME, &PostParams::default(), &lease).await)
    }

    fn handle_response(&self, started: Instant, response: kube::Result<KubeLease>) -> kube::Result<()> {
        match response {
            Ok(_) if self.is_closed() => Ok(()),
            Ok(renewed) => {
                *self.stored.lock() = Some(renewed);
                if !self.authority.leads() {
                    tracing::info!(holder = %self.holder, "this replica has acquired the lease");
                }
                self.authority.set_lease(Some(started + timing().lease_lasts - timing().lease_margin));
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: i32::try_from(timing().lease_lasts.as_secs()).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

impl ObservedLease {
    /// Whether the lease has changed since it was read before. A first look shows nothing.
    fn is_renewed(&self, version: Option<&str>) -> bool {
        self.version.is_some() && self.version.as_deref() != version
    }
    fn has_expired(&mut self, version: Option<&str>, now: Instant) -> bool {
        if self.version.as_deref() != version {
            *self = ObservedLease { version: version.map(str::to_owned), unchanged_since: Some(now) };
        }
        self.unchanged_since.is_some_and(|since| now.duration_since(since) >= timing().lease_lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Clock;
    use http::{Method, Request, Response};
    use kube::client::Body;
    use std::{convert::Infallible, sync::atomic::AtomicU32, time::Duration};

    /// An API server with one lease, of another version at each call, which answers so many writes with a conflict, because another
    /// write came first.
    fn releases(holder: &'static str, conflicts: usize) -> (Lease, Arc<Mutex<Vec<String>>>) {
        let (lease, written, _) = counted(holder, conflicts);
        (lease, written)
    }

    /// The same, and how often the lease is read.
    fn counted(holder: &'static str, conflicts: usize) -> (Lease, Arc<Mutex<Vec<String>>>, Arc<AtomicU32>) {
        let reads = Arc::new(AtomicU32::new(0));
        let counter = reads.clone();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (log, versions) = (written.clone(), Arc::new(AtomicU32::new(1)));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (log, versions, counter) = (log.clone(), versions.clone(), counter.clone());
            async move {
                let write = request.method() == Method::PUT;
                if !write {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                let bytes = request.into_body().collect_bytes().await.unwrap_or_default();
                let version = versions.fetch_add(1, Ordering::Relaxed).to_string();
                let mut stored = serde_json::json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": NAME, "resourceVersion": version}, "spec": {"holderIdentity": holder}});
                if write {
                    stored = serde_json::from_slice(&bytes).expect("a lease");
                    log.lock().push(stored["spec"]["holderIdentity"].as_str().expect("a holder").to_owned());
                }
                let conflict = write && log.lock().len() <= conflicts;
                let status =
                    serde_json::json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "changed"});
                let (code, body) = if conflict { (409, status) } else { (200, stored) };
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).expect("an answer"))
            }
        });
        let authority = Authority::new(Arc::new(Clock::default()));
        (Lease::new(Client::new(service, "default"), "curfew-system", "me".into(), authority), written, reads)
    }

    #[tokio::test]
    async fn a_renewal_reads_the_lease_only_after_another_write_of_it() {
        let (lease, written, reads) = counted("me", 0);
        let mut other = ObservedLease::default();
        for _ in 0..3 {
            lease.acquire_or_renew(&mut other).await.expect("no error");
        }
        assert_eq!((reads.load(Ordering::Relaxed), written.lock().len()), (1, 3));
        assert!(lease.authority.leads());
        // Another client writes it before each of two renewals.
        let (lease, written, reads) = counted("me", 2);
        for _ in 0..4 {
            lease.acquire_or_renew(&mut other).await.expect("no error");
        }
        assert_eq!((reads.load(Ordering::Relaxed), written.lock().len()), (3, 4), "read first, and after each conflict");
    }

    #[tokio::test]
    async fn a_release_that_meets_the_last_renewal_is_tried_again_and_another_holder_keeps_the_lease() {
        for (holder, conflicts, writes) in [("me", 0, 1), ("me", 1, 2), ("me", 9, 3), ("another", 0, 0)] {
            let (lease, written) = releases(holder, conflicts);
            lease.release().await;
            assert_eq!(*written.lock(), vec![""; writes], "{holder}, {conflicts} conflicts");
        }
    }

    #[tokio::test]
    async fn a_replica_that_stops_does_not_take_the_lease_again() {
        // Released by this replica: the lease is free.
        let (lease, written) = releases("", 0);
        lease.close();
        lease.acquire_or_renew(&mut ObservedLease::default()).await.expect("no error");
        lease.handle_response(Instant::now(), Ok(KubeLease::default())).expect("the answer to a renewal that was sent before");
        assert!(written.lock().is_empty() && !lease.authority.leads());
    }

    #[tokio::test]
    async fn a_process_that_does_not_take_part_sees_whether_the_leader_lives() {
        let (lease, written) = releases("another", 0);
        lease.close();
        let mut other = ObservedLease::default();
        lease.acquire_or_renew(&mut other).await.expect("no error");
        assert!(!lease.authority.leader_is_alive(), "one look shows nothing");
        lease.acquire_or_renew(&mut other).await.expect("no error");
        assert!(lease.authority.leader_is_alive() && written.lock().is_empty());
    }

    #[tokio::test]
    async fn a_replica_whose_clock_is_not_sane_gives_up_the_lease() {
        let (lease, written) = releases("me", 0);
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::DATE, "Mon, 01 Jan 2035 00:00:00 GMT".parse().expect("a date"));
        lease.authority.clock.observe(&headers);
        lease.authority.set_lease(Some(Instant::now() + timing().lease_lasts));
        let authority = lease.authority.clone();
        let running = tokio::spawn(lease.run());
        let given_up = async {
            while written.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), given_up).await.expect("it is given up");
        assert!(!authority.leads() && written.lock()[0].is_empty());
        running.abort();
    }

    #[test]
    fn a_lease_expires_only_after_its_whole_duration_without_renewal() {
        let (mut other, start) = (ObservedLease::default(), Instant::now());
        assert!(!other.has_expired(Some("1"), start));
        assert!(!other.has_expired(Some("1"), start + timing().lease_lasts - Duration::from_millis(1)));
        assert!(!other.has_expired(Some("2"), start + timing().lease_lasts), "it was renewed");
        assert!(other.has_expired(Some("2"), start + timing().lease_lasts + timing().lease_lasts));
    }
}
