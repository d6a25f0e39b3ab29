//! `curfew sweep`: ends what is past its deadline, with neither operator nor CRDs.
use crate::{
    authority::Clock,
    identity::NAMESPACE,
    providers::{RevokeOutcome, kubernetes},
    runtime::client,
};
use anyhow::{Context as _, ensure};
use curfew_core::{
    ids,
    sweep::{GrantLookup, SweepCandidate, Verdict, evaluate},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::sync::Arc;

/// Deletes every binding of this install that is past the deadline in its own name, once, and ends.
///
/// It needs the operator neither to run nor to have ever run, and no CRD: install and deadline are read off the name. What is
/// not past its deadline stays, since only a live Grant could tell. deploy/70-sweep.yaml runs it each minute, under a service
/// account of its own. Prints one line of JSON for each binding, and fails if one is left that should be gone.
#[derive(clap::Args, Debug)]
pub struct Sweep {
    /// Only say what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
    /// The install id. Default: as it follows from the uid of namespace curfew-system. On a cluster that Curfew reaches from
    /// outside, give the id of the cluster where it runs: its log names it.
    #[arg(long)]
    pub install: Option<String>,
}

/// Sweeps once.
///
/// # Errors
/// If the cluster cannot be asked, or something past its deadline could not be proven gone.
pub async fn sweep(args: Sweep) -> anyhow::Result<()> {
    let clock = Arc::new(Clock::default());
    let client = client::connect(clock.clone()).await.context("no usable kubeconfig or service account")?;
    let install = match args.install {
        Some(id) => id,
        None => install_id(&client).await?,
    };
    let found = kubernetes::list(&client).await.context("cannot list bindings")?;
    let marks: Vec<SweepCandidate> = found.iter().map(|f| SweepCandidate { mark: f.mark.clone(), created: f.created }).collect();
    // The answer to the list has brought the API server's time, too.
    let verdicts = evaluate(&install, &marks, clock.now(), |_| GrantLookup::Unknown);
    let (mut gone, mut left) = (0, 0);
    for (f, _) in found.iter().zip(verdicts).filter(|(_, v)| *v == Verdict::Overdue) {
        let outcome = match args.dry_run {
            true => "would be deleted".to_owned(),
            false => match kubernetes::remove(&client, f).await {
                Ok(RevokeOutcome::Gone) => {
                    gone += 1;
                    "gone".to_owned()
                }
                Ok(RevokeOutcome::Started(operation)) => {
                    left += 1;
                    format!("being removed by operation {}", operation.id)
                }
                Ok(RevokeOutcome::Remains(what)) => {
                    left += 1;
                    what
                }
                Err(e) => {
                    left += 1;
                    e.to_string()
                }
            },
        };
        println!(
            "{}",
            json!({"kind": f.artifact.kind, "binding": f.artifact.id, "grant": f.mark.grant, "deadline": f.mark.deadline, "outcome": outcome})
        );
    }
    println!("{}", json!({"install": install, "marked": found.len(), "gone": gone, "left": left}));
    ensure!(left == 0, "{left} bindings past their deadline could not be proven gone");
    Ok(())
}

/// The install id follows from the uid of the operator's namespace.
///
/// # Errors
/// If the namespace cannot be read.
pub async fn install_id(client: &Client) -> anyhow::Result<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let home =
        namespaces.get(NAMESPACE).await.with_context(|| format!("cannot read namespace {NAMESPACE}; kubectl apply -f deploy/ makes it"))?;
    Ok(ids::install_id(&home.uid().unwrap_or_default()))
}
