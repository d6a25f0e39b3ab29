//! What an event shows as used, and what the log cannot show.
use crate::cluster::{Cluster, pair, row};
use curfew_analytics::{kubernetes::inventory::Key, report::FindingType};

fn user() -> Key {
    Key::user("u")
}

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
