//! What people start: the operator, the sweep, the reader of evidence, and the verbs of `kubectl curfew`.
pub mod audit;
pub mod run;
pub mod sweep;
