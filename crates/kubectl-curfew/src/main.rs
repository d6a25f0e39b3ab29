//! `kubectl curfew`: request access, decide on requests, and end access.
#![forbid(unsafe_code)]

mod ask;
mod cli;
mod context;
mod decide;
mod init;
mod list;
mod summary;

use clap::Parser;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let plugin = cli::Plugin::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kubectl curfew: a crypto provider is already installed");
    }
    match cli::run(plugin).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
