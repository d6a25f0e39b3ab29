//! Input with null lists and with items that are not what they should be.
use crate::cluster::Cluster;
use curfew_analytics::{
    kubernetes::{
        dump::Dump,
        event::{Line, parse},
        kinds::Discovery,
    },
    report::FindingType,
};
use serde_json::{Value, json};

const ROLE: &str = r#"{"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}"#;
const BINDING: &str =
    r#"{"kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":null}"#;

fn event() -> Value {
    Cluster::new().event("u", "get", "pods", "a", 1).events[0].clone()
}

#[test]
fn null_is_an_empty_list() {
    let nulls = r#"{"kind":"ClusterRole","metadata":{"name":"n","labels":null,"annotations":null},"rules":[{"verbs":null,"apiGroups":null,
        "resources":null,"resourceNames":null,"nonResourceURLs":null}],"aggregationRule":{"clusterRoleSelectors":null}}"#;
    let selector = r#"{"kind":"ClusterRole","metadata":{"name":"s"},"rules":null,
        "aggregationRule":{"clusterRoleSelectors":[{"matchLabels":null,"matchExpressions":[{"key":"k","operator":"In","values":null}]}]}}"#;
    let empty = r#"{"kind":"RoleList","items":null} {"kind":"List","items":null} {"kind":"Namespace","metadata":null}"#;
    let dump = Dump::parse(&format!("{ROLE}{BINDING}{nulls}{selector}{empty}")).unwrap();
    assert_eq!((dump.roles.len(), dump.bindings.len(), dump.ignored.len(), dump.broken.len()), (3, 1, 0, 0), "{dump:?}");
    let discovery = r#"{"kind":"APIResourceList","groupVersion":"v1","items":null,"resources":[{"name":"pods","namespaced":true,"verbs":null}]}
        {"kind":"APIGroupDiscoveryList","resources":null,"items":[{"metadata":{"name":"x"},"versions":null},{"metadata":{"name":"rbac.authorization.k8s.io"},
        "versions":[{"version":"v1","resources":null},{"version":"v2","resources":[{"resource":"roles","scope":"Namespaced","verbs":null,"subresources":null}]}]}]}"#;
    assert_eq!(Discovery::parse(discovery).unwrap().into_kinds().len(), 2);
    let mut one = event();
    one["user"]["groups"] = Value::Null;
    one["user"]["extra"] = Value::Null;
    one["items"] = Value::Null;
    one["impersonatedUser"] = json!({"username": "v", "groups": null, "uid": null});
    one["objectRef"]["subresource"] = Value::Null;
    assert!(matches!(parse(one.to_string().as_bytes()), Line::Events { events, broken: None } if events.len() == 1));
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": null});
    assert!(matches!(parse(list.to_string().as_bytes()), Line::Events { events, broken: None } if events.is_empty()));
}

#[test]
fn a_list_loses_only_its_broken_items() {
    let items = format!(r#"3, null, {{"metadata":{{"name":"x"}},"rules":"all"}}, {}"#, ROLE.replace(r#""kind":"ClusterRole","#, ""));
    let dump = Dump::parse(&format!(r#"{{"kind":"ClusterRoleList","items":[{items}]}}{BINDING}"#)).unwrap();
    assert_eq!((dump.roles.len(), dump.bindings.len(), dump.broken.len()), (1, 1, 3));
    assert!(dump.broken[2].starts_with("ClusterRole x: "), "{:?}", dump.broken);
    let mut odd = event();
    odd["verb"] = json!(7);
    let mut nameless = event();
    nameless["user"]["username"] = json!("");
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event(), odd, nameless, event(), 3]});
    let Line::Events { events, broken: Some(broken) } = parse(list.to_string().as_bytes()) else { panic!() };
    assert_eq!((events.len(), broken.count), (2, 3));
    assert!(broken.first.starts_with("item 2 of the list: "), "{}", broken.first);
}

/// What a lost object would have said is not known.
#[test]
fn nothing_is_called_missing_or_unbound_that_a_broken_object_may_have_had() {
    let cluster =
        Cluster::new().role("r", &["get"], "", &["pods"]).role("alone", &["get"], "", &["pods"]).bind("", "lost", "User", "u").covered();
    let subjects = |cluster: &Cluster, kind| cluster.findings(kind).into_iter().map(|finding| finding.subject).collect::<Vec<_>>();
    assert_eq!(subjects(&cluster, FindingType::UnusedBinding).len(), 1);
    assert_eq!(subjects(&cluster, FindingType::UnusedRole).len(), 2);
    let role = json!({"kind": "ClusterRole", "metadata": {"name": "lost"}, "rules": "all"});
    assert!(subjects(&cluster.clone().object(role), FindingType::UnusedBinding).is_empty());
    let binding = json!({"kind": "ClusterRoleBinding", "metadata": {"name": "x"}, "roleRef": 3});
    assert!(subjects(&cluster.object(binding), FindingType::UnusedRole).is_empty());
}

#[test]
fn a_request_that_was_not_authenticated_is_refused_and_not_broken() {
    for user in [json!({}), Value::Null, json!({"username": "system:anonymous"})] {
        let mut cluster =
            Cluster::new().role("r", &["get"], "", &["pods"]).bind("", "r", "User", "u").event("u", "get", "pods", "a", 1).code(401);
        cluster.events[0]["user"] = user;
        let report = cluster.report();
        assert_eq!((report.input.not_successful, report.input.uses), (1, 0));
        assert!(report.identities.iter().all(|row| row.last_used.is_none()));
    }
}
