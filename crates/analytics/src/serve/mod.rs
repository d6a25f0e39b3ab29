//! Questions over HTTPS: who holds what, who used what, why this score.
//!
//! [`systems`] says what the process that analyses has to give. [`router`] knows HTTP, [`auth`] asks the API server who calls and what they may
//! read, [`views`] makes the answers, which are pure functions of an analysis and a [`query`].
pub mod auth;
pub mod least_policy;
pub mod query;
pub mod rightsize;
pub mod router;
pub mod systems;
pub mod tls;
pub mod views;
