//! Findings about the installation: API server, CRDs, admission policies, configuration, operator, revoker and sweep. Pure.
use super::{Finding, built::Built, observe::Observed};
use crate::output::span;
use curfew_api::{CurfewConfig, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, compare::difference, conditions};
use curfew_core::time::Time;
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::CronJob, coordination::v1::Lease};
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeSet;

/// The oldest version of Kubernetes that the tests run on, and the first that takes the CRDs.
const OLDEST: (u32, u32) = (1, 34);
/// How long a lease lasts where it does not say.
const LEASE_SECS: i64 = 15;

/// Everything about the installation.
pub(super) fn findings(observed: &Observed) -> Vec<Finding> {
    let mut all: Vec<Finding> = observed.version.as_ref().ok().and_then(too_old).into_iter().collect();
    let live = |(built, live): &(&'static Built, _)| match live {
        Ok(live) => as_built(built, Option::as_ref(live)),
        Err(_) => None,
    };
    let (stamps, others): (Vec<_>, Vec<_>) = observed.installed.iter().partition(|(built, _)| built.stamps());
    all.extend(others.into_iter().filter_map(live));
    all.extend(stamps.iter().filter(|(_, live)| matches!(live, Ok(Some(_)))).filter_map(|one| live(one)));
    if observed.serves_stamps == Ok(true) {
        all.extend(missing_stamps(stamps.iter().filter(|(_, live)| *live == Ok(None)).map(|(built, _)| built.name.as_str())));
    }
    if let Ok(config) = &observed.config {
        all.extend(config_findings(config.as_ref()));
    }
    let deployed = observed.deployments.as_deref().unwrap_or_default();
    if let Ok(lease) = &observed.lease {
        all.extend(lease_finding(lease.as_ref(), is_deployed(deployed, OPERATOR_ACCOUNT), observed.now));
    }
    if let Ok(deployments) = &observed.deployments {
        all.extend(workloads(deployments));
        if let Ok(cron_jobs) = &observed.cron_jobs {
            all.extend(sweep(cron_jobs, is_deployed(deployments, OPERATOR_ACCOUNT)));
        }
    }
    all
}

fn too_old(version: &(u32, u32)) -> Option<Finding> {
    let (major, minor) = version;
    (*version < OLDEST).then(|| {
        Finding::error(
            format!("the API server is Kubernetes {major}.{minor}"),
            format!("Curfew needs {}.{}: older ones refuse the CRDs", OLDEST.0, OLDEST.1),
            "kubectl version",
        )
    })
}

/// Mutating policies that could be there: a convenience, so no error.
fn missing_stamps<'a>(names: impl Iterator<Item = &'a str>) -> Option<Finding> {
    // A policy and its binding have one name.
    let names: BTreeSet<&str> = names.collect();
    (!names.is_empty()).then(|| {
        Finding::warning(
            format!(
                "the API server does not fill in requester, decider and author: of its mutating policies {} is missing",
                names.into_iter().collect::<Vec<_>>().join(", ")
            ),
            "plain kubectl is refused; kubectl curfew works, since it sends the record itself, which is proven in any case",
            "kubectl apply --server-side -f deploy/35-stamps.yaml",
        )
    })
}

/// Whether an object of the installation is as this version built it.
fn as_built(built: &Built, live: Option<&Value>) -> Option<Finding> {
    let Built { kind, name, file, .. } = built;
    let why = if kind == "CustomResourceDefinition" {
        "without it objects of this kind are not stored, or their rules are not checked"
    } else {
        "while the admission policies are not as built, nothing is granted; what is active is revoked in time all the same"
    };
    let apply = format!("kubectl apply --server-side -f {file}");
    let Some(live) = live else { return Some(Finding::error(format!("{kind} {name} is missing"), why, apply)) };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(Finding::error(format!("{kind} {name} is being deleted"), why, apply));
    }
    let path = difference("spec", &built.spec, &live["spec"], built.exact)?;
    let what = format!("{kind} {name} differs from version {} at {path}", env!("CARGO_PKG_VERSION"));
    // A CRD is never deleted: its objects would go with it.
    let command =
        if kind == "CustomResourceDefinition" { apply } else { format!("kubectl delete {} {name} && {apply}", kind.to_lowercase()) };
    Some(Finding::error(what, why, command))
}

/// The conditions of CurfewConfig, and what follows where one is not True.
const CONDITIONS: [(&str, &str); 3] = [
    ("AdmissionEnforced", "nothing is granted until it is proven that identities cannot be forged"),
    ("ClockSynced", "nothing is granted while the operator's clock is not that of the API server"),
    ("AuditDelivered", "nothing new is granted while a sink takes no audit records"),
];

fn config_findings(config: Option<&CurfewConfig>) -> Vec<Finding> {
    let Some(config) = config else {
        let why = "without it nothing is granted";
        return vec![Finding::error("there is no CurfewConfig curfew", why, "kubectl apply --server-side -f deploy/40-config.yaml")];
    };
    let list = config.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let finding = |(type_, why): &(&str, &str)| {
        let command = "kubectl describe curfewconfig curfew";
        match conditions::find(list, type_) {
            Some(found) if found.status == "True" => None,
            Some(found) => Some(Finding::error(format!("{type_} is {}: {}", found.status, found.message), *why, command)),
            None => Some(Finding::error(format!("{type_} is not known: no operator has published it"), *why, command)),
        }
    };
    CONDITIONS.iter().filter_map(finding).collect()
}

fn is_deployed(deployments: &[Deployment], name: &str) -> bool {
    deployments.iter().any(|deployment| deployment.name_any() == name)
}

/// Whether an operator lives: it renews its lease.
fn lease_finding(lease: Option<&Lease>, deployed: bool, now: Time) -> Option<Finding> {
    let ns = OPERATOR_NAMESPACE;
    let command = match deployed {
        true => format!("kubectl get pods -n {ns} && kubectl logs -n {ns} deployment/{OPERATOR_ACCOUNT} --tail=50"),
        false => "kubectl apply --server-side -f deploy/60-operator.yaml".to_owned(),
    };
    let why = "nothing is granted, and access ends by its fuse, the revoker or the sweep alone";
    let Some(spec) = lease.and_then(|lease| lease.spec.as_ref()) else {
        return Some(Finding::error("no operator has run here yet: it has no lease", why, command));
    };
    let Some(holder) = spec.holder_identity.as_ref().filter(|holder| !holder.is_empty()) else {
        return Some(Finding::error("no operator holds the lease", why, command));
    };
    let renewed = spec.renew_time.as_ref().map(|time| Time::from_millis(time.0.as_millisecond()))?;
    let lasts = spec.lease_duration_seconds.map_or(LEASE_SECS, i64::from);
    // The Date header of the API server has whole seconds.
    let age = now.millis_since(renewed);
    (age > (lasts + 1) * 1000).then(|| {
        Finding::error(format!("the operator {holder} does not renew its lease: the last time was {} ago", span(age)), why, command)
    })
}

/// The Deployments of the operator and of the revoker.
fn workloads(deployments: &[Deployment]) -> Vec<Finding> {
    let ns = OPERATOR_NAMESPACE;
    let mut all = Vec::new();
    for deployment in deployments.iter().filter(|deployment| deployment.name_any().starts_with("curfew-")) {
        let name = deployment.name_any();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let available = deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
        let command = format!("kubectl describe deployment {name} -n {ns}");
        match (available, wanted) {
            (_, 0) => all.push(Finding::error(
                format!("Deployment {name} is scaled to 0"),
                "it does nothing",
                format!("kubectl scale deployment {name} -n {ns} --replicas=2"),
            )),
            (0, _) => {
                all.push(Finding::error(format!("no Pod of Deployment {name} is available"), "it does nothing until one is", command))
            }
            (some, wanted) if some < wanted => {
                all.push(Finding::warning(
                    format!("{some} of {wanted} Pods of Deployment {name} are available"),
                    "another failure would stop it",
                    command,
                ));
            }
            (_, 1) if name == OPERATOR_ACCOUNT => {
                all.push(Finding::warning(
                    format!("Deployment {name} has one replica"),
                    "while its Pod is replaced nothing is granted, and revocations wait for the fuse, the revoker or the sweep",
                    format!("kubectl scale deployment {name} -n {ns} --replicas=2"),
                ));
            }
            _ => {}
        }
    }
    if is_deployed(deployments, OPERATOR_ACCOUNT) && !is_deployed(deployments, "curfew-revoker") {
        all.push(Finding::warning(
            "there is no Deployment curfew-revoker",
            "while the operator cannot run, access without a fuse stays until the sweep removes it",
            "kubectl apply --server-side -f deploy/65-revoker.yaml",
        ));
    }
    all
}

fn sweep(cron_jobs: &[CronJob], operator_deployed: bool) -> Option<Finding> {
    let why = "bindings that outlive their deadline while no operator runs are not removed";
    match cron_jobs.iter().find(|job| job.name_any() == "curfew-sweep") {
        None if operator_deployed => {
            Some(Finding::warning("there is no CronJob curfew-sweep", why, "kubectl apply --server-side -f deploy/70-sweep.yaml"))
        }
        // An operator that runs elsewhere may have its sweep there, too.
        None => None,
        Some(job) => job.spec.suspend.unwrap_or(false).then(|| {
            let resume = format!("kubectl patch cronjob curfew-sweep -n {OPERATOR_NAMESPACE} -p '{{\"spec\":{{\"suspend\":false}}}}'");
            Finding::warning("CronJob curfew-sweep is suspended", why, resume)
        }),
    }
}
