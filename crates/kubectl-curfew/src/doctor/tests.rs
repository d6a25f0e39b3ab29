use super::{observe::Observed, *};
use crate::read::Gap;
use curfew_core::time::Time;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn now() -> Time {
    Time::parse("2026-11-23T08:00:00Z").unwrap()
}

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-23T07:00:00Z"})
}

fn template(name: &str, ready: Value) -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": {"name": name, "namespace": "payments"},
        "spec": {"systems": {"names": ["prod"]}, "permissions": {"kubernetes": {"clusterRoles": ["admin"]}},
            "scope": {"kubernetes": {"namespaces": ["payments"]}},
            "activation": {"duration": {"max": "8h"}, "ticket": {"none": {}}, "mfa": {"none": {}}, "approval": {"none": {}}, "limits": {"none": {}}},
            "assignment": {"eligible": {"permanent": true}}},
        "status": {"conditions": [ready]}})
}

fn ready() -> Value {
    condition("Ready", "True", "AsExpected", "allowed")
}

fn system(mode: &str, overdue: i32) -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": "prod"},
        "spec": {"mode": mode, "provider": {"kubernetes": {"inCluster": {}}}},
        "status": {"conditions": [ready()], "grants": {"active": 1, "overdue": overdue}}})
}

fn config(audit: &str) -> Value {
    let conditions = [
        condition("AdmissionEnforced", "True", "Proven", "in force"),
        condition("ClockSynced", "True", "Agree", "agree"),
        condition("AuditDelivered", audit, "SinkFailing", "the sink answers 503"),
    ];
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "CurfewConfig", "metadata": {"name": "curfew"},
        "spec": {"ceilings": {"duration": "24h"}, "retention": "30d",
            "identity": {"aliases": {"none": {}}, "uids": {"personal": {}}, "deciderProof": {"none": {}}}},
        "status": {"conditions": conditions}})
}

fn lease(holder: &str, renewed: &str) -> Value {
    json!({"metadata": {"name": "curfew-operator"}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed}})
}

fn deployment(name: &str, replicas: i32, available: i32) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {}, "template": {}}, "status": {"availableReplicas": available}})
}

fn quota(counted: &[&str]) -> Value {
    let hard: Value =
        counted.iter().map(|what| (format!("count/{what}.curfew.dev"), json!("500"))).collect::<serde_json::Map<_, _>>().into();
    json!({"metadata": {"name": "curfew", "namespace": "payments"}, "spec": {"hard": hard}})
}

const KINDS: [&str; 2] = ["activationrequests", "assignmentrequests"];

/// An installation in which everything is as it should be.
fn sound() -> Observed {
    Observed {
        now: now(),
        version: Ok((1, 37)),
        serves_stamps: Ok(true),
        installed: built::all().iter().map(|built| (built, Ok(Some(json!({"metadata": {}, "spec": built.spec}))))).collect(),
        config: Ok(Some(object(config("True")))),
        lease: Ok(Some(object(lease("op-a", "2026-11-23T07:59:58.000000Z")))),
        deployments: Ok(["curfew-operator", "curfew-revoker"].map(|name| object(deployment(name, 2, 2))).into()),
        cron_jobs: Ok(vec![object(json!({"metadata": {"name": "curfew-sweep"}, "spec": {"schedule": "* * * * *", "jobTemplate": {}}}))]),
        systems: Ok(vec![object(system("ReadWrite", 0))]),
        policies: Ok(Vec::new()),
        templates: Ok(vec![object(template("admin", ready()))]),
        assignments: Ok(Vec::new()),
        standing: Ok(Vec::new()),
        revoking: Ok(Vec::new()),
        grants: Ok(Vec::new()),
        quotas: Ok(vec![object(quota(&KINDS))]),
    }
}

fn found(change: impl FnOnce(&mut Observed)) -> Vec<Finding> {
    let mut observed = sound();
    change(&mut observed);
    judge(&observed)
}

/// The only finding, with these words in it.
fn only(severity: Severity, words: &[&str], change: impl FnOnce(&mut Observed)) {
    let all = found(change);
    let [finding] = all.as_slice() else { panic!("{words:?}: {all:#?}") };
    let told = format!("{} {} {}", finding.what, finding.why, finding.command);
    assert_eq!(finding.severity, severity, "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
}

#[test]
fn a_sound_installation_has_no_finding() {
    assert_eq!(found(|_| ()), []);
    assert_eq!(text(&[], false), "nothing is wrong\n");
    assert_eq!(exit_code(&[]), 0);
    // An operator outside of the cluster has no Deployments there.
    assert_eq!(found(|o| (o.deployments, o.cron_jobs) = (Ok(Vec::new()), Ok(Vec::new()))), []);
}

#[test]
fn what_is_wrong_with_the_installation_is_found_with_the_command_that_mends_it() {
    use Severity::{Error, Warning};
    only(Error, &["Kubernetes 1.33", "1.34"], |o| o.version = Ok((1, 33)));
    let unstamped = |o: &mut Observed| {
        o.installed.iter_mut().filter(|(built, _)| built.stamps()).for_each(|(_, live)| *live = Ok(None));
    };
    only(Warning, &["curfew-stamp-decisions", "curfew-stamp-requests is missing", "deploy/35-stamps.yaml"], unstamped);
    let older = found(|o| {
        unstamped(o);
        (o.version, o.serves_stamps) = (Ok((1, 34)), Ok(false));
    });
    assert_eq!(older, [], "an API server that cannot stamp has nothing to mend");
    only(Error, &["curfew-stamp-requests differs from version", "deploy/35-stamps.yaml"], |o| {
        let stamps = |built: &built::Built| built.stamps() && built.name == "curfew-stamp-requests" && built.kind.ends_with("Policy");
        o.installed
            .iter_mut()
            .filter(|(built, _)| stamps(built))
            .for_each(|(_, live)| *live = Ok(Some(json!({"metadata": {}, "spec": {}}))));
    });
    let change = |name: &'static str, live: Option<Value>| {
        move |o: &mut Observed| {
            let at = o.installed.iter().position(|(built, _)| built.name == name).unwrap();
            o.installed[at].1 = Ok(live);
        }
    };
    only(Error, &["grants.curfew.dev is missing", "apply --server-side -f crds/"], change("grants.curfew.dev", None));
    only(Error, &["curfew-requests is missing", "deploy/30-policies.yaml"], change("curfew-requests", None));
    let weakened = json!({"metadata": {}, "spec": {"failurePolicy": "Ignore"}});
    only(
        Error,
        &["curfew-requests differs from version", "spec.", "kubectl delete validatingadmissionpolicy curfew-requests && "],
        change("curfew-requests", Some(weakened)),
    );
    let other_crd = json!({"metadata": {}, "spec": {"group": "curfew.dev"}});
    let told = found(change("grants.curfew.dev", Some(other_crd)));
    assert!(!told[0].command.contains("delete"), "a CRD is never deleted: {told:?}");
    only(Error, &["AuditDelivered is False", "503"], |o| o.config = Ok(Some(object(config("False")))));
    only(Error, &["no CurfewConfig", "deploy/40-config.yaml"], |o| o.config = Ok(None));
    only(Error, &["no operator holds the lease", "kubectl logs"], |o| o.lease = Ok(Some(object(lease("", "2026-11-23T07:59:58.000000Z")))));
    only(Error, &["op-a does not renew its lease", "1m3s ago"], |o| {
        o.lease = Ok(Some(object(lease("op-a", "2026-11-23T07:58:57.000000Z"))))
    });
    only(Error, &["has no lease", "deploy/60-operator.yaml"], |o| {
        (o.lease, o.deployments, o.cron_jobs) = (Ok(None), Ok(Vec::new()), Ok(Vec::new()));
    });
    let deployed = |all: &[(&str, i32, i32)]| {
        let all: Vec<_> = all.iter().map(|(name, replicas, available)| object(deployment(name, *replicas, *available))).collect();
        move |o: &mut Observed| o.deployments = Ok(all)
    };
    only(Error, &["no Pod of Deployment curfew-revoker"], deployed(&[("curfew-operator", 2, 2), ("curfew-revoker", 2, 0)]));
    only(Error, &["scaled to 0"], deployed(&[("curfew-operator", 2, 2), ("curfew-revoker", 0, 0)]));
    only(Warning, &["1 of 2 Pods"], deployed(&[("curfew-operator", 2, 1), ("curfew-revoker", 1, 1)]));
    only(Warning, &["curfew-operator has one replica"], deployed(&[("curfew-operator", 1, 1), ("curfew-revoker", 1, 1)]));
    only(Warning, &["no Deployment curfew-revoker", "deploy/65-revoker.yaml"], deployed(&[("curfew-operator", 2, 2)]));
    only(Warning, &["no CronJob curfew-sweep"], |o| o.cron_jobs = Ok(Vec::new()));
}

#[test]
fn objects_that_are_not_ready_are_grouped_by_reason() {
    let not_bindable = || condition("Ready", "False", "NotBindable", "the verb bind is missing");
    let many = |ready: fn() -> Value, count: usize| {
        move |o: &mut Observed| o.templates = Ok((0..count).map(|i| object(template(&format!("role-{i}"), ready()))).collect())
    };
    let words = [
        "8 of kind RoleTemplate not Ready (NotBindable)",
        "payments/role-4 and 3 more",
        "the verb bind",
        "describe rtpl role-0 -n payments",
    ];
    only(Severity::Error, &words, |o| o.templates = Ok((0..8).map(|i| object(template(&format!("role-{i}"), not_bindable()))).collect()));
    only(Severity::Warning, &["(Suspended)"], many(|| condition("Ready", "False", "Suspended", "suspended"), 1));
    only(Severity::Error, &["(NotJudged)", "no operator has judged it yet"], many(|| condition("Other", "True", "X", ""), 1));
    only(Severity::Warning, &["no AuthorizationSystem is in mode ReadWrite", "kubectl patch authsys prod"], |o| {
        o.systems = Ok(vec![object(system("ReadOnly", 0))]);
    });
    only(Severity::Warning, &["no ResourceQuota limits requests in payments", "examples/quota"], |o| o.quotas = Ok(Vec::new()));
    // A quota of an older version counts one of the two.
    for one in KINDS {
        let words = ["no ResourceQuota limits requests in payments", "count/assignmentrequests.curfew.dev"];
        only(Severity::Warning, &words, |o| o.quotas = Ok(vec![object(quota(&[one])), object(quota(&["accessdecisions"]))]));
    }
    assert_eq!(found(|o| o.quotas = Ok(KINDS.iter().map(|one| object(quota(&[one]))).collect())), [], "two quotas count together");
}

#[test]
fn revocations_that_are_stuck_and_grants_that_are_overdue_are_errors() {
    let request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "one", "namespace": "payments"},
        "spec": {"roleRef": {"name": "admin"}},
        "status": {"state": "Revoking", "conditions": [condition("Stalled", "True", "TargetUnreachable", "no route to host")]}});
    only(Severity::Error, &["1 revocations are stuck: payments/one", "no route", "kubectl curfew audit one -n payments"], |o| {
        o.revoking = Ok(vec![object(request)]);
    });
    let grant = |state: &str, expires: &str| -> Value {
        json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "Grant", "metadata": {"name": "00000000000000a1"},
            "spec": {"system": {"name": "prod", "uid": "s", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
                "request": {"namespace": "payments", "name": "one", "uid": "u", "requester": "alice", "beneficiary": {"user": "alice"}},
                "principal": {"kubernetes": {"user": "alice"}}, "plan": {"kubernetes": {"subject": {"user": "alice"}, "bindings": []}},
                "digest": "0".repeat(64), "expiresAt": expires},
            "status": {"state": state, "lastError": "no route to host"}})
    };
    let (late, in_time) = ("2026-11-23T07:00:00Z", "2026-11-23T07:59:30Z");
    only(Severity::Error, &["1 Grants are overdue: 00000000000000a1", "for 1h", "no route"], |o| {
        o.grants = Ok(vec![object(grant("Revoking", late))])
    });
    for (state, expires) in [("Ended", late), ("Abandoned", late), ("Revoking", in_time)] {
        assert_eq!(found(|o| o.grants = Ok(vec![object(grant(state, expires))])), [], "{state} {expires}");
    }
}

#[test]
fn what_may_not_be_read_is_told_with_the_rule_and_counts_as_unknown() {
    let gap = || Gap { what: "grants".into(), why: "your role needs the rule X".into() };
    only(Severity::Unknown, &["not read: grants", "rule X"], |o| o.grants = Err(gap()));
    let all = found(|o| (o.grants, o.systems) = (Err(gap()), Ok(vec![object(system("ReadWrite", 2))])));
    assert_eq!((all.len(), exit_code(&all)), (2, 1), "{all:?}");
    assert!(all[0].what.contains("overdue in prod (2)"), "the counts of the systems tell it: {all:?}");
    assert_eq!(exit_code(&found(|o| o.grants = Err(gap()))), 2);
    assert_eq!(exit_code(&found(|o| o.quotas = Ok(Vec::new()))), 0, "a warning does not count as an error");
}

#[test]
fn findings_are_printed_with_their_commands() {
    let told = text(&found(|o| o.config = Ok(None)), false);
    assert!(
        told.starts_with("error   there is no CurfewConfig curfew\n        without it nothing is granted\n        $ kubectl apply"),
        "{told}"
    );
    assert!(told.ends_with("1 errors, 0 warnings\n"), "{told}");
}

#[test]
fn an_api_server_that_does_not_answer_is_one_error_and_no_list_of_rights() {
    let told = format!("{NO_ANSWER}: Connection refused");
    let gap = |what: &str| Gap { what: what.into(), why: told.clone() };
    only(Severity::Error, &[&told, "kubectl cluster-info"], |o| {
        (o.version, o.deployments, o.cron_jobs) = (Err(gap("the version")), Err(gap("deployments")), Err(gap("cronjobs")));
    });
}

#[test]
fn each_kind_that_was_not_read_is_named_once() {
    let all = found(|o| {
        let gap = Gap { what: "quotas".into(), why: "forbidden".into() };
        (o.deployments, o.cron_jobs, o.quotas) = (Err(gap.clone()), Err(Gap { why: "other".into(), ..gap.clone() }), Err(gap));
    });
    let unknown = all.iter().find(|finding| finding.severity == Severity::Unknown).unwrap();
    assert_eq!(unknown.what, "not read: quotas");
}
