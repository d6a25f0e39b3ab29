//! `kubectl curfew approve | deny | revoke`: creates an AccessDecision.
use crate::{
    context::{CliContext, plain},
    summary,
};
use anyhow::{bail, ensure};
use curfew_api::{
    AccessDecision, ActivationRequest,
    decision::{About, AccessDecisionSpec, RequestRef},
};
use curfew_core::{approval::Verb, digest::Digest};
use kube::{Api, ResourceExt, api::PostParams};
use std::io::{IsTerminal, Write};

/// Approve exactly the terms that you reviewed.
///
/// The digest identifies them: kubectl get areq -o wide shows it, and so does the message of the condition Approved.
/// Without --digest the command prints everything that would be granted and asks for confirmation.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  kubectl curfew approve payments-admin-x7k2p -n payments --digest 7f3a9c21d0b4e6f1a2c85e07b9d34f6082e1c7a5f0936bd84e2a7c19f5d0638b --comment 'go ahead'"
)]
pub struct Approve {
    /// Name of the ActivationRequest.
    name: String,
    /// Digest of the terms that you reviewed: 64 hex digits.
    #[arg(long)]
    digest: Option<Digest>,
    /// Reason for the decision; it becomes part of the audit log.
    #[arg(short, long)]
    comment: Option<String>,
}

/// Arguments of `deny` and `revoke`.
#[derive(clap::Args, Debug)]
pub struct Against {
    /// Name of the ActivationRequest.
    name: String,
    /// Reason for the decision; it becomes part of the audit log.
    #[arg(short, long)]
    comment: Option<String>,
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
    send(me, &request, Verb::Approve, Some(digest), args.comment.clone()).await
}

pub async fn against(me: &CliContext, args: &Against, verb: Verb) -> anyhow::Result<()> {
    let request = find(me, &args.name).await?;
    let digest = request.status.as_ref().and_then(|status| status.digest);
    send(me, &request, verb, digest, args.comment.clone()).await
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

async fn send(
    me: &CliContext,
    request: &ActivationRequest,
    decision: Verb,
    digest: Option<Digest>,
    comment: Option<String>,
) -> anyhow::Result<()> {
    let about = About::ActivationRequest(RequestRef { name: request.name_any(), uid: request.uid() });
    let spec = AccessDecisionSpec { about, digest, decision, comment, decider: Some(me.who().await?) };
    let mut decision = AccessDecision::new("", spec);
    decision.metadata.name = None;
    decision.metadata.generate_name = Some(format!("{}-", request.name_any()));
    let decisions: Api<AccessDecision> = Api::namespaced(me.client.clone(), &me.namespace);
    let created = decisions.create(&PostParams::default(), &decision).await.map_err(plain)?;
    println!("accessdecision.curfew.dev/{} created", created.name_any());
    Ok(())
}
