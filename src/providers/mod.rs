//! One port to every kind of target, and who is behind it.
pub mod aws;
#[cfg(feature = "simulated")]
mod combine;
#[cfg(feature = "crash-points")]
pub mod faults;
pub mod kubernetes;
pub mod port;
#[cfg(feature = "simulated")]
pub mod simulated;

pub use port::{ApplyOutcome, EnforcedBy, ManagedObject, Observed, OperationState, Provider, ProviderError, ReserveOutcome, RevokeOutcome};

use crate::runtime::{
    client,
    http::causes,
    panics::Panics,
    secrets::{self, SecretError},
};
use crate::timing::timing;
use crate::{
    api::system::{KubernetesConnection, Provider as Connection, SecretKey},
    authority::Clock,
    runtime::stores::Stores,
};
use curfew_core::{lanes::Limits, target::Plan, time::Time};
use futures::future::join_all;
use kube::Client;
use kubernetes::{Guard, Kubernetes, kubeconfig};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The lane of a plan on a system, and its limits.
pub fn lane(system: &str, plan: &Plan) -> (String, Limits) {
    match plan {
        Plan::Kubernetes(_) => (system.to_owned(), kubernetes::LIMITS),
        Plan::Aws(plan) => aws::lane(system, plan),
        #[cfg(feature = "simulated")]
        Plan::Simulated(_) => (system.to_owned(), simulated::LIMITS),
    }
}

/// A cluster reached by a kubeconfig, and which content of the secret that was.
#[derive(Clone)]
struct Remote {
    read: Time,
    content: String,
    cluster: Arc<Kubernetes>,
}

/// The providers of this build, by connection.
#[derive(Clone)]
pub struct Registry {
    in_cluster: Arc<dyn Provider>,
    client: Client,
    clock: Arc<Clock>,
    remote: Arc<Mutex<HashMap<(String, String), Remote>>>,
    accounts: aws::Accounts,
    #[cfg(feature = "simulated")]
    directories: Arc<Mutex<HashMap<String, Arc<simulated::Simulated>>>>,
}

impl Registry {
    /// With the cluster that Curfew runs in; `client` reads the secrets of others.
    pub fn new(in_cluster: Arc<dyn Provider>, client: Client, clock: Arc<Clock>) -> Self {
        Registry {
            in_cluster,
            client,
            clock,
            remote: Arc::default(),
            accounts: aws::Accounts::default(),
            #[cfg(feature = "simulated")]
            directories: Arc::default(),
        }
    }

    /// Who reaches this connection.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] for a kubeconfig that is missing or not allowed; what the API server says if the secret cannot
    /// be read and was never read before.
    pub async fn reach(&self, connection: &Connection) -> Result<Arc<dyn Provider>, ProviderError> {
        match connection {
            Connection::Kubernetes(KubernetesConnection::InCluster(_)) => Ok(self.in_cluster.clone()),
            Connection::Kubernetes(KubernetesConnection::KubeconfigSecretRef(s)) => Ok(self.remote(s).await?),
            Connection::Aws(c) => self.accounts.reach(c, &self.clock),
            #[cfg(feature = "simulated")]
            Connection::Simulated(c) => {
                let mut known = self.directories.lock();
                let connect = || Arc::new(simulated::Simulated::new(c, crate::runtime::http::HttpClient::default(), self.clock.clone()));
                Ok(known.entry(c.endpoint.clone()).or_insert_with(connect).clone())
            }
        }
    }

    async fn remote(&self, at: &SecretKey) -> Result<Arc<Kubernetes>, ProviderError> {
        let key = (at.name.clone(), at.key.clone());
        let known = self.remote.lock().get(&key).cloned();
        let now = self.clock.now();
        if let Some(r) = known.as_ref().filter(|r| now < r.read.plus_secs(timing().kubeconfig_secs)) {
            return Ok(r.cluster.clone());
        }
        let content = match (self.secret(at).await, &known) {
            (Ok(text), _) => text,
            // A revocation needs the target and not Curfew's own API server (I3): the content read before still leads there.
            (Err(ProviderError::Transient { .. }), Some(r)) => return Ok(r.cluster.clone()),
            (Err(e), _) => return Err(e),
        };
        let cluster = match known.filter(|r| r.content == content) {
            Some(r) => r.cluster,
            None => {
                let checked = kubeconfig::read(&content)?;
                let client = client::builder(checked.config).map_err(|e| ProviderError::Invalid(causes(&e)))?.build();
                let here = Kubernetes::new(client, self.clock.clone(), None, Guard::probe());
                Arc::new(here.reached_at(checked.server, checked.ca))
            }
        };
        let fresh = Remote { read: now, content, cluster: cluster.clone() };
        self.remote.lock().insert(key, fresh);
        Ok(cluster)
    }

    async fn secret(&self, at: &SecretKey) -> Result<String, ProviderError> {
        secrets::text(&self.client, at).await.map_err(|error| match error {
            SecretError::Unreadable(_, error) => kubernetes::provider_error(error),
            SecretError::Missing(_) => ProviderError::Invalid(error.to_string()),
            SecretError::NotText(_) => ProviderError::Invalid(format!("the kubeconfig is refused: {error}")),
        })
    }

    /// Every target that is known, of systems and of Grants whose system is gone, each with a key that tells it from the others.
    pub async fn targets(&self, stores: &Stores, panics: &Panics) -> Vec<(String, Arc<dyn Provider>)> {
        let systems = stores.systems.state();
        let granted = stores.granted_connections();
        let all = systems.iter().map(|s| &s.spec.provider).chain(&granted);
        let distinct: BTreeMap<String, &Connection> = all.map(|c| (format!("{c:?}"), c)).collect();
        let mut targets = vec![(String::new(), self.in_cluster.clone())];
        let remote = distinct.into_iter().filter(|(_, c)| !matches!(c, Connection::Kubernetes(KubernetesConnection::InCluster(_))));
        let reach = async |(key, connection)| (panics.catch("targets", connection, self.reach(connection)).await, key);
        for (reached, key) in join_all(remote.map(reach)).await {
            match reached {
                None => {}
                Some(Ok(t)) => targets.push((key, t)),
                Some(Err(e)) => tracing::debug!(error = %e, "a target cannot be reached now"),
            }
        }
        targets
    }
}
