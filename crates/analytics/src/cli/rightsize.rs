//! `curfew-analytics rightsize`: proposes the least role for an identity, from files.
use super::{
    aws::{self, read_input, read_logs},
    kubernetes::{self, discovery, read},
    listed, now, tell, write,
};
use crate::{
    aws::{
        catalogue::Actions,
        inventory::{Exclusions as AwsExclusions, Inventory as AwsInventory},
        spaces::Spaces,
    },
    files::{self, Problems},
    history::Window,
    kubernetes::{
        dump::Dump,
        inventory::{Exclusions, Inventory},
        permissions::Permissions,
        usage::Usage,
    },
    output::rightsize::{aws_table, table},
    rightsize::{
        aws::{self as least_policy, document::Wildcards},
        kubernetes::{
            NoProposal, Options, Proposal, find,
            manifests::{Eligible, Form, Giving, can_be_eligible, outline},
            names::ObjectNames,
            observed::Observed,
            propose,
        },
        outline::Outline,
    },
};
use anyhow::{Context, Result, bail, ensure};
use clap::{ArgGroup, Args, ValueEnum};
use curfew_core::{
    duration::{Duration, Period},
    principal::Subject,
    text::printable,
};
use jiff::Timestamp;
use serde::Serialize;
use std::path::Path;

/// Propose the least role for an identity, from what it did.
///
/// Compares what a user, workload or group did with its standing access, and prints the role that allows every request that was made and nothing
/// else. Kubernetes: Roles or ClusterRoles without wildcards, in the namespaces that were used, with object names where these are not expected to
/// change. AWS: a policy with the actions and resources that were used, under the conditions of the standing policies, within IAM's limits. People
/// and groups get it on request (RoleTemplate and EligibleAssignment), workloads as standing access. It also lists what to take away, and the
/// existing roles that fit best. Nothing is applied.
#[derive(Args, Debug)]
#[command(after_help = "\
Kubernetes:
  curfew-analytics rightsize --identity bob@example.com --kubernetes-rbac rbac.json --audit-log audit/
  curfew-analytics rightsize --identity payments-devs --kubernetes-rbac rbac.json --audit-log audit/ --approver group:payments-leads -o yaml
  curfew-analytics rightsize --identity system:serviceaccount:ci:deployer --kubernetes-rbac rbac.json --audit-log audit/ --window 30d -o yaml

AWS:
  curfew-analytics rightsize --identity deployer --aws-authorization-details details.json --cloudtrail cloudtrail/ -o json | jq .documents

`curfew-analytics analyze --help` says how to write these files.

In Kubernetes a request counts if the API server authorized it, also if it failed afterwards: a controller that asks for an object that does not
exist needs the answer. Begin with workloads: they do the same every day.

Exit status: 0 if there is a proposal; 1 for an error; 2 for a wrong command line.")]
#[command(group(ArgGroup::new("source").required(true).args(["kubernetes_rbac", "aws_authorization_details"])))]
pub struct Rightsize {
    /// Kubernetes: a user, system:serviceaccount:NAMESPACE:NAME, or a group; user:NAME or group:NAME where both exist. AWS: an ARN, or a name.
    #[arg(long, value_name = "NAME")]
    identity: String,
    /// How far back a use counts, in days. The output compares 90, 60, 30, 7 and 1.
    #[arg(long, value_name = "DAYS", default_value = "90d")]
    window: Period,
    /// The end of the window, such as 2026-11-26T12:00:00Z. Default: the newest event.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// New roles with exactly what was used, or the existing ones (ClusterRoles, managed policies of AWS) with the least beyond it.
    #[arg(long, value_name = "FORM", default_value = "custom")]
    roles: Form,
    /// Kubernetes: when rules name objects. Rules that the standing access limits to named objects stay so.
    #[arg(long, value_name = "WHEN", default_value = "stable")]
    object_names: ObjectNames,
    /// AWS: when actions are written as prefixes with *.
    #[arg(long, value_name = "WHEN", default_value = "when-needed")]
    wildcards: Wildcards,
    /// Leave out what was used and the standing access does not give now.
    #[arg(long)]
    held_only: bool,
    /// Kubernetes: leave out what was done in namespaces that do not exist now. Otherwise it is allowed in the whole cluster.
    #[arg(long)]
    leave_out_gone_namespaces: bool,
    /// Leave out what the standing access names and no log would show, such as checks of the kubelet, or data events of AWS.
    #[arg(long)]
    leave_out_not_shown: bool,
    /// How the roles are given. Default: eligible, and standing for workloads, which cannot ask for access.
    #[arg(long, value_name = "HOW")]
    give: Option<How>,
    /// Who approves, as group:NAME or user:NAME. Repeat it for more. Without it, the template has a name to replace.
    #[arg(long, value_name = "KIND:NAME", value_parser = subject)]
    approver: Vec<Subject>,
    /// AWS: the login in Kubernetes of the identity, as group:NAME or user:NAME. Without it, the assignment has a name to replace.
    #[arg(long, value_name = "KIND:NAME", value_parser = subject)]
    login: Option<Subject>,
    /// The AuthorizationSystem of the RoleTemplate.
    #[arg(long, value_name = "NAME", default_value = "this-cluster")]
    system: String,
    /// The namespace of the RoleTemplate. Default: the namespace of the roles if it is one, else default.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The longest access.
    #[arg(long, value_name = "DURATION", default_value = "4h")]
    max: Duration,
    /// How long the identity is eligible.
    #[arg(long, value_name = "DAYS", default_value = "180d")]
    eligibility: Period,
    /// The form of standard output: a table with the evidence, YAML for kubectl, or JSON with everything.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
    #[command(flatten)]
    kubernetes: kubernetes::KubernetesFiles,
    #[command(flatten)]
    aws: aws::AwsFiles,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Output {
    Table,
    Yaml,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum How {
    Eligible,
    Standing,
}

fn subject(text: &str) -> Result<Subject, String> {
    let subject = match text.split_once(':') {
        Some(("group", name)) if !name.is_empty() => Subject::Group(name.into()),
        Some(("user", name)) if !name.is_empty() => Subject::User(name.into()),
        _ => return Err("write it as group:NAME or user:NAME".into()),
    };
    if subject.is_reserved() { Err("names that begin with system: are reserved for Kubernetes".into()) } else { Ok(subject) }
}

/// Runs the command.
///
/// # Errors
/// If a file is missing or not what it should be, or there is no such identity.
pub fn run(args: &Rightsize) -> Result<()> {
    match (&args.kubernetes.kubernetes_rbac, &args.aws.aws_authorization_details) {
        (Some(rbac), _) => {
            let proposal = proposal(args, rbac)?;
            let outline = outline(&proposal, &giving(args, &proposal)?, args.roles).map_err(anyhow::Error::msg)?;
            print(args, &proposal, &outline, || table(&proposal, &outline))
        }
        (None, Some(details)) => {
            let proposal = policy(args, details)?;
            let giving = aws_giving(args, &proposal);
            let outline = least_policy::manifests::outline(&proposal, &giving, args.roles).map_err(anyhow::Error::msg)?;
            print(args, &proposal, &outline, || aws_table(&proposal, &outline))
        }
        (None, None) => bail!("give --kubernetes-rbac or --aws-authorization-details"),
    }
}

fn print(args: &Rightsize, proposal: &impl Serialize, outline: &Outline, table: impl FnOnce() -> String) -> Result<()> {
    let text = match args.output {
        Output::Table => table(),
        Output::Yaml => outline.yaml(),
        Output::Json => {
            let documents: Vec<_> = outline.documents.iter().map(|(_, document)| document).collect();
            let mut value = serde_json::to_value(proposal)?;
            value["documents"] = serde_json::to_value(documents)?;
            serde_json::to_string_pretty(&value)? + "\n"
        }
    };
    write(&text)
}

fn told(error: NoProposal) -> anyhow::Error {
    anyhow::Error::msg(printable(&error.to_string()))
}

fn window(args: &Rightsize, newest: Option<i64>) -> Window {
    Window::ending(args.until.map(Timestamp::as_second).or(newest).unwrap_or_else(now), args.window.secs())
}

fn proposal(args: &Rightsize, rbac: &Path) -> Result<Proposal> {
    let files = &args.kubernetes;
    let dump = Dump::parse(&files::text(rbac)?).with_context(|| format!("{} is not usable", rbac.display()))?;
    let discovery = files.discovery.as_deref().map(discovery).transpose()?;
    let logs = files::find(&files.audit_log)?;
    let permissions = Permissions::build(discovery, &dump);
    let until = args.until.map_or_else(now, Timestamp::as_second);
    let mut usage = Usage::new(&permissions, &dump.namespaces, until);
    let mut observed = Observed::new(&dump.namespaces, None, until);
    let mut problems = Problems::default();
    dump.broken.iter().for_each(|why| problems.add(rbac, None, format!("left out: {why}")));
    let input = read(&logs, problems, |event| {
        usage.record(event);
        observed.record(event);
    });
    tell(&input);
    if usage.counts.events == 0 {
        bail!("no event of audit.k8s.io/v1 in {}; give the API server's audit logs, written as JSON", listed(&files.audit_log));
    }
    let window = window(args, usage.newest);
    let inventory = Inventory::build(&dump, &permissions, &usage, window, &Exclusions::default());
    let options = Options {
        object_names: args.object_names,
        held_only: args.held_only,
        leave_out_gone: args.leave_out_gone_namespaces,
        keep_not_shown: !args.leave_out_not_shown,
    };
    let key = find(&inventory, &args.identity).map_err(told)?;
    propose(&inventory, &usage, &observed, &key, window, &options).map_err(told)
}

fn policy(args: &Rightsize, details: &Path) -> Result<least_policy::Proposal> {
    let mut problems = Problems::default();
    let input = read_input(&args.aws, details, AwsExclusions::default(), &mut problems)?;
    let (usage, summary) = read_logs(&args.aws, args.until, problems)?;
    tell(&summary);
    let window = window(args, usage.newest);
    let inventory = AwsInventory::build(Actions::builtin(), Spaces::builtin(), &input, &usage, window);
    let options = least_policy::Options {
        wildcards: args.wildcards,
        held_only: args.held_only,
        keep_not_shown: !args.leave_out_not_shown,
        ..least_policy::Options::default()
    };
    let arn = least_policy::find(&inventory, &args.identity).map_err(told)?;
    least_policy::propose(&inventory, &usage, arn, window, &options).map_err(told)
}

/// How the roles are given, by the options and by what the identity is.
fn giving(args: &Rightsize, proposal: &Proposal) -> Result<Giving> {
    let possible = can_be_eligible(proposal);
    match args.give {
        Some(How::Standing) => return Ok(Giving::Standing),
        None if !possible => return Ok(Giving::Standing),
        Some(How::Eligible) => ensure!(
            possible,
            "{} cannot be made eligible: a workload cannot ask for access, and names that begin with system: are reserved; use --give standing",
            printable(&proposal.identity)
        ),
        None => {}
    }
    let mut namespaces: Vec<&String> = proposal.roles.iter().flat_map(|role| &role.bound_in).collect();
    namespaces.dedup();
    let only = if let [only] = namespaces[..] { Some(only.clone()) } else { None };
    Ok(Giving::Eligible(eligible(args, only)))
}

/// A user and a group of AWS are people; what assumes a role is not known, so a role keeps a standing policy unless it is asked for.
fn aws_giving(args: &Rightsize, proposal: &least_policy::Proposal) -> least_policy::manifests::Giving {
    use crate::report::IdentityKind;
    let person = matches!(proposal.kind, IdentityKind::Human | IdentityKind::Group);
    match args.give {
        Some(How::Standing) => least_policy::manifests::Giving::Standing,
        None if !person => least_policy::manifests::Giving::Standing,
        _ => least_policy::manifests::Giving::Eligible(Box::new(eligible(args, None)), args.login.clone()),
    }
}

fn eligible(args: &Rightsize, namespace: Option<String>) -> Eligible {
    Eligible {
        system: args.system.clone(),
        namespace: args.namespace.clone().or(namespace).unwrap_or_else(|| "default".into()),
        approvers: args.approver.clone(),
        max: args.max.clone(),
        eligibility: args.eligibility,
        from: now(),
        operator: Eligible::operator(),
    }
}
