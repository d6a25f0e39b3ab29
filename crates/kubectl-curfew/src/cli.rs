//! `kubectl curfew`: creates and reads the same objects as plain kubectl, with the rights of the user's kubeconfig.

use crate::{ask, context::CliContext, decide, decide::with_exit_codes, init, list, whoami};
use clap::{Parser, Subcommand};

/// Request access, decide on requests, and end access.
///
/// Plain kubectl can do the same: a request is an ActivationRequest, a decision is an AccessDecision.
#[derive(Parser, Debug)]
#[command(name = "kubectl curfew", bin_name = "kubectl curfew", version)]
pub struct Plugin {
    /// Namespace of the role. Default: the namespace of the current kubeconfig context.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Request(ask::Ask),
    Approve(decide::Approve),
    /// Deny a request, as an approver or manager. If the access is already active, it ends.
    #[command(
        after_help = with_exit_codes!("Example:\n  kubectl curfew deny payments-admin-x7k2p -n payments --comment 'not during the freeze'")
    )]
    Deny(decide::Against),
    /// End an access as an approver or manager, or withdraw your own request or access.
    #[command(after_help = with_exit_codes!("Example:\n  kubectl curfew revoke payments-admin-x7k2p -n payments --comment done"))]
    Revoke(decide::Against),
    List(list::List),
    Whoami(whoami::Whoami),
    Init(init::Init),
}

/// Runs one subcommand.
///
/// # Errors
/// If the kubeconfig is not usable, the input is invalid, or the API server refuses the call.
pub async fn run(plugin: Plugin) -> anyhow::Result<()> {
    if let Verb::Init(init) = &plugin.verb {
        print!("{}", init::yaml(init, plugin.namespace.as_deref())?);
        return Ok(());
    }
    let me = CliContext::connect(plugin.namespace).await?;
    match plugin.verb {
        Verb::Request(args) => ask::run(&me, &args).await,
        Verb::Approve(args) => decide::approve(&me, &args).await,
        Verb::Deny(args) => decide::against(&me, &args, curfew_core::approval::Verb::Deny).await,
        Verb::Revoke(args) => decide::against(&me, &args, curfew_core::approval::Verb::Revoke).await,
        Verb::List(args) => list::run(&me, &args).await,
        Verb::Whoami(_) => whoami::run(&me).await,
        Verb::Init(_) => Ok(()),
    }
}
