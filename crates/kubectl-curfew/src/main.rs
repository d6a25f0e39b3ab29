//! `kubectl curfew`: request access, decide on requests, and end access.
#![forbid(unsafe_code)]

mod ask;
mod cli;
mod context;
mod decide;
mod init;
mod list;
mod summary;
mod whoami;

use clap::Parser;
use curfew_core::text::printable;
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
            // Messages of the server quote what people wrote.
            let lines: Vec<String> = format!("{error:#}").split('\n').map(printable).collect();
            eprintln!("error: {}", lines.join("\n"));
            if error.is::<decide::NoVerdict>() { ExitCode::from(3) } else { ExitCode::FAILURE }
        }
    }
}
