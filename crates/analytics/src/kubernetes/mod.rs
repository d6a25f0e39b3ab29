//! Kubernetes: the catalogue of a cluster, who may do what by RBAC, and who did what by the audit log.

pub mod analysis;
pub mod checks;
pub mod details;
pub mod dump;
pub mod event;
pub mod findings;
pub mod inventory;
pub mod kinds;
pub mod membership;
pub mod methods;
pub mod permissions;
pub mod raw;
pub mod reduced;
pub mod rules;
pub mod unused;
pub mod usage;
pub mod weights;

/// The API group of roles and bindings.
pub const RBAC: &str = "rbac.authorization.k8s.io";
/// The place that stands for the cluster itself: requests across all namespaces, and for verbs on one object namespaces that come and go.
pub const CLUSTER: u32 = 0;
