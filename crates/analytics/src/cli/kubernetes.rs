//! The files of a cluster: RBAC, discovery and audit logs.
use super::{Analyze, known, listed, now, tell, until};
use crate::{
    files::{self, Found, Problems},
    history::Window,
    kubernetes::{
        analysis::analyse,
        dump::Dump,
        event::{Event, Line, parse},
        inventory::{Exclusions, Inventory},
        kinds::Discovery,
        permissions::Permissions,
        usage::Usage,
    },
    progress::Progress,
    report::{InputSummary, Report},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// How many names of unknown versions are kept apart.
const MAX_VERSIONS: usize = 100;

/// The files of a cluster.
#[derive(Args, Debug)]
#[command(next_help_heading = "Kubernetes")]
pub(super) struct KubernetesFiles {
    /// What kubectl printed of roles, bindings, service accounts and namespaces (see the examples); plain or gzip.
    #[arg(long, value_name = "FILE", requires = "audit_log")]
    pub kubernetes_rbac: Option<PathBuf>,
    /// An audit log, or a directory of audit logs. Repeat it for more.
    #[arg(long, value_name = "PATH", requires = "kubernetes_rbac")]
    pub audit_log: Vec<PathBuf>,
    /// Discovery documents of the cluster.
    #[arg(long, value_name = "FILE", requires = "kubernetes_rbac")]
    pub discovery: Option<PathBuf>,
}

/// Analyses a cluster.
pub(super) fn analyze(args: &Analyze, rbac: &Path) -> Result<Report> {
    let dump = Dump::parse(&files::text(rbac)?).with_context(|| format!("{} is not usable", rbac.display()))?;
    let discovery = args.kubernetes.discovery.as_deref().map(discovery).transpose()?;
    let logs = files::find(&args.kubernetes.audit_log)?;
    let permissions = Permissions::build(discovery, &dump);
    let mut usage = Usage::new(&permissions, &dump.namespaces, args.until.map_or_else(now, Timestamp::as_second));
    let mut problems = Problems::default();
    dump.broken.iter().for_each(|why| problems.add(rbac, None, format!("left out: {why}")));
    let input = read(&logs, problems, |event| usage.record(event));
    if usage.counts.events == 0 {
        tell(&input);
        let logs = listed(&args.kubernetes.audit_log);
        bail!("no event of audit.k8s.io/v1 in {logs}; give the API server's audit logs, written as JSON");
    }
    let window = Window::ending(until(args, usage.newest), args.window.secs());
    let exclusions = Exclusions {
        from_pci: args.exclude_from_pci.iter().cloned().collect(),
        from_reports: args.exclude_from_reports.iter().cloned().collect(),
    };
    let inventory = Inventory::build(&dump, &permissions, &usage, window, &exclusions);
    known(args, |name| inventory.identities.keys().any(|key| key.name == name))?;
    Ok(Report { name: args.system_name.clone(), ..analyse(&inventory, &usage, window, input) })
}

pub(super) fn discovery(path: &Path) -> Result<Discovery> {
    Discovery::parse(&files::text(path)?).with_context(|| format!("{} is not usable", path.display()))
}

/// Streams the events of every log.
pub(super) fn read(logs: &[Found], mut problems: Problems, mut each: impl FnMut(&Event)) -> InputSummary {
    let (mut input, mut versions) = (InputSummary { files: logs.len() as u64, ..InputSummary::default() }, BTreeMap::new());
    let mut progress = Progress::new("reading audit logs", logs.iter().map(|log| log.size).sum());
    for log in logs {
        input.lines += files::lines(
            &log.path,
            &mut problems,
            |bytes| progress.add(bytes),
            |problems, number, line| match parse(line) {
                Line::Empty => {}
                Line::Events { events, broken } => {
                    events.iter().for_each(&mut each);
                    if let Some(broken) = broken {
                        problems.count += broken.count - 1;
                        problems.add(&log.path, Some(number), format!("not an audit event: {}", broken.first));
                    }
                }
                Line::Unknown(name) => {
                    let name = curfew_core::text::brief(&name);
                    let full = versions.len() >= MAX_VERSIONS && !versions.contains_key(&name);
                    *versions.entry(if full { "others".to_owned() } else { name }).or_default() += 1;
                }
                Line::Broken(why) => problems.add(&log.path, Some(number), format!("not an audit event: {why}")),
            },
        );
    }
    progress.end();
    input.unknown_versions = versions;
    (input.problem_count, input.problems) = (problems.count, problems.first);
    input
}
