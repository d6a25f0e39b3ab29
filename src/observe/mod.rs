//! Observability of the operator: metrics, health endpoints and Kubernetes Events.
mod events;
mod metrics;
mod serve;

pub use events::Events;
pub use metrics::{Metrics, StateLabel};
pub use serve::serve;
