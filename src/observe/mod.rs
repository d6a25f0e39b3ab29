//! What the operator shows of itself: metrics, health endpoints, Kubernetes Events.
mod events;
mod metrics;
mod serve;

pub use events::{Cause, Events};
pub use metrics::{Metrics, SpanLoss, SpanLossLabel, StateLabel, seconds_between};
pub use serve::{Endpoints, serve};
