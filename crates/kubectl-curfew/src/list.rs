//! `kubectl curfew list`
use crate::context::{CliContext, plain};
use curfew_api::{ActivationRequest, request::RequestState};
use kube::{Api, ResourceExt, api::ListParams};

/// List requests: who has what, who waits for whom. Those that are over are left out.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  kubectl curfew list -A --ended")]
pub struct List {
    /// Of every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Those that are over, too.
    #[arg(long)]
    ended: bool,
}

pub async fn run(me: &CliContext, l: &List) -> anyhow::Result<()> {
    let requests: Api<ActivationRequest> =
        if l.all_namespaces { Api::all(me.client.clone()) } else { Api::namespaced(me.client.clone(), &me.namespace) };
    let found = requests.list(&ListParams::default()).await.map_err(plain)?;
    let mut rows = vec![["NAMESPACE", "NAME", "REQUESTER", "ROLE", "STATE", "WAITING-FOR", "EXPIRES", "DIGEST"].map(str::to_owned)];
    for r in found.items {
        let status = r.status.clone().unwrap_or_default();
        let state = status.state.unwrap_or(RequestState::Pending);
        if state.outcome().is_some() && !l.ended {
            continue;
        }
        rows.push([
            r.namespace().unwrap_or_default(),
            r.name_any(),
            r.spec.requester.as_ref().map(|p| p.username.clone()).unwrap_or_default(),
            r.spec.role_ref.name.clone(),
            format!("{state:?}"),
            status.waiting_for.unwrap_or_default(),
            status.display.and_then(|d| d.expires).unwrap_or_default(),
            status.digest.map(|d| d.to_string()).unwrap_or_default(),
        ]);
    }
    if rows.len() == 1 {
        eprintln!("no requests{}", if l.ended { "" } else { " under way; --ended shows those that are over" });
        return Ok(());
    }
    print!("{}", table(&rows));
    Ok(())
}

/// Columns as kubectl prints them, three spaces apart.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |r: &[String; N]| {
        let cells: Vec<String> = r.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        format!("{}\n", cells.join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["A", "LONGER"].map(str::to_owned), ["wide", ""].map(str::to_owned)];
        assert_eq!(table(&rows), "A      LONGER\nwide\n");
    }
}
