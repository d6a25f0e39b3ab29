//! `curfew`: the operator and its tools.
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use curfew::{cli, generate};
use std::{path::PathBuf, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// The allocator of musl, with which releases are linked, keeps three times as much memory as is used, and serves one thread at a time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Just-in-time privileged access for Kubernetes: every access ends at its deadline.
#[derive(Parser, Debug)]
#[command(version)]
struct Curfew {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Run(cli::run::Run),
    Sweep(cli::sweep::Sweep),
    Audit(cli::audit::Audit),
    LiveGrants(cli::live_grants::LiveGrants),
    /// Write the CRDs, admission policies, RBAC and workloads to crds/, deploy/ and charts/curfew/ below a directory.
    Generate {
        /// Root of the source tree.
        #[arg(default_value = ".")]
        root: PathBuf,
        /// Write nothing; fail and list the files that differ from the generated content.
        #[arg(long)]
        check: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider is already installed");
    }
    let outcome = match Curfew::parse().verb {
        Verb::Run(args) => cli::run::run(args).await,
        Verb::Audit(args) => cli::audit::audit(args).await,
        Verb::Sweep(args) => cli::sweep::sweep(args).await,
        Verb::LiveGrants(args) => cli::live_grants::live_grants(args).await,
        Verb::Generate { root, check } => write_or_check(&root, check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("curfew: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_or_check(root: &std::path::Path, check: bool) -> anyhow::Result<()> {
    if check {
        let outdated = generate::drift(root);
        anyhow::ensure!(outdated.is_empty(), "these files differ from the generated content: {outdated:?}; run make generate");
        return Ok(());
    }
    for path in generate::write(root)? {
        println!("wrote {}", path.display());
    }
    Ok(())
}

#[cfg(test)]
#[path = "../crates/core/tests/snapshot/mod.rs"]
mod snapshot;

#[cfg(test)]
#[path = "../tests/docs/fences.rs"]
mod fences;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::fmt::Write;

    #[test]
    fn the_help_is_as_reviewed() {
        let mut all = String::new();
        let mut command = Curfew::command().term_width(120);
        command.build();
        let _ = writeln!(all, "$ curfew --help\n{}", command.render_long_help());
        for subcommand in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
            let name = subcommand.get_name().to_owned();
            let _ = writeln!(all, "$ curfew {name} --help\n{}", subcommand.render_long_help());
            for nested in subcommand.get_subcommands_mut().filter(|c| c.get_name() != "help") {
                let nested_name = nested.get_name().to_owned();
                let _ = writeln!(all, "$ curfew {name} {nested_name} --help\n{}", nested.render_long_help());
            }
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
        super::snapshot::assert_stored(&path, &all, "cargo test --bin curfew");
    }

    #[test]
    fn the_program_accepts_its_commands_in_the_docs() {
        let scratch = std::env::temp_dir().join(format!("curfew-docs-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let calls: Vec<_> = super::fences::commands(root, &scratch).into_iter().filter(|c| c.program == "curfew").collect();
        std::fs::remove_dir_all(&scratch).unwrap();
        assert!(calls.len() > 1, "docs/howto/audit.md has commands of curfew");
        for call in calls {
            let parsed = Curfew::try_parse_from(std::iter::once("curfew").chain(call.arguments.iter().map(String::as_str)));
            assert!(parsed.is_ok(), "{}: {}", call.line(), parsed.err().map(|e| e.to_string()).unwrap_or_default());
        }
    }
}
