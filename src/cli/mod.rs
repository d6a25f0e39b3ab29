//! The commands: `curfew run`, `curfew sweep`, `curfew audit`, and the subcommands of `kubectl curfew`.
pub mod audit;
mod revoke_only;
pub mod run;
mod startup;
pub mod sweep;
