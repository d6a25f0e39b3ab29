//! What the API server checks besides the request itself, and what it checks without any request of the identity.
use super::{
    RBAC,
    event::User,
    kinds::Kind,
    membership::{account, fixed_groups},
};

/// A permission by verb, group and resource.
pub type Check = (&'static str, String, String);

const AUTHENTICATION: &str = "authentication.k8s.io";
/// The resource of extra fields; each key is a subresource of it.
pub const EXTRAS: &str = "userextras";
const CERTIFICATES: &str = "certificates.k8s.io";
/// The verbs of requests for resources.
const REQUESTS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The verbs whose use follows from a request: see [`besides`]. `impersonate` follows from the impersonated user.
const CHECKS: [&str; 6] = ["approve", "attest", "bind", "escalate", "impersonate", "sign"];

/// What else may have allowed a successful request for a resource with this status.
///
/// No event names these checks. The API server asks for `bind` and `escalate` first, and compares the rules with those of the writer only if
/// the answer is no. So an identity that has the permission used it, and for one that does not have it, it changes nothing.
pub fn besides(verb: &str, group: &str, resource: &str, code: i64) -> Vec<Check> {
    let check = |verb, group: &str, resource: &str| (verb, group.to_owned(), resource.to_owned());
    let writes = matches!(verb, "create" | "update" | "patch");
    let mut found = match (group, resource) {
        (RBAC, "rolebindings") if writes => vec![check("bind", RBAC, "roles"), check("bind", RBAC, "clusterroles")],
        (RBAC, "clusterrolebindings") if writes => vec![check("bind", RBAC, "clusterroles")],
        (RBAC, "roles" | "clusterroles") if writes => vec![check("escalate", RBAC, resource)],
        (CERTIFICATES, "certificatesigningrequests/approval") if writes => vec![check("approve", CERTIFICATES, "signers")],
        (CERTIFICATES, "certificatesigningrequests/status" | "podcertificaterequests/status") if writes => {
            vec![check("sign", CERTIFICATES, "signers")]
        }
        (CERTIFICATES, "clustertrustbundles") if writes => vec![check("attest", CERTIFICATES, "signers")],
        // Over a websocket. API servers with AuthorizePodWebsocketUpgradeCreatePermission ask for `create`, too.
        ("", "pods/exec" | "pods/attach" | "pods/portforward") if verb == "get" => vec![check("create", group, resource)],
        _ => Vec::new(),
    };
    // A server-side apply, or a PUT, of an object that did not exist.
    if matches!(verb, "update" | "patch") && code == 201 {
        found.push(check("create", group, resource));
    }
    found
}

/// The resources for which `impersonate` was checked, by group and name, and the namespace of a service account.
///
/// The API server adds the groups that everyone of a kind is in. It asks for the others only.
pub fn impersonated(user: &User) -> Vec<(&'static str, String, Option<&str>)> {
    let mut found = vec![match account(&user.username) {
        Some((namespace, _)) => ("", "serviceaccounts".to_owned(), Some(namespace)),
        None => ("", "users".to_owned(), None),
    }];
    let added = fixed_groups(&user.username);
    if user.groups.iter().any(|group| !added.contains(group)) {
        found.push(("", "groups".to_owned(), None));
    }
    if !user.uid.is_empty() {
        found.push((AUTHENTICATION, "uids".to_owned(), None));
    }
    found.extend(user.extra.keys().map(|key| (AUTHENTICATION, format!("{EXTRAS}/{key}"), None)));
    found
}

/// The objects on which `impersonate` was checked: group, resource, the namespace of a service account, and the name. UIDs and extra fields
/// have none: the log does not have the values of extra fields, and the usage store has no UIDs.
pub fn impersonated_objects(user: &User) -> Vec<(&'static str, String, &str, String)> {
    let added = fixed_groups(&user.username);
    let mut found = Vec::new();
    for (group, resource, namespace) in impersonated(user) {
        let names: Vec<String> = match (resource.as_str(), account(&user.username)) {
            ("serviceaccounts", Some((_, name))) => vec![name.to_owned()],
            ("users", _) => vec![user.username.clone()],
            ("groups", _) => user.groups.iter().filter(|group| !added.contains(group)).cloned().collect(),
            _ => vec![String::new()],
        };
        found.extend(names.into_iter().map(|name| (group, resource.clone(), namespace.unwrap_or_default(), name)));
    }
    found
}

/// Whether no request of the identity shows a use: the kubelet or admission asks the API server whether the identity may, or the verb is
/// not one of requests.
pub fn is_unseen(kind: &Kind, verb: &str) -> bool {
    let kubelet = kind.group.is_empty() && kind.resource.starts_with("nodes/") && kind.resource != "nodes/status";
    // OwnerReferencesPermissionEnforcement asks for `finalizers`, and writes of the status of a ResourceClaim for the other two.
    let admission = kind.resource.ends_with("/finalizers")
        || (kind.group == "resource.k8s.io" && matches!(kind.resource.as_str(), "resourceclaims/binding" | "resourceclaims/driver"));
    kubelet || admission || !(REQUESTS.contains(&verb) || CHECKS.contains(&verb))
}
