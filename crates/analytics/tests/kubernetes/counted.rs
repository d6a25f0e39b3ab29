//! Which identities count for the system, and whom a binding names.
use crate::cluster::{Cluster, UNTIL, row, time};
use curfew_analytics::{
    history::DAY,
    kubernetes::inventory::{Exclusions, Key},
    report::FindingType,
};
use serde_json::{Value, json};

/// Gives every object the age of a day.
fn young(mut cluster: Cluster) -> Cluster {
    for object in &mut cluster.objects {
        object["metadata"]["creationTimestamp"] = Value::from(time(UNTIL - DAY));
    }
    cluster
}

fn everything() -> Cluster {
    Cluster::new().role("all", &["*"], "*", &["*"])
}

/// PCI-1 excludes by tag only.
#[test]
fn a_young_cluster_has_the_score_of_an_old_one() {
    let mut cluster = everything();
    for i in 0..10 {
        let account = json!({"kind": "ServiceAccount", "metadata": {"name": format!("x{i}"), "namespace": "a"}});
        cluster = cluster.object(account).bind("", "all", "ServiceAccount", &format!("a/x{i}"));
    }
    let (old, new) = (cluster.report().system, young(cluster).report().system);
    assert_eq!((new.score, new.counted, new.new), (old.score, 10, 10));
    assert!(new.score >= 68, "{}", new.score);
}

#[test]
fn creating_a_binding_again_does_not_remove_its_holder_from_the_score() {
    let before = everything().bind("", "all", "User", "u");
    let after = young(before.clone());
    assert_eq!(before.report().system.x, after.report().system.x);
    // What needs history is not found for it.
    assert_eq!((before.findings(FindingType::Inactive).len(), after.findings(FindingType::Inactive).len()), (1, 0));
}

#[test]
fn a_group_is_skipped_only_if_a_member_that_counts_carries_it() {
    let anonymous = everything().bind("", "all", "Group", "system:unauthenticated");
    let seen = anonymous.clone().event("system:anonymous", "list", "pods", "a", 1);
    assert!(anonymous.report().system.x > 0.01 && seen.report().system.x > 0.01, "{:?}", seen.report().system);
    assert!(row(&seen.report(), "system:anonymous").counted && !row(&seen.report(), "system:unauthenticated").counted);
}

/// P7, for a member of a group: her uses do not count for the group either.
#[test]
fn an_excluded_member_leaves_the_score_of_a_log_without_her() {
    let absent = everything().bind("", "all", "Group", "devs");
    let mut excluded = absent.clone().event("alice", "list", "secrets", "", 1);
    excluded.exclusions = Exclusions { from_pci: ["alice".to_owned()].into(), ..Exclusions::default() };
    assert_eq!(excluded.report().system.x.to_bits(), absent.report().system.x.to_bits());
    assert!(row(&excluded.report(), "devs").counted);
    // The group is in use all the same.
    assert!(excluded.findings(FindingType::Inactive).is_empty());
    let with_bob = excluded.event("bob", "list", "pods", "a", 1);
    assert!(row(&with_bob.report(), "bob").counted && !row(&with_bob.report(), "devs").counted);
}

#[test]
fn a_rolebinding_names_service_accounts_of_its_own_namespace() {
    let account = json!({"kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "c"}});
    let cluster = Cluster::new().role("r", &["get"], "", &["pods"]).object(account).bind("c", "r", "ServiceAccount", "x");
    let key = Key::user("system:serviceaccount:c:x");
    assert_eq!(cluster.places(&key, "get core/pods"), crate::cluster::pair("c", "nowhere"));
    let used = cluster.event(&key.name, "get", "pods", "c", 1);
    assert!(used.findings(FindingType::UnusedBinding).is_empty());
    // A ClusterRoleBinding has no namespace to take.
    let wide = used.bind("", "r", "ServiceAccount", "y");
    let notes = wide.report().input.notes;
    assert!(notes.iter().any(|note| note.starts_with("1 subjects of bindings")), "{notes:?}");
}
