//! Our own lease: one replica at a time may grant, and it knows until when.
//!
//! The crates for this hand out a bool. The permit needs an instant: it ends before anybody else could take the lease,
//! counted from *before* the renewal was sent, whatever becomes of this process meanwhile. A paused holder is fenced by
//! the protocol (reserve, recheck, arm), not by this.
use super::Authority;
use k8s_openapi::{
    api::coordination::v1::{Lease as KubeLease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const NAME: &str = "curfew-operator";
/// How long a lease lasts after its last renewal.
const LASTS: Duration = Duration::from_secs(15);
/// How long before its end the holder stops relying on it.
const MARGIN: Duration = Duration::from_secs(3);
/// How often it is renewed, or looked at by who waits for it.
const EVERY: Duration = Duration::from_secs(2);

/// One replica's claim.
#[derive(Clone, Debug)]
pub struct Lease {
    api: Api<KubeLease>,
    holder: String,
    authority: Arc<Authority>,
}

/// What was last seen of the other holder: a lease is free when it has not changed for its whole length *on our clock*.
#[derive(Debug, Default)]
struct Other {
    version: Option<String>,
    unchanged_since: Option<Instant>,
}

impl Lease {
    /// A claim in the operator's namespace under this holder's name.
    pub fn new(client: Client, namespace: &str, holder: String, authority: Arc<Authority>) -> Self {
        Lease { api: Api::namespaced(client, namespace), holder, authority }
    }

    /// Claims and renews for ever. A failed call never shortens what was promised, and never lengthens it.
    pub async fn run(self) {
        let mut other = Other::default();
        loop {
            match tokio::time::timeout(EVERY, self.step(&mut other)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tracing::warn!(error = %e, "cannot renew the lease {NAME}"),
                Err(_) => tracing::warn!("renewing the lease {NAME} takes too long"),
            }
            if !self.authority.leads() {
                self.authority.set_lease(None);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Gives the lease back, so that a follower need not wait for its end.
    pub async fn release(&self) {
        if !self.authority.leads() {
            return;
        }
        self.authority.set_lease(None);
        let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else { return };
        if let Some(spec) = lease.spec.as_mut().filter(|s| s.holder_identity.as_deref() == Some(&self.holder)) {
            spec.holder_identity = Some(String::new());
            if let Err(e) = self.api.replace(NAME, &PostParams::default(), &lease).await {
                tracing::info!(error = %e, "could not give the lease {NAME} back; it ends by itself");
            }
        }
    }

    async fn step(&self, other: &mut Other) -> kube::Result<()> {
        let begun = Instant::now();
        let Some(mut lease) = self.api.get_opt(NAME).await? else {
            let fresh = KubeLease { metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() }, spec: Some(self.spec(0)) };
            return self.claimed(begun, self.api.create(&PostParams::default(), &fresh).await);
        };
        let (held_by, turns) = lease.spec.as_ref().map_or((None, 0), |s| (s.holder_identity.clone(), s.lease_transitions.unwrap_or(0)));
        let ours = held_by.as_deref() == Some(self.holder.as_str());
        if !ours && held_by.is_some_and(|h| !h.is_empty()) && !other.is_silent(lease.metadata.resource_version.as_deref(), begun) {
            return Ok(());
        }
        lease.spec = Some(self.spec(if ours { turns } else { turns + 1 }));
        // A replace with the version that was read: of two claimants one gets a conflict.
        self.claimed(begun, self.api.replace(NAME, &PostParams::default(), &lease).await)
    }

    fn claimed(&self, begun: Instant, answer: kube::Result<KubeLease>) -> kube::Result<()> {
        match answer {
            Ok(_) => {
                if !self.authority.leads() {
                    tracing::info!(holder = %self.holder, "this replica leads");
                }
                self.authority.set_lease(Some(begun + LASTS - MARGIN));
                Ok(())
            }
            Err(kube::Error::Api(s)) if s.is_conflict() || s.is_already_exists() => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

impl Other {
    fn is_silent(&mut self, version: Option<&str>, now: Instant) -> bool {
        if self.version.as_deref() != version {
            *self = Other { version: version.map(str::to_owned), unchanged_since: Some(now) };
        }
        self.unchanged_since.is_some_and(|t| now.duration_since(t) >= LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_only_after_its_whole_length_of_silence() {
        let (mut other, t0) = (Other::default(), Instant::now());
        assert!(!other.is_silent(Some("1"), t0));
        assert!(!other.is_silent(Some("1"), t0 + LASTS - Duration::from_millis(1)));
        assert!(!other.is_silent(Some("2"), t0 + LASTS), "it was renewed");
        assert!(other.is_silent(Some("2"), t0 + LASTS + LASTS));
    }
}
