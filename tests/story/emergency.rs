//! Emergency accounts: each use that Curfew sees is told, and they are never touched.
use super::{
    assignment_requests::in_secs,
    decide,
    refusals::{ready, refused, template},
    request,
};
use crate::{attacks::resisted, audit::sinks};
use anyhow::{Context, Result, bail, ensure};
use curfew_testkit::{ControlPlane, Operator, Receivers, SOON, Stage, User, World, eventually, metric, root};
use serde_json::Value;
use std::path::Path;

const REASON: &str = "EmergencyAccountUsed";

/// Lists the account, in another spelling than that of its login. It has access of its own, is eligible, and is one of the approvers.
async fn rescue(w: &World) -> Result<User> {
    let admin = w.admin()?;
    let listed = r#"{"spec": {"emergencyAccounts": [{"user": "Rescue@Example.com"}]}}"#;
    admin.api(&["patch", "authsys", "this-cluster", "--type=merge", "-p", listed]).await?.success()?;
    for (name, role) in [("rescue", "payments-admin"), ("rescue-asks", "curfew-requester"), ("rescue-decides", "curfew-approver")] {
        let role = format!("--clusterrole={role}");
        admin.api(&["create", "rolebinding", "-n", "payments", name, &role, "--user=rescue@example.com"]).await?.success()?;
    }
    let author = ["create", "clusterrolebinding", "rescue-writes", "--clusterrole=curfew-author", "--user=rescue@example.com"];
    admin.api(&author).await?.success()?;
    let policy = r#"{"spec": {"eligible": [{"group": "payments-devs"}, {"user": "rescue@example.com"}], "allow": {"activeAssignments": true}, "min": {"approval": {"none": {}, "atLeast": null}}}}"#;
    admin.api(&["patch", "apol", "payments", "--type=merge", "-p", policy]).await?.success()?;
    let stages = r#"{"spec": {"activation": {"approval": {"stages": [{"name": "leads", "approvers": [{"user": "carol@example.com"}, {"user": "rescue@example.com"}], "quorum": 1}]}}}}"#;
    admin.api(&["patch", "rtpl", "-n", "payments", "payments-admin", "--type=merge", "-p", stages]).await?.success()?;
    w.cp.user("rescue@example.com", &["payments-devs"])
}

/// A channel for administrators that takes what is critical.
async fn channel(w: &World, url: &str) -> Result<()> {
    let admin = w.admin()?;
    let url = format!("--from-literal=url={url}/events");
    admin.api(&["create", "secret", "generic", "channel", "-n", "curfew-system", &url]).await?.success()?;
    let via = r#"{"cloudEvents": {"urlSecretRef": {"name": "channel", "key": "url"}}}"#;
    let channel = format!(r#"{{"name": "security", "via": {via}, "recipients": ["Admins"], "level": "Critical"}}"#);
    let patch = format!(r#"{{"spec": {{"notifications": {{"channels": [{channel}]}}}}}}"#);
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch]).await?.success().map(drop)
}

/// Waits for the Warnings about an object: one at the object and one at the system.
async fn told(w: &World, kind: &str, object: &str) -> Result<()> {
    let words = [format!("emergency account rescue@example.com of system this-cluster was used: it created {kind} payments/{object};")];
    for (namespace, about) in [
        ("payments", format!("involvedObject.kind={kind},involvedObject.name={object}")),
        ("default", "involvedObject.name=this-cluster".to_owned()),
    ] {
        let selector = format!("{about},reason={REASON},type=Warning");
        let told = |now: &str| words.iter().all(|word| now.contains(word.as_str()));
        w.field_fits(&["events", "-n", namespace, "--field-selector", &selector], "{.items[*].message}", "to tell of the use", SOON, told)
            .await?;
    }
    let last = format!("rescue@example.com {kind} payments/{object}");
    w.field_is(&["authsys", "this-cluster"], "{.status.emergencyUse.login} {.status.emergencyUse.object}", &last).await
}

async fn uses(operator: &Operator, count: f64) -> Result<()> {
    eventually(&format!("{count} uses"), SOON, || async {
        let metrics = operator.get("/metrics").await?;
        let counted = metric(&metrics, "curfew_emergency_account_uses_total");
        let last = metric(&metrics, "curfew_emergency_account_last_use_timestamp_seconds");
        if counted == Some(count) && last > Some(1_700_000_000.0) { Ok(Some(())) } else { bail!("{counted:?}, last {last:?}") }
    })
    .await
}

async fn counted(w: &World, who: &User, request: &str, expect: &str) -> Result<()> {
    let path = format!(
        "{{range .items[?(@.spec.decider.username==\"{}\")]}}{{.spec.about.activationRequest.name}} {{.spec.decision}} {{.status.conditions[0].reason}};{{end}}",
        who.name
    );
    let is = format!("{request} {expect};");
    w.field_fits(&["adec", "-n", "payments"], &path, &format!("to have {is}"), SOON, |now| now.contains(&is)).await
}

#[tokio::test]
async fn an_emergency_account_is_watched_and_never_touched() -> Result<()> {
    let w = World::first("emergency").await?;
    let log = w.cp.dir().join("audit.jsonl");
    sinks(&w, &format!(r#"[{{"file": {{"path": "{}"}}}}]"#, log.display())).await?;
    let operator = w.operator("operator").await?;
    w.granting().await?;
    let received = Receivers::default();
    channel(&w, &received.serve_http().await?).await?;
    let rescue = rescue(&w).await?;
    let bindings = "{range .items[*]}{.metadata.name} {.metadata.resourceVersion} {.subjects}{end}";
    let before = w.field(&["rolebindings", "-n", "payments"], bindings).await?;
    ensure!(rescue.can_read_secret("payments", "db").await?, "it has access of its own");

    // It is eligible and asks, and gets nothing.
    rescue.apply(&request("rescue-asks", "1h")).await?.success()?;
    refused(&w, "rescue-asks", "Denied", "EmergencyAccount", "rescue@example.com is an emergency account of system this-cluster").await?;
    told(&w, "ActivationRequest", "rescue-asks").await?;
    uses(&operator, 1.0).await?;
    let of = |name: &'static str| move |body: &Value| body["data"]["event"] == REASON && body["data"]["name"] == name;
    let notice = received.until_posted("events", "a notification of the use", of("rescue-asks")).await?.body;
    let data = &notice["data"];
    ensure!(data["emergencyAccount"] == "rescue@example.com" && data["system"] == "this-cluster" && data["critical"] == true, "{notice}");

    // It is listed as an approver. What it approves does not count, and what it ends does.
    let (alice, carol) = (w.alice()?, w.carol()?);
    alice.apply(&request("first", "1h")).await?.success()?;
    w.state_is("first", "AwaitingApproval").await?;
    decide(&w, &rescue, "first", "Approve").await?;
    let judged = counted(&w, &rescue, "first", "Approve EmergencyAccount").await;
    resisted(judged.is_ok(), &format!("an emergency account approves: {judged:?}"))?;
    uses(&operator, 2.0).await?;
    ensure!(w.field(&["areq", "-n", "payments", "first"], "{.status.state}").await? == "AwaitingApproval");
    decide(&w, &carol, "first", "Approve").await?;
    w.state_is("first", "Active").await?;
    w.access_is(&alice, true, SOON).await?;
    decide(&w, &rescue, "first", "Revoke").await?;
    w.access_is(&alice, false, SOON).await?;
    w.state_is("first", "Revoked").await?;
    counted(&w, &rescue, "first", "Revoke Counted").await?;
    uses(&operator, 3.0).await?;

    // Nothing names it as a holder or as the one who approves.
    no_holder(&w, &rescue).await?;
    uses(&operator, 5.0).await?;

    // Where the API server takes no Event, the channels are told all the same, and once.
    no_events(&w, true).await?;
    rescue.apply(&request("rescue-unheard", "1h")).await?.success()?;
    let heard = received.until_posted("events", "a notification without Events", of("rescue-unheard")).await;
    resisted(heard.is_ok(), &format!("Events are refused, and the channels are not told: {heard:?}"))?;
    ensure!(w.field(&["areq", "-n", "payments", "rescue-unheard"], "{.status.state}").await?.is_empty(), "it is told before it is judged");
    no_events(&w, false).await?;
    refused(&w, "rescue-unheard", "Denied", "EmergencyAccount", "is an emergency account").await?;
    told(&w, "ActivationRequest", "rescue-unheard").await?;
    uses(&operator, 6.0).await?;

    // Nobody else is told of, and what it does elsewhere is not seen by Curfew.
    ensure!(rescue.can_read_secret("payments", "db").await?, "its own access is as it was");
    ensure!(w.field(&["rolebindings", "-n", "payments"], bindings).await? == before, "no binding has changed");
    uses(&operator, 6.0).await?;
    eventually("a notification of each use, and of nothing else", SOON, || async {
        let all: Vec<Value> = received.posted("events").into_iter().map(|posted| posted.body).collect();
        ensure!(all.iter().all(|body| body["data"]["event"] == REASON), "only what is critical for administrators: {all:?}");
        if all.len() == 6 { Ok(Some(())) } else { bail!("{} notifications", all.len()) }
    })
    .await?;
    recorded(&log).await
}

/// Lets the API server refuse the Warnings of such uses, as a policy of another product or a namespace that is being deleted would; or take
/// them again. Returns once it does.
async fn no_events(w: &World, refused: bool) -> Result<()> {
    let policy = format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {{name: no-events}}, spec: {{matchConstraints: \
         {{resourceRules: [{{apiGroups: [events.k8s.io], apiVersions: [v1], resources: [events], operations: [CREATE]}}]}}, \
         matchConditions: [{{name: what, expression: \"object.?reason.orValue('') == '{REASON}'\"}}], \
         validations: [{{expression: 'false', message: no events}}]}}}}\n---\n{{apiVersion: admissionregistration.k8s.io/v1, kind: \
         ValidatingAdmissionPolicyBinding, metadata: {{name: no-events}}, spec: {{policyName: no-events, validationActions: [Deny]}}}}"
    );
    let admin = w.admin()?;
    if refused {
        admin.kubectl_stdin(&["apply", "-f", "-"], &policy).await?.success()?;
    } else {
        admin.kubectl_stdin(&["delete", "-f", "-"], &policy).await?.success()?;
    }
    let event = format!(
        "{{apiVersion: events.k8s.io/v1, kind: Event, metadata: {{name: probe, namespace: payments}}, eventTime: '2026-01-01T00:00:00.000000Z', \
         reportingController: probe, reportingInstance: probe, action: Probe, reason: {REASON}, type: Warning, \
         regarding: {{kind: Namespace, namespace: payments, name: payments}}}}"
    );
    eventually(&format!("Events to be refused: {refused}"), SOON, || async {
        let out = admin.kubectl_stdin(&["create", "--dry-run=server", "-f", "-"], &event).await?;
        if out.ok != refused && (out.ok || out.stderr.contains("no events")) { Ok(Some(())) } else { bail!("{}{}", out.stdout, out.stderr) }
    })
    .await
}

/// Assignments that name it give nothing, and a role that it alone could approve is not ready.
async fn no_holder(w: &World, rescue: &User) -> Result<()> {
    let admin = w.admin()?;
    let alone = [
        ("approvers: [{group: payments-leads}, {user: carol@example.com}]", "approvers: [{user: rescue@example.com}]"),
        ("  assignment:", "  assignment:\n    active: {permanent: true}"),
    ];
    template(w, "rescued", &alone).await?;
    ready(w, &["rtpl", "-n", "payments", "rescued"], "False NobodyCanApprove .. user rescue@example.com is an emergency account").await?;
    template(w, "standing", &alone[1..]).await?;
    ready(w, &["rtpl", "-n", "payments", "standing"], "True").await?;
    admin
        .apply(
            "{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {name: rescue, namespace: payments}, \
             spec: {roleRef: {name: standing}, subject: {user: rescue@example.com}, scope: {all: {}}, window: {permanent: {}}}}",
        )
        .await?
        .success()?;
    ready(w, &["eas", "-n", "payments", "rescue"], "False EmergencyAccount .. which Curfew never touches").await?;
    rescue
        .apply(
            "{apiVersion: curfew.dev/v1alpha1, kind: ActiveAssignment, metadata: {name: rescue, namespace: payments}, \
             spec: {roleRef: {name: standing}, subject: {user: rescue@example.com}, scope: {all: {}}, window: {permanent: {}}, justification: why}}",
        )
        .await?
        .success()?;
    ready(w, &["aas", "-n", "payments", "rescue"], "False EmergencyAccount .. which Curfew never touches").await?;
    told(w, "ActiveAssignment", "rescue").await?;

    // It asks for no eligibility either, also where nothing was extended before.
    let ends = in_secs(86_400);
    let until = in_secs(172_800);
    let brief = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {{name: brief, namespace: payments}}, spec: {{roleRef: {{name: standing}}, \
         subject: {{user: rescue@example.com}}, scope: {{all: {{}}}}, window: {{between: {{start: '2026-01-01T00:00:00Z', end: '{ends}'}}}}}}}}"
    );
    admin.apply(&brief).await?.success()?;
    let uid = w.field(&["eas", "-n", "payments", "brief"], "{.metadata.uid}").await?;
    let longer = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AssignmentRequest, metadata: {{name: longer, namespace: payments}}, spec: {{justification: longer, \
         action: {{extend: {{assignment: {{name: brief, uid: {uid}}}, until: '{until}'}}}}}}}}"
    );
    rescue.apply(&longer).await?.success()?;
    let path = "{.status.state}: {.status.reason}";
    w.field_fits(&["asreq", "-n", "payments", "longer"], path, "to be refused", SOON, |now| now.ends_with(": EmergencyAccount")).await?;
    told(w, "AssignmentRequest", "longer").await
}

/// Killed before the first status of a request is stored: it had told by then, and the next one tells again.
#[tokio::test]
async fn a_use_is_told_also_if_the_operator_was_killed() -> Result<()> {
    let w = World::first("emergency-killed").await?;
    let victim = w.operator_with("victim", &[("CURFEW_PARK_AT", "before:CommitRequest")]).await?;
    w.granting().await?;
    let rescue = rescue(&w).await?;
    rescue.apply(&request("untold", "1h")).await?.success()?;
    eventually("the operator to be parked", SOON, || async { Ok(victim.is_stopped().then_some(())) }).await?;
    ensure!(w.field(&["areq", "-n", "payments", "untold"], "{.status.state}").await?.is_empty(), "nothing is stored");
    let before = told(&w, "ActivationRequest", "untold").await;
    resisted(before.is_ok(), &format!("an emergency account is used, and nobody is told: {before:?}"))?;
    // As if it had been killed a moment earlier.
    victim.kill();
    let admin = w.admin()?;
    for namespace in ["payments", "default"] {
        let selector = format!("reason={REASON}");
        admin.kubectl(&["delete", "events", "-n", namespace, "--field-selector", &selector]).await?.success()?;
    }
    admin.api(&["delete", "lease", "-n", "curfew-system", "curfew-operator"]).await?.success()?;
    let next = w.operator("next").await?;
    refused(&w, "untold", "Denied", "EmergencyAccount", "is an emergency account").await?;
    told(&w, "ActivationRequest", "untold").await?;
    uses(&next, 1.0).await?;
    // One that comes later tells of nothing, and still shows when it was used.
    next.kill();
    admin.api(&["delete", "lease", "-n", "curfew-system", "curfew-operator"]).await?.success()?;
    let last = w.operator("last").await?;
    w.granting().await?;
    uses(&last, 0.0).await
}

/// The audit record, in the form of the others.
async fn recorded(log: &Path) -> Result<()> {
    eventually("the records of the uses", SOON, || async {
        let text = std::fs::read_to_string(log)?;
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let used: Vec<Value> = records.filter(|record| record["type"] == "dev.curfew.emergency-account.used.v1").collect();
        let fits = |record: &Value| {
            let data = &record["data"];
            data["actor"]["user"]["name"] == "rescue@example.com" && data["severity_id"] == 5 && data["resource"]["name"] == "this-cluster"
        };
        ensure!(used.iter().all(fits), "{used:?}");
        if used.len() == 6 { Ok(Some(())) } else { bail!("{} records", used.len()) }
    })
    .await
}

/// The rule of docs/emergency-accounts.md: what the account does elsewhere is in the audit log of the API server, and nobody else is.
#[tokio::test]
async fn what_the_account_does_elsewhere_is_in_the_audit_log_of_the_api_server() -> Result<()> {
    let page = std::fs::read_to_string(root().join("docs/emergency-accounts.md"))?;
    let policy = page.split("```yaml other=Policy of audit.k8s.io\n").nth(1).context("no policy")?;
    let policy: Value = serde_saphyr::from_str(policy.split("```").next().unwrap_or_default())?;
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.log");
    let cp = ControlPlane::start_audited("emergency-audit", Stage::First, log.clone(), policy).await?;
    let w = World { cp };
    let admin = w.admin()?;
    let binding = ["create", "rolebinding", "-n", "payments", "rescue", "--clusterrole=payments-admin", "--user=break-glass-1"];
    admin.api(&binding).await?.success()?;
    let rescue = w.cp.user("break-glass-1", &[])?;
    ensure!(rescue.can_read_secret("payments", "db").await?);
    let seen = eventually("the use in the audit log", SOON, || async {
        let text = std::fs::read_to_string(&log)?;
        let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((!events.is_empty()).then_some(events))
    })
    .await?;
    ensure!(seen.iter().all(|event| event["user"]["username"] == "break-glass-1"), "nobody else is logged: {seen:?}");
    let read = |event: &Value| {
        event["stage"] == "ResponseComplete"
            && event["verb"] == "get"
            && event["objectRef"]["resource"] == "secrets"
            && event["responseStatus"]["code"] == 200
    };
    ensure!(seen.iter().any(read), "{seen:?}");
    Ok(())
}
