//! The place of the cluster itself: all namespaces at once, and namespaces that do not exist now.
use crate::cluster::{Cluster, pair, row, user};
use curfew_analytics::report::FindingType;

fn bound(verbs: &[&str], resource: &str) -> Cluster {
    Cluster::new().role("r", verbs, "", &[resource]).bind("", "r", "User", "u")
}

fn in_each(cluster: Cluster, verb: &str, resource: &str) -> Cluster {
    ["a", "b", "c"].into_iter().fold(cluster, |cluster, namespace| cluster.event("u", verb, resource, namespace, 1))
}

/// No request for one object names all namespaces, so it is fully used if it was used in each.
#[test]
fn a_verb_on_one_object_is_fully_used_if_it_was_used_in_every_namespace() {
    for (verb, resource) in [("get", "pods"), ("create", "pods"), ("delete", "namespaces"), ("impersonate", "serviceaccounts")] {
        let mut used = in_each(bound(&[verb], resource), verb, resource);
        if verb == "impersonate" {
            for event in &mut used.events {
                let name = format!("system:serviceaccount:{}:x", event["objectRef"]["namespace"].as_str().unwrap());
                event["verb"] = "get".into();
                event["impersonatedUser"] = serde_json::json!({"username": name});
            }
        }
        assert_eq!(used.places(&user(), &format!("{verb} core/{resource}")), pair("the whole cluster", "the whole cluster"), "{verb}");
        assert_eq!(row(&used.report(), "u").x, Some(0.0), "{verb} {resource}");
    }
    let some = bound(&["get"], "pods").event("u", "get", "pods", "a", 1).event("u", "get", "pods", "b", 1);
    assert_eq!(some.places(&user(), "get core/pods").1, "a, b");
    // A list can be across all namespaces. Lists in each do not need that.
    let lists = in_each(bound(&["list"], "pods"), "list", "pods");
    assert_eq!(lists.places(&user(), "list core/pods").1, "a, b, c");
    assert!(row(&lists.report(), "u").x > Some(0.0));
}

#[test]
fn a_use_in_a_namespace_that_is_gone_does_not_use_all_namespaces() {
    let unused = bound(&["list"], "pods");
    let gone = unused.clone().event("u", "list", "pods", "gone", 1);
    assert_eq!(row(&gone.report(), "u").x, row(&unused.report(), "u").x);
    assert_eq!(gone.places(&user(), "list core/pods").1, "nowhere");
    // But it was allowed by the ClusterRoleBinding; a RoleBinding elsewhere did not allow it.
    assert_eq!((unused.findings(FindingType::UnusedBinding).len(), gone.findings(FindingType::UnusedBinding).len()), (1, 0));
    let narrow = gone.bind("a", "r", "User", "u");
    assert_eq!(narrow.findings(FindingType::UnusedBinding)[0].subject, "RoleBinding a/binding-5");
    // For one object the place stands for namespaces that come and go.
    let deletes = bound(&["delete"], "namespaces").event("u", "delete", "namespaces", "gone", 1);
    assert_eq!(deletes.places(&user(), "delete core/namespaces").1, "namespaces that do not exist now");
    assert!(deletes.findings(FindingType::UnusedBinding).is_empty());
}
