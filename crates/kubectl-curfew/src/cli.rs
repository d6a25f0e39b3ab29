//! `kubectl curfew`: creates and reads the same objects as plain kubectl, with the rights of the user's kubeconfig.

use crate::{
    analytics, assignment, audit, completion,
    context::{CliContext, Connection},
    decide,
    decide::with_exit_codes,
    doctor, explain, extend, init, list,
    output::put,
    request, stamp, whoami,
};
use clap::{CommandFactory, Parser, Subcommand};
use curfew_core::approval::Verb as Decision;

/// Request access, decide on requests, and end access.
///
/// Plain kubectl can do the same: a request is an ActivationRequest, a decision is an AccessDecision. Every command uses your own rights,
/// and says which RBAC rule is missing where they do not suffice.
#[derive(Parser, Debug)]
#[command(name = "kubectl curfew", bin_name = "kubectl curfew", version)]
pub struct Plugin {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Request(Box<request::Ask>),
    Approve(decide::Approve),
    /// Deny requests, as an approver or manager. An access that is already active ends.
    #[command(
        after_help = with_exit_codes!("Example:\n  kubectl curfew deny payments-admin-x7k2p -n payments --comment 'not during the freeze'")
    )]
    Deny(decide::Against),
    /// End access as an approver or manager, or withdraw your own requests or access.
    #[command(after_help = with_exit_codes!("Example:\n  kubectl curfew revoke payments-admin-x7k2p -n payments --comment done"))]
    Revoke(decide::Against),
    Review(decide::Review),
    Extend(extend::Extend),
    Assignment(assignment::Assignment),
    List(list::List),
    Explain(Box<explain::Explain>),
    Audit(audit::Audit),
    Whoami(whoami::Whoami),
    Stamp(stamp::Stamp),
    Pci(analytics::Pci),
    Identity(analytics::Identity),
    Unused(analytics::Unused),
    Findings(analytics::Findings),
    History(analytics::History),
    Usage(analytics::Usage),
    Rightsize(analytics::Rightsize),
    Doctor(doctor::Doctor),
    Init(init::Init),
    Completion(completion::Completion),
    /// Completes a command line, as kubectl asks for it.
    #[command(name = "__complete", hide = true)]
    Complete(completion::Complete),
}

/// Runs one subcommand, and returns its exit code.
///
/// # Errors
/// If the kubeconfig is not usable, the input is invalid, or the API server refuses the call.
pub async fn run(plugin: Plugin) -> anyhow::Result<u8> {
    let connection = &plugin.connection;
    match &plugin.verb {
        Verb::Init(init) => {
            put(init::yaml(init, connection.namespace.as_deref())?)?;
            return Ok(0);
        }
        Verb::Completion(args) => return completion::print(args, Plugin::command()),
        Verb::Complete(args) => return completion::complete(args, &Plugin::command()).await,
        _ => {}
    }
    let me = CliContext::connect(connection).await?;
    match plugin.verb {
        Verb::Request(args) => request::run(&me, &args).await,
        Verb::Approve(args) => decide::approve(&me, &args).await,
        Verb::Deny(args) => decide::against(&me, &args, Decision::Deny).await,
        Verb::Revoke(args) => decide::against(&me, &args, Decision::Revoke).await,
        Verb::Review(args) => decide::review(&me, &args).await,
        Verb::Extend(args) => extend::run(&me, &args).await,
        Verb::Assignment(args) => assignment::run(&me, &args).await,
        Verb::List(args) => list::run(&me, &args).await,
        Verb::Explain(args) => explain::run(&me, &args).await,
        Verb::Audit(args) => audit::run(&me, &args).await,
        Verb::Whoami(_) => whoami::run(&me).await,
        Verb::Stamp(args) => stamp::run(&me, &args).await,
        Verb::Pci(args) => analytics::pci(&me, &args).await,
        Verb::Identity(args) => analytics::identity(&me, &args).await,
        Verb::Unused(args) => analytics::unused(&me, &args).await,
        Verb::Findings(args) => analytics::findings(&me, &args).await,
        Verb::History(args) => analytics::history(&me, &args).await,
        Verb::Usage(args) => analytics::usage(&me, &args).await,
        Verb::Rightsize(args) => analytics::rightsize(&me, &args).await,
        Verb::Doctor(args) => doctor::run(&me, &args).await,
        // Done above, without a cluster.
        Verb::Init(_) | Verb::Completion(_) | Verb::Complete(_) => Ok(0),
    }
}
