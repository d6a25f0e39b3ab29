//! One port to every kind of target, and who is behind it.
pub mod kubernetes;
pub mod port;

pub use port::{Held, Provider, Taken, Trouble};

use crate::api::system::{KubernetesConnection, Provider as Connection};
use std::sync::Arc;

/// The providers of this build, by connection.
#[derive(Clone)]
pub struct Registry {
    in_cluster: Arc<kubernetes::Kubernetes>,
}

impl Registry {
    /// With the cluster that Curfew runs in.
    pub fn new(in_cluster: kubernetes::Kubernetes) -> Self {
        Registry { in_cluster: Arc::new(in_cluster) }
    }

    /// Who reaches this connection; an error in words if this build cannot.
    ///
    /// # Errors
    /// [`Trouble::Invalid`] for a connection that is not built yet.
    pub fn reach(&self, connection: &Connection) -> Result<Arc<dyn Provider>, Trouble> {
        match connection {
            Connection::Kubernetes(KubernetesConnection::InCluster(_)) => Ok(self.in_cluster.clone()),
            Connection::Kubernetes(KubernetesConnection::KubeconfigSecretRef(_)) => {
                Err(Trouble::Invalid("provider.kubernetes.kubeconfigSecretRef is not supported by this build".into()))
            }
        }
    }
}
