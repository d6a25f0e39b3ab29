//! `kubectl curfew`: ask for access, decide on it, give it back.
#![forbid(unsafe_code)]

use clap::Parser;
use curfew::cli::plugin;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let plugin = plugin::Plugin::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kubectl curfew: a crypto provider is installed already");
    }
    match plugin::run(plugin).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
