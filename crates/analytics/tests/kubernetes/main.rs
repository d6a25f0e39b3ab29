//! Who holds what and who used what, on small clusters written out.
mod broken;
mod cluster;
mod counted;
mod places;
mod properties;
mod reduced;
mod replay;
mod uses;

use cluster::{Cluster, pair, row};
use curfew_analytics::kubernetes::inventory::Key;
use serde_json::json;

#[test]
fn a_binding_in_a_namespace_grants_there_and_nothing_of_the_cluster() {
    let cluster =
        Cluster::new().role("r", &["get"], "", &["pods", "nodes", "namespaces"]).bind("a", "r", "User", "u").bind("b", "r", "User", "u");
    let user = Key::user("u");
    assert_eq!(cluster.places(&user, "get core/pods"), pair("a, b", "nowhere"));
    assert_eq!(cluster.places(&user, "get core/nodes"), pair("nowhere", "nowhere"));
    // A request for one Namespace carries its name as namespace.
    assert_eq!(cluster.places(&user, "get core/namespaces"), pair("a, b", "nowhere"));
    let wide = cluster.bind("", "r", "User", "u");
    assert_eq!(wide.places(&user, "get core/nodes"), pair("the whole cluster", "nowhere"));
    assert_eq!(wide.places(&user, "get core/pods"), pair("the whole cluster", "nowhere"));
}

#[test]
fn uses_count_where_they_were_and_in_the_window() {
    let cluster = Cluster::new()
        .role("r", &["list"], "", &["pods"])
        .bind("", "r", "User", "u")
        .event("u", "list", "pods", "a", 3)
        .event("u", "list", "pods", "b", 91)
        .event("u", "list", "pods", "gone", 1);
    let (user, list) = (Key::user("u"), "list core/pods");
    // A namespace that does not exist now is a part of the cluster's own place.
    assert_eq!(cluster.places(&user, list), pair("the whole cluster", "a"));
    let score = row(&cluster.report(), "u").score;
    let everywhere = cluster.event("u", "list", "pods", "", 2);
    assert_eq!(everywhere.places(&user, list), pair("the whole cluster", "the whole cluster"));
    assert!(row(&everywhere.report(), "u").score == Some(0) && score > Some(0));
}

#[test]
fn groups_reach_the_members_that_the_log_shows() {
    let cluster = Cluster::new().role("r", &["get"], "", &["pods"]).bind("a", "r", "Group", "devs").bind("b", "r", "Group", "others");
    let (user, get) = (Key::user("u"), "get core/pods");
    assert!(cluster.report().identities.iter().all(|row| row.name != "u"));
    assert!(row(&cluster.report(), "devs").counted);
    let seen = cluster.event("u", "get", "pods", "a", 1);
    assert_eq!(seen.places(&user, get), pair("a", "a"));
    // The group has the uses of its members, and counts through them.
    assert_eq!(seen.places(&Key::group("devs"), get), pair("a", "a"));
    let report = seen.report();
    assert_eq!((row(&report, "devs").members, row(&report, "devs").counted, row(&report, "others").counted), (1, false, true));
    // A login before the window says nothing about now.
    let old = Cluster { events: Vec::new(), ..seen }.event("u", "get", "pods", "a", 100);
    assert_eq!(old.places(&user, get), pair("nowhere", "nowhere"));
}

#[test]
fn what_everyone_has_by_default_is_not_counted_for_each_but_what_was_added_is() {
    let default = json!({"kind": "ClusterRoleBinding", "metadata": {"name": "default", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "Group", "name": "system:authenticated"}]});
    let account = json!({"kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "a"}});
    let cluster = Cluster::new().role("r", &["get"], "", &["pods"]).object(default).object(account);
    let (key, get) = (Key::user("system:serviceaccount:a:x"), "get core/pods");
    assert_eq!(cluster.places(&key, get), pair("nowhere", "nowhere"));
    assert!(row(&cluster.report(), "system:authenticated").built_in);
    let added = cluster.bind("b", "r", "Group", "system:serviceaccounts:a").bind("", "r", "Group", "system:authenticated");
    assert_eq!(added.places(&key, get), pair("the whole cluster", "nowhere"));
    let report = added.report();
    assert!(!row(&report, "system:authenticated").built_in && row(&report, "system:serviceaccount:a:x").counted);
    // A component of Kubernetes is in that group, too, and does not count for it.
    let seen = added.event("system:kube-scheduler", "get", "pods", "a", 1).event("ann", "get", "pods", "a", 1).report();
    assert!(row(&seen, "system:kube-scheduler").built_in && row(&seen, "ann").counted);
}

#[test]
fn a_service_account_is_one_identity_under_both_names() {
    let cluster = Cluster::new()
        .role("r", &["get"], "", &["pods"])
        .bind("a", "r", "ServiceAccount", "a/x")
        .bind("b", "r", "User", "system:serviceaccount:a:x")
        // A subject without a namespace is in that of the binding.
        .bind("c", "r", "ServiceAccount", "x");
    assert_eq!(cluster.places(&Key::user("system:serviceaccount:a:x"), "get core/pods"), pair("a, b", "nowhere"));
    let report = cluster.report();
    assert!(row(&report, "system:serviceaccount:a:x").missing, "no object of that name exists");
    assert!(report.identities.iter().any(|row| row.name == "system:serviceaccount:c:x"));
}

#[test]
fn impersonation_uses_the_rights_of_both_and_proves_no_membership() {
    let mut cluster = Cluster::new()
        .role("i", &["impersonate"], "", &["users", "groups"])
        .role("r", &["get"], "", &["pods"])
        .bind("", "i", "User", "admin");
    cluster = cluster.bind("a", "r", "Group", "claimed").bind("a", "r", "User", "u").event("admin", "get", "pods", "a", 1);
    cluster.events[0]["impersonatedUser"] = json!({"username": "u", "groups": ["claimed"]});
    assert_eq!(cluster.places(&Key::user("admin"), "impersonate core/users"), pair("the whole cluster", "the whole cluster"));
    assert_eq!(cluster.places(&Key::user("admin"), "get core/pods"), pair("nowhere", "nowhere"));
    assert_eq!(cluster.places(&Key::user("u"), "get core/pods"), pair("a", "a"));
    assert_eq!(row(&cluster.report(), "claimed").members, 0);
}

#[test]
fn a_way_to_escalate_needs_all_of_it_in_one_place() {
    let cluster = Cluster::new().role("bind", &["bind"], "rbac.authorization.k8s.io", &["clusterroles"]).role(
        "write",
        &["create"],
        "rbac.authorization.k8s.io",
        &["rolebindings", "clusterrolebindings"],
    );
    let of = |cluster: &Cluster| row(&cluster.report(), "u").escalation.clone();
    let cluster = cluster.bind("a", "bind", "User", "u").bind("b", "write", "User", "u");
    assert_eq!(of(&cluster), None);
    let here = cluster.bind("a", "write", "User", "u");
    assert_eq!(of(&here), Some("rbac-bind".into()));
    let low = row(&here.report(), "u").x.unwrap();
    let wide = here.bind("", "bind", "User", "u").bind("", "write", "User", "u");
    assert!(row(&wide.report(), "u").x.unwrap() > low.max(0.5));
}

#[test]
fn requests_without_a_permission_are_counted_by_name() {
    let cluster = Cluster::new()
        .role("r", &["*"], "*", &["*"])
        .bind("", "r", "User", "u")
        .event("u", "get", "widgets", "a", 1)
        .event("u", "get", "widgets", "b", 1);
    let report = cluster.report();
    assert_eq!(report.input.unmapped, [("get core/widgets".to_owned(), 2)].into());
    assert!(row(&report, "u").last_used.is_some());
}

#[test]
fn live_grants_of_curfew_count_and_are_told_apart() {
    let standing = Cluster::new().role("r", &["get"], "", &["pods"]).role("w", &["create"], "", &["pods"]).bind("a", "r", "User", "u");
    let before = row(&standing.report(), "u").clone();
    assert!(before.live_grants.is_empty() && before.standing_score.is_none());
    let grant = json!({"kind": "RoleBinding", "metadata": {"name": "curfew-1", "namespace": "a", "labels": {"curfew.dev/grant": "00000000000000a1"}},
        "roleRef": {"kind": "ClusterRole", "name": "w"}, "subjects": [{"kind": "User", "name": "u"}]});
    let report = standing.object(grant).report();
    let with = row(&report, "u");
    assert_eq!((with.live_grants.as_slice(), with.standing_score), (["00000000000000a1".to_owned()].as_slice(), before.score));
    assert!(with.score > before.score);
}
