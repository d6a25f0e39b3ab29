//! `curfew-analytics`: how much power goes unused.
#![forbid(unsafe_code)]

use clap::Parser;
use curfew_core::text::printable;
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    match curfew_analytics::cli::run(curfew_analytics::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Messages quote what is in files.
            let lines: Vec<String> = format!("{error:#}").split('\n').map(printable).collect();
            let _ = writeln!(std::io::stderr(), "error: {}", lines.join("\n"));
            ExitCode::FAILURE
        }
    }
}
