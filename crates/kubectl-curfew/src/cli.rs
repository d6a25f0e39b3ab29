//! `kubectl curfew`: thin, over the same API as `kubectl apply`. It holds no rights of its own.

use crate::{ask, context::CliContext, decide, init, list};
use clap::{Parser, Subcommand};

/// Ask for access, decide on it, give it back.
///
/// Everything here can be done with plain kubectl, too: a request is an ActivationRequest, a decision an AccessDecision.
#[derive(Parser, Debug)]
#[command(name = "kubectl curfew", bin_name = "kubectl curfew", version)]
pub struct Plugin {
    /// The namespace of the role. Default: the one of your kubeconfig's context.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Request(ask::Ask),
    Approve(decide::Approve),
    /// Say no to a request, as an approver or manager. It ends the access, too, if there is one already.
    #[command(after_help = "Example:\n  kubectl curfew deny payments-admin-x7k2p -n payments --comment 'not during the freeze'")]
    Deny(decide::Against),
    /// End an access, or take back or give back what you asked for yourself.
    #[command(after_help = "Example:\n  kubectl curfew revoke payments-admin-x7k2p -n payments --comment done")]
    Revoke(decide::Against),
    List(list::List),
    Init(init::Init),
}

/// Runs one verb.
///
/// # Errors
/// What the API server or the input refuses, in words.
pub async fn run(plugin: Plugin) -> anyhow::Result<()> {
    if let Verb::Init(init) = &plugin.verb {
        print!("{}", init::yaml(init, plugin.namespace.as_deref())?);
        return Ok(());
    }
    let me = CliContext::connect(plugin.namespace).await?;
    match plugin.verb {
        Verb::Request(ask) => ask::run(&me, &ask).await,
        Verb::Approve(a) => decide::approve(&me, &a).await,
        Verb::Deny(a) => decide::against(&me, &a, curfew_core::approval::Verb::Deny).await,
        Verb::Revoke(a) => decide::against(&me, &a, curfew_core::approval::Verb::Revoke).await,
        Verb::List(l) => list::run(&me, &l).await,
        Verb::Init(_) => Ok(()),
    }
}
