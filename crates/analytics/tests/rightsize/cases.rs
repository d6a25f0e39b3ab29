//! Single rules of right-sizing, each on a small cluster.
use crate::{Case, authorizer::Request, group, rules, user};
use curfew_analytics::{
    kubernetes::inventory::Key,
    rightsize::kubernetes::{Options, find, names::ObjectNames, needs::Why, standing::Action},
};
use serde_json::json;

fn admin() -> Case {
    Case::new()
        .role("all", json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]))
        .bind("", "all", user("u"))
}

fn event(case: Case, request: &str) -> Case {
    case.event("u", &Request::of(request), 200, 1)
}

#[test]
fn an_administrator_becomes_what_it_did() {
    let case = ["get core/pods a web", "list core/pods a", "get core/pods/log a web", "list core/nodes", "patch apps/deployments b web"]
        .into_iter()
        .fold(admin(), event)
        .event("u", &Request::url("get", "/metrics"), 200, 1);
    let proposal = case.of_user();
    assert_eq!(
        rules(&proposal),
        ["cluster: get /metrics", "cluster: list /nodes", "a: get,list /pods", "a: get /pods/log", "b: patch apps/deployments"]
    );
    assert_eq!((proposal.before.score, proposal.after.score), (100, 0));
    assert_eq!(proposal.removals.len(), 1);
    assert_eq!(proposal.removals[0].command.as_deref(), Some("kubectl delete clusterrolebinding b4"));
    // Without one day of the window there is no advice to remove the binding.
    assert!(!proposal.removable && proposal.notes.iter().any(|note| note.contains("remove no binding")), "{:?}", proposal.notes);
}

#[test]
fn a_request_that_was_allowed_and_failed_is_needed_and_one_that_was_refused_is_not() {
    let case =
        [(200, "secrets"), (404, "configmaps"), (409, "services"), (403, "pods"), (401, "endpoints"), (429, "events"), (500, "nodes")]
            .into_iter()
            .fold(admin(), |case, (code, kind)| case.event("u", &Request::of(&format!("get core/{kind} a x")), code, 1));
    // The event itself may say that it was authorized, and was put off later.
    let mut case = case.event("u", &Request::of("get core/pods/log a x"), 429, 1);
    case.events.last_mut().unwrap()["annotations"] = json!({"authorization.k8s.io/decision": "allow"});
    let options = Options { object_names: ObjectNames::Never, ..Options::default() };
    let proposal = case.propose(&Key::user("u"), &options);
    assert_eq!(rules(&proposal), ["a: get /configmaps,pods/log,secrets,services"]);
    let succeeded = |name: &str| proposal.evidence.iter().find(|evidence| evidence.permission == name).unwrap().succeeded;
    assert!(succeeded("get core/secrets") && !succeeded("get core/configmaps"));
    // What nothing serves needs no rule.
    let odd =
        Case::new().role("none", json!([])).bind("", "none", user("u")).event("u", &Request::of("get example.com/gizmos a x"), 404, 1);
    assert!(odd.of_user().roles.is_empty() && odd.of_user().notes.iter().any(|note| note.contains("does not serve it")));
}

#[test]
fn the_same_rules_in_several_namespaces_are_one_cluster_role() {
    let case = ["list core/pods a", "list core/pods b"].into_iter().fold(admin(), event);
    assert_eq!(rules(&case.of_user()), ["a+b: list /pods"]);
    let more = event(case.clone(), "list core/services b");
    assert_eq!(rules(&more.of_user()), ["a: list /pods", "b: list /pods,services"]);
    // What the whole cluster gives is in no namespace again.
    let wide = event(case, "list core/pods");
    assert_eq!(rules(&wide.of_user()), ["cluster: list /pods"]);
}

#[test]
fn names_are_taken_where_they_are_not_expected_to_change() {
    let get = |case: Case, kind: &str, name: &str, day: i64| case.event("u", &Request::of(&format!("get {kind} a {name}")), 200, day);
    let once = get(admin(), "core/configmaps", "settings", 1);
    assert_eq!(rules(&once.of_user()), ["a: get /configmaps"], "one day proves nothing");
    let twice = get(once.clone(), "core/configmaps", "settings", 2);
    assert_eq!(rules(&twice.of_user()), ["a: get /configmaps [settings]"]);
    assert_eq!(rules(&get(twice.clone(), "core/configmaps", "flags", 1).of_user()), ["a: get /configmaps"], "another name on one day");
    assert_eq!(rules(&event(twice.clone(), "list core/configmaps a").of_user()), ["a: list /configmaps", "a: get /configmaps [settings]"]);
    // Secrets by name at once; Pods and names that a program made never.
    assert_eq!(rules(&get(admin(), "core/secrets", "db", 1).of_user()), ["a: get /secrets [db]"]);
    assert_eq!(rules(&get(admin(), "core/secrets", "default-token-bz7kq", 1).of_user()), ["a: get /secrets"]);
    let pods = get(get(admin(), "core/pods", "web-0", 1), "core/pods", "web-0", 2);
    assert_eq!(rules(&pods.of_user()), ["a: get /pods"]);
    let with = |object_names| Options { object_names, ..Options::default() };
    assert_eq!(rules(&pods.propose(&Key::user("u"), &with(ObjectNames::All))), ["a: get /pods [web-0]"]);
    assert_eq!(rules(&twice.propose(&Key::user("u"), &with(ObjectNames::Never))), ["a: get /configmaps"]);
    // More than 64 names are too many to tell apart, regardless of their order.
    let many = (0..70).fold(admin(), |case, number| get(case, "core/secrets", &format!("s{number}"), 1));
    assert_eq!(rules(&many.of_user()), ["a: get /secrets"]);
}

#[test]
fn standing_access_to_named_objects_stays_so() {
    let case = Case::new()
        .role(
            "r",
            json!([{"verbs": ["get", "update"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["settings", "other"]}]),
        )
        .bind("a", "r", user("u"))
        .event("u", &Request::of("get core/configmaps a settings"), 200, 1);
    let never = Options { object_names: ObjectNames::Never, ..Options::default() };
    assert_eq!(rules(&case.propose(&Key::user("u"), &never)), ["a: get /configmaps [settings]"]);
    // The usage store has no names: then all that the standing access names are kept.
    let unnamed = Case { events: Vec::new(), ..case }.event("u", &Request::of("get core/configmaps a"), 200, 1);
    assert_eq!(rules(&unnamed.of_user()), ["a: get /configmaps [other,settings]"]);
}

#[test]
fn impersonation_is_limited_to_the_users_and_groups_that_were_impersonated() {
    let mut case = event(admin(), "list core/pods a");
    case.events[0]["impersonatedUser"] = json!({"username": "carol", "groups": ["leads", "system:authenticated"]});
    assert_eq!(rules(&case.of_user()), ["cluster: impersonate /groups [leads]", "cluster: impersonate /users [carol]"]);
    assert_eq!(rules(&case.propose(&Key::user("carol"), &Options::default())), ["a: list /pods"]);
}

#[test]
fn what_the_api_server_checks_besides_is_kept_if_it_is_held() {
    let rbac = "rbac.authorization.k8s.io";
    let write = format!("create {rbac}/rolebindings a x");
    let held = event(admin(), &write);
    assert_eq!(rules(&held.of_user()), [format!("a: bind {rbac}/clusterroles,roles"), format!("a: create {rbac}/rolebindings")]);
    assert!(held.of_user().evidence.iter().any(|evidence| evidence.why == Why::Checked));
    let without =
        Case::new().role("r", json!([{"verbs": ["create"], "apiGroups": [rbac], "resources": ["rolebindings"]}])).bind("", "r", user("u"));
    let without = event(without, &write).of_user();
    assert_eq!(rules(&without), [format!("a: create {rbac}/rolebindings")]);
    assert!(without.notes.iter().any(|note| note.contains("compared the rules")), "{:?}", without.notes);
    // A server-side apply of an object that did not exist.
    let apply = admin().event("u", &Request::of("patch core/services a web"), 201, 1).of_user();
    assert_eq!(rules(&apply), ["a: create,patch /services"]);
}

#[test]
fn what_no_request_shows_is_kept_if_the_standing_access_names_it() {
    let case = Case::new().role("r", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes/metrics", "pods"]}])).bind(
        "",
        "r",
        user("u"),
    );
    let kept = event(case, "get core/pods a x").of_user();
    assert_eq!(rules(&kept), ["cluster: get /nodes/metrics", "a: get /pods"]);
    assert!(kept.notes.iter().any(|note| note.contains("ask before you take it out: get core/nodes/metrics")), "{:?}", kept.notes);
    assert!(rules(&event(admin(), "get core/pods a x").of_user()).len() == 1, "a wildcard names nothing");
}

#[test]
fn namespaces_that_are_gone_and_grants_that_have_ended() {
    let gone = event(admin(), "list core/pods gone");
    assert_eq!(rules(&gone.of_user()), ["cluster: list /pods"]);
    assert!(gone.of_user().notes.iter().any(|note| note.contains("do not exist now")));
    assert!(gone.propose(&Key::user("u"), &Options { leave_out_gone: true, ..Options::default() }).roles.is_empty());
    let ended = event(Case::new().role("r", json!([])).bind("a", "r", user("u")), "list core/secrets a");
    assert_eq!(rules(&ended.of_user()), ["a: list /secrets"]);
    assert!(!ended.of_user().evidence[0].held);
    assert!(ended.propose(&Key::user("u"), &Options { held_only: true, ..Options::default() }).roles.is_empty());
}

#[test]
fn a_group_gets_what_its_members_used_of_what_it_grants() {
    let case = Case::new()
        .role("pods", json!([{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]))
        .role("nodes", json!([{"verbs": ["*"], "apiGroups": [""], "resources": ["nodes"]}]))
        .bind("a", "pods", group("devs"))
        .bind("", "nodes", user("u"))
        .event("u", &Request::of("list core/pods a"), 200, 1)
        .event("v", &Request::of("delete core/pods a x"), 200, 2)
        .event("u", &Request::of("list core/nodes"), 200, 1);
    let devs = case.propose(&Key::group("devs"), &Options::default());
    assert_eq!(rules(&devs), ["a: list,delete /pods"]);
    // The user's own proposal has all that it used, and says what reaches it through the group.
    let own = case.of_user();
    assert_eq!(rules(&own), ["cluster: list /nodes", "a: list /pods"]);
    let actions: Vec<(Action, Option<&str>)> = own.removals.iter().map(|removal| (removal.action, removal.through.as_deref())).collect();
    assert_eq!(actions, [(Action::Delete, None), (Action::Group, Some("devs"))]);
}

#[test]
fn a_binding_with_other_subjects_loses_one_and_those_of_kubernetes_and_curfew_stay() {
    let mut case = event(admin(), "list core/pods a");
    let subjects = json!([{"kind": "User", "name": "v"}, {"kind": "User", "name": "u"}]);
    case.objects[4]["subjects"] = subjects.clone();
    let labelled = |name: &str, label: serde_json::Value| {
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": name, "labels": label},
            "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": subjects})
    };
    let case = case
        .object(labelled("default", json!({"kubernetes.io/bootstrapping": "rbac-defaults"})))
        .object(labelled("curfew:x", json!({"curfew.dev/grant": "x"})));
    let removals = case.of_user().removals;
    assert_eq!(removals.iter().map(|removal| removal.action).collect::<Vec<_>>(), [Action::RemoveSubject, Action::Default, Action::Grant]);
    assert_eq!(
        removals[0].command.as_deref().unwrap(),
        r#"kubectl patch clusterrolebinding b4 --type=json -p '[{"op":"test","path":"/subjects/1/name","value":"u"},{"op":"remove","path":"/subjects/1"}]'"#
    );
    assert!(removals[1..].iter().all(|removal| removal.command.is_none()));
}

#[test]
fn what_everyone_has_by_default_is_in_no_role() {
    let default = json!({"kind": "ClusterRoleBinding", "metadata": {"name": "d", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"kind": "ClusterRole", "name": "discovery"}, "subjects": [{"kind": "Group", "name": "system:authenticated"}]});
    let case = admin().role("discovery", json!([{"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*"]}])).object(default);
    let case = case.event("u", &Request::url("get", "/api/v1"), 200, 1).event("u", &Request::url("get", "/metrics"), 200, 1);
    assert_eq!(rules(&case.of_user()), ["cluster: get /metrics"]);
    // Of many paths only the first segment is kept.
    let many = (0..300).fold(admin(), |case, number| case.event("u", &Request::url("get", &format!("/logs/{number}")), 200, 1));
    assert_eq!(rules(&many.of_user()), ["cluster: get /logs*"]);
}

#[test]
fn look_backs_and_existing_roles() {
    let view = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "services", "configmaps"]}]);
    let logs = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}]);
    let wide = json!([{"verbs": ["*"], "apiGroups": ["", "apps"], "resources": ["*"]}]);
    let case = admin().role("view", view).role("logs", logs).role("edit", wide);
    let day = |case: Case, request: &str, day: i64| case.event("u", &Request::of(request), 200, day);
    let case = day(day(case, "list core/pods a", 0), "get core/pods/log a web", 20);
    let proposal = case.of_user();
    assert_eq!(
        proposal.look_backs.iter().map(|one| (one.days, one.permissions)).collect::<Vec<_>>(),
        [(90, 2), (60, 2), (30, 2), (7, 1), (1, 1)]
    );
    assert_eq!(proposal.existing[0].roles, ["logs", "view"]);
    assert!(proposal.existing[0].exact && proposal.existing[0].excess > 0.0);
    let more = day(case, "delete batch/jobs a x", 1).of_user();
    assert!(more.existing[0].roles.is_empty());
    assert_eq!(more.existing[0].not_covered, ["delete batch/jobs"]);
}

#[test]
fn an_identity_is_found_by_name_and_a_name_of_two_needs_its_kind() {
    let case = admin().bind("a", "all", group("u")).bind("a", "all", group("devs"));
    let dump = curfew_analytics::kubernetes::dump::Dump::parse(&json!({"kind": "List", "items": case.objects}).to_string()).unwrap();
    let permissions = curfew_analytics::kubernetes::permissions::Permissions::build(None, &dump);
    let usage = curfew_analytics::kubernetes::usage::Usage::new(&permissions, &dump.namespaces, 0);
    let window = curfew_analytics::history::Window::ending(0, 1);
    let inventory = curfew_analytics::kubernetes::inventory::Inventory::build(&dump, &permissions, &usage, window, &Default::default());
    assert_eq!(find(&inventory, "devs"), Ok(Key::group("devs")));
    assert_eq!(find(&inventory, "user:u"), Ok(Key::user("u")));
    assert!(find(&inventory, "u").unwrap_err().to_string().contains("group:u or user:u"));
    assert!(find(&inventory, "nobody").unwrap_err().to_string().contains("no identity is called nobody"));
}
