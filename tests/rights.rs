//! Least privilege, proven: what each of Curfew's service accounts may do, minus what it did in the whole test run, is empty or
//! explained here, line by line.
//!
//! `make test` runs this after everything else: the API servers of all tests have logged what our accounts asked for. By itself:
//!
//!     CURFEW_AUDIT_DIR=$PWD/target/audit cargo test --features crash-points,simulated,aws --test it && CURFEW_AUDIT_DIR=$PWD/target/audit cargo test --test rights
use anyhow::{Context, Result, ensure};
use curfew::identity::{ANALYTICS, OPERATOR, REVOKER, SWEEP, analytics, rbac};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

/// One verb on one resource: `get secrets`, `patch curfew.dev/grants/status`, `get /openid/v1/jwks`.
type Right = (String, String);

/// Who, in which place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Account {
    Operator,
    Revoker,
    Sweep,
    Analytics,
    /// The operator's account on a cluster that it reaches from outside.
    Target,
}

/// Rights that no test can use, and why they are there all the same.
const EXPLAINED: &[(Account, &str, &str, &str)] = &[
    (Account::Operator, "delete", "curfew.dev/activationrequests", "retention: an ended request is deleted after 1d at the soonest"),
    (Account::Operator, "delete", "curfew.dev/assignmentrequests", "the same of an AssignmentRequest"),
    (
        Account::Operator,
        "delete",
        "curfew.dev/eligibleassignments",
        "retention: an assignment that was asked for is deleted 30 days after its end",
    ),
    (Account::Operator, "delete", "curfew.dev/grants", "retention: an ended Grant is deleted after 1d at the soonest"),
    (
        Account::Operator,
        "patch",
        "events.k8s.io/events",
        "a repeated Event is counted on the first one; which ones repeat depends on timing",
    ),
    (Account::Revoker, "get", "secrets", "the kubeconfigs of remote clusters and the URLs of audit sinks: its tests have neither"),
    (
        Account::Revoker,
        "create",
        "events.k8s.io/events",
        "tells of a revocation that fails; the tests of failing revocations run the operator",
    ),
    (Account::Revoker, "patch", "events.k8s.io/events", "counts a repeated Event on the first one"),
    (
        Account::Revoker,
        "get",
        "rbac.authorization.k8s.io/clusterrolebindings",
        "cluster-wide grants are ended by the code that ends those of a namespace",
    ),
    (Account::Revoker, "patch", "rbac.authorization.k8s.io/clusterrolebindings", "the same"),
    (Account::Revoker, "delete", "rbac.authorization.k8s.io/clusterrolebindings", "the same"),
    (Account::Revoker, "list", "batch/jobs", "a list that cannot be streamed is read in pages; the tests of that run the operator"),
    (Account::Revoker, "list", "curfew.dev/authorizationsystems", "the same"),
    (Account::Revoker, "list", "curfew.dev/curfewconfigs", "the same"),
    (Account::Revoker, "list", "curfew.dev/grants", "the same"),
    (
        Account::Operator,
        "get",
        "batch/jobs",
        "looks for a fuse whose creation was answered 409, after a crash between the two; timing decides",
    ),
];

/// How docs/security.md names what the operator may create, change or delete.
const NAMED: &[(&[&str], &str, &str)] = &[
    (&["create"], "curfew.dev/activationrequests", "creates ActivationRequests"),
    (&["create"], "curfew.dev/assignmentrequests", "AssignmentRequests, AccessDecisions and ActiveAssignments as canaries alone"),
    (&["create"], "curfew.dev/accessdecisions", "AssignmentRequests, AccessDecisions and ActiveAssignments as canaries alone"),
    (&["create"], "curfew.dev/activeassignments", "AssignmentRequests, AccessDecisions and ActiveAssignments as canaries alone"),
    (&["create"], "curfew.dev/eligibleassignments", "creates EligibleAssignments that an AssignmentRequest has asked for"),
    (&["delete"], "curfew.dev/eligibleassignments", "deletes these 30 days after their end, and no others"),
    (&["delete"], "curfew.dev/activationrequests", "deletes ActivationRequests, AssignmentRequests and AccessDecisions"),
    (&["delete"], "curfew.dev/assignmentrequests", "deletes ActivationRequests, AssignmentRequests and AccessDecisions"),
    (&["delete"], "curfew.dev/accessdecisions", "deletes ActivationRequests, AssignmentRequests and AccessDecisions"),
    (&["create", "patch", "delete"], "curfew.dev/grants", "writes status, Grants"),
    (&["patch"], "curfew.dev/authorizationsystems", "the finalizer on systems"),
    (&["create", "patch", "delete"], "rbac.authorization.k8s.io/rolebindings", "bindings"),
    (&["create", "patch", "delete"], "rbac.authorization.k8s.io/clusterrolebindings", "bindings"),
    (&["create", "patch", "delete"], "batch/jobs", "Jobs"),
    (&["create", "patch"], "events.k8s.io/events", "Events"),
    (&["create"], "authorization.k8s.io/subjectaccessreviews", "creates access reviews"),
    (&["create"], "authorization.k8s.io/selfsubjectaccessreviews", "creates access reviews"),
    (&["create", "patch", "delete"], "coordination.k8s.io/leases", "creates, lists, patches and deletes Leases"),
    (&["update"], "coordination.k8s.io/leases", "updates its own lease"),
    (&["patch"], "configmaps", "patches the ConfigMap `curfew-identity-keys`"),
];

#[test]
fn the_threat_model_names_everything_that_the_operator_may_write() -> Result<()> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md"))?;
    let row = page.lines().find(|line| line.starts_with("| `curfew-operator` |")).context("no row of the operator")?;
    let granted = rights(&rbac::operator(), OPERATOR);
    for (verb, on) in granted.iter().filter(|(verb, on)| !["get", "list", "watch"].contains(&verb.as_str()) && !on.ends_with("/status")) {
        let named = NAMED.iter().find(|(verbs, resource, _)| verbs.contains(&verb.as_str()) && resource == on);
        let (.., words) = named.with_context(|| format!("docs/security.md does not say that the operator may {verb} {on}"))?;
        ensure!(row.contains(words), "docs/security.md does not say {words:?} of the operator, which may {verb} {on}");
    }
    for (verbs, on, words) in NAMED {
        let given = verbs.iter().all(|verb| granted.contains(&((*verb).to_owned(), (*on).to_owned())));
        ensure!(given, "docs/security.md says {words:?} of the operator, which may not {verbs:?} {on}");
    }
    Ok(())
}

fn rights(objects: &[Value], name: &str) -> BTreeSet<Right> {
    let list = |r: &Value, k: &str| r[k].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let mut all = BTreeSet::new();
    let roles = objects.iter().filter(|o| matches!(o["kind"].as_str(), Some("ClusterRole" | "Role")) && o["metadata"]["name"] == name);
    for rule in roles.flat_map(|o| o["rules"].as_array().into_iter().flatten()) {
        for verb in list(rule, "verbs") {
            for group in list(rule, "apiGroups") {
                for resource in list(rule, "resources") {
                    all.insert((verb.clone(), path(&group, &resource)));
                }
            }
            for url in list(rule, "nonResourceURLs") {
                all.insert((verb.clone(), url));
            }
        }
    }
    all
}

fn path(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{group}/{resource}") }
}

/// What the accounts did, by the API servers' own logs. What was refused was not used.
fn used(dir: &Path) -> Result<(usize, BTreeMap<Account, BTreeSet<Right>>)> {
    let (mut events, mut all) = (0, BTreeMap::<Account, BTreeSet<Right>>::new());
    for entry in std::fs::read_dir(dir).with_context(|| format!("no audit logs in {}: run make test", dir.display()))? {
        let file = entry?.path();
        let target = file.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("target-"));
        for line in BufReader::new(std::fs::File::open(&file)?).lines() {
            // The last line of a server that was killed may be cut off.
            let Ok(e) = serde_json::from_str::<Value>(&line?) else { continue };
            let account = match e["user"]["username"].as_str().unwrap_or_default().rsplit(':').next() {
                Some(OPERATOR) if target => Account::Target,
                Some(OPERATOR) => Account::Operator,
                Some(REVOKER) => Account::Revoker,
                Some(SWEEP) => Account::Sweep,
                Some(ANALYTICS) => Account::Analytics,
                Some(_) | None => continue,
            };
            if e["annotations"]["authorization.k8s.io/decision"] != "allow" {
                continue;
            }
            events += 1;
            all.entry(account).or_default().insert((text(&e["verb"]), what(&e)));
        }
    }
    Ok((events, all))
}

fn text(v: &Value) -> String {
    v.as_str().unwrap_or_default().to_owned()
}

fn what(e: &Value) -> String {
    let at = &e["objectRef"];
    if at["resource"].is_null() {
        return text(&e["requestURI"]).split('?').next().unwrap_or_default().to_owned();
    }
    let resource = path(&text(&at["apiGroup"]), &text(&at["resource"]));
    at["subresource"].as_str().map_or(resource.clone(), |s| format!("{resource}/{s}"))
}

#[test]
fn what_is_granted_is_used_or_explained() -> Result<()> {
    let dir = std::env::var_os("CURFEW_AUDIT_DIR").map(PathBuf::from).context("CURFEW_AUDIT_DIR is not set: run make test")?;
    let (events, used) = used(&dir)?;
    let granted = [
        (Account::Operator, rights(&rbac::operator(), OPERATOR)),
        (Account::Revoker, rights(&rbac::revoker(), REVOKER)),
        (Account::Sweep, rights(&rbac::sweep(), SWEEP)),
        (Account::Analytics, rights(&analytics::rights(), ANALYTICS)),
        (Account::Target, rights(&rbac::target(), "curfew-target")),
    ];
    let mut unexplained = Vec::new();
    for (account, rights) in granted {
        ensure!(!rights.is_empty(), "{account:?} has no rights at all: the roles were not found");
        let used = used.get(&account).cloned().unwrap_or_default();
        let unused: Vec<&Right> = rights.difference(&used).collect();
        println!("{account:?}: {} rights, {} used", rights.len(), rights.len() - unused.len());
        for (verb, on) in unused {
            match EXPLAINED.iter().find(|(a, v, o, _)| (*a, *v, *o) == (account, verb, on)) {
                Some((.., why)) => println!("  unused: {verb} {on}: {why}"),
                None => unexplained.push(format!("{account:?}: {verb} {on}")),
            }
        }
    }
    for (account, verb, on, _) in EXPLAINED {
        let granted = match account {
            Account::Operator => rights(&rbac::operator(), OPERATOR),
            Account::Revoker => rights(&rbac::revoker(), REVOKER),
            Account::Sweep => rights(&rbac::sweep(), SWEEP),
            Account::Analytics => rights(&analytics::rights(), ANALYTICS),
            Account::Target => rights(&rbac::target(), "curfew-target"),
        };
        ensure!(granted.contains(&((*verb).to_owned(), (*on).to_owned())), "explained and not granted: {account:?} {verb} {on}");
    }
    println!("from {events} requests in {}", dir.display());
    ensure!(unexplained.is_empty(), "granted, not used in {events} requests, and not explained: {unexplained:#?}");
    Ok(())
}
