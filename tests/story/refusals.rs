//! What is refused, and what people are told: the rule, the value, the limit.
use super::{decide, request};
use crate::support::{Operator, SOON, World, eventually};
use anyhow::{Result, bail, ensure};
use tokio::sync::OnceCell;

/// One cluster and one operator for this file.
async fn world() -> Result<&'static World> {
    static WORLD: OnceCell<(World, Operator)> = OnceCell::const_new();
    let (w, _) = WORLD.get_or_try_init(|| World::running("refusals")).await?;
    Ok(w)
}

/// Waits for the end of a request, and checks what it says.
async fn refused(w: &World, name: &str, state: &str, reason: &str, words: &str) -> Result<()> {
    w.state_is(name, state).await?;
    let told = w.field(&["areq", "-n", "payments", name], "{.status.reason}: {.status.message}").await?;
    ensure!(told.starts_with(reason) && told.contains(words), "{name}: expected {reason}, {words:?}; got {told}");
    Ok(())
}

/// The example's template and assignment under another name, with changes.
async fn template(w: &World, name: &str, changes: &[(&str, &str)]) -> Result<()> {
    let mut yaml = std::fs::read_to_string(crate::support::root().join("examples/first/team.yaml"))?;
    yaml = yaml.replace("  name: payments-admin\n  namespace", &format!("  name: {name}\n  namespace"));
    yaml = yaml
        .replace("  name: payments-devs\n  namespace", &format!("  name: {name}-devs\n  namespace"))
        .replace("roleRef: {name: payments-admin}", &format!("roleRef: {{name: {name}}}"));
    for (from, to) in changes {
        ensure!(yaml.contains(from), "the example has no {from:?}");
        yaml = yaml.replace(from, to);
    }
    w.admin()?.apply(&yaml).await?.success().map(drop)
}

async fn ready(w: &World, what: &[&str], expect: &str) -> Result<()> {
    eventually(&format!("{what:?} to be {expect}"), SOON, || async {
        let now = w.field(what, "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason} {.message}{end}").await?;
        if expect.split(" .. ").all(|words| now.contains(words)) { Ok(Some(())) } else { bail!("{now}") }
    })
    .await
}

fn of(role: &str, name: &str, duration: &str) -> String {
    request(name, duration).replace("{name: payments-admin}", &format!("{{name: {role}}}"))
}

#[tokio::test]
async fn requests_are_refused_by_rule_value_and_limit() -> Result<()> {
    let w = world().await?;
    let alice = w.alice()?;
    w.admin()?
        .kubectl(&["create", "rolebinding", "-n", "payments", "m", "--clusterrole=curfew-requester", "--user=mallory@example.com"])
        .await?
        .success()?;
    w.mallory()?.apply(&request("stranger", "1h")).await?.success()?;
    // What the role itself says is answered at apply time, and by --dry-run=server.
    for (yaml, words) in [
        (request("long", "6h"), "asked for 6h, but role payments-admin allows at most 4h"),
        (request("mute", "1h").replace("roll back release 2311", "' '"), "say why in spec.justification"),
    ] {
        for args in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
            let told = alice.kubectl_stdin(args, &yaml).await?.refused()?;
            ensure!(told.contains("'curfew-answers'") && told.contains(words), "{words:?} is not said: {told}");
        }
    }
    // What only policy and cluster say slips past that, and is denied.
    template(w, "generous", &[("max: 4h", "max: 9h"), ("justification: Required", "justification: Optional")]).await?;
    ready(w, &["rtpl", "-n", "payments", "generous"], "True").await?;
    alice.apply(&of("generous", "long", "510m")).await?.success()?;
    alice.apply(&of("generous", "mute", "1h").replace("roll back release 2311", "' '")).await?.success()?;
    alice.apply(&of("nowhere", "unknown", "1h")).await?.success()?;
    alice.apply(&request("elsewhere", "1h").replace("duration:", "system: mars, duration:")).await?.success()?;
    alice.apply(&request("tomorrow", "1h").replace("duration:", "startTime: '2099-01-01T00:00:00Z', duration:")).await?.success()?;
    refused(w, "stranger", "Denied", "NotEligible", "mallory@example.com").await?;
    refused(w, "long", "Denied", "OverMaximum", "asked for 510m, but policy payments allows at most 8h").await?;
    refused(w, "mute", "Denied", "JustificationRequired", "spec.justification").await?;
    refused(w, "unknown", "Invalid", "NoSuchRole", "nowhere").await?;
    refused(w, "elsewhere", "Invalid", "AmbiguousSystem", "mars").await?;
    refused(w, "tomorrow", "Invalid", "Unsupported", "startTime").await
}

#[tokio::test]
async fn templates_that_cannot_be_used_say_what_to_change() -> Result<()> {
    let w = world().await?;
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
    ready(w, &["rtpl", "-n", "payments", "with-mfa"], "False Unsupported .. activation.mfa").await?;
    ready(w, &["rtpl", "-n", "payments", "below"], "False BelowFloor .. policy payments").await?;
    ready(w, &["rtpl", "-n", "payments", "outside"], "False OutsidePolicy .. ClusterRole cluster-admin").await?;
    ready(w, &["rtpl", "-n", "payments", "impossible"], "False NobodyCanApprove .. needs 2 people and lists 1").await?;
    ready(w, &["rtpl", "-n", "payments", "timely"], "True").await?;
    let alice = w.alice()?;
    alice.apply(&of("with-mfa", "mfa", "1h")).await?.success()?;
    alice.apply(&of("below", "floor", "1h")).await?.success()?;
    refused(w, "mfa", "Invalid", "Unsupported", "activation.mfa").await?;
    refused(w, "floor", "Invalid", "NotReady", "not ready").await?;
    // Nobody answers: approval waits a minute at least.
    alice.apply(&of("timely", "timely", "1h")).await?.success()?;
    let deadline = "{.status.approval.deadline}";
    w.state_is("timely", "AwaitingApproval").await?;
    ensure!(!w.field(&["areq", "-n", "payments", "timely"], deadline).await?.is_empty(), "no approval deadline");
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_bound_is_named_with_the_right_that_is_missing() -> Result<()> {
    let w = world().await?;
    let policy = "{apiVersion: curfew.dev/v1alpha1, kind: AccessPolicy, metadata: {name: wide}, spec: {namespaces: {names: [payments]}, systems: {names: [this-cluster]}, \
        permissions: {kubernetes: {clusterRoles: [view, nowhere]}}, scope: {kubernetes: {namespaces: [payments]}}, eligible: [{group: payments-devs}], max: {duration: 8h, eligibility: 365d}, \
        min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}, allow: {permanentEligibility: true}}}";
    w.admin()?.apply(policy).await?.success()?;
    template(w, "unbindable", &[("clusterRoles: [payments-admin]", "clusterRoles: [view]")]).await?;
    template(w, "missing", &[("clusterRoles: [payments-admin]", "clusterRoles: [nowhere]")]).await?;
    ready(w, &["rtpl", "-n", "payments", "unbindable"], "False NotBindable .. resourceNames: [view]").await?;
    ready(w, &["rtpl", "-n", "payments", "missing"], "False NotReady .. ClusterRole nowhere does not exist").await
}

#[tokio::test]
async fn what_changes_while_it_waits_is_not_what_was_approved() -> Result<()> {
    let w = world().await?;
    let alice = w.alice()?;
    template(w, "moving", &[]).await?;
    ready(w, &["rtpl", "-n", "payments", "moving"], "True").await?;
    alice.apply(&of("moving", "before", "1h")).await?.success()?;
    w.state_is("before", "AwaitingApproval").await?;
    let describe = r#"{"spec": {"description": "other words"}}"#;
    w.admin()?.kubectl(&["patch", "rtpl", "-n", "payments", "moving", "--type=merge", "-p", describe]).await?.success()?;
    let fewer = r#"{"spec": {"activation": {"approval": {"stages": [{"name": "owners", "approvers": [{"group": "payments-leads"}], "quorum": 1}]}}}}"#;
    w.state_is("before", "AwaitingApproval").await?;
    w.admin()?.kubectl(&["patch", "rtpl", "-n", "payments", "moving", "--type=merge", "-p", fewer]).await?.success()?;
    refused(w, "before", "Invalid", "TemplateChanged", "create a new request").await
}

#[tokio::test]
async fn suspension_ends_what_is_active_and_stops_what_waits() -> Result<()> {
    let (w, _operator) = World::running("suspended").await?;
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
    admin.kubectl(&[&system[..], &[r#"{"spec": {"mode": "ReadOnly"}}"#]].concat()).await?.success()?;
    refused(&w, "waiting", "Denied", "ReadOnly", "this-cluster").await?;
    assert!(alice.can_read_secret("payments", "db").await?, "what is active runs to its deadline");
    admin.kubectl(&[&role[..], &[r#"{"spec": {"suspend": true}}"#]].concat()).await?.success()?;
    w.access_is(&alice, false, SOON).await?;
    refused(&w, "held", "Revoked", "Suspended", "suspended").await?;
    let told = alice.apply(&request("new", "1h")).await?.refused()?;
    ensure!(told.contains("role payments-admin is suspended"), "{told}");
    // What slips past: the role goes on, and the system is suspended.
    admin.kubectl(&[&role[..], &[r#"{"spec": {"suspend": false}}"#]].concat()).await?.success()?;
    admin.kubectl(&[&system[..], &[r#"{"spec": {"mode": "ReadWrite", "suspend": true}}"#]].concat()).await?.success()?;
    w.field_is(&["authsys", "this-cluster"], "{.status.conditions[?(@.type==\"Ready\")].reason}", "Suspended").await?;
    eventually("the API server to see that the role goes on", SOON, || async {
        Ok(alice.apply(&request("new", "1h")).await?.ok.then_some(()))
    })
    .await?;
    refused(&w, "new", "Denied", "Suspended", "suspended").await
}

#[tokio::test]
async fn a_target_that_refuses_is_told_and_tried_until_the_deadline() -> Result<()> {
    let (w, _operator) = World::running("refusing").await?;
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    for (name, duration) in [("patient", "1h"), ("short", "6s")] {
        alice.apply(&request(name, duration)).await?.success()?;
        w.state_is(name, "AwaitingApproval").await?;
    }
    let right = admin.kubectl(&["get", "clusterrolebinding", "curfew-bind-payments", "-o", "yaml"]).await?.success()?;
    admin.kubectl(&["delete", "clusterrolebinding", "curfew-bind-payments"]).await?.success()?;
    decide(&w, &carol, "patient", "Approve").await?;
    decide(&w, &carol, "short", "Approve").await?;
    eventually("the request to say what the target refuses", SOON, || async {
        let told = w.field(&["areq", "-n", "payments", "patient"], "{.status.state} {.status.message}").await?;
        if told.starts_with("Activating") && told.contains("the target refuses") && told.contains("tried again") {
            Ok(Some(()))
        } else {
            bail!("{told}")
        }
    })
    .await?;
    assert!(!alice.can_read_secret("payments", "db").await?);
    // Never armed by its deadline: proven absent, and failed.
    refused(&w, "short", "Failed", "DeadlinePassed", "its time is over").await?;
    let restored: String =
        right.lines().filter(|l| !l.contains("resourceVersion") && !l.contains("uid:")).map(|l| format!("{l}\n")).collect();
    admin.apply(&restored).await?.success()?;
    w.access_is(&alice, true, SOON).await?;
    w.state_is("patient", "Active").await
}
