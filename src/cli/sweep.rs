//! `curfew sweep`: ends access past its deadline. It needs neither the operator nor the CRDs.
use crate::timing::timing;
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

/// Delete every binding of this install whose deadline has passed, once, and exit.
///
/// Install id and deadline are part of the name of a binding, so the command needs neither a running operator nor the CRDs. It
/// keeps bindings before their deadline, since only a Grant could show that they are not needed. deploy/70-sweep.yaml runs it
/// every minute under its own service account. Prints one line of JSON for each overdue binding, and fails if one is left.
#[derive(clap::Args, Debug)]
pub struct Sweep {
    /// Only print what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
    /// Install id. Default: derived from the uid of namespace curfew-system. On a remote cluster, pass the id of the cluster where
    /// the operator runs; its log contains it as `install`.
    #[arg(long)]
    pub install: Option<String>,
}

/// Runs `curfew sweep`.
///
/// # Errors
/// If the bindings cannot be listed, or an overdue binding is not proven to be deleted.
pub async fn sweep(args: Sweep) -> anyhow::Result<()> {
    let clock = Arc::new(Clock::default());
    let client = client::connect(clock.clone(), Arc::default()).await.context("no usable kubeconfig or service account")?;
    let install = match args.install {
        Some(id) => id,
        None => install_id(&client).await?,
    };
    let found = kubernetes::list(&client).await.context("cannot list bindings")?;
    let marks: Vec<SweepCandidate> =
        found.iter().map(|binding| SweepCandidate { mark: binding.mark.clone(), created: binding.created }).collect();
    // The answer to the list has brought the API server's time, too.
    let verdicts = evaluate(&install, &marks, clock.now(), timing().orphan_settles_secs, |_| GrantLookup::Unknown);
    let (mut gone, mut left) = (0, 0);
    for (binding, _) in found.iter().zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::Overdue) {
        let outcome = match args.dry_run {
            true => "would be deleted".to_owned(),
            false => match kubernetes::remove(&client, binding).await {
                Ok(RevokeOutcome::Gone) => {
                    gone += 1;
                    "gone".to_owned()
                }
                Ok(RevokeOutcome::Disarmed(what)) => {
                    gone += 1;
                    what
                }
                Ok(RevokeOutcome::Started(operation)) => {
                    left += 1;
                    format!("being removed by operation {}", operation.id)
                }
                Ok(RevokeOutcome::Remains(remaining)) => {
                    left += 1;
                    remaining
                }
                Err(e) => {
                    left += 1;
                    e.to_string()
                }
            },
        };
        println!(
            "{}",
            json!({"kind": binding.artifact.kind, "binding": binding.artifact.id, "grant": binding.mark.grant, "deadline": binding.mark.deadline, "outcome": outcome})
        );
    }
    println!("{}", json!({"install": install, "marked": found.len(), "gone": gone, "left": left}));
    ensure!(left == 0, "{left} bindings past their deadline are not proven to be deleted");
    Ok(())
}

/// Derives the install id from the uid of the operator's namespace.
///
/// # Errors
/// If the namespace cannot be read.
pub async fn install_id(client: &Client) -> anyhow::Result<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces
        .get(NAMESPACE)
        .await
        .with_context(|| format!("cannot read namespace {NAMESPACE}; kubectl apply -f deploy/ creates it"))?;
    Ok(ids::install_id(&namespace.uid().unwrap_or_default()))
}
