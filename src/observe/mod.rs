//! What machines and people see of the operator itself: metrics, health, Events.
mod events;
mod metrics;
mod serve;

pub use events::Events;
pub use metrics::{Metrics, StateLabel};
pub use serve::serve;
