//! How much power goes unused: inventory, usage, findings and the Permission Creep Index.
//!
//! The definition of the score is PCI-1 (docs/pci.md). [`score`], [`aggregate`], [`bands`] and [`history`] implement it for any provider;
//! [`kubernetes`] builds the catalogue, the inventory and the usage of a cluster from texts. Everything but [`files`], [`progress`] and [`cli`]
//! is pure.
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod aws;
pub mod bands;
pub mod catalogue;
pub mod cli;
pub mod compact;
pub mod files;
pub mod history;
pub mod kubernetes;
#[cfg(feature = "live")]
pub mod live;
pub mod output;
pub mod places;
pub mod progress;
pub mod reach;
pub mod report;
pub mod rightsize;
pub mod roles;
pub mod score;
#[cfg(feature = "live")]
pub mod serve;
pub mod store;
