//! `kubectl curfew list`: prints ActivationRequests as a table.
use crate::context::{CliContext, plain};
use curfew_api::{ActivationRequest, request::RequestState};
use curfew_core::text::printable;
use kube::{Api, ResourceExt, api::ListParams};

/// List requests, their state and the approval that they wait for. Ended requests are left out.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  kubectl curfew list -A --ended")]
pub struct List {
    /// List the requests of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Include requests that have ended.
    #[arg(long)]
    ended: bool,
}

pub async fn run(me: &CliContext, args: &List) -> anyhow::Result<()> {
    let requests: Api<ActivationRequest> =
        if args.all_namespaces { Api::all(me.client.clone()) } else { Api::namespaced(me.client.clone(), &me.namespace) };
    let found = requests.list(&ListParams::default()).await.map_err(plain)?;
    let mut rows = vec![["NAMESPACE", "NAME", "REQUESTER", "ROLE", "STATE", "WAITING-FOR", "EXPIRES", "DIGEST"].map(str::to_owned)];
    for request in found.items {
        let status = request.status.clone().unwrap_or_default();
        let state = status.state.unwrap_or(RequestState::Pending);
        if state.outcome().is_some() && !args.ended {
            continue;
        }
        rows.push([
            request.namespace().unwrap_or_default(),
            request.name_any(),
            request.spec.requester.as_ref().map(|user| user.username.clone()).unwrap_or_default(),
            request.spec.role_ref.name.clone(),
            format!("{state:?}"),
            status.waiting_for.unwrap_or_default(),
            status.display.and_then(|display| display.expires).unwrap_or_default(),
            status.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        ]);
    }
    if rows.len() == 1 {
        eprintln!("{}", if args.ended { "no requests" } else { "no open requests; --ended includes those that have ended" });
        return Ok(());
    }
    print!("{}", table(&rows));
    Ok(())
}

/// Formats columns as kubectl does, three spaces apart. Every cell is escaped.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["A", "LONGER"].map(str::to_owned), ["wide", ""].map(str::to_owned)];
        assert_eq!(table(&rows), "A      LONGER\nwide\n");
        let hostile = [["A", "B"].map(str::to_owned), ["a\u{1b}[2J", "b\nc"].map(str::to_owned)];
        assert_eq!(table(&hostile), "A            B\na\\u{1b}[2J   b\\nc\n");
    }
}
