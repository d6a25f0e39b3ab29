//! The ClusterRoles for people. Who gets which is in docs/install.md.
//!
//! Only `curfew-eligibility-reader` is aggregated, and only into `view`: it shows which roles a namespace offers and to whom. Nothing is
//! aggregated into `edit` or `admin`, since an admin of a namespace must not become an approver or author implicitly. None of these
//! roles writes a status, a Grant, a policy, a system or CurfewConfig.
use super::rbac::{READ, allow, cluster_role};
use crate::api::{CONFIG_NAME, GROUP, crds};
use serde_json::{Value, json};

/// The ClusterRole with which every login reads CurfewConfig.
const CONFIG_READER: &str = "curfew-config-reader";
/// What a team writes: the roles that its namespace offers, who is eligible for them, and who has standing access, where a policy allows it.
const OFFERED: &[&str] = &["roletemplates", "eligibleassignments", "activeassignments"];
/// Verbs with which objects are kept in Git.
const WRITE: &[&str] = &["create", "update", "patch", "delete", "get", "list", "watch"];

/// Returns the ClusterRoles for people. Every login may read CurfewConfig, which is cluster-scoped and holds no secrets: the plugin
/// reads there which extra keys of a login are recorded, and which of them prove it.
pub fn roles() -> Vec<Value> {
    let plurals: Vec<String> = crds().into_iter().map(|crd| crd.spec.names.plural).collect();
    let all: Vec<&str> = plurals.iter().map(String::as_str).collect();
    let lookup = allow(GROUP, OFFERED, READ);
    // Server-side apply is a patch, also of an object that does not exist yet. Specs are immutable, and admission guards metadata.
    let decide = allow(GROUP, &["accessdecisions"], &["create", "patch", "get", "list", "watch"]);
    vec![
        cluster_role(
            "curfew-requester",
            &[
                allow(GROUP, &["activationrequests", "assignmentrequests"], &["create", "patch", "get", "list", "watch", "delete"]),
                // A requester can also withdraw a request with a decision: Revoke.
                decide.clone(),
                lookup.clone(),
            ],
        ),
        cluster_role(
            "curfew-approver",
            &[decide.clone(), allow(GROUP, &["activationrequests", "assignmentrequests"], READ), lookup.clone()],
        ),
        // A manager may deny and revoke each request, delete it, and clear away decisions that do not count; and ask for an assignment, or that
        // one is extended or renewed, which others approve.
        cluster_role(
            "curfew-manager",
            &[
                allow(GROUP, &["activationrequests"], &["manage", "get", "list", "watch", "delete"]),
                allow(GROUP, &["assignmentrequests"], &["manage", "create", "patch", "get", "list", "watch", "delete"]),
                allow(GROUP, &["eligibleassignments", "activeassignments"], &["manage"]),
                decide,
                allow(GROUP, &["accessdecisions"], &["delete", "deletecollection"]),
                lookup.clone(),
            ],
        ),
        // What an author offers is limited by the AccessPolicies of the namespace, which an author cannot change.
        cluster_role("curfew-author", &[allow(GROUP, OFFERED, WRITE)]),
        // An auditor is bound for the whole cluster, and reads what is decided and granted everywhere.
        cluster_role("curfew-auditor", &[allow(GROUP, &all, READ)]),
        aggregated("view", cluster_role("curfew-eligibility-reader", &[lookup])),
        cluster_role(
            CONFIG_READER,
            &[json!({"apiGroups": [GROUP], "resources": ["curfewconfigs"], "resourceNames": [CONFIG_NAME], "verbs": ["get"]})],
        ),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": CONFIG_READER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CONFIG_READER},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]}),
    ]
}

/// The role with the label by which Kubernetes adds its rules to this default role.
fn aggregated(into: &str, mut role: Value) -> Value {
    role["metadata"]["labels"] = json!({format!("rbac.authorization.k8s.io/aggregate-to-{into}"): "true"});
    role
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_is_aggregated_and_only_into_view() {
        for role in roles() {
            let labels = role["metadata"]["labels"].as_object().cloned().unwrap_or_default();
            for label in labels.keys() {
                assert_eq!(label, "rbac.authorization.k8s.io/aggregate-to-view", "{role}");
                let verbs = role["rules"].as_array().into_iter().flatten().flat_map(|rule| rule["verbs"].as_array().into_iter().flatten());
                assert!(verbs.into_iter().all(|verb| READ.contains(&verb.as_str().unwrap_or_default())), "{role}");
            }
        }
    }

    #[test]
    fn no_role_of_people_writes_what_only_the_operator_or_the_security_team_writes() {
        let theirs =
            ["activationrequests", "assignmentrequests", "accessdecisions", "roletemplates", "eligibleassignments", "activeassignments"];
        for role in roles() {
            for rule in role["rules"].as_array().into_iter().flatten() {
                let list = |key: &str| rule[key].as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect::<Vec<_>>();
                let reads = list("verbs").iter().all(|verb| READ.contains(verb));
                assert!(reads || list("resources").iter().all(|resource| theirs.contains(resource)), "{role}");
                assert!(!list("verbs").contains(&"*") && !list("resources").contains(&"*"), "{role}");
            }
        }
    }
}
