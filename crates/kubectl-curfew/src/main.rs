//! `kubectl curfew`: request access, decide on requests, end access, and say why something is or is not possible.
#![forbid(unsafe_code)]

mod analytics;
mod assignment;
mod audit;
mod cli;
mod comment;
mod completion;
mod context;
mod decide;
mod doctor;
mod explain;
mod extend;
mod follow;
mod init;
mod list;
mod output;
mod read;
mod request;
mod spec;
mod stamp;
mod subject;
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
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Messages of the server quote what people wrote.
            let lines: Vec<String> = format!("{error:#}").split('\n').map(printable).collect();
            eprintln!("error: {}", lines.join("\n"));
            ExitCode::FAILURE
        }
    }
}
