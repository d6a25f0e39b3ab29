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
use std::{sync::Arc, time::Instant};

const NAME: &str = "curfew-operator";

/// The leader election of one replica.
#[derive(Clone, Debug)]
pub struct Lease {
    api: Api<KubeLease>,
    holder: String,
    authority: Arc<Authority>,
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
        Lease { api: Api::namespaced(client, namespace), holder, authority }
    }

    /// Acquires and renews the lease until the process ends. A failed call does not change the instant until which the lease is held.
    pub async fn run(self) {
        let mut other = ObservedLease::default();
        loop {
            match tokio::time::timeout(timing().lease_every, self.acquire_or_renew(&mut other)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tracing::warn!(error = %e, "cannot renew the lease {NAME}"),
                Err(_) => tracing::warn!("renewing the lease {NAME} timed out"),
            }
            if !self.authority.leads() {
                self.authority.set_lease(None);
            }
            tokio::time::sleep(timing().lease_every).await;
        }
    }

    /// Releases the lease, so that another replica can acquire it before it expires. Renewal has to be stopped before: its last
    /// write may still arrive, and is then met as a conflict and tried again.
    pub async fn release(&self) {
        self.authority.set_lease(None);
        for _ in 0..3 {
            let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else { return };
            let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.holder)) else { return };
            spec.holder_identity = Some(String::new());
            match self.api.replace(NAME, &PostParams::default(), &lease).await {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(e) => return tracing::info!(error = %e, "cannot release the lease {NAME}; it expires by itself"),
                Ok(_) => return,
            }
        }
    }

    async fn acquire_or_renew(&self, other: &mut ObservedLease) -> kube::Result<()> {
        let started = Instant::now();
        let Some(mut lease) = self.api.get_opt(NAME).await? else {
            let fresh = KubeLease { metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() }, spec: Some(self.spec(0)) };
            return self.handle_response(started, self.api.create(&PostParams::default(), &fresh).await);
        };
        let (current_holder, transitions) =
            lease.spec.as_ref().map_or((None, 0), |spec| (spec.holder_identity.clone(), spec.lease_transitions.unwrap_or(0)));
        let held_here = current_holder.as_deref() == Some(self.holder.as_str());
        let held_elsewhere = !held_here && current_holder.is_some_and(|holder| !holder.is_empty());
        if held_elsewhere && !other.has_expired(lease.metadata.resource_version.as_deref(), started) {
            return Ok(());
        }
        lease.spec = Some(self.spec(if held_here { transitions } else { transitions + 1 }));
        // The replace carries the resourceVersion that was read: of two concurrent claims one fails with a conflict.
        self.handle_response(started, self.api.replace(NAME, &PostParams::default(), &lease).await)
    }

    fn handle_response(&self, started: Instant, response: kube::Result<KubeLease>) -> kube::Result<()> {
        match response {
            Ok(_) => {
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
    use std::time::Duration;

    #[test]
    fn a_lease_expires_only_after_its_whole_duration_without_renewal() {
        let (mut other, start) = (ObservedLease::default(), Instant::now());
        assert!(!other.has_expired(Some("1"), start));
        assert!(!other.has_expired(Some("1"), start + timing().lease_lasts - Duration::from_millis(1)));
        assert!(!other.has_expired(Some("2"), start + timing().lease_lasts), "it was renewed");
        assert!(other.has_expired(Some("2"), start + timing().lease_lasts + timing().lease_lasts));
    }
}
