//! `kubectl curfew approve | deny | revoke`
use crate::{
    context::{CliContext, plain},
    summary,
};
use anyhow::{Context as _, bail, ensure};
use curfew_api::{
    AccessDecision, ActivationRequest,
    decision::{About, AccessDecisionSpec, RequestRef},
};
use curfew_core::{approval::Verb, digest::Digest};
use kube::{Api, ResourceExt, api::PostParams};
use std::io::{IsTerminal, Write};

/// Approve exactly what you saw.
///
/// The digest says what that was: kubectl get areq -o wide shows it, and so does the message of the condition Approved.
/// Without --digest everything that would be granted is printed, and you are asked.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  kubectl curfew approve payments-admin-x7k2p -n payments --digest 7f3a9c21d0b4e6f1 --comment 'go ahead'"
)]
pub struct Approve {
    /// The request.
    name: String,
    /// The digest of what you saw: 16 hex digits.
    #[arg(long)]
    digest: Option<Digest>,
    /// Why; it stays as evidence.
    #[arg(short, long)]
    comment: Option<String>,
}

/// What `deny` and `revoke` take.
#[derive(clap::Args, Debug)]
pub struct Against {
    /// The request.
    name: String,
    /// Why; it stays as evidence.
    #[arg(short, long)]
    comment: Option<String>,
}

pub async fn approve(me: &CliContext, a: &Approve) -> anyhow::Result<()> {
    let request = find(me, &a.name).await?;
    let status = request.status.clone().unwrap_or_default();
    let current =
        status.digest.with_context(|| format!("request {} is not resolved yet; look again with kubectl get areq {}", a.name, a.name))?;
    let digest = match a.digest {
        Some(d) => {
            ensure!(
                d == current,
                "digest {d} is not what would be granted now ({current}); look again with kubectl get areq {} -o wide",
                a.name
            );
            d
        }
        None => {
            ensure!(
                std::io::stdin().is_terminal(),
                "without a terminal, say what you saw: --digest {current} (kubectl get areq {} -o yaml shows it all)",
                a.name
            );
            summary::print(&request)?;
            if !confirmed()? {
                bail!("nothing was decided");
            }
            current
        }
    };
    send(me, &request, Verb::Approve, Some(digest), a.comment.clone()).await
}

pub async fn against(me: &CliContext, a: &Against, verb: Verb) -> anyhow::Result<()> {
    let request = find(me, &a.name).await?;
    let digest = request.status.as_ref().and_then(|s| s.digest);
    send(me, &request, verb, digest, a.comment.clone()).await
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
    let mut made = AccessDecision::new("", spec);
    made.metadata.name = None;
    made.metadata.generate_name = Some(format!("{}-", request.name_any()));
    let decisions: Api<AccessDecision> = Api::namespaced(me.client.clone(), &me.namespace);
    let made = decisions.create(&PostParams::default(), &made).await.map_err(plain)?;
    println!("accessdecision.curfew.dev/{} created", made.name_any());
    Ok(())
}
