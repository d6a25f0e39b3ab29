//! The simulated provider: its row of the contract beside Kubernetes' row, and its stories under the real operator.
#[path = "contract/simulated.rs"]
mod contract;
#[path = "story/simulated_crashes.rs"]
mod crashes;
#[path = "contract/kubernetes_row.rs"]
mod kubernetes_row;
#[path = "simulated/plane.rs"]
mod plane;
#[path = "contract/provider_rows.rs"]
mod provider_rows;
#[path = "story/simulated.rs"]
mod story;
