//! Usage analytics end to end: users act, the API server posts what they did, `curfew-analytics run` says how much power goes unused.
#[cfg(feature = "aws")]
#[path = "analytics/account.rs"]
mod account;
#[path = "analytics/failures.rs"]
mod failures;
#[path = "analytics/plane.rs"]
mod plane;
#[path = "analytics/scores.rs"]
mod scores;
