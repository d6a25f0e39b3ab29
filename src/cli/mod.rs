//! The commands: `curfew run`, `curfew sweep`, `curfew audit`, `curfew live-grants`, and the subcommands of `kubectl curfew`.
pub mod audit;
pub mod live_grants;
mod revoke_only;
pub mod run;
mod startup;
pub mod sweep;
