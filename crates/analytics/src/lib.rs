//! How much power goes unused: inventory, usage, findings and the Permission Creep Index.
//!
//! The definition of the score is PCI-1 (docs/pci.md). [`score`], [`aggregate`], [`bands`] and [`history`] implement it for any provider;
//! [`kubernetes`] builds the catalogue, the inventory and the usage of a cluster from texts. Everything but [`files`], [`progress`], [`cli`] and
//! the opening of log files in [`aws::cloudtrail`] is pure.
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod assemble;
pub mod aws;
pub mod bands;
pub mod catalogue;
pub mod cli;
pub mod compact;
pub mod details;
pub mod embedded;
pub mod files;
pub mod history;
pub mod kubernetes;
#[cfg(feature = "live")]
pub mod live;
pub mod names;
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
