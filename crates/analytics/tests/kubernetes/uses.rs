//! What an event shows as used, and what the log cannot show.
use crate::cluster::{Cluster, pair, row, user};
use curfew_analytics::report::FindingType;
use serde_json::json;

/// Gives the last event an API group.
fn of_group(mut cluster: Cluster, group: &str) -> Cluster {
    if let Some(event) = cluster.events.last_mut() {
        event["objectRef"]["apiGroup"] = group.into();
    }
    cluster
}

#[test]
fn a_wildcard_of_a_group_that_discovery_does_not_show_grants_its_resources() {
    let cluster = Cluster::new().role("r", &["get", "list"], "example.com", &["*"]).bind("", "r", "User", "u");
    assert!(row(&cluster.report(), "u").score > Some(0), "an idle grant is not nothing");
    assert!(cluster.findings(FindingType::UnusedBinding).len() == 1);
    let used = of_group(cluster.event("u", "list", "widgets", "", 1), "example.com");
    assert_eq!(used.places(&user(), "list example.com/*"), pair("the whole cluster", "the whole cluster"));
    assert!(used.report().input.unmapped.is_empty());
    assert!(used.findings(FindingType::UnusedBinding).is_empty());
}

#[test]
fn a_binding_is_not_called_unused_if_its_rules_cannot_be_expanded_or_its_subject_did_what_the_catalogue_lacks() {
    let odd = Cluster::new().role("r", &["frob"], "", &["pods"]).bind("", "r", "User", "u");
    assert!(odd.findings(FindingType::UnusedBinding).is_empty() && odd.findings(FindingType::UnusedRole).is_empty());
    let all = Cluster::new().role("all", &["*"], "*", &["*"]).bind("", "all", "User", "u");
    assert_eq!(all.findings(FindingType::UnusedBinding).len(), 1);
    let used = of_group(all.event("u", "get", "widgets", "a", 1), "example.com");
    assert!(used.findings(FindingType::UnusedBinding).is_empty());
}

const RBAC: &str = "rbac.authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";

/// A request of `u` for something in an API group.
fn did(cluster: Cluster, verb: &str, group: &str, resource: &str, namespace: &str) -> Cluster {
    of_group(cluster.event("u", verb, resource, namespace, 1), group)
}

/// A cluster in which `u` may do everything.
fn admin() -> Cluster {
    Cluster::new().role("all", &["*"], "*", &["*"]).bind("", "all", "User", "u")
}

#[test]
fn writes_of_roles_and_bindings_use_the_verbs_that_they_are_checked_for() {
    let used = |cluster: &Cluster, permission: &str| cluster.places(&user(), permission).1;
    let bound = did(admin(), "create", RBAC, "rolebindings", "a");
    assert_eq!(used(&bound, "bind rbac.authorization.k8s.io/clusterroles"), "a");
    assert_eq!(used(&bound, "bind rbac.authorization.k8s.io/roles"), "a");
    assert_eq!(used(&bound, "escalate rbac.authorization.k8s.io/roles"), "nowhere");
    let wide = did(admin(), "patch", RBAC, "clusterrolebindings", "");
    assert_eq!(used(&wide, "bind rbac.authorization.k8s.io/clusterroles"), "the whole cluster");
    assert_eq!(used(&wide, "bind rbac.authorization.k8s.io/roles"), "nowhere");
    let written = did(did(admin(), "update", RBAC, "roles", "b"), "create", RBAC, "clusterroles", "");
    assert_eq!(used(&written, "escalate rbac.authorization.k8s.io/roles"), "b");
    assert_eq!(used(&written, "escalate rbac.authorization.k8s.io/clusterroles"), "the whole cluster");
    // A read is not checked for more, and neither is a deletion.
    let read = did(did(admin(), "list", RBAC, "roles", "b"), "delete", RBAC, "rolebindings", "b");
    assert_eq!(used(&read, "escalate rbac.authorization.k8s.io/roles"), "nowhere");
    assert_eq!(used(&read, "bind rbac.authorization.k8s.io/roles"), "nowhere");
    // Who has no `bind` used none.
    let writer = Cluster::new().role("r", &["create"], RBAC, &["rolebindings"]).bind("a", "r", "User", "u");
    assert_eq!(row(&did(writer, "create", RBAC, "rolebindings", "a").report(), "u").permissions.used_without_grant, 0);
}

#[test]
fn certificates_use_the_verbs_on_signers() {
    let cases = [
        ("approve", "update", "certificatesigningrequests/approval"),
        ("sign", "patch", "certificatesigningrequests/status"),
        ("sign", "update", "podcertificaterequests/status"),
        ("attest", "create", "clustertrustbundles"),
    ];
    for (checked, verb, resource) in cases {
        let used = did(admin(), verb, CERTIFICATES, resource, "");
        for verb in ["approve", "sign", "attest"] {
            let expected = if verb == checked { "the whole cluster" } else { "nowhere" };
            assert_eq!(used.places(&user(), &format!("{verb} certificates.k8s.io/signers")).1, expected, "{verb} by {resource}");
        }
    }
}

#[test]
fn a_write_that_created_the_object_used_create() {
    for verb in ["patch", "update"] {
        let changed = admin().event("u", verb, "configmaps", "a", 1);
        assert_eq!(changed.places(&user(), "create core/configmaps").1, "nowhere");
        let created = changed.code(201);
        assert_eq!(created.places(&user(), "create core/configmaps").1, "a");
        assert_eq!(created.places(&user(), &format!("{verb} core/configmaps")).1, "a");
    }
}

/// Over a websocket these are GET requests. API servers ask for `get`, and newer ones for `create`.
#[test]
fn streams_by_websocket_use_get_or_create() {
    for resource in ["pods/exec", "pods/attach", "pods/portforward"] {
        let cluster = Cluster::new().role("r", &["create"], "", &[resource]).bind("a", "r", "User", "u");
        let used = cluster.event("u", "get", resource, "a", 1).code(101);
        assert_eq!(used.places(&user(), &format!("create core/{resource}")), pair("a", "a"));
        assert!(used.findings(FindingType::UnusedBinding).is_empty(), "{resource}");
        let get = Cluster::new().role("r", &["get"], "", &[resource]).bind("a", "r", "User", "u").event("u", "get", resource, "a", 1);
        assert_eq!(get.places(&user(), &format!("get core/{resource}")), pair("a", "a"));
        assert_eq!(row(&get.report(), "u").permissions.used_without_grant, 0);
    }
}

/// The kubelet and admission ask the API server whether someone may; no request of that identity is in the log.
#[test]
fn what_no_request_shows_is_not_called_unused() {
    for (verb, group, resource) in
        [("get", "", "nodes/metrics"), ("update", "apps", "deployments/finalizers"), ("use", "example.com", "constraints")]
    {
        let cluster =
            Cluster::new().role("r", &[verb], group, &[resource]).bind("", "r", "User", "u").bind("", "r", "Group", "g").covered();
        for kind in [FindingType::UnusedBinding, FindingType::UnusedRole, FindingType::Inactive] {
            assert!(cluster.findings(kind).is_empty(), "{resource}: {:?}", cluster.findings(kind));
        }
        let report = cluster.report();
        assert_eq!((row(&report, "u").permissions.not_shown, row(&report, "u").permissions.not_fully_used), (1, 0));
        assert!(row(&report, "u").because.iter().all(|part| part.used == "unknown"), "{:?}", row(&report, "u").because);
    }
}

#[test]
fn a_wildcard_is_called_unused_except_for_what_no_request_shows() {
    let cluster = admin().covered();
    for kind in [FindingType::UnusedBinding, FindingType::UnusedRole, FindingType::Inactive] {
        let found = cluster.findings(kind);
        assert!(found.len() == 1 && found[0].recommendation.contains("no request shows"), "{found:?}");
    }
    let active = did(cluster, "list", "", "pods", "");
    let found = active.findings(FindingType::OverprovisionedActive);
    assert!(found.len() == 1 && found[0].evidence.iter().all(|line| !line.contains("nodes/")), "{found:?}");
}

/// `u` acts as the user with these fields.
fn acting_as(as_user: serde_json::Value) -> Cluster {
    let mut cluster = admin().bind("a", "all", "User", "v").event("u", "get", "pods", "a", 1);
    cluster.events[0]["impersonatedUser"] = as_user;
    cluster
}

#[test]
fn impersonation_uses_what_was_checked_for_it() {
    let checks = [
        "impersonate core/users",
        "impersonate core/groups",
        "impersonate core/serviceaccounts",
        "impersonate authentication.k8s.io/userextras",
        "impersonate authentication.k8s.io/uids",
    ];
    let account = "system:serviceaccount:b:x";
    let cases = [
        (json!({"username": "v", "groups": ["system:authenticated"]}), vec![checks[0]]),
        (json!({"username": "v", "groups": ["devs", "system:authenticated"]}), vec![checks[0], checks[1]]),
        (json!({"username": "system:anonymous", "groups": ["system:unauthenticated"]}), vec![checks[0]]),
        // The API server adds the groups of service accounts.
        (
            json!({"username": account, "groups": ["system:serviceaccounts", "system:serviceaccounts:b", "system:authenticated"]}),
            vec![checks[2]],
        ),
        (json!({"username": account, "groups": ["system:masters"]}), vec![checks[1], checks[2]]),
        (json!({"username": "v", "extra": {"scopes": ["x"]}}), vec![checks[0], checks[3]]),
        (json!({"username": "v", "uid": "1"}), vec![checks[0], checks[4]]),
    ];
    for (as_user, expected) in cases {
        let cluster = acting_as(as_user.clone());
        let used: Vec<&str> = checks.into_iter().filter(|check| cluster.places(&user(), check).1 != "nowhere").collect();
        let mut expected = expected;
        expected.sort_by_key(|check| checks.iter().position(|known| known == check));
        assert_eq!(used, expected, "{as_user}");
        // The request itself is not the impersonator's.
        assert_eq!(cluster.places(&user(), "get core/pods").1, "nowhere");
    }
    assert_eq!(acting_as(json!({"username": account})).places(&user(), checks[2]).1, "b");
}

#[test]
fn a_key_of_extra_fields_is_a_resource_of_its_own() {
    let cluster = acting_as(json!({"username": "v", "extra": {"scopes": ["x"]}}))
        .role("r", &["impersonate"], "authentication.k8s.io", &["userextras/scopes", "userextras/other"])
        .bind("", "r", "User", "u");
    assert_eq!(cluster.places(&user(), "impersonate authentication.k8s.io/userextras/scopes").1, "the whole cluster");
    assert_eq!(cluster.places(&user(), "impersonate authentication.k8s.io/userextras/other"), pair("the whole cluster", "nowhere"));
}

/// `kubectl --as u --as-group breakglass`: the group's binding allowed it.
#[test]
fn a_binding_that_an_impersonated_group_used_is_not_unused() {
    let cluster = admin().role("r", &["get"], "", &["pods"]).bind("a", "r", "Group", "breakglass").covered();
    assert_eq!(cluster.findings(FindingType::UnusedBinding).len(), 2);
    let mut used = cluster.event("u", "get", "pods", "a", 1);
    if let Some(event) = used.events.last_mut() {
        event["impersonatedUser"] = json!({"username": "u", "groups": ["breakglass"]});
    }
    let named = |kind| {
        used.findings(kind).into_iter().filter(|finding| finding.subject.contains("breakglass") || finding.subject.contains("a/")).count()
    };
    assert_eq!((named(FindingType::UnusedBinding), named(FindingType::Inactive)), (0, 0));
    assert_eq!(row(&used.report(), "breakglass").members, 0, "it proves no membership");
}

/// The API server asks for the same permissions.
#[test]
fn a_dry_run_is_a_use() {
    let mut cluster = admin().event("u", "delete", "pods", "a", 1);
    cluster.events[0]["requestURI"] = json!("/api/v1/namespaces/a/pods/x?dryRun=All");
    assert_eq!(cluster.places(&user(), "delete core/pods").1, "a");
}

/// The API server checks `create` with the name of the object if a PATCH or PUT creates it.
#[test]
fn a_named_create_is_used_by_a_server_side_apply() {
    let named = |verbs: &[&str]| {
        let rule = json!({"verbs": verbs, "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["x"]});
        Cluster::new()
            .object(json!({"kind": "ClusterRole", "metadata": {"name": "named"}, "rules": [rule]}))
            .bind("a", "named", "User", "u")
    };
    let applied = |cluster: Cluster| cluster.event("u", "patch", "configmaps", "a", 1).code(201);
    let one = applied(named(&["create", "patch"]));
    assert_eq!(one.places(&user(), "create core/configmaps"), pair("a", "a"));
    // The verb of the request is in another role.
    let two = applied(named(&["create"]).role("r", &["patch"], "", &["configmaps"]).bind("a", "r", "User", "u"));
    assert!(one.findings(FindingType::UnusedBinding).is_empty() && two.findings(FindingType::UnusedBinding).is_empty());
}
