//! The simulated provider: its row of the contract, and its stories under the real operator.
#[path = "contract/provider_rows.rs"]
mod provider_rows;

#[path = "contract/simulated.rs"]
mod contract;
#[path = "simulated/plane.rs"]
mod plane;
#[path = "story/simulated_crashes.rs"]
mod crashes;
#[path = "story/simulated.rs"]
mod story;
