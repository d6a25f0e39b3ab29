//! Less than a role gives, with the access used: what a request asks for, what an assignment leaves, and what is refused.
use crate::{attacks::resisted, shared::with_operator};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, User, World, eventually};

const NAMESPACE: &str = "narrow";

/// A role over two namespaces with two ClusterRoles, for a group.
const ROLE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: narrow}
---
apiVersion: v1
kind: Namespace
metadata: {name: narrow-too}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: narrow-secrets}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: narrow-configmaps}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: narrow-pods, namespace: narrow}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: curfew-bind-narrow}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [narrow-secrets, narrow-configmaps], verbs: [bind]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles], resourceNames: [narrow-pods], verbs: [bind]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: curfew-bind-narrow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind-narrow}
subjects: [{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: requesters, namespace: narrow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: narrow-devs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: approvers, namespace: narrow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-approver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: carol@example.com}]
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: narrow}
spec:
  namespaces: {names: [narrow]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [narrow-secrets, narrow-configmaps], roles: [{namespace: narrow, name: narrow-pods}]}}
  scope: {kubernetes: {namespaces: [narrow, narrow-too]}}
  eligible: [{group: narrow-devs}]
  max: {duration: 8h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true}
"#;

/// A role of that policy, and who is eligible for it.
fn role(name: &str, assignment: &str) -> String {
    format!(
        r#"
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {{name: {name}, namespace: narrow}}
spec:
  systems: {{names: [this-cluster]}}
  permissions: {{kubernetes: {{clusterRoles: [narrow-secrets, narrow-configmaps], roles: [{{namespace: narrow, name: narrow-pods}}]}}}}
  scope: {{kubernetes: {{namespaces: [narrow, narrow-too]}}}}
  activation:
    duration: {{max: 4h}}
    justification: Optional
    ticket: {{none: {{}}}}
    mfa: {{none: {{}}}}
    approval: {{stages: [{{name: owners, approvers: [{{user: carol@example.com}}], quorum: 1}}]}}
    limits: {{none: {{}}}}
  assignment: {{eligible: {{permanent: true}}}}
---
apiVersion: curfew.dev/v1alpha1
kind: EligibleAssignment
metadata: {{name: {name}, namespace: narrow}}
spec: {{roleRef: {{name: {name}}}, subject: {{group: narrow-devs}}, window: {{permanent: {{}}}}, {assignment}}}
"#
    )
}

fn asks(role: &str, name: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: {NAMESPACE}}}, \
         spec: {{roleRef: {{name: {role}}}, duration: 1h{more}}}}}"
    )
}

/// Whether a user can read the secret and the ConfigMap of a namespace.
async fn reads(who: &User, namespace: &str) -> Result<(bool, bool)> {
    let settings = match who.field(&["configmap", "-n", namespace, "settings"], "{.metadata.name}").await {
        Ok(_) => true,
        Err(e) if format!("{e:#}").contains("is forbidden") => false,
        Err(e) => return Err(e),
    };
    Ok((who.can_read_secret(namespace, "db").await?, settings))
}

async fn reading_is(who: &User, namespace: &str, expected: (bool, bool)) -> Result<()> {
    let words = format!("{} reading secret and ConfigMap of {namespace} to be {expected:?}", who.name);
    eventually(&words, SOON, || async { Ok((reads(who, namespace).await? == expected).then_some(())) }).await
}

async fn state_is(w: &World, name: &str, state: &str) -> Result<()> {
    w.field_is(&["areq", "-n", NAMESPACE, name], "{.status.state}", state).await
}

/// Asks, has it approved, and waits until it is active.
async fn active(w: &World, who: &User, yaml: &str, name: &str) -> Result<()> {
    who.apply(yaml).await?.success()?;
    state_is(w, name, "AwaitingApproval").await?;
    let digest = w.field(&["areq", "-n", NAMESPACE, name], "{.status.digest}").await?;
    let decision = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: {NAMESPACE}}}, \
         spec: {{about: {{activationRequest: {{name: {name}}}}}, digest: '{digest}', decision: Approve}}}}"
    );
    w.carol()?.create(&decision).await?.success()?;
    state_is(w, name, "Active").await
}

async fn ends(w: &World, name: &str, state: &str, words: &str) -> Result<()> {
    state_is(w, name, state).await?;
    let told = w.field(&["areq", "-n", NAMESPACE, name], "{.status.reason}: {.status.message}").await?;
    ensure!(told.contains(words), "{name}: expected {words:?}, got {told}");
    Ok(())
}

#[tokio::test]
async fn a_request_for_less_gets_exactly_that() -> Result<()> {
    let w = with_operator().await?;
    let (admin, nina) = (w.admin()?, w.cp.user("nina@example.com", &["narrow-devs"])?);
    admin.apply(ROLE).await?.success()?;
    for namespace in ["narrow", "narrow-too"] {
        admin.api(&["create", "secret", "generic", "db", "-n", namespace, "--from-literal=password=x"]).await?.success()?;
        admin.api(&["create", "configmap", "settings", "-n", namespace, "--from-literal=a=b"]).await?.success()?;
    }
    let part = "scope: {kubernetes: {namespaces: [narrow]}}, permissions: {kubernetes: {clusterRoles: [narrow-configmaps]}}";
    admin.apply(&role("both", "scope: {all: {}}")).await?.success()?;
    admin.apply(&role("part", part)).await?.success()?;
    let wide = part.replace("narrow-configmaps", "edit");
    admin.apply(&role("wide", &wide)).await?.success()?;
    let ready = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason} {.message}{end}";
    for (what, expected) in [
        (["rtpl", "-n", NAMESPACE, "both"], "True"),
        (["rtpl", "-n", NAMESPACE, "part"], "True"),
        (["eas", "-n", NAMESPACE, "part"], "True"),
        (["eas", "-n", NAMESPACE, "wide"], "False OutsidePolicy assignment wide gives ClusterRole edit, which role wide does not"),
    ] {
        w.field_fits(&what, ready, &format!("to be {expected}"), SOON, |now| now.starts_with(expected)).await?;
    }
    ensure!(reads(&nina, "narrow").await? == (false, false));

    // One of two namespaces.
    active(w, &nina, &asks("both", "here", ", scope: {kubernetes: {namespaces: [narrow]}}"), "here").await?;
    reading_is(&nina, "narrow", (true, true)).await?;
    ensure!(reads(&nina, "narrow-too").await? == (false, false), "the other namespace was not asked for");
    let bound = w.field(&["rolebindings", "-n", "narrow-too", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
    ensure!(bound.is_empty(), "{bound}");
    nina.api(&["delete", "areq", "-n", NAMESPACE, "here"]).await?.success()?;
    reading_is(&nina, "narrow", (false, false)).await?;
    // One of two roles.
    active(w, &nina, &asks("both", "less", ", permissions: {kubernetes: {clusterRoles: [narrow-configmaps]}}"), "less").await?;
    reading_is(&nina, "narrow-too", (false, true)).await?;
    ensure!(reads(&nina, "narrow").await? == (false, true), "only one of the roles was asked for");
    nina.api(&["delete", "areq", "-n", NAMESPACE, "less"]).await?.success()?;
    reading_is(&nina, "narrow", (false, false)).await?;
    // What the assignment leaves, without a word in the request.
    active(w, &nina, &asks("part", "given", ""), "given").await?;
    reading_is(&nina, "narrow", (false, true)).await?;
    ensure!(reads(&nina, "narrow-too").await? == (false, false), "the assignment reaches one namespace");
    nina.api(&["delete", "areq", "-n", NAMESPACE, "given"]).await?.success()?;
    reading_is(&nina, "narrow", (false, false)).await?;

    // Within the role, and more than the assignment gives: refused by name, and not cut.
    for (name, more, words) in [
        (
            "place",
            ", scope: {kubernetes: {namespaces: [narrow, narrow-too]}}",
            "WiderScope: spec.scope reaches namespace narrow-too, which assignment part for role part does not; it reaches namespace narrow",
        ),
        (
            "things",
            ", permissions: {kubernetes: {clusterRoles: [narrow-secrets]}}",
            "WiderPermissions: spec.permissions asks for ClusterRole narrow-secrets, which assignment part for role part does not give",
        ),
    ] {
        nina.apply(&asks("part", name, more)).await?.success()?;
        let judged = ends(w, name, "Invalid", words).await;
        resisted(judged.is_ok(), &format!("a request for more than its assignment gives is accepted: {judged:?}"))?;
    }
    nina.apply(&asks("wide", "of-wide", "")).await?.success()?;
    ends(w, "of-wide", "Denied", "NotEligible: assignment wide gives ClusterRole edit").await?;
    refused_at_apply(w, &nina).await?;
    shrinking(w, &nina).await
}

/// What admission can know: it is refused before it is stored, and at `--dry-run=server`.
async fn refused_at_apply(w: &World, nina: &User) -> Result<()> {
    w.answers_in_force().await?;
    for (more, words) in [
        (", scope: {kubernetes: {namespaces: [narrow, billing]}}", "spec.scope is wider than the scope of role both"),
        (", scope: {kubernetes: {clusterWide: {}}}", "spec.scope is wider than the scope of role both"),
        (", permissions: {kubernetes: {clusterRoles: [edit]}}", "spec.permissions asks for more than role both has"),
        (", permissions: {kubernetes: {roles: [{namespace: narrow, name: a}]}}", "spec.permissions asks for more than role both has"),
        (
            ", permissions: {kubernetes: {roles: [{namespace: narrow-too, name: narrow-pods}]}}",
            "spec.permissions asks for more than role both has",
        ),
        (", scope: {aws: {account: {}}}", "spec.scope has an entry for provider aws, and role both has none"),
        (", scope: {kubernetes: {namespaces: [narrow]}, aws: {account: {}}}", "a request is for one system"),
        (", permissions: {kubernetes: {clusterRoles: ['*']}}", "name each role in full"),
        (", permissions: {kubernetes: {clusterRoles: []}}", "spec.permissions.kubernetes.clusterRoles"),
        (", scope: {kubernetes: {namespaces: []}}", "spec.scope.kubernetes.namespaces"),
        (", scope: {}", "spec.scope"),
        (", permissions: {}", "spec.permissions"),
        (", beneficiary: {user: 'system:admin'}", "reserved for Kubernetes"),
    ] {
        for args in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
            let told = nina.api_stdin(args, &asks("both", "bad", more)).await?.refused()?;
            ensure!(told.contains(words), "{more}: expected {words:?}, got {told}");
        }
    }
    let within = asks("both", "good", ", permissions: {kubernetes: {roles: [{namespace: narrow, name: narrow-pods}]}}");
    nina.api_stdin(&["apply", "--dry-run=server", "-f", "-"], &within).await?.success()?;
    let two = role("both", "scope: {all: {}, kubernetes: {namespaces: [narrow]}}");
    let told = w.admin()?.apply(&two).await?.refused()?;
    ensure!(told.contains("write all: {} alone, or one entry for each provider"), "{told}");
    Ok(())
}

/// A role that shrinks elsewhere ends nothing; one that shrinks below what was approved ends it.
async fn shrinking(w: &World, nina: &User) -> Result<()> {
    let admin = w.admin()?;
    active(w, nina, &asks("both", "held", ", scope: {kubernetes: {namespaces: [narrow]}}"), "held").await?;
    let to = |namespace: &str| format!(r#"{{"spec": {{"scope": {{"kubernetes": {{"namespaces": ["{namespace}"]}}}}}}}}"#);
    admin.api(&["patch", "rtpl", "-n", NAMESPACE, "both", "--type=merge", "-p", &to("narrow")]).await?.success()?;
    // The role is judged again, and what is active goes on.
    let generation = w.field(&["rtpl", "-n", NAMESPACE, "both"], "{.metadata.generation}").await?;
    w.field_is(&["rtpl", "-n", NAMESPACE, "both"], "{.status.observedGeneration}", &generation).await?;
    nina.apply(&asks("both", "after", "")).await?.success()?;
    state_is(w, "after", "AwaitingApproval").await?;
    ensure!(reads(nina, "narrow").await? == (true, true), "the role still has all that was approved");
    state_is(w, "held", "Active").await?;
    admin.api(&["patch", "rtpl", "-n", NAMESPACE, "both", "--type=merge", "-p", &to("narrow-too")]).await?.success()?;
    reading_is(nina, "narrow", (false, false)).await?;
    ends(w, "held", "Revoked", "TemplateChanged: role both no longer covers namespace narrow, which was approved").await
}
