//! The commands: `curfew run`, `curfew sweep`, `curfew audit`, and the subcommands of `kubectl curfew`.
pub mod audit;
pub mod run;
mod startup;
pub mod sweep;
