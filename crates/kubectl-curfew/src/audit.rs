//! `kubectl curfew audit`: the history of a request, from what the cluster shows.
mod history;

use crate::{
    context::{CliContext, plain},
    output::{Cell, Format, Printed, document, is_colourful, put, table},
    read::{self, Gap, rule},
    spec::find,
};
use anyhow::Context as _;
use curfew_api::{AccessDecision, GROUP, Grant};
use history::{Entry, Sources, history};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, ResourceExt, api::ListParams};

/// Show the history of a request, in order of time.
///
/// From its status, the decisions about it, its Grant and Kubernetes Events, as far as you may read them. Events are kept for an hour. The
/// audit log has every record: curfew audit show reads it.
#[derive(clap::Args, Debug)]
#[command(after_help = concat!(
    "Exit codes:\n",
    "  0  everything could be read\n",
    "  1  the request could not be read; the error says why\n",
    "  2  wrong usage\n",
    "  3  something may be missing: you may not read everything\n\n",
    "Example:\n",
    "  kubectl curfew audit payments-admin-x7k2p -n payments"
))]
pub struct Audit {
    /// Name of the ActivationRequest.
    request: String,
    #[command(flatten)]
    printed: Printed,
}

pub async fn run(me: &CliContext, args: &Audit) -> anyhow::Result<u8> {
    let request = find(me, &args.request).await?;
    let mut gaps = Vec::new();
    let about = ListParams::default().fields(&format!("spec.about.activationRequest.name={}", request.name_any()));
    let mut take = |found: read::Known<Vec<AccessDecision>>| found.map_err(|gap| gaps.push(gap)).unwrap_or_default();
    let decisions = take(read::within(me, &me.namespace, &about).await?);
    let grant = match request.status.as_ref().and_then(|status| status.grant_ref.as_ref()) {
        None => None,
        Some(reference) => grant(me, &reference.name, &mut gaps).await?,
    };
    let mut events = events(me, &me.namespace, &request.uid().unwrap_or_default(), &mut gaps).await?;
    if let Some(grant) = &grant {
        events.extend(self::events(me, "default", &grant.uid().unwrap_or_default(), &mut gaps).await?);
    }
    let entries = history(&Sources { request: &request, decisions: &decisions, grant: grant.as_ref(), events: &events });
    match args.printed.output {
        format @ (Format::Json | Format::Yaml) => put(document(&entries, format)?)?,
        Format::Table | Format::Wide | Format::Name => put(text(&entries))?,
    }
    Ok(read::report(&gaps))
}

/// A Grant, if it is there and may be read.
async fn grant(me: &CliContext, name: &str, gaps: &mut Vec<Gap>) -> anyhow::Result<Option<Grant>> {
    match Api::<Grant>::all(me.client.clone()).get_opt(name).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            gaps.push(Gap { what: format!("Grant {name}"), why: rule(GROUP, "grants", "get", None) });
            Ok(None)
        }
        found => found.map_err(plain).with_context(|| format!("cannot read Grant {name}")),
    }
}

/// The Events about an object.
async fn events(me: &CliContext, namespace: &str, uid: &str, gaps: &mut Vec<Gap>) -> anyhow::Result<Vec<Event>> {
    let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    Ok(read::within::<Event>(me, namespace, &about).await?.unwrap_or_else(|gap| {
        gaps.push(gap);
        Vec::new()
    }))
}

fn text(entries: &[Entry]) -> String {
    let mut rows: Vec<Vec<Cell>> = vec![["TIME", "SOURCE", "WHAT", "BY", "DETAIL"].map(Cell::from).to_vec()];
    for entry in entries {
        let time = entry.at.map_or_else(|| "?".to_owned(), |at| at.floor_secs().to_string());
        rows.push(vec![time.into(), entry.source.into(), entry.what.clone().into(), entry.by.clone().into(), entry.detail.clone().into()]);
    }
    table(&rows, is_colourful())
}
