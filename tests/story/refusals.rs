//! What is refused, and what people are told: the rule, the value, the limit.
use super::{decide, request};
use crate::{attacks::resisted, shared::with_operator};
use anyhow::{Result, ensure};
use curfew_testkit::{SHIPPED_TIMING, SOON, World, eventually};

/// Waits for the end of a request, and checks what it says.
pub async fn refused(w: &World, name: &str, state: &str, reason: &str, words: &str) -> Result<()> {
    w.state_is(name, state).await?;
    let told = w.field(&["areq", "-n", "payments", name], "{.status.reason}: {.status.message}").await?;
    ensure!(told.starts_with(reason) && told.contains(words), "{name}: expected {reason}, {words:?}; got {told}");
    Ok(())
}

/// The example's template and assignment under another name, with changes.
pub async fn template(w: &World, name: &str, changes: &[(&str, &str)]) -> Result<()> {
    template_in(w, "payments", name, changes).await
}

/// The same in another namespace, over that namespace.
pub async fn template_in(w: &World, namespace: &str, name: &str, changes: &[(&str, &str)]) -> Result<()> {
    let mut yaml = std::fs::read_to_string(curfew_testkit::root().join("examples/first/team.yaml"))?;
    yaml = yaml.replace("  name: payments-admin\n  namespace", &format!("  name: {name}\n  namespace"));
    yaml = yaml
        .replace("  name: payments-devs\n  namespace", &format!("  name: {name}-devs\n  namespace"))
        .replace("roleRef: {name: payments-admin}", &format!("roleRef: {{name: {name}}}"));
    for (from, to) in changes {
        ensure!(yaml.contains(from), "the example has no {from:?}");
        yaml = yaml.replace(from, to);
    }
    yaml = yaml.replace("namespace: payments", &format!("namespace: {namespace}"));
    yaml = yaml.replace("namespaces: [payments]", &format!("namespaces: [{namespace}]"));
    w.admin()?.apply(&yaml).await?.success().map(drop)
}

pub async fn ready(w: &World, what: &[&str], expect: &str) -> Result<()> {
    let path = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason} {.message}{end}";
    w.field_fits(what, path, &format!("to be {expect}"), SOON, |now| expect.split(" .. ").all(|words| now.contains(words))).await
}

pub fn of(role: &str, name: &str, duration: &str) -> String {
    request(name, duration).replace("{name: payments-admin}", &format!("{{name: {role}}}"))
}

#[tokio::test]
async fn requests_are_refused_by_rule_value_and_limit() -> Result<()> {
    let w = with_operator().await?;
    let alice = w.alice()?;
    w.admin()?
        .api(&["create", "rolebinding", "-n", "payments", "m", "--clusterrole=curfew-requester", "--user=mallory@example.com"])
        .await?
        .success()?;
    w.mallory()?.apply(&request("stranger", "1h")).await?.success()?;
    // What the role itself says is answered at apply time, and by --dry-run=server.
    w.answers_in_force().await?;
    for (yaml, words) in [
        (request("long", "6h"), "asked for 6h, but role payments-admin allows at most 4h"),
        (request("mute", "1h").replace(", justification: roll back release 2311", ""), "say why in spec.justification"),
    ] {
        for args in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
            let told = alice.api_stdin(args, &yaml).await?.refused()?;
            ensure!(told.contains("'curfew-answers'") && told.contains(words), "{words:?} is not said: {told}");
        }
    }
    // What only policy and cluster say slips past that, and is denied.
    template(w, "generous", &[("max: 4h", "max: 9h"), ("justification: Required", "justification: Optional")]).await?;
    ready(w, &["rtpl", "-n", "payments", "generous"], "True").await?;
    alice.apply(&of("generous", "long", "510m")).await?.success()?;
    alice.apply(&of("generous", "mute", "1h").replace(", justification: roll back release 2311", "")).await?.success()?;
    alice.apply(&of("nowhere", "unknown", "1h")).await?.success()?;
    alice.apply(&request("elsewhere", "1h").replace("duration:", "system: mars, duration:")).await?.success()?;
    refused(w, "stranger", "Denied", "NotEligible", "mallory@example.com").await?;
    refused(w, "long", "Denied", "OverMaximum", "asked for 510m, but policy payments allows at most 8h").await?;
    refused(w, "mute", "Denied", "JustificationRequired", "spec.justification").await?;
    refused(w, "unknown", "Invalid", "NoSuchRole", "nowhere").await?;
    refused(w, "elsewhere", "Invalid", "AmbiguousSystem", "mars").await
}

#[tokio::test]
async fn templates_that_cannot_be_used_say_what_to_change() -> Result<()> {
    let w = with_operator().await?;
    template(w, "with-mfa", &[("mfa: {none: {}}", "mfa: {maxAge: 15m}")]).await?;
    template(w, "below", &[("[{group: payments-leads}, {user: carol@example.com}]", "[{group: anybody}]")]).await?;
    template(w, "outside", &[("clusterRoles: [payments-admin]", "clusterRoles: [cluster-admin]")]).await?;
    template(
        w,
        "impossible",
        &[("[{group: payments-leads}, {user: carol@example.com}]", "[{user: carol@example.com}]"), ("quorum: 1", "quorum: 2")],
    )
    .await?;
    template(w, "timely", &[("timeout: 24h", "timeout: 2s")]).await?;
    ready(w, &["rtpl", "-n", "payments", "with-mfa"], "False NotReady .. activation.mfa needs spec.identity.mfa of CurfewConfig").await?;
    ready(w, &["rtpl", "-n", "payments", "below"], "False BelowFloor .. policy payments").await?;
    ready(w, &["rtpl", "-n", "payments", "outside"], "False OutsidePolicy .. ClusterRole cluster-admin").await?;
    ready(w, &["rtpl", "-n", "payments", "impossible"], "False NobodyCanApprove .. needs 2 approvers and lists 1").await?;
    ready(w, &["rtpl", "-n", "payments", "timely"], "True").await?;
    let alice = w.alice()?;
    alice.apply(&of("with-mfa", "mfa", "1h")).await?.success()?;
    alice.apply(&of("below", "floor", "1h")).await?.success()?;
    refused(w, "mfa", "Invalid", "NotReady", "role with-mfa is not ready: activation.mfa needs spec.identity.mfa").await?;
    refused(w, "floor", "Invalid", "NotReady", "not ready").await?;
    // Nobody answers: the approval ends after the two seconds that the stage says, and not after a minute.
    alice.apply(&of("timely", "timely", "1h")).await?.success()?;
    refused(w, "timely", "TimedOut", "ApprovalTimedOut", "stage owners had 0 of 1 approvals by ").await?;
    let approval = "{.status.approval.acceptedAt} {.status.approval.deadline}";
    let times = w.field(&["areq", "-n", "payments", "timely"], approval).await?;
    let time = |s: &str| s.parse::<jiff::Timestamp>();
    let (accepted, deadline) = times.split_once(' ').unwrap_or_default();
    ensure!(time(deadline)?.as_second() - time(accepted)?.as_second() == 2, "accepted and deadline are {times}");
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_bound_is_named_with_the_right_that_is_missing() -> Result<()> {
    let w = with_operator().await?;
    let policy = "{apiVersion: curfew.dev/v1alpha1, kind: AccessPolicy, metadata: {name: wide}, spec: {namespaces: {names: [bindable]}, systems: {names: [this-cluster]}, \
        permissions: {kubernetes: {clusterRoles: [unbound, nowhere]}}, scope: {kubernetes: {namespaces: [bindable]}}, eligible: [{group: payments-devs}], max: {duration: 8h, eligibility: 365d}, \
        min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}, allow: {permanentEligibility: true}}}";
    // A namespace of its own: another policy over payments would change what the other tests are told.
    w.admin()?.api(&["create", "namespace", "bindable"]).await?.success()?;
    w.admin()?.api(&["create", "clusterrole", "unbound", "--verb=get", "--resource=configmaps"]).await?.success()?;
    w.admin()?.apply(policy).await?.success()?;
    template_in(w, "bindable", "unbindable", &[("clusterRoles: [payments-admin]", "clusterRoles: [unbound]")]).await?;
    template_in(w, "bindable", "missing", &[("clusterRoles: [payments-admin]", "clusterRoles: [nowhere]")]).await?;
    ready(w, &["rtpl", "-n", "bindable", "unbindable"], "False NotBindable .. resourceNames: [unbound]").await?;
    ready(w, &["rtpl", "-n", "bindable", "missing"], "False NotReady .. ClusterRole nowhere does not exist").await
}

#[tokio::test]
async fn what_changes_while_it_waits_is_not_what_was_approved() -> Result<()> {
    let w = with_operator().await?;
    let alice = w.alice()?;
    template(w, "moving", &[]).await?;
    ready(w, &["rtpl", "-n", "payments", "moving"], "True").await?;
    alice.apply(&of("moving", "before", "1h")).await?.success()?;
    w.state_is("before", "AwaitingApproval").await?;
    let describe = r#"{"spec": {"description": "other words"}}"#;
    w.admin()?.api(&["patch", "rtpl", "-n", "payments", "moving", "--type=merge", "-p", describe]).await?.success()?;
    let fewer = r#"{"spec": {"activation": {"approval": {"stages": [{"name": "owners", "approvers": [{"group": "payments-leads"}], "quorum": 1}]}}}}"#;
    w.state_is("before", "AwaitingApproval").await?;
    w.admin()?.api(&["patch", "rtpl", "-n", "payments", "moving", "--type=merge", "-p", fewer]).await?.success()?;
    refused(w, "before", "Invalid", "TemplateChanged", "create a new request").await
}

#[tokio::test]
async fn suspension_ends_what_is_active_and_stops_what_waits() -> Result<()> {
    let (w, _operator) = World::running("suspended").await?;
    w.answers_in_force().await?;
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    alice.apply(&request("held", "1h")).await?.success()?;
    w.state_is("held", "AwaitingApproval").await?;
    decide(&w, &carol, "held", "Approve").await?;
    w.access_is(&alice, true, SOON).await?;
    w.state_is("held", "Active").await?;
    alice.apply(&request("waiting", "1h")).await?.success()?;
    w.state_is("waiting", "AwaitingApproval").await?;
    // ReadOnly stops what is new; what is active runs on.
    let system = ["patch", "authsys", "this-cluster", "--type=merge", "-p"];
    let role = ["patch", "rtpl", "-n", "payments", "payments-admin", "--type=merge", "-p"];
    admin.api(&[&system[..], &[r#"{"spec": {"mode": "ReadOnly"}}"#]].concat()).await?.success()?;
    refused(&w, "waiting", "Denied", "ReadOnly", "this-cluster").await?;
    assert!(alice.can_read_secret("payments", "db").await?, "what is active runs to its deadline");
    admin.api(&[&role[..], &[r#"{"spec": {"suspend": true}}"#]].concat()).await?.success()?;
    w.access_is(&alice, false, SOON).await?;
    refused(&w, "held", "Revoked", "Suspended", "suspended").await?;
    let told = alice.apply(&request("new", "1h")).await?.refused()?;
    ensure!(told.contains("role payments-admin is suspended"), "{told}");
    // What slips past: the role goes on, and the system is suspended.
    admin.api(&[&role[..], &[r#"{"spec": {"suspend": false}}"#]].concat()).await?.success()?;
    admin.api(&[&system[..], &[r#"{"spec": {"mode": "ReadWrite", "suspend": true}}"#]].concat()).await?.success()?;
    w.field_is(&["authsys", "this-cluster"], "{.status.conditions[?(@.type==\"Ready\")].reason}", "Suspended").await?;
    eventually("the API server to see that the role goes on", SOON, || async {
        Ok(alice.apply(&request("new", "1h")).await?.ok.then_some(()))
    })
    .await?;
    refused(&w, "new", "Denied", "Suspended", "suspended").await
}

#[tokio::test]
async fn a_target_that_refuses_is_told_and_tried_until_the_deadline() -> Result<()> {
    let (w, _operator) = World::running_with("refusing", &[SHIPPED_TIMING]).await?;
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    for (name, duration) in [("patient", "1h"), ("short", "6s")] {
        alice.apply(&request(name, duration)).await?.success()?;
        w.state_is(name, "AwaitingApproval").await?;
    }
    let right = w.may_not_bind().await?;
    decide(&w, &carol, "patient", "Approve").await?;
    decide(&w, &carol, "short", "Approve").await?;
    let told = |t: &str| t.starts_with("Activating") && t.contains("the target refuses") && t.contains("tried again");
    let patient = ["areq", "-n", "payments", "patient"];
    w.field_fits(&patient, "{.status.state} {.status.message}", "to say what the target refuses", SOON, told).await?;
    assert!(!alice.can_read_secret("payments", "db").await?);
    // Never armed by its deadline: proven absent, and failed.
    refused(&w, "short", "Failed", "DeadlinePassed", "the deadline has passed").await?;
    let why = w.field(&["areq", "-n", "payments", "short"], "{.status.message}").await?;
    ensure!(why.contains("the last answer of the target: ") && why.contains("the target refuses"), "why it never came is lost: {why}");
    admin.apply(&right).await?.success()?;
    w.access_is(&alice, true, SOON).await?;
    w.state_is("patient", "Active").await
}

/// Roles that give nothing, or not all that they list, and the operator's right to bind them.
const HOLLOW: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: hollow}
---
apiVersion: v1
kind: Namespace
metadata: {name: leaving}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: stays, namespace: leaving, finalizers: [example.com/stays]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: hollow-empty}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: hollow-nodes}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {apiGroups: [""], resources: [nodes], verbs: [get]}
- {nonResourceURLs: [/metrics], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: curfew-bind-hollow}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [hollow-empty, hollow-nodes], verbs: [bind]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: curfew-bind-hollow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind-hollow}
subjects: [{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}]
"#;

#[tokio::test]
async fn what_a_grant_cannot_give_is_told_before_anyone_asks() -> Result<()> {
    let w = with_operator().await?;
    let admin = w.admin()?;
    admin.apply(HOLLOW).await?.success()?;
    let policy = |roles: &str, namespaces: &str, system: &str| {
        format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessPolicy, metadata: {{name: hollow}}, spec: {{namespaces: {{names: [hollow]}}, systems: {{names: ['{system}']}}, \
             permissions: {{kubernetes: {{clusterRoles: ['{roles}']}}}}, scope: {{kubernetes: {{namespaces: [{namespaces}]}}}}, eligible: [{{group: payments-devs}}], \
             max: {{duration: 8h, eligibility: 365d}}, min: {{approval: {{none: {{}}}}, justification: false, mfa: {{none: {{}}}}, ticket: {{none: {{}}}}}}, \
             allow: {{permanentEligibility: true}}}}}}"
        )
    };
    for (yaml, words) in [
        (policy("hollow*", "hollow", "this-cluster"), "the whole last segment after :, . or /"),
        (policy("*-nodes", "hollow", "this-cluster"), "the whole last segment after :, . or /"),
        (policy("*", "'hol*'", "this-cluster"), "clusterWide"),
        (policy("*", "hollow", "*"), "select systems by label"),
    ] {
        let told = admin.apply(&yaml).await?.refused()?;
        ensure!(told.contains(words), "{words:?} is not said: {told}");
    }
    admin.apply(&policy("*", "hollow, leaving", "this-cluster")).await?.success()?;
    for (name, role) in [("empty", "hollow-empty"), ("nodes", "hollow-nodes"), ("leaving", "hollow-nodes")] {
        let scope = if name == "leaving" { "namespaces: [hollow, leaving]" } else { "namespaces: [hollow]" };
        let role = format!("clusterRoles: [{role}]");
        template_in(w, "hollow", name, &[("clusterRoles: [payments-admin]", &role), ("namespaces: [payments]", scope)]).await?;
    }
    ready(w, &["rtpl", "-n", "hollow", "empty"], "False NotReady .. ClusterRole hollow-empty has no rules").await?;
    let warning =
        "True .. allowed by policy hollow; in a namespace these rules give nothing: ClusterRole hollow-nodes, rule 2 (nodes), rule 3";
    ready(w, &["rtpl", "-n", "hollow", "nodes"], warning).await?;
    // A namespace that begins to go takes the role with it, although nothing of the role changes.
    ready(w, &["rtpl", "-n", "hollow", "leaving"], "True").await?;
    admin.api(&["delete", "namespace", "leaving", "--wait=false"]).await?.success()?;
    ready(w, &["rtpl", "-n", "hollow", "leaving"], "False NotReady .. namespace leaving is being deleted").await?;
    let release = r#"{"metadata": {"finalizers": null}}"#;
    admin.api(&["patch", "configmap", "-n", "leaving", "stays", "--type=merge", "-p", release]).await?.success().map(drop)
}

/// A newer version has taken over and is rolled back: what it has written about is left to it, and the access ends when it is due.
#[tokio::test]
async fn what_a_newer_version_has_written_is_left_alone_and_ends_when_it_is_due() -> Result<()> {
    let w = with_operator().await?;
    let skye = w.cp.user("skye@example.com", &["payments-devs"])?;
    template(w, "skewed", &[]).await?;
    ready(w, &["rtpl", "-n", "payments", "skewed"], "True").await?;
    skye.apply(&of("skewed", "skewed", "20s")).await?.success()?;
    w.state_is("skewed", "AwaitingApproval").await?;
    decide(w, &w.carol()?, "skewed", "Approve").await?;
    w.state_is("skewed", "Active").await?;
    w.access_is(&skye, true, SOON).await?;
    let about = ["areq", "-n", "payments", "skewed"];
    let (end, grant) = (w.field(&about, "{.status.expiresAt}").await?, w.field(&about, "{.status.grantRef.name}").await?);
    let newer = r#"{"status": {"schema": 99, "message": "from a newer version", "resolved": {"schema": 99, "principal": {"kubernetes": {"user": "skye"}}}}}"#;
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    operator.api(&["patch", "areq", "skewed", "-n", "payments", "--subresource=status", "--type=merge", "-p", newer]).await?.success()?;
    // Everything that would end it in this version: a refusal, and a role that is suspended.
    decide(w, &w.carol()?, "skewed", "Deny").await?;
    w.admin()?
        .api(&["patch", "rtpl", "skewed", "-n", "payments", "--type=merge", "-p", r#"{"spec": {"suspend": true}}"#])
        .await?
        .success()?;
    ready(w, &["rtpl", "-n", "payments", "skewed"], "False Suspended").await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
    let stands = w.field(&about, "{.status.schema} {.status.state} {.status.message}").await?;
    resisted(stands == "99 Active from a newer version", &format!("a request of a newer version is judged: {stands}"))?;
    w.field_is(&["grt", &grant], "{.spec.expiresAt}", &end).await?;
    w.access_is(&skye, false, SOON).await?;
    w.admin()?.api(&["delete", "areq", "-n", "payments", "skewed"]).await?.success().map(drop)
}
