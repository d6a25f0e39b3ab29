//! The operator's command line: one file for each verb.
pub mod run;
