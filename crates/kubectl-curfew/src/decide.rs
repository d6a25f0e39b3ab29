//! `kubectl curfew approve | deny | revoke`: creates an AccessDecision, and says whether it counts.
use crate::{
    context::{CliContext, plain},
    summary,
};
use anyhow::{bail, ensure};
use curfew_api::{
    AccessDecision, ActivationRequest, conditions,
    decision::{About, AccessDecisionSpec, RequestRef},
    schema,
};
use curfew_core::{approval::Verb, digest::Digest, duration::Duration, text::printable};
use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use std::{
    fmt,
    io::{IsTerminal, Write},
    pin::pin,
};

/// The help of a command that decides: its example, and what its exit codes mean.
macro_rules! with_exit_codes {
    ($example:literal) => {
        concat!(
            "Exit codes:\n",
            "  0  the decision counts\n",
            "  1  it does not count, or could not be created; the error says why\n",
            "  2  wrong usage\n",
            "  3  it was created, and within --timeout it is not known whether it counts\n\n",
            $example
        )
    };
}
pub(crate) use with_exit_codes;

/// Approve exactly the terms that you reviewed.
///
/// The digest identifies them: kubectl get areq -o wide shows it, and so does the message of the condition Approved.
/// Without --digest the command prints everything that would be granted and asks for confirmation.
/// It waits until the approval counts or does not, and says why.
#[derive(clap::Args, Debug)]
#[command(
    after_help = with_exit_codes!("Example:\n  kubectl curfew approve payments-admin-x7k2p -n payments --digest 7f3a9c21d0b4e6f1a2c85e07b9d34f6082e1c7a5f0936bd84e2a7c19f5d0638b --comment 'go ahead'")
)]
pub struct Approve {
    /// Name of the ActivationRequest.
    name: String,
    /// Digest of the terms that you reviewed: 64 hex digits.
    #[arg(long)]
    digest: Option<Digest>,
    #[command(flatten)]
    common: Common,
}

/// What all decisions have.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// Reason for the decision; it becomes part of the audit log.
    #[arg(short, long)]
    comment: Option<String>,
    /// How long to wait until the decision counts or does not.
    #[arg(long, default_value = "30s")]
    timeout: Duration,
}

/// Arguments of `deny` and `revoke`.
#[derive(clap::Args, Debug)]
pub struct Against {
    /// Name of the ActivationRequest.
    name: String,
    #[command(flatten)]
    common: Common,
}

pub async fn approve(me: &CliContext, args: &Approve) -> anyhow::Result<()> {
    let request = find(me, &args.name).await?;
    let status = request.status.clone().unwrap_or_default();
    let look = format!("kubectl get areq -n {} {}", me.namespace, args.name);
    let Some(current) = status.digest else {
        let told = status.message.unwrap_or_else(|| format!("the operator has not looked at it yet; check it with {look}"));
        bail!("request {} cannot be approved: {told}", args.name);
    };
    let digest = match args.digest {
        Some(digest) => {
            ensure!(
                digest == current,
                "digest {digest} does not match what would be granted now ({current}); review it with {look} -o wide"
            );
            digest
        }
        None => {
            ensure!(
                std::io::stdin().is_terminal(),
                "without a terminal, confirm what you reviewed with --digest {current} ({look} -o yaml shows everything)"
            );
            summary::print(&request)?;
            if !confirmed()? {
                bail!("cancelled; no decision was created");
            }
            current
        }
    };
    send(me, &request, Verb::Approve, Some(digest), &args.common).await
}

pub async fn against(me: &CliContext, args: &Against, verb: Verb) -> anyhow::Result<()> {
    let request = find(me, &args.name).await?;
    let digest = request.status.as_ref().and_then(|status| status.digest);
    send(me, &request, verb, digest, &args.common).await
}

async fn find(me: &CliContext, name: &str) -> anyhow::Result<ActivationRequest> {
    let requests: Api<ActivationRequest> = Api::namespaced(me.client.clone(), &me.namespace);
    requests.get(name).await.map_err(plain)
}

fn confirmed() -> anyhow::Result<bool> {
    eprint!("Approve this? [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Creates the decision, and waits until it counts or does not.
async fn send(me: &CliContext, request: &ActivationRequest, decision: Verb, digest: Option<Digest>, common: &Common) -> anyhow::Result<()> {
    let about = About::ActivationRequest(RequestRef { name: request.name_any(), uid: request.uid() });
    let decisions: Api<AccessDecision> = Api::namespaced(me.client.clone(), &me.namespace);
    let make = |decider| {
        let spec = AccessDecisionSpec { about: about.clone(), digest, decision, comment: common.comment.clone(), decider };
        let mut decision = AccessDecision::new("", spec);
        decision.metadata.name = None;
        decision.metadata.generate_name = Some(format!("{}-", request.name_any()));
        decision
    };
    let name = me.create(&decisions, schema::NO_DECIDER, make).await?.name_any();
    println!("accessdecision.curfew.dev/{name} created");
    let limit = std::time::Duration::from_secs(common.timeout.secs().unsigned_abs());
    let mut waits_for = None;
    match tokio::time::timeout(limit, verdict(decisions, &name, &mut waits_for)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(NoVerdict { name, namespace: me.namespace.clone(), after: common.timeout.to_string(), waits_for }.into()),
    }
}

/// It was not known in time whether the decision counts.
#[derive(Debug)]
pub struct NoVerdict {
    name: String,
    namespace: String,
    after: String,
    waits_for: Option<String>,
}

impl fmt::Display for NoVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoVerdict { name, namespace, after, waits_for } = self;
        let why = waits_for.as_deref().unwrap_or("the operator has not judged it; it may not be running, or wait for an admission proof");
        write!(f, "after {after} it is not known whether the decision counts: {why}; kubectl get adec -n {namespace} {name} shows it")
    }
}

impl std::error::Error for NoVerdict {}

/// Waits until the decision counts, and prints that. Fails if it does not count, with why.
async fn verdict(decisions: Api<AccessDecision>, name: &str, waits_for: &mut Option<String>) -> anyhow::Result<()> {
    let mut changes = pin!(watch_object(decisions, name).default_backoff());
    while let Some(change) = changes.next().await {
        let change = match change {
            Ok(change) => change,
            // The watch is begun again, with a pause.
            Err(error) => {
                *waits_for = Some(format!("the decision cannot be watched: {}", printable(&error.to_string())));
                continue;
            }
        };
        *waits_for = None;
        let Some(decision) = change else { bail!("decision {name} was deleted before it was judged") };
        let status = decision.status.unwrap_or_default();
        let Some(counted) = conditions::find(&status.conditions, "Counted") else { continue };
        let message = printable(&counted.message);
        match counted.status.as_str() {
            "True" => {
                println!("{message}");
                return Ok(());
            }
            "False" => bail!("the decision does not count ({}): {message}", counted.reason),
            _ => *waits_for = Some(message),
        }
    }
    bail!("cannot watch decision {name}; kubectl get adec shows whether it counts")
}
