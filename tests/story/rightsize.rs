//! Right-sizing on a real API server: an administrator acts, its standing access is replaced by the proposal, and everything that it did works
//! again and nothing else.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{ControlPlane, SOON, Stage, User, built, eventually};
use kube::Client;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ADMIN: &str = "zoe@example.com";
const GROUPS: [&str; 2] = ["zoe-team", "system:authenticated"];
const ROBOT: &str = "system:serviceaccount:rs-b:robot";

/// Two namespaces, an administrator by a binding that has another subject too, and a workload by a binding of its own.
const STANDING: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: rs-a}
---
apiVersion: v1
kind: Namespace
metadata: {name: rs-b}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: rs-b}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "rs:admins"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: yan@example.com}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: zoe@example.com}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot, namespace: rs-b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: robot, namespace: rs-b}]
"#;

/// A request: method, URI, body, and whom it impersonates.
type Act = (&'static str, &'static str, Option<Value>, Option<&'static str>);

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

fn deployment() -> Value {
    let labels = json!({"app": "web"});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]}}}})
}

/// What the administrator does: every verb, subresources, the whole cluster, URLs, a failure, impersonation, and what has checks of its own.
fn acts() -> Vec<Act> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "made"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "xu@example.com"}]});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "made"},
        "rules": [{"apiGroups": [""], "resources": ["events"], "verbs": ["get"]}]});
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    vec![
        ("GET", "/api/v1/namespaces/rs-a/configmaps/absent", None, None),
        ("POST", "/api/v1/namespaces/rs-a/configmaps", Some(config_map("made")), None),
        ("GET", "/api/v1/namespaces/rs-a/configmaps/made", None, None),
        ("PUT", "/api/v1/namespaces/rs-a/configmaps/made", Some(config_map("made")), None),
        ("APPLY", "/api/v1/namespaces/rs-b/configmaps/applied?fieldManager=t", Some(config_map("applied")), None),
        ("PATCH", "/api/v1/namespaces/rs-b/configmaps/applied", Some(json!({"data": {"a": "c"}})), None),
        ("DELETE", "/api/v1/namespaces/rs-a/configmaps/made", None, None),
        ("DELETE", "/api/v1/namespaces/rs-b/configmaps?labelSelector=none%3Dof-this", None, None),
        ("GET", "/api/v1/pods?limit=5", None, None),
        ("GET", "/api/v1/namespaces/rs-a/pods?watch=true&timeoutSeconds=1", None, None),
        ("GET", "/api/v1/namespaces/rs-a/secrets?fieldSelector=metadata.name%3Ddb", None, None),
        ("GET", "/api/v1/namespaces/rs-a/secrets/db", None, None),
        ("GET", "/api/v1/nodes", None, None),
        ("GET", "/api/v1/namespaces/rs-a", None, None),
        ("POST", "/apis/apps/v1/namespaces/rs-a/deployments", Some(deployment()), None),
        ("GET", "/apis/apps/v1/namespaces/rs-a/deployments/web/scale", None, None),
        ("PATCH", "/apis/apps/v1/namespaces/rs-a/deployments/web/scale", Some(json!({"spec": {"replicas": 2}})), None),
        (
            "POST",
            "/api/v1/namespaces/rs-a/pods/absent/eviction",
            Some(json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "absent"}})),
            None,
        ),
        ("GET", "/api/v1/namespaces/rs-a/pods/absent/log", None, None),
        ("POST", "/api/v1/namespaces/rs-b/serviceaccounts/robot/token", Some(token), None),
        ("POST", const_path("rolebindings"), Some(binding), None),
        ("POST", const_path("roles"), Some(role), None),
        ("GET", rbac, None, None),
        ("GET", "/metrics", None, None),
        ("GET", "/healthz/etcd", None, None),
        ("GET", "/api/v1/namespaces/rs-b/services", None, Some("xu@example.com")),
        ("GET", "/apis/curfew.dev/v1alpha1/namespaces/rs-a/roletemplates", None, None),
    ]
}

/// The URI of a kind of RBAC in the namespace rs-a.
fn const_path(kind: &str) -> &'static str {
    match kind {
        "roles" => "/apis/rbac.authorization.k8s.io/v1/namespaces/rs-a/roles",
        _ => "/apis/rbac.authorization.k8s.io/v1/namespaces/rs-a/rolebindings",
    }
}

/// Sends it; the status of the answer.
async fn act(client: &Client, (method, uri, body, impersonated): &Act) -> Result<u16> {
    let (method, kind) = match *method {
        "APPLY" => ("PATCH", "application/apply-patch+yaml"),
        "PATCH" => ("PATCH", "application/merge-patch+json"),
        other => (other, "application/json"),
    };
    let mut request = http::Request::builder().method(method).uri(*uri).header("Content-Type", kind);
    if let Some(other) = impersonated {
        request = request.header("Impersonate-User", *other);
    }
    let bytes = body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
    match client.request_text(request.body(bytes)?).await {
        Ok(_) => Ok(200),
        Err(kube::Error::Api(status)) => Ok(status.code),
        Err(error) => Err(error.into()),
    }
}

/// Runs `curfew-analytics rightsize` on the cluster's RBAC and its audit log.
async fn rightsize(admin: &User, rbac: &Path, log: &Path, identity: &str, args: &[&str]) -> Result<String> {
    let program = built("curfew-analytics")?;
    let (rbac, log) = (rbac.to_str().context("a path")?, log.to_str().context("a path")?);
    let fixed = ["rightsize", "--identity", identity, "--kubernetes-rbac", rbac, "--audit-log", log, "--window", "1d"];
    admin.run(&program, &[&fixed[..], args].concat(), None).await?.success()
}

/// The events of an identity whose requests were authorized, by the documentation of audit events alone.
fn events_of(log: &Path, user: &str) -> Result<Vec<Value>> {
    let lines = std::fs::read_to_string(log)?;
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let counts = |event: &Value| {
        let acted = event["user"]["username"] == user;
        let code = event["responseStatus"]["code"].as_i64().unwrap_or_default();
        acted && event["stage"] == "ResponseComplete" && !matches!(code, 0 | 401 | 403)
    };
    Ok(events.filter(counts).collect())
}

/// The reviews that ask again for what an event was allowed.
fn reviews_of(event: &Value) -> Vec<Value> {
    let review = |user: &Value, attributes: Value| {
        let mut spec = json!({"user": user, "groups": ["system:authenticated"]});
        let key = if attributes["path"].is_string() { "nonResourceAttributes" } else { "resourceAttributes" };
        spec[key] = attributes;
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    };
    let path = event["requestURI"].as_str().unwrap_or_default().split('?').next().unwrap_or_default();
    let object = &event["objectRef"];
    let asked = if object.is_object() {
        // The name is what the URL has, or a field selector: the log has that of a created object, too.
        let name = object["name"].as_str().filter(|name| path.contains(&format!("/{name}")) || event["verb"] == "list");
        json!({"verb": event["verb"], "group": object["apiGroup"], "resource": object["resource"], "subresource": object["subresource"],
            "namespace": object["namespace"], "name": name})
    } else {
        json!({"verb": event["verb"], "path": path})
    };
    match event["impersonatedUser"]["username"].as_str() {
        // What the other user may do is its own affair.
        Some(other) => vec![review(&event["user"]["username"], json!({"verb": "impersonate", "resource": "users", "name": other}))],
        None => vec![review(&event["user"]["username"], asked)],
    }
}

async fn is_allowed(client: &Client, review: &Value) -> Result<bool> {
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews").header("Content-Type", "application/json");
    let answer: Value = client.request(request.body(review.to_string().into_bytes())?).await?;
    Ok(answer["status"]["allowed"] == true)
}

/// Applies what the proposal says, and takes away what it replaces by its own commands.
async fn replace(admin: &User, proposal: &Value) -> Result<()> {
    let documents: Vec<String> = proposal["documents"].as_array().context("documents")?.iter().map(Value::to_string).collect();
    admin.apply(&documents.join("\n---\n")).await?.success()?;
    for command in proposal["removals"].as_array().context("removals")?.iter().filter_map(|removal| removal["command"].as_str()) {
        let script = format!("PATH=\"$1:$PATH\"; {command}");
        let kubectl = admin.kubectl_program().parent().map(Path::to_path_buf).context("the folder of kubectl")?;
        admin.run(Path::new("/bin/sh"), &["-ec", &script, "sh", &kubectl.to_string_lossy()], None).await?.success()?;
    }
    Ok(())
}

#[tokio::test]
async fn the_proposal_in_place_of_the_standing_access_refuses_nothing_that_was_done() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (log, rbac): (PathBuf, PathBuf) = (folder.path().join("audit.log"), folder.path().join("rbac.json"));
    let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
        {"level": "Metadata", "users": [ADMIN, ROBOT]}, {"level": "None"}]});
    let cp = ControlPlane::start_audited("rightsize", Stage::Installed, log.clone(), policy).await?;
    let admin = cp.admin_user()?;
    admin.apply(STANDING).await?.success()?;
    let (zoe, client) = (cp.user(ADMIN, &[GROUPS[0]])?.client().await?, cp.admin().await?);
    let robot = cp.service_account("rs-b", "robot").await?.client().await?;
    eventually("the administrator has access", SOON, || async {
        Ok((act(&zoe, &("GET", "/api/v1/namespaces/rs-b/endpoints", None, None)).await? == 200).then_some(()))
    })
    .await?;
    let robots: [Act; 3] = [
        ("GET", "/api/v1/namespaces/rs-b/configmaps/leader", None, None),
        ("POST", "/api/v1/namespaces/rs-b/configmaps", Some(config_map("leader")), None),
        ("GET", "/apis/apps/v1/namespaces/rs-b/deployments?watch=true&timeoutSeconds=1", None, None),
    ];
    eventually("the workload has access", SOON, || async { Ok((act(&robot, &robots[0]).await? != 403).then_some(())) }).await?;
    for one in &acts() {
        let code = act(&zoe, one).await?;
        // xu may list nothing yet: the act is about the right to impersonate.
        ensure!(code < 500 && (code != 403 || one.3.is_some()), "{one:?} was answered with {code}");
    }
    for one in &robots {
        act(&robot, one).await?;
    }
    let kinds = "clusterroles,roles,clusterrolebindings,rolebindings,serviceaccounts,namespaces";
    std::fs::write(&rbac, admin.kubectl(&["get", kinds, "-A", "-o", "json"]).await?.success()?)?;

    // What is printed for people is valid by the CRDs, field by field.
    let yaml = rightsize(&admin, &rbac, &log, ADMIN, &["-o", "yaml", "-n", "rs-a", "--approver", "group:leads"]).await?;
    for kind in ["RoleTemplate", "EligibleAssignment"] {
        ensure!(yaml.contains(&format!("kind: {kind}")), "{yaml}");
    }
    admin.api_stdin(&["apply", "-f", "-", "--dry-run=server"], &yaml).await?.success()?;

    let proposal: Value = serde_json::from_str(&rightsize(&admin, &rbac, &log, ADMIN, &["-o", "json", "--give", "standing"]).await?)?;
    let of_robot: Value = serde_json::from_str(&rightsize(&admin, &rbac, &log, ROBOT, &["-o", "json"]).await?)?;
    let events = events_of(&log, ADMIN)?;
    ensure!(events.len() >= acts().len() - 1, "only {} events", events.len());
    replace(&admin, &proposal).await?;
    replace(&admin, &of_robot).await?;
    let gone = ("GET", "/api/v1/namespaces/rs-b/secrets", None, None);
    for other in [&zoe, &robot] {
        eventually("the standing access is gone", SOON, || async { Ok((act(other, &gone).await? == 403).then_some(())) }).await?;
    }
    // Every event of the log, by the API server's own authorizer.
    let mut asked = 0;
    for event in events.iter().chain(&events_of(&log, ROBOT)?) {
        for review in reviews_of(event) {
            ensure!(is_allowed(&client, &review).await?, "the proposal denies {review} of {event}\n{:#}", proposal["roles"]);
            asked += 1;
        }
    }
    ensure!(asked >= 30, "only {asked} reviews");
    // And every request for real, with the checks that no event shows: bind, escalate, create by apply.
    admin.api(&["delete", "configmap", "applied", "-n", "rs-b"]).await?.success()?;
    for kind in ["role", "rolebinding"] {
        admin.api(&["delete", kind, "made", "-n", "rs-a"]).await?.success()?;
    }
    for one in &acts() {
        let code = act(&zoe, one).await?;
        ensure!(code != 403 || one.3.is_some(), "the proposal denies {one:?}\n{:#}", proposal["roles"]);
    }
    for one in &robots {
        ensure!(act(&robot, one).await? != 403, "the proposal denies {one:?} to the workload");
    }
    // Nothing else: other verbs, namespaces, objects and users.
    let refused: [Act; 8] = [
        ("GET", "/api/v1/namespaces/rs-b/configmaps/leader", None, None),
        ("GET", "/api/v1/namespaces/rs-a/secrets/other", None, None),
        ("GET", "/api/v1/secrets", None, None),
        ("DELETE", "/apis/apps/v1/namespaces/rs-a/deployments/web", None, None),
        (
            "POST",
            "/api/v1/namespaces/rs-b/pods/absent/eviction",
            Some(json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "absent"}})),
            None,
        ),
        (
            "POST",
            "/api/v1/namespaces/kube-system/serviceaccounts/default/token",
            Some(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}})),
            None,
        ),
        ("GET", "/healthz/poststarthook/rbac/bootstrap-roles", None, None),
        ("GET", "/api/v1/nodes", None, Some("root@example.com")),
    ];
    for one in &refused {
        ensure!(act(&zoe, one).await? == 403, "the proposal allows {one:?}");
    }
    // The other subject of the binding has kept its access.
    let yan = cp.user("yan@example.com", &[])?.client().await?;
    ensure!(act(&yan, &("GET", "/api/v1/secrets", None, None)).await? == 200);
    Ok(())
}
