//! The shell's machinery: one driver for passes, one engine for work, one set of watches.
pub mod client;
pub mod crash;
pub mod driver;
pub mod engine;
pub mod expectations;
pub mod http;
pub mod stores;
